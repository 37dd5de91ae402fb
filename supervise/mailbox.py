"""The queue that outlives its actor, and the account of every message that it accepted.

Theory of operation
-------------------
A mailbox belongs to the logical actor. Incarnations come and go; each takes messages out at the front, one at a time. The
promises that live here:

- An accepted envelope has exactly one end: handled, failed, dead letter, or abandoned (its caller is gone, or its deadline
  passed). `account()` counts them, and must balance at every instant.
- A message comes in on a *credit*: the right to append one envelope without looking at anything else. Credits are granted
  for room that is there and that nobody reserved, and taken back by whatever changes that (a refusal, a reservation). So the
  common send has one check, and what was accepted is what was granted less what is left.
- A sender lets others run at least once in 128 sends to a mailbox that has handled nothing in between; without it a sender
  can't be cancelled, and starves the loop (tried). So between two yields no more than 127 credits are granted.
- A send that is cancelled, or times out, while it waits for room was never accepted. Whoever waits for room holds no place
  in the queue; when room appears the first waiters get a *reservation* each, and only accept once they run again. One that is
  cancelled in between passes its reservation on, and one that runs lets the next ones in: a wake-up costs ten times a send,
  so a place isn't worth one, but a turn of the loop is.
- One sender's messages keep their order. A sender that waits does nothing else, so a newcomer may overtake it; nobody is
  overtaken for ever, as each turn in which there is room brings the first waiter in.
- Nobody waits for room in the mailbox that only it can empty: an actor that sends to itself, and finds it full, gets an error.
"""

from __future__ import annotations

from collections import deque
from itertools import count
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias

from supervise_strategies.child_spec import is_count
from supervise_strategies.errors import InvalidSpec

from .account import Account
from .call_cycle import check_cycle
from .envelope import Envelope, Message, Options, describe
from .errors import ActorRestarting, ActorStopped, MailboxClosed, MailboxFull, SendError
from .handler import AnyHandler, check
from .turn import CURRENT, Turn

if TYPE_CHECKING:
    from ._backends import Backend, Future
    from .lifetime import Lifetime

Overflow: TypeAlias = Literal["wait", "reject"]
Refusal: TypeAlias = Literal["stopped", "closed", "unstoppable"]

_ids = count(1)
BURST: Final = 127  # credits between two yields of a sender; see the theory of operation
LOW: Final = 64  # credits at which the actor grants more: a sender that is slower than it never has to look
_NO_QUEUE: Final[deque[Envelope]] = deque()  # of all that never had a message: one of their own costs 760 B each


class DeadLetterSink(Protocol):
    """Where the mailbox says which accepted messages no handler will finish: path, message, why."""

    def add(self, path: str, message: str, why: str, /) -> None: ...


