"""Supervisors that are added at run time: the same as described ones.

Tested: SEMANTICS 73 (typed keys find, two-phase starts wait for the whole subtree, nothing is left of a start that failed,
keys are free again), 8 (calls beside the start of a subtree), 13 (what is below one that is gone: watch and ping end).
"""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from supervise import (
    Child,
    ChildNotFound,
    ChildStartFailed,
    DynamicSupervisor,
    Intensity,
    InvalidSpec,
    MailboxClosed,
    RunningSupervisor,
    Supervisor,
    SupervisorNotRunning,
    child,
    current,
)
from supervise.testing.virtual_time import at_rest
from tests.doubles import Boom, Outcomes, Scribe
from tests.members import Member, states

pytestmark = pytest.mark.anyio


class Part:
    """Says what it does; `begin` is the second phase of its start."""

    def __init__(self, log: list[str]) -> None:
        self.log = log
        log.append(f"built {current().path}")

    async def begin(self) -> None:
        self.log.append(f"begins {current().path}")

    async def greet(self) -> None:
        self.log.append(f"greets {current().path}")

    async def crash(self) -> None:
        raise Boom("told to")


class Slow:
    """A start that takes a while."""

    def __init__(self, log: list[str], seconds: float, fails: bool = False) -> None:
        self.log, self.seconds, self.fails = log, seconds, fails

    async def __aenter__(self) -> Slow:
        await anyio.sleep(self.seconds)
        if self.fails:
            raise Boom("told to")
        self.log.append(f"built {current().path}")
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


def part(log: list[str], name: str) -> Any:
    return child(Part, log, name=name, on_tree_started=Part.begin)


def paths_of(_: Scribe, cache: Child[Scribe], *supervisors: Supervisor) -> tuple[str, ...]:
    """As the actor itself finds them."""
    return (current().find(cache).path, *(current().supervisor(each).path for each in supervisors))


async def test_typed_keys_find_in_a_subtree_that_was_added_at_run_time() -> None:
    db, cache = child(Scribe, name="db"), child(Scribe, name="cache")
    inner = Supervisor("inner", cache)
    async with Supervisor("app", DynamicSupervisor("pool")) as app:
        for at, path in ((app, "app/shard"), (app.supervisor("pool"), "app/pool/shard")):
            shard = Supervisor("shard", db, inner)
            handle = await at.start_child(shard)
            assert app.find(db).path == f"{path}/db"
            assert app.find(cache).path == handle.find(cache).path == f"{path}/inner/cache"
            assert app.supervisor(shard).path == handle.path == path
            assert app.supervisor(inner).path == f"{path}/inner"
            seen = await app.find(db).call(paths_of, cache, inner, shard)
            assert seen == (f"{path}/inner/cache", f"{path}/inner", path)
            await at.terminate_child(handle)
            if at is app:
                await app.delete_child("shard")


async def test_a_child_that_was_added_is_found_by_its_key_and_one_that_start_made_isnt_in_the_way() -> None:
    key = child(Scribe, name="scribe")
    async with Supervisor("app") as app:
        await app.start(Scribe, name="other")
        address = await app.start_child(key)
        assert app.find(key) == address


async def test_keys_of_a_subtree_that_is_gone_are_not_found_and_can_be_used_again() -> None:
    db = child(Scribe, name="db")
    brief: Any = {"intensity": Intensity(0)}
    shard = Supervisor("shard", Supervisor("inner", db, **brief), **brief)
    async with Supervisor("app", DynamicSupervisor("pool"), **brief) as app:
        pool = app.supervisor("pool")

        async def delete() -> None:
            await app.start_child(shard)
            await app.terminate_child("shard")
            assert app.find(db).path == "app/shard/inner/db"  # stopped, but listed
            await app.delete_child("shard")

        async def end() -> None:
            await (await pool.start_child(shard)).stop()

        async def terminate() -> None:
            await pool.terminate_child(await pool.start_child(shard))

        async def give_up() -> None:
            await pool.start_child(shard)
            await app.find(db).send(Scribe.crash)

        for go in (delete, end, terminate, give_up, end):
            await go()
            await at_rest()
            with pytest.raises(ChildNotFound, match="any more under this key"):
                app.find(db)
            with pytest.raises(ChildNotFound, match="any more under this key"):
                app.supervisor(shard)
        assert not app._branch.tree.registry._places.keys() & {db, shard}


async def test_a_key_that_never_was_in_the_tree_is_told_as_such() -> None:
    async with Supervisor("app") as app:
        with pytest.raises(InvalidSpec, match="this tree was built with"):
            app.find(child(Scribe))


