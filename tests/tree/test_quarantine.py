"""A child that always crashes in the same way is left down, while its siblings live; and the same crash is told once.

Tested:
- SEMANTICS 52: fingerprints, quarantine, one line with a count
- SEMANTICS 13, 85: what its mailbox does then, and the word for it
"""

from __future__ import annotations

import copy
import json
import logging
from typing import Any

import anyio
import pytest
from tenacity import wait_fixed

from supervise import (
    ActorCrashed,
    ActorStopped,
    DynamicSupervisor,
    Intensity,
    InvalidSpec,
    Restart,
    Supervisor,
    child,
    current,
)
from supervise.events import DeadLetter, Decided, Event, Stopped
from supervise.frame import MOST as MOST_FRAMES
from supervise.frame import frames_of
from supervise.health import health
from supervise.journal.crash_log import MOST, WINDOW, CrashLog
from supervise.journal.fingerprint import fingerprint_of
from supervise.testing.virtual_time import at_rest
from supervise.tree.explanation import explain_description
from tests.doubles import Boom

pytestmark = pytest.mark.anyio


class Parser:
    async def parse(self, text: str) -> int:
        return self.number(text)

    def number(self, text: str) -> int:
        return int(text)

    async def other(self) -> None:
        raise Boom("else")

    def builtin(self, text: str) -> None:
        json.loads(text)


async def poison(app: Any, path: str = "parser", handler: Any = Parser.parse, *args: Any) -> None:
    await app.find(path).send(handler, *(args or ("x",)))
    await at_rest()


@pytest.mark.parametrize("strategy", ["one_for_one", "one_for_all", "rest_for_one"])
async def test_it_is_left_down_after_the_nth_and_its_siblings_live(strategy: Any) -> None:
    events: list[Event] = []
    tree = Supervisor(
        "app",
        child(Parser, quarantine=3),
        child(Parser, name="other"),
        strategy=strategy,
        intensity=Intensity(1, per=60),
        listener=events.append,
    )
    async with tree as app:
        for _ in range(3):
            await poison(app)
        assert [each.state.value for each in app.which_children()] == ["stopped", "running"]
        with pytest.raises(ActorStopped, match=r"app/parser is stopped.*restart_child\(\)"):
            await app.find("parser").call(Parser.parse, "1")
        assert await app.find("other").call(Parser.parse, "1") == 1
        decided = [event for event in events if isinstance(event, Decided)]
        assert "quarantine=3: 3 crashes in a row of one kind -> not restarted" in str(decided[-1])
        where = decided[-1].decision.fingerprint
        assert where.startswith("ValueError at Parser.number (")
        assert where == decided[0].decision.fingerprint
        assert "< Parser.parse (" in where
        told = f"systematic: 3 crashes in a row, each {where}"
        assert told in str(app.get_childspec("parser").last)
        assert told in app.explain("parser").note
        (line,) = health(app).why
        assert line.startswith(
            "app/parser is stopped: gave_up (systematic: 3 crashes in a row, each ValueError at Parser.number ("
        )
        assert await app.operator("ada").restart("parser") is True
        assert await app.find("parser").call(Parser.parse, "7") == 7


async def test_what_waits_becomes_dead_letters_and_a_call_in_hand_has_its_crash() -> None:
    events: list[Event] = []
    async with Supervisor("app", child(Parser, quarantine=1), listener=events.append) as app:
        parser = app.find("parser")
        parser.pause()
        for text in ("x", "1", "2"):
            await parser.send(Parser.parse, text)
        parser.resume()
        await at_rest()
        assert len([event for event in events if isinstance(event, DeadLetter)]) == 3
    async with Supervisor("app", child(Parser, quarantine=1)) as app:
        with pytest.raises(ActorCrashed, match="invalid literal"):
            await app.find("parser").call(Parser.parse, "x")


