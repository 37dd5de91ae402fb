"""What holds an actor up, or has it look around, besides messages: a pause, a throttle, a ping, what is tried again later."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter, deque
from typing import TYPE_CHECKING, Final

from supervise._backends import give
from supervise.message import Message, name_of

from .envelope import Envelope, is_held_back
from .lanes import Lanes
from .mailbox_extras import NO_EXTRAS
from .refusal import Refusal, refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from supervise._backends import Backend, Future

    from .lane import Lane
    from .mailbox_options import MailboxOptions


class Control(Lanes):
    """Lanes whose actor can be told to wait, and to answer that it is there."""

    __slots__ = ("attention", "backend", "refusal")

    def __init__(self, backend: Backend, options: MailboxOptions) -> None:
        super().__init__(options)
        self.backend: Backend = backend
        self.attention: bool = False  # the actor has to look around before it takes its next message
        self.refusal: Refusal | None = None
        if options.throttle is not None:
            self.own_extras().bucket = options.throttle.bucket()

    @abstractmethod
    def wake(self) -> None:
        """Let a parked actor look again. What is raised, as from another event loop, leaves all as it was."""

    @property
    def plain(self) -> bool:
        """Whether messages are taken from one queue, as fast as they are handled."""
        extras = self.extras
        return extras is NO_EXTRAS or (
            extras.side is None
            and extras.bucket is None
            and extras.tally is None
            and not extras.paused
            and not extras.held_back_until
        )

    @property
    def is_quiet(self) -> bool:
        """Whether nothing waits in it, no ping for an answer, and its next message may be begun as soon as it is there."""
        return self.plain and not len(self.queue) and self.extras.pings is None

    def held_back(self) -> dict[Lane, float]:
        """The lanes whose first message is to be tried again, but not yet, and when."""
        now = self.backend.now()
        if self.extras.held_back_until <= now:
            if self.extras.held_back_until:
                self.extras.held_back_until = 0.0
            return {}
        found: dict[Lane, float] = {}
        for lane in self.lanes:
            first: Envelope | None = next(iter(lane.queue), None)
            if first is not None and is_held_back(first, now):
                found[lane] = first[5].not_before  # type: ignore[union-attr, assignment]  # it has one
        return found

    def hold_until(self, until: float) -> None:
        """A message that is tried again may hold its lane until then."""
        extras = self.own_extras()
        extras.held_back_until = max(extras.held_back_until, until)

    def rest(self) -> None:
        """Its actor begins nothing for now, and has nothing in hand but what runs beside its handlers."""
        return

    def out_of_hand(self, envelope: Envelope) -> None:
        """A message that ran beside others is done."""
        return

    def let_go(self) -> None:
        """A life is over, and what it had in hand is settled."""
        return

    def pause(self) -> None:
        """Begin no message, over restarts too, until `resume`. What is in hand goes on; messages are accepted and kept."""
        self.own_extras().paused = self.attention = True

    def resume(self) -> None:
        """Go on."""
        self.wake()  # first: in the wrong event loop it raises, and nothing was changed
        if self.extras.paused:
            self.extras.paused = False

    def ping(self) -> Future:
        """What is answered, with the instant, as soon as the actor looks around: before its next message, also if paused."""
        if self.refusal is not None:
            raise refused(self.mailbox, PING)
        self.wake()
        pong = self.backend.future()
        extras = self.own_extras()
        extras.pings = [*(extras.pings or ()), pong]
        self.attention = True
        return pong

    def answer_pings(self) -> None:
        """The actor looks around."""
        if self.extras.pings is not None:
            for pong in self._take_pings():
                give(pong, self.backend.now())

    def _take_pings(self) -> Sequence[Future]:
        pings = self.extras.pings
        if pings is None:
            return ()
        self.extras.pings = None
        return pings

    def hold_back(self) -> float:
        """Seconds that its throttle lets nothing of what waits begin for."""
        bucket = self.extras.bucket
        return 0.0 if bucket is None or not self.waiting else bucket.rest(self.backend.now())

    def count_begun(self, messages: int = 1) -> None:
        """For its throttle: a message is taken out to be begun; -1: it couldn't be."""
        if self.extras.bucket is not None:
            self.extras.bucket.take(messages)

    def not_begun(self, lane: Lane, envelope: Envelope) -> None:
        """A message that was taken out goes back to its lane: there is no place for it yet beside others."""
        lane.mailbox.count_begun(-1)
        if self.extras.tally is not None and type(lane.queue) is deque:
            self.extras.tally -= Counter((name_of(envelope[0]),))

    def tally(self, *, on: bool) -> None:
        """Count begun messages by handler from now on, or no more. Meanwhile each message is looked at."""
        if not on:
            self.own_extras().tally = None
        elif self.extras.tally is None:
            self.own_extras().tally = Counter()
            self.attention = True

    def tally_next(self, lane: Lane) -> None:
        """The next message of a lane is about to begin."""
        tally = self.extras.tally
        if tally is not None and type(lane.queue) is deque:  # who has a queue of one's own knows what is next there
            tally[name_of(lane.queue[0][0])] += 1

    @property
    def causes(self) -> dict[int, BaseException] | None:
        """What ended the life of what is tried again, until one follows."""
        return self.extras.causes

    @causes.setter
    def causes(self, causes: dict[int, BaseException] | None) -> None:
        if causes is not self.extras.causes:
            self.own_extras().causes = causes

    def count_fail_fast(self, calls: int) -> None:
        """So many more calls are under way that asked for `on_restart="fail"`."""
        if calls:
            self.own_extras().fail_fast += calls


def _ping(_: object) -> None:
    """Stands for a ping where a message is shown."""


_ping.__name__ = _ping.__qualname__ = "a ping"
PING: Final = Message(_ping, (), {})
