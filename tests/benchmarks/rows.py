"""The table of goals. A new row is one more `Row`: here, and in no other place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from .backend import Backend
from .row import Row, by_hand, by_queue, by_traced, supervise, traced
from .target import Target


def _compared(
    name: str, what: str, workload: str, size: int, asyncio: Target, trio: Target, *, measure: str = "time", quick: int = 0
) -> Row:
    """The commonest kind: the same workload, by hand and with the library, on asyncio and on trio."""
    targets: dict[Backend, Target] = {"asyncio": asyncio, "trio": trio}
    return Row(name, what, supervise(workload), by_hand(workload), targets, size, quick or size // 10, measure)


ROWS: Final[tuple[Row, ...]] = (
    _compared("G1", "send, bounded 1000", "send", 200_000, Target(0.50, 0.48, 0.80), Target(0.06, 0.055, 0.11)),
    _compared("G2", "send, unbounded", "send_unbounded", 200_000, Target(0.60, 0.55, 0.90), Target(0.10, 0.095)),
    _compared("G3", "call", "call", 50_000, Target(0.88, 0.25), Target(0.72, 0.13)),
    _compared("G4", "call with a deadline", "call_deadline", 50_000, Target(0.70, 0.15), Target(0.78, 0.06, 0.98)),
    _compared("G5", "call, handler suspends once", "call_suspended", 50_000, Target(0.95, 1.00), Target(0.75, 0.68)),
    _compared("G6", "call, 100 callers", "callers", 50_000, Target(0.78, 0.68), Target(0.31, 0.21, 0.42)),
    _compared("G7", "send, 100 senders", "fan_in", 200_000, Target(0.60, 0.60, 1.0), Target(0.08, 0.08, 0.15)),
    _compared("G8", "hop round a ring of 1000", "ring", 100_000, Target(0.85, 0.30), Target(0.72, 0.15)),
    Row(
        "G9",
        "bytes per idle actor, 10k",
        supervise("idle"),
        {},
        {"asyncio": Target(2000, 450), "trio": Target(3300, 450)},
        10_000,
        5_000,
        "bytes",
        "B",
    ),
    Row(
        "G9b",
        "bytes per idle actor, 100k",
        supervise("idle"),
        {},
        {"asyncio": Target(2000, 450), "trio": Target(3300, 450)},
        100_000,
        10_000,
        "bytes",
        "B",
    ),
    _compared(
        "G10", "spawn, 10k", "idle", 10_000, Target(0.75, 0.17, 3.0), Target(0.52, 0.08, 2.4), measure="spawn", quick=5_000
    ),
    _compared("G11", "crash to fresh reply", "crash", 10_000, Target(0.92, 1.05, 5.0), Target(0.58, 0.58, 2.7), quick=2_000),
    Row(
        "G11b",
        "crash 10,000 : crash 100",
        supervise("crash"),
        {},
        {"asyncio": Target(1.1, 1.1), "trio": Target(1.1, 1.1)},
        10_000,
        2_000,
        "growth",
    ),
    Row("G12", "send, bounded 1000", supervise("send"), by_hand("send"), {"uvloop": Target(0.45, 0.45, 0.75)}, 200_000, 20_000),
    Row("G12b", "call", supervise("call"), by_hand("call"), {"uvloop": Target(0.68, 0.38, 0.87)}, 50_000, 5_000),
    Row(
        "G13",
        "send, API without SDK : tracing=False",
        traced("api_only"),
        by_traced("off"),
        {"asyncio": Target(1.06, 1.06), "trio": Target(1.06, 1.06)},
        200_000,
        20_000,
    ),
    Row(
        "G14",
        "added by spans not sampled : by hand",
        traced("unsampled"),
        by_traced("unsampled_by_hand"),
        {"asyncio": Target(0.55, 0.55), "trio": Target(0.55, 0.55)},
        20_000,
        2_000,
        "added",
    ),
    Row(
        "G14b",
        "added by spans sampled : by hand",
        traced("sampled"),
        by_traced("sampled_by_hand"),
        {"asyncio": Target(0.90, 0.90), "trio": Target(0.90, 0.90)},
        20_000,
        2_000,
        "added",
    ),
    Row(
        "G15",
        "1 ms timer behind 100k messages",
        supervise("behind_backlog"),
        by_queue("behind_backlog"),
        {"asyncio": Target(0.005, 0.005), "trio": Target(0.005, 0.005)},
        100_000,
        100_000,
        "late",
    ),
    Row(
        "G15b",
        "the same, ms late",
        supervise("behind_backlog"),
        {},
        {"asyncio": Target(0.3, 0.3), "trio": Target(0.3, 0.3)},
        100_000,
        100_000,
        "late",
        "ms",
    ),
    Row(
        "G16",
        "full collection, 100k idle actors",
        supervise("idle"),
        by_queue("idle"),
        # It walks memory at random, so one pair is anything from 1.8 to 4.8 by how that lies in the caches.
        {"asyncio": Target(0.70, 0.12, 1.9), "trio": Target(0.70, 0.12, 3.0)},
        100_000,
        10_000,
        "collect",
    ),
    _compared("G17", "item of a streamed reply", "items", 200_000, Target(0.95, 0.85), Target(0.22, 0.20)),
)


class UnknownRow(Exception):
    """No row has this name."""


def chosen(names: Sequence[str]) -> tuple[Row, ...]:
    """The rows under these names, in the table's order; `G9` is all of G9, G9b, …; no name is all rows."""
    for name in names:
        if not any(True for _ in _under(name)):
            raise UnknownRow(f"there is no row {name!r}; rows are {', '.join(row.id for row in ROWS)}")
    wanted = {row.id for name in names for row in _under(name)}
    return tuple(row for row in ROWS if not names or row.id in wanted)


def _under(name: str) -> Iterator[Row]:
    return (row for row in ROWS if name.upper() in (row.id.upper(), row.id.rstrip("bcd").upper()))
