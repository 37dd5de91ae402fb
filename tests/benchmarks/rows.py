"""The table of goals. A new row is one more `Row`: here, and in no other place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from .backend import Backend
from .row import Row, Unit, by_hand, by_queue, by_traced, supervise, traced
from .target import Target


def _compared(
    name: str,
    what: str,
    workload: str,
    size: int,
    asyncio: Target,
    trio: Target,
    *,
    measure: str = "time",
    quick: int = 0,
    beside: str = "",
) -> Row:
    """The commonest kind: the same workload, by hand and with the library, on asyncio and on trio; or beside another one."""
    targets: dict[Backend, Target] = {"asyncio": asyncio, "trio": trio}
    return Row(name, what, supervise(workload), by_hand(beside or workload), targets, size, quick or size // 10, measure)


def _alone(
    name: str,
    what: str,
    workload: str,
    size: int,
    quick: int,
    asyncio: Target,
    trio: Target,
    *,
    measure: str = "bytes",
    unit: Unit = "B",
) -> Row:
    """A figure that needs nothing beside it."""
    return Row(name, what, supervise(workload), {}, {"asyncio": asyncio, "trio": trio}, size, quick, measure, unit)


def _later(name: str, what: str, workload: str, size: int, quick: int) -> Row:
    """How much later than by hand something happens beside a busy program. A machine with other work stops for some ms."""
    targets: dict[Backend, Target] = {"asyncio": Target(1.0, slack=5), "trio": Target(1.0, slack=5)}
    return Row(name, what, supervise(workload), by_hand(workload), targets, size, quick, "late", "ms")


def _bytes(must: float, aim: float | None = None, reached: float | None = None) -> Target:
    """Memory hardly scatters."""
    return Target(must, aim, reached, slack=1.1)


ROWS: Final[tuple[Row, ...]] = (
    _compared("G1", "send, bounded 1000", "send", 200_000, Target(0.76, 0.70), Target(0.105)),
    _compared("G2", "send, unbounded", "send_unbounded", 200_000, Target(0.67, 0.60), Target(0.108)),
    _compared("G3", "call", "call", 50_000, Target(0.31, 0.25), Target(0.98, 0.72)),
    _compared("G3d", "call, plain def", "call_plain", 50_000, Target(0.22, 0.19), Target(0.13, 0.115), beside="call"),
    # Not above what it was when an actor had its task for life.
    _compared("G3s", "call, it suspended before", "call_after_wait", 50_000, Target(0.97), Target(0.95), beside="call"),
    _compared("G4", "call with a deadline", "call_deadline", 50_000, Target(0.27, 0.20, 0.36), Target(1.0)),
    _compared("G5", "call, handler suspends once", "call_suspended", 50_000, Target(1.0, 0.95), Target(0.92, 0.85)),
    _compared("G6", "call, 100 callers", "callers", 50_000, Target(0.86, 0.78), Target(0.41)),
    _compared("G7", "send, 100 senders", "fan_in", 200_000, Target(0.83, 0.75), Target(0.12)),
    _compared("G8", "hop round a ring of 1000", "ring", 100_000, Target(0.38, 0.30, 0.47), Target(0.19, 0.15)),
    _alone("G9", "bytes per idle actor, 10k", "idle", 10_000, 5_000, _bytes(950, 620), _bytes(950, 620)),
    _alone("G9b", "bytes per idle actor, 100k", "idle", 100_000, 10_000, _bytes(950, 620), _bytes(950, 620)),
    _alone("G9s", "the same, suspended before, 10k", "idle_after_wait", 10_000, 5_000, _bytes(4180), _bytes(5340)),
    _compared("G10", "spawn, 10k", "idle", 10_000, Target(1.4, 0.80, 1.9), Target(0.75, 0.50), measure="spawn", quick=5_000),
    _compared("G11", "crash to fresh reply", "crash", 10_000, Target(3.4, 2.4), Target(1.95, 1.4), quick=2_000),
    # Ten records a second are written; each crash was two, and 11 times what is by hand.
    _compared("G11c", "the same, logged", "crash_logged", 10_000, Target(8.0), Target(3.8), quick=2_000, beside="crash"),
    _alone("G11b", "crash 10,000 : crash 100", "crash", 10_000, 2_000, Target(1.1), Target(1.1), measure="growth", unit="x"),
    Row("G12", "send, bounded 1000", supervise("send"), by_hand("send"), {"uvloop": Target(0.76)}, 200_000, 20_000),
    Row("G12b", "call", supervise("call"), by_hand("call"), {"uvloop": Target(0.42, reached=0.60)}, 50_000, 5_000),
    Row(
        "G13",
        "send, API without SDK : tracing=False",
        traced("api_only"),
        by_traced("off"),
        {"asyncio": Target(1.06), "trio": Target(1.06)},
        200_000,
        20_000,
    ),
    Row(
        "G13b",
        "send, metrics without durations : none",
        traced("counted"),
        by_traced("off"),
        {"asyncio": Target(1.06), "trio": Target(1.06)},
        200_000,
        20_000,
    ),
    Row(
        "G14",
        "added by spans not sampled : by hand",
        traced("unsampled"),
        by_traced("unsampled_by_hand"),
        {"asyncio": Target(0.58, 0.45), "trio": Target(0.60, 0.45)},
        20_000,
        2_000,
        "added",
    ),
    Row(
        "G14b",
        "added by spans sampled : by hand",
        traced("sampled"),
        by_traced("sampled_by_hand"),
        {"asyncio": Target(0.92, 0.80), "trio": Target(0.92, 0.80)},
        20_000,
        2_000,
        "added",
    ),
    Row(
        "G14c",
        "added by durations : by hand",
        traced("durations"),
        by_traced("durations_by_hand"),
        {"asyncio": Target(1.4, 1.2), "trio": Target(1.4, 1.2)},
        20_000,
        2_000,
        "added",
    ),
    Row(
        "G15",
        "1 ms timer behind 100k messages",
        supervise("behind_backlog"),
        by_queue("behind_backlog"),
        {"asyncio": Target(0.005), "trio": Target(0.005)},
        100_000,
        100_000,
        "late",
    ),
    _alone(
        "G15b", "the same, ms late", "behind_backlog", 100_000, 100_000, Target(0.3), Target(0.3), measure="late", unit="ms"
    ),
    Row(
        "G16",
        "full collection, 100k idle actors",
        supervise("idle"),
        by_queue("idle"),
        # It walks memory at random, so one pair is half as much again as another one, by how that lies in the caches.
        {"asyncio": Target(0.55, reached=0.67), "trio": Target(0.55, reached=0.67)},
        100_000,
        10_000,
        "collect",
    ),
    # What a handler costs that says in a context variable for whom it works, and whose next message is to begin without it.
    _compared("G18", "send, handler sets a variable", "send_for_tenant", 100_000, Target(3.0), Target(0.6)),
    *(
        _later(name, f"1 ms ticker beside {what}", f"ticker_beside_{workload}", 500, 200)
        for name, what, workload in (
            ("F1", "two pollers", "pollers"),
            ("F2", "a flood", "flood"),
            ("F3", "a loop of starts", "starts"),
        )
    ),
    _later("F4", "a poller, after its deadline", "poller_at_its_deadline", 10, 3),
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
    return (row for row in ROWS if name.upper() in (row.id.upper(), row.id.rstrip("bc").upper()))
