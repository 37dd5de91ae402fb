"""Log records that say whose they are.

Tested: actor, id, incarnation, trace and span on records of handlers, nursery tasks, child tasks, worker threads, hooks and
factories, on both backends; life-cycle events, whose actor is the one that they are about, written without any sampling;
JSON that stays one line whatever is logged; redaction.
"""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import anyio
import anyio.to_thread
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from supervise import Intensity, Restart, Supervisor, concurrent, current
from supervise.events import (
    AddressDropped,
    Admitted,
    Asked,
    Blocked,
    DeadLetter,
    Decided,
    Event,
    Frame,
    Late,
    LinkDown,
    LinkUp,
    Lost,
    Overran,
    Raised,
    Refused,
    Started,
    StartFailed,
    Starting,
    Stopped,
    Stuck,
    as_dict,
)
from supervise.journal.bus import Bus
from supervise.telemetry.logs import LONGEST, ActorFilter, JsonFormatter, json_handler
from supervise_strategies.directives import Action, Cause, Decision
from supervise_strategies.exit_reason import NORMAL, ExitKind, ExitReason
from tests.doubles import Boom
from tests.real_clock import on_the_real_clock

log = logging.getLogger("tests.telemetry.app")
CRASH = ExitReason(ExitKind.CRASHED, "Boom: no")
DECISION = Decision(Action.RESTART, "a", 1, CRASH, "permanent", 1, 3, 5.0, 0.1, ("a", "b"), 17.0)
EVENTS: list[Event] = [
    Starting("app/a", 1, 5.0, (Frame("a.py", 3, "A.b"),), "do this"),
    Started("app/a", 1),
    StartFailed("app/a", 2, CRASH, ignored=False),
    Stopped("app/a", 1, CRASH, 3, Cause.SELF, (Frame("a.py", 3, "A.b"),)),
    Decided("app/a", "app", DECISION),
    Overran("app/a", 1),
    DeadLetter("app/a", "A.b(1)", "in hand"),
    Lost("app/a", 3, "A.b(1)", "in hand", "redeliver= tries it again"),
    Raised("app/a", 1, "A.b(1)", "Boom: no", "expected"),
    AddressDropped("a"),
    Asked("app/a", "ada", "restart it"),
    Late("app/a", 1, "A.b(1)", 30.0, (Frame("a.py", 3, "A.b"),)),
    Blocked("app/a", 1, "A.b", 1.0, (Frame("a.py", 3, "A.b"),)),
    Stuck("app/a", 1, "A.b(1)", 60.0, (Frame("a.py", 3, "A.b"),)),
    LinkUp("app/a", 1, "tcp://shop:7000", "shop.example", "gate"),
    LinkDown("app/a", 1, "ConnectionLost: no", 3, 1),
    Admitted("app/a", "10.0.0.7:4711", "", "web"),
    Refused("app/a", "10.0.0.7:4711", "web", "admit says no"),
]


class Records:
    """What was logged, as JSON reads it."""

    def __init__(self) -> None:
        self._stream = io.StringIO()
        self.handler = json_handler(self._stream)

    @property
    def all(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._stream.getvalue().splitlines()]

    def saying(self, message: str) -> dict[str, Any]:
        [record] = [record for record in self.all if record["message"] == message]
        return record


@pytest.fixture
def records() -> Iterator[Records]:
    heard = Records()
    root, ours = logging.getLogger(), logging.getLogger("supervise")
    level = root.level, ours.level
    root.addHandler(heard.handler)
    root.setLevel(logging.DEBUG)
    yield heard
    root.removeHandler(heard.handler)
    root.setLevel(level[0])
    ours.setLevel(level[1])


class Chatty:
    """Logs from everywhere that an actor has code in."""

    def __init__(self) -> None:
        log.info("in the factory")

    async def __aenter__(self) -> Chatty:
        log.info("in the enter hook")
        return self

    async def __aexit__(self, *_: object) -> None:
        log.info("in the exit hook")

    async def talk(self) -> int:
        log.info("in a handler")
        async with anyio.create_task_group() as group:
            group.start_soon(self._aside, "in a child task")
        done = anyio.Event()
        current().nursery.start_soon(self._aside, "in a nursery task", done)
        await done.wait()
        return current().address.id

    async def _aside(self, text: str, done: anyio.Event | None = None) -> None:
        log.info(text)
        if done is not None:
            done.set()

    @concurrent
    async def talk_beside(self) -> None:
        log.info("in a concurrent handler")

    async def work_elsewhere(self) -> None:
        await anyio.to_thread.run_sync(log.info, "in a worker thread")

    async def crash(self) -> None:
        raise Boom("no")


