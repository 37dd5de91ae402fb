"""100 tasks of asyncio that share the work, for the peers that run on it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from tests.benchmarks.sample import Sample, Stopwatch, expect


async def crowd(n: int, client: Callable[[int], Coroutine[Any, Any, None]], total: Callable[[], Awaitable[object]]) -> Sample:
    """Each task is one client, which is told how many operations are its own."""
    each = max(1, n // 100)
    with Stopwatch() as watch:
        async with asyncio.TaskGroup() as group:
            for _ in range(100):
                group.create_task(client(each))
        found = await total()
    expect(found, each * 100)
    return watch.per(each * 100)
