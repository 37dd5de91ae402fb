"""Supervision by hand: a mailbox that exists before its actor, and outlives it.

Tested:
- SEMANTICS 36: open_mailbox before any actor; run returns Ended or Crashed; the loop by hand; the warning about an address
  whose actor never started, which isn't given when something was sent
- SEMANTICS 13, 16: a crash keeps what waits, an orderly end doesn't leave callers waiting
- SEMANTICS 23: cancelling run cancels the incarnation and waits for it
"""

from __future__ import annotations

import asyncio
from typing import Any, Self

import anyio
import pytest

from supervise import (
    ActorCrashed,
    ActorStopped,
    Address,
    Crashed,
    Ended,
    ExitKind,
    ExitReason,
    IgnoreStart,
    InvalidSpec,
    MailboxClosed,
    MailboxFull,
    OpenMailbox,
    Unsupervised,
    current,
    events,
    open_mailbox,
)
from supervise.testing import virtual_time
from tests.doubles import Boom, Gate, Outcomes, Scribe


def stop(_: Scribe) -> None:
    current().stop()


def incarnation(_: Scribe) -> int:
    return current().incarnation


@pytest.mark.anyio
async def test_messages_wait_for_an_actor_that_doesnt_exist_yet() -> None:
    log: list[Any] = []
    mailbox, address = open_mailbox(Scribe)
    await address.send(Scribe.note, "early")
    assert len(mailbox) == len(address) == 1
    async with anyio.create_task_group() as group:
        outcomes = Outcomes(group)
        await outcomes.watch("run", mailbox.run(Scribe, log))
        assert log == ["early"]
        assert await address.call(Scribe.note, "late") == 2
        address.close()
        await virtual_time.at_rest()
        assert outcomes.of["run"].reason == ExitReason(ExitKind.NORMAL)
    assert mailbox.account() == address.account()
    assert mailbox.account()[:2] == (2, 2)


@pytest.mark.anyio
async def test_the_loop_by_hand_restarts_after_crashes_and_ends_with_an_orderly_end() -> None:
    log: list[Any] = []
    mailbox, address = open_mailbox(Scribe)
    runs = 0

    async def supervise() -> None:
        nonlocal runs
        while isinstance(await mailbox.run(Scribe, log), Crashed):
            runs += 1

    async with anyio.create_task_group() as group:
        group.start_soon(supervise)
        for n in range(3):
            with pytest.raises(ActorCrashed, match=f"scribe #{n + 1} crashed with Scribe.crash in hand: Boom"):
                await address.call(Scribe.crash)
            await address.send(Scribe.note, n)
        assert await address.call(incarnation) == 4
        await address.call(stop)
    assert runs == 3
    assert log == [0, 1, 2]


@pytest.mark.anyio
async def test_a_crash_is_returned_with_reason_and_error_and_keeps_what_waits() -> None:
    log: list[Any] = []
    mailbox, address = open_mailbox(Scribe)
    await address.send(Scribe.crash, "once")
    await address.send(Scribe.note, "kept")
    crashed = await mailbox.run(Scribe, log)
    assert isinstance(crashed, Crashed)
    assert str(crashed.reason) == "crashed (Boom: once)"
    assert isinstance(crashed.error, Boom)
    assert (log, len(mailbox)) == ([], 1)
    address.close()
    assert isinstance(await mailbox.run(Scribe, log), Ended)
    assert log == ["kept"]
    assert mailbox.account()[:4] == (2, 1, 0, 1)
    assert [letter.message for letter in mailbox.dead_letters.last()] == ["Scribe.crash(str)"]


@pytest.mark.anyio
async def test_a_factory_that_fails_is_a_crash_and_one_that_ignores_its_start_ends_in_order() -> None:
    def fail() -> Scribe:
        raise Boom("at the start")

    def ignore() -> Scribe:
        raise IgnoreStart("not today")

    mailbox, address = open_mailbox(Scribe)
    await address.send(Scribe.note, 1)
    crashed = await mailbox.run(fail)
    assert isinstance(crashed, Crashed)
    assert isinstance(crashed.error, Boom)
    assert len(mailbox) == 1
    assert isinstance(await mailbox.run(ignore), Ended)
    assert len(mailbox) == 0


