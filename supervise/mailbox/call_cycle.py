"""Calls that wait for themselves are found before they begin to wait, and only if it is certain that they would.

A node is what an actor's own task runs now: a handler, a factory, a hook. Its edge is the call that this task awaits, to
whoever handles that call or, while it queues or waits for room, to what the other actor's task runs. An actor that isn't up
leads to the starts that have to be over before its own can begin. What any other task waits for (of the nursery, a child task
of the handler, a thread) keeps no actor from going on, so it makes no edge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from supervise._backends import fail
from supervise.errors import CallCycle, SuperviseError, WouldDeadlock
from supervise.message import AnyHandler, Message, name_of

from .turn import IncarnationTurn

if TYPE_CHECKING:
    from supervise._backends import Future

    from .lane import Lane
    from .mailbox import Mailbox
    from .turn import Turn


def check_cycle(turn: Turn, lane: Lane, handler: AnyHandler, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Raise CallCycle if a call from this turn to this mailbox can never be answered, because it waits for the turn itself.

    WouldDeadlock if it waits for a start that the turn is at work in.
    """
    found = _ring(turn, lane, None)
    if found is not None:
        raise _error(turn, found, f"a call of {name_of(handler)}", Message(handler, args, kwargs))


def break_ring(turn: Turn) -> None:
    """What this start waits for has gone down since, maybe, and comes after it: then its call ends with WouldDeadlock."""
    lane, pending = turn.awaits, turn.pending
    if lane is None or pending is None or pending.done():
        return
    found = _ring(turn, lane, pending)
    if found is None:
        return
    envelope = next((envelope for envelope in lane.queue if envelope[3] is pending), None)
    if envelope is None:  # it waits for room, or for an instance()
        fail(pending, _error(turn, found, "what it asks for"))
    elif fail(pending, _error(turn, found, f"a call of {name_of(envelope[0])}", Message(*envelope[:3]))):
        lane.give_up(pending, envelope[5])


def _error(turn: Turn, ring: tuple[list[str], Turn | None], what: str, message: Message | None = None) -> SuperviseError:
    path, first = ring
    if first is None:
        return CallCycle(path, message)
    return would_deadlock(turn, path[1:], first, what, message)


def _ring(turn: Turn, lane: Lane, reply: Future | None) -> tuple[list[str], Turn | None] | None:
    """The path from a turn that waits there, or would, back to itself, and the first start that is waited for on it.

    None: it isn't certain that there is one. `reply`: what is waited for; None: the call is to be sent yet.
    """
    path = [turn.mailbox.path]
    first: Turn | None = None
    seen: set[Turn] = set()
    while True:
        mailbox = lane.mailbox
        path.append(mailbox.path)
        life = mailbox.turn
        at: Turn | None = life
        if life is not None and not life.exclusive:  # a pool: any worker may take what waits
            at = None if reply is None else life.handling(reply)
            if at is None and not mailbox.restarting:
                return None
            if at is not None:
                path.append(at.mailbox.path)
        elif life is not None and _has_done(life, mailbox, reply):
            at = None
        if at is None:
            starting = starting_before(turn, mailbox)
            at = turn if turn in starting else next((start for start in starting if start.awaits is not None), None)
            if first is None and at is not None:
                first = at
        if at is turn:
            return path, first
        if at is None or at.awaits is None or at.pending is None or at in seen:
            return None
        seen.add(at)
        lane, reply = at.awaits, at.pending
        # One that has its reply, or whose time is over, waits no more, though it hasn't run since; one that just got its room
        # goes on to wait for the reply.
        if reply.done() and reply not in lane.reservations:
            return None


def _has_done(life: IncarnationTurn, mailbox: Mailbox, reply: Future | None) -> bool:
    """Whether a life that is about to end has nothing more to do with a call: the next one handles it."""
    if not life.running or not mailbox.restarting or life.awaits is not None:
        return False
    return reply is None or not any(envelope[3] is reply for _, envelope in life.held())


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
