"""A caller who is cancelled, or whose deadline passes, takes its handler along, if that was asked for.

Tested:
- SEMANTICS 80: `on_cancel="cancel"`, of one call or of the child
- SEMANTICS 85: clean-up that raises is judged like any error
- SEMANTICS 45: what a deadline's error says
"""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from tenacity import retry_if_exception_type, wait_fixed

from supervise import (
    ActorStopped,
    Address,
    CallTimeout,
    InvalidSpec,
    MailboxFull,
    Message,
    Redeliver,
    Restart,
    RunningSupervisor,
    SendTimeout,
    Supervisor,
    child,
    concurrent,
    current,
)
from supervise.adapters.own_thread import own_thread
from supervise.events import Raised, Stopped
from supervise.testing.virtual_time import at_rest
from tests.doubles import Boom, Gate, Outcomes
from tests.real_clock import on_the_real_clock

pytestmark = pytest.mark.anyio
GUARD = 30.0  # seconds of the real clock, after which a test hangs


class Worker:
    def __init__(self, log: list[str]) -> None:
        self.log = log

    async def work(self, gate: Gate, last: Callable[[], Any] | None = None) -> str:
        try:
            await gate.walk_through()
        except anyio.get_cancelled_exc_class():
            self.log.append("cancelled")
            raise
        finally:
            if last is not None:
                last()
        self.log.append("done")
        return "done"

    @concurrent
    async def work_beside(self, gate: Gate, last: Callable[[], Any] | None = None) -> str:
        return await self.work(gate, last)

    @concurrent(limit=1)
    async def work_alone(self, gate: Gate) -> str:
        return await self.work(gate)

    def work_by_itself(self, gate: Gate, last: Callable[[], Any] | None = None) -> Awaitable[str]:
        return self.work(gate, last)

    async def work_in_a_group(self, gate: Gate, last: Callable[[], Any] | None = None) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(self.work, gate, last)

    async def work_in_groups(self) -> None:
        async def clean_up() -> None:
            try:
                await anyio.sleep_forever()
            finally:
                raise Boom("in clean-up")

        async with anyio.create_task_group() as group:
            group.start_soon(clean_up)
            group.start_soon(anyio.sleep_forever)

    @concurrent
    async def work_in_groups_beside(self) -> None:
        await self.work_in_groups()

    async def swallow(self, gate: Gate, last: Callable[[], Any] | None = None) -> str:
        with anyio.CancelScope(shield=True):
            await gate.walk_through()
        return "swallowed"

    async def tell(self) -> str:
        return "here"


WAYS = [Worker.work, Worker.work_beside, Worker.work_by_itself, Worker.work_in_a_group]


@asynccontextmanager
async def working(**options: Any) -> AsyncGenerator[tuple[RunningSupervisor, Address[Any], list[str]]]:
    log: list[str] = []
    async with Supervisor("app", child(Worker, log, **options)) as app:
        yield app, app.find("worker"), log


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("by", ["child", "call"])
@pytest.mark.parametrize("gone", ["cancelled", "late"])
async def test_a_caller_who_is_gone_takes_its_handler_along_and_the_actor_lives_on(way: Any, by: str, gone: str) -> None:
    async with working(**({"on_cancel": "cancel"} if by == "child" else {})) as (app, worker, log):
        said: dict[str, Any] = {"on_cancel": "cancel"} if by == "call" else {}
        if gone == "late":
            with pytest.raises(CallTimeout):
                await worker.options(timeout=1, **said).call(way, Gate())
        else:
            with anyio.move_on_after(1):
                await (worker.options(**said) if said else worker).call(way, Gate())
        for _ in range(2):  # and the next ones aren't touched
            assert await worker.call(Worker.tell) == "here"
            gate = Gate()
            gate.open()
            await worker.call(way, gate)
        assert log == ["cancelled", "done", "done"]
        assert app.get_childspec("worker").incarnation == 1
        account = worker.account()
        assert (account.abandoned, account.handled, account.failed, account.in_hand) == (1, 4, 0, 0)
        assert worker._mailbox.given_up == 0


