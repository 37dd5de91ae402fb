"""What something costs over a number that grows, and whether that stays flat."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from .backend import Backend
from .contestant import GROWTH
from .row import Side
from .sample import figure
from .sampler import Sampler


@dataclass(frozen=True, slots=True)
class Curve:
    """A cost in µs per `per`; flat per child means linear in all."""

    what: str
    over: str
    per: str
    workload: str
    sizes: tuple[int, ...]
    measure: str = "time"
    at: tuple[int, ...] = ()
    """Where one sample holds all points: their numbers, put into `measure`."""

    @property
    def numbers(self) -> tuple[int, ...]:
        """Those that it is measured at."""
        return self.at or self.sizes

    def points(self, backend: Backend, sampler: Sampler, repeats: Sequence[int], *, quick: bool) -> Points:
        """The medians; `quick` leaves away the largest number where each is a sample of its own."""
        side = Side(GROWTH, self.workload)

        def at(size: int, measure: str) -> float:
            return statistics.median(figure(sampler.take(side, size, backend, repeat), measure, "cpu") for repeat in repeats)

        if self.at:
            size = self.at[-2] if quick else self.sizes[0]
            return Points(self, {number: at(size, self.measure.format(number)) for number in self.at if number <= size})
        return Points(self, {size: at(size, self.measure) for size in (self.sizes[:-1] if quick else self.sizes)})


@dataclass(frozen=True, slots=True)
class Points:
    curve: Curve
    costs: Mapping[int, float]

    @property
    def growth(self) -> float:
        """The largest number's cost in ratio to the cheapest one's: 1 is flat. Start-up costs weigh on the smallest numbers."""
        *_, last = self.costs.values()
        return last / min(self.costs.values())


CURVES: Final[tuple[Curve, ...]] = (
    Curve("call", "actors", "call", "actors", (1, 10, 100, 1_000, 10_000, 100_000)),
    Curve("first call", "actors", "call", "actors", (1, 10, 100, 1_000, 10_000, 100_000), "first"),
    Curve("message", "queued messages", "message", "queued", (1, 100, 1_000, 10_000, 100_000, 1_000_000)),
    Curve("restart", "crashes before this one", "crash", "crash", (10_000,), "at {}.wall", (100, 1_000, 10_000)),
    Curve("start a tree", "children", "child", "tree", (10, 1_000, 100_000), "start"),
    Curve("stop a tree", "children", "child", "tree", (10, 1_000, 100_000), "stop"),
    Curve("look up a path", "children", "look-up", "lookup", (10, 1_000, 100_000)),
)
