"""The mailbox of a pool, which its workers share, and what each worker has of its own.

Theory of operation
-------------------
The pool's mailbox has no actor of its own. Each worker has a mailbox for what is for it alone: its timers, its results, what is
sent to it by its own address, control. Where it looks for its next message it looks there first, then among those that wait in
the pool. A worker that finds nothing is idle, and whoever puts something in wakes one that is. A worker that takes a message
while more may be taken wakes the next, so that no message waits while a worker is idle.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias

from supervise.message import Message, name_of
from supervise_strategies.exception import interrupts
from supervise_strategies.exit_reason import describe
from supervise_strategies.kind import is_of

from .account import Account
from .envelope import awaited_of, message_of
from .lane import Lane
from .mailbox import Mailbox
from .pool_queue import Keys, KnownKeys, PoolQueue
from .stand_in import StandIn
from .turn import IncarnationTurn, Turn

if TYPE_CHECKING:
    from supervise._backends import Backend, Future, Handle

    from .dead_letters import DeadLetters
    from .envelope import Envelope
    from .mailbox_options import MailboxOptions

KeyOf: TypeAlias = Callable[[Message], Hashable]


class PoolMailbox(Mailbox):
    """What a pool's address leads to."""

    __slots__ = ("_key", "_known", "_timer", "_timer_at", "drains", "gone", "idle", "keys", "up", "workers")

    def __init__(
        self, backend: Backend, parent: str, name: str, options: MailboxOptions, dead_letters: DeadLetters, key: KeyOf | None
    ) -> None:
        self.up: dict[WorkerMailbox, None] = {}  # whose worker is ready for messages
        super().__init__(backend, parent, name, options, dead_letters)
        self._key = key
        self._known = KnownKeys()
        self._timer: Handle | None = None
        self._timer_at: float | None = None
        self.keys: Keys = Keys(None if key is None else self._key_of, self._returned)
        self.idle: dict[WorkerMailbox, Collection[Lane]] = {}  # the longest first; the lanes that it has no place for now
        self.workers: dict[WorkerMailbox, None] = {}
        self.gone: Account = Account()  # of workers that were removed
        self.drains: bool = False  # it ends, and its workers handle what waits

    @property
    def takes_each(self) -> bool:
        return True

    def new_queue(self) -> PoolQueue:
        return PoolQueue(self.keys, self.backend.now)

    @property
    def restarting(self) -> bool:
        """Whether no worker is ready for messages. One that leaves takes none any more."""
        return all(worker.retires for worker in self.up)

    @restarting.setter
    def restarting(self, restarting: bool) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        pass  # its workers say so

    def wake(self) -> None:
        """Let the worker look that has been idle for longest, if there is one; first one that has a place for any message.

        One that was woken for something else since looks here when that is done, and is passed over.
        """
        woken = False
        while self.idle and not woken:
            worker = next((worker for worker, full in self.idle.items() if not full), None) or next(iter(self.idle))
            woken = self._wake(worker)

    def _wake(self, worker: WorkerMailbox) -> bool:
        wakes = worker.waker is not None and not worker.extras.paused
        if wakes:
            worker.wake()  # first: in the wrong event loop it raises, and nothing was changed
        self.idle.pop(worker, None)
        return wakes

    def describe_key(self, key: KeyOf | None) -> None:
        """Another function says the keys of what comes from now on; where there was none, there is none."""
        if self._key is not None and key is not None:
            self._key = key

    def _key_of(self, envelope: Envelope) -> Hashable:
        """By the user's function. What it raises is raised by `send` or `call`, and nothing was accepted."""
        assert self._key is not None
        try:
            key = self._key(message_of(envelope))
            if key is not None and type(key) is not str and type(key) is not int:
                key = self._known.get(key)
        except BaseException as error:
            if is_of(error, Exception):
                error.add_note(f"raised by key= of pool {self.path}, asked for the key of {name_of(envelope[0])}")
                raise
            if interrupts(error):
                raise
            raise RuntimeError(f"key= of pool {self.path} raised {describe(error)}") from error
        return key

    def _returned(self, envelope: Envelope) -> Hashable:
        """The key of a message that a worker had in hand. What is tried again is another envelope now, made of the same."""
        for worker in self.workers:
            same = worker.keys.get(id(envelope))  # there was no place for it
            if same is not None:
                return same[0]
        for worker in self.workers:
            for key, had in worker.keys.values():
                if all(one is other for one, other in zip(had[:4], envelope, strict=False)):
                    return key
        return None

    # -- what its workers ask ----------------------------------------------------------------------------------------

    def offers(self, *, draining: bool = False) -> list[Lane]:
        """The lanes that have a message which a worker may take now."""
        if self.extras.paused and not draining:
            return []
        return [lane for lane in self.lanes if is_of(lane.queue, PoolQueue) and lane.queue.has_ready(at_once=draining)]

    def next_for(self, worker: WorkerMailbox, held_up: Collection[Lane], draining: bool) -> Lane | None:
        """The lane that this worker takes its next message from; None: there is none, and it is idle."""
        offers = self.offers(draining=draining)
        lane = self.extras.choosing.next(self.lanes, [lane for lane in self.lanes if lane in held_up or lane not in offers])
        if lane is None:
            self.idle[worker] = offers
            self._pass_on(offers)
            self._wait_for_the_next()
            return None
        self.idle.pop(worker, None)
        queue = lane.queue
        assert isinstance(queue, PoolQueue)
        if not queue.has_ready(at_once=draining):  # a choice= of the user's own took out what there was
            return self.next_for(worker, held_up, draining)
        _, key, envelope = queue.next
        if key is not None:
            self.keys.bind(key, worker)
            worker.keys[id(envelope)] = key, envelope
            worker.taken = envelope
        if len(offers) > 1 or len(queue) > 1:
            self.wake()
        return lane

    def _pass_on(self, offers: Collection[Lane]) -> None:
        """A worker was woken that has no place for any of these: another one may have."""
        for worker, full in [*self.idle.items()] if offers else ():
            if any(lane not in full for lane in offers) and self._wake(worker):
                return

    def _wait_for_the_next(self) -> None:
        """Wake a worker as soon as what is to be tried again may be."""
        dues = [lane.queue.next_due for lane in self.lanes if isinstance(lane.queue, PoolQueue) and not self.extras.paused]
        due = min((due for due in dues if due is not None), default=None)
        if due == self._timer_at and self._timer is not None:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = due
        self._timer = None if due is None else self.backend.call_at(due, self._is_due)

    def _is_due(self) -> None:
        self._timer = self._timer_at = None
        self.wake()

    def end(self) -> None:
        """No worker is left, for now or for good."""
        self.idle.clear()
        self.look_again()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = self._timer_at = None

    def look_again(self) -> None:
        """A caller has gone, or may have: what is to be tried again later for him waits no longer."""
        for lane in self.lanes:
            if isinstance(lane.queue, PoolQueue):
                lane.queue.look_again()

    def part(self) -> Account:
        """What became of messages here, without what its workers took."""
        accepted = sum(lane.accepted for lane in self.lanes)
        return Account(accepted, self.handled, self.failed, self.dead_lettered, self.extras.abandoned, self.waiting, 0)

    def account(self) -> Account:
        total = self.part().plus(self.gone)
        for worker in [*self.workers]:  # it may be asked for in another thread
            total = total.plus(worker.part())
        return total


