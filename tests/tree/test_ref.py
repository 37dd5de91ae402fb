"""`ref(db)` as a factory's argument stands for a sibling's address, and is resolved at each start.

Tested: SEMANTICS 76 (by key or path; typed; weak; a call to a younger sibling in one's start is WouldDeadlock).
"""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from supervise import (
    ActorCrashed,
    Address,
    ChildNotFound,
    DynamicSupervisor,
    Intensity,
    InvalidSpec,
    MailboxClosed,
    StartFailed,
    Supervisor,
    WouldDeadlock,
    child,
    current,
    ref,
)
from supervise.testing.virtual_time import at_rest
from tests.doubles import Boom, Gate, Outcomes

pytestmark = pytest.mark.anyio


class Db:
    async def get(self, key: str) -> str:
        return f"value of {key}"

    async def crash(self) -> None:
        raise Boom("db")


class Cache:
    def __init__(self, db: Address[Db], prefix: str = "") -> None:
        self.db = db
        self.prefix = prefix

    async def get(self, key: str) -> str:
        return self.prefix + await self.db.call(Db.get, key)

    async def path(self) -> str:
        return self.db.path

    async def crash(self) -> None:
        raise Boom("cache")


db = child(Db)


async def test_it_becomes_the_address_of_the_sibling() -> None:
    cache = child(Cache, ref(db), "cached ")
    async with Supervisor("app", db, cache) as app:
        assert await app.find(cache).call(Cache.get, "a") == "cached value of a"
        with pytest.raises(ActorCrashed):
            await app.find(cache).call(Cache.crash)
        assert await app.find(cache).call(Cache.get, "b") == "cached value of b"


async def test_a_path_will_do() -> None:
    async with Supervisor("app", Supervisor("data", child(Db)), child(Cache, ref("data/db"))) as app:
        assert await app.find("cache").call(Cache.path) == "app/data/db"


async def test_a_keyword_of_a_partial_is_seen_and_so_is_one_within_another() -> None:
    inner = functools.partial(Cache, db=ref(db))
    async with Supervisor("app", db, child(functools.partial(inner, prefix="p "), name="cache")) as app:
        assert await app.find("cache").call(Cache.get, "a") == "p value of a"


async def test_it_is_an_address_like_any_other() -> None:
    class Holder:
        def __init__(self, db: Address[Db]) -> None:
            assert isinstance(db, Address)
            self.get = db.recipient(Db.get)

        async def ask(self) -> str:
            return await self.get.call("a")

    async with Supervisor("app", db, child(Holder, ref(db))) as app:
        assert await app.find("holder").call(Holder.ask) == "value of a"


async def test_it_keeps_nothing_alive() -> None:
    async with Supervisor("app") as app:
        target = await app.start(Db, name="db", lifetime="addresses")
        cache = await app.start(Cache, ref("db"))
        assert await cache.call(Cache.get, "a") == "value of a"
        target.close()
        await at_rest()
        with pytest.raises(ActorCrashed) as crashed:
            await cache.call(Cache.get, "a")
        assert isinstance(crashed.value.__cause__, MailboxClosed)


async def test_it_ends_nothing_that_nobody_has_an_address_of_yet() -> None:
    lasting = child(Db, lifetime="addresses", restart="transient")
    async with Supervisor("app", lasting, child(Cache, ref(lasting))) as app:
        assert await app.find(lasting).call(Db.get, "a") == "value of a"


async def test_closing_it_closes_it_alone() -> None:
    class Closer:
        def __init__(self, db: Address[Db]) -> None:
            self.db = db

        async def close(self) -> str:
            self.db.close()
            try:
                await self.db.call(Db.get, "a")
            except MailboxClosed as error:
                return str(error)
            return "open"

    async with Supervisor("app") as app:
        target = await app.start(Db, name="db", lifetime="addresses")
        closer = await app.start(Closer, ref("db"))
        assert "was closed" in await closer.call(Closer.close)
        assert await target.call(Db.get, "a") == "value of a"


