"""The way of spans to a collector, on the real clock, over loopback.

Tested: what the OTEL_* variables say is done, and what is wrong with them is a warning; wrong arguments raise with the cure; a
provider that somebody else made is left alone; a collector that is down, refuses, hangs or is slow delays nobody, costs one
warning, and holds up a shutdown for no longer than it was given; each type of actor as a service of its own; a fork.
"""

from __future__ import annotations

import importlib
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from supervise.spans import attributes
from supervise.telemetry import delivery, tracing
from tests.collector import GUARD, Collector
from tests.real_clock import on_the_real_clock
from tests.span_tree import span_tree

ROOT = Path(__file__).parents[2]
SOON = 0.05  # seconds: a deadline that a test lets pass


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def end_span(configured: tracing.Tracing, name: str = "span", **attributes: Any) -> None:
    tracing.tracer(configured.provider).start_span(name, attributes=attributes).end()


# -- what is asked for -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variable", ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"])
def test_the_endpoint_can_be_a_variable(variable: str, collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, collector.endpoint + ("/v1/traces" if "TRACES" in variable else ""))
    configured = tracing.configure("shop", as_global=False)
    end_span(configured)
    assert configured.close()
    assert collector.named("span").service == "shop"


@pytest.mark.parametrize(
    ("variable", "value"), [("OTEL_SERVICE_NAME", "outside"), ("OTEL_RESOURCE_ATTRIBUTES", "service.name=outside,zone=a")]
)
def test_the_name_from_outside_wins(variable: str, value: str, collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, value)
    configured = tracing.configure("inside", endpoint=collector.endpoint, as_global=False)
    end_span(configured)
    assert configured.close()
    assert collector.named("span").service == "outside"
    assert collector.named("span").resource.get("zone") == ("a" if "zone" in value else None)


