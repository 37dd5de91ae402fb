"""Actors without a task: who idles has none, who waits has one of its own, and nothing of one is felt by another.

Tested: what a carrier lends, when it is one actor's alone, and what it is called; `own_task=True`; that others run meanwhile,
counted in turns of the loop, over all trees that run in it.
"""

from __future__ import annotations

import asyncio
import math
import sys
from contextlib import AsyncExitStack
from contextvars import ContextVar
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import trio
from opentelemetry.sdk.trace import TracerProvider

from supervise import Address, DynamicSupervisor, Intensity, Supervisor, child, current
from supervise.actor.carrier import Carrier
from supervise.actor.run_queue import RunQueue
from supervise.testing.virtual_time import at_rest
from tests.doubles import Boom, Gate, Scribe, turn_by_turn_until

ASYNCIO = pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
pytestmark = pytest.mark.anyio
TENANT: ContextVar[str] = ContextVar("tenant")
FEW = 70
"""Carriers that a tree keeps, at most, and the tasks of the test itself."""


def tasks() -> int:
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:
        return trio.lowlevel.current_statistics().tasks_living


class Asker(Scribe):
    async def task(self) -> object:
        return anyio.get_current_task().id

    async def wait(self) -> object:
        await anyio.sleep(0.01)
        return anyio.get_current_task().id

    async def set_tenant(self, name: str) -> None:
        TENANT.set(name)

    def set_tenant_at_once(self, name: str) -> None:
        TENANT.set(name)

    async def tenant(self) -> str:
        return TENANT.get("nobody's")

    def tenant_at_once(self) -> str:
        return TENANT.get("nobody's")


async def test_actors_that_idle_have_no_task() -> None:
    async with DynamicSupervisor("app") as app:
        before = tasks()
        actors = [await app.start(Asker) for _ in range(300)]
        for actor in actors:
            await actor.send(Asker.note, 1)
        await at_rest()
        assert tasks() - before < FEW
        for actor in actors:
            await actor.call(Asker.wait)
        await at_rest()
        assert tasks() - before <= FEW
        assert app.count_children().active == 300


async def test_actors_that_idle_have_no_task_where_spans_are_made() -> None:
    before = tasks()
    async with DynamicSupervisor("app", tracing=TracerProvider(shutdown_on_exit=False)) as app:
        actors = [await app.start(Asker) for _ in range(300)]
        for actor in actors:
            await actor.send(Asker.note, 1)
            assert await actor.call(Asker.note_at_once, 1) == 2
        await at_rest()
        assert tasks() - before < FEW


async def test_those_that_wait_at_the_same_time_have_a_task_each() -> None:
    async with DynamicSupervisor("app") as app:
        actors = [await app.start(Asker) for _ in range(100)]
        seen: set[object] = set()

        async def ask(actor: Address[Asker]) -> None:
            seen.add(await actor.call(Asker.wait))

        async with anyio.create_task_group() as group:
            for actor in actors:
                group.start_soon(ask, actor)
        assert len(seen) == 100


@pytest.mark.parametrize("handler", [Asker.set_tenant, Asker.set_tenant_at_once])
@pytest.mark.parametrize("call", [True, False])
async def test_what_a_handler_sets_in_a_context_variable_is_seen_by_no_other_actor(handler: Any, call: bool) -> None:
    async with DynamicSupervisor("app") as app:
        actors = [await app.start(Asker) for _ in range(10)]
        for number, actor in enumerate(actors):
            assert await actor.call(Asker.tenant) == "nobody's"  # so that it is known, and may be asked at once
            await (actor.call if call else actor.send)(handler, str(number))
        for actor in actors:
            assert await actor.call(Asker.tenant) == "nobody's"
            assert await actor.call(Asker.tenant_at_once) == "nobody's"


async def test_what_a_factory_sets_in_a_context_variable_is_its_actors_alone() -> None:
    def made(name: str) -> Asker:
        if name:
            TENANT.set(name)
        return Asker()

    async with DynamicSupervisor("app") as app:
        actors = [await app.start(made, name) for name in ("a", "", "b", "")]
        assert [await actor.call(Asker.tenant) for actor in actors] == ["a", "nobody's", "b", "nobody's"]
        assert TENANT.get(None) is None


