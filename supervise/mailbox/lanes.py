"""The lanes of one mailbox: its own, which is the last of them, and those beside it, of higher priority."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from supervise_strategies.errors import InvalidSpec

from .choice import choosing
from .lane import Lane
from .mailbox_extras import NO_EXTRAS, MailboxExtras
from .side_lane import SideLane

if TYPE_CHECKING:
    from .mailbox_options import MailboxOptions


class Lanes(Lane):
    """A lane that may have others beside it, and the choice between them."""

    __slots__ = ("extras", "options")

    def __init__(self, options: MailboxOptions) -> None:
        super().__init__()
        self.options: MailboxOptions = options
        self.extras: MailboxExtras = NO_EXTRAS

    def own_extras(self) -> MailboxExtras:
        """What few mailboxes have, to set something in it."""
        if self.extras is NO_EXTRAS:
            self.extras = MailboxExtras()
        return self.extras

    def _open_lanes(self) -> None:
        """Make those beside it, when the rest of the mailbox is there."""
        options, mailbox, extras = self.options, self.mailbox, self.own_extras()
        extras.side = {name: SideLane(mailbox) for name in options.lanes[:-1]}
        extras.choosing = choosing(options.choice, options.lanes, mailbox)

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """All of them, most urgent first."""
        side = self.extras.side
        return (self,) if side is None else (*side.values(), self)

    def lane(self, name: str | None) -> Lane:
        """The lane of this name; None is the last one, which is where messages go that don't say."""
        if name is None or (self.options.lanes and name == self.options.lanes[-1]):
            return self
        side = self.extras.side
        lane = None if side is None else side.get(name)
        if lane is None:
            there = ", ".join(map(repr, self.options.lanes)) or "none: describe the child with lanes=(...)"
            who = f"options of {self.mailbox.path!r}"
            raise InvalidSpec(who, "lane", name, f"one of its lanes; there are {there}", among=self.options.lanes)
        return lane

    def choose(self, held_up: Collection[Lane] = (), *, draining: bool = False) -> Lane | None:
        """The lane that the next message comes from; None: all are empty, or held up.

        `draining`: what waits is handled before its actor ends, and nothing of it waits for its time.
        """
        return self.extras.choosing.next(self.lanes, held_up)

    @property
    def waiting(self) -> int:
        """How many messages wait."""
        return len(self.queue) if self.extras.side is None else sum(len(lane.queue) for lane in self.lanes)

    def has_work(self, *, draining: bool) -> bool:
        """Whether a message waits that its actor may begin."""
        return self.waiting > 0

    @property
    def reserved(self) -> bool:
        """Whether a sender has room that it hasn't used yet."""
        return any(lane.reservations for lane in self.lanes)
