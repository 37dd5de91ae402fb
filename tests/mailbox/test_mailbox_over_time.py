"""What a mailbox does while its actor starts, restarts, waits, stops and goes: the table of SEMANTICS 13, row by row.

Tested:
- SEMANTICS 13: for each state of the child what send, try_send and call do, what becomes of the queue, and of the address
- SEMANTICS 11: static children of a supervisor that comes back keep mailbox and address
- SEMANTICS 20: on_restart="fail" in each state that accepts
"""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from supervise import (
    ActorRestarting,
    ActorStopped,
    Address,
    Intensity,
    MailboxClosed,
    Restart,
    SendError,
    Supervisor,
    child,
    current,
)
from supervise.testing import virtual_time
from tests.doubles import Gate, Outcomes, Scribe
from tests.situations import (
    ACCEPTING,
    FORGOTTEN,
    STOPPED,
    WAYS,
    Situation,
    Way,
    below_a_supervisor_that_restarts,
    ending_after_a_crash,
    in_backoff,
)

# -- the child will be back --------------------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("situation", ACCEPTING)
async def test_while_the_child_will_be_back_messages_are_accepted_and_handled_then(situation: Situation, way: Way) -> None:
    async with situation() as (app, scribe), anyio.create_task_group() as group:
        before = scribe.account()
        outcomes = Outcomes(group)
        await outcomes.watch("way", way(scribe, "first"))
        waiting = scribe.account()
        assert (len(scribe), waiting.queued, waiting.accepted - before.accepted) == (1, 1, 1)
        assert await scribe.call(Scribe.note, "second") == 2  # a fresh instance has handled both, in order
        await virtual_time.at_rest()
        assert not isinstance(outcomes.of["way"], Exception)
        assert scribe.account().balanced
        assert app.find(scribe.path.removeprefix("app/")) == scribe


@pytest.mark.anyio
@pytest.mark.parametrize("situation", ACCEPTING)
async def test_a_call_that_doesnt_wait_for_restarts_fails_at_once_and_was_never_accepted(situation: Situation) -> None:
    async with situation() as (_, scribe):
        before = scribe.account()
        with pytest.raises(ActorRestarting, match=f"{scribe.path} is restarting"):
            await scribe.options(on_restart="fail").call(Scribe.note, 1)
        assert scribe.account() == before


@pytest.mark.anyio
@pytest.mark.parametrize("situation", [ending_after_a_crash, in_backoff, below_a_supervisor_that_restarts])
async def test_a_crash_keeps_what_is_queued_in_order(situation: Situation) -> None:
    log: list[Any] = []

    def note(_: Scribe, entry: Any) -> None:
        log.append((current().incarnation, entry))

    async with situation() as (_, scribe), anyio.create_task_group() as group:
        await scribe.call(note, "a")
        gate = Gate()
        await scribe.send(Scribe.hold, gate)
        await gate.reached.wait()
        await scribe.send(Scribe.crash)
        for entry in "bcd":
            await scribe.send(note, entry)
        await Outcomes(group).watch("e", scribe.call(note, "e"))
        gate.open()
    assert log == [(2, "a"), *((3, entry) for entry in "bcde")]


# -- the child is stopped, but listed ----------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("situation", STOPPED)
async def test_while_the_child_is_stopped_messages_are_refused_and_given_back(situation: Situation, way: Way) -> None:
    async with situation() as (_, scribe):
        before = scribe.account()
        with pytest.raises(ActorStopped, match=f"{scribe.path} is stopped, .* Scribe.note: restart_child") as refused:
            await way(scribe, "kept")
        assert isinstance(refused.value, SendError)
        message = refused.value.message
        assert message is not None
        assert (message.handler, message.args, message.kwargs) == (Scribe.note, ("kept",), {})
        assert scribe.account() == before
        with pytest.raises(ActorStopped):
            await scribe.options(on_restart="fail").call(Scribe.note, 1)


@pytest.mark.anyio
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("situation", STOPPED)
async def test_started_again_the_child_is_reached_by_the_old_address_on_the_same_mailbox(
    situation: Situation, way: Way
) -> None:
    async with situation() as (app, scribe):
        accepted = scribe.account().accepted
        assert await app.restart_child("scribe")
        await way(scribe, "first")
        assert await scribe.call(Scribe.note, "second") == 2
        assert scribe.account().accepted == accepted + 2
        assert app.find("scribe") == scribe


