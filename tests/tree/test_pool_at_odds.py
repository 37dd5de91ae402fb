"""Pools where several things happen at once: starts that need the pool, workers that go while they are woken, crossed keys.

Tested: SEMANTICS 76 and 77, where two of their rules meet.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import anyio
import pytest
from tenacity import wait_fixed

from supervise import (
    ActorStopped,
    Address,
    ChildNotFound,
    IgnoreStart,
    Intensity,
    MailboxClosed,
    Message,
    Redeliver,
    Supervisor,
    WouldDeadlock,
    child,
    concurrent,
    current,
    pool,
    ref,
)
from supervise.testing.virtual_time import at_rest
from tests.doubles import Boom, Gate, Outcomes

pytestmark = pytest.mark.anyio

UNLIMITED = Intensity(1_000_000, per=1)
NEVER: list[int] = []


class Worker:
    def name(self) -> str:
        return current().name

    async def crash(self) -> None:
        raise Boom("worker")

    async def hold(self, gate: Gate) -> None:
        await gate.walk_through()

    async def note(self, log: list[int], n: int) -> None:
        await anyio.sleep(0.1)
        log.append(n)

    def bad(self, log: list[int], n: int) -> None:
        """What no queue takes in."""

    @concurrent(limit=1)
    async def hold_beside(self, gate: Gate) -> None:
        await gate.walk_through()

    @concurrent(limit=1)
    async def also_beside(self, gate: Gate | None) -> None:
        if gate is not None:
            await gate.walk_through()


# -- calls in a start that needs the pool --------------------------------------------------------------------------------


class Asker:
    """Asks another one in each of its starts but the first ones, and notes what came of it."""

    def __init__(self, met: list[object]) -> None:
        self.met = met

    async def crash(self) -> None:
        raise Boom("asker")


@asynccontextmanager
async def asks(met: list[object], other: Address[Any], spared: list[int], handler: Any = Worker.name) -> AsyncGenerator[Asker]:
    if spared:
        spared.pop()
    else:
        try:
            with anyio.fail_after(1000):
                met.append(await other.call(handler))
        except (WouldDeadlock, TimeoutError) as error:
            met.append(error)
    yield Asker(met)


async def test_a_call_to_a_younger_pool_in_ones_start_would_deadlock() -> None:
    met: list[Any] = []
    jobs = pool(Worker, size=2, name="jobs")
    async with Supervisor("app", child(asks, met, ref(jobs), NEVER, name="asker"), jobs) as app:
        assert isinstance(met[0], WouldDeadlock)
        assert "app/asker is starting, and a call of Worker.name waits for app/jobs" in str(met[0])
        app.kill("asker")
        await at_rest()
        assert met[1] in ("1", "2")  # in a restart alone the pool is up


async def test_so_would_one_to_a_younger_pools_object() -> None:
    met: list[BaseException] = []
    jobs = pool(Worker, size=2, name="jobs")

    async def early() -> Asker:
        try:
            await current().find(jobs).instance()
        except WouldDeadlock as error:
            met.append(error)
        return Asker([])

    async with Supervisor("app", child(early, name="early"), jobs):
        assert len(met) == 1


async def test_a_call_to_ones_own_pool_in_the_start_of_its_first_worker_would_deadlock() -> None:
    met: list[Any] = []

    @asynccontextmanager
    async def worker(jobs: Address[Any], name: Any = Worker.name) -> AsyncGenerator[Worker]:
        async with asks(met, jobs, NEVER):
            yield Worker()

    async with Supervisor("app", pool(worker, ref("jobs"), size=2, name="jobs", intensity=UNLIMITED)) as app:
        assert isinstance(met[0], WouldDeadlock)
        assert "app/jobs/1 is starting, and a call of Worker.name waits for app/jobs, which starts only after it" in str(met[0])
        assert met[1] == "1"  # the first one is up when the second one starts
        app.kill("jobs/1")
        app.kill("jobs/2")
        await at_rest()
        assert isinstance(met[2], WouldDeadlock)  # both are down, and start one after the other
        assert met[3] in ("1", "2")


async def test_a_call_to_a_pool_whose_last_worker_is_about_to_end_would_deadlock_in_a_start_that_this_one_waits_for() -> None:
    met: list[Any] = []

    @asynccontextmanager
    async def worker(jobs: Address[Any], spared: list[int]) -> AsyncGenerator[Worker]:
        async with asks(met, jobs, spared):
            try:
                yield Worker()
            finally:
                await anyio.sleep(1)

    jobs = pool(worker, ref("jobs"), [0, 0], size=2, name="jobs", intensity=UNLIMITED)
    async with Supervisor("app", jobs) as app:
        address: Address[Worker] = app.find("jobs")
        await address.send(Worker.crash)
        await anyio.sleep(0.5)
        await address.send(Worker.crash)
        await anyio.sleep(10)  # the second one is in its exit hook while the first one starts
        assert isinstance(met[0], WouldDeadlock)


async def test_a_call_to_ones_own_pool_in_a_start_would_deadlock_once_all_others_have_to_leave() -> None:
    met: list[Any] = []

    @asynccontextmanager
    async def worker(jobs: Address[Any], spared: list[int]) -> AsyncGenerator[Worker]:
        async with asks(met, jobs, spared):
            yield Worker()

    async with Supervisor("app", pool(worker, ref("jobs"), [0, 0], size=2, name="jobs", intensity=UNLIMITED)) as app:
        jobs: Address[Worker] = app.find("jobs")
        jobs.pause()
        app.kill("jobs/1")
        await at_rest()
        assert met == []  # the second one would answer
        with anyio.fail_after(1):
            await app.resize("jobs", 1)
        assert isinstance(met[0], WouldDeadlock)
        jobs.resume()
        assert await jobs.call(Worker.name) == "1"


async def test_a_call_to_an_elder_that_is_about_to_end_would_deadlock_too() -> None:
    met: list[Any] = []

    @asynccontextmanager
    async def elder() -> AsyncGenerator[Worker]:
        try:
            yield Worker()
        finally:
            await anyio.sleep(1)

    asker = child(asks, met, ref("elder"), [0], name="asker")
    async with Supervisor("app", child(elder, name="elder"), asker, intensity=UNLIMITED) as app:
        await app.find("elder").send(Worker.crash)
        await at_rest()
        app.kill("asker")
        await anyio.sleep(10)
        assert isinstance(met[0], WouldDeadlock)
        assert "app/elder, which starts only after it" in str(met[0])


# -- places of concurrent handlers ---------------------------------------------------------------------------------------


async def test_a_message_that_waits_for_a_place_in_a_worker_holds_up_no_other_lane() -> None:
    log: list[int] = []
    async with Supervisor("app", pool(Worker, size=1, name="jobs", lanes=("urgent", "normal"))) as app:
        jobs: Address[Worker] = app.find("jobs")
        gate = Gate()
        for _ in range(2):
            await jobs.send(Worker.hold_beside, gate)
        await gate.reached.wait()
        await at_rest()
        await jobs.options(lane="urgent").send(Worker.note, log, 1)
        await anyio.sleep(1)
        assert log == [1]
        gate.open()


@pytest.mark.parametrize("full", [1, 2])
async def test_one_that_has_no_place_for_a_message_leaves_it_to_one_that_has(full: int) -> None:
    """Neither has a place for what comes first in the one lane, and one of them has one for what comes in the other."""
    async with Supervisor("app", pool(Worker, size=2, name="jobs", lanes=("urgent", "normal"))) as app:
        jobs: Address[Worker] = app.find("jobs")
        gate = Gate()
        for number in (1, 2):
            await app.find(f"jobs/{number}").send(Worker.hold_beside, gate)
        await app.find(f"jobs/{full}").send(Worker.also_beside, gate)
        await jobs.options(lane="urgent").send(Worker.hold_beside, gate)
        for _ in range(3):
            await at_rest()
            with anyio.fail_after(1):
                await jobs.call(Worker.also_beside, None)
        gate.open()
        await at_rest()
        assert jobs.account().handled == 7


# -- a worker that leaves alone ------------------------------------------------------------------------------------------


async def test_one_that_is_stopped_with_grace_handles_its_own_and_leaves_what_waits_in_the_pool() -> None:
    log: list[int] = []
    async with Supervisor("app", pool(Worker, size=2, name="jobs")) as app:
        jobs: Address[Worker] = app.find("jobs")
        alone: Address[Worker] = app.find("jobs/1")
        jobs.pause()
        for n in range(3):
            await jobs.send(Worker.note, log, n)
            alone.try_send(Worker.note, log, 10 + n)
        await alone.stop(grace=60)
        assert log == [10, 11, 12]
        jobs.resume()
        await anyio.sleep(1)
        assert sorted(log) == [0, 1, 2, 10, 11, 12]


@pytest.mark.parametrize("drain", [True, False])
async def test_one_that_leaves_as_its_pool_is_stopped_drains_as_that_does(drain: bool) -> None:
    log: list[int] = []
    async with Supervisor("app", pool(Worker, size=1, name="jobs", drain=drain)) as app, anyio.create_task_group() as group:
        jobs: Address[Worker] = app.find("jobs")
        gate = Gate()
        await jobs.send(Worker.hold, gate)
        await gate.reached.wait()
        for n in range(3):
            await jobs.send(Worker.note, log, n)
        group.start_soon(app.find("jobs/1").stop)
        await at_rest()
        group.start_soon(app.terminate_child, "jobs")
        await at_rest()
        gate.open()
    assert log == ([0, 1, 2] if drain else [])


# -- room ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("raises", ["key=", "queue="])
async def test_the_room_of_a_message_that_could_not_come_in_is_the_next_senders(raises: str) -> None:
    def key(message: Message) -> Any:
        if message.handler is Worker.bad:
            raise Boom("bad")

    class Queue(deque[Any]):
        def append(self, envelope: Any, /) -> None:
            if envelope[0] is Worker.bad:
                raise Boom("bad")
            super().append(envelope)

    jobs: Any = pool(Worker, size=1, name="jobs", key=key, capacity=1)
    if raises == "queue=":
        jobs = child(Worker, name="jobs", queue=Queue, capacity=1)
    of: dict[Any, Any] = {}
    log: list[int] = []
    async with Supervisor("app", jobs) as app, anyio.create_task_group() as group:
        address: Address[Worker] = app.find(jobs)
        outcomes = Outcomes(group)
        outcomes.of = of
        gate = Gate()
        await address.send(Worker.hold, gate)
        await gate.reached.wait()
        await address.send(Worker.note, log, 1)
        await outcomes.watch("bad", address.send(Worker.bad, log, 1))
        await outcomes.watch("good", address.send(Worker.note, log, 1))
        gate.open()
        await anyio.sleep(1)
        assert of.keys() == {"bad", "good"}
        assert isinstance(of["bad"], Boom)
        assert of["good"] is None


# -- redelivery ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("down", [False, True])
async def test_a_key_is_free_when_nobody_waits_any_more_for_what_is_to_be_tried_again_later(down: bool) -> None:
    """Its caller goes while the pool is up, or while it waits for an elder's start, to be started itself."""
    log: list[int] = []

    async def elder() -> Worker:
        await anyio.sleep(1)
        return Worker()

    paced = Redeliver(1, wait=wait_fixed(60))
    jobs = pool(Worker, size=1, name="jobs", key=lambda message: "key", redeliver=paced, intensity=UNLIMITED)
    async with Supervisor("app", child(elder, name="elder"), jobs, strategy="rest_for_one") as app:
        address: Address[Worker] = app.find(jobs)
        of: dict[Any, Any] = {}
        async with anyio.create_task_group() as group:
            outcomes = Outcomes(group)
            outcomes.of = of
            await outcomes.watch("poison", address.options(timeout=0.5).call(Worker.crash))
            if down:
                app.kill("elder")
        assert isinstance(of["poison"], TimeoutError)
        await address.send(Worker.note, log, 1)
        await anyio.sleep(2)
        assert log == [1]


