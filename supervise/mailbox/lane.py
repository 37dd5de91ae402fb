"""One lane of a mailbox: how messages come in, and who is granted the credits for it (`intake.py` says what those are).

Theory of operation
-------------------
- An instrument is asked about each message, so a mailbox that has one grants a credit at a time, to who uses it at once.
- A sender lets others run at least once in 128 sends to a mailbox that has handled nothing in between; without it a sender
  can't be cancelled, and starves the loop (tried). So between two yields no more than 127 credits are granted.
- What happens where there is no room, and who waits for it, is told in `overflow.py`.
"""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING, Any, Final

from supervise._backends import Expired, fail, note
from supervise.message import AnyHandler, Message
from supervise_strategies.exception import cause_of

from .at_once import answered_at_once
from .call_cycle import check_cycle, stream_that_waits
from .envelope import Envelope, MessageOptions, fails_fast, is_given_up, message_of, with_span
from .hops import below
from .intake import Intake
from .message_queue import NO_QUEUE
from .overflow import WaitingSenders, lose, take_place
from .refusal import check_message, full, refused, rejected, restarting, too_late
from .turn import NOT_NOW, Turn, Unanswered, current_turn

if TYPE_CHECKING:
    from supervise._backends import Future

    from .foreign_reply import ForeignReply

BURST: Final = 127  # credits between two yields of a sender; see the theory of operation
FEW: Final = 16  # calls that nobody waits for may stand in a queue until it is their turn
LOW: Final = 64  # credits at which the actor grants more: a sender that is slower than it never has to look


