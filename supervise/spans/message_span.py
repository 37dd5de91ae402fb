"""The spans of messages: one while a call or a send is on its way, and what its handler needs to know of it.

A handler that sends may set off one that sends back, and so on for ever. So the sends of a chain are counted, and after 20 of
them what the next one sets off is a trace of its own, linked to the send and to the first one of the chain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, Link, Span, SpanKind

from supervise.mailbox.turn import current_turn
from supervise.message import AnyHandler, owner_of, short_name_of
from supervise_strategies.exception import interrupts
from supervise_strategies.kind import is_of
from supervise_strategies.text import printable

from . import attributes as key
from .branch import Branch, links_of
from .contexts import NOTHING, context_of, link_to, traceparent_of, under, unsampled
from .description import Attributes, Description, Known, keep, known_of, messaging
from .error_recording import say_failure
from .lost_spans import PassUp, harmless, lost

if TYPE_CHECKING:
    from supervise.mailbox.mailbox import Mailbox
    from supervise.mailbox.turn import Turn

    from .settings import SpanSettings

HOPS: Final = 20
"""Sends, each from the handler that the one before has set off, that are in one trace."""
ANSWERED: Final = -1
_EXCLUDED: Final[Description] = ("", {})
_UNSAID: Final[Description] = ("", {"sends": False})


class MessageSpan:
    """The span of a call or send, and what its handler needs to know of it."""

    __slots__ = (
        "context",
        "failed_at",
        "first",
        "hops",
        "kind",
        "links",
        "over",
        "recorded",
        "sent",
        "skip",
        "span",
        "trigger",
    )

    def __init__(
        self,
        span: Span | None,
        context: Context,
        kind: SpanKind,
        links: Sequence[Link],
        sent: float,
        trigger: str | None = None,
    ) -> None:
        self.span: Span | None = span
        self.context: Context = context
        self.kind: SpanKind = kind
        self.links: Sequence[Link] = links
        self.sent: float = sent
        self.trigger: str | None = trigger
        self.skip: bool = False
        """Its handler gets no span: nothing would be recorded."""
        self.failed_at: Context | None = None
        """The context of the handler that raised."""
        self.recorded: int = 0
        """The identity of what that raised, if it was recorded on the handler's span; `ANSWERED` if it is an answer."""
        self.over: bool = False
        """The handler has ended."""
        self.hops: int = 0
        """Which send of its chain it is, from 1, or which one its caller handles."""
        self.first: Link | None = None
        """To the first send of the chain."""

    @property
    def traceparent(self) -> str:
        return traceparent_of(self.context)

    def __enter__(self) -> MessageSpan:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None, /) -> None:
        span, self.span = self.span, None
        if span is not None:
            _end(span, error, answered=self.recorded == ANSWERED)


