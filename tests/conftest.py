"""Every async test runs on asyncio and on trio, in virtual time, and nothing of it may be left afterwards."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from . import virtual_time

settings.register_profile("ci", max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
settings.register_profile("long", max_examples=5000, deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile("ci")


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return virtual_time.backend(request.param)


@pytest.fixture(autouse=True)
def nothing_left_over() -> Iterator[None]:
    """No thread outlives a test, and what only the collector finds (a pending task, an unretrieved exception) is an error there."""
    before = set(threading.enumerate())
    yield
    gc.collect()
    left = [t for t in threading.enumerate() if t not in before and t.is_alive() and not t.daemon]
    assert not left, f"threads are left: {left}"


async def settle(turns: int = 20) -> None:
    """Let everything that can run do so, without letting time pass."""
    import anyio.lowlevel

    for _ in range(turns):
        await anyio.lowlevel.checkpoint()


def pending_tasks() -> set[Any]:
    """The tasks of the running asyncio loop but the caller's own."""
    return {t for t in asyncio.all_tasks() if t is not asyncio.current_task()}
