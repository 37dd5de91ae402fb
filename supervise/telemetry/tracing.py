"""Spans out of the process: a tracer provider of our own, made as the OTEL_* variables say.

Telemetry neither crashes nor delays an actor. What ended is handed to a thread of the SDK, which posts it. A collector that
is down, refuses or hangs costs spans and one warning; a shutdown waits for it for 2 s at most, in a thread of its own.
"""

from __future__ import annotations

import atexit
import importlib
import logging
import os
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import anyio.to_thread
from opentelemetry import trace

from supervise.log import say
from supervise.spans.attributes import scope

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

    from .delivery import Deliverer

DEADLINE: Final = 2.0
"""Seconds that a flush or a shutdown waits for a collector, and no more."""
EXPORTER: Final = "pip install opentelemetry-exporter-otlp-proto-http"
_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")

logger: Final = logging.getLogger("supervise.tracing")


class Tracing:
    """A tracer provider, and its end; made by `configure`.

    `provider` is what a tree takes as `tracing=`. `ours` says whether it was made here. One
    that wasn't is never flushed and never shut down: whoever made it does that.

        >>> tracing = configure("shop", endpoint="http://127.0.0.1:4318", as_global=False)
        >>> tracing.ours
        True
        >>> async with Supervisor("app", tracing=False):  # tracing.provider would have it record
        ...     pass
        >>> tracing.close()
        True
    """

    def __init__(self, provider: trace.TracerProvider, made: tuple[TracerProvider, Deliverer] | None = None) -> None:
        self.provider: trace.TracerProvider = provider
        self._made = made
        self._closed = made is None
        if made is not None:
            atexit.register(self.close)

    @property
    def ours(self) -> bool:
        """Whether the provider was made here."""
        return self._made is not None

    def flush(self, within: float = DEADLINE) -> bool:
        """Deliver what has ended so far; False if that failed, or took longer than `within` seconds.

        It blocks its thread. From a handler: `await anyio.to_thread.run_sync(tracing.flush)`. True
        for a provider that isn't ours.
        """
        if self._made is None or self._closed:
            return True
        provider, deliverer = self._made
        return _in_time(provider.force_flush, within, deliverer)

    def close(self, within: float = DEADLINE) -> bool:
        """Deliver what has ended, and shut the provider down.

        False says that not all was delivered within that many seconds (default 2). Spans that
        haven't ended by now are lost, so it comes after the tree. It blocks the thread, for
        `within` seconds at most, whatever the collector does.

        Idempotent, and registered to run when the interpreter exits. CPython 3.12.0 and 3.12.1
        start no thread when they exit: there it has to be called before, or a warning says that
        nothing was delivered.
        """
        if self._made is None or self._closed:
            return True
        provider, deliverer = self._made
        self._closed = True
        atexit.unregister(self.close)
        delivered = _in_time(provider.shutdown, within, deliverer)
        if not delivered:
            deliverer.abandon()
        return delivered

    async def aclose(self, within: float = DEADLINE) -> bool:
        """`close`, while other tasks go on."""
        return await anyio.to_thread.run_sync(self.close, within, abandon_on_cancel=True)


