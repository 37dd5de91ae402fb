"""Accepted messages that no handler will finish: counted, told to listeners, and the last ones kept as text.

Theory of operation
-------------------
- Who wants the messages themselves has a hook (`on_dead_letter=`), of the child or else of the tree. It is called as soon as
  the change that lost them is done, in the same task, and may do anything but wait: send them elsewhere, write them down. What
  it raises is logged. What is lost while a hook runs calls no hook, or one that sends to a full mailbox would go on for ever.
- What is kept for later, and what events say, is text only: a kept argument would keep addresses, and so actors, alive.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from supervise.events import DeadLetter, Lost
from supervise.journal.bus import Bus
from supervise.log import say
from supervise.message import Message
from supervise_strategies.exception import interrupts
from supervise_strategies.text import printable

from .envelope import Envelope, message_of
from .losses import CallAt, Loss, Losses

if TYPE_CHECKING:
    from supervise_strategies.exit_reason import ExitReason

    from .mailbox import Mailbox
    from .refusal import Rejection


class Undelivered(NamedTuple):
    """A message that no handler will finish, as it was sent: what `on_dead_letter` gets.

    The hook is called at once, and can't wait: it sends the message elsewhere with `try_send`,
    or writes it down.

    path: Of the actor that it was for. `why`: in words.
    error: What its handler raised, or what refused it; None if it only waited.
    attempts: How often a handler has begun with it.

    >>> lost = []
    >>> async with Supervisor("app", child(list, on_dead_letter=lost.append)) as app:
    ...     await app.find("list").send(list.pop)
    ...     await app.find("list").call(list.copy)
    []
    >>> lost[0].message, lost[0].error, lost[0].attempts
    (<Message list.pop()>, IndexError('pop from empty list'), 1)
    """

    message: Message
    path: str
    """Of the actor that it was for."""
    why: str
    error: BaseException | None = None
    """What its handler raised, what refused it (`UnknownHandler`, `BadCall`), or what else ended the life that had it in hand;
    None if it only waited."""
    attempts: int = 0
    """How often a handler has begun with it."""

    def __str__(self) -> str:
        return f"{printable(self.path)}: dead letter {self.message}: {printable(self.why)}"


class InHand(NamedTuple):
    """Why a message is lost that was in hand."""

    number: int
    reason: ExitReason

    def __str__(self) -> str:
        return f"in hand when #{self.number} ended: {self.reason}"


OnDeadLetter: TypeAlias = Callable[[Undelivered], object]
OnRejection: TypeAlias = "Callable[[Mailbox, Rejection], object]"


class DeadLetters:
    """Those of one tree, or of one open mailbox."""

    __slots__ = ("_hook", "_in_hook", "_last", "_losses", "bus", "count", "on_rejection")

    def __init__(self, bus: Bus, alarm: CallAt | None = None, hook: OnDeadLetter | None = None, keep: int = 100) -> None:
        self.bus: Bus = bus
        self._hook = hook
        self._in_hook = False
        self._last: deque[tuple[str, str, object, Loss]] = deque(maxlen=keep)
        self._losses = Losses(bus, alarm)
        self.count: int = 0
        self.on_rejection: tuple[OnRejection, ...] = ()
        """Told of each message that a mailbox doesn't accept, by whoever counts them. They neither raise nor wait."""

    def add(
        self, mailbox: Mailbox, envelope: Envelope, why: object, loss: Loss, error: BaseException | None, *, begun: bool
    ) -> None:
        """Count one, keep its text, tell the listeners; hand it to whoever has a hook. `str()` of `why` says why."""
        self.count += 1
        bus, path = self.bus, mailbox.path
        bus.facts.lost(mailbox.parent, mailbox.name, envelope[0], loss._name_)
        text = bus.message_text(envelope)
        self._last.append((path, text, why, loss))
        if mailbox.instrument is not None:
            with mailbox.instrument.loses(bus, envelope, loss, why, error):
                self._tell(mailbox, text, why, loss)
        else:
            self._tell(mailbox, text, why, loss)
        hook = mailbox.options.on_dead_letter or self._hook
        if hook is not None and not self._in_hook:
            options = envelope[5]
            attempts = (1 if options is None else options.attempt) - (not begun)
            undelivered = Undelivered(message_of(envelope), path, str(why), error, attempts)
            self.bus.then(lambda: self._hand_over(hook, undelivered))

    def _tell(self, mailbox: Mailbox, text: str, why: object, loss: Loss) -> None:
        if self.bus.hears(Lost.level):  # which is the higher of the two levels: else no event need be made
            if self.bus.hears(DeadLetter.level):
                self.bus.publish(DeadLetter(mailbox.path, text, str(why), loss.code))
            self._losses.note(mailbox, loss, text, why)

    def stopped(self, mailbox: Mailbox, lost: int) -> None:
        """An actor was stopped, and so many waiting messages are dead letters."""
        self._losses.say_stopped(mailbox, lost)
        if mailbox.instrument is not None:
            mailbox.instrument.lost(Loss.STOPPED)

    def last(self) -> list[DeadLetter]:
        """The newest ones, oldest first."""
        return [DeadLetter(path, text, str(why), loss.code) for path, text, why, loss in self._last]

    def end(self) -> None:
        """Nothing is lost any more: say what hasn't been said."""
        self._losses.end()

    def _hand_over(self, hook: OnDeadLetter, undelivered: Undelivered) -> None:
        before, self._in_hook = self._in_hook, True
        try:
            hook(undelivered)
        except BaseException as error:
            if interrupts(error):
                self.bus.pass_up(error)
            else:
                text = "%s: its on_dead_letter= raised %s"
                say(logging.ERROR, text, undelivered.path, error, error=error, pass_up=self.bus.pass_up)
        finally:
            self._in_hook = before