@pytest.mark.anyio
async def test_after_an_orderly_end_nobody_waits_in_vain_and_run_opens_it_again() -> None:
    mailbox, address = open_mailbox(Scribe, capacity=1)
    async with anyio.create_task_group() as group:
        outcomes, gate = Outcomes(group), Gate()
        await outcomes.watch("run", mailbox.run(Scribe))
        await outcomes.watch("stops", address.call(stop_at, gate))
        await outcomes.watch("queued", address.call(Scribe.note, 1))
        await outcomes.watch("no room", address.call(Scribe.note, 2))
        gate.open()
        await virtual_time.at_rest()
        assert isinstance(outcomes.of["run"], Ended)
        assert isinstance(outcomes.of["queued"], ActorStopped)
        assert isinstance(outcomes.of["no room"], ActorStopped)
        with pytest.raises(ActorStopped, match="run"):
            await address.send(Scribe.note, 3)
        await outcomes.watch("again", mailbox.run(Scribe))
        assert await address.call(incarnation) == 2
        address.close()
    assert mailbox.account().balanced


async def stop_at(_: Scribe, gate: Gate) -> None:
    await gate.walk_through()
    current().stop()


@pytest.mark.anyio
async def test_only_one_incarnation_runs_at_a_time() -> None:
    mailbox, address = open_mailbox(Scribe)
    async with anyio.create_task_group() as group:
        await Outcomes(group).watch("run", mailbox.run(Scribe))
        with pytest.raises(RuntimeError, match="runs an actor already"):
            await mailbox.run(Scribe)
        assert await address.call(Scribe.note, 1) == 1
        address.close()


class Slow(Scribe):
    async def __aenter__(self) -> Self:
        self.log.append("enter")
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await anyio.sleep(1)
        finally:
            self.log.append("exit")


@pytest.mark.anyio
@pytest.mark.parametrize("when", ["before it began", "while it is parked", "while a handler runs"])
async def test_cancelling_run_cancels_the_incarnation_waits_for_it_and_keeps_what_waits(when: str) -> None:
    log: list[Any] = []
    mailbox: OpenMailbox[Scribe]
    mailbox, address = open_mailbox(Scribe)
    async with anyio.create_task_group() as group:
        outcomes, gate = Outcomes(group), Gate()
        if when == "while a handler runs":
            await outcomes.watch("in hand", address.call(Scribe.hold, gate))
            await address.send(Scribe.note, "kept")
        with anyio.CancelScope() as scope:
            if when == "before it began":
                scope.cancel()
            else:
                group.start_soon(cancel_at_rest, scope)
            await mailbox.run(Slow, log)
        assert scope.cancelled_caught
        await virtual_time.at_rest()
        # On asyncio a task in a cancelled scope goes on to its first wait, and the incarnation has begun by then.
        assert log in ([["enter", "exit"], []] if when == "before it began" else [["enter", "exit"]])
        log.clear()
        if when == "while a handler runs":
            assert isinstance(outcomes.of["in hand"], ActorStopped)
            assert len(mailbox) == 1
        await outcomes.watch("run", mailbox.run(Scribe, log))
        assert await address.call(incarnation) == 2
        address.close()
    assert log == (["kept"] if when == "while a handler runs" else [])


async def cancel_at_rest(scope: anyio.CancelScope) -> None:
    await virtual_time.at_rest()
    scope.cancel()


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_run_that_is_cancelled_natively_waits_for_the_incarnation_too() -> None:
    log: list[Any] = []
    mailbox, address = open_mailbox(Slow)
    run = asyncio.create_task(mailbox.run(Slow, log))
    await virtual_time.at_rest()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert log == ["enter", "exit"]
    address.close()


@pytest.mark.anyio
async def test_a_closed_mailbox_takes_nothing_and_ends_its_actor() -> None:
    mailbox, address = open_mailbox(Scribe)
    async with anyio.create_task_group() as group:
        outcomes, gate = Outcomes(group), Gate()
        await outcomes.watch("run", mailbox.run(Scribe))
        await outcomes.watch("in hand", address.call(Scribe.hold, gate))
        await outcomes.watch("queued", address.call(Scribe.note, 1))
        mailbox.close()
        await virtual_time.at_rest()
        assert isinstance(outcomes.of["queued"], MailboxClosed)
        with pytest.raises(MailboxClosed):
            await address.send(Scribe.note, 2)
        assert "run" not in outcomes.of
        gate.open()
        await virtual_time.at_rest()
        assert outcomes.of["in hand"] == "through"
        assert isinstance(outcomes.of["run"], Ended)
    with pytest.raises(MailboxClosed, match="open another"):
        await mailbox.run(Scribe)
    assert mailbox.account().balanced


