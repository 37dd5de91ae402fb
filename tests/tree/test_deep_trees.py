"""A thousand supervisors, each below the last one: nothing goes through the tree in calls inside of calls.

Tested: SEMANTICS 74 with Python's own recursion limit, which no test raises: describing, starting, a crash at the bottom,
give-ups from there to the top, looking, explaining, stopping, killing, and a start that fails; the same added at run time.
And a thousand siblings.
"""

from __future__ import annotations

import copy
import logging
import sys
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from supervise import (
    ChildStartFailed,
    DynamicSupervisor,
    GaveUp,
    Intensity,
    MailboxClosed,
    StartFailed,
    Supervisor,
    child,
    current,
)
from supervise.events import Event, Stopped
from supervise.health import health, readiness
from supervise.telemetry import Metrics
from supervise.testing.lives import lives
from supervise.testing.virtual_time import at_rest
from supervise.tree.explanation import explain_description
from supervise.tree.node import Node
from tests.doubles import Boom, Scribe
from tests.members import Member

pytestmark = pytest.mark.anyio

DEPTH = 1000
BOTTOM = "/".join(["s"] * (DEPTH - 1) + ["m"])


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """A thousand events with paths of two thousand characters are no use to anybody."""
    logger = logging.getLogger("supervise")
    logger.disabled = True
    yield
    logger.disabled = False


def deep(*at_the_bottom: Any, **options: Any) -> Supervisor:
    tree = Supervisor("s", *at_the_bottom, **options)
    for _ in range(DEPTH - 1):
        tree = Supervisor("s", tree, **options)
    return tree


def member(*args: Any) -> Any:
    return child(Member, *args, name="m")


async def test_a_thousand_nested_supervisors_start_and_stop() -> None:
    assert sys.getrecursionlimit() == 1000
    log: list[str] = []
    tree = deep(member(log))
    assert repr(tree) == "<Supervisor 's' one_for_one, 1 children>"
    assert len(str(tree).split("\n")) == DEPTH + 1
    for each in (tree, tree.with_budget(30.0), copy.copy(tree)):
        log.clear()
        async with each as app:
            assert log == ["+m"]
            assert app.find(BOTTOM).path == f"s/{BOTTOM}"
        assert log == ["+m", "-m"]


async def test_the_order_of_stops_in_a_deep_tree_is_the_reverse_of_that_of_starts() -> None:
    log: list[str] = []
    tree = Supervisor("s", child(Member, log, name="0"))
    for n in range(1, 300):
        tree = Supervisor("s", child(Member, log, name=f"{n}"), tree, child(Member, log, name=f"-{n}"))
    async with tree:
        log.append("all")
    started, stopped = log[: log.index("all")], log[log.index("all") + 1 :]
    names = [*map(str, range(299, -1, -1)), *(f"-{n}" for n in range(1, 300))]
    assert started == [f"+{name}" for name in names]
    assert stopped == [f"-{name}" for name in reversed(names)]


async def test_a_crash_at_the_bottom_restarts_there_and_give_ups_go_up_to_the_top() -> None:
    events: list[Event] = []
    log: list[str] = []
    async with deep(member(log)) as app:
        bottom = app.find(BOTTOM)
        await bottom.send(Member.crash)
        assert await bottom.call(Member.life) == 2
    with pytest.raises(GaveUp) as gave_up:
        async with Supervisor(
            "app", deep(member(log), intensity=Intensity(0)), intensity=Intensity(0), listener=events.append
        ) as app:
            await app.find(f"s/{BOTTOM}").send(Member.crash)
            await anyio.sleep_forever()
    assert len(gave_up.value.crashes) == 50
    assert len([event for event in events if isinstance(event, Stopped)]) == DEPTH + 2


async def test_a_give_up_half_way_restarts_all_that_is_deeper() -> None:
    half = deep(member(), intensity=Intensity(0))
    top: Any = half
    for _ in range(100):
        top = Supervisor("t", top)
    async with Supervisor("app", top) as app:
        bottom = app.find("/".join(["t"] * 100 + ["s", BOTTOM]))
        await bottom.send(Member.crash)
        assert await bottom.call(Member.life) == 2


