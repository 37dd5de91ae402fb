"""What an actor has dealt with is let go: messages, exceptions, instances; and contexts are kept apart.

Tested:
- SEMANTICS 34: a stored last error or event pins nothing, the real cause is held only by its caller; an idle loop doesn't
  pin the last message's arguments, however the message ended
- SEMANTICS 27: each actor has an empty context of its own, and a fresh instance doesn't see what a crashed handler set
- SEMANTICS 28: a nursery made in a handler works beyond that handler; its crash ends the incarnation
"""

from __future__ import annotations

import contextlib
import gc
import weakref
from contextvars import ContextVar
from typing import Any, Self

import anyio
import pytest
from tenacity import wait_fixed, wait_random

from supervise import ActorCrashed, Address, Restart, Supervisor, UnknownHandler, child, current
from supervise.testing import virtual_time
from tests.doubles import Boom, Gate, Outcomes, Scribe

COLOUR: ContextVar[str] = ContextVar("colour", default="none")


class Cargo:
    """Something that can be watched going away."""

    async def travel(self) -> None:
        raise Boom("with its frame")


class Carrier:
    """Is given cargo, and keeps none."""

    async def take(self, cargo: Cargo | None = None, *, by_name: Cargo | None = None) -> int:
        return 1

    async def echo(self, cargo: Cargo) -> Cargo:
        return cargo

    def take_at_once(self, cargo: Cargo) -> int:
        return 1

    async def crash(self, cargo: Cargo) -> None:
        await cargo.travel()

    async def refuse(self, cargo: Cargo) -> None:
        raise KeyError(type(cargo).__name__)

    async def start_task(self, cargo: Cargo) -> None:
        async def carry(what: Cargo) -> None:
            await anyio.sleep(1)

        current().nursery.start_soon(carry, cargo)


class ManagedCarrier(Carrier):
    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


def free(reference: weakref.ref[Any]) -> bool:
    """Whether nothing refers to it any more; what is only left to the collector counts as free."""
    gc.collect()
    return reference() is None


@pytest.mark.anyio
@pytest.mark.parametrize("carrier", [Carrier, ManagedCarrier])
@pytest.mark.parametrize("handler", ["take", "echo", "take_at_once", "refuse", "missing", "start_task"])
@pytest.mark.parametrize("way", ["send", "call"])
async def test_an_idle_actor_doesnt_pin_its_last_message(carrier: Any, handler: str, way: str) -> None:
    async with Supervisor("app", child(carrier, name="carrier", expects=(KeyError,))) as app:
        address: Address[Any] = app.find("carrier")
        function: Any = getattr(Carrier, handler, Cargo.travel)
        cargo = Cargo()
        watched = weakref.ref(cargo)
        if way == "send":
            await address.send(function, cargo)
        else:
            with contextlib.suppress(KeyError, UnknownHandler):
                await address.call(function, cargo)
        del cargo
        await anyio.sleep(2)
        assert free(watched)
        assert app.get_childspec("carrier").incarnation == 1


@pytest.mark.anyio
@pytest.mark.parametrize("way", ["cancelled", "expired"])
async def test_an_idle_actor_doesnt_pin_a_message_that_it_skipped(way: str) -> None:
    async with Supervisor("app") as app:
        carrier = await app.start(Carrier)
        cargo, gate = Cargo(), Gate()
        watched = weakref.ref(cargo)
        await carrier.send(lambda _: gate.walk_through())
        await gate.reached.wait()
        if way == "expired":
            await carrier.options(timeout=1).send(Carrier.take, cargo, by_name=cargo)
        else:
            with anyio.move_on_after(1):
                await carrier.call(Carrier.take, cargo, by_name=cargo)
        del cargo
        await anyio.sleep(2)
        assert not free(watched)  # it is still queued
        gate.open()
        await virtual_time.at_rest()
        assert carrier.account().abandoned == 1
        assert free(watched)


@pytest.mark.anyio
@pytest.mark.parametrize("carrier", [Carrier, ManagedCarrier])
async def test_a_crash_pins_neither_arguments_nor_frames_nor_the_old_instance(carrier: Any) -> None:
    events: list[object] = []
    instances: list[weakref.ref[Any]] = []

    def make() -> Carrier:
        instance: Carrier = carrier()
        instances.append(weakref.ref(instance))
        return instance

    async with Supervisor("app", child(make, name="carrier"), listener=events.append) as app:
        address: Address[Carrier] = app.find("carrier")
        cargo = Cargo()
        watched = weakref.ref(cargo)
        await address.send(Carrier.crash, cargo)
        del cargo
        await virtual_time.at_rest()
        assert app.get_childspec("carrier").incarnation == 2
        assert free(watched)
        assert [free(instance) for instance in instances] == [True, False]
        assert any("Boom: with its frame" in str(event) for event in events)


@pytest.mark.anyio
async def test_the_cause_of_a_crash_is_held_by_its_caller_alone() -> None:
    async with Supervisor("app") as app:
        carrier = await app.start(Carrier)
        cargo = Cargo()
        watched = weakref.ref(cargo)
        with pytest.raises(ActorCrashed) as raised:
            await carrier.call(Carrier.crash, cargo)
        del cargo
        assert isinstance(raised.value.__cause__, Boom)
        assert not free(watched)  # its frames are those of the traceback
        raised.value.__cause__ = None
        del raised
        await virtual_time.at_rest()  # asyncio keeps what woke this task until the task waits again
        assert free(watched)


