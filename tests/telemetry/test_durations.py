"""The two histograms, as a reader collects them: on the loop's clock, which is virtual here, so that figures are exact.

Tested: how long messages wait and handlers take, of every kind of handler; what failed, and what didn't; beside spans, and on
traces that are recorded; that nobody pays who hasn't asked; that what a view raises harms nobody; bounds.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import anyio
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from supervise import (
    ActorCrashed,
    ActorStopped,
    BadCall,
    Intensity,
    InvalidSpec,
    RunningSupervisor,
    Supervisor,
    child,
    concurrent,
    current,
    pool,
)
from supervise.spans.attributes import ACTOR_TYPE, ERROR_TYPE
from supervise.telemetry import Metrics, Spans
from supervise.telemetry import durations as durations_module
from supervise.telemetry.durations import BUCKETS, MOST_ERRORS, OTHER
from supervise.testing.virtual_time import at_rest
from tests.doubles import Boom, Scribe, fill

pytestmark = pytest.mark.anyio
PROCESS = "messaging.process.duration"
WAIT = "supervise.mailbox.wait.duration"


class Sleeper:
    """Whose handlers take the time that they are told."""

    async def sleep(self, seconds: float) -> float:
        await anyio.sleep(seconds)
        return seconds

    def sleep_later(self, seconds: float) -> Any:
        """A plain function whose result has to be awaited."""
        return self.sleep(seconds)

    def at_once(self) -> int:
        return 1

    async def fail_after(self, seconds: float, error: BaseException) -> None:
        await anyio.sleep(seconds)
        raise error

    def fail_at_once(self) -> None:
        raise Boom

    @concurrent(limit=1)
    async def sleep_beside(self, seconds: float) -> None:
        await anyio.sleep(seconds)

    async def items(self, seconds: float) -> AsyncGenerator[int]:
        for n in range(2):
            await anyio.sleep(seconds)
            yield n

    async def later(self, seconds: float) -> None:
        current().after(seconds, Sleeper.at_once)


class Measured:
    """A provider with a reader, and what it has measured."""

    def __init__(self) -> None:
        self._reader = InMemoryMetricReader()
        self.provider = MeterProvider([self._reader], shutdown_on_exit=False)
        self.metrics = Metrics(self.provider, durations=True)

    def points(self, name: str) -> list[Any]:
        data: Any = self._reader.get_metrics_data()
        return [
            point
            for resource in (data.resource_metrics if data is not None else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]

    def sums(self, name: str, by: str = "error.type") -> dict[str | None, tuple[int, float]]:
        """How many there were, and their sum in seconds."""
        return {point.attributes.get(by): (point.count, round(point.sum, 6)) for point in self.points(name)}


@pytest.fixture
def measured() -> Measured:
    return Measured()


@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize(
    ("handler", "takes"),
    [(Sleeper.sleep, 0.25), (Sleeper.sleep_later, 0.25), (Sleeper.at_once, 0.0), (Sleeper.sleep_beside, 0.25)],
)
async def test_a_handler_takes_as_long_as_it_takes(measured: Measured, handler: Any, takes: float, traced: bool) -> None:
    async with Supervisor("app", child(Sleeper), metrics=measured.metrics, tracing=tracer() if traced else False) as app:
        sleeper = app.find("sleeper")
        arguments = (takes,) if takes else ()
        await sleeper.call(handler, *arguments)
        await sleeper.send(handler, *arguments)
        await anyio.sleep(1)
        assert measured.sums(PROCESS) == {None: (2, 2 * takes)}
        assert measured.sums(WAIT, by=ACTOR_TYPE) == {"Sleeper": (2, 0.0)}


@pytest.mark.parametrize("traced", [False, True])
async def test_a_message_waits_from_its_sending_until_its_handler_begins(measured: Measured, traced: bool) -> None:
    async with Supervisor(
        "app", child(Sleeper, capacity=1), metrics=measured.metrics, tracing=tracer() if traced else False
    ) as app:
        async with anyio.create_task_group() as group:
            for _ in range(3):  # the last one has to wait for room first
                group.start_soon(call, app, "sleeper", Sleeper.sleep, 2.0)
        assert measured.sums(WAIT, by=ACTOR_TYPE) == {"Sleeper": (3, 0.0 + 2.0 + 4.0)}
        assert measured.sums(PROCESS) == {None: (3, 6.0)}


async def test_one_that_runs_beside_others_begins_when_it_has_its_place(measured: Measured) -> None:
    async with Supervisor("app", child(Sleeper), metrics=measured.metrics) as app:
        async with anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(call, app, "sleeper", Sleeper.sleep_beside, 2.0)
        assert measured.sums(PROCESS) == {None: (2, 4.0)}
        assert measured.sums(WAIT, by=ACTOR_TYPE) == {"Sleeper": (2, 2.0)}


async def test_a_stream_takes_until_its_last_item(measured: Measured) -> None:
    async with Supervisor("app", child(Sleeper), metrics=measured.metrics) as app:
        async with app.find("sleeper").stream_from(Sleeper.items, 1.0) as stream:
            assert [item async for item in stream] == [0, 1]
        await at_rest()
        assert measured.sums(PROCESS) == {None: (1, 2.0)}


async def test_what_a_pool_shares_waits_for_a_worker(measured: Measured) -> None:
    jobs = pool(Sleeper, size=2, name="jobs")
    async with Supervisor("app", jobs, metrics=measured.metrics) as app:
        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(call, app, "jobs", Sleeper.sleep, 1.0)
        assert measured.sums(PROCESS) == {None: (4, 4.0)}
        assert measured.sums(WAIT, by=ACTOR_TYPE) == {"Sleeper": (4, 2.0)}


async def test_a_tick_is_a_message_too(measured: Measured) -> None:
    async with Supervisor("app", child(Sleeper), metrics=measured.metrics) as app:
        await app.find("sleeper").call(Sleeper.later, 1.0)
        await anyio.sleep(2)
        assert measured.sums(PROCESS) == {None: (2, 0.0)}


@pytest.mark.parametrize("traced", [False, True])
async def test_what_a_handler_raised_is_told_by_its_class(measured: Measured, traced: bool) -> None:
    exporter = InMemorySpanExporter()
    tracing: Any = tracer(exporter) if traced else False
    async with Supervisor("app", child(Sleeper), intensity=Intensity(9), metrics=measured.metrics, tracing=tracing) as app:
        sleeper = app.find("sleeper")
        for error in (Boom(), ValueError(), TimeoutError()):
            with pytest.raises(ActorCrashed):
                await sleeper.call(Sleeper.fail_after, 1.0, error)
        with pytest.raises(ActorCrashed):
            await sleeper.call(Sleeper.fail_at_once)
        wrong: Any = Sleeper.sleep
        with pytest.raises(BadCall):
            await sleeper.call(wrong)
        assert measured.sums(PROCESS) == {
            "tests.doubles.Boom": (2, 1.0),
            "ValueError": (1, 1.0),
            "timeout": (1, 1.0),
            "TypeError": (1, 0.0),
        }
    if traced:
        told = {str((span.attributes or {})[ERROR_TYPE]) for span in exporter.get_finished_spans() if "process" in span.name}
        assert told == {"tests.doubles.Boom", "ValueError", "timeout", "TypeError"}


async def test_a_handler_that_is_cancelled_has_failed_only_for_who_waits_for_it(measured: Measured) -> None:
    async with Supervisor("app", child(Sleeper, stop_within="brutal_kill"), metrics=measured.metrics) as app:
        await app.find("sleeper").send(Sleeper.sleep, 9.0)
        await anyio.sleep(1)
        await app.terminate_child("sleeper")
        assert measured.sums(PROCESS) == {None: (1, 1.0)}
        await app.restart_child("sleeper")
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep, 1)
            group.start_soon(call_in_vain, app, "sleeper", Sleeper.sleep, 9.0)
            await anyio.sleep(2)
            await app.terminate_child("sleeper")
        assert measured.sums(PROCESS) == {None: (1, 1.0), "cancelled": (1, 2.0)}


async def call(app: RunningSupervisor, path: str, handler: Any, seconds: float) -> None:
    await app.find(path).call(handler, seconds)


async def call_in_vain(app: RunningSupervisor, path: str, handler: Any, seconds: float) -> None:
    with pytest.raises(ActorStopped):
        await call(app, path, handler, seconds)


async def test_it_says_what_the_conventions_want(measured: Measured) -> None:
    async with Supervisor("app", child(Sleeper), metrics=measured.metrics) as app:
        await app.find("sleeper").call(Sleeper.at_once)
        (point,) = measured.points(PROCESS)
        assert dict(point.attributes) == {
            "messaging.system": "supervise",
            "messaging.operation.name": "process",
            "messaging.destination.template": "Sleeper",
        }
        assert tuple(point.explicit_bounds) == BUCKETS
        (point,) = measured.points(WAIT)
        assert dict(point.attributes) == {ACTOR_TYPE: "Sleeper"}
        assert tuple(point.explicit_bounds) == BUCKETS


async def test_beside_spans_each_measurement_leads_to_the_trace_of_its_handler() -> None:
    measured, exporter = Measured(), InMemorySpanExporter()
    async with Supervisor("app", child(Sleeper), metrics=measured.metrics, tracing=Spans(tracer(exporter))) as app:
        await app.find("sleeper").call(Sleeper.sleep, 1.0)
    (point,) = measured.points(PROCESS)
    (span,) = [span for span in exporter.get_finished_spans() if span.name == "process Sleeper.sleep"]
    assert span.context is not None
    assert [exemplar.span_id for exemplar in point.exemplars] == [span.context.span_id]
    assert (span.attributes or {})["code.function.name"] == f"{__name__}.Sleeper.sleep"


async def test_spans_of_another_tree_are_as_they_were() -> None:
    exporter = InMemorySpanExporter()
    measured, spans = Measured(), Spans(tracer(exporter))
    async with Supervisor("a", child(Sleeper), metrics=measured.metrics, tracing=spans) as first:
        async with Supervisor("b", child(Sleeper), tracing=spans) as second:
            await second.find("sleeper").call(Sleeper.at_once)
            assert measured.points(PROCESS) == []
            await first.find("sleeper").call(Sleeper.at_once)
            assert measured.sums(PROCESS) == {None: (1, 0.0)}


async def test_an_actor_of_a_measured_tree_sends_to_one_that_makes_spans() -> None:
    class Forwarder:
        def __init__(self, to: Any) -> None:
            self.to = to

        async def forward(self) -> None:
            await self.to.call(Sleeper.at_once)

    exporter, measured = InMemorySpanExporter(), Measured()
    async with Supervisor("b", child(Sleeper), tracing=tracer(exporter)) as traced:
        async with Supervisor("a", child(Forwarder, traced.find("sleeper")), metrics=measured.metrics, tracing=False) as app:
            await app.find("forwarder").call(Forwarder.forward)
            assert measured.sums(PROCESS, by="messaging.destination.template") == {"Forwarder": (1, 0.0)}
    assert "call Sleeper.at_once" in {span.name for span in exporter.get_finished_spans()}


async def test_who_has_not_asked_has_no_instrument_on_any_mailbox() -> None:
    async with Supervisor("app", child(Scribe), metrics=Metrics(MeterProvider()), tracing=False) as app:
        assert app.find("scribe")._mailbox.mailbox.instrument is None


async def test_beside_instruments_of_another_kind_they_are_refused() -> None:
    class Others:
        def for_actor(self) -> None: ...

    others: Any = Others()
    with pytest.raises(InvalidSpec, match=r"durations=True.*Spans"):
        async with Supervisor("app", metrics=Measured().metrics, tracing=others):
            pass


async def test_what_the_sdk_raises_is_said_and_harms_nobody(
    measured: Measured, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Raising:
        def record(self, *_: Any) -> None:
            raise Boom("no room")

    async with Supervisor("app", child(Sleeper), metrics=measured.metrics, tracing=False) as app:
        assert measured.metrics.durations is not None
        monkeypatch.setattr(measured.metrics.durations, "_wait", Raising())
        for _ in range(2):
            assert await app.find("sleeper").call(Sleeper.sleep, 1.0) == 1.0
        assert app.account().failed == 0
    assert caplog.messages == ["durations are lost: the meter provider, or a view of it, raised"]


async def test_the_series_are_no_more_than_there_is_room_for(measured: Measured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durations_module, "MOST_TYPES", 2)
    async with Supervisor("app", intensity=Intensity(1000), metrics=measured.metrics, tracing=False) as app:
        for n in range(4):
            made: Any = type(f"Made{n}", (Sleeper,), {})
            await (await app.start(made, name=f"made-{n}")).call(Sleeper.at_once)
        found = measured.sums(PROCESS, by="messaging.destination.template")
        assert found == {"Made0": (1, 0.0), "Made1": (1, 0.0), OTHER: (2, 0.0)}
        for n in range(MOST_ERRORS + 3):
            error = type(f"Error{n}", (Exception,), {"__module__": "made"})()
            with pytest.raises(ActorCrashed):
                await app.find("made-0").call(Sleeper.fail_after, 0.0, error)
        told = {point.attributes.get(ERROR_TYPE) for point in measured.points(PROCESS)}
        assert len(told) == 1 + MOST_ERRORS + 1
        assert OTHER in told


async def test_the_least_there_is_of_a_message_span_goes_through_every_way_in(measured: Measured) -> None:
    async with Supervisor("app", child(Scribe), metrics=measured.metrics, tracing=False) as app:
        scribe = app.find("scribe")
        gate = await fill(scribe, 1)
        scribe.try_send(Scribe.note, 2)
        gate.open()
        await at_rest()
        assert measured.sums(PROCESS) == {None: (3, 0.0)}


def tracer(exporter: InMemorySpanExporter | None = None) -> TracerProvider:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter or InMemorySpanExporter()))
    return provider
