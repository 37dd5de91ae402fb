"""What has happened since the terminal was opened: the newest event is the last line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar

from supervise.live.drawing import DIM, PLAIN, STRONG, WARN, Line
from supervise.live.happening import Happening

from .page import COMMON, Page

if TYPE_CHECKING:
    from .app import Top


class EventsPage(Page):
    """One line for each. Whoever looks at the last one goes on looking at the last one."""

    KEYS: ClassVar[tuple[tuple[str, str], ...]] = (("enter", "detail"), *COMMON)

    def __init__(self, top: Top) -> None:
        super().__init__(top)
        self._events: list[Happening] = []
        self._follows = True

    def prepare(self) -> None:
        before = self._events
        self._events = [*self.top.view.events]
        if self._follows:
            self.put_cursor(len(self._events) - 1)
        elif before and self._events and before[0] is not self._events[0]:  # the oldest ones are forgotten
            gone = next((n for n, event in enumerate(before) if event is self._events[0]), 0)
            self.put_cursor(max(0, self.cursor - gone), max(0, self.first - gone))

    def count(self) -> int:
        return len(self._events)

    def moved(self) -> None:
        self._follows = self.cursor >= len(self._events) - 1

    def path(self) -> str | None:
        return self._events[self.cursor].path if 0 <= self.cursor < len(self._events) else None

    def lines(self, first: int, number: int, width: int) -> tuple[Line, list[Line]]:
        missed = self.top.view.missed
        heading: Line = [(f"the last {len(self._events)} events", STRONG), (f"  {missed} missed" if missed else "", WARN)]
        if not self._events:
            return heading, [[("nothing has happened since this terminal was opened", DIM)]]
        return heading, [event_text(event) for event in self._events[first : first + number]]

    def actions(self) -> Mapping[str, Callable[[], object]]:
        return {"enter": self._detail}

    def _detail(self) -> None:
        if (path := self.path()) is not None:
            self.top.detail(path)


def event_text(event: Happening) -> Line:
    """One on a line: when, how grave, what, and in which trace."""
    trace: Line = [(f"  trace {event.trace}", DIM)] if event.trace else []
    return [(f"{event.clock}  ", DIM), (event.text, WARN if event.is_bad else PLAIN), *trace]
