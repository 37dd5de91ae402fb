"""Calls that wait for themselves are found before they begin to wait, and only if it is certain that they would.

A node is what an actor's own task runs now: a handler, a factory, a hook. Its edge is the call that this task awaits, to
whoever handles that call or, while it queues or waits for room, to what the other actor's task runs. What any other task
waits for (of the nursery, a child task of the handler, a thread) keeps no actor from going on, so it makes no edge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from supervise.errors import CallCycle
from supervise.message import AnyHandler, Message

if TYPE_CHECKING:
    from .lane import Lane
    from .turn import Turn


def check_cycle(turn: Turn, lane: Lane, handler: AnyHandler, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Raise CallCycle if a call from this turn to this mailbox can never be answered, because it waits for the turn itself."""
    path = [turn.mailbox.path]
    while True:
        path.append(lane.mailbox.path)
        at = lane.mailbox.turn
        if at is turn:
            raise CallCycle(path, Message(handler, args, kwargs))
        if at is None or at.awaits is None or at.pending is None:
            return
        lane = at.awaits
        # One that has its reply, or whose time is over, waits no more, though it hasn't run since; one that just got its room
        # goes on to wait for the reply.
        if at.pending.done() and at.pending not in lane.reservations:
            return
