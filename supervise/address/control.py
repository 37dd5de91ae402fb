"""What is asked of the mailbox itself, and isn't held up by what is queued: control, and looks into it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from supervise._backends import answered
from supervise.errors import ActorRestarting, WouldDeadlock
from supervise.mailbox.envelope import message_of
from supervise.mailbox.observers import Down, subscribe, watch
from supervise.mailbox.refusal import refused
from supervise.mailbox.subscription import Subscription, WhenFull
from supervise.mailbox.turn import current_turn
from supervise.message import Message
from supervise_strategies.errors import InvalidSpec

from .instance import instance_of
from .view import MailboxView

if TYPE_CHECKING:
    from supervise.mailbox.mailbox import Mailbox
    from supervise_strategies.exit_reason import ExitReason

A_co = TypeVar("A_co", covariant=True)
T = TypeVar("T")


class ControlView(MailboxView, Generic[A_co]):
    """A view of a mailbox through which its actor is controlled and watched."""

    __slots__ = ()

    def _own_mailbox(self) -> Mailbox:
        """What is asked of the mailbox itself is asked where its actor's loop runs."""
        self._mailbox.check_here()
        self._check_open()
        return self._mailbox

    async def ping(self) -> float:
        """Return the seconds until the actor looks around, which it does between messages.

        It does so when it is paused, too. A handler that takes its time delays the answer, a full
        mailbox doesn't. One that is restarting answers when it is back. Raises `ActorStopped` or
        `MailboxClosed` if it doesn't run and won't. There is no deadline: use `anyio.fail_after`.
        """
        mailbox = self._own_mailbox()
        begun = mailbox.backend.now()
        seen: float = await answered(mailbox.ping())
        return seen - begun

    async def instance(self) -> A_co:
        """Return the object of the life that goes on, to be used without messages.

        It is for what was made to be shared: a pool, a client, a cache that is only read. What is
        done with the object isn't done in the actor's turn, and what it raises crashes nobody. A
        later life has another one, so ask again rather than keep it.

        It waits through a restart, but not for what is queued, nor for a pause. There is no
        deadline: use `anyio.fail_after`. Raises `ActorStopped` or `MailboxClosed` if it doesn't run
        and won't; `WouldDeadlock` in the actor's own tasks, and in a start that has to be over
        first. TypeError where the object lives in a thread of its own.
        """
        mailbox = self._own_mailbox()
        del self
        instance: A_co = await instance_of(mailbox)
        return instance

    def pause(self) -> None:
        """Begin no further message, over restarts too, until `resume()`.

        Messages are accepted and kept, in their order. What is in hand goes on, and so do
        concurrent handlers, nursery tasks and control. A stop is obeyed at once.
        """
        self._own_mailbox().pause()

    def resume(self) -> None:
        """Go on after `pause()`. Idempotent."""
        self._own_mailbox().resume()

    async def stop(self, *, grace: float | None = None) -> ExitReason:
        """End the actor after what waits, and return how this life ended.

        It takes in nothing more, and its nursery may finish. What still runs after `grace` seconds
        is killed. Default: the child's `stop_within`; 5 s if that is `"brutal_kill"`. A coroutine,
        a thread or a process that is the child itself (`task`, `runnable`, `thread`, `process`) is
        told to end at once, as it is by its supervisor.

        For its supervisor it is an end by itself, and a normal one. So a permanent child comes
        back, on the same mailbox: `terminate_child` keeps it down. Raises `ActorRestarting` if it
        is between two lives; `WouldDeadlock` in the actor's own tasks: use `current().stop()`.
        """
        mailbox = self._own_mailbox()
        if grace is not None and (isinstance(grace, bool) or not isinstance(grace, int | float) or not grace >= 0):
            raise InvalidSpec(f"stop of {mailbox.path!r}", "grace", grace, "seconds, 0 or more; math.inf for no limit")
        here = current_turn(None)
        if here is not None and mailbox in (here.mailbox, here.mailbox.shared):  # it ends with it, as do its nursery's tasks
            raise WouldDeadlock(f"{mailbox.path} can't wait for its own end: use current().stop(), which doesn't wait")
        turn = mailbox.turn
        if turn is None:
            if mailbox.refusal is not None:
                raise refused(mailbox, _STOP)
            cure = "terminate_child() on its supervisor keeps it down" if mailbox.parent else "its mailbox runs none now"
            raise ActorRestarting(f"{mailbox.path} is restarting: {cure}")
        reason: ExitReason = await turn.leave(grace)
        return reason

    def kill(self) -> None:
        """Cancel what the actor does, now; it returns at once.

        Its supervisor sees `killed`, and decides as after a crash. So it usually comes back.
        """
        turn = self._own_mailbox().turn
        if turn is not None:
            turn.kill()

    # -- looking into the mailbox ------------------------------------------------------------------------------------

    def peek(self, most: int | None = None) -> list[Message]:
        """The messages that wait, lane by lane, at most so many (default: all).

        They hold the real arguments: don't keep them.
        """
        queued = itertools.chain.from_iterable(lane.queue for lane in self._mailbox.lanes)
        return [message_of(envelope) for envelope in itertools.islice(queued, most)]

    def drop(self, chosen: Callable[[Message], bool], /) -> int:
        """Take out what waits and is chosen, and return how many they were.

        `chosen` is a function of one `Message`. They are dead letters, and their callers get
        `MessageDropped`.
        """
        self._mailbox.check_here()
        return len(self._mailbox.remove(chosen, "taken out by hand"))

    def take(self, chosen: Callable[[Message], bool], /) -> list[Message]:
        """Take out what waits and is chosen, and return it, to send it to somebody else.

        It is else as `drop`.
        """
        self._mailbox.check_here()
        return self._mailbox.remove(chosen, "taken out by hand")

    def subscribe(self, kind: type[T], /, *, capacity: float = 100, overflow: WhenFull = "drop_oldest") -> Subscription[T]:
        """Get what the actor publishes (`current().publish`) and is an instance of `kind`.

        `async with market.subscribe(Priced) as prices: async for price in prices`. It is the
        logical actor's: it goes on over restarts, and while the actor is stopped. It ends when that
        is gone for good; at once, if it is already.

        The publisher never waits. At most `capacity` events (default 100) wait for the reader.
        Beyond that the oldest is dropped and counted; or, with `overflow="close"`, the subscription
        ends with `SubscriberTooSlow`. All subscribers get the same object. A subscription keeps
        nobody alive.
        """
        self._mailbox.check_here()
        return subscribe(self._mailbox.mailbox, kind, capacity, overflow)

    async def watch(self) -> Down:
        """Wait until the actor has ended and isn't started again by itself, and say why.

        At once, if it has ended before. It has ended when it is stopped but listed, or gone for
        good; a restart, or a wait for one, isn't an end. To hear of the end of each incarnation
        there is `current().watch`. Waiting doesn't keep the actor alive. Raises `WouldDeadlock` if
        it is the actor's own task that would wait.
        """
        self._mailbox.check_here()
        ended = watch(self._mailbox.mailbox)
        del self  # as in send()
        return await ended


def _stop(_: object) -> None:
    """Stands for a stop where a message is shown."""


_stop.__name__ = _stop.__qualname__ = "a stop"
_STOP: Final = Message(_stop, (), {})
