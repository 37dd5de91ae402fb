"""Pools, crossed with what comes at the same time: own messages, pauses, ends, lanes, hostile keys, cancelled resizes.

Tested: SEMANTICS 77, with 13, 17, 21, 37, 65, 67 and 70.
"""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import pytest
from tenacity import wait_fixed

from supervise import (
    ActorStopped,
    ImmortalLoopWarning,
    Intensity,
    InvalidSpec,
    MailboxFull,
    Message,
    Redeliver,
    Supervisor,
    SupervisorNotRunning,
    WouldDeadlock,
    child,
    current,
    pool,
    ref,
)
from supervise.testing.virtual_time import at_rest
from tests.doubles import Boom, Outcomes

pytestmark = pytest.mark.anyio


class Worker:
    def __init__(self, log: list[Any] | None = None) -> None:
        self.log: list[Any] = [] if log is None else log

    async def job(self, key: object, n: object = 0, seconds: float = 0.1) -> str:
        self.log.append((key, n, "begins"))
        await anyio.sleep(seconds)
        self.log.append((key, n, "ends"))
        return current().name

    def name(self) -> str:
        return current().name


def by_first(message: Message) -> Any:
    return message.args[0] if message.args else None


# -- hostile keys --------------------------------------------------------------------------------------------------------


async def test_after_a_key_that_raised_the_next_message_wakes_a_worker() -> None:
    def key(message: Message) -> Any:
        if message.args[0] == "bad":
            raise Boom("bad")
        return message.args[0]

    jobs = pool(Worker, size=2, name="jobs", key=key)
    async with Supervisor("app", jobs) as app:
        address = app.find(jobs)
        await at_rest()
        for _ in range(2):
            with pytest.raises(Boom):
                await address.send(Worker.job, "bad")
            await at_rest()
            with anyio.fail_after(10):
                assert await address.call(Worker.job, "good") in ("1", "2")
        assert app.account().balanced
        assert app.account().accepted == 2


async def test_a_key_that_sends_to_its_own_pool_takes_no_more_room_than_there_is() -> None:
    sending = True

    def key(message: Message) -> Any:
        nonlocal sending
        if sending and message.args[1] == "outer":
            address.try_send(Worker.job, "k", "inner")
        return message.args[0]

    jobs = pool(Worker, size=1, name="jobs", key=key, capacity=10, overflow="reject")
    async with Supervisor("app", jobs) as app:
        address = app.find(jobs)
        await at_rest()
        await address.send(Worker.job, "k", "outer")
        sending = False
        with pytest.raises(MailboxFull):
            for _ in range(30):
                address.try_send(Worker.job, "k", "plain")
        assert len(address) == 10
        assert app.account().balanced


# -- sizes ---------------------------------------------------------------------------------------------------------------


async def test_a_resize_that_is_cancelled_leaves_as_many_workers_as_the_pool_has_from_then_on() -> None:
    jobs = pool(Worker, size=4, name="jobs", stop_within=100, intensity=Intensity(1, per=1000))
    async with Supervisor("app", jobs) as app:
        address = app.find(jobs)
        async with anyio.create_task_group() as group:
            for n in range(4):
                group.start_soon(address.recipient(Worker.job).call, n, 0, 5.0)
            await at_rest()
            with anyio.move_on_after(1):
                await app.resize(jobs, 1)
        await anyio.sleep(10)
        assert [line.id for line in app.supervisor(jobs).which_children()] == ["1", "2", "3"]
        begun = anyio.current_time()
        async with anyio.create_task_group() as group:
            for n in range(3):
                group.start_soon(address.recipient(Worker.job).call, n, 0, 1.0)
        assert anyio.current_time() - begun == pytest.approx(1.0)


async def test_a_resize_after_one_that_a_restart_has_overtaken_returns() -> None:
    jobs = pool(Worker, size=3, name="jobs", stop_within=1)
    async with Supervisor("app", jobs) as app:
        for n in range(3):
            await app.find(jobs).send(Worker.job, n, 0, 50.0)
        await at_rest()

        async def resize() -> None:
            with contextlib.suppress(SupervisorNotRunning):
                await app.resize(jobs, 1)

        async with anyio.create_task_group() as group:
            group.start_soon(resize)
            await at_rest()
            await app.operator("ada").restart(jobs)
        assert [line.id for line in app.supervisor(jobs).which_children()] == ["1"]
        await app.resize(jobs, 2)
        assert [line.id for line in app.supervisor(jobs).which_children()] == ["1", "2"]