@pytest.mark.anyio
async def test_a_crash_before_a_backoff_pins_nothing_meanwhile() -> None:
    waits = Restart.permanent(wait=wait_fixed(100) + wait_random(0, 1))
    async with Supervisor("app", child(Carrier, restart=waits)) as app:
        cargo = Cargo()
        watched = weakref.ref(cargo)
        await app.find("carrier").send(Carrier.crash, cargo)
        del cargo
        await virtual_time.at_rest()
        assert free(watched)


@pytest.mark.anyio
async def test_an_address_sent_as_an_argument_isnt_kept_by_who_got_it() -> None:
    async with Supervisor("app") as app:
        carrier, other = await app.start(Carrier), await app.start(Scribe)
        clone = other.clone()
        watched = weakref.ref(clone._own_token())
        take: Any = Carrier.take
        await carrier.call(take, clone)
        del clone
        assert free(watched)


@pytest.mark.anyio
@pytest.mark.parametrize("timeout", [None, 10.0])
async def test_a_handler_that_got_a_reply_isnt_kept_from_letting_it_go(timeout: float | None) -> None:
    seen: list[bool] = []

    async def produce(_: Carrier) -> Cargo:
        return Cargo()

    async def consume(_: Carrier, producer: Address[Carrier]) -> None:
        cargo = await (producer if timeout is None else producer.options(timeout=timeout)).call(produce)
        watched = weakref.ref(cargo)
        del cargo
        await anyio.sleep(1)
        seen.append(free(watched))

    async with Supervisor("app", child(Carrier), child(Carrier)) as app:
        await app.find("carrier").call(consume, app.find("carrier-2"))
    assert seen == [True]


@pytest.mark.anyio
async def test_a_closure_that_was_run_once_isnt_remembered() -> None:
    async with Supervisor("app") as app:
        carrier = await app.start(Carrier)
        cargo = Cargo()
        watched = weakref.ref(cargo)

        def look(_: Carrier, cargo: Cargo = cargo) -> None:
            assert cargo is not None

        await carrier.call(look)
        del look, cargo
        assert free(watched)


# -- contexts ----------------------------------------------------------------------------------------------------------


class Chameleon:
    async def __aenter__(self) -> Self:
        COLOUR.set("entered")
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


async def colour(_: object) -> str:
    return COLOUR.get()


async def paint(_: object, what: str) -> None:
    COLOUR.set(what)


@pytest.mark.anyio
async def test_an_actor_sees_nothing_of_its_callers_or_starters_context() -> None:
    COLOUR.set("red")
    async with Supervisor("app") as app:
        COLOUR.set("blue")
        made: list[str] = []

        def make() -> Scribe:
            made.append(COLOUR.get())
            return Scribe()

        scribe = await app.start(make, name="scribe")
        assert await scribe.call(colour) == "none"
        await scribe.call(paint, "green")
        assert COLOUR.get() == "blue"
        other = await app.start(Scribe)
        assert await other.call(colour) == "none"
        assert await scribe.call(colour) == "none"  # not even its own of an earlier message
        assert made == ["none"]


@pytest.mark.anyio
@pytest.mark.parametrize(("actor", "fresh"), [(Scribe, "none"), (Chameleon, "entered")])
async def test_a_fresh_instance_doesnt_see_what_the_crashed_one_set(actor: Any, fresh: str) -> None:
    async with Supervisor("app") as app:
        address: Address[Any] = await app.start(actor, name="actor")
        assert await address.call(colour) == fresh
        await address.call(paint, "green")
        with pytest.raises(ActorCrashed):
            await address.call(lambda _: 1 / 0)
        assert await address.call(colour) == fresh


@pytest.mark.anyio
async def test_a_nursery_task_sees_what_the_handler_set_and_changes_nothing_of_it() -> None:
    seen: list[str] = []

    async def look() -> None:
        seen.append(COLOUR.get())
        COLOUR.set("white")

    async def begin(_: Scribe, what: str) -> None:
        COLOUR.set(what)
        current().nursery.start_soon(look)
        await anyio.sleep(1)
        seen.append(COLOUR.get())

    async with Supervisor("app") as app:
        scribe = await app.start(Scribe)
        await scribe.call(begin, "green")
        await scribe.call(begin, "red")
    assert seen == ["green", "green", "red", "red"]


# -- the nursery -------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize("actor", [Scribe, ManagedCarrier])
async def test_a_crash_in_the_nursery_ends_the_incarnation_and_what_it_has_in_hand(actor: Any) -> None:
    async def fail_later() -> None:
        await anyio.sleep(1)
        raise Boom("behind its back")

    async def begin(_: object) -> None:
        current().nursery.start_soon(fail_later)

    async with Supervisor("app") as app, anyio.create_task_group() as group:
        address: Address[Any] = await app.start(actor, name="actor")
        await address.call(begin)
        outcomes = Outcomes(group)
        await outcomes.watch("in hand", address.call(lambda _: anyio.sleep(10)))
        await anyio.sleep(1)
        await virtual_time.at_rest()
        crashed = outcomes.of["in hand"]
        assert isinstance(crashed, ActorCrashed)
        cause: Any = crashed.__cause__
        assert [type(error) for error in cause.exceptions] == [Boom]
        assert app.get_childspec("actor").incarnation == 2