@pytest.mark.anyio
async def test_what_waits_at_a_stop_becomes_dead_letters_and_its_callers_are_told() -> None:
    async with Supervisor("app") as app, anyio.create_task_group() as group:
        scribe = await app.start(Scribe)
        gate, outcomes = Gate(), Outcomes(group)
        await outcomes.watch("in hand", scribe.call(Scribe.hold, gate))
        await gate.reached.wait()
        await scribe.send(Scribe.note, "sent")
        await outcomes.watch("queued", scribe.call(Scribe.note, "called"))
        await outcomes.watch("stop", app.terminate_child("scribe"))
        assert outcomes.of == {}
        gate.open()
        await virtual_time.at_rest()
        assert outcomes.of["in hand"] == "through"
        assert isinstance(outcomes.of["queued"], ActorStopped)
        assert outcomes.of["stop"] is None
        account = scribe.account()
        assert (account.handled, account.dead_lettered, account.queued) == (1, 2, 0)
        assert [letter.message for letter in app.dead_letters()] == ["Scribe.note(str)"] * 2
        assert account.balanced


# -- the child is forgotten --------------------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("situation", FORGOTTEN)
async def test_once_the_child_is_forgotten_its_address_never_works_again(situation: Situation, way: Way) -> None:
    async with situation() as (app, scribe):
        with pytest.raises(MailboxClosed, match=f"{scribe.path} is gone for good") as refused:
            await way(scribe, "kept")
        assert refused.value.message is not None
        namesake = await app.start(Scribe, name="scribe")
        assert namesake != scribe
        assert namesake.id != scribe.id
        assert await namesake.call(Scribe.note, 1) == 1
        with pytest.raises(MailboxClosed):
            await way(scribe, "kept")


@pytest.mark.anyio
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("inner", ["scribe", "inner/scribe"])
async def test_after_the_tree_its_addresses_are_closed(inner: str, way: Way) -> None:
    scribes: list[Address[Scribe]] = []
    async with Supervisor("app", child(Scribe), Supervisor("inner", child(Scribe))) as app:
        scribes.append(app.find(inner))
    with pytest.raises(MailboxClosed):
        await way(scribes[0], 1)


@pytest.mark.anyio
async def test_what_waits_for_a_child_that_is_forgotten_becomes_dead_letters_and_its_callers_are_told() -> None:
    async with Supervisor("app") as app, anyio.create_task_group() as group:
        scribe = await app.start(Scribe, restart="temporary")
        gate, outcomes = Gate(), Outcomes(group)
        await scribe.send(Scribe.hold, gate)
        await gate.reached.wait()
        await scribe.send(Scribe.crash)
        await scribe.send(Scribe.note, "sent")
        await outcomes.watch("queued", scribe.call(Scribe.note, "called"))
        gate.open()
        await virtual_time.at_rest()
        assert isinstance(outcomes.of["queued"], MailboxClosed)
        account = scribe.account()
        assert (account.handled, account.dead_lettered, account.queued) == (1, 3, 0)
        assert app.account() == account  # that of a forgotten child still counts
        assert app.account().balanced


@pytest.mark.anyio
async def test_children_of_a_supervisor_that_gave_up_for_good_are_closed_or_stopped_with_it() -> None:
    inner = Supervisor("inner", child(Scribe), intensity=Intensity(0, per=5), restart=Restart.temporary())
    async with Supervisor("app", inner, child(Scribe)) as app, anyio.create_task_group() as group:
        scribe: Address[Scribe] = app.find("inner/scribe")
        outcomes = Outcomes(group)
        await scribe.send(Scribe.crash)
        await outcomes.watch("queued", scribe.call(Scribe.note, 1))
        assert isinstance(outcomes.of["queued"], MailboxClosed)
        with pytest.raises(MailboxClosed):
            await scribe.send(Scribe.note, 1)
        assert app.account().balanced


@pytest.mark.anyio
async def test_no_two_lives_on_one_mailbox_have_the_same_number() -> None:
    lives: list[int] = []

    def crash(_: Scribe) -> None:
        lives.append(current().incarnation)
        raise RuntimeError("again")

    inner = Supervisor("inner", child(Scribe), intensity=Intensity(1, per=5))
    async with Supervisor("app", inner) as app:
        for _ in range(4):  # two of them end the supervisor, too
            await app.find("inner/scribe").send(crash)
        await app.find("inner/scribe").call(Scribe.note, 1)
        assert lives == [1, 2, 3, 4]
        assert app.supervisor("inner").get_childspec("scribe").incarnation == 5