class WorkerMailbox(Mailbox):
    """What a worker has for itself alone, beside what waits in the pool."""

    __slots__ = ("_restarting", "keys", "pool", "retires", "taken")

    def __init__(
        self, pool: PoolMailbox, backend: Backend, parent: str, name: str, options: MailboxOptions, dead_letters: DeadLetters
    ) -> None:
        self.pool: PoolMailbox = pool
        self.keys: dict[int, tuple[Hashable, Envelope]] = {}  # of what it took and has in hand, by the identity of the envelope
        self.taken: Envelope | None = None  # the last one that has a key, as long as it may be in hand
        self.retires: bool = False  # it takes nothing from the pool any more
        self._restarting = True
        super().__init__(backend, parent, name, options, dead_letters)
        pool.workers[self] = None

    @property
    def shared(self) -> Mailbox:
        return self.pool

    @property
    def plain(self) -> bool:
        return False  # it looks around before each message

    @property
    def restarting(self) -> bool:
        return self._restarting

    @restarting.setter
    def restarting(self, restarting: bool) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        was, self._restarting = self._restarting, restarting
        if not restarting:
            self.pool.up[self] = None
        elif not was:
            self.pool.up.pop(self, None)
            self.rest()

    @property
    def causes(self) -> dict[int, BaseException] | None:
        return self.pool.causes

    @causes.setter
    def causes(self, causes: dict[int, BaseException] | None) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        self.pool.causes = causes

    def choose(self, held_up: Collection[Lane] = (), *, draining: bool = False) -> Lane | None:
        lane = super().choose(held_up) if self.waiting else None
        if lane is not None or not self._serves(draining):
            self.rest()
            return lane
        self._look_back()
        return self.pool.next_for(self, held_up, draining)

    def _serves(self, draining: bool) -> bool:
        """Whether it takes what waits in the pool. One that leaves alone has only its own to handle before."""
        return not self.retires and (self.pool.drains or not draining)

    def pause(self) -> None:
        super().pause()
        self.rest()

    def rest(self) -> None:
        """It takes nothing from the pool, for now or for good: another one may have to."""
        self._look_back()
        self.pool.idle.pop(self, None)
        if self.pool.waiting:
            self.pool.wake()

    def has_work(self, *, draining: bool) -> bool:
        return self.waiting > 0 or (self._serves(draining) and bool(self.pool.offers(draining=draining)))

    def hold_back(self) -> float:
        return 0.0 if self.waiting else self.pool.hold_back()

    def answer_pings(self) -> None:
        super().answer_pings()
        self.pool.answer_pings()

    def crashed(self) -> None:
        super().crashed()
        if self.pool.restarting:
            self.pool.crashed()

    def _look_back(self) -> None:
        """The key is free of what it took last, if that isn't in hand any more."""
        if self.taken is not None and (self.turn is None or not self.turn.holds(self.taken)):
            self.out_of_hand(self.taken)

    def out_of_hand(self, envelope: Envelope) -> None:
        if self.taken is envelope:
            self.taken = None
        had = self.keys.pop(id(envelope), None)
        if had is not None:
            self.pool.keys.free(had[0], self)

    def let_go(self) -> None:
        for _, envelope in [*self.keys.values()]:
            self.out_of_hand(envelope)
        if self.pool.waiting:
            self.pool.wake()

    def leave(self) -> None:
        """It isn't a worker of the pool any more."""
        if self in self.pool.workers:
            del self.pool.workers[self]
            self.pool.gone = self.pool.gone.plus(self.part())

    def part(self) -> Account:
        return super().account()

    def account(self) -> Account:
        """It begins with what the worker took, or has for itself alone."""
        part = self.part()
        return part._replace(accepted=sum(part[1:]))


