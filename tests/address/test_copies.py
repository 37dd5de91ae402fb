"""SEMANTICS 67: `copy` and `deepcopy` of a strong address give its `clone()`, of a weak one itself; `pickle` names what to do.

Tested also: what is made of addresses (recipients, streams, views for threads), and what belongs to a tree (its handle, its
keys, its description).
"""

from __future__ import annotations

import copy
import gc
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from supervise import Address, MailboxClosed, Recipient, Supervisor, child, open_mailbox
from tests.doubles import Scribe

COPIES = [pytest.param(copy.copy, id="copy"), pytest.param(copy.deepcopy, id="deepcopy")]
Copy = Callable[[Any], Any]


@pytest.mark.anyio
@pytest.mark.parametrize("make", COPIES)
async def test_a_copy_of_a_strong_address_is_its_clone(make: Copy) -> None:
    async with Supervisor("app") as app:
        scribe = await app.start(Scribe)
        copied: Address[Scribe] = make(scribe)
        assert isinstance(copied, Address)
        assert copied == scribe
        assert copied is not scribe
        copied.close()
        with pytest.raises(MailboxClosed, match="was closed"):
            await copied.call(Scribe.note, 1)
        assert await scribe.call(Scribe.note, 1) == 1


@pytest.mark.anyio
@pytest.mark.parametrize("make", COPIES)
async def test_a_copy_keeps_the_actor_alive_by_itself(make: Copy) -> None:
    mailbox, address = open_mailbox(Scribe)
    copied = make(address)
    address.close()
    copied.try_send(Scribe.note, 1)
    copied.close()
    assert (await mailbox.run(Scribe)).reason.kind == "normal"


@pytest.mark.anyio
@pytest.mark.parametrize("make", COPIES)
async def test_a_copy_of_a_view_says_the_same_of_its_messages(make: Copy) -> None:
    async with Supervisor("app") as app:
        scribe = await app.start(Scribe)
        scribe.pause()
        hurried = make(scribe.options(timeout=1))
        with pytest.raises(TimeoutError):
            await hurried.call(Scribe.note, 1)
        with pytest.raises(TimeoutError):
            await make(scribe.options(timeout=1).recipient(Scribe.note)).call(1)


@pytest.mark.anyio
@pytest.mark.parametrize("make", COPIES)
async def test_a_copy_of_a_weak_address_is_itself(make: Copy) -> None:
    async with Supervisor("app") as app:
        weak = (await app.start(Scribe)).weak
        assert make(weak) is weak
        hurried = weak.options(timeout=1)
        assert make(hurried) is hurried


@pytest.mark.anyio
@pytest.mark.parametrize("make", COPIES)
async def test_a_copy_of_a_closed_address_is_itself(make: Copy) -> None:
    async with Supervisor("app") as app:
        scribe = await app.start(Scribe)
        recipient, stream = scribe.recipient(Scribe.note), scribe.stream(Scribe.note)
        await stream.aclose()
        scribe.close()
        assert [make(closed) is closed for closed in (scribe, recipient, stream)] == [True] * 3


@pytest.mark.anyio
@pytest.mark.parametrize("make", COPIES)
async def test_a_copy_of_a_recipient_has_a_token_of_its_own(make: Copy) -> None:
    mailbox, address = open_mailbox(Scribe)
    recipient = make(address.recipient(Scribe.note))
    assert recipient == address.recipient(Scribe.note)
    address.close()
    recipient.try_send(1)
    del recipient
    await mailbox.run(Scribe)
    assert address.account().handled == 1


@pytest.mark.anyio
@pytest.mark.parametrize("make", COPIES)
async def test_a_copy_of_a_stream_has_a_token_of_its_own(make: Copy) -> None:
    mailbox, address = open_mailbox(Scribe)
    stream = address.stream(Scribe.note)
    copied = make(stream)
    await stream.aclose()
    address.close()
    await copied.send(1)
    await copied.aclose()
    await mailbox.run(Scribe)
    assert address.account().handled == 1


@pytest.mark.anyio
@pytest.mark.parametrize("make", COPIES)
async def test_a_copy_of_what_a_thread_uses_leads_to_a_copy_of_the_address(make: Copy) -> None:
    async with Supervisor("app") as app:
        scribe = await app.start(Scribe)
        threads: Any = scribe.from_thread
        copied = make(threads)
        assert copied._address == scribe
        assert copied._address is not scribe
        weak: Any = scribe.weak
        assert make(weak.from_thread)._address is weak


@pytest.mark.anyio
@pytest.mark.parametrize("make", [*COPIES, pytest.param(pickle.dumps, id="pickle")])
async def test_a_mailbox_that_is_run_by_hand_isnt_copied_and_lives_on(make: Copy) -> None:
    mailbox, address = open_mailbox(Scribe)
    address.try_send(Scribe.note, 1)
    with pytest.raises(TypeError, match=r"<open mailbox 'scribe'> can't be"):
        make(mailbox)
    gc.collect()
    address.close()
    await mailbox.run(Scribe)
    assert address.account().handled == 1


@dataclass
class Settings:
    scribe: Address[Scribe]
    notes: list[Recipient[[Any], int]] = field(default_factory=list[Recipient[[Any], int]])
    same: Address[Scribe] | None = None


@pytest.mark.anyio
async def test_a_deepcopy_of_what_holds_addresses_copies_each_of_them_once() -> None:
    async with Supervisor("app") as app:
        scribe = await app.start(Scribe)
        settings = Settings(scribe, [scribe.recipient(Scribe.note)], scribe)
        copied = copy.deepcopy(settings)
        assert copied == settings
        assert copied.scribe is copied.same
        scribe.close()
        assert await copied.scribe.call(Scribe.note, 1) == 1
        assert await copied.notes[0].call(1) == 2


@pytest.mark.anyio
async def test_pickle_names_what_to_do() -> None:
    async with Supervisor("app") as app:
        scribe: Any = await app.start(Scribe)
        views = [
            scribe,
            scribe.weak,
            scribe.recipient(Scribe.note),
            scribe.stream(Scribe.note),
            scribe.from_thread,
            scribe.options(),
        ]
        for view in views:
            for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
                with pytest.raises(TypeError, match=r"can't be pickled: send its path, 'app/scribe', and find\(\) it"):
                    pickle.dumps({"address": view}, protocol)
        with pytest.raises(TypeError, match="send its path, 'app', and"):
            pickle.dumps(app)


@pytest.mark.anyio
@pytest.mark.parametrize("make", COPIES)
async def test_a_copy_of_a_handle_and_of_a_key_is_itself(make: Copy) -> None:
    key = child(Scribe)
    tree = Supervisor("app", key)
    async with tree as app:
        assert make(app) is app
        assert make(key) is key
        assert app.find(make(key)) == app.find("scribe")
        assert copy.deepcopy(tree) is tree
