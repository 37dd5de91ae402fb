"""The clock that jumps, and what waits for rest.

Tested:
- a sleep takes no real time, and exactly its virtual time
- at rest means that all has run which can, with no time passed, timers that are due included
- all who wait for rest are woken, and one that is cancelled is no obstacle
- a deadlock raises where nothing can run any more
- years pass, too: a float's precision then is less than the loop's resolution
- what has no virtual time is refused
"""

from __future__ import annotations

import math

import anyio
import anyio.lowlevel
import pytest

from supervise.testing import virtual_time

YEAR = 365 * 86400.0
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


@BACKENDS
def test_all_who_wait_for_rest_are_woken(backend: str) -> None:
    async def wait(woken: list[float]) -> None:
        await virtual_time.at_rest()
        woken.append(anyio.current_time())

    async def look() -> tuple[list[float], float]:
        woken, began = list[float](), anyio.current_time()
        async with anyio.create_task_group() as group:
            scope = anyio.CancelScope()

            async def cancelled() -> None:
                with scope:
                    await virtual_time.at_rest()

            for waiter in (cancelled, lambda: wait(woken), lambda: wait(woken)):
                group.start_soon(waiter)
            await anyio.lowlevel.checkpoint()
            scope.cancel()
            await anyio.sleep(1)
        return [at - began for at in woken], began

    assert virtual_time.run(backend, look)[0] == [0, 0]


@BACKENDS
def test_years_pass(backend: str) -> None:
    async def wait(order: list[str]) -> list[float]:
        began = anyio.current_time()
        await anyio.sleep(2 * YEAR)
        year = anyio.current_time() - began
        async with anyio.create_task_group() as group:
            for seconds in (2, 1, 0, 1e-12):
                group.start_soon(_sleep, seconds, order)
        with anyio.move_on_after(5):
            await anyio.sleep_forever()
        return [year, anyio.current_time() - began - year]

    order: list[str] = []
    assert virtual_time.run(backend, wait, order) == pytest.approx([2 * YEAR, 7], abs=1e-6)
    assert order[2:] == ["1", "2"]


async def _sleep(seconds: float, order: list[str]) -> None:
    await anyio.sleep(seconds)
    order.append(f"{seconds:g}")


@BACKENDS
def test_a_deadlock_raises(backend: str) -> None:
    async def wait() -> None:
        await anyio.Event().wait()

    for waits in (wait, anyio.sleep_forever):
        with pytest.raises(RuntimeError, match="deadlock"):
            virtual_time.run(backend, waits)


def test_an_asyncio_loop_without_any_timer_says_so_by_itself() -> None:
    async def wait() -> None:
        await anyio.Event().wait()

    _, options = virtual_time.backend("asyncio")
    with pytest.raises(RuntimeError, match="deadlock"):
        anyio.run(wait, backend="asyncio", backend_options=options)


def test_what_has_no_virtual_time_is_refused() -> None:
    with pytest.raises(ValueError, match="'curio' has no virtual time"):
        virtual_time.backend("curio")
    with pytest.raises(RuntimeError, match="virtual_backend"):
        anyio.run(virtual_time.at_rest, backend="asyncio")
