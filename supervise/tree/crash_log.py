"""Crashes that were told lately: the same one again is told in one line with a count, not once more in full."""

from __future__ import annotations

from typing import Final

WINDOW: Final = 60.0
"""Seconds in which the same crash of one actor is told in full once."""
MOST: Final = 100
"""Crashes that are remembered; beyond that the oldest are told in full again."""


class CrashLog:
    """Those of one tree. It keeps texts; what is older than its window is forgotten when the next is told in full."""

    __slots__ = ("_told",)

    def __init__(self) -> None:
        # By mailbox and fingerprint: when it was told, and how often it came. Those that were told first stand first.
        self._told: dict[tuple[int, str], tuple[float, int]] = {}

    def note(self, mailbox: int, fingerprint: str, now: float) -> int:
        """One more; the answer is how often it came since it was told in full, this time included."""
        key = mailbox, fingerprint
        told, number = self._told.get(key, (now, 0))
        if now - told >= WINDOW:
            told, number = now, 0
        if not number:
            self._told.pop(key, None)  # the newest stands last
            self._forget(now)
        self._told[key] = told, number + 1
        return number + 1

    def _forget(self, now: float) -> None:
        """Those that would be told in full again anyhow, and the oldest, so that there is room for one more."""
        while self._told:
            oldest = next(iter(self._told))
            if len(self._told) < MOST and now - self._told[oldest][0] < WINDOW:
                return
            del self._told[oldest]
