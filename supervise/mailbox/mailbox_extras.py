"""What few mailboxes have: one record beside the mailbox, made when the first of it is set. It is 70 bytes less for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .choice import STRICT, Choosing
from .extras import Extras, shared

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from supervise._backends import Future

    from .envelope import Envelope
    from .lane import Lane
    from .throttle import Bucket


class MailboxExtras(Extras):
    """Lanes and a throttle, which are there from the start; what is held back; and what becomes of few messages."""

    __slots__ = (
        "abandoned",
        "bucket",
        "carrier",
        "causes",
        "choosing",
        "fail_fast",
        "held_back_until",
        "kept",
        "on_loss",
        "paused",
        "pings",
        "side",
        "tally",
    )

    def __init__(self) -> None:
        self.side: dict[str, Lane] | None = None  # lanes beside its own, most urgent first; its own is the last of all
        self.choosing: Choosing = STRICT
        self.bucket: Bucket | None = None
        self.carrier: object = None  # of an actor that carries messages to another process: what outlives its connections
        self.on_loss: Callable[[Envelope], object] | None = None  # that one is told of messages that it never gets
        self.paused: bool = False
        self.held_back_until: float = 0.0  # until when a message that is tried again may hold a lane
        self.causes: dict[int, BaseException] | None = None  # what ended the life of what is tried again, until one follows
        self.fail_fast: int = 0  # queued calls that asked for on_restart="fail"
        self.abandoned: int = 0
        self.pings: list[Future] | None = None
        self.tally: Counter[str] | None = None  # begun messages by handler, while somebody watches
        self.kept: tuple[Any, int, float] | None = None  # by the actor, for its next life: value, number of the life, instant


NO_EXTRAS: Final = shared(MailboxExtras())
