"""A message that waits for a place among the handlers that run beside others waits in its lane.

Tested: SEMANTICS 59, its first half.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import anyio
import pytest

from supervise import (
    ActorStopped,
    Address,
    ExitKind,
    Intensity,
    Message,
    MessageDropped,
    Supervisor,
    Throttle,
    child,
    concurrent,
    current,
)
from supervise.testing.virtual_time import at_rest
from tests.doubles import ByNumber, Gate, Outcomes, Scribe, filled

pytestmark = pytest.mark.anyio
LANES = ("urgent", "normal")
OFTEN = Intensity(100)


class Worker(Scribe):
    @concurrent(limit=1)
    async def beside(self, name: str, gate: Gate) -> str:
        self.log.append(name)
        await gate.walk_through()
        return name

    @concurrent(limit=1)
    async def other(self, name: str) -> None:
        self.log.append(name)


async def occupy(worker: Address[Worker]) -> Gate:
    """Take the only place."""
    gate = Gate()
    await worker.send(Worker.beside, "first", gate)
    await gate.reached.wait()
    return gate


def opened() -> Gate:
    gate = Gate()
    gate.open()
    return gate


async def test_it_is_not_in_hand_and_blocks_its_own_lane_alone() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Worker, log, lanes=LANES)) as app:
        worker: Address[Worker] = app.find("worker")
        gate = await occupy(worker)
        await worker.send(Worker.beside, "second", opened())
        await worker.send(Worker.note, "behind")
        await at_rest()
        assert (worker.account().in_hand, worker.account().queued) == (1, 2)
        assert [message.args[0] for message in worker.peek()] == ["second", "behind"]
        with anyio.fail_after(0.1):
            await worker.options(lane="urgent").call(Worker.note, "urgent")
            await worker.options(lane="urgent").call(Worker.other, "another limit")
        assert log == ["first", "urgent", "another limit"]
        gate.open()
        await at_rest()
        assert sorted(log[3:]) == ["behind", "second"]  # it was begun first, and its task runs a turn later
        assert worker.account() == (5, 5, 0, 0, 0, 0, 0)


def most_urgent(waiting: Mapping[str, int]) -> str:
    return next(iter(waiting))


def is_beside(message: Message) -> bool:
    return message.handler is Worker.beside


@pytest.mark.parametrize("choice", ["strict", "fair", {"urgent": 5, "normal": 1}, most_urgent])
async def test_an_urgent_lane_that_is_held_up_lets_the_others_go_on(choice: Any) -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Worker, log, lanes=LANES, choice=choice)) as app:
        worker: Address[Worker] = app.find("worker")
        gate = await occupy(worker)
        await worker.options(lane="urgent").send(Worker.beside, "second", opened())
        for n in range(200):
            await worker.send(Worker.note, n)
        await at_rest()
        assert log == ["first", *range(200)]
        gate.open()
        await at_rest()
        assert log[-1] == "second"


async def test_control_goes_on() -> None:
    async with Supervisor("app", child(Worker)) as app:
        worker: Address[Worker] = app.find("worker")
        gate = await occupy(worker)
        await worker.send(Worker.beside, "second", opened())
        await at_rest()
        with anyio.fail_after(0.1):
            await worker.ping()
        worker.pause()
        gate.open()
        await at_rest()
        assert worker.account().queued == 1
        worker.resume()
        await at_rest()
        assert worker.account() == (2, 2, 0, 0, 0, 0, 0)


async def test_it_has_no_handler_deadline() -> None:
    async with Supervisor("app", child(Worker, handler_deadline=1)) as app:
        worker: Address[Worker] = app.find("worker")
        gate = await occupy(worker)
        await worker.send(Worker.beside, "second", opened())
        await anyio.sleep(100)
        gate.open()
        await at_rest()
        assert await worker.call(lambda _: current().incarnation) == 1
        assert worker.account().handled == 3


async def test_a_kill_keeps_it_for_the_next_life() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Worker, log)) as app:
        worker: Address[Worker] = app.find("worker")
        await occupy(worker)
        await worker.send(Worker.beside, "second", opened())
        await worker.send(Worker.note, "behind")
        await at_rest()
        worker.kill()
        await at_rest()
        assert sorted(log) == ["behind", "first", "second"]
        assert worker.account() == (3, 2, 0, 1, 0, 0, 0)


@pytest.mark.parametrize("redeliver", [0, 2])
async def test_a_crash_costs_it_no_try(redeliver: int) -> None:
    log: list[Any] = []
    described = child(Worker, log, redeliver=redeliver, lanes=LANES)
    async with Supervisor("app", described, intensity=OFTEN) as app, anyio.create_task_group() as group:
        worker = app.find(described)
        gate, outcomes = await occupy(worker), Outcomes(group)
        await outcomes.watch("second", worker.call(_attempt_beside, opened()))
        await worker.options(lane="urgent").send(Worker.crash)
        await at_rest()
        gate.open()
        await at_rest()
        assert outcomes.of == {"second": 1}
        assert worker.account().balanced


@concurrent(limit=1)
async def _attempt_beside(self: Worker, gate: Gate) -> int:
    return current().attempt


async def test_an_ordered_stop_makes_it_a_dead_letter_and_tells_its_caller() -> None:
    async with Supervisor("app", child(Worker)) as app, anyio.create_task_group() as group:
        worker: Address[Worker] = app.find("worker")
        gate, outcomes = await occupy(worker), Outcomes(group)
        await outcomes.watch("second", worker.call(Worker.beside, "second", opened()))
        group.start_soon(app.terminate_child, "worker")
        await at_rest()
        gate.open()
        await at_rest()
        assert isinstance(outcomes.of["second"], ActorStopped)
        assert worker.account() == (2, 1, 0, 1, 0, 0, 0)


@pytest.mark.parametrize("how", ["drain", "grace", "address"])
async def test_an_end_that_lets_what_waits_be_handled_waits_for_its_place(how: str) -> None:
    log: list[Any] = []
    options: Any = {"drain": how == "drain", "restart": "transient"}
    if how == "address":
        options["lifetime"] = "addresses"
    described = child(Worker, log, **options)
    async with Supervisor("app", described) as app, anyio.create_task_group() as group:
        worker = app.find(described)
        gate, outcomes = await occupy(worker), Outcomes(group)
        for name in ("second", "third"):
            await worker.send(Worker.beside, name, opened())
        await worker.send(Worker.note, "behind")
        if how == "drain":
            await outcomes.watch("end", app.terminate_child("worker"))
        elif how == "grace":
            await outcomes.watch("end", worker.stop(grace=math.inf))
        else:
            worker.close()
        await anyio.sleep(1)
        assert log == ["first"]
        gate.open()
        await anyio.sleep(1)
        assert sorted(log) == ["behind", "first", "second", "third"]
        assert worker.account() == (4, 4, 0, 0, 0, 0, 0)
        if how == "grace":
            assert outcomes.of["end"].kind is ExitKind.NORMAL


async def test_a_timers_message_waits_so_too_and_its_ticks_are_skipped_meanwhile() -> None:
    log: list[Any] = []

    def begin(_: Worker) -> None:
        current().every(1, Worker.other, "tick", id="tick")
        current().after(1, Worker.beside, "once", opened(), id="once")

    async with Supervisor("app", child(Worker, log)) as app:
        worker: Address[Worker] = app.find("worker")
        gate = await occupy(worker)
        await worker.send(begin)
        await anyio.sleep(5.5)  # one of them is first, and the other one waits behind it
        assert worker.account().queued == 2
        gate.open()
        await at_rest()
        assert sorted(log) == ["first", "once", "tick", "tick"]  # one was before it
        await anyio.sleep(1)
        assert log.count("tick") == 3
        assert worker.account().balanced


async def test_a_timer_that_is_cancelled_takes_its_waiting_message_along() -> None:
    log: list[Any] = []

    def begin(_: Worker) -> None:
        current().after(1, Worker.beside, "once", opened(), id="once")

    async with Supervisor("app", child(Worker, log, lanes=LANES)) as app:
        worker: Address[Worker] = app.find("worker")
        gate = await occupy(worker)
        await worker.send(begin)
        await anyio.sleep(2)
        assert await worker.options(lane="urgent").call(lambda _: current().timers.cancel("once")) is True
        gate.open()
        await at_rest()
        assert log == ["first"]
        assert worker.account().abandoned == 1
        assert worker.account().balanced


async def test_what_a_stream_brings_waits_so_too_and_the_next_item_stays_in_the_stream() -> None:
    log: list[Any] = []
    gate = Gate()
    async with filled([gate, "b", "c"]) as stream, Supervisor("app", child(Worker, log)) as app:
        worker: Address[Worker] = app.find("worker")
        await worker.send(lambda _: current().read(stream, _read_beside) and None)
        await at_rest()
        assert (worker.account().in_hand, worker.account().queued) == (1, 1)
        assert stream.statistics().current_buffer_used == 1
        gate.open()
        await at_rest()
        assert log == [gate, "b", "c"]
        assert worker.account().balanced


@concurrent(limit=1)
async def _read_beside(self: Worker, item: Any) -> None:
    self.log.append(item)
    if isinstance(item, Gate):
        await item.walk_through()


@pytest.mark.parametrize("remove", ["drop", "take", "caller", "deadline", "drop_oldest", "crowd"])
async def test_when_it_goes_the_next_one_does_not_wait_for_its_place(remove: str) -> None:
    log: list[Any] = []
    overflow: Any = "drop_oldest" if remove == "drop_oldest" else "wait"
    described = child(Worker, log, capacity=2, overflow=overflow)
    async with Supervisor("app", described) as app, anyio.create_task_group() as group:
        worker = app.find(described)
        gate, outcomes, scope = await occupy(worker), Outcomes(group), anyio.CancelScope()

        async def call() -> None:
            with scope:
                await worker.options(timeout=1 if remove == "deadline" else None).call(Worker.beside, "second", opened())

        await outcomes.watch("second", call())
        await outcomes.watch("behind", worker.send(Worker.note, "behind"))
        assert log == ["first"]
        if remove in ("drop", "take"):
            getattr(worker, remove)(is_beside)
        elif remove == "caller":
            scope.cancel()
        elif remove == "deadline":
            await anyio.sleep(1)
        elif remove == "drop_oldest":
            await worker.send(Worker.note, "newer")
        await at_rest()
        if remove == "crowd":  # nothing was removed
            assert log == ["first"]
        else:
            assert log[:2] == ["first", "behind"]
        gate.open()
        await at_rest()
        assert worker.account().balanced
        assert worker._mailbox.given_up == 0
        if remove in ("drop", "take", "drop_oldest"):
            assert isinstance(outcomes.of["second"], MessageDropped)


async def test_it_costs_its_throttle_nothing_as_long_as_it_waits() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Worker, log, lanes=LANES, throttle=Throttle(rate=1, burst=3))) as app:
        worker: Address[Worker] = app.find("worker")
        gate = await occupy(worker)
        await worker.send(Worker.beside, "second", opened())
        await at_rest()
        urgent = worker.options(lane="urgent")
        begun = anyio.current_time()
        await urgent.call(Worker.note, "a")
        await urgent.call(Worker.note, "b")
        assert anyio.current_time() == begun  # two of the three tokens are left
        gate.open()
        await anyio.sleep(1)
        await at_rest()
        assert log == ["first", "a", "b", "second"]


@pytest.mark.parametrize("queue", [ByNumber])
async def test_a_queue_of_ones_own_gets_it_back_as_its_first(queue: Any) -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Worker, log, queue=queue)) as app:
        worker: Address[Worker] = app.find("worker")
        gate = await occupy(worker)
        await worker.send(Worker.beside, "second", opened())
        await worker.send(Worker.note, "behind")
        await at_rest()
        assert len(worker) == 2
        gate.open()
        await at_rest()
        assert sorted(log) == ["behind", "first", "second"]
        assert worker.account().balanced


class NoWayBack(ByNumber):
    def appendleft(self, envelope: Any, /) -> None:
        raise OSError("no way back")


async def test_a_queue_that_does_not_take_it_back_crashes_the_actor_and_its_caller_is_told() -> None:
    async with Supervisor("app", child(Worker, queue=NoWayBack)) as app, anyio.create_task_group() as group:
        worker: Address[Worker] = app.find("worker")
        await occupy(worker)
        outcomes = Outcomes(group)
        await outcomes.watch("second", worker.call(Worker.beside, "second", opened()))
        await at_rest()
        assert "no way back" in str(outcomes.of["second"])
        assert worker.account().in_hand == 0
        assert worker.account().balanced