@pytest.mark.parametrize("way", WAYS)
async def test_by_default_the_handler_goes_on(way: Any) -> None:
    async with working() as (_, worker, log):
        gate = Gate()
        with anyio.move_on_after(1):
            await worker.call(way, gate)
        gate.open()
        await at_rest()
        assert log == ["done"]


async def test_a_call_that_is_late_while_it_waits_is_never_handled() -> None:
    """Neither what is queued while its actor is down, nor what was in hand at the crash and waits for its second try."""
    begun: list[str] = []
    log: list[str] = []

    def query(_: Worker, what: str) -> None:
        begun.append(what)
        if what == "first":
            raise Boom("the connection is lost")

    worker = child(Worker, log, redeliver=1, restart=Restart.permanent(wait=wait_fixed(10)))
    async with Supervisor("app", worker) as app, anyio.create_task_group() as group:
        address, outcomes = app.find(worker).options(timeout=2), Outcomes(group)
        await outcomes.watch("first", address.call(query, "first"))
        await outcomes.watch("second", address.call(query, "second"))
        await anyio.sleep(20)
        assert {type(error) for error in outcomes.of.values()} == {CallTimeout}
        assert begun == ["first"]
        assert app.find(worker).account().abandoned == 2
        await app.find(worker).call(query, "third")
    assert begun == ["first", "third"]


async def test_a_call_may_say_finish_where_the_child_says_cancel() -> None:
    async with working(on_cancel="cancel") as (_, worker, log):
        gate = Gate()
        with anyio.move_on_after(1):
            await worker.options(on_cancel="finish").call(Worker.work, gate)
        gate.open()
        await at_rest()
        assert log == ["done"]


@pytest.mark.parametrize("way", WAYS)
async def test_clean_up_that_raises_is_judged_like_any_error(way: Any) -> None:
    def fails() -> None:
        raise Boom("in the clean-up")

    for options, lives in (({}, 2), ({"on_error": "reply"}, 1), ({"expects": (Boom, ExceptionGroup)}, 1)):
        async with working(on_cancel="cancel", **options) as (app, worker, _):
            with anyio.move_on_after(1):
                await worker.call(way, Gate(), fails)
            await at_rest()
            assert app.get_childspec("worker").incarnation == lives
            assert worker.account().failed == 1
            gate = Gate()
            gate.open()
            await worker.call(way, gate)


@pytest.mark.parametrize("redeliver", [0, 2])
async def test_it_is_never_redelivered(redeliver: int) -> None:
    def fails() -> None:
        raise Boom("in the clean-up")

    async with working(on_cancel="cancel", redeliver=redeliver) as (app, worker, log):
        with anyio.move_on_after(1):
            await worker.call(Worker.work, Gate(), fails)
        await at_rest()
        assert log == ["cancelled"]
        assert app.get_childspec("worker").incarnation == 2


async def test_a_handler_that_swallows_its_cancellation_is_waited_for_in_hand() -> None:
    async with working(on_cancel="cancel") as (app, worker, log):
        gate = Gate()
        with anyio.move_on_after(1) as scope:
            await worker.call(Worker.swallow, gate)
        assert scope.cancelled_caught  # its caller has its error at once
        assert worker.account().in_hand == 1
        gate.open()
        assert await worker.call(Worker.tell) == "here"
        assert (worker.account().handled, worker.account().abandoned) == (2, 0)
        gate = Gate()
        gate.open()
        assert await worker.call(Worker.work, gate) == "done"  # the next handler isn't cancelled for it
        assert (app.get_childspec("worker").incarnation, log) == (1, ["done"])


