"""Every accepted message has exactly one end, at every instant; dead letters are counted, told, and kept as text.

Tested:
- SEMANTICS 21: accepted = handled + failed + dead-lettered + abandoned + queued + in hand, for each way to end, for the
  tree, and whenever a listener hears anything; dead letters are counted, the last 100 kept as text, nothing is pinned
- SEMANTICS 39: message texts are shortened, and a repr that raises does no harm
"""

from __future__ import annotations

import gc
import weakref
from typing import Any, NoReturn

import anyio
import pytest

from supervise import (
    Account,
    ActorCrashed,
    Address,
    DynamicSupervisor,
    Intensity,
    MailboxFull,
    RunningSupervisor,
    Supervisor,
    UnknownHandler,
    child,
    events,
)
from supervise.testing import virtual_time
from tests.doubles import Gate, Outcomes, Scribe


class Rude:
    """An argument that can't even be shown."""

    def __repr__(self) -> NoReturn:
        raise RuntimeError("no comment")


class Missing:
    async def handler(self) -> None: ...


def divide(_: object, by: int) -> float:
    return 1 / by


SHOWN: list[tuple[Any, tuple[Any, ...], dict[str, Any], str]] = [
    (Scribe.crash, (), {}, "Scribe.crash()"),
    (Scribe.crash, ("x" * 500,), {}, "Scribe.crash('xxx"),
    (Scribe.crash, (Rude(),), {}, "Scribe.crash(<Rude"),
    (Scribe.crash, (), {"text": "by name"}, "Scribe.crash(text='by name')"),
    (Missing.handler, (0, 1, 2, 3, 4, 5), {}, "Missing.handler(0, 1, 2, 3, 4, …)"),
    (divide, (0,), {}, "divide(0)"),
]


@pytest.mark.anyio
async def test_each_end_is_counted_once_and_under_its_own_name() -> None:
    async with Supervisor("app", child(Scribe, expects=(KeyError,))) as app, anyio.create_task_group() as group:
        scribe: Address[Any] = app.find("scribe")

        def expected(_: Scribe) -> None:
            raise KeyError("an answer")

        outcomes = Outcomes(group)
        await scribe.send(Scribe.note, 1)
        assert await scribe.call(Scribe.note, 2) == 2
        assert scribe.account() == Account(accepted=2, handled=2)

        with pytest.raises(KeyError):
            await scribe.call(expected)
        await scribe.send(expected)
        await virtual_time.at_rest()
        assert scribe.account() == Account(accepted=4, handled=2, failed=2)

        with pytest.raises(UnknownHandler):
            await scribe.call(Missing.handler)
        await scribe.send(Missing.handler)
        await virtual_time.at_rest()
        assert scribe.account() == Account(accepted=6, handled=2, failed=3, dead_lettered=1)

        with pytest.raises(ActorCrashed):
            await scribe.call(Scribe.crash)
        await scribe.send(Scribe.crash)
        await virtual_time.at_rest()
        assert scribe.account() == Account(accepted=8, handled=2, failed=4, dead_lettered=2)

        gate = Gate()
        await scribe.send(Scribe.hold, gate)
        with anyio.move_on_after(1):
            await scribe.call(Scribe.note, "gone")
        await scribe.options(timeout=1).send(Scribe.note, "expired")
        await anyio.sleep(2)
        assert scribe.account() == Account(11, handled=2, failed=4, dead_lettered=2, queued=2, in_hand=1)
        gate.open()
        await virtual_time.at_rest()
        assert scribe.account() == Account(11, handled=3, failed=4, dead_lettered=2, abandoned=2)

        other = Gate()
        await scribe.send(Scribe.hold, other)
        await outcomes.watch("queued", scribe.call(Scribe.note, "told"))
        await outcomes.watch("stop", app.terminate_child("scribe"))
        other.open()
        await virtual_time.at_rest()
        assert scribe.account() == Account(13, handled=4, failed=4, dead_lettered=3, abandoned=2)
        assert app.account() == scribe.account()


