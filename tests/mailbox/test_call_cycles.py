"""A call that would wait for itself raises at once, naming the cycle; whatever isn't certain to, doesn't.

Tested:
- SEMANTICS 22: direct self call, cycles of two and three, through a queued call, through a wait for room, with deadlines;
  no false alarm from nursery tasks, child tasks, detached tasks, sends, callers that have their reply or are gone
- SEMANTICS 22: an actor that would wait for room in its own mailbox gets an error
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from supervise import (
    ActorCrashed,
    Address,
    CallCycle,
    ChildStartFailed,
    Intensity,
    MailboxFull,
    Supervisor,
    child,
    concurrent,
    current,
)
from supervise.testing import virtual_time
from tests.doubles import Gate, Outcomes


class Link:
    """Passes a call along a route of addresses; the last one on it answers."""

    async def follow(self, *route: Address[Link]) -> str:
        if not route:
            return "end"
        return await route[0].call(Link.follow, *route[1:])

    async def follow_soon(self, *route: Address[Link]) -> str:
        await anyio.lowlevel.checkpoint()
        return await self.follow(*route)

    async def follow_in_time(self, timeout: float, *route: Address[Link]) -> str:
        if not route:
            return "end"
        return await route[0].options(timeout=timeout).call(Link.follow_in_time, timeout, *route[1:])

    async def hold(self, gate: Gate, *route: Address[Link]) -> str:
        await gate.walk_through()
        return await self.follow(*route)

    async def follow_from_nursery(self, *route: Address[Link]) -> None:
        current().nursery.start_soon(self.follow, *route)

    async def follow_from_child_tasks(self, *route: Address[Link]) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(self.follow, *route)
            await anyio.sleep(1)
            group.cancel_scope.cancel()


def cycle_of(error: Any) -> tuple[str, ...]:
    """The cycle that stands behind a chain of crashes."""
    while isinstance(error, ActorCrashed):
        error = error.__cause__
    assert isinstance(error, CallCycle), error
    return error.cycle


@pytest.mark.anyio
async def test_a_call_to_oneself_is_a_cycle() -> None:
    async with Supervisor("app", child(Link, name="a")) as app:
        a: Address[Link] = app.find("a")
        with pytest.raises(ActorCrashed) as raised:
            await a.call(Link.follow, a)
        assert cycle_of(raised.value) == ("app/a", "app/a")
        assert "app/a -> app/a: this call of Link.follow would wait for itself" in str(raised.value.__cause__)
        assert "nursery" in str(raised.value.__cause__)


@pytest.mark.anyio
@pytest.mark.parametrize("length", [2, 3, 5])
async def test_a_cycle_is_named_from_the_actor_that_would_close_it(length: int) -> None:
    names = list("abcde")[:length]
    children = (child(Link, name=name) for name in names)
    async with Supervisor("app", *children, intensity=Intensity(length, per=5)) as app:
        links: list[Address[Link]] = [app.find(name) for name in names]
        with pytest.raises(ActorCrashed) as raised:
            await links[0].call(Link.follow, *links[1:], links[0])
        assert cycle_of(raised.value) == tuple(f"app/{name}" for name in (names[-1], *names))


@pytest.mark.anyio
async def test_the_actor_can_catch_the_cycle_and_go_on() -> None:
    async def careful(_: Link, other: Address[Link]) -> str:
        try:
            return await other.call(Link.follow, current().address.strong())
        except ActorCrashed as crashed:
            return f"caught {crashed.path}"

    async with Supervisor("app", child(Link, name="a"), child(Link, name="b")) as app:
        assert await app.find("a").call(careful, app.find("b")) == "caught app/b"
        assert app.get_childspec("a").incarnation == 1
        assert app.get_childspec("b").incarnation == 2


class Beside(Link):
    @concurrent
    async def hold_beside(self, gate: Gate) -> str:
        await gate.walk_through()
        return "through"


@pytest.mark.anyio
async def test_a_concurrent_handler_that_has_begun_is_no_node() -> None:
    async def ask(_: Link, other: Address[Beside], gate: Gate) -> str:
        return await other.call(Beside.hold_beside, gate)

    async with Supervisor("app", child(Beside, name="a"), child(Link, name="b")) as app, anyio.create_task_group() as group:
        a, b = app.find("a"), app.find("b")
        gate, outcomes = Gate(), Outcomes(group)
        await outcomes.watch("b", b.call(ask, a, gate))
        await gate.reached.wait()
        await outcomes.watch("a", a.call(Link.follow, b))  # a waits for b, and that for what runs beside a's own turn
        await virtual_time.at_rest()
        assert outcomes.of == {}
        gate.open()
        await virtual_time.at_rest()
        assert outcomes.of == {"b": "through", "a": "end"}


@pytest.mark.anyio
@pytest.mark.parametrize("room", [1, 1000], ids=["waiting for room", "queued"])
async def test_a_cycle_through_a_call_that_isnt_handled_yet_is_found(room: int) -> None:
    async with Supervisor("app", child(Link, name="a"), child(Link, name="b", capacity=room)) as app:
        a, b = app.find("a"), app.find("b")
        async with anyio.create_task_group() as group:
            gate, outcomes = Gate(), Outcomes(group)
            await outcomes.watch("b", b.call(Link.hold, gate, a))  # b will call a
            await gate.reached.wait()
            await b.send(Link.follow)
            await outcomes.watch("a", a.call(Link.follow, b))  # meanwhile a calls b
            gate.open()
            await virtual_time.at_rest()
            assert cycle_of(outcomes.of["b"]) == ("app/b", "app/a", "app/b")
            assert outcomes.of["a"] == "end"  # b's next life has handled it


@pytest.mark.anyio
@pytest.mark.parametrize("streams", [False, True], ids=["calls", "streams"])
async def test_two_that_let_each_other_run_before_they_wait_for_room_are_a_cycle(streams: bool) -> None:
    class Crossing(Link):
        async def meet(self, gate: Gate, other: Address[Crossing]) -> None:
            await gate.walk_through()
            if not streams:
                await other.call(Link.follow)
                return
            async with other.stream_from(Crossing.items) as items:
                async for _ in items:
                    pass

        async def items(self) -> AsyncIterator[int]:
            yield 1

    async with (
        Supervisor(
            "app", child(Crossing, name="a", capacity=1), child(Crossing, name="b", capacity=1), intensity=Intensity(10)
        ) as app,
        anyio.create_task_group() as group,
    ):
        a, b, gate, outcomes = app.find("a"), app.find("b"), Gate(), Outcomes(group)
        for address in (a, b):
            assert await address.call(Link.follow) == "end"  # so that whoever finds no room lets others run first
        await outcomes.watch("a", a.call(Crossing.meet, gate, b))
        await outcomes.watch("b", b.call(Crossing.meet, gate, a))
        await virtual_time.at_rest()
        for address in (a, b):
            address.try_send(Link.follow)  # there is no more room
        gate.open()
        await virtual_time.at_rest()
        broken = [error for error in outcomes.of.values() if error is not None]
        assert len(broken) == 1
        assert set(cycle_of(broken[0])) == {"app/a", "app/b"}
        assert all(address.account().balanced for address in (a, b))


@pytest.mark.anyio
async def test_a_caller_that_was_given_room_and_hasnt_run_since_is_certain_to_wait() -> None:
    async with Supervisor("app", child(Link, name="a"), child(Link, name="b", capacity=1)) as app:
        a, b = app.find("a"), app.find("b")
        async with anyio.create_task_group() as group:
            gate, outcomes = Gate(), Outcomes(group)
            await outcomes.watch("first", b.call(Link.hold, gate))
            await outcomes.watch("second", b.call(Link.follow, a))  # its place in the queue is given to a, as it begins
            await outcomes.watch("a", a.call(Link.follow, b))
            gate.open()
            await virtual_time.at_rest()
            assert cycle_of(outcomes.of["second"]) == ("app/b", "app/a", "app/b")
            assert (outcomes.of["first"], outcomes.of["a"]) == ("end", "end")


@pytest.mark.anyio
async def test_a_cycle_that_closes_while_a_caller_without_room_lets_others_run_is_found() -> None:
    async with Supervisor("app", child(Link, name="a", capacity=1), child(Link, name="b")) as app:
        a, b = app.find("a"), app.find("b")
        async with anyio.create_task_group() as group:
            gate, outcomes = Gate(), Outcomes(group)
            await outcomes.watch("first", a.call(Link.hold, gate))
            await outcomes.watch("a", a.call(Link.follow_soon, b))
            await outcomes.watch("room", a.send(Link.follow))  # is given the place of that, but runs later than b
            await outcomes.watch("b", b.call(Link.hold, gate, a))
            await virtual_time.at_rest()
            gate.open()
            await virtual_time.at_rest()
            errors = [outcome for outcome in outcomes.of.values() if outcome not in ("end", None)]
            assert [cycle_of(error)[0] for error in errors] in (["app/a"], ["app/b"])  # on trio any of them comes first


@pytest.mark.anyio
@pytest.mark.parametrize("timeout", [10, 100])
async def test_a_deadline_exempts_nobody(timeout: float) -> None:
    async with Supervisor("app", child(Link, name="a"), child(Link, name="b")) as app:
        a, b = app.find("a"), app.find("b")
        began = anyio.current_time()
        with pytest.raises(ActorCrashed) as raised:
            await a.call(Link.follow_in_time, timeout, b, a)
        assert cycle_of(raised.value) == ("app/b", "app/a", "app/b")
        assert anyio.current_time() == began


@pytest.mark.anyio
async def test_a_diamond_is_no_cycle() -> None:
    async def both(_: Link, left: Address[Link], right: Address[Link], bottom: Address[Link]) -> list[str]:
        return [await left.call(Link.follow, bottom), await right.call(Link.follow, bottom)]

    async with Supervisor("app", *(child(Link, name=name) for name in "abcd")) as app:
        a, b, c, d = (app.find(name) for name in "abcd")
        assert await a.call(both, b, c, d) == ["end", "end"]


@pytest.mark.anyio
async def test_sends_around_a_ring_are_no_cycle() -> None:
    done = anyio.Event()

    async def pass_on(_: Link, route: list[Address[Link]]) -> None:
        if not route:
            done.set()
        else:
            await route[0].send(pass_on, route[1:])

    async with Supervisor("app", child(Link, name="a"), child(Link, name="b")) as app:
        a, b = app.find("a"), app.find("b")
        await a.send(pass_on, [b, a, a, b, a])
        await done.wait()


@pytest.mark.anyio
async def test_nursery_tasks_may_call_their_own_actor_and_those_that_wait_for_it() -> None:
    async with Supervisor("app", child(Link, name="a"), child(Link, name="b")) as app:
        a, b = app.find("a"), app.find("b")
        await a.call(Link.follow_from_nursery, a)
        await a.call(Link.follow_from_nursery, b, a)
        await virtual_time.at_rest()
        account = app.account()
        assert (account.handled, account.failed, account.dead_lettered) == (5, 0, 0)


@pytest.mark.anyio
async def test_child_tasks_of_a_handler_are_no_nodes_although_they_inherit_its_context() -> None:
    async with Supervisor("app", child(Link, name="a"), child(Link, name="b")) as app:
        a, b = app.find("a"), app.find("b")
        await a.call(Link.follow_from_child_tasks, a)  # would end, if the handler didn't wait for its child task
        await a.call(Link.follow_from_child_tasks, b, a)
        assert app.get_childspec("a").incarnation == 1


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_a_detached_task_is_no_node_during_and_after_the_handler_that_made_it() -> None:
    tasks: list[asyncio.Task[str]] = []

    async def detach(link: Link, wait: float, *route: Address[Link]) -> None:
        async def later() -> str:
            await asyncio.sleep(wait)
            return await link.follow(*route)

        tasks.append(asyncio.create_task(later()))

    async def slowly(_: Link) -> None:
        await anyio.sleep(0.2)

    async with Supervisor("app", child(Link, name="a"), child(Link, name="b")) as app:
        a, b = app.find("a"), app.find("b")
        for wait in (0, 0.1):
            await a.call(detach, wait, a)
            await a.call(detach, wait, b, a)
        await a.call(slowly)
        assert await asyncio.gather(*tasks) == ["end"] * 4


@pytest.mark.anyio
async def test_a_caller_that_already_has_its_reply_waits_for_nobody() -> None:
    async with Supervisor("app", child(Link, name="a"), child(Link, name="b")) as app:
        a, b = app.find("a"), app.find("b")
        async with anyio.create_task_group() as group:
            gate, outcomes = Gate(), Outcomes(group)
            await b.send(Link.hold, gate)
            await gate.reached.wait()
            await outcomes.watch("a", a.call(Link.follow, b))
            await outcomes.watch("b", b.call(Link.follow, a))  # b begins it as soon as a's call is answered, before a has run
            gate.open()
            await virtual_time.at_rest()
            assert outcomes.of == {"a": "end", "b": "end"}


@pytest.mark.anyio
async def test_a_caller_whose_time_is_over_waits_for_nobody() -> None:
    async def patient(_: Link, other: Address[Link]) -> str:
        try:
            return await other.options(timeout=1).call(Link.follow)
        except TimeoutError:
            await anyio.sleep(2)
            return "gave up"

    async with Supervisor("app", child(Link, name="a"), child(Link, name="b")) as app:
        a, b = app.find("a"), app.find("b")
        async with anyio.create_task_group() as group:
            gate, outcomes = Gate(), Outcomes(group)
            await outcomes.watch("b", b.call(Link.hold, gate, a))
            await gate.reached.wait()
            await outcomes.watch("a", a.call(patient, b))
            await anyio.sleep(1.5)
            gate.open()
            await anyio.sleep(3)
            assert outcomes.of == {"a": "gave up", "b": "end"}


@pytest.mark.anyio
async def test_hooks_and_factories_that_call_are_nodes_too() -> None:
    async def begin(other: Address[Link]) -> Link:
        await other.call(Link.follow, app.find("late"))
        return Link()

    async with Supervisor("app", child(Link, name="a")) as app:
        a: Address[Link] = app.find("a")
        with pytest.raises(ChildStartFailed) as failed:
            await app.start(begin, a, name="late")
        assert cycle_of(failed.value.__cause__) == ("app/a", "app/late", "app/a")


@pytest.mark.anyio
async def test_an_actor_that_would_wait_for_room_in_its_own_mailbox_gets_an_error() -> None:
    async def fill(_: Link) -> str:
        own = current().address
        await own.send(Link.follow)
        with pytest.raises(MailboxFull) as full:
            await own.send(Link.follow)
        return str(full.value)

    async def fill_from_nursery(_: Link) -> None:
        own = current().address
        await own.send(Link.follow)
        current().nursery.start_soon(own.send, Link.follow)
        await anyio.sleep(1)
        assert len(own) == 1  # the task waits, for there is somebody who empties it: this actor, soon

    async with Supervisor("app", child(Link, name="a", capacity=1)) as app:
        a: Address[Link] = app.find("a")
        assert "the actor's own, which nobody else empties" in await a.call(fill)
        await virtual_time.at_rest()
        await a.call(fill_from_nursery)
        await virtual_time.at_rest()
        assert a.account()[:2] == (5, 5)