class MessageSpans:
    """Makes the spans of what is sent to one actor. A supervisor has no mailbox, and so makes none."""

    __slots__ = (
        "_calls",
        "_departing",
        "_known",
        "_sends",
        "context",
        "kind",
        "mailbox",
        "now",
        "number",
        "pass_up",
        "path",
        "settings",
    )

    def __init__(
        self,
        settings: SpanSettings,
        path: str,
        kind: str,
        now: Callable[[], float],
        mailbox: Mailbox | None,
        pass_up: PassUp,
    ) -> None:
        self.settings: SpanSettings = settings
        self.path: str = printable(path)
        self.kind: str = printable(kind)  # the class of the live instance; before there is one, what its factory is called
        self.now: Callable[[], float] = now
        self.mailbox: Mailbox | None = mailbox
        self.pass_up: PassUp = pass_up
        self.number: int = 0  # of the present life
        self.context: Context | None = None  # of its own start or stop, while that is under way
        self._known: Attributes | None = None
        self._calls: Known = {}
        self._sends: Known = {}
        self._departing: tuple[Known, Known] | None = None  # calls and sends for actors of other processes

    @property
    def who(self) -> Attributes:
        """What each of its spans says of it."""
        if self._known is None:
            self._known = {key.ACTOR_PATH: self.path}
            if self.mailbox is not None:
                self._known[key.ACTOR_ID] = self.mailbox.id
        return self._known

    def renamed(self, kind: str) -> None:
        """Its instance is of another class than was thought."""
        self.kind = kind
        self._calls.clear()
        self._sends.clear()

    def calls(self, handler: AnyHandler, turn: Turn | None, /) -> MessageSpan:
        try:
            return self._message_span(handler, turn, SpanKind.CLIENT, SpanKind.SERVER, self._calls, self._message)
        except BaseException as raised:  # by the span that is current, which may be of anybody's own class
            lost(raised, self.pass_up)
            return MessageSpan(None, NOTHING, SpanKind.SERVER, (), self.now())

    def sends(self, handler: AnyHandler, turn: Turn | None, /) -> MessageSpan:
        try:
            if turn is not None and turn.mailbox is self.mailbox:  # it would never end, and its trace would grow with it
                return MessageSpan(None, NOTHING, SpanKind.CONSUMER, link_to(contexts.get_current()), self.now(), "self")
            message_span = self._message_span(handler, turn, SpanKind.PRODUCER, SpanKind.CONSUMER, self._sends, self._message)
            if message_span.skip and not self.settings.links_sends:  # nothing of it is recorded, nor of what it sets off
                return message_span
            return self._linked(message_span)
        except BaseException as raised:
            lost(raised, self.pass_up)
            return MessageSpan(None, NOTHING, SpanKind.CONSUMER, (), self.now())

    def departs(self, handler: AnyHandler, turn: Turn | None, /, *, call: bool) -> MessageSpan:
        kind, answered = (SpanKind.CLIENT, SpanKind.SERVER) if call else (SpanKind.PRODUCER, SpanKind.CONSUMER)
        if self._departing is None:
            self._departing = {}, {}
        known = self._departing[not call]
        try:
            span = self._message_span(handler, turn, kind, answered, known, _declared)
        except BaseException as raised:
            lost(raised, self.pass_up)
            span = MessageSpan(None, NOTHING, answered, (), self.now())
        span.skip = True  # what carries it has none
        return span

    def passes(self) -> MessageSpan:
        span = MessageSpan(None, NOTHING, SpanKind.CONSUMER, (), self.now())
        span.skip = True
        return span

    def arrives(self, traceparent: str, /, *, call: bool) -> MessageSpan:
        kind = SpanKind.SERVER if call else SpanKind.CONSUMER
        try:
            context = context_of(traceparent)
            links = () if call else link_to(context)
            apart = not call and self.settings.links_sends
            span = MessageSpan(None, NOTHING if apart else context, kind, links, self.now())
            span.skip = self.settings.sampling.off_below_off and not apart and unsampled(context)
        except BaseException as raised:
            lost(raised, self.pass_up)
            span = MessageSpan(None, NOTHING, kind, (), self.now())
        return span

    def _linked(self, message_span: MessageSpan) -> MessageSpan:
        """A send whose handler has a span of its own: it is linked to this one, and counted."""
        span = message_span.span
        if span is not None:
            if not message_span.skip and span is not INVALID_SPAN:
                sent = Link(span.get_span_context())
                message_span.links = (sent,)
                if message_span.first is None:
                    message_span.first = sent
            if self.settings.links_sends:
                message_span.context, message_span.skip = NOTHING, False
        elif not message_span.skip:
            self._link_to_sender(message_span)
        message_span.hops += 1
        if message_span.hops > HOPS and not message_span.skip:  # what it sets off begins another trace
            message_span.links = links_of(*message_span.links, message_span.first)
            message_span.context, message_span.hops = NOTHING, 0
            if span is not None:
                span.set_attribute(key.HOPS, HOPS)
        return message_span

    def _link_to_sender(self, message_span: MessageSpan) -> None:
        """The send has no span, so what it sets off is linked to the sender's own, where it isn't below that."""
        sender = next(iter(link_to(message_span.context)), None)
        if message_span.first is None:
            message_span.first = sender
        if self.settings.links_sends or message_span.hops >= HOPS:
            message_span.links = links_of(*message_span.links, sender)
            message_span.context = NOTHING

    def wakes(self, trigger: str, noted: object = None, /) -> MessageSpan:
        links = (noted,) if isinstance(noted, Link) else ()
        message_span = MessageSpan(None, NOTHING, SpanKind.CONSUMER, links, self.now(), trigger)
        if trigger == "interval" and not self.settings.ticks:
            message_span.skip = True
        return message_span

    def noted(self) -> object:
        try:
            return next(iter(link_to(contexts.get_current())), None)
        except BaseException as raised:
            lost(raised, self.pass_up)
            return None

    @harmless
    def branch(self) -> None:
        context = contexts.get_current()
        span = trace.get_current_span(context)
        if type(span) is not Branch and span.get_span_context().is_valid:
            contexts.attach(trace.set_span_in_context(Branch(span, _in_hand(current_turn(None)), self.now()), context))

    def _message_span(
        self,
        handler: AnyHandler,
        turn: Turn | None,
        kind: SpanKind,
        answered: SpanKind,
        known: Known,
        names: Callable[[AnyHandler], tuple[str, str]],
    ) -> MessageSpan:
        context = contexts.get_current()
        links: Sequence[Link] = ()
        around: MessageSpan | Branch | None = None
        if context:
            current = trace.get_current_span(context)
            if type(current) is Branch:
                around = current
                context, links = under(context)
            elif turn is not None:
                around = _in_hand(turn)
        if context and self.settings.sampling.off_below_off and unsampled(context):
            return self._without_span(context, answered, around, skip=True)
        sender: Any = None if turn is None else turn.mailbox.instrument
        if not context and not links and sender is not None and sender.context is not None:
            context = sender.context  # of its start: current there, it would be so for ever in tasks that its hooks begin
        by: str | None = None if sender is None else sender.kind
        span: Span | None = None
        skip = False
        try:
            try:
                described = known.get((handler, by))
            except BaseException as raised:  # a callable may have no hash, or one that raises
                if interrupts(raised):
                    raise
                described = None
            if described is None:
                named = handler if owner_of(handler) is not None else None  # a closure would be kept for ever
                described = known_of(known, named, by)
                if described is None:
                    described = self._described(names(handler), kind, by)
                    keep(known, named, by, described)
            if not described[0]:
                return self._without_span(context, answered, around, links, skip=described is _EXCLUDED)
            span = self.settings.tracer.start_span(described[0], context, kind, described[1], links)
            context = trace.set_span_in_context(span, context)
            skip = self.settings.sampling.off_below_off and not span.is_recording()
        except BaseException as raised:
            lost(raised, self.pass_up)
        message_span = MessageSpan(span, context, answered, (), self.now())
        message_span.skip = skip
        if around is not None and not links:
            message_span.hops, message_span.first = around.hops, around.first
        return message_span

    def _described(self, names: tuple[str, str], kind: SpanKind, by: str | None) -> Description:
        """What the span says of a message for such an actor; `by`: the class of the actor that sends it."""
        if self.settings.excluded(*names):
            return _EXCLUDED
        name = ".".join(names)
        if kind is SpanKind.PRODUCER:
            if not self.settings.sends:
                return _UNSAID
            described = f"send {name}", {**messaging("send", names[0], self.path), **self.who}
        else:
            described = f"call {name}", {"rpc.system.name": key.SCOPE, "rpc.method": "/".join(names), **self.who}
        return described if by is None else (described[0], described[1] | {key.SENDER_TYPE: by})

    def _without_span(
        self,
        context: Context,
        answered: SpanKind,
        around: MessageSpan | Branch | None,
        links: Sequence[Link] = (),
        *,
        skip: bool = False,
    ) -> MessageSpan:
        """What it sets off belongs to that context. `skip`: its handler has no span either."""
        message_span = MessageSpan(None, context, answered, links, self.now())
        message_span.skip = skip
        if around is not None and not links:
            message_span.hops, message_span.first = around.hops, around.first
        return message_span

    def _message(self, handler: AnyHandler) -> tuple[str, str]:
        """The names of an actor's type and of a message."""
        owner = owner_of(handler)
        kind = self.kind if self.number or owner is None else printable(owner)
        return kind, "exec" if owner is None else printable(short_name_of(handler))


def _declared(handler: AnyHandler) -> tuple[str, str]:
    """The same of a message for an actor of another process: all that is known of that is its interface."""
    return printable(owner_of(handler) or ""), printable(short_name_of(handler))


def _in_hand(turn: Turn | None) -> MessageSpan | None:
    """What is known of the message that is handled in that turn."""
    envelope = None if turn is None else turn.in_hand
    options = None if envelope is None else envelope[5]
    return options.span if options is not None and isinstance(options.span, MessageSpan) else None


def _end(span: Span, error: BaseException | None, *, answered: bool) -> None:
    """The end of a call or a send, for whoever made it."""
    try:
        if error is not None and span.is_recording():
            if answered:
                span.set_attribute(key.OUTCOME, "answered")
            elif is_of(error, Exception):
                say_failure(span, error)
            else:
                span.set_attribute(key.OUTCOME, "cancelled")
        span.end()
    except BaseException as raised:
        lost(raised)
