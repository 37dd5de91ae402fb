"""Who blocks an event loop: found in another thread, since nothing runs in that one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from supervise.actor.stack import runs_now, thread_stack
from supervise.events import Blocked
from supervise.message import name_of

if TYPE_CHECKING:
    from .branch import BranchPlace


def who_blocks(branch: BranchPlace, thread: int, seconds: float) -> Blocked:
    """What the loop's thread runs now, and whose code it is, if it is an actor's below that supervisor."""
    stack = thread_stack(thread)
    for place in branch.actors():
        incarnation = place.incarnation
        if incarnation is not None and runs_now(incarnation):
            envelope = incarnation.in_hand
            message = None if envelope is None else name_of(envelope[0])
            return Blocked(place.mailbox.path, incarnation.number, message, seconds, stack)
    return Blocked(branch.path, 0, None, seconds, stack)
