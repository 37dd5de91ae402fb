"""How a tree is, as a value.

Tested: live, ready and degraded in every state of a required and of an optional child, of supervisors and of dynamic children;
ready is off before a stop refuses the first message; backoff, restarts, budget, queue and last error; starting and ended trees.
"""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest
from tenacity import wait_fixed

from supervise import (
    Address,
    DynamicSupervisor,
    GaveUp,
    IgnoreStart,
    Intensity,
    InvalidSpec,
    Restart,
    RunningSupervisor,
    StartFailed,
    Supervisor,
    child,
    current,
    pool,
)
from supervise.health import ChildHealth, Readiness, health, readiness
from supervise.mailbox.mailbox import Mailbox
from supervise.testing.virtual_time import at_rest
from supervise.tree import snapshot
from tests.doubles import Boom, Scribe, fill
from tests.members import Member

pytestmark = pytest.mark.anyio

SLOWLY = Restart.permanent(wait=wait_fixed(30))


def line(app: RunningSupervisor, path: str) -> ChildHealth:
    (found,) = [child for child in health(app).children if child.path == path]
    return found


class Link(Member):
    """One that is up, and hasn't heard from its other side."""

    def __init__(self) -> None:
        super().__init__()
        current()._incarnation.connects()
        current().nursery.start_soon(self.hear)

    async def hear(self) -> None:
        life = current()._incarnation
        await anyio.sleep(60)
        life.connected("there")
        life.connected("there")  # once more is no harm


async def test_a_link_is_connecting_until_it_hears_from_its_other_side_and_isnt_well_so_long() -> None:
    async with Supervisor("app", child(Link, name="link")) as app:
        link = line(app, "app/link")
        assert (link.state, link.well, str(link)) == ("connecting", False, "app/link is connecting")
        assert readiness(app) == Readiness(True, False, ("app/link is connecting",))
        await app.find("link").call(Member.see)  # what is sent meanwhile waits
        assert line(app, "app/link").state == "running"
        assert readiness(app) == Readiness(True, True)
        await app.find("link").send(Member.crash)
        await at_rest()
        assert line(app, "app/link").state == "connecting"  # each life begins anew
    async with Supervisor("app", child(Link, name="link", required=False)) as app:
        assert readiness(app) == Readiness(True, True, degraded=True)


async def test_a_tree_in_which_all_is_up() -> None:
    async with Supervisor("app", child(Member, name="a"), Supervisor("below", child(Member, name="b"))) as app:
        found = health(app)
        assert (found.live, found.ready, found.degraded, found.why) == (True, True, False, ())
        assert [(c.path, c.kind, c.state) for c in found.children] == [
            ("app/a", "actor", "running"),
            ("app/below", "supervisor", "running"),
            ("app/below/b", "actor", "running"),
        ]
        assert str(found) == "app: ready"
        assert readiness(app) == Readiness(True, True)
        json.dumps(found.as_dict(), allow_nan=False)


async def test_a_required_child_that_is_down_is_in_the_way_and_the_line_says_why() -> None:
    async with Supervisor("app", child(Member, name="a", restart=SLOWLY), child(Member, name="b")) as app:
        await app.find("a").send(Member.crash)
        await at_rest()
        await anyio.sleep(10)
        found = health(app)
        assert (found.live, found.ready, found.degraded) == (True, False, False)
        assert found.why == ("app/a is restarting in 20 s: crashed (Boom: told to)",)
        assert str(found) == "app: live\n  app/a is restarting in 20 s: crashed (Boom: told to)"
        assert readiness(app) == Readiness(True, False, found.why)
        a = line(app, "app/a")
        assert (a.incarnation, a.restarts, a.restarts_left, a.backoff) == (1, 1, 3, 20.0)  # 10 s are more than the window
        await anyio.sleep(21)
        a = line(app, "app/a")
        assert (a.state, a.incarnation, a.backoff, a.last_error) == ("running", 2, None, "crashed (Boom: told to)")
        assert health(app).ready