async def test_each_instance_of_a_template_gets_its_own_sibling() -> None:
    shard = Supervisor("shard", db, child(Cache, ref(db)))
    async with DynamicSupervisor("app") as app:
        first = await app.start_child(shard, name="one")
        second = await app.start_child(shard, name="two")
        assert await first.find("cache").call(Cache.path) == "app/one/db"
        assert await second.find("cache").call(Cache.path) == "app/two/db"


async def test_what_is_not_there_fails_the_start_and_names_it() -> None:
    with pytest.raises(StartFailed) as failed:
        async with Supervisor("app", child(Cache, ref("dbb")), child(Db)):
            pass
    assert isinstance(failed.value.__cause__, ChildNotFound)
    assert "dbb" in str(failed.value.__cause__)


@pytest.mark.parametrize("wrong", [None, "", 3, Db])
async def test_what_is_no_key_is_refused(wrong: Any) -> None:
    with pytest.raises(InvalidSpec, match=r"what child\(\) or pool\(\) returned"):
        ref(wrong)


async def test_inside_of_a_list_it_is_a_place_holder_that_says_so() -> None:
    def make(dbs: list[Address[Db]]) -> Cache:
        dbs[0].call(Db.get, "a")  # type: ignore[unused-coroutine]  # it raises
        return Cache(dbs[0])

    with pytest.raises(StartFailed) as failed:
        async with Supervisor("app", db, child(make, [ref(db)], name="cache")):
            pass
    assert isinstance(failed.value.__cause__, AttributeError)
    assert "ref(db) isn't the address itself" in str(failed.value.__cause__)
    assert "an argument of its own" in str(failed.value.__cause__)


# -- calls in one's own start --------------------------------------------------------------------------------------------


class Eager:
    """Asks in its start already."""

    def __init__(self, answer: str) -> None:
        self.answer = answer

    async def get(self, key: str) -> str:
        return self.answer

    async def crash(self) -> None:
        raise Boom("eager")


@asynccontextmanager
async def eager(other: Address[Any], handler: Any = Db.get) -> AsyncGenerator[Eager]:
    yield Eager(await other.call(handler, "a"))


def cause_of_the_start(failed: pytest.ExceptionInfo[StartFailed]) -> BaseException | None:
    return failed.value.__cause__


async def test_a_call_to_a_younger_sibling_in_ones_start_would_deadlock() -> None:
    with pytest.raises(StartFailed) as failed:
        async with Supervisor("app", child(eager, ref(db), name="eager"), db):
            pass
    error = cause_of_the_start(failed)
    assert isinstance(error, WouldDeadlock)
    assert "app/eager is starting, and a call of Db.get waits for app/db, which starts only after it" in str(error)
    assert error.message is not None
    assert error.message.args == ("a",)


async def test_a_call_to_an_older_one_is_fine_and_so_is_a_send_to_a_younger_one() -> None:
    @asynccontextmanager
    async def sends(other: Address[Db]) -> AsyncGenerator[Eager]:
        await other.send(Db.get, "a")
        yield Eager("sent")

    async with Supervisor("app", db, child(eager, ref(db), name="eager")) as app:
        assert await app.find("eager").call(Eager.get, "x") == "value of a"
    async with Supervisor("app", child(sends, ref(db), name="sends"), db) as app:
        assert await app.find("sends").call(Eager.get, "x") == "sent"


async def test_in_a_restart_alone_the_younger_one_is_up_and_answers() -> None:
    first = [True]

    @asynccontextmanager
    async def asks_later(other: Address[Db]) -> AsyncGenerator[Eager]:
        if first.pop() if first else False:
            yield Eager("nothing")
        else:
            yield Eager(await other.call(Db.get, "a"))

    async with Supervisor("app", child(asks_later, ref(db), name="eager"), db) as app:
        address: Address[Eager] = app.find("eager")
        with pytest.raises(ActorCrashed):
            await address.call(Eager.crash)
        assert await address.call(Eager.get, "x") == "value of a"


