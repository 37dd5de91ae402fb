"""What is out on one connection: as much as the other side has agreed to, of calls of one depth, or of sends to one interface.

A window says what may be under way over all connections, and who waits for it; a flight what of that was written to this one,
and isn't answered yet. They differ where a new connection agreed on less than the last one.
"""

from __future__ import annotations

from collections import deque


class Flight:
    """Sizes that are out, oldest first."""

    __slots__ = ("_most", "_most_bytes", "bytes", "sizes")

    def __init__(self, most: float, most_bytes: float) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self.bytes: int = 0
        self.sizes: deque[int] = deque()
        """Of sends: they come back in this order. Of calls only their number counts."""

    def fits(self, size: int) -> bool:
        """Whether one more may be written. What is larger than all of it gets through alone: who writes it refuses it."""
        return not self.sizes or (len(self.sizes) < self._most and self.bytes + size <= self._most_bytes)

    def add(self, size: int) -> None:
        """It is written."""
        self.sizes.append(size)
        self.bytes += size

    def answered(self, size: int) -> None:
        """A call of this size is over; they don't end in their order."""
        self.sizes.pop()
        self.bytes -= size

    def accepted(self, size: int) -> list[int] | None:
        """The other side has accepted so many bytes of sends: those of the first ones. None: they don't add up to it."""
        left, many = size, 0
        for each in self.sizes:
            if left <= 0:
                break
            left -= each
            many += 1
        if left:
            return None  # nothing is taken: what is out comes back at the end of the connection
        self.bytes -= size
        return [self.sizes.popleft() for _ in range(many)]