async def test_a_worker_that_would_remove_itself_is_refused_and_nothing_has_changed() -> None:
    class Shrinking(Worker):
        async def shrink(self) -> None:
            await app.resize("jobs", 1)

    jobs = pool(Shrinking, size=2, name="jobs", on_error="reply")
    async with Supervisor("app", jobs) as app:
        address = app.find(jobs)
        async with anyio.create_task_group() as group:
            group.start_soon(address.recipient(Worker.job).call, 0, 0, 5.0)
            await at_rest()
            with pytest.raises(WouldDeadlock):
                await address.call(Shrinking.shrink)  # in the second one
        begun = anyio.current_time()
        async with anyio.create_task_group() as group:
            for n in range(2):
                group.start_soon(address.recipient(Worker.job).call, n, 0, 1.0)
        assert anyio.current_time() - begun == pytest.approx(1.0)


async def test_what_workers_did_that_were_removed_while_the_pool_was_down_stays_in_the_account() -> None:
    jobs = pool(Worker, size=3, name="jobs")
    async with Supervisor("app", jobs) as app:
        async with anyio.create_task_group() as group:
            for n in range(9):
                group.start_soon(app.find(jobs).recipient(Worker.job).call, n)
        before = app.account()
        await app.terminate_child("jobs")
        await app.resize(jobs, 1)
        assert app.account() == before == app.find(jobs).account()


# -- wake-ups ------------------------------------------------------------------------------------------------------------


async def test_a_pause_that_outlasts_the_wait_before_a_next_try_lets_others_run() -> None:
    class Failing(Worker):
        async def fail_once(self, tries: list[int]) -> int:
            tries.append(current().attempt)
            if len(tries) == 1:
                raise Boom("once")
            return len(tries)

    jobs = pool(Failing, size=2, name="jobs", redeliver=Redeliver(1, wait=wait_fixed(1)))
    async with Supervisor("app", jobs) as app:
        address = app.find(jobs)
        async with anyio.create_task_group() as group:
            outcomes = Outcomes(group)
            await outcomes.watch("call", address.call(Failing.fail_once, []))
            await at_rest()
            address.pause()
            await anyio.sleep(10)
            assert not outcomes.of
            address.resume()
            await at_rest()
            assert outcomes.of == {"call": 2}


@asynccontextmanager
async def slow_to_leave() -> AsyncGenerator[Worker]:
    yield Worker()
    await anyio.sleep(4)


async def test_a_worker_at_work_for_itself_takes_no_wake_up_from_one_that_is_idle() -> None:
    jobs = pool(Worker, size=2, name="jobs")
    async with Supervisor("app", jobs) as app:
        await at_rest()
        await app.find("jobs/1").send(Worker.job, "own", 0, 10.0)
        await anyio.sleep(1)
        with anyio.fail_after(1):
            assert await app.find(jobs).call(Worker.name) == "2"


@pytest.mark.parametrize("first", ["message", "pause"])
async def test_a_worker_that_is_paused_alone_takes_no_wake_up_from_one_that_is_idle(first: str) -> None:
    jobs = pool(Worker, size=2, name="jobs")
    async with Supervisor("app", jobs) as app:
        await at_rest()
        if first == "message":
            await app.find(jobs).send(Worker.job, "k", 0, 0.0)
        app.operator("ada").pause("jobs/1")
        with anyio.fail_after(1):
            assert await app.find(jobs).call(Worker.name) == "2"
        await at_rest()
        assert not len(app.find(jobs))


async def test_a_worker_that_is_paused_alone_keeps_no_key() -> None:
    jobs = pool(Worker, size=2, name="jobs", key=by_first)
    async with Supervisor("app", jobs) as app:
        address = app.find(jobs)
        await at_rest()
        await address.send(Worker.job, "k", 1, 1.0)
        await at_rest()
        app.operator("ada").pause("jobs/1")
        await anyio.sleep(2)
        with anyio.fail_after(1):
            assert await address.call(Worker.job, "k", 2) == "2"


@pytest.mark.parametrize("first", ["message", "end"])
async def test_a_worker_that_takes_long_to_leave_takes_no_wake_up_from_one_that_is_idle(first: str) -> None:
    jobs = pool(slow_to_leave, size=2, name="jobs")
    async with Supervisor("app", jobs) as app:
        address, worker = app.find(jobs), app.find("jobs/1")
        await at_rest()
        async with anyio.create_task_group() as group:
            outcomes = Outcomes(group)
            if first == "message":
                await address.send(Worker.job, "k", 0, 0.0)
            await outcomes.watch("end", worker.stop())
            with anyio.fail_after(1):
                assert await address.call(Worker.name) == "2"
            await at_rest()
            assert not len(address)


