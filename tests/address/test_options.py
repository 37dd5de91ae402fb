"""What travels with one message: its timeout, and whether it waits for a restart. And callers that go away.

Tested:
- SEMANTICS 20: the timeout covers room, queue and handling; an expired envelope is skipped; on_restart="fail";
  a cancelled caller: queued it is skipped, in hand the handler finishes
- SEMANTICS 21: what was skipped is counted as abandoned
- SEMANTICS 42: options are validated where they are given
"""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from tenacity import wait_fixed

from supervise import ActorCrashed, ActorRestarting, Address, InvalidSpec, Restart, Supervisor, child, current
from supervise.testing import virtual_time
from tests.doubles import Gate, Outcomes, Scribe
from tests.situations import SlowScribe


@pytest.mark.anyio
async def test_without_a_timeout_a_call_waits_as_long_as_it_takes() -> None:
    async with Supervisor("app") as app:
        scribe = await app.start(Scribe)
        began = anyio.current_time()
        await scribe.call(lambda _: anyio.sleep(50_000))
        assert anyio.current_time() - began == 50_000


@pytest.mark.anyio
@pytest.mark.parametrize("where", ["room", "queue", "handling"])
async def test_the_timeout_of_a_call_covers_room_queue_and_handling(where: str) -> None:
    async with Supervisor("app", child(Scribe, capacity=1)) as app:
        scribe: Address[Scribe] = app.find("scribe")
        gate = Gate()
        if where != "handling":
            await scribe.send(Scribe.hold, gate)
            await gate.reached.wait()
        if where == "room":
            await scribe.send(Scribe.note, "fills it")
        began = anyio.current_time()
        with pytest.raises(TimeoutError):
            await scribe.options(timeout=3).call(Scribe.hold, gate)
        assert anyio.current_time() - began == 3
        gate.open()
        assert await scribe.call(Scribe.note, "alive") == (2 if where == "room" else 1)
        account = scribe.account()
        assert account.abandoned == (1 if where == "queue" else 0)
        assert account.accepted == {"room": 3, "queue": 3, "handling": 2}[where]
        assert account.balanced


@pytest.mark.anyio
async def test_the_timeout_of_a_send_covers_the_wait_for_room_and_then_the_queue() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Scribe, log, capacity=1)) as app:
        scribe: Address[Scribe] = app.find("scribe")
        hasty = scribe.options(timeout=3)
        gate = Gate()
        await scribe.send(Scribe.hold, gate)
        await gate.reached.wait()
        await hasty.send(Scribe.note, "expires in the queue")
        with pytest.raises(TimeoutError):
            await hasty.send(Scribe.note, "never accepted")
        gate.open()
        await virtual_time.at_rest()
        await hasty.send(Scribe.note, "in time")
        await virtual_time.at_rest()
        assert log == ["in time"]
        account = scribe.account()
        assert (account.accepted, account.handled, account.abandoned) == (3, 2, 1)


@pytest.mark.anyio
async def test_a_sender_that_waited_for_room_has_only_what_is_left_of_its_timeout() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Scribe, log, capacity=1)) as app:
        scribe: Address[Scribe] = app.find("scribe")
        first, second = Gate(), Gate()
        await scribe.send(Scribe.hold, first)
        await first.reached.wait()
        await scribe.send(Scribe.hold, second)
        async with anyio.create_task_group() as group:
            await Outcomes(group).watch("send", scribe.options(timeout=3).send(Scribe.note, "expires"))
            await anyio.sleep(2)
            first.open()  # there is room now
            await virtual_time.at_rest()
            assert scribe.account().accepted == 3
            await anyio.sleep(1.5)
            second.open()
        await scribe.call(Scribe.note, "late")
        assert log == ["late"]


@pytest.mark.anyio
async def test_a_timeout_of_zero_is_over_before_anything_begins() -> None:
    log: list[Any] = []
    async with Supervisor("app") as app:
        scribe = await app.start(Scribe, log)
        with pytest.raises(TimeoutError):
            await scribe.options(timeout=0).call(Scribe.note, 1)
        await scribe.options(timeout=0).send(Scribe.note, 2)
        await scribe.call(Scribe.note, 3)
        assert log == [3]
        assert scribe.account().abandoned == 2


@pytest.mark.anyio
async def test_an_expired_call_in_hand_goes_on_and_is_counted_as_handled() -> None:
    log: list[Any] = []

    async def slowly(scribe: Scribe) -> None:
        await anyio.sleep(5)
        scribe.log.append("done")

    async with Supervisor("app") as app:
        scribe = await app.start(Scribe, log)
        with pytest.raises(TimeoutError):
            await scribe.options(timeout=2).call(slowly)
        assert await scribe.call(Scribe.note, 1) == 2
        assert log == ["done", 1]
        assert scribe.account()[:3] == (2, 2, 0)


