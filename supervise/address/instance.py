"""The object of the life that goes on, for who is to share it with the actor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from supervise._backends import answered
from supervise.errors import WouldDeadlock
from supervise.mailbox.call_cycle import check_cycle, starting_before, would_deadlock
from supervise.mailbox.refusal import refused
from supervise.mailbox.stand_in import StandIn
from supervise.mailbox.turn import current_turn
from supervise.message import Message
from supervise_strategies.kind import is_of

if TYPE_CHECKING:
    from supervise.mailbox.mailbox import Mailbox
    from supervise.mailbox.turn import IncarnationTurn


async def instance_of(mailbox: Mailbox) -> Any:
    """Wait until a life goes on, and give its object."""
    here = current_turn(None)
    if here is not None and here.mailbox is mailbox:
        raise WouldDeadlock(f"{mailbox.path} would wait for its own start or restart: in its handlers the object is `self`")
    waits = here is not None and here.exclusive and here.task is mailbox.backend.current_task()
    asked: IncarnationTurn | None = None
    while True:
        life = mailbox.turn
        if life is not None and life.running and not mailbox.restarting and not life.stopping:
            if is_of(life.instance, StandIn):
                raise TypeError(f"{mailbox.path} {life.instance._supervise_why}, and shares it with nobody: use call()")
            return life.instance
        if mailbox.refusal is not None:
            raise refused(mailbox, _INSTANCE)
        if here is not None and waits:
            if here in starting_before(here, mailbox):
                raise would_deadlock(here, [mailbox.path], here, "an instance()")
            check_cycle(here, mailbox, *_INSTANCE)  # as a call: it waits for the start that is at work there
        if life is None or life is not asked:
            known = mailbox.ping()  # by the dying life or the next one; either way more is known then
        else:
            known = life.ending()  # it has answered, and goes on for a while, as one that drains a pool does
        asked = life
        if here is None or not waits:
            await answered(known)
            continue
        here.awaits, here.pending = mailbox, known
        try:
            await answered(known)
        finally:
            here.awaits = here.pending = None


def _instance(_: object) -> None:
    """Stands for this where a message is shown."""


_instance.__name__ = _instance.__qualname__ = "instance()"
_INSTANCE = Message(_instance, (), {})
