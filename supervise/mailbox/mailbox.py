"""The queue that outlives its actor, and the account of every message that it accepted.

Theory of operation
-------------------
A mailbox belongs to the logical actor. Incarnations come and go; each takes messages out at the front, one at a time. How
messages come in is told in `lane.py`: a mailbox is its own lane, and may have others beside it, of higher priority. The
promises that live here:

- An accepted envelope has exactly one end: handled, failed, dead letter, or abandoned (its caller is gone, or its deadline
  passed). `account()` counts them, and must balance at every instant.
- Whatever else the actor has to look at before its next message (a flag, a ping, who waits for room, a pause, other lanes,
  a throttle) raises `attention`, so that a message with nothing special pays for one check.
"""

from __future__ import annotations

from itertools import count
from threading import get_ident
from typing import TYPE_CHECKING

from supervise._backends import fail
from supervise.errors import MessageDropped, SuperviseError
from supervise.message import Message
from supervise_strategies.exception import cause_of

from .account import Account
from .affinity import check_loop, check_thread
from .control import PING, Control
from .dead_letters import DeadLetters
from .envelope import Envelope, fails_fast, is_beginning, message_of
from .losses import Loss
from .mailbox_options import MailboxOptions
from .message_queue import new_queue
from .refusal import Refusal, cut_off_before, refused, restarting, too_late

if TYPE_CHECKING:
    from collections.abc import Callable

    from supervise._backends import Backend, Sleeper
    from supervise_strategies.exit_reason import ExitReason

    from .instrument import Instrument
    from .lane import Lane
    from .lifetime import Lifetime
    from .message_queue import MessageQueue
    from .turn import IncarnationTurn, Turn

_ids = count(1)
_numbering: dict[int, int] = {}