# -- workers that are stopped by hand ------------------------------------------------------------------------------------


async def test_a_pool_whose_last_worker_was_stopped_and_forgotten_ends() -> None:
    async with Supervisor("app", pool(Worker, size=2, name="jobs", restart="temporary")) as app:
        address: Address[Worker] = app.find("jobs")
        for name in ("jobs/2", "jobs/1"):
            assert await address.call(Worker.name) in ("1", "2")
            await app.operator("ada").stop(name)
        with pytest.raises(MailboxClosed):
            await address.call(Worker.name)
        with pytest.raises(ChildNotFound):
            app.find("jobs")


async def test_a_permanent_one_whose_last_worker_was_deleted_comes_back_with_all_of_them() -> None:
    async with Supervisor("app", pool(Worker, size=2, name="jobs")) as app:
        for name in ("1", "2"):
            await app.supervisor("jobs").terminate_child(name)
            await app.supervisor("jobs").delete_child(name)
        assert await app.find("jobs").call(Worker.name) in ("1", "2")
        assert [line.id for line in app.supervisor("jobs").which_children()] == ["1", "2"]


# -- hostile keys --------------------------------------------------------------------------------------------------------


class Fickle:
    """A key that is equal to others like it, but for the times at which its equality raises."""

    asked: ClassVar[list[int]] = []
    """In how many questions it raises, from the end on."""

    def __hash__(self) -> int:
        return 1

    def __eq__(self, other: object) -> bool:
        if self.asked and not self.asked.pop():
            raise Boom("equality")
        return isinstance(other, Fickle)


