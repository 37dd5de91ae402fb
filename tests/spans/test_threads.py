"""What runs in a thread of an actor's own has its actor and its trace, on the real clock.

Tested, for each adapter with a thread: a span that is made there stands below the handler's, a message that is sent from there,
too; log records name the actor and the trace; `current()` says who it is; and two messages don't share a trace.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest
from opentelemetry import trace

from supervise import Supervisor, child, current
from supervise.adapters.own_thread import own_thread
from supervise.adapters.thread import thread
from supervise.errors import WrongThread
from supervise.spans import attributes as key
from supervise.telemetry.logs import ActorFilter
from tests.doubles import Scribe
from tests.real_clock import BACKENDS

from .watch import Watch

pykka: Any = pytest.importorskip("pykka", reason="the adapter adapts pykka")
pykka_adapter: Any = pytest.importorskip("supervise.adapters.pykka")
PykkaActor: Any = pykka.ThreadingActor

pytestmark = pytest.mark.anyio
logger = logging.getLogger("shop.ledger")


@pytest.fixture(params=BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def records(caplog: pytest.LogCaptureFixture) -> Any:
    """Those of the user's own logger, as `ActorFilter` completes them."""
    caplog.handler.addFilter(filtered := ActorFilter())
    caplog.set_level(logging.INFO, "shop.ledger")
    yield lambda: [vars(record) for record in caplog.records if record.name == "shop.ledger"]
    caplog.handler.removeFilter(filtered)


def work(tracer: trace.Tracer, scribe: Any) -> str:
    """What is the same in each of the threads."""
    with tracer.start_as_current_span("in the thread"):
        logger.info("at work")
    scribe.from_thread.send(Scribe.note_at_once, threading.current_thread().name)
    with pytest.raises(WrongThread):
        current().nursery  # noqa: B018 - it is the question that raises
    return current().path


class Ledger:
    def __init__(self, tracer: trace.Tracer, scribe: Any) -> None:
        self.tracer = tracer
        self.scribe = scribe
        logger.info("built by %s", current().path)

    def book(self) -> str:
        return work(self.tracer, self.scribe)


class PykkaLedger(PykkaActor):  # type: ignore[misc]  # pykka isn't known to a type checker here
    def __init__(self, tracer: trace.Tracer, scribe: Any) -> None:
        PykkaActor.__init__(self)
        self.tracer = tracer
        self.scribe = scribe

    def on_start(self) -> None:
        logger.info("built by %s", current().path)

    def book(self) -> str:
        return work(self.tracer, self.scribe)


@pytest.mark.parametrize(
    ("adapter", "kind"), [(own_thread, Ledger), (pykka_adapter.actor, PykkaLedger)], ids=["own_thread", "pykka"]
)
async def test_each_message_has_its_own_trace_in_the_thread(watch: Watch, records: Any, adapter: Any, kind: Any) -> None:
    async with Supervisor("app", tracing=watch.provider) as app:
        scribe = await app.start(Scribe, name="scribe")
        ledger: Any = await app.start(adapter(kind, watch.tracer, scribe), name="ledger")
        for request in ("first", "second"):
            with watch.tracer.start_as_current_span(request):
                assert await ledger.call(kind.book) == "app/ledger"
    handlers, made = watch.named(f"process {kind.__name__}.book"), watch.named("in the thread")
    sent = watch.named("send Scribe.note_at_once")
    assert [span.trace_id for span in handlers] == [watch.one("first").trace_id, watch.one("second").trace_id]
    assert [span.parent_id for span in made] == [span.parent_id for span in sent] == [span.span_id for span in handlers]
    assert [span.attributes["supervise.sender.type"] for span in sent] == [kind.__name__] * 2
    built, *at_work = records()
    assert (built["actor"], built["incarnation"], built["trace_id"], built["msg"]) == ("app/ledger", 1, "", "built by %s")
    assert [(each["actor"], each["incarnation"], each["span_id"]) for each in at_work] == [
        ("app/ledger", 1, span.span_id) for span in made
    ]


async def test_a_function_in_a_thread_is_the_actors(watch: Watch, records: Any) -> None:
    paths: list[str] = []

    def consume(scribe: Any, stop: threading.Event) -> None:
        paths.append(work(watch.tracer, scribe))
        stop.wait()

    async with Supervisor("app", tracing=watch.provider) as app:
        scribe = await app.start(Scribe, name="scribe")
        await app.start(thread(consume, scribe), name="consumer")
        while not await scribe.call(lambda scribe: len(scribe.log)):
            pass
    assert paths == ["app/consumer"]
    [record] = records()
    assert (record["actor"], record["incarnation"]) == ("app/consumer", 1)
    assert watch.one("in the thread").parent_id == watch.one("send Scribe.note_at_once").parent_id == ""


async def test_a_function_in_a_thread_is_shown_with_its_name(watch: Watch) -> None:
    def consume(stop: threading.Event) -> None:
        stop.wait()

    class Waits:
        def __call__(self, stop: threading.Event) -> None:
            stop.wait()

    children = child(thread(consume)), child(thread(Waits()), name="unnamed")
    async with Supervisor("app", *children, tracing=watch.provider):
        pass
    assert watch.one("start thread").attributes[key.ACTOR_PATH] == "app/unnamed"
    assert watch.one("start thread consume").attributes[key.ACTOR_TYPE] == "Thread"
    assert watch.one("stop thread consume").status == "UNSET"


async def test_a_reference_carries_the_trace_from_one_pykka_actor_to_another(watch: Watch) -> None:
    class Relay(PykkaActor):  # type: ignore[misc]  # as above
        def __init__(self, other: Any) -> None:
            PykkaActor.__init__(self)
            self.other = other

        def relay(self) -> Any:
            return self.other.ask("mail")

    class Last(PykkaActor):  # type: ignore[misc]  # as above
        def on_receive(self, message: Any) -> Any:
            return message

    async with Supervisor("app", tracing=watch.provider) as app:
        last = await app.start(pykka_adapter.actor(Last), name="last")
        relay = await app.start(pykka_adapter.actor(Relay, pykka_adapter.reference(last)), name="relay")
        assert await relay.call(Relay.relay) == "mail"
    received = {span.span_id: span for span in watch.received()}
    call = received[watch.one("process Last.on_receive").parent_id]
    assert call.parent_id == watch.one("process Relay.relay").span_id
