"""A message on its way: what is to be run, with what, and who waits for the reply."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from supervise.message import AnyHandler

if TYPE_CHECKING:
    from supervise._backends import Future

    from .instrument import AnyMessageSpan
    from .mailbox import Mailbox
    from .source import Source

OnRestart: TypeAlias = Literal["wait", "fail"]
OnCancel: TypeAlias = Literal["finish", "cancel"]


class Deadline:
    """Until when a message is to be answered, and what became of the time so far. Instants are of the loop's clock."""

    __slots__ = ("accepted", "at", "begun", "seconds", "since")

    def __init__(self, since: float, seconds: float) -> None:
        self.since: float = since
        self.seconds: float = seconds
        self.at: float = since + seconds
        self.accepted: float | None = None
        """When it had its place in the mailbox."""
        self.begun: float | None = None
        """When it was taken out to be handled; of one that was tried again, for the last time."""

    def spent(self, now: float) -> str:
        """Where the time went, in words."""
        parts: list[str] = []
        accepted = now if self.accepted is None else self.accepted
        begun = now if self.begun is None else self.begun
        if self.accepted is None or accepted > self.since:
            parts.append(f"waited {accepted - self.since:.3g} s for room")
        if self.accepted is not None:
            parts.append(f"queued {begun - accepted:.3g} s")
            parts.append("never begun" if self.begun is None else f"in hand {now - begun:.3g} s")
        return ", ".join(parts)


class MessageOptions(NamedTuple):
    """What isn't an argument of the handler and still travels with one message."""

    deadline: Deadline | None = None
    """An envelope whose deadline has passed is skipped."""
    on_restart: OnRestart = "wait"
    on_cancel: OnCancel | None = None
    """Whether a caller who is gone takes along the handler; None: as the child says."""
    failures: int = 0
    """How often it ended a life, where the child asks for redelivery."""
    attempt: int = 1
    """Which one this is, from 1."""
    not_before: float | None = None
    """The instant of the loop's clock before which it isn't tried again; meanwhile it holds its lane."""
    crash: tuple[int, str] | None = None
    """Of a call that is tried again: which life it ended last, and what that crashed of."""
    spared: bool = False
    """Whether it was in hand before when another message, or a stop, ended a life."""
    span: AnyMessageSpan | None = None
    """What an instrument notes of it."""
    source: Source | None = None
    """Of an actor's own message: the timer, or the stream."""
    beginning: bool = False
    """Whether it is what an incarnation begins with, also when it is redelivered: there is one at most."""

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


def is_given_up(envelope: Envelope) -> bool:
    """Whether it is a call that nobody waits for any more."""
    return envelope[3] is not None and envelope[3].done()


def is_held_back(envelope: Envelope, now: float) -> bool:
    """Whether it is to be tried again, but not yet, and somebody wants that still."""
    options = envelope[5]
    return options is not None and options.not_before is not None and options.not_before > now and not is_given_up(envelope)


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
