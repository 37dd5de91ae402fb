"""A real Jaeger for tests: a program of its own on loopback, with Badger storage that ends with it.

What a test asserts is what its HTTP API answers, which is all that Jaeger's pages know.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from .collector import Link, Span, SpanEvent

GUARD: Final = 60.0  # seconds; it is up within two, and has stored a story in a tenth
SAME_HOST: Final = "ip=127.0.0.1"
"""For the sender's OTEL_RESOURCE_ATTRIBUTES, so that no clocks are compared: up to 2.14 Jaeger knows a host by `ip` alone."""
MISSING: Final = "no Jaeger is here: the variable JAEGER names none, and there is no `jaeger` on the path"
_TRIES: Final = 3  # a port that is free now may be taken before Jaeger listens there
_PAUSE: Final = 0.02  # seconds between two looks
_CONFIGURATION: Final = """\
service:
  extensions: [jaeger_storage, jaeger_query]
  pipelines:
    traces:
      receivers: [otlp]
      exporters: [jaeger_storage_exporter]
  telemetry:
    metrics:
      level: none
extensions:
  jaeger_query:
    enable_tracing: false
    storage:
      traces: stories
    http:
      endpoint: 127.0.0.1:{http}
    grpc:
      endpoint: 127.0.0.1:{grpc}
  jaeger_storage:
    backends:
      stories:
        badger:
          ephemeral: true
receivers:
  otlp:
    protocols:
      http:
        endpoint: 127.0.0.1:{otlp}
exporters:
  jaeger_storage_exporter:
    trace_storage: stories
"""


class Trace(NamedTuple):
    """One trace as the API gives it, its spans in the order of their beginning. Times are in whole microseconds, as stored."""

    id: str
    spans: list[Span]
    warnings: list[str]
    """Of the trace and of its spans, each with the name of its span."""

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]


def program() -> str | None:
    """What the variable JAEGER names, else `jaeger` on the path. ValueError, if what it names can't be run."""
    named = os.environ.get("JAEGER")
    if not named:
        return shutil.which("jaeger")
    found = shutil.which(named)
    if found is None:
        raise ValueError(f"JAEGER={named} is no program that can be run: give the path of Jaeger's, or unset the variable")
    return found


