"""How long an actor has had the same message in hand, found out by looking in now and then: a message costs nothing for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from supervise.mailbox.envelope import stream_of

if TYPE_CHECKING:
    from supervise.mailbox.streamed_reply import StreamedReply

    from .incarnation import Incarnation

LOOKS: Final = 4
"""How many times a limit is looked at within its length. What is told is told after one length at least, and 1 1/4 at most."""


class InHand:
    """What was seen in one actor's hand, as long as it was the same.

    Time is counted in looks, not read from a clock: while the whole loop was blocked no actor could go on, and that isn't
    held against any of them. Nor is the time for which a stream has waited for its reader: a look counts for that part of the
    time since the last one in which its generator was at work.
    """

    __slots__ = ("_looked", "_seen", "_waited", "looks")

    def __init__(self) -> None:
        # Not the envelope: kept here, its arguments would be pinned. Its identity may come again, but not with these counts.
        self._seen: tuple[int, int, int, int] | None = None
        self.looks: float = 0
        self._looked = 0.0
        self._waited = 0.0

    def overdue(self, incarnation: Incarnation) -> bool:
        """Look once more. Whether the limit was reached, said once for each message."""
        envelope, mailbox = incarnation.in_hand, incarnation.mailbox
        if envelope is None or mailbox.restarting:  # after a crash it stays in hand until the exit hook has run
            self._seen, self.looks = None, 0
            return False
        seen = (incarnation.number, id(envelope), mailbox.handled, mailbox.failed)
        stream, before = stream_of(envelope), self.looks
        worked = 1.0 if stream is None else self._share(stream)
        if seen == self._seen:
            self.looks += worked
        else:
            self._seen, self.looks = seen, 0
        return before < LOOKS <= self.looks

    def _share(self, stream: StreamedReply) -> float:
        """The part of the time since the last look for which the generator didn't wait."""
        now, waited = stream.lane.mailbox.backend.now(), stream.waited()
        passed, idle = now - self._looked, waited - self._waited
        self._looked, self._waited = now, waited
        if stream.waiting and passed <= 0:  # who looks has another clock
            return 0.0
        return 1.0 - min(1.0, max(0.0, idle / passed)) if passed > 0 else 1.0
