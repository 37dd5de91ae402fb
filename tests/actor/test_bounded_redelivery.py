"""Redelivery has an end whatever ends the handler, and what it costs.

Tested: SEMANTICS 54, but for `wait=` and `when=`.
"""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import anyio
import pytest
from tenacity import stop_after_attempt, wait_fixed

from supervise import (
    ActorCrashed,
    ActorStopped,
    Address,
    GaveUp,
    HandlerLate,
    Intensity,
    Restart,
    Supervisor,
    child,
    concurrent,
    current,
)
from supervise.testing.virtual_time import at_rest
from tests.doubles import Boom, Gate, Outcomes, Scribe, filled

pytestmark = pytest.mark.anyio
ASYNCIO = pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
OFTEN = Intensity(100)


class Poisoned(Scribe):
    async def poison(self) -> None:
        self.log.append(current().attempt)
        raise Boom("poison")

    @concurrent
    async def poison_beside(self) -> None:
        self.log.append(current().attempt)
        raise Boom("poison")

    async def hang(self) -> None:
        self.log.append(current().attempt)
        await anyio.sleep_forever()

    async def cancelled(self) -> None:
        self.log.append(current().attempt)
        task = asyncio.ensure_future(asyncio.sleep(100))
        asyncio.get_running_loop().call_soon(task.cancel)
        await task

    async def attempt(self) -> tuple[int, int]:
        async def in_a_task() -> None:
            attempts.append(current().attempt)

        attempts: list[int] = []
        current().nursery.start_soon(in_a_task)
        await anyio.sleep(0.1)
        return current().attempt, attempts[0]


@pytest.mark.parametrize("handler", [Poisoned.poison, Poisoned.poison_beside])
@pytest.mark.parametrize("times", [1, 3])
async def test_what_raises_is_tried_so_many_times_more(handler: Any, times: int) -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Poisoned, log, redeliver=times), intensity=OFTEN) as app:
        poisoned: Address[Poisoned] = app.find("poisoned")
        with pytest.raises(ActorCrashed) as caught:
            await poisoned.call(handler)
        assert isinstance(caught.value.__cause__, Boom)
        assert log == list(range(1, times + 2))
        log.clear()
        await poisoned.send(handler)
        await at_rest()
        assert log == list(range(1, times + 2))
        assert poisoned.account() == (2, 0, 1, 1, 0, 0, 0)


async def test_it_is_bounded_where_a_deadline_ended_the_handler() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Poisoned, log, redeliver=2, handler_deadline=1), intensity=OFTEN) as app:
        poisoned: Address[Poisoned] = app.find("poisoned")
        with pytest.raises(ActorCrashed) as caught:
            await poisoned.call(Poisoned.hang)
        assert isinstance(caught.value.__cause__, HandlerLate)
        assert log == [1, 2, 3]
        assert await poisoned.call(Scribe.note, "behind") == 4


@ASYNCIO
async def test_it_is_bounded_where_a_foreign_cancellation_ended_the_handler() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Poisoned, log, redeliver=2), intensity=OFTEN) as app:
        poisoned: Address[Poisoned] = app.find("poisoned")
        with pytest.raises(ActorCrashed):
            await poisoned.call(Poisoned.cancelled)
        assert log == [1, 2, 3]
        assert await poisoned.call(Scribe.note, "behind") == 4


async def test_to_be_cut_by_a_restarts_stop_is_free_once_and_counts_then() -> None:
    log: list[Any] = []
    children = (
        child(Poisoned, log, redeliver=1, stop_within="brutal_kill"),
        child(Scribe, name="sibling"),
    )
    async with Supervisor("app", *children, strategy="one_for_all", intensity=OFTEN) as app, anyio.create_task_group() as group:
        poisoned: Address[Poisoned] = app.find("poisoned")
        outcomes = Outcomes(group)
        await outcomes.watch("call", poisoned.call(Poisoned.hang))
        for attempts in ([1], [1, 2], [1, 2, 3]):
            assert log == attempts
            assert outcomes.of == {}
            await app.find("sibling").send(Scribe.crash)
            await at_rest()
        assert isinstance(outcomes.of["call"], ActorStopped)
        assert log == [1, 2, 3]
        assert poisoned.account().balanced