async def test_a_worker_that_takes_long_to_leave_keeps_no_key() -> None:
    jobs = pool(slow_to_leave, size=2, name="jobs", key=by_first)
    async with Supervisor("app", jobs) as app:
        address = app.find(jobs)
        await at_rest()
        async with anyio.create_task_group() as group:
            group.start_soon(address.recipient(Worker.job).call, "k", 1, 1.0)
            await at_rest()
            group.start_soon(app.find("jobs/1").stop)
            await anyio.sleep(1.5)
            with anyio.fail_after(1):
                assert await address.call(Worker.job, "k", 2) == "2"


async def test_a_key_that_a_worker_frees_and_does_not_go_on_with_wakes_another_one() -> None:
    jobs = pool(Worker, size=2, name="jobs", key=by_first)
    async with Supervisor("app", jobs) as app:
        address = app.find(jobs)
        await at_rest()
        async with anyio.create_task_group() as group:
            group.start_soon(address.recipient(Worker.job).call, "k", 1, 1.0)
            await at_rest()
            await app.find("jobs/1").send(Worker.job, "own", 0, 20.0)
            with anyio.fail_after(2):
                assert await address.call(Worker.job, "k", 2) == "2"


# -- keys and lanes ------------------------------------------------------------------------------------------------------


def begun(log: list[Any]) -> list[Any]:
    return [n for _, n, what in log if what == "begins"]


async def test_order_within_a_lane_is_kept_where_another_lane_is_quicker_with_the_same_key() -> None:
    log: list[Any] = []
    jobs = pool(Worker, log, size=2, name="jobs", key=by_first, lanes=("urgent", "normal"))
    async with Supervisor("app", jobs) as app:
        address = app.find(jobs)
        urgent = address.options(lane="urgent")
        await urgent.send(Worker.job, "k", "u1")
        await address.send(Worker.job, "k", "n1")
        await address.send(Worker.job, "other", "o", 0.15)
        for n in ("n2", "n3", "n4"):
            await address.send(Worker.job, "k", n)
        for n in ("u2", "u3"):
            await urgent.send(Worker.job, "k", n)
        await anyio.sleep(10)
        assert not len(address)
    assert [n for n in begun(log) if n != "o"] == ["u1", "u2", "u3", "n1", "n2", "n3", "n4"]


async def test_a_choice_that_takes_messages_out_lets_no_two_of_one_key_run() -> None:
    log: list[Any] = []
    armed = False

    def choose(waiting: Mapping[str, int]) -> str:
        nonlocal armed
        if armed:
            armed = False
            address.drop(lambda message: message.args[0] == "free")
        return next(iter(waiting))

    jobs = pool(Worker, log, size=2, name="jobs", key=by_first, lanes=("urgent", "normal"), choice=choose)
    async with Supervisor("app", jobs) as app:
        address = app.find(jobs)
        for n in range(3):
            await address.send(Worker.job, "k", n, 1.0)
        await at_rest()
        armed = True
        await address.send(Worker.job, "free")
        await anyio.sleep(10)
        assert app.account().balanced
    assert log == [("k", n, what) for n in range(3) for what in ("begins", "ends")]


async def test_what_waits_is_counted_without_looking_through_it() -> None:
    """Other threads ask for it, too, while keys come and go."""
    jobs = pool(Worker, size=2, name="jobs", key=by_first, redeliver=Redeliver(1, wait=wait_fixed(1)), handler_deadline=4)
    async with Supervisor("app", jobs) as app:
        address = app.find(jobs)
        for n in range(3):
            for key in range(3):
                await address.send(Worker.job, key, n, 10.0 if (key, n) == (0, 0) else 0.5)
        for _ in range(30):
            assert len(address) == len(address.peek()) == address.account().queued
            assert app.account().balanced
            await anyio.sleep(0.3)
        address.drop(lambda message: True)
        assert len(address.peek()) == len(address) == 0


# -- ends ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stop_within", [1, "brutal_kill"])
async def test_stop_with_grace_gives_the_workers_all_of_it(stop_within: Any) -> None:
    of: dict[Any, Any] = {}
    jobs = pool(Worker, size=2, name="jobs", restart="transient", stop_within=stop_within)
    async with Supervisor("app", jobs) as app:
        address = app.find(jobs)
        async with anyio.create_task_group() as group:
            outcomes = Outcomes(group)
            outcomes.of = of
            await outcomes.watch("call", address.call(Worker.job, "k", 0, 20.0))
            await at_rest()
            await address.stop(grace=60)
        assert of == {"call": "1"}


