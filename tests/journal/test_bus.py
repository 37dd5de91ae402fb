"""Whoever hears of events finds every state whole, may call anything that is public, and harms nobody.

Tested (SEMANTICS 65): accounts and lists at each kind of event; each public call from a listener, a subscriber of events and a
log handler; what a listener causes isn't told to itself; what is raised is logged, or lost in silence, but ends nothing.
"""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import anyio
import pytest

from supervise import Address, Intensity, RunningSupervisor, SuperviseError, Supervisor, child
from supervise.events import Event, Lost, Stopped
from supervise.testing import virtual_time
from supervise_strategies import StrategyError
from tests.doubles import Boom, Scribe, fill

pytestmark = pytest.mark.anyio


@contextmanager
def _logging_to(function: Callable[[logging.LogRecord], object]) -> Generator[None]:
    handler = logging.Handler(logging.DEBUG)
    handler.emit = function  # type: ignore[method-assign, assignment]
    logger = logging.getLogger("supervise")
    level = logger.level
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


async def _play(app: RunningSupervisor) -> None:
    """Something of everything: dead letters, a crash, a stop, a start, an end."""
    scribe: Address[Scribe] = app.find("scribe")
    gate = await fill(scribe, 1, 2)
    for n in range(3):  # the oldest is dropped
        await scribe.send(Scribe.note, n)
    await scribe.send(Scribe.crash)
    gate.open()
    await virtual_time.at_rest()
    gate = await fill(scribe, 1, 2, 3)
    scribe.drop(lambda _: True)  # three at once
    gate.open()
    another = await app.start(Scribe, name="another")
    await another.send(Scribe.crash)
    await virtual_time.at_rest()
    await app.terminate_child("another")
    await app.restart_child("another")
    await app.find("scribe").call(Scribe.note, 1)


def _tree(**options: Any) -> Supervisor:
    first = child(Scribe, capacity=3, overflow="drop_oldest")
    return Supervisor("app", first, child(Scribe, name="other"), intensity=Intensity(100), **options)


async def test_at_each_event_the_state_is_whole() -> None:
    kinds: set[str] = set()
    wrong: list[str] = []
    async with _tree() as app:
        scribe: Address[Scribe] = app.find("scribe")

        def listener(event: Event) -> None:
            kinds.add(type(event).__name__)
            account = scribe.account()
            settled = account.handled + account.failed + account.dead_lettered + account.abandoned
            if account.accepted != settled + account.queued + account.in_hand:
                wrong.append(f"{event}: {account}")
            if len(scribe) > 3:
                wrong.append(f"{event}: {len(scribe)} wait")
            names = [info.id for info in app.which_children()]
            if names != [*dict.fromkeys(names)] or sum(app.count_children()[:2]) < app.count_children().active:
                wrong.append(f"{event}: {names}")
            for info in app.which_children():
                running = app.find(info.id)._mailbox.turn is not None
                if running and info.state.value in ("stopped", "restarting", "waiting"):
                    wrong.append(f"{event}: {info.id} lives and is {info.state.value}")

        app.subscribe(listener)
        await _play(app)
    assert wrong == []
    assert kinds >= {"Started", "Stopped", "Decided", "DeadLetter"}


def _pause_and_resume(_: RunningSupervisor, other: Address[Scribe]) -> None:
    other.pause()
    other.resume()


CALLS: dict[str, Callable[[RunningSupervisor, Address[Scribe]], Any]] = {
    "try_send": lambda app, other: other.try_send(Scribe.note, "heard"),
    "pause, resume": _pause_and_resume,
    "drop": lambda app, other: other.drop(lambda _: True),
    "take": lambda app, other: other.take(lambda _: True),
    "peek": lambda app, other: other.peek(),
    "account": lambda app, other: (other.account(), app.account()),
    "clone, close": lambda app, other: other.clone().close(),
    "subscribe": lambda app, other: app.subscribe(lambda _: None)(),
    "events": lambda app, other: app.events(),
    "explain": lambda app, other: str(app.explain("scribe")),
    "which_children": lambda app, other: (app.which_children(), app.count_children(), app.get_childspec("other")),
    "find": lambda app, other: app.find("scribe").path,
    "dead_letters": lambda app, other: (app.dead_letters(), app.dead_letter_count),
    "kill": lambda app, other: other.kill(),
    "kill by path": lambda app, other: app.kill("other"),
    "kill_all": lambda app, other: app.kill_all(),
    "log": lambda app, other: logging.getLogger("supervise").warning("heard"),
    "options": lambda app, other: other.options(timeout=1.0).try_send(Scribe.note, "heard"),
    "from_thread": lambda app, other: other.from_thread.send(Scribe.note, 1),
}
calls = pytest.mark.parametrize("call", list(CALLS))


@calls
@pytest.mark.parametrize("from_where", ["listener", "log handler"])
async def test_any_public_call_may_be_made_by_who_hears_of_an_event(call: str, from_where: str) -> None:
    answers: list[Any] = []
    async with _tree() as app:
        other: Address[Scribe] = app.find("other")

        def hear(_: object) -> None:
            if len(answers) < 5:
                mine = len(answers)
                answers.append(None)
                try:
                    answers[mine] = CALLS[call](app, other) or True
                except (SuperviseError, StrategyError) as error:
                    answers[mine] = error

        try:
            if from_where == "listener":
                app.subscribe(hear)
                await _play(app)
            else:
                with _logging_to(hear):
                    await _play(app)
        except (SuperviseError, StrategyError):
            assert call == "kill_all"
    assert answers
    assert None not in answers
    assert app.ended is not None


