"""The spans of messages that are lost: `drop Orders.place`, below the send.

A burst has one for its first message. Those of the same kind that follow within a minute are one more span together, in a trace
of its own, which says how many there were.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, StatusCode

from supervise.mailbox.losses import WINDOW, Loss
from supervise_strategies.error_type import error_type_of
from supervise_strategies.text import said

from . import attributes as key
from .branch import links_of
from .contexts import NOTHING, has_span, link_to
from .error_recording import MOST

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

    from .description import Attributes
    from .message_span import MessageSpan


class _Burst:
    """The losses of one kind since the last one that had a span of its own."""

    __slots__ = ("count", "first", "name", "until")

    def __init__(self, until: float) -> None:
        self.until = until
        self.count = 0
        self.name = ""
        self.first: Link | None = None


class Drops:
    """What one actor has lost."""

    __slots__ = ("_bursts", "_tracer", "_who")

    def __init__(self, tracer: Tracer, who: Attributes) -> None:
        self._tracer = tracer
        self._who = who
        self._bursts: dict[Loss, _Burst] = {}

    def add(self, name: str, message: MessageSpan, loss: Loss, why: object, error: BaseException | None, now: float) -> Context:
        """One more. The answer is the context of what is said of it."""
        burst = self._bursts.get(loss)
        if burst is not None and now < burst.until:
            burst.count += 1
            if burst.count == 1:
                burst.name = name
                burst.first = next(iter(link_to(message.context)), None) or next(iter(message.links), None)
            return message.context
        self.sum_up(loss)
        self._bursts[loss] = _Burst(now + WINDOW)
        parent = message.context
        span = self._begin(name, parent, loss, () if has_span(parent) else tuple(message.links))
        if span.is_recording():
            span.set_attribute(key.REASON, said(why, MOST))
            if error is not None:
                span.set_attribute(key.ERROR_TYPE, error_type_of(error))
                span.set_status(StatusCode.ERROR, said(why, MOST))
        span.end()
        return trace.set_span_in_context(span, parent)

    def sum_up(self, loss: Loss) -> None:
        """Say how many more there were, if there were any."""
        burst = self._bursts.pop(loss, None)
        if burst is not None and burst.count:
            span = self._begin(burst.name, NOTHING, loss, links_of(burst.first))
            span.set_attribute(key.DROP_COUNT, burst.count)
            span.end()

    def _begin(self, name: str, parent: Context, loss: Loss, links: tuple[Link, ...]) -> Span:
        described = {**self._who, key.LOSS: loss.name.lower()}
        return self._tracer.start_span(f"drop {name}", parent, SpanKind.INTERNAL, described, links)
