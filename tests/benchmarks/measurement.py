"""What came out for one row on one event loop: the median of ratios that were each taken seconds apart."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .backend import Backend
from .contestant import CONTESTANTS
from .row import Row, Side
from .sample import Clock, figure
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
    def verdict(self) -> Verdict:
        return self.target.verdict(self.value)

    @property
    def regressed(self) -> bool:
        return self.target.regressed(self.value)


def measure(row: Row, backend: Backend, sampler: Sampler, repeats: Sequence[int], *, quick: bool) -> Measurement:
    """One value for each repeat; A B A B, so that both sides of a pair meet the same machine."""
    size, baseline = row.quick if quick else row.size, row.baseline.get(backend)
    return Measurement(row, backend, tuple(values(sampler, row.subject, baseline, size, backend, repeats, measure=row.measure)))


def values(
    sampler: Sampler,
    subject: Side,
    baseline: Side | None,
    size: int,
    backend: Backend,
    repeats: Sequence[int],
    *,
    measure: str,
    clock: Clock | None = None,
) -> Iterator[float]:
    """The subject's figures, or their ratios to the baseline's. By the subject's clock, on both sides."""
    clock = clock or CONTESTANTS[subject.contestant].clock
    for repeat in repeats:
        base = 1.0 if baseline is None else figure(sampler.take(baseline, size, backend, repeat), measure, clock)
        yield figure(sampler.take(subject, size, backend, repeat), measure, clock) / base
