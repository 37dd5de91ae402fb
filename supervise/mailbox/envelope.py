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


class MessageOptions(NamedTuple):
    """What isn't an argument of the handler and still travels with one message."""

    deadline: float | None = None
    """An instant of the loop's clock; an envelope whose deadline has passed is skipped."""
    on_restart: OnRestart = "wait"
    failures: int = 0
    """How often it ended a life, where the child asks for redelivery."""
    attempt: int = 1
    """Which one this is, from 1."""
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
        return self.deadline is None or self.deadline > now()


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


def is_beginning(envelope: Envelope) -> bool:
    """Whether it is what an incarnation begins with."""
    options = envelope[5]
    return options is not None and options.beginning


def fails_fast(envelope: Envelope) -> bool:
    """Whether it is a call that doesn't wait for a restart."""
    reply, options = envelope[3], envelope[5]
    return reply is not None and options is not None and options.on_restart == "fail"
