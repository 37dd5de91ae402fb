"""Children: what is built, in which context, on which mailbox.

Tested: SEMANTICS 4 (ignore), 9 (backoff), 11 (mailboxes over a supervisor's restart), 12 (decisions as events), 15 (expects),
27 (contexts), 28 (nursery), 41 (names), DESIGN "Starting".
"""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from tenacity import retry_if_exception_type, wait_exponential

from supervise import (
    ActorCrashed,
    ActorStopped,
    Address,
    ChildStartFailed,
    DynamicSupervisor,
    IgnoreStart,
    Intensity,
    MailboxClosed,
    Restart,
    Supervisor,
    TooManyChildren,
    child,
    current,
)
from supervise.events import Decided, Event
from supervise.testing.virtual_time import at_rest

pytestmark = pytest.mark.anyio
request: ContextVar[str] = ContextVar("request")


def incarnation(_: object) -> int:
    return current().incarnation


class Counter:
    def __init__(self, start: int = 0) -> None:
        self.total = start

    async def add(self, amount: int) -> int:
        self.total += amount
        return self.total

    async def crash(self) -> None:
        raise ValueError("crash")

    async def stop(self) -> None:
        current().stop()


async def test_every_kind_of_factory_makes_an_actor() -> None:
    entered: list[str] = []

    @asynccontextmanager
    async def managed(start: int) -> AsyncGenerator[Counter, None]:
        entered.append("in")
        yield Counter(start)
        entered.append("out")

    async def awaited(start: int) -> Counter:
        await anyio.lowlevel.checkpoint()
        return Counter(start)

    async with Supervisor("app") as app:
        addresses = [
            await app.start(Counter, 1),
            await app.start(functools.partial(Counter, start=1)),
            await app.start(lambda: Counter(1)),
            await app.start(managed, 1),
            await app.start(awaited, 1),
        ]
        assert [await a.call(Counter.add, 1) for a in addresses] == [2] * 5
        assert [a.name for a in addresses] == ["counter", "counter-2", "actor", "managed", "awaited"]
    assert entered == ["in", "out"]


async def test_a_factory_or_enter_hook_that_returns_nothing_is_refused_with_the_cure() -> None:
    class Forgetful:
        async def __aenter__(self) -> None:
            pass

        async def __aexit__(self, *_: object) -> None:
            pass

    async with Supervisor("app") as app:
        with pytest.raises(ChildStartFailed, match="return self"):
            await app.start(Forgetful)
        with pytest.raises(ChildStartFailed, match="has to return the actor"):
            await app.start(lambda: None)
        assert app.count_children().specs == 0


async def test_an_ignored_start_is_listed_as_stopped_and_no_error() -> None:
    def unwanted() -> Counter:
        raise IgnoreStart("not today")

    async with Supervisor("app", child(unwanted, name="u"), child(Counter)) as app:
        assert [c.state.value for c in app.which_children()] == ["stopped", "running"]
        with pytest.raises(ActorStopped):
            await app.find("u").call(Counter.add, 1)


async def test_a_context_variable_of_whoever_starts_or_calls_never_reaches_an_actor_nor_from_one_to_another() -> None:
    request.set("the caller's")

    async def leak(_: Counter) -> str:
        before = request.get("nothing")
        request.set("the actor's own")
        return before

    async def leak_and_crash(_: Counter) -> None:
        request.set("the crashed one's")
        raise ValueError

    async with Supervisor("app", child(Counter, name="a"), child(Counter, name="b")) as app:
        a, b = app.find("a"), app.find("b")
        assert await a.call(leak) == "nothing"
        assert await a.call(leak) == "nothing", "each message begins with a clean context"
        assert await b.call(leak) == "nothing"
        with pytest.raises(ActorCrashed):
            await a.call(leak_and_crash)
        assert await a.call(leak) == "nothing", "a fresh instance begins with a fresh context"
        assert request.get() == "the caller's"


async def test_a_crash_of_a_nursery_task_crashes_the_actor_and_cancels_its_handler() -> None:
    async def doomed() -> None:
        await anyio.sleep(1)
        raise OSError("in the nursery")

    async def work(_: Counter) -> None:
        current().nursery.start_soon(doomed)
        await anyio.sleep(99)

    async with Supervisor("app", child(Counter, name="a")) as app:
        with pytest.raises(ActorCrashed) as caught:
            await app.find("a").call(work)
        assert isinstance(caught.value.__cause__, BaseException)
        assert "in the nursery" in repr(caught.value.__cause__)
        assert await app.find("a").call(Counter.add, 1) == 1


async def test_expected_exceptions_are_answers_and_the_actor_lives_on() -> None:
    class Poor(Exception):
        pass

    async def pay(counter: Counter, grouped: bool) -> None:
        counter.total += 1
        raise ExceptionGroup("g", [Poor("a")]) if grouped else Poor("no money")

    async with Supervisor("app", child(Counter, name="a", expects=(Poor,))) as app:
        a = app.find("a")
        with pytest.raises(Poor, match="no money"):
            await a.call(pay, False)
        await a.send(pay, False)
        assert await a.call(Counter.add, 0) == 2
        assert app.account().failed == 2
        with pytest.raises(ActorCrashed):
            await a.call(pay, True)  # never inside a group


async def test_backoff_delays_grow_and_a_healthy_time_heals() -> None:
    events: list[Event] = []
    policy = Restart.permanent(wait=wait_exponential(multiplier=1), healthy_after=10)
    tree = Supervisor("app", child(Counter, name="a", restart=policy), intensity=Intensity(9, per=1), listener=events.append)
    async with tree as app:
        a = app.find("a")
        for _ in range(3):
            await a.send(Counter.crash)
            await a.call(Counter.add, 1)  # waits for the fresh one
        await anyio.sleep(10)
        began = anyio.current_time()
        await a.send(Counter.crash)
        await a.call(Counter.add, 1)
        assert anyio.current_time() - began == pytest.approx(1.0)
    assert [e.decision.delay for e in events if isinstance(e, Decided)][:4] == [1.0, 2.0, 4.0, 1.0]


