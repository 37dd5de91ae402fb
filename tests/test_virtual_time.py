"""The clock that jumps, and what waits for rest.

Tested:
- a sleep takes no real time, and exactly its virtual time
- at rest means that all has run which can, with no time passed, timers that are due included
- a deadlock raises where nothing can run any more
"""

from __future__ import annotations

import math

import anyio
import anyio.lowlevel
import pytest

from . import virtual_time

BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])


@BACKENDS
def test_a_sleep_jumps(backend: str) -> None:
    async def sleep() -> float:
        began = anyio.current_time()
        await anyio.sleep(10_000)
        return anyio.current_time() - began

    assert virtual_time.run(backend, sleep) == pytest.approx(10_000)


@BACKENDS
def test_at_rest_all_has_run_that_can_and_no_time_has_passed(backend: str) -> None:
    async def busy(turns: int, done: list[float]) -> None:
        for _ in range(turns):
            await anyio.lowlevel.checkpoint()
        await anyio.lowlevel.checkpoint()
        done.append(anyio.current_time())

    async def late(done: list[float]) -> None:
        await anyio.sleep(1)
        done.append(anyio.current_time())

    async def look() -> tuple[int, float, int]:
        began, done, seen, passed = anyio.current_time(), list[float](), 0, math.inf
        async with anyio.create_task_group() as group:
            for turns in (0, 1, 1000):
                group.start_soon(busy, turns, done)
            group.start_soon(late, done)
            await virtual_time.at_rest()
            seen, passed = len(done), anyio.current_time() - began
        return seen, passed, len(done)

    assert virtual_time.run(backend, look) == (3, 0.0, 4)


def test_a_deadlock_raises() -> None:
    # Not on trio: after an error in its own loop trio leaves all tasks as they are, to the collector's displeasure.
    with pytest.raises(RuntimeError, match="deadlock"):
        virtual_time.run("asyncio", anyio.sleep_forever)
