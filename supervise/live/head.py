"""What stands above the rows: the tree itself, sums, and how its loop is."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from supervise.frame import place_of

from .row import LONGEST
from .survey import Sums

if TYPE_CHECKING:
    from supervise.events import Blocked

    from .feed import Feed
    from .lookout import Lookout

SCHEMA: Final = 1
"""The version of all that is told. A client that doesn't know it says so."""
COUNTED: Final = tuple(field.name for field in fields(Sums) if field.name != "type")


class Head:
    """That of one server, which remembers how much of the processor the process had used."""

    def __init__(self, lookout: Lookout, operate: bool) -> None:
        self._lookout = lookout
        self._operate = operate
        self._used = (time.monotonic(), time.process_time())
        self._cpu: float | None = None

    def of(self, feed: Feed) -> dict[str, Any]:
        """As it is now, with the sums of the last survey."""
        board = feed.board
        survey = board.survey
        blocked = self._lookout.blocked()
        found: dict[str, Any] = {
            "schema": SCHEMA,
            "seq": board.seq,
            "time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "at": 0.0 if survey is None else round(survey.at + time.monotonic() - board.taken, 4),
            "seen": 0.0 if survey is None else round(survey.at, 4),
            "interval": round(max(feed.interval, min(feed.every, default=0.0)), 3),
            "tree": self._tree(feed),
            "operate": self._operate,
            "loop": {"lag": round(self._lookout.lag, 4), "blocked": None if blocked is None else _blocked(blocked)},
            "cpu": self._share(),
        }
        if survey is not None:
            total = Sums("")
            for sums in survey.sums.values():
                for name in COUNTED:
                    setattr(total, name, getattr(total, name) + getattr(sums, name))
            found["totals"] = {name: getattr(total, name) for name in COUNTED}
            found["all"] = not survey.is_cut
        if feed.lost:
            found["problem"] = feed.lost
        return found

    def _tree(self, feed: Feed) -> dict[str, Any]:
        app, survey = self._lookout.app, feed.board.survey
        ended = None if app is None else app.ended
        up = app is not None and ended is None
        amiss = "isn't running" if app is None else "" if survey is None or not survey.amiss else f"is {survey.amiss}"
        down = [] if survey is None or not up else survey.down
        return {
            "name": self._lookout.name,
            "pid": os.getpid(),
            "python": platform.python_version(),
            "up": 0.0 if survey is None or not up else round(survey.at - survey.began + time.monotonic() - feed.board.taken, 1),
            "live": up,
            "ready": up and survey is not None and not amiss and not down,
            "degraded": up and survey is not None and survey.degraded,
            "why": [text[:LONGEST] for text in ([f"{self._lookout.name} {amiss}"] if amiss else []) + down],
            "ended": "" if ended is None else str(ended)[:LONGEST],
        }

    def _share(self) -> float | None:
        """Of one core, that the process uses; since the last time that a second had passed."""
        now = (time.monotonic(), time.process_time())
        before = self._used
        if now[0] - before[0] >= 1.0:
            self._used = now
            self._cpu = round((now[1] - before[1]) / (now[0] - before[0]), 4)
        return self._cpu


def _blocked(blocked: Blocked) -> dict[str, Any]:
    return {
        "for": round(blocked.seconds, 1),
        "path": blocked.path,
        "life": blocked.incarnation,
        "handler": blocked.message or "",
        "where": str(place_of(blocked.stack) or ""),
        "stack": [str(frame) for frame in blocked.stack],
    }
