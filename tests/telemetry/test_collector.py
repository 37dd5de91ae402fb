"""The collector of the tests, and the tree that it prints: what they say can be relied upon."""

from __future__ import annotations

from opentelemetry import trace

from supervise.telemetry import tracing
from tests.collector import Collector, Link, Span, SpanEvent
from tests.span_tree import span_tree

RESOURCE = {"service.name": "shop"}


def span(
    name: str, id: str, parent: str = "", *, at: int = 0, trace_id: str = "t", links: tuple[tuple[str, str], ...] = ()
) -> Span:
    return Span(
        name,
        "INTERNAL",
        trace_id,
        id,
        parent,
        at,
        at + 1,
        "UNSET",
        "",
        {},
        [],
        [Link(*link, {}) for link in links],
        RESOURCE,
        ("", "", ""),
    )


def test_spans_nest_below_their_parents_in_the_order_of_their_starts() -> None:
    spans = [span("late", "c", "a", at=3), span("root", "a", at=1), span("early", "b", "a", at=2), span("deep", "d", "c", at=4)]
    assert span_tree(spans).split("\n") == [
        "root  INTERNAL shop",
        "  early  INTERNAL shop",
        "  late  INTERNAL shop",
        "    deep  INTERNAL shop",
    ]


def test_a_link_in_the_same_trace_nests_like_a_parent_and_one_to_another_trace_is_counted() -> None:
    spans = [
        span("send", "a", at=1),
        span("process", "b", at=2, links=(("t", "a"),)),
        span("tick", "c", at=3, links=(("u", "a"),)),
    ]
    assert span_tree(spans).split("\n") == [
        "send  INTERNAL shop",
        "  process  INTERNAL shop",
        "tick  INTERNAL shop  (1 link to other traces)",
    ]


def test_a_parent_that_did_not_arrive_is_said_and_each_trace_is_a_block() -> None:
    spans = [span("orphan", "b", "gone", at=1), span("other", "c", at=2, trace_id="u")]
    assert span_tree(spans) == "orphan  INTERNAL shop  (its parent didn't arrive)\n\nother  INTERNAL shop"


def test_status_events_and_chosen_attributes_are_shown() -> None:
    failed = span("process", "a")._replace(
        status="ERROR", description="no stock", attributes={"n": 2, "other": 1}, events=[SpanEvent("exception", {})]
    )
    assert span_tree([failed], "n", "absent") == "process  INTERNAL shop  ERROR: no stock  n=2\n  ! exception"


def test_what_is_sent_arrives_as_plain_values() -> None:
    with Collector() as collector:
        tracing_ = tracing.configure("shop", endpoint=collector.endpoint, as_global=False)
        tracer = tracing.tracer(tracing_.provider)
        with tracer.start_as_current_span("call Orders.Place", kind=trace.SpanKind.CLIENT, attributes={"k": "v", "l": [1, 2]}):
            inner = tracer.start_span("process Orders.Place", kind=trace.SpanKind.SERVER)
            inner.record_exception(ValueError("no stock"))
            inner.set_status(trace.StatusCode.ERROR, "no stock")
            inner.end()
        assert tracing_.close()
    call, process = collector.named("call Orders.Place"), collector.named("process Orders.Place")
    assert (call.kind, call.attributes, call.service, call.parent_id) == ("CLIENT", {"k": "v", "l": [1, 2]}, "shop", "")
    assert call.scope[0] == "supervise"
    assert call.scope[2].startswith("https://opentelemetry.io/schemas/")
    assert (process.trace_id, process.parent_id) == (call.trace_id, call.span_id)
    assert (process.status, process.description, process.events[0].attributes["exception.type"]) == (
        "ERROR",
        "no stock",
        "ValueError",
    )
    assert call.start <= process.start <= process.end <= call.end
