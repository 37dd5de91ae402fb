"""How much is done between two turns of an event loop, by all trees that run in it together.

Who calls for ever what is answered at once, floods an actor, or starts one child after the other, would keep the loop from
everything else. So messages, starts and calls answered at once cost a unit each, and only a turn of the loop brings new ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from supervise._backends import Backend

BATCH: Final = 128
"""Units between two turns: a 1 ms timer is at most 0.1 ms late behind a long queue."""


class Budget:
    """That of one event loop."""

    __slots__ = ("_refilled", "depth", "left")

    def __init__(self) -> None:
        self.left: int = BATCH
        self.depth: int = 0
        """Of calls that are answered at once within others."""
        self._refilled = 0  # how often

    async def turn(self, backend: Backend) -> int:
        """Let the loop turn, until there is something left to be done in the new one; how much that is."""
        while True:
            refilled = self._refilled
            await backend.checkpoint()
            if self._refilled == refilled:  # by nobody else since
                self._refilled += 1
                self.left = BATCH
            if self.left > 0:
                return self.left


_BUDGETS: Final[WeakKeyDictionary[object, Budget]] = WeakKeyDictionary()


def budget_of(backend: Backend) -> Budget:
    """The one that everybody has who runs in the same event loop."""
    return _BUDGETS.setdefault(backend.loop, Budget())