async def test_a_lock_that_is_held_between_messages_needs_a_task_of_ones_own() -> None:
    class Holder:
        def __init__(self) -> None:
            self.lock = anyio.Lock()

        async def take(self) -> None:
            self.lock.acquire_nowait()

        async def give(self) -> None:
            self.lock.release()

    async with Supervisor("app", intensity=Intensity(10)) as app:
        other = await app.start(Asker, name="other")
        own = await app.start(Holder, name="own", own_task=True)
        lent = await app.start(Holder, name="lent")
        for holder in (own, lent):
            await holder.send(Holder.take)
            await at_rest()
        await other.send(Asker.hold, gate := Gate())  # takes along the task that `lent` has just had
        await gate.reached.wait()
        await own.send(Holder.give)
        await lent.send(Holder.give)
        await at_rest()
        gate.open()
        assert app.get_childspec("own").restarts == 0
        assert app.get_childspec("lent").restarts == 1


async def test_one_with_a_task_of_its_own_has_the_same_one_for_all_messages() -> None:
    async with Supervisor("app") as app:
        one = await app.start(Asker, own_task=True, name="one")
        seen = {await one.call(Asker.task) for _ in range(3)} | {await one.call(Asker.wait)}
        assert len(seen) == 1


@ASYNCIO
async def test_a_carrier_that_is_cancelled_natively_while_it_idles_harms_nobody() -> None:
    async with Supervisor("app") as app:
        one = await app.start(Asker)
        await one.send(Asker.note, 1)
        await at_rest()
        for task in asyncio.all_tasks():
            if task.get_name() == "supervise carrier":
                task.cancel()
        await one.send(Asker.note, 2)
        await at_rest()
        assert one.account().handled == 2
        assert app.get_childspec("asker").restarts == 0


class Careless(Asker):
    async def cancel_own_task(self, really: bool) -> None:
        task = asyncio.current_task()
        assert task is not None
        if really:
            task.cancel()

    async def cancellations(self) -> int:
        task = asyncio.current_task()
        assert task is not None
        return task.cancelling()

    async def open(self, really: bool) -> None:
        self.scope = anyio.CancelScope()
        if really:
            self.scope.__enter__()

    async def cancel(self) -> None:
        self.scope.cancel()


@ASYNCIO
@pytest.mark.parametrize("known", [False, True])  # who is known is handled in one step
@pytest.mark.parametrize("call", [False, True])
async def test_who_cancels_its_own_task_and_returns_has_crashed_and_nobody_else(known: bool, call: bool) -> None:
    async with Supervisor("app", intensity=Intensity(10)) as app:
        one, other = await app.start(Careless, name="one"), await app.start(Careless, name="other")
        if known:
            await one.call(Careless.cancel_own_task, False)
            await other.call(Careless.cancellations)
            await at_rest()
        if call:
            await one.call(Careless.cancel_own_task, True)
        else:
            await one.send(Careless.cancel_own_task, True)
        assert await other.call(Careless.cancellations) == 0
        await other.send(Asker.note, 1)
        await at_rest()
        assert await other.call(Asker.note, 2) == 2
        # Who is answered in its caller's step was only lent a task, which is used up, and wasn't told of it yet.
        assert app.get_childspec("one").restarts == (not (known and call))
        assert app.get_childspec("other").restarts == 0


@pytest.mark.parametrize("anyio_backend", ["trio"], indirect=True)
@pytest.mark.parametrize("known", [False, True])
async def test_a_scope_that_a_handler_leaves_open_is_its_actors_alone(known: bool) -> None:  # on asyncio it can't be seen
    async with Supervisor("app", intensity=Intensity(10)) as app:
        careless, other = await app.start(Careless), await app.start(Asker, name="other")
        for send in (careless.send, other.send):
            await send(Asker.note, 1)
            await at_rest()
        if known:
            await careless.send(Careless.open, False)
            await at_rest()
        await careless.send(Careless.open, True)
        await at_rest()
        await other.send(Asker.hold, gate := Gate())
        await at_rest()
        await careless.send(Careless.cancel)
        await at_rest()
        gate.open()
        await at_rest()
        assert other.account().handled == 2
        assert [app.get_childspec(name).restarts for name in ("careless", "other")] == [1, 0]


# -- others run meanwhile ------------------------------------------------------------------------------------------------


class Turns:
    """Counts the turns of the loop, and what happened in each."""

    def __init__(self) -> None:
        self.done = 0
        self.most = 0

    async def count(self) -> None:
        seen = self.done
        while True:
            await anyio.lowlevel.checkpoint()
            self.most, seen = max(self.most, self.done - seen), self.done


