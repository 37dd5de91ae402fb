"""Addresses as values: equal, hashable, shown, measured; and recipients, which unlike actors can share.

Tested:
- SEMANTICS 35, without from_thread: hashable, equal by mailbox, id, name, path
- SEMANTICS 39: len, reprs, account
- DESIGN 2: recipients narrow an address to one handler; views keep their options
"""

from __future__ import annotations

import functools
from typing import Any

import pytest

from supervise import (
    ActorCrashed,
    Address,
    DynamicSupervisor,
    MailboxFull,
    NotAHandler,
    Recipient,
    Supervisor,
    UnknownHandler,
    WeakAddress,
    child,
    open_mailbox,
)
from supervise.testing import virtual_time
from tests.doubles import Gate, Scribe


class Printer:
    def __init__(self) -> None:
        self.pages: list[str] = []

    async def print(self, entry: str) -> int:
        self.pages.append(entry)
        return 100 + len(self.pages)


def type_of(instance: object) -> type:
    return type(instance)


@pytest.mark.anyio
async def test_an_address_is_equal_to_every_other_of_the_same_mailbox_and_to_no_other() -> None:
    async with Supervisor("app", child(Scribe), child(Scribe)) as app:
        one, two = app.find("scribe"), app.find("scribe-2")
        same: list[Any] = [one, app.find("scribe"), one.weak, one.clone(), one.options(timeout=1), one.weak.strong()]
        assert all(a == b and hash(a) == hash(b) for a in same for b in same)
        assert one != two
        assert one.weak != two.weak
        assert len({*same, two, two.weak}) == 2
        assert one != "app/scribe"
        assert (one.name, one.path, two.name, two.path) == ("scribe", "app/scribe", "scribe-2", "app/scribe-2")
        assert one.id == one.weak.id != two.id


@pytest.mark.anyio
async def test_an_address_stays_the_same_over_crashes() -> None:
    async with Supervisor("app", child(Scribe)) as app:
        scribe: Address[Scribe] = app.find("scribe")
        before = (scribe.id, hash(scribe), repr(scribe))
        with pytest.raises(ActorCrashed):
            await scribe.call(Scribe.crash)
        assert (scribe.id, hash(scribe), repr(scribe)) == before
        assert app.find("scribe") == scribe


@pytest.mark.anyio
async def test_no_two_mailboxes_ever_have_the_same_id() -> None:
    ids: set[int] = set()
    async with DynamicSupervisor("app") as app:
        for _ in range(20):
            scribe = await app.start(Scribe, name="scribe")
            ids.add(scribe.id)
            await app.terminate_child(scribe)
    assert len(ids) == 20


@pytest.mark.anyio
async def test_reprs_name_the_kind_and_the_path() -> None:
    async with Supervisor("app", Supervisor("inner", child(Scribe))) as app:
        scribe: Address[Scribe] = app.find("inner/scribe")
        assert repr(scribe) == "<Address app/inner/scribe>"
        assert repr(scribe.weak) == "<WeakAddress app/inner/scribe>"
        assert repr(scribe.recipient(Scribe.note)) == "<Recipient app/inner/scribe Scribe.note>"
        assert repr(scribe.recipient(lambda _: None)) == "<Recipient app/inner/scribe <lambda>>"
        assert repr(scribe.recipient(functools.partial(Scribe.note, entry=1))) == "<Recipient app/inner/scribe partial>"


@pytest.mark.anyio
async def test_the_length_of_an_address_is_what_waits_and_an_empty_one_is_still_true() -> None:
    async with Supervisor("app", child(Scribe)) as app:
        scribe: Address[Scribe] = app.find("scribe")
        gate = Gate()
        await scribe.send(Scribe.hold, gate)
        await gate.reached.wait()
        assert (len(scribe), len(scribe.weak), bool(scribe)) == (0, 0, True)
        await scribe.send(Scribe.note, 1)
        await scribe.send(Scribe.note, 2)
        assert (len(scribe), len(scribe.weak), len(scribe.recipient(Scribe.note))) == (2, 2, 2)
        gate.open()
        await virtual_time.at_rest()
        assert len(scribe) == 0