class Lane(Intake):
    """A bounded queue of one mailbox. Full, it does what its overflow policy says."""

    __slots__ = ()
    credits: int
    granted: int
    given_up: int
    waiting_senders: WaitingSenders | None
    _stint: int

    async def send(
        self, handler: AnyHandler, args: tuple[Any, ...], kwargs: dict[str, Any], options: MessageOptions | None
    ) -> None:
        """Return once the message is in the mailbox. `Address.send` does the same by itself where nothing is special."""
        if type(handler) is not FunctionType:
            check_message(self.mailbox, Message(handler, args, kwargs))
        turn = current_turn(None)
        instrument = self.mailbox.instrument
        if instrument is not None:
            with instrument.sends(handler, turn) as span:
                options = with_span(options, span)
                envelope: Envelope = (handler, args, kwargs, None, None if turn is None else turn.mailbox, options)
                if await self._admission(envelope, turn):
                    self.accept(envelope)
            return
        envelope = (handler, args, kwargs, None, None if turn is None else turn.mailbox, options)
        if self.credits or await self._admission(envelope, turn):
            self.accept(envelope)

    def put_own(self, handler: AnyHandler, args: tuple[Any, ...]) -> None:
        """What an actor has for itself, and nobody may refuse: above capacity if need be. After its end it is a dead letter."""
        turn = current_turn(None)
        instrument = self.mailbox.instrument
        options: MessageOptions | None = None
        if instrument is not None:
            with instrument.sends(handler, turn) as span:
                options = with_span(None, span)
        envelope: Envelope = (handler, args, {}, None, self.mailbox, options)
        if self.mailbox.is_over:
            lose(self, envelope)
            return
        self.grant(1)
        self.accept(envelope)

    def try_send(
        self, handler: AnyHandler, args: tuple[Any, ...], kwargs: dict[str, Any], options: MessageOptions | None
    ) -> None:
        """Put the message in now, or raise MailboxFull with it attached; a policy that drops does so here, too."""
        if type(handler) is not FunctionType:
            check_message(self.mailbox, Message(handler, args, kwargs))
        turn = current_turn(None)
        instrument = self.mailbox.instrument
        if instrument is not None and (options is None or options.span is None):
            with instrument.sends(handler, turn) as span:
                self.try_send(handler, args, kwargs, with_span(options, span))
            return
        envelope = (handler, args, kwargs, None, None if turn is None else turn.mailbox, options)
        if not self.credits:
            if self.mailbox.refuses(turn):
                raise rejected(self.mailbox, refused(self.mailbox, Message(handler, args, kwargs)))
            if self.mailbox.is_over:
                lose(self, envelope)
                return
            if self.room > 0:
                self.grant(1)
            elif self.mailbox.options.overflow in ("wait", "reject"):
                raise rejected(self.mailbox, full(self, envelope, "try_send doesn't wait for room, and send does"))
            else:
                take_place(self, envelope)
                return
        self.accept(envelope)

    async def call(
        self, handler: AnyHandler, args: tuple[Any, ...], kwargs: dict[str, Any], options: MessageOptions | None
    ) -> Any:
        """Put the message in, and wait for the handler's result. `Address.call` does it by itself where nothing is special."""
        mailbox = self.mailbox
        if type(handler) is not FunctionType:
            check_message(mailbox, Message(handler, args, kwargs))
        turn = current_turn(None)
        if turn is not None and ((held := turn.in_hand) is None or held[5] is not None):  # else nothing is to be passed on
            options = below(turn, options)
        instrument = mailbox.instrument
        if instrument is not None and (options is None or options.span is None):
            with instrument.calls(handler, turn) as span:
                return await self.call(handler, args, kwargs, with_span(options, span))
        if mailbox.refusal is not None and (mailbox.refuses(turn) or mailbox.is_over):
            raise rejected(mailbox, refused(mailbox, Message(handler, args, kwargs)))
        fail_fast = options is not None and options.on_restart == "fail"
        if fail_fast and mailbox.restarting:
            raise rejected(mailbox, restarting(mailbox, (handler, args, kwargs, None, None, options)))
        # Only the actor's own task makes an edge: what any other task waits for doesn't keep the actor from going on.
        own = turn if turn is not None and turn.exclusive and turn.task is mailbox.backend.current_task() else None
        if own is not None or not self.credits or ((life := mailbox.turn) is not None and life.awaits is not None):
            check_cycle(own, self, handler, args, kwargs)  # else nobody waits who could be waited for: 0.2 us
        sender = None if turn is None else turn.mailbox
        answered = answered_at_once(self, own, handler, args, kwargs, sender, options)
        begun = type(answered) is Unanswered
        if not begun and answered is not NOT_NOW:
            return answered
        reply = answered.reply if begun else mailbox.backend.future()
        envelope = (handler, args, kwargs, reply, sender, options)
        if not begun and ((ahead := self.credits > 0) or await self._admission(envelope, turn, fail_fast, own)):
            try:
                if fail_fast and mailbox.restarting:
                    raise rejected(mailbox, restarting(mailbox, envelope))
                if not ahead:
                    check_cycle(own, self, handler, args, kwargs)
            except BaseException:  # since the room was given to it
                self.give_on()
                raise
            self.accept(envelope)
        elif reply.done():  # it was dropped, and says so
            own = None
        if options is not None:
            awaited = self.reply_to(envelope, reply, options, own)
            del reply, envelope
            return await awaited
        if own is not None:
            own.awaits, own.pending = self, reply
        try:
            return await reply
        except BaseException:
            if reply.cancelled():
                self.give_up(reply, None)
            note(reply)
            raise
        finally:
            del reply, envelope  # an error's traceback has this frame, and the reply has the error
            if own is not None:
                own.awaits = own.pending = None

    @property
    def is_open(self) -> bool:
        """Whether one more comes in without waiting, be it for others to run."""
        return self.credits > 0 or (self._stint < BURST and self.room > 0)

    async def post(
        self,
        handler: AnyHandler,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        reply: ForeignReply | None,
        options: MessageOptions | None,
    ) -> None:
        """Put in what somebody else has sent, who isn't here: a send, or a call with the reply slot that tells of its end.

        It returns once the message is in, or, of a call, when that has ended or was withdrawn meanwhile. It has no sender here,
        and `options.span` is what its instrument notes. What is refused raises, as it does for a sender.
        """
        mailbox = self.mailbox
        envelope = (handler, args, kwargs, reply, None, options)
        fail_fast = fails_fast(envelope)
        if reply is not None and mailbox.refusal is not None and mailbox.is_over:
            raise rejected(mailbox, refused(mailbox, message_of(envelope)))
        if fail_fast and mailbox.restarting:
            raise rejected(mailbox, restarting(mailbox, envelope))
        if self.credits or await self._admission(envelope, None, fail_fast):
            try:
                if fail_fast and mailbox.restarting:
                    raise rejected(mailbox, restarting(mailbox, envelope))
            except BaseException:  # since the room was given to it
                self.give_on()
                raise
            if reply is not None and reply.done():  # its caller is gone since
                self.give_on()
                return
            self.accept(envelope)
        if options is not None and options.deadline is not None:
            options.deadline.accepted = mailbox.backend.now()
        if reply is not None:
            reply.accepted(options)

    async def reply_to(self, envelope: Envelope, reply: Future, options: MessageOptions, turn: Turn | None) -> Any:
        """Wait for it as its options say. `turn`: the one that waits, which is an edge."""
        if turn is not None:
            turn.awaits, turn.pending = self, reply
        mailbox, fail_fast, deadline = self.mailbox, options.on_restart == "fail", options.deadline
        if fail_fast:
            mailbox.count_fail_fast(1)
        try:
            if deadline is None:
                return await reply
            deadline.accepted = mailbox.backend.now()
            return await mailbox.backend.until(reply, deadline.at)
        except Expired:
            late = too_late(mailbox, envelope)  # as it stands now: who takes along the handler ends it
            seconds = 0.0 if deadline is None else deadline.seconds
            mailbox.dead_letters.bus.facts.timed_out(mailbox.parent, mailbox.name, envelope[0], seconds)
            self.give_up(reply, options)
            raise late from cause_of(late)
        except BaseException:
            if reply.cancelled() or (reply.done() and mailbox.backend.has_expired(reply)):
                self.give_up(reply, options)
            note(reply)
            raise
        finally:
            del reply, envelope
            if turn is not None:
                turn.awaits = turn.pending = None
            if fail_fast:
                mailbox.count_fail_fast(-1)

    def give_up(self, reply: Future, options: MessageOptions | None) -> None:
        """The caller of a call that was accepted is gone. In the queue that holds no room from now on."""
        self.given_up += 1
        turn = self.mailbox.turn
        if turn is not None and ((options and options.on_cancel) or self.mailbox.options.on_cancel) == "cancel":
            turn.withdraw(reply)
        if self._dead > FEW and 2 * self._dead > len(self.queue):  # so each is paid for once, however often this happens
            self.mailbox.own_extras().abandoned += len(self.take_out(is_given_up))
        self.admit()
        self._first_is_another()

    def fail(self, reply: Future, error: BaseException) -> None:
        """A call that is out of the queue ends with an error. What made its text may have cancelled the caller meanwhile."""
        self.given_up -= not fail(reply, error)

    def accept(self, envelope: Envelope) -> None:
        """Append one envelope, for one credit."""
        self.mailbox.wake()  # before it is in: in the wrong event loop it raises, and nothing was accepted
        self.credits -= 1  # first: a queue of the user's own, or a key=, may send, too
        try:
            self.queue.append(envelope)
        except BaseException:
            self.granted -= 1  # nothing was accepted, and the next one looks for itself
            self.admit()  # or waits for this room
            raise

    def replenish(self) -> None:
        """The actor is at work: senders needn't look, nor yield for its sake, as long as there is room."""
        if self.mailbox.takes_each:
            self._stint = 0
        elif self.mailbox.refusal is None and self.queue is not NO_QUEUE:  # which may only be made where a sender can be told
            self._stint = BURST
            more = min(BURST - self.credits, self.room)
            if more > 0:
                self.grant(more)

    async def _admission(
        self, envelope: Envelope, turn: Turn | None, fail_fast: bool = False, calling: Turn | None = None
    ) -> bool:
        """Return with a credit, which the caller must use, or else `give_on`, without awaiting anything else.

        False: there is nothing more to be done; it is in, in another's place, or it was dropped. `fail_fast`: a call that
        doesn't wait for a restart. `calling`: the turn that waits here with a call, which is an edge.
        """
        mailbox = self.mailbox
        if mailbox.refusal is not None and mailbox.refuses(turn):
            raise rejected(mailbox, refused(mailbox, message_of(envelope)))
        if self._stint >= BURST:
            await mailbox.backend.checkpoint()
            self._stint = self.credits
            if mailbox.refuses(turn):
                raise rejected(mailbox, refused(mailbox, message_of(envelope)))
            if self.credits:  # meanwhile the actor was at work
                return True
        if mailbox.refusal is not None and mailbox.is_over:
            lose(self, envelope)
            return False
        if self.room > 0:
            ahead = not mailbox.takes_each and mailbox.refusal is None and stream_that_waits(mailbox.turn) is None
            credits = min(BURST - self._stint, self.room) if ahead else 1
            self._stint += int(credits)
            self.grant(credits)
            return True
        if mailbox.options.overflow != "wait":
            self._stint += 1
            take_place(self, envelope)
            return False
        if turn is not None and turn.mailbox is mailbox and turn.task is mailbox.backend.current_task():
            why = "it is the actor's own, which nobody else empties; use a nursery task, or try_send"
            raise rejected(mailbox, full(self, envelope, why))
        if self.waiting_senders is None:
            self.waiting_senders = WaitingSenders()
        await self.waiting_senders.wait(self, envelope, turn, fail_fast, calling)
        self._stint = 0
        self.admit(leaving=-1)  # the next ones, but not into the caller's own room
        self.grant(1)
        return True

    def admit(self, leaving: int = 0) -> None:
        """Let the first waiting senders in, if there is room; `leaving`: envelopes that are being taken out right now."""
        senders = self.waiting_senders
        if senders is None or not senders.line:
            return
        room = self.room + self.credits + leaving
        if room >= 1:
            self.revoke()
            senders.admit(room)
        if senders.line and not senders.reservations:
            self.mailbox.attention = True

    def give_on(self) -> None:
        """Room that was given to a sender isn't used."""
        if self.mailbox.takes_each:
            self.revoke()
        self.admit()
        self.mailbox.wake()  # the actor may have waited for that very message before its end

    # -- what its mailbox asks ---------------------------------------------------------------------------------------

    def turn_away(self) -> None:
        """The actor crashed: calls that don't wait for its restart leave the line for room."""
        if self.waiting_senders is not None:
            self.waiting_senders.turn_away(self.mailbox)

    def shut_intake(self) -> None:
        """Nothing comes in any more, or only what an actor has for itself: whoever else waits for room is told."""
        self.revoke()
        senders = self.waiting_senders
        if senders is not None:
            senders.refuse(self.mailbox)
            if not senders.line:
                self.waiting_senders = None  # 700 B
