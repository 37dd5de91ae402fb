"""How near supervisors are to giving up: the restarts that count against each limit, over those that it allows."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

FEW: Final = 256
"""Windows that may be kept before those that have run empty are looked for."""


class Windows:
    """One for each limit under which something was restarted: of a supervisor, or of a child that has its own."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._windows: dict[tuple[int, str], _Window] = {}

    def add(self, tree: int, path: str, allowed: int, per: float) -> None:
        """A restart now, in the window of that path; `per`: its seconds."""
        key, now = (tree, path), self._clock()
        window = self._windows.get(key)
        if window is None:
            if len(self._windows) % FEW == FEW - 1:
                for old in [k for k, w in self._windows.items() if not w.used(now)]:
                    del self._windows[old]
            self._windows[key] = window = _Window(allowed, per)
        window.times.append(now)

    def forget(self, tree: int) -> None:
        """That tree has ended."""
        for key in [key for key in self._windows if key[0] == tree]:
            del self._windows[key]

    def fullest(self) -> float:
        """Of whoever is nearest to giving up: 1 is the limit."""
        now = self._clock()
        return max((w.used(now) / w.allowed if w.allowed else 1.0 for w in [*self._windows.values()]), default=0.0)


class _Window:
    __slots__ = ("allowed", "per", "times")

    def __init__(self, allowed: int, per: float) -> None:
        self.allowed = allowed
        self.per = per
        self.times: deque[float] = deque(maxlen=max(1, allowed))

    def used(self, now: float) -> int:
        return sum(at >= now - self.per for at in [*self.times])