async def test_the_innocent_is_free_once_also_where_the_culprit_is_tried_again() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Poisoned, log, redeliver=5), intensity=OFTEN) as app, anyio.create_task_group() as group:
        poisoned: Address[Poisoned] = app.find("poisoned")
        gate, outcomes = Gate(), Outcomes(group)

        @concurrent
        async def innocent(self: Poisoned) -> int:
            await gate.walk_through()
            return current().attempt

        await outcomes.watch("innocent", poisoned.call(innocent))
        await poisoned.send(Poisoned.poison)
        await at_rest()
        gate.open()
        await at_rest()
        # The culprit had its 6 tries. Of the innocent's lives one was free and 5 counted.
        assert log == [1, 2, 3, 4, 5, 6]
        assert outcomes.of["innocent"] == 7
        assert poisoned.account().balanced


LIMITS: list[Any] = [
    pytest.param({}, Intensity(1, per=1000), id="intensity of the supervisor"),
    pytest.param({"limit": Intensity(1, per=1000)}, OFTEN, id="own limit"),
    pytest.param({"restart": Restart.permanent(stop=stop_after_attempt(2))}, OFTEN, id="stop="),
]


@pytest.mark.parametrize(("options", "intensity"), LIMITS)
async def test_the_second_and_later_crashes_by_one_message_cost_no_restart_of_the_limit(options: Any, intensity: Any) -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Poisoned, log, redeliver=6, **options), intensity=intensity) as app:
        poisoned: Address[Poisoned] = app.find("poisoned")
        await poisoned.send(Poisoned.poison)
        await at_rest()
        assert log == [1, 2, 3, 4, 5, 6, 7]
        assert await poisoned.call(Scribe.note, "behind") == 8
        assert app.dead_letters()[-1].message.startswith("Poisoned.poison")


@pytest.mark.parametrize(("options", "intensity"), LIMITS)
async def test_the_first_crash_by_another_message_costs_one(options: Any, intensity: Any) -> None:
    log: list[Any] = []
    told: list[BaseException] = []
    try:
        async with Supervisor("app", child(Poisoned, log, redeliver=3, **options), intensity=intensity) as app:
            poisoned: Address[Poisoned] = app.find("poisoned")
            await poisoned.send(Poisoned.poison)
            await at_rest()
            await poisoned.send(Poisoned.poison)
            await at_rest()
            assert app.which_children()[0].alive is False
            assert "limit" in options or "restart" in options
    except GaveUp as error:
        told.append(error)
    assert bool(told) == (not options)
    assert log == [1, 2, 3, 4, 1]


async def test_current_attempt_counts_from_1_and_is_0_without_a_message() -> None:
    async with Supervisor("app", child(Poisoned)) as app:
        assert await app.find("poisoned").call(Poisoned.attempt) == (1, 0)


# -- a crash that no life follows -----------------------------------------------------------------------------------------

ENDS: list[Any] = [
    pytest.param({"restart": "temporary"}, OFTEN, id="temporary"),
    pytest.param({"limit": Intensity(0)}, OFTEN, id="limit spent"),
    pytest.param({"restart": Restart.permanent(stop=stop_after_attempt(1))}, OFTEN, id="stop="),
    pytest.param({}, Intensity(0), id="give-up"),
]


@pytest.mark.parametrize("redeliver", [0, 3])
@pytest.mark.parametrize("handler", [Poisoned.poison, Poisoned.poison_beside])
@pytest.mark.parametrize(("options", "intensity"), ENDS)
async def test_a_crash_that_no_life_follows_gives_the_caller_the_real_cause(
    options: Any, intensity: Any, handler: Any, redeliver: int
) -> None:
    log: list[Any] = []
    outcome: list[Any] = []
    kept: list[Address[Poisoned]] = []

    async def call(poisoned: Address[Poisoned]) -> None:
        try:
            await poisoned.call(handler)
        except Exception as error:
            outcome.append(error)

    async with anyio.create_task_group() as group:
        try:
            async with Supervisor("app", child(Poisoned, log, redeliver=redeliver, **options), intensity=intensity) as app:
                kept.append(app.find("poisoned"))
                group.start_soon(call, kept[0])
                await anyio.sleep(1)
        except GaveUp:
            assert not options
    assert [type(error) for error in outcome] == [ActorCrashed]
    assert isinstance(outcome[0].__cause__, Boom)
    assert log == [1]
    assert kept[0].account().balanced
    assert kept[0]._mailbox.causes is None