async def test_at_most_32_actors_start_between_two_turns_of_the_loop() -> None:
    turns = Turns()

    class Counted:
        def __init__(self) -> None:
            turns.done += 1

    async with DynamicSupervisor("app") as app, anyio.create_task_group() as group:
        group.start_soon(turns.count)
        for _ in range(1000):
            await app.start(Counted)
        group.cancel_scope.cancel()
    assert turns.done == 1000
    assert 1 < turns.most <= 2 * 32  # trio may run the counter last in one turn, and first in the next


async def test_a_start_that_fails_again_and_again_lets_others_run_after_32() -> None:
    turns = Turns()

    class Failing(Scribe):
        def __init__(self) -> None:
            super().__init__()
            turns.done += 1
            if 1 < turns.done < 1000:
                raise Boom

    async with Supervisor("app", child(Failing, name="failing"), intensity=Intensity(1000)) as app:
        async with anyio.create_task_group() as group:
            group.start_soon(turns.count)
            await app.find("failing").send(Scribe.crash)
            assert await app.find("failing").call(Scribe.note, 1) == 1
            group.cancel_scope.cancel()
    assert turns.done == 1000
    assert 1 < turns.most <= 2 * 32


@pytest.mark.parametrize("plain", [True, False])
async def test_at_most_127_calls_are_answered_between_two_turns_of_the_loop(plain: bool) -> None:
    turns = Turns()

    class Counted:
        async def count(self) -> None:
            turns.done += 1

        def count_at_once(self) -> None:
            turns.done += 1

    async with Supervisor("app") as app, anyio.create_task_group() as group:
        one = await app.start(Counted)
        group.start_soon(turns.count)
        for _ in range(1000):
            await one.call(Counted.count_at_once if plain else Counted.count)
        group.cancel_scope.cancel()
    assert turns.done == 1000
    assert turns.most <= 2 * 128


async def test_all_trees_of_a_loop_have_one_budget() -> None:
    turns = Turns()

    class Counted:
        def count(self) -> None:
            turns.done += 1

    async with anyio.create_task_group() as group:
        async with AsyncExitStack() as stack:
            trees = [await stack.enter_async_context(Supervisor(f"tree{number}")) for number in range(10)]
            actors = [await tree.start(Counted) for tree in trees]
            group.start_soon(turns.count)
            for _ in range(200):
                for actor in actors:
                    await actor.call(Counted.count)
        group.cancel_scope.cancel()
    assert turns.done == 2000
    assert turns.most <= 2 * 128


@pytest.mark.parametrize("same", [True, False])
async def test_who_never_runs_dry_starves_nobody(same: bool) -> None:
    class Flood:
        def __init__(self) -> None:
            self.me: Address[Any] | None = None

        def begin(self, me: Address[Any]) -> None:
            self.me = me
            for _ in range(200):
                me.try_send(Flood.go)

        def go(self) -> None:
            if self.me is not None:
                self.me.try_send(Flood.go)

        def end(self) -> None:
            self.me = None

        def pong(self) -> str:
            return "pong"

    answers: list[str] = []
    handled: list[int] = []

    async def ask(other: Address[Flood]) -> None:
        while True:
            answers.append(await other.call(Flood.pong))
            await anyio.lowlevel.checkpoint()

    async with Supervisor("one") as one, Supervisor("two") as two, anyio.create_task_group() as group:
        floods = [await tree.start(Flood) for tree in (one, one if same else two)]
        other = await (one if same else two).start(Flood)
        for flood in floods:
            flood.try_send(Flood.begin, flood)
        group.start_soon(ask, other)
        for _ in range(400):
            await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
        for flood in floods:
            flood.try_send(Flood.end)
        handled += [flood.account().handled for flood in floods]
    assert len(answers) > 20
    assert min(handled) > max(handled) / 4


async def test_a_task_is_called_as_the_actor_whose_handler_waits_in_it() -> None:
    def name() -> str:
        try:
            task: Any = asyncio.current_task()
        except RuntimeError:
            return str(trio.lowlevel.current_task().name)
        return str(task.get_name())

    class Waits:
        async def name(self) -> list[str]:
            names = [name()]
            await anyio.sleep(0.01)
            return [*names, name()]

        async def name_at_once(self) -> str:
            return name()

    async with DynamicSupervisor("app") as app:
        one, other = await app.start(Waits, name="one"), await app.start(Waits, name="other")
        for _ in range(2):
            assert (await one.call(Waits.name))[1] == "one"
        for _ in range(70):  # until no carrier waits with the first one any more
            await (await app.start(Waits)).call(Waits.name)
        assert (await other.call(Waits.name))[1] == "other"
        last = await app.start(Waits, name="last")
        assert await last.call(Waits.name_at_once) not in ("one", "other")


