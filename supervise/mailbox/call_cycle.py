"""Calls that wait for themselves are found before they begin to wait, and only if it is certain that they would.

A node is what an actor's own task runs now: a handler, a factory, a hook. Its edge is what this task awaits: the answer of a
call, or the next item of a stream, to whoever handles that or, while it queues or waits for room, to what the other actor's
task runs; and, of a generator that waits for its reader, to the task that reads. An actor that isn't up leads to the starts
that have to be over before its own can begin. What any other task waits for (of the nursery, a child task of the handler, a
thread) keeps no actor from going on, so it makes no edge; but one that reads a stream is one that an actor may wait for.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from supervise._backends import fail
from supervise.errors import ActorRestarting, CallCycle, SuperviseError, WouldDeadlock
from supervise.message import AnyHandler, Message, name_of

from .envelope import awaited_of, message_of, stream_of
from .turn import IncarnationTurn

if TYPE_CHECKING:
    from supervise._backends import Future

    from .lane import Lane
    from .mailbox import Mailbox
    from .streamed_reply import StreamedReply
    from .turn import Turn


def check_cycle(
    turn: Turn | None,
    lane: Lane,
    handler: AnyHandler,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    reply: Future | None = None,
) -> None:
    """Raise CallCycle if what this task is about to wait for can never come, because it waits for the task itself.

    WouldDeadlock if it waits for a start that the turn is at work in. `turn`: the one that it is of an actor's own task; None:
    it is any other task. `reply`: what it waits for of a message that is in already; None: the message is to be sent yet.
    """
    if turn is None and not _may_wait(lane.mailbox.turn):
        return
    ring = _ring(turn, lane, reply)
    if ring is not None:
        raise _error(turn, ring, f"a call of {name_of(handler)}", Message(handler, args, kwargs))


def break_ring(turn: Turn) -> None:
    """What this start waits for has gone down since, maybe, and comes after it: then its call ends with WouldDeadlock."""
    lane, pending = turn.awaits, turn.pending
    if lane is None or pending is None or pending.done():
        return
    ring = _ring(turn, lane, pending)
    if ring is not None:
        _end_wait(lane, pending, lambda what, message: _error(turn, ring, what, message))


def end_wait_for(turn: Turn, down: Collection[Mailbox]) -> None:
    """It has to end before any of these can come back, so what it waits for there ends now, with ActorRestarting."""
    lane, pending = turn.awaits, turn.pending
    if lane is None or pending is None or pending.done():
        return
    at, reply, seen = lane, pending, {turn}
    while at.mailbox not in down:
        life = at.mailbox.turn
        if life is None or life in seen or not life.exclusive or runs_beside(life, reply) or not waits(life):
            return
        seen.add(life)
        if life.awaits is None or life.pending is None:
            return
        at, reply = life.awaits, life.pending
    who, end = turn.mailbox.path, at.mailbox.path

    def error(what: str, message: Message | None) -> SuperviseError:
        return ActorRestarting(f"{end} is restarted with {who}, which has to stop before: {what} can't be answered", message)

    _end_wait(lane, pending, error)


def _end_wait(lane: Lane, pending: Future, error: Callable[[str, Message | None], SuperviseError]) -> None:
    envelope = next((envelope for envelope in lane.queue if awaited_of(envelope) is pending), None)
    if envelope is None:  # it waits for room, or for an instance(); or its message is in hand
        fail(pending, error("what it asks for", None))
    elif fail(pending, error(f"a call of {name_of(envelope[0])}", message_of(envelope))) and envelope[3] is pending:
        lane.give_up(pending, envelope[5])  # a stream is given up by who reads it


class _Ring(NamedTuple):
    """From who waits there, or would, back to itself."""

    path: list[str]
    first: Turn | None = None
    """The first start that is waited for on it."""
    reader: bool = False
    """Whether it goes back to a task that reads a stream."""


_ITSELF: Final = _Ring([])
"""A worker waits for its own pool: for whatever the other ones wait."""


def _error(turn: Turn | None, ring: _Ring, what: str, message: Message | None = None) -> SuperviseError:
    if ring.first is None or turn is None:
        return CallCycle(ring.path, message, reader=ring.reader)
    return would_deadlock(turn, ring.path[1:], ring.first, what, message)


def _ring(turn: Turn | None, lane: Lane, reply: Future | None) -> _Ring | None:
    """None: it isn't certain that there is one. `reply`: what is waited for; None: the call is to be sent yet."""
    ring = _way_back(turn, lane, reply, ())
    if ring is not None and turn is not None:
        ring.path.insert(0, turn.mailbox.path)
    return ring