@pytest.mark.anyio
async def test_a_caller_that_is_gone_when_the_queue_is_discarded_is_abandoned_not_a_dead_letter() -> None:
    async with Supervisor("app") as app, anyio.create_task_group() as group:
        scribe = await app.start(Scribe)
        gate = Gate()
        await scribe.send(Scribe.hold, gate)
        with anyio.move_on_after(1):
            await scribe.call(Scribe.note, "gone")
        await Outcomes(group).watch("stop", app.terminate_child("scribe"))
        gate.open()
        await virtual_time.at_rest()
        assert scribe.account() == Account(2, handled=1, abandoned=1)
        assert app.dead_letter_count == 0


@pytest.mark.anyio
async def test_what_was_refused_isnt_in_the_account() -> None:
    async with Supervisor("app", child(Scribe, capacity=1, overflow="reject")) as app:
        scribe: Address[Scribe] = app.find("scribe")
        gate = Gate()
        await scribe.send(Scribe.hold, gate)
        await gate.reached.wait()
        await scribe.send(Scribe.note, 0)
        for _ in range(5):
            with pytest.raises(MailboxFull):
                await scribe.send(Scribe.note, 1)
        assert scribe.account() == Account(2, queued=1, in_hand=1)
        gate.open()


@pytest.mark.anyio
async def test_the_account_balances_whenever_a_listener_hears_anything() -> None:
    heard: list[tuple[str, Account]] = []
    trees: list[RunningSupervisor] = []

    def listen(event: object) -> None:
        if trees:
            heard.append((type(event).__name__, trees[0].account()))

    def expected(_: Scribe) -> None:
        raise KeyError("an answer")

    async with Supervisor("app", child(Scribe, expects=(KeyError,)), listener=listen) as app:
        trees.append(app)
        scribe: Address[Any] = app.find("scribe")
        await scribe.send(Missing.handler)
        await scribe.send(expected)
        await scribe.send(Scribe.crash)
        await virtual_time.at_rest()
        gate = Gate()
        await scribe.send(Scribe.hold, gate)
        await gate.reached.wait()
        for n in range(5):
            await scribe.send(Scribe.note, n)
        async with anyio.create_task_group() as group:
            await Outcomes(group).watch("stop", app.terminate_child("scribe"))
            gate.open()
    assert [name for name, _ in heard].count("DeadLetter") == 7
    assert {"Raised", "Stopped", "Decided", "Started"} < {name for name, _ in heard}
    assert [entry for entry in heard if not entry[1].balanced] == []


@pytest.mark.anyio
async def test_the_trees_account_is_the_sum_of_all_there_were() -> None:
    inner = DynamicSupervisor("inner")
    async with Supervisor("app", child(Scribe), inner) as app:
        for _ in range(5):
            scribe = await app.supervisor(inner).start(Scribe)
            await scribe.call(Scribe.note, 1)
            await app.supervisor(inner).terminate_child(scribe)
        await app.find("scribe").call(Scribe.note, 1)
        assert app.supervisor(inner).account() == Account(5, handled=5)
        assert app.account() == Account(6, handled=6)


# -- dead letters ------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_dead_letter_says_whose_it_was_what_it_said_and_why() -> None:
    letters: list[events.DeadLetter] = []

    def listen(event: object) -> None:
        if isinstance(event, events.DeadLetter):
            letters.append(event)

    async with Supervisor("app", Supervisor("inner", child(Scribe)), listener=listen, log_arguments=True) as app:
        scribe: Address[Scribe] = app.find("inner/scribe")
        await scribe.send(Scribe.crash, "out of ink")
        await virtual_time.at_rest()
        (letter,) = letters
        assert app.dead_letters() == [letter]
        assert (letter.path, letter.message) == ("app/inner/scribe", "Scribe.crash('out of ink')")
        assert "in hand when #1 ended: crashed (Boom: out of ink)" in letter.why
        assert str(letter) == f"app/inner/scribe: dead letter Scribe.crash('out of ink'): {letter.why}"


