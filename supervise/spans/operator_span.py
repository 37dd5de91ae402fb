"""The span of what a person does to a tree: what comes of it stands below it."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.trace import Span

from supervise_strategies.kind import is_of
from supervise_strategies.text import printable

from . import attributes as key
from .error_recording import say_failure
from .lost_spans import lost

if TYPE_CHECKING:
    from .actor_spans import ActorSpans


class OperatorSpan:
    """Current in its block, which waits until it is done. The next start of what it is done to stands below it."""

    __slots__ = ("_of", "_span", "_token", "_what")

    def __init__(self, of: ActorSpans, who: str, what: str, in_words: str) -> None:
        self._of = of
        self._what = what, {**of.who, key.OPERATOR: printable(who), key.REASON: in_words}
        self._span: Span | None = None
        self._token: Any = None

    def __enter__(self) -> None:
        of, (what, described) = self._of, self._what
        try:
            context = contexts.get_current()
            self._span = span = of.settings.tracer.start_span(f"operator {what} {of.shown}", context, attributes=described)
            context = trace.set_span_in_context(span, context)
            self._token = contexts.attach(context)
            if what in ("start", "restart"):
                of.asked_for(context)
        except BaseException as raised:
            lost(raised, of.pass_up)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None, /) -> None:
        token, span = self._token, self._span
        try:
            if token is not None and not is_of(error, GeneratorExit):
                contexts.detach(token)
            self._of.asked_for(None)
            if span is not None:
                if is_of(error, Exception):
                    say_failure(span, error)
                elif error is not None:
                    span.set_attribute(key.OUTCOME, "cancelled")
                span.end()
        except BaseException as raised:
            lost(raised, self._of.pass_up)