@pytest.mark.anyio
async def test_an_actor_on_its_own_has_no_tree() -> None:
    async def ask(_: Scribe) -> None:
        own = current()
        assert (own.name, own.path) == ("lonely", "lonely")
        for question in (lambda: own.find("sibling"), lambda: own.stop_tree()):
            with pytest.raises(Unsupervised, match="lonely runs on its mailbox alone"):
                question()

    mailbox, address = open_mailbox(Scribe, name="lonely")
    async with anyio.create_task_group() as group:
        await Outcomes(group).watch("run", mailbox.run(Scribe))
        await address.call(ask)
        address.close()


@pytest.mark.anyio
async def test_its_life_is_told_to_the_listener() -> None:
    heard: list[str] = []
    mailbox, address = open_mailbox(Scribe, listener=lambda event: heard.append(str(event)))
    await address.send(Scribe.crash)
    await mailbox.run(Scribe)
    await address.send(Scribe.note, 1)
    address.close()
    await mailbox.run(Scribe)
    assert heard[0] == "scribe #1 started"
    assert heard[1].startswith("scribe: dead letter Scribe.crash()")
    assert heard[2].startswith("scribe: Scribe.crash() is lost: in hand when #1 ended")
    assert heard[3].startswith("scribe #1 ended: crashed (Boom: boom) in Scribe.crash")
    assert heard[4:] == ["scribe #2 started", "scribe #2 ended: normal"]


@pytest.mark.anyio
async def test_an_address_that_is_dropped_before_its_actor_ever_started_is_warned_about() -> None:
    heard: list[object] = []
    mailbox, address = open_mailbox(Scribe, name="early", listener=heard.append)
    weak = address.weak
    del address
    await virtual_time.at_rest()
    (warning,) = heard
    assert isinstance(warning, events.AddressDropped)
    assert "early: its last strong address is gone" in str(warning)
    with pytest.raises(MailboxClosed):
        await weak.send(Scribe.note, 1)
    assert isinstance(await mailbox.run(Scribe), Ended)


@pytest.mark.anyio
async def test_an_address_that_was_written_to_and_then_closed_is_no_mistake_and_the_first_run_handles_what_waits() -> None:
    heard: list[object] = []
    mailbox, address = open_mailbox(Scribe, name="early", listener=heard.append)
    await address.send(Scribe.note, 1)
    address.close()
    await virtual_time.at_rest()
    assert heard == []
    assert isinstance(await mailbox.run(Scribe), Ended)
    assert mailbox.account().handled == 1


@pytest.mark.anyio
async def test_one_that_is_dropped_after_a_start_isnt() -> None:
    heard: list[object] = []
    mailbox, address = open_mailbox(Scribe, listener=heard.append)
    async with anyio.create_task_group() as group:
        await Outcomes(group).watch("run", mailbox.run(Scribe))
        del address
    assert [type(event).__name__ for event in heard] == ["Started", "Stopped"]


@pytest.mark.anyio
async def test_overflow_and_options_are_those_of_any_mailbox() -> None:
    mailbox, address = open_mailbox(Scribe, capacity=1, overflow="reject")
    await address.send(Scribe.note, 1)
    with pytest.raises(MailboxFull):
        await address.send(Scribe.note, 2)
    unrun, other = open_mailbox(Scribe)
    with pytest.raises(TimeoutError):
        await other.options(timeout=1).call(Scribe.note, 1)
    unrun.close()
    address.close()
    await mailbox.run(Scribe)


@pytest.mark.anyio
@pytest.mark.parametrize("field", ["capacity", "overflow", "name", "listener"])
async def test_what_can_never_work_is_refused_at_once(field: str) -> None:
    wrong: Any = {field: "a/b" if field == "name" else -1}
    with pytest.raises(InvalidSpec, match=f"{field}="):
        open_mailbox(Scribe, **wrong)


def test_without_an_event_loop_there_is_no_mailbox() -> None:
    with pytest.raises(RuntimeError, match="no event loop runs in this thread"):
        open_mailbox(Scribe)


@pytest.mark.anyio
async def test_the_types_follow_the_kind() -> None:
    mailbox, address = open_mailbox(Scribe)
    box: OpenMailbox[Scribe] = mailbox
    to: Address[Scribe] = address
    to.close()
    assert isinstance(await box.run(Scribe), Ended)
