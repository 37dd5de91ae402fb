"""What outlives its cancellation, in trees that run: who is told, who waits, who doesn't, and what comes after.

Tested: SEMANTICS 6 (one deadline; what overran is reported by path), 8, 13, 25, DESIGN promise 7.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest

from supervise import ActorStopped, ChildUnstoppable, Intensity, Supervisor, child
from supervise.events import Event, Overran, Stopped
from supervise.testing.virtual_time import at_rest
from tests.doubles import Gate
from tests.members import Member, states

pytestmark = pytest.mark.anyio


class Deaf(Member):
    """Its handler, or its start, doesn't hear a cancellation until the gate is opened."""

    async def hang(self, gate: Gate) -> None:
        with anyio.CancelScope(shield=True):
            await gate.walk_through()


@asynccontextmanager
async def leaving(gate: Gate) -> AsyncGenerator[None]:
    """Opened at the end at the latest: a test that fails mustn't wait for what nothing can stop."""
    try:
        yield
    finally:
        gate.open()


async def make_deaf(gate: Gate) -> Deaf:
    with anyio.CancelScope(shield=True):
        await gate.walk_through()
    return Deaf()


def overran(events: list[Event]) -> list[str]:
    return [event.path for event in events if isinstance(event, Overran)]


async def test_the_end_of_a_tree_waits_for_what_cannot_be_stopped_after_all_else_has_stopped_and_says_so() -> None:
    gate, events, log = Gate(), list[Event](), list[str]()
    async with anyio.create_task_group() as group:

        async def run() -> None:
            tree = Supervisor(
                "app", child(Member, log, name="a"), child(Deaf, name="b"), child(Member, log, name="c"), listener=events.append
            )
            async with tree as app:
                await app.find("b").send(Deaf.hang, gate)
                await at_rest()
            log.append("left")

        group.start_soon(run)
        await anyio.sleep(100)
        async with leaving(gate):
            assert log == ["+a", "+c", "-c", "-a"]
            assert overran(events) == ["app/b"]
    assert log[-1] == "left"


async def test_a_supervisor_that_waits_for_what_cannot_be_stopped_is_reported_with_it_and_keeps_nobody_else_up() -> None:
    gate, events, log = Gate(), list[Event](), list[str]()
    below = Supervisor("below", child(Deaf, name="b"), stop_within=1.0)
    tree = Supervisor(
        "app", child(Member, log, name="a"), below, child(Member, log, name="c"), strategy="one_for_all", listener=events.append
    )
    async with tree as app, leaving(gate):
        await app.find("below/b").send(Deaf.hang, gate)
        await at_rest()
        await app.find("a").send(Member.crash)
        await anyio.sleep(5)
        assert overran(events) == ["app/below/b", "app/below"]
        assert states(app) == {"a": "running", "below": "unstoppable", "c": "running"}
        assert app.find("below/b").path == "app/below/b"
        gate.open()
        await at_rest()
        assert states(app) == {"a": "running", "below": "running", "c": "running"}
        assert await app.find("below/b").call(Member.life) == 2


async def test_what_waits_in_the_mailbox_of_an_unstoppable_member_of_a_restarted_group_is_kept() -> None:
    gate = Gate()
    members = [child(Member, name="a"), child(Member, None, 0.0, 4.0, name="b"), child(Deaf, name="c", stop_within=1.0)]
    async with Supervisor("app", *members, strategy="one_for_all") as app, leaving(gate):
        c = app.find("c")
        await c.send(Deaf.hang, gate)
        await at_rest()
        await c.send(Member.see)
        await app.find("a").send(Member.crash)
        await anyio.sleep(3)  # c has overrun; b is being stopped
        with pytest.raises(ActorStopped, match="still runs"):
            await c.send(Member.see)
        gate.open()
        await anyio.sleep(10)
        assert await c.call(Member.see) == 2, "what had been accepted was handled by the new instance"
        assert app.account().dead_lettered == 1, "what crashed its sibling"


async def test_a_temporary_member_that_could_not_be_stopped_with_its_group_is_gone_when_it_has_ended() -> None:
    gate = Gate()
    members = [child(Member, name="a"), child(Deaf, name="t", restart="temporary", stop_within=1.0)]
    async with Supervisor("app", *members, strategy="one_for_all") as app, leaving(gate):
        await app.find("t").send(Deaf.hang, gate)
        await at_rest()
        await app.find("a").send(Member.crash)
        await anyio.sleep(5)
        assert states(app) == {"a": "running", "t": "unstoppable"}
        gate.open()
        await at_rest()
        assert states(app) == {"a": "running"}


