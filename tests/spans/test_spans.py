"""The spans of a tree, as a collector receives them from the real exporter.

Tested: name, kind, parent, links and attributes of each kind of span; a crash is one trace from the request to the retried
call; a message to oneself, and one from nobody, begin a trace of their own; a restart after a long delay does; how
handlers fail, are cancelled, and run beside others; no span outlives what it is about, and none lives on in an actor that was
started inside it; records of a crash carry its trace; when a tree makes spans, and what harms nobody.
"""

from __future__ import annotations

import functools
import itertools
import logging
import math
from collections.abc import AsyncIterator
from typing import Any, NoReturn, cast

import anyio
import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Decision, ParentBased, Sampler, SamplingResult
from tenacity import wait_fixed

from supervise import (
    ActorCrashed,
    ActorStopped,
    Address,
    BadCall,
    DynamicSupervisor,
    IgnoreStart,
    Intensity,
    InvalidSpec,
    MailboxFull,
    Restart,
    Supervisor,
    child,
    concurrent,
    current,
    pool,
)
from supervise.spans import attributes as key
from supervise.spans import lost_spans
from supervise.spans.spans import Spans
from supervise.telemetry.logs import ActorFilter
from supervise.testing.virtual_time import at_rest
from tests.doubles import Boom, Gate, Scribe
from tests.span_tree import span_tree

from .watch import Watch

pytestmark = pytest.mark.anyio


class Payments:
    lives: int = 0

    def __init__(self) -> None:
        type(self).lives += 1
        self.life = type(self).lives

    async def charge(self, amount: int) -> int:
        if self.life == 1:
            raise Boom("the card reader is gone")
        return amount


class Mailer:
    def confirm(self, order: int) -> None:
        """Nothing is sent."""


class Orders:
    def __init__(self, payments: Address[Payments], mailer: Address[Mailer]) -> None:
        self.payments = payments
        self.mailer = mailer

    async def place(self, amount: int) -> int:
        try:
            await self.payments.call(Payments.charge, amount)
        except ActorCrashed:
            await self.payments.call(Payments.charge, amount)
        await self.mailer.send(Mailer.confirm, amount)
        return amount


STORY = """\
start Supervisor shop  INTERNAL shop  supervise.actor.path=shop
  start Payments  INTERNAL shop  supervise.actor.path=shop/payments
  start Mailer  INTERNAL shop  supervise.actor.path=shop/mailer
  start Orders  INTERNAL shop  supervise.actor.path=shop/orders

POST /orders  SERVER shop
  call Orders.place  CLIENT shop  supervise.actor.path=shop/orders
    process Orders.place  SERVER shop  supervise.actor.path=shop/orders
      call Payments.charge  CLIENT shop  \
ERROR: shop/payments #1 crashed with Payments.charge in hand: Boom: the card reader is gone  \
supervise.actor.path=shop/payments
        process Payments.charge  SERVER shop  ERROR: the card reader is gone  supervise.actor.path=shop/payments
          ! exception
          restart Payments  INTERNAL shop  supervise.actor.path=shop/payments
            start Payments  INTERNAL shop  supervise.actor.path=shop/payments
      call Payments.charge  CLIENT shop  supervise.actor.path=shop/payments
        process Payments.charge  SERVER shop  supervise.actor.path=shop/payments
      send Mailer.confirm  PRODUCER shop  supervise.actor.path=shop/mailer
        process Mailer.confirm  CONSUMER shop  supervise.actor.path=shop/mailer

stop Supervisor shop  INTERNAL shop  supervise.actor.path=shop
  stop Orders  INTERNAL shop  supervise.actor.path=shop/orders
  stop Mailer  INTERNAL shop  supervise.actor.path=shop/mailer
  stop Payments  INTERNAL shop  supervise.actor.path=shop/payments"""


async def test_the_story_of_a_crash_is_one_trace_from_the_request_to_the_retried_call(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Payments, "lives", 0)
    payments, mailer = child(Payments), child(Mailer)
    orders = child(lambda: Orders(current().find(payments), current().find(mailer)), name="orders")
    async with Supervisor("shop", payments, mailer, orders, tracing=watch.provider) as app:
        with watch.tracer.start_as_current_span("POST /orders", kind=trace.SpanKind.SERVER):
            assert await app.find(orders).call(Orders.place, 5) == 5
        await at_rest()
    assert span_tree(watch.received(), key.ACTOR_PATH) == STORY


