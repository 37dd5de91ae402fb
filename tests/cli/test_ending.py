"""What `supervise run` says while its tree takes long to stop.

Tested, in virtual time: who is waited for and how long yet, 2 s after the stop has begun and every 5 s from then on; nothing of
a shorter stop; nothing where nobody could read it; that many are counted, and not all named. And that the thread is there which
leaves the process when the budget is spent.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType

import anyio
import pytest

from supervise import Child, Supervisor, child
from supervise._signals import LONGEST, can_write
from supervise.cli import ending
from supervise.cli.ending import Ending
from supervise.testing import virtual_time

pytestmark = pytest.mark.anyio


class Slow:
    """Takes its time to stop, whoever cancels it."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    async def __aenter__(self) -> Slow:
        return self

    async def __aexit__(self, *_: object) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(self.seconds)


def slow(seconds: float, name: str = "slow") -> Child[Slow]:
    return child(Slow, seconds, name=name, stop_within=float("inf"))


class Hearing(logging.Handler):
    """What the log says of the waiting, and how many seconds after the beginning of the stop."""

    def __init__(self) -> None:
        super().__init__()
        self.began = 0.0
        self.lines: list[tuple[float, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        if "waiting" in record.getMessage():
            self.lines.append((round(anyio.current_time() - self.began, 6), record.getMessage()))


@pytest.fixture
def log() -> Iterator[Hearing]:
    hearing = Hearing()
    logging.getLogger("supervise").addHandler(hearing)
    yield hearing
    logging.getLogger("supervise").removeHandler(hearing)


async def said_while_it_stops(tree: Supervisor, log: Hearing) -> list[tuple[float, str]]:
    ends = Ending(float("inf"), lambda: None)

    async def tell() -> None:
        await app.stopping()
        log.began = anyio.current_time()
        await ends.tell()

    async with anyio.create_task_group() as group:
        async with tree as app:
            ends.of(app)
            group.start_soon(tell)
            await virtual_time.at_rest()
    return log.lines


def never(_: int) -> bool:
    return False


async def test_79_a_long_stop_says_each_5_s_who_is_waited_for_and_how_long_yet(log: Hearing) -> None:
    tree = Supervisor("app", slow(13.5, "a"), Supervisor("below", slow(4, "b")), shutdown_budget=25)
    assert await said_while_it_stops(tree, log) == [
        (2, "app is stopping: waiting for app/a #1, app/below/b #1, for 23 s at most, then it is cancelled"),
        (7, "app is stopping: waiting for app/a #1, for 18 s at most, then it is cancelled"),
        (12, "app is stopping: waiting for app/a #1, for 13 s at most, then it is cancelled"),
        (17, "app is stopping: waiting for app/a #1, for 8 s at most, then it is cancelled"),
    ]


async def test_when_the_budget_is_spent_it_says_so(log: Hearing) -> None:
    assert await said_while_it_stops(Supervisor("app", slow(9), shutdown_budget=4.5), log) == [
        (2, "app is stopping: waiting for app/slow #1, for 2.5 s at most, then it is cancelled"),
        (7, "app is stopping: waiting for app/slow #1, although it was cancelled: the budget is spent"),
    ]


async def test_without_a_budget_it_says_that_there_is_no_deadline(log: Hearing) -> None:
    assert await said_while_it_stops(Supervisor("app", slow(3)), log) == [
        (2, "app is stopping: waiting for app/slow #1, without a deadline"),
    ]


async def test_a_short_stop_says_nothing(log: Hearing) -> None:
    assert await said_while_it_stops(Supervisor("app", slow(1.9)), log) == []


async def test_nothing_is_said_where_it_would_have_to_wait_for_its_reader(
    log: Hearing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ending, "can_write", never)
    assert await said_while_it_stops(Supervisor("app", slow(9)), log) == []


async def test_many_are_counted(log: Hearing) -> None:
    tree = Supervisor("app", slow(3, "last"), *[slow(0.6, f"n{n}") for n in range(20)])
    (_, line), *_ = await said_while_it_stops(tree, log)
    assert ", app/n8 #1 and 8 more, without" in line


def test_a_pipe_that_is_full_cannot_be_written() -> None:
    reading, writing = os.pipe()
    try:
        assert can_write(writing)
        os.set_blocking(writing, False)
        while can_write(writing):
            assert os.write(writing, b"x" * LONGEST) == LONGEST
        os.read(reading, 65536)
        assert can_write(writing)
    finally:
        os.close(reading)
        os.close(writing)


def watching() -> list[FrameType]:
    """The threads that watch over an end, where they are."""
    found: list[FrameType] = []
    for frame in sys._current_frames().values():
        at: FrameType | None = frame
        while at is not None and at.f_code is not Ending._leave_in_time.__code__:
            at = at.f_back
        found += [] if at is None else [at]
    return found


def test_the_thread_that_watches_is_at_work_before_anything_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """CPython crashes where a thread makes its first step only after the interpreter's end has begun."""
    over = threading.Event()

    class Clock:
        @staticmethod
        def sleep(_: float) -> None:
            over.wait()
            sys.exit()  # of this thread

    monkeypatch.setattr(ending, "time", Clock)
    try:
        Ending(3600, lambda: None).begin()
        assert len(watching()) == 1
    finally:
        over.set()
        while watching():
            time.sleep(0)
