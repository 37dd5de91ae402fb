"""A message on its way: what is to be run, with what, and who waits for the reply."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias, cast

from supervise.message import AnyHandler, Message

if TYPE_CHECKING:
    from supervise._backends import Future
    from supervise_strategies.exit_reason import ExitReason

    from .hops import Hops
    from .instrument import AnyMessageSpan
    from .mailbox import Mailbox
    from .source import Source
    from .streamed_reply import StreamedReply

OnRestart: TypeAlias = Literal["wait", "fail"]
OnCancel: TypeAlias = Literal["finish", "cancel"]


class Deadline:
    """Until when a message is to be answered, and what became of the time so far. Instants are of the loop's clock."""

    __slots__ = ("accepted", "at", "begun", "ended", "handled", "seconds", "since")

    def __init__(self, since: float, seconds: float) -> None:
        self.since: float = since
        self.seconds: float = seconds
        self.at: float = since + seconds
        self.accepted: float | None = None
        """When it had its place in the mailbox."""
        self.begun: float | None = None
        """When it was taken out to be handled; None while it waits, also to be tried again."""
        self.handled: float | None = None
        """Seconds for which handlers had it that ended with their life; None: there were none."""
        self.ended: tuple[int, ExitReason] | None = None
        """The last of those lives, and how it ended."""

    @property
    def was_begun(self) -> bool:
        """Whether a handler has begun with it."""
        return self.begun is not None or self.handled is not None

    def put_back(self) -> None:
        """It waits again, as there is no place for it yet."""
        self.begun = None

    def cut_off(self, now: float, ended: tuple[int, ExitReason]) -> None:
        """It waits to be tried again, after a handler had it until now that ended with its life."""
        if self.begun is not None:
            self.handled = (self.handled or 0.0) + now - self.begun
        self.begun, self.ended = None, ended

    def spent(self, now: float) -> str:
        """Where the time went, in words."""
        parts: list[str] = []
        accepted = now if self.accepted is None else self.accepted
        in_hand = (self.handled or 0.0) + (0.0 if self.begun is None else now - self.begun)
        if self.accepted is None or accepted > self.since:
            parts.append(f"waited {accepted - self.since:.3g} s for room")
        if self.accepted is not None:
            parts.append(f"queued {now - accepted - in_hand:.3g} s")
            parts.append(f"in hand {in_hand:.3g} s" if self.was_begun else "never begun")
        return ", ".join(parts)


class MessageOptions(NamedTuple):
    """What isn't an argument of the handler and still travels with one message."""

    deadline: Deadline | None = None
    """An envelope whose deadline has passed is skipped."""
    on_restart: OnRestart = "wait"
    on_cancel: OnCancel | None = None
    """Whether a caller who is gone takes along the handler; None: as the child says."""
    failures: int = 0
    """How many of its tries are spent: it ended a life, or was in hand at another's end, which is free once."""
    crashes: int = 0
    """How often it ended a life itself."""
    attempt: int = 1
    """Which one this is, from 1."""
    not_before: float | None = None
    """The instant of the loop's clock before which it isn't tried again; meanwhile it holds its lane."""
    ended: tuple[int, ExitReason] | None = None
    """Of what is tried again: the life that last had it in hand, and how that ended."""
    spared: bool = False
    """Whether it was in hand before when another message, or a stop, ended a life."""
    span: AnyMessageSpan | None = None
    """What an instrument notes of it."""
    source: Source | None = None
    """Of an actor's own message: the timer, or the stream."""
    beginning: bool = False
    """Whether it is what an incarnation begins with, also when it is redelivered: there is one at most."""
    stream: StreamedReply | None = None
    """Of a call whose answer comes item by item: its reply."""
    hops: Hops | None = None
    """Of a call that came over a link, or was made because of one: where it stands among the calls that wait for it."""
    origin: object = None
    """Of a message that came over a link: who asks there (an `Origin`)."""

    def still_wanted(self, now: Callable[[], float]) -> bool:
        """Asked when the message is taken out, or dropped: whether it still is to be handled. If not, it is abandoned."""
        if self.source is not None:
            return self.source._taken_out(self)
        deadline = self.deadline
        if deadline is None:
            return True
        instant = now()
        if deadline.at <= instant:
            return False
        deadline.begun = instant
        return True


def with_span(options: MessageOptions | None, span: AnyMessageSpan) -> MessageOptions:
    """The same options, with what an instrument notes."""
    if options is None:
        return MessageOptions(span=span)
    return options._replace(span=span)


# A plain tuple: a class with six fields costs 4 times as much to make, once for every message.
# (handler, args, kwargs, reply or None for a send, the sending actor's mailbox or None, options or None)
Envelope: TypeAlias = tuple[
    AnyHandler, tuple[Any, ...], dict[str, Any], "Future | None", "Mailbox | None", MessageOptions | None
]


NO_KEYWORDS: Final = cast("dict[str, Any]", MappingProxyType[str, Any]({}))
"""Of messages without: one dictionary for each that waits is 4 % of a send. All share it, so nobody can put anything in."""


def message_of(envelope: Envelope) -> Message:
    """It as its sender gave it, for whoever is shown it, and may change the keywords that are his then."""
    handler, args, kwargs, *_ = envelope
    return Message(handler, args, {} if kwargs is NO_KEYWORDS else kwargs)


def is_given_up(envelope: Envelope) -> bool:
    """Whether it is a call that nobody waits for any more."""
    return envelope[3] is not None and envelope[3].done()


def is_held_back(envelope: Envelope, now: float) -> bool:
    """Whether it is to be tried again, but not yet, and somebody wants that still."""
    options = envelope[5]
    return options is not None and options.not_before is not None and options.not_before > now and not is_given_up(envelope)


def stream_of(envelope: Envelope | None) -> StreamedReply | None:
    """The reply of a call whose answer comes item by item; None of all else."""
    options = None if envelope is None else envelope[5]
    return None if options is None else options.stream


def awaited_of(envelope: Envelope) -> Future | None:
    """What its sender waits for, if it does."""
    stream = stream_of(envelope)
    return envelope[3] if stream is None else stream.arrival


def is_beginning(envelope: Envelope) -> bool:
    """Whether it is what an incarnation begins with."""
    options = envelope[5]
    return options is not None and options.beginning


def fails_fast(envelope: Envelope) -> bool:
    """Whether it is a call that doesn't wait for a restart."""
    reply, options = envelope[3], envelope[5]
    return reply is not None and options is not None and options.on_restart == "fail"


def cancels_with_caller(mailbox: Mailbox, envelope: Envelope) -> bool:
    """Whether it is a call whose caller takes the handler along when it is gone."""
    reply, options = envelope[3], envelope[5]
    rule = None if options is None else options.on_cancel
    return reply is not None and (rule or mailbox.options.on_cancel) == "cancel"
