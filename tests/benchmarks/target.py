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

    def __post_init__(self) -> None:
        object.__setattr__(self, "floor", max(self.floor, self.goal))

    def verdict(self, value: float) -> Verdict:
        return "goal" if value <= self.goal else "floor" if value <= self.floor else "MISS"

    def regressed(self, value: float) -> bool:
        """So far off that noise can't explain it."""
        return value > 1.5 * self.floor
