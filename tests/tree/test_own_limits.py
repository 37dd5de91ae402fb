"""A child's own limit, at run time: what its mailbox, its siblings, its supervisor and listeners see.

Tested: SEMANTICS 1 (`limit=`, `on_limit=`, tenacity's `stop=`), 13 (stopped but listed), 11 (a supervisor that comes back).
"""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from tenacity import stop_after_attempt, stop_after_delay, wait_fixed

from supervise import (
    ActorStopped,
    Address,
    DynamicSupervisor,
    GaveUp,
    Intensity,
    MailboxClosed,
    Restart,
    RunningSupervisor,
    Supervisor,
    child,
    current,
)
from supervise.events import DeadLetter, Decided, Event, Stopped
from supervise.testing.virtual_time import at_rest
from tests.doubles import Boom, Gate, Outcomes, Scribe
from tests.members import states

pytestmark = pytest.mark.anyio
LIMITS: dict[str, dict[str, Any]] = {
    "limit": {"limit": Intensity(1, per=100)},
    "stop": {"restart": Restart.permanent(stop=stop_after_attempt(2))},
}
own = pytest.mark.parametrize("options", LIMITS.values(), ids=LIMITS)


async def crash(app: RunningSupervisor, name: str, times: int = 1) -> None:
    for _ in range(times):
        await app.find(name).send(Scribe.crash)
        await at_rest()


def life(_: object) -> int:
    return current().incarnation


@own
async def test_beyond_it_what_waits_is_dead_letters_and_callers_and_waiting_senders_are_told(options: dict[str, Any]) -> None:
    events: list[Event] = []
    described = child(Scribe, name="a", capacity=2, **options)
    tree = Supervisor("app", described, child(Scribe, name="b"), intensity=Intensity(0), listener=events.append)
    async with tree as app, anyio.create_task_group() as group:
        a: Address[Scribe] = app.find("a")
        await crash(app, "a")
        outcomes, gate = Outcomes(group), Gate()

        async def hold_then_crash(_: Scribe) -> None:
            await gate.walk_through()
            raise Boom("the last straw")

        await a.send(hold_then_crash)
        await gate.reached.wait()
        await outcomes.watch("called", a.call(Scribe.note, 1))
        await a.send(Scribe.note, 2)
        await outcomes.watch("waits for room", a.send(Scribe.note, 3))
        gate.open()
        await at_rest()
        assert {name: type(got) for name, got in outcomes.of.items()} == dict.fromkeys(
            ("called", "waits for room"), ActorStopped
        )
        for refused in (a.send(Scribe.note, 4), a.call(Scribe.note, 5), a.ping()):
            with pytest.raises(ActorStopped, match="restart_child"):
                await refused
        assert states(app) == {"a": "stopped", "b": "running"}
        assert await app.find("b").call(life) == 1
        assert app.restarts == 0, "it spends only its own"
        said = [event.decision for event in events if isinstance(event, Decided)]
        assert [decision.action.value for decision in said] == ["restart", "leave"]
        assert said[-1].reason.kind.value == "gave_up"
        assert "the last straw" in said[-1].reason.detail
        assert len([event for event in events if isinstance(event, Stopped)]) == 2
        assert len([event for event in events if isinstance(event, DeadLetter)]) == 4  # two that crashed, two that waited
        assert (a.account().dead_lettered, a.account().balanced) == (4, True)


@own
async def test_what_is_started_again_by_hand_has_its_mailbox_and_its_address_but_no_new_budget(options: dict[str, Any]) -> None:
    async with Supervisor("app", child(Scribe, name="a", **options), intensity=Intensity(0)) as app:
        a: Address[Scribe] = app.find("a")
        await crash(app, "a", 2)
        assert states(app) == {"a": "stopped"}
        await app.restart_child("a")
        assert await a.call(life) == 3
        await crash(app, "a")
        assert states(app) == {"a": "stopped"}
        await app.restart_child("a")
        await anyio.sleep(101)  # longer than the window, and than what counts as a healthy time
        await crash(app, "a")
        assert await a.call(life) == 5
        assert a == app.find("a")


