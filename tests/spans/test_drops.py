"""Messages that are lost, as spans and in log records.

Tested: each way to be lost is a `drop` span below the send, red if an exception was the reason; of a burst the first has one,
and the others are counted; the records of a loss carry the trace of its message, and `Started` that of its start; a tick and a
message that isn't sampled have none; and the bus tells nothing else in such a context.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any, cast

import anyio
import pytest
from opentelemetry import trace

from supervise import Address, Supervisor, child, current
from supervise.events import DeadLetter, Event, Lost, Started
from supervise.spans import attributes as key
from supervise.telemetry.logs import ActorFilter, event_of
from supervise.testing.virtual_time import at_rest
from tests.doubles import Gate, Scribe

from .watch import Watch

pytestmark = pytest.mark.anyio


@pytest.fixture
def records(caplog: pytest.LogCaptureFixture) -> Iterator[Any]:
    """Those of the tree, as `ActorFilter` completes them, by the kind of event that they are about."""
    caplog.handler.addFilter(filtered := ActorFilter())
    caplog.set_level(logging.DEBUG, "supervise")

    def of(kind: type) -> list[dict[str, Any]]:
        return [vars(record) for record in caplog.records if isinstance(event_of(record), kind)]

    yield of
    caplog.handler.removeFilter(filtered)


async def test_one_that_finds_no_room_is_a_drop_below_its_send(watch: Watch, records: Any) -> None:
    gate = Gate()
    scribe_id = 0
    async with Supervisor("app", tracing=watch.provider) as app:
        scribe = await app.start(Scribe, capacity=1, overflow="drop_newest")
        scribe_id = scribe.id
        await scribe.send(Scribe.hold, gate)
        await gate.reached.wait()
        await scribe.send(Scribe.note, "waits")
        with watch.tracer.start_as_current_span("request"):
            await scribe.send(Scribe.note_at_once, "finds no room")
        gate.open()
        await at_rest()
    send, drop = watch.one("send Scribe.note_at_once"), watch.one("drop Scribe.note_at_once")
    assert (drop.parent_id, drop.status, drop.kind) == (send.span_id, "UNSET", "INTERNAL")
    assert drop.attributes == {
        key.ACTOR_PATH: "app/scribe",
        key.ACTOR_ID: scribe_id,
        key.LOSS: "full",
        key.REASON: "the mailbox was full (overflow='drop_newest')",
    }
    told = [*records(Lost), *records(DeadLetter)]
    assert [each["trace_id"] for each in told] == [watch.one("request").trace_id] * 2


async def test_the_oldest_is_dropped_below_its_own_send_and_not_that_of_whoever_took_its_place(watch: Watch) -> None:
    gate = Gate()
    async with Supervisor("app", tracing=watch.provider) as app:
        scribe = await app.start(Scribe, capacity=1, overflow="drop_oldest")
        await scribe.send(Scribe.hold, gate)
        await gate.reached.wait()
        await scribe.send(Scribe.note, "the oldest")
        await scribe.send(Scribe.note_at_once, "the newest")
        gate.open()
        await at_rest()
    assert watch.one("drop Scribe.note").parent_id == watch.one("send Scribe.note").span_id


async def test_of_a_burst_the_first_is_a_span_and_the_others_are_one_more_with_their_number(watch: Watch) -> None:
    gate = Gate()
    async with Supervisor("app", tracing=watch.provider) as app:
        scribe = await app.start(Scribe, capacity=1, overflow="drop_newest")
        await scribe.send(Scribe.hold, gate)
        await gate.reached.wait()
        for number in range(101):
            await scribe.send(Scribe.note_at_once, number)
        await anyio.sleep(61)
        gate.open()
        await at_rest()
    first, more = watch.named("drop Scribe.note_at_once")
    sends = watch.named("send Scribe.note_at_once")
    assert first.parent_id == sends[1].span_id
    assert (more.parent_id, more.attributes[key.DROP_COUNT]) == ("", 99)
    assert [link.span_id for link in more.links] == [sends[2].span_id]


async def test_what_waits_at_a_stop_is_lost_with_it_and_counted(watch: Watch, records: Any) -> None:
    gate = Gate()
    async with Supervisor("app", tracing=watch.provider) as app:
        scribe = await app.start(Scribe, name="s")
        await scribe.send(Scribe.hold, gate)
        await gate.reached.wait()
        for number in range(3):
            await scribe.send(Scribe.note, number)
        async with anyio.create_task_group() as group:
            group.start_soon(app.terminate_child, "s")
            await at_rest()
            gate.open()
    first, more = watch.named("drop Scribe.note")
    sends = watch.named("send Scribe.note")
    assert (first.parent_id, first.attributes[key.LOSS], first.status) == (sends[0].span_id, "stopped", "UNSET")
    assert more.attributes[key.DROP_COUNT] == 2
    assert [each["trace_id"] for each in records(DeadLetter)] == [send.trace_id for send in sends]


async def test_what_was_in_hand_at_a_crash_is_a_red_drop_beside_its_handler(watch: Watch, records: Any) -> None:
    async with Supervisor("app", tracing=watch.provider) as app:
        scribe = await app.start(Scribe)
        await scribe.send(Scribe.crash)
        await at_rest()
    send, process, drop = watch.one("send Scribe.crash"), watch.one("process Scribe.crash"), watch.one("drop Scribe.crash")
    assert (drop.parent_id, drop.status, drop.attributes["error.type"]) == (send.span_id, "ERROR", "tests.doubles.Boom")
    assert drop.events == []
    assert [(each["trace_id"], each["span_id"]) for each in records(Lost)] == [(process.trace_id, process.span_id)]


async def test_what_was_in_hand_at_a_kill_is_said_in_its_own_trace(watch: Watch, records: Any) -> None:
    gate = Gate()
    async with Supervisor("app", tracing=watch.provider) as app:
        scribe = await app.start(Scribe)
        await scribe.send(Scribe.hold, gate)
        await gate.reached.wait()
        with watch.tracer.start_as_current_span("killer"):
            scribe.kill()
        await at_rest()
    send, drop = watch.one("send Scribe.hold"), watch.one("drop Scribe.hold")
    assert (drop.parent_id, drop.status, drop.attributes[key.LOSS]) == (send.span_id, "UNSET", "in_hand")
    assert [each["trace_id"] for each in records(Lost)] == [send.trace_id]


async def test_a_send_that_nobody_has_a_handler_for_is_a_drop_too(watch: Watch) -> None:
    class Other:
        def strange(self) -> None:
            pass

    async with Supervisor("app", tracing=watch.provider) as app:
        scribe: Address[Any] = await app.start(Scribe)
        await scribe.send(cast("Any", Other.strange))
        await at_rest()
    send, drop = watch.one("send Scribe.strange"), watch.one("drop Scribe.strange")
    assert (drop.parent_id, drop.status, drop.attributes[key.LOSS]) == (send.span_id, "ERROR", "refused")
    assert drop.attributes["error.type"] == "supervise.errors.UnknownHandler"


class Ticking:
    """Its first tick is in hand, and its second one waits, when it is stopped."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        current().every(1, Ticking.tick)

    async def tick(self) -> None:
        await self.gate.walk_through()