async def test_other_crashes_and_a_healthy_life_begin_a_new_row() -> None:
    async with Supervisor("app", child(Parser, quarantine=2), intensity=Intensity(99)) as app:
        rows: list[tuple[Any, tuple[str, ...]]] = [(Parser.parse, ("x",)), (Parser.other, ()), (Parser.parse, ("x",))]
        for handler, args in rows:
            await app.find("parser").send(handler, *args)
            await at_rest()
        await anyio.sleep(5)
        await poison(app)
        assert app.get_childspec("parser").state.value == "running"
        assert app.get_childspec("parser").alike == 1
        await poison(app)
        assert app.get_childspec("parser").state.value == "stopped"


async def test_under_a_dynamic_supervisor_it_stays_listed_and_can_be_restarted_and_terminated() -> None:
    async with DynamicSupervisor("app") as app:
        parser = await app.start(Parser, quarantine=1, restart="permanent")
        await poison(app)
        assert [each.state.value for each in app.which_children()] == ["stopped"]
        await app.operator("ada").restart("parser")
        assert await parser.call(Parser.parse, "1") == 1
        await poison(app)
        await app.terminate_child(parser)
        assert app.which_children() == []


async def test_a_restart_of_the_supervisor_lifts_it_and_a_siblings_group_restart_does_not() -> None:
    below = Supervisor("below", child(Parser, quarantine=1), child(Parser, name="other"), strategy="one_for_all")
    async with Supervisor("app", below) as app:
        await poison(app, "below/parser")
        await poison(app, "below/other")
        states = [each.state.value for each in app.supervisor("below").which_children()]
        assert states == ["stopped", "running"]
        app.kill("below")
        await at_rest()
        assert [each.state.value for each in app.supervisor("below").which_children()] == ["running", "running"]


async def test_failed_starts_are_no_step_of_it() -> None:
    down = anyio.Event()

    def build() -> Parser:
        if down.is_set() and anyio.current_time() < 10:
            raise Boom("down")
        return Parser()

    patient = Restart.permanent(wait=wait_fixed(1))
    async with Supervisor("app", child(build, name="parser", quarantine=2, restart=patient)) as app:
        await poison(app)
        down.set()
        await anyio.sleep(20)
        info = app.get_childspec("parser")
        assert (info.state.value, info.alike) == ("running", 1)
        assert info.restarts > 5


# -- which crash it was -----------------------------------------------------------------------------------------------------


def caught(function: Any, *args: Any) -> BaseException:
    try:
        function(*args)
    except BaseException as error:
        return error
    raise AssertionError("it raised nothing")


def test_a_fingerprint_is_the_type_and_the_three_innermost_lines_of_ones_own() -> None:
    def outermost(text: str) -> int:
        return outer(text)

    def outer(text: str) -> int:
        return inner(text)

    def inner(text: str) -> int:
        return innermost(text)

    def innermost(text: str) -> int:
        return int(text)

    one, two = fingerprint_of(caught(outermost, "x")), fingerprint_of(caught(outermost, "y"))
    assert one == two, "the text of the exception is no part of it"
    parts = one.removeprefix("ValueError at ").split(" < ")
    assert [part.partition(" ")[0].rpartition(".")[2] for part in parts] == ["innermost", "inner", "outer"]
    assert fingerprint_of(caught(inner, "x")) != one
    assert fingerprint_of(caught(outermost, None)).startswith("TypeError at ")


def test_lines_of_the_standard_library_are_nobodys_own() -> None:
    found = fingerprint_of(caught(Parser().builtin, "{"))
    assert found.startswith("JSONDecodeError at Parser.builtin (")
    assert "decoder.py" not in found


class Slow:
    """Its handlers take too long, and so have no line at which they crash."""

    async def one(self) -> None:
        await anyio.sleep(10)

    async def two(self) -> None:
        await anyio.sleep(10)


POP: Any = getattr(dict, "pop")  # noqa: B009 - without its overloads
GET: Any = getattr(dict, "__getitem__")  # noqa: B009

