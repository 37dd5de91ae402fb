"""Streams that an actor reads.

Tested (SEMANTICS 38 and 31):
- `current().read`: fair turns, back-pressure, nothing lost at a crash, ends with the stream, the scope or the incarnation
- a stream that raises crashes its reader's actor
"""

from __future__ import annotations

import gc
import math
import weakref
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from typing import Any

import anyio
import pytest
from anyio.abc import ObjectReceiveStream, ObjectSendStream
from anyio.streams.memory import MemoryObjectSendStream

from supervise import (
    Address,
    Crashed,
    Current,
    ExitKind,
    Intensity,
    InvalidSpec,
    NotAHandler,
    Supervisor,
    current,
    open_mailbox,
)
from supervise.testing.virtual_time import at_rest
from tests.doubles import Boom, Gate, Scribe, fill, filled

pytestmark = pytest.mark.anyio


def read(_: Scribe, stream: AsyncIterable[Any], handler: Callable[[Any, Any], Any]) -> None:
    current().read(stream, handler)


class Reader(Scribe):
    """Reads from its first moment on."""

    def __init__(self, log: list[Any], *streams: ObjectReceiveStream[Any]) -> None:
        super().__init__(log)
        for stream in streams:
            current().read(stream, Scribe.note)

    async def slow(self, entry: Any) -> None:
        await anyio.sleep(1)
        self.log.append(entry)


class PickyReader(Scribe):
    """Crashes at a bad item, after a while."""

    def __init__(self, log: list[Any], stream: ObjectReceiveStream[Any]) -> None:
        super().__init__(log)
        current().read(stream, PickyReader.pick)

    async def pick(self, entry: Any) -> None:
        await anyio.sleep(1)
        if entry == "bad":
            raise Boom(entry)
        self.log.append((entry, current().incarnation))


async def test_an_actor_reads_all_that_comes_and_the_reading_ends_with_the_stream() -> None:
    log: list[Any] = []
    async with Supervisor("app") as app:
        give, take = anyio.create_memory_object_stream[str](0)
        with take:
            reader = await app.start(Reader, log, take)
            for item in "abc":
                await give.send(item)
            give.close()
            await at_rest()
            assert log == ["a", "b", "c"]
            assert await reader.call(lambda _: current().incarnation) == 1
            assert reader.account().balanced


async def test_a_read_message_comes_from_the_actor_itself() -> None:
    seen: list[Any] = []
    with filled([1]) as stream:
        async with Supervisor("app") as app:
            scribe = await app.start(Scribe)

            def look(_: Scribe, item: int) -> None:
                seen.append((item, current().sender, current().remaining))

            await scribe.call(read, stream, look)
            await at_rest()
            assert seen == [(1, scribe.weak, None)]


async def test_a_fast_source_does_not_starve_a_slow_one() -> None:
    log: list[Any] = []

    class Both(Reader):
        def __init__(self, fast: ObjectReceiveStream[Any], slow: ObjectReceiveStream[Any]) -> None:
            super().__init__(log)
            current().read(fast, Reader.slow)
            current().read(slow, Reader.slow)

    give, take = anyio.create_memory_object_stream[str](0)
    with filled(range(1000)) as fast, give, take:
        async with Supervisor("app") as app:
            await app.start(Both, fast, take)
            for turn in range(5):
                await anyio.sleep(10.5)
                await give.send(f"slow {turn}")
                before = len(log)
                await anyio.sleep(2.6)  # what is in hand, what waits of the other, and itself
                assert f"slow {turn}" in log[before:]
            assert len(log) > 50


async def test_sources_that_are_always_ready_take_turns() -> None:
    log: list[Any] = []
    with filled("a" * 100) as a, filled("b" * 100) as b, filled("c" * 100) as c:
        async with Supervisor("app") as app:
            await app.start(Reader, log, a, b, c)
            await at_rest()
    assert len(log) == 300
    assert all(sorted(log[at : at + 3]) == ["a", "b", "c"] for at in range(0, 300, 3))


