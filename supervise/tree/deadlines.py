"""`handler_deadline`: actors that have one message in hand for too long are crashed, so that their supervisor can restart them.

One timer for all actors of a tree that have the same deadline, which looks in on them four times within it, and runs only
while there are any. A message costs nothing for it, and so the precision is that of the looks: a quarter of the deadline.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from supervise.actor.in_hand import LOOKS, InHand
from supervise.actor.stack import handler_stack
from supervise.errors import HandlerLate
from supervise.events import Late

if TYPE_CHECKING:
    from supervise._backends import Backend, Handle
    from supervise.actor.incarnation import Incarnation
    from supervise.journal.bus import Bus
    from supervise.mailbox.mailbox import Mailbox


class Timed(Protocol):
    """An actor that has a deadline for its handlers, as far as that is looked after here."""

    mailbox: Mailbox
    incarnation: Incarnation | None

    @property
    def bus(self) -> Bus: ...
    def crash(self, error: Exception) -> None: ...


class Deadlines:
    """Those of one tree."""

    __slots__ = ("_backend", "_rounds")

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._rounds: dict[float, _Round] = {}

    def enter(self, actor: Timed, seconds: float) -> None:
        """An incarnation is ready: look in on it from now on."""
        found = self._rounds.get(seconds)
        if found is None:
            found = self._rounds[seconds] = _Round(self._backend, seconds)
        found.enter(actor)

    def leave(self, actor: Timed, seconds: float) -> None:
        """It has ended, if it ever was ready."""
        found = self._rounds.get(seconds)
        if found is not None and not found.leave(actor):
            del self._rounds[seconds]


class _Round:
    """All that have the same deadline."""

    __slots__ = ("_backend", "_hands", "_seconds", "_timer")

    def __init__(self, backend: Backend, seconds: float) -> None:
        self._backend = backend
        self._seconds = seconds
        self._hands: dict[Timed, InHand] = {}
        self._timer: Handle | None = None

    def enter(self, actor: Timed) -> None:
        self._hands[actor] = InHand()
        if self._timer is None:
            self._wait()

    def leave(self, actor: Timed) -> bool:
        self._hands.pop(actor, None)
        if not self._hands and self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return bool(self._hands)

    def _wait(self) -> None:
        self._timer = self._backend.call_at(self._backend.now() + self._seconds / LOOKS, self._look)

    def _look(self) -> None:
        self._wait()
        for actor, hand in [*self._hands.items()]:
            incarnation = actor.incarnation
            if incarnation is None or not hand.overdue(incarnation) or incarnation.in_hand is None:
                continue
            message = actor.bus.message_text(incarnation.in_hand)
            stack = handler_stack(incarnation)
            actor.bus.publish(Late(actor.mailbox.path, incarnation.number, message, self._seconds, stack))
            text = f"{actor.mailbox.path}: {message} was in hand for longer than its handler_deadline of {self._seconds:g} s"
            late = HandlerLate(text)
            late.stack = stack
            actor.crash(late)
