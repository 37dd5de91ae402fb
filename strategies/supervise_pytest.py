"""pytest's side of `supervise.testing`: fixtures that do nothing until a test asks for one.

pytest imports this module in every project of an environment where the distribution is installed. So it stands beside the
packages: importing it imports neither of them, nor an event loop, and it has no hook, no marker and no autouse fixture.
"""

from __future__ import annotations

import gc
import inspect
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest


@pytest.fixture(params=["asyncio", "trio"])
def virtual_backend(request: pytest.FixtureRequest) -> Any:
    """Asyncio, then trio, in virtual time: a sleep takes no real time, a deadlock fails the test. Needs anyio's plugin:

        @pytest.fixture
        def anyio_backend(virtual_backend):
            return virtual_backend

    in a conftest.py puts all tests below it that are marked `anyio` in virtual time. Tests with sockets, threads or processes
    don't belong there: the clock jumps while they are under way.
    """
    if request.param == "trio":
        pytest.importorskip("trio", reason="trio isn't installed: pip install trio")
    from supervise.testing import virtual_time

    test: Any = request.node
    if inspect.iscoroutinefunction(getattr(test, "obj", None)):
        test.obj = virtual_time.never_hangs(test.obj)
    return virtual_time.backend(request.param)


@pytest.fixture
async def loop_is_clean(anyio_backend: Any) -> AsyncIterator[None]:
    """No task, timer or open nursery of the test is left in its loop, and no exception that nobody retrieved."""
    from supervise.testing import left_over

    watch = left_over.watch()
    yield
    left = watch.left()
    assert not left, f"the test left behind: {left}"


@pytest.fixture
def nothing_left_over(request: pytest.FixtureRequest) -> Iterator[None]:
    """No thread outlives the test; of one that anyio's plugin runs, nothing in its loop does.

    Files, streams and coroutines that were forgotten are collected at the end, so that their warnings belong to this test.
    """
    from supervise.testing import left_over

    before = set(threading.enumerate())
    test: Any = request.node
    if "anyio_backend" in request.fixturenames and inspect.iscoroutinefunction(getattr(test, "obj", None)):
        request.getfixturevalue("loop_is_clean")
    yield
    gc.collect()
    left = left_over.threads_since(before)
    assert not left, f"threads are left: {left}"