@pytest.mark.parametrize("answers", [{"on_error": "reply"}, {"expects": retry_if_exception_type(Boom)}, {}])
@pytest.mark.parametrize("way", [Worker.work_in_groups, Worker.work_in_groups_beside])
async def test_what_clean_up_raises_is_judged_without_the_cancellations_beside_it(way: Any, answers: Any) -> None:
    events: list[Any] = []
    worker = child(Worker, list[str](), name="worker", on_cancel="cancel", **answers)
    async with Supervisor("app", worker, listener=events.append) as app:
        with anyio.move_on_after(1):
            await app.find("worker").call(way)
        await at_rest()
        said = [event.error for event in events if isinstance(event, Raised)]
        ended = [event.reason.detail for event in events if isinstance(event, Stopped)]
        assert said + ended == ["ExceptionGroup(Boom: in clean-up)"]
        assert app.get_childspec("worker").incarnation == (1 if answers else 2)
        assert app.find("worker").account().failed == 1


@pytest.mark.parametrize("way", WAYS)
async def test_a_caller_may_go_at_any_step_of_the_hand_over(way: Any) -> None:
    log: list[str] = []
    async with Supervisor("app", child(Worker, log, name="worker", on_cancel="cancel")) as app:
        worker: Any = app.find("worker")
        for steps in range(12):
            async with anyio.create_task_group() as group:
                group.start_soon(worker.call, way, Gate())
                for _ in range(steps):
                    await anyio.lowlevel.checkpoint()
                group.cancel_scope.cancel()
            await at_rest()
            assert worker.account().in_hand == 0, f"its handler goes on, after {steps} steps"
        assert set(log) == {"cancelled"}
        assert await worker.call(Worker.tell) == "here"


@pytest.mark.parametrize("child_says", [{"on_error": "crash"}, {}])
@on_the_real_clock
async def test_what_a_thread_raises_is_judged_although_its_caller_has_gone(child_says: Any) -> None:
    begun, gate = threading.Event(), threading.Event()

    class Blocks:
        def work(self) -> None:
            begun.set()
            gate.wait(GUARD)
            raise Boom("in the thread")

    events: list[Any] = []
    spec = child(own_thread(Blocks), name="blocks", on_cancel="cancel", **child_says)
    async with Supervisor("app", spec, listener=events.append) as app:
        async with anyio.create_task_group() as group:
            group.start_soon(app.find("blocks").call, Blocks.work)
            await anyio.to_thread.run_sync(begun.wait, GUARD)
            group.cancel_scope.cancel()
        gate.set()
        await app.find("blocks").ping()
        assert app.find("blocks").account().failed == 1
        said = [event.error for event in events if isinstance(event, Raised)]
        ended = [event.reason.detail for event in events if isinstance(event, Stopped)]
        assert said + ended == ["Boom: in the thread"]
        assert bool(ended) is bool(child_says)


async def test_a_handler_that_is_killed_in_its_clean_up_is_abandoned_all_the_same() -> None:
    async with Supervisor("app", child(Worker, list[str](), name="worker", on_cancel="cancel")) as app:
        worker: Address[Worker] = app.find("worker")

        async def clean_up(_: Worker) -> None:
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(1)
                await anyio.sleep_forever()

        with anyio.move_on_after(1):
            await worker.call(clean_up)
        app.kill("worker")
        await anyio.sleep(2)
        account = worker.account()
        assert (account.failed, account.abandoned, account.in_hand) == (0, 1, 0)


async def test_a_call_that_is_queued_cancels_nobody_elses_handler() -> None:
    async with working(on_cancel="cancel") as (_, worker, log), anyio.create_task_group() as group:
        gate, outcomes = Gate(), Outcomes(group)
        await outcomes.watch("first", worker.call(Worker.work, gate))
        await gate.reached.wait()
        with anyio.move_on_after(1):
            await worker.call(Worker.tell)
        gate.open()
        await at_rest()
        assert (outcomes.of, log) == ({"first": "done"}, ["done"])


