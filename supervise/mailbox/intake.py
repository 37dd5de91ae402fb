"""A queue with its credits: what has come into one lane, and what may.

Theory of operation
-------------------
- A message comes in on a *credit*: the right to append one envelope without looking at anything else. Credits are granted
  for room that is there and that nobody reserved, and taken back by whatever changes that (a refusal, a reservation). So the
  common send has one check, and what was accepted is what was granted less what is left.
- Who may be granted how many is told in `lane.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from .envelope import Envelope, is_given_up
from .message_queue import NO_QUEUE, KeptQueue, MessageQueue
from .pool_queue import PoolQueue

if TYPE_CHECKING:
    from supervise._backends import Future

    from .mailbox import Mailbox
    from .overflow import WaitingSenders


class Intake(ABC):
    """One queue of a mailbox, and its room."""

    __slots__ = ("_stint", "credits", "given_up", "granted", "queue", "waiting_senders")

    def __init__(self) -> None:
        self.queue: MessageQueue = NO_QUEUE
        self.credits: int = 0  # how many envelopes may be appended without looking
        self.waiting_senders: WaitingSenders | None = None  # made by the first one
        self.given_up: int = 0  # calls whose caller is gone, and that still are in the queue, or in hand
        self.granted: int = 0  # credits, ever
        self._stint = 0  # credits since senders last let others run

    @property
    @abstractmethod
    def mailbox(self) -> Mailbox:
        """The mailbox whose lane it is."""

    @property
    def _dead(self) -> int:
        """How many in the queue nobody waits for."""
        if not self.given_up or not self.queue:
            return 0
        turn = self.mailbox.turn
        held = () if turn is None else turn.held()
        return self.given_up - sum(lane is self and is_given_up(envelope) for lane, envelope in held)

    @property
    def room(self) -> float:
        """How many envelopes would fit, beside those that others have a credit or a reservation for."""
        return self.mailbox.options.capacity - len(self.queue) - len(self.reservations) - self.credits + self._dead

    @property
    def reservations(self) -> Sequence[Future]:
        """Room that was given to waiting senders which haven't run since."""
        return () if self.waiting_senders is None else self.waiting_senders.reservations

    def grant(self, credits: float) -> None:
        """Let so many envelopes come in without a look, for room that there is, or above capacity."""
        if self.queue is NO_QUEUE:
            self.queue = self.mailbox.new_queue()
        self.credits += int(credits)
        self.granted += int(credits)

    def count_accepted(self) -> None:
        """One came in that doesn't stand in the queue."""
        self.granted += 1

    def revoke(self) -> None:
        """Take back what nobody has used."""
        self.granted -= self.credits
        self.credits = 0

    @property
    def accepted(self) -> int:
        """How many envelopes ever came in."""
        return self.granted - self.credits

    def put_back(self, envelope: Envelope) -> None:
        """It was in hand at a crash, and comes first again, above capacity if there is no room."""
        self.revoke()
        if self.queue is NO_QUEUE:
            self.queue = self.mailbox.new_queue()
        self.queue.appendleft(envelope)

    def put_first(self, envelope: Envelope) -> None:
        """Accept one that nobody sent, before all others and above capacity."""
        self.put_back(envelope)
        self.count_accepted()  # after it is in: a queue of the user's own may raise
        self._first_is_another()

    def take_out(self, chosen: Callable[[Envelope], bool]) -> list[Envelope]:
        """Take out those that are chosen; the others keep their order. What `chosen` raises leaves all as it was."""
        there: list[Envelope] = [*self.queue]
        wanted = {id(envelope) for envelope in there if chosen(envelope)}
        if not wanted:
            return []
        queue = self.queue
        if isinstance(queue, KeptQueue | PoolQueue):
            taken: list[Envelope] = queue.take_out(wanted)
        else:  # the same object: the actor's loop may be in the middle of it
            taken = [envelope for envelope in queue if id(envelope) in wanted]  # without those that `chosen` itself took out
            kept = [envelope for envelope in queue if id(envelope) not in wanted]
            for _ in range(len(queue)):
                queue.popleft()
            for envelope in kept:
                queue.append(envelope)
        self.given_up -= sum(map(is_given_up, taken))
        self._first_is_another()
        return taken

    def pull(self) -> Envelope | None:
        """Take the next one out, whatever a queue of the user's own does; None if that has let others take all out."""
        queue = self.queue
        envelope: Envelope | None = queue.pull() if isinstance(queue, KeptQueue | PoolQueue) else queue.popleft()
        if envelope is not None:
            self.given_up -= is_given_up(envelope)
            self._first_is_another()
        return envelope

    def _first_is_another(self) -> None:
        turn = self.mailbox.turn
        if turn is not None:
            turn.look_again()
