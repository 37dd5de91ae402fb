"""Where an actor's own messages come from: a timer, or a stream that it reads. One of each waits in the mailbox, never two.

A source never waits for room: its message goes in above capacity. There can't be more of them than the actor has sources,
and nobody would gain by a wait: a timer would be lost for ever in a mailbox that is always full, where each place goes to a
sender who waits for it; and what a reader holds while it waits would be lost at a crash.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from supervise.message import AnyHandler

from .envelope import Envelope, MessageOptions
from .handler import check

if TYPE_CHECKING:
    from .mailbox import Mailbox


class Source(ABC):
    """One handler of one mailbox, and the message for it that waits there, if any."""

    __slots__ = ("_handler", "_mailbox", "_noted", "_queued")
    _trigger: str = "stream"

    def __init__(self, mailbox: Mailbox, handler: AnyHandler) -> None:
        check(handler)
        self._mailbox: Mailbox = mailbox
        self._handler: AnyHandler = handler
        self._noted: object = None  # by an instrument
        self._queued: MessageOptions | None = None  # of the message that waits, and what it is known by

    def _put(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Put the message in, without waiting. This is the one place where such an envelope is made."""
        mailbox = self._mailbox
        instrument = mailbox.instrument
        span = None if instrument is None else instrument.wakes(self._trigger, self._noted)
        self._queued = options = MessageOptions(source=self, span=span)
        envelope: Envelope = (self._handler, args, kwargs, None, mailbox, options)
        mailbox.grant(1)
        mailbox.accept(envelope)

    def _put_back(self, options: MessageOptions) -> None:
        """It was taken out too early, and waits once more."""
        self._queued = options

    @abstractmethod
    def _taken_out(self, options: MessageOptions) -> bool:
        """The message that carries these options is taken out; whether it is to be handled."""
