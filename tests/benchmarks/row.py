"""One row of the table of goals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from .backend import Backend
from .contestant import CHANNEL, QUEUE, SUPERVISE, TRACED
from .target import Target

Unit: TypeAlias = Literal["x", "B", "ms"]


@dataclass(frozen=True, slots=True)
class Side:
    """Who runs which workload."""

    contestant: str
    workload: str


@dataclass(frozen=True, slots=True)
class Row:
    """A figure of the subject, in ratios to the baseline's where there is one; of ms it is the difference."""

    id: str
    what: str
    subject: Side
    baseline: Mapping[Backend, Side] = field(repr=False)
    targets: Mapping[Backend, Target] = field(repr=False)
    """On which event loops it is run, and with what aim."""
    size: int
    quick: int
    """The size for `--quick` and `--gate`."""
    measure: str = "time"
    unit: Unit = "x"


_LOOPS: Final[Mapping[Backend, str]] = {"asyncio": QUEUE, "uvloop": QUEUE, "trio": CHANNEL}


def by_hand(workload: str) -> dict[Backend, Side]:
    """The hand-written loop of the same event loop: Q on asyncio and uvloop, C on trio."""
    return {backend: Side(contestant, workload) for backend, contestant in _LOOPS.items()}


def by_queue(workload: str) -> dict[Backend, Side]:
    """Q, whatever the subject runs on."""
    return dict.fromkeys(_LOOPS, Side(QUEUE, workload))


def supervise(workload: str) -> Side:
    return Side(SUPERVISE, workload)


def traced(workload: str) -> Side:
    return Side(TRACED, workload)


def by_traced(workload: str) -> dict[Backend, Side]:
    """The library itself, traced another way, or not at all."""
    return dict.fromkeys(_LOOPS, traced(workload))
