"""The credit of those who send one kind of message over a link: how many may be under way at once, and who waits for that.

It is the same over all connections. Who waits does so in its own coroutine, first come first served, so one large message
isn't passed by small ones for ever. What a new connection agrees on may be less than what is out: then nobody gets credit until
enough has come back. What is larger than the whole window gets it alone, when its turn has come: it is refused where it would
be written, and nobody waits behind it for ever.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

from supervise._backends import fail, give, note
from supervise.tree.traffic import Credit

if TYPE_CHECKING:
    from supervise._backends import Backend, Future


class _Waiter:
    """One who waits for credit."""

    __slots__ = ("future", "granted", "size")

    def __init__(self, future: Future, size: int) -> None:
        self.future: Future = future
        self.size: int = size
        self.granted = False


class Window:
    """Of calls of one depth, or of sends to one interface."""

    __slots__ = ("_backend", "_line", "_most", "_most_bytes", "out", "out_bytes")

    def __init__(self, backend: Backend, most: float, most_bytes: float) -> None:
        self._backend = backend
        self._most = most
        self._most_bytes = most_bytes
        self._line: OrderedDict[_Waiter, None] = OrderedDict()  # whoever leaves it is found at once, however long it is
        self.out: int = 0
        """Messages that hold credit."""
        self.out_bytes: int = 0

    @property
    def waiting(self) -> int:
        """How many wait for credit."""
        return len(self._line)

    def credit(self, of: str) -> Credit:
        """How much of it is used, now."""
        return Credit(of, self.out, self._most, self.out_bytes, self._most_bytes, len(self._line))

    def try_take(self, size: int) -> bool:
        """Take credit, if there is enough and nobody waits for it."""
        if self._line or not self._fits(size):
            return False
        self.out += 1
        self.out_bytes += size
        return True

    async def take(self, size: int, until: float | None = None) -> None:
        """Take credit, after all who have come before. Raises `Expired` at that instant of the loop's clock."""
        if self.try_take(size):
            return
        waiter = _Waiter(self._backend.future(), size)
        self._line[waiter] = None
        try:
            if until is None:
                await waiter.future
            else:
                await self._backend.until(waiter.future, until)
        except BaseException:
            if waiter.granted:  # in the very turn in which it left
                self.give_back(size)
            elif waiter in self._line:
                del self._line[waiter]
                self._grant()  # what it was in the way of
            note(waiter.future)
            raise

    def give_back(self, size: int) -> None:
        """A message of this size has ended."""
        self.out -= 1
        self.out_bytes -= size
        if self._line:
            self._grant()

    def resize(self, most: float, most_bytes: float) -> None:
        """A new connection has agreed on this."""
        self._most, self._most_bytes = most, most_bytes
        self._grant()

    def refuse_waiting(self, error: Callable[[], Exception]) -> None:
        """Those that wait get an error. Who comes later doesn't."""
        line, self._line = self._line, OrderedDict()
        for waiter in line:
            fail(waiter.future, error())

    def _fits(self, size: int) -> bool:
        if self.out >= self._most:
            return False
        return not self.out or self.out_bytes + size <= self._most_bytes

    def _grant(self) -> None:
        while self._line:
            waiter = next(iter(self._line))
            if not self._fits(waiter.size):
                break
            del self._line[waiter]
            if give(waiter.future, None):
                waiter.granted = True
                self.out += 1
                self.out_bytes += waiter.size
