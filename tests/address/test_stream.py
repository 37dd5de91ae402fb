"""An address as an anyio stream.

Tested (SEMANTICS 38): back-pressure, one token with its address, what closing it ends, and what errors mean.
"""

from __future__ import annotations

import gc
from typing import Any

import anyio
import pytest
from anyio.abc import ObjectReceiveStream, ObjectSendStream

from supervise import (
    MailboxClosed,
    MailboxFull,
    NotAHandler,
    Supervisor,
    open_mailbox,
)
from supervise.testing.virtual_time import at_rest
from tests.doubles import Outcomes, Scribe, fill, filled

pytestmark = pytest.mark.anyio


async def test_each_item_becomes_a_message_for_the_handler() -> None:
    log: list[Any] = []
    async with Supervisor("app") as app:
        scribe = await app.start(Scribe, log)
        stream = scribe.stream(Scribe.note)
        assert isinstance(stream, ObjectSendStream)
        async with stream:
            for item in "abc":
                await stream.send(item)
        await at_rest()
    assert log == ["a", "b", "c"]


async def test_a_full_mailbox_holds_back_whoever_sends_into_the_stream() -> None:
    async with Supervisor("app") as app, anyio.create_task_group() as group:
        scribe = await app.start(Scribe, capacity=2)
        gate = await fill(scribe, 1, 2)
        outcomes = Outcomes(group)
        await outcomes.watch("third", scribe.stream(Scribe.note).send(3))
        assert outcomes.of == {}
        gate.open()
        await at_rest()
        assert outcomes.of == {"third": None}


async def test_it_takes_the_place_of_any_other_stream() -> None:
    """What was written for anyio's streams needn't know of actors."""

    async def copy(source: ObjectReceiveStream[int], target: ObjectSendStream[int]) -> None:
        async with source, target:
            async for item in source:
                await target.send(item)

    log: list[Any] = []
    async with Supervisor("app") as app:
        scribe = await app.start(Scribe, log)
        source = filled(range(300))
        await copy(source, scribe.stream(Scribe.note))
        await at_rest()
    assert log == list(range(300))


async def test_a_stream_shares_the_token_of_its_address() -> None:
    mailbox, scribe = open_mailbox(Scribe)
    stream = scribe.stream(Scribe.note)
    weak = scribe.weak
    run: Any = mailbox.run
    async with anyio.create_task_group() as group:
        group.start_soon(run, Scribe)
        del scribe
        gc.collect()
        await stream.send("the stream keeps it alive")
        assert await weak.call(lambda scribe: scribe.log) == ["the stream keeps it alive"]
        await stream.aclose()
        gc.collect()
    with pytest.raises(MailboxClosed):
        await weak.call(Scribe.note, "it was the last")


async def test_who_waits_for_room_in_a_stream_keeps_no_actor_alive() -> None:
    mailbox, scribe = open_mailbox(Scribe, capacity=1)
    weak = scribe.weak
    scribe.try_send(Scribe.note, 1)
    async with anyio.create_task_group() as group:
        outcomes = Outcomes(group)
        await outcomes.watch("waits", scribe.stream(Scribe.note).send(2))
        del scribe
        gc.collect()
        with pytest.raises(MailboxClosed):
            weak.strong()
        mailbox.close()
        await at_rest()
        assert isinstance(outcomes.of["waits"], anyio.BrokenResourceError)


async def test_closing_a_stream_gives_up_the_stream_alone() -> None:
    async with Supervisor("app") as app:
        scribe = await app.start(Scribe)
        stream, other = scribe.stream(Scribe.note), scribe.stream(Scribe.note)
        await stream.aclose()
        await stream.aclose()
        with pytest.raises(anyio.ClosedResourceError, match=r"<stream of <Recipient app/scribe Scribe.note>> was closed"):
            await stream.send("too late")
        await other.send("another")
        assert await scribe.call(Scribe.note, "the address") == 2


async def test_closing_the_address_closes_its_streams() -> None:
    async with Supervisor("app") as app:
        scribe = await app.start(Scribe)
        stream = scribe.stream(Scribe.note)
        scribe.close()
        with pytest.raises(anyio.ClosedResourceError):
            await stream.send("too late")


async def test_the_stream_goes_on_over_a_crash() -> None:
    log: list[Any] = []
    async with Supervisor("app") as app:
        scribe = await app.start(Scribe, log)
        stream = scribe.stream(Scribe.note)
        await stream.send(1)
        await scribe.send(Scribe.crash)
        await stream.send(2)
        await at_rest()
    assert log == [1, 2]


async def test_a_stream_to_a_stopped_actor_is_broken_until_it_is_started_again() -> None:
    async with Supervisor("app") as app:
        scribe = await app.start(Scribe)
        stream = scribe.stream(Scribe.note)
        await app.terminate_child("scribe")
        with pytest.raises(anyio.BrokenResourceError, match="stopped") as broken:
            await stream.send(1)
        assert broken.value.__cause__ is not None
        await app.restart_child("scribe")
        await stream.send(2)
        await app.terminate_child("scribe")
        await app.delete_child("scribe")
        with pytest.raises(anyio.BrokenResourceError, match="gone for good") as broken:
            await stream.send(1)
        assert isinstance(broken.value.__cause__, MailboxClosed)


async def test_what_says_that_this_item_did_not_fit_leaves_the_stream_as_it_was() -> None:
    async with Supervisor("app") as app:
        rejecting = await app.start(Scribe, name="rejecting", capacity=1, overflow="reject")
        gate = await fill(rejecting, 1)
        stream = rejecting.stream(Scribe.note)
        with pytest.raises(MailboxFull):
            await stream.send(2)
        gate.open()
        await at_rest()
        await stream.send(2)
        waiting = await app.start(Scribe, name="waiting", capacity=1)
        gate = await fill(waiting, 1)
        hurried = waiting.options(timeout=3).stream(Scribe.note)
        with pytest.raises(TimeoutError):
            await hurried.send(2)
        gate.open()
        await hurried.send(2)


async def test_what_is_no_handler_is_refused_when_the_stream_is_made() -> None:
    async with Supervisor("app") as app:
        scribe = await app.start(Scribe)
        with pytest.raises(NotAHandler):
            scribe.stream(Scribe().note)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
