"""Spans out of the process: a tracer provider of our own, made as the OTEL_* variables say.

Telemetry neither crashes nor delays an actor. What ended is handed to a thread of the SDK, which posts it. A collector that
is down, refuses or hangs costs spans and one warning; a shutdown waits for it for 2 s at most, in a thread of its own.
"""

from __future__ import annotations

import atexit
import importlib
import logging
import os
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import anyio.to_thread
from opentelemetry import trace
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter, SpanExportResult

from .attributes import ACTOR_TYPE, SENDER_TYPE, SUPERVISOR_PATH, scope

DEADLINE: Final = 2.0
"""Seconds that a flush or a shutdown waits for a collector, and no more."""
EXTRA: Final = "pip install 'supervise-actors[otlp]'"
_EXPORTER: Final = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")

logger: Final = logging.getLogger("supervise.tracing")


class Tracing:
    """A tracer provider, and its end. Made by `configure`.

    `ours` says whether the provider was made here. One that wasn't is never flushed and never shut down: whoever made it
    does that.
    """

    def __init__(self, provider: trace.TracerProvider, exporter: _Deliverer | None) -> None:
        self.provider: trace.TracerProvider = provider
        self._exporter = exporter
        self._closed = exporter is None
        if exporter is not None:
            atexit.register(self.close)

    @property
    def ours(self) -> bool:
        """Whether the provider was made here."""
        return self._exporter is not None

    def flush(self, within: float = DEADLINE) -> bool:
        """Deliver what has ended so far; False if that took longer than `within` seconds, or failed.

        It blocks. From a handler: `await anyio.to_thread.run_sync(tracing.flush)`.
        """
        provider = self.provider
        if self._exporter is None or self._closed or not isinstance(provider, TracerProvider):
            return True
        return self._in_time(provider.force_flush, within)

    def close(self, within: float = DEADLINE) -> bool:
        """Deliver what has ended, and shut the provider down. False: not all was delivered within that many seconds.

        Idempotent, and registered to run when the interpreter exits. Spans that haven't ended by now are lost, so it comes
        after the tree. It blocks the thread, for `within` seconds at most, whatever the collector does. CPython 3.12.0 and
        3.12.1 start no thread when they exit: there it has to be called before, or a warning says that nothing was delivered.
        """
        provider, exporter = self.provider, self._exporter
        if exporter is None or self._closed or not isinstance(provider, TracerProvider):
            return True
        self._closed = True
        atexit.unregister(self.close)
        delivered = self._in_time(provider.shutdown, within)
        if not delivered:
            exporter.abandon()
        return delivered

    async def aclose(self, within: float = DEADLINE) -> bool:
        """`close`, while other tasks go on."""
        return await anyio.to_thread.run_sync(self.close, within, abandon_on_cancel=True)

    def _in_time(self, function: Callable[[], object], within: float) -> bool:
        """Run it in a thread that nobody has to wait for: the SDK's own time limits aren't kept (7 s for 0.5 were seen)."""
        exporter = self._exporter
        assert exporter is not None
        exporter.failed = False
        over = threading.Event()

        def run() -> None:
            try:
                function()
            finally:
                over.set()

        try:
            threading.Thread(target=run, name="supervise: last spans", daemon=True).start()
        except RuntimeError:  # some releases of CPython start no thread once the interpreter exits
            exporter.say("the interpreter exits: call close() before")
            return False
        if over.wait(within):
            return not exporter.failed
        exporter.say(f"it didn't take them within {within:g} s")
        return False


def configure(
    service_name: str | None = None, *, endpoint: str | None = None, actor_services: bool = False, as_global: bool = True
) -> Tracing:
    """Make a tracer provider that delivers to an OTLP collector, if there is one to deliver to.

    `endpoint` is the collector's address without a path, e.g. `http://127.0.0.1:4318`. Without it the variables decide:
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_EXPORTER (`otlp`, `console`, `none`),
    OTEL_SDK_DISABLED; if they name nothing either, nothing is recorded and nothing is sent. OTEL_SERVICE_NAME and
    OTEL_RESOURCE_ATTRIBUTES win over `service_name`: who runs a program knows better what it is called there. Sampler, limits,
    headers, timeouts and batches are the SDK's: OTEL_TRACES_SAMPLER, OTEL_SPAN_*, OTEL_EXPORTER_OTLP_*, OTEL_BSP_*.

    `actor_services` makes a service of each type of actor (see `ActorServices`).

    The provider becomes the global one, unless `as_global=False`. A global provider that somebody else has set is used
    instead, and left alone: it is neither replaced, nor given a processor, nor shut down.

    What is wrong with an argument raises: ValueError for an endpoint that is no URL, ImportError when the exporter isn't
    installed. What is wrong with a variable is a warning, and nothing is sent.
    """
    if endpoint is not None:
        check_endpoint(endpoint)
    if as_global and not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        if endpoint is not None:
            logger.warning("a tracer provider is set already: it is used as it is, and nothing is sent to %s by us", endpoint)
        return Tracing(trace.get_tracer_provider(), None)
    exporter = _exporter(endpoint)
    if exporter is None:
        return Tracing(trace.NoOpTracerProvider(), None)
    deliverer = _Deliverer(exporter, endpoint or next(filter(None, map(os.environ.get, _ENDPOINTS)), "the default endpoint"))
    resource = Resource.create()
    if service_name and str(resource.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: service_name}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(ActorServices(deliverer) if actor_services else deliverer))
    if as_global:
        trace.set_tracer_provider(provider)
    return Tracing(provider, deliverer)


