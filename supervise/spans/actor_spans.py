"""The spans of one actor, over all its lives; or of one supervisor, which has no mailbox."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, StatusCode

from supervise.actor.factory import WORKS_AS
from supervise.errors import IgnoreStart
from supervise.mailbox.handler import class_of
from supervise_strategies.error_type import TIMEOUT, error_type_of_end
from supervise_strategies.exit_reason import ExitKind
from supervise_strategies.kind import attribute_of_kind, is_of, name_of_kind
from supervise_strategies.text import cut

from . import attributes as key
from .branch import links_of
from .chain import begun_anew
from .contexts import NOTHING, has_span, link_to, under, with_origin
from .drops import Drops
from .error_recording import MOST, say_failure
from .handler_span import finder, say_raised
from .lost_spans import PassUp, harmless, lost
from .message_span import MessageSpan, MessageSpans
from .operator_span import OperatorSpan
from .within import Within

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from supervise.events import Started
    from supervise.journal.bus import Bus
    from supervise.mailbox.envelope import Envelope
    from supervise.mailbox.handler import Table
    from supervise.mailbox.instrument import AnyMessageSpan, Find
    from supervise.mailbox.losses import Loss
    from supervise.mailbox.mailbox import Mailbox
    from supervise.mailbox.turn import IncarnationTurn
    from supervise_strategies.exit_reason import ExitReason

    from .settings import SpanSettings


class ActorSpans(MessageSpans):
    """An instrument: beside the spans of messages and handlers it makes those of starts and stops."""

    __slots__ = (
        "_above",
        "_asked",
        "_attached",
        "_came_from",
        "_connect",
        "_dead_letters",
        "_drops",
        "_ended_by",
        "_made_by",
        "_ready_at",
        "_start",
        "_started_in",
        "_stop",
        "error_type",
        "failed_in",
        "origin",
        "restarts",
        "shown",
        "unrecorded",
    )

    def __init__(
        self,
        settings: SpanSettings,
        path: str,
        above: ActorSpans | None,
        kind: str,
        now: Callable[[], float],
        mailbox: Mailbox | None,
        pass_up: PassUp,
    ) -> None:
        super().__init__(settings, path, kind, now, mailbox, pass_up)
        self._above = above
        self._made_by = self.kind
        self.shown: str = (
            self.kind if mailbox is not None else f"{self.kind} {self.path.rpartition('/')[2]}"
        )  # in the names of its own spans
        self.origin: tuple[Context, bool] | None = None  # the restart that the next start belongs to; True: by a link
        self.failed_in: Context | None = None  # what a decision belongs to
        self.unrecorded: BaseException | None = None  # what ended the life, and stands on no span yet
        self.error_type: str = ""  # of the last end
        self.restarts: int = 0
        self._connect: tuple[Span, Context] | None = None
        self._drops: Drops | None = None
        self._start: Span | None = None
        self._started_in: Context | None = None
        self._stop: Span | None = None
        self._asked: tuple[int, Context, Sequence[Link]] | None = None
        self._came_from: Context | None = None
        self._ended_by: Sequence[Link] = ()  # what it was in that it asked for its own end
        self._attached: Any = None
        self._ready_at: float | None = None
        self._dead_letters = 0

    def finder(self, life: IncarnationTurn, find: Find, known: Table | None, /) -> tuple[Table, Find]:
        around = self.settings.around
        return {} if known is None else known, finder(self, life, find if around is None else around(life, find))

    @harmless
    def asked_for(self, here: object, /) -> None:
        self._came_from = None
        if isinstance(here, Context):
            self._came_from = under(here)[0]

    def asked_by(self, who: str, what: str, in_words: str, /) -> OperatorSpan:
        return OperatorSpan(self, who, what, in_words)

    @harmless
    def starts(self, number: int, /) -> None:
        self.number = number
        self._asked = self.failed_in = self.unrecorded = None
        self._ended_by = ()
        origin, self.origin = self.origin, None
        came_from, self._came_from = self._came_from, None
        links: Sequence[Link] = ()
        above = self._above
        if came_from is not None and has_span(came_from):
            parent, links = came_from, () if origin is None else link_to(origin[0])
        elif origin is not None:
            parent, apart = origin
            if apart:
                old = link_to(parent)
                parent, first = begun_anew(parent, self.now())
                links = links_of(*old, first)
        elif above is not None and above.context is not None:
            parent = above.context
        else:
            parent, links = under(contexts.get_current())
        self._start = span = self.settings.tracer.start_span(f"start {self.shown}", parent, attributes=self.who, links=links)
        self.context = trace.set_span_in_context(span, parent)
        if span.is_recording():
            span.set_attributes({key.ACTOR_INCARNATION: number, key.START_REASON: "initial" if number == 1 else "restart"})
            if above is not None:
                span.set_attribute(key.SUPERVISOR_PATH, above.path)

    @harmless
    def started(self, instance: object, /) -> None:
        span, self._start = self._start, None
        if instance is not None:
            self._found_out(class_of(instance), span)
        self._ready_at = self.now()
        self._started_in, self.context = self.context, None
        if span is not None:
            span.set_attribute(key.ACTOR_TYPE, self.kind)
            span.end()

    @harmless
    def connects(self) -> None:
        parent = self.context or contexts.get_current()
        span = self.settings.tracer.start_span(f"connect {self.shown}", parent, SpanKind.INTERNAL, self.who)
        if span.is_recording():
            span.set_attribute(key.ACTOR_INCARNATION, self.number)
        self._connect = span, trace.set_span_in_context(span, parent)

    @harmless
    def connected(self, far: str, /) -> None:
        if self._connect is not None:
            (span, _), self._connect = self._connect, None
            if span.is_recording():
                span.set_attributes({key.LINK_FAR: far, key.ACTOR_TYPE: self.kind})
                span.update_name(f"connect {self.shown}")
            span.end()

    def _found_out(self, kind: type, span: Span | None) -> None:
        """It is of this class. What only runs a function says so, and which."""
        name = name_of_kind(kind)
        if name == self.kind:
            return
        self.renamed(name)
        works_as = attribute_of_kind(kind, WORKS_AS)
        if type(works_as) is str:
            name = works_as if self._made_by == works_as else f"{works_as} {self._made_by}"
        self.shown = name
        if span is not None:
            span.update_name(f"start {name}")

    def tells(self, bus: Bus, event: Started, /) -> None:
        context, self._started_in = self._started_in, None
        with Within(bus, context):
            bus.publish(event)

    def loses(
        self, bus: Bus, envelope: Envelope, loss: Loss, why: object, error: BaseException | None, /
    ) -> AbstractContextManager[object]:
        context: Context | None = None
        try:
            if self._drops is None:
                self._drops = Drops(self.settings.tracer, self.who)
            message = None if envelope[5] is None else envelope[5].span
            if not isinstance(message, MessageSpan):
                message = self.wakes("internal")
            names = self._message(envelope[0])
            context = message.failed_at or message.context
            if not message.skip and not self.settings.excluded(*names):
                added = self._drops.add(".".join(names), message, loss, why, error, self.now())
                context = message.failed_at or added
        except BaseException as raised:
            lost(raised, self.pass_up)
        return Within(bus, context)

    def told(self, bus: Bus, envelope: Envelope, /) -> AbstractContextManager[object]:
        message = None if envelope[5] is None else envelope[5].span
        return Within(bus, message.failed_at or message.context if isinstance(message, MessageSpan) else None)

    def lost(self, loss: Loss, /) -> None:
        try:
            if self._drops is not None:
                self._drops.sum_up(loss)
        except BaseException as raised:
            lost(raised, self.pass_up)

    @harmless
    def asked_to_stop(self) -> None:
        if self._asked is None:
            above = self._above
            links: Sequence[Link] = ()
            if self.origin is not None and not self.origin[1]:
                parent = self.origin[0]
            elif above is not None and above.context is not None:
                parent = above.context
            else:
                parent, links = under(contexts.get_current())
            self._asked = time.time_ns(), parent, links
            if self.mailbox is None and self._start is None:
                self._stop = self._begin_stop()
                self.context = trace.set_span_in_context(self._stop, parent)

    @harmless
    def asked_to_end(self) -> None:
        if self._asked is None:
            self._ended_by = link_to(contexts.get_current())

    def killed(self) -> None:
        if self.failed_in is None:
            self.failed_in = contexts.get_current()

    def failed(self) -> None:
        self.failed_in = contexts.get_current()

    @harmless
    def ends(
        self, life: IncarnationTurn, message_span: AnyMessageSpan | None, reason: ExitReason, error: BaseException | None, /
    ) -> None:
        start, self._start = self._start, None
        mailbox = life.mailbox
        self._dead_letters = mailbox.dead_lettered
        self.error_type = error_type_of_end(reason, error, ordered=life.ordered)
        recorded = is_of(error, IgnoreStart)  # which is no failure
        if start is not None:
            self.failed_in, self.context = self.context, None
            start.set_attribute(key.ACTOR_TYPE, self.kind)
            if recorded:
                start.set_attribute(key.OUTCOME, "ignored")
            elif error is not None:
                recorded = say_raised(self.settings.recording, start, error, mailbox.backend.cancelled)
            elif reason.abnormal:
                start.set_attribute(key.OUTCOME, "cancelled")
            start.end()
        elif self._connect is not None:
            recorded = self._not_connected(*self._connect, error, mailbox)
        elif isinstance(message_span, MessageSpan) and message_span.failed_at is not None:
            self.failed_in = message_span.failed_at
            recorded = message_span.recorded == id(error)
        if error is not None and not recorded and reason.kind is ExitKind.CRASHED:
            self.unrecorded = error
        if life.running and (self._asked is not None or not reason.abnormal):
            failed = () if self.failed_in is None else link_to(self.failed_in)
            self._stop = span = self._begin_stop((*self._ended_by, *failed))
            self._say_end(span, reason)
            unrecorded, self.unrecorded = self.unrecorded, None
            if unrecorded is not None and span.is_recording():
                self.settings.recording.record(span, unrecorded)
                say_failure(span, unrecorded)
        if self.failed_in is not None:  # what is said of the end is said there
            self._attached = contexts.attach(with_origin(self.failed_in))

    def _not_connected(self, span: Span, context: Context, error: BaseException | None, mailbox: Mailbox) -> bool:
        """It ends before it is connected. Whether its error is recorded there."""
        self._connect = None
        span.update_name(f"connect {self.shown}")
        recorded = False
        if error is None:
            span.set_attribute(key.OUTCOME, "cancelled")
        else:
            self.failed_in = context
            recorded = say_raised(self.settings.recording, span, error, mailbox.backend.cancelled)
        span.end()
        return recorded

    @harmless
    def ended(self) -> None:
        self._detach()
        self.unrecorded = None
        span, self._stop = self._stop, None
        if span is not None and self.mailbox is not None:
            span.set_attribute(key.MAILBOX_DROPPED, self.mailbox.dead_lettered - self._dead_letters)
            span.end()

    @harmless
    def gone(self, reason: ExitReason, error: BaseException | None, /) -> None:
        start, self._start = self._start, None
        stop, self._stop = self._stop, None
        context, self.context = self.context, None
        self.error_type = error_type_of_end(reason, error)
        if start is not None:
            if reason.abnormal:
                start.set_attribute(key.ERROR_TYPE, self.error_type)
                start.set_status(StatusCode.ERROR, cut(str(reason), MOST))
                self.failed_in = self.failed_in or context
            start.end()
        if stop is not None:
            self._say_end(stop, reason)
            stop.end()

    def _begin_stop(self, also: Sequence[Link] = ()) -> Span:
        """Of one that was asked to stop, below who asked; else a trace of its own. `also`: links to what it comes of, too."""
        began, parent, links = self._asked or (None, NOTHING, ())
        self._asked = None
        described = {**self.who, key.ACTOR_TYPE: self.kind}
        links = links_of(*links, *also)
        return self.settings.tracer.start_span(f"stop {self.shown}", parent, SpanKind.INTERNAL, described, links, began)

    def _say_end(self, span: Span, reason: ExitReason) -> None:
        if not span.is_recording():
            return
        span.set_attributes({key.ACTOR_INCARNATION: self.number, key.STOP_REASON: str(reason)})
        if self._ready_at is not None:
            span.set_attribute(key.ACTOR_LIFETIME, self.now() - self._ready_at)
        if self.error_type:
            span.set_attribute(key.ERROR_TYPE, self.error_type)
        if reason.kind is ExitKind.CRASHED or self.error_type == TIMEOUT:
            span.set_status(StatusCode.ERROR, cut(str(reason), MOST))

    def _detach(self) -> None:
        attached, self._attached = self._attached, None
        if attached is not None:
            contexts.detach(attached)