async def test_the_cause_is_held_until_the_decision_and_pins_nothing_afterwards() -> None:
    log: list[Any] = []
    errors: list[weakref.ref[Boom]] = []

    async def poison(self: Poisoned) -> None:
        error = Boom("poison")
        errors.append(weakref.ref(error))
        raise error

    restart = Restart.permanent(wait=wait_fixed(100))
    described = child(Poisoned, log, redeliver=3, restart=restart)
    async with Supervisor("app", described, intensity=OFTEN) as app, anyio.create_task_group() as group:
        poisoned = app.find(described)
        outcomes = Outcomes(group)
        await outcomes.watch("call", poisoned.call(poison))
        assert len(poisoned) == 1  # it waits for its next try
        gc.collect()
        assert [error() for error in errors] == [None]
        assert poisoned._mailbox.causes is None
        await app.terminate_child("poisoned")
        await at_rest()
        crashed = outcomes.of["call"]
        assert isinstance(crashed, ActorCrashed)
        assert crashed.__cause__ is None  # its text is left


# -- an actor's own messages ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("redeliver", [0, 1])
@pytest.mark.parametrize("kind", ["after", "every"])
async def test_a_timers_message_in_hand_is_tried_again_or_a_dead_letter(kind: str, redeliver: int) -> None:
    log: list[Any] = []

    def begin(_: Poisoned) -> None:
        getattr(current(), kind)(1, Poisoned.poison)

    async with Supervisor("app", child(Poisoned, log, redeliver=redeliver), intensity=OFTEN) as app:
        poisoned: Address[Poisoned] = app.find("poisoned")
        await poisoned.send(begin)
        await anyio.sleep(10)
        assert log == [1, 2][: redeliver + 1]
        assert poisoned.account() == (2, 1, 0, 1, 0, 0, 0)


@pytest.mark.parametrize("redeliver", [0, 1])
async def test_a_timers_waiting_message_goes_with_its_life(redeliver: int) -> None:
    log: list[Any] = []

    async def begin(_: Poisoned) -> None:
        current().after(1, Scribe.note, "of the timer")
        await anyio.sleep(2)
        raise Boom

    async with Supervisor("app", child(Poisoned, log, redeliver=redeliver), intensity=OFTEN) as app:
        poisoned: Address[Poisoned] = app.find("poisoned")
        await poisoned.send(begin)
        await anyio.sleep(10)
        assert log == []
        assert (poisoned.account().abandoned, poisoned.account().dead_lettered) == (redeliver + 1, 1)
        assert poisoned.account().balanced


@pytest.mark.parametrize("redeliver", [0, 1])
async def test_what_a_stream_brought_is_tried_again_or_a_dead_letter_and_what_waits_is_kept(redeliver: int) -> None:
    log: list[Any] = []

    async def item(self: Poisoned, value: str) -> None:
        self.log.append((value, current().attempt))
        await anyio.sleep(1)
        if value == "bad":
            raise Boom

    async with (
        filled(["bad", "next", "last"]) as stream,
        Supervisor("app", child(Poisoned, log, redeliver=redeliver), intensity=OFTEN) as app,
    ):
        poisoned: Address[Poisoned] = app.find("poisoned")
        await poisoned.send(lambda _: current().read(stream, item) and None)
        await anyio.sleep(10)
        assert log == [*[("bad", n + 1) for n in range(redeliver + 1)], ("next", 1)]
        assert poisoned.account() == (3, 2, 0, 1, 0, 0, 0)
