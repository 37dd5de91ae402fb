"""Crashes on purpose.

Tested: the next n messages crash the actor, over its restarts, and no other actor; async and plain handlers, inherited and
overridden ones, private ones, by any function that names them; what is raised; expected errors; several traps; the class is as
it was afterwards; what can't be meant is refused.
"""

from __future__ import annotations

from typing import Any, Protocol

import anyio
import pytest
from tenacity import wait_fixed

from supervise import ActorCrashed, Intensity, InvalidSpec, NotAHandler, Restart, Supervisor, UnknownHandler
from supervise.mailbox.handler import concurrent, table_for
from supervise.testing import Sabotage, assert_story, at_rest, crash_on, record, sabotage
from tests.doubles import Boom, Gate, Scribe

pytestmark = pytest.mark.anyio
PATIENT = Intensity(100, per=1)
NOTE, NOTE_AT_ONCE = vars(Scribe)["note"], vars(Scribe)["note_at_once"]


class Louder(Scribe):
    def note_at_once(self, entry: Any) -> int:
        return super().note_at_once(f"{entry}!")

    async def __secret(self) -> str:
        return "secret"

    secret = __secret


class Notes(Protocol):
    async def note(self, entry: Any) -> int: ...


@pytest.fixture(autouse=True)
def classes_are_as_they_were() -> Any:
    before = [{**vars(kind)} for kind in (Scribe, Louder)]
    yield
    assert [{**vars(kind)} for kind in (Scribe, Louder)] == before
    assert vars(Scribe)["note"] is NOTE
    known: list[Any] = [function for kind in (Scribe, Louder) for function, *_ in table_for(kind).values()]
    assert not [function for function in known if function.__code__.co_filename == sabotage.__file__]


async def test_the_next_messages_crash_the_actor_over_its_restarts_and_then_no_more() -> None:
    async with Supervisor("app", intensity=PATIENT) as app:
        log: list[Any] = []
        scribe = await app.start(Scribe, log, restart=Restart.permanent(wait=wait_fixed(1)))
        events = record(app)
        trap = crash_on(scribe, Scribe.note, times=2)
        await scribe.call(Scribe.note_at_once, "another handler")
        for entry in range(4):
            await scribe.send(Scribe.note, entry)
        assert trap.left == 2
        await trap.wait()
        assert (trap.happened, trap.left) == (2, 0)
        await anyio.sleep(5)
        assert log == ["another handler", 2, 3]
        assert_story(events, "crashed twice with Sabotage, restarted twice, 2 dead letters, still running", of=scribe)


async def test_no_other_actor_of_the_class_is_touched() -> None:
    async with Supervisor("app", intensity=PATIENT) as app:
        one, two = await app.start(Scribe), await app.start(Scribe)
        with crash_on(one, Scribe.note):
            assert await two.call(Scribe.note, "a") == 1
            assert await Scribe.note(Scribe(), "by hand") == 1
            with pytest.raises(ActorCrashed, match=r"scribe #1 .* Scribe\.note in hand: Sabotage: Scribe\.note, on purpose$"):
                await one.call(Scribe.note, "a")


@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize(
    ("named", "sent"),
    [
        (Scribe.note, Scribe.note),
        (Louder.note, Scribe.note),
        (Scribe.note, Notes.note),
        (Notes.note, Scribe.note),
        (Scribe.note_at_once, Louder.note_at_once),
        (Louder.note_at_once, Scribe.note_at_once),
    ],
)
async def test_whatever_names_the_handler_crashes(named: Any, sent: Any, warm: bool) -> None:
    async with Supervisor("app", intensity=PATIENT) as app:
        louder = await app.start(Louder)
        if warm:
            await louder.call(sent, "a")
        with crash_on(louder, named) as trap:
            with pytest.raises(ActorCrashed) as raised:
                await louder.call(sent, "a")
            assert isinstance(raised.value.__cause__, Sabotage)
            assert trap.left == 0
            assert await louder.call(sent, "a") == 1
        assert await louder.call(sent, "a") == 2


async def test_a_private_handler() -> None:
    async with Supervisor("app") as app:
        louder = await app.start(Louder)
        private = vars(Louder)["_Louder__secret"]
        crash_on(louder, private)
        with pytest.raises(ActorCrashed):
            await louder.call(private)
        assert await louder.call(private) == "secret"


