"""Every async test runs on asyncio and on trio, in virtual time, and nothing of it may be left afterwards."""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import signal
from collections import Counter
from collections.abc import Generator, Iterator
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from supervise.testing import virtual_time
from supervise.testing.virtual_time import settle

if TYPE_CHECKING:
    from .jaeger import Jaeger

__all__ = ("anyio_backend", "pending_tasks", "settle")

# The first is for a checkout that isn't installed; else pytest has it already.
pytest_plugins = ["supervise_pytest", "tests.beside", "tests.browser"]

_records = TemporaryDirectory(prefix="records-")

settings.register_profile("ci", max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
settings.register_profile("long", max_examples=20_000, deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_configure() -> None:
    """What a shell begins in the background ignores SIGINT and SIGQUIT, which tests send. Flight records go to a folder that
    goes with the tests.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGQUIT) is signal.SIG_IGN:
        signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    os.environ["SUPERVISE_RECORDS"] = _records.name


def pytest_unconfigure() -> None:
    _records.cleanup()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """All that comes up stays: to look through it for garbage, again and again, would take a fifth of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_finish() -> None:
    """Each test looks through all garbage; what was imported needn't be looked through every time."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    """What a test leaves is looked through once: its report above all, and what it was the first to import. Else a file of
    hundreds of tests spends more on that than on its tests.

    All of the test is over by then. What is frozen while somebody still holds it is never found to be garbage: so each test
    left its loop's task behind for ever, and after thousands to look for tasks took longer than a test (a sixth of all time).
    """
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    passed: list[pytest.TestReport] = terminalreporter.stats.get("passed", [])
    terminalreporter.write_line(f"{sum('[uvloop' in report.nodeid for report in passed)} of them ran under uvloop")
    skipped: list[pytest.TestReport] = terminalreporter.stats.get("skipped", [])
    reasons = Counter(report.longrepr[2] for report in skipped if isinstance(report.longrepr, tuple))
    for reason, number in reasons.items():
        terminalreporter.write_line(f"{number} skipped: {reason.removeprefix('Skipped: ')}")


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return virtual_time.backend(request.param)


@pytest.fixture(scope="session")
def jaeger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jaeger]:
    """A real one for all tests that ask for it; each story has a service of its own there."""
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the exporter of OTLP isn't installed: extra [otlp]")
    from .jaeger import MISSING, Jaeger, program

    found = program()
    if found is None:
        pytest.skip(MISSING)
    with Jaeger(found, tmp_path_factory.mktemp("jaeger")) as running:
        yield running


@pytest.fixture(autouse=True)
def leaves_nothing(request: pytest.FixtureRequest, nothing_left_over: None) -> None:
    """Every test of this suite."""
    test: pytest.Function = request.node
    if inspect.iscoroutinefunction(test.obj):
        test.obj = virtual_time.never_hangs(test.obj)


def pending_tasks() -> set[Any]:
    """The tasks of the running asyncio loop but the caller's own."""
    return {t for t in asyncio.all_tasks() if t is not asyncio.current_task()}
