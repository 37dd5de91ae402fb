"""What a context of OpenTelemetry says of the span that is current in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link

NOTHING: Final = Context()
"""The parent of what begins a trace of its own."""


def has_span(context: Context) -> bool:
    """Whether there is a span in it."""
    return trace.get_current_span(context).get_span_context().is_valid


def unsampled(context: Context) -> bool:
    """Whether its span is there, and isn't recorded."""
    within = trace.get_current_span(context).get_span_context()
    return within.is_valid and not within.trace_flags.sampled


def link_to(context: Context) -> Sequence[Link]:
    """A link to its span, if it has one."""
    within = trace.get_current_span(context).get_span_context()
    return (Link(within),) if within.is_valid else ()
