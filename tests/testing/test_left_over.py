"""The check that nothing is left over finds what a test leaks on purpose, and the fixture applies it to every test.

Tested:
- each kind of leak is named: a task, a timer, a nursery, an exception that nobody retrieved, a task that was collected
- a test that leaks nothing passes; one that waits for ever fails
- the autouse fixture turns each leak into an error, a thread, a stream and a coroutine included
- this suite itself keeps nothing of a test that is over
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any
from weakref import WeakSet

import anyio
import anyio.lowlevel
import pytest

from supervise.testing import left_over, virtual_time

EARLIER: WeakSet[Any] = WeakSet()
ROOT = Path(__file__).resolve().parents[2]

LEAKS = """
import asyncio, threading
import anyio, pytest, trio
from supervise.testing import left_over
from tests.conftest import anyio_backend  # anyio's own plugin has one too, and comes later than -p

left_over.GRACE = 0.1  # seconds for threads that were told to end; that of test_thread wasn't
kept = []

async def forever():
    await anyio.sleep_forever()

@pytest.mark.anyio
async def test_task(anyio_backend_name):
    if anyio_backend_name == "trio":
        trio.lowlevel.spawn_system_task(forever)
    else:
        kept.append(asyncio.create_task(forever()))

@pytest.mark.anyio
async def test_timer(anyio_backend_name):
    if anyio_backend_name == "trio":
        pytest.skip("trio has no timers but those of tasks")
    asyncio.get_running_loop().call_later(100, print)

@pytest.mark.anyio
async def test_unretrieved(anyio_backend_name):
    if anyio_backend_name == "trio":
        pytest.skip("trio has no futures")
    asyncio.get_running_loop().create_future().set_exception(ValueError("nobody asked"))

@pytest.mark.anyio
async def test_stream():
    anyio.create_memory_object_stream(1)

@pytest.mark.anyio
async def test_coroutine():
    forever()

release = threading.Event()

@pytest.mark.anyio
async def test_thread():
    threading.Thread(target=release.wait).start()

def test_hang_guard_release():
    release.set()

@pytest.mark.anyio
async def test_hang():
    await anyio.sleep_forever()

@pytest.mark.anyio
async def test_clean():
    await anyio.sleep(3600)
"""


async def pause() -> None:
    await anyio.Event().wait()


@pytest.mark.anyio
async def test_a_test_that_leaves_nothing_is_clean() -> None:
    watch = left_over.watch()
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.sleep, 5)
    assert watch.left() == []


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_a_task_that_still_runs_is_found(anyio_backend: Any) -> None:
    watch = left_over.watch()
    task = asyncio.create_task(pause(), name="forgotten")
    await anyio.lowlevel.checkpoint()
    (left,) = watch.left()
    assert "forgotten" in left
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_a_timer_is_found_unless_it_was_cancelled(anyio_backend: Any) -> None:
    watch = left_over.watch()
    loop = asyncio.get_running_loop()
    loop.call_later(50, print).cancel()
    timer = loop.call_later(100, print)
    (left,) = watch.left()
    assert left.startswith("timer ")
    timer.cancel()


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_an_exception_that_nobody_retrieved_is_found(anyio_backend: Any) -> None:
    watch = left_over.watch()
    asyncio.get_running_loop().create_future().set_exception(ValueError("nobody asked"))
    (left,) = watch.left()
    assert "nobody asked" in left


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["trio"], indirect=True)
async def test_an_open_nursery_is_found_with_its_tasks_and_their_deadlines(anyio_backend: Any) -> None:
    import trio

    watch = left_over.watch()
    manager = trio.open_nursery()
    nursery = await manager.__aenter__()
    nursery.start_soon(anyio.sleep, 100)
    await virtual_time.at_rest()
    left = watch.left()
    assert left[0] == "1 tasks"
    assert left[1].startswith("open nursery")
    assert left[2].startswith("a deadline in ")
    nursery.cancel_scope.cancel()
    await manager.__aexit__(None, None, None)


def test_the_fixture_makes_each_leak_an_error(tmp_path: Path) -> None:
    leaking = tmp_path / "test_leaking.py"
    leaking.write_text(LEAKS, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-c", "pyproject.toml", "-rA", "--tb=line"]
    ran = subprocess.run(
        [*command, "-p", "no:cacheprovider", "--rootdir", str(ROOT), str(leaking)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    found = {
        (line.split("::")[1].split(" ")[0], line.split(" ")[0])
        for line in ran.stdout.splitlines()
        if line.startswith(("ERROR ", "FAILED "))
    }
    caught = {test for test, _ in found}
    assert caught == {
        "test_task[asyncio]",
        "test_task[trio]",
        "test_timer[asyncio]",
        "test_unretrieved[asyncio]",
        "test_stream[asyncio]",
        "test_stream[trio]",
        "test_coroutine[asyncio]",
        "test_coroutine[trio]",
        "test_thread[asyncio]",
        "test_thread[trio]",
        "test_hang[asyncio]",
        "test_hang[trio]",
    }, ran.stdout


@pytest.mark.anyio
@pytest.mark.parametrize("turn", [1, 2])
async def test_nothing_keeps_the_task_of_an_earlier_test(turn: int, anyio_backend_name: str) -> None:
    """Who looks for the tasks of a loop goes through all that there are in the process."""
    if anyio_backend_name == "asyncio":
        assert not EARLIER
        EARLIER.add(asyncio.current_task())