async def test_a_call_is_a_client_span_and_its_handler_the_server_span_below_it(watch: Watch) -> None:
    scribe_id = 0
    async with Supervisor("app", tracing=watch.provider) as app:
        scribe = await app.start(Scribe)
        scribe_id = scribe.id
        await scribe.call(Scribe.note, "a")
    [call] = watch.named("call Scribe.note")
    [process] = watch.named("process Scribe.note")
    assert (call.kind, call.status, call.parent_id) == ("CLIENT", "UNSET", "")
    assert call.attributes == {
        "rpc.system.name": "supervise",
        "rpc.method": "Scribe/note",
        "supervise.actor.path": "app/scribe",
        "supervise.actor.id": scribe_id,
    }
    assert (process.kind, process.status, process.parent_id) == ("SERVER", "UNSET", call.span_id)
    assert process.attributes == {
        "rpc.system.name": "supervise",
        "rpc.method": "Scribe/note",
        "supervise.actor.path": "app/scribe",
        "supervise.actor.id": scribe_id,
        "supervise.actor.type": "Scribe",
        "supervise.actor.incarnation": 1,
        "supervise.mailbox.depth": 0,
        "supervise.mailbox.wait": 0.0,
        "code.function.name": "tests.doubles.Scribe.note",
    }
    assert process.scope[0] == "supervise"
    assert process.scope[2] == key.SCHEMA_URL


async def test_a_send_is_a_producer_span_that_ends_at_once_and_its_handler_is_below_it_and_linked_to_it(watch: Watch) -> None:
    gate = Gate()
    scribe_id = 0
    async with Supervisor("app", tracing=watch.provider) as app:
        scribe = await app.start(Scribe)
        scribe_id = scribe.id
        await scribe.send(Scribe.hold, gate)
        await scribe.send(Scribe.note, "a")
        await gate.reached.wait()
        await anyio.sleep(3)
        gate.open()
        await at_rest()
    [send] = watch.named("send Scribe.note")
    [process] = watch.named("process Scribe.note")
    messaging = {
        "messaging.system": "supervise",
        "messaging.destination.name": "app/scribe",
        "messaging.destination.template": "Scribe",
        "supervise.actor.path": "app/scribe",
        "supervise.actor.id": scribe_id,
    }
    sent = messaging | {"messaging.operation.name": "send", "messaging.operation.type": "send"}
    assert (send.kind, send.parent_id, send.attributes) == ("PRODUCER", "", sent)
    assert send.end < process.start
    assert (process.kind, process.parent_id) == ("CONSUMER", send.span_id)
    assert [link.span_id for link in process.links] == [send.span_id]
    assert process.attributes.items() >= {"messaging.operation.type": "process", "supervise.mailbox.wait": 3.0}.items()


async def test_with_send_links_what_a_send_sets_off_is_a_trace_of_its_own(watch: Watch) -> None:
    async with Supervisor("app", tracing=Spans(watch.provider, send_links="link")) as app:
        scribe = await app.start(Scribe)
        await scribe.send(Scribe.note, "a")
        await at_rest()
    [send], [process] = watch.named("send Scribe.note"), watch.named("process Scribe.note")
    assert process.trace_id != send.trace_id
    assert process.parent_id == ""
    assert [(link.trace_id, link.span_id) for link in process.links] == [(send.trace_id, send.span_id)]


class ProcessAlone(Sampler):
    """Of what begins a trace, it samples a handler."""

    def should_sample(self, parent_context: Any, trace_id: int, name: str, *_: Any, **__: Any) -> SamplingResult:
        return SamplingResult(Decision.RECORD_AND_SAMPLE if name.startswith("process ") else Decision.DROP)

    def get_description(self) -> str:
        return "ProcessAlone"


