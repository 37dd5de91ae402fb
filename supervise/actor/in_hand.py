"""How long an actor has had the same message in hand, found out by looking in now and then: a message costs nothing for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .incarnation import Incarnation

LOOKS: Final = 4
"""How many times a limit is looked at within its length. What is told is told after one length at least, and 1 1/4 at most."""


class InHand:
    """What was seen in one actor's hand, as long as it was the same.

    Time is counted in looks, not read from a clock: while the whole loop was blocked no actor could go on, and that isn't
    held against any of them.
    """

    __slots__ = ("_seen", "looks")

    def __init__(self) -> None:
        # Not the envelope: kept here, its arguments would be pinned. Its identity may come again, but not with these counts.
        self._seen: tuple[int, int, int, int] | None = None
        self.looks: int = 0

    def overdue(self, incarnation: Incarnation) -> bool:
        """Look once more. Whether the limit was reached, said once for each message."""
        envelope, mailbox = incarnation.in_hand, incarnation.mailbox
        if envelope is None or mailbox.restarting:  # after a crash it stays in hand until the exit hook has run
            self._seen, self.looks = None, 0
            return False
        seen = (incarnation.number, id(envelope), mailbox.handled, mailbox.failed)
        if seen == self._seen:
            self.looks += 1
        else:
            self._seen, self.looks = seen, 0
        return self.looks == LOOKS
