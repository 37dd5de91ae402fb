"""Spans of what actors do: the instruments that the API of OpenTelemetry alone makes.

| what | name | kind | its parent |
|---|---|---|---|
| a call, until its reply | `call Orders.place` | CLIENT | the caller's current span |
| its handler | `process Orders.place` | SERVER | the call |
| a send, until it is in the mailbox | `send Mailer.confirm` | PRODUCER | the sender's current span |
| its handler | `process Mailer.confirm` | CONSUMER | the send, and a link to it |
| a message to oneself, or from nobody | `process Orders.tick` | CONSUMER | none: a trace of its own; a link to the sender |
| a start, until it is ready | `start Orders` | INTERNAL | restart, spawner, or its supervisor's start |
| a supervisor's decision | `restart Orders`, `stop Orders`, `escalate Orders` | INTERNAL | the span that failed |
| an orderly end | `stop Orders` | INTERNAL | who asked, restart, or its supervisor's stop |

`Orders` is the class of the live instance, `place` the handler's `__name__`; a plain callable is `exec`. No span lasts as
long as an actor, and none has a path in its name.

Rules: what is known of an actor and a handler is put together once; nothing is computed for a span that doesn't record; a
context is attached and detached by hand, in one task, around a handler. That of a start isn't: tasks that a hook begins would
keep it for as long as they live, so it is only the parent of what its factory and hooks call and send. An exception is recorded
once, on the span of what raised it, so callers get a status only. What a provider, a processor or an exception's `__str__`
raises is logged, and harms nobody.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import math
import os
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, ParamSpec, TypeAlias

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, StatusCode

from supervise_strategies.directives import Action
from supervise_strategies.errors import InvalidSpec
from supervise_strategies.exit_reason import ExitKind, leaves

from . import attributes as key
from .errors import IgnoreStart
from .handler import Concurrency, awaitable, class_of, owner_of, resolve, table_for

if TYPE_CHECKING:
    from supervise_strategies.exit_reason import ExitReason

    from .envelope import Envelope
    from .events import Decided
    from .handler import AnyHandler, Resolved, Table
    from .incarnation import Incarnation
    from .instrument import Find, Instrument
    from .instrument import Passage as AnyPassage
    from .mailbox import Mailbox
    from .turn import Turn

P = ParamSpec("P")
Attributes: TypeAlias = dict[str, Any]
Description: TypeAlias = tuple[str, Attributes]
SendLinks: TypeAlias = Literal["parent", "link"]

LATE: Final = 30.0
"""Seconds of delay from which on a restart's start is in a trace of its own, with a link: a span that late looks lost."""
SIGNALS: Final = "OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN"
_NOTHING: Final = Context()
logger: Final = logging.getLogger("supervise.tracing")


_said_at: float = -math.inf


def _lost() -> None:
    """Something that isn't ours raised. Said once a minute: it may be so for each message."""
    global _said_at
    if time.monotonic() - _said_at > 60:
        _said_at = time.monotonic()
        logger.exception("spans are lost: the tracer provider, or one of its processors, raised")


def _harmless(function: Callable[P, None]) -> Callable[P, None]:
    @functools.wraps(function)
    def harmless(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            function(*args, **kwargs)
        except Exception:
            _lost()

    return harmless


class Passage:
    """The span of a call or send, and what its handler needs to know of it."""

    __slots__ = ("context", "failed_at", "kind", "links", "sent", "skip", "span", "trigger")

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

    def __enter__(self) -> Passage:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None, /) -> None:
        span, self.span = self.span, None
        if span is not None:
            _end(span, error)


