"""Messages that an actor sends to itself later: `current().after` and `current().every`.

Tested:
- SEMANTICS 18: after, every, ids, cancel; they don't drift; a tick whose predecessor is queued is skipped and counted
- what a full mailbox, a stop, a drain and a blocked event loop mean for a tick
- SEMANTICS 15: what a tick raises is a crash; timers, and what they had sent, are gone with the incarnation
- what is refused, and that nothing grows however often a timer is started anew
"""

from __future__ import annotations

import asyncio
import gc
import math
import weakref
from contextvars import ContextVar
from functools import partial
from typing import Any, Self

import anyio
import pytest

from supervise import (
    Address,
    Crashed,
    Current,
    InvalidSpec,
    MailboxClosed,
    MailboxFull,
    NotAHandler,
    Supervisor,
    Timer,
    concurrent,
    current,
    open_mailbox,
)
from supervise.events import DeadLetter, Event, Raised
from supervise.testing.virtual_time import JumpingLoop, at_rest
from tests.doubles import Boom, Gate, Scribe

pytestmark = pytest.mark.anyio


class Clockwork:
    """Notes when its ticks are begun, in a log that outlives it."""

    def __init__(self, log: list[Any] | None = None) -> None:
        self.log: list[Any] = [] if log is None else log
        self.born = anyio.current_time()

    async def tick(self, label: str = "tick", seconds: float = 0) -> None:
        self.log.append((label, anyio.current_time() - self.born))
        await anyio.sleep(seconds)

    def note(self, *labels: str, by: str = "") -> None:
        self.log.append((*labels, by))

    async def hold(self, gate: Gate) -> None:
        await gate.walk_through()

    async def crash(self) -> None:
        raise Boom("on time")

    def after(self, seconds: float, *args: Any, **kwargs: Any) -> Timer:
        return current().after(seconds, *args, **kwargs)

    def every(self, seconds: float, *args: Any, **kwargs: Any) -> Timer:
        return current().every(seconds, *args, **kwargs)

    def cancel(self, id: str) -> bool:
        return current().timers.cancel(id)

    def ids(self) -> list[Any]:
        return list(current().timers)


def a_plain_callable(clockwork: Clockwork) -> None:
    clockwork.log.append("a plain callable")


async def busy(actor: Address[Clockwork]) -> Gate:
    """Its handler stands at a gate."""
    gate = Gate()
    await actor.send(Clockwork.hold, gate)
    await gate.reached.wait()
    return gate


