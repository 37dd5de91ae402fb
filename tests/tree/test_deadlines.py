"""`handler_deadline`: an actor that has one message in hand for too long is crashed.

Tested: when (between 1 and 1 1/4 of the deadline, whenever the handler began), and whom not (idle, busy with many messages,
waiting in its hooks); what follows: event, cause, restart under the budget, dead letter; what doesn't listen to its
cancellation; that no timer is left; that a wrong deadline is refused.
"""

from __future__ import annotations

import math
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from supervise import ActorCrashed, Address, ExitKind, GaveUp, HandlerLate, Intensity, InvalidSpec, Supervisor, child, current
from supervise.events import DeadLetter, Event, Late, Overran, Stopped
from supervise.testing.virtual_time import at_rest
from tests.doubles import Outcomes, Scribe

pytestmark = pytest.mark.anyio


class Sleeper(Scribe):
    async def sleep(self, seconds: float) -> str:
        await self.deeper(seconds)
        return "slept"

    async def deeper(self, seconds: float) -> None:
        await anyio.sleep(seconds)

    async def life(self) -> int:
        return current().incarnation


@pytest.mark.parametrize("begun", [0.0, 0.1, 2.4, 2.5, 2.6, 7.4, 9.99, 1003.3])
async def test_a_handler_is_crashed_between_one_and_one_and_a_quarter_of_its_deadline(begun: float) -> None:
    async with Supervisor("app", log_arguments=True) as app:
        sleeper = await app.start(Sleeper, handler_deadline=10)
        await anyio.sleep(begun)
        start = anyio.current_time()
        with pytest.raises(ActorCrashed) as crash:
            await sleeper.call(Sleeper.sleep, 1000)
        assert 10 <= anyio.current_time() - start <= 12.5 + 1e-9
        cause = crash.value.__cause__
        assert isinstance(cause, HandlerLate)
        assert isinstance(cause, TimeoutError)
        assert str(cause) == "app/sleeper: Sleeper.sleep(1000) was in hand for longer than its handler_deadline of 10 s"
        assert await sleeper.call(Sleeper.life) == 2


async def test_one_that_is_just_in_time_lives() -> None:
    async with Supervisor("app") as app:
        sleeper = await app.start(Sleeper, handler_deadline=10)
        for n in range(20):
            await anyio.sleep(n * 0.7)
            assert await sleeper.call(Sleeper.sleep, 9.99) == "slept"
        assert await sleeper.call(Sleeper.life) == 1


async def test_the_deadline_is_that_of_one_message_not_of_many() -> None:
    async with Supervisor("app") as app:
        sleeper = await app.start(Sleeper, handler_deadline=1, expects=(KeyError,))

        async def sleep_and_raise(sleeper: Sleeper) -> None:
            await sleeper.sleep(0.9)
            raise KeyError

        for _ in range(10):
            await sleeper.send(Sleeper.sleep, 0.9)
            await sleeper.send(sleep_and_raise)
        assert await sleeper.call(Sleeper.life) == 1
        await anyio.sleep(1000)  # idle
        assert await sleeper.call(Sleeper.life) == 1


async def test_the_event_says_who_which_message_and_where_it_waits() -> None:
    heard: list[Event] = []
    async with Supervisor("app", listener=heard.append, log_arguments=True) as app:
        sleeper = await app.start(Sleeper, handler_deadline=10)
        await sleeper.send(Sleeper.sleep, 1000)
        await sleeper.call(Sleeper.life)
    [late] = [event for event in heard if isinstance(event, Late)]
    assert (late.path, late.incarnation, late.message, late.seconds) == ("app/sleeper", 1, "Sleeper.sleep(1000)", 10)
    assert [frame.function for frame in late.stack[:2]] == ["Sleeper.sleep", "Sleeper.deeper"]
    assert __file__ == late.stack[0].file
    where = f"Sleeper.deeper ({__file__}:{late.stack[1].line})"  # the user's own innermost line, not the library's below it
    assert str(late) == f"app/sleeper #1: Sleeper.sleep(1000) took longer than 10 s in {where}; it is crashed"
    after = heard[heard.index(late) + 1 :]
    letter = next(event for event in after if isinstance(event, DeadLetter))
    assert letter.message == "Sleeper.sleep(1000)"
    stopped = next(event for event in after if isinstance(event, Stopped))
    assert stopped.reason.kind is ExitKind.CRASHED
    assert stopped.reason.detail.startswith("HandlerLate: app/sleeper: Sleeper.sleep(1000) was in hand")
    assert f") in {where}" in str(stopped)


async def test_it_is_restarted_under_the_same_budget() -> None:
    with pytest.raises(GaveUp) as gave_up:
        async with Supervisor("app", intensity=Intensity(1, per=100)) as app:
            sleeper = await app.start(Sleeper, handler_deadline=1)
            for _ in range(3):
                await sleeper.send(Sleeper.sleep, 1000)
            await anyio.sleep_forever()
    assert len(gave_up.value.crashes) == 2


async def test_what_waits_behind_it_is_not_lost() -> None:
    async with Supervisor("app") as app:
        log: list[Any] = []
        sleeper = await app.start(Sleeper, log, handler_deadline=1)
        await sleeper.send(Sleeper.sleep, 1000)
        await sleeper.send(Sleeper.note, "first")
        await sleeper.send(Sleeper.note, "second")
        await sleeper.call(Sleeper.life)
        assert log == ["first", "second"]
        assert sleeper.account().balanced