@pytest.mark.anyio
async def test_all_dead_letters_are_counted_and_the_last_hundred_are_kept() -> None:
    async with Supervisor("app", child(Scribe, capacity=200), log_arguments=True) as app:
        scribe: Address[Scribe] = app.find("scribe")
        gate = Gate()
        await scribe.send(Scribe.hold, gate)
        await gate.reached.wait()
        for n in range(150):
            scribe.try_send(Scribe.note, n)
        async with anyio.create_task_group() as group:
            await Outcomes(group).watch("stop", app.terminate_child("scribe"))
            gate.open()
        assert app.dead_letter_count == scribe.account().dead_lettered == 150
        assert [letter.message for letter in app.dead_letters()] == [f"Scribe.note({n})" for n in range(50, 150)]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("handler", "args", "kwargs", "text"), SHOWN, ids=lambda value: value if isinstance(value, str) else ""
)
async def test_the_text_of_a_message_is_short_whatever_its_arguments(handler: Any, args: Any, kwargs: Any, text: str) -> None:
    async with Supervisor("app", log_arguments=True) as app:
        scribe: Any = await app.start(Scribe)
        await scribe.send(handler, *args, **kwargs)
        await virtual_time.at_rest()
        (letter,) = app.dead_letters()
        assert len(letter.message) < 120
        assert letter.message.startswith(text)


class Cargo:
    """Something that can be watched going away."""


@pytest.mark.anyio
async def test_dead_letters_and_ended_messages_pin_nothing() -> None:
    heard: list[object] = []
    kinds = ["handled", "crash", "unknown", "expired", "gone", "discarded"]
    async with Supervisor("app", child(Scribe), listener=heard.append) as app:
        scribe: Address[Any] = app.find("scribe")
        cargo = {kind: Cargo() for kind in kinds}
        watched = {kind: weakref.ref(thing) for kind, thing in cargo.items()}

        async def keep_nothing(_: Scribe, thing: Cargo) -> str:
            return type(thing).__name__

        async def crash(_: Scribe, thing: Cargo) -> None:
            raise RuntimeError(type(thing).__name__)

        await scribe.send(keep_nothing, cargo.pop("handled"))
        await scribe.send(crash, cargo.pop("crash"))
        unknown: Any = Missing.handler
        await scribe.send(unknown, cargo.pop("unknown"))
        await virtual_time.at_rest()
        gate = Gate()
        await scribe.send(Scribe.hold, gate)
        await scribe.options(timeout=1).send(keep_nothing, cargo.pop("expired"))
        with anyio.move_on_after(1):
            await scribe.call(keep_nothing, cargo.pop("gone"))
        await anyio.sleep(2)
        gate.open()
        await virtual_time.at_rest()
        gate = Gate()
        await scribe.send(Scribe.hold, gate)
        await gate.reached.wait()
        await scribe.send(keep_nothing, cargo.pop("discarded"))
        async with anyio.create_task_group() as group:
            await Outcomes(group).watch("stop", app.terminate_child("scribe"))
            gate.open()
        gc.collect()
        assert [kind for kind in kinds if watched[kind]() is not None] == []
        assert app.dead_letter_count == 3


@pytest.mark.anyio
async def test_a_listener_that_raises_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def listen(event: object) -> None:
        raise ValueError("deaf")

    async with Supervisor("app", child(Scribe), listener=listen, intensity=Intensity(9, per=5)) as app:
        scribe: Address[Scribe] = app.find("scribe")
        await scribe.send(Scribe.crash)
        assert await scribe.call(Scribe.note, 1) == 1
        assert app.dead_letter_count == 1
    assert "raised at event" in caplog.text