async def test_what_the_actor_has_not_begun_waits_in_the_stream_which_holds_its_sender_back() -> None:
    give, take = anyio.create_memory_object_stream[int](0)
    sent: list[int] = []
    log: list[Any] = []

    async def send() -> None:
        for item in range(10):
            await give.send(item)
            sent.append(item)

    with give, take:
        async with Supervisor("app") as app, anyio.create_task_group() as group:
            reader = await app.start(Reader, log, take)
            gate = Gate()
            await reader.send(Scribe.hold, gate)
            await gate.reached.wait()
            group.start_soon(send)
            await at_rest()
            assert sent == [0]
            assert len(reader) == 1
            gate.open()
            await at_rest()
            assert len(sent) == 10


async def test_a_full_mailbox_does_not_hold_back_a_reader() -> None:
    log: list[Any] = []
    with filled("read") as stream:
        async with Supervisor("app") as app:
            scribe = await app.start(Scribe, log, capacity=1)
            gate = Gate()

            async def hold_and_read(actor: Scribe) -> None:
                current().read(stream, Scribe.note)
                await actor.hold(gate)

            await scribe.send(hold_and_read)
            await gate.reached.wait()
            async with anyio.create_task_group() as group:
                for i in range(3):
                    group.start_soon(scribe.stream(Scribe.note).send, i)
                await at_rest()
                assert len(scribe) == 2
                gate.open()
            await at_rest()
            assert sorted(log, key=str) == [0, 1, 2, "a", "d", "e", "r"]
            assert scribe.account().balanced


async def test_a_crash_loses_the_item_in_hand_and_no_other() -> None:
    log: list[Any] = []
    with filled([1, 2, "bad", 3, "bad", 4]) as stream:
        async with Supervisor("app") as app:
            reader = await app.start(PickyReader, log, stream)
            await anyio.sleep(10)
            assert log == [(1, 1), (2, 1), (3, 2), (4, 3)]
            account = reader.account()
            assert account.dead_lettered == 2
            assert account.balanced


async def test_no_item_is_lost_however_the_incarnation_ends() -> None:
    """An end in the middle of a restart, while an item is handed over, leaves it in the stream or in the mailbox."""
    log: list[Any] = []
    give, take = anyio.create_memory_object_stream[int](0)
    items = 60

    async def send() -> None:
        for item in range(items):
            await give.send(item)

    with give, take:
        async with Supervisor("app", intensity=Intensity(1000, per=1)) as app, anyio.create_task_group() as group:
            reader = await app.start(Reader, log, take)
            group.start_soon(send)
            turns = 0
            while len(log) < items:
                turns += 1
                for _ in range(turns % 7):
                    await anyio.lowlevel.checkpoint()
                if turns % 3:
                    app.kill("reader")
                else:
                    await reader.send(lambda _: current().stop())
                await at_rest()
    assert log == list(range(items))


async def test_a_stream_that_raises_crashes_the_actor() -> None:
    async def breaks() -> AsyncGenerator[int, None]:
        yield 1
        raise Boom("the source is broken")

    log: list[Any] = []

    def factory(log: list[Any]) -> Scribe:
        current().read(breaks(), Scribe.note)
        return Scribe(log)

    mailbox, _keep = open_mailbox(Scribe)
    outcome = await mailbox.run(factory, log)
    assert isinstance(outcome, Crashed)
    assert outcome.reason.kind is ExitKind.CRASHED
    assert "the source is broken" in str(outcome.reason)
    assert log == [1]


