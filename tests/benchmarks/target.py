"""What a row has to reach: the must, and the aim beyond it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Verdict: TypeAlias = Literal["aim", "must", "MISS"]


@dataclass(frozen=True, slots=True)
class Target:
    """Lower is better. Above the must something is wrong."""

    must: float
    aim: float | None = None
    """What is within reach beyond it, where that is known."""
    reached: float | None = None
    """What was reached instead, where that is so far above the must that a regression couldn't be told from it."""
    slack: float = 1.5
    """How many times as much is no noise any more."""

    def __post_init__(self) -> None:
        if self.aim is not None and self.aim > self.must:
            raise ValueError(f"the aim {self.aim:g} is above the must {self.must:g}: lower is better")

    def verdict(self, value: float) -> Verdict:
        if value > self.must:
            return "MISS"
        return "aim" if self.aim is not None and value <= self.aim else "must"

    @property
    def limit(self) -> float:
        """Above it, noise is no explanation any more."""
        return self.slack * max(self.must, self.reached or 0)

    def regressed(self, value: float) -> bool:
        return value > self.limit