async def test_a_temporary_child_of_a_subtree_that_has_ended_isnt_found_by_its_key_but_its_next_life_is() -> None:
    once, below = child(Scribe, name="once", restart="temporary"), child(Scribe, name="crashes")
    shard = Supervisor("shard", once, below, intensity=Intensity(0))
    async with Supervisor("app") as app:
        handle = await app.start_child(shard)
        await app.find(once).send(lambda _: current().stop())
        await at_rest()
        with pytest.raises(ChildNotFound, match="'app/shard' has it not yet, or no more"):
            handle.find(once)
        with pytest.raises(ChildNotFound, match="'once' here any more under this key"):
            app.find(once)
        await app.find(below).send(Scribe.crash)
        await at_rest()
        assert app.find(once).path == "app/shard/once"


async def test_two_phase_starts_wait_for_the_whole_subtree_and_not_for_one_actor() -> None:
    log: list[str] = []
    inner = Supervisor("inner", part(log, "b"))
    shard = Supervisor("shard", part(log, "a"), inner, child(Slow, log, 3.0, name="slow"))
    async with Supervisor("app", DynamicSupervisor("pool")) as app:
        for at in (app, app.supervisor("pool")):
            log.clear()
            await at.start_child(shard)
            await at_rest()
            path = f"{at.path}/shard"
            assert log[:3] == [f"built {path}/a", f"built {path}/inner/b", f"built {path}/slow"]
            assert sorted(log[3:]) == [f"begins {path}/a", f"begins {path}/inner/b"]


async def test_the_second_phase_of_an_added_actor_doesnt_wait_and_one_of_a_starting_tree_waits_for_all_of_it() -> None:
    log: list[str] = []

    async def adds(_: object) -> None:
        await current().supervisor("pool").start_child(Supervisor("shard", part(log, "b")))

    class Adds:
        def __init__(self) -> None:
            current().nursery.start_soon(adds, self)

    tree = Supervisor("app", DynamicSupervisor("pool"), child(Adds), child(Slow, log, 3.0, name="slow"))
    async with tree as app:
        await at_rest()
        assert log == ["built app/pool/shard/b", "built app/slow", "begins app/pool/shard/b"]
        log.clear()
        await app.start_child(part(log, "c"))
        await at_rest()
        assert log == ["built app/c", "begins app/c"]


async def test_a_life_of_a_subtree_that_was_built_begins_at_once() -> None:
    log: list[str] = []
    shard = Supervisor("shard", part(log, "a"), child(Slow, log, 3.0, name="slow"), intensity=Intensity(0))
    async with Supervisor("app") as app:
        await app.start_child(shard)
        await at_rest()
        log.clear()
        await app.find("shard/a").send(Part.crash)
        await app.find("shard/a").call(Part.greet)
        assert log == ["built app/shard/a", "begins app/shard/a", "greets app/shard/a"]


async def test_a_crash_while_the_subtree_is_built_leaves_one_beginning_for_the_last_life() -> None:
    log: list[str] = []
    shard = Supervisor("shard", Supervisor("inner", part(log, "a")), child(Slow, log, 3.0, name="slow"))
    async with Supervisor("app") as app, anyio.create_task_group() as group:
        group.start_soon(app.start_child, shard)
        await anyio.sleep(1.0)
        await app.find("shard/inner/a").send(Part.crash)
        await anyio.sleep(4.0)
        a = "app/shard/inner/a"
        assert log == [f"built {a}", f"built {a}", "built app/shard/slow", f"begins {a}"]


async def test_a_failed_start_of_a_subtree_leaves_nothing_behind() -> None:
    log: list[str] = []
    db = part(log, "db")
    later = child(Scribe, name="later")
    inner = Supervisor("inner", db)
    shard = Supervisor("shard", inner, child(Slow, log, 3.0, True, name="slow"), later)
    async with Supervisor("app", DynamicSupervisor("pool")) as app, anyio.create_task_group() as group:
        tree = app._branch.tree
        for at in (app, app.supervisor("pool")):
            outcomes = Outcomes(group)
            await outcomes.watch("start", at.start_child(shard))
            early, younger = app.find(db), app.find(later)
            await outcomes.watch("younger", younger.watch())
            await outcomes.watch("early", early.watch())
            await anyio.sleep(4.0)
            assert isinstance(outcomes.of["start"], ChildStartFailed)
            assert isinstance(outcomes.of["start"].__cause__, Boom)
            assert (outcomes.of["younger"].incarnation, outcomes.of["early"].incarnation) == (0, 1)
            for address in (early, younger):
                with pytest.raises(MailboxClosed):
                    await address.send(Scribe.note, 1)
            assert not tree.registry._places.keys() & {db, inner, shard, later}
            assert [place.path for place in tree.root.walk()] == ["app/pool"]
            assert "begins" not in " ".join(log)
        again = await app.start_child(Supervisor("shard", db))
        await at_rest()
        assert (again.name, log[-1]) == ("shard", "begins app/shard/db")