@pytest.mark.anyio
async def test_a_reply_in_time_leaves_no_timer_and_each_call_gets_its_own_reply() -> None:
    async with Supervisor("app") as app:
        scribe = await app.start(Scribe)
        hasty = scribe.options(timeout=1)
        for n in range(1, 5):
            assert await hasty.call(Scribe.note, n) == n
            await anyio.sleep(2)


@pytest.mark.anyio
async def test_a_cancelled_caller_that_is_queued_is_skipped() -> None:
    log: list[Any] = []
    async with Supervisor("app") as app:
        scribe = await app.start(Scribe, log)
        gate = Gate()
        await scribe.send(Scribe.hold, gate)
        with anyio.move_on_after(1) as scope:
            await scribe.call(Scribe.note, "cancelled")
        assert scope.cancelled_caught
        assert scribe.account().queued == 1
        gate.open()
        assert await scribe.call(Scribe.note, "next") == 1
        assert log == ["next"]
        assert scribe.account().abandoned == 1


@pytest.mark.anyio
async def test_of_a_cancelled_caller_that_is_in_hand_the_handler_finishes() -> None:
    log: list[Any] = []
    async with Supervisor("app") as app:
        scribe = await app.start(Scribe, log)
        gate = Gate()
        with anyio.move_on_after(1) as scope:
            await scribe.call(Scribe.hold, gate)
        assert scope.cancelled_caught
        assert scribe.account().in_hand == 1
        gate.open()
        await scribe.call(Scribe.note, "next")
        account = scribe.account()
        assert (account.handled, account.abandoned) == (2, 0)


@pytest.mark.anyio
async def test_a_cancelled_caller_whose_handler_crashes_is_a_failure_that_nobody_hears() -> None:
    async def crash_later(_: Scribe) -> None:
        await anyio.sleep(2)
        raise RuntimeError("nobody waits")

    async with Supervisor("app") as app:
        scribe = await app.start(Scribe)
        with anyio.move_on_after(1):
            await scribe.call(crash_later)
        assert await scribe.call(Scribe.note, 1) == 1
        assert app.get_childspec("scribe").incarnation == 2
        assert scribe.account().balanced


@pytest.mark.anyio
async def test_a_queued_call_that_doesnt_wait_fails_at_the_crash_and_others_wait_on() -> None:
    slow_restart = Restart.permanent(wait=wait_fixed(10))
    async with Supervisor("app", child(Scribe, restart=slow_restart)) as app, anyio.create_task_group() as group:
        scribe: Address[Scribe] = app.find("scribe")
        gate, outcomes = Gate(), Outcomes(group)
        await scribe.send(Scribe.hold, gate)
        await outcomes.watch("in hand", scribe.options(on_restart="fail").call(Scribe.crash))
        await outcomes.watch("fails", scribe.options(on_restart="fail").call(Scribe.note, 1))
        await outcomes.watch("waits", scribe.call(Scribe.note, 2))
        await outcomes.watch("has time", scribe.options(timeout=60, on_restart="wait").call(Scribe.note, 3))
        await outcomes.watch("has no time", scribe.options(timeout=5).call(Scribe.note, 4))
        gate.open()
        await virtual_time.at_rest()
        assert isinstance(outcomes.of.pop("in hand"), ActorCrashed)
        assert isinstance(outcomes.of.pop("fails"), ActorRestarting)
        assert outcomes.of == {}
        assert scribe.account().failed == 2
        await anyio.sleep(11)
        assert isinstance(outcomes.of.pop("has no time"), TimeoutError)
        assert outcomes.of == {"waits": 1, "has time": 2}
        assert scribe.account().balanced


@pytest.mark.anyio
async def test_a_call_that_doesnt_wait_fails_when_the_crash_comes_while_it_waits_for_room() -> None:
    slow_restart = Restart.permanent(wait=wait_fixed(10))
    one_place = child(Scribe, restart=slow_restart, capacity=1)
    async with Supervisor("app", one_place) as app, anyio.create_task_group() as group:
        scribe = app.find(one_place)
        gate, outcomes = Gate(), Outcomes(group)
        await scribe.send(Scribe.hold, gate)
        await gate.reached.wait()
        await scribe.send(Scribe.note, "fills it")
        await outcomes.watch("fails", scribe.options(on_restart="fail").call(Scribe.note, 1))
        await outcomes.watch("waits", scribe.call(Scribe.note, 2))
        app.kill("scribe")
        await virtual_time.at_rest()
        assert isinstance(outcomes.of.pop("fails"), ActorRestarting)
        assert outcomes.of == {}
        await anyio.sleep(11)
        assert outcomes.of == {"waits": 2}
        assert scribe.account().accepted == 3


