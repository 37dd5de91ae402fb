"""The span of one run of a handler, made around it in the task that runs it; the message's span is its parent, or linked."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind

from supervise._backends import is_cancellation
from supervise.mailbox.handler import Concurrency, asked_for, awaitable
from supervise.mailbox.stream_run import StreamStopped
from supervise.message import AnyHandler, named, owner_of, short_name_of
from supervise_strategies.kind import is_of
from supervise_strategies.text import printable

from . import attributes as key
from .description import Attributes, messaging
from .error_recording import ErrorRecording, say_failure
from .lost_spans import lost
from .message_span import ANSWERED, MessageSpan, MessageSpans

if TYPE_CHECKING:
    from supervise.mailbox.envelope import Envelope
    from supervise.mailbox.handler import Resolved, Table
    from supervise.mailbox.instrument import Find
    from supervise.mailbox.turn import IncarnationTurn


def finder(actor: MessageSpans, life: IncarnationTurn, bare: Find) -> Find:
    """Where a life finds its handlers: each with a span around it. `bare` finds those that it is put around."""

    def find(kind: type, table: Table, handler: AnyHandler) -> Resolved:
        function, way, name, value, _ = bare(kind, {}, handler)
        found = _around(actor, life, asked_for(handler), function, way), way, name, value, None
        if value is not None:
            with suppress(Exception):  # a handler without a hash
                table[handler] = found
        return found

    return find


def _around(
    actor: MessageSpans, life: IncarnationTurn, handler: AnyHandler, function: AnyHandler, way: bool | Concurrency
) -> Callable[..., Any]:
    """The handler with a span around it."""
    owner = owner_of(handler)
    message = "exec" if owner is None else printable(short_name_of(handler))
    name = "" if actor.settings.excluded(actor.kind, message) else f"process {actor.kind}.{message}"
    own: Attributes = {**actor.who, key.ACTOR_TYPE: actor.kind, key.ACTOR_INCARNATION: life.number}
    qualified = named(function, "__qualname__")
    if qualified:
        own["code.function.name"] = printable(f"{named(function, '__module__')}.{qualified}".lstrip("."))
    called = own | {"rpc.system.name": key.SCOPE, "rpc.method": f"{actor.kind}/{message}"}
    sent = own | messaging("process", actor.kind, actor.path)

    def begin(envelope: Envelope | None) -> HandlerSpan:
        return HandlerSpan(actor, life, envelope, name, called, sent)

    async def finish(span: HandlerSpan, result: Any) -> Any:
        try:
            result = await result
        except BaseException as error:
            span.end(error)
            raise
        span.end(None)
        return result

    if way is False:

        def run(*args: Any, **kwargs: Any) -> Any:
            span = begin(life.in_hand)
            try:
                result = function(*args, **kwargs)
                if awaitable(result):
                    return finish(span, result)
            except BaseException as error:
                span.end(error)
                raise
            span.end(None)
            return result

        return run

    async def go(envelope: Envelope | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        span = begin(envelope)
        try:
            result = function(*args, **kwargs)
            if awaitable(result):
                result = await result
        except BaseException as error:
            span.end(error)
            raise
        span.end(None)
        return result

    async def go_unrecorded(message: MessageSpan, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        token = contexts.attach(message.context)
        try:
            result = function(*args, **kwargs)
            if awaitable(result):
                result = await result
        except BaseException as error:
            if not is_of(error, GeneratorExit):
                contexts.detach(token)
            message.failed_at, message.over = message.context, True
            raise
        contexts.detach(token)
        message.over = True
        return result

    def make(*args: Any, **kwargs: Any) -> Coroutine[Any, Any, Any]:
        envelope = life.in_hand
        message = None if envelope is None or envelope[5] is None else envelope[5].span
        if type(message) is MessageSpan and message.skip:
            return go_unrecorded(message, args, kwargs)
        return go(envelope, args, kwargs)

    async def follow(envelope: Envelope | None, result: Any) -> Any:
        return await finish(begin(envelope), result)  # one that runs beside others begins when it has its place

    def make_beside(*args: Any, **kwargs: Any) -> Any:
        try:
            result = function(*args, **kwargs)  # at once: what doesn't fit is its caller's error
        except BaseException as error:
            begin(life.in_hand).end(error)
            raise
        if awaitable(result):
            return follow(life.in_hand, result)
        begin(life.in_hand).end(None)
        return result

    return make if way is True else make_beside


class HandlerSpan:
    """One run of a handler, from its first step to its last."""

    __slots__ = ("_actor", "_awaited", "_context", "_life", "_message", "_span", "_token")

    def __init__(
        self,
        actor: MessageSpans,
        life: IncarnationTurn,
        envelope: Envelope | None,
        name: str,
        called: Attributes,
        sent: Attributes,
    ) -> None:
        message = None if envelope is None or envelope[5] is None else envelope[5].span
        if not isinstance(message, MessageSpan):
            message = actor.wakes("internal")
        if message.over:  # an earlier try
            message.failed_at, message.recorded, message.over = None, 0, False
        self._awaited = message.kind is SpanKind.SERVER
        self._actor = actor
        self._life = life
        self._message = message
        self._span = span = _begin(actor, message, name, called if self._awaited else sent)
        self._context = message.context if span is None else trace.set_span_in_context(span, message.context)
        self._token = contexts.attach(self._context)

    def end(self, error: BaseException | None) -> None:
        if not is_of(error, GeneratorExit):  # the loop is gone, and the context may be another one
            contexts.detach(self._token)
        message = self._message
        message.over = True
        if error is not None:
            message.failed_at = self._context
        span = self._span
        if span is None:
            if error is not None and self._awaited:
                self._is_answered(error)
            return
        try:
            try:
                if error is not None and span.is_recording():
                    self._say_raised(span, error)
            finally:
                span.end()
        except BaseException as raised:
            lost(raised, self._actor.pass_up)

    def _say_raised(self, span: Span, error: BaseException) -> None:
        """What its handler raised, unless that is an answer; of one that was cancelled as it took too long, that it did."""
        life, message = self._life, self._message
        if was_cancelled(error, life.mailbox.backend.cancelled):
            late = life.late if _is_in_hand(life, message) else None
            if late is None:
                say_cancelled(span, awaited=self._awaited)
                return
            error = late
        elif self._is_answered(error):
            span.set_attribute(key.OUTCOME, "answered")
            return
        message.recorded = id(error)
        self._actor.settings.recording.record(span, error)
        say_failure(span, error)

    def _is_answered(self, error: BaseException) -> bool:
        answered = self._life.answers_with(error, call=self._awaited)
        if answered:
            self._message.recorded = ANSWERED
        return answered


def _begin(actor: MessageSpans, message: MessageSpan, name: str, described: Attributes) -> Span | None:
    """The span of a handler that begins; of one without a name there is none."""
    if message.skip or not name:
        return None
    try:
        start = actor.settings.tracer.start_span
        if actor.settings.sampling.on_below_on and message.links:  # of a send that is recorded
            described = described | _found(actor, message)  # ten times as fast as when it has begun
            return start(name, message.context, message.kind, described, message.links)
        span = start(name, message.context, message.kind, described, message.links)
        if span.is_recording():
            span.set_attributes(_found(actor, message))
    except BaseException as raised:
        lost(raised, actor.pass_up)
        return None
    return span


def _found(actor: MessageSpans, message: MessageSpan) -> Attributes:
    waiting = 0 if actor.mailbox is None else actor.mailbox.waiting
    found: Attributes = {key.MAILBOX_DEPTH: waiting, key.MAILBOX_WAIT: actor.now() - message.sent}
    if message.trigger is not None:
        found[key.TRIGGER] = message.trigger
    if message.hops > 1:
        found[key.HOPS] = message.hops
    return found


def _is_in_hand(life: IncarnationTurn, message: MessageSpan) -> bool:
    """Whether it is the one that the life handles in turn."""
    options = None if life.in_hand is None else life.in_hand[5]
    return options is not None and options.span is message


def was_cancelled(error: BaseException, cancelled: type[BaseException]) -> bool:
    """Whether nothing failed: it was cancelled, or closed where it waited for its reader."""
    return is_cancellation(error, cancelled) or is_of(error, StreamStopped)


def say_cancelled(span: Span, *, awaited: bool) -> None:
    """That, and to whoever waits for it why nothing comes."""
    span.set_attribute(key.OUTCOME, "cancelled")
    if awaited:
        span.set_attribute(key.ERROR_TYPE, "cancelled")


def say_raised(recording: ErrorRecording, span: Span, error: BaseException, cancelled: type[BaseException]) -> bool:
    """What a start raised, and whether it was recorded: one that was cancelled hasn't failed by itself."""
    if was_cancelled(error, cancelled):
        say_cancelled(span, awaited=False)
        return False
    recording.record(span, error)
    say_failure(span, error)
    return True
