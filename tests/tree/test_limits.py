"""When a supervisor, or a child, has had enough, and when a tree ends because its purpose has.

Tested: SEMANTICS 1 (intensity: shared, sliding; own limits), 2 (give-up, and its chain), 7 (auto-shutdown).
"""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from tenacity import stop_after_attempt

from supervise import ActorStopped, GaveUp, Intensity, Restart, Supervisor, child
from supervise.events import Decided, Event
from supervise.testing.virtual_time import at_rest
from tests.members import Member, states

pytestmark = pytest.mark.anyio


async def test_the_window_is_one_for_all_children_and_slides() -> None:
    counted: list[int] = []
    with pytest.raises(GaveUp, match="more than 2 restarts within 10 s"):
        async with Supervisor("app", child(Member, name="a"), child(Member, name="b"), intensity=Intensity(2, per=10)) as app:
            for name, then in (("a", 6.0), ("b", 4.5), ("b", 1.0), ("a", 0.0)):
                await app.find(name).send(Member.crash)
                await at_rest()
                counted.append(app.restarts)
                await anyio.sleep(then)
            await anyio.sleep_forever()
    assert counted == [1, 2, 2], "the first was more than 10 s before the third, and the fourth was one too many"


async def test_a_restart_that_never_succeeds_ends_in_a_give_up_that_names_its_tries() -> None:
    broken: set[str] = set()
    with pytest.raises(GaveUp) as caught:
        async with Supervisor("app", child(Member, None, 0.0, 0.0, broken, name="a"), intensity=Intensity(2)) as app:
            broken.add("a")
            await app.find("a").send(Member.crash)
            await anyio.sleep_forever()
    decisions = [crash.decision for crash in caught.value.crashes]
    assert [decision.action.value for decision in decisions] == ["restart", "restart", "give_up"]
    assert "can't start" in decisions[-1].reason.detail


@pytest.mark.parametrize(
    "own", [{"limit": Intensity(1, per=100)}, {"restart": Restart.permanent(stop=stop_after_attempt(2))}], ids=["limit", "stop"]
)
async def test_a_child_that_spent_its_own_limit_is_left_stopped_and_its_siblings_live(own: dict[str, Any]) -> None:
    events: list[Event] = []
    tree = Supervisor(
        "app", child(Member, name="a", **own), child(Member, name="b"), intensity=Intensity(0), listener=events.append
    )
    async with tree as app:
        for _ in range(2):
            await app.find("a").send(Member.crash)
            await at_rest()
        assert states(app) == {"a": "stopped", "b": "running"}
        last = [event for event in events if isinstance(event, Decided)][-1].decision
        assert (last.action.value, last.reason.kind.value) == ("leave", "gave_up")
        with pytest.raises(ActorStopped):
            await app.find("a").call(Member.see)
        assert await app.find("b").call(Member.see) == 1


async def test_an_own_limit_that_escalates_ends_the_tree_though_its_supervisor_has_patience_left() -> None:
    with pytest.raises(GaveUp, match="'app' gave up"):
        async with Supervisor("app", child(Member, name="a", limit=Intensity(0), on_limit="escalate")) as app:
            await app.find("a").send(Member.crash)
            await anyio.sleep_forever()


async def test_a_give_up_stops_the_siblings_in_reverse_before_it_is_told() -> None:
    lines: list[str] = []
    members = [child(Member, lines, 0.0, 1.0, name=name) for name in "abc"]
    with pytest.raises(GaveUp):
        async with Supervisor("app", *members, intensity=Intensity(0)) as app:
            lines.clear()
            await app.find("b").send(Member.crash)
            await anyio.sleep_forever()
    assert lines == ["-b", "-c", "-a"]


async def test_a_permanent_child_s_normal_ends_count_and_are_in_the_chain_of_the_give_up() -> None:
    with pytest.raises(GaveUp) as caught:
        async with Supervisor("app", child(Member, name="a"), intensity=Intensity(1)) as app:
            for _ in range(2):
                await app.find("a").send(Member.finish)
                await at_rest()
            await anyio.sleep_forever()
    chain = [(crash.decision.action.value, crash.decision.reason.kind.value) for crash in caught.value.crashes]
    assert chain == [("restart", "normal"), ("give_up", "normal")]
    assert "normal" in str(caught.value)


async def test_what_was_left_alone_is_no_part_of_the_chain_of_a_give_up() -> None:
    tree = Supervisor("app", child(Member, name="t", restart="temporary"), child(Member, name="a"), intensity=Intensity(0))
    with pytest.raises(GaveUp) as caught:
        async with tree as app:
            await app.find("t").send(Member.crash)
            await at_rest()
            await app.find("a").send(Member.crash)
            await anyio.sleep_forever()
    assert [crash.path for crash in caught.value.crashes] == ["app/a"]


async def test_all_significant_waits_for_the_last_one_and_a_terminated_one_doesn_t_count() -> None:
    significant: Any = {"restart": "transient", "significant": True}
    members = [child(Member, name=name, **significant) for name in "abc"]
    async with Supervisor("app", *members, child(Member, name="d"), auto_shutdown="all_significant") as app:
        await app.find("a").send(Member.finish)
        await at_rest()
        await app.terminate_child("b")
        await at_rest()
        assert app.running
        await app.find("c").send(Member.finish)
        await anyio.sleep_forever()
    assert app.ended is not None
    assert app.ended.cause.value == "auto_shutdown"


async def test_a_significant_child_that_is_terminated_by_hand_ends_nothing() -> None:
    one = child(Member, name="a", restart="transient", significant=True)
    async with Supervisor("app", one, auto_shutdown="any_significant") as app:
        await app.terminate_child("a")
        await at_rest()
        assert app.running
