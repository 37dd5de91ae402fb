"""Who comes back, with whom, how often and after how long, in a tree that runs.

Tested: SEMANTICS 3 (types), 4 and 5 (groups, failed restarts, a stop in between), 9 (backoff; one restart after the other), 10
(what a factory raises), OTP's rule 31 (several deaths at once).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest
from tenacity import wait_fixed

from supervise import ActorStopped, Address, MailboxClosed, Restart, RunningSupervisor, Supervisor, child
from supervise.events import Event
from supervise.testing.virtual_time import at_rest
from tests.doubles import Boom
from tests.members import Member, actions, states

pytestmark = pytest.mark.anyio

Ending = Callable[[RunningSupervisor, Address[Member]], Any]


async def normally(_: RunningSupervisor, address: Address[Member]) -> None:
    await address.send(Member.finish)


async def for_a_reason(_: RunningSupervisor, address: Address[Member]) -> None:
    await address.send(Member.finish, "its work is done")


async def by_a_crash(_: RunningSupervisor, address: Address[Member]) -> None:
    await address.send(Member.crash)


async def by_a_kill(app: RunningSupervisor, _: Address[Member]) -> None:
    app.kill("m")


@pytest.mark.parametrize(
    ("restart", "ending", "becomes"),
    [
        ("permanent", normally, "running"),
        ("permanent", for_a_reason, "running"),
        ("permanent", by_a_crash, "running"),
        ("permanent", by_a_kill, "running"),
        ("transient", normally, "stopped"),
        ("transient", for_a_reason, "stopped"),
        ("transient", by_a_crash, "running"),
        ("transient", by_a_kill, "running"),
        ("temporary", normally, "gone"),
        ("temporary", for_a_reason, "gone"),
        ("temporary", by_a_crash, "gone"),
        ("temporary", by_a_kill, "gone"),
    ],
)
async def test_restart_type_and_end_decide(restart: Any, ending: Ending, becomes: str) -> None:
    async with Supervisor("app", child(Member, name="m", restart=restart)) as app:
        address: Address[Member] = app.find("m")
        assert await address.call(Member.see) == 1
        await ending(app, address)
        await at_rest()
        assert states(app).get("m", "gone") == becomes
        assert app.restarts == (1 if becomes == "running" else 0), "what isn't restarted doesn't count, a normal end does"
        if becomes == "running":
            assert await address.call(Member.see) == 1, "a fresh instance"
            assert await address.call(Member.life) == 2
        else:
            with pytest.raises(ActorStopped if becomes == "stopped" else MailboxClosed):
                await address.call(Member.see)


@pytest.mark.parametrize(
    ("strategy", "log"),
    [
        ("one_for_one", "-b +b"),
        ("one_for_all", "-b -d -c -a +a +b +c +d"),
        ("rest_for_one", "-b -d -c +b +c +d"),
    ],
)
async def test_a_group_stops_in_reverse_and_starts_in_order_and_counts_once(strategy: Any, log: str) -> None:
    lines: list[str] = []
    members = [child(Member, lines, name=name) for name in "abcd"]
    async with Supervisor("app", *members, strategy=strategy) as app:
        lines.clear()
        await app.find("b").send(Member.crash)
        await at_rest()
        assert " ".join(lines) == log
        assert app.restarts == 1


async def test_a_group_restart_brings_back_who_was_stopped_had_ended_or_was_ignored_and_loses_the_temporary() -> None:
    lines: list[str] = []
    tree = Supervisor(
        "app",
        child(Member, lines, name="by hand"),
        child(Member, lines, name="ended", restart="transient"),
        child(Member, lines, name="temporary", restart="temporary"),
        child(Member, lines, name="crashes"),
        strategy="one_for_all",
    )
    async with tree as app:
        await app.terminate_child("by hand")
        await app.find("ended").send(Member.finish)
        await at_rest()
        temporary = app.find("temporary")
        await app.find("crashes").send(Member.crash)
        await at_rest()
        assert states(app) == {"by hand": "running", "ended": "running", "crashes": "running"}
        with pytest.raises(MailboxClosed):
            await temporary.call(Member.see)
        assert await app.find("by hand").call(Member.see) == 1


async def test_several_deaths_before_the_supervisor_looks_are_one_group_restart_if_the_elder_died_first() -> None:
    events: list[Event] = []
    members = [child(Member, name=name) for name in "abc"]
    async with Supervisor("app", *members, strategy="rest_for_one", listener=events.append) as app:
        node = app._branch.node
        assert node is not None
        with node.held():
            for name in "ac":
                await app.find(name).send(Member.crash)
                await at_rest()
        await at_rest()
        assert actions(events) == [("app/a", "restart")], "c was found dead with its group"
        assert [info.incarnation for info in app.children()] == [2, 2, 2]


async def test_several_deaths_before_the_supervisor_looks_are_two_restarts_if_the_younger_died_first() -> None:
    events: list[Event] = []
    members = [child(Member, name=name) for name in "abc"]
    async with Supervisor("app", *members, strategy="rest_for_one", listener=events.append) as app:
        node = app._branch.node
        assert node is not None
        with node.held():
            for name in "ca":
                await app.find(name).send(Member.crash)
                await at_rest()
        await at_rest()
        assert actions(events) == [("app/c", "restart"), ("app/a", "restart")]
        assert [info.incarnation for info in app.children()] == [2, 2, 3]


@pytest.mark.parametrize(
    ("strategy", "log"),
    [
        ("one_for_one", "-a a fails a fails +a"),
        ("one_for_all", "-a -b a fails a fails +a +b"),
        ("rest_for_one", "-a -b a fails a fails +a +b"),
    ],
)
async def test_a_restart_that_fails_to_start_is_tried_again_and_each_try_counts(strategy: Any, log: str) -> None:
    lines: list[str] = []
    broken: set[str] = set()
    tries = child(Member, lines, 1.0, 0.0, broken, name="a")
    async with Supervisor("app", tries, child(Member, lines, name="b"), strategy=strategy) as app:
        lines.clear()
        broken.add("a")
        await app.find("a").send(Member.crash)
        await anyio.sleep(2.5)
        broken.clear()
        await anyio.sleep(2)
        assert " ".join(lines) == log
        assert app.restarts == 3


@pytest.mark.parametrize(
    ("strategy", "log"),
    [
        ("one_for_all", "-a -c -b +a b fails -a +a +b +c"),
        ("rest_for_one", "-a -c -b +a b fails +b +c"),
    ],
)
async def test_a_retry_is_of_the_whole_group_or_from_the_child_that_failed(strategy: Any, log: str) -> None:
    lines: list[str] = []
    broken: set[str] = set()
    members = [child(Member, lines, 1.0, 0.0, broken, name=name) for name in "abc"]
    async with Supervisor("app", *members, strategy=strategy) as app:
        lines.clear()
        broken.add("b")
        await app.find("a").send(Member.crash)
        await anyio.sleep(2.5)  # b has failed, and is tried again
        broken.clear()
        await anyio.sleep(20)
        assert " ".join(lines) == log
        assert app.restarts == 2


async def test_while_a_restart_waits_its_backoff_the_supervisor_serves_others_and_terminate_cancels_it() -> None:
    policy = Restart.permanent(wait=wait_fixed(10))
    async with Supervisor("app", child(Member, name="a", restart=policy), child(Member, name="b")) as app:
        await app.find("a").send(Member.crash)
        await at_rest()
        began = anyio.current_time()
        await app.start(Member, name="c")
        await app.terminate_child("b")
        assert states(app) == {"a": "restarting", "b": "stopped", "c": "running"}
        await app.terminate_child("a")
        assert anyio.current_time() == began
        await anyio.sleep(20)
        assert states(app)["a"] == "stopped"
        assert await app.restart_child("a")


async def test_a_group_waits_down_and_what_is_sent_to_it_meanwhile_is_handled_afterwards() -> None:
    policy = Restart.permanent(wait=wait_fixed(10))
    tree = Supervisor("app", child(Member, name="a", restart=policy), child(Member, name="b"), strategy="one_for_all")
    async with tree as app:
        began = anyio.current_time()
        await app.find("a").send(Member.crash)
        await at_rest()
        assert states(app) == {"a": "restarting", "b": "stopped"}
        assert await app.find("b").call(Member.life) == 2
        assert anyio.current_time() - began == pytest.approx(10)


async def test_children_that_wait_for_the_same_instant_start_one_after_the_other() -> None:
    lines: list[str] = []
    policy = Restart.permanent(wait=wait_fixed(10))
    members = [child(Member, lines, 1.0, name=name, restart=policy) for name in "abc"]
    async with Supervisor("app", *members) as app:
        began = anyio.current_time()
        for name in "cab":
            await app.find(name).send(Member.crash)
            await at_rest()
        lines.clear()
        await anyio.sleep(12.5)
        assert lines == ["+c", "+a"]
        assert await app.find("b").call(Member.life) == 2
        assert anyio.current_time() - began == pytest.approx(13)


async def test_a_factory_that_fails_in_a_restart_with_what_when_doesn_t_match_ends_the_child() -> None:
    failures: list[Exception] = []

    def make() -> Member:
        if failures:
            raise failures[0]
        return Member()

    async def break_down(_: Member, error: Exception) -> None:
        failures.append(error)
        raise OSError("down")

    policy = Restart.permanent(when=lambda state: isinstance(state.outcome and state.outcome.exception(), OSError))
    async with Supervisor("app", child(make, name="a", restart=policy), child(Member, name="b")) as app:
        await app.find("a").send(break_down, Boom("for good"))
        await at_rest()
        assert states(app) == {"a": "stopped", "b": "running"}


async def test_who_is_down_with_its_group_refuses_when_the_wait_for_its_restart_is_called_off() -> None:
    policy = Restart.permanent(wait=wait_fixed(10))
    one, other = child(Member, name="a", restart=policy), child(Member, name="b")
    async with Supervisor("app", one, other, strategy="one_for_all") as app:
        await app.find(one).send(Member.crash)
        await at_rest()
        await app.find(other).send(Member.see)  # it is kept until then
        await app.terminate_child("a")
        with pytest.raises(ActorStopped):
            await app.find(other).send(Member.see)
        assert app.find(other).account().dead_lettered == 1
        assert states(app) == {"a": "stopped", "b": "stopped"}


async def test_who_was_to_start_after_a_start_that_failed_refuses_when_the_next_try_is_called_off() -> None:
    broken: set[str] = set()
    one, other = child(Member, None, 1.0, 0.0, broken, name="a"), child(Member, name="b")
    async with Supervisor("app", one, other, strategy="one_for_all") as app, anyio.create_task_group() as group:
        broken.add("a")
        await app.find(one).send(Member.crash)
        await at_rest()
        group.start_soon(app.terminate_child, "a")  # it is served when the start has failed, before the next try
        await anyio.sleep(2)
        assert states(app) == {"a": "stopped", "b": "stopped"}
        with pytest.raises(ActorStopped):
            await app.find(other).send(Member.see)


@pytest.mark.parametrize(("restart", "counted", "lives"), [(Restart(), 2, 3), (Restart.permanent(wait=wait_fixed(1)), 1, 2)])
async def test_a_dependent_that_notices_the_end_by_itself_costs_a_second_restart_unless_it_waits(
    restart: Restart, counted: int, lives: int
) -> None:
    children = child(Member, name="server"), child(Member, name="client", restart=restart)
    async with Supervisor("app", *children, strategy="rest_for_one") as app:
        await app.find("client").send(Member.crash)  # as its connection breaks
        await at_rest()
        await app.find("server").send(Member.crash)
        await anyio.sleep(5)
        assert app.restarts == counted
        assert [info.incarnation for info in app.which_children()] == [2, lives]
