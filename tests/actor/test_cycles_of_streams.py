"""A wait that can't end, because a generator waits for its reader and that for the generator's actor, raises CallCycle.

Tested: SEMANTICS 22 and 81: the reading task is a plain one or an actor's own, the call comes before the wait or after it, is
queued or waits for room; a reader that waits for an item; no false alarm from other tasks, other readers, concurrent streams.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from supervise import ActorCrashed, Address, CallCycle, Intensity, Supervisor, child, concurrent, current
from supervise.mailbox import reader_calls
from supervise.mailbox.envelope import Envelope, awaited_of
from supervise.testing.virtual_time import at_rest
from tests.doubles import Boom, ByNumber, Gate, Outcomes

pytestmark = pytest.mark.anyio


class Source:
    """Yields for ever, and answers calls."""

    async def items(self) -> AsyncIterator[int]:
        number = 0
        while True:
            yield number
            number += 1

    async def items_soon(self) -> AsyncIterator[int]:
        await anyio.lowlevel.checkpoint()
        while True:
            yield 1

    async def items_after(self, gate: Gate) -> AsyncIterator[int]:
        yield -1
        await gate.walk_through()
        number = 0
        while True:
            yield number
            number += 1

    @concurrent
    async def items_beside(self) -> AsyncIterator[int]:
        number = 0
        while True:
            yield number
            number += 1

    async def items_that_ask(self, other: Address[Any], handler: Any, *args: Any) -> AsyncIterator[Any]:
        yield await other.call(handler, *args)

    async def answer(self, number: int = 0) -> int:
        return number

    async def hold(self, gate: Gate) -> None:
        await gate.walk_through()


class Reader:
    """Reads a source in its own turn, and calls somebody meanwhile."""

    async def read_and_call(self, source: Address[Source], gate: Gate, other: Address[Any], handler: Any, *args: Any) -> Any:
        async with source.stream_from(Source.items) as items:
            await anext(items)
            await gate.walk_through()
            return await other.call(handler, *args)

    async def read(self, source: Address[Source], handler: Any, *args: Any) -> list[Any]:
        async with source.stream_from(handler, *args) as items:
            return [item async for item in items]

    async def read_one(self, source: Address[Source], handler: Any, *args: Any) -> Any:
        async with source.stream_from(handler, *args) as items:
            return await anext(items)

    async def call(self, other: Address[Any], handler: Any, *args: Any) -> Any:
        return await other.call(handler, *args)

    async def read_in_a_child_task(self, source: Address[Source], gate: Gate) -> Any:
        async with source.stream_from(Source.items) as items, anyio.create_task_group() as group:

            async def read_on() -> None:
                async for _ in items:
                    await anyio.sleep(1)

            await anext(items)
            group.start_soon(read_on)
            await anyio.sleep(0.5)
            with anyio.move_on_after(5) as scope:
                await source.call(Source.answer, 1)
            group.cancel_scope.cancel()
            return scope.cancelled_caught

    async def answer(self) -> str:
        return "reader"


def cycle_of(error: Any) -> tuple[str, ...]:
    while isinstance(error, ActorCrashed):
        error = error.__cause__
    assert isinstance(error, CallCycle), error
    return error.cycle


def balanced(*addresses: Address[Any]) -> bool:
    return all(address.account().balanced for address in addresses)


# -- a plain task reads ------------------------------------------------------------------------------------------------------


async def test_a_call_of_the_reader_to_an_actor_that_waits_for_it_raises_at_once() -> None:
    async with Supervisor("app", child(Source)) as app:
        source: Address[Source] = app.find("source")
        async with source.stream_from(Source.items) as items:
            await anext(items)
            await at_rest()
            for view in (source, source.options(timeout=100), source.options(on_restart="fail"), source.weak):
                with pytest.raises(CallCycle) as caught:
                    await view.call(Source.answer, 1)
                assert caught.value.cycle == ("app/source",)
                assert str(caught.value) == (
                    "app/source -> the reader of its stream: this call of Source.answer, by that reader, would wait for itself "
                    "for ever; use send, call from another task, or leave the stream's block first"
                )
                assert caught.value.message is not None
            assert await anext(items) == 1  # it reads on
        assert await source.call(Source.answer, 2) == 2
        assert source.account() == (2, 2, 0, 0, 0, 0, 0)


@pytest.mark.parametrize("timeout", [None, 100.0])
@pytest.mark.parametrize("queue", [None, ByNumber])
async def test_a_call_that_was_queued_before_the_generator_waits_is_ended_then(timeout: float | None, queue: Any) -> None:
    options: dict[str, Any] = {} if queue is None else {"queue": queue}
    async with Supervisor("app", child(Source, **options)) as app, anyio.create_task_group() as group:
        source: Address[Source] = app.find("source")
        gate, outcomes = Gate(), Outcomes(group)
        async with source.stream_from(Source.items_after, gate) as items:
            await anext(items)
            await outcomes.watch("before", source.call(Source.answer, 7))
            await source.send(Source.answer, 1)

            async def open_the_gate() -> None:
                await at_rest()
                assert source.account().queued == 3
                gate.open()

            group.start_soon(open_the_gate)
            with pytest.raises(CallCycle) as caught:
                await source.options(timeout=timeout).call(Source.answer, 8)
            assert caught.value.message == (Source.answer, (8,), {})
            assert caught.value.cycle == ("app/source",)
            assert outcomes.of == {}  # another task's isn't
            assert balanced(source)
        await at_rest()
        assert outcomes.of == {"before": 7}
        assert source.account() == (4, 3, 1, 0, 0, 0, 0)


async def test_one_that_waits_for_room_is_ended_too() -> None:
    async with Supervisor("app", child(Source, capacity=1)) as app, anyio.create_task_group() as group:
        source: Address[Source] = app.find("source")
        gate, outcomes = Gate(), Outcomes(group)
        async with source.stream_from(Source.items_after, gate) as items:
            await anext(items)
            await source.send(Source.answer, 1)

            async def open_the_gate() -> None:
                await outcomes.watch("other", source.call(Source.answer, 2))
                await at_rest()
                gate.open()

            group.start_soon(open_the_gate)
            with pytest.raises(CallCycle):
                await source.call(Source.answer, 8)
        await at_rest()
        assert outcomes.of == {"other": 2}
        assert source.account() == (3, 3, 0, 0, 0, 0, 0)


async def test_one_that_lets_others_run_while_the_generator_begins_to_wait_is_ended_before_it_waits_for_room() -> None:
    async with Supervisor("app", child(Source, capacity=1)) as app, anyio.create_task_group() as group:
        source: Address[Source] = app.find("source")
        gate, outcomes = Gate(), Outcomes(group)
        await outcomes.watch("first", source.call(Source.hold, gate))
        await at_rest()
        async with source.options(buffer=1).stream_from(Source.items_soon):
            await outcomes.watch("room", source.send(Source.answer, 1))  # is given the place of the stream, but runs later
            await at_rest()
            gate.open()
            await anyio.lowlevel.checkpoint()
            with pytest.raises(CallCycle):
                await source.call(Source.answer, 8)


async def test_the_place_of_one_that_is_ended_is_given_on() -> None:
    async with Supervisor("app", child(Source, capacity=1)) as app, anyio.create_task_group() as group:
        source: Address[Source] = app.find("source")
        gate, outcomes = Gate(), Outcomes(group)

        async def go_on() -> None:
            await outcomes.watch("send", source.send(Source.answer))
            await at_rest()
            assert outcomes.of == {}
            gate.open()

        async with source.stream_from(Source.items_after, gate) as items:
            await anext(items)
            group.start_soon(go_on)
            with pytest.raises(CallCycle):
                await source.call(Source.answer, 8)
            await at_rest()
            assert outcomes.of == {"send": None}


@pytest.mark.parametrize("queue", [None, ByNumber])
async def test_each_message_is_looked_at_once(queue: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[Envelope] = []

    def look(envelope: Envelope) -> Any:
        looked.append(envelope)
        return awaited_of(envelope)

    monkeypatch.setattr(reader_calls, "awaited_of", look)
    options: dict[str, Any] = {} if queue is None else {"queue": queue}
    async with Supervisor("app", child(Source, **options)) as app:
        source: Address[Source] = app.find("source")
        async with source.options(buffer=1).stream_from(Source.items) as items:
            for number in range(200):
                await source.send(Source.answer, number)
                if not number % 10:
                    await anext(items)
                    await at_rest()
        assert 190 <= len(looked) <= (250 if queue is None else 10_000)


async def test_a_stream_that_finds_no_room_is_the_same() -> None:
    async with Supervisor("app", child(Source, capacity=1)) as app:
        source: Address[Source] = app.find("source")
        async with source.stream_from(Source.items) as items:
            await anext(items)
            await at_rest()
            await source.send(Source.answer)
            with pytest.raises(CallCycle):
                async with source.stream_from(Source.items):
                    pytest.fail("there is no room")


async def test_a_call_behind_the_stream_itself_is_found() -> None:
    async with Supervisor("app", child(Source)) as app:
        source: Address[Source] = app.find("source")
        async with source.stream_from(Source.items):
            with pytest.raises(CallCycle):
                await source.call(Source.answer, 8)  # it comes in before the stream has begun


async def test_a_second_stream_of_the_reader_is_the_same() -> None:
    async with Supervisor("app", child(Source)) as app, anyio.create_task_group() as group:
        source: Address[Source] = app.find("source")
        async with source.stream_from(Source.items) as first:
            await anext(first)
            await at_rest()
            async with source.stream_from(Source.items) as second:
                with pytest.raises(CallCycle):
                    await anext(second)
            gate = Gate()
        async with source.stream_from(Source.items_after, gate) as first, source.stream_from(Source.items) as second:
            await anext(first)

            async def open_the_gate() -> None:
                await at_rest()
                gate.open()

            group.start_soon(open_the_gate)
            with pytest.raises(CallCycle):  # while it waits
                await anext(second)
            assert await anext(first) == 0
        assert balanced(source)


async def test_through_a_third_actor_that_waits_already() -> None:
    async with Supervisor("app", child(Source), child(Reader), intensity=Intensity(10)) as app:
        source, reader = app.find("source"), app.find("reader")
        async with anyio.create_task_group() as group:
            outcomes = Outcomes(group)
            async with source.stream_from(Source.items) as items:
                await anext(items)
                await outcomes.watch("call", reader.call(Reader.call, source, Source.answer, 3))
                await at_rest()
                view = reader.options(timeout=100)  # what has credit isn't looked at
                with pytest.raises(CallCycle) as caught:
                    await view.call(Reader.answer)
                assert caught.value.cycle == ("app/reader", "app/source")
            await at_rest()
            assert outcomes.of == {"call": 3}


async def test_calls_of_others_are_no_cycle() -> None:
    async with Supervisor("app", child(Source)) as app, anyio.create_task_group() as group:
        source: Address[Source] = app.find("source")
        outcomes = Outcomes(group)
        async with source.stream_from(Source.items) as items:
            await anext(items)
            await at_rest()
            await outcomes.watch("other task", source.call(Source.answer, 1))
            await source.send(Source.answer, 2)
            await at_rest()
            assert outcomes.of == {}
            with pytest.raises(CallCycle):
                await source.call(Source.answer, 3)  # which they leave no credit for
            assert balanced(source)
        await at_rest()
        assert outcomes.of == {"other task": 1}


async def test_a_concurrent_stream_waits_for_its_reader_and_holds_up_no_call() -> None:
    async with Supervisor("app", child(Source)) as app:
        source: Address[Source] = app.find("source")
        async with source.stream_from(Source.items_beside) as items:
            for number in range(40):
                assert await anext(items) == number
                await at_rest()
                assert await source.call(Source.answer, number) == number


async def test_a_reader_in_another_task_than_the_one_that_entered_is_what_counts() -> None:
    async with Supervisor("app", child(Source)) as app, anyio.create_task_group() as group:
        source: Address[Source] = app.find("source")
        outcomes = Outcomes(group)
        async with source.stream_from(Source.items) as items:
            await outcomes.watch("first", anext(items))
            await at_rest()
            assert outcomes.of == {"first": 0}
            with anyio.move_on_after(1) as scope:
                await source.call(Source.answer, 1)  # the other one might read on
            assert scope.cancelled_caught
            await anext(items)
            await at_rest()
            with pytest.raises(CallCycle):
                await source.call(Source.answer, 1)


async def test_a_reader_that_has_made_room_and_waits_again_is_no_cycle() -> None:
    async with Supervisor("app", child(Source)) as app:
        source: Address[Source] = app.find("source")
        async with source.options(buffer=3).stream_from(Source.items) as items:
            await at_rest()
            for number in range(50):  # it takes all that is there, and waits, before the generator has run again
                assert await anext(items) == number


@pytest.mark.parametrize("way", ["kill", "crash"])
async def test_a_call_to_an_actor_that_was_just_cut_off_waits_for_its_next_life(way: str) -> None:
    async with Supervisor("app", child(Source), intensity=Intensity(10)) as app:
        source: Address[Source] = app.find("source")
        async with source.stream_from(Source.items) as items:
            await anext(items)
            await at_rest()
            if way == "kill":
                source.kill()
            else:
                turn: Any = source._mailbox.turn
                turn.fail(Boom("beside"))
            assert await source.call(Source.answer, 1) == 1  # the generator has waited for this reader, and doesn't any more


# -- an actor reads in its own turn ------------------------------------------------------------------------------------------


async def test_an_actor_that_reads_is_a_node_of_the_cycle() -> None:
    async with Supervisor("app", child(Source), child(Reader), intensity=Intensity(10)) as app:
        source, reader = app.find("source"), app.find("reader")
        gate = Gate()
        gate.open()
        with pytest.raises(ActorCrashed) as caught:
            await reader.call(Reader.read_and_call, source, gate, source, Source.answer)
        assert cycle_of(caught.value) == ("app/reader", "app/source", "app/reader")
        assert await source.call(Source.answer, 1) == 1
        assert balanced(source, reader)


async def test_a_cycle_of_three_through_the_reader() -> None:
    async with Supervisor(
        "app", child(Source), child(Reader, name="a"), child(Reader, name="b"), intensity=Intensity(10)
    ) as app:
        source, a, b = app.find("source"), app.find("a"), app.find("b")
        gate = Gate()
        async with anyio.create_task_group() as group:
            outcomes = Outcomes(group)
            await outcomes.watch("a", a.call(Reader.read_and_call, source, gate, b, Reader.call, source, Source.answer))
            await at_rest()
            gate.open()  # a waits for b, which calls the source, which waits for a
            await at_rest()
            assert cycle_of(outcomes.of["a"]) == ("app/b", "app/source", "app/a", "app/b")
        assert balanced(source, a, b)


@pytest.mark.parametrize("room", [1, 1000])
async def test_a_call_of_the_reader_that_came_before_the_wait_is_ended_then(room: int) -> None:
    class Early(Reader):
        async def read_early(self, gate: Gate) -> Any:
            async with app.find("source").stream_from(Source.items_after, gate) as items:
                await anext(items)
                if room == 1:
                    await app.find("source").send(Source.answer)
                return await app.find("source").call(Source.answer, 5)

    async with Supervisor("app", child(Source, capacity=room), child(Early), intensity=Intensity(10)) as app:
        source, early = app.find("source"), app.find("early")
        gate = Gate()
        async with anyio.create_task_group() as group:
            outcomes = Outcomes(group)
            await outcomes.watch("early", early.call(Early.read_early, gate))
            await at_rest()
            gate.open()
            await at_rest()
            assert cycle_of(outcomes.of["early"]) == ("app/early", "app/source", "app/early")
        assert await source.call(Source.answer, 1) == 1
        assert balanced(source, early)


async def test_a_chain_to_the_waiting_actor_is_ended_at_the_call_that_waits_there() -> None:
    class Early(Reader):
        async def read_early(self, gate: Gate) -> Any:
            async with app.find("source").stream_from(Source.items_after, gate) as items:
                await anext(items)
                return await app.find("b").call(Reader.call, app.find("source"), Source.answer)

    async with Supervisor("app", child(Source), child(Early), child(Reader, name="b"), intensity=Intensity(10)) as app:
        gate = Gate()
        async with anyio.create_task_group() as group:
            outcomes = Outcomes(group)
            await outcomes.watch("early", app.find("early").call(Early.read_early, gate))
            await at_rest()
            gate.open()
            await at_rest()
            assert cycle_of(outcomes.of["early"]) == ("app/b", "app/source", "app/early", "app/b")


async def test_a_wait_for_an_item_is_an_edge_as_that_for_an_answer() -> None:
    async with Supervisor("app", child(Source), child(Reader), intensity=Intensity(10)) as app:
        source, reader = app.find("source"), app.find("reader")
        with pytest.raises(ActorCrashed) as caught:  # the generator calls the actor that reads it
            await reader.call(Reader.read, source, Source.items_that_ask, reader, Reader.answer)
        assert cycle_of(caught.value) == ("app/source", "app/reader", "app/source")


async def test_reading_ones_own_stream_is_a_cycle_at_the_first_item() -> None:
    class Own(Source):
        async def read_itself(self, handler: Any) -> Any:
            async with current().address.stream_from(handler) as items:
                return await anext(items)

        async def only_enter(self) -> str:
            async with current().address.stream_from(Source.items):
                return "entered"

    async with Supervisor("app", child(Own), intensity=Intensity(10)) as app:
        own: Address[Own] = app.find("own")
        with pytest.raises(ActorCrashed) as caught:
            await own.call(Own.read_itself, Source.items)
        assert cycle_of(caught.value) == ("app/own", "app/own")
        assert await own.call(Own.only_enter) == "entered"
        await at_rest()
        assert balanced(own)


@pytest.mark.parametrize("late", [False, True])
async def test_a_concurrent_generator_that_has_begun_is_no_node(late: bool) -> None:
    class Asking(Source):
        @concurrent
        async def asks(self, begins: Gate, gate: Gate) -> AsyncIterator[Any]:
            await begins.walk_through()
            yield 0
            await gate.walk_through()
            yield 1

        async def calls(self, other: Address[Any]) -> Any:
            return await other.call(Reader.answer)

    async with Supervisor("app", child(Asking), child(Reader)) as app, anyio.create_task_group() as group:
        asking, reader = app.find("asking"), app.find("reader")
        begins, gate, outcomes = Gate(), Gate(), Outcomes(group)
        await outcomes.watch("read", reader.call(Reader.read, asking, Asking.asks, begins, gate))
        await begins.reached.wait()
        if late:
            begins.open()
            await gate.reached.wait()
        await outcomes.watch("calls", asking.call(Asking.calls, reader))  # a task beside it is waited for
        await at_rest()
        assert outcomes.of == {}
        begins.open()
        gate.open()
        await at_rest()
        assert outcomes.of == {"read": [0, 1], "calls": "reader"}


async def test_a_child_task_of_an_actor_that_reads_isnt_the_actor() -> None:
    async with Supervisor("app", child(Source), child(Reader)) as app:
        gate = Gate()
        assert await app.find("reader").call(Reader.read_in_a_child_task, app.find("source"), gate) is True


async def test_two_actors_that_read_each_other_are_found() -> None:
    class Both(Source):
        async def mutual(self, other: Address[Any], gate: Gate, *then: Any) -> AsyncIterator[Any]:
            await gate.walk_through()
            async with other.stream_from(*then) as items:
                async for item in items:
                    yield item

    async with Supervisor("app", child(Both, name="a"), child(Both, name="b"), intensity=Intensity(10)) as app:
        a, b = app.find("a"), app.find("b")
        first, second = Gate(), Gate()
        async with anyio.create_task_group() as group:
            outcomes = Outcomes(group)

            async def read(one: Address[Any], *args: Any) -> Any:
                async with one.stream_from(Both.mutual, *args) as items:
                    return [await anext(items) for _ in range(100)]

            await outcomes.watch("a", read(a, b, first, Source.items))
            await outcomes.watch("b", read(b, a, second, Source.items))
            await first.reached.wait()
            await second.reached.wait()
            first.open()
            second.open()
            await at_rest()
            broken = [error for error in outcomes.of.values() if isinstance(error, ActorCrashed)]
            assert len(broken) == 1
            assert set(cycle_of(broken[0])) == {"app/a", "app/b"}
        assert balanced(a, b)
