"""How much is done between two turns of an event loop, by all trees that run in it together.

Theory of operation
-------------------
- Who calls for ever what is answered at once, floods an actor, or starts one child after the other, would keep the loop from
  everything else. So messages and calls answered at once cost a unit each, starts more, and only a turn of the loop brings new
  ones.
- Those who have more to do stand in a line, and each turn is the first one's. Else a loop that resumes them always in the same
  order would always resume the same one first, who spends all of it again, and starves the others (tried).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from supervise._backends import give

if TYPE_CHECKING:
    from supervise._backends import Backend, Future

BATCH: Final = 128
"""Units between two turns: a 1 ms timer is at most 0.1 ms late behind a long queue."""
START: Final = 4
"""Units of a start, which takes as long as 20 messages: 32 starts, 0.7 ms of them, lie between two turns."""


class Budget:
    """That of one event loop."""

    __slots__ = ("_line", "_renewed", "_turning", "depth", "left")

    def __init__(self) -> None:
        self.left: int = BATCH
        self.depth: int = 0
        """Of calls that are answered at once within others."""
        self._renewed = 0  # how often there were new ones
        self._turning = False  # the next turn is somebody's
        self._line: deque[Future] = deque()

    def call_for_more(self) -> int:
        """They are used up, up to one. Whoever is called now runs after a turn of the loop, so it may bring new ones."""
        self.left = 0  # or what is used until then would be too much
        return self._renewed

    def renew(self, called: int) -> None:
        """One who was called runs now. That saves three of five turns of the loop between two lots of calls."""
        if called == self._renewed and not self._turning:
            self._renewed += 1
            self.left = BATCH

    async def turn(self, backend: Backend) -> int:
        """Let the loop turn, until it is one's own turn; how much may be done in it."""
        if self._turning:
            place = backend.future()
            self._line.append(place)
            try:
                await place
            except GeneratorExit:  # the loop is gone
                raise
            except BaseException:
                if place in self._line:
                    self._line.remove(place)
                elif place.done() and not place.cancelled():
                    self._pass_on()
                raise
        else:
            self._turning = True
            try:
                await backend.checkpoint()
            except GeneratorExit:
                raise
            except BaseException:
                self._pass_on()
                raise
        self._pass_on()
        self._renewed += 1
        self.left = BATCH
        return BATCH

    def _pass_on(self) -> None:
        """The next turn is the next one's."""
        while self._line:
            if give(self._line.popleft(), None):
                return
        self._turning = False


_BUDGETS: Final[WeakKeyDictionary[object, Budget]] = WeakKeyDictionary()


def budget_of(backend: Backend) -> Budget:
    """The one that everybody has who runs in the same event loop."""
    return _BUDGETS.setdefault(backend.loop, Budget())
