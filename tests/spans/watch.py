"""What a test sees of a tree's spans: what a collector received of them from the real exporter."""

from __future__ import annotations

from opentelemetry import trace

from supervise.telemetry import tracing
from tests.collector import Collector, Span


class Watch:
    """A provider, and what the collector received of it."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector
        self._tracing = tracing.configure("shop", endpoint=collector.endpoint, as_global=False)
        self.provider: trace.TracerProvider = self._tracing.provider
        self.tracer: trace.Tracer = self.provider.get_tracer("tests")

    def received(self) -> list[Span]:
        """All of them, in the order of their beginning. Each parent has come, and is of the same trace."""
        assert self._tracing.close()
        spans = sorted(self._collector.spans, key=lambda span: span.start)
        ids = {(span.trace_id, span.span_id) for span in spans}
        assert not [span.name for span in spans if span.parent_id and (span.trace_id, span.parent_id) not in ids]
        return spans

    def named(self, name: str) -> list[Span]:
        return [span for span in self.received() if span.name == name]

    def one(self, name: str) -> Span:
        [span] = self.named(name)
        return span

    def close(self) -> None:
        self._tracing.close()