async def test_in_a_group_restart_it_would_deadlock_again() -> None:
    first = [True]
    met: list[str] = []

    @asynccontextmanager
    async def asks_later(other: Address[Db]) -> AsyncGenerator[Eager]:
        if first:
            first.clear()
            yield Eager("nothing")
            return
        try:
            await other.call(Db.get, "a")
        except WouldDeadlock as error:
            met.append(str(error))
        yield Eager("met")

    async with Supervisor("app", child(asks_later, ref(db), name="eager"), db, strategy="one_for_all") as app:
        address: Address[Eager] = app.find("eager")
        with pytest.raises(ActorCrashed):
            await address.call(Eager.crash)
        assert await address.call(Eager.get, "x") == "met"
    assert len(met) == 1


async def test_one_in_a_supervisor_that_was_never_up_is_not_there_yet() -> None:
    with pytest.raises(StartFailed) as failed:
        async with Supervisor("app", Supervisor("front", child(eager, ref(db), name="asker")), Supervisor("back", db)):
            pass
    assert isinstance(cause_of_the_start(failed), ChildNotFound)
    assert "not yet" in str(cause_of_the_start(failed))


async def test_a_younger_one_in_another_supervisor_is_seen_too() -> None:
    lives = 0
    met: list[WouldDeadlock] = []

    @asynccontextmanager
    async def asker() -> AsyncGenerator[Eager]:
        nonlocal lives
        lives += 1
        if lives == 2:
            try:
                await current().find(db).call(Db.get, "a")
            except WouldDeadlock as error:
                met.append(error)
        yield Eager("ready")

    front = Supervisor("front", child(asker, name="asker"), intensity=Intensity(0, per=1))
    async with Supervisor("app", front, Supervisor("back", db), strategy="one_for_all") as app:
        address: Address[Eager] = app.find("front/asker")
        with pytest.raises(ActorCrashed):
            await address.call(Eager.crash)
        assert await address.call(Eager.get, "x") == "ready"
    assert "app/front/asker is starting" in str(met[0])
    assert "app/back/db" in str(met[0])


async def test_one_that_goes_through_a_third_actor_is_seen_too() -> None:
    class Middle:
        async def get(self, key: str) -> str:
            return await current().find(db).call(Db.get, key)

    middle = child(Middle, expects=(WouldDeadlock,))
    with pytest.raises(StartFailed) as failed:
        async with Supervisor("app", middle, child(eager, ref(middle), Middle.get, name="eager"), db):
            pass
    error = cause_of_the_start(failed)
    assert isinstance(error, WouldDeadlock)
    assert "a call of Db.get by app/middle waits for app/db, which starts only after app/eager" in str(error)


async def test_a_call_from_a_nursery_task_of_the_start_waits_and_is_answered() -> None:
    got: list[str] = []

    @asynccontextmanager
    async def patient(other: Address[Db]) -> AsyncGenerator[Eager]:
        async def ask() -> None:
            got.append(await other.call(Db.get, "a"))

        current().nursery.start_soon(ask)
        yield Eager("ready")

    async with Supervisor("app", child(patient, ref(db), name="patient"), db):
        await at_rest()
    assert got == ["value of a"]


async def test_a_call_from_outside_while_the_tree_starts_is_no_deadlock() -> None:
    """Only who is at work in the start waits for himself."""
    description = Supervisor("app", child(Cache, ref(db)), db)
    of: dict[Any, Any] = {}
    async with description as app, anyio.create_task_group() as group:
        outcomes = Outcomes(group)
        outcomes.of = of
        await outcomes.watch("get", app.find("cache").call(Cache.get, "a"))
    assert of["get"] == "value of a"


# -- an elder that goes down while a start waits for it ------------------------------------------------------------------


class Elder(Db):
    async def hold(self, gate: Gate) -> None:
        await gate.walk_through()

    async def hold_and_crash(self, gate: Gate) -> None:
        await gate.walk_through()
        raise Boom("elder")


class Notes:
    """What came of the calls in the starts of the younger one, but for the first start."""

    def __init__(self) -> None:
        self.lives = 0
        self.met: list[Any] = []


@asynccontextmanager
async def younger(notes: Notes, elder: Address[Any], ask: Callable[[Address[Any]], Awaitable[Any]]) -> AsyncGenerator[Eager]:
    notes.lives += 1
    if notes.lives > 1:
        try:
            notes.met.append(await ask(elder))
        except WouldDeadlock as error:
            notes.met.append(error)
    yield Eager("ready")