class Mailbox(Control):
    """What an address leads to."""

    __slots__ = (
        "_id",
        "dead_lettered",
        "dead_letters",
        "failed",
        "handled",
        "instrument",
        "last_end",
        "lifetime",
        "name",
        "parent",
        "restarting",
        "turn",
        "waker",
    )
    refusal: Refusal | None
    attention: bool

    def __init__(self, backend: Backend, parent: str, name: str, options: MailboxOptions, dead_letters: DeadLetters) -> None:
        super().__init__(backend, options)
        self._id: int = 0  # until it is asked for
        self.parent: str = parent
        self.name: str = name
        self.dead_letters: DeadLetters = dead_letters
        self.lifetime: Lifetime | None = None
        self.instrument: Instrument | None = None  # set before anything can come in, or never
        self.restarting: bool = True  # between two incarnations, and before the first
        self.waker: Sleeper | None = None  # set while the actor waits for something to do
        self.turn: IncarnationTurn | None = None  # of the incarnation that lives now
        self.last_end: tuple[int, ExitReason] | None = None  # of the last incarnation, until the next one begins
        self.handled: int = 0
        self.failed: int = 0
        self.dead_lettered: int = 0
        if options.lanes:
            self._open_lanes()

    @property
    def mailbox(self) -> Mailbox:
        return self

    @property
    def id(self) -> int:
        """A number that no other mailbox of this process has, or ever had. Most are never asked for it: 35 bytes each."""
        if not self._id:
            made = _numbering.setdefault(id(self), next(_ids))  # in any thread, and, as in `Address._own_token`, without a lock
            if not self._id:
                self._id = made
            _numbering.pop(id(self), None)
        return self._id

    @property
    def path(self) -> str:
        """The full path of its actor, from the root on."""
        return f"{self.parent}/{self.name}" if self.parent else self.name

    def wake(self) -> None:
        """Let a parked actor look again. What is raised, as from another event loop, leaves all as it was."""
        waker = self.waker
        if waker is not None:
            if not waker.done():
                if not self.backend.is_running():
                    check_loop(self.path, self.backend)
                waker.set_result(None)
            self.waker = None

    def check_thread(self) -> None:
        """Raise `WrongThread`, or `WrongProcess`, outside of its event loop's thread."""
        if get_ident() != self.backend.thread:
            check_thread(self.path, self.backend)

    def check_here(self) -> None:
        """The same, and `WrongLoop` where another event loop runs. For what is seldom asked: it takes 100 ns more."""
        self.check_thread()
        check_loop(self.path, self.backend)

    # -- the way in ---------------------------------------------------------------------------------------------------

    def new_queue(self) -> MessageQueue:
        """What a lane keeps its messages in, from the first one on."""
        return new_queue(self.options.queue, self.dead_letters.bus.pass_up)

    @property
    def shared(self) -> Mailbox | None:
        """The mailbox of the pool that it belongs to, if it does."""
        return None

    @property
    def takes_each(self) -> bool:
        """Whether each message is looked at as it comes in, so that no credits are granted ahead."""
        return self.instrument is not None

    def put_beginning(self, envelope: Envelope) -> None:
        """What an incarnation handles first of all, instead of what its predecessor didn't come to."""
        first = self.lanes[0]
        self.own_extras().abandoned += len(first.take_out(is_beginning))
        first.put_first(envelope)
        self.extras.choosing.begin()

    # -- what becomes of messages ------------------------------------------------------------------------------------

    def account(self) -> Account:
        """What became of the messages so far."""
        in_hand = 0 if self.turn is None else len(self.turn.held())
        accepted = sum(lane.accepted for lane in self.lanes)
        return Account(accepted, self.handled, self.failed, self.dead_lettered, self.extras.abandoned, self.waiting, in_hand)

    def part(self) -> Account:
        """The same, as it is counted for a whole tree."""
        return self.account()

    def dead_letter(
        self, envelope: Envelope, why: object, loss: Loss, error: BaseException | None = None, *, begun: bool = False
    ) -> None:
        """This message is lost, and said to be. `begun`: it was in hand, and this try counts."""
        self.dead_lettered += 1
        self.dead_letters.add(self, envelope, why, loss, error, begun=begun)
        if self.extras.on_loss is not None:
            self.extras.on_loss(envelope)

    def text(self, envelope: Envelope) -> str:
        """The message for people, in the middle of a change."""
        return self.dead_letters.bus.message_text(envelope)

    def abandon(self, lane: Lane, envelope: Envelope) -> None:
        """It was taken out, and nobody wants it to be handled any more."""
        self.own_extras().abandoned += 1
        reply = envelope[3]
        if reply is None:
            if self.extras.on_loss is not None:
                self.extras.on_loss(envelope)
        elif reply.done():
            lane.given_up -= 1
        else:  # its deadline has passed, but the timer is still to come
            lane.fail(reply, too_late(self, envelope))

    def cut(
        self,
        lane: Lane,
        envelope: Envelope,
        error: SuperviseError,
        why: str,
        *,
        cause: BaseException | None = None,
        loss: Loss = Loss.IN_HAND,
        begun: bool = True,
        told: bool = True,
    ) -> None:
        """A message has ended that was in hand: its caller is told, or it is a dead letter, with the cause.

        `told`: it is no part of another fact, as the one that ended its life is.
        """
        reply = envelope[3]
        if reply is None:
            self.dead_letter(envelope, why, loss, cause, begun=begun)
            return
        self.failed += 1
        if told:
            self.dead_letters.bus.facts.failed(self.parent, self.name, envelope[0], error)
        lane.fail(reply, error)

    def drop(self, lane: Lane, envelope: Envelope, why: str, loss: Loss) -> None:
        """An accepted message was taken out before a handler has finished it: a dead letter, and its caller is told."""
        if not self._is_unwanted(lane, envelope):
            before = cut_off_before(self, envelope)
            self.dead_letter(envelope, why, loss, before and (cause_of(before) or before))
            if envelope[3] is not None:
                failure = MessageDropped(f"{self.path} dropped {self.text(envelope)}: {why}", message_of(envelope))
                failure.begun, failure.__cause__ = before is not None, before
                lane.fail(envelope[3], failure)

    def _is_unwanted(self, lane: Lane, envelope: Envelope) -> bool:
        """Whether nobody wants this one, which was just taken out; then it is abandoned."""
        reply, options = envelope[3], envelope[5]
        if reply is not None and reply.done():
            self.own_extras().abandoned += 1
        elif options is not None and not options.still_wanted(self.backend.now):
            self.abandon(lane, envelope)
        else:
            return False
        return True

    def remove(self, chosen: Callable[[Message], bool], why: str) -> list[Message]:
        """Take out what waits and is chosen; it is dead letters."""
        taken: list[Message] = []
        with self.dead_letters.bus:
            for lane in self.lanes:
                for envelope in lane.take_out(lambda envelope: chosen(message_of(envelope))):
                    self.drop(lane, envelope, why, Loss.BY_HAND)
                    taken.append(message_of(envelope))
                lane.admit()
        return taken

    def crashed(self) -> None:
        """The incarnation crashed: queued calls that asked for it fail at once."""
        if not self.extras.fail_fast:
            return
        for lane in self.lanes:
            for envelope in lane.take_out(fails_fast):
                reply = envelope[3]
                if reply is None or reply.done():
                    self.own_extras().abandoned += 1
                else:
                    self.failed += 1
                    error = restarting(self, envelope)
                    self.dead_letters.bus.facts.failed(self.parent, self.name, envelope[0], error)
                    lane.fail(reply, error)
            lane.turn_away()
            lane.admit()

    # -- the intake --------------------------------------------------------------------------------------------------

    def refuses(self, turn: Turn | None) -> bool:
        """Whether who runs in this turn is refused. What a life's own tasks send to it isn't, as long as it goes on."""
        return self.refusal is not None and not self.is_own(turn)

    def is_own(self, turn: Turn | None) -> bool:
        """Whether it is a task beside the handlers of the life that goes on."""
        return turn is not None and not turn.exclusive and turn.mailbox is self and turn.life is self.turn

    @property
    def is_over(self) -> bool:
        """Whether no message is begun any more, and no life follows."""
        return self.refusal is not None and self.restarting and self.refusal != "leaving"

    def refuse(self, refusal: Refusal) -> None:
        """Accept nothing from now on; senders that wait for room get the refusal. What is closed stays so."""
        if self.refusal != "closed":
            self.refusal = refusal
        self.shut()
        for pong in self._take_pings():
            fail(pong, refused(self, PING))

    def shut(self) -> None:
        """Nothing comes in any more, or only what an actor has for itself."""
        for lane in self.lanes:
            lane.shut_intake()

    def accept_again(self) -> None:
        """The actor is started again on this mailbox."""
        if self.refusal != "closed":
            self.refusal = None

    def discard(self, why: str) -> None:
        """What is queued is lost: dead letters, and callers are told."""
        lost = 0
        with self.dead_letters.bus:
            for lane in self.lanes:
                while lane.queue:
                    envelope = lane.pull()
                    if envelope is None:
                        break
                    if self._is_unwanted(lane, envelope):
                        continue
                    before = cut_off_before(self, envelope)
                    if before is not None:  # it was to be tried again
                        number, reason = envelope[5].ended  # type: ignore[union-attr, misc]  # it has one
                        text = f"in hand when #{number} ended: {reason}; {why}"
                        cause = cause_of(before) or before
                        self.cut(lane, envelope, before, text, cause=cause, loss=Loss.SPENT, begun=False)
                        continue
                    self.dead_letter(envelope, why, Loss.STOPPED)
                    lost += 1
                    if envelope[3] is not None:
                        lane.fail(envelope[3], refused(self, message_of(envelope)))
            self.dead_letters.stopped(self, lost)
