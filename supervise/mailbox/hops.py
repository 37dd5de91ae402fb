"""Where a message stands in calls over links, each of which waits for the next: how deep, and below which calls.

Theory of operation
-------------------
- A call that comes over a link says how deep it is, and names the calls above it. Whatever its handler calls in turn, over a
  link again or not, stands below it. So that travels with local calls and into nursery tasks; a send waits for nothing, and
  begins anew.
- When the call has been answered nobody waits for it any more, and what goes on after that stands below nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .envelope import MessageOptions

if TYPE_CHECKING:
    from supervise._backends import Future

    from .turn import Turn


class Hops:
    """Of one call that came over a link; shared by all that stands below it here."""

    __slots__ = ("_reply", "above", "depth")

    def __init__(self, depth: int, above: tuple[bytes, ...], reply: Future) -> None:
        self.depth: int = depth
        """How many links there are between it and its first caller, from 1."""
        self.above: tuple[bytes, ...] = above
        """The ids of the calls that wait for it, its own included, outermost first."""
        self._reply = reply

    @property
    def open(self) -> bool:
        """Whether its caller still waits."""
        return not self._reply.done()


def hops_of(turn: Turn | None) -> Hops | None:
    """Those of the message that is handled in that turn; None if it came over no link, or nobody waits for it any more."""
    if turn is None:
        return None
    envelope = turn.in_hand
    if envelope is None:
        found = turn.hops
    else:
        found = None if envelope[5] is None else envelope[5].hops
    return found if found is not None and found.open else None


def below(turn: Turn, options: MessageOptions | None) -> MessageOptions | None:
    """The options of a call that is made in that turn: it stands below the message in hand there."""
    hops = hops_of(turn)
    if hops is None:
        return options
    return MessageOptions(hops=hops) if options is None else options._replace(hops=hops)