async def test_with_send_links_the_trace_of_a_handler_is_its_own_also_where_the_send_isnt_sampled() -> None:
    kept = InMemorySpanExporter()
    provider = TracerProvider(sampler=ParentBased(ProcessAlone()), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    for spans, sampled in ((Spans(provider), 0), (Spans(provider, send_links="link"), 1)):
        kept.clear()
        async with Supervisor("app", tracing=spans) as app:
            await (await app.start(Scribe)).send(Scribe.note, "a")
            await at_rest()
        assert [span.name for span in kept.get_finished_spans()].count("process Scribe.note") == sampled
    provider.shutdown()


def exec_it(scribe: Scribe) -> int:
    return len(scribe.log)


async def test_a_plain_callable_is_exec_and_a_handler_keeps_its_own_name(watch: Watch) -> None:
    async with Supervisor("app", tracing=watch.provider) as app:
        scribe = await app.start(Scribe)
        await scribe.call(exec_it)
        await scribe.call(lambda scribe: len(scribe.log))
    assert len(watch.named("call Scribe.exec")) == len(watch.named("process Scribe.exec")) == 2


class Secretary(Scribe):
    pass


async def test_the_type_is_the_class_of_the_live_instance(watch: Watch) -> None:
    async with Supervisor("app", tracing=watch.provider) as app:
        scribe: Address[Scribe] = await app.start(lambda: Secretary(), name="s")
        await scribe.call(Scribe.note, "a")
    assert {span.name for span in watch.received()} >= {"call Secretary.note", "process Secretary.note", "start Secretary"}


class Walker:
    """Sends to itself, so many times."""

    async def step(self, left: int) -> None:
        if left:
            await current().address.send(Walker.step, left - 1)


async def test_sends_to_oneself_do_not_grow_a_trace(watch: Watch) -> None:
    async with Supervisor("app", tracing=watch.provider) as app:
        walker = await app.start(Walker)
        await walker.send(Walker.step, 5)
        await at_rest()
    steps = watch.named("process Walker.step")
    assert len(steps) == len({step.trace_id for step in steps}) == 6
    for step, following in itertools.pairwise(steps):
        assert (following.kind, following.parent_id) == ("CONSUMER", "")
        assert [link.span_id for link in following.links] == [step.span_id]
        assert following.attributes[key.TRIGGER] == "self"
    assert len(watch.named("send Walker.step")) == 1


async def test_a_message_that_nobody_sent_is_a_trace_of_its_own(watch: Watch) -> None:
    scribe = child(Scribe, on_tree_started=exec_it)
    async with Supervisor("app", scribe, tracing=watch.provider):
        await at_rest()
    process = watch.one("process Scribe.exec")
    assert (process.kind, process.parent_id, process.links) == ("CONSUMER", "", [])
    assert process.attributes[key.TRIGGER] == "tree_started"


class Sleeper:
    async def begin(self) -> None:
        current().after(5, Sleeper.once)
        current().every(2, Sleeper.again)

    def once(self) -> None:
        """It did."""

    def again(self) -> None:
        """And again."""


async def test_timers_begin_traces_of_their_own_and_one_that_fires_once_links_to_who_set_it(watch: Watch) -> None:
    async with Supervisor("app", tracing=Spans(watch.provider, ticks=True)) as app:
        sleeper = await app.start(Sleeper)
        await sleeper.send(Sleeper.begin)
        await anyio.sleep(5.5)
    begin, once, again = (
        watch.one("process Sleeper.begin"),
        watch.one("process Sleeper.once"),
        watch.named("process Sleeper.again"),
    )
    assert (once.kind, once.parent_id, once.attributes[key.TRIGGER]) == ("CONSUMER", "", "delay")
    assert [link.span_id for link in once.links] == [begin.span_id]
    assert [(span.parent_id, span.links, span.attributes[key.TRIGGER]) for span in again] == [("", [], "interval")] * 2
    assert len({span.trace_id for span in (begin, once, *again)}) == 4


async def test_a_handler_that_raises_says_so_once_and_its_caller_has_a_status(watch: Watch) -> None:
    async with Supervisor("app", tracing=watch.provider) as app:
        scribe = await app.start(Scribe)
        with pytest.raises(ActorCrashed):
            await scribe.call(Scribe.crash, "the ink is out")
    call, process = watch.one("call Scribe.crash"), watch.one("process Scribe.crash")
    assert (process.status, process.description) == ("ERROR", "the ink is out")
    assert process.attributes["error.type"] == "tests.doubles.Boom"
    assert (call.status, call.attributes["error.type"]) == ("ERROR", "supervise.errors.ActorCrashed")
    assert call.description.endswith("Boom: the ink is out")
    assert call.events == []
    [event] = process.events
    assert event.name == "exception"
    assert event.attributes["exception.message"] == "the ink is out"


class Relay:
    def __init__(self, to: Address[Scribe]) -> None:
        self.to = to

    async def crash(self) -> None:
        await self.to.call(Scribe.crash)


async def test_an_exception_that_passes_two_actors_is_recorded_where_it_is_a_crash(watch: Watch) -> None:
    async with Supervisor("app", tracing=watch.provider) as app:
        scribe = await app.start(Scribe, expects=(Boom,))
        relay = await app.start(Relay, scribe)
        with pytest.raises(ActorCrashed):
            await relay.call(Relay.crash)
    assert [span.name for span in watch.received() if span.events] == ["process Relay.crash"]
    assert {span.name for span in watch.received() if span.status == "ERROR"} == {"process Relay.crash", "call Relay.crash"}
    assert watch.one("call Scribe.crash").attributes[key.SENDER_TYPE] == "Relay"
    assert key.SENDER_TYPE not in watch.one("call Relay.crash").attributes


async def test_a_call_fails_with_what_its_caller_gets(watch: Watch) -> None:
    gate = Gate()
    async with Supervisor("app", tracing=watch.provider) as app:
        scribe = await app.start(Scribe, name="s", capacity=1, overflow="reject")
        with pytest.raises(TimeoutError):
            await scribe.options(timeout=1).call(Scribe.hold, gate)
        await scribe.send(Scribe.note, "a")
        with pytest.raises(MailboxFull):
            await scribe.send(Scribe.note_at_once, "b")
        with pytest.raises(MailboxFull):
            scribe.try_send(Scribe.note_at_once, "b")
        gate.open()
        await at_rest()
        await app.terminate_child("s")
        with pytest.raises(ActorStopped):
            await scribe.call(Scribe.note, "c")
    received = watch.received()
    assert watch.one("call Scribe.hold").attributes["error.type"] == "timeout"
    assert watch.one("process Scribe.hold").status == "UNSET"
    refused = [span for span in received if span.name == "send Scribe.note_at_once"]
    assert [(span.status, span.attributes["error.type"]) for span in refused] == [("ERROR", "supervise.errors.MailboxFull")] * 2
    assert watch.one("call Scribe.note").attributes["error.type"] == "supervise.errors.ActorStopped"


async def test_a_caller_that_is_cancelled_and_a_handler_that_is_have_no_error_but_an_outcome(watch: Watch) -> None:
    gate = Gate()
    async with Supervisor("app", tracing=watch.provider) as app:
        scribe = await app.start(Scribe)
        with anyio.move_on_after(1):
            await scribe.call(Scribe.hold, gate)
        scribe.kill()
        await at_rest()
    call, process = watch.one("call Scribe.hold"), watch.one("process Scribe.hold")
    assert (call.status, call.attributes[key.OUTCOME]) == ("UNSET", "cancelled")
    assert (process.status, process.attributes[key.OUTCOME], process.events) == ("UNSET", "cancelled", [])
    assert watch.one("restart Scribe").status == "UNSET"


class Pair:
    @concurrent
    async def hold(self, gate: Gate) -> bool:
        await gate.walk_through()
        return trace.get_current_span().is_recording()

    @concurrent
    async def crash(self, gate: Gate) -> NoReturn:
        await gate.walk_through()
        raise Boom("beside")


async def test_handlers_that_run_beside_others_have_spans_too(watch: Watch) -> None:
    first, second = Gate(), Gate()
    async with Supervisor("app", tracing=watch.provider) as app:
        pair = await app.start(Pair)
        await pair.send(Pair.hold, first)
        await first.reached.wait()
        await pair.send(Pair.crash, second)
        await second.reached.wait()
        second.open()
        await at_rest()
        again = Gate()
        again.open()
        assert await pair.call(Pair.hold, again)
    held, crashed = watch.named("process Pair.hold"), watch.one("process Pair.crash")
    assert held[0].start < crashed.start < held[0].end
    assert held[0].attributes[key.OUTCOME] == "cancelled"
    assert (crashed.status, crashed.description) == ("ERROR", "beside")
    assert watch.one("restart Pair").parent_id == crashed.span_id


class Model:
    async def tokens(self, many: int, crash: bool = False) -> AsyncIterator[bool]:
        for _ in range(many):
            yield trace.get_current_span().is_recording()
        if crash:
            raise Boom("in the middle")

    @concurrent
    async def beside(self, many: int) -> AsyncIterator[bool]:
        for _ in range(many):
            yield trace.get_current_span().is_recording()


async def test_what_doesnt_fit_a_handler_that_runs_beside_others_is_its_callers_error(watch: Watch) -> None:
    async with Supervisor("app", child(Pair), child(Model), tracing=watch.provider) as app:
        pair: Address[Any] = app.find("pair")
        model: Address[Any] = app.find("model")
        hold, beside = cast("tuple[Any, Any]", (Pair.hold, Model.beside))
        with pytest.raises(BadCall):
            await pair.call(hold)
        with pytest.raises(BadCall):
            async with model.stream_from(beside) as tokens:
                await anext(tokens)
        assert (app.get_childspec("pair").incarnation, app.get_childspec("model").incarnation) == (1, 1)
    assert watch.one("process Pair.hold").attributes["error.type"] == "TypeError"


async def test_a_handler_beside_others_that_a_decorator_answers_has_a_span_too(watch: Watch) -> None:
    def known(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(*_: Any) -> bool:
            return True

        return wrapper

    class Cached(Pair):
        @known
        @concurrent
        async def look_up(self) -> bool:
            return False

    async with Supervisor("app", child(Cached), tracing=watch.provider) as app:
        assert await app.find("cached").call(Cached.look_up) is True
    assert watch.one("process Cached.look_up").status == "UNSET"


async def test_a_streamed_reply_is_a_call_that_lasts_as_long_as_its_block(watch: Watch) -> None:
    async with Supervisor("app", child(Model), tracing=watch.provider) as app:
        model: Address[Model] = app.find("model")
        with watch.tracer.start_as_current_span("request"):
            async with model.stream_from(Model.tokens, 3) as tokens:
                assert [recording async for recording in tokens] == [True] * 3
                await anyio.sleep(1)
            async with model.stream_from(Model.beside, 100) as tokens:
                assert await anext(tokens)
                await anyio.sleep(1)
    request = watch.one("request")
    for name in ("tokens", "beside"):
        call, process = watch.one(f"call Model.{name}"), watch.one(f"process Model.{name}")
        assert (call.kind, call.status, call.parent_id) == ("CLIENT", "UNSET", request.span_id)
        assert (process.kind, process.status, process.parent_id) == ("SERVER", "UNSET", call.span_id)
        assert call.attributes["rpc.method"] == f"Model/{name}"
        assert process.attributes["code.function.name"] == f"{__name__}.Model.{name}"
        assert key.OUTCOME not in process.attributes
        assert call.start <= process.start <= process.end <= call.end
    assert watch.one("process Model.tokens").end < watch.one("call Model.tokens").end


async def test_a_stream_fails_with_what_its_reader_gets(watch: Watch) -> None:
    async with Supervisor("app", child(Model), tracing=watch.provider) as app:
        model: Address[Model] = app.find("model")
        with pytest.raises(ActorCrashed):
            async with model.stream_from(Model.tokens, 3, crash=True) as tokens:
                async for _ in tokens:
                    pass
        with pytest.raises(KeyError):
            async with model.stream_from(Model.beside, 3) as tokens:
                raise KeyError("the body's own")
        with anyio.move_on_after(1):
            async with model.stream_from(Model.beside, 300) as tokens:
                await anyio.sleep(2)
        async with model.stream_from(Model.tokens, 300) as tokens:
            await at_rest()
            await app.terminate_child("model")
            with pytest.raises(ActorStopped):
                async for _ in tokens:
                    pass
        with pytest.raises(ActorStopped):
            async with model.stream_from(Model.tokens, 3):
                pass
    crashed, stopped, refused = watch.named("call Model.tokens")
    assert [span.attributes.get("error.type") for span in (crashed, stopped, refused)] == [
        "supervise.errors.ActorCrashed",
        "supervise.errors.ActorStopped",
        "supervise.errors.ActorStopped",
    ]
    raised, closed = watch.named("process Model.tokens")
    assert (raised.status, raised.description) == ("ERROR", "in the middle")
    assert (closed.status, closed.attributes[key.OUTCOME], closed.events) == ("UNSET", "cancelled", [])
    own, cancelled = watch.named("call Model.beside")
    assert (own.status, own.attributes.get(key.OUTCOME)) == ("UNSET", None)
    assert (cancelled.status, cancelled.attributes[key.OUTCOME]) == ("UNSET", "cancelled")


class Grumpy:
    async def fail_later(self) -> None:
        current().nursery.start_soon(self._fail)

    async def _fail(self) -> None:
        await anyio.sleep(1)
        raise Boom("later")


async def test_a_kill_of_what_has_failed_and_takes_too_long_leaves_the_restart_below_what_failed(watch: Watch) -> None:
    class Slow(Grumpy):
        async def __aenter__(self) -> Slow:
            return self

        async def __aexit__(self, *_: object) -> None:
            await anyio.sleep(100)

    async with Supervisor("app", tracing=watch.provider) as app:
        slow = await app.start(Slow, stop_within=1)
        await slow.send(Grumpy.fail_later)
        await anyio.sleep(10)
        await app.terminate_child("slow")
    assert watch.one("restart Slow").parent_id == watch.one("process Slow.fail_later").span_id


async def test_what_a_nursery_task_raised_is_recorded_on_the_restart_below_the_span_it_was_started_in(watch: Watch) -> None:
    async with Supervisor("app", tracing=watch.provider) as app:
        grumpy = await app.start(Grumpy)
        await grumpy.send(Grumpy.fail_later)
        await anyio.sleep(2)
    restart = watch.one("restart Grumpy")
    assert restart.parent_id == watch.one("process Grumpy.fail_later").span_id
    assert [event.name for event in restart.events] == ["exception"]


class Reader:
    """Calls in its enter hook, and from a task that this begins."""

    def __init__(self, scribe: Address[Scribe]) -> None:
        self.scribe = scribe

    async def __aenter__(self) -> Reader:
        await self.scribe.call(Scribe.note, "begins")
        current().nursery.start_soon(self._read)
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def _read(self) -> None:
        await anyio.sleep(1)
        await self.scribe.call(Scribe.note_at_once, "later")


async def test_what_a_start_calls_is_below_it_and_what_its_tasks_call_later_is_not(watch: Watch) -> None:
    async with Supervisor("app", tracing=watch.provider) as app:
        scribe = await app.start(Scribe)
        await app.start(Reader, scribe)
        await anyio.sleep(2)
    start = watch.one("start Reader")
    assert watch.one("call Scribe.note").parent_id == start.span_id
    assert watch.one("call Scribe.note_at_once").parent_id == ""


async def test_a_start_that_fails_and_one_that_is_ignored(watch: Watch) -> None:
    def picky() -> Scribe:
        raise IgnoreStart("not today")

    calls = itertools.count(1)

    def shaky() -> Scribe:
        if next(calls) == 2:
            raise Boom("no pen")
        return Scribe()

    async with Supervisor("app", tracing=watch.provider) as app:
        await app.start(picky, name="picky")
        scribe = await app.start(shaky, name="shaky")
        await scribe.send(Scribe.crash)
        await at_rest()
    ignored = watch.one("start picky")
    assert (ignored.status, ignored.attributes[key.OUTCOME]) == ("UNSET", "ignored")
    received = {span.span_id: span for span in watch.received()}
    failed = next(span for span in received.values() if span.name == "start Scribe" and span.status == "ERROR")
    assert [event.name for event in failed.events] == ["exception"]
    below = [span for span in received.values() if span.parent_id == failed.span_id]
    assert [span.name for span in below] == ["restart Scribe"]
    assert [span.name for span in received.values() if span.parent_id == below[0].span_id] == ["start Scribe"]


async def test_a_restart_says_why_how_often_and_after_how_long(watch: Watch) -> None:
    scribe_id = 0
    async with Supervisor("app", tracing=watch.provider) as app:
        scribe = await app.start(Scribe, restart=Restart.permanent(wait=wait_fixed(2), counted=True))
        scribe_id = scribe.id
        await scribe.send(Scribe.crash)
        await anyio.sleep(5)
    crashed, restart = watch.one("process Scribe.crash"), watch.one("restart Scribe")
    assert restart.parent_id == crashed.span_id
    assert restart.trace_id == crashed.trace_id
    assert restart.attributes == {
        key.ACTOR_PATH: "app/scribe",
        key.ACTOR_ID: scribe_id,
        key.ACTOR_INCARNATION: 1,
        key.SUPERVISOR_PATH: "app",
        key.REASON: restart.attributes[key.REASON],
        key.RESTART_NUMBER: 1,
        key.RESTART_DELAY: 2.0,
        key.RESTART_STRATEGY: "one_for_one",
        key.RESTART_USED: 1,
        key.RESTART_ALLOWED: 3,
        "error.type": "tests.doubles.Boom",
    }
    first, second = watch.named("start Scribe")
    assert (first.attributes[key.START_REASON], second.attributes[key.START_REASON]) == ("initial", "restart")
    assert (second.parent_id, second.attributes[key.ACTOR_INCARNATION]) == (restart.span_id, 2)


async def test_a_restart_after_a_long_delay_starts_in_a_trace_of_its_own(watch: Watch) -> None:
    async with Supervisor("app", tracing=watch.provider) as app:
        scribe = await app.start(Scribe, restart=Restart.permanent(wait=wait_fixed(60)))
        await scribe.send(Scribe.crash)
        await anyio.sleep(100)
    restart, start, crash = watch.one("restart Scribe"), watch.named("start Scribe")[1], watch.one("process Scribe.crash")
    assert (start.parent_id, [link.span_id for link in start.links]) == ("", [restart.span_id, crash.span_id])


async def test_a_restart_after_half_a_minute_is_not_late_yet(watch: Watch) -> None:
    async with Supervisor("app", tracing=watch.provider) as app:
        scribe = await app.start(Scribe, restart=Restart.permanent(wait=wait_fixed(30)))
        await scribe.send(Scribe.crash)
        await anyio.sleep(100)
    assert watch.named("start Scribe")[1].parent_id == watch.one("restart Scribe").span_id


async def test_those_that_are_restarted_together_stop_and_start_below_the_decision(watch: Watch) -> None:
    first, second = child(Scribe, name="first"), child(Walker, name="second")
    async with Supervisor("app", first, second, strategy="one_for_all", tracing=watch.provider) as app:
        await app.find(first).send(Scribe.crash)
        await at_rest()
    restart = watch.one("restart Scribe")
    below = [span.name for span in watch.received() if span.parent_id == restart.span_id]
    assert sorted(below) == ["start Scribe", "start Walker", "stop Walker"]


async def test_giving_up_is_an_error_and_the_supervisors_own_restart_stands_below_it(watch: Watch) -> None:
    scribe = child(Scribe, name="s", limit=None)
    inner = Supervisor("inner", scribe, intensity=Intensity(0, per=5))
    async with Supervisor("app", inner, tracing=watch.provider) as app:
        await app.find(scribe).send(Scribe.crash)
        await at_rest()
    escalate, restart = watch.one("escalate Scribe"), watch.one("restart Supervisor inner")
    assert escalate.status == "ERROR"
    assert escalate.parent_id == watch.one("process Scribe.crash").span_id
    assert restart.parent_id == escalate.span_id
    start = next(span for span in watch.named("start Supervisor inner") if span.parent_id == restart.span_id)
    assert [span.name for span in watch.received() if span.parent_id == start.span_id] == ["start Scribe"]


async def test_a_child_that_is_not_restarted_ends_below_the_span_that_failed(watch: Watch) -> None:
    async with DynamicSupervisor("app", tracing=watch.provider) as app:
        scribe = await app.start(Scribe)
        await scribe.send(Scribe.crash)
        await at_rest()
    stop = watch.one("stop Scribe")
    assert stop.parent_id == watch.one("process Scribe.crash").span_id
    assert stop.attributes[key.STOP_REASON] == "crashed (Boom: boom)"


async def test_a_stop_says_who_asked_how_long_it_lived_and_what_was_dropped(watch: Watch) -> None:
    gate = Gate()
    async with Supervisor("app", tracing=watch.provider) as app:
        scribe = await app.start(Scribe, name="s")
        await scribe.send(Scribe.hold, gate)
        await scribe.send(Scribe.note, "a")
        await gate.reached.wait()
        await anyio.sleep(2)
        with watch.tracer.start_as_current_span("admin"):
            async with anyio.create_task_group() as group:
                group.start_soon(app.terminate_child, "s")
                await at_rest()
                gate.open()
    stop = watch.one("stop Scribe")
    assert stop.parent_id == watch.one("admin").span_id
    assert stop.attributes.items() >= {key.STOP_REASON: "shutdown", key.ACTOR_LIFETIME: 2.0, key.MAILBOX_DROPPED: 1}.items()
    assert stop.status == "UNSET"


class Keeper:
    """Starts another one in a handler."""

    async def begin(self) -> Address[Scribe]:
        return await current().supervisor().start(Scribe)


async def test_a_span_and_what_goes_with_it_do_not_live_on_in_an_actor_that_was_started_inside(watch: Watch) -> None:
    async with Supervisor("app", tracing=watch.provider) as app:
        keeper = await app.start(Keeper)
        token = context.attach(baggage.set_baggage("user", "ada"))
        scribe = await keeper.call(Keeper.begin)
        assert await scribe.call(lambda _: baggage.get_baggage("user")) == "ada"
        context.detach(token)
        assert await scribe.call(lambda _: baggage.get_baggage("user")) is None
        await scribe.call(Scribe.note, "a")
    begin, note = watch.one("process Keeper.begin"), watch.one("process Scribe.note")
    assert watch.one("start Scribe").parent_id == begin.span_id
    assert note.trace_id != begin.trace_id


async def test_no_span_is_longer_than_what_it_is_about(watch: Watch) -> None:
    async with Supervisor("app", tracing=watch.provider) as app:
        scribe = await app.start(Scribe)
        await scribe.call(Scribe.note, "a")
        await at_rest()
        between = trace.get_current_span()
        assert not between.is_recording()
    starts = [span for span in watch.received() if span.name.startswith("start")]
    assert max(span.end for span in starts) < watch.one("call Scribe.note").start


async def test_the_records_of_a_crash_carry_its_trace(watch: Watch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.handler.addFilter(filtered := ActorFilter())
    async with Supervisor("app", tracing=watch.provider) as app:
        scribe = await app.start(Scribe)
        await scribe.send(Scribe.crash)
        await at_rest()
    caplog.handler.removeFilter(filtered)
    crashed = watch.one("process Scribe.crash")
    records = [vars(record) for record in caplog.records if record.levelno >= logging.WARNING and record.name == "supervise"]
    assert len(records) == 3
    assert {(record["trace_id"], record["span_id"]) for record in records} == {(crashed.trace_id, crashed.span_id)}


async def test_a_message_that_is_tried_again_stands_below_the_same_send(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Payments, "lives", 0)
    async with Supervisor("app", tracing=watch.provider) as app:
        payments = await app.start(Payments, redeliver=1)
        assert await payments.call(Payments.charge, 5) == 5
    call = watch.one("call Payments.charge")
    first, second = watch.named("process Payments.charge")
    assert first.parent_id == second.parent_id == call.span_id
    assert (first.status, second.status, call.status) == ("ERROR", "UNSET", "UNSET")


# -- when a tree makes spans -------------------------------------------------------------------------------------------------


@pytest.fixture
def kept() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def provider(kept: InMemorySpanExporter) -> TracerProvider:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    return provider


async def run_a_tree(tracing: Any) -> None:
    async with Supervisor("app", tracing=tracing) as app:
        scribe = await app.start(Scribe)
        await scribe.call(Scribe.note, "a")


@pytest.mark.parametrize(("option", "expected"), [("auto", True), (True, True), (False, False)])
async def test_auto_is_on_if_a_provider_is_installed(
    option: Any,
    expected: bool,
    provider: TracerProvider,
    kept: InMemorySpanExporter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    await run_a_tree(option)
    assert bool(kept.get_finished_spans()) is expected


@pytest.mark.parametrize("nothing", [trace.ProxyTracerProvider(), trace.NoOpTracerProvider()])
async def test_auto_is_off_without_one(nothing: trace.TracerProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: nothing)
    async with Supervisor("app") as app:
        scribe = await app.start(Scribe)
        assert scribe._mailbox.instrument is None
    await run_a_tree(True)


@pytest.mark.parametrize("option", ["on", None, 1, object()])
def test_another_option_is_refused_with_the_cure(option: Any) -> None:
    with pytest.raises(InvalidSpec, match=r"'auto', True, False, a tracer provider"):
        Supervisor("app", tracing=option)


async def test_nothing_is_made_below_a_span_that_is_not_sampled(kept: InMemorySpanExporter) -> None:
    provider = TracerProvider(sampler=ParentBased(ALWAYS_OFF), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    seen = 0
    with provider.get_tracer("tests").start_as_current_span("request") as span:
        async with Supervisor("app", tracing=provider) as app:
            scribe = await app.start(Scribe)
            seen = await scribe.call(lambda _: trace.get_current_span().get_span_context().trace_id)
    assert seen == span.get_span_context().trace_id
    assert not kept.get_finished_spans()


class Broken(TracerProvider):
    def get_tracer(self, *args: Any, **kwargs: Any) -> Any:
        return self

    def start_span(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise Boom("no span")


class Hollow(Broken):
    """It has no `start_span` at all."""

    def __getattribute__(self, name: str) -> Any:
        if name == "start_span":
            raise Boom("no way to a span")
        return super().__getattribute__(name)


@pytest.mark.parametrize("provider", [Broken, Hollow])
async def test_what_a_provider_raises_is_logged_and_harms_nobody(
    provider: type[Broken], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lost_spans, "_said_at", -math.inf)
    async with Supervisor("app", tracing=provider(shutdown_on_exit=False)) as app:
        scribe = await app.start(Scribe)
        assert await scribe.call(Scribe.note, "a") == 1
        await scribe.send(Scribe.crash)
        assert await scribe.call(Scribe.note, "a") == 1
    assert caplog.text.count("spans are lost") == 1


class Rude(Exception):
    def __str__(self) -> str:
        raise Boom("no text")


@pytest.mark.parametrize(("signal", "events"), [("", ["exception"]), ("logs", []), ("logs/dup", ["exception"])])
async def test_an_exception_is_an_event_of_its_span_unless_the_variable_says_otherwise(
    signal: str, events: list[str], provider: TracerProvider, kept: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN", signal)
    async with Supervisor("app", tracing=provider) as app:
        scribe = await app.start(Scribe)
        await scribe.send(Scribe.crash)
        await at_rest()
    [crashed] = [span for span in kept.get_finished_spans() if span.name == "process Scribe.crash"]
    assert [event.name for event in crashed.events] == events


async def test_an_exception_without_a_text_ends_its_span_too(provider: TracerProvider, kept: InMemorySpanExporter) -> None:
    def rude(_: Scribe) -> NoReturn:
        raise Rude

    async with Supervisor("app", tracing=provider) as app:
        scribe = await app.start(Scribe)
        await scribe.send(rude)
        await at_rest()
    [process] = [span for span in kept.get_finished_spans() if span.name == "process Scribe.exec"]
    assert (process.attributes or {})["error.type"] == f"{__name__}.Rude"


async def test_a_sender_lets_others_run_although_each_message_is_looked_at(provider: TracerProvider) -> None:
    others = 0

    async def other() -> None:
        nonlocal others
        while True:
            others += 1
            await anyio.lowlevel.checkpoint()

    async with Supervisor("app", tracing=provider) as app, anyio.create_task_group() as group:
        scribe = await app.start(Scribe, capacity=10_000)
        group.start_soon(other)
        for number in range(1_000):
            await scribe.send(Scribe.note, number)
            assert scribe._mailbox.credits == 0
        group.cancel_scope.cancel()
        assert others >= 5


async def test_a_message_of_a_pool_is_the_pools_and_is_handled_by_one_of_its_workers(watch: Watch) -> None:
    jobs = pool(Scribe, size=2, name="jobs", redeliver=1)
    async with Supervisor("app", jobs, tracing=watch.provider) as app:
        assert await app.find(jobs).call(Scribe.note, 1) == 1
        with pytest.raises(ActorCrashed):
            await app.find(jobs).call(Scribe.crash)
        await at_rest()
    called, crashed = watch.one("call Scribe.note"), watch.one("call Scribe.crash")
    assert called.attributes[key.ACTOR_PATH] == "app/jobs"
    handled = watch.one("process Scribe.note")
    assert handled.parent_id == called.span_id
    assert handled.attributes[key.ACTOR_PATH] in ("app/jobs/1", "app/jobs/2")
    assert [span.trace_id for span in watch.named("process Scribe.crash")] == [crashed.trace_id] * 2
    restarted = {span.attributes[key.ACTOR_PATH] for span in watch.named("restart Scribe")}
    assert restarted <= {"app/jobs/1", "app/jobs/2"}
    assert len(watch.named("start Pool jobs")) == 1
