"""Every async test runs on asyncio and on trio, in virtual time, and nothing of it may be left afterwards."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import os
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, Final

import anyio
import anyio.lowlevel
import pytest
from hypothesis import HealthCheck, settings

from . import left_over, virtual_time

settings.register_profile("ci", max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
settings.register_profile("mid", max_examples=1500, deadline=None, suppress_health_check=list(HealthCheck))
settings.register_profile("long", max_examples=20_000, deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

HUNG: Final = 1e7
"""Virtual seconds. Where nothing can run the clock jumps to this deadline, so a lost wake-up fails instead of hanging."""


def pytest_collection_finish() -> None:
    """Each test looks through all garbage; what was imported needn't be looked through every time."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    passed: list[pytest.TestReport] = terminalreporter.stats.get("passed", [])
    terminalreporter.write_line(f"{sum('[uvloop' in report.nodeid for report in passed)} of them ran under uvloop")


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return virtual_time.backend(request.param)


@pytest.fixture
async def loop_is_clean(anyio_backend: Any) -> AsyncIterator[None]:
    """No task, timer or open nursery of a test is left in its loop, and no exception that nobody retrieved."""
    watch = left_over.watch()
    yield
    left = watch.left()
    assert not left, f"the test left behind: {left}"


@pytest.fixture(autouse=True)
def nothing_left_over(request: pytest.FixtureRequest) -> Iterator[None]:
    """No thread outlives a test; of an async one, nothing in its loop does. Files and streams complain when collected."""
    before = set(threading.enumerate())
    test: pytest.Function = request.node
    if inspect.iscoroutinefunction(test.obj):
        request.getfixturevalue("loop_is_clean")
        test.obj = _never_hangs(test.obj)
    yield
    gc.collect()
    left = left_over.threads_since(before)
    assert not left, f"threads are left: {left}"


def _never_hangs(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., Coroutine[Any, Any, None]]:
    @functools.wraps(test)
    async def guarded(*args: Any, **kwargs: Any) -> None:
        with anyio.fail_after(HUNG):
            await test(*args, **kwargs)

    return guarded


async def settle(turns: int = 20) -> None:
    """Let everything that can run do so, without letting time pass."""
    for _ in range(turns):
        await anyio.lowlevel.checkpoint()


def pending_tasks() -> set[Any]:
    """The tasks of the running asyncio loop but the caller's own."""
    return {t for t in asyncio.all_tasks() if t is not asyncio.current_task()}
