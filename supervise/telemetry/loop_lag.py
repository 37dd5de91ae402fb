"""How late the event loop is: the time from asking it to run a tiny function until it has run that."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from supervise._backends import Backend


class LoopLag:
    """Of one loop, asked once for each collection. Made in the loop's thread, read in any.

    No timer ticks for it, so a program that nobody reads pays nothing. What is read is the answer to the question before, and
    if that is still to come, the time since it was asked: so a loop that is blocked is seen while it is.
    """

    def __init__(self, backend: Backend, clock: Callable[[], float]) -> None:
        self._soon = backend.from_anywhere()
        self._clock = clock
        self._asked: float | None = None
        self._last = 0.0

    def read(self) -> float:
        """Seconds; and ask again."""
        now, asked = self._clock(), self._asked
        if asked is not None:
            return max(self._last, now - asked)
        found = self._last
        self._asked = now
        if not self._soon(self._answer):
            self._asked = None
        return found

    def _answer(self) -> None:
        asked = self._asked
        if asked is not None:
            self._last, self._asked = self._clock() - asked, None