class Spans:
    """Makes the spans of trees: give it to a root as `tracing=Spans(…)`; a provider, or `True`, gets one by itself.

    Without a provider it is the global one. With `send_links="link"` what a send sets off is a trace of its own, with a link
    to the send; with `"parent"` (default) it belongs to the sender's trace.
    """

    def __init__(self, provider: trace.TracerProvider | None = None, *, send_links: SendLinks = "parent") -> None:
        if send_links not in ("parent", "link"):
            raise InvalidSpec("Spans", "send_links", send_links, "'parent' or 'link'")
        provider = trace.get_tracer_provider() if provider is None else provider
        self.provider: trace.TracerProvider = provider
        self.tracer: trace.Tracer = provider.get_tracer(*key.scope())
        sampler = self._sampler()
        self.off_below_off: bool = sampler == "AlwaysOffSampler" or (
            "localParentNotSampled:AlwaysOff" in sampler and "remoteParentNotSampled:AlwaysOff" in sampler
        )
        """Nothing is recorded below a span that isn't sampled: there needn't even be a span."""
        self.on_below_on: bool = sampler == "AlwaysOnSampler" or "localParentSampled:AlwaysOn" in sampler
        """All is recorded below a span of this process that is sampled: what is computed for it isn't in vain."""
        self.send_links: SendLinks = send_links
        signals = {signal.strip() for signal in os.environ.get(SIGNALS, "").split(",")}
        self.as_events: bool = "logs" not in signals or "logs/dup" in signals
        self.as_logs: bool = bool(signals & {"logs", "logs/dup"})

    def _sampler(self) -> str:
        """What decides, in the SDK's own words; empty if it is none of the SDK's."""
        sampling: Any = sys.modules.get("opentelemetry.sdk.trace.sampling")
        sampler: Any = getattr(self.provider, "sampler", None)
        known = sampling is not None and isinstance(sampler, sampling.ParentBased | sampling.StaticSampler)
        return sampler.get_description() if known else ""

    def for_actor(self, mailbox: Mailbox, supervisor: Instrument | None, kind: str, /) -> Watched:
        above = supervisor if isinstance(supervisor, Watched) else None
        return Watched(self, mailbox.path, above, kind, mailbox.backend.now, mailbox)

    def for_supervisor(self, path: str, parent: Instrument | None, kind: str, now: Callable[[], float], /) -> Watched:
        return Watched(self, path, parent if isinstance(parent, Watched) else None, kind, now, None)

    def here(self) -> object:
        return contexts.get_current()

    @_harmless
    def decided(
        self, event: Decided, strategy: str, child: Instrument, affected: Sequence[Instrument], supervisor: Instrument, /
    ) -> None:
        decision = event.decision
        if not isinstance(child, Watched) or not isinstance(supervisor, Watched):
            return
        action = decision.action
        if action not in (Action.RESTART, Action.GIVE_UP) and not decision.reason.abnormal:
            return  # its own end says so
        what = {Action.RESTART: "restart", Action.GIVE_UP: "escalate"}.get(action, "stop")
        parent, child.failed_in = child.failed_in or _NOTHING, None
        error, child.unrecorded = child.unrecorded, None
        span = self.tracer.start_span(
            f"{what} {child.kind}", parent, attributes={key.ACTOR_PATH: event.path}, links=_link(parent)
        )
        if span.is_recording():
            span.set_attribute(key.SUPERVISOR_PATH, event.supervisor)
            span.set_attribute(key.ACTOR_INCARNATION, decision.incarnation)
            span.set_attribute(key.REASON, decision.rule)
            if what == "stop":
                span.set_attribute(key.STOP_REASON, str(decision.reason))
            else:
                span.set_attribute(key.RESTART_COUNT, decision.used)
                used = decision.used / decision.allowed if decision.allowed else 1.0
                details: Attributes = {
                    key.RESTART_DELAY: decision.delay,
                    key.RESTART_STRATEGY: strategy,
                    key.RESTART_WINDOW_USED: used,
                }
                span.set_attributes(details)
            if decision.reason.abnormal:
                span.set_attribute(key.ERROR_TYPE, decision.reason.detail.partition(":")[0] or decision.reason.kind.value)
            if error is not None:
                self.record(span, error)
            if action is Action.GIVE_UP:
                span.set_status(StatusCode.ERROR, str(decision))
        context = trace.set_span_in_context(span, parent)
        span.end()
        if action is Action.RESTART:
            for each in affected:
                if isinstance(each, Watched):
                    each.origin = context, decision.delay > LATE
        elif action is Action.GIVE_UP:
            supervisor.failed_in = context

    def record(self, span: Span, error: BaseException) -> None:
        """The exception, where it was raised, and only there."""
        if getattr(error, "__supervise_recorded__", False):
            return
        with contextlib.suppress(AttributeError):
            error.__supervise_recorded__ = True  # type: ignore[attr-defined]
        if self.as_events:
            try:
                span.record_exception(error)
            except Exception:  # its text can't be had
                span.add_event("exception", {"exception.type": type(error).__qualname__})
        if self.as_logs:
            from opentelemetry._logs import SeverityNumber, get_logger

            name, version, schema = key.scope()
            get_logger(name, version, schema_url=schema).emit(
                context=trace.set_span_in_context(span),
                severity_number=SeverityNumber.ERROR,
                event_name="supervise.actor.process.exception",
                exception=error,
            )


