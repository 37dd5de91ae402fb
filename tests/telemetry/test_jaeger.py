"""What a real Jaeger shows of actors that crash, asked through its HTTP API. Without the program nearly all is skipped.

Tested: request, crash, decision, restart and retried call are one trace; `error=true` finds each of ten kinds of crash, and
nothing else; no span has a warning; a search by path finds an actor's whole life, with an operation its crashes or its starts
alone; each type of actor is a service, with edges to those that it calls; which program is taken for Jaeger.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from supervise import ActorCrashed, Address, Supervisor, child, current
from supervise.spans import attributes as key
from supervise.telemetry import tracing
from tests import crash_story
from tests.doubles import Boom
from tests.jaeger import GUARD, SAME_HOST, Jaeger, Trace, program
from tests.real_clock import BACKENDS
from tests.span_tree import span_tree

Play = Callable[[trace.TracerProvider], Awaitable[None]]


class Story(NamedTuple):
    """What was played, and where to ask for what came of it."""

    jaeger: Jaeger
    service: str
    sent: tuple[ReadableSpan, ...]

    def found(self, operation: str | None = None, **tags: str) -> list[Trace]:
        return self.jaeger.traces(self.service, operation, **tags)

    def ids(self, operation: str | None = None, **tags: str) -> set[str]:
        return {trace.id for trace in self.found(operation, **tags)}

    def sent_with(self, operation: str | None = None, path: str | None = None) -> set[str]:
        """The traces of what was sent, where a span has this name and this path."""
        return {
            id_of(span)[0]
            for span in self.sent
            if operation in (None, span.name) and path in (None, (span.attributes or {}).get(key.ACTOR_PATH))
        }

    def decided(self, kind: str) -> str:
        """The trace of the decision on a crash."""
        [of_restart] = {
            id_of(span)[0]
            for span in self.sent
            if span.name.startswith("restart ") and (span.attributes or {})[key.ACTOR_PATH] == f"{crash_story.ROOT}/{kind}"
        }
        return of_restart


def id_of(span: ReadableSpan) -> tuple[str, str]:
    assert span.context is not None
    return f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}"


@pytest.fixture(scope="module", params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Any:
    return request.param


def sent(to: Jaeger, name: str, play: Play, backend: tuple[str, dict[str, Any]], *, actor_services: bool = False) -> Story:
    """Play it, and wait until all of its spans are stored."""
    library, options = backend
    service = f"{name}-{'uvloop' if options else library}"
    kept = InMemorySpanExporter()
    with pytest.MonkeyPatch.context() as environment:
        for variable in [variable for variable in os.environ if variable.startswith("OTEL_")]:
            environment.delenv(variable)
        environment.setenv("OTEL_RESOURCE_ATTRIBUTES", SAME_HOST)
        configured = tracing.configure(service, endpoint=to.endpoint, actor_services=actor_services, as_global=False)
        assert isinstance(configured.provider, TracerProvider)
        configured.provider.add_span_processor(SimpleSpanProcessor(kept))
        anyio.run(play, configured.provider, backend=library, backend_options=options)
        assert configured.close(GUARD)
    story = Story(to, service, kept.get_finished_spans())
    to.wait_for(map(id_of, story.sent))
    return story


def test_the_program_is_that_of_the_variable_else_that_on_the_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = tmp_path / "jaeger"
    found.write_text("#!/bin/sh\n", encoding="utf-8")
    found.chmod(0o755)
    monkeypatch.delenv("JAEGER", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert program() is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert program() == str(found)
    monkeypatch.setenv("JAEGER", sys.executable)
    assert program() == sys.executable
    monkeypatch.setenv("JAEGER", str(tmp_path / "absent"))
    with pytest.raises(ValueError, match="absent is no program that can be run: give the path of Jaeger's"):
        program()


# -- one crash ---------------------------------------------------------------------------------------------------------------


class Payments:
    def __init__(self, crashes: list[Boom]) -> None:
        self._crashes = crashes

    async def charge(self, amount: int) -> int:
        if self._crashes:
            raise self._crashes.pop()
        return amount


class Orders:
    def __init__(self, payments: Address[Payments]) -> None:
        self._payments = payments

    async def place(self, amount: int) -> int:
        try:
            return await self._payments.call(Payments.charge, amount)
        except ActorCrashed:
            return await self._payments.call(Payments.charge, amount)


async def play_order(provider: trace.TracerProvider) -> None:
    payments = child(Payments, [Boom("the card reader is gone")])
    orders = child(lambda: Orders(current().find(payments)), name="orders")
    async with Supervisor("shop", payments, orders, tracing=provider) as app:
        with tracing.tracer(provider).start_as_current_span("POST /orders", kind=trace.SpanKind.SERVER):
            assert await app.find(orders).call(Orders.place, 5) == 5


@pytest.fixture(scope="module")
def order(jaeger: Jaeger, backend: Any) -> Story:
    return sent(jaeger, "order", play_order, backend)


def test_request_crash_decision_restart_and_retried_call_are_one_trace(order: Story) -> None:
    [found] = order.found("POST /orders")
    assert span_tree(found.spans, key.ACTOR_INCARNATION).replace(order.service, "shop").split("\n") == [
        "POST /orders  SERVER shop",
        "  call Orders.place  CLIENT shop",
        "    process Orders.place  SERVER shop  supervise.actor.incarnation=1",
        "      call Payments.charge  CLIENT shop  ERROR: "
        "shop/payments #1 crashed with Payments.charge in hand: Boom: the card reader is gone",
        "        process Payments.charge  SERVER shop  ERROR: the card reader is gone  supervise.actor.incarnation=1",
        "          ! exception",
        "          restart Payments  INTERNAL shop  supervise.actor.incarnation=1",
        "            start Payments  INTERNAL shop  supervise.actor.incarnation=2",
        "      call Payments.charge  CLIENT shop",
        "        process Payments.charge  SERVER shop  supervise.actor.incarnation=2",
    ]


def test_no_span_of_a_crash_has_a_warning(order: Story) -> None:
    assert [warning for found in order.found() for warning in found.warnings] == []


def test_a_search_by_path_finds_an_actors_whole_life(order: Story) -> None:
    found = order.found(supervise__actor__path="shop/payments")
    assert {trace.id for trace in found} == order.sent_with(path="shop/payments")
    own = [span for trace in found for span in trace.spans if span.attributes.get(key.ACTOR_PATH) == "shop/payments"]
    assert [span.name for span in sorted(own, key=lambda span: span.start)] == [
        "start Payments",
        "call Payments.charge",
        "process Payments.charge",
        "restart Payments",
        "start Payments",
        "call Payments.charge",
        "process Payments.charge",
        "stop Payments",
    ]


def test_with_the_operation_it_finds_the_starts_or_the_restarts_alone(order: Story) -> None:
    starts = order.ids("start Payments", supervise__actor__path="shop/payments")
    assert len(starts) == 2
    assert starts == order.sent_with("start Payments")
    [crash] = order.ids("POST /orders")
    assert order.ids("restart Payments", supervise__actor__path="shop/payments") == {crash}
    assert order.ids(error="true", supervise__actor__path="shop/payments") == {crash}


def test_each_type_of_actor_is_a_service_with_edges_to_those_that_it_calls(jaeger: Jaeger, backend: Any) -> None:
    story = sent(jaeger, "types", play_order, backend, actor_services=True)
    shop, payments, orders, supervisor = (f"{story.service}{kind}" for kind in ("", "/Payments", "/Orders", "/Supervisor"))
    assert {name for name in jaeger.services() if name.startswith(shop)} == {shop, payments, orders, supervisor}
    assert {edge for edge in jaeger.edges() if edge[0].startswith(shop)} == {
        (shop, orders),
        (orders, payments),
        (payments, supervisor),  # what crashed, and who decided
        (supervisor, payments),
        (supervisor, orders),  # the first starts, and the stops
    }


# -- ten crashes -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def crashes(jaeger: Jaeger, backend: Any) -> Story:
    return sent(jaeger, "crashes", crash_story.play, backend)


@pytest.mark.parametrize("kind", crash_story.KINDS)
def test_error_true_finds_a_crash(crashes: Story, kind: str) -> None:
    assert crashes.decided(kind) in crashes.ids(error="true")


def test_error_true_finds_nothing_but_crashes(crashes: Story) -> None:
    found = crashes.ids(error="true")
    assert found
    assert found <= {crashes.decided(kind) for kind in crash_story.KINDS}


@pytest.mark.parametrize("kind", crash_story.KINDS)
def test_an_actors_restarts_are_found_however_it_crashed(crashes: Story, kind: str) -> None:
    crash = crashes.decided(kind)
    [operation] = {span.name for span in crashes.sent if id_of(span)[0] == crash and span.name.startswith("restart ")}
    assert crashes.ids(operation, supervise__actor__path=f"{crash_story.ROOT}/{kind}") == {crash}


def test_no_span_of_ten_crashes_has_a_warning(crashes: Story) -> None:
    found = crashes.found()
    assert {trace.id for trace in found} == crashes.sent_with()
    assert [warning for trace in found for warning in trace.warnings] == []
