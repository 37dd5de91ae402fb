"""An OTLP collector for tests: it listens on loopback, decodes what it is sent, and keeps spans as plain values.

What a test asserts is what arrived, over a real socket, from the real exporter.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Literal, NamedTuple, Self, TypeAlias

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse

Mode: TypeAlias = Literal["up", "503", "hangs", "slow"]
"""`hangs`: takes a request and never answers. `slow`: answers when the test lets it."""
GUARD: Final = 20.0  # seconds; what is waited for takes a small part of one
_KINDS = ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
_STATUS = ("UNSET", "OK", "ERROR")


class Link(NamedTuple):
    trace_id: str
    span_id: str
    attributes: dict[str, Any]


class SpanEvent(NamedTuple):
    name: str
    attributes: dict[str, Any]


class Span(NamedTuple):
    """One span as it was received. Ids are hexadecimal, times nanoseconds; `parent_id` is empty for a root."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    start: int
    end: int
    status: str
    description: str
    attributes: dict[str, Any]
    events: list[SpanEvent]
    links: list[Link]
    resource: dict[str, Any]
    scope: tuple[str, str, str]
    """Name, version, schema URL."""

    @property
    def service(self) -> str:
        return str(self.resource["service.name"])


class Collector:
    """Listens as long as its `with` lasts. `mode` may be changed at any time."""

    def __init__(self, mode: Mode = "up") -> None:
        self.mode: Mode = mode
        self.spans: list[Span] = []
        self.requests: int = 0
        """That came in, whatever became of them."""
        self._changed = threading.Condition()
        self._let = threading.Event()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                collector._take(self, body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.endpoint: str = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), name="collector", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.let()
        self.go_down()

    def go_down(self) -> None:
        """Stop listening: connections are refused from now on. Idempotent."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()

    def let(self) -> None:
        """Answer what hangs, or is slow, now."""
        self._let.set()

    def wait_for(self, condition: Callable[[Self], bool]) -> None:
        """Until it holds; looked at whenever something arrives."""
        with self._changed:
            if not self._changed.wait_for(lambda: condition(self), GUARD):
                raise AssertionError(f"it doesn't hold; {self.requests} requests, spans {[s.name for s in self.spans]}")

    def named(self, name: str) -> Span:
        """The only span of that name."""
        [span] = [span for span in self.spans if span.name == name]
        return span

    def _take(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        with self._changed:
            self.requests += 1
            self._changed.notify_all()
        mode = self.mode
        if mode in ("hangs", "slow"):
            self._let.wait(GUARD * 10)
        if mode in ("up", "slow"):
            with self._changed:
                self.spans += decode(body)
                self._changed.notify_all()
        answer = ExportTraceServiceResponse().SerializeToString()
        try:
            request.send_response(503 if mode == "503" else 200)
            request.send_header("content-type", "application/x-protobuf")
            request.send_header("content-length", str(len(answer)))
            request.end_headers()
            request.wfile.write(answer)
        except OSError:  # whoever asked has gone
            request.close_connection = True


def decode(body: bytes) -> list[Span]:
    """The spans of one request."""
    spans: list[Span] = []
    message: Any = ExportTraceServiceRequest.FromString(body)
    for of_resource in message.resource_spans:
        resource = _attributes(of_resource.resource.attributes)
        for of_scope in of_resource.scope_spans:
            scope = of_scope.scope.name, of_scope.scope.version, of_scope.schema_url
            spans += [_span(span, resource, scope) for span in of_scope.spans]
    return spans


def _span(span: Any, resource: dict[str, Any], scope: tuple[str, str, str]) -> Span:
    return Span(
        name=span.name,
        kind=_KINDS[span.kind],
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        status=_STATUS[span.status.code],
        description=span.status.message,
        attributes=_attributes(span.attributes),
        events=[SpanEvent(event.name, _attributes(event.attributes)) for event in span.events],
        links=[Link(link.trace_id.hex(), link.span_id.hex(), _attributes(link.attributes)) for link in span.links],
        resource=resource,
        scope=scope,
    )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> Any:
    kind: str | None = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    return None if kind is None else getattr(value, kind)