@pytest.mark.parametrize("where", ["child", "supervisor", "above it", "dynamic"])
async def test_an_optional_child_that_is_down_only_degrades(where: str) -> None:
    a = child(Member, name="a", required=False) if where == "child" else child(Member, name="a")
    below: Any = Supervisor("below", a, required=where != "supervisor")
    if where == "above it":
        below = Supervisor("optional", below, required=False)
    async with Supervisor("app", below, DynamicSupervisor("pool"), child(Member, name="b")) as app:
        path = {"above it": "optional/below/a", "dynamic": "pool/a"}.get(where, "below/a")
        if where == "dynamic":
            await app.supervisor("pool").start(Member, name="a", restart=SLOWLY)
            await app.find(path).send(Member.crash)
            await at_rest()
        else:
            await app.operator("ada").stop(path)
        found = health(app)
        assert (found.ready, found.degraded) == (True, True)
        assert found.why[0].startswith(f"app/{path} is ")
        assert str(found).startswith("app: ready, degraded\n")
        assert readiness(app) == Readiness(True, True, degraded=True)


async def test_of_many_optional_ones_the_first_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "OPTIONAL", 3)
    async with Supervisor("app", *(child(Member, name=str(number), required=False) for number in range(5))) as app:
        await app.operator("ada").stop("3")
        assert not readiness(app).degraded
        await app.operator("ada").stop("2")
        assert readiness(app).degraded


async def test_a_dynamic_child_can_be_required() -> None:
    async with Supervisor("app", DynamicSupervisor("pool")) as app:
        await app.supervisor("pool").start(Member, name="a", restart=SLOWLY, required=True)
        await app.find("pool/a").send(Member.crash)
        await at_rest()
        assert not readiness(app).ready
        assert not health(app).ready


async def test_a_stopped_child_is_down_and_a_finished_or_ignored_one_is_not() -> None:
    def ignores() -> Member:
        raise IgnoreStart("not today")

    job = child(Member, name="job", restart="transient")
    async with Supervisor("app", job, child(ignores, name="ignored"), child(Member, name="a")) as app:
        await app.find(job).send(Member.finish)
        await at_rest()
        assert [c.state for c in health(app).children] == ["finished", "finished", "running"]
        assert health(app).ready
        await app.operator("ada").stop("a")
        assert health(app).why == ("app/a is stopped",)


async def test_what_is_below_a_supervisor_that_is_down_is_down() -> None:
    below = Supervisor("below", child(Member, name="a"))
    async with Supervisor("app", below) as app:
        await app.operator("ada").stop("below")
        assert health(app).why == ("app/below is stopped", "app/below/a is stopped")
        assert readiness(app.supervisor("below")) == Readiness(True, False, ("app/below is down", "app/below/a is stopped"))


async def test_it_is_live_and_not_ready_while_it_starts() -> None:
    tree = Supervisor("app", child(Member, None, 5.0, name="a"), child(Member, name="b"))
    assert readiness(tree) == Readiness(False, False, ("app isn't running",))
    assert not health(tree).live
    seen: list[Any] = []

    async def look() -> None:
        await anyio.sleep(1)
        seen.append(health(tree))

    async with anyio.create_task_group() as group:
        group.start_soon(look)
        async with tree:
            assert readiness(tree).ready
    (found,) = seen
    assert (found.live, found.ready) == (True, False)
    assert found.why == ("app is starting", "app/a is starting", "app/b is starting")
    assert readiness(tree) == Readiness(False, False, ("app isn't running",))


async def test_it_is_not_ready_before_a_stop_refuses_the_first_message(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Readiness] = []
    refuse = Mailbox.refuse

    def look_first(mailbox: Mailbox, why: Any) -> None:
        seen.append(readiness(tree))
        refuse(mailbox, why)

    tree = Supervisor("app", child(Member, name="a"), Supervisor("below", child(Member, name="b")))
    before = anyio.Event()
    async with tree as app:
        monkeypatch.setattr(Mailbox, "refuse", look_first)

        async def wait() -> None:
            await app.stopping()
            seen.append(readiness(tree))
            before.set()

        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await at_rest()
            assert seen == []
            await app.stop()
    assert before.is_set()
    assert len(seen) >= 3
    assert not any(found.ready for found in seen)
    assert seen[0].live
    assert seen[0].why[0] == "app is stopping"


