"""What stands in an actor's place whose object lives elsewhere, in a thread of its own, say."""

from __future__ import annotations


class StandIn:
    """The mailbox knows this, and the messages go on to the object. Nobody else is given it, nor the object."""

    __slots__ = ()
    _supervise_why = "has it in a thread of its own"
