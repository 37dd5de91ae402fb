"""How a streamed reply ends that isn't read to its end: crashes, answers, redelivery, stops, kills, deadlines.

Tested: SEMANTICS 81, with 6, 16, 54 and 85 as far as they speak of streams.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import anyio
import pytest
from tenacity import wait_fixed

from supervise import (
    ActorCrashed,
    ActorRestarting,
    ActorStopped,
    Address,
    CallTimeout,
    HandlerLate,
    Intensity,
    Redeliver,
    Restart,
    Supervisor,
    checkpointed,
    child,
    concurrent,
    current,
    redelivered,
)
from supervise.actor.in_hand import LOOKS, InHand
from supervise.actor.incarnation import Incarnation
from supervise.events import Event, Late
from supervise.testing.virtual_time import at_rest
from tests.actor.streamers import OFTEN, Model, read, take
from tests.doubles import Boom, Gate, Outcomes

pytestmark = pytest.mark.anyio


# -- crashes, answers, redelivery --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("redeliver", [0, 3])
async def test_a_crash_is_told_after_what_was_sent_before(redeliver: int) -> None:
    async with Supervisor("app", child(Model, redeliver=redeliver), intensity=OFTEN) as app:
        model: Address[Model] = app.find("model")
        got: list[Any] = []
        async with model.stream_from(Model.by_the_second, 5, Boom("after five")) as numbers:
            got.append(await anext(numbers))
            await anyio.sleep(10)
            what = r"app/model #1 crashed with Model.by_the_second in hand: Boom: after five"
            with pytest.raises(ActorCrashed, match=what) as caught:
                async for number in numbers:
                    got.append(number)
            assert isinstance(caught.value.__cause__, Boom)
            assert caught.value.begun
            assert [number async for number in numbers] == []
        assert got == [0, 1, 2, 3, 4]
        assert model.account() == (1, 0, 1, 0, 0, 0, 0)  # it wasn't tried again
        assert app.get_childspec("model").incarnation == 2


async def test_what_nobody_has_taken_is_discarded_and_the_next_life_begins_afresh() -> None:
    log: list[Any] = []

    class Flaky(Model):
        async def numbers(self, many: float = math.inf, crash: Exception | None = None) -> AsyncIterator[int]:
            for number in range(10):
                yield 100 * current().incarnation + number
                if number == 5 and current().attempt < 3:
                    self.log.append(current().attempt)
                    raise Boom("again")

    async with Supervisor("app", child(Flaky, log, redeliver=5), intensity=OFTEN) as app:
        model: Address[Model] = app.find("flaky")
        async with model.stream_from(Model.numbers) as numbers:
            await at_rest()  # two lives have ended, and six items of each were sent
            assert log == [1, 2]
            assert [number async for number in numbers] == [*range(300, 310)]
        assert model.account() == (1, 1, 0, 0, 0, 0, 0)


async def test_what_is_left_isnt_tried_again() -> None:
    async with Supervisor("app", child(Model, redeliver=3), intensity=OFTEN) as app:
        model: Address[Model] = app.find("model")
        with pytest.raises(ActorCrashed, match="as it was closed"):
            async with model.stream_from(Model.crashes_when_closed):
                await at_rest()
        assert model.account() == (1, 0, 1, 0, 0, 0, 0)


async def test_who_leaves_while_the_next_life_is_waited_for_waits_for_nothing() -> None:
    slow = child(Model, redeliver=3, restart=Restart.permanent(wait=wait_fixed(9)))
    async with Supervisor("app", slow) as app:
        model: Address[Model] = app.find("model")
        begun = anyio.current_time()
        async with model.stream_from(Model.numbers, 0, Boom("at once")):
            await at_rest()
            assert len(model) == 1
        assert anyio.current_time() == begun
        assert model.account().balanced
        assert await model.call(Model.note, 1) > 0
        assert model.account() == (2, 1, 0, 0, 1, 0, 0)


async def test_a_row_of_redeliveries_ends() -> None:
    async with Supervisor("app", child(Model, redeliver=2), intensity=OFTEN) as app:
        model: Address[Model] = app.find("model")
        async with model.stream_from(Model.numbers, 0, Boom("always")) as numbers:
            with pytest.raises(ActorCrashed) as caught:
                await anext(numbers)
        assert isinstance(caught.value.__cause__, Boom)
        assert app.get_childspec("model").incarnation == 4


async def test_a_handler_says_by_itself_how_often_it_is_tried_again() -> None:
    class Marked(Model):
        @redelivered(1)
        async def once_more(self) -> AsyncIterator[int]:
            if current().attempt == 1:
                raise Boom("at first")
            yield current().attempt

    async with Supervisor("app", child(Marked)) as app:
        assert await read(app.find("marked"), Marked.once_more) == [2]


async def test_a_redelivery_may_wait() -> None:
    from tenacity import wait_fixed

    class Flaky(Model):
        async def later(self) -> AsyncIterator[int]:
            if current().attempt == 1:
                raise Boom("at first")
            yield current().attempt

    async with Supervisor("app", child(Flaky, redeliver=Redeliver(1, wait=wait_fixed(7)))) as app:
        begun = anyio.current_time()
        assert await read(app.find("flaky"), Flaky.later) == [2]
        assert anyio.current_time() - begun == 7


@pytest.mark.parametrize("handler", [Model.numbers, Model.beside])
async def test_a_crash_elsewhere_in_the_actor_closes_a_waiting_generator(handler: Any) -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Model, log)) as app:
        model: Address[Model] = app.find("model")

        async def begin(model: Model) -> AsyncIterator[int]:
            current().nursery.start_soon(later, model)
            async with aclosing(handler(model)) as numbers:
                async for number in numbers:
                    yield number

        async def later(model: Model) -> None:
            await anyio.sleep(1)
            await model.crash()

        if handler is Model.beside:
            begin = concurrent(begin)
        got: list[Any] = []
        async with model.stream_from(begin) as numbers:
            got.append(await anext(numbers))
            await anyio.sleep(2)
            with pytest.raises(ActorCrashed) as caught:
                async for number in numbers:
                    got.append(number)
        assert "elsewhere" in str(caught.value)
        assert len(got) == 17  # one was taken, sixteen were sent after it
        assert app.get_childspec("model").incarnation == 2


async def test_an_expected_error_is_raised_as_itself_after_what_was_sent_and_the_actor_lives_on() -> None:
    async with Supervisor("app", child(Model, expects=(Boom,))) as app:
        model: Address[Model] = app.find("model")
        boom, got = Boom("expected"), list[Any]()
        with pytest.raises(Boom) as caught:
            await read(model, Model.numbers, 3, boom, got=got)
        assert caught.value is boom
        assert got == [0, 1, 2]
        assert app.get_childspec("model").incarnation == 1
        assert model.account() == (1, 0, 1, 0, 0, 0, 0)
        with pytest.raises(Boom, match="as it was closed"):
            async with model.stream_from(Model.crashes_when_closed) as numbers:
                await anext(numbers)
        assert app.get_childspec("model").incarnation == 1


async def test_on_error_and_isolate_answer_too() -> None:
    class Isolated(Model):
        @concurrent(isolate=True)
        async def alone(self) -> AsyncIterator[int]:
            yield 1
            raise Boom("alone")

    async with Supervisor("app", child(Isolated, name="a"), child(Model, name="b", on_error="reply")) as app:
        for name, handler, args in (("a", Isolated.alone, ()), ("b", Model.numbers, (1, Boom("b")))):
            got: list[Any] = []
            with pytest.raises(Boom):
                await read(app.find(name), handler, *args, got=got)
            assert len(got) == 1
            assert app.get_childspec(name).incarnation == 1


async def test_on_restart_fail_doesnt_wait_for_the_next_life() -> None:
    async with Supervisor("app", child(Model, redeliver=3), intensity=OFTEN) as app:
        model: Address[Model] = app.find("model")
        gate = Gate()
        await model.send(Model.hold, gate)
        await gate.reached.wait()
        view = model.options(on_restart="fail")
        async with view.stream_from(Model.numbers, 0, Boom("in hand")) as first:
            async with view.stream_from(Model.numbers, 0, Boom("queued")) as second:
                gate.open()
                with pytest.raises(ActorCrashed):
                    await anext(first)
                with pytest.raises(ActorRestarting):
                    await anext(second)
        assert model._mailbox.extras.fail_fast == 0
        assert model.account().balanced


async def test_a_generator_that_is_closed_early_commits_its_checkpoint_as_one_that_returns() -> None:
    class Kept(Model):
        async def counting(self) -> AsyncIterator[int]:
            current().checkpoint("counted")
            while True:
                yield 1

        @checkpointed(every=1000)
        def snapshot(self) -> str:
            return "at rest"

        async def last(self) -> Any:
            found = current().last_checkpoint
            return None if found is None else found.value

    async with Supervisor("app", child(Kept), intensity=OFTEN) as app:
        kept: Address[Kept] = app.find("kept")
        async with kept.stream_from(Kept.counting) as items:
            await anext(items)
        with pytest.raises(ActorCrashed):
            await kept.call(Model.crash)
        assert await kept.call(Kept.last) == "counted"


# -- stops and kills ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("handler", [Model.numbers, Model.beside])
@pytest.mark.parametrize("way", ["terminate", "address.stop", "drain", "current().stop", "tree"])
async def test_a_stop_closes_a_waiting_generator_at_once(handler: Any, way: str) -> None:
    log: list[Any] = []
    got: list[Any] = []
    async with Supervisor("app", child(Model, log, drain=way == "drain")) as app, anyio.create_task_group() as group:
        model: Address[Model] = app.find("model")

        async def stops_itself(model: Model) -> AsyncIterator[int]:
            current().stop()
            async with aclosing(handler(model)) as numbers:
                async for number in numbers:
                    yield number

        own = way == "current().stop"
        asked: Any = (concurrent(stops_itself) if handler is Model.beside else stops_itself) if own else handler
        async with model.stream_from(asked) as numbers:
            got.append(await anext(numbers))
            begun = anyio.current_time()
            if way in ("terminate", "drain"):
                await app.terminate_child("model")
            elif way == "address.stop":
                await model.stop(grace=100)
            elif way == "tree":
                group.start_soon(app.stop)
            await at_rest()
            assert anyio.current_time() == begun
            with pytest.raises(ActorStopped, match=r"app/model #1 was stopped \(.*\) with .* in hand") as caught:
                async for number in numbers:
                    got.append(number)
            assert caught.value.begun
        assert got == [*range(len(got))]
        assert len(got) >= 16
        assert log[-1] == "closed"
        assert model.account() == (1, 0, 1, 0, 0, 0, 0)


@pytest.mark.parametrize("way", ["terminate", "address.stop", "drain", "current().stop"])
async def test_an_end_that_is_no_restart_of_its_supervisors_is_the_end_of_the_stream(way: str) -> None:
    async def stops_itself(model: Model) -> AsyncIterator[int]:
        current().stop()
        while True:
            yield 1

    async with Supervisor("app", child(Model, redeliver=3, drain=way == "drain")) as app:
        model: Address[Model] = app.find("model")
        async with model.stream_from(stops_itself if way == "current().stop" else Model.numbers) as items:
            await at_rest()
            if way in ("terminate", "drain"):
                await app.terminate_child("model")
            elif way == "address.stop":
                await model.stop(grace=100)
            await at_rest()
            with pytest.raises(ActorStopped):
                async for _ in items:
                    pass
        assert model.account() == (1, 0, 1, 0, 0, 0, 0)


async def test_a_stream_that_a_stop_has_cut_leaves_no_checkpoint_of_its_handler() -> None:
    class Kept(Model):
        @checkpointed(every=1000)
        def snapshot(self) -> str:
            return "at rest"

    children = (child(Kept), child(Model, name="sibling"))
    async with Supervisor("app", *children, strategy="one_for_all", intensity=OFTEN) as app:
        kept: Address[Kept] = app.find("kept")
        async with kept.stream_from(Model.checks_and_waits) as numbers:
            await anext(numbers)
            await app.find("sibling").send(Model.crash)
            await at_rest()
            assert await kept.call(Model.last) != "on the way"


async def test_a_stop_lets_a_generator_at_work_finish_as_long_as_it_needs_no_reader() -> None:
    async with Supervisor("app", child(Model)) as app, anyio.create_task_group() as group:
        model: Address[Model] = app.find("model")
        outcomes = Outcomes(group)
        await outcomes.watch("read", read(model, Model.by_the_second, 4))
        await anyio.sleep(1.5)
        await app.terminate_child("model")
        await at_rest()
        assert outcomes.of == {"read": [0, 1, 2, 3]}


async def test_one_at_work_beyond_stop_within_is_killed() -> None:
    log: list[Any] = []
    got: list[Any] = []
    async with Supervisor("app", child(Model, log, stop_within=2.5), intensity=Intensity(1)) as app:
        model: Address[Model] = app.find("model")
        async with anyio.create_task_group() as group:
            outcomes = Outcomes(group)
            await outcomes.watch("read", read(model, Model.by_the_second, got=got))
            await anyio.sleep(0.1)
            await app.terminate_child("model")
            await at_rest()
            assert isinstance(outcomes.of["read"], ActorStopped)
            assert "killed" in str(outcomes.of["read"])
        assert got == [0, 1]
        assert log == ["cancelled"]


async def test_who_leaves_hears_nothing_of_a_stop() -> None:
    async with Supervisor("app", child(Model)) as app, anyio.create_task_group() as group:
        model: Address[Model] = app.find("model")
        gate = Gate()
        async with model.stream_from(Model.held_in_finally, gate) as items:
            await anext(items)
            group.start_soon(app.terminate_child, "model")
            await gate.reached.wait()
            gate.open()


@pytest.mark.parametrize("redeliver", [0, 1])
@pytest.mark.parametrize("handler", [Model.numbers, Model.beside])
@pytest.mark.parametrize("taken", [0, 1])
async def test_a_restart_of_its_group_cuts_a_waiting_one_and_it_may_begin_afresh(
    redeliver: int, taken: int, handler: Any
) -> None:
    children = (child(Model, redeliver=redeliver), child(Model, name="sibling"))
    async with Supervisor("app", *children, strategy="one_for_all", intensity=OFTEN) as app:
        model: Address[Model] = app.find("model")
        async with model.stream_from(handler, 20) as numbers:
            got = await take(numbers, taken)
            await at_rest()
            await app.find("sibling").send(Model.crash)
            await at_rest()
            if redeliver and not taken:
                assert [number async for number in numbers] == [*range(20)]
                assert model.account() == (1, 1, 0, 0, 0, 0, 0)
            else:
                with pytest.raises(ActorStopped, match="call again once it is back"):
                    async for number in numbers:
                        got.append(number)
                assert got == [*range(16 + taken)]
                assert model.account() == (1, 0, 1, 0, 0, 0, 0)
        assert await read(model, handler, 2) == [0, 1]


@pytest.mark.parametrize("handler", [Model.numbers, Model.by_the_second, Model.beside])
async def test_a_kill_ends_it_after_what_was_sent(handler: Any) -> None:
    async with Supervisor("app", child(Model, redeliver=3)) as app:
        model: Address[Model] = app.find("model")
        async with model.stream_from(handler) as numbers:
            await anext(numbers)
            await anyio.sleep(0.5)
            model.kill()
            with pytest.raises(ActorStopped, match="killed"):
                async for _ in numbers:
                    pass
        assert app.get_childspec("model").incarnation == 2
        assert await read(model, Model.numbers, 1) == [0]


async def test_an_unstoppable_generator_keeps_nobody_who_is_cancelled() -> None:
    class Stubborn(Model):
        async def never_ends(self, gate: Gate) -> AsyncIterator[int]:
            try:
                while True:
                    yield 1
            finally:
                with anyio.CancelScope(shield=True):
                    await gate.walk_through()

    async with Supervisor("app", child(Stubborn, stop_within=1)) as app, anyio.create_task_group() as group:
        stubborn: Address[Stubborn] = app.find("stubborn")
        gate = Gate()
        outcomes = Outcomes(group)
        with anyio.move_on_after(10) as scope:
            async with stubborn.stream_from(Stubborn.never_ends, gate) as items:
                await anext(items)
                await outcomes.watch("stop", app.terminate_child("stubborn"))
        assert scope.cancelled_caught
        gate.open()
        await at_rest()
        assert stubborn.account().balanced


# -- deadlines ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("handler", [Model.numbers, Model.by_the_second, Model.beside])
@pytest.mark.parametrize("moment", ["it reads", "it does something else"])
async def test_the_timeout_covers_the_whole_stream(handler: Any, moment: str) -> None:
    async with Supervisor("app", child(Model)) as app:
        model: Address[Model] = app.find("model")
        begun = anyio.current_time()
        with pytest.raises(CallTimeout, match=r"app/model: .* had no answer within 3.5 s") as caught:
            async with model.options(timeout=3.5).stream_from(handler) as numbers:
                await anext(numbers)
                if moment == "it reads":
                    async for _ in numbers:
                        await anyio.sleep(0.3)
                await anyio.sleep(100)
                await anext(numbers)
        assert caught.value.begun
        assert anyio.current_time() - begun == pytest.approx(100 if moment == "it does something else" else 3.5, abs=1)
        assert await model.call(Model.note, 1) > 0
        assert model.account() == (2, 2, 0, 0, 0, 0, 0)


async def test_who_is_late_waits_for_no_generator() -> None:
    async with Supervisor("app", child(Model)) as app:
        model: Address[Model] = app.find("model")
        gate = Gate()
        begun = anyio.current_time()
        with pytest.raises(CallTimeout):
            async with model.options(timeout=2).stream_from(Model.after, gate, 1) as items:
                await anext(items)
        assert anyio.current_time() - begun == 2
        begun = anyio.current_time()
        gate.open()
        gate = Gate()
        with pytest.raises(CallTimeout):  # it leaves in time, and the generator isn't closed in time
            async with model.options(timeout=2).stream_from(Model.after, gate, 1):
                await gate.reached.wait()
        assert anyio.current_time() - begun == 2
        gate.open()


async def test_one_that_is_late_in_the_queue_is_skipped() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Model, log)) as app:
        model: Address[Model] = app.find("model")
        model.pause()
        with pytest.raises(CallTimeout, match="never begun") as caught:
            async with model.options(timeout=1).stream_from(Model.numbers) as numbers:
                await anext(numbers)
        assert not caught.value.begun
        model.resume()
        await at_rest()
        assert log == []
        assert model.account() == (1, 0, 0, 0, 1, 0, 0)


async def test_a_stream_that_is_done_in_time_may_be_read_later() -> None:
    async with Supervisor("app", child(Model)) as app:
        async with app.find("model").options(timeout=1).stream_from(Model.numbers, 5) as numbers:
            await anyio.sleep(10)
            assert [number async for number in numbers] == [0, 1, 2, 3, 4]


async def test_the_time_that_it_waits_for_its_reader_isnt_held_against_a_handler() -> None:
    heard: list[Event] = []
    async with Supervisor("app", child(Model, handler_deadline=4), listener=heard.append) as app:
        model: Address[Model] = app.find("model")
        async with model.options(buffer=1).stream_from(Model.numbers, 20) as numbers:
            async for _ in numbers:
                await anyio.sleep(3)
        assert heard == [event for event in heard if not isinstance(event, Late)]
        begun = anyio.current_time()
        with pytest.raises(ActorCrashed) as caught:  # 0.9 s of work, and 2.1 s of waiting, for each item
            async with model.options(buffer=1).stream_from(Model.by_the_second, 20) as numbers:
                async for _ in numbers:
                    await anyio.sleep(3)
        assert isinstance(caught.value.__cause__, HandlerLate)
        assert 4 * 3 <= anyio.current_time() - begun <= 6 * 3


async def test_a_deadline_that_was_met_leaves_no_timer() -> None:
    async with Supervisor("app", child(Model)) as app:
        async with app.find("model").options(timeout=10**6).stream_from(Model.numbers, 3) as numbers:
            assert [number async for number in numbers] == [0, 1, 2]
            reply: Any = getattr(numbers, "_reply")  # noqa: B009 - of a private class
            assert reply._timer is None


async def test_a_look_by_another_clock_counts_no_wait() -> None:
    async with Supervisor("app", child(Model)) as app:
        model: Address[Model] = app.find("model")
        async with model.stream_from(Model.numbers):
            await at_rest()
            hand, life = InHand(), model._mailbox.turn
            assert isinstance(life, Incarnation)
            assert not any(hand.overdue(life) for _ in range(3 * LOOKS))


async def test_a_generator_that_hangs_is_late_as_any_handler() -> None:
    async with Supervisor("app", child(Model, handler_deadline=4)) as app:
        with pytest.raises(ActorCrashed) as caught:
            await read(app.find("model"), Model.after, Gate(), 1)
        assert isinstance(caught.value.__cause__, HandlerLate)


async def test_the_stack_of_a_late_one_shows_the_generators_own_line() -> None:
    heard: list[Event] = []
    async with Supervisor("app", child(Model, handler_deadline=4), listener=heard.append) as app:
        with pytest.raises(ActorCrashed):
            await read(app.find("model"), Model.after, Gate(), 1)
    [late] = [event for event in heard if isinstance(event, Late)]
    assert "Model.after" in late.message
    assert any("Model.after" in str(frame) for frame in late.stack)