@pytest.mark.parametrize("raises_at", range(12))
async def test_a_key_whose_equality_raises_now_and_then_holds_up_nothing(raises_at: int) -> None:
    log: list[int] = []
    async with Supervisor("app", pool(Worker, size=2, name="jobs", key=lambda message: Fickle())) as app:
        address: Address[Worker] = app.find("jobs")
        Fickle.asked[:] = [0, *[1] * raises_at]
        for n in range(4):
            await address.send(Worker.note, log, n)
        await anyio.sleep(1)
        Fickle.asked.clear()
        assert sorted(log) == [0, 1, 2, 3]
        await address.call(Worker.note, log, 4)


class Colour(enum.IntEnum):
    RED = 1


class Shape(enum.StrEnum):
    ROUND = "round"


@pytest.mark.parametrize(
    ("one", "other"), [(1, True), (1, 1.0), (1, Colour.RED), ("round", Shape.ROUND), ((1, "a"), (1.0, "a"))]
)
async def test_keys_that_are_equal_are_one_key(one: Any, other: Any) -> None:
    keys = [one, other, one, other]
    async with Supervisor("app", pool(Worker, size=4, name="jobs", key=lambda message: keys[message.args[1]])) as app:
        log: list[int] = []
        for n in range(4):
            await app.find("jobs").send(Worker.note, log, n)
        await anyio.sleep(0.15)
        assert log == [0]  # one after the other
        await anyio.sleep(0.35)
        assert log == [0, 1, 2, 3]


