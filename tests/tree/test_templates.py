"""One description that is started many times.

Tested: SEMANTICS 73 (different names; temporary under a dynamic supervisor unless it says otherwise; a key that is there
twice), 42 (one `Child` object once, in one description), 41 (names), and what only a root can have.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from supervise import (
    AdminError,
    ChildAlreadyStarted,
    ChildAmbiguous,
    ChildNotFound,
    DynamicSupervisor,
    Intensity,
    InvalidSpec,
    Supervisor,
    child,
    current,
)
from supervise.testing.virtual_time import at_rest
from tests.doubles import Scribe

pytestmark = pytest.mark.anyio


class Cache:
    """Uses the database that its factory found."""

    def __init__(self, db: Any) -> None:
        self.db = db

    def path_of_db(self) -> str:
        return str(self.db.path)


DB = child(Scribe, name="db")
CACHE = child(lambda: Cache(current().find(DB)), name="cache")
SHARD = Supervisor("shard", DB, CACHE, intensity=Intensity(0))


def names(app: Any) -> list[str]:
    return [info.id for info in app.children()]


# -- names ---------------------------------------------------------------------------------------------------------------


async def test_a_description_is_started_many_times_under_different_names() -> None:
    async with Supervisor("app", DynamicSupervisor("pool")) as app:
        for at in (app, app.supervisor("pool")):
            await at.start_child(SHARD, name="shard-7")
            await at.start_child(DB, name="db-7")
            await at.start_child(SHARD)
            assert names(at)[-3:] == ["shard-7", "db-7", "shard"]
            assert at.find("shard-7/db").path == f"{at.path}/shard-7/db"
            with pytest.raises(ChildAlreadyStarted):
                await at.start_child(SHARD, name="shard-7")
            with pytest.raises(ChildAlreadyStarted):
                await at.start_child(DB, name="shard-7")


async def test_without_a_name_it_gets_a_free_one_under_a_dynamic_supervisor_and_its_own_elsewhere() -> None:
    async with Supervisor("app", DynamicSupervisor("pool")) as app:
        pool = app.supervisor("pool")
        started = [await pool.start_child(each) for each in (SHARD, SHARD, DB, DB, child(Scribe), child(Scribe))]
        assert [each.name for each in started] == ["shard", "shard-2", "db", "db-2", "scribe", "scribe-2"]
        await app.start_child(SHARD)
        await app.start_child(DB)
        for twice in (SHARD, DB):
            with pytest.raises(ChildAlreadyStarted):
                await app.start_child(twice)


@pytest.mark.parametrize("name", ["", "a/b", 3])
async def test_a_name_that_cant_be_one_is_refused(name: Any) -> None:
    async with Supervisor("app") as app:
        for description in (SHARD, DB):
            with pytest.raises(InvalidSpec, match="name"):
                await app.start_child(description, name=name)
        assert not app.children()


# -- restart types -------------------------------------------------------------------------------------------------------


async def test_under_a_dynamic_supervisor_it_is_temporary_unless_it_says_otherwise() -> None:
    async with Supervisor("app", DynamicSupervisor("pool")) as app:
        pool = app.supervisor("pool")
        for says, is_ in ((None, "temporary"), ("permanent", "permanent"), ("transient", "transient"), ("temporary",) * 2):
            said: Any = {} if says is None else {"restart": says}
            for described in (
                child(Scribe, **said),
                Supervisor("nested", **said),
                DynamicSupervisor("nested", **said),
            ):
                started: Any = await pool.start_child(described)
                assert pool.get_childspec(started.name).spec.restart.type == is_
                for at in (app, app.supervisor("pool")):  # where it stands elsewhere, nothing has changed
                    if at is app:
                        started = await at.start_child(described, name="beside")
                        kept = app.get_childspec("beside").spec.restart.type
                        assert kept == ("permanent" if says is None else says)
                        await app.terminate_child("beside")
                        if kept != "temporary":
                            await app.delete_child("beside")


async def test_a_temporary_instance_is_forgotten_when_it_ends_and_a_permanent_one_comes_back() -> None:
    stays = Supervisor("stays", DB, intensity=Intensity(0), restart="permanent")
    async with Supervisor("app", DynamicSupervisor("pool")) as app:
        pool = app.supervisor("pool")
        await pool.start_child(SHARD)
        await pool.start_child(stays)
        for path in ("shard/db", "stays/db"):
            await pool.find(path).send(Scribe.crash)
        await at_rest()
        assert [(info.id, info.incarnation) for info in pool.children()] == [("stays", 2)]


# -- keys that are there twice -------------------------------------------------------------------------------------------


async def test_find_by_a_key_that_is_there_twice_raises_and_names_the_paths() -> None:
    async with Supervisor("app", DynamicSupervisor("pool")) as app:
        pool = app.supervisor("pool")
        await pool.start_child(SHARD)
        assert app.find(DB).path == "app/pool/shard/db"
        await pool.start_child(SHARD)
        for at in (app, pool):
            with pytest.raises(ChildAmbiguous, match=r"'db'.*app/pool/shard/db, app/pool/shard-2/db; give a path") as refused:
                at.find(DB)
            assert refused.value.paths == ("app/pool/shard/db", "app/pool/shard-2/db")
            assert isinstance(refused.value, AdminError)
        with pytest.raises(ChildAmbiguous, match=r"'shard'.*app/pool/shard, app/pool/shard-2"):
            app.supervisor(SHARD)
        with pytest.raises(ChildAmbiguous):
            app.explain(DB)
        await pool.terminate_child(pool.supervisor("shard"))
        assert app.find(DB).path == "app/pool/shard-2/db"
        assert app.supervisor(SHARD).path == "app/pool/shard-2"


async def test_of_many_paths_the_error_shows_some_and_has_all() -> None:
    async with DynamicSupervisor("app") as app:
        for _ in range(25):
            await app.start_child(DB)
        with pytest.raises(ChildAmbiguous, match="and 15 more") as refused:
            app.find(DB)
        assert len(refused.value.paths) == 25


async def test_in_an_instance_each_finds_its_own_sibling() -> None:
    async with Supervisor("app", DynamicSupervisor("pool")) as app:
        pool = app.supervisor("pool")
        handles = [await pool.start_child(SHARD) for _ in range(3)] + [await app.start_child(SHARD)]
        for handle in handles:
            assert await handle.find(CACHE).call(Cache.path_of_db) == f"{handle.path}/db"
            assert handle.find(DB).path == f"{handle.path}/db"
            assert handle.supervisor(SHARD).path == handle.path
            inside = await handle.find(CACHE).call(lambda _: current().supervisor(SHARD).path)
            assert inside == handle.path


async def test_the_own_instance_is_found_from_further_below_and_before_what_is_further_up() -> None:
    caches = Supervisor("caches", CACHE)
    template = Supervisor("shard", Supervisor("stores", DB), caches)
    async with Supervisor("app", DynamicSupervisor("pool")) as app:
        await app.start_child(DB)
        pool = app.supervisor("pool")
        for handle in [await pool.start_child(template) for _ in range(2)]:
            assert await handle.find("caches/cache").call(Cache.path_of_db) == f"{handle.path}/stores/db"
        assert app.find("db").path == "app/db"


async def test_what_isnt_in_the_own_instance_is_looked_for_further_up() -> None:
    other = child(Scribe, name="other")
    template = Supervisor("template", child(lambda: Cache(current().find(other)), name="uses"))
    async with Supervisor("app", other, DynamicSupervisor("pool")) as app:
        for handle in [await app.supervisor("pool").start_child(template) for _ in range(2)]:
            assert await handle.find("uses").call(Cache.path_of_db) == "app/other"


async def test_who_asks_for_a_gone_part_of_its_own_instance_isnt_given_that_of_another() -> None:
    async with Supervisor("app", DynamicSupervisor("pool")) as app:
        pool = app.supervisor("pool")
        first = await pool.start_child(SHARD)
        await pool.start_child(SHARD)
        await first.terminate_child("db")
        assert await first.find(CACHE).call(lambda _: current().find(DB).path) == "app/pool/shard/db"
        await first.delete_child("db")
        for ask in (lambda: current().find(DB), lambda: first.find(DB)):
            answer = await first.find(CACHE).call(refusal, ask)
            assert "'app/pool/shard' has it not yet, or no more" in answer
        assert app.find(DB).path == "app/pool/shard-2/db"


def refusal(_: Cache, look: Callable[[], Any]) -> str:
    """Without the error itself, which would crash the actor that asks."""
    with pytest.raises(ChildNotFound) as refused:
        look()
    return str(refused.value)


async def test_a_sibling_that_was_described_beside_it_comes_before_one_that_was_added() -> None:
    async with Supervisor("app", DB, CACHE, Supervisor("below")) as app:
        await app.supervisor("below").start_child(DB)
        assert await app.find(CACHE).call(lambda _: current().find(DB).path) == "app/db"
        with pytest.raises(ChildAmbiguous):
            app.find(DB)


# -- one Child object once -----------------------------------------------------------------------------------------------


async def test_one_child_object_once_holds_for_each_description() -> None:
    for other in (DB, Supervisor("below", DB)):
        with pytest.raises(InvalidSpec, match=r"<Child db permanent>.*stands once in a description"):
            Supervisor("app", DB, other)
    one, two = Supervisor("one", DB), Supervisor("two", DB)
    async with DynamicSupervisor("app") as app:
        for each in (one, two, one):
            await app.start_child(each)
        assert names(app) == ["one", "two", "one-2"]


# -- what only a root can have -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Supervisor, DynamicSupervisor])
@pytest.mark.parametrize(
    ("option", "value"),
    [("shutdown_budget", 3.0), ("listener", print), ("metrics", None), ("tracing", False)],
)
async def test_what_only_a_root_can_have_is_refused_below_another_supervisor(kind: Any, option: str, value: Any) -> None:
    class Watcher:
        def watch(self, app: object) -> Any:
            raise AssertionError

    described = kind("below", **{option: Watcher() if option == "metrics" else value})
    says = rf"supervisor 'below': {option}=.*for the root of a tree"
    with pytest.raises(InvalidSpec, match=says):
        Supervisor("app", child(Scribe), described)
    async with Supervisor("app", DynamicSupervisor("pool")) as app:
        for at in (app, app.supervisor("pool")):
            with pytest.raises(InvalidSpec, match=says):
                await at.start_child(described, name="x")
            assert "x" not in names(at)