def block(seconds: float) -> None:
    """Let time pass while nothing runs, as code does that blocks the thread of the loop."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        import trio.testing

        clock = trio.lowlevel.current_clock()
        assert isinstance(clock, trio.testing.MockClock)
        clock.jump(seconds)
        return
    assert isinstance(loop, JumpingLoop)
    loop._jumping.elapsed += seconds


# -- when it comes -----------------------------------------------------------------------------------------------------


async def test_after_sends_one_message_to_the_live_instance_and_is_over() -> None:
    class Louder(Clockwork):
        async def tick(self, label: str = "tick", seconds: float = 0) -> None:
            await super().tick(label.upper(), seconds)

    log: list[Any] = []
    async with Supervisor("app") as app:
        actor = await app.start(Louder, log)
        timer = await actor.call(Clockwork.after, 2, Clockwork.tick, "once")
        assert timer.active
        await anyio.sleep(100)
        assert log == [("ONCE", 2)]
        assert not timer.active
        assert timer.skipped == 0
        assert await actor.call(Clockwork.ids) == []
        assert actor.account().balanced


async def test_arguments_travel_as_with_any_send() -> None:
    log: list[Any] = []
    async with Supervisor("app") as app:
        actor = await app.start(Clockwork, log)
        await actor.call(Clockwork.after, 1, Clockwork.note, "a", "b", by="keyword")
        await actor.call(Clockwork.after, 2, a_plain_callable, id="x")
        await anyio.sleep(3)
    assert log == [("a", "b", "keyword"), "a plain callable"]


async def test_a_timer_message_comes_from_the_actor_itself_and_has_no_deadline() -> None:
    seen: list[Any] = []

    def look(_: Any) -> None:
        seen.append((current().sender, current().remaining))

    async with Supervisor("app") as app:
        actor = await app.start(Clockwork)
        await actor.call(Clockwork.after, 0, look)
        await anyio.sleep(1)
        assert seen == [(actor.weak, None)]


@pytest.mark.parametrize("where", ["factory", "enter hook", "nursery task", "handler"])
async def test_it_can_be_started_from_wherever_current_is(where: str) -> None:
    log: list[Any] = []

    class Starter(Clockwork):
        def __init__(self) -> None:
            super().__init__(log)
            self._start("factory")

        def _start(self, here: str) -> None:
            if here == where:
                current().every(2, Clockwork.tick)

        async def _aside(self) -> None:
            self._start("nursery task")

        async def __aenter__(self) -> Self:
            self._start("enter hook")
            current().nursery.start_soon(self._aside)
            return self

        async def __aexit__(self, *_: object) -> None: ...

        def begin(self) -> None:
            self._start("handler")

    async with Supervisor("app") as app:
        actor = await app.start(Starter)
        await actor.call(Starter.begin)
        await anyio.sleep(5)
    assert log == [("tick", 2), ("tick", 4)]


async def test_the_nth_tick_is_due_after_n_periods_however_late_the_others_were() -> None:
    log: list[Any] = []
    async with Supervisor("app") as app:
        actor = await app.start(Clockwork, log)
        timer = await actor.call(Clockwork.every, 10, Clockwork.tick)
        for lateness in (3, 4, 2):
            await anyio.sleep(10 - lateness)
            gate = await busy(actor)  # from before the tick is due until after
            await anyio.sleep(2 * lateness)
            gate.open()
            await anyio.sleep(10 - lateness)
        await anyio.sleep(11)
        assert [when for _, when in log] == [13, 20, 34, 40, 52, 60, 70]
        assert timer.skipped == 0


async def test_ten_thousand_periods_that_are_no_binary_fraction_do_not_drift() -> None:
    log: list[Any] = []
    async with Supervisor("app") as app:
        actor = await app.start(Clockwork, log)
        timer = await actor.call(Clockwork.every, 0.1, Clockwork.tick)
        await anyio.sleep(1000.05)
        assert len(log) == 10_000
        assert timer.skipped == 0
        assert log[-1][1] == pytest.approx(1000, abs=1e-9)


async def test_ticks_that_a_blocked_loop_missed_are_counted_and_not_made_up_for() -> None:
    log: list[Any] = []
    async with Supervisor("app") as app:
        actor = await app.start(Clockwork, log)
        timer = await actor.call(Clockwork.every, 1, Clockwork.tick)
        await anyio.sleep(2.5)
        block(5)  # over those of 3, 4, 5, 6 and 7
        await anyio.sleep(2)
        assert [when for _, when in log] == [1, 2, 7.5, 8, 9]
        assert timer.skipped == 4


async def test_the_shortest_period_lets_others_run() -> None:
    block(1e6)  # where the clock is a coarse one
    log: list[Any] = []
    async with Supervisor("app") as app:
        actor = await app.start(Clockwork, log)
        await actor.call(Clockwork.every, 1e-6, Clockwork.tick)
        await anyio.sleep(1e-4)
    assert 50 < len(log) <= 101


async def test_those_due_at_the_same_instant_come_in_the_order_in_which_they_were_set() -> None:
    log: list[Any] = []
    async with Supervisor("app") as app:
        actor = await app.start(Clockwork, log)
        for label in "abcdefgh":
            await actor.call(Clockwork.after, 3, Clockwork.tick, label)
        await anyio.sleep(4)
    assert "".join(label for label, _ in log) == "abcdefgh"


async def test_an_earlier_one_is_not_held_up_by_a_later_one_that_was_set_before() -> None:
    log: list[Any] = []
    async with Supervisor("app") as app:
        actor = await app.start(Clockwork, log)
        for seconds in (30, 5, 20, 1):
            await actor.call(Clockwork.after, seconds, Clockwork.tick)
        await anyio.sleep(31)
    assert [when for _, when in log] == [1, 5, 20, 30]


# -- a predecessor, a full mailbox -------------------------------------------------------------------------------------


async def test_a_tick_whose_predecessor_is_still_queued_is_skipped_and_counted() -> None:
    log: list[Any] = []
    async with Supervisor("app") as app:
        actor = await app.start(Clockwork, log)
        timer = await actor.call(Clockwork.every, 1, Clockwork.tick)
        gate = await busy(actor)
        await anyio.sleep(5.5)
        assert len(actor) == 1
        assert timer.skipped == 4
        gate.open()
        await anyio.sleep(1)
        assert [when for _, when in log] == [5.5, 6]
        assert timer.skipped == 4


async def test_a_tick_whose_predecessor_has_begun_is_not_skipped() -> None:
    log: list[Any] = []
    async with Supervisor("app") as app:
        actor = await app.start(Clockwork, log)
        timer = await actor.call(Clockwork.every, 2, Clockwork.tick, "slow", 3)
        await anyio.sleep(12.5)
        # Of 2 and 4 and so on; each takes 3 s, so the one of 8 is due while that of 6 waits.
        assert [when for _, when in log] == [2, 5, 8, 11]
        assert timer.skipped == 1


async def test_each_timer_has_its_own_predecessor() -> None:
    log: list[Any] = []
    async with Supervisor("app") as app:
        actor = await app.start(Clockwork, log)
        timers = [await actor.call(Clockwork.every, 1, Clockwork.tick, label) for label in "abc"]
        gate = await busy(actor)
        await anyio.sleep(3.5)
        gate.open()
        await at_rest()
        assert [label for label, _ in log] == ["a", "b", "c"]
        assert [timer.skipped for timer in timers] == [2, 2, 2]


async def test_a_full_mailbox_neither_holds_back_nor_loses_what_a_timer_sends() -> None:
    log: list[Any] = []
    async with Supervisor("app") as app:
        actor = await app.start(Clockwork, log, capacity=2)
        await actor.call(Clockwork.after, 1, Clockwork.tick, "after")
        every = await actor.call(Clockwork.every, 1, Clockwork.tick, "every")
        gate = await busy(actor)
        await actor.send(Clockwork.note, "first")
        await actor.send(Clockwork.note, "second")
        await anyio.sleep(3.5)
        assert len(actor) == 4
        assert every.skipped == 2
        gate.open()
        await at_rest()
        assert [entry[0] for entry in log] == ["first", "second", "after", "every"]
        assert actor.account().balanced


async def test_ticks_come_while_senders_wait_for_each_place_in_the_mailbox() -> None:
    log: list[Any] = []
    async with Supervisor("app") as app:
        actor = await app.start(Clockwork, log, capacity=3)
        await actor.call(Clockwork.every, 1, Clockwork.note, "every")

        async def press() -> None:
            while True:
                await actor.send(Clockwork.tick, "work", 0.1)

        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(press)
            await anyio.sleep(20)
            assert len(actor) >= 3
            group.cancel_scope.cancel()
        assert 17 <= sum(entry[0] == "every" for entry in log) <= 20


async def test_room_is_right_again_after_a_timer_went_above_capacity() -> None:
    async with Supervisor("app") as app:
        actor = await app.start(Clockwork, capacity=1)
        await actor.call(Clockwork.after, 1, Clockwork.note)
        gate = await busy(actor)
        await actor.send(Clockwork.note)
        await anyio.sleep(2)
        assert len(actor) == 2
        with pytest.raises(MailboxFull):
            actor.try_send(Clockwork.note)
        sent: list[int] = []

        async def send(number: int) -> None:
            await actor.send(Clockwork.note)
            sent.append(number)

        async with anyio.create_task_group() as group:
            group.start_soon(send, 1)
            await at_rest()
            assert sent == []
            gate.open()
        assert await busy(actor)
        actor.try_send(Clockwork.note)
        assert len(actor) == 1
        app.kill(actor.name)


async def test_a_tick_that_an_overflow_policy_drops_does_not_end_its_timer() -> None:
    log: list[Any] = []
    async with Supervisor("app") as app:
        actor = await app.start(Clockwork, log, capacity=1, overflow="drop_oldest")
        every = await actor.call(Clockwork.every, 2, Clockwork.tick)
        after = await actor.call(Clockwork.after, 2, Clockwork.tick, "after")
        gate = await busy(actor)
        await anyio.sleep(2.5)
        await actor.send(Clockwork.note, "newer")
        await actor.send(Clockwork.note, "newest")
        await anyio.sleep(2)
        assert every.skipped == 0
        assert not after.active
        gate.open()
        await anyio.sleep(2)
        assert log == [("newer", ""), ("newest", ""), ("tick", 4.5), ("tick", 6)]
        assert actor.account().balanced


async def test_a_paused_actor_finds_one_tick_of_each_timer_when_it_goes_on() -> None:
    log: list[Any] = []
    async with Supervisor("app") as app:
        actor = await app.start(Clockwork, log)
        every = await actor.call(Clockwork.every, 1, Clockwork.tick, "every")
        await actor.call(Clockwork.after, 2, Clockwork.tick, "after")
        actor.pause()
        await anyio.sleep(5.5)
        assert every.skipped == 4
        actor.resume()
        await at_rest()
        assert log == [("every", 5.5), ("after", 5.5)]
        await anyio.sleep(1)
        assert log[2:] == [("every", 6)]


async def test_a_tick_for_a_concurrent_handler_does_not_wait_for_the_one_before() -> None:
    log: list[Any] = []

    class Overlapping(Clockwork):
        @concurrent
        async def tick(self, label: str = "tick", seconds: float = 0) -> None:
            await super().tick(label, seconds)
            self.log.append("done")

    async with Supervisor("app") as app:
        actor = await app.start(Overlapping, log)
        timer = await actor.call(Clockwork.every, 1, Clockwork.tick, "tick", 2.5)
        await anyio.sleep(4)
        assert log == [("tick", 1), ("tick", 2), ("tick", 3), "done"]
        assert timer.skipped == 0


async def test_a_tick_that_waits_goes_with_its_life_and_one_in_hand_is_delivered_again_like_all_else() -> None:
    log: list[Any] = []

    def crash(clockwork: Clockwork) -> None:
        clockwork.log.append(("crash", current().attempt))
        raise Boom

    async with Supervisor("app") as app:
        actor = await app.start(Clockwork, log, redeliver=3)
        await actor.call(Clockwork.after, 1, crash)
        await anyio.sleep(5)
        assert log == [("crash", n) for n in (1, 2, 3, 4)]
        assert (actor.account().dead_lettered, actor.account().balanced) == (1, True)
        log.clear()

        async def waits_and_crashes(_: Clockwork) -> None:
            await anyio.sleep(2)
            raise Boom

        await actor.call(Clockwork.after, 1, crash)
        await actor.send(waits_and_crashes)
        await anyio.sleep(20)
        assert log == []
        assert (actor.account().abandoned, actor.account().balanced) == (1, True)


# -- cancel and replace ------------------------------------------------------------------------------------------------


async def test_a_cancelled_timer_sends_nothing_any_more() -> None:
    log: list[Any] = []
    async with Supervisor("app") as app:
        actor = await app.start(Clockwork, log)
        after = await actor.call(Clockwork.after, 3, Clockwork.tick)
        every = await actor.call(Clockwork.every, 2, Clockwork.tick)
        await anyio.sleep(2.5)
        after.cancel()
        every.cancel()
        every.cancel()
        assert not after.active
        assert not every.active
        await anyio.sleep(10)
    assert log == [("tick", 2)]


async def test_what_a_cancelled_timer_has_queued_is_abandoned() -> None:
    log: list[Any] = []
    async with Supervisor("app") as app:
        actor = await app.start(Clockwork, log)
        timers = [
            await actor.call(Clockwork.after, 1, Clockwork.tick),
            await actor.call(Clockwork.every, 1, Clockwork.tick),
        ]
        gate = await busy(actor)
        await anyio.sleep(1.5)
        assert len(actor) == 2
        for timer in timers:
            assert timer.active
            timer.cancel()
        gate.open()
        await anyio.sleep(5)
        assert log == []
        assert actor.account().abandoned == 2
        assert actor.account().balanced


async def test_cancel_by_id_says_whether_there_was_one() -> None:
    log: list[Any] = []
    async with Supervisor("app") as app:
        actor = await app.start(Clockwork, log)
        await actor.call(Clockwork.after, 1, partial(Clockwork.tick, label="x"), id="x")
        await actor.call(Clockwork.after, 1, Clockwork.tick, id=("y", 2))
        await actor.call(Clockwork.after, 1, Clockwork.tick, "without")
        assert await actor.call(Clockwork.ids) == ["x", ("y", 2), "timer-3"]
        assert await actor.call(Clockwork.cancel, "x")
        assert not await actor.call(Clockwork.cancel, "x")
        assert not await actor.call(Clockwork.cancel, "z")
        await anyio.sleep(2)
    assert log == [("tick", 1), ("without", 1)]


async def test_a_timer_under_an_id_in_use_replaces_the_other_one() -> None:
    log: list[Any] = []
    async with Supervisor("app") as app:
        actor = await app.start(Clockwork, log)
        first = await actor.call(Clockwork.every, 1, Clockwork.tick, "first", id="id")
        gate = await busy(actor)
        await anyio.sleep(1.5)  # the first one's tick waits
        await actor.send(Clockwork.every, 1, Clockwork.tick, "in between", id="id")
        await actor.send(Clockwork.after, 1, Clockwork.tick, "second", id="id")
        first_ids = current_ids = first._timers
        assert first_ids["id"] is first
        gate.open()
        await anyio.sleep(0.5)
        assert current_ids["id"] is not first
        assert not first.active
        first.cancel()  # doesn't hit its successor
        await anyio.sleep(5)
    # The tick that waited stood in front of what replaced its timer.
    assert log == [("first", 1.5), ("second", 2.5)]


async def test_what_a_replaced_timer_has_queued_behind_does_not_come() -> None:
    log: list[Any] = []

    async def replace(_: Clockwork) -> None:
        await anyio.sleep(2)  # the tick of 1 waits by now
        current().after(2, Clockwork.tick, "new", id="id")

    async with Supervisor("app") as app:
        actor = await app.start(Clockwork, log)
        await actor.call(Clockwork.after, 1, Clockwork.tick, "old", id="id")
        await actor.call(replace)
        await anyio.sleep(5)
    assert log == [("new", 4)]


async def test_a_timer_can_be_started_anew_or_cancelled_from_its_own_tick() -> None:
    log: list[Any] = []

    def countdown(clockwork: Clockwork, left: int) -> None:
        clockwork.log.append(left)
        if left:
            current().after(1, countdown, left - 1, id="countdown")

    def three_times(clockwork: Clockwork) -> None:
        clockwork.log.append("x")
        if clockwork.log.count("x") == 3:
            assert current().timers.cancel("three times")

    async with Supervisor("app") as app:
        actor = await app.start(Clockwork, log)
        await actor.call(countdown, 3)
        await anyio.sleep(10)
        await actor.call(Clockwork.every, 1, three_times, id="three times")
        await anyio.sleep(10)
    assert log == [3, 2, 1, 0, "x", "x", "x"]


async def test_the_timers_may_be_changed_while_somebody_goes_through_them() -> None:
    def cancel_all(_: Clockwork) -> int:
        for timer in current().timers.values():
            timer.cancel()
        return len(current().timers)

    log: list[Any] = []
    async with Supervisor("app") as app:
        actor = await app.start(Clockwork, log)
        for seconds in range(1, 5):
            await actor.call(Clockwork.every, seconds, Clockwork.tick)
        assert await actor.call(cancel_all) == 0
        await anyio.sleep(10)
    assert log == []


async def test_starting_a_timer_anew_with_each_message_makes_nothing_grow() -> None:
    """How one notices that no message comes any more."""
    async with Supervisor("app") as app:
        actor = await app.start(Clockwork)
        keeper = await actor.call(Clockwork.every, 3600, Clockwork.note, id="keeper")
        timers, backend = keeper._timers, keeper._mailbox.backend
        for number in range(5000):
            await actor.call(Clockwork.after, 3600, Clockwork.note, id="idle")
            (await actor.call(Clockwork.after, 1800, Clockwork.note)).cancel()
            if not number % 100:
                await anyio.sleep(1)
        assert len(timers) == 2
        assert len(timers._due) <= 100
        assert len(getattr(backend, "_timers", ())) <= 100


# -- the end -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["crash", "stop", "kill", "crash in a task", "restart"])
async def test_timers_are_gone_with_the_incarnation_however_it_ends(end: str) -> None:
    log: list[Any] = []
    async with Supervisor("app") as app:
        actor = await app.start(Clockwork, log)
        timers = [
            await actor.call(Clockwork.every, 3, Clockwork.tick),
            await actor.call(Clockwork.after, 3, Clockwork.tick),
        ]
        if end == "crash":
            await actor.send(Clockwork.crash)
        elif end == "stop":
            await app.terminate_child("clockwork")
        elif end == "kill":
            app.kill("clockwork")
        elif end == "restart":
            await actor.send(lambda _: current().stop())
        else:
            await actor.send(lambda clockwork: current().nursery.start_soon(clockwork.crash))
        await at_rest()
        assert not any(timer.active for timer in timers)
        await anyio.sleep(10)
        assert log == []


async def test_what_a_timer_sent_does_not_reach_the_next_incarnation() -> None:
    log: list[Any] = []

    async def crash_late(_: Clockwork, gate: Gate) -> None:
        await gate.walk_through()
        raise Boom

    class Regular(Clockwork):
        def __init__(self, log: list[Any]) -> None:
            super().__init__(log)
            current().every(2, Clockwork.tick, f"life {current().incarnation}", id="own")

    async with Supervisor("app") as app:
        actor = await app.start(Regular, log)
        gate = Gate()
        await actor.send(crash_late, gate)
        await actor.send(Clockwork.note, "sent by another")
        await anyio.sleep(3)
        assert len(actor) == 2
        gate.open()
        await anyio.sleep(3)
        assert log == [("sent by another", ""), ("life 2", 2)]
        account = actor.account()
        assert account.abandoned == 1
        assert account.balanced


async def test_what_a_tick_raises_is_a_crash_and_the_tick_a_dead_letter() -> None:
    letters: list[DeadLetter] = []

    def listen(event: Event) -> None:
        if isinstance(event, DeadLetter):
            letters.append(event)

    async with Supervisor("app", listener=listen) as app:
        actor = await app.start(Clockwork)
        await actor.call(Clockwork.every, 1, Clockwork.crash)
        await anyio.sleep(1.5)
        assert await actor.call(lambda _: current().incarnation) == 2
        await anyio.sleep(10)
        assert await actor.call(lambda _: current().incarnation) == 2
    assert [letter.message for letter in letters] == ["Clockwork.crash()"]


async def test_what_a_tick_may_raise_is_said_and_its_timer_goes_on() -> None:
    expected: list[Event] = []
    async with Supervisor("app", listener=expected.append) as app:
        actor = await app.start(Clockwork, expects=(Boom,))
        await actor.call(Clockwork.every, 1, Clockwork.crash)
        await anyio.sleep(3.5)
        assert sum(isinstance(event, Raised) for event in expected) == 3


async def test_an_actor_that_was_asked_to_end_gets_no_tick_any_more_but_drains_what_waits() -> None:
    log: list[Any] = []

    async def hold_and_say(clockwork: Clockwork, gate: Gate) -> None:
        await gate.walk_through()
        current().every(1, Clockwork.tick, "too late")
        clockwork.log.append("held")

    async with Supervisor("app") as app:
        actor = await app.start(Clockwork, log, drain=True, stop_within=math.inf)
        timer = await actor.call(Clockwork.every, 2, Clockwork.tick, "tick", 5)
        later = await actor.call(Clockwork.after, 3, Clockwork.tick, "later")
        gate = Gate()
        await actor.send(hold_and_say, gate)
        await anyio.sleep(2.5)  # one tick waits
        async with anyio.create_task_group() as group:
            group.start_soon(app.terminate_child, "clockwork")
            await anyio.sleep(10)
            assert not later.active
            assert timer.active
            gate.open()
            await anyio.sleep(1)
            assert not timer.active  # its last tick has begun
        assert log == ["held", ("tick", 12.5)]
        assert not timer.active
        assert timer.skipped == 0
        assert actor.account().balanced


async def test_a_start_that_fails_leaves_no_timer() -> None:
    started: list[Timer] = []

    def fail(log: list[Any]) -> Clockwork:
        started.append(current().every(1, Clockwork.tick))
        if len(started) == 1:
            raise Boom
        return Clockwork(log)

    log: list[Any] = []
    mailbox, _ = open_mailbox(Clockwork)
    assert isinstance(await mailbox.run(fail, log), Crashed)
    assert not started[0].active
    await anyio.sleep(5)
    assert log == []


async def test_a_timer_keeps_no_actor_alive() -> None:
    log: list[Any] = []
    mailbox, address = open_mailbox(Clockwork)
    weak = address.weak
    async with anyio.create_task_group() as group:
        group.start_soon(mailbox.run, Clockwork, log)
        await address.call(Clockwork.every, 1, Clockwork.tick)
        await anyio.sleep(2.5)
        address.close()
    assert [when for _, when in log] == [1, 2]
    with pytest.raises(MailboxClosed):
        await weak.send(Clockwork.note)


async def test_an_ended_incarnation_starts_no_timer() -> None:
    kept: list[Current] = []
    async with Supervisor("app") as app:
        actor = await app.start(Clockwork)
        await actor.call(lambda _: kept.append(current()))
        app.kill("clockwork")
        await at_rest()
        for use in (
            lambda: kept[0].after(1, Clockwork.note),
            lambda: kept[0].every(1, Clockwork.note),
            lambda: kept[0].timers,
        ):
            with pytest.raises(RuntimeError, match=r"app/clockwork #1> has ended.*next one"):
                use()


async def test_a_timer_keeps_nothing_of_the_context_that_it_was_started_in() -> None:
    variable: ContextVar[object] = ContextVar("variable")

    class Thing:
        pass

    async def start(_: Clockwork) -> weakref.ref[Thing]:
        thing = Thing()
        token = variable.set(thing)
        current().every(3600, Clockwork.note)
        variable.reset(token)
        return weakref.ref(thing)

    async with Supervisor("app") as app:
        actor = await app.start(Clockwork)
        found = await actor.call(start)
        gc.collect()
        assert found() is None


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [-1, math.nan, math.inf, -math.inf, "1", None, True, 1j])
@pytest.mark.parametrize("kind", ["after", "every"])
async def test_a_time_that_is_none_is_refused(kind: str, seconds: Any) -> None:
    async with Supervisor("app") as app:
        actor = await app.start(Clockwork, expects=(InvalidSpec,))
        handler = Clockwork.after if kind == "after" else Clockwork.every
        with pytest.raises(InvalidSpec) as refused:
            await actor.call(handler, seconds, Clockwork.note)
        assert f"{kind}() of 'app/clockwork': seconds={seconds!r}" in str(refused.value)
        assert "a finite number of seconds" in str(refused.value)
        assert await actor.call(Clockwork.ids) == []


@pytest.mark.parametrize("seconds", [0, 0.0, 1e-7])
async def test_every_so_often_without_a_pause_is_refused_with_the_cure(seconds: float) -> None:
    async with Supervisor("app") as app:
        actor = await app.start(Clockwork, expects=(InvalidSpec,))
        with pytest.raises(InvalidSpec, match=r"0\.000001 or more; .* a task of current\(\)\.nursery"):
            await actor.call(Clockwork.every, seconds, Clockwork.note)


async def test_after_no_time_is_soon_and_never_within_the_handler_in_hand() -> None:
    log: list[Any] = []

    async def start(clockwork: Clockwork) -> None:
        current().after(0, Clockwork.note, "later")
        await anyio.sleep(1)
        clockwork.log.append("first")

    async with Supervisor("app") as app:
        actor = await app.start(Clockwork, log)
        await actor.call(start)
        await at_rest()
    assert log == ["first", ("later", "")]


async def test_what_is_no_handler_or_no_id_is_refused() -> None:
    async with Supervisor("app") as app:
        actor = await app.start(Clockwork, expects=(NotAHandler, InvalidSpec))
        with pytest.raises(NotAHandler, match=r"Clockwork\.note"):
            await actor.call(lambda clockwork: current().after(1, clockwork.note))
        with pytest.raises(InvalidSpec, match=r"a timer of 'app/clockwork': id=\[\] .* hashable"):
            await actor.call(Clockwork.after, 1, Clockwork.note, id=[])
        assert await actor.call(Clockwork.ids) == []


async def test_a_timer_says_what_it_is() -> None:
    async with Supervisor("app") as app:
        actor = await app.start(Clockwork)
        every = await actor.call(Clockwork.every, 0.5, Clockwork.tick, id="x")
        after = await actor.call(Clockwork.after, 1, Scribe.note)
        assert repr(every) == "<Timer 'x' of app/clockwork: every 0.5 s Clockwork.tick>"
        after.cancel()
        assert repr(after).endswith(": after Scribe.note, over>")
        assert every.period == 0.5
        assert after.period is None