class Jaeger:
    """Runs as long as its `with` lasts. `endpoint` is where spans are sent to."""

    def __init__(self, program: str, folder: Path) -> None:
        self._program = program
        self._folder = folder
        self._running: subprocess.Popen[bytes] | None = None
        self._log = folder / "jaeger.log"
        self.endpoint: str = ""
        self._query: str = ""

    def __enter__(self) -> Self:
        for _ in range(_TRIES):
            self._begin()
            try:
                self._wait_until(self._is_ready)
            except _Ended:
                if "address already in use" in self._said():
                    continue
                raise AssertionError(f"Jaeger ended before it was ready:\n{self._said()}") from None
            except BaseException:
                self._end()
                raise
            return self
        raise AssertionError(f"{_TRIES} times a port was taken before Jaeger could listen there:\n{self._said()}")

    def __exit__(self, *_: object) -> None:
        self._end()

    def services(self) -> set[str]:
        return set(self._ask("services"))

    def traces(self, service: str, operation: str | None = None, **tags: str) -> list[Trace]:
        """What a search finds. A dot in a tag's name is written as two underscores: `error__type="Boom"`."""
        named = {name.replace("__", "."): value for name, value in tags.items()}
        asked = {
            "service": service,
            "limit": "1000",
            "start": "0",
            "end": str(time.time_ns() // 1000),
            "tags": json.dumps(named),
        }
        if operation is not None:
            asked["operation"] = operation
        return [_trace(data) for data in self._ask("traces", asked.items())]

    def edges(self) -> set[tuple[str, str]]:
        """Which service calls or sends to which, as System Architecture draws them."""
        asked = {"endTs": str(time.time_ns() // 1_000_000), "lookback": str(3_600_000)}
        return {(link["parent"], link["child"]) for link in self._ask("dependencies", asked.items())}

    def wait_for(self, spans: Iterable[tuple[str, str]]) -> None:
        """Until it has stored these, named by the ids of trace and span, so that a search can find them."""
        expected = set(spans)
        asked = [("traceID", trace) for trace in sorted({trace for trace, _ in expected})]
        stored: set[tuple[str, str]] = set()

        def all_are_there() -> bool:
            found = [_trace(data) for data in self._ask("traces", asked)]
            stored.update((span.trace_id, span.span_id) for trace in found for span in trace.spans)
            return expected <= stored

        try:
            self._wait_until(all_are_there)
        except AssertionError as error:
            raise AssertionError(f"{len(expected - stored)} of {len(expected)} spans didn't come: {error}") from error

    def _begin(self) -> None:
        http, grpc, otlp = _free_ports(3)
        self.endpoint, self._query = f"http://127.0.0.1:{otlp}", f"http://127.0.0.1:{http}/api"
        configuration = self._folder / "jaeger.yaml"
        configuration.write_text(_CONFIGURATION.format(http=http, grpc=grpc, otlp=otlp), encoding="utf-8")
        with self._log.open("wb") as log:
            self._running = subprocess.Popen(
                [self._program, "--config", str(configuration)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
            )

    def _end(self) -> None:
        running, self._running = self._running, None
        if running is None:
            return
        running.terminate()
        try:
            running.wait(GUARD)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()
            raise

    def _is_ready(self) -> bool:
        """Both sides answer: that which takes spans, and that which finds them."""
        nothing = ExportTraceServiceRequest().SerializeToString()
        kind = {"content-type": "application/x-protobuf"}
        try:
            with urllib.request.urlopen(urllib.request.Request(f"{self.endpoint}/v1/traces", nothing, kind), timeout=GUARD):
                self._ask("services")
        except (OSError, AssertionError):
            return False
        return True

    def _ask(self, what: str, asked: Iterable[tuple[str, str]] = ()) -> list[Any]:
        url = f"{self._query}/{what}?{urllib.parse.urlencode([*asked])}"
        try:
            with urllib.request.urlopen(url, timeout=GUARD) as answer:
                found: dict[str, Any] = json.load(answer)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{url}: {error.code} {error.read().decode(errors='replace')}") from error
        return found["data"] or []

    def _wait_until(self, condition: Callable[[], bool]) -> None:
        until = time.monotonic() + GUARD
        while not condition():
            if self._running is None or self._running.poll() is not None:
                raise _Ended("Jaeger has ended")
            if time.monotonic() > until:
                raise AssertionError(f"it doesn't hold after {GUARD:g} s; Jaeger said:\n{self._said()}")
            time.sleep(_PAUSE)

    def _said(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")[-3000:]


class _Ended(AssertionError):
    """The program isn't there any more."""


def _free_ports(number: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _trace(data: dict[str, Any]) -> Trace:
    processes = data["processes"]
    spans = [_span(span, processes[span["processID"]]) for span in data["spans"]]
    warnings: list[str] = data["warnings"] or []
    for span in data["spans"]:
        of_span: list[str] = span["warnings"] or []
        warnings += [f"{span['operationName']}: {warning}" for warning in of_span]
    return Trace(data["traceID"], sorted(spans, key=lambda span: span.start), warnings)


def _span(data: dict[str, Any], process: dict[str, Any]) -> Span:
    """Jaeger keeps kind, status and scope as tags, and a parent as the first reference to be a child of."""
    attributes = _values(data["tags"])
    references: list[dict[str, str]] = data["references"]
    parent = next((each["spanID"] for each in references if each["refType"] == "CHILD_OF"), "")
    logs: list[dict[str, Any]] = data["logs"] or []
    linked = [each for each in references if each["refType"] != "CHILD_OF"]
    start = int(data["startTime"]) * 1000
    return Span(
        name=data["operationName"],
        kind=str(attributes.pop("span.kind", "internal")).upper(),
        trace_id=data["traceID"],
        span_id=data["spanID"],
        parent_id=parent,
        start=start,
        end=start + int(data["duration"]) * 1000,
        status="ERROR" if attributes.pop("error", False) else str(attributes.pop("otel.status_code", "UNSET")),
        description=str(attributes.pop("otel.status_description", "")),
        attributes=attributes,
        events=[_event(_values(log["fields"])) for log in logs],
        links=[Link(each["traceID"], each["spanID"], {}) for each in linked],
        resource={"service.name": process["serviceName"], **_values(process["tags"])},
        scope=(str(attributes.pop("otel.scope.name", "")), str(attributes.pop("otel.scope.version", "")), ""),
    )


def _event(fields: dict[str, Any]) -> SpanEvent:
    return SpanEvent(str(fields.pop("event", "")), fields)


def _values(tags: list[dict[str, Any]]) -> dict[str, Any]:
    return {tag["key"]: tag["value"] for tag in tags}
