"""What few actors have stands in a record beside them, which an idle one hasn't: 100,000 of them are to cost 100 MB.

Tested: nothing common makes one, neither for the life nor for the mailbox nor in the supervisor, be it a send, a call, a crash
with its restart, or a start that somebody asked for; what is rare does, and for that actor alone; in the record that all share
nothing can be set.
"""

from __future__ import annotations

from typing import Any

import pytest

from supervise import Address, Intensity, RunningSupervisor, Supervisor, current
from supervise.actor import life_extras
from supervise.errors import ActorCrashed
from supervise.mailbox import mailbox_extras
from supervise.mailbox.extras import Extras
from supervise.testing import at_rest

pytestmark = pytest.mark.anyio


class Plain:
    async def fail(self) -> None:
        raise ValueError("as asked")

    async def note(self) -> None:
        pass

    async def later(self) -> None:
        current().after(1000, Plain.note)


def has_extras(address: Address[Any]) -> tuple[bool, bool]:
    """Of its life, and of its mailbox."""
    mailbox = address._mailbox
    life: Any = mailbox.turn
    return life.extras is not life_extras.NO_EXTRAS, mailbox.extras is not mailbox_extras.NO_EXTRAS


def slot_of(app: RunningSupervisor, address: Address[Any]) -> Any:
    node = app._branch.node
    assert node is not None
    return node.machine._state.slots[address.name]


async def test_what_is_common_makes_none() -> None:
    async with Supervisor("app", intensity=Intensity(10, 1)) as app:
        actor = await app.start(Plain)
        await actor.send(Plain.note)
        await actor.call(Plain.note)
        slot = slot_of(app, actor)
        assert (slot.next_start, slot.history) == (None, None)
        with pytest.raises(ActorCrashed):
            await actor.call(Plain.fail)
        await actor.send(Plain.fail)
        await at_rest()
        assert has_extras(actor) == (False, False)
        assert (slot.next_start, slot.history.restarts) == (None, 2)


async def test_what_is_rare_makes_one_for_that_actor_alone() -> None:
    async with Supervisor("app") as app:
        timed, paused, plain = [await app.start(Plain) for _ in range(3)]
        await timed.call(Plain.later)
        paused.pause()
        assert [has_extras(actor) for actor in (timed, paused, plain)] == [(True, False), (False, True), (False, False)]
        paused.resume()
        await paused.call(Plain.note)


@pytest.mark.parametrize("extras", [life_extras.NO_EXTRAS, mailbox_extras.NO_EXTRAS])
def test_in_the_one_that_all_share_nothing_can_be_set(extras: Extras) -> None:
    slots: Any = type(extras).__mro__[1]
    for name in slots.__slots__:
        with pytest.raises(AttributeError, match="own_extras"):
            setattr(extras, name, 1)


async def test_an_address_has_a_token_of_its_own_as_soon_as_somebody_shares_it() -> None:
    async with Supervisor("app") as app:
        first, second, third = [await app.start(Plain) for _ in range(3)]
        view, note, clone = first.options(timeout=5), second.recipient(Plain.note), third.clone()
        for address in (first, second, third):
            address.close()
        with pytest.raises(Exception, match="was closed"):
            await view.call(Plain.note)
        with pytest.raises(Exception, match="was closed"):
            await note.call()
        await clone.call(Plain.note)
        again: Address[Plain] = app.find(first.name)
        await again.call(Plain.note)


async def test_children_that_say_the_same_share_their_description_and_others_do_not() -> None:
    async with Supervisor("app") as app:
        alike = [await app.start(Plain) for _ in range(3)]
        other = await app.start(Plain, restart="transient")
        last = await app.start(Plain)
        branch = app._branch
        described: list[Any] = [branch.places[actor.name] for actor in (*alike, other, last)]
        assert [place.child is described[0].child for place in described] == [True, True, True, False, False]
        assert [place.child.spec.restart.type for place in described] == [
            *(["permanent"] * 3),
            "transient",
            "permanent",
        ]