async def test_keys_are_not_kept_for_ever() -> None:
    async with Supervisor("app", pool(Worker, size=2, name="jobs", key=lambda message: (message.args[1], "key"))) as app:
        address: Address[Worker] = app.find("jobs")
        for n in range(20):
            await address.call(Worker.note, [], n)
        await at_rest()
        mailbox: Any = address._mailbox
        assert len(mailbox._known._known) <= 2  # what each worker had last


# -- workers that ignore their start -------------------------------------------------------------------------------------


class Choosy(Worker):
    """Ignores its start where that was said of it."""

    ignoring: ClassVar[set[str]] = set()

    def __init__(self) -> None:
        if current().name in self.ignoring:
            raise IgnoreStart(f"{current().name} isn't needed here")


@pytest.mark.parametrize("restart", ["permanent", "transient", "temporary"])
async def test_a_pool_all_of_whose_workers_ignore_their_start_is_ignored_as_an_actor_is(
    restart: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Choosy, "ignoring", {"1", "2"})
    jobs = pool(Choosy, size=2, name="jobs", restart=restart)
    async with Supervisor("app", jobs, child(Worker, name="other")) as app:
        assert await app.find("other").call(Worker.name) == "other"
        if restart == "temporary":
            with pytest.raises(ChildNotFound):
                app.find("jobs")
        else:
            with pytest.raises(ActorStopped):
                await app.find("jobs").call(Worker.name)
            assert [line.state.value for line in app.which_children()] == ["stopped", "running"]
            monkeypatch.setattr(Choosy, "ignoring", {"2"})
            assert await app.restart_child("jobs")
            assert await app.find("jobs").call(Worker.name) == "1"


async def test_a_pool_whose_last_worker_ignores_its_restart_is_ignored_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Choosy, "ignoring", {"2"})
    async with Supervisor("app", pool(Choosy, size=2, name="jobs"), intensity=UNLIMITED) as app:
        jobs: Address[Choosy] = app.find("jobs")
        assert await jobs.call(Worker.name) == "1"
        monkeypatch.setattr(Choosy, "ignoring", {"1", "2"})
        await jobs.send(Worker.crash)
        with pytest.raises(ActorStopped):
            await jobs.call(Worker.name)
        assert [line.state.value for line in app.which_children()] == ["stopped"]


async def test_a_pool_goes_on_where_its_workers_are_kept_down_by_somebody() -> None:
    of: dict[Any, Any] = {}
    async with Supervisor("app", pool(Worker, size=2, name="jobs")) as app, anyio.create_task_group() as group:
        outcomes = Outcomes(group)
        outcomes.of = of
        for name in ("1", "2"):
            await app.supervisor("jobs").terminate_child(name)
        await outcomes.watch("call", app.find("jobs").call(Worker.name))
        await anyio.sleep(1)
        assert not of
        await app.supervisor("jobs").restart_child("2")
        await at_rest()
        assert of == {"call": "2"}


# -- the object of a worker ----------------------------------------------------------------------------------------------


async def test_who_waits_for_the_object_of_a_worker_that_drains_its_pool_lets_others_run() -> None:
    """It answered each ping, and was asked again at once."""
    of: dict[Any, Any] = {}
    async with Supervisor("app", pool(Worker, size=1, name="jobs")) as app, anyio.create_task_group() as group:
        outcomes = Outcomes(group)
        outcomes.of = of
        jobs: Address[Worker] = app.find("jobs")
        first = await app.find("jobs/1").instance()
        gate = Gate()
        await jobs.send(Worker.hold_beside, gate)
        await gate.reached.wait()
        await outcomes.watch("stop", jobs.stop())
        await outcomes.watch("object", app.find("jobs/1").instance())
        await anyio.sleep(1)
        assert not of
        gate.open()
        await at_rest()
        assert isinstance(of["object"], Worker)
        assert of["object"] is not first
