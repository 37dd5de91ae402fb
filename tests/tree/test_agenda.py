"""The agenda of a tree: what is caused comes before what causes it goes on, however deep that goes.

Tested: SEMANTICS 74 (the mechanism), 65 (a job that fails keeps no other from being done).
"""

from __future__ import annotations

import linecache
import sys
from types import FrameType
from typing import Any

import pytest

from supervise import DynamicSupervisor, Supervisor, child
from supervise.journal.bus import Bus
from supervise.testing.virtual_time import at_rest
from supervise.tree.agenda import Agenda, Job
from supervise.tree.place import ActorPlace
from tests.doubles import Scribe

pytestmark = pytest.mark.anyio


def no_failure(error: BaseException) -> None:
    raise AssertionError from error


def test_what_a_step_causes_is_done_before_the_next_step_in_the_order_of_its_causes() -> None:
    log: list[str] = []
    agenda = Agenda(Bus(no_failure), no_failure)

    def job(name: str, below: int) -> Job:
        for step in "12":
            log.append(f"{name}{step}")
            if below:
                agenda.do(job(f"{name}{step}a", below - 1))
                agenda.do(job(f"{name}{step}b", below - 1))
            log.append(f"{name}{step} caused")
            yield

    agenda.do(job("x", 1))
    assert log == [
        *("x1", "x1 caused", "x1a1", "x1a1 caused", "x1a2", "x1a2 caused", "x1b1", "x1b1 caused", "x1b2", "x1b2 caused"),
        *("x2", "x2 caused", "x2a1", "x2a1 caused", "x2a2", "x2a2 caused", "x2b1", "x2b1 caused", "x2b2", "x2b2 caused"),
    ]


def test_what_the_last_step_of_a_job_causes_is_done_before_the_one_above_goes_on() -> None:
    log: list[str] = []
    agenda = Agenda(Bus(no_failure), no_failure)

    def leaf() -> Job:
        log.append("leaf")
        yield from ()

    def middle() -> Job:
        yield from ()
        agenda.do(leaf())

    def top() -> Job:
        agenda.do(middle())
        yield
        log.append("top")

    agenda.do(top())
    assert log == ["leaf", "top"]


def test_a_hundred_thousand_jobs_in_each_other_need_no_recursion() -> None:
    reached: list[int] = []
    agenda = Agenda(Bus(no_failure), no_failure)

    def job(depth: int) -> Job:
        if depth:
            agenda.do(job(depth - 1))
            yield
        reached.append(depth)

    agenda.do(job(100_000))
    assert reached == [*range(100_001)]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_a_job_that_fails_keeps_no_other_from_being_done(failure: type[BaseException]) -> None:
    log: list[str] = []
    failures: list[BaseException] = []
    agenda = Agenda(Bus(no_failure), failures.append)

    def note(entry: str) -> Job:
        log.append(entry)
        yield from ()

    def fails() -> Job:
        agenda.do(note("caused by it"))
        yield
        agenda.do(note("caused by it as it failed"))
        raise failure("told to")

    def job() -> Job:
        agenda.do(fails())
        agenda.do(note("after it"))
        yield
        log.append("above it")

    agenda.do(job())
    assert [type(each) for each in failures] == [failure]
    assert log == ["caused by it", "caused by it as it failed", "after it", "above it"]
    log.clear()
    agenda.do(note("later"))
    assert log == ["later"]


async def test_a_stop_goes_all_the_way_down_before_the_next_child_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    stop = ActorPlace.stop

    def heard(place: ActorPlace, directive: Any) -> None:
        asked.append(place.path)
        stop(place, directive)

    monkeypatch.setattr(ActorPlace, "stop", heard)
    async with DynamicSupervisor("app") as app:
        for name in ("one", "two"):
            await app.start_child(Supervisor(name, child(Scribe, name="a")))
            await app.start(Scribe, name=f"after-{name}")
        await at_rest()
    assert asked == ["app/after-two", "app/two/a", "app/after-one", "app/one/a"]


def test_each_job_is_done_whatever_line_a_ctrl_c_strikes_before() -> None:
    number = 0
    while True:
        number += 1
        heard: list[BaseException] = []
        done: list[str] = []
        agenda = Agenda(Bus(no_failure), heard.append)

        def job(name: str, below: int, agenda: Agenda = agenda, done: list[str] = done) -> Job:
            for part in range(below):
                agenda.do(job(f"{name}{part}", below - 1))
                yield
            done.append(name)

        lines = 0

        def strike(frame: FrameType, event: str, _: object, at: int = number) -> Any:
            nonlocal lines
            if frame.f_code.co_filename != sys.modules[Agenda.__module__].__file__:
                return None
            if frame.f_back is not None and frame.f_back.f_code.co_name == "job":  # where that raises, the job itself does
                return None
            # A bare `try:` is no instruction that a signal could come before; raised there, nothing would catch it.
            if event == "line" and not linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip().startswith("try:"):
                lines += 1
                if lines == at:
                    raise KeyboardInterrupt
            return strike

        try:
            sys.settrace(strike)
            agenda.do(job("x", 2))
        except KeyboardInterrupt:  # before it was taken: whoever caused it tells again
            assert number == 1
            assert done == []
            continue
        finally:
            sys.settrace(None)
        assert sorted(done) == ["x", "x0", "x00", "x1", "x10"]
        agenda.do(job("y", 0))
        assert done[-1] == "y"
        if not heard:
            break
    assert number > 20
