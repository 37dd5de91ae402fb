"""`current()` in a thread of the actor's own: what reaches the loop from there, what doesn't, and with which words.

Tested, for a class in its own thread and for a pykka actor: a checkpoint counts once its method has returned, and not if that
raises; in the constructor it counts at once; a stop ends it after the message in hand; an event reaches a subscriber; all
else raises WrongThread; `@checkpointed` is refused.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from supervise import InvalidSpec, Supervisor, WrongThread, checkpointed, current
from supervise.adapters.own_thread import own_thread
from supervise.adapters.thread import thread
from tests.doubles import Boom
from tests.real_clock import BACKENDS


@pytest.fixture(params=BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


pytestmark = pytest.mark.anyio


class Counter:
    def __init__(self) -> None:
        super().__init__()
        last = current().last_checkpoint
        self.total: int = last.value if last else 0

    def add(self, amount: int) -> int:
        self.total += amount
        current().checkpoint(self.total)
        if amount < 0:
            raise ValueError(amount)
        return self.total

    def leave(self) -> None:
        current().stop()
        current().stop()  # again

    def stop_all(self) -> None:
        current().stop_tree("that was it")

    def announce(self, event: str) -> None:
        current().publish(event)

    def begin(self) -> None:
        current().after(1, Counter.leave)


def of_pykka(cls: type) -> Any:
    pykka = pytest.importorskip("pykka", reason="it isn't installed: extra [pykka]")
    logging.getLogger("pykka").setLevel(logging.CRITICAL)
    from supervise.adapters.pykka import actor

    return actor(type(cls.__name__, (cls, pykka.ThreadingActor), {"__qualname__": cls.__name__}))


WAYS: dict[str, Callable[[type], Any]] = {"own_thread": own_thread, "pykka": of_pykka}
each_way = pytest.mark.parametrize("way", WAYS)


@each_way
async def test_a_checkpoint_counts_once_its_method_has_returned(way: str) -> None:
    async with Supervisor("app") as app:
        counter = await app.start(WAYS[way](Counter))
        assert await counter.call(Counter.add, 5) == 5
        await counter.send(Counter.add, -1)  # which raises, so that isn't the last good state
        assert await counter.call(Counter.add, 1) == 6


async def test_a_checkpoint_of_the_constructor_counts_at_once() -> None:
    class Founder(Counter):
        def __init__(self) -> None:
            super().__init__()
            current().checkpoint(self.total + 1)

    async with Supervisor("app") as app:
        founder = await app.start(own_thread(Founder))
        await founder.call(Founder.leave)
        assert await founder.call(Founder.add, 0) == 1


@each_way
async def test_a_stop_ends_it_after_the_message_in_hand(way: str) -> None:
    async with Supervisor("app") as app:
        counter = await app.start(WAYS[way](Counter), restart="transient")
        await counter.call(Counter.leave)
        assert (await counter.watch()).reason.kind.value == "normal"


@each_way
async def test_it_can_stop_the_tree(way: str) -> None:
    async with Supervisor("app") as app:
        counter = await app.start(WAYS[way](Counter))
        await counter.send(Counter.stop_all)
        await anyio.sleep_forever()
    assert app.ended is not None
    assert "that was it" in str(app.ended)


@each_way
async def test_an_event_reaches_who_subscribed(way: str) -> None:
    async with Supervisor("app") as app:
        counter = await app.start(WAYS[way](Counter))
        async with counter.subscribe(str) as events:
            await counter.call(Counter.announce, "tea")
            assert await anext(aiter(events)) == "tea"


@each_way
async def test_what_begins_something_belongs_to_the_loop(way: str) -> None:
    async with Supervisor("app") as app:
        counter = await app.start(WAYS[way](Counter))
        with pytest.raises(WrongThread, match=r"there current\(\) has find, stop, checkpoint and publish"):
            await counter.call(Counter.begin)


@each_way
def test_checkpointed_is_refused_where_it_would_run_in_another_thread(way: str) -> None:
    class Saved(Counter):
        @checkpointed(every=1)
        def snapshot(self) -> int:
            return self.total

    with pytest.raises(InvalidSpec, match=r"call current\(\)\.checkpoint\(value\) in its methods"):
        WAYS[way](Saved)


async def test_what_arrives_from_a_thread_when_its_handler_has_raised_does_not_count() -> None:
    class Hasty:
        def work(self) -> None:
            helper = threading.Thread(target=copy_context().run, args=(current().checkpoint, "half"))
            helper.start()
            helper.join()  # which holds up the loop, so that the loop hears of it later
            raise Boom

        def last(self) -> Any:
            return current().last_checkpoint

    async with Supervisor("app") as app:
        hasty = await app.start(Hasty, on_error="reply")
        with pytest.raises(Boom):
            await hasty.call(Hasty.work)
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
            assert await hasty.call(Hasty.last) is None


async def test_a_worker_thread_of_a_handler_has_the_same() -> None:
    class Waits:
        async def finish(self) -> None:
            await anyio.to_thread.run_sync(self.block)

        def block(self) -> None:
            current().checkpoint("whole")
            current().publish("done")
            current().stop(shutdown="that was it")

        def last(self) -> Any:
            last = current().last_checkpoint
            return last and last.value

    async with Supervisor("app") as app:
        waits = await app.start(Waits)
        async with waits.subscribe(str) as events:
            await waits.call(Waits.finish)
            assert await anext(aiter(events)) == "done"
        assert await waits.call(Waits.last) == "whole"
        assert app.get_childspec("waits").incarnation == 2


async def test_a_thread_that_is_a_child_can_end_itself() -> None:
    def work(stop: threading.Event) -> None:
        current().checkpoint("done")
        current().stop()
        stop.wait(20)

    async with Supervisor("app") as app:
        worker = await app.start(thread(work), name="worker", restart="transient")
        assert (await worker.watch()).reason.kind.value == "normal"
