"""Accepted messages that no handler will finish: counted, told to listeners, and the last ones kept as text."""

from __future__ import annotations

from collections import deque

from supervise.bus import Bus
from supervise.events import DeadLetter


class DeadLetters:
    """Keeps text, never envelopes: a kept argument would keep addresses, and so actors, alive."""

    __slots__ = ("_last", "bus", "count")

    def __init__(self, bus: Bus, keep: int = 100) -> None:
        self.bus: Bus = bus
        self._last: deque[DeadLetter] = deque(maxlen=keep)
        self.count: int = 0

    def add(self, path: str, message: str, why: str) -> None:
        """Count one, keep its text, tell the listeners."""
        self.count += 1
        letter = DeadLetter(path, message, why)
        self._last.append(letter)
        self.bus.publish(letter)

    def last(self) -> list[DeadLetter]:
        """The newest ones, oldest first."""
        return list(self._last)