def tracer(provider: trace.TracerProvider | None = None) -> trace.Tracer:
    """The tracer of this package: of a given provider, or of the global one, which may also be set later."""
    return (provider or trace.get_tracer_provider()).get_tracer(*scope())


def check_endpoint(endpoint: str) -> None:
    """ValueError, with the cure, if it can't be the address of a collector."""
    try:
        parts = urlsplit(endpoint)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise ValueError(f"{endpoint!r} isn't the URL of an OTLP/HTTP collector: give one such as http://127.0.0.1:4318")


def _exporter(endpoint: str | None) -> SpanExporter | None:
    """What the argument, or else the variables, ask for."""
    if endpoint is not None:
        return _otlp()(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    named = next(filter(None, map(os.environ.get, _ENDPOINTS)), None)
    chosen = os.environ.get("OTEL_TRACES_EXPORTER", "").strip().lower() or ("otlp" if named else "none")
    if chosen == "none":
        return None
    if chosen == "console":
        return ConsoleSpanExporter()
    if chosen != "otlp":
        logger.warning("OTEL_TRACES_EXPORTER=%s isn't known here: otlp, console and none are; no spans are sent", chosen)
        return None
    for variable in ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        protocol = os.environ.get(variable, "").strip()
        if protocol and protocol != "http/protobuf":
            logger.warning("%s=%s isn't spoken here: set it to http/protobuf; no spans are sent", variable, protocol)
            return None
    try:
        if named is not None:
            check_endpoint(named)
        return _otlp()()
    except (ValueError, ImportError) as error:
        logger.warning("OTEL_EXPORTER_OTLP_ENDPOINT: %s; no spans are sent", error)
        return None


def _otlp() -> Callable[..., SpanExporter]:
    try:
        module: Any = importlib.import_module(_EXPORTER)
    except ImportError as error:
        raise ImportError(f"the exporter of OTLP isn't installed ({error}): {EXTRA}") from error
    found: Callable[..., SpanExporter] = module.OTLPSpanExporter
    return found


class ActorServices(SpanExporter):
    """Gives each *type* of actor a service of its own, `shop/Orders`: Jaeger's System Architecture page then draws the actors.

    That page knows services only, and by convention a service is a process; so this is an option. It wraps an exporter, and
    changes spans on the exporting thread alone. A call or a send belongs to the type that makes it, all else to the type that
    handles it, and the decisions of supervisors to `shop/Supervisor`. What isn't an actor's stays as it is.
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
        return ReadableSpan(
            name=span.name,
            context=span.context,
            parent=span.parent,
            resource=self._resource(span.resource, kind),
            attributes=span.attributes,
            events=span.events,
            links=span.links,
            kind=span.kind,
            status=span.status,
            start_time=span.start_time,
            end_time=span.end_time,
            instrumentation_scope=span.instrumentation_scope,
        )

    def _resource(self, resource: Resource, kind: str) -> Resource:
        known = self._merged.get(kind)
        if known is not None and known[0] is resource:
            return known[1]
        merged = resource.merge(Resource({SERVICE_NAME: f"{resource.attributes[SERVICE_NAME]!s}/{kind}"}))
        self._merged[kind] = resource, merged
        return merged


class _Deliverer(SpanExporter):
    """Exports, and says once when that fails, rather than at each attempt of each batch."""

    def __init__(self, exporter: SpanExporter, where: str) -> None:
        self._exporter = exporter
        self._where = where
        self._said = False
        self._over = False
        self.failed: bool = False
        _quiet_the_exporter()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        _exporting.by = self
        try:
            result = self._exporter.export(spans)
        except Exception as error:
            self.say(f"{type(error).__name__}: {error}")
            result = SpanExportResult.FAILURE
        finally:
            _exporting.by = None
        if result is not SpanExportResult.SUCCESS:
            self.failed = True
            self.say(f"{len(spans)} were lost")
        elif self._said:
            self._said = False
            logger.info("spans are delivered to %s again", self._where)
        return result

    def say(self, what: str) -> None:
        """One warning, until it works again."""
        if not self._said:
            self._said = True
            logger.warning("spans can't be delivered to %s: %s; nothing waits for them", self._where, what)

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
    by: _Deliverer | None = None


_exporting = _Exporting()


def _one_warning(record: logging.LogRecord) -> bool:
    """The exporter logs each attempt. Of ours the first one is a warning; those of others pass."""
    deliverer = _exporting.by
    if deliverer is None or record.levelno < logging.WARNING:
        return True
    deliverer.say(record.getMessage())
    return False


def _quiet_the_exporter() -> None:
    exporter = logging.getLogger(_EXPORTER)
    if _one_warning not in exporter.filters:
        exporter.addFilter(_one_warning)
