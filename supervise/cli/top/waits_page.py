"""Who waits for whom, as a forest: below each those who wait for it. Cycles come first, and are red."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar

from supervise.live.drawing import BAD, DIM, PLAIN, STRONG, Line, clean, span
from supervise.live.waits import Waiter, forest

from .page import COMMON, Page

if TYPE_CHECKING:
    from .app import Top


class WaitsPage(Page):
    """One line for each who waits, or is waited for."""

    KEYS: ClassVar[tuple[tuple[str, str], ...]] = (("enter", "detail"), ("r", "restart"), ("x", "stop"), *COMMON)

    def __init__(self, top: Top) -> None:
        super().__init__(top)
        self._waiters: list[Waiter] = []

    def prepare(self) -> None:
        self._waiters = forest(self.top.view)

    def count(self) -> int:
        return len(self._waiters)

    def path(self) -> str | None:
        return self._waiters[self.cursor].path if self.cursor < len(self._waiters) else None

    def lines(self, first: int, number: int, width: int) -> tuple[Line, list[Line]]:
        heading: Line = [("who is waited for, and below it who waits", STRONG)]
        if not self._waiters:
            return heading, [[("nobody waits for anybody", DIM)]]
        return heading, [self._line(waiter) for waiter in self._waiters[first : first + number]]

    def _line(self, waiter: Waiter) -> Line:
        view = self.top.view
        name = clean(view.relative(waiter.path))
        line: Line = [(f"{'  ' * waiter.level}", PLAIN)]
        if waiter.again is True:
            return [*line, (f"↻ {name}", BAD), ("  waits in turn: none of them can go on", BAD)]
        line.append((f"{'← ' if waiter.level else ''}{name}", BAD if waiter.in_cycle else PLAIN if waiter.level else STRONG))
        entry = view.entries.get(waiter.path)
        if entry is None:
            return [*line, ("  it has no row here", DIM)]
        row = entry.row
        if row.hand:
            held = "" if row.hand_since is None else f" ≥{span(self.top.now - row.hand_since)}"
            line.append((f"  {clean(', '.join(row.hand))}{held}", PLAIN))
        elif row.state != "running":
            line.append((f"  {row.state}", PLAIN if row.well else BAD))
        if row.queued:
            line.append((f"  {row.queued} queued", DIM))
        return line

    def actions(self) -> Mapping[str, Callable[[], object]]:
        return {**self.operations(), "enter": self._detail}

    def _detail(self) -> None:
        if (path := self.path()) is not None:
            self.top.detail(path)
