"""The span that a nursery task is begun in: its own as long as that lasts, and none afterwards.

A task inherits the context of whoever starts it, and may outlive the span in it by hours. So what is current in a task is a
stand-in: a child of the span as long as that is under way, and then the parent of nothing. What comes later has a link.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.trace import Link, Span, SpanContext
from opentelemetry.trace.status import Status, StatusCode

if TYPE_CHECKING:
    from opentelemetry.util.types import AttributeValue

    from .message_span import MessageSpan


class Branch(Span):
    """Stands for `origin`. All that is done to it is done to that."""

    def __init__(self, origin: Span, message: MessageSpan | None, begun: float) -> None:
        self.origin: Span = origin
        self.begun: float = begun
        """The instant of the loop's clock at which the task was started."""
        self._message = message

    @property
    def hops(self) -> int:
        """Of the message whose handler has started the task."""
        return 0 if self._message is None else self._message.hops

    @property
    def first(self) -> Link | None:
        """The first send of that message's chain."""
        return None if self._message is None else self._message.first

    @property
    def over(self) -> bool:
        """Whether what the task was begun in has ended."""
        if self._message is not None and self._message.over:
            return True
        return self.origin.get_span_context().trace_flags.sampled and not self.origin.is_recording()

    def get_span_context(self) -> SpanContext:
        return trace.INVALID_SPAN_CONTEXT if self.over else self.origin.get_span_context()

    def is_recording(self) -> bool:
        return self.origin.is_recording()

    def end(self, end_time: int | None = None) -> None:
        self.origin.end(end_time)

    def set_attributes(self, attributes: Mapping[str, AttributeValue]) -> None:
        self.origin.set_attributes(attributes)

    def set_attribute(self, key: str, value: AttributeValue) -> None:
        self.origin.set_attribute(key, value)

    def add_event(self, name: str, attributes: Any = None, timestamp: int | None = None) -> None:
        self.origin.add_event(name, attributes, timestamp)

    def add_link(self, context: SpanContext, attributes: Any = None) -> None:
        self.origin.add_link(context, attributes)

    def update_name(self, name: str) -> None:
        self.origin.update_name(name)

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        self.origin.set_status(status, description)

    def record_exception(
        self, exception: BaseException, attributes: Any = None, timestamp: int | None = None, escaped: bool = False
    ) -> None:
        self.origin.record_exception(exception, attributes, timestamp, escaped)


def links_of(*links: Link | None) -> tuple[Link, ...]:
    """Those that are there, each once."""
    found: dict[int, Link] = {link.context.span_id: link for link in links if link is not None}
    return tuple(found.values())