PLACES = [
    "in the factory",
    "in the enter hook",
    "in a handler",
    "in a child task",
    "in a nursery task",
    "in a concurrent handler",
    "in the exit hook",
]


@pytest.mark.anyio
async def test_a_record_says_which_actor_and_which_incarnation_wherever_it_was_made(records: Records) -> None:
    ids: list[int] = []
    async with Supervisor("app") as app:
        chatty = await app.start(Chatty)
        ids.append(await chatty.call(Chatty.talk))
        await chatty.call(Chatty.talk_beside)
    for place in PLACES:
        record = records.saying(place)
        assert (record["actor"], record["actor_id"], record["incarnation"]) == ("app/chatty", *ids, 1), place


@pytest.mark.anyio
async def test_the_next_incarnation_logs_as_such_and_outside_of_an_actor_there_is_none(records: Records) -> None:
    async with Supervisor("app") as app:
        chatty = await app.start(Chatty)
        await chatty.send(Chatty.crash)
        await chatty.call(Chatty.talk)
        log.info("outside")
    assert records.saying("in a handler")["incarnation"] == 2
    assert not {"actor", "actor_id", "incarnation"} & set(records.saying("outside"))


@pytest.mark.anyio
@on_the_real_clock
async def test_a_worker_thread_logs_as_the_actor_that_waits_for_it(records: Records) -> None:
    async with Supervisor("app") as app:
        await (await app.start(Chatty)).call(Chatty.work_elsewhere)
    assert records.saying("in a worker thread")["actor"] == "app/chatty"


class Traced:
    async def handle(self) -> str:
        with TracerProvider(shutdown_on_exit=False).get_tracer("t").start_as_current_span("process") as span:
            async with anyio.create_task_group() as group:
                group.start_soon(self._below)
            return f"{span.get_span_context().trace_id:032x} {span.get_span_context().span_id:016x}"

    async def _below(self) -> None:
        log.info("traced")


@pytest.mark.anyio
async def test_a_record_names_the_span_that_it_was_made_in(records: Records) -> None:
    ids: list[str] = []
    async with Supervisor("app") as app:
        ids.append(await (await app.start(Traced)).call(Traced.handle))
    record = records.saying("traced")
    assert [f"{record['trace_id']} {record['span_id']}"] == ids


@pytest.mark.anyio
async def test_life_cycle_events_are_records_of_the_actor_that_they_are_about_though_no_trace_is_sampled(
    records: Records,
) -> None:
    tracer = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False).get_tracer("t")
    with tracer.start_as_current_span("unsampled"):
        async with Supervisor("app", intensity=Intensity(3)) as app:
            chatty = await app.start(Chatty, restart=Restart.permanent())
            await chatty.send(Chatty.crash)
            await chatty.call(Chatty.talk)
    of = {(r["event"]["event"], r.get("actor"), r.get("incarnation")): r for r in records.all if "event" in r}
    crashed = of["Stopped", "app/chatty", 1]
    assert (crashed["level"], crashed["logger"]) == ("ERROR", "supervise")
    assert crashed["event"]["reason"] == {"kind": "crashed", "detail": "Boom: no"}
    assert crashed["event"]["frames"][-1].endswith("in Chatty.crash")
    decided = of["Decided", "app/chatty", 1]
    assert (decided["event"]["action"], decided["event"]["used"], decided["event"]["supervisor"]) == ("restart", 1, "app")
    assert ("Started", "app/chatty", 2) in of
    assert ("Stopped", "app", 1) in of  # told in some task, and about the supervisor


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_every_event_is_a_record_with_its_path_and_its_values(event: Event, records: Records) -> None:
    Bus(lambda error: None).publish(event)
    [record] = records.all
    assert record["message"] == str(event)
    assert record["level"] == logging.getLevelName(event.level)
    assert record["actor"] == event.path
    assert record.get("incarnation", 0) == getattr(event, "incarnation", 0)
    assert record["event"]["event"] == type(event).__name__
    assert json.loads(json.dumps(as_dict(event))) == as_dict(event)


def test_the_list_of_events_is_whole() -> None:
    assert {type(event) for event in EVENTS} == set(Event.__args__)


def test_a_give_up_is_an_error_and_a_restart_a_warning() -> None:
    gave_up = Decided("app/a", "app", DECISION._replace(action=Action.GIVE_UP))
    left = Decided("app/a", "app", DECISION._replace(action=Action.LEAVE, reason=NORMAL))
    assert [event.level for event in (gave_up, EVENTS[3], left)] == [logging.ERROR, logging.WARNING, logging.DEBUG]