class Mailbox:
    """Bounded by `capacity`; full, it makes a sender wait (the default) or refuses the message (`overflow="reject"`)."""

    __slots__ = (
        "_granted",
        "_stint",
        "_waiters",
        "abandoned",
        "attention",
        "backend",
        "capacity",
        "credits",
        "dead_lettered",
        "dead_letters",
        "fail_fast",
        "failed",
        "handled",
        "id",
        "lifetime",
        "name",
        "overflow",
        "parent",
        "queue",
        "refusal",
        "reservations",
        "restarting",
        "turn",
        "waker",
    )

    def __init__(
        self, backend: Backend, parent: str, name: str, capacity: float, overflow: Overflow, dead_letters: DeadLetterSink
    ) -> None:
        self.backend: Backend = backend
        self.id: int = next(_ids)
        self.parent: str = parent
        self.name: str = name
        self.capacity: float = capacity
        self.overflow = overflow
        self.dead_letters: DeadLetterSink = dead_letters
        self.lifetime: Lifetime | None = None
        self.queue: deque[Envelope] = _NO_QUEUE
        self.credits: int = 0  # how many envelopes may be appended without looking
        self.attention: bool = False  # the actor has to look around before it takes its next message
        self.refusal: Refusal | None = None
        self.restarting: bool = True  # between two incarnations, and before the first
        self.waker: Future | None = None  # set while the actor is parked
        self.turn: Turn | None = None  # of the incarnation that lives now
        self.fail_fast: int = 0  # queued calls that asked for on_restart="fail"
        self.handled: int = 0
        self.failed: int = 0
        self.dead_lettered: int = 0
        self.abandoned: int = 0
        self._granted = 0  # credits, ever
        self._stint = 0  # credits since senders last let others run
        self.reservations: list[Future] | tuple[()] = ()
        self._waiters: deque[tuple[Future, bool]] | None = None

    @property
    def path(self) -> str:
        """The full path of its actor, from the root on."""
        return f"{self.parent}/{self.name}" if self.parent else self.name

    # -- putting in --------------------------------------------------------------------------------------------------

    async def send(self, handler: AnyHandler, args: tuple[Any, ...], kwargs: dict[str, Any], options: Options | None) -> None:
        """Return once the message is in the mailbox. `Address.send` does the same by itself where nothing is special."""
        if type(handler) is not FunctionType:
            check(handler)
        turn = CURRENT.get(None)
        if not self.credits:
            await self._admission(handler, args, kwargs, turn, options)
        self.accept((handler, args, kwargs, None, None if turn is None else turn.mailbox, options))

    def try_send(self, handler: AnyHandler, args: tuple[Any, ...], kwargs: dict[str, Any], options: Options | None) -> None:
        """Put the message in now, or raise MailboxFull with it attached."""
        if type(handler) is not FunctionType:
            check(handler)
        if not self.credits:
            if self.refusal is not None:
                raise self.refused(handler, args, kwargs)
            if not self.room:
                raise self._full(handler, args, kwargs, "try_send doesn't wait")
            self._grant(1)
        turn = CURRENT.get(None)
        self.accept((handler, args, kwargs, None, None if turn is None else turn.mailbox, options))

    async def call(self, handler: AnyHandler, args: tuple[Any, ...], kwargs: dict[str, Any], options: Options | None) -> Any:
        """Put the message in, and wait for the handler's result. `Address.call` does it by itself where nothing is special."""
        if type(handler) is not FunctionType:
            check(handler)
        if self.refusal is not None:
            raise self.refused(handler, args, kwargs)
        hasty = options is not None and options.on_restart == "fail"
        if hasty and self.restarting:
            raise self._restarting(handler, args, kwargs)
        turn = CURRENT.get(None)
        # Only the actor's own task makes an edge: what any other task waits for doesn't keep the actor from going on.
        waits = turn is not None and turn.exclusive and turn.task is self.backend.current_task()
        if turn is not None and waits:
            check_cycle(turn, self)
        if not self.credits:
            await self._admission(handler, args, kwargs, turn, options, hasty, turn if waits else None)
            if hasty and self.restarting:  # since the room was given to it
                self._give_on()
                raise self._restarting(handler, args, kwargs)
        reply = self.backend.future()
        self.accept((handler, args, kwargs, reply, None if turn is None else turn.mailbox, options))
        if options is not None:
            return await self._reply(reply, options, turn if waits else None)
        if turn is None or not waits:
            return await reply
        turn.awaits, turn.pending = self, reply
        try:
            return await reply
        finally:
            turn.awaits = turn.pending = None

    async def _reply(self, reply: Future, options: Options, turn: Turn | None) -> Any:
        if turn is not None:
            turn.awaits, turn.pending = self, reply
        if options.on_restart == "fail":
            self.fail_fast += 1
        try:
            if options.deadline is None:
                return await reply
            return await self.backend.until(reply, options.deadline)
        finally:
            if turn is not None:
                turn.awaits = turn.pending = None
            if options.on_restart == "fail":
                self.fail_fast -= 1

    def accept(self, envelope: Envelope) -> None:
        """Append one envelope, for one credit."""
        self.credits -= 1
        self.queue.append(envelope)
        self.wake()

    def wake(self) -> None:
        """Let a parked actor look again."""
        waker = self.waker
        if waker is not None:
            self.waker = None
            if not waker.done():
                waker.set_result(None)

    @property
    def room(self) -> float:
        """How many envelopes would fit, beside those that others have a credit or a reservation for."""
        return self.capacity - len(self.queue) - len(self.reservations) - self.credits

    def _grant(self, credits: float) -> None:
        if self.queue is _NO_QUEUE:
            self.queue = deque[Envelope]()
        number = int(credits)
        self.credits += number
        self._granted += number

    def _revoke(self) -> None:
        self._granted -= self.credits
        self.credits = 0

    def replenish(self) -> None:
        """The actor is at work: senders needn't look, nor yield for its sake, as long as there is room."""
        if self.refusal is None:
            self._stint = BURST
            more = min(BURST - self.credits, self.room)
            if more > 0:
                self._grant(more)

    async def _admission(
        self,
        handler: AnyHandler,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        turn: Turn | None,
        options: Options | None,
        hasty: bool = False,
        calling: Turn | None = None,
    ) -> None:
        """Return with a credit, which the caller must use, or else `_give_on`, without awaiting anything else.

        `hasty`: a call that doesn't wait for a restart. `calling`: the turn that waits here with a call, which is an edge.
        """
        if self.refusal is not None:
            raise self.refused(handler, args, kwargs)
        if self._stint >= BURST:
            await self.backend.checkpoint()
            self._stint = self.credits
            if self.refusal is not None:
                raise self.refused(handler, args, kwargs)
            if self.credits:  # meanwhile the actor was at work
                return
        if self.room > 0:
            credits = min(BURST - self._stint, self.room)
            self._stint += int(credits)
            self._grant(credits)
            return
        await self._room(handler, args, kwargs, turn, options, hasty, calling)
        self._stint = 0
        self.admit(leaving=-1)  # the next ones, but not into the caller's own room
        self._grant(1)

    async def _room(
        self,
        handler: AnyHandler,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        turn: Turn | None,
        options: Options | None,
        hasty: bool = False,
        calling: Turn | None = None,
    ) -> None:
        """Wait for a reservation, and turn it into room, which is the caller's as long as it awaits nothing else."""
        if self.overflow == "reject":
            raise self._full(handler, args, kwargs, "overflow='reject'")
        if turn is not None and turn.mailbox is self and turn.task is self.backend.current_task():
            raise self._full(
                handler, args, kwargs, "it is the actor's own, which nobody else empties: use a nursery task, or try_send"
            )
        waiters = self._waiters
        if waiters is None:
            self._waiters = waiters = deque[tuple[Any, bool]]()
        room = self.backend.future()
        entry = (room, hasty)
        waiters.append(entry)
        if not self.reservations:
            self.attention = True
        self.fail_fast += hasty
        if calling is not None:
            calling.awaits, calling.pending = self, room
        try:
            if options is not None and options.deadline is not None:
                await self.backend.until(room, options.deadline)
            else:
                await room
        except BaseException:
            if entry in waiters:
                waiters.remove(entry)
            elif self._redeem(room):  # the next one may have it
                self._give_on()
            raise
        finally:
            self.fail_fast -= hasty
            if calling is not None:
                calling.awaits = calling.pending = None
        if not self._redeem(room):
            raise self.refused(handler, args, kwargs)

    def _redeem(self, room: Future) -> bool:
        """Take a reservation back; False where there is none, as the mailbox has refused since."""
        if room not in self.reservations:
            return False
        self.reservations = [other for other in self.reservations if other is not room]
        return True

    def admit(self, leaving: int = 0) -> None:
        """Let the first waiting senders in, if there is room; `leaving`: envelopes that are being taken out right now.

        A few for the room of a whole queue: each that runs lets the next ones in, and may send on meanwhile on credit.
        """
        waiters = self._waiters
        if not waiters:
            return
        room = self.room + self.credits + leaving
        if room >= 1:
            self._revoke()
            admitted: list[Future] = [*self.reservations]
            share = len(admitted) + 1 + room // 64
            while waiters and room >= 1 and len(admitted) < share:
                entry, _ = waiters.popleft()
                if not entry.done():
                    admitted.append(entry)
                    entry.set_result(None)
                    room -= 1
            self.reservations = admitted
        if waiters and not self.reservations:
            self.attention = True

    def _give_on(self) -> None:
        """Room that was given to a sender isn't used."""
        self.admit()
        self.wake()  # the actor may have waited for that very message before its end

    # -- taking out --------------------------------------------------------------------------------------------------

    def account(self) -> Account:
        """What became of the messages so far."""
        in_hand = self.turn is not None and self.turn.in_hand is not None
        return Account(
            self.accepted, self.handled, self.failed, self.dead_lettered, self.abandoned, len(self.queue), int(in_hand)
        )

    @property
    def accepted(self) -> int:
        """How many envelopes ever came in."""
        return self._granted - self.credits

    def dead_letter(self, envelope: Envelope, why: str) -> None:
        """This message is lost, and said to be."""
        self.dead_lettered += 1
        self.dead_letters.add(self.path, describe(envelope[0], envelope[1], envelope[2]), why)

    def cut(self, envelope: Envelope, error: Exception, why: str) -> None:
        """A message in hand has ended with its actor: its caller is told, or it is a dead letter."""
        reply = envelope[3]
        if reply is None:
            self.dead_letter(envelope, why)
            return
        self.failed += 1
        if not reply.done():
            reply.set_exception(error)

    def crashed(self) -> None:
        """The incarnation crashed: queued calls that asked for it fail at once."""
        if not self.fail_fast:
            return
        kept = deque[Envelope]()
        for envelope in self.queue:
            reply, options = envelope[3], envelope[5]
            if reply is None or options is None or options.on_restart != "fail":
                kept.append(envelope)
            elif reply.done():
                self.abandoned += 1
            else:
                self.failed += 1
                reply.set_exception(self._restarting(*envelope[:3]))
        self.queue = kept
        for entry in [*(self._waiters or ())]:
            room, hasty = entry
            if hasty and self._waiters:
                self._waiters.remove(entry)
                if not room.done():
                    room.set_exception(ActorRestarting(f"{self.path} crashed while this call waited for room"))
        self.admit()

    # -- the intake --------------------------------------------------------------------------------------------------

    def refuse(self, refusal: Refusal) -> None:
        """Accept nothing from now on; senders that wait for room get the refusal."""
        self.refusal = refusal
        self._revoke()
        waiters, self._waiters = self._waiters, None
        self.reservations = ()
        for room, _ in waiters or ():
            if not room.done():
                room.set_result(None)

    def accept_again(self) -> None:
        """The actor is started again on this mailbox."""
        if self.refusal != "closed":
            self.refusal = None

    def discard(self, why: str) -> None:
        """What is queued is lost: dead letters, and callers are told."""
        while self.queue:
            envelope = self.queue.popleft()  # one by one: whoever hears of a dead letter may look at the account
            reply = envelope[3]
            if reply is not None and reply.done():
                self.abandoned += 1
                continue
            self.dead_letter(envelope, why)
            if reply is not None:
                reply.set_exception(self.refused(*envelope[:3]))

    def refused(self, handler: AnyHandler, args: tuple[Any, ...], kwargs: dict[str, Any]) -> SendError:
        """The error that a refused message gets, with the message attached."""
        message = Message(handler, args, kwargs)
        if self.refusal == "closed":
            return MailboxClosed(f"{self.path} is gone for good: find or start its successor, and use that address", message)
        if self.refusal == "unstoppable":
            return ActorStopped(f"{self.path} was cancelled and still runs: it takes no messages until it has ended", message)
        cure = "restart_child()" if self.lifetime is None else "run()"
        return ActorStopped(f"{self.path} is stopped: {cure} starts it again on this mailbox", message)

    def _restarting(self, handler: AnyHandler, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ActorRestarting:
        return ActorRestarting(f"{self.path} is restarting, and the call {describe(handler, args, kwargs)} doesn't wait")

    def _full(self, handler: AnyHandler, args: tuple[Any, ...], kwargs: dict[str, Any], why: str) -> MailboxFull:
        text = f"the mailbox of {self.path} is full ({self.capacity:g} messages wait), and {why}"
        return MailboxFull(text, Message(handler, args, kwargs))


def check_capacity(who: str, capacity: object, overflow: object) -> None:
    """The rules of a mailbox's size, for whoever describes one."""
    if not is_count(capacity, 1):
        raise InvalidSpec(who, "capacity", capacity, "a whole number of messages, 1 or more, or math.inf")
    if overflow not in ("wait", "reject"):
        raise InvalidSpec(who, "overflow", overflow, "'wait' or 'reject'")
