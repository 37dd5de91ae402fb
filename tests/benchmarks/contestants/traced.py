"""What spans and durations cost: what a tree does by itself, and the same done by hand around the same messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.context import Context, get_current
from opentelemetry.metrics import Meter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler
from opentelemetry.trace import Link, SpanKind

from supervise import Supervisor
from supervise.telemetry import Metrics
from tests.benchmarks.actor import Counter
from tests.benchmarks.sample import Sample, Stopwatch, Workload, expect


async def _send(n: int, tracing: Any) -> Stopwatch:
    watch = Stopwatch()
    async with Supervisor("bench", tracing=tracing) as app:
        counter = await app.start(Counter)
        with watch:
            for _ in range(n):
                await counter.send(Counter.add, 1)
            total = await counter.call(Counter.add, 0)
        expect(total, n)
    return watch


async def off(n: int) -> Sample:
    return (await _send(n, False)).per(n)


async def api_only(n: int) -> Sample:
    """As it is with nobody's provider installed, though the API is imported."""
    assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
    return (await _send(n, "auto")).per(n)


class Spanned(Counter):
    """Makes its spans by hand."""

    __slots__ = ("tracer",)

    def __init__(self, tracer: trace.Tracer) -> None:
        super().__init__()
        self.tracer = tracer

    async def add_under(self, sent: Context, amount: int) -> int:
        link = Link(trace.get_current_span(sent).get_span_context())
        attributes = _messaging("process") | {
            "supervise.actor.path": "bench/spanned",
            "supervise.actor.type": "Spanned",
            "supervise.actor.incarnation": 1,
            "supervise.mailbox.depth": 10,
            "supervise.mailbox.wait": 0.1,
            "code.function.name": "Spanned.add_under",
        }
        with self.tracer.start_as_current_span("process Spanned.add", sent, SpanKind.CONSUMER, attributes, [link]):
            return await self.add(amount)


def _messaging(operation: str) -> dict[str, Any]:
    return {
        "messaging.system": "supervise",
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": "bench/spanned",
        "messaging.destination.template": "Spanned",
    }


async def _send_by_hand(n: int, tracer: trace.Tracer) -> Stopwatch:
    watch = Stopwatch()
    async with Supervisor("bench", tracing=False) as app:
        counter = await app.start(Spanned, tracer)
        with watch:
            for _ in range(n):
                attributes = _messaging("send") | {"supervise.actor.path": "bench/spanned"}
                with tracer.start_as_current_span("send Spanned.add", kind=SpanKind.PRODUCER, attributes=attributes):
                    await counter.send(Spanned.add_under, get_current(), 1)
            total = await counter.call(Spanned.add, 0)
        expect(total, n)
    return watch


class Nowhere(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS


def _provider(sampler: Sampler) -> TracerProvider:
    provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(Nowhere()))
    return provider


async def _added(n: int, sampler: Sampler, *, by_hand: bool) -> Sample:
    provider = _provider(sampler)
    plain = await _send(n, False)
    watch = await (_send_by_hand(n, provider.get_tracer("bench")) if by_hand else _send(n, provider))
    provider.shutdown()
    return {
        "added.cpu": max(watch.cpu - plain.cpu, 1e-9) / n * 1e6,
        "added.wall": max(watch.wall - plain.wall, 1e-9) / n * 1e6,
    }


async def unsampled(n: int) -> Sample:
    return await _added(n, ALWAYS_OFF, by_hand=False)


async def unsampled_by_hand(n: int) -> Sample:
    return await _added(n, ALWAYS_OFF, by_hand=True)


async def sampled(n: int) -> Sample:
    return await _added(n, ALWAYS_ON, by_hand=False)


async def sampled_by_hand(n: int) -> Sample:
    return await _added(n, ALWAYS_ON, by_hand=True)


async def _measured(n: int, metrics: Metrics) -> Stopwatch:
    watch = Stopwatch()
    async with Supervisor("bench", tracing=False, metrics=metrics) as app:
        counter = await app.start(Counter)
        with watch:
            for _ in range(n):
                await counter.send(Counter.add, 1)
            total = await counter.call(Counter.add, 0)
        expect(total, n)
    return watch


class Timed(Counter):
    """Measures by hand how long its messages wait and its handler takes."""

    __slots__ = ("process", "wait")

    def __init__(self, meter: Meter) -> None:
        super().__init__()
        self.wait = meter.create_histogram("wait", "s")
        self.process = meter.create_histogram("process", "s")

    async def add_sent_at(self, sent: float, amount: int) -> int:
        began = perf_counter()
        self.wait.record(began - sent, {"supervise.actor.type": "Timed"})
        try:
            return await self.add(amount)
        finally:
            attributes = {
                "messaging.system": "supervise",
                "messaging.operation.name": "process",
                "messaging.destination.template": "Timed",
            }
            self.process.record(perf_counter() - began, attributes)


async def _measured_by_hand(n: int, meter: Meter) -> Stopwatch:
    watch = Stopwatch()
    async with Supervisor("bench", tracing=False) as app:
        counter = await app.start(Timed, meter)
        with watch:
            for _ in range(n):
                await counter.send(Timed.add_sent_at, perf_counter(), 1)
            total = await counter.call(Timed.add, 0)
        expect(total, n)
    return watch


async def _added_by_durations(n: int, *, by_hand: bool) -> Sample:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    plain = await _send(n, False)
    if by_hand:
        watch = await _measured_by_hand(n, provider.get_meter("bench"))
    else:
        watch = await _measured(n, Metrics(provider, durations=True))
    provider.shutdown()
    return {
        "added.cpu": max(watch.cpu - plain.cpu, 1e-9) / n * 1e6,
        "added.wall": max(watch.wall - plain.wall, 1e-9) / n * 1e6,
    }


async def durations(n: int) -> Sample:
    return await _added_by_durations(n, by_hand=False)


async def durations_by_hand(n: int) -> Sample:
    return await _added_by_durations(n, by_hand=True)


async def counted(n: int) -> Sample:
    """With metrics, none of which measures a message."""
    provider = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)
    watch = await _measured(n, Metrics(provider))
    provider.shutdown()
    return watch.per(n)


WORKLOADS: Final[Mapping[str, Workload]] = {
    "off": off,
    "api_only": api_only,
    "unsampled": unsampled,
    "unsampled_by_hand": unsampled_by_hand,
    "sampled": sampled,
    "sampled_by_hand": sampled_by_hand,
    "durations": durations,
    "durations_by_hand": durations_by_hand,
    "counted": counted,
}
