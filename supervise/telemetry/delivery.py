"""What is between the SDK's batches and the exporter: services by type of actor, the id of the process that a span is of, and
one warning where each attempt fails.

It subclasses the SDK's exporters: so only `configure` imports it, when there is something to deliver.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence
from typing import Final

from opentelemetry import trace
from opentelemetry.sdk.resources import PROCESS_PID, SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from supervise.log import say
from supervise.spans.attributes import ACTOR_TYPE, SENDER_TYPE, SUPERVISOR_PATH
from supervise_strategies.exit_reason import describe

EXPORTER: Final = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
"""The module of the exporter of OTLP, which is also the name of its logger."""
logger: Final = logging.getLogger("supervise.tracing")


class ActorServices(SpanExporter):
    """Gives each *type* of actor a service of its own, `shop/Orders`: Jaeger's System Architecture page then draws the actors.

    It wraps an exporter, and changes spans on the exporting thread alone. A call or a send belongs to the type that makes
    it, all else to the type that handles it, and the decisions of supervisors to `shop/Supervisor`. What isn't an actor's
    stays as it is.
    """

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._merged: dict[str, tuple[Resource, Resource]] = {}

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Hand them on, each with the resource of its actor's type."""
        return self._exporter.export([self._at_home(span) for span in spans])

    def shutdown(self) -> None:
        """Shut the exporter down."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Flush the exporter."""
        return self._exporter.force_flush(timeout_millis)

    def _at_home(self, span: ReadableSpan) -> ReadableSpan:
        attributes = span.attributes or {}
        if span.kind in (trace.SpanKind.CLIENT, trace.SpanKind.PRODUCER):
            kind = attributes.get(SENDER_TYPE)  # its other attributes are the target's
        else:
            kind = attributes.get(ACTOR_TYPE) or ("Supervisor" if SUPERVISOR_PATH in attributes else None)
        if not isinstance(kind, str):
            return span
        return _of(span, self._resource(span.resource, kind))

    def _resource(self, resource: Resource, kind: str) -> Resource:
        known = self._merged.get(kind)
        if known is not None and known[0] is resource:
            return known[1]
        merged = resource.merge(Resource({SERVICE_NAME: f"{resource.attributes[SERVICE_NAME]!s}/{kind}"}))
        self._merged[kind] = resource, merged
        return merged


def _of(span: ReadableSpan, resource: Resource) -> ReadableSpan:
    """The span with another resource."""
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=resource,
        attributes=span.attributes,
        events=span.events,
        links=span.links,
        kind=span.kind,
        status=span.status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


class Deliverer(SpanExporter):
    """Exports, and says once when that fails, rather than at each attempt of each batch.

    A process that is forked off exports with the provider of its parent: what it exports has its own `process.pid`.
    """

    def __init__(self, exporter: SpanExporter, where: str) -> None:
        self._exporter = exporter
        self._where = where
        self._made_in = os.getpid()
        self._said = False
        self._over = False
        self.failed: bool = False
        _quiet_the_exporter()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        _exporting.by = self
        try:
            result = self._exporter.export(spans if os.getpid() == self._made_in else self._of_this_process(spans))
        except Exception as error:
            self.say(describe(error))
            result = SpanExportResult.FAILURE
        finally:
            _exporting.by = None
        if result is not SpanExportResult.SUCCESS:
            self.failed = True
            self.say(f"{len(spans)} were lost")
        elif self._said:
            self._said = False
            say(logging.INFO, "spans are delivered to %s again", self._where, to=logger)
        return result

    def _of_this_process(self, spans: Sequence[ReadableSpan]) -> Sequence[ReadableSpan]:
        """What the provider's maker said of itself, and nothing that OTEL_RESOURCE_ATTRIBUTES or a detector has said."""
        here = Resource({PROCESS_PID: os.getpid()})
        merged: dict[int, Resource] = {}
        told: list[ReadableSpan] = []
        for span in spans:
            resource = span.resource
            if resource.attributes.get(PROCESS_PID) == self._made_in:
                if id(resource) not in merged:
                    merged[id(resource)] = resource.merge(here)
                span = _of(span, merged[id(resource)])
            told.append(span)
        return told

    def say(self, what: str) -> None:
        """One warning, until it works again."""
        if not self._said:
            self._said = True
            say(logging.WARNING, "spans can't be delivered to %s: %s; nothing waits for them", self._where, what, to=logger)

    def abandon(self) -> None:
        """Nobody waits any more: no attempt is made again."""
        self.shutdown()

    def shutdown(self) -> None:
        if not self._over:
            self._over = True
            self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._exporter.force_flush(timeout_millis)


class _Exporting(threading.local):
    by: Deliverer | None = None


_exporting = _Exporting()


def _one_warning(record: logging.LogRecord) -> bool:
    """The exporter logs each attempt. Of ours the first one is a warning; those of others pass."""
    deliverer = _exporting.by
    if deliverer is None or record.levelno < logging.WARNING:
        return True
    deliverer.say(record.getMessage())
    return False


def _quiet_the_exporter() -> None:
    exporter = logging.getLogger(EXPORTER)
    if _one_warning not in exporter.filters:
        exporter.addFilter(_one_warning)