async def test_a_send_is_nobodys_to_take_along() -> None:
    async with working(on_cancel="cancel") as (_, worker, log):
        gate = Gate()
        with anyio.move_on_after(1):
            await worker.send(Worker.work, gate)
            await anyio.sleep_forever()
        gate.open()
        await at_rest()
        assert log == ["done"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("order", ["kill first", "caller first"])
async def test_a_kill_at_the_same_time_is_a_kill(way: Any, order: str) -> None:
    async with working(on_cancel="cancel") as (app, worker, _):
        gate = Gate()
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:

                async def strike() -> None:
                    await gate.reached.wait()
                    scope.cancel()
                    if order == "caller first":
                        await anyio.lowlevel.cancel_shielded_checkpoint()
                    app.kill("worker")

                group.start_soon(strike)
                await worker.call(way, gate)
        await at_rest()
        assert app.get_childspec("worker").incarnation == 2
        assert worker.account().balanced
        assert worker.account().in_hand == 0


@pytest.mark.parametrize("way", WAYS)
async def test_a_crash_of_the_nursery_at_the_same_time_is_a_crash(way: Any) -> None:
    async def crash_soon(worker: Worker, gate: Gate) -> None:
        async def crash() -> None:
            await gate.walk_through()
            raise Boom("in the nursery")

        current().nursery.start_soon(crash)

    async with working(on_cancel="cancel") as (app, worker, _):
        gate, held = Gate(), Gate()
        await worker.call(crash_soon, gate)
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:

                async def strike() -> None:
                    await held.reached.wait()
                    gate.open()
                    scope.cancel()

                group.start_soon(strike)
                await worker.call(way, held)
        await at_rest()
        assert app.get_childspec("worker").incarnation == 2
        assert worker.account().balanced


async def test_calls_of_the_handler_go_with_it() -> None:
    log: list[str] = []

    async def relay(_: Worker, other: Address[Worker], gate: Gate) -> str:
        return await other.call(Worker.work, gate)

    near, far = (child(Worker, log, name=name, on_cancel="cancel") for name in ("near", "far"))
    async with Supervisor("app", near, far) as app:
        with anyio.move_on_after(1):
            await app.find(near).call(relay, app.find(far), Gate())
        await at_rest()
        assert log == ["cancelled"]
        assert [each.incarnation for each in app.which_children()] == [1, 1]


class Blocking:
    def __init__(self, log: list[str]) -> None:
        self.log = log

    def work(self, begun: threading.Event, gate: threading.Event) -> None:
        begun.set()
        assert gate.wait(GUARD)
        self.log.append("done")


@on_the_real_clock
async def test_the_message_stays_in_hand_until_its_thread_has_ended() -> None:
    log: list[str] = []
    begun, gate = threading.Event(), threading.Event()
    async with Supervisor("app", child(own_thread(Blocking, log), name="worker", on_cancel="cancel")) as app:
        worker: Address[Blocking] = app.find("worker")
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:

                async def strike() -> None:
                    await anyio.to_thread.run_sync(begun.wait, GUARD)
                    scope.cancel()

                group.start_soon(strike)
                await worker.call(Blocking.work, begun, gate)
        assert (worker.account().in_hand, log) == (1, [])
        gate.set()
        assert await worker.ping() >= 0
        assert (worker.account().abandoned, worker.account().in_hand, log) == (1, 0, ["done"])
        assert app.get_childspec("worker").incarnation == 1


async def test_bad_words_are_refused() -> None:
    wrong: Any = "kill"
    with pytest.raises(InvalidSpec, match=r"child 'w': on_cancel='kill' is not valid: 'finish' .* or 'cancel'"):
        child(Worker, list[str](), name="w", on_cancel=wrong)
    async with working() as (_, worker, _log):
        with pytest.raises(InvalidSpec, match="options of 'app/worker': on_cancel='kill'"):
            worker.options(on_cancel=wrong)


# -- what a deadline's error says -------------------------------------------------------------------------------------------


async def test_a_deadline_says_where_the_time_went() -> None:
    async with working() as (_, worker, _log), anyio.create_task_group() as group:
        hurried = worker.options(timeout=2)
        gate, outcomes = Gate(), Outcomes(group)
        await outcomes.watch("held", hurried.call(Worker.work, gate))
        await anyio.sleep(1.5)
        await outcomes.watch("queued", hurried.call(Worker.tell))
        await anyio.sleep(1)
        gate.open()
        await at_rest()
        worker.pause()
        await outcomes.watch("paused", hurried.call(Worker.tell))
        await anyio.sleep(3)
        texts = {label: str(error) for label, error in outcomes.of.items()}
        assert texts == {
            "held": "app/worker: Worker.work(Gate) had no answer within 2 s: queued 0 s, in hand 2 s",
            "queued": "here",
            "paused": "app/worker: Worker.tell() had no answer within 2 s: queued 2 s, never begun (it is paused)",
        }
        assert outcomes.of["paused"].message == Message(Worker.tell, (), {})
        assert (outcomes.of["held"].begun, outcomes.of["paused"].begun) == (True, False)


async def test_a_call_that_waits_for_a_place_is_not_in_hand() -> None:
    async with working() as (_, worker, _log), anyio.create_task_group() as group:
        gate, outcomes = Gate(), Outcomes(group)
        await outcomes.watch("held", worker.call(Worker.work_alone, gate))
        await outcomes.watch("waits", worker.options(timeout=2).call(Worker.work_alone, gate))
        await anyio.sleep(3)
        late = outcomes.of["waits"]
        assert str(late).endswith("had no answer within 2 s: queued 2 s, never begun")
        assert late.begun is False
        gate.open()


async def test_one_that_waits_to_be_tried_again_has_been_begun_and_names_the_crash() -> None:
    again = Redeliver(5, wait=wait_fixed(100))
    async with working(redeliver=again) as (_, worker, _log):

        async def fails_late(_: Worker) -> None:
            await anyio.sleep(1)
            raise Boom("late")

        with pytest.raises(CallTimeout, match=r"within 4 s: queued 3 s, in hand 1 s") as raised:
            await worker.options(timeout=4).call(fails_late)
        assert raised.value.begun
        assert str(raised.value.__cause__).endswith("fails_late in hand: Boom: late")


async def test_a_deadline_that_passes_while_the_message_waits_for_room_says_that_it_was_not_accepted() -> None:
    async with working(capacity=1) as (_, worker, _log):
        worker.pause()
        await worker.send(Worker.tell)
        hurried = worker.options(timeout=2)
        for way in (hurried.call, hurried.send):
            with pytest.raises(SendTimeout) as raised:
                await way(Worker.tell)
            text = "app/worker: Worker.tell() found no room within 2 s: waited 2 s for room (it is paused)"
            assert (str(raised.value), raised.value.message) == (text, Message(Worker.tell, (), {}))
            assert isinstance(raised.value, TimeoutError)
        assert worker.account().accepted == 1
        with pytest.raises(MailboxFull):
            worker.try_send(Worker.tell)
        worker.resume()


async def test_a_caller_whose_callee_was_stopped_knows_what_it_asked_for() -> None:
    async with working(stop_within="brutal_kill") as (app, worker, _), anyio.create_task_group() as group:
        gate, outcomes = Gate(), Outcomes(group)
        await outcomes.watch("held", worker.call(Worker.work, gate))
        await gate.reached.wait()
        await app.terminate_child("worker")
        await at_rest()
        stopped = outcomes.of["held"]
        assert isinstance(stopped, ActorStopped)
        assert stopped.message == Message(Worker.work, (gate,), {})
        assert stopped.begun
        with pytest.raises(ActorStopped) as refused:
            await worker.call(Worker.tell)
        assert not refused.value.begun
