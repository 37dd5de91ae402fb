"""What becomes of a message that no handler will finish: whoever has a hook gets it, and its loss is said.

Tested:
- SEMANTICS 55: `on_dead_letter=`: what it gets, when, and what if it fails
- SEMANTICS 56: losses are said, once at a stop, once a minute in service, with the cure
"""

from __future__ import annotations

import logging
from typing import Any

import anyio
import pytest

from supervise import (
    Address,
    InvalidSpec,
    MailboxFull,
    Message,
    Redeliver,
    Supervisor,
    Undelivered,
    child,
    open_mailbox,
)
from supervise.events import Event, Lost
from supervise.mailbox import losses
from supervise.testing.virtual_time import at_rest
from tests.doubles import Boom, Gate, Scribe

pytestmark = pytest.mark.anyio


def busy(**options: Any) -> Any:
    return child(Scribe, name="scribe", **options)


async def hold(scribe: Address[Scribe]) -> Gate:
    """Its actor is at work until the gate is opened."""
    gate = Gate()
    await scribe.send(Scribe.hold, gate)
    await gate.reached.wait()
    return gate


async def test_the_hook_gets_the_message_itself_with_what_became_of_it() -> None:
    got: list[Undelivered] = []
    async with Supervisor("app", busy(on_dead_letter=got.append, redeliver=Redeliver(1))) as app:
        scribe: Address[Scribe] = app.find("scribe")
        entry = object()
        await scribe.send(Scribe.crash, "poison")
        await at_rest()
        assert [letter[:3] for letter in got] == [
            (Message(Scribe.crash, ("poison",), {}), "app/scribe", "in hand when #2 ended: crashed (Boom: poison)")
        ]
        assert isinstance(got[0].error, Boom)
        assert got[0].attempts == 2
        got.clear()
        gate = await hold(scribe)
        await scribe.send(Scribe.note, entry)
        scribe.drop(lambda _: True)
        assert got == [Undelivered(Message(Scribe.note, (entry,), {}), "app/scribe", "taken out by hand")]
        assert got[0].message.args[0] is entry
        got.clear()
        await scribe.send(Scribe.note, 1)
        gate.open()
        await app.terminate_child("scribe")
        assert [letter.why for letter in got] in ([], ["its actor is stopped"])


async def test_each_way_of_losing_a_message_calls_it() -> None:
    got: list[Undelivered] = []

    class Odd(Scribe):
        def here(self) -> None: ...

    async with Supervisor("app", busy(on_dead_letter=got.append, capacity=1, overflow="drop_oldest")) as app:
        scribe: Address[Any] = app.find("scribe")
        gate = await hold(scribe)
        await scribe.send(Scribe.note, "old")
        await scribe.send(Scribe.note, "new")
        assert [letter.why for letter in got] == ["a newer one took its place (overflow='drop_oldest')"]
        gate.open()
        await at_rest()
        await scribe.send(Odd.here)
        await at_rest()
        note: Any = Scribe.note
        await scribe.send(note)
        await at_rest()
        assert "has no handler 'here'" in got[1].why
        assert [letter.attempts for letter in got[:2]] == [0, 0], "no handler has begun with them"
        assert "doesn't fit" in got[2].why
        gate = await hold(scribe)
        await scribe.send(Scribe.note, "waits")
        app.kill("scribe")
        await at_rest()
        assert got[3].why == "in hand when #1 ended: killed"
        assert (got[3].error, got[3].attempts) == (None, 1)
    assert len(got) == 4


async def test_the_nearest_hook_only() -> None:
    near: list[Undelivered] = []
    far: list[Undelivered] = []
    tree = Supervisor(
        "app",
        child(Scribe, name="near", on_dead_letter=near.append),
        Supervisor("below", child(Scribe, name="far")),
        on_dead_letter=far.append,
    )
    async with tree as app:
        for path in ("near", "below/far"):
            await app.find(path).send(Scribe.crash)
        await at_rest()
        assert ([letter.path for letter in near], [letter.path for letter in far]) == (["app/near"], ["app/below/far"])


async def test_it_may_send_the_message_elsewhere() -> None:
    log: list[Any] = []
    spill = child(Scribe, log, name="spill")

    def elsewhere(letter: Undelivered) -> None:
        app.find(spill).try_send(Scribe.note, letter.message.args[0])

    async with Supervisor("app", spill, busy(on_dead_letter=elsewhere)) as app:
        scribe: Address[Scribe] = app.find("scribe")
        scribe.pause()
        for number in range(3):
            await scribe.send(Scribe.note, number)
        await app.terminate_child("scribe")
        await at_rest()
        assert log == [0, 1, 2]


async def test_it_is_called_when_the_change_is_done_and_the_state_is_whole() -> None:
    seen: list[Any] = []

    def look(_: Undelivered) -> None:
        scribe = app.find("scribe")
        seen.append((scribe.account().balanced, len(scribe), app.account().balanced))

    async with Supervisor("app", busy(on_dead_letter=look)) as app:
        scribe: Address[Scribe] = app.find("scribe")
        scribe.pause()
        for number in range(3):
            await scribe.send(Scribe.note, number)
        await app.terminate_child("scribe")
    assert seen == [(True, 0, True)] * 3