# -- JSON --------------------------------------------------------------------------------------------------------------------


def formatted(formatter: JsonFormatter, message: str, args: tuple[Any, ...], **fields: Any) -> dict[str, Any]:
    record = logging.LogRecord("app", logging.INFO, "app.py", 1, message, args, None)
    vars(record).update(fields)
    line = formatter.format(record)
    assert "\n" not in line
    assert line.isascii()
    found: dict[str, Any] = json.loads(line)
    return found


class Unprintable:
    def __repr__(self) -> str:
        raise Boom

    __str__ = __repr__


def test_whatever_is_logged_is_one_line_of_json() -> None:
    circle: list[Any] = []
    circle.append(circle)
    found = formatted(
        JsonFormatter(),
        "two\nlines \ud800 \x1b[31m %s",
        ("x",),
        nothing=None,
        infinite=float("inf"),
        circle=circle,
        unprintable=Unprintable(),
        nested={1: (2, {"a": {1, 2}})},
        long="x" * 10_000,
    )
    assert found["message"] == "two\nlines \ud800 \x1b[31m x"
    assert found["extra"]["infinite"] == "inf"
    assert found["extra"]["nothing"] is None
    assert found["extra"]["unprintable"].startswith("<Unprintable")
    assert found["extra"]["nested"]["1"][0] == 2
    assert len(found["extra"]["long"]) == LONGEST
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00", found["time"])


@pytest.mark.parametrize(("message", "args"), [("%s and %s", ("one",)), ("%s", (Unprintable(),)), ("%d", ("x",))])
def test_arguments_that_do_not_fit_are_said_and_raise_nothing(message: str, args: tuple[Any, ...]) -> None:
    assert formatted(JsonFormatter(), message, args)["message"].startswith(f"{message} <its arguments don't fit:")


def test_an_exception_is_there_as_text(records: Records) -> None:
    try:
        raise Boom("no")
    except Boom:
        log.exception("failed")
    assert records.saying("failed")["exception"].endswith("tests.doubles.Boom: no")


def hide(text: str) -> str:
    return re.sub(r"\d{4,}", "****", text)


def test_redaction_reaches_every_text_and_leaves_ids_alone() -> None:
    letter = DeadLetter("app/a", "Card.charge('41111111')", "it had 41111111")
    try:
        raise Boom("card 41111111")
    except Boom as error:
        failed = type(error), error, error.__traceback__
    found = formatted(
        JsonFormatter(redact=hide), "%s", (letter,), exc_info=failed, card={"41111111": ["41111111"]}, trace_id="9" * 32
    )
    assert "41111111" not in json.dumps(found)
    assert found["message"] == "app/a: dead letter Card.charge('****'): it had ****"
    assert found["event"]["message"] == "Card.charge('****')"
    assert found["trace_id"] == "9" * 32


def fails(text: str) -> str:
    raise Boom(text)


def returns_nothing(text: str) -> Any:
    return None


@pytest.mark.parametrize(("redact", "why"), [(fails, "raised Boom"), (returns_nothing, "returned NoneType")])
def test_a_redaction_that_fails_leaves_the_text_out(redact: Any, why: str) -> None:
    assert formatted(JsonFormatter(redact=redact), "secret", ())["message"] == f"<left out: redact {why}>"


def test_a_redaction_that_is_none_is_refused() -> None:
    wrong: Any = "card"
    with pytest.raises(TypeError, match="redact='card': give a function"):
        JsonFormatter(redact=wrong)


def test_a_format_string_can_name_the_fields_outside_of_an_actor_too() -> None:
    record = logging.LogRecord("app", logging.INFO, "app.py", 1, "hello", (), None)
    assert ActorFilter().filter(record)
    formatter = logging.Formatter("%(actor)s|%(actor_id)d|%(incarnation)d|%(trace_id)s|%(span_id)s|%(message)s")
    assert formatter.format(record) == "|0|0|||hello"


def test_a_file_is_appended_to(tmp_path: Any) -> None:
    for text in ("one", "two"):
        handler = json_handler(tmp_path / "app.jsonl")
        handler.handle(logging.LogRecord("app", logging.INFO, "app.py", 1, text, (), None))
        handler.close()
    assert [json.loads(line)["message"] for line in (tmp_path / "app.jsonl").read_text().splitlines()] == ["one", "two"]
