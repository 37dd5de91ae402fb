"""Who has a timer beside a program that is always busy: how late it fires, and whether the program can be cancelled."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import anyio

from tests.benchmarks.sample import Sample

TICK: Final = 0.001
DEADLINE: Final = 0.05


async def ticker_beside(n: int, *programs: Callable[[], Awaitable[Any]]) -> Sample:
    """So many ticks of 1 ms beside programs that never end: how many ms late, at the 99th percentile."""
    seen: list[float] = []
    async with anyio.create_task_group() as group:
        for program in programs:
            group.start_soon(for_ever, program)
        for _ in range(n):
            start = time.perf_counter()
            await anyio.sleep(TICK)
            seen.append(time.perf_counter() - start - TICK)
        group.cancel_scope.cancel()
    return {"late": sorted(seen)[int(len(seen) * 0.99)] * 1e3}


async def for_ever(step: Callable[[], Awaitable[Any]]) -> None:
    while True:
        await step()


async def cancelled_at_its_deadline(n: int, step: Callable[[], Awaitable[Any]]) -> Sample:
    """How many ms after its deadline a program has ended that never ends, the latest of so many."""
    seen: list[float] = []
    for _ in range(n):
        start = time.perf_counter()
        with anyio.move_on_after(DEADLINE):
            await for_ever(step)
        seen.append(time.perf_counter() - start - DEADLINE)
    return {"late": max(seen) * 1e3}
