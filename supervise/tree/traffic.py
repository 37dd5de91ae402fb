"""What is under way over a link to another process, at one instant, as plain values.

A link's actor carries messages that aren't its own, so its mailbox and its account don't tell of them. Whoever shows it finds
them here, and needn't know what a link is made of.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from supervise.mailbox.mailbox import Mailbox


class Credit(NamedTuple):
    """What one kind of message may have under way, and how much of that is used."""

    of: str
    """`calls of depth 1`, or `sends to shop`."""
    out: int
    most: float
    """Messages; infinite where only bytes are counted."""
    out_bytes: int
    most_bytes: float
    waiting: int
    """How many wait for it."""

    @property
    def used(self) -> float:
        """The share of it that is used, of messages or of bytes, whichever is more: from 0 to 1, or above."""
        return max(self.out / self.most, self.out_bytes / self.most_bytes)


class Traffic(NamedTuple):
    """Of one link."""

    far: str
    """Who is at the other end, in words; empty: it isn't connected."""
    open_calls: int
    """Calls that went out by this connection, and have no answer yet."""
    taken_calls: int
    """Calls that came in by it, and have no answer yet."""
    unconfirmed: int
    """Sends that went out by it, and aren't known to be in a mailbox."""
    held_back: int
    """Messages that have credit, and wait for this connection, or the next one, to take more."""
    credit: tuple[Credit, ...]

    @property
    def waiting(self) -> int:
        """Calls and sends that wait for credit."""
        return sum(each.waiting for each in self.credit)

    @property
    def used(self) -> float:
        """The share of credit that is used, of the kind that is nearest to having none left."""
        return max((each.used for each in self.credit), default=0.0)


class HasTraffic(ABC):
    """What outlives the connections of a link."""

    __slots__ = ()

    @abstractmethod
    def traffic(self) -> Traffic:
        """How things stand now; it may be asked from any thread, and then be an instant old."""


def traffic_of(mailbox: Mailbox) -> Traffic | None:
    """Of the link whose mailbox this is; None: it is no link's."""
    carrier = mailbox.extras.carrier
    return carrier.traffic() if isinstance(carrier, HasTraffic) else None