async def test_a_tick_is_lost_without_a_span(watch: Watch) -> None:
    gate = Gate()
    async with Supervisor("app", tracing=watch.provider) as app:
        ticking = await app.start(Ticking, gate, name="t", stop_within=0.5)
        await anyio.sleep(2.5)
        ticking.kill()
        await at_rest()
        gate.open()
    assert not [span.name for span in watch.received() if span.name.startswith("drop ")]


async def test_a_message_that_is_not_sampled_is_lost_without_a_span(watch: Watch) -> None:
    unsampled = trace.NonRecordingSpan(trace.SpanContext(1, 1, is_remote=False, trace_flags=trace.TraceFlags(0)))
    async with Supervisor("app", tracing=watch.provider) as app:
        scribe = await app.start(Scribe)
        with trace.use_span(unsampled):
            await scribe.send(Scribe.crash)
        await at_rest()
    assert not [span.name for span in watch.received() if span.name.startswith("drop ")]


async def test_the_record_of_a_start_carries_its_trace_and_nothing_else_is_told_in_it(watch: Watch, records: Any) -> None:
    told: list[tuple[str, int]] = []

    def listen(event: Event) -> None:
        told.append((type(event).__name__, trace.get_current_span().get_span_context().span_id))

    inner = Supervisor("inner", child(Scribe, name="first"), child(Scribe, name="second"))
    async with Supervisor("app", inner, tracing=watch.provider, listener=listen) as app:
        with watch.tracer.start_as_current_span("request"):
            await app.start(Scribe, name="third")
        assert not trace.get_current_span().get_span_context().is_valid
    starts = {span.attributes[key.ACTOR_PATH]: span for span in watch.received() if span.name.startswith("start ")}
    told_of = {each["actor"]: (each["trace_id"], each["span_id"]) for each in records(Started)}
    assert told_of == {path: (span.trace_id, span.span_id) for path, span in starts.items()}
    assert len(told_of) == 5
    assert [format(span, "016x") for kind, span in told if kind == "Started"] == [told_of[path][1] for path in told_of]
    assert {span for kind, span in told if kind == "Stopped"} == {0}
