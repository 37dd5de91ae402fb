"""What a row has to reach: the goal, and the floor below which something is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Verdict: TypeAlias = Literal["goal", "floor", "MISS"]


@dataclass(frozen=True, slots=True)
class Target:
    """Lower is better. The floor is what a parked task per actor reaches; one that is stricter than the goal doesn't count."""

    floor: float
    goal: float
    reached: float | None = None
    """What was reached instead, where that is so far above the floor that a regression couldn't be told from it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "floor", max(self.floor, self.goal))

    def verdict(self, value: float) -> Verdict:
        return "goal" if value <= self.goal else "floor" if value <= self.floor else "MISS"

    @property
    def limit(self) -> float:
        """Above it, noise is no explanation any more."""
        return 1.5 * max(self.floor, self.reached or 0)

    def regressed(self, value: float) -> bool:
        return value > self.limit