def test_the_sampler_is_that_of_the_variable(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    configured = tracing.configure("shop", endpoint=collector.endpoint, as_global=False)
    end_span(configured)
    assert configured.close()
    assert not collector.spans


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_nothing_is_recorded_when_nothing_is_asked_for(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    configured = tracing.configure("shop", as_global=False)
    assert not tracing.tracer(configured.provider).start_span("span").is_recording()
    assert not configured.ours
    assert configured.flush()
    assert configured.close()
    assert not caplog.records


@pytest.mark.parametrize(
    ("variable", "value", "cure"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "give one such as http://127.0.0.1:4318"),
        ("OTEL_TRACES_EXPORTER", "zipkin", "otlp, console and none are"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "set it to http/protobuf"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json", "set it to http/protobuf"),
    ],
)
def test_a_wrong_variable_is_one_warning_with_the_cure_and_nothing_else_happens(
    variable: str, value: str, cure: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv(variable, value)
    assert not tracing.configure("shop", as_global=False).ours
    [warning] = warnings_of(caplog)
    assert value in warning
    assert cure in warning


@pytest.mark.parametrize("endpoint", ["", "collector:4318", "ftp://host", "http://", "http://host:port", "javascript:alert(1)"])
def test_a_wrong_endpoint_is_refused_with_the_cure(endpoint: str) -> None:
    with pytest.raises(ValueError, match=r"give one such as http://127\.0\.0\.1:4318") as refused:
        tracing.configure("shop", endpoint=endpoint, as_global=False)
    assert repr(endpoint) in str(refused.value)


@pytest.fixture
def no_exporter(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.import_module

    def missing(name: str, package: str | None = None) -> Any:
        if name.startswith("opentelemetry.exporter"):
            raise ModuleNotFoundError(f"No module named {name!r}")
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", missing)


@pytest.mark.usefixtures("no_exporter")
def test_without_the_exporter_an_endpoint_that_was_given_is_refused_and_says_how_to_install_it() -> None:
    with pytest.raises(ImportError, match="pip install opentelemetry-exporter-otlp-proto-http"):
        tracing.configure("shop", endpoint="http://127.0.0.1:9", as_global=False)


@pytest.mark.usefixtures("no_exporter")
def test_without_the_exporter_an_endpoint_from_outside_is_one_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    assert not tracing.configure("shop", as_global=False).ours
    [warning] = warnings_of(caplog)
    assert "pip install opentelemetry-exporter-otlp-proto-http" in warning


# -- whose provider ----------------------------------------------------------------------------------------------------------


class Untouched(TracerProvider):
    """Somebody else's."""

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        raise AssertionError("it isn't ours")

    def force_flush(self, timeout_millis: int = 0) -> bool:
        raise AssertionError("it isn't ours")

    def shutdown(self) -> None:
        raise AssertionError("it isn't ours")


def replaced(provider: trace.TracerProvider) -> None:
    raise AssertionError(f"{provider} is set, and another one was there")


def test_a_global_provider_of_somebody_else_is_used_and_left_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    theirs = Untouched(shutdown_on_exit=False)
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: theirs)
    monkeypatch.setattr(trace, "set_tracer_provider", replaced)
    configured = tracing.configure("shop", endpoint="http://127.0.0.1:9")
    assert configured.provider is theirs
    assert not configured.ours
    assert configured.flush()
    assert configured.close()
    assert len(warnings_of(caplog)) == 1


def test_ours_becomes_the_global_one_where_there_is_none(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    there: list[trace.TracerProvider] = [trace.ProxyTracerProvider()]
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: there[-1])
    monkeypatch.setattr(trace, "set_tracer_provider", there.append)
    configured = tracing.configure("shop", endpoint=collector.endpoint)
    assert there[-1] is configured.provider
    assert tracing.configure("shop", endpoint=collector.endpoint).ours is False
    tracing.tracer().start_span("span").end()
    assert configured.close()
    assert collector.named("span")


# -- collectors that aren't well ---------------------------------------------------------------------------------------------


def test_a_flush_delivers_what_has_ended_and_more_can_follow(collector: Collector) -> None:
    configured = tracing.configure("shop", endpoint=collector.endpoint, as_global=False)
    end_span(configured, "first")
    assert configured.flush()
    assert [span.name for span in collector.spans] == ["first"]
    end_span(configured, "second")
    assert configured.close()
    assert configured.close()
    assert [span.name for span in collector.spans] == ["first", "second"]


@pytest.mark.parametrize("how", ["hangs", "slow", "503", "down"])
def test_a_collector_that_is_not_well_holds_up_a_shutdown_for_its_deadline_and_is_one_warning(
    how: Any, collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    if how == "down":
        collector.go_down()
    else:
        collector.mode = how
    configured = tracing.configure("shop", endpoint=collector.endpoint, as_global=False)
    for _ in range(3):
        end_span(configured)
    assert not configured.flush(SOON)
    assert not configured.close(SOON)
    [warning] = warnings_of(caplog)
    assert "spans can't be delivered to http://127.0.0.1:" in warning
    assert not collector.spans


def test_a_slow_collector_gets_its_spans_when_there_is_time(collector: Collector, caplog: pytest.LogCaptureFixture) -> None:
    collector.mode = "slow"
    configured = tracing.configure("shop", endpoint=collector.endpoint, as_global=False)
    end_span(configured)
    assert not configured.flush(SOON)
    collector.let()
    collector.wait_for(lambda c: len(c.spans) == 1)
    assert configured.close(GUARD)
    assert len(warnings_of(caplog)) == 1


def test_spans_are_said_to_be_delivered_again(collector: Collector, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    collector.mode = "503"
    configured = tracing.configure("shop", endpoint=collector.endpoint, as_global=False)
    end_span(configured)
    assert not configured.flush(SOON)
    collector.mode = "up"
    assert configured.close(GUARD)
    assert [record.levelname for record in caplog.records if record.name == "supervise.tracing"] == ["WARNING", "INFO"]
    assert collector.named("span")


def test_the_exporters_of_others_keep_their_warnings(caplog: pytest.LogCaptureFixture, collector: Collector) -> None:
    ours = tracing.configure("shop", endpoint=collector.endpoint, as_global=False)
    logging.getLogger("opentelemetry.exporter.otlp.proto.http.trace_exporter").warning("not ours")
    assert warnings_of(caplog) == ["not ours"]
    assert ours.close()


@pytest.mark.anyio
@on_the_real_clock
async def test_a_shutdown_in_a_loop_lets_others_run(collector: Collector) -> None:
    configured = tracing.configure("shop", endpoint=collector.endpoint, as_global=False)
    end_span(configured)
    assert await configured.aclose()
    assert collector.named("span")


# -- actors as services ------------------------------------------------------------------------------------------------------


def test_each_type_of_actor_is_a_service_of_its_own(collector: Collector) -> None:
    configured = tracing.configure("shop", endpoint=collector.endpoint, as_global=False, actor_services=True)
    tracer = tracing.tracer(configured.provider)
    kinds = trace.SpanKind
    with tracer.start_as_current_span("GET /order"):
        with tracer.start_as_current_span("call Orders.Place", kind=kinds.CLIENT):
            with tracer.start_as_current_span(
                "process Orders.Place", kind=kinds.SERVER, attributes={attributes.ACTOR_TYPE: "Orders"}
            ):
                sender = {attributes.SENDER_TYPE: "Orders"}
                with tracer.start_as_current_span("call Payments.Charge", kind=kinds.CLIENT, attributes=sender):
                    handling = {attributes.ACTOR_TYPE: "Payments"}
                    with tracer.start_as_current_span(
                        "process Payments.Charge", kind=kinds.SERVER, attributes=handling
                    ) as failed:
                        failed.record_exception(OSError("no bank"))
                        failed.set_status(trace.StatusCode.ERROR, "no bank")
                        link = [trace.Link(failed.get_span_context())]
                        deciding = {attributes.SUPERVISOR_PATH: "shop"}
                        with tracer.start_as_current_span("restart Payments", attributes=deciding, links=link):
                            tracer.start_span("start Payments", attributes={**deciding, **handling}).end()
    assert configured.close()
    assert span_tree(collector.spans).split("\n") == [
        "GET /order  INTERNAL shop",
        "  call Orders.Place  CLIENT shop",
        "    process Orders.Place  SERVER shop/Orders",
        "      call Payments.Charge  CLIENT shop/Orders",
        "        process Payments.Charge  SERVER shop/Payments  ERROR: no bank",
        "          ! exception",
        "          restart Payments  INTERNAL shop/Supervisor",
        "            start Payments  INTERNAL shop/Payments",
    ]
    processed, restarted = collector.named("process Payments.Charge"), collector.named("restart Payments")
    assert processed.events[0].attributes["exception.message"] == "no bank"
    assert restarted.links[0].span_id == processed.span_id
    assert processed.scope[0] == "supervise"
    assert all(span.start <= span.end for span in collector.spans)


def test_without_the_option_all_is_one_service_and_the_application_s_own_spans_are_never_touched() -> None:
    memory = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(delivery.ActorServices(memory)))
    provider.get_tracer("theirs").start_span("query", attributes={"db.system": "x"}).end()
    [span] = memory.get_finished_spans()
    assert span.resource is provider.resource
    provider.shutdown()


# -- processes ---------------------------------------------------------------------------------------------------------------


def begin(code: str, collector: Collector, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'strategies'}"}
    environment |= {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, "OTEL_SERVICE_NAME": "shop"}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def wait(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    with process:
        try:
            said, complained = process.communicate(timeout=GUARD * 3)
        finally:
            process.kill()
        return subprocess.CompletedProcess(process.args, process.returncode, said, complained)


def run(code: str, collector: Collector, *arguments: str) -> subprocess.CompletedProcess[str]:
    return wait(begin(code, collector, *arguments))


def test_a_process_that_just_ends_delivers_what_had_ended(collector: Collector) -> None:
    done = run(
        "from supervise.telemetry import tracing; tracing.configure(); tracing.tracer().start_span('last').end()", collector
    )
    if (3, 12, 0) <= sys.version_info[:3] <= (3, 12, 1):  # they start no thread at exit, and so it is said
        assert (done.returncode, "call close() before" in done.stderr) == (0, True)
        return
    assert (done.returncode, done.stderr) == (0, "")
    assert collector.named("last").service == "shop"


def test_a_process_ends_in_time_and_with_its_own_status_whatever_the_collector_does(collector: Collector) -> None:
    code = """
import logging, sys, time
from supervise.telemetry import tracing
logging.basicConfig(format="%(message)s")
configured = tracing.configure()
tracing.tracer().start_span("last").end()
begun = time.monotonic()
configured.close()
print(time.monotonic() - begun)
sys.exit(3)
"""
    collector.mode = "hangs"
    with Collector() as down:
        down.go_down()
        processes = [begin(code, one) for one in (collector, down)]  # both at a time: each waits for its deadline
        for done in [wait(process) for process in processes]:
            assert done.returncode == 3
            guard = tracing.DEADLINE * 10  # against waiting for the exporter's own 10 s and its retries
            assert float(done.stdout) < guard
            assert len(done.stderr.strip().split("\n")) == 1, done.stderr
            assert "spans can't be delivered" in done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform doesn't fork")
def test_parent_and_child_of_a_fork_both_deliver_and_nothing_twice(collector: Collector) -> None:
    code = """
import os, warnings
from supervise.telemetry import tracing
warnings.simplefilter("ignore", DeprecationWarning)  # that a thread runs: it is the SDK's, which looks after itself
configured = tracing.configure()
tracer = tracing.tracer(configured.provider)
tracer.start_span("before").end()
child = os.fork()
tracer.start_span("in the child" if child == 0 else "in the parent").end()
delivered = configured.close()
if child == 0:
    os._exit(0 if delivered else 1)
assert delivered
assert os.waitpid(child, 0)[1] == 0
"""
    done = run(code, collector)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(span.name for span in collector.spans) == ["before", "in the child", "in the parent"]
    assert len({span.trace_id for span in collector.spans}) == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform doesn't fork")
@pytest.mark.parametrize("given", ["", "process.pid=7,zone=a"])
def test_what_a_fork_delivers_says_the_process_that_it_is_of(given: str, collector: Collector) -> None:
    code = """
import os, sys, warnings
from supervise.spans.attributes import ACTOR_TYPE
from supervise.telemetry import tracing
warnings.simplefilter("ignore", DeprecationWarning)  # that a thread runs: it is the SDK's, which looks after itself
os.environ["OTEL_RESOURCE_ATTRIBUTES"] = sys.argv[1]
configured = tracing.configure(actor_services=True)
tracer = tracing.tracer(configured.provider)

def fork(names):
    child = os.fork() if names else 1
    if child == 0:
        for number in range(2):  # in one batch
            tracer.start_span(names[0], attributes={"is": os.getpid(), ACTOR_TYPE: "Orders"}).end()
        tracer.start_span(names[0], attributes={"is": os.getpid()}).end()
        fork(names[1:])
        os._exit(0 if configured.close() else 1)
    assert not names or os.waitpid(child, 0)[1] == 0

fork(["child", "grandchild"])
tracer.start_span("parent", attributes={"is": os.getpid()}).end()
assert configured.close()
"""
    done = run(code, collector, given)
    assert (done.returncode, done.stderr) == (0, "")
    names = [span.name for span in collector.spans]
    assert [names.count(name) for name in ("parent", "child", "grandchild")] == [1, 3, 3]
    assert len({span.attributes["is"] for span in collector.spans}) == 3
    for span in collector.spans:
        assert span.resource["process.pid"] == ("7" if given else span.attributes["is"])
        assert span.resource["host.name"]
        assert span.resource.get("zone") == ("a" if given else None)
    assert {span.service for span in collector.spans} == {"shop", "shop/Orders"}
