"""Time and turns of a simulated world: one thing happens after the other, and waiting costs nothing."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from typing import Final, TypeAlias

Job: TypeAlias = Callable[[], None]

PATIENCE: Final = 20_000
"""Jobs after which a world that doesn't come to rest is given up."""


class World:
    """What is to happen now (in order), and what at a later instant."""

    def __init__(self) -> None:
        self.now = 0.0
        self._ready: deque[Job] = deque()
        self._timers: list[tuple[float, int, bool, Job]] = []
        self._sequence = 0
        self._awaited = 0

    def soon(self, job: Job) -> None:
        """After all that is ready already. A fact is told like this, so that it never comes in the midst of obeying."""
        self._ready.append(job)

    def after(self, seconds: float, job: Job) -> None:
        """Something under way that takes time: the world isn't at rest before."""
        self._awaited += 1
        self._set(self.now + seconds, True, job)

    def alarm(self, at: float, job: Job) -> None:
        """Something that may come, if time gets there: the world rests meanwhile."""
        self._set(at, False, job)

    def settle(self) -> None:
        """Go on until nothing is under way."""
        for _ in range(PATIENCE):
            if self._ready:
                self._ready.popleft()()
            elif self._awaited:
                self._next()
            else:
                return
        raise RuntimeError(f"not at rest after {PATIENCE} turns")

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        until = self.now + seconds
        while self._timers and self._timers[0][0] <= until:
            self._next()
            self.settle()
        self.now = max(self.now, until)

    def _set(self, at: float, awaited: bool, job: Job) -> None:
        self._sequence += 1
        heapq.heappush(self._timers, (at, self._sequence, awaited, job))

    def _next(self) -> None:
        at, _, awaited, job = heapq.heappop(self._timers)
        self._awaited -= awaited
        self.now = max(self.now, at)
        job()