async def test_what_it_raises_is_logged_and_nothing_else_happens(caplog: pytest.LogCaptureFixture) -> None:
    def fails(_: Undelivered) -> None:
        raise Boom("in the hook")

    async with Supervisor("app", busy(on_dead_letter=fails)) as app:
        scribe: Address[Scribe] = app.find("scribe")
        await scribe.send(Scribe.crash)
        assert await scribe.call(Scribe.note, 1) == 1
    assert "app/scribe: its on_dead_letter= raised Boom: in the hook" in caplog.messages


async def test_ctrl_c_in_it_passes_up() -> None:
    def strikes(_: Undelivered) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        async with Supervisor("app", busy(on_dead_letter=strikes)) as app:
            await app.find("scribe").send(Scribe.crash)
            await app.wait()


async def test_what_is_lost_in_a_hook_calls_no_hook() -> None:
    got: list[str] = []

    def again(letter: Undelivered) -> None:
        got.append(letter.why)
        app.find("scribe").try_send(Scribe.note, "again")

    async with Supervisor("app", busy(on_dead_letter=again, capacity=1, overflow="drop_newest")) as app:
        scribe: Address[Scribe] = app.find("scribe")
        gate = await hold(scribe)
        for entry in ("a", "b"):
            await scribe.send(Scribe.note, entry)
        assert got == ["the mailbox was full (overflow='drop_newest')"]
        assert scribe.account().dead_lettered == 2
        gate.open()


async def test_a_mailbox_by_hand_has_one_too() -> None:
    got: list[Undelivered] = []
    mailbox, scribe = open_mailbox(Scribe, on_dead_letter=got.append)
    await scribe.send(Scribe.note, 1)
    mailbox.close()
    assert [letter.message.args for letter in got] == [(1,)]


async def _waits(_: Undelivered) -> None: ...


def test_what_can_not_be_a_hook_is_refused() -> None:
    wrong: Any = 3
    for hook in (wrong, _waits):
        with pytest.raises(InvalidSpec, match=r"child 'scribe': on_dead_letter=.*a plain function of one Undelivered"):
            busy(on_dead_letter=hook)
        with pytest.raises(InvalidSpec, match=r"supervisor 'app': on_dead_letter=.*a plain function of one Undelivered"):
            Supervisor("app", on_dead_letter=hook)
    with pytest.raises(InvalidSpec, match="it is for the root of a tree"):
        Supervisor("app", Supervisor("below", on_dead_letter=print))


# -- losses are said ------------------------------------------------------------------------------------------------------


def lost(events: list[Event]) -> list[str]:
    return [str(event) for event in events if isinstance(event, Lost)]


@pytest.mark.parametrize("drain", [False, True])
async def test_a_stop_says_once_for_each_actor_how_many_it_lost_and_the_cure(drain: bool) -> None:
    events: list[Event] = []
    many = child(Scribe, name="many", drain=drain, stop_within=1)
    async with Supervisor("app", many, child(Scribe, name="none"), child(Scribe, name="one"), listener=events.append) as app:
        for name, number in (("many", 500), ("one", 1)):
            app.find(name).pause()
            if drain and name == "many":
                app.find(name).resume()
                await app.find(name).send(Scribe.hold, Gate())
                await at_rest()
            for entry in range(number):
                await app.find(name).send(Scribe.note, entry)
    cure = "a longer stop_within handles more of them" if drain else "drain=True handles what waits at a stop"
    said = [text for text in lost(events) if "waiting" in text]
    assert said == [
        f"app/many: 500 waiting messages dropped at the stop; {cure}",
        "app/one: 1 waiting message dropped at the stop; drain=True handles what waits at a stop",
    ]


async def test_in_service_the_first_is_said_at_once_and_the_others_once_a_minute() -> None:
    events: list[Event] = []
    async with Supervisor("app", busy(capacity=1, overflow="drop_newest"), listener=events.append, log_arguments=True) as app:
        scribe: Address[Scribe] = app.find("scribe")
        gate = await hold(scribe)
        for entry in range(11):
            await scribe.send(Scribe.note, entry)
        cure = "a larger capacity=, or overflow='wait', keeps them"
        why = "the mailbox was full (overflow='drop_newest')"
        assert lost(events) == [f"app/scribe: Scribe.note(1) is lost: {why}; {cure}"]
        await anyio.sleep(61)
        assert lost(events)[1:] == [f"app/scribe: 9 more lost, first Scribe.note(2): {why}; {cure}"]
        await anyio.sleep(200)
        assert len(lost(events)) == 2
        await scribe.send(Scribe.note, "late")
        assert lost(events)[2:] == [f"app/scribe: Scribe.note('late') is lost: {why}; {cure}"]
        await scribe.send(Scribe.note, "later")
        gate.open()
    assert "1 more lost, Scribe.note('later'): " in lost(events)[-1], "the last ones are said at the end"


