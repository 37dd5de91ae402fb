"""The board: the rows of the last survey, when each of them changed, and what only repeated looks can tell.

Since when a message is in hand, or waits, isn't noted by who handles it: that would cost each message a look at the clock. What
is told is the earliest look at which it must have been there, so it is a lower bound.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from .row import Row

if TYPE_CHECKING:
    from .survey import Survey

AT_A_TIME: Final = 50
"""Rows that are encoded before the thread lets go of the interpreter: 5,000 at a stretch made a timer of 1 ms 13 ms late."""
COMPARED: Final = 10 * AT_A_TIME
"""Rows that are compared, which is ten times as fast."""
REST: Final = 0.0005
"""Seconds for which it lets go."""
GONE: Final = 10_000
"""Rows that are gone and remembered; a client that has missed more gets all rows again."""


class Seen:
    """One row, as it was last seen."""

    __slots__ = ("_accepted", "_text", "row", "seq")

    def __init__(self, row: Row, seq: int, at: float, before: Seen | None) -> None:
        finished = row.handled + row.failed + row.dead_lettered + row.abandoned
        hand_since: float | None = None
        if row.hand:
            old = None if before is None else before.row
            same = old is not None and old.hand_since is not None and old.life == row.life
            if same and old is not None and finished == old.handled + old.failed + old.dead_lettered + old.abandoned:
                hand_since = old.hand_since
            else:
                hand_since = at
        # Of the messages that were accepted until an earlier look one still waits, if fewer than those were ever taken out.
        self._accepted = 0
        oldest_since: float | None = None
        if row.queued:
            if before is not None and before.row.oldest_since is not None and row.accepted - row.queued < before._accepted:
                self._accepted, oldest_since = before._accepted, before.row.oldest_since
            else:
                self._accepted, oldest_since = row.accepted, at
        if hand_since is not None or oldest_since is not None:
            row = row._replace(hand_since=hand_since, oldest_since=oldest_since)
        self.row: Row = row
        self.seq: int = seq
        self._text: bytes | None = None

    def text(self) -> bytes:
        """It as JSON."""
        if self._text is None:
            self._text = json.dumps(self.row.as_dict(), separators=(",", ":")).encode()
        return self._text


class Board:
    """Of one tree, or of a part of it. It is written and read in the server's thread."""

    def __init__(self) -> None:
        self.seq: int = 0
        """The number of the last survey, from 1."""
        self.taken: float = 0.0
        """When that was put up, by this process's clock."""
        self.order: list[str] = []
        """The paths, in the tree's order."""
        self.rows: dict[str, Seen] = {}
        self.survey: Survey | None = None
        self._gone: deque[tuple[int, str]] = deque(maxlen=GONE)
        self._forgotten = 0  # the number of the survey up to which rows may be gone that aren't remembered

    async def take(self, survey: Survey, cpu: Mapping[str, float]) -> None:
        """Put up a survey that is done."""
        seq = self.seq + 1
        changed: list[Seen] = []
        order: list[str] = []
        there: set[str] = set()
        for number, row in enumerate(survey.rows):
            if number % COMPARED == COMPARED - 1:
                await asyncio.sleep(REST)
            before = self.rows.get(row.path)
            share = cpu.get(row.path)
            seen = Seen(row if share is None else row._replace(cpu=share), seq, survey.at, before)
            if before is None or seen.row != before.row:
                changed.append(seen)
            order.append(row.path)
            there.add(row.path)
        gone = [path for path in self.rows if path not in there]
        # Nothing is awaited from here on: whoever reads finds all of it, or nothing.
        for seen in changed:
            self.rows[seen.row.path] = seen
        for path in gone:
            del self.rows[path]
            if len(self._gone) == GONE:
                self._forgotten = self._gone[0][0]
            self._gone.append((seq, path))
        survey.rows = []
        self.seq, self.taken, self.order, self.survey = seq, time.monotonic(), order, survey

    def all(self) -> list[Seen]:
        """All rows, in the tree's order."""
        return [self.rows[path] for path in self.order]

    def since(self, seq: int) -> tuple[list[Seen], list[str]] | None:
        """The rows that have changed since a survey, and the paths of those that are gone. None: that isn't known any more."""
        if seq < self._forgotten:
            return None
        gone = {path for number, path in self._gone if number > seq and path not in self.rows}
        return [seen for seen in self.rows.values() if seen.seq > seq], [*gone]


async def encoded(rows: Iterable[Seen]) -> bytes:
    """Rows as a JSON list; others get the interpreter in between."""
    parts: list[bytes] = []
    for number, seen in enumerate(rows, 1):
        parts.append(seen.text())
        if number % AT_A_TIME == 0:
            await asyncio.sleep(REST)
    return b"[" + b",".join(parts) + b"]"


def plain(value: Any) -> bytes:
    """A small value as JSON."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