class Workers(StandIn):
    """Stands for the object of a pool, of which there are several."""

    __slots__ = ()
    _supervise_why = "has one for each of its workers"


class PoolTurn(IncarnationTurn):
    """What a pool's mailbox and its instrument know of those that are at work."""

    __slots__ = ("_kill", "_leave", "instance", "number", "ordered", "running", "stopping")
    exclusive = False

    def __init__(
        self, pool: PoolMailbox, number: int, leave: Callable[[float | None], Future], kill: Callable[[], object]
    ) -> None:
        super().__init__(pool)
        self.instance: StandIn = Workers()
        self.number: int = number
        self.running: bool = True
        self.stopping: bool = False
        self.ordered: bool = False
        self._leave = leave
        self._kill = kill

    def _workers(self) -> Iterator[IncarnationTurn]:
        pool = self.mailbox
        assert isinstance(pool, PoolMailbox)
        return (worker.turn for worker in [*pool.workers] if worker.turn is not None)

    def held(self) -> list[tuple[Lane, Envelope]]:
        return [held for turn in self._workers() for held in turn.held() if held[0].mailbox is self.mailbox]

    def handling(self, reply: Future) -> Turn | None:
        """The worker that handles a call in its turn."""
        at_work = (turn for turn in self._workers() if turn.in_hand is not None)
        return next((turn for turn in at_work if turn.in_hand is not None and awaited_of(turn.in_hand) is reply), None)

    def takers(self) -> Iterator[Turn | None]:
        pool = self.mailbox
        assert isinstance(pool, PoolMailbox)
        for worker in pool.workers:
            life = worker.turn
            if not worker.retires:
                yield life if life is not None and life.running and not life.stopping else None

    def look_again(self) -> None:
        pool = self.mailbox
        assert isinstance(pool, PoolMailbox)
        pool.look_again()
        pool.wake()

    def starting_before(self, mailbox: Mailbox) -> Sequence[Turn]:
        return ()

    def withdraw(self, reply: Future) -> None:
        for turn in self._workers():
            turn.withdraw(reply)

    def leave(self, grace: float | None) -> Future:
        return self._leave(grace)

    def ending(self) -> Future:
        return self.mailbox.ping()  # who asks for the object of a pool is told by the next worker that there is none

    def kill(self) -> None:
        self._kill()