def _way_back(turn: Turn | None, lane: Lane, reply: Future | None, pools: tuple[Mailbox, ...]) -> _Ring | None:
    """From who waits there to that turn, or task. `pools`: those whose workers are looked at already, one by one."""
    path: list[str] = []
    first: Turn | None = None
    seen: set[Turn] = set()  # who has room by now, and hasn't run since, may be in a cycle of its own
    while True:
        mailbox = lane.mailbox
        path.append(mailbox.path)
        life = mailbox.turn
        at: Turn | None = life
        if life is not None and not life.exclusive:  # a pool: any worker may take what waits
            at = None if reply is None else life.handling(reply)
            if at is None and not mailbox.restarting:
                if mailbox in pools:
                    return _ITSELF
                way = _through_workers(turn, life, (*pools, mailbox))
                return None if way is None else _Ring(path + way.path, first or way.first, way.reader)
            if at is not None:
                path.append(at.mailbox.path)
        elif life is not None and runs_beside(life, reply):
            return None
        elif life is not None and _has_done(life, mailbox, reply):
            at = None
        if at is None and turn is not None:
            starting = starting_before(turn, mailbox)
            at = turn if turn in starting else next((start for start in starting if start.awaits is not None), None)
            if first is None and at is not None:
                first = at
        if at is None or at in seen:
            return None
        if at is turn:
            return _Ring(path, first)
        stream = stream_that_waits(at)
        if turn is None and stream is not None and stream.reader is mailbox.backend.current_task():
            return _Ring(path, reader=True)
        if not waits(at) or at.awaits is None:
            return None
        seen.add(at)
        lane, reply = at.awaits, at.pending


def _through_workers(turn: Turn | None, pool: IncarnationTurn, pools: tuple[Mailbox, ...]) -> _Ring | None:
    """Who waits for a pool waits for all its workers: for that turn, if each of them waits for it, or for the pool again."""
    found: _Ring | None = None
    for worker in pool.takers():
        if worker is None:
            return None
        if worker is turn:
            found = _Ring([worker.mailbox.path])
            continue
        if not waits(worker) or worker.awaits is None:
            return None
        way = _way_back(turn, worker.awaits, worker.pending, pools)
        if way is None:
            return None
        if found is None or found is _ITSELF:
            found = way if way is _ITSELF else _Ring([worker.mailbox.path, *way.path], way.first, way.reader)
    return None if found is _ITSELF and len(pools) == 1 else found


def waits(at: Turn) -> bool:
    """Whether it waits for another node.

    One that has its reply, or whose time is over, waits no more, though it hasn't run since; one that just got its room goes
    on to wait for the reply.
    """
    if at.awaits is None or at.pending is None:
        return False
    return not at.pending.done() or at.pending in at.awaits.reservations


def runs_beside(life: IncarnationTurn, pending: Future | None) -> bool:
    """Whether a concurrent handler of an actor has begun with what is waited for: it is no node, and waits for none."""
    if pending is None:
        return False
    return any(awaited_of(envelope) is pending for _, envelope in life.held() if envelope is not life.in_hand)


def _may_wait(turn: Turn | None) -> bool:
    """Whether it is worth a look who waits for whom."""
    return turn is not None and (turn.awaits is not None or stream_that_waits(turn) is not None)


def stream_that_waits(turn: Turn | None) -> StreamedReply | None:
    """The stream that holds up an actor's own task until it is read on; None: there is no such stream."""
    stream = None if turn is None else stream_of(turn.in_hand)
    space = None if stream is None else stream.space
    return None if space is None or space.done() else stream  # done: it is cancelled, with its life, and hasn't run since


def _has_done(life: IncarnationTurn, mailbox: Mailbox, reply: Future | None) -> bool:
    """Whether a life that is about to end has nothing more to do with a call: the next one handles it."""
    if not life.running or not mailbox.restarting or life.awaits is not None:
        return False
    return reply is None or not any(awaited_of(envelope) is reply for _, envelope in life.held())


def starting_before(turn: Turn, mailbox: Mailbox) -> tuple[Turn, ...]:
    """The starts that have to be over before the actor of that mailbox, which isn't up, can start."""
    return (*turn.starting_before(mailbox),) if isinstance(turn, IncarnationTurn) else ()


def would_deadlock(turn: Turn, path: list[str], first: Turn, what: str, message: Message | None = None) -> WouldDeadlock:
    """The error of who waits for what only starts after `first`, which is itself, or waits for it."""
    cure = "send() doesn't wait; or start that one first; or wait for it in a task of current().nursery"
    who, starting = turn.mailbox.path, first.mailbox.path
    after = "it" if first is turn else f"{starting}, which is starting, and waits for this"
    is_starting = f"{who} is starting, and {what}" if first is turn else f"{what} by {who}"
    return WouldDeadlock(f"{is_starting} waits for {path[0]}, which starts only after {after}: {cure}", message)