async def test_what_is_queued_under_the_stand_ins_name_is_handled_by_the_handler_itself() -> None:
    async with Supervisor("app", intensity=PATIENT) as app:
        scribe = await app.start(Scribe)
        with crash_on(scribe, Scribe.note):
            assert Scribe.note is not NOTE
            for entry in range(3):
                await scribe.send(Scribe.note, entry)
            await at_rest()
        assert Scribe.note is NOTE
        assert await scribe.call(NOTE, "a") == 3


@pytest.mark.parametrize("error", [Boom("here"), Boom, lambda: Boom("there")])
async def test_it_raises_what_it_was_given(error: Any) -> None:
    async with Supervisor("app", intensity=PATIENT) as app:
        scribe = await app.start(Scribe)
        crash_on(scribe, Scribe.note, times=2, error=error)
        for _ in range(2):
            with pytest.raises(ActorCrashed) as raised:
                await scribe.call(Scribe.note, "a")
            assert isinstance(raised.value.__cause__, Boom)


async def test_an_expected_error_is_an_answer_and_no_crash() -> None:
    async with Supervisor("app") as app:
        scribe = await app.start(Scribe, expects=(Boom,))
        events = record(app)
        trap = crash_on(scribe.weak, Scribe.note, error=Boom)
        with pytest.raises(Boom):
            await scribe.call(Scribe.note, "a")
        assert trap.happened == 1
        assert len(events) == 0


async def test_several_traps_on_one_handler() -> None:
    async with Supervisor("app", intensity=PATIENT) as app:
        one, two = await app.start(Scribe), await app.start(Scribe)
        first, second, third = crash_on(one, Scribe.note), crash_on(two, Scribe.note), crash_on(one, Scribe.note)
        first.disarm()
        first.disarm()
        assert first.left == 0
        await first.wait()
        for scribe in (one, two):
            with pytest.raises(ActorCrashed):
                await scribe.call(Scribe.note, "a")
            assert await scribe.call(Scribe.note, "a") == 1
        assert (first.happened, second.happened, third.happened) == (0, 1, 1)
        assert repr(third) == "<Trap on Scribe.note of app/scribe: 1 of 1 happened>"


class Pair:
    @concurrent
    async def meet(self, other: Gate, own: Gate) -> str:
        own.open()
        return await Scribe().hold(other)


async def test_a_concurrent_handler_stays_one() -> None:
    async with Supervisor("app") as app:
        crash_on(await app.start(Pair, name="other"), Pair.meet)
        pair = await app.start(Pair)
        one, two = Gate(), Gate()
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: pair.call(Pair.meet, one, two))
            assert await pair.call(Pair.meet, two, one) == "through"
        crash_on(pair, Pair.meet)
        with pytest.raises(ActorCrashed, match="Sabotage"):
            await pair.call(Pair.meet, one, two)


async def test_what_cant_be_meant_is_refused() -> None:
    async with Supervisor("app") as app:
        scribe = await app.start(Scribe)
        number = await app.start(lambda: [1], name="list")

        def plain(actor: Scribe) -> None: ...

        bad: Any
        with pytest.raises(InvalidSpec, match="handler="):
            crash_on(scribe, plain)
        with pytest.raises(InvalidSpec, match="handler="):
            crash_on(scribe, lambda _: None)
        bad = Scribe().note
        with pytest.raises(NotAHandler):
            crash_on(scribe, bad)
        for bad in (0, True, 1.5):
            with pytest.raises(InvalidSpec, match="times="):
                crash_on(scribe, Scribe.note, times=bad)
        bad = "boom"
        with pytest.raises(InvalidSpec, match="error='boom'"):
            crash_on(scribe, Scribe.note, error=bad)
        bad = Louder.hold
        crash_on(scribe, bad).disarm()
        bad = vars(Louder)["secret"]
        with pytest.raises(UnknownHandler):
            crash_on(scribe, bad)
        with pytest.raises(InvalidSpec, match="can't be changed"):
            crash_on(number, list[int].copy)
        await app.terminate_child("scribe")
        with pytest.raises(RuntimeError, match="app/scribe doesn't run now"):
            crash_on(scribe, Scribe.note)
