"""What is promised of pools, and looked at in plays: each key in its order, and no message waits for an idle worker."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from supervise import Message
from supervise.mailbox.envelope import is_given_up
from supervise.mailbox.pool_queue import PoolQueue
from supervise.tree.pool_place import PoolPlace

from .generators import NO_KEY

if TYPE_CHECKING:
    from supervise import RunningSupervisor
    from supervise.mailbox.envelope import Envelope
    from supervise.mailbox.lane import Lane
    from supervise.mailbox.pool_mailbox import PoolMailbox, WorkerMailbox

    from .stage import Line

Place: TypeAlias = tuple[str, int]
"""The path of a pool, and a key."""


class NoKey(Exception):
    """What the key function raises."""


class Known(NamedTuple):
    """A message, and the lane through which it came."""

    sender: int
    n: int
    lane: str


class Ledger:
    """The messages of each key: as they were accepted, and as their handlers began."""

    def __init__(self, complaints: list[str]) -> None:
        self.accepted: defaultdict[Place, list[Known]] = defaultdict(list)
        self.begun: defaultdict[Place, list[Known]] = defaultdict(list)
        self._in_hand: defaultdict[Place, list[Known]] = defaultdict(list)
        self._complaints = complaints

    def key_of(self, message: Message) -> int | None:
        """The key function of all pools, which is asked for each message as that is accepted."""
        line: Any = message.args[0] if message.args else None
        key: int | None = getattr(line, "key", None)
        if key == NO_KEY:
            raise NoKey(line)
        if key is not None:
            self.accepted[line.pool, key].append(Known(line.sender, line.n, line.lane))
        return key

    @contextmanager
    def taken(self, line: Line) -> Generator[None]:
        """Its handler runs, and none of the same key may beside it."""
        if line.key is None:
            yield
            return
        place, known = (line.pool, line.key), Known(line.sender, line.n, line.lane)
        if self._in_hand[place]:
            self._complaints.append(f"{known} of key {line.key} is in hand beside {self._in_hand[place]}")
        self._in_hand[place].append(known)
        self.begun[place].append(known)
        try:
            yield
        finally:
            self._in_hand[place].remove(known)

    def broken(self) -> list[str]:
        """Where a key's messages weren't handled one after the other, all tries of one included, in the order of each lane."""
        found: list[str] = []
        for (pool, key), begun in self.begun.items():
            begins = [one for n, one in enumerate(begun) if not n or begun[n - 1] != one]
            if len(begins) > len({*begins}):
                found.append(f"key {key} of {pool} took up another one between two tries of one: {begun}")
            number = {known: n for n, known in enumerate(self.accepted[pool, key])}
            for lane in ("urgent", "normal"):
                order = [number[known] for known in begins if known.lane == lane]
                if order != sorted(order):
                    found.append(f"key {key} of {pool} was handled in the order {begins}, and came as {[*number]}")
        return found


def pools_of(app: RunningSupervisor) -> Iterator[PoolPlace]:
    """All that are in the tree now."""
    return (place for place in app._branch.walk() if isinstance(place, PoolPlace))


def neglected(app: RunningSupervisor) -> list[str]:
    """At rest: messages that could be begun now, and an idle worker that could."""
    found: list[str] = []
    for pool in pools_of(app):
        mailbox = pool.mailbox
        ready = [lane for lane in mailbox.lanes if not mailbox.extras.paused and _may_be_taken(mailbox, lane)]
        for worker in mailbox.workers:
            places = [lane for lane in ready if _is_idle(worker) and lane not in _held_up(worker)]
            if places:
                waiting = [[envelope[1] for envelope in lane.queue] for lane in places]
                found.append(f"{worker.path} is idle, and these wait: {waiting}")
    return found


def _is_idle(worker: WorkerMailbox) -> bool:
    """Whether it waits for its next message."""
    life: Any = worker.turn
    waker = worker.waker
    if life is None or not life.running or life.stopping or worker.restarting or worker.extras.paused or worker.retires:
        return False
    beside = life.extras.concurrent
    if beside is not None and beside._all >= beside._limit:  # it takes up the next one as soon as one of them is over
        return False
    return waker is not None and not waker.done()


def _held_up(worker: WorkerMailbox) -> set[Lane]:
    life: Any = worker.turn
    return set() if life.extras.concurrent is None else life.extras.concurrent.held_up


def _may_be_taken(mailbox: PoolMailbox, lane: Lane) -> bool:
    """By what is in hand, and what was given back; which keys the pool itself takes for bound isn't asked."""
    if not isinstance(lane.queue, PoolQueue):
        return False
    now = mailbox.backend.now()
    held = [envelope for worker in mailbox.workers if worker.turn is not None for _, envelope in worker.turn.held()]
    bound = {_key(envelope): envelope for envelope in (*held, *_given_back(mailbox))}
    for envelope in lane.queue:
        key = _key(envelope)
        if key is not None and bound.get(key, envelope) is not envelope:
            continue
        options: Any = envelope[5]
        if options is None or options.not_before is None or options.not_before < now or is_given_up(envelope):
            return True
    return False


def _given_back(mailbox: PoolMailbox) -> Iterator[Envelope]:
    """What is to be tried again, or found no place in its worker."""
    for lane in mailbox.lanes:
        if isinstance(lane.queue, PoolQueue):
            yield from (waiting.envelope for waiting in lane.queue._all() if waiting.number < 0 and not is_given_up(waiting[2]))


def _key(envelope: Envelope) -> int | None:
    return getattr(envelope[1][0], "key", None) if envelope[1] else None
