"""What a context of OpenTelemetry says of the span that is current in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from .branch import Branch

NOTHING: Final = Context()
"""The parent of what begins a trace of its own."""
_W3C: Final = TraceContextTextMapPropagator()


def has_span(context: Context) -> bool:
    """Whether there is a span in it."""
    return trace.get_current_span(context).get_span_context().is_valid


def unsampled(context: Context) -> bool:
    """Whether its span is there, and isn't recorded."""
    within = trace.get_current_span(context).get_span_context()
    return within.is_valid and not within.trace_flags.sampled


def origin_of(span: Span) -> Span:
    """The span itself, of which a nursery task has a stand-in."""
    return span.origin if type(span) is Branch else span


def link_to(context: Context) -> Sequence[Link]:
    """A link to its span, if it has one."""
    within = origin_of(trace.get_current_span(context)).get_span_context()
    return (Link(within),) if within.is_valid else ()


def traceparent_of(context: Context) -> str:
    """Its span, as W3C's Trace Context writes it; empty, if it has none."""
    carrier: dict[str, str] = {}
    _W3C.inject(carrier, context)
    return carrier.get("traceparent", "")


def context_of(traceparent: str) -> Context:
    """The context of a span of another process; `NOTHING` for what says nothing."""
    return _W3C.extract({"traceparent": traceparent}, NOTHING) if traceparent else NOTHING


def with_origin(context: Context) -> Context:
    """The same context with the span itself, whether or not that has ended."""
    span = trace.get_current_span(context)
    return trace.set_span_in_context(span.origin, context) if type(span) is Branch else context


def under(context: Context) -> tuple[Context, Sequence[Link]]:
    """The parent of what is done in it, and its links: none and one, if its span is that of a handler that has ended."""
    span = trace.get_current_span(context)
    if type(span) is not Branch:
        return context, ()
    if span.over:
        return NOTHING, link_to(context)
    return with_origin(context), ()


def failed_under(context: Context, now: float, late: float) -> tuple[Context, Sequence[Link]]:
    """The same for what failed in it. It stands below its span up to `late` seconds after the beginning of a nursery task."""
    span = trace.get_current_span(context)
    if type(span) is not Branch:
        return context, link_to(context)
    links = link_to(context)
    if span.over and now - span.begun > late:
        return NOTHING, links
    return with_origin(context), links