async def lose_in_turns(actors: int, rounds: int, at_a_time: int = 1) -> list[Lost]:
    """What was said of it within a minute: so many messages of each actor after the other, again and again."""
    events: list[Event] = []
    said: list[Lost] = []
    gates: list[Gate] = []
    async with Supervisor("app", listener=events.append) as app:
        full = [await app.start(Scribe, name=f"n{n}", capacity=1, overflow="drop_newest") for n in range(actors)]
        for scribe in full:
            gates.append(await hold(scribe))
            await scribe.send(Scribe.note, 0)
        for scribe in full * rounds:
            for _ in range(at_a_time):
                await scribe.send(Scribe.note, 1)
        await anyio.sleep(losses.WINDOW + 1)
        said += [event for event in events if isinstance(event, Lost)]
        for gate in gates:
            gate.open()
        await at_rest()
    return said


async def test_of_many_actors_that_lose_in_turns_each_is_said_once_a_minute() -> None:
    said = await lose_in_turns(100, 10)
    assert [(loss.path, loss.count) for loss in said] == [(f"app/n{n}", count) for count in (1, 9) for n in range(100)]


async def test_of_more_than_are_remembered_none_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(losses, "MOST", 3)
    said = await lose_in_turns(5, 4, at_a_time=3)
    assert sum(loss.count for loss in said) == 5 * 4 * 3


async def test_each_reason_has_its_cure(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "supervise")

    class Odd(Scribe):
        def here(self) -> None: ...

    async with Supervisor("app", busy(), log_arguments=True) as app:
        scribe: Address[Any] = app.find("scribe")
        await scribe.send(Scribe.crash)
        await scribe.send(Odd.here)
        note: Any = Scribe.note
        await scribe.send(note)
        await at_rest()
        scribe.pause()
        await scribe.send(Scribe.note, 1)
        scribe.drop(lambda _: True)
    said = [text for text in caplog.messages if " is lost: " in text or " more lost, " in text]
    assert len(said) == 3, "what was taken out by hand is none"
    assert said[2].startswith("app/scribe: 1 more lost, Scribe.note(): "), "a sender's faults are one reason"
    assert said[0].endswith("redeliver= tries again what was in hand, if a life follows")
    assert said[1].endswith("its sender has to name a handler of the actor, with arguments that fit")


async def test_what_is_tried_no_more_is_for_the_hook() -> None:
    events: list[Event] = []
    async with Supervisor("app", busy(redeliver=2), listener=events.append) as app:
        await app.find("scribe").send(Scribe.crash)
        await at_rest()
    (said,) = lost(events)
    assert said.endswith("; on_dead_letter= is handed what redeliver= tries no more")


@pytest.mark.parametrize("number", [1, 2])
async def test_what_waits_when_no_life_follows_a_crash_is_said_with_its_cure(number: int) -> None:
    events: list[Event] = []
    async with Supervisor("app", busy(restart="temporary"), listener=events.append) as app:
        scribe: Address[Scribe] = app.find("scribe")
        gate = await hold(scribe)
        await scribe.send(Scribe.crash)
        for entry in range(number):
            await scribe.send(Scribe.note, entry)
        gate.open()
        await at_rest()
    messages = "1 waiting message" if number == 1 else "2 waiting messages"
    kept = "they are kept where restart= brings it back"
    assert lost(events)[1:] == [f"app/scribe: {messages} dropped, as no life follows the crash; {kept}"]


async def test_what_is_lost_after_the_last_word_is_said_at_once() -> None:
    events: list[Event] = []
    mailbox, scribe = open_mailbox(Scribe, capacity=1, overflow="drop_newest", listener=events.append)
    scribe._mailbox.mailbox.dead_letters.end()
    for entry in range(3):
        await scribe.send(Scribe.note, entry)
    assert [text.partition(": the mailbox")[0] for text in lost(events)] == [
        "scribe: Scribe.note(int) is lost",
        "scribe: Scribe.note(int) is lost",
    ]
    mailbox.close()


async def test_a_mailbox_by_hand_says_it_with_the_next_one() -> None:
    events: list[Event] = []
    mailbox, scribe = open_mailbox(Scribe, capacity=1, overflow="drop_newest", listener=events.append)
    for entry in range(4):
        await scribe.send(Scribe.note, entry)
    await anyio.sleep(61)
    await scribe.send(Scribe.note, "late")
    assert [text.partition(": the mailbox")[0] for text in lost(events)] == [
        "scribe: Scribe.note(int) is lost",
        "scribe: 2 more lost, first Scribe.note(int)",
        "scribe: Scribe.note(str) is lost",
    ]
    mailbox.close()
    assert "scribe: 1 waiting message dropped at the stop" in lost(events)[-1]


async def test_a_refused_send_is_no_loss() -> None:
    events: list[Event] = []
    async with Supervisor("app", busy(capacity=1), listener=events.append) as app:
        gate = await hold(app.find("scribe"))
        app.find("scribe").try_send(Scribe.note, 1)
        with pytest.raises(MailboxFull):
            app.find("scribe").try_send(Scribe.note, 2)
        gate.open()
        await at_rest()
    assert lost(events) == []