async def test_a_cancelled_scope_ends_the_reading_and_takes_nothing_back() -> None:
    log: list[Any] = []
    give, take = anyio.create_memory_object_stream[int](0)
    with give, take:
        async with Supervisor("app") as app:
            scribe = await app.start(Scribe, log)
            scope = await scribe.call(lambda _: current().read(take, Scribe.note))
            gate = await fill(scribe)
            await give.send(1)
            scope.cancel()
            await at_rest()
            with pytest.raises(anyio.WouldBlock):
                give.send_nowait(2)
            gate.open()
            await at_rest()
            assert log == [1]
            assert await scribe.call(lambda _: current().incarnation) == 1


async def test_a_scope_that_is_cancelled_before_the_reading_has_begun_reads_nothing() -> None:
    log: list[Any] = []
    with filled([1, 2]) as stream:
        async with Supervisor("app") as app:
            scribe = await app.start(Scribe, log)
            await scribe.call(lambda _: current().read(stream, Scribe.note).cancel())
            await at_rest()
            assert log == []
            assert stream.receive_nowait() == 1


@pytest.mark.parametrize("how", ["stop", "stop and drain", "stop with grace"])
async def test_a_stop_ends_the_reading_at_once_and_what_was_taken_is_drained(how: str) -> None:
    log: list[Any] = []
    give, take = anyio.create_memory_object_stream[int](0)
    with give, take:
        async with Supervisor("app") as app, anyio.create_task_group() as group:
            drain = how == "stop and drain"
            reader = await app.start(Reader, log, take, drain=drain, stop_within=math.inf, restart="transient")
            gate = await fill(reader)
            await give.send(1)
            if how == "stop with grace":
                group.start_soon(reader.stop)
            else:
                group.start_soon(app.terminate_child, "reader")
            await at_rest()
            with pytest.raises(anyio.WouldBlock):
                give.send_nowait(2)
            gate.open()
            await anyio.sleep(1)  # nothing of it runs that would have to be cancelled by then
            assert log == ([] if how == "stop" else [1])
            assert len(reader) == 0
            assert reader.account().dead_lettered == (how == "stop")
            assert reader.account().balanced


async def test_a_reading_that_begins_while_the_actor_drains_reads_nothing() -> None:
    log: list[Any] = []

    async def hold_and_read(scribe: Scribe, gate: Gate, stream: ObjectReceiveStream[Any]) -> None:
        await scribe.hold(gate)
        current().read(stream, Scribe.note)
        await anyio.sleep(1)

    with filled([1, 2]) as stream:
        async with Supervisor("app") as app, anyio.create_task_group() as group:
            scribe = await app.start(Scribe, log, drain=True)
            gate = Gate()
            await scribe.send(hold_and_read, gate, stream)
            await gate.reached.wait()
            group.start_soon(app.terminate_child, "scribe")
            await at_rest()
            gate.open()
        assert stream.receive_nowait() == 1
    assert log == []


async def test_an_item_that_is_dropped_does_not_end_the_reading() -> None:
    log: list[Any] = []
    with filled(range(4)) as stream:
        async with Supervisor("app") as app:
            scribe = await app.start(Scribe, log, capacity=1, overflow="drop_oldest")
            await scribe.call(read, stream, Scribe.note)
            await at_rest()
            assert log == [0, 1, 2, 3]
            give, take = anyio.create_memory_object_stream[str](10)
            with give, take:
                gate = await fill(scribe)
                await scribe.send(Scribe.hold, later := Gate())
                gate.open()
                await later.reached.wait()
                later.open()
                await scribe.call(read, take, Scribe.note)
                gate = await fill(scribe)
                give.send_nowait("dropped")
                give.send_nowait("kept")
                await at_rest()
                await scribe.send(Scribe.note, "newer")
                await at_rest()
                gate.open()
                await at_rest()
            assert log[4:] == ["newer", "kept"]
            assert scribe.account().dead_lettered == 1
            assert scribe.account().balanced


async def test_an_item_in_hand_at_a_crash_is_delivered_again_where_the_child_asks_for_it() -> None:
    log: list[Any] = []
    with filled([1, "bad", 2]) as stream:
        async with Supervisor("app") as app:
            reader = await app.start(PickyReader, log, stream, redeliver=1)
            await anyio.sleep(10)
            assert log == [(1, 1), (2, 3)]
            assert reader.account().dead_lettered == 1
            assert reader.account().balanced


