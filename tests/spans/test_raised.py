"""What a handler raised, and nobody gets, in log records: in the trace of its message.

Tested: the record of each reason for which the actor lives on (`expects=`, `on_error=`, `isolate=`), of a message that a timer
sends, and of one that has no span of its own; the bus tells nothing else in such a context; durations alone.
"""

from __future__ import annotations

import logging
from typing import Any

import anyio
import pytest
from opentelemetry.sdk.metrics import MeterProvider

from supervise import Supervisor, child, concurrent, current
from supervise.events import Raised, Started
from supervise.telemetry import Metrics, Spans
from supervise.telemetry.logs import ActorFilter, event_of
from supervise.testing.virtual_time import at_rest
from tests.doubles import Boom, Gate

from .watch import Watch

pytestmark = pytest.mark.anyio


class Db:
    async def query(self) -> None:
        raise Boom("no")

    @concurrent
    async def query_beside(self) -> None:
        await anyio.lowlevel.checkpoint()
        raise Boom("no")

    @concurrent(isolate=True)
    async def query_isolated(self) -> None:
        raise KeyError("k")

    async def query_behind(self, gate: Gate) -> None:
        await gate.walk_through()
        raise KeyError("k")

    def later(self) -> None:
        current().after(1, Db.query)


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Any:
    """The trace, the span, the text and the function of each record of such an event."""
    caplog.set_level(logging.DEBUG, "supervise")
    caplog.handler.addFilter(filtered := ActorFilter())

    def of(kind: type = Raised) -> list[tuple[str, str, str, str]]:
        records = [vars(record) | {"text": record.getMessage()} for record in caplog.records if type(event_of(record)) is kind]
        return [(each["trace_id"], each["span_id"], each["text"], each["funcName"]) for each in records]

    yield of
    caplog.handler.removeFilter(filtered)


@pytest.mark.parametrize(
    ("handler", "words", "function"),
    [
        (Db.query, "raised the expected Boom: no", "Db.query"),
        (Db.query_beside, "raised the expected Boom: no", "Db.query_beside"),
        (Db.query_isolated, "raised KeyError: 'k' in Db.query_isolated (", "Db.query_isolated"),
    ],
)
async def test_of_a_send_it_is_said_in_the_span_of_its_handler(
    handler: Any, words: str, function: str, watch: Watch, said: Any
) -> None:
    async with Supervisor("app", child(Db, expects=(Boom,)), tracing=watch.provider) as app:
        with watch.tracer.start_as_current_span("request"):
            await app.find("db").send(handler)
        await at_rest()
        await app.start(Db, name="other")
    process = watch.one(f"process Db.{handler.__name__}")
    [(trace_id, span_id, text, place)] = said()
    assert (trace_id, span_id) == (process.trace_id, process.span_id)
    assert trace_id == watch.one("request").trace_id
    assert words in text
    assert place == function
    assert said(Started)[-1][0] not in (trace_id, "")  # of what was started afterwards


async def test_so_is_an_answer_to_a_caller_who_has_gone(watch: Watch, said: Any) -> None:
    async with Supervisor("app", child(Db, on_error="reply"), tracing=watch.provider) as app:
        gate = Gate()
        with anyio.move_on_after(1), watch.tracer.start_as_current_span("request"):
            await app.find("db").call(Db.query_behind, gate)
        gate.open()
        await at_rest()
    process = watch.one("process Db.query_behind")
    [(trace_id, span_id, text, place)] = said()
    assert (trace_id, span_id, place) == (process.trace_id, process.span_id, "Db.query_behind")
    assert " in Db.query_behind (" in text


async def test_so_is_what_a_timer_sends(watch: Watch, said: Any) -> None:
    async with Supervisor("app", child(Db, expects=(Boom,)), tracing=watch.provider) as app:
        await app.find("db").call(Db.later)
        await anyio.sleep(2)
    process = watch.one("process Db.query")
    assert [each[:2] for each in said()] == [(process.trace_id, process.span_id)]


async def test_of_a_message_without_a_span_it_is_said_in_that_of_its_sender(watch: Watch, said: Any) -> None:
    spans = Spans(watch.provider, exclude=["Db.*"])
    async with Supervisor("app", child(Db, expects=(Boom,)), tracing=spans) as app:
        with watch.tracer.start_as_current_span("request"):
            await app.find("db").send(Db.query)
        await at_rest()
    request = watch.one("request")
    assert [each[:2] for each in said()] == [(request.trace_id, request.span_id)]


async def test_where_only_durations_are_measured_it_is_said_without_a_trace(said: Any) -> None:
    metrics = Metrics(MeterProvider(), durations=True)
    async with Supervisor("app", child(Db, expects=(Boom,)), metrics=metrics) as app:
        await app.find("db").send(Db.query)
        await app.find("db").send(Db.query_isolated)
        await at_rest()
    assert [(trace_id, place) for trace_id, _, _, place in said()] == [("", "Db.query"), ("", "Db.query_isolated")]
