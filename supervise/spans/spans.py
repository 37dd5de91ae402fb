"""Spans of what actors do: the instruments that the API of OpenTelemetry alone makes.

| what | name | kind | its parent |
|---|---|---|---|
| a call, until its reply | `call Orders.place` | CLIENT | the caller's current span |
| its handler | `process Orders.place` | SERVER | the call |
| a send, until it is in the mailbox | `send Mailer.confirm` | PRODUCER | the sender's current span |
| its handler | `process Mailer.confirm` | CONSUMER | the send, and a link to it |
| a message to oneself, or from nobody | `process Orders.tick` | CONSUMER | none: a trace of its own; a link to the sender |
| a lost message; of a burst one, then the number | `drop Orders.place` | INTERNAL | the send |
| a start, until it is ready | `start Orders` | INTERNAL | restart, spawner, or its supervisor's start |
| a supervisor's decision | `restart Orders`, `stop Orders`, `escalate Orders` | INTERNAL | the span that failed |
| an orderly end | `stop Orders` | INTERNAL | who asked, restart, or its supervisor's stop |
| what a person does | `operator restart Orders` | INTERNAL | the caller's current span |

`Orders` is the class of the live instance, `place` the handler's `__name__`; a plain callable is `exec`. Supervisors, and what
only runs a function, are shown with their names: `start Supervisor shop`, `start task poll`. No span lasts as long as an actor,
and none has a path in its name.

Red: a span has the status ERROR if an exception is recorded on it, if the caller whose span it is gets an error that is no
answer, or if a message is lost to an exception. `error.type` is what `supervise_strategies/error_type.py` says.

Traces end. What would nest for ever goes on in another one, with a link to where it comes from and to where that began: the
start after the fifth restart below each other, or half a minute after the first (`chain.py`); what the 21st send of a chain
sets off (`message_span.py`); what a nursery task does after the span that it was begun in (`branch.py`).

Rules: what is known of an actor and a handler is put together once; nothing is computed for a span that doesn't record; a
context is attached and detached by hand, in one task, around a handler. That of a start isn't: tasks that a hook begins would
keep it for as long as they live, so it is only the parent of what its factory and hooks call and send. An exception is recorded
once for each crash, on the span of what raised it, or else on the decision; so callers get a status only. What a provider, a
processor or an exception's `__str__` raises is logged, and harms nobody.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.trace import StatusCode

from supervise_strategies.directives import Action
from supervise_strategies.errors import InvalidSpec
from supervise_strategies.text import cut, printable

from . import attributes as key
from .actor_spans import ActorSpans
from .branch import links_of
from .chain import LATE, chain_of, with_chain
from .contexts import NOTHING, failed_under, link_to
from .description import Attributes
from .error_recording import MOST, ErrorRecording, say_failure
from .filters import Excluded
from .lost_spans import PassUp, lost
from .sampling import sampling_of
from .settings import SendLinks, SpanSettings

if TYPE_CHECKING:
    from supervise.events import Decided
    from supervise.mailbox.instrument import Find, Instrument
    from supervise.mailbox.mailbox import Mailbox
    from supervise.mailbox.turn import IncarnationTurn


class Spans:
    """Makes the spans of trees: give it to a root as `tracing=Spans(…)`.

    `tracing=True`, or a provider there, makes one by itself. `help("supervise.spans.spans")`
    lists the spans and what they are called.

        provider: The tracer provider (default: the global one, as it is now).
        send_links: `"parent"` (default): what a send sets off belongs to the sender's trace.
            `"link"`: it is a trace of its own, with a link to the send.
        ticks: Whether each tick of an interval (`current().every`) has a span, too, in a trace
            of its own (default False).
        sends: Whether a send has a span (default True). Without, what it sets off stands below
            the sender's own span.
        exclude: Patterns of `Type.handler`, such as `"Clock.*"` or `"*.tick"` (default: none).
            A message for these has no span, neither at its sender nor at its handler. What the
            handler sends belongs to the span around it.

    A crash is seen even of what is excluded, on the decision. What a provider or a processor
    raises is logged, and harms no actor. Raises `InvalidSpec` for what is none of these.

        >>> from opentelemetry.sdk.trace import TracerProvider
        >>> from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        >>> from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
        >>> provider, memory = TracerProvider(), InMemorySpanExporter()
        >>> provider.add_span_processor(SimpleSpanProcessor(memory))
        >>> async with Supervisor("app", tracing=Spans(provider)) as app:
        ...     cart = await app.start(list, name="cart")
        ...     await cart.call(list.copy)
        []
        >>> [span.name for span in memory.get_finished_spans()]
        ['start Supervisor app', 'start list', 'process list.copy', 'call list.copy', ...]
    """

    def __init__(
        self,
        provider: trace.TracerProvider | None = None,
        *,
        send_links: SendLinks = "parent",
        ticks: bool = False,
        sends: bool = True,
        exclude: Iterable[str] = (),
    ) -> None:
        if send_links not in ("parent", "link"):
            raise InvalidSpec("Spans", "send_links", send_links, "'parent' or 'link'", among=("parent", "link"))
        for name, given in (("ticks", ticks), ("sends", sends)):
            if given not in (True, False):
                raise InvalidSpec("Spans", name, given, "True or False")
        excluded = Excluded(exclude)
        provider = trace.get_tracer_provider() if provider is None else provider
        self.provider: trace.TracerProvider = provider
        tracer = provider.get_tracer(*key.scope())
        self.settings: SpanSettings = SpanSettings(
            tracer, sampling_of(provider), send_links == "link", ticks, sends, excluded, ErrorRecording()
        )

    def excluding(self, exclude: Iterable[str]) -> Spans:
        """The same, with more handlers that have no span; raises `InvalidSpec` as `Spans` does."""
        other = copy.copy(self)
        excluded = Excluded((*self.settings.excluded.patterns, *Excluded(exclude).patterns))
        other.settings = self.settings._replace(excluded=excluded)
        return other

    def with_handlers(self, around: Callable[[IncarnationTurn, Find], Find], /) -> Spans:
        """For the library: the same, with a function around each handler, inside its span."""
        other = copy.copy(self)
        other.settings = self.settings._replace(around=around)
        return other

    def for_actor(self, mailbox: Mailbox, supervisor: Instrument | None, kind: str, /) -> ActorSpans:
        """For the library: the spans of one actor."""
        above = supervisor if isinstance(supervisor, ActorSpans) else None
        pass_up = mailbox.dead_letters.bus.pass_up
        return ActorSpans(self.settings, mailbox.path, above, kind, mailbox.backend.now, mailbox, pass_up)

    def for_supervisor(
        self, path: str, parent: Instrument | None, kind: str, now: Callable[[], float], pass_up: PassUp, /
    ) -> ActorSpans:
        """For the library: the spans of one supervisor."""
        above = parent if isinstance(parent, ActorSpans) else None
        return ActorSpans(self.settings, path, above, kind, now, None, pass_up)

    def here(self) -> object:
        """For the library: the context in which something happens now."""
        return contexts.get_current()

    def decided(
        self, event: Decided, strategy: str, child: Instrument, affected: Sequence[Instrument], supervisor: Instrument, /
    ) -> None:
        """For the library: make the span of a supervisor's decision."""
        if not isinstance(child, ActorSpans) or not isinstance(supervisor, ActorSpans):
            return
        try:
            self._decided(event, strategy, child, affected, supervisor)
        except BaseException as error:
            lost(error, supervisor.pass_up)

    def _decided(
        self, event: Decided, strategy: str, child: ActorSpans, affected: Sequence[Instrument], supervisor: ActorSpans
    ) -> None:
        decision = event.decision
        action = decision.action
        if action not in (Action.RESTART, Action.GIVE_UP) and not decision.reason.abnormal:
            return  # its own end says so
        what = {Action.RESTART: "restart", Action.GIVE_UP: "escalate"}.get(action, "stop")
        failed_in, child.failed_in = child.failed_in or NOTHING, None
        error, child.unrecorded = child.unrecorded, None
        now = child.now()
        parent, links = failed_under(failed_in, now, LATE)
        chain = chain_of(parent, next(iter(links), None), now)
        span = self.settings.tracer.start_span(
            f"{what} {child.shown}", parent, attributes=child.who, links=links_of(*links, chain.first)
        )
        if chain.first is None:
            chain = chain._replace(first=next(iter(link_to(trace.set_span_in_context(span))), None))
        if action is Action.RESTART:
            child.restarts += 1
        if span.is_recording():
            self._describe(span, event, what, strategy, child)
            if error is not None:
                self.settings.recording.record(span, error)
                say_failure(span, error)
            elif action is Action.GIVE_UP:
                span.set_status(StatusCode.ERROR, cut(str(decision), MOST))
        context = with_chain(trace.set_span_in_context(span, parent), chain)
        span.end()
        if action is Action.RESTART:
            apart = not chain.goes_on_after(now, decision.delay)
            for each in affected:
                if isinstance(each, ActorSpans):
                    each.origin = context, apart
        elif action is Action.GIVE_UP:
            supervisor.failed_in = context

    def _describe(self, span: trace.Span, event: Decided, what: str, strategy: str, child: ActorSpans) -> None:
        decision = event.decision
        span.set_attribute(key.SUPERVISOR_PATH, printable(event.supervisor))
        span.set_attribute(key.ACTOR_INCARNATION, decision.incarnation)
        span.set_attribute(key.REASON, decision.rule)
        if what == "stop":
            span.set_attribute(key.STOP_REASON, str(decision.reason))
        else:
            details: Attributes = {
                key.RESTART_NUMBER: child.restarts,
                key.RESTART_DELAY: decision.delay,
                key.RESTART_STRATEGY: strategy,
                key.RESTART_USED: decision.used,
                key.RESTART_ALLOWED: decision.allowed,
            }
            span.set_attributes(details)
        if decision.reason.abnormal:
            span.set_attribute(key.ERROR_TYPE, child.error_type or decision.reason.kind.value)
