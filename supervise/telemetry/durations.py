"""How long messages wait, and how long their handlers take: two histograms, for who asks for them.

Theory of operation
-------------------
- Both are recorded when a handler has ended, in its task, and inside its span if there is one, so a reader that keeps exemplars
  leads from a slow message to its trace.
- When a message was sent, its message span knows. Where a tree makes no spans, an instrument of this file makes the least that
  can be one: an instant. Where it makes some, that is the instrument, and only the handlers are wrapped here.
- A histogram of the SDK never forgets a series. So there are no more than `MOST_TYPES` types of actors in it, and
  `MOST_ERRORS` kinds of errors; what is beyond is called `_OTHER`.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Final

from supervise._backends import is_cancellation
from supervise.log import say
from supervise.mailbox.handler import Concurrency, awaitable
from supervise.mailbox.stream_run import StreamStopped
from supervise.message import AnyHandler, named
from supervise.spans import attributes as key
from supervise.spans.lost_spans import PassUp
from supervise_strategies.error_type import error_type_of
from supervise_strategies.exception import interrupts
from supervise_strategies.kind import is_of, kind_of, name_of_kind

if TYPE_CHECKING:
    from types import TracebackType

    from opentelemetry.metrics import Meter

    from supervise.events import Decided, Started
    from supervise.journal.bus import Bus
    from supervise.mailbox.envelope import Envelope
    from supervise.mailbox.handler import Resolved, Table
    from supervise.mailbox.instrument import AnyMessageSpan, Find, Instrument
    from supervise.mailbox.losses import Loss
    from supervise.mailbox.mailbox import Mailbox
    from supervise.mailbox.turn import IncarnationTurn, Turn
    from supervise_strategies.exit_reason import ExitReason

BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
"""Seconds, as the conventions advise for `messaging.process.duration`. A view of the SDK can have others."""
MOST_TYPES: Final = 200
MOST_ERRORS: Final = 50
OTHER: Final = "_OTHER"


class Durations:
    """The two histograms of one meter."""

    def __init__(self, meter: Meter) -> None:
        self._process = meter.create_histogram(
            "messaging.process.duration",
            "s",
            "How long a handler had a message.",
            explicit_bucket_boundaries_advisory=BUCKETS,
        )
        self._wait = meter.create_histogram(
            "supervise.mailbox.wait.duration",
            "s",
            "How long a message waited, from its sending until its handler began.",
            explicit_bucket_boundaries_advisory=BUCKETS,
        )
        self._types: set[str] = set()
        self._errors: set[str] = set()
        self._said_at = -math.inf

    def _lost(self, error: BaseException, pass_up: PassUp) -> None:
        """A KeyboardInterrupt is passed up, all else said once a minute: the message is none the worse."""
        if interrupts(error):
            pass_up(error)
        elif time.monotonic() - self._said_at > 60:
            self._said_at = time.monotonic()
            text = "durations are lost: the meter provider, or a view of it, raised"
            say(logging.ERROR, text, error=error, pass_up=pass_up)

    def finder(self, life: IncarnationTurn, bare: Find) -> Find:
        """Where a life finds its handlers, each of which is timed. `bare` finds those that it is put around."""
        type_name = _bounded(name_of_kind(kind_of(life.instance)), self._types, MOST_TYPES)
        waited = {key.ACTOR_TYPE: type_name}
        processed = {
            "messaging.system": key.SCOPE,
            "messaging.operation.name": "process",
            "messaging.destination.template": type_name,
        }
        now, cancelled = life.mailbox.backend.now, life.mailbox.backend.cancelled
        pass_up = life.mailbox.dead_letters.bus.pass_up

        def note(envelope: Envelope | None, began: float, error: BaseException | None = None) -> None:
            try:
                sent = sent_at(envelope)
                if sent is not None:
                    self._wait.record(max(0.0, began - sent), waited)
                described = processed
                awaited = envelope is not None and envelope[3] is not None
                if error is not None and not life.answers_with(error, call=awaited):
                    word = _error_type(error, cancelled, awaited=awaited)
                    if word:
                        described = {**processed, key.ERROR_TYPE: _bounded(word, self._errors, MOST_ERRORS)}
                self._process.record(max(0.0, now() - began), described)
            except BaseException as raised:  # by a view, or a reservoir, of the user's own
                self._lost(raised, pass_up)

        def find(kind: type, table: Table, handler: AnyHandler) -> Resolved:
            function, way, name, value, _ = bare(kind, {}, handler)
            found = _timed(function, way, life, now, note), way, name, value, None
            if value is not None:
                try:
                    table[handler] = found
                except Exception:  # a handler without a hash
                    return found
            return found

        return find


def _timed(
    function: Callable[..., Any],
    way: bool | Concurrency,
    life: IncarnationTurn,
    now: Callable[[], float],
    note: Callable[..., None],
) -> AnyHandler:
    """The handler, with a look at the clock before and after it."""

    async def follow(envelope: Envelope | None, began: float, result: Any) -> Any:
        try:
            result = await result
        except BaseException as error:
            note(envelope, began, error)
            raise
        note(envelope, began)
        return result

    def begin(*args: Any, **kwargs: Any) -> Any:
        envelope, began = life.in_hand, now()
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            note(envelope, began, error)
            raise
        if awaitable(result):
            return follow(envelope, began, result)
        note(envelope, began)
        return result

    async def run(envelope: Envelope | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        began = now()
        try:
            result = function(*args, **kwargs)
            if awaitable(result):
                result = await result
        except BaseException as error:
            note(envelope, began, error)
            raise
        note(envelope, began)
        return result

    def make(*args: Any, **kwargs: Any) -> Coroutine[Any, Any, Any]:
        return run(life.in_hand, args, kwargs)

    timed: Any = make if way is True else begin
    for attribute in ("__module__", "__name__", "__qualname__"):  # for spans around it
        if name := named(function, attribute):
            setattr(timed, attribute, name)
    named_alike: AnyHandler = timed
    return named_alike


def _error_type(error: BaseException, cancelled: type[BaseException], *, awaited: bool) -> str:
    """As its span has it: empty for one that was cancelled, if nobody waited for it."""
    if is_cancellation(error, cancelled) or is_of(error, StreamStopped, GeneratorExit):
        return "cancelled" if awaited else ""
    return error_type_of(error)


def _bounded(name: str, known: set[str], most: int) -> str:
    if name in known:
        return name
    if len(known) >= most:
        return OTHER
    known.add(name)
    return name


class SentAt:
    """All that is known of a message where no spans are made."""

    __slots__ = ("sent",)

    def __init__(self, sent: float) -> None:
        self.sent: float = sent

    @property
    def traceparent(self) -> str:
        return ""

    def __enter__(self) -> SentAt:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None, /) -> None:
        pass


def sent_at(envelope: Envelope | None) -> float | None:
    """When a message was sent, by its backend's clock; None: it wasn't, or nobody has looked."""
    span: Any = None if envelope is None or envelope[5] is None else envelope[5].span
    return None if span is None else getattr(span, "sent", None)


class TimedActors:
    """The instruments of a tree that makes no spans; one of them serves all its actors, since it knows nothing of them."""

    def __init__(self, durations: Durations) -> None:
        self._durations = durations
        self._timing: _Timing | None = None

    def for_actor(self, mailbox: Mailbox, supervisor: Instrument | None, kind: str, /) -> Instrument:
        return self._of(mailbox.backend.now)

    def for_supervisor(
        self,
        path: str,
        parent: Instrument | None,
        kind: str,
        now: Callable[[], float],
        pass_up: Callable[[BaseException], object],
        /,
    ) -> Instrument:
        return self._of(now)

    def _of(self, now: Callable[[], float]) -> Instrument:
        if self._timing is None:
            self._timing = _Timing(self._durations, now)
        return self._timing

    def here(self) -> object:
        return None

    def decided(
        self, event: Decided, strategy: str, child: Instrument, affected: Sequence[Instrument], supervisor: Instrument, /
    ) -> None:
        pass


class _Timing:
    """An instrument that looks at the clock, and at nothing else."""

    __slots__ = ("_durations", "_now")
    context: None = None
    """Of its start, for the spans of what it sends to another tree that makes some."""
    kind: None = None

    def __init__(self, durations: Durations, now: Callable[[], float]) -> None:
        self._durations = durations
        self._now = now

    def sends(self, handler: AnyHandler, turn: Turn | None, /) -> SentAt:
        return SentAt(self._now())

    def calls(self, handler: AnyHandler, turn: Turn | None, /) -> SentAt:
        return SentAt(self._now())

    def departs(self, handler: AnyHandler, turn: Turn | None, /, *, call: bool) -> SentAt:
        return SentAt(self._now())

    def passes(self) -> SentAt:
        return SentAt(self._now())

    def arrives(self, traceparent: str, /, *, call: bool) -> SentAt:
        return SentAt(self._now())

    def wakes(self, trigger: str, noted: object = None, /) -> SentAt:
        return SentAt(self._now())

    def noted(self) -> object:
        return None

    def asked_for(self, here: object, /) -> None:
        pass

    def asked_by(self, who: str, what: str, in_words: str, /) -> AbstractContextManager[object]:
        return nullcontext()

    def starts(self, number: int, /) -> None:
        pass

    def started(self, instance: object, /) -> None:
        pass

    def tells(self, bus: Bus, event: Started, /) -> None:
        bus.publish(event)

    def loses(
        self, bus: Bus, envelope: Envelope, loss: Loss, why: object, error: BaseException | None, /
    ) -> AbstractContextManager[object]:
        return nullcontext()

    def told(self, bus: Bus, envelope: Envelope, /) -> AbstractContextManager[object]:
        return nullcontext()

    def lost(self, loss: Loss, /) -> None:
        pass

    def finder(self, life: IncarnationTurn, find: Find, known: Table | None, /) -> tuple[Table, Find]:
        return {} if known is None else known, self._durations.finder(life, find)

    def connects(self) -> None:
        pass

    def connected(self, far: str, /) -> None:
        pass

    def asked_to_stop(self) -> None:
        pass

    def asked_to_end(self) -> None:
        pass

    def killed(self) -> None:
        pass

    def failed(self) -> None:
        pass

    def branch(self) -> None:
        pass

    def ends(
        self, life: IncarnationTurn, span: AnyMessageSpan | None, reason: ExitReason, error: BaseException | None, /
    ) -> None:
        pass

    def ended(self) -> None:
        pass

    def gone(self, reason: ExitReason, error: BaseException | None, /) -> None:
        pass
