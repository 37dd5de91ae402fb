"""Columns in a terminal. They are made as wide as they can be; actors that find no room share the last one."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from typing import IO, Final

from supervise.cells import cells

from .cells import wrapped
from .entry import CLOCK, Entry

NARROWEST: Final = 18  # cells of a column
GAP: Final = " | "
LEAST: Final = CLOCK + len(GAP) + NARROWEST
"""Cells of the narrowest table."""


class Columns:
    """Lays entries out in a width. Each actor has its column; those that find no room share the last one, under their names."""

    def __init__(self, width: int, traces: str | None = None) -> None:
        self._width = max(width, LEAST)
        self._traces = traces
        self._places: dict[str, int] = {}
        self._most = (self._width - CLOCK) // (NARROWEST + len(GAP))

    @property
    def _count(self) -> int:
        return min(len(self._places), self._most)

    @property
    def _cells(self) -> int:
        """Of one column."""
        return (self._width - CLOCK - self._count * len(GAP)) // self._count

    def show(self, entries: list[Entry], out: IO[str]) -> None:
        """Print them, below the headings if these have changed."""
        said = Counter(entry.actor for entry in entries if entry.actor not in self._places)
        if said:
            # Where not all find room, those that say the most have columns of their own, in the order of their first words.
            heard = {actor for actor, _ in said.most_common(max(0, self._most - 1 - len(self._places)))}
            for actor in sorted(said, key=lambda actor: actor not in heard):
                self._places[actor] = len(self._places)
            for line in self._heading():
                print(line, file=out)
        for entry in entries:
            for line in self._lines(entry):
                print(line, file=out)
        out.flush()

    def _heading(self) -> Iterator[str]:
        headings = list(self._places)
        if len(headings) > self._most:
            headings[self._most - 1 :] = [f"{len(headings) - self._most + 1} others"]
        for parts in itertools.zip_longest(*(wrapped(heading, self._cells) for heading in headings), fillvalue=""):
            yield self._row("", dict(enumerate(parts)))
        yield GAP.replace(" ", "-").replace("|", "+").join(["-" * CLOCK, *["-" * self._cells for _ in headings]])

    def _lines(self, entry: Entry) -> Iterator[str]:
        place, text = self._places[entry.actor], entry.text
        if place >= self._count - 1 and len(self._places) > self._most:
            place, text = self._count - 1, f"{entry.actor} {text}"
        for number, part in enumerate(wrapped(text, self._cells) or [""]):
            yield self._row("" if number else entry.clock, {place: part}, "" if number else entry.trace_id)

    def _row(self, clock: str, texts: dict[int, str], trace_id: str = "") -> str:
        parts = [clock.ljust(CLOCK), *[" " * self._cells] * self._count]
        for place, text in texts.items():
            parts[place + 1] = self._linked(text, trace_id) + " " * (self._cells - cells(text))
        return GAP.join(parts).rstrip()

    def _linked(self, text: str, trace_id: str) -> str:
        """A hyperlink, as terminals know them (OSC 8)."""
        if not text or not trace_id or self._traces is None:
            return text
        return f"\x1b]8;;{self._traces}{trace_id}\x1b\\{text}\x1b]8;;\x1b\\"