async def call(elder: Address[Any]) -> Any:
    return await elder.call(Db.get, "a")


@pytest.mark.parametrize("full", [False, True])
async def test_a_call_in_a_start_ends_when_the_elder_goes_down_that_it_waits_for(full: bool) -> None:
    """It waits in the queue, or for room there; and the elder is started only after this start."""
    notes, gate = Notes(), Gate()
    elder = child(Elder, name="elder", capacity=1)
    async with Supervisor("app", elder, child(younger, notes, ref("elder"), call, name="younger")) as app:
        address: Address[Elder] = app.find("elder")
        await address.send(Elder.hold_and_crash, gate)
        await gate.reached.wait()
        if full:
            await address.send(Db.get, "b")
        app.kill("younger")
        await at_rest()
        gate.open()
        await at_rest()
        (error,) = notes.met
        assert isinstance(error, WouldDeadlock)
        asked = "what it asks for" if full else "a call of Db.get"
        assert f"app/younger is starting, and {asked} waits for app/elder, which starts only after it" in str(error)
        assert (error.message is None) is full
        with anyio.fail_after(1):
            assert await address.call(Db.get, "c") == "value of c"
        assert address.account().balanced
        assert address.account().abandoned == (0 if full else 1)
        assert len(address) == 0


async def test_so_does_one_for_its_object() -> None:
    notes, gate = Notes(), Gate()

    async def object_of(elder: Address[Any]) -> Any:
        app.kill("elder")  # its handler takes its time to end
        return await elder.instance()

    class Slow(Elder):
        async def stay(self, gate: Gate) -> None:
            with anyio.CancelScope(shield=True):
                await gate.walk_through()

    async with Supervisor("app", child(Slow, name="elder"), child(younger, notes, ref("elder"), object_of)) as app:
        await app.find("elder").send(Slow.stay, gate)
        await gate.reached.wait()
        app.kill("younger")
        await at_rest()
        gate.open()
        await at_rest()
        assert isinstance(notes.met[0], WouldDeadlock)


async def test_so_does_one_that_waits_for_the_elder_through_another_actor() -> None:
    notes, gate = Notes(), Gate()

    class Middle:
        async def get(self, key: str) -> str:
            return await current().find("elder").call(Db.get, key)

    async def call_the_middle(_: Address[Any]) -> Any:
        return await app.find("middle").call(Middle.get, "a")

    asker = child(younger, notes, ref("elder"), call_the_middle, name="younger")
    middle = child(Middle, expects=(ActorCrashed,))
    async with Supervisor("app", child(Elder, name="elder"), middle, asker) as app:
        address: Address[Elder] = app.find("elder")
        await address.send(Elder.hold_and_crash, gate)
        await gate.reached.wait()
        app.kill("younger")
        await at_rest()
        gate.open()
        await at_rest()
        assert isinstance(notes.met[0], WouldDeadlock)


async def test_so_does_one_to_an_actor_whose_supervisor_goes_down() -> None:
    notes, gate = Notes(), Gate()
    data = Supervisor("data", child(Elder, name="elder"), intensity=Intensity(0, per=1))
    async with Supervisor("app", data, child(younger, notes, ref("data/elder"), call, name="younger")) as app:
        address: Address[Elder] = app.find("data/elder")
        await address.send(Elder.hold_and_crash, gate)
        await gate.reached.wait()
        app.kill("younger")
        await at_rest()
        gate.open()
        await at_rest()
        assert isinstance(notes.met[0], WouldDeadlock)
        assert await address.call(Db.get, "c") == "value of c"


async def test_one_that_its_own_supervisor_restarts_meanwhile_answers() -> None:
    notes, gate = Notes(), Gate()
    data = Supervisor("data", child(Elder, name="elder"))
    async with Supervisor("app", data, child(younger, notes, ref("data/elder"), call, name="younger")) as app:
        await app.find("data/elder").send(Elder.hold_and_crash, gate)
        await gate.reached.wait()
        app.kill("younger")
        await at_rest()
        gate.open()
        await at_rest()
        assert notes.met == ["value of a"]
