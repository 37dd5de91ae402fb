"""What a full lane does with one more message: its overflow policy, and the line of senders that wait for room.

Rules
-----
- A send that is cancelled, or times out, while it waits for room was never accepted. Whoever waits for room holds no place
  in the queue; when room appears the first waiters get a *reservation* each, and only accept once they run again. One that is
  cancelled in between passes its reservation on, and one that runs lets the next ones in: a wake-up costs ten times a send,
  so a place isn't worth one, but a turn of the loop is.
- One sender's messages keep their order. A sender that waits does nothing else, so a newcomer may overtake it; nobody is
  overtaken for ever, as each turn in which there is room brings the first waiter in.
- Nobody waits for room in the mailbox that only it can empty: an actor that sends to itself, and finds it full, gets an error.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from supervise._backends import Expired, fail, give, note
from supervise_strategies.kind import is_of

from .call_cycle import check_cycle
from .envelope import message_of
from .losses import Loss
from .pool_queue import PoolQueue
from .refusal import full, refused, rejected, restarting, too_late

if TYPE_CHECKING:
    from supervise._backends import Future

    from .envelope import Envelope
    from .lane import Lane
    from .mailbox import Mailbox
    from .turn import Turn


def take_place(lane: Lane, envelope: Envelope) -> None:
    """Apply a policy that doesn't wait. Its loss is told when the lane is whole again: whoever hears of it may send, too.

    MailboxFull, with the message attached, where the policy rejects.
    """
    policy = lane.mailbox.options.overflow
    if policy == "reject":
        raise rejected(lane.mailbox, full(lane, envelope, "overflow='reject'; 'wait' waits for room"))
    if policy == "drop_newest":
        lane.count_accepted()  # and this is its end
        lane.mailbox.drop(lane, envelope, "the mailbox was full (overflow='drop_newest')", Loss.FULL)
        return
    if is_of(lane.queue, PoolQueue):
        # It goes by the order of acceptance, so the oldest is another one; and what key= raises loses none.
        lane.grant(1)
        lane.accept(envelope)
        oldest = lane.pull()
        if oldest is not None:
            lane.mailbox.drop(lane, oldest, "a newer one took its place (overflow='drop_oldest')", Loss.FULL)
        return
    oldest = lane.pull()
    try:
        lane.grant(1)
        lane.accept(envelope)
    finally:
        if oldest is not None:
            lane.mailbox.drop(lane, oldest, "a newer one took its place (overflow='drop_oldest')", Loss.FULL)


class WaitingSenders:
    """Those that wait for room in one lane, in the order in which they came. Made by the first of them."""

    __slots__ = ("line", "reservations")

    def __init__(self) -> None:
        # Each with whose turn it waits in, and the message, if it is a call that doesn't wait for a restart.
        self.line: deque[tuple[Future, Turn | None, Envelope | None]] = deque()
        self.reservations: list[Future] = []
        """Room that was given to senders that haven't run since."""

    async def wait(self, lane: Lane, envelope: Envelope, turn: Turn | None, fail_fast: bool, calling: Turn | None) -> None:
        """Wait for a reservation, and turn it into room, which is the caller's as long as it awaits nothing else.

        `calling`: the turn that waits here with a call, which is an edge. Raises the mailbox's refusal if that comes first, and
        CallCycle if the room would never come: who called may have let others run since it looked, and they wait by now.
        """
        mailbox, options = lane.mailbox, envelope[5]
        if envelope[3] is not None:
            check_cycle(calling, lane, *envelope[:3])
        room = mailbox.backend.future()
        entry = (room, turn, envelope if fail_fast else None)
        self.line.append(entry)
        if not self.reservations:
            mailbox.attention = True
        mailbox.count_fail_fast(fail_fast)
        begun = mailbox.backend.now()
        if calling is not None:
            calling.awaits, calling.pending = lane, room
        try:
            if options is not None and options.deadline is not None:
                await mailbox.backend.until(room, options.deadline.at)
            else:
                await room
        except BaseException as error:
            if entry in self.line:
                self.line.remove(entry)
            elif self._redeem(room):  # the next one may have it
                lane.give_on()
            note(room)
            if is_of(error, Expired):
                raise rejected(mailbox, too_late(mailbox, envelope)) from None
            raise
        finally:
            seconds = mailbox.backend.now() - begun
            mailbox.dead_letters.bus.facts.waited(mailbox.parent, mailbox.name, envelope[0], "room", seconds)
            mailbox.count_fail_fast(-fail_fast)
            if calling is not None:
                calling.awaits = calling.pending = None
        if not self._redeem(room):
            raise rejected(mailbox, refused(mailbox, message_of(envelope)))

    def _redeem(self, room: Future) -> bool:
        """Take a reservation back; False where there is none, as the mailbox has refused since."""
        if room not in self.reservations:
            return False
        self.reservations = [other for other in self.reservations if other is not room]
        return True

    def admit(self, room: float) -> None:
        """Let the first ones in. A few for the room of a whole queue: each that runs lets the next ones in, and may send on
        meanwhile on credit.
        """
        line, admitted = self.line, [*self.reservations]
        share = len(admitted) + 1 + room // 64
        while line and room >= 1 and len(admitted) < share:
            entry, _, _ = line.popleft()
            if not entry.done() and give(entry, None):
                admitted.append(entry)
                room -= 1
        self.reservations = admitted

    def turn_away(self, mailbox: Mailbox) -> None:
        """The actor crashed: calls that don't wait for its restart leave the line, with `ActorRestarting`."""
        for entry in [*self.line]:
            room, _, call = entry
            if call is not None:
                self.line.remove(entry)
                error = restarting(mailbox, call, "crashed while this call waited for room")
                fail(room, rejected(mailbox, error))

    def refuse(self, mailbox: Mailbox) -> None:
        """Nothing comes in any more but what an actor has for itself: all others, let in already or not, get the refusal."""
        self.reservations = []
        stay = [entry for entry in self.line if not mailbox.refuses(entry[1])]
        gone = [entry for entry in self.line if mailbox.refuses(entry[1])]
        self.line = deque(stay)
        for room, _, _ in gone:
            give(room, None)


def lose(lane: Lane, envelope: Envelope) -> None:
    """Accept one that comes too late: it is a dead letter."""
    lane.count_accepted()
    lane.mailbox.dead_letter(envelope, "it came after the end of its actor", Loss.LATE)
    if envelope[3] is not None:
        lane.fail(envelope[3], refused(lane.mailbox, message_of(envelope)))
