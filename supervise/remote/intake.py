"""The way in from one connection: the sends and calls to the interfaces of one name, in the order in which they came.

A task for each call would break that order: a call would overtake the send before it. So what finds no room at once waits here,
in one line, and one task brings it in. The line is bounded by the credit that the other side has.
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
        self._line: deque[tuple[Target, Incoming]] = deque()
        self._at_work = False
        self._gone = 0  # of those that were withdrawn since it was looked at, as many may stand in the line still
        self.closed: bool = False

    def take(self, target: Target, incoming: Incoming) -> Awaitable[None] | None:
        """One more, behind all that are there. What is returned is to be awaited at once; it doesn't wait for room.

        A call that would wait for itself is refused at once, and not in its turn.
        """
        arrival = incoming.arrival
        if arrival is None:
            self.open += incoming.size
        else:
            try:
                circle.check(incoming.frame.above, target.mailbox, incoming.method.function, {})
            except SuperviseError as error:
                arrival.refuse(error)
                return None
        if not self._at_work and target.is_open:
            return self._bring(target, incoming)  # by the reader, who never waits for room: a task would cost a call a sixth
        self._line.append((target, incoming))
        if not self._at_work:
            self._at_work = True
            self._group.start_soon(self._work, name=f"intake of {self.name}")
        return None

    def withdrawn(self) -> None:
        """A call has ended that may wait here. Its frame isn't kept for long: the credit for it is given back already."""
        self._gone += 1
        if self._gone > _FEW and 2 * self._gone > len(self._line):
            self._gone = 0
            self._line = deque(each for each in self._line if each[1].arrival is None or not each[1].arrival.done())

    async def _work(self) -> None:
        try:
            while self._line and not self.closed:
                await self._bring(*self._line.popleft())
            self._caught_up()
        finally:
            self._at_work = False

    async def _bring(self, target: Target, incoming: Incoming) -> None:
        await target.take(incoming)
        if incoming.arrival is None:
            self.open -= incoming.size
            self._accepted(self, incoming.size)

    def close(self) -> None:
        """The connection is over: what hasn't got in never will."""
        self.closed = True
        self._line.clear()
