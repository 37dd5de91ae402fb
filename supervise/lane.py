"""One queue with its intake: the credits, the room, and who waits for it.

Theory of operation
-------------------
- A message comes in on a *credit*: the right to append one envelope without looking at anything else. Credits are granted
  for room that is there and that nobody reserved, and taken back by whatever changes that (a refusal, a reservation). So the
  common send has one check, and what was accepted is what was granted less what is left.
- An instrument is asked about each message, so a mailbox that has one grants a credit at a time, to who uses it at once.
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

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Protocol, TypeAlias

from .call_cycle import check_cycle
from .envelope import Envelope, Message, Options, describe, looked_at
from .errors import ActorRestarting, MailboxFull
from .handler import AnyHandler, check
from .turn import CURRENT, Turn

if TYPE_CHECKING:
    from ._backends import Future
    from .mailbox import Mailbox
    from .throttle import Throttle

Overflow: TypeAlias = Literal["wait", "reject", "drop_oldest", "drop_newest"]
Choice: TypeAlias = Literal["strict", "fair"]
BURST: Final = 127  # credits between two yields of a sender; see the theory of operation
LOW: Final = 64  # credits at which the actor grants more: a sender that is slower than it never has to look


class MessageQueue(Protocol):
    """What holds the messages that wait in a lane: a `deque`, or a class of the user's own.

    It holds envelopes, which are tuples: the first three items are the handler, its positional and its keyword arguments,
    the rest is nobody's business. Whatever order it gives them in, it gives each of them once. `QueueContract` in
    `supervise.testing.contract` has the tests that an own class must pass. With `overflow="drop_oldest"` it is the one that
    `popleft` gives which is dropped. What `append` raises is raised by `send` or `call`, and nothing was accepted; what
    `popleft` raises crashes the actor.
    """

    def append(self, envelope: Any, /) -> None:
        """Put one in, as the newest."""
        ...

    def appendleft(self, envelope: Any, /) -> None:
        """Put one back, to be given before all others: it was in hand at a crash."""
        ...

    def popleft(self) -> Any:
        """Take the next one out; never asked of an empty queue."""
        ...

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Any]: ...


class Terms(NamedTuple):
    """What is said of a mailbox when it is described; shared by all that say the same."""

    capacity: float = 1000
    overflow: Overflow = "wait"
    queue: Callable[[], MessageQueue] = deque
    lanes: tuple[str, ...] = ()
    choice: Choice = "strict"
    throttle: Throttle | None = None


NO_QUEUE: Final[MessageQueue] = deque[Any]()  # of all that never had a message: one of their own costs 760 B each


class Lane(ABC):
    """A bounded queue of one mailbox. Full, it does what its overflow policy says."""

    __slots__ = ("_granted", "_stint", "_waiters", "credits", "queue", "reservations")

    def __init__(self) -> None:
        self.queue: MessageQueue = NO_QUEUE
        self.credits: int = 0  # how many envelopes may be appended without looking
        self.reservations: list[Future] | tuple[()] = ()
        self._granted = 0  # credits, ever
        self._stint = 0  # credits since senders last let others run
        self._waiters: deque[tuple[Future, bool]] | None = None

    @property
    @abstractmethod
    def mailbox(self) -> Mailbox:
        """The mailbox whose lane it is."""

    async def send(self, handler: AnyHandler, args: tuple[Any, ...], kwargs: dict[str, Any], options: Options | None) -> None:
        """Return once the message is in the mailbox. `Address.send` does the same by itself where nothing is special."""
        if type(handler) is not FunctionType:
            check(handler)
        turn = CURRENT.get(None)
        instrument = self.mailbox.instrument
        if instrument is not None:
            with instrument.sends(handler, turn) as passage:
                options = looked_at(options, passage)
                envelope: Envelope = (handler, args, kwargs, None, None if turn is None else turn.mailbox, options)
                if await self._admission(envelope, turn):
                    self.accept(envelope)
            return
        envelope = (handler, args, kwargs, None, None if turn is None else turn.mailbox, options)
        if self.credits or await self._admission(envelope, turn):
            self.accept(envelope)

    def try_send(self, handler: AnyHandler, args: tuple[Any, ...], kwargs: dict[str, Any], options: Options | None) -> None:
        """Put the message in now, or raise MailboxFull with it attached; a policy that drops does so here, too."""
        if type(handler) is not FunctionType:
            check(handler)
        turn = CURRENT.get(None)
        instrument = self.mailbox.instrument
        if instrument is not None and (options is None or options.passage is None):
            with instrument.sends(handler, turn) as passage:
                self.try_send(handler, args, kwargs, looked_at(options, passage))
            return
        envelope = (handler, args, kwargs, None, None if turn is None else turn.mailbox, options)
        if not self.credits:
            if self.mailbox.refusal is not None:
                raise self.mailbox.refused(handler, args, kwargs)
            if self.room > 0:
                self._grant(1)
            elif self.mailbox.terms.overflow in ("wait", "reject"):
                raise self._full(envelope, "try_send doesn't wait")
            elif not self._overflow(envelope):
                return
        self.accept(envelope)

    async def call(self, handler: AnyHandler, args: tuple[Any, ...], kwargs: dict[str, Any], options: Options | None) -> Any:
        """Put the message in, and wait for the handler's result. `Address.call` does it by itself where nothing is special."""
        if type(handler) is not FunctionType:
            check(handler)
        turn = CURRENT.get(None)
        instrument = self.mailbox.instrument
        if instrument is not None and (options is None or options.passage is None):
            with instrument.calls(handler, turn) as passage:
                return await self.call(handler, args, kwargs, looked_at(options, passage))
        if self.mailbox.refusal is not None:
            raise self.mailbox.refused(handler, args, kwargs)
        hasty = options is not None and options.on_restart == "fail"
        if hasty and self.mailbox.restarting:
            raise self._restarting(handler, args, kwargs)
        # Only the actor's own task makes an edge: what any other task waits for doesn't keep the actor from going on.
        waits = turn is not None and turn.exclusive and turn.task is self.mailbox.backend.current_task()
        if turn is not None and waits:
            check_cycle(turn, self)
        reply = self.mailbox.backend.future()
        envelope = (handler, args, kwargs, reply, None if turn is None else turn.mailbox, options)
        if not self.credits:
            if not await self._admission(envelope, turn, hasty, turn if waits else None):
                # It was dropped, and says so; unless its deadline had passed by then, which is what is said instead.
                return await (reply if options is None else self._reply(reply, options, None))
            if hasty and self.mailbox.restarting:  # since the room was given to it
                self._give_on()
                raise self._restarting(handler, args, kwargs)
        self.accept(envelope)
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
            self.mailbox.fail_fast += 1
        try:
            if options.deadline is None:
                return await reply
            return await self.mailbox.backend.until(reply, options.deadline)
        finally:
            if turn is not None:
                turn.awaits = turn.pending = None
            if options.on_restart == "fail":
                self.mailbox.fail_fast -= 1

    def accept(self, envelope: Envelope) -> None:
        """Append one envelope, for one credit."""
        self.queue.append(envelope)
        self.credits -= 1  # after it is in: a queue of the user's own may raise
        self.mailbox.wake()

    @property
    def room(self) -> float:
        """How many envelopes would fit, beside those that others have a credit or a reservation for."""
        return self.mailbox.terms.capacity - len(self.queue) - len(self.reservations) - self.credits

    def _grant(self, credits: float) -> None:
        if self.queue is NO_QUEUE:
            self.queue = self.mailbox.terms.queue()
        number = int(credits)
        self.credits += number
        self._granted += number

    def _revoke(self) -> None:
        self._granted -= self.credits
        self.credits = 0

    def replenish(self) -> None:
        """The actor is at work: senders needn't look, nor yield for its sake, as long as there is room."""
        if self.mailbox.instrument is not None:
            self._stint = 0
        elif self.mailbox.refusal is None and self.queue is not NO_QUEUE:  # which may only be made where a sender can be told
            self._stint = BURST
            more = min(BURST - self.credits, self.room)
            if more > 0:
                self._grant(more)

    async def _admission(self, envelope: Envelope, turn: Turn | None, hasty: bool = False, calling: Turn | None = None) -> bool:
        """Return with a credit, which the caller must use, or else `_give_on`, without awaiting anything else.

        False: there is none, and the envelope was dropped. `hasty`: a call that doesn't wait for a restart. `calling`: the
        turn that waits here with a call, which is an edge.
        """
        mailbox = self.mailbox
        if mailbox.refusal is not None:
            raise mailbox.refused(*envelope[:3])
        if self._stint >= BURST:
            await mailbox.backend.checkpoint()
            self._stint = self.credits
            if mailbox.refusal is not None:
                raise mailbox.refused(*envelope[:3])
            if self.credits:  # meanwhile the actor was at work
                return True
        if self.room > 0:
            credits = min(BURST - self._stint, self.room) if self.mailbox.instrument is None else 1
            self._stint += int(credits)
            self._grant(credits)
            return True
        if mailbox.terms.overflow != "wait":
            self._stint += 1
            return self._overflow(envelope)
        await self._room(envelope, turn, hasty, calling)
        self._stint = 0
        self.admit(leaving=-1)  # the next ones, but not into the caller's own room
        self._grant(1)
        return True

    def _overflow(self, envelope: Envelope) -> bool:
        """There is no room, and nobody waits for any: whether this envelope may come in instead of the oldest one."""
        policy = self.mailbox.terms.overflow
        if policy == "reject":
            raise self._full(envelope, "overflow='reject'")
        if policy == "drop_newest":
            self._granted += 1  # it was accepted, and this is its end
            self.mailbox.drop(envelope, "the mailbox was full (overflow='drop_newest')")
            return False
        self.mailbox.drop(self.queue.popleft(), "a newer one took its place (overflow='drop_oldest')")
        self._grant(1)
        return True

    async def _room(self, envelope: Envelope, turn: Turn | None, hasty: bool, calling: Turn | None) -> None:
        """Wait for a reservation, and turn it into room, which is the caller's as long as it awaits nothing else."""
        options = envelope[5]
        if turn is not None and turn.mailbox is self.mailbox and turn.task is self.mailbox.backend.current_task():
            raise self._full(envelope, "it is the actor's own, which nobody else empties: use a nursery task, or try_send")
        waiters = self._waiters
        if waiters is None:
            self._waiters = waiters = deque[tuple[Any, bool]]()
        room = self.mailbox.backend.future()
        entry = (room, hasty)
        waiters.append(entry)
        if not self.reservations:
            self.mailbox.attention = True
        self.mailbox.fail_fast += hasty
        if calling is not None:
            calling.awaits, calling.pending = self, room
        try:
            if options is not None and options.deadline is not None:
                await self.mailbox.backend.until(room, options.deadline)
            else:
                await room
        except BaseException:
            if entry in waiters:
                waiters.remove(entry)
            elif self._redeem(room):  # the next one may have it
                self._give_on()
            raise
        finally:
            self.mailbox.fail_fast -= hasty
            if calling is not None:
                calling.awaits = calling.pending = None
        if not self._redeem(room):
            raise self.mailbox.refused(*envelope[:3])

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
            self.mailbox.attention = True

    def _give_on(self) -> None:
        """Room that was given to a sender isn't used."""
        if self.mailbox.instrument is not None:
            self._revoke()
        self.admit()
        self.mailbox.wake()  # the actor may have waited for that very message before its end

    def _restarting(self, handler: AnyHandler, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ActorRestarting:
        return ActorRestarting(
            f"{self.mailbox.path} is restarting, and the call {describe(handler, args, kwargs)} doesn't wait"
        )

    def _full(self, envelope: Envelope, why: str) -> MailboxFull:
        text = f"the mailbox of {self.mailbox.path} is full ({self.mailbox.terms.capacity:g} messages wait), and {why}"
        return MailboxFull(text, Message(*envelope[:3]))

    # -- what its mailbox asks ---------------------------------------------------------------------------------------

    @property
    def accepted(self) -> int:
        """How many envelopes ever came in."""
        return self._granted - self.credits

    def put_back(self, envelope: Envelope) -> None:
        """It was in hand at a crash, and comes first again, above capacity if there is no room."""
        self._revoke()
        if self.queue is NO_QUEUE:
            self.queue = self.mailbox.terms.queue()
        self.queue.appendleft(envelope)

    def put_first(self, envelope: Envelope) -> None:
        """Accept one that nobody sent, before all others and above capacity."""
        self._granted += 1
        self.put_back(envelope)

    def sift(self, chosen: Callable[[Envelope], bool]) -> list[Envelope]:
        """Take out those that are chosen; the others keep their order. What `chosen` raises leaves all as it was."""
        taken: list[Envelope] = [envelope for envelope in self.queue if chosen(envelope)]
        if not taken:
            return taken
        queue, gone = self.queue, {id(envelope) for envelope in taken}
        kept = [envelope for envelope in (queue.popleft() for _ in range(len(queue))) if id(envelope) not in gone]
        for envelope in kept:
            queue.append(envelope)
        if any(there is not envelope for there, envelope in zip(queue, kept, strict=True)):  # the newest isn't its last
            for _ in kept:
                queue.popleft()
            for envelope in reversed(kept):
                queue.appendleft(envelope)
        return taken

    def turn_away_the_hasty(self) -> None:
        """The actor crashed: calls that don't wait for its restart leave the line for room."""
        for entry in [*(self._waiters or ())]:
            room, hasty = entry
            if hasty and self._waiters:
                self._waiters.remove(entry)
                if not room.done():
                    room.set_exception(ActorRestarting(f"{self.mailbox.path} crashed while this call waited for room"))

    def shut(self) -> None:
        """Nothing comes in any more: whoever waits for room is told."""
        self._revoke()
        waiters, self._waiters = self._waiters, None
        self.reservations = ()
        for room, _ in waiters or ():
            if not room.done():
                room.set_result(None)


class SideLane(Lane):
    """A lane beside the mailbox's own."""

    __slots__ = ("_mailbox",)

    def __init__(self, mailbox: Mailbox) -> None:
        super().__init__()
        self._mailbox = mailbox

    @property
    def mailbox(self) -> Mailbox:
        return self._mailbox