@pytest.mark.anyio
async def test_a_call_that_doesnt_wait_fails_when_the_crash_comes_as_it_is_given_room_and_passes_the_room_on() -> None:
    def crash_at_once(_: Scribe) -> None:
        raise RuntimeError("its own place in the queue was given to the caller")

    slow_restart = Restart.permanent(wait=wait_fixed(10))
    one_place = child(Scribe, restart=slow_restart, capacity=1)
    async with Supervisor("app", one_place) as app, anyio.create_task_group() as group:
        scribe = app.find(one_place)
        gate, outcomes = Gate(), Outcomes(group)
        await scribe.send(Scribe.hold, gate)
        await gate.reached.wait()
        await scribe.send(crash_at_once)
        await outcomes.watch("fails", scribe.options(on_restart="fail").call(Scribe.note, 1))
        await outcomes.watch("next", scribe.send(Scribe.note, 2))
        gate.open()
        await virtual_time.at_rest()
        assert isinstance(outcomes.of["fails"], ActorRestarting)
        assert outcomes.of["next"] is None
        assert scribe.account().accepted == 3


@pytest.mark.anyio
async def test_a_queued_call_that_doesnt_wait_fails_before_the_exit_hook_has_ended() -> None:
    async with Supervisor("app", child(SlowScribe)) as app, anyio.create_task_group() as group:
        scribe: Address[Scribe] = app.find("slowscribe")
        gate, outcomes = Gate(), Outcomes(group)
        await scribe.send(Scribe.hold, gate)
        await scribe.send(Scribe.crash)
        await outcomes.watch("fails", scribe.options(on_restart="fail").call(Scribe.note, 1))
        gate.open()
        await virtual_time.at_rest()
        assert isinstance(outcomes.of["fails"], ActorRestarting)
        assert scribe.account().in_hand == 1  # the exit hook still runs


@pytest.mark.anyio
async def test_a_queued_call_that_doesnt_wait_fails_when_an_orderly_end_turns_into_a_crash() -> None:
    async def stumble() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise RuntimeError("on the way out")

    async def stop(_: Scribe, gate: Gate) -> None:
        current().nursery.start_soon(stumble)
        await gate.walk_through()
        current().stop()

    async with Supervisor("app") as app, anyio.create_task_group() as group:
        scribe = await app.start(Scribe)
        gate, outcomes = Gate(), Outcomes(group)
        await scribe.send(stop, gate)
        await outcomes.watch("fails", scribe.options(on_restart="fail").call(Scribe.note, 1))
        await outcomes.watch("waits", scribe.call(Scribe.note, 2))
        gate.open()
        await virtual_time.at_rest()
        assert isinstance(outcomes.of["fails"], ActorRestarting)
        assert outcomes.of["waits"] == 1


@pytest.mark.anyio
async def test_a_caller_that_went_away_before_the_crash_is_abandoned_not_failed() -> None:
    async with Supervisor("app") as app:
        scribe = await app.start(Scribe)
        gate = Gate()
        await scribe.send(Scribe.hold, gate)
        await scribe.send(Scribe.crash)
        async with anyio.create_task_group() as group:
            await Outcomes(group).watch("stays", scribe.options(on_restart="fail").call(Scribe.note, 1))
            with anyio.move_on_after(1):
                await scribe.options(on_restart="fail").call(Scribe.note, 1)
            gate.open()
        await virtual_time.at_rest()
        account = scribe.account()
        assert (account.failed, account.abandoned, account.dead_lettered) == (1, 1, 1)
        assert account.balanced


@pytest.mark.anyio
async def test_after_its_restart_the_actor_takes_calls_that_dont_wait() -> None:
    async with Supervisor("app") as app:
        scribe = await app.start(Scribe)
        with pytest.raises(ActorCrashed):
            await scribe.call(Scribe.crash)
        assert await scribe.options(on_restart="fail").call(Scribe.note, 1) == 1


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"timeout": -1}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"timeout": "3"}, "timeout"),
        ({"timeout": True}, "timeout"),
        ({"on_restart": "maybe"}, "on_restart"),
    ],
)
async def test_options_that_can_never_work_are_refused_where_they_are_given(options: Any, field: str) -> None:
    async with Supervisor("app") as app:
        scribe = await app.start(Scribe)
        for address in (scribe, scribe.weak):
            with pytest.raises(InvalidSpec, match=f"{field}="):
                address.options(**options)


@pytest.mark.anyio
async def test_an_endless_timeout_is_one() -> None:
    async with Supervisor("app") as app:
        scribe = await app.start(Scribe)
        assert await scribe.options(timeout=float("inf")).call(Scribe.note, 1) == 1
        await scribe.options(timeout=float("inf")).call(lambda _: anyio.sleep(50_000))