# -- calls meanwhile -----------------------------------------------------------------------------------------------------


async def starting(app: RunningSupervisor, outcomes: Outcomes, log: list[str]) -> None:
    """A subtree whose start takes ten seconds is two seconds old."""
    await outcomes.watch("shard", app.start_child(Supervisor("shard", child(Slow, log, 10.0, name="slow"))))
    await anyio.sleep(2.0)


async def test_what_changes_the_tree_waits_for_the_start_of_a_subtree_and_what_reads_doesnt() -> None:
    log: list[str] = []
    async with Supervisor("app", child(Scribe, name="a")) as app, anyio.create_task_group() as group:
        outcomes = Outcomes(group)
        await starting(app, outcomes, log)
        await outcomes.watch("start", app.start(Scribe, name="b"))
        await outcomes.watch("terminate", app.terminate_child("shard"))
        await outcomes.watch("again", app.start_child(Supervisor("shard")))
        assert states(app) == {"a": "running", "shard": "starting"}
        assert (app.busy, app.find("a").path, app.find("shard/slow").path) == (True, "app/a", "app/shard/slow")
        assert app.supervisor("shard").busy
        assert not outcomes.of
        await anyio.sleep(9.0)
        assert {label: type(outcome).__name__ for label, outcome in outcomes.of.items()} == {
            "shard": "RunningSupervisor",
            "start": "Address",
            "terminate": "NoneType",
            "again": "ChildAlreadyPresent",
        }
        assert states(app) == {"a": "running", "shard": "stopped", "b": "running"}


async def test_a_stop_cancels_the_start_of_a_subtree_that_hangs() -> None:
    log: list[str] = []
    async with anyio.create_task_group() as group:
        outcomes = Outcomes(group)
        began = anyio.current_time()
        async with Supervisor("app", child(Member, log, name="a")) as app:
            await starting(app, outcomes, log)
            await outcomes.watch("start", app.start(Scribe, name="b"))
        assert anyio.current_time() - began == pytest.approx(2.0)
        await at_rest()
        assert {type(outcome) for outcome in outcomes.of.values()} == {SupervisorNotRunning}
        assert log == ["+a", "-a"]


async def test_an_admin_call_within_a_subtree_that_starts_waits_for_it_alone() -> None:
    log: list[str] = []
    async with Supervisor("app") as app, anyio.create_task_group() as group:
        outcomes = Outcomes(group)
        await starting(app, outcomes, log)
        await outcomes.watch("inside", app.supervisor("shard").start(Scribe, name="b"))
        assert not outcomes.of
        await anyio.sleep(9.0)
        assert outcomes.of["inside"].path == "app/shard/b"


# -- what is below one that is gone --------------------------------------------------------------------------------------


async def test_watch_and_ping_of_what_is_below_a_subtree_that_is_gone_end_at_once() -> None:
    async with DynamicSupervisor("app") as app, anyio.create_task_group() as group:
        handle = await app.start_child(Supervisor("shard", Supervisor("inner", child(Scribe, name="db"))))
        address = handle.find("inner/db")
        outcomes = Outcomes(group)
        await outcomes.watch("before", address.watch())
        await app.terminate_child(handle)
        await outcomes.watch("after", address.watch())
        assert str(outcomes.of["before"]) == str(outcomes.of["after"]) == "app/shard/inner/db #1 ended: shutdown"
        with pytest.raises(MailboxClosed):
            await address.ping()


async def test_terminate_child_of_a_subtree_in_each_of_its_states() -> None:
    log: list[str] = []
    shard = Supervisor("shard", child(Scribe, name="db"), intensity=Intensity(0))
    hangs = Supervisor("hangs", child(Member, log, 0.0, 4.0, name="slow"))
    async with Supervisor("app") as app, anyio.create_task_group() as group:
        outcomes = Outcomes(group)
        await app.start_child(hangs)
        await outcomes.watch("first", app.terminate_child("hangs"))
        await outcomes.watch("while it stops", app.terminate_child("hangs"))
        await anyio.sleep(5.0)
        assert outcomes.of == {"first": None, "while it stops": None}
        await app.terminate_child("hangs")  # it is stopped
        handle = await app.start_child(shard)
        address = handle.find("db")
        await app.terminate_child(handle)
        assert (states(app), handle.running) == ({"hangs": "stopped", "shard": "stopped"}, False)
        await app.restart_child("shard")
        assert await address.call(Scribe.note, 1) == 1
        await app.terminate_child(handle)
        await app.delete_child("shard")
        await app.terminate_child(handle)  # it was a child, and is gone
        with pytest.raises(ChildNotFound):
            await app.terminate_child("shard")