async def test_readings_that_have_ended_leave_nothing_behind() -> None:
    async with Supervisor("app") as app:
        scribe = await app.start(Scribe)

        def readers(_: Scribe) -> int:
            return len(current()._incarnation.extras.readers or ())

        for _ in range(5):
            with filled([1]) as stream:
                await scribe.call(read, stream, Scribe.note)
                await at_rest()
        assert await scribe.call(readers) == 0


async def test_an_async_generator_is_closed_with_the_reading() -> None:
    log: list[Any] = []

    async def items() -> AsyncGenerator[int, None]:
        try:
            for item in range(1000):
                yield item
                await anyio.sleep(1)
        finally:
            log.append("closed")

    async with Supervisor("app") as app:
        scribe = await app.start(Scribe, log)
        await scribe.call(read, items(), Scribe.note)
        await anyio.sleep(2.5)
        await fill(scribe)
        await anyio.sleep(1)  # it stands at its yield, and its last item waits
        app.kill("scribe")
        await at_rest()
        assert log == [0, 1, 2, "closed", 3]


async def test_a_reader_that_waits_does_not_pin_the_last_item() -> None:
    class Thing:
        pass

    give, take = anyio.create_memory_object_stream[Thing](1)
    with give, take:
        async with Supervisor("app") as app:
            scribe = await app.start(Scribe)
            await scribe.call(read, take, lambda _, __: None)
            thing = Thing()
            found = weakref.ref(thing)
            give.send_nowait(thing)
            del thing
            await at_rest()
            gc.collect()
            assert found() is None


async def test_what_can_not_be_read_is_refused() -> None:
    any_read: Any = Current.read
    async with Supervisor("app") as app:
        scribe = await app.start(Scribe, expects=(InvalidSpec, NotAHandler))
        with pytest.raises(InvalidSpec, match=r"read\(\) of 'app/scribe': stream=\[1\] .* asynchronous iterable"):
            await scribe.call(lambda _: any_read(current(), [1], Scribe.note))
        with filled([]) as stream, pytest.raises(NotAHandler, match=r"Scribe\.note"):
            await scribe.call(lambda scribe: any_read(current(), stream, scribe.note))


async def test_an_ended_incarnation_reads_nothing() -> None:
    kept: list[Current] = []
    with filled([1]) as stream:
        async with Supervisor("app") as app:
            scribe: Address[Scribe] = await app.start(Scribe)
            await scribe.call(lambda _: kept.append(current()))
            app.kill("scribe")
            await at_rest()
            with pytest.raises(RuntimeError, match="has ended"):
                kept[0].read(stream, Scribe.note)


async def test_an_actor_can_feed_another_one_through_streams() -> None:
    """A source, an actor that reads it and sends on into another one's stream: back-pressure all the way."""
    log: list[Any] = []

    class Doubler:
        def __init__(self, numbers: ObjectReceiveStream[int], out: ObjectSendStream[int]) -> None:
            self.out = out
            current().read(numbers, Doubler.double)

        async def double(self, number: int) -> None:
            await self.out.send(2 * number)

    give: MemoryObjectSendStream[int]
    give, take = anyio.create_memory_object_stream[int](0)
    with give, take:
        async with Supervisor("app") as app:
            scribe = await app.start(Scribe, log, capacity=1)
            await app.start(Doubler, take, scribe.stream(Scribe.note))
            gate = await fill(scribe)
            sent = 0
            with anyio.move_on_after(1):
                while True:
                    await give.send(sent)
                    sent += 1
            assert sent == 3  # one waits at the scribe, one in the doubler's hand, one in its mailbox
            gate.open()
            await at_rest()
    assert log == [0, 2, 4]
