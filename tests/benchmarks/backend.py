"""The event loops that workloads run on."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import inspect
from collections.abc import Coroutine
from typing import Any, Final, Literal, TypeAlias, cast

import trio

from .sample import Sample, Workload

Backend: TypeAlias = Literal["asyncio", "uvloop", "trio", "own"]
"""`own`: no event loop of Python's; threads, or another process."""

BACKENDS: Final[tuple[Backend, ...]] = ("asyncio", "uvloop", "trio")


def missing(backend: Backend) -> str | None:
    """Why this event loop can't be had, if it can't."""
    return "uvloop is not installed" if backend == "uvloop" and importlib.util.find_spec("uvloop") is None else None


def run(backend: Backend, workload: Workload, size: int) -> Sample:
    """One workload from beginning to end, in an event loop of its own where it is async."""
    if not inspect.iscoroutinefunction(workload):
        return cast(Sample, workload(size))
    if backend == "trio":
        return cast(Sample, trio.run(workload, size))
    factory: Any = importlib.import_module("uvloop").new_event_loop if backend == "uvloop" else None
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(cast(Coroutine[Any, Any, Sample], workload(size)))


def on_trio() -> bool:
    """Whether the caller runs on trio, rather than on one of asyncio's loops."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return True
    return False
