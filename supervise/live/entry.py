"""One row of a client's table: the row itself, and what follows from looking at it again and again."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, Final

from .row import FIELDS, Row
from .told import text_in, texts_in

RATES: Final = 10
"""Rates that are kept of each row, the last ones."""
_USUAL: Final = Row("")


class Entry:
    """One actor, pool or supervisor, as a client knows it."""

    __slots__ = ("failing", "rate", "rates", "row")

    def __init__(self, row: Row) -> None:
        self.row: Row = row
        self.rate: float = 0.0
        """Messages a second that it has finished, between the last two surveys."""
        self.rates: deque[float] = deque(maxlen=RATES)
        """The last ones, the newest at the end."""
        self.failing: bool = False
        """Whether one of its messages failed between the last two surveys."""

    def become(self, row: Row, seconds: float) -> None:
        """The row as it is, so many seconds after it was as it had been. Counters that fell have begun anew."""
        finished = row.handled + row.failed - self.row.handled - self.row.failed
        self.failing = row.failed > self.row.failed
        self.row = row
        self._note(max(0, finished) / seconds)

    def stay(self) -> None:
        """Another survey has found it as it was."""
        self.failing = False
        self._note(0.0)

    def _note(self, rate: float) -> None:
        self.rate = rate
        self.rates.append(rate)

    @property
    def moves(self) -> bool:
        """Whether anything has happened in the time of which rates are kept."""
        return any(self.rates)

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.row.path.rpartition("/")[2]

    def copy(self) -> Entry:
        """Another one that stays as this one is now."""
        other = Entry(self.row)
        other.rate, other.failing = self.rate, self.failing
        other.rates.extend(self.rates)
        return other


def row_from(data: Mapping[str, Any]) -> Row | None:
    """A row as the protocol tells it. None: it has no path. What isn't of its type is as if it weren't told."""
    found: dict[str, Any] = {}
    for name in FIELDS:
        if name not in data:
            continue
        value, usual = data[name], getattr(_USUAL, name)
        if name == "hand":
            found[name] = tuple(texts_in(data, name))
        elif isinstance(usual, str):
            found[name] = text_in(data, name) or usual
        elif isinstance(value, int | float) or value is usual:
            found[name] = value
    return Row(**found) if found.get("path") else None