async def test_a_caller_that_polls_for_ever_is_cancelled_at_its_deadline() -> None:
    async with Supervisor("app") as app:
        one = await app.start(Asker)
        with anyio.move_on_after(0) as scope:
            for _ in range(10_000):
                await one.call(Asker.tenant_at_once)
        assert scope.cancelled_caught


async def test_at_most_128_messages_are_handled_between_two_turns_of_the_loop() -> None:
    turns = Turns()

    class Counted:
        async def count(self) -> None:
            turns.done += 1

    async with DynamicSupervisor("app") as app, anyio.create_task_group() as group:
        actors = [await app.start(Counted, capacity=math.inf) for _ in range(10)]
        for actor in actors:
            for _ in range(200):
                actor.try_send(Counted.count)
        group.start_soon(turns.count)
        await turn_by_turn_until(lambda: turns.done == 2000)
        group.cancel_scope.cancel()
    assert turns.most <= 2 * 128


@ASYNCIO
@pytest.mark.skipif(sys.version_info < (3, 12), reason="there are no eager tasks before Python 3.12")
async def test_a_fan_out_to_two_thousand_that_wait_does_not_recurse_under_eager_tasks() -> None:
    loop = asyncio.get_running_loop()
    loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]

    async def fan_out(_: Asker, actors: list[Address[Asker]]) -> None:
        for actor in actors:
            await actor.send(Asker.wait)

    try:
        async with DynamicSupervisor("app") as app:
            actors = [await app.start(Asker) for _ in range(2000)]
            await (await app.start(Asker)).call(fan_out, actors)
            await anyio.sleep(1)
            assert sum(actor.account().handled for actor in actors) == 2000
    finally:
        loop.set_task_factory(None)


async def test_a_handler_that_stops_its_own_actor_while_another_waits_for_its_turn() -> None:
    async def leave(_: Asker) -> None:
        current().stop()

    async with DynamicSupervisor("app") as app:
        actors = [await app.start(Asker) for _ in range(5)]
        for actor in actors:
            await actor.send(leave)
            await actor.send(Asker.note, 1)
        await at_rest()
        assert app.count_children().active == 0
        assert all(actor.account().balanced for actor in actors)


async def test_idle_actors_end_in_one_task_and_one_scope(monkeypatch: pytest.MonkeyPatch) -> None:
    entered, begun = 0, 0
    enter, make = Carrier.enter_scope, Carrier.__init__

    def counted(carrier: Carrier) -> Any:
        nonlocal entered
        entered += 1
        return enter(carrier)

    def made(carrier: Carrier, queue: Any) -> None:
        nonlocal begun
        begun += 1
        make(carrier, queue)

    monkeypatch.setattr(Carrier, "enter_scope", counted)
    monkeypatch.setattr(Carrier, "__init__", made)
    async with DynamicSupervisor("app") as app:
        for _ in range(100):
            await app.start(Asker)
    assert (entered, begun) == (1, 1)


async def test_a_bug_of_the_carriers_own_ends_the_tree_and_hangs_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def buggy(*_: object) -> None:
        raise LookupError("a bug")

    with pytest.raises(LookupError, match="a bug"):
        async with Supervisor("app") as app:
            one, other = await app.start(Asker, name="one"), await app.start(Asker, name="other")
            for actor in (one, other):
                await actor.send(Asker.note, 1)
                await at_rest()
            monkeypatch.setattr(RunQueue, "_alone", buggy)
            await one.send(Asker.note, 2)
            await other.send(Asker.note, 2)
            await anyio.sleep_forever()
    await anyio.sleep(2)  # until what would have been unstoppable is looked at


@pytest.mark.parametrize("left", range(1, 6))
async def test_a_restart_at_the_end_of_a_turn_begins_with_the_message_that_it_has_chosen(left: int) -> None:
    log: list[str] = []
    async with Supervisor("app", intensity=Intensity(10)) as app:
        one = await app.start(Scribe, log, lanes=("a", "b"), choice="fair")
        a, b = one.options(lane="a"), one.options(lane="b")
        for lane, name in ((a, "a0"), (b, "b0")):
            await lane.call(Scribe.note, name)
        await at_rest()
        app._branch.tree.runs.budget.left = left
        a.try_send(Scribe.crash)
        for number in "12":
            b.try_send(Scribe.note, f"b{number}")
            a.try_send(Scribe.note, f"a{number}")
        await at_rest()
    assert log == ["a0", "b0", "b1", "a1", "b2", "a2"]
