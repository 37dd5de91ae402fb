"""Log records of the program's own loggers and of ours, for whoever follows them: by actor, as they are written."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections import deque
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any, Final

from supervise.journal.event_log import Parts
from supervise.mailbox.turn import current_turn
from supervise_strategies.exception import interrupts
from supervise_strategies.text import text_of

from .feed import TooManyWatchers

KEPT: Final = 1000
"""Records that wait for one client; it is told how many it has missed."""
FOLLOWERS: Final = 8
LONGEST: Final = 4000
"""Characters of one record's text."""
EVERY: Final = 0.25
"""Seconds between two looks at what was written."""


class LogFeed:
    """Of one server. While nobody follows, `logging` knows nothing of it."""

    def __init__(self) -> None:
        self._followers: list[_Follower] = []
        self._ended = False

    def end(self) -> None:
        """The server ends."""
        self._ended = True

    async def stream(self, under: str) -> AsyncGenerator[bytes]:
        """Records of actors below a path from the root on, and of itself; empty: all there are."""
        if len(self._followers) >= FOLLOWERS:
            raise TooManyWatchers
        follower = _Follower(under)
        self._followers.append(follower)
        logging.getLogger().addHandler(follower)
        try:
            yield b": from now on\n\n"
            quiet = time.monotonic()
            while not self._ended:
                told = follower.told()
                if told:
                    quiet = time.monotonic()
                    yield b"".join(b"event: log\ndata: " + json.dumps(each).encode() + b"\n\n" for each in told)
                elif time.monotonic() - quiet > 5.0:
                    quiet = time.monotonic()
                    yield b": nothing\n\n"
                await asyncio.sleep(EVERY)
        finally:
            logging.getLogger().removeHandler(follower)
            with contextlib.suppress(ValueError):
                self._followers.remove(follower)


class _Follower(logging.Handler):
    """Hears records in whatever thread writes them, and keeps the last ones as they are told."""

    def __init__(self, under: str) -> None:
        super().__init__()
        self._under = f"{under}/" if under else ""
        self._kept: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._number = 0
        self._told = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it, if it is about one that is followed. It never raises."""
        try:
            last = logging.lastResort
            if last is not None and logging.root.handlers[:1] == [self] and _has_no_other(record, last.level):
                last.handle(record)
            path, life = _whose(record)
            if self._under and not f"{path}/".startswith(self._under):
                return
            found = {
                "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                "level": record.levelname,
                "logger": record.name,
                "path": path,
                "life": life,
                "text": text_of(record.getMessage(), LONGEST),
            }
        except BaseException as error:  # an argument of the record's that raises as a text; who logs isn't to suffer
            if interrupts(error):
                raise
            self._number += 1  # it is one that is missing
            return
        self._number += 1  # only now: what the text is made of may have logged, too
        self._kept.append({"number": self._number, **found})

    def told(self) -> list[dict[str, Any]]:
        """What was written since the last time; each says how many are missing before it, if any are."""
        found: list[dict[str, Any]] = []
        while self._kept:
            each = self._kept.popleft()
            missed = each.pop("number") - self._told - 1
            self._told += missed + 1
            found.append({**each, "missed": missed} if missed else each)
        return found


def _has_no_other(record: logging.LogRecord, level: int) -> bool:
    """Whether nobody else writes it down: then Python itself does, on stderr, as it would if nobody followed."""
    if record.levelno < level:
        return False
    logger: logging.Logger | None = logging.getLogger(record.name)
    while logger is not None:
        if any(type(handler) is not _Follower for handler in logger.handlers):
            return False
        logger = logger.parent if logger.propagate else None
    return True


def _whose(record: logging.LogRecord) -> tuple[str, int]:
    """The actor that it is about, or in whose code it was written."""
    args: object = record.args
    if type(args) is Parts:
        return args.event.path, int(getattr(args.event, "incarnation", 0))
    turn = current_turn(None)
    if turn is None:
        return "", 0
    life = turn.life
    return turn.mailbox.path, int(getattr(life, "number", 0))
