"""Who holds strong addresses, and where they were made.

Tested: nobody; a variable, an attribute, a slot, a module, a closure, a suspended coroutine, containers in them; recipients,
views and clones; where each was made, if it was watched; weak and closed ones don't count; looking keeps nothing alive;
watching ends, and costs nothing afterwards; why an actor doesn't end.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from supervise import Address, Ended, Supervisor, WeakAddress, child, open_mailbox
from supervise.mailbox.lifetime import Token
from supervise.testing import Holder, at_rest, holders, watch_addresses
from tests.doubles import Scribe

pytestmark = pytest.mark.anyio
HERE = sys.modules[__name__]


class Cache:
    def __init__(self, scribe: Address[Scribe] | None = None) -> None:
        self.scribe = scribe


class Slotted:
    __slots__ = ("scribe",)

    def __init__(self, scribe: Address[Scribe]) -> None:
        self.scribe = scribe


def weak_and(keep: Callable[[Address[Scribe]], Any]) -> tuple[WeakAddress[Scribe], Any]:
    mailbox, address = open_mailbox(Scribe)
    return address.weak, (mailbox, keep(address))


def held_by(keep: Callable[[Address[Scribe]], Any]) -> list[str]:
    weak, kept = weak_and(keep)
    found = holders(weak)
    assert kept
    return sorted(name for holder in found for name in holder.held_by)


async def test_nobody() -> None:
    assert held_by(lambda _: None) == []


async def test_a_variable_of_running_code() -> None:
    mailbox, address = open_mailbox(Scribe)
    (holder,) = holders(address)
    del mailbox
    assert len(holder.held_by) == 1
    assert holder.held_by[0].startswith("variable 'address' of test_a_variable_of_running_code (")


async def test_an_attribute_and_a_slot() -> None:
    assert held_by(Cache) == ["Cache.scribe"]
    assert held_by(Slotted) == ["Slotted.scribe"]


async def test_containers_that_are_in_something_with_a_name() -> None:
    def keep(address: Address[Scribe]) -> Cache:
        cache = Cache()
        vars(cache)["by_name"] = {"x": [address]}
        return cache

    assert held_by(keep) == ["a list of 1, in a dict, under 'x', in Cache.by_name"]


async def test_a_module(monkeypatch: pytest.MonkeyPatch) -> None:
    gc.unfreeze()  # what the collector leaves alone, it doesn't look through, and this module is one of those
    monkeypatch.setattr(HERE, "KEPT", None, raising=False)

    def keep(address: Address[Scribe]) -> bool:
        vars(HERE)["KEPT"] = address
        return True

    try:
        assert held_by(keep) == [f"{__name__}.KEPT"]
    finally:
        gc.freeze()


async def test_a_closure() -> None:
    def keep(address: Address[Scribe]) -> Callable[[], Any]:
        def uses() -> Any:
            return address

        return uses

    (name,) = held_by(keep)
    assert name.startswith("the closure of test_a_closure.<locals>.keep.<locals>.uses (")


async def test_a_suspended_coroutine() -> None:
    async def keep_waiting(kept: Address[Scribe]) -> None:
        await anyio.sleep_forever()

    def keep(address: Address[Scribe]) -> Any:
        return keep_waiting(address)

    weak, (_, coroutine) = weak_and(keep)
    (holder,) = holders(weak)
    coroutine.close()
    assert len(holder.held_by) == 1
    assert holder.held_by[0].startswith("variable 'kept' of test_a_suspended_coroutine.<locals>.keep_waiting (")


async def test_a_generator() -> None:
    def keep(address: Address[Scribe]) -> Any:
        def generate(kept: Address[Scribe]) -> Any:
            yield 1
            yield kept

        generator = generate(address)
        next(generator)
        return generator

    (name,) = held_by(keep)
    assert name.startswith("variable 'kept' of test_a_generator.<locals>.keep.<locals>.generate (")


async def test_recipients_views_and_clones_are_told_apart() -> None:
    def keep(address: Address[Scribe]) -> Any:
        return Cache(address), Cache(address.clone()), [address.recipient(Scribe.note)], {"v": address.options(timeout=1)}

    weak, kept = weak_and(keep)
    assert sorted(holder.what for holder in holders(weak)) == ["Address", "Address", "Address view", "Recipient"]
    kept[1][1].scribe.close()
    assert sorted(holder.what for holder in holders(weak)) == ["Address", "Address view", "Recipient"]
    kept[1][0].scribe.close()
    assert holders(weak) == []


async def test_a_supervised_one_that_was_made_before_anybody_watched() -> None:
    async with Supervisor("app", child(Scribe, name="scribe")) as app:
        before: Address[Scribe] = app.find("scribe")
        with watch_addresses():
            after = Cache(app.find("scribe"))
            unknown, known = sorted(holders(before.weak), key=lambda holder: len(holder.made))
        assert (unknown.made, known.made[0].file) == ((), __file__)
        assert after.scribe == before


async def test_where_it_was_made_is_known_if_it_was_watched() -> None:
    mailbox, before = open_mailbox(Scribe)
    with watch_addresses(), watch_addresses():
        cache = Cache(before.clone())
        unknown, known = sorted(holders(before.weak), key=lambda holder: len(holder.made))
    assert unknown.made == ()
    assert "Address of scribe, made where nobody watched, held by variable 'before' of " in str(unknown)
    assert (known.made[0].file, known.made[0].function) == (__file__, "test_where_it_was_made_is_known_if_it_was_watched")
    assert f"Address of scribe, made at {__file__}:{known.made[0].line} in test_where_it_was_made_is" in str(known)
    assert known.held_by == ("Cache.scribe",)
    assert len(holders(cache.scribe or before)) == 2
    mailbox.close()


async def test_where_it_was_made_is_the_users_own_line() -> None:
    async with Supervisor("app") as app:
        with watch_addresses():
            await app.start(Scribe)
            cache = Cache(app.find("scribe"))
            (holder,) = holders(app.find("scribe").weak)
        assert holder.made[0].file == __file__
        assert cache.scribe


async def test_looking_keeps_nothing_alive() -> None:
    mailbox, address = open_mailbox(Scribe)
    with watch_addresses():
        cache = Cache(address.clone())
        found: list[Holder] = holders(address)
        weak = address.weak
        del address, cache
        assert holders(weak) == []
    assert len(found) == 2
    assert isinstance(await mailbox.run(Scribe), Ended)


async def test_watching_ends_and_then_costs_nothing() -> None:
    plain = Token.__init__
    with pytest.raises(ZeroDivisionError), watch_addresses():
        assert Token.__init__ is not plain
        _ = 1 // 0
    assert Token.__init__ is plain


@asynccontextmanager
async def running() -> AsyncGenerator[tuple[Address[Scribe], list[Any]]]:
    mailbox, address = open_mailbox(Scribe)
    outcome: list[Any] = []

    async def run() -> None:
        outcome.append(await mailbox.run(Scribe))

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        yield address, outcome
        group.cancel_scope.cancel()


async def test_why_an_actor_doesnt_end() -> None:
    async with running() as (address, outcome):
        cache = Cache(address.clone())
        address.close()
        await at_rest()
        assert outcome == []
        assert [holder.held_by for holder in holders(address)] == [("Cache.scribe",)]
        cache.scribe = None
        await at_rest()
        assert [type(ended) for ended in outcome] == [Ended]
