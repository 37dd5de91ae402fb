"""What one process measured, and the few instruments that it measures with."""

from __future__ import annotations

import gc
import itertools
import os
import resource
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self, TypeAlias

Sample: TypeAlias = dict[str, float]
"""Figures by name. Times come as `time.cpu` and `time.wall`, in µs per operation."""
Clock: TypeAlias = Literal["cpu", "wall"]
Workload: TypeAlias = Callable[[int], Sample] | Callable[[int], Awaitable[Sample]]

_STATM: Final = Path("/proc/self/statm")


class Stopwatch:
    """Both clocks over one stretch of work: threads and processes are compared by the wall clock, all else by CPU time."""

    def __init__(self) -> None:
        self.cpu = 0.0
        self.wall = 0.0

    def __enter__(self) -> Self:
        self.cpu, self.wall = time.process_time(), time.perf_counter()
        return self

    def __exit__(self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.cpu, self.wall = time.process_time() - self.cpu, time.perf_counter() - self.wall

    def per(self, operations: int, name: str = "time") -> Sample:
        return {f"{name}.cpu": self.cpu / operations * 1e6, f"{name}.wall": self.wall / operations * 1e6}


def figure(sample: Sample, measure: str, clock: Clock) -> float:
    """One figure of a sample: by the given clock, if it is a time."""
    return sample[measure] if measure in sample else sample[f"{measure}.{clock}"]


def resident() -> float:
    """Bytes of this process that are in memory. Where there is no /proc, the peak stands in for it."""
    if _STATM.exists():
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def collection() -> Sample:
    """The time of a full collection, in µs; the median of three, after one that takes the garbage of before."""
    gc.collect()
    taken: list[Stopwatch] = []
    for _ in range(3):
        with Stopwatch() as watch:
            gc.collect()
        taken.append(watch)
    return {
        "collect.cpu": statistics.median(w.cpu for w in taken) * 1e6,
        "collect.wall": statistics.median(w.wall for w in taken) * 1e6,
    }


def crashes(instants: Sequence[float]) -> Sample:
    """What restarts cost as they add up, from the instants before the first crash and after each answer.

    `growth` is late ones : early ones (of 10,000: the last thousand, and the thousand from the 100th on).
    """
    spent = [after - before for before, after in itertools.pairwise(instants)]
    total, window = len(spent), max(1, len(spent) // 10)
    early = statistics.median(spent[total // 100 : total // 100 + window])
    figures: Sample = {"growth": statistics.median(spent[-window:]) / early}
    for number in (100, 1_000, 10_000):
        if total >= number:
            figures[f"at {number}.wall"] = statistics.median(spent[max(0, number - 50) : number + 50]) * 1e6
    return figures


def lateness(seen: Sequence[float]) -> Sample:
    """How many ms after its time a timer of 1 ms fired, as the median of several; it can't be early."""
    return {"late": max(statistics.median(seen) * 1e3 - 1, 1e-6)}


def expect(found: object, wanted: object) -> None:
    """A contestant that skips work would win."""
    if found != wanted:
        raise AssertionError(f"the workload ended with {found!r} instead of {wanted!r}")