@pytest.mark.anyio
async def test_recipients_of_unlike_actors_stand_in_one_list() -> None:
    scribe, printer = child(Scribe), child(Printer)
    async with Supervisor("app", scribe, printer) as app:
        writers: list[Recipient[[str], int]] = [
            app.find(scribe).recipient(Scribe.note),
            app.find(printer).recipient(Printer.print),
        ]
        assert [await writer.call("hello") for writer in writers] == [1, 101]
        for writer in writers:
            await writer.send("again")
            writer.try_send("and again")
        assert [await writer.call("bye") for writer in writers] == [4, 104]


@pytest.mark.anyio
async def test_a_recipient_is_equal_by_mailbox_and_handler() -> None:
    async with Supervisor("app", child(Scribe), child(Scribe)) as app:
        one, two = app.find("scribe"), app.find("scribe-2")
        note = one.recipient(Scribe.note)
        assert note == one.clone().recipient(Scribe.note)
        assert hash(note) == hash(one.recipient(Scribe.note))
        assert note != one.recipient(Scribe.hold)
        assert note != two.recipient(Scribe.note)
        assert note != one
        assert len({note, one.recipient(Scribe.note), two.recipient(Scribe.note)}) == 2
        assert (note.id, note.name, note.path) == (one.id, "scribe", "app/scribe")
        assert note.account() == one.account()


@pytest.mark.anyio
async def test_a_recipient_takes_what_an_address_takes_and_is_checked_when_it_is_made() -> None:
    async with Supervisor("app", child(Scribe)) as app:
        scribe: Address[Any] = app.find("scribe")
        with pytest.raises(NotAHandler):
            scribe.recipient(Scribe().note)
        assert await scribe.recipient(type_of).call() is Scribe
        with pytest.raises(UnknownHandler):
            await scribe.recipient(Printer.print).call("x")


@pytest.mark.anyio
async def test_views_weak_or_strong_and_recipients_made_of_them_keep_the_options() -> None:
    async with Supervisor("app", child(Scribe, capacity=1)) as app:
        scribe: Address[Scribe] = app.find("scribe")
        hasty = scribe.options(timeout=1)
        gate = Gate()
        await scribe.send(Scribe.hold, gate)
        await gate.reached.wait()
        views: list[Address[Scribe] | WeakAddress[Scribe]] = [
            hasty,
            hasty.weak,
            hasty.clone(),
            hasty.weak.strong(),
            scribe.weak.options(timeout=1),
        ]
        await scribe.send(Scribe.note, "fills it")
        for view in views:
            with pytest.raises(TimeoutError):
                await view.call(Scribe.note, 1)
            with pytest.raises(TimeoutError):
                await view.send(Scribe.note, 1)
            with pytest.raises(MailboxFull):
                view.try_send(Scribe.note, 1)
        with pytest.raises(TimeoutError):
            await hasty.recipient(Scribe.note).call(1)
        assert scribe.account().accepted == 2
        gate.open()


@pytest.mark.anyio
async def test_a_view_changes_nothing_of_the_address_it_was_made_of() -> None:
    async with Supervisor("app", child(Scribe)) as app:
        scribe: Address[Scribe] = app.find("scribe")
        scribe.options(timeout=0.5, on_restart="fail")
        gate = Gate()
        await scribe.send(Scribe.hold, gate)
        scribe.options(timeout=0.1)
        await gate.reached.wait()
        gate.open()
        assert await scribe.call(Scribe.note, 1) == 1


@pytest.mark.anyio
async def test_a_call_that_is_made_and_never_awaited_warns_and_sends_nothing() -> None:
    async with Supervisor("app", child(Scribe)) as app:
        scribe: Address[Scribe] = app.find("scribe")
        forgotten = [scribe.call(Scribe.note, 1)]
        with pytest.warns(RuntimeWarning, match="never awaited"):
            forgotten.clear()
        await virtual_time.at_rest()
        assert scribe.account().accepted == 0


@pytest.mark.anyio
async def test_messages_given_back_and_open_mailboxes_are_shown_shortly() -> None:
    mailbox, address = open_mailbox(Scribe, capacity=1, overflow="reject")
    await address.send(Scribe.note, "x" * 1000)
    with pytest.raises(MailboxFull) as full:
        await address.send(Scribe.note, "y" * 1000)
    assert full.value.message is not None
    assert full.value.message.args == ("y" * 1000,)
    assert len(str(full.value.message)) < 100
    mailbox.close()
