"""What the code of an actor can reach about itself.

Tested (SEMANTICS 18): current(): address, incarnation, nursery, stop, stop_tree, stopping, find, sender, remaining.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from supervise import ActorStopped, Address, Current, NoActor, Restart, Supervisor, TreeEnded, WeakAddress, child, current
from supervise.testing import virtual_time
from tests.doubles import Gate, Scribe

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


class Mirror:
    """Looks at itself from its handlers."""

    async def seen(self) -> Current:
        return current()

    async def sender(self) -> WeakAddress[Any] | None:
        return current().sender

    async def remaining(self, after: float) -> float | None:
        await anyio.sleep(after)
        return current().remaining

    async def relay(self, to: Address[Mirror]) -> WeakAddress[Any] | None:
        return await to.call(Mirror.sender)

    async def relay_from_nursery(self, to: Address[Mirror]) -> WeakAddress[Any] | None:
        got: list[WeakAddress[Any] | None] = []
        done = anyio.Event()

        async def ask() -> None:
            got.append(await to.call(Mirror.sender))
            done.set()

        current().nursery.start_soon(ask)
        await done.wait()
        return got[0]

    async def leave(self, reason: str | None = None) -> bool:
        if reason is None:
            current().stop()
        else:
            current().stop(shutdown=reason)
        return current().stopping


@pytest.mark.anyio
async def test_an_actor_knows_its_address_its_name_and_its_life() -> None:
    async with Supervisor("app", Supervisor("inner", child(Mirror))) as app:
        address: Address[Mirror] = app.find("inner/mirror")
        seen = await address.call(Mirror.seen)
        assert (seen.name, seen.path, seen.incarnation) == ("mirror", "app/inner/mirror", 1)
        assert isinstance(seen.address, WeakAddress)
        assert seen.address == address
        assert repr(seen) == "<Current app/inner/mirror #1>"
        app.kill("inner/mirror")
        await virtual_time.at_rest()
        assert (await address.call(Mirror.seen)).incarnation == 2


def test_outside_of_an_actor_there_is_no_current() -> None:
    with pytest.raises(NoActor, match="in an actor"):
        current()
    assert issubclass(NoActor, LookupError)


@pytest.mark.anyio
async def test_the_code_around_a_tree_is_no_actor() -> None:
    async with Supervisor("app") as app:
        mirror = await app.start(Mirror)
        assert await mirror.call(Mirror.sender) is None
        with pytest.raises(NoActor):
            current()


@pytest.mark.anyio
async def test_factory_and_hooks_are_the_actors_own_code() -> None:
    seen: list[str] = []

    @asynccontextmanager
    async def hooked() -> AsyncGenerator[Mirror]:
        seen.append(f"enter {current().path}")
        yield Mirror()
        seen.append(f"exit {current().path}")

    def made() -> Mirror:
        seen.append(f"made {current().path}")
        return Mirror()

    async def made_later() -> Mirror:
        seen.append(f"made {current().path}")
        return Mirror()

    async with Supervisor("app") as app:
        await app.start(made, name="a")
        await app.start(made_later, name="b")
        await app.start(hooked, name="c")
    assert seen == ["made app/a", "made app/b", "enter app/c", "exit app/c"]


@pytest.mark.anyio
async def test_the_sender_is_the_actor_that_called_from_handler_or_nursery() -> None:
    async with Supervisor("app") as app:
        first, second = await app.start(Mirror), await app.start(Mirror)
        assert await first.call(Mirror.sender) is None
        assert await first.call(Mirror.relay, second) == first
        assert await first.call(Mirror.relay_from_nursery, second) == first


@pytest.mark.anyio
async def test_the_sender_of_a_queued_message_isnt_that_of_the_next_one() -> None:
    log: list[Any] = []

    async def note_sender(_: Mirror) -> None:
        log.append(current().sender)

    async def tell(_: Mirror, to: Address[Mirror]) -> None:
        await to.send(note_sender)

    async with Supervisor("app") as app:
        first, second, third = await app.start(Mirror), await app.start(Mirror), await app.start(Mirror)
        await first.call(tell, third)
        await third.send(note_sender)
        await second.call(tell, third)
        await third.call(note_sender)
        assert log == [first, None, second, None]


@pytest.mark.anyio
async def test_the_remaining_time_of_the_message_in_hand_can_be_passed_on() -> None:
    async with Supervisor("app") as app:
        mirror = await app.start(Mirror)
        assert await mirror.call(Mirror.remaining, 1) is None
        assert await mirror.options(timeout=10).call(Mirror.remaining, 4) == pytest.approx(6)
        log: list[Any] = []

        async def note(_: Mirror) -> None:
            await anyio.sleep(3)
            log.append(current().remaining)

        await mirror.options(timeout=2).send(note)
        await mirror.call(Mirror.seen)
        assert log == [0.0]  # it began in time, and goes on


@pytest.mark.anyio
async def test_stop_ends_after_the_message_in_hand_and_what_waits_is_kept_for_the_next_life() -> None:
    async with Supervisor("app") as app:
        mirror = await app.start(Mirror)
        async with anyio.create_task_group() as group:
            group.start_soon(mirror.send, Mirror.leave)
            await virtual_time.at_rest()
        assert (await mirror.call(Mirror.seen)).incarnation == 2
        assert await mirror.call(Mirror.leave)  # `stopping` from within, and the reply still comes
        assert (await mirror.call(Mirror.seen)).incarnation == 3


@pytest.mark.anyio
@pytest.mark.parametrize(("reason", "text"), [(None, "normal"), ("done for today", "shutdown (done for today)")])
async def test_the_reason_of_its_own_stop_is_what_the_supervisor_sees(reason: str | None, text: str) -> None:
    ends: list[str] = []
    async with Supervisor("app", listener=lambda event: ends.append(str(event))) as app:
        mirror = await app.start(Mirror, restart=Restart.transient())
        assert await mirror.call(Mirror.leave, reason)
        with pytest.raises(ActorStopped):
            await mirror.call(Mirror.seen)
        assert f"app/mirror #1 ended: {text}" in ends


@pytest.mark.anyio
async def test_a_long_handler_sees_that_it_is_asked_to_stop() -> None:
    seen: list[bool] = []

    async def work(_: Mirror, gate: Gate) -> None:
        seen.append(current().stopping)
        await gate.walk_through()
        seen.append(current().stopping)

    gate = Gate()
    async with Supervisor("app") as app:
        mirror = await app.start(Mirror)
        await mirror.send(work, gate)
        await gate.reached.wait()
        async with anyio.create_task_group() as group:
            group.start_soon(app.terminate_child, "mirror")
            await virtual_time.at_rest()
            gate.open()
    assert seen == [False, True]


@pytest.mark.anyio
async def test_stop_tree_ends_the_whole_tree_and_says_who_asked() -> None:
    async def end_all(_: Mirror) -> None:
        current().stop_tree("the last one turns off the light")

    ended: list[TreeEnded | None] = []
    with anyio.CancelScope() as around:
        async with Supervisor("app", Supervisor("inner", child(Mirror))) as app:
            await app.find("inner/mirror").send(end_all)
            try:
                await app.wait()
            finally:
                ended.append(app.ended)
    assert not around.cancelled_caught
    assert "the last one turns off the light" in str(ended[0])


@pytest.mark.anyio
async def test_a_handler_finds_siblings_by_key_and_by_path_relative_to_its_supervisor() -> None:
    scribe = child(Scribe, name="scribe")

    async def find(_: Mirror) -> tuple[Address[Scribe], Address[Any]]:
        return current().find(scribe), current().find("scribe")

    async with Supervisor("app", Supervisor("inner", scribe, child(Mirror))) as app:
        by_key, by_path = await app.find("inner/mirror").call(find)
        assert by_key == by_path == app.find("inner/scribe") == app.find(scribe)
        assert await by_key.call(Scribe.note, 1) == 1
