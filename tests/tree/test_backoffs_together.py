"""Children whose backoffs end at one instant come back one after the other.

Tested: SEMANTICS 9 (several that wait), 5 (a stop wins), 4 (one that fails again waits again); under all kinds of supervisors.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Self

import anyio
import pytest
from tenacity import wait_fixed

from supervise import DynamicSupervisor, Intensity, Restart, RunningSupervisor, Supervisor, child, current
from supervise.testing.virtual_time import at_rest
from tests.doubles import Boom
from tests.members import Member, states

pytestmark = pytest.mark.anyio
IN_FIVE = Restart.permanent(wait=wait_fixed(5))
OFTEN = Intensity(100)
Timed = tuple[float, str]


class Starting:
    """Says when its start begins and ends."""

    def __init__(self, log: list[Timed], seconds: float, broken: set[str] | None = None) -> None:
        self._log = log
        self._seconds = seconds
        self._broken = broken if broken is not None else set[str]()

    async def __aenter__(self) -> Self:
        self._say("begins")
        if self._seconds:
            await anyio.sleep(self._seconds)
        if current().name in self._broken:
            raise Boom("can't start")
        self._say("is back")
        return self

    async def __aexit__(self, *_: object) -> None: ...

    def _say(self, what: str) -> None:
        self._log.append((anyio.current_time(), f"{current().name} {what}"))


@asynccontextmanager
async def static(log: list[Timed], seconds: float, broken: set[str]) -> AsyncGenerator[RunningSupervisor]:
    children = [child(Starting, log, seconds, broken, name=name, restart=IN_FIVE) for name in "abc"]
    async with Supervisor("app", *children, intensity=OFTEN) as app:
        yield app


@asynccontextmanager
async def dynamic(log: list[Timed], seconds: float, broken: set[str]) -> AsyncGenerator[RunningSupervisor]:
    async with DynamicSupervisor("app", intensity=OFTEN) as app:
        for name in "abc":
            await app.start(Starting, log, seconds, broken, name=name, restart=IN_FIVE)
        yield app


Make = Callable[[list[Timed], float, set[str]], AbstractAsyncContextManager[RunningSupervisor]]
both = pytest.mark.parametrize("make", [static, dynamic])


async def crash_all(app: RunningSupervisor, log: list[Timed]) -> float:
    """All at one instant, at which the log begins anew."""
    for name in "abc":
        app.kill(name)
        await at_rest()
    assert set(states(app).values()) == {"restarting"}
    log.clear()
    return anyio.current_time()


def since(begun: float, log: list[Timed]) -> list[Timed]:
    return [(round(at - begun, 6), what) for at, what in log]


@both
async def test_starts_that_take_time_follow_one_another(make: Make) -> None:
    log: list[Timed] = []
    async with make(log, 2.0, set()) as app:
        begun = await crash_all(app, log)
        await anyio.sleep(20)
        assert since(begun, log) == [
            (5.0, "a begins"), (7.0, "a is back"),
            (7.0, "b begins"), (9.0, "b is back"),
            (9.0, "c begins"), (11.0, "c is back"),
        ]  # fmt: skip


@both
async def test_starts_that_take_no_time_follow_one_another_at_one_instant(make: Make) -> None:
    log: list[Timed] = []
    async with make(log, 0.0, set()) as app:
        begun = await crash_all(app, log)
        await anyio.sleep(6)
        assert since(begun, log) == [(5.0, f"{name} {what}") for name in "abc" for what in ("begins", "is back")]


@both
async def test_one_that_fails_to_start_waits_again_and_holds_up_nobody(make: Make) -> None:
    log: list[Timed] = []
    broken: set[str] = set()
    async with make(log, 1.0, broken) as app:
        begun = await crash_all(app, log)
        broken.add("a")
        await anyio.sleep(9)
        broken.clear()
        await anyio.sleep(20)
        assert since(begun, log) == [
            (5.0, "a begins"), (6.0, "b begins"), (7.0, "b is back"), (7.0, "c begins"), (8.0, "c is back"),
            (13.0, "a begins"), (14.0, "a is back"),
        ]  # fmt: skip


@both
async def test_a_stop_wins_over_those_that_havent_begun(make: Make) -> None:
    log: list[Timed] = []
    async with make(log, 2.0, set()) as app:
        begun = await crash_all(app, log)
        await anyio.sleep(6)
    assert since(begun, log) == [(5.0, "a begins")]
    assert anyio.current_time() - begun == pytest.approx(6)


async def test_who_is_terminated_meanwhile_doesnt_come_back_and_the_next_one_does() -> None:
    log: list[Timed] = []
    async with static(log, 2.0, set()) as app, anyio.create_task_group() as group:
        begun = await crash_all(app, log)
        await anyio.sleep(4)
        await app.terminate_child("b")
        await anyio.sleep(2)
        group.start_soon(app.terminate_child, "c")  # served in its turn, when c is back
        await anyio.sleep(20)
        assert since(begun, log) == [(5.0, "a begins"), (7.0, "a is back"), (7.0, "c begins"), (9.0, "c is back")]
        assert states(app) == {"a": "running", "b": "stopped", "c": "stopped"}


async def test_supervisors_beside_each_other_dont_wait_for_each_other() -> None:
    log: list[Timed] = []
    teams = [
        Supervisor(team, *(child(Starting, log, 2.0, name=f"{team}{n}", restart=IN_FIVE) for n in range(2)), intensity=OFTEN)
        for team in "xy"
    ]
    async with Supervisor("app", *teams) as app:
        for path in ("x/x0", "x/x1", "y/y0", "y/y1"):
            app.kill(path)
            await at_rest()
        log.clear()
        begun = anyio.current_time()
        await anyio.sleep(20)
        back = [(at, what) for at, what in since(begun, log) if what.endswith("is back")]
        assert sorted(back) == [(7.0, "x0 is back"), (7.0, "y0 is back"), (9.0, "x1 is back"), (9.0, "y1 is back")]


async def test_backoffs_of_one_group_that_end_together_bring_it_back_once_each_and_never_two_starts_at_once() -> None:
    log: list[str] = []
    members = [child(Member, log, 1.0, 0.5, name=name, restart=IN_FIVE) for name in "abc"]
    async with Supervisor("app", *members, strategy="one_for_all", intensity=OFTEN) as app:
        log.clear()
        app.kill("b")
        await anyio.sleep(30)
        assert [line for line in log if line.startswith("+")] == ["+a", "+b", "+c"]
        assert set(states(app).values()) == {"running"}


async def test_a_wait_of_tenacity_with_a_random_part_spreads_them() -> None:
    log: list[Timed] = []
    delays = iter([7.0, 5.0, 6.0])

    def jittered(_: Any) -> float:
        return next(delays)

    restart = Restart.permanent(wait=jittered)
    children = [child(Starting, log, 0.0, name=name, restart=restart) for name in "abc"]
    async with Supervisor("app", *children, intensity=OFTEN) as app:
        begun = await crash_all(app, log)
        await anyio.sleep(10)
        back = [(at, what) for at, what in since(begun, log) if what.endswith("is back")]
        assert back == [(5.0, "b is back"), (6.0, "c is back"), (7.0, "a is back")]