async def test_a_start_that_cannot_be_cancelled_doesn_t_keep_its_elders_from_being_stopped() -> None:
    gate, events, log = Gate(), list[Event](), list[str]()
    async with anyio.create_task_group() as group:

        async def run() -> None:
            with anyio.move_on_after(1):
                async with Supervisor(
                    "app", child(Member, log, name="a"), child(make_deaf, gate, name="b"), listener=events.append
                ):
                    pytest.fail("it isn't ready")
            log.append("left")

        group.start_soon(run)
        await anyio.sleep(100)
        async with leaving(gate):
            assert log == ["+a", "-a"]
            assert overran(events) == ["app/b"]
    assert log[-1] == "left"
    assert [event.path for event in events if isinstance(event, Stopped)] == ["app/a"]


async def test_a_supervisor_whose_child_cannot_be_stopped_is_reported_within_its_own_deadline() -> None:
    """The child's own time begins with the supervisor's, and isn't given to it a second time."""
    gate, events = Gate(), list[Event]()
    below = Supervisor("below", child(Deaf, name="b"), child(Member, None, 0.0, 4.0, name="c"), stop_within=2.0)
    async with Supervisor("app", below, intensity=Intensity(1), listener=events.append) as app, leaving(gate):
        await app.find("below/b").send(Deaf.hang, gate)
        await at_rest()
        began = anyio.current_time()
        with pytest.raises(Exception, match="outlives its cancellation"):
            await app.terminate_child("below")
        assert anyio.current_time() - began == pytest.approx(3), "its 2 s, and 1 s more to see that nothing helped"
        gate.open()
        await at_rest()
        assert states(app) == {"below": "stopped"}
    assert overran(events) == ["app/below/b", "app/below"]


async def test_the_budget_of_a_tree_is_kept_though_a_child_cannot_be_stopped() -> None:
    gate, events, log = Gate(), list[Event](), list[str]()
    hooks = [child(Member, log, 0.0, 60.0, name=name, stop_within=60.0) for name in "ac"]
    tree = Supervisor(
        "app",
        hooks[0],
        child(Deaf, name="b"),
        hooks[1],
        intensity=Intensity(1, per=1000),
        shutdown_budget=10.0,
        listener=events.append,
    )
    async with anyio.create_task_group() as group:

        async def run() -> None:
            async with tree as app:
                await app.find("b").send(Deaf.hang, gate)
                await at_rest()
                log.append("leaving")

        group.start_soon(run)
        await anyio.sleep(11.5)
        async with leaving(gate):
            assert [event.path for event in events if isinstance(event, Stopped)] == ["app/c", "app/a"]
            assert overran(events) == ["app/b"]
    assert log == ["+a", "+c", "leaving"], "both hooks were cut"


async def test_one_that_was_killed_and_didn_t_end_is_restarted_as_soon_as_it_has() -> None:
    gate, events = Gate(), list[Event]()
    async with Supervisor("app", child(Deaf, name="a"), listener=events.append) as app, leaving(gate):
        await app.find("a").send(Deaf.hang, gate)
        await at_rest()
        app.kill("a")
        await anyio.sleep(5)
        assert overran(events) == ["app/a"]
        with pytest.raises(ActorStopped, match="still runs"):
            await app.find("a").send(Member.see)
        gate.open()
        await at_rest()
        assert await app.find("a").call(Member.life) == 2


async def test_what_cannot_be_stopped_has_not_ended_so_not_all_that_are_significant_have() -> None:
    gate = Gate()
    first = child(Deaf, name="a", restart="transient", significant=True, stop_within="brutal_kill")
    second = child(Member, name="b", restart="transient", significant=True)
    async with Supervisor("app", first, second, auto_shutdown="all_significant") as app, leaving(gate):
        await app.find("a").send(Deaf.hang, gate)
        await at_rest()
        with pytest.raises(ChildUnstoppable):
            await app.terminate_child("a")
        await app.find("b").send(Member.finish)
        await anyio.sleep(10)
        assert states(app) == {"a": "unstoppable", "b": "stopped"}
        gate.open()
        await anyio.sleep(10)
        assert states(app) == {"a": "stopped", "b": "stopped"}
    assert str(app.ended) == "asked: shutdown"  # a tree that had ended by itself would have cancelled the body