async def test_a_give_up_is_not_ready_and_then_not_live() -> None:
    seen: list[Readiness] = []

    class Last(Member):
        async def __aexit__(self, *_: object) -> None:
            seen.append(readiness(tree))

    tree = Supervisor("app", child(Last, name="last"), child(Member, name="a"), intensity=Intensity(0))
    app: RunningSupervisor | None = None
    with pytest.raises(GaveUp):
        async with tree as app:
            await app.find("a").send(Member.crash)
            await app.wait()
    assert (seen[0].live, seen[0].ready, seen[0].why[0]) == (True, False, "app is stopping")
    assert app is not None
    assert not readiness(app).live
    assert "app has ended: max_intensity" in readiness(app).why[0]


async def test_a_start_that_failed_is_not_live() -> None:
    def fails() -> Member:
        raise Boom("no")

    tree = Supervisor("app", child(fails, name="a"))
    with pytest.raises(StartFailed):
        async with tree:
            pass
    assert not readiness(tree).live


async def test_queue_and_pause_are_told() -> None:
    async with Supervisor("app", child(Scribe)) as app:
        scribe: Address[Scribe] = app.find("scribe")
        gate = await fill(scribe, "a", "b")
        assert line(app, "app/scribe").queued == 2
        app.operator("ada").pause("scribe")
        assert line(app, "app/scribe").paused
        assert health(app).ready
        gate.open()


async def test_the_budget_that_is_left_is_the_childs_own_if_it_has_one() -> None:
    async with Supervisor("app", child(Member, name="a", limit=Intensity(1)), child(Member, name="b")) as app:
        for path in ("a", "b"):
            await app.find(path).send(Member.crash)
            await at_rest()
        assert [c.restarts_left for c in health(app).children] == [0, 2]
        await app.find("a").send(Member.crash)
        await at_rest()
        assert health(app).why == ("app/a is stopped: gave_up (Boom: told to)",)


async def test_an_actor_can_look_at_its_own_tree() -> None:
    class Looker:
        async def look(self) -> bool:
            return readiness(tree).ready and current().path == "app/looker"

    tree = Supervisor("app", child(Looker, name="looker"))
    async with tree as app:
        assert await app.find("looker").call(Looker.look)


@pytest.mark.parametrize("source", [None, "app", 7])
def test_what_is_no_tree_is_refused(source: Any) -> None:
    for look in (health, readiness):
        with pytest.raises(InvalidSpec, match="a running tree, or the Supervisor that describes it"):
            look(source)


def test_required_is_validated_and_printed() -> None:
    wrong: Any = "no"
    with pytest.raises(InvalidSpec, match="child 'a': required='no'"):
        child(Member, name="a", required=wrong)
    with pytest.raises(InvalidSpec, match="supervisor 's': required='no'"):
        Supervisor("s", required=wrong)
    tree = Supervisor(
        "app",
        child(Member, name="a", required=False, stop_within=1, limit=Intensity(2), on_limit="escalate"),
        Supervisor("below", required=False, restart="transient", stop_within="brutal_kill"),
    )
    assert str(tree).split("\n") == [
        "app  [one_for_one, 3 in 5 s]",
        "  a  permanent, stop within 1 s, limit 2 in 5 s, then escalate, optional",
        "  below  [one_for_one, 3 in 5 s]  transient, stop brutal_kill, optional",
    ]


async def test_a_pool_is_one_child_that_says_how_many_of_its_workers_are_up() -> None:
    jobs = pool(Scribe, size=2, name="jobs", restart=Restart.permanent(wait=wait_fixed(10)))
    async with Supervisor("app", jobs) as app:
        found = health(app)
        assert (found.ready, found.degraded) == (True, False)
        (told,) = found.children
        assert (told.path, told.kind, told.state, told.workers, told.workers_up) == ("app/jobs", "pool", "running", 2, 2)

        await app.find(jobs).send(Scribe.crash)
        await at_rest()
        found = health(app)
        assert (found.ready, found.degraded, found.why) == (True, True, ("app/jobs has 1 of 2 workers",))
        assert readiness(app).ready

        await app.find(jobs).send(Scribe.crash)
        await at_rest()
        await app.find(jobs).send(Scribe.note, "waits")
        found = health(app)
        assert (found.ready, found.why) == (False, ("app/jobs has 0 of 2 workers",))
        assert found.children[0].queued == 1
        assert not readiness(app).ready

        await anyio.sleep(11)
        assert health(app).ready
