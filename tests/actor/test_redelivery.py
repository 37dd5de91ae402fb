"""What is in hand at a crash is tried again, where the child asks for it.

Tested: SEMANTICS 16.
"""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from tenacity import wait_fixed

from supervise import (
    ActorCrashed,
    ActorStopped,
    Address,
    Intensity,
    MailboxFull,
    Restart,
    Supervisor,
    child,
    concurrent,
    current,
)
from supervise.testing.virtual_time import at_rest
from tests.doubles import Boom, Gate, Outcomes, Scribe, fill

pytestmark = pytest.mark.anyio
OFTEN = Intensity(100)


class Flaky(Scribe):
    """Fails as often as it is told."""

    tries: dict[str, int]

    async def attempt(self, name: str, failures: int) -> int:
        self.log.append(name)
        count = self.log.count(name)
        if count <= failures:
            raise Boom(name)
        return count

    @concurrent
    async def beside(self, name: str, gate: Gate) -> str:
        self.log.append(name)
        await gate.walk_through()
        return name


async def test_what_was_in_hand_comes_first_again_and_its_caller_waits_on() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Flaky, log, redeliver=3), intensity=OFTEN) as app, anyio.create_task_group() as group:
        flaky: Address[Flaky] = app.find("flaky")
        gate = await fill(flaky)
        outcomes = Outcomes(group)
        await outcomes.watch("call", flaky.call(Flaky.attempt, "x", 2))
        await flaky.send(Flaky.note, "behind")
        gate.open()
        await at_rest()
        assert outcomes.of == {"call": 3}
        assert log == ["x", "x", "x", "behind"]
        assert flaky.account() == (3, 3, 0, 0, 0, 0, 0)


async def test_after_n_tries_more_it_is_a_dead_letter_or_the_caller_is_told() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Flaky, log, redeliver=2), intensity=OFTEN) as app:
        flaky: Address[Flaky] = app.find("flaky")
        with pytest.raises(ActorCrashed):
            await flaky.call(Flaky.attempt, "call", 9)
        await flaky.send(Flaky.attempt, "send", 9)
        assert await flaky.call(lambda _: current().incarnation) == 7
        assert log == ["call"] * 3 + ["send"] * 3
        assert flaky.account() == (3, 1, 1, 1, 0, 0, 0)


async def test_without_it_nothing_is_tried_again() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Flaky, log)) as app:
        await app.find("flaky").send(Flaky.attempt, "x", 1)
        await at_rest()
        assert log == ["x"]
        assert app.find("flaky").account().dead_lettered == 1


async def test_to_be_in_hand_at_anothers_crash_is_free_once_and_counts_then() -> None:
    log: list[Any] = []
    async with (
        Supervisor("app", child(Flaky, log, redeliver=1), intensity=OFTEN) as app,
        anyio.create_task_group() as group,
    ):
        flaky: Address[Flaky] = app.find("flaky")
        outcomes, gates = Outcomes(group), [Gate(), Gate()]
        for n, gate in enumerate(gates):
            await outcomes.watch(n, flaky.call(Flaky.beside, f"beside {n}", gate))
        await flaky.send(Flaky.attempt, "bad", 100)  # two crashes
        await at_rest()
        assert sorted(entry for entry in log if entry != "bad") == ["beside 0"] * 3 + ["beside 1"] * 3
        assert outcomes.of == {}
        await flaky.send(Flaky.attempt, "bad", 100)
        await at_rest()
        assert sorted(entry for entry in log if entry != "bad") == ["beside 0"] * 3 + ["beside 1"] * 3
        assert [type(outcomes.of[n]) for n in (0, 1)] == [ActorCrashed] * 2
        assert (flaky.account().dead_lettered, flaky.account().balanced) == (2, True)


async def test_it_goes_back_above_the_capacity() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Flaky, log, redeliver=1, capacity=1), intensity=OFTEN) as app:
        flaky: Address[Flaky] = app.find("flaky")
        async with anyio.create_task_group() as group:
            outcomes = Outcomes(group)
            gate = await fill(flaky)
            await flaky.send(Flaky.attempt, "x", 1)
            await outcomes.watch("y", flaky.send(Flaky.note, "y"))
            gate.open()
        await at_rest()
        assert log == ["x", "x", "y"]
        assert flaky.account() == (3, 3, 0, 0, 0, 0, 0)


async def test_a_call_that_doesnt_wait_for_a_restart_isnt_tried_again() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Flaky, log, redeliver=5)) as app:
        with pytest.raises(ActorCrashed):
            await app.find("flaky").options(on_restart="fail").call(Flaky.attempt, "x", 1)
        assert log == ["x"]


async def test_a_kill_gives_back_what_was_in_hand_free_once() -> None:
    async with Supervisor("app", child(Scribe, redeliver=1), intensity=OFTEN) as app, anyio.create_task_group() as group:
        scribe: Address[Scribe] = app.find("scribe")
        outcomes, gate = Outcomes(group), Gate()
        await outcomes.watch("held", scribe.call(Scribe.hold, gate))
        for _ in range(2):
            scribe.kill()
            await at_rest()
            assert outcomes.of == {}
        scribe.kill()
        await at_rest()
        assert isinstance(outcomes.of["held"], ActorStopped)


async def test_what_goes_back_takes_the_room_that_senders_had_not_used_yet() -> None:
    async with Supervisor("app") as app:
        options: dict[str, Any] = {"capacity": 2, "overflow": "reject", "redeliver": 1}
        scribe = await app.start(Pausing, restart=Restart.permanent(wait=wait_fixed(10)), **options)
        gate = Gate()
        scribe.try_send(Pausing.fail_after, gate)
        await gate.reached.wait()
        await scribe.send(Scribe.note, 1)  # there is room for one more
        gate.open()
        await at_rest()
        assert [str(message.handler.__name__) for message in scribe.peek()] == ["fail_after", "note"]
        with pytest.raises(MailboxFull):
            scribe.try_send(Scribe.note, 2)


class Pausing(Scribe):
    """Fails once it is let through."""

    async def fail_after(self, gate: Gate) -> None:
        await gate.walk_through()
        raise Boom("after the gate")
