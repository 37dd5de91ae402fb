"""How many records a supervisor may write: a crash loop would fill a disk, and hide all else that is said."""

from __future__ import annotations

from collections import Counter, deque
from typing import Final

RECORDS: Final = 10
"""Records within any second that one supervisor, and the children that are its own, may have written."""
SUMMARY: Final = 10.0
"""Seconds after which those that weren't are told, as a number."""
TRACEBACKS: Final = 50
"""Tracebacks within any second that a tree may have written, beside those records."""


class Budget:
    """So many within any second. What is beyond that is counted, by what it is."""

    __slots__ = ("_last", "since", "unsaid")

    def __init__(self, most: int = RECORDS) -> None:
        self._last: deque[float] = deque(maxlen=most)
        self.unsaid: Counter[str] = Counter()
        self.since: float = 0.0
        """When the first of those came."""

    def spend(self, now: float) -> bool:
        """Whether there is one more to be had; it is spent then."""
        last = self._last
        if len(last) == last.maxlen and now - last[0] < 1.0:
            return False
        last.append(now)
        return True

    def count(self, what: str, now: float) -> bool:
        """It isn't written; the answer is whether it is the first one of those."""
        first = not self.unsaid
        if first:
            self.since = now
        self.unsaid[what] += 1
        return first

    def summary(self) -> str:
        """Those that weren't written, in words; empty if there are none. They are forgotten."""
        found, self.unsaid = self.unsaid, Counter()
        return ", ".join(f"{number:,} {what}" for what, number in found.most_common())

    def idle(self, now: float) -> bool:
        """Whether a new one would be the same."""
        return not self.unsaid and (not self._last or now - self._last[-1] >= 1.0)
