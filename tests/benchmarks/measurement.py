"""What came out for one row on one event loop: the median of ratios that were each taken seconds apart."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from .backend import Backend
from .contestant import CONTESTANTS
from .interval import interval
from .row import Row
from .sample import figure
from .sampler import Sampler
from .target import Target, Verdict


@dataclass(frozen=True, slots=True)
class Measurement:
    row: Row
    backend: Backend
    values: tuple[float, ...]

    @property
    def value(self) -> float:
        return statistics.median(self.values)

    @property
    def target(self) -> Target:
        return self.row.targets[self.backend]

    @property
    def interval(self) -> tuple[float, float]:
        """Of the median; of few values it is all of them."""
        return interval(self.values)

    @property
    def verdict(self) -> Verdict:
        """A must is missed only if the whole interval lies above it: one pair scatters by a fifth."""
        low, _ = self.interval
        return self.target.verdict(low if low > self.target.must else min(self.value, self.target.must))

    @property
    def regressed(self) -> bool:
        return self.target.regressed(self.value)


def pair(wanted: Iterable[tuple[Row, Backend]], sampler: Sampler, *, quick: bool) -> None:
    """Have baselines taken beside their subjects, also where a row without a baseline comes first."""
    for row, backend in wanted:
        if backend in row.baseline:
            sampler.pair(row.subject, row.baseline[backend], row.quick if quick else row.size, backend)


def settled(one: Measurement, repeats: int) -> bool:
    """Whether the rest of so many values can't make its median regress any more."""
    return sum(not one.target.regressed(value) for value in one.values) > repeats // 2


def measure(row: Row, backend: Backend, sampler: Sampler, repeats: Iterable[int], *, quick: bool) -> Measurement:
    """One value for each repeat; A B A B, so that both sides of a pair meet the same machine."""
    size = row.quick if quick else row.size
    baseline, clock = row.baseline.get(backend), CONTESTANTS[row.subject.contestant].clock
    values: list[float] = []
    for repeat in repeats:
        base = None if baseline is None else figure(sampler.take(baseline, size, backend, repeat), row.measure, clock)
        value = figure(sampler.take(row.subject, size, backend, repeat), row.measure, clock)
        values.append(value if base is None else value - base if row.unit == "ms" else value / base)
    return Measurement(row, backend, tuple(values))