async def test_a_deep_tree_is_looked_through() -> None:
    key = member()
    metrics = Metrics()
    async with Supervisor("app", deep(key), metrics=metrics) as app:
        assert app.find(key).path.endswith("/m")
        await app.find(key).call(Member.see)
        assert await app.find(key).call(lambda _: current().find(key).name) == "m"
        assert app.count_children().supervisors == len(app.which_children()) == 1
        assert (app.account().handled, app._branch.alive()) == (2, True)
        seen = health(app)
        assert (len(seen.children), seen.ready, readiness(app).ready) == (DEPTH + 1, True, True)
        assert str(seen) == "app: ready"
        assert len(seen.as_dict()["children"]) == DEPTH + 1
        assert len([*lives(app._branch)]) == DEPTH + 2
        assert len(await app.ping()) == 1
        async with app.events() as events:
            await app.find(key).send(Member.crash)
            assert (await anext(events)).path.endswith("/m")


@pytest.mark.parametrize("running", [True, False])
async def test_an_end_is_explained_through_all_of_a_deep_tree(running: bool) -> None:
    tree = deep(member(), intensity=Intensity(0))
    found = explain_description(tree, BOTTOM)
    if running:
        async with tree as app:
            found = app.explain(BOTTOM)
    assert len(found.chain) == DEPTH
    assert str(found).count("gives up") == DEPTH
    assert "the tree ends, and GaveUp is raised" in str(found)
    assert "above" not in repr(found)


async def test_a_deep_tree_is_killed_at_once_and_when_its_budget_is_spent() -> None:
    log: list[str] = []
    async with deep(member(log, 0.0, 100.0)) as app:
        app.kill_all()
        await app.wait()
        assert not app._branch.alive()
    began = anyio.current_time()
    async with deep(member(log, 0.0, 100.0)).with_budget(3.0):
        pass
    assert anyio.current_time() - began == pytest.approx(3.0)
    async with Supervisor("app", deep(member(log, 0.0, 100.0), stop_within="brutal_kill")) as app:
        began = anyio.current_time()
        await app.terminate_child("s")
        assert anyio.current_time() == began


async def test_each_supervisor_of_a_deep_tree_is_killed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[str] = []
    kill_each = Node._kill_each

    def counted(node: Node) -> Any:
        killed.append(node.path)
        return kill_each(node)

    monkeypatch.setattr(Node, "_kill_each", counted)
    async with deep(member(), stop_within="brutal_kill") as app:
        app.kill_all()
        await app.wait()
    assert len(killed) == len({*killed}) == DEPTH  # a thousand times each would be half a million


async def test_a_start_that_fails_at_the_bottom_of_a_deep_tree_or_is_cancelled_there() -> None:
    with pytest.raises(StartFailed) as failed:
        async with deep(member(None, 1.0, 0.0, {"m"})):
            pass
    assert isinstance(failed.value.__cause__, Boom)
    began = anyio.current_time()
    with anyio.move_on_after(2.0):
        async with deep(member(None, 100.0)):
            pass
    assert anyio.current_time() - began == pytest.approx(2.0)


async def test_a_deep_tree_is_added_to_one_that_runs_and_taken_away() -> None:
    key = child(Scribe, name="m", on_tree_started=lambda scribe: scribe.note("begins"))
    tree = deep(key)
    async with Supervisor("app", DynamicSupervisor("pool")) as app:
        for at in (app, app.supervisor("pool")):
            handle = await at.start_child(tree, name="x")
            address = app.find(key)
            assert await address.call(lambda scribe: scribe.log) == ["begins"]
            await at.terminate_child(handle)
            if at is app:
                await app.delete_child("x")
            await at_rest()
            with pytest.raises(MailboxClosed):
                await address.ping()
        with pytest.raises(ChildStartFailed):
            await app.start_child(deep(member(None, 0.0, 0.0, {"m"})))
        assert [place.path for place in app._branch.walk()] == ["app/pool"]


async def test_a_thousand_siblings_of_one_for_all_restart_together() -> None:
    log: list[str] = []
    members = [child(Member, log, name=f"{n}") for n in range(1000)]
    async with Supervisor("app", *members, strategy="one_for_all") as app:
        log.clear()
        await app.find("500").send(Member.crash)
        await at_rest()
        assert await app.find("999").call(Member.life) == 2
        stopped = [f"-{n}" for n in range(999, -1, -1) if n != 500]
        assert log == ["-500", *stopped, *(f"+{n}" for n in range(1000))]


def test_a_thousand_unnamed_siblings_are_named_in_order() -> None:
    described = Supervisor("app", *[child(Scribe) for _ in range(1000)], child(Scribe, name="scribe-3"))
    assert [name for name, _ in described.named()][:4] == ["scribe", "scribe-2", "scribe-4", "scribe-5"]
