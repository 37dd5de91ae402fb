"""How an exception gets onto a span: recorded once for each crash, where it was raised; elsewhere there is only its status."""

from __future__ import annotations

import os
from typing import Final

from opentelemetry import trace
from opentelemetry.trace import Span, StatusCode

from supervise.errors import HandlerLate
from supervise.log import traceback_text
from supervise_strategies.error_type import error_type_of
from supervise_strategies.exception import exc_info_of
from supervise_strategies.kind import full_name_of_kind, is_of
from supervise_strategies.text import printable, said

from . import attributes as key
from .lost_spans import lost

MOST: Final = 500
"""Characters of the description of a status."""
LONGEST: Final = 16_000
"""Characters of a traceback; of a longer one there are both ends, since the last line says what was raised."""
SIGNALS: Final = "OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN"


class ErrorRecording:
    """As the environment asks for: exceptions as events of spans, as log records, or both."""

    __slots__ = ("as_events", "as_logs")

    def __init__(self) -> None:
        signals = {signal.strip() for signal in os.environ.get(SIGNALS, "").split(",")}
        self.as_events: bool = "logs" not in signals or "logs/dup" in signals
        self.as_logs: bool = bool(signals & {"logs", "logs/dup"})

    def record(self, span: Span, error: BaseException) -> None:
        """The exception, where it was raised, and only there. What is raised meanwhile loses the record, and not the span."""
        try:
            told = {
                "exception.type": full_name_of_kind(type(error)),
                "exception.message": said(error),
                "exception.stacktrace": _stacktrace_of(error),
            }
            if self.as_events:
                span.add_event("exception", told)
            if self.as_logs:
                from opentelemetry._logs import SeverityNumber, get_logger

                name, version, schema = key.scope()
                get_logger(name, version, schema_url=schema).emit(
                    context=trace.set_span_in_context(span),
                    severity_number=SeverityNumber.ERROR,
                    event_name="supervise.actor.process.exception",
                    attributes=told,
                )
        except BaseException as raised:
            lost(raised)


def _stacktrace_of(error: BaseException) -> str:
    """Bounded, and whatever its class does: the SDK would put a text of any length on the span, and lose it with its batch."""
    text, *_ = traceback_text(exc_info_of(error))
    if is_of(error, HandlerLate) and error.stack:  # it was raised nowhere
        lines = (f'  File "{printable(frame.file)}", line {frame.line}, in {frame.function}\n' for frame in error.stack)
        text = f"It waited in:\n{''.join(lines)}{text}"
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 4]}…{text[1 - 3 * LONGEST // 4 :]}"


def say_failure(span: Span, error: BaseException) -> None:
    """That it failed, and with what."""
    span.set_attribute(key.ERROR_TYPE, error_type_of(error))
    span.set_status(StatusCode.ERROR, said(error, MOST))