async def test_others_have_deadlines_of_their_own_or_none() -> None:
    async with Supervisor("app") as app, anyio.create_task_group() as group:
        outcomes, times = Outcomes(group), {}
        begun = anyio.current_time()

        async def timed(name: str, sleeper: Address[Sleeper]) -> None:
            try:
                await sleeper.call(Sleeper.sleep, 100)
            finally:
                times[name] = anyio.current_time() - begun

        for name, deadline in (("one", 1), ("too", 1), ("ten", 10), ("none", None)):
            sleeper = await app.start(Sleeper, name=name, handler_deadline=deadline)
            await outcomes.watch(name, timed(name, sleeper))
        await anyio.sleep(101)
        await at_rest()
        assert isinstance(outcomes.of["one"], ActorCrashed)
        assert isinstance(outcomes.of["too"], ActorCrashed)
        assert 1 <= times["one"] <= 1.25
        assert 1 <= times["too"] <= 1.25
        assert 10 <= times["ten"] <= 12.5
        assert outcomes.of["none"] is None


async def test_hooks_and_factories_are_not_handlers() -> None:
    class Slow(Sleeper):
        async def __aenter__(self) -> Slow:
            await anyio.sleep(50)
            return self

        async def __aexit__(self, *_: object) -> None:
            await anyio.sleep(4)

    heard: list[Event] = []
    async with Supervisor("app", listener=heard.append) as app:
        slow = await app.start(Slow, handler_deadline=1)
        with pytest.raises(ActorCrashed, match="boom"):
            await slow.call(Sleeper.crash)
        assert await slow.call(Sleeper.life) == 2
    assert not [event for event in heard if isinstance(event, Late)]


async def test_what_swallows_its_cancellation_is_reported_and_not_restarted_while_it_runs() -> None:
    heard: list[Event] = []
    release = anyio.Event()

    async def stubborn(_: Sleeper) -> None:
        with anyio.CancelScope(shield=True):
            await release.wait()
        await anyio.lowlevel.checkpoint()

    async with Supervisor("app", listener=heard.append) as app, anyio.create_task_group() as group:
        sleeper = await app.start(Sleeper, handler_deadline=1, stop_within=1)
        outcomes = Outcomes(group)
        await outcomes.watch("call", sleeper.call(stubborn))
        await anyio.sleep(1.25 + 1 + 1 + 0.1)
        assert [event for event in heard if isinstance(event, Overran)]
        assert len([event for event in heard if isinstance(event, Late)]) == 1
        assert outcomes.of == {}
        release.set()
        await at_rest()
        assert isinstance(outcomes.of["call"], ActorCrashed)
        assert isinstance(outcomes.of["call"].__cause__, HandlerLate)
        assert await sleeper.call(Sleeper.life) == 2


async def test_one_that_answers_all_the_same_is_crashed_after_its_answer() -> None:
    async def late(_: Sleeper) -> str:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(2)
        return "late"

    async with Supervisor("app") as app:
        sleeper = await app.start(Sleeper, handler_deadline=1)
        assert await sleeper.call(late) == "late"
        assert await sleeper.call(Sleeper.life) == 2


async def test_it_may_clean_up_within_its_time_to_stop() -> None:
    log: list[str] = []

    async def careful(_: Sleeper) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(3)
                log.append("clean")

    heard: list[Event] = []
    async with Supervisor("app", listener=heard.append) as app:
        sleeper = await app.start(Sleeper, handler_deadline=1)
        with pytest.raises(ActorCrashed):
            await sleeper.call(careful)
        assert log == ["clean"]
    assert not [event for event in heard if isinstance(event, Overran)]


async def test_an_ordered_stop_may_take_its_time_and_the_deadline_still_holds() -> None:
    async with Supervisor("app") as app, anyio.create_task_group() as group:
        sleeper = await app.start(Sleeper, handler_deadline=1, stop_within=math.inf)
        outcomes = Outcomes(group)
        await outcomes.watch("call", sleeper.call(Sleeper.sleep, 1000))
        await outcomes.watch("stop", app.terminate_child("sleeper"))
        await anyio.sleep(1.3)
        await at_rest()
        assert isinstance(outcomes.of["call"], ActorCrashed)
        assert "stop" in outcomes.of


async def test_no_timer_is_left_when_the_last_one_has_ended() -> None:
    async with Supervisor("app") as app:
        await app.start(Sleeper, handler_deadline=1)
        await app.start(Sleeper, handler_deadline=1)
        await app.terminate_child("sleeper")
        rounds = app._branch.tree.deadlines._rounds
        assert len(rounds) == 1
        await app.terminate_child("sleeper-2")
        assert rounds == {}
        await app.restart_child("sleeper")
        assert len(rounds) == 1


@pytest.mark.parametrize("deadline", [0, -1, math.inf, math.nan, True, "5"])
def test_a_wrong_deadline_is_refused(deadline: Any) -> None:
    with pytest.raises(InvalidSpec, match=r"child 'sleeper': handler_deadline=.* is not valid: seconds, more than 0, or None"):
        child(Sleeper, handler_deadline=deadline)


async def test_one_that_does_not_listen_is_said_to_be_late_once() -> None:
    events: list[Event] = []
    async with Supervisor("app", listener=events.append) as app:
        deaf = await app.start(Deaf, handler_deadline=4, stop_within=math.inf)
        await deaf.send(Deaf.hang, 50.0)
        await anyio.sleep(3.9)
        assert not [event for event in events if isinstance(event, Late)]
        await anyio.sleep(1.2)
        assert len([event for event in events if isinstance(event, Late)]) == 1
        await anyio.sleep(100)
    assert len([event for event in events if isinstance(event, Late)]) == 1


class Deaf:
    async def hang(self, seconds: float) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(seconds)