async def test_two_listeners_that_answer_each_other_come_to_an_end_and_both_hear_of_the_other() -> None:
    heard: dict[str, list[str]] = {"one": [], "two": []}
    async with Supervisor("app", child(Scribe, capacity=1, overflow="drop_newest"), log_arguments=True) as app:
        scribe: Address[Scribe] = app.find("scribe")
        gate = await fill(scribe, 0)

        def listener(name: str) -> Callable[[Event], None]:
            def hear(event: Event) -> None:
                if not isinstance(event, Lost):  # the first of all is said
                    heard[name].append(str(event))
                    scribe.try_send(Scribe.note, name)  # there is no room: a dead letter, which is an event

            return hear

        for name in heard:
            app.subscribe(listener(name))
        scribe.try_send(Scribe.note, "first")
        gate.open()
        causes = {
            name: [sum(f"'{cause}'" in text for text in texts) for cause in ("first", "one", "two")]
            for name, texts in heard.items()
        }
        assert causes["one"] == [1, 0, 1]
        assert causes["two"] == [1, 1, 0]


async def test_a_listener_that_leaves_while_it_is_told_is_told_no_more_and_the_others_are() -> None:
    heard: list[str] = []
    async with _tree() as app:

        def once(_: Event) -> None:
            heard.append("once")
            leave()

        leave = app.subscribe(once)
        app.subscribe(lambda _: heard.append("always"))
        await _play(app)
    assert heard.count("once") == 1
    assert heard.count("always") > 5


class _Odd(BaseException):
    """Neither an `Exception` nor one that Python knows."""


@pytest.mark.parametrize("error", [Boom, SystemExit, GeneratorExit, _Odd])
@pytest.mark.parametrize("from_where", ["listener", "log handler"])
async def test_what_who_hears_raises_ends_nothing(
    error: type[BaseException], from_where: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: object) -> None:
        raise error

    async with _tree() as app:
        if from_where == "listener":
            app.subscribe(fail)
            await _play(app)
            assert "fail raised" in caplog.text
        else:
            with _logging_to(fail):
                await _play(app)
            assert error.__name__ in capsys.readouterr().err
        assert app.ended is None


@pytest.mark.parametrize("group", [False, True])
async def test_ctrl_c_as_it_is_logged_what_a_listener_raised_passes_up_and_the_change_goes_on(group: bool) -> None:
    def strike(record: logging.LogRecord) -> None:
        if "fail raised" in record.getMessage() and struck:
            raise struck.pop()

    def fail(event: Event) -> None:
        if isinstance(event, Stopped) and event.path == "app/scribe":
            raise Boom

    plain = KeyboardInterrupt()
    struck: list[BaseException] = [BaseExceptionGroup("deep", [ValueError(), plain]) if group else plain]
    kept: list[Address[Scribe]] = []
    heard: list[Event] = []
    with pytest.raises(KeyboardInterrupt), _logging_to(strike):
        async with Supervisor("app", child(Scribe)) as app:
            app.subscribe(fail)
            app.subscribe(heard.append)
            kept.append(app.find("scribe"))
            await kept[0].send(Scribe.crash)
            await anyio.sleep(10)
    assert not struck
    assert next(event.reason.kind for event in heard if isinstance(event, Stopped) and event.path == "app/scribe") == "crashed"
    assert kept[0].account().balanced


async def test_a_listener_isnt_asked_whether_it_is_equal_to_anybody() -> None:
    class Rude:
        def __init__(self) -> None:
            self.heard: list[str] = []

        def __eq__(self, other: object) -> bool:
            raise Boom

        __hash__ = None  # type: ignore[assignment]  # what a class with an __eq__ has

        def __call__(self, event: Event) -> None:
            self.heard.append(type(event).__name__)
            scribe.try_send(Scribe.note, "late")  # an event, caused by it: there is no room

    async with Supervisor("app", child(Scribe, capacity=1, overflow="drop_newest")) as app:
        scribe: Address[Scribe] = app.find("scribe")
        gate = await fill(scribe, 0)
        app.subscribe(rude := Rude())
        scribe.try_send(Scribe.note, "first")
        gate.open()
        await virtual_time.at_rest()
        assert rude.heard[0] == "DeadLetter"


@pytest.mark.parametrize("raises", [False, True])
@pytest.mark.parametrize("stderr", ["open", "closed", "none"])
async def test_a_log_that_fails_is_told_on_standard_error_if_logging_says_so_and_there_is_one(
    raises: bool, stderr: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = io.StringIO()
    if stderr == "closed":
        there.close()
    monkeypatch.setattr(logging, "raiseExceptions", raises)
    monkeypatch.setattr(sys, "stderr", None if stderr == "none" else there)

    def fail(_: object) -> None:
        raise Boom

    async with _tree() as app:
        with _logging_to(fail):
            await _play(app)
        assert app.ended is None
    monkeypatch.undo()
    if stderr == "open":
        assert ("Boom" in there.getvalue()) is raises


async def test_a_listener_that_begins_a_task_which_changes_the_tree_is_served() -> None:
    async with anyio.create_task_group() as group, _tree() as app:
        asked = False

        def listener(_: Event) -> None:
            nonlocal asked
            if not asked:
                asked = True
                group.start_soon(app.terminate_child, "other")

        app.subscribe(listener)
        app.find("scribe").try_send(Scribe.crash)
        await virtual_time.at_rest()
        assert app.get_childspec("other").state.value == "stopped"
