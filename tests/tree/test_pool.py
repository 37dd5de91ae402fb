"""`pool(Worker, size=4)`: one address, n workers, one mailbox.

Tested: SEMANTICS 77 (bound when an idle worker takes it; keys; redelivery; workers that are spent leave; sizes change).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from tenacity import stop_after_attempt, wait_fixed

from supervise import (
    ActorCrashed,
    ActorRestarting,
    ActorStopped,
    Address,
    CallCycle,
    ChildNotFound,
    DynamicSupervisor,
    GaveUp,
    Intensity,
    InvalidSpec,
    MailboxClosed,
    MailboxFull,
    Message,
    Pool,
    Redeliver,
    Restart,
    StartFailed,
    Supervisor,
    Throttle,
    Undelivered,
    child,
    concurrent,
    current,
    pool,
    ref,
)
from supervise.events import Decided, Event, Stopped
from supervise.testing.virtual_time import at_rest
from tests.doubles import Boom, Gate, Outcomes

pytestmark = pytest.mark.anyio

UNLIMITED = Intensity(1_000_000, per=1)
PACED = Restart.permanent(wait=wait_fixed(10))


class Worker:
    def __init__(self, log: list[Any] | None = None) -> None:
        self.log: list[Any] = [] if log is None else log

    async def job(self, n: int, seconds: float = 1.0) -> int:
        self.log.append((anyio.current_time(), current().name, n))
        await anyio.sleep(seconds)
        return n

    async def note(self, key: str, n: int) -> None:
        await anyio.sleep(0.1)
        self.log.append((key, n))

    async def hold(self, gate: Gate) -> str:
        await gate.walk_through()
        return current().name

    async def crash(self, text: str = "poison") -> None:
        raise Boom(text)

    async def poison(self, key: str, times: list[int]) -> str:
        times.append(current().attempt)
        raise Boom("poison")

    async def crash_once(self, times: list[int]) -> str:
        times.append(current().attempt)
        if len(times) == 1:
            raise Boom("once")
        return current().name

    def name(self) -> str:
        return current().name

    async def done(self) -> None:
        current().stop()

    async def publish(self, event: str) -> None:
        current().publish(event)

    @concurrent(limit=2)
    async def beside(self, seconds: float) -> str:
        await anyio.sleep(seconds)
        return current().name


def by_first(message: Message) -> Any:
    return message.args[0] if message.args else None


async def seconds_for(jobs: Address[Worker], times: int, seconds: float = 1.0) -> float:
    begun = anyio.current_time()
    async with anyio.create_task_group() as group:
        for n in range(times):
            group.start_soon(jobs.recipient(Worker.job).call, n, seconds)
    return anyio.current_time() - begun


# -- one address, n workers ----------------------------------------------------------------------------------------------


async def test_as_many_messages_are_in_hand_as_there_are_workers() -> None:
    jobs = pool(Worker, size=4, name="jobs")
    async with Supervisor("app", jobs) as app:
        assert await seconds_for(app.find(jobs), 20) == pytest.approx(5.0)
        assert app.account() == app.find(jobs).account()
        assert app.account().handled == 20


async def test_they_are_taken_in_the_order_in_which_they_came() -> None:
    log: list[Any] = []
    jobs = pool(Worker, log, size=3)
    async with Supervisor("app", jobs) as app:
        for n in range(9):
            await app.find(jobs).send(Worker.job, n)
        await anyio.sleep(10)
    assert [n for _, _, n in log] == [*range(9)]
    assert len({name for _, name, _ in log}) == 3


async def test_a_worker_that_waits_for_its_restart_holds_nothing_up() -> None:
    jobs = pool(Worker, size=2, restart=PACED)
    async with Supervisor("app", jobs) as app:
        address = app.find(jobs)
        with pytest.raises(ActorCrashed):
            await address.call(Worker.crash)
        assert await seconds_for(address, 5) == pytest.approx(5.0)  # the other one handles them all
        await anyio.sleep(10)
        assert await seconds_for(address, 4) == pytest.approx(2.0)  # both again


async def test_while_none_is_up_messages_are_kept() -> None:
    jobs = pool(Worker, size=2, restart=PACED)
    async with Supervisor("app", jobs) as app:
        address = app.find(jobs)
        for _ in range(2):
            await address.send(Worker.crash)
        await at_rest()
        with pytest.raises(ActorRestarting):
            await address.options(on_restart="fail").call(Worker.name)
        begun = anyio.current_time()
        assert await address.call(Worker.name) in ("1", "2")
        assert anyio.current_time() - begun == pytest.approx(10)


async def test_calls_that_do_not_wait_for_a_restart_fail_when_the_last_worker_goes_down() -> None:
    jobs = pool(Worker, size=2, restart=PACED)
    of: dict[Any, Any] = {}
    async with Supervisor("app", jobs) as app:
        address = app.find(jobs)
        gates = [Gate(), Gate()]
        for gate in gates:
            await address.send(Worker.hold, gate)
            await gate.reached.wait()
        async with anyio.create_task_group() as group:
            outcomes = Outcomes(group)
            outcomes.of = of
            await outcomes.watch("fails", address.options(on_restart="fail").call(Worker.name))
            app.kill("worker/1")
            await at_rest()
            assert not of  # the other one may still take it
            app.kill("worker/2")
            await at_rest()
            assert isinstance(of["fails"], ActorRestarting)


async def test_find_ref_and_paths_lead_to_it() -> None:
    class Asker:
        def __init__(self, jobs: Address[Worker]) -> None:
            self.jobs = jobs

        async def ask(self) -> int:
            return await self.jobs.call(Worker.job, 7)

    jobs = pool(Worker, name="jobs")
    async with Supervisor("app", jobs, child(Asker, ref(jobs))) as app:
        assert await app.find("asker").call(Asker.ask) == 7
        assert app.find("jobs") == app.find(jobs)
        assert await app.find("jobs/3").call(Worker.name) == "3"
        assert [line.id for line in app.supervisor(jobs).which_children()] == ["1", "2", "3", "4"]


async def test_a_worker_reached_by_its_own_address_handles_that_first() -> None:
    jobs = pool(Worker, size=2)
    async with Supervisor("app", jobs) as app:
        gates = [Gate(), Gate()]
        for gate in gates:
            await app.find(jobs).send(Worker.hold, gate)
        of: dict[Any, Any] = {}
        async with anyio.create_task_group() as group:
            outcomes = Outcomes(group)
            outcomes.of = of
            await outcomes.watch("pool", app.find(jobs).call(Worker.name))
            await outcomes.watch("own", app.find("worker/1").call(Worker.name))
            gates[0].open()
            gates[1].open()
            await at_rest()
        assert of["own"] == "1"
        assert app.account().balanced
        assert app.find("worker/1").account().balanced


async def test_it_starts_at_run_time_and_as_a_template() -> None:
    jobs = pool(Worker, size=2, name="jobs")
    async with DynamicSupervisor("app") as app:
        first = await app.start_child(jobs)
        second = await app.start_child(jobs)
        assert (first.path, second.path) == ("app/jobs", "app/jobs-2")
        assert await first.call(Worker.job, 1) == 1
        await app.terminate_child(first)
        with pytest.raises(MailboxClosed):
            await first.call(Worker.name)
        assert await second.call(Worker.job, 1) == 1


async def test_a_worker_that_does_not_start_fails_the_start() -> None:
    def broken() -> Worker:
        raise Boom("no database")

    with pytest.raises(StartFailed, match="no database"):
        async with Supervisor("app", pool(broken, size=2, name="jobs")):
            pass


class Caller:
    async def again(self, depth: int) -> str:
        if depth == 0:
            return "end"
        again: str = await current().find("caller").call(Caller.again, depth - 1)
        return again

    def crash(self) -> None:
        raise Boom("caller")

    async def through(self) -> str:
        back: str = await current().find("other").call(Other.back)
        return back


class Crossing:
    """Calls another pool when all are at work, so that nobody is left there."""

    def __init__(self, outcomes: list[str]) -> None:
        self.outcomes = outcomes

    async def cross(self, other: str, gate: Gate) -> None:
        await gate.walk_through()
        there: Address[Crossing] = current().find(other)
        try:
            await there.call(Crossing.answer)
        except CallCycle:
            self.outcomes.append("cycle")
        else:
            self.outcomes.append("answered")

    def answer(self) -> None:
        """It is there."""


class Other:
    async def back(self) -> str:
        return await self.ask(Caller.again, 0)

    async def around(self) -> str:
        return await self.ask(Caller.through)

    async def ask(self, handler: Callable[..., Any], *args: Any) -> str:
        callers: Address[Caller] = current().find("caller")
        answer: str = await callers.call(handler, *args)
        return answer


async def test_calls_through_a_pool_are_no_cycle_while_another_worker_may_answer() -> None:
    callers = pool(Caller, size=3, name="caller")
    async with Supervisor("app", callers, child(Other)) as app:
        assert await app.find(callers).call(Caller.again, 2) == "end"
        assert await app.find(callers).call(Caller.through) == "end"


async def test_a_call_back_to_who_waits_for_the_worker_is_a_cycle() -> None:
    callers = pool(Caller, size=3, name="caller", expects=(CallCycle,))
    async with Supervisor("app", callers, child(Other, expects=(CallCycle,))) as app:
        with pytest.raises(CallCycle) as met:
            await app.find("other").call(Other.around)
        assert met.value.cycle == ("app/caller/1", "app/other", "app/caller", "app/caller/1")


async def test_a_call_to_the_pool_by_the_last_worker_that_could_answer_is_a_cycle() -> None:
    callers = pool(Caller, size=3, name="caller", expects=(CallCycle,))
    async with Supervisor("app", callers, child(Other, expects=(CallCycle,))) as app:
        assert await app.find(callers).call(Caller.again, 2) == "end"
        with pytest.raises(CallCycle) as met:
            await app.find(callers).call(Caller.again, 3)
        last, between, first = met.value.cycle
        assert (first, between) == (last, "app/caller")
        assert await app.find(callers).call(Caller.through) == "end"


async def test_a_call_through_an_actor_to_a_pool_of_one_is_a_cycle() -> None:
    callers = pool(Caller, size=1, name="caller", expects=(CallCycle,))
    async with Supervisor("app", callers, child(Other, expects=(CallCycle,))) as app:
        with pytest.raises(CallCycle) as met:
            await app.find(callers).call(Caller.through)
        assert met.value.cycle == ("app/other", "app/caller", "app/caller/1", "app/other")


async def test_a_worker_that_comes_back_from_its_backoff_may_answer() -> None:
    callers = pool(Caller, size=2, name="caller", expects=(CallCycle,), restart=Restart.permanent(wait=wait_fixed(5)))
    async with Supervisor("app", callers) as app:
        await app.find("caller/2").send(Caller.crash)
        await at_rest()
        begun = anyio.current_time()
        assert await app.find(callers).call(Caller.again, 1) == "end"
        assert anyio.current_time() - begun == pytest.approx(5)


async def test_two_pools_of_which_each_waits_for_the_other_are_a_cycle() -> None:
    outcomes: list[str] = []
    pools = [pool(Crossing, outcomes, size=2, name=name, expects=(CallCycle,)) for name in ("left", "right")]
    async with Supervisor("app", *pools) as app:
        gate = Gate()

        async def cross(name: str, other: str) -> None:
            await app.find(name).call(Crossing.cross, other, gate)

        async with anyio.create_task_group() as group:
            for name, other in (("left", "right"), ("left", "right"), ("right", "left"), ("right", "left")):
                group.start_soon(cross, name, other)
            await at_rest()
            gate.open()
        assert sorted(outcomes) == ["answered", "answered", "answered", "cycle"]


# -- keys ----------------------------------------------------------------------------------------------------------------


async def test_messages_of_one_key_are_handled_one_after_the_other_in_their_order() -> None:
    log: list[Any] = []
    jobs = pool(Worker, log, size=4, key=by_first)
    async with Supervisor("app", jobs) as app:
        for n in range(30):
            await app.find(jobs).send(Worker.note, "abc"[n % 3], n)
        await anyio.sleep(1.05)
    assert len(log) == 30  # three at a time, so it took a second
    for key in "abc":
        ns = [n for k, n in log if k == key]
        assert ns == sorted(ns)


async def test_a_busy_key_holds_up_no_other_key() -> None:
    jobs = pool(Worker, size=2, key=by_first)
    async with Supervisor("app", jobs) as app:
        address = app.find(jobs)
        gate = Gate()
        await address.send(Worker.hold, gate)
        for _ in range(10):
            await address.send(Worker.hold, gate)  # the same key: all of them wait
        await gate.reached.wait()
        assert await seconds_for(address, 3) == pytest.approx(3.0)
        assert len(address) == 10
        gate.open()
        await at_rest()
        assert len(address) == 0


async def test_none_is_no_key() -> None:
    jobs = pool(Worker, size=4, key=lambda message: None)
    async with Supervisor("app", jobs) as app:
        assert await seconds_for(app.find(jobs), 8) == pytest.approx(2.0)


async def test_a_key_is_free_at_once_when_its_message_is_lost_with_a_life() -> None:
    jobs = pool(Worker, size=2, key=by_first, restart=PACED)
    async with Supervisor("app", jobs) as app:
        address = app.find(jobs)
        await address.send(Worker.poison, "a", [])
        begun = anyio.current_time()
        await address.call(Worker.note, "a", 1)
        assert anyio.current_time() - begun < 1


async def test_a_key_is_free_when_its_caller_has_gone() -> None:
    jobs = pool(Worker, size=2, key=by_first)
    async with Supervisor("app", jobs) as app:
        address = app.find(jobs)
        gate = Gate()
        await address.send(Worker.hold, gate)
        await gate.reached.wait()
        with pytest.raises(TimeoutError):
            await address.options(timeout=1).call(Worker.hold, gate)
        gate.open()
        await at_rest()
        assert await address.call(Worker.hold, gate) in ("1", "2")


def the_sixth(message: Message) -> Any:
    return message.args[5]


def a_list(message: Message) -> Any:
    return [message]


@pytest.mark.parametrize("wrong", [the_sixth, a_list])
async def test_what_the_key_raises_is_raised_at_the_sender_and_nothing_was_accepted(wrong: Any) -> None:
    jobs = pool(Worker, size=2, key=wrong, name="jobs")
    async with Supervisor("app", jobs) as app:
        with pytest.raises((IndexError, TypeError)) as raised:
            await app.find(jobs).send(Worker.job, 1)
        assert "key= of pool app/jobs" in raised.value.__notes__[0]
        with pytest.raises((IndexError, TypeError)):
            await app.find(jobs).call(Worker.job, 1)
        assert app.account().accepted == 0


# -- redelivery ----------------------------------------------------------------------------------------------------------


async def test_what_was_in_hand_is_tried_again_by_whoever_is_idle() -> None:
    jobs = pool(Worker, size=2, restart=PACED, redeliver=1)
    async with Supervisor("app", jobs) as app:
        times: list[int] = []
        begun = anyio.current_time()
        assert await app.find(jobs).call(Worker.crash_once, times) == "2"
        assert anyio.current_time() - begun < 1
        assert times == [1, 2]


async def test_a_poison_message_is_one_dead_letter_in_the_end() -> None:
    dead: list[Undelivered] = []
    jobs = pool(Worker, size=2, redeliver=3, on_dead_letter=dead.append, intensity=UNLIMITED)
    async with Supervisor("app", jobs) as app:
        times: list[int] = []
        await app.find(jobs).send(Worker.poison, "a", times)
        await at_rest()
        assert times == [1, 2, 3, 4]
        assert [(letter.message.handler, letter.attempts) for letter in dead] == [(Worker.poison, 4)]
        assert app.account().balanced


async def test_a_wait_before_the_next_try_holds_up_its_key_alone() -> None:
    log: list[Any] = []
    jobs = pool(Worker, log, size=2, key=by_first, redeliver=Redeliver(1, wait=wait_fixed(60)), intensity=UNLIMITED)
    async with Supervisor("app", jobs) as app:
        address = app.find(jobs)
        times: list[int] = []
        await address.send(Worker.poison, "a", times)
        await address.send(Worker.note, "a", 1)
        await address.send(Worker.note, "b", 1)
        await anyio.sleep(1)
        assert log == [("b", 1)]
        await anyio.sleep(60)
        assert times == [1, 2]
        assert log == [("b", 1), ("a", 1)]


async def test_without_keys_a_wait_before_the_next_try_holds_up_nothing() -> None:
    log: list[Any] = []
    jobs = pool(Worker, log, size=2, redeliver=Redeliver(1, wait=wait_fixed(60)), intensity=UNLIMITED)
    async with Supervisor("app", jobs) as app:
        times: list[int] = []
        await app.find(jobs).send(Worker.poison, "a", times)
        for n in range(3):
            await app.find(jobs).call(Worker.note, "b", n)
        assert times == [1]
        await anyio.sleep(60)
        assert times == [1, 2]


async def test_what_is_to_be_tried_again_does_not_wait_in_a_drain() -> None:
    times: list[int] = []
    jobs = pool(Worker, size=2, redeliver=Redeliver(1, wait=wait_fixed(60)), drain=True, intensity=UNLIMITED)
    async with Supervisor("app", jobs) as app:
        await app.find(jobs).send(Worker.crash_once, times)
        await at_rest()
        assert times == [1]
    assert times == [1, 2]


# -- workers that leave --------------------------------------------------------------------------------------------------


async def crash_them(address: Address[Worker], times: int) -> None:
    for n in range(times):
        with contextlib.suppress(ActorCrashed, ActorStopped):
            await address.call(Worker.crash, f"crash {n}")
        await at_rest()


async def test_a_worker_that_is_spent_leaves_and_the_others_go_on() -> None:
    jobs = pool(Worker, size=2, limit=Intensity(0, per=60), name="jobs")
    async with Supervisor("app", jobs) as app:
        address = app.find(jobs)
        await crash_them(address, 1)
        assert await seconds_for(address, 2) == pytest.approx(2.0)
        assert [line.state.value for line in app.supervisor(jobs).which_children()].count("stopped") == 1
        await app.operator("ada").restart("jobs/1")
        assert await seconds_for(address, 2) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "how",
    [{"limit": Intensity(0, per=60)}, {"quarantine": 1}, {"restart": Restart.permanent(stop=stop_after_attempt(1))}],
)
async def test_the_last_one_ends_the_pool_which_is_left_stopped(how: Any) -> None:
    events: list[Event] = []
    jobs = pool(Worker, size=2, name="jobs", **how)
    async with Supervisor("app", jobs, child(Worker, name="sibling"), listener=events.append) as app:
        address = app.find(jobs)
        await crash_them(address, 2)
        with pytest.raises(ActorStopped):
            await address.call(Worker.name)
        assert app.get_childspec("jobs").state.value == "stopped"
        assert await app.find("sibling").call(Worker.name) == "sibling"
        await app.restart_child("jobs")
        assert await address.call(Worker.job, 1) == 1
    assert not any(isinstance(event, Stopped) and event.path == "app/sibling" and event.reason.abnormal for event in events)


async def test_with_escalate_the_last_one_makes_the_supervisor_give_up() -> None:
    jobs = pool(Worker, size=2, limit=Intensity(0, per=60), on_limit="escalate")
    with pytest.raises(GaveUp):
        async with Supervisor("app", jobs) as app:
            await crash_them(app.find(jobs), 2)
            await anyio.sleep(1)


async def test_when_the_last_transient_one_has_done_its_work_the_pool_has_finished() -> None:
    jobs = pool(Worker, size=2, restart="transient")
    async with Supervisor("app", jobs) as app:
        address = app.find(jobs)
        await address.send(Worker.done)
        await at_rest()
        assert await address.call(Worker.job, 1) == 1
        await address.send(Worker.done)
        await at_rest()
        assert app.get_childspec("worker").finished


async def test_when_the_last_temporary_one_has_crashed_the_pool_is_forgotten() -> None:
    jobs = pool(Worker, size=2, restart="temporary")
    async with Supervisor("app", jobs) as app:
        address = app.find(jobs)
        await crash_them(address, 2)
        with pytest.raises(MailboxClosed):
            await address.call(Worker.name)
        with pytest.raises(ChildNotFound):
            app.find(jobs)


async def test_with_too_many_restarts_the_pool_is_restarted_and_what_waits_stays() -> None:
    decided: list[Decided] = []
    jobs = pool(Worker, size=2, intensity=Intensity(1, per=60), name="jobs")

    def note(event: Event) -> None:
        if isinstance(event, Decided):
            decided.append(event)

    async with Supervisor("app", jobs, listener=note) as app:
        address = app.find(jobs)
        gate = Gate()
        await address.send(Worker.crash)
        await address.send(Worker.crash)
        for n in range(5):
            await address.send(Worker.job, n)
        await anyio.sleep(10)
        gate.open()
        assert address.account().handled == 5
        assert [event.path for event in decided][-1] == "app/jobs"
        assert await address.call(Worker.job, 1) == 1


async def test_what_a_crash_of_a_worker_would_cause_is_explained() -> None:
    jobs = pool(Worker, size=1, name="jobs", limit=Intensity(0, per=60))
    async with Supervisor("app", jobs) as app:
        told = str(app.explain("jobs/1"))
        assert "it was the last of its pool" in told
        assert "the last of its workers is restarted no more" in told
        decisions = [each.decision for each in app.explain("jobs/1").chain]
        assert [decision and decision.action.value for decision in decisions] == ["shut_down", "leave"]
        await crash_them(app.find(jobs), 1)
        assert app.get_childspec("jobs").state.value == "stopped"


# -- sizes ---------------------------------------------------------------------------------------------------------------


async def test_more_workers_take_what_waits() -> None:
    jobs = pool(Worker, size=1)
    async with Supervisor("app", jobs) as app:
        address = app.find(jobs)
        for n in range(8):
            await address.send(Worker.job, n)
        await app.resize(jobs, 4)
        await anyio.sleep(2.5)
        assert address.account().handled == 8


async def test_fewer_workers_finish_what_they_have_in_hand() -> None:
    log: list[Any] = []
    jobs = pool(Worker, log, size=4)
    async with Supervisor("app", jobs) as app:
        address = app.find(jobs)
        for n in range(8):
            await address.send(Worker.job, n)
        await at_rest()
        await app.resize("worker", 1)
        assert anyio.current_time() == pytest.approx(1.0, abs=0.1)
        await anyio.sleep(5)
        assert address.account().handled == 8
        assert [line.id for line in app.supervisor(jobs).which_children()] == ["1"]
        assert app.account().balanced


async def test_a_pool_keeps_its_size_over_its_restarts() -> None:
    jobs = pool(Worker, size=2)
    async with Supervisor("app", jobs) as app:
        await app.operator("ada").resize(jobs, 5)
        await app.operator("ada").restart(jobs)
        assert await seconds_for(app.find(jobs), 10) == pytest.approx(2.0)
        await app.operator("ada").stop(jobs)
        await app.resize(jobs, 3)
        await app.operator("ada").start(jobs)
        assert await seconds_for(app.find(jobs), 6) == pytest.approx(2.0)


async def test_resized_by_several_at_once_the_last_word_counts() -> None:
    jobs = pool(Worker, size=2)
    async with Supervisor("app", jobs) as app:
        gate = Gate()
        for _ in range(2):
            await app.find(jobs).send(Worker.hold, gate)
        await gate.reached.wait()
        async with anyio.create_task_group() as group:
            outcomes = Outcomes(group)
            for size in (6, 1, 4, 3):
                await outcomes.watch(size, app.resize(jobs, size))
            gate.open()
        assert len(app.supervisor(jobs).which_children()) == 3
        assert await seconds_for(app.find(jobs), 3) == pytest.approx(1.0)


async def test_a_worker_that_is_removed_takes_back_nothing_that_others_may_do() -> None:
    """What it had in hand longer than its time is redelivered to another one."""
    jobs = pool(Worker, size=2, redeliver=1, stop_within=1)
    async with Supervisor("app", jobs) as app:
        times: list[Any] = []

        async def slow(worker: Worker) -> str:
            times.append(current().name)
            if len(times) < 3:
                await anyio.sleep_forever()
            return "done"

        of: dict[Any, Any] = {}
        async with anyio.create_task_group() as group:
            outcomes = Outcomes(group)
            outcomes.of = of
            await outcomes.watch("one", app.find(jobs).call(slow))
            await outcomes.watch("two", app.find(jobs).call(slow))
            await app.resize(jobs, 1)
            await at_rest()
            assert times == ["1", "2"]
            app.kill("worker/1")
            await anyio.sleep(1)
            assert of == {"one": "done", "two": "done"}


@pytest.mark.parametrize("size", [0, -1, 1.5, "4", True, None])
async def test_a_size_that_is_none_is_refused(size: Any) -> None:
    with pytest.raises(InvalidSpec, match=r"size.*a whole number"):
        pool(Worker, size=size)
    jobs = pool(Worker)
    async with Supervisor("app", jobs, child(Worker, name="actor")) as app:
        with pytest.raises(InvalidSpec, match=r"size.*a whole number"):
            await app.resize(jobs, size)
        with pytest.raises(InvalidSpec, match="that is no pool"):
            await app.resize("actor", 2)


@pytest.mark.parametrize(
    ("option", "value", "text"),
    [
        ("key", 3, "function of one Message"),
        ("lifetime", "addresses", "lives by its supervisor"),
        ("queue", list, "queue of its own"),
        ("nonsense", 1, "no such option"),
    ],
)
async def test_what_a_pool_can_not_be_is_refused_when_it_is_described(option: str, value: Any, text: str) -> None:
    with pytest.raises(InvalidSpec, match=text):
        pool(Worker, **{option: value})


async def test_a_worker_that_is_stopped_by_hand_leaves_what_waits_to_the_others() -> None:
    jobs = pool(Worker, size=2, drain=True)
    async with Supervisor("app", jobs) as app:
        for n in range(10):
            await app.find(jobs).send(Worker.job, n)
        await at_rest()
        begun = anyio.current_time()
        await app.supervisor(jobs).terminate_child("2")
        assert anyio.current_time() - begun == pytest.approx(1.0)
        await anyio.sleep(8.5)
        assert app.find(jobs).account().handled == 10


# -- one mailbox ---------------------------------------------------------------------------------------------------------


async def test_pause_ping_and_resume_are_for_all_of_it() -> None:
    jobs = pool(Worker, size=2)
    async with Supervisor("app", jobs) as app:
        address = app.find(jobs)
        app.operator("ada").pause(jobs)
        for n in range(4):
            await address.send(Worker.job, n)
        await at_rest()
        assert len(address) == 4
        assert await address.ping() >= 0
        app.operator("ada").resume(jobs)
        await anyio.sleep(2.1)
        assert address.account().handled == 4


async def test_after_a_pause_all_workers_go_on_at_once() -> None:
    jobs = pool(Worker, size=4)
    async with Supervisor("app", jobs) as app:
        address = app.find(jobs)
        address.pause()
        for n in range(8):
            await address.send(Worker.job, n)
        await at_rest()
        address.resume()
        await anyio.sleep(2.1)
        assert address.account().handled == 8


async def test_a_pause_does_not_hold_up_a_stop_that_drains() -> None:
    jobs = pool(Worker, size=2, drain=True)
    async with Supervisor("app", jobs) as app:
        app.find(jobs).pause()
        for n in range(4):
            await app.find(jobs).send(Worker.job, n)
        await at_rest()
    assert app.account().handled == 4


async def test_one_that_was_killed_while_it_was_idle_is_not_waited_for() -> None:
    jobs = pool(Worker, size=2, restart=PACED)
    async with Supervisor("app", jobs) as app:
        app.kill("worker/1")
        await at_rest()
        assert await seconds_for(app.find(jobs), 2) == pytest.approx(2.0)


async def test_one_that_has_no_place_leaves_the_message_to_another() -> None:
    class Narrow(Worker):
        @concurrent(limit=1)
        async def walk(self, gate: Gate) -> str:
            await gate.walk_through()
            return current().name

    jobs = pool(Narrow, size=2)
    async with Supervisor("app", jobs) as app:
        address = app.find(jobs)
        gates = [Gate(), Gate(), Gate()]
        of: dict[Any, Any] = {}
        async with anyio.create_task_group() as group:
            outcomes = Outcomes(group)
            outcomes.of = of
            await outcomes.watch("first", address.call(Narrow.walk, gates[0]))
            await outcomes.watch("second", address.call(Narrow.walk, gates[1]))
            gates[1].open()
            await at_rest()
            await outcomes.watch("third", address.call(Narrow.walk, gates[2]))
            assert gates[2].reached.is_set()
            gates[2].open()
            gates[0].open()
        assert of["third"] == of["second"] != of["first"]


async def test_stop_with_grace_lets_them_handle_what_waits_and_a_permanent_pool_comes_back() -> None:
    jobs = pool(Worker, size=2)
    async with Supervisor("app", jobs) as app:
        address = app.find(jobs)
        for n in range(6):
            await address.send(Worker.job, n)
        of: dict[Any, Any] = {}
        async with anyio.create_task_group() as group:
            outcomes = Outcomes(group)
            outcomes.of = of
            await outcomes.watch("stop", address.stop(grace=10))
            with pytest.raises(ActorStopped):
                await address.send(Worker.job, 7)
            await anyio.sleep(4)
        assert of["stop"].kind.value == "normal"
        assert address.account().handled == 6
        assert await address.call(Worker.job, 1) == 1


async def test_kill_cancels_what_they_do() -> None:
    jobs = pool(Worker, size=2)
    async with Supervisor("app", jobs) as app:
        address = app.find(jobs)
        of: dict[Any, Any] = {}
        async with anyio.create_task_group() as group:
            outcomes = Outcomes(group)
            outcomes.of = of
            await outcomes.watch("held", address.call(Worker.job, 1, 100.0))
            address.kill()
            await at_rest()
        assert isinstance(of["held"], ActorStopped)
        assert await address.call(Worker.job, 2) == 2


@pytest.mark.parametrize("drain", [True, False])
async def test_the_trees_stop_drains_it_if_it_says_so(drain: bool) -> None:
    dead: list[Undelivered] = []
    jobs = pool(Worker, size=2, drain=drain, on_dead_letter=dead.append)
    async with Supervisor("app", jobs) as app:
        for n in range(6):
            await app.find(jobs).send(Worker.job, n)
        await at_rest()
    assert app.account().balanced
    assert len(dead) == (0 if drain else 4)
    assert app.account().handled == (6 if drain else 2)


async def test_all_workers_are_stopped_at_once() -> None:
    jobs, begun = pool(Worker, size=4), anyio.current_time()
    async with Supervisor("app", jobs) as app:
        for n in range(4):
            await app.find(jobs).send(Worker.job, n, 3.0)
        await at_rest()
    assert anyio.current_time() - begun == pytest.approx(3.0)


async def test_watch_tells_of_the_end_of_the_pool() -> None:
    jobs = pool(Worker, size=2)
    async with Supervisor("app", jobs) as app:
        of: dict[Any, Any] = {}
        async with anyio.create_task_group() as group:
            outcomes = Outcomes(group)
            outcomes.of = of
            await outcomes.watch("down", app.find(jobs).watch())
            await crash_them(app.find(jobs), 1)
            assert not of
            await app.terminate_child("worker")
        assert of["down"].path == "app/worker"


async def test_what_its_workers_publish_comes_from_its_address() -> None:
    jobs = pool(Worker, size=2)
    async with Supervisor("app", jobs) as app:
        async with app.find(jobs).subscribe(str) as events:
            await app.find(jobs).call(Worker.publish, "news")
            with anyio.fail_after(1):
                assert await anext(aiter(events)) == "news"


async def test_lanes_throttle_and_overflow_are_those_of_its_one_mailbox() -> None:
    log: list[Any] = []
    jobs = pool(Worker, log, size=1, lanes=("urgent", "normal"))
    async with Supervisor("app", jobs) as app:
        address = app.find(jobs)
        await address.send(Worker.job, 0)
        await at_rest()
        for n in range(1, 4):
            await address.send(Worker.job, n)
        await address.options(lane="urgent").send(Worker.job, 100)
        await anyio.sleep(10)
    assert [n for _, _, n in log] == [0, 100, 1, 2, 3]

    throttled = pool(Worker, size=4, throttle=Throttle(2, burst=1))
    async with Supervisor("app", throttled) as app:
        assert await seconds_for(app.find(throttled), 5) == pytest.approx(3.0)

    small = pool(Worker, size=1, capacity=2, overflow="reject")
    async with Supervisor("app", small) as app:
        address = app.find(small)
        gate = Gate()
        await address.send(Worker.hold, gate)
        await gate.reached.wait()
        await address.send(Worker.job, 1)
        await address.send(Worker.job, 2)
        with pytest.raises(MailboxFull):
            await address.send(Worker.job, 3)
        gate.open()

    dropping = pool(Worker, log, size=1, capacity=2, overflow="drop_oldest", key=by_first)
    log.clear()
    async with Supervisor("app", dropping) as app:
        address = app.find(dropping)
        gate = Gate()
        await address.send(Worker.hold, gate)
        await gate.reached.wait()
        for n in range(5):
            await address.send(Worker.job, n)
        gate.open()
        await anyio.sleep(5)
        assert [n for _, _, n in log] == [3, 4]
        assert app.account().balanced


async def test_senders_wait_for_room_and_are_let_in() -> None:
    jobs = pool(Worker, size=2, capacity=3)
    async with Supervisor("app", jobs) as app:
        assert await seconds_for(app.find(jobs), 20) == pytest.approx(10.0)


async def test_workers_run_handlers_beside_each_other_too() -> None:
    jobs = pool(Worker, size=2)
    async with Supervisor("app", jobs) as app:
        address = app.find(jobs)
        begun = anyio.current_time()
        await address.map(Worker.beside, [1.0] * 8)
        assert anyio.current_time() - begun == pytest.approx(2.0)

    busy = pool(Worker, size=2, concurrency=3)
    async with Supervisor("app", busy) as app:
        assert await seconds_for(app.find(busy), 12) == pytest.approx(2.0)


async def test_a_caller_takes_its_handler_along() -> None:
    jobs = pool(Worker, size=2, on_cancel="cancel")
    async with Supervisor("app", jobs) as app:
        address = app.find(jobs)
        with pytest.raises(TimeoutError):
            await address.options(timeout=1).call(Worker.job, 1, 100.0)
        await at_rest()
        assert address.account().in_hand == 0
        assert address.account().abandoned == 1
        assert await seconds_for(address, 2) == pytest.approx(1.0)


async def test_messages_can_be_looked_at_taken_and_dropped() -> None:
    jobs = pool(Worker, size=1, key=by_first)
    async with Supervisor("app", jobs) as app:
        address = app.find(jobs)
        gate = Gate()
        await address.send(Worker.hold, gate)
        await gate.reached.wait()
        await address.send(Worker.hold, gate)
        for n in range(4):
            await address.send(Worker.job, n)
        assert [message.args[0] for message in address.peek()] == [gate, 0, 1, 2, 3]
        assert [message.args[0] for message in address.take(lambda message: message.args[0] in (0, 2))] == [0, 2]
        assert address.drop(lambda message: message.args[0] is gate) == 1
        gate.open()
        await anyio.sleep(3)
        assert address.account().handled == 3
        assert address.account().balanced


async def test_its_line_says_that_it_is_one_thing() -> None:
    tree = Supervisor("app", pool(Worker, size=4, key=by_first, redeliver=2, name="jobs", restart=PACED), child(Worker))
    assert str(tree).splitlines()[1:] == [
        "  jobs  [pool of 4 by key, 3 in 5 s]  permanent(wait=wait_fixed(wait_fixed=10.0)), paced: not counted",
        "  worker  permanent",
    ]


async def test_it_is_typed() -> None:
    jobs: Pool[Worker] = pool(Worker)
    async with Supervisor("app", jobs) as app:
        address: Address[Worker] = app.find(jobs)
        n: int = await address.call(Worker.job, 1)
        assert n == 1


async def test_what_is_started_beside_its_workers_is_refused_by_its_name() -> None:
    jobs = pool(Worker, name="jobs")
    async with Supervisor("app", jobs) as app:
        with pytest.raises(InvalidSpec, match="pool 'app/jobs': child='worker' is not valid"):
            await app.supervisor("jobs").start(Worker)
        with pytest.raises(InvalidSpec, match="pool 'app/jobs': child='other' is not valid"):
            await app.supervisor("jobs").start(Worker, name="other")
