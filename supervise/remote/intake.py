"""The way in from one connection: the sends and calls to the interfaces of one name, in the order in which they came.

A task for each call would break that order: a call would overtake the send before it. So what finds no room at once waits here,
in a line, and one task brings it in. Lines are bounded by the credit that the other side has. There is one for all, but for
what is passed on to another process: there each depth has its own, or a call that waits for credit would hold up the very calls
that have to be answered before there is any. Such a call lets sends pass, too, as it does where it was made: it waits in a
second line, of calls alone, which it joins once all sends before it are in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from supervise.errors import SuperviseError

from . import circle

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from .target import Incoming, Target

_FEW: Final = 16
"""Calls that nobody waits for may stand in the line."""


class _Send:
    """One that may be overtaken by others."""

    __slots__ = ("is_in", "size")

    def __init__(self, size: int) -> None:
        self.size: int = size
        self.is_in = False


class _Line:
    """What waits, in its order, and is brought in by one task."""

    __slots__ = ("at_work", "gone", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[tuple[Target, Incoming, _Send | None]] = deque()
        self.at_work = False
        self.gone = 0  # of those that were withdrawn since it was looked at, as many may stand in it still

    def forget(self) -> None:
        """One of its calls has ended, that may stand in it. Its frame isn't kept for long: its credit is given back already."""
        self.gone += 1
        if self.gone > _FEW and 2 * self.gone > len(self.waiting):
            self.gone = 0
            self.waiting = deque(each for each in self.waiting if each[1].arrival is None or not each[1].arrival.done())


class Intake:
    """Of all interfaces of one name that are served on one connection: callers of yesterday's are in the same line."""

    def __init__(
        self,
        name: str,
        number: int,
        group: TaskGroup,
        accepted: Callable[[Intake, int], object],
        caught_up: Callable[[], object],
    ) -> None:
        self.name: str = name
        self.number: int = number
        """Of the first of these interfaces in the own table."""
        self.open: int = 0
        """Bytes of sends that haven't been accepted yet."""
        self._group = group
        self._accepted = accepted
        self._caught_up = caught_up
        self._lines: dict[tuple[int, bool], _Line] = {}  # by level; those of calls alone stand behind the others
        self._order: deque[_Send] = deque()  # of sends that may pass each other: their credit goes back in their order
        self.closed: bool = False

    def take(self, target: Target, incoming: Incoming) -> Awaitable[None] | None:
        """One more, behind all that are there. What is returned is to be awaited at once; it doesn't wait for room.

        A call that would wait for itself is refused at once, and not in its turn.
        """
        arrival = incoming.arrival
        send = None
        if arrival is None:
            self.open += incoming.size
        else:
            try:
                circle.check(incoming.frame.above, target.mailbox, incoming.method.function, {})
            except SuperviseError as error:
                arrival.refuse(error)
                return None
        line = self._line(incoming.level if target.by_level else 0)
        at_once = not line.at_work and target.is_open
        if arrival is None and (not at_once or self._order):  # of one that waits its credit may come before that of others
            send = _Send(incoming.size)
            self._order.append(send)
        if at_once:
            return self._bring(
                target, incoming, send
            )  # by the reader, who never waits for room: a task would cost a call a sixth
        if line.at_work or arrival is None or not target.by_level:
            self._join(line, target, incoming, send)
        else:
            self._join(self._line(incoming.level, calls=True), target, incoming, send)
        return None

    def _line(self, level: int, *, calls: bool = False) -> _Line:
        line = self._lines.get((level, calls))
        if line is None:
            line = self._lines[level, calls] = _Line()
        return line

    def _join(self, line: _Line, target: Target, incoming: Incoming, send: _Send | None) -> None:
        line.waiting.append((target, incoming, send))
        if not line.at_work:
            line.at_work = True
            self._group.start_soon(self._work, line, name=f"intake of {self.name}")

    def withdrawn(self) -> None:
        """A call has ended that may wait here."""
        for line in self._lines.values():
            line.forget()

    async def _work(self, line: _Line) -> None:
        try:
            while line.waiting and not self.closed:
                target, incoming, send = line.waiting.popleft()
                if target.by_level and incoming.arrival is not None:
                    calls = self._line(incoming.level, calls=True)
                    if calls is not line:
                        self._join(calls, target, incoming, send)
                        continue
                await self._bring(target, incoming, send)
            self._caught_up()
        finally:
            line.at_work = False

    async def _bring(self, target: Target, incoming: Incoming, send: _Send | None) -> None:
        await target.take(incoming)
        if send is not None:
            send.is_in = True
            while self._order and self._order[0].is_in:
                self._is_in(self._order.popleft().size)
        elif incoming.arrival is None:
            self._is_in(incoming.size)

    def _is_in(self, size: int) -> None:
        self.open -= size
        self._accepted(self, size)

    def close(self) -> None:
        """The connection is over: what hasn't got in never will."""
        self.closed = True
        for line in self._lines.values():
            line.waiting.clear()
