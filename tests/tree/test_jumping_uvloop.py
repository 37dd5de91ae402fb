"""uvloop in virtual time: what the plays are run with on that loop.

Tested: timers and what a deadline cancels come in order and at their exact time, hours pass in no time, rest is before any
time passes, a deadlock is told, and plays keep their promises on it.
"""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from supervise.testing import virtual_time
from tests.fresh_process import in_a_fresh_process

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("uvloop") is None, reason="uvloop isn't installed: it has no wheel for this Python or platform"
)


def run(function: Callable[[], Awaitable[Any]]) -> Any:
    from .jumping_uvloop import JumpingUvloop

    return anyio.run(function, backend_options={"loop_factory": JumpingUvloop})


def test_all_comes_in_order_and_at_its_time() -> None:
    came: list[tuple[str, float]] = []

    async def at(name: str, seconds: float) -> None:
        await anyio.sleep(seconds)
        came.append((name, anyio.current_time()))

    async def main() -> None:
        with anyio.move_on_after(3600):
            async with anyio.create_task_group() as group:
                group.start_soon(at, "late", 7200)
                group.start_soon(at, "second", 1800)
                group.start_soon(at, "first", 0.25)
        came.append(("cut", anyio.current_time()))

    run(main)
    assert came == [("first", 0.25), ("second", 1800.0), ("cut", 3600.0)]


def test_it_is_at_rest_before_any_time_passes() -> None:
    async def main() -> tuple[bool, float]:
        done = False

        async def turns() -> None:
            nonlocal done
            for _ in range(50):
                await asyncio.sleep(0)
            done = True
            await asyncio.sleep(1)

        beside = asyncio.create_task(turns())
        await virtual_time.at_rest()
        seen = done, anyio.current_time()
        await beside
        return seen

    assert run(main) == (True, 0.0)


def test_a_deadlock_is_told_and_does_not_hang() -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="stopped before"):
        run(main)


def test_plays_keep_their_promises_on_it() -> None:
    plays = ["--loop", "uvloop", "--examples", "40", "--least", "0", "--seed", "1"]
    done = in_a_fresh_process("-m", "tests.tree.plays", *plays)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "40 plays on asyncio, none broke a promise" in done.stdout