class Watched:
    """Makes the spans of one actor, or of one supervisor (which has no mailbox)."""

    __slots__ = (
        "_above",
        "_asked",
        "_attached",
        "_calls",
        "_came_from",
        "_dead_letters",
        "_mailbox",
        "_now",
        "_number",
        "_off_below_off",
        "_on_below_on",
        "_ready_at",
        "_sends",
        "_spans",
        "_start",
        "_stop",
        "_tracer",
        "context",
        "failed_in",
        "kind",
        "origin",
        "path",
        "unrecorded",
    )

    def __init__(
        self,
        spans: Spans,
        path: str,
        above: Watched | None,
        kind: str,
        now: Callable[[], float],
        mailbox: Mailbox | None,
    ) -> None:
        self._spans = spans
        self._tracer = spans.tracer
        self._off_below_off = spans.off_below_off
        self._on_below_on = spans.on_below_on
        self._above = above
        self._mailbox = mailbox
        self._now = now
        self.path: str = path
        self.kind: str = kind
        self.context: Context | None = None  # of its own start or stop, while that is under way
        self.origin: tuple[Context, bool] | None = None  # the restart that the next start belongs to; late: by a link
        self.failed_in: Context | None = None  # what a decision belongs to
        self.unrecorded: BaseException | None = None
        self._calls: dict[tuple[AnyHandler | None, str | None], Description] = {}
        self._sends: dict[tuple[AnyHandler | None, str | None], Description] = {}
        self._number = 0
        self._start: Span | None = None
        self._stop: Span | None = None
        self._asked: tuple[int, Context] | None = None
        self._came_from: Context | None = None
        self._attached: Any = None
        self._ready_at: float | None = None
        self._dead_letters = 0

    # -- messages ----------------------------------------------------------------------------------------------------

    def calls(self, handler: AnyHandler, turn: Turn | None, /) -> Passage:
        return self._passage(handler, turn, SpanKind.CLIENT, SpanKind.SERVER, self._calls, self._describe_call)

    def sends(self, handler: AnyHandler, turn: Turn | None, /) -> Passage:
        if turn is not None and turn.mailbox is self._mailbox:  # it would never end, and its trace would grow with it
            return Passage(None, _NOTHING, SpanKind.CONSUMER, _link(contexts.get_current()), self._now(), "self")
        passage = self._passage(handler, turn, SpanKind.PRODUCER, SpanKind.CONSUMER, self._sends, self._describe_send)
        if passage.span is not None:
            if not passage.skip:
                passage.links = (Link(passage.span.get_span_context()),)
            if self._spans.send_links == "link":
                passage.context, passage.skip = _NOTHING, False
        return passage

    def wakes(self, trigger: str, noted: object = None, /) -> Passage:
        links = (noted,) if isinstance(noted, Link) else ()
        return Passage(None, _NOTHING, SpanKind.CONSUMER, links, self._now(), trigger)

    def noted(self) -> object:
        return next(iter(_link(contexts.get_current())), None)

    def _passage(
        self,
        handler: AnyHandler,
        turn: Turn | None,
        kind: SpanKind,
        answered: SpanKind,
        known: dict[tuple[AnyHandler | None, str | None], Description],
        describe: Callable[[AnyHandler, str | None], Description],
    ) -> Passage:
        context = contexts.get_current()
        if self._off_below_off and _unsampled(context):
            passage = Passage(None, context, answered, (), self._now())
            passage.skip = True
            return passage
        sender: Any = None if turn is None else turn.mailbox.instrument
        if not context and sender is not None and sender.context is not None:
            context = sender.context  # of its start: current there, it would be so for ever in tasks that its hooks begin
        by: str | None = None if sender is None else sender.kind
        span: Span | None = None
        try:
            described = known.get((handler, by))
            if described is None:
                named = handler if owner_of(handler) is not None else None  # a closure would be kept for ever
                described = known.get((named, by))
                if described is None:
                    described = known[named, by] = describe(handler, by)
            span = self._tracer.start_span(described[0], context, kind, described[1])
            context = trace.set_span_in_context(span, context)
        except Exception:
            _lost()
        passage = Passage(span, context, answered, (), self._now())
        passage.skip = self._off_below_off and span is not None and not span.is_recording()
        return passage

    def _message(self, handler: AnyHandler) -> tuple[str, str]:
        """The names of an actor's type and of a message."""
        owner = owner_of(handler)
        kind = self.kind if self._number or owner is None else owner
        return kind, "exec" if owner is None else handler.__name__

    def _describe_call(self, handler: AnyHandler, by: str | None) -> Description:
        kind, message = self._message(handler)
        described = {"rpc.system.name": key.SCOPE, "rpc.method": f"{kind}/{message}", key.ACTOR_PATH: self.path}
        return f"call {kind}.{message}", described if by is None else described | {key.SENDER_TYPE: by}

    def _describe_send(self, handler: AnyHandler, by: str | None) -> Description:
        kind, message = self._message(handler)
        described = {**_messaging("send", kind, self.path), key.ACTOR_PATH: self.path}
        return f"send {kind}.{message}", described if by is None else described | {key.SENDER_TYPE: by}

    # -- handlers ----------------------------------------------------------------------------------------------------

    def finder(self, life: Incarnation, /) -> tuple[Table, Find]:
        def find(actor: type, table: Table, handler: AnyHandler) -> Resolved:
            function, way = resolve(actor, table_for(actor), handler)
            found = self._around(life, handler, function, way), way
            if owner_of(handler) is not None:
                table[handler] = found
            return found

        return {}, find

    def _around(
        self, life: Incarnation, handler: AnyHandler, function: AnyHandler, way: bool | Concurrency
    ) -> Callable[..., Any]:
        """The handler with a span around it."""
        owner = owner_of(handler)
        message = "exec" if owner is None else handler.__name__
        name = f"process {self.kind}.{message}"
        own: Attributes = {key.ACTOR_PATH: self.path, key.ACTOR_TYPE: self.kind, key.ACTOR_INCARNATION: life.number}
        qualified: str | None = getattr(function, "__qualname__", None)
        if qualified is not None:
            own["code.function.name"] = f"{getattr(function, '__module__', None) or ''}.{qualified}".lstrip(".")
        called = own | {"rpc.system.name": key.SCOPE, "rpc.method": f"{self.kind}/{message}"}
        sent = own | _messaging("process", self.kind, self.path)

        def begin(envelope: Envelope | None) -> _Handling:
            return _Handling(self, life, envelope, name, called, sent)

        async def finish(handling: _Handling, result: Any) -> Any:
            try:
                result = await result
            except BaseException as error:
                handling.end(error)
                raise
            handling.end(None)
            return result

        if way is False:

            def run(*args: Any, **kwargs: Any) -> Any:
                handling = begin(life.in_hand)
                try:
                    result = function(*args, **kwargs)
                    if awaitable(result):
                        return finish(handling, result)
                except BaseException as error:
                    handling.end(error)
                    raise
                handling.end(None)
                return result

            return run

        async def go(envelope: Envelope | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            handling = begin(envelope)
            try:
                result = await function(*args, **kwargs)
            except BaseException as error:
                handling.end(error)
                raise
            handling.end(None)
            return result

        def make(*args: Any, **kwargs: Any) -> Coroutine[Any, Any, Any]:
            return go(life.in_hand, args, kwargs)  # one that runs beside others begins when it has its place

        return make

    def handler_span(self, passage: Passage, name: str, described: Attributes) -> Span | None:
        """The span of a handler that begins."""
        if passage.skip:
            return None
        try:
            if self._on_below_on and passage.links:  # of a send that is recorded
                described = described | self._found(passage)  # ten times as fast as when it has begun
                return self._tracer.start_span(name, passage.context, passage.kind, described, passage.links)
            span = self._tracer.start_span(name, passage.context, passage.kind, described, passage.links)
            if span.is_recording():
                span.set_attributes(self._found(passage))
        except Exception:
            _lost()
            return None
        return span

    def _found(self, passage: Passage) -> Attributes:
        waiting = 0 if self._mailbox is None else self._mailbox.waiting
        found: Attributes = {key.MAILBOX_DEPTH: waiting, key.MAILBOX_WAIT: self._now() - passage.sent}
        if passage.trigger is not None:
            found[key.TRIGGER] = passage.trigger
        return found

    def handler_raised(self, span: Span, error: BaseException, life: Incarnation, *, awaited: bool) -> None:
        """What it raised, or that it was cancelled, in which case nothing failed."""
        if all(isinstance(leaf, life.mailbox.backend.cancelled) for leaf in leaves(error)):
            span.set_attribute(key.OUTCOME, "cancelled")
            if awaited:
                span.set_attribute(key.ERROR_TYPE, "cancelled")
            return
        self._spans.record(span, error)
        _say(span, error)

    # -- lives -------------------------------------------------------------------------------------------------------

    def asked_for(self, here: object, /) -> None:
        self._came_from = here if isinstance(here, Context) else None

    @_harmless
    def starts(self, number: int, /) -> None:
        self._number = number
        self._asked = self.failed_in = self.unrecorded = None
        origin, self.origin = self.origin, None
        came_from, self._came_from = self._came_from, None
        links: Sequence[Link] = ()
        reason = "initial"
        above = self._above
        if origin is not None:
            reason = "restart"
            parent, late = origin
            if late:
                parent, links = _NOTHING, _link(parent)
        elif came_from is not None and _has_span(came_from):
            parent = came_from
        elif above is not None and above.context is not None:
            parent = above.context
        else:
            parent = contexts.get_current()
        self._start = span = self._tracer.start_span(
            f"start {self.kind}", parent, attributes={key.ACTOR_PATH: self.path}, links=links
        )
        self.context = trace.set_span_in_context(span, parent)
        if span.is_recording():
            span.set_attributes({key.ACTOR_INCARNATION: number, key.START_REASON: reason})
            if above is not None:
                span.set_attribute(key.SUPERVISOR_PATH, above.path)

    @_harmless
    def started(self, instance: object, /) -> None:
        kind: str = class_of(instance).__name__ if instance is not None else self.kind
        span, self._start = self._start, None
        if kind != self.kind:
            self.kind = kind
            self._calls.clear()
            self._sends.clear()
            if span is not None:
                span.update_name(f"start {kind}")
        self._ready_at = self._now()
        self.context = None
        if span is not None:
            span.set_attribute(key.ACTOR_TYPE, kind)
            span.end()

    @_harmless
    def asked_to_stop(self) -> None:
        if self._asked is None:
            above = self._above
            if self.origin is not None and not self.origin[1]:
                parent = self.origin[0]
            elif above is not None and above.context is not None:
                parent = above.context
            else:
                parent = contexts.get_current()
            self._asked = time.time_ns(), parent
            if self._mailbox is None and self._start is None:
                self._stop = self._begin_stop()
                self.context = trace.set_span_in_context(self._stop, parent)

    def killed(self) -> None:
        if self.failed_in is None:
            self.failed_in = contexts.get_current()

    def failed(self) -> None:
        self.failed_in = contexts.get_current()

    @_harmless
    def ends(self, life: Incarnation, passage: AnyPassage | None, reason: ExitReason, error: BaseException | None, /) -> None:
        start, self._start = self._start, None
        mailbox = life.mailbox
        self._dead_letters = mailbox.dead_lettered
        if start is not None:
            self.failed_in, self.context = self.context, None
            start.set_attribute(key.ACTOR_TYPE, self.kind)
            if isinstance(error, IgnoreStart):
                start.set_attribute(key.OUTCOME, "ignored")
            elif error is not None:
                self.handler_raised(start, error, life, awaited=False)
            elif reason.abnormal:
                start.set_attribute(key.OUTCOME, "cancelled")
            start.end()
        elif isinstance(passage, Passage) and passage.failed_at is not None:
            self.failed_in = passage.failed_at
        elif error is not None and not getattr(error, "__supervise_recorded__", False):
            self.unrecorded = error
        if life.running and (self._asked is not None or not reason.abnormal):
            self._stop = span = self._begin_stop()
            self._say_end(span, reason, ordered=life.ordered)
            if error is not None and reason.kind is ExitKind.CRASHED and span.is_recording():
                self._spans.record(span, error)
        if self.failed_in is not None:
            self._attached = contexts.attach(self.failed_in)

    @_harmless
    def ended(self) -> None:
        self._detach()
        self.unrecorded = None
        span, self._stop = self._stop, None
        if span is not None and self._mailbox is not None:
            span.set_attribute(key.MAILBOX_DROPPED, self._mailbox.dead_lettered - self._dead_letters)
            span.end()

    @_harmless
    def gone(self, reason: ExitReason, /) -> None:
        start, self._start = self._start, None
        stop, self._stop = self._stop, None
        self.context = None
        if start is not None:
            if reason.abnormal:
                start.set_status(StatusCode.ERROR, str(reason))
            start.end()
        if stop is not None:
            self._say_end(stop, reason, ordered=False)
            stop.end()

    def _begin_stop(self) -> Span:
        began, parent = self._asked or (None, _NOTHING)
        self._asked = None
        described = {key.ACTOR_PATH: self.path, key.ACTOR_TYPE: self.kind}
        return self._tracer.start_span(f"stop {self.kind}", parent, attributes=described, start_time=began)

    def _say_end(self, span: Span, reason: ExitReason, *, ordered: bool) -> None:
        if not span.is_recording():
            return
        span.set_attributes({key.ACTOR_INCARNATION: self._number, key.STOP_REASON: str(reason)})
        if self._ready_at is not None:
            span.set_attribute(key.ACTOR_LIFETIME, self._now() - self._ready_at)
        if reason.kind is ExitKind.CRASHED or (ordered and reason.kind is ExitKind.KILLED):
            span.set_attribute(key.ERROR_TYPE, "timeout" if reason.kind is ExitKind.KILLED else reason.detail.partition(":")[0])
            span.set_status(StatusCode.ERROR, str(reason))

    def _detach(self) -> None:
        attached, self._attached = self._attached, None
        if attached is not None:
            contexts.detach(attached)


class _Handling:
    """One run of a handler, from its first step to its last."""

    __slots__ = ("_awaited", "_context", "_life", "_passage", "_span", "_token", "_watched")

    def __init__(
        self, watched: Watched, life: Incarnation, envelope: Envelope | None, name: str, called: Attributes, sent: Attributes
    ) -> None:
        passage = None if envelope is None or envelope[5] is None else envelope[5].passage
        if not isinstance(passage, Passage):
            passage = watched.wakes("internal")
        self._awaited = passage.kind is SpanKind.SERVER
        self._watched = watched
        self._life = life
        self._passage = passage
        self._span = span = watched.handler_span(passage, name, called if self._awaited else sent)
        self._context = passage.context if span is None else trace.set_span_in_context(span, passage.context)
        self._token = contexts.attach(self._context)

    def end(self, error: BaseException | None) -> None:
        if not isinstance(error, GeneratorExit):  # the loop is gone, and the context may be another one
            contexts.detach(self._token)
        if error is not None:
            self._passage.failed_at = self._context
        span = self._span
        if span is None:
            return
        try:
            if error is not None and span.is_recording():
                self._watched.handler_raised(span, error, self._life, awaited=self._awaited)
            span.end()
        except Exception:
            _lost()


def _messaging(operation: str, kind: str, path: str) -> Attributes:
    return {
        "messaging.system": key.SCOPE,
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": path,
        "messaging.destination.template": kind,
    }


def _end(span: Span, error: BaseException | None) -> None:
    """The end of a call or a send, for whoever made it."""
    try:
        if error is not None and span.is_recording():
            if isinstance(error, Exception):
                _say(span, error)
            else:
                span.set_attribute(key.OUTCOME, "cancelled")
        span.end()
    except Exception:
        _lost()


def _say(span: Span, error: BaseException) -> None:
    """That it failed, and with what."""
    span.set_attribute(key.ERROR_TYPE, "timeout" if isinstance(error, TimeoutError) else type(error).__qualname__)
    try:
        text = str(error)
    except Exception:
        text = f"<the text of {type(error).__name__} raises>"
    span.set_status(StatusCode.ERROR, text)


def _has_span(context: Context) -> bool:
    return trace.get_current_span(context).get_span_context().is_valid


def _unsampled(context: Context) -> bool:
    within = trace.get_current_span(context).get_span_context()
    return within.is_valid and not within.trace_flags.sampled


def _link(context: Context) -> Sequence[Link]:
    within = trace.get_current_span(context).get_span_context()
    return (Link(within),) if within.is_valid else ()