async def test_an_exception_that_when_does_not_match_ends_the_child() -> None:
    policy = Restart.permanent(when=retry_if_exception_type(OSError))
    async with Supervisor("app", child(Counter, name="a", restart=policy), child(Counter, name="b")) as app:
        with pytest.raises(ActorCrashed):
            await app.find("a").call(Counter.crash)
        with pytest.raises(ActorStopped):
            await app.find("a").call(Counter.add, 1)
        assert await app.restart_child("a")
        assert await app.find("a").call(Counter.add, 1) == 1


async def test_static_children_of_a_restarted_supervisor_keep_their_mailboxes_and_what_waits_in_them() -> None:
    below = Supervisor("below", child(Counter, name="a"), child(Counter, name="b"), intensity=Intensity(0))
    async with Supervisor("app", below) as app:
        a, b = app.find("below/a"), app.find("below/b")
        assert await a.call(Counter.add, 5) == 5

        async def block_and_crash(_: Counter) -> None:
            await anyio.sleep(1)
            raise ValueError

        await b.send(block_and_crash)
        await anyio.sleep(0.5)

        async def hold(_: Counter) -> None:
            await anyio.sleep(1)

        await a.send(hold)
        await a.send(Counter.add, 7)
        await anyio.sleep(2)
        assert await a.call(Counter.add, 0) == 7, "a fresh instance on the same mailbox, and what waited was handled"
        assert a == app.find("below/a")
        assert app.which_children()[0].incarnation == 2


async def test_children_that_were_added_are_gone_with_their_supervisor_and_deleted_ones_come_back_anew() -> None:
    below = Supervisor("below", child(Counter, name="a"), child(Counter, name="b"), intensity=Intensity(0))
    async with Supervisor("app", below) as app:
        handle = app.supervisor("below")
        added = await handle.start(Counter, name="added")
        old = app.find("below/a")
        await handle.terminate_child("a")
        await handle.delete_child("a")
        with pytest.raises(MailboxClosed):
            await old.call(Counter.add, 1)
        await app.find("below/b").send(Counter.crash)
        await anyio.sleep(1)
        assert [c.id for c in handle.which_children()] == ["a", "b"]
        with pytest.raises(MailboxClosed):
            await added.call(Counter.add, 1)
        with pytest.raises(MailboxClosed):
            await old.call(Counter.add, 1)
        assert await app.find("below/a").call(Counter.add, 1) == 1


async def test_a_dynamic_supervisor_forgets_its_temporary_children_and_is_never_too_full_for_long() -> None:
    async with DynamicSupervisor("app", max_children=2) as app:
        one, two = await app.start(Counter), await app.start(Counter)
        with pytest.raises(TooManyChildren, match="max_children=2"):
            await app.start(Counter)
        await one.send(Counter.stop)
        await anyio.sleep(1)
        with pytest.raises(MailboxClosed):
            await one.call(Counter.add, 1)
        await app.start(Counter)
        await app.terminate_child(two)
        await app.terminate_child(two)
        assert app.count_children().active == 1


async def test_a_pipeline_is_wired_by_typed_keys_and_a_factory_runs_when_its_elders_run() -> None:
    db = child(Counter, 40, name="db")

    class Cache:
        def __init__(self, db: Address[Counter]) -> None:
            self.db = db

        async def read(self) -> int:
            return await self.db.call(Counter.add, 2)

    cache = child(lambda: Cache(current().find(db)), name="cache")
    async with Supervisor("app", db, Supervisor("front", cache), strategy="rest_for_one") as app:
        assert await app.find(cache).call(Cache.read) == 42
        assert app.find(db) == app.find("db")
        assert app.find(db).path == "app/db"


async def test_a_restart_in_place_and_one_in_a_new_task_look_the_same_from_outside() -> None:
    plain = child(Counter, name="plain")
    managed = child(lambda: _managed(), name="managed")
    async with Supervisor("app", plain, managed, intensity=Intensity(9)) as app:
        for key in (plain, managed):
            address = app.find(key)
            for expected in (2, 3, 4):
                await address.send(Counter.crash)
                assert await address.call(incarnation) == expected


@asynccontextmanager
async def _managed() -> AsyncGenerator[Counter, None]:
    yield Counter()


async def test_a_crash_says_where_the_user_s_own_code_was() -> None:
    events: list[Event] = []

    class Caller:
        async def ask(self) -> None:
            await current().find("a").call(Counter.crash)

    async with Supervisor("app", child(Counter, name="a"), child(Caller, name="c"), listener=events.append) as app:
        with pytest.raises(ActorCrashed):
            await app.find("c").call(Caller.ask)
    (line,) = [str(e) for e in events if str(e).startswith("app/c #1 ended: crashed")]
    assert f"Caller.ask ({__file__}:" in line


async def test_children_that_wait_for_their_start_have_their_names_already() -> None:
    async def slow() -> Counter:
        await anyio.sleep(1)
        return Counter()

    async with Supervisor("app") as app, anyio.create_task_group() as group:
        paths: list[str] = []

        async def start(factory: Callable[[], Any], name: str | None) -> None:
            paths.append((await app.start(factory, name=name)).path)

        for factory, name in ((slow, None), (Counter, None), (Counter, "counter-2"), (Counter, None)):
            group.start_soon(start, factory, name)
            await at_rest()
        await anyio.sleep(2)
        assert sorted(paths) == ["app/counter", "app/counter-2", "app/counter-3", "app/slow"]