@own
async def test_that_of_a_dynamic_child_closes_its_mailbox(options: dict[str, Any]) -> None:
    options = {"restart": "permanent", **options}
    async with DynamicSupervisor("app", intensity=Intensity(0)) as app:
        a = await app.start(Scribe, name="a", **options)
        other = await app.start(Scribe, name="b")
        await crash(app, "a", 2)
        with pytest.raises(MailboxClosed):
            await a.send(Scribe.note, 1)
        assert states(app) == {"b": "running"}
        assert await other.call(life) == 1


@own
async def test_one_that_escalates_makes_a_nested_supervisor_come_back_with_a_new_budget_and_the_old_mailbox(
    options: dict[str, Any],
) -> None:
    events: list[Event] = []
    inner = Supervisor(
        "inner", child(Scribe, name="a", on_limit="escalate", **options), child(Scribe, name="b"), intensity=Intensity(9)
    )
    async with Supervisor("app", inner, listener=events.append) as app:
        a: Address[Scribe] = app.find("inner/a")
        a.pause()
        await a.send(Scribe.note, "kept")
        for _ in range(2):
            a.kill()
            await at_rest()
        assert [event.decision.action.value for event in events if isinstance(event, Decided)] == [
            "restart", "give_up", "restart",
        ]  # fmt: skip
        assert len(a) == 1
        a.resume()
        assert await a.call(life) == 3
        assert a.account().handled == 2
        assert await app.find("inner/b").call(life) == 2
        await crash(app, "inner/a")
        assert await a.call(life) == 4, "a budget of its own again"


@own
async def test_one_that_escalates_at_the_root_ends_the_tree(options: dict[str, Any]) -> None:
    with pytest.raises(GaveUp) as caught:
        async with Supervisor("app", child(Scribe, name="a", on_limit="escalate", **options), intensity=Intensity(9)) as app:
            await crash(app, "a", 2)
            await anyio.sleep_forever()
    assert [crash.decision.action.value for crash in caught.value.crashes] == ["restart", "give_up"]


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
async def test_in_a_group_its_siblings_are_left_as_they_are(strategy: Any) -> None:
    a = child(Scribe, name="a", limit=Intensity(1, per=100))
    async with Supervisor("app", a, child(Scribe, name="b"), strategy=strategy, intensity=Intensity(0)) as app:
        await crash(app, "a")
        assert [await app.find(name).call(life) for name in "ab"] == [2, 2]
        await crash(app, "a")
        assert states(app) == {"a": "stopped", "b": "running"}
        assert await app.find("b").call(life) == 2


async def test_a_restart_that_waited_counts_against_it_though_not_against_the_intensity() -> None:
    a = child(Scribe, name="a", limit=Intensity(2, per=600), restart=Restart.permanent(wait=wait_fixed(10)))
    async with Supervisor("app", a, intensity=Intensity(0)) as app:
        for state in ("running", "running", "stopped"):
            await crash(app, "a")
            await anyio.sleep(11)
            assert states(app) == {"a": state}
        assert (app.restarts, app.get_childspec("a").restarts) == (0, 2)


async def test_a_stop_after_a_delay_counts_from_the_first_failure_in_a_row() -> None:
    restart = Restart.permanent(wait=wait_fixed(10), stop=stop_after_delay(25))
    starts: list[float] = []

    class Doomed(Scribe):
        def __init__(self) -> None:
            super().__init__()
            starts.append(anyio.current_time())
            if len(starts) > 1:
                raise Boom("can't start")

    async with Supervisor("app", child(Doomed, name="a", restart=restart), intensity=Intensity(0)) as app:
        a: Address[Doomed] = app.find("a")
        begun = anyio.current_time()
        await a.send(Scribe.crash)
        await at_rest()
        await a.send(Scribe.note, "waits in vain")
        await anyio.sleep(100)
        assert [round(at - begun, 6) for at in starts] == [0, 10, 20, 30]
        assert states(app) == {"a": "stopped"}
        assert a.account().dead_lettered == 2


async def test_a_healthy_time_gives_a_stop_after_attempts_back_its_patience() -> None:
    restart = Restart.permanent(stop=stop_after_attempt(2), healthy_after=10)
    async with Supervisor("app", child(Scribe, name="a", restart=restart), intensity=Intensity(0)) as app:
        for _ in range(5):
            await anyio.sleep(11)
            await crash(app, "a")
        assert await app.find("a").call(life) == 6
        await crash(app, "a")
        assert states(app) == {"a": "stopped"}