# Whose crash has no line of one's own, the messages that cause one, and the fingerprints that they have.
WITHOUT_A_LINE: list[tuple[Any, list[tuple[Any, ...]], list[str]]] = [
    (child(Slow, name="it", handler_deadline=1, quarantine=2), [(Slow.one,), (Slow.two,)], ["HandlerLate in Slow.one"]),
    (child(dict[str, int], name="it", quarantine=2), [(POP, "x"), (GET, "x")], ["KeyError in dict.pop"]),
]


@pytest.mark.parametrize(("described", "messages", "known"), WITHOUT_A_LINE)
async def test_without_a_line_of_ones_own_it_is_the_type_and_the_handler(
    described: Any, messages: list[tuple[Any, ...]], known: list[str]
) -> None:
    events: list[Event] = []
    async with Supervisor("app", described, intensity=Intensity(99), listener=events.append) as app:
        for message in (*messages, *messages, messages[-1]):
            assert app.get_childspec("it").state.value == "running"
            await app.find("it").send(*message)
            await anyio.sleep(2)
        assert app.get_childspec("it").state.value == "stopped"
        found = [event.fingerprint for event in events if isinstance(event, Stopped) and event.reason.abnormal]
        assert found[0] == known[0]
        assert found[:2] == found[2:4]
        assert found[0] != found[1] == found[-1]


async def test_what_would_be_such_a_crash_again_is_explained_as_one_like_the_last() -> None:
    described: Any = child(dict[str, int], name="it", quarantine=2)
    async with Supervisor("app", described, child(dict[str, int], name="other")) as app:
        await app.find("it").send(POP, "x")
        await at_rest()
        with pytest.raises(ActorCrashed) as raised:
            await app.find("other").call(POP, "x")
        assert "quarantine" in str(app.explain("it", error=raised.value.__cause__))
        assert "quarantine" in str(app.explain("it", error=KeyError("of the same type, and never raised")))
        assert "quarantine" not in str(app.explain("it", error=caught(Parser().number, "x")))
        assert "quarantine" not in str(app.explain("it", error=ValueError("of another type, and never raised")))


async def test_the_first_crash_is_explained_too_of_a_tree_as_it_is_written_and_of_one_that_runs() -> None:
    described = Supervisor("app", child(Parser, name="it", quarantine=1))
    for error, told in (
        (None, "1 crash in a row)"),
        (ValueError("x"), "1 crash in a row, each ValueError; last: ValueError: x)"),
    ):
        said = f"app: it #1 ended: gave_up (systematic: {told}; quarantine=1: 1 crash in a row of one kind -> not restarted"
        assert str(explain_description(described, "it", error)).splitlines()[0] == said
        async with described as app:
            assert str(app.explain("it", error=error)).splitlines()[0] == said


async def test_a_crash_of_no_message_without_a_line_is_its_type() -> None:
    class Begins:
        async def begin(self) -> None:
            current().nursery.start_soon(json.loads, "{")

    events: list[Event] = []
    async with Supervisor("app", child(Begins, name="it"), listener=events.append) as app:
        await app.find("it").send(Begins.begin)
        await at_rest()
        (ended,) = [event for event in events if isinstance(event, Stopped) and event.reason.abnormal]
        assert ended.fingerprint == "JSONDecodeError"
    assert fingerprint_of(Boom("x")) == "Boom"
    assert fingerprint_of(ExceptionGroup("", [Boom("x"), ValueError()]), Parser.parse) == "Boom in Parser.parse"


def nested(depth: int) -> Any:
    """What can't be copied, behind so many lines of the standard library."""
    found: Any = (each for each in [depth])
    for _ in range(depth):
        found = [found]
    return found


class Copies:
    async def one(self) -> None:
        copy.deepcopy(nested(30))

    async def two(self) -> None:
        copy.deepcopy(nested(30))