def configure(
    service_name: str | None = None, *, endpoint: str | None = None, actor_services: bool = False, as_global: bool = True
) -> Tracing:
    """Make a tracer provider that delivers to an OTLP collector, if there is one.

    Without `endpoint`, and without OTEL_* variables that name a collector, nothing is recorded
    and nothing is sent.

        service_name: What the program is called. OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES
            win: who runs a program knows better what it is called there.
        endpoint: The collector's address without a path, e.g. `http://127.0.0.1:4318`. Default:
            what OTEL_EXPORTER_OTLP_TRACES_ENDPOINT or OTEL_EXPORTER_OTLP_ENDPOINT says, if
            OTEL_TRACES_EXPORTER (`otlp`, `console`, `none`) and OTEL_SDK_DISABLED allow it.
        actor_services: Whether each type of actor is a service, `shop/Orders` (default False).
            Jaeger's System Architecture page then draws the actors. It knows services only, and
            by convention a service is a process.
        as_global: Whether the provider becomes the global one (default True). A global provider
            that somebody else has set is used instead, and left alone: not replaced, given no
            processor, not shut down.

    Sampler, limits, headers, timeouts and batches are the SDK's: OTEL_TRACES_SAMPLER,
    OTEL_SPAN_*, OTEL_EXPORTER_OTLP_*, OTEL_BSP_*. A collector that is down, refuses or hangs
    costs spans and one warning; no actor waits for it.

    A process that is forked off, by `multiprocessing` or as gunicorn's workers, goes on with
    the provider: what ends there is delivered by itself, with the fork's `process.pid`.

    What is wrong with an argument raises: ValueError for an endpoint that is no URL,
    ImportError when the exporter isn't installed. What is wrong with a variable is a warning,
    and nothing is sent.

        >>> tracing = configure("shop", as_global=False)  # no variable names a collector
        >>> tracing.ours
        False
        >>> configure("shop", endpoint="127.0.0.1:4318")
        Traceback (most recent call last):
        ValueError: '127.0.0.1:4318' isn't the URL of an OTLP/HTTP collector: give one such as http://127.0.0.1:4318
    """
    if endpoint is not None:
        check_endpoint(endpoint)
    if as_global and not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        if endpoint is not None:
            _warn("a tracer provider is set already: it is used as it is, and nothing is sent to %s by us", endpoint)
        return Tracing(trace.get_tracer_provider())
    exporter = _exporter(endpoint)
    if exporter is None:
        return Tracing(trace.NoOpTracerProvider())
    from opentelemetry.sdk.resources import HOST_NAME, PROCESS_PID, SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    from .delivery import ActorServices, Deliverer

    deliverer = Deliverer(exporter, endpoint or next(filter(None, map(os.environ.get, _ENDPOINTS)), "the default endpoint"))
    # Jaeger compares no clocks of spans that say the same host. What a variable says wins. In a fork the SDK keeps the pid
    # that it was given; `deliverer` corrects it.
    resource = Resource({HOST_NAME: socket.gethostname(), PROCESS_PID: os.getpid()}).merge(Resource.create())
    if service_name and str(resource.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: service_name}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(ActorServices(deliverer) if actor_services else deliverer))
    if as_global:
        trace.set_tracer_provider(provider)
    return Tracing(provider, (provider, deliverer))


def _in_time(function: Callable[[], object], within: float, deliverer: Deliverer) -> bool:
    """Run it in a thread that nobody has to wait for: the SDK's own time limits aren't kept (7 s for 0.5 were seen)."""
    deliverer.failed = False
    over = threading.Event()

    def run() -> None:
        try:
            function()
        finally:
            over.set()

    try:
        threading.Thread(target=run, name="supervise: last spans", daemon=True).start()
    except RuntimeError:  # some releases of CPython start no thread once the interpreter exits
        deliverer.say("the interpreter exits: call close() before")
        return False
    if over.wait(within):
        return not deliverer.failed
    deliverer.say(f"it didn't take them within {within:g} s")
    return False


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


def _warn(text: str, *args: object) -> None:
    say(logging.WARNING, text, *args, to=logger)


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
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter

        return ConsoleSpanExporter()
    if chosen != "otlp":
        _warn("OTEL_TRACES_EXPORTER=%s isn't known here: otlp, console and none are; no spans are sent", chosen)
        return None
    for variable in ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        protocol = os.environ.get(variable, "").strip()
        if protocol and protocol != "http/protobuf":
            _warn("%s=%s isn't spoken here: set it to http/protobuf; no spans are sent", variable, protocol)
            return None
    try:
        if named is not None:
            check_endpoint(named)
        return _otlp()()
    except (ValueError, ImportError) as error:
        _warn("OTEL_EXPORTER_OTLP_ENDPOINT: %s; no spans are sent", error)
        return None


def _otlp() -> Callable[..., SpanExporter]:
    try:
        module: Any = importlib.import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    except ImportError as error:
        raise ImportError(f"the exporter of OTLP isn't installed ({error}): {EXPORTER}") from error
    found: Callable[..., SpanExporter] = module.OTLPSpanExporter
    return found