async def test_the_supervisors_stop_bounds_an_endless_grace() -> None:
    of: dict[Any, Any] = {}
    jobs = pool(Worker, size=2, name="jobs", stop_within=1)
    async with Supervisor("app", jobs) as app:
        address = app.find(jobs)
        async with anyio.create_task_group() as group:
            outcomes = Outcomes(group)
            outcomes.of = of
            await outcomes.watch("call", address.call(Worker.job, "k", 0, 100.0))
            await at_rest()
            await outcomes.watch("stop", address.stop(grace=math.inf))
            await at_rest()
            began = anyio.current_time()
            await app.terminate_child("jobs")
            assert anyio.current_time() - began == pytest.approx(1.0)
        assert isinstance(of["call"], ActorStopped)


async def test_stop_in_one_of_its_workers_would_deadlock() -> None:
    class Halting(Worker):
        async def halt(self) -> None:
            await address.stop()

    jobs = pool(Halting, size=2, name="jobs", on_error="reply")
    async with Supervisor("app", jobs) as app:
        address = app.find(jobs)
        with pytest.raises(WouldDeadlock):
            await address.call(Halting.halt)


# -- more of hostile keys ------------------------------------------------------------------------------------------------


async def test_a_key_whose_equality_raises_is_another_one_and_nothing_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    bad = False

    class Key:
        def __init__(self, n: int) -> None:
            self.n = n

        def __hash__(self) -> int:
            if bad:
                raise Boom("hash")
            return 1

        def __eq__(self, other: object) -> bool:
            if bad:
                raise Boom("equality")
            return isinstance(other, Key) and self.n == other.n

    log: list[Any] = []
    jobs = pool(Worker, log, size=2, name="jobs", key=by_first)
    async with Supervisor("app", jobs) as app:
        address = app.find(jobs)
        for n in (1, 2, 1, 2):
            await address.send(Worker.job, Key(n), n)
        await at_rest()
        bad = True
        with pytest.raises(Boom):
            await address.send(Worker.job, Key(3))
        await anyio.sleep(10)
        bad = False
        with anyio.fail_after(10):
            for n in (1, 2):
                await address.call(Worker.job, Key(n), n)
        assert address.account().handled == 6
        assert app.account().balanced
    assert [record.getMessage() for record in caplog.records] == []


async def test_nothing_is_dropped_for_a_message_whose_key_raises() -> None:
    def key(message: Message) -> Any:
        if message.args[1] == "bad":
            raise Boom("bad")
        return message.args[0]

    jobs = pool(Worker, size=1, name="jobs", key=key, capacity=2, overflow="drop_oldest")
    async with Supervisor("app", jobs) as app:
        address = app.find(jobs)
        for n in range(3):
            await address.send(Worker.job, "k", n, 1.0)
            await at_rest()
        with pytest.raises(Boom):
            await address.send(Worker.job, "k", "bad")
        assert [message.args[1] for message in address.peek()] == [1, 2]
        await address.send(Worker.job, "k", 3)
        assert [message.args[1] for message in address.peek()] == [2, 3]
        assert app.account().balanced


# -- what a pool is ------------------------------------------------------------------------------------------------------


async def test_a_child_of_another_kind_is_refused() -> None:
    async with Supervisor("app", pool(Worker, size=1, name="jobs")) as app:
        for start in (app.supervisor("jobs").start_child(child(Worker, name="other")), app.supervisor("jobs").start(Worker)):
            with pytest.raises(InvalidSpec, match=r"workers of one kind.*resize"):
                await start
        assert [line.id for line in app.supervisor("jobs").which_children()] == ["1"]


async def test_a_limit_that_is_never_spent_is_said_where_the_pool_is_described_and_not_at_a_resize() -> None:
    with pytest.warns(ImmortalLoopWarning, match="jobs"):
        jobs = pool(Worker, size=1, name="jobs", stop_within=10)
    async with Supervisor("app", jobs) as app:
        await app.resize(jobs, 2)


def test_a_ref_is_copied() -> None:
    stand_ins: list[Any] = [ref("db"), ref(pool(Worker, name="jobs"))]
    for one in stand_ins:
        assert repr(copy.copy(one)) == repr(one) == repr(copy.deepcopy(partial(Worker, one)).args[0])


async def test_keys_of_handlers_that_run_beside_each_other_are_each_free_when_theirs_is_done() -> None:
    log: list[Any] = []
    jobs = pool(Worker, log, size=1, name="jobs", key=by_first, concurrency=3)
    async with Supervisor("app", jobs) as app:
        address = app.find(jobs)
        for key, seconds in (("a", 1.0), ("b", 1.9), ("c", 3.0)):
            for n in range(3):
                await address.send(Worker.job, key, n, seconds)
        await anyio.sleep(2.5)
        assert [(key, n) for key, n, what in log if what == "ends"] == [("a", 0), ("b", 0), ("a", 1)]
        await anyio.sleep(10)
    for key in "abc":
        assert [(n, what) for k, n, what in log if k == key] == [(n, w) for n in range(3) for w in ("begins", "ends")]