async def test_however_deep_a_library_goes_ones_own_lines_are_seen() -> None:
    events: list[Event] = []
    tree = Supervisor("app", child(Copies, quarantine=2), intensity=Intensity(99), listener=events.append)
    async with tree as app:
        for handler in (Copies.one, Copies.two, Copies.one):
            await app.find("copies").send(handler)
            await at_rest()
        assert app.get_childspec("copies").state.value == "running", "they aren't the same"
    ended = [event for event in events if isinstance(event, Stopped) and event.reason.abnormal]
    assert [event.fingerprint.partition(" (")[0] for event in ended] == [
        "TypeError at Copies.one",
        "TypeError at Copies.two",
        "TypeError at Copies.one",
    ]
    frames = ended[0].frames
    assert len(frames) == MOST_FRAMES
    assert "deepcopy" in frames[-1].function
    assert frames[0].function == "Copies.one"
    assert "in Copies.one (" in str(ended[0])


def test_of_many_lines_the_innermost_three_of_ones_own_are_kept_and_the_last() -> None:
    def recurses(depth: int) -> Any:
        return recurses(depth - 1) if depth else copy.deepcopy(nested(30))

    frames = frames_of(caught(recurses, 30))
    assert len(frames) == MOST_FRAMES
    assert [frame.function.rpartition(".")[2] for frame in frames[:4]] == ["recurses"] * 3 + ["deepcopy"]
    assert len({frame.line for frame in frames[:3]}) == 1
    everywhere = frames_of(caught(json.loads, "{"))
    assert everywhere[0].function == "caught"


# -- what is told of the same crash -------------------------------------------------------------------------------------------


async def test_the_same_crash_within_a_minute_is_one_line_with_a_count(caplog: pytest.LogCaptureFixture) -> None:
    events: list[Event] = []
    tree = Supervisor("app", child(Parser), intensity=Intensity(99), listener=events.append)
    caplog.set_level(logging.WARNING, "supervise")
    async with tree as app:
        for _ in range(3):
            await poison(app)
        await app.find("parser").send(Parser.other)
        await at_rest()
        await anyio.sleep(601)
        await poison(app)
    ended = [event for event in events if isinstance(event, Stopped) and event.reason.abnormal]
    assert [event.alike for event in ended] == [1, 2, 3, 1, 1]
    assert all(event.frames for event in ended)
    lines = [text for text in caplog.messages if text.startswith("app/parser #") and "->" not in text]
    assert "in Parser.number (" in lines[0]
    assert lines[1].endswith("; the same crash as before, 2 times within 10 minutes")
    assert lines[2].endswith("; the same crash as before, 3 times within 10 minutes")
    assert "in Parser.number (" in lines[4]


async def test_only_so_many_crashes_are_remembered_and_the_oldest_go_first() -> None:
    log = CrashLog()
    for number in range(2 * MOST):
        assert log.note(f"{number}", 0.0) == 1
    assert len(log._told) == MOST
    assert log.note(f"{2 * MOST - 1}", WINDOW - 1) == 2
    assert log.note("0", 1.0) == 1


def test_what_is_older_than_the_window_is_forgotten_with_the_next_that_is_told() -> None:
    log = CrashLog()
    for number in range(5):
        log.note(f"{number}", 100.0 * number)
    log.note("0", 500.0)  # again, which is no new telling
    log.note("9", 200.0 + WINDOW)
    assert [*log._told] == ["3", "4", "9"]
    assert log.note("3", 200.0 + WINDOW) == 2


async def test_bad_values_are_refused() -> None:
    for value in (0, -1, True, 2.5, "3"):
        wrong: Any = value
        with pytest.raises(InvalidSpec, match="quarantine"):
            child(Parser, quarantine=wrong)
    with pytest.raises(InvalidSpec, match="a temporary child is never restarted"):
        child(Parser, quarantine=3, restart=Restart.temporary())
    for value in (0, -1, True, "3", float("inf")):
        wrong = value
        with pytest.raises(InvalidSpec, match="start_within"):
            child(Parser, start_within=wrong)
