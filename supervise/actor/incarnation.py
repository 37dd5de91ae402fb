"""One life of an actor on its mailbox: what it is made of, and the flags by which everybody else speaks to it.

Theory of operation
-------------------
An incarnation goes through

    factory -> enter hook -> ready -> messages -> nursery ended -> exit hook -> what was in hand settled -> decision

in that order and in one task (`loop.py`), so two incarnations never overlap, and a decision is only made when nothing of the
old one is left. The first three are told in `beginning.py`, the last four in `ending.py`, and what a cancellation is and
reaches in `cancellation.py`. Every other task speaks to it by flags: `stop` (after the message in hand), `cancel` (now),
`fail` (a task of the nursery raised). Flags are raised synchronously, and looked at before each message.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from supervise._backends import is_cancellation
from supervise.errors import HandlerLate
from supervise.log import say
from supervise.mailbox.envelope import stream_of
from supervise.mailbox.stream_run import StreamStopped
from supervise.mailbox.turn import IncarnationTurn, Turn
from supervise_strategies.answers import CRASHES
from supervise_strategies.exception import interrupts, leaves
from supervise_strategies.exit_reason import NORMAL, ExitReason
from supervise_strategies.kind import is_of

from .budget import BATCH, START
from .inline_call import answer
from .life_extras import NO_EXTRAS, LifeExtras
from .nursery import Nursery

if TYPE_CHECKING:
    from supervise._backends import Future, Scope
    from supervise.mailbox.envelope import Envelope
    from supervise.mailbox.handler import Table
    from supervise.mailbox.hops import Hops
    from supervise.mailbox.lane import Lane
    from supervise.mailbox.mailbox import Mailbox
    from supervise_strategies.answers import Why

    from .owner import Owner

STARTS: Final = BATCH // START  # in one task, without a turn of the loop


class Incarnation(IncarnationTurn):
    """One life. Made, with its flags, before its task runs, so that a stop which lands in between isn't lost."""

    __slots__ = (
        "crashed_on",
        "extras",
        "failure",
        "instance",
        "kill_scope",
        "killed",
        "number",
        "over",
        "owner",
        "running",
        "shareable",
        "signal",
        "table",
        "told",
    )
    task: object
    in_hand: Envelope | None
    awaits: Lane | None
    pending: Future | None
    answer = answer

    def __init__(self, owner: Owner, number: int) -> None:
        self.mailbox: Mailbox = owner.mailbox  # as in a turn, without its frame: one is made in each restart
        self.task = self.in_hand = self.awaits = self.pending = None
        self.extras: LifeExtras = NO_EXTRAS
        self.owner: Owner = owner
        self.number: int = number
        self.instance: Any = None
        self.running: bool = False  # its start has succeeded
        self.killed: bool = False
        self.failure: BaseException | None = None
        self.signal: bool = False  # one of the flags above is up: look before the next message
        self.shareable: bool = True  # a successor may run in the same task, as far as it is known
        self.crashed_on: Envelope | None = None  # the message whose handler raised
        self.over: bool = False
        self.told: bool = False  # its owner knows of its end
        self.table: Table | None = None  # what its class's handlers are, as far as they were asked for
        self.kill_scope: Scope | None = None

    def own_extras(self) -> LifeExtras:
        """What few lives have, to set something in it."""
        if self.extras is NO_EXTRAS:
            self.extras = LifeExtras()
        return self.extras

    @property
    def ordered(self) -> bool:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]  # only read
        """Whether its supervisor asked for the end, and keeps the time."""
        return self.extras.ordered

    # -- asleep: what wakes its mailbox, where it has no task ----------------------------------------------------------

    def done(self) -> bool:
        """Whether it was woken already. It isn't there to be woken any more then."""
        return False

    def set_result(self, result: None, /) -> None:
        """It has something to do."""
        runs: Any = self.mailbox.backend.runs  # a RunQueue, or it would have a task
        if runs.serving or runs.summoned:  # as `add` would, without its frame
            runs.ready.append(self)
        else:
            runs.add(self)

    # -- flags: raised from anywhere in the loop's thread ------------------------------------------------------------

    def stop(self, reason: ExitReason, *, drain: bool = False) -> None:
        """End after the message in hand (`drain`: after all that are queued). The last reason given is the one that counts."""
        if self.mailbox.instrument is not None:
            self.mailbox.instrument.asked_to_end()
        extras = self.own_extras()
        extras.stop_reason = reason
        # An actor's own stop() doesn't throw away what its supervisor lets it drain; one that was killed, or has crashed,
        # begins no message any more.
        extras.draining = (drain or extras.draining) and not self.killed and self.failure is None
        self.signal = self.mailbox.attention = True
        if extras.tasks is not None and not drain:
            extras.tasks.cancel()
        for reading in extras.readers or ():  # a source is an intake, even where the nursery may go on
            reading.scope.cancel()
        for _, envelope in self.held():
            stream = stream_of(envelope)
            if stream is not None:
                stream.stop()
        self.mailbox.wake()

    def leave(self, grace: float | None) -> Future:
        """Take in nothing more, handle what waits, let the nursery finish, and end; what still runs after `grace` is killed."""
        mailbox, backend = self.mailbox, self.mailbox.backend
        mailbox.wake()  # first: in the wrong event loop it raises, and nothing was changed
        ended = self.ending()
        if mailbox.refusal is None:  # else somebody has decided what follows
            mailbox.refuse("leaving")
        extras = self.own_extras()
        extras.patient = not extras.works
        self.stop(NORMAL, drain=True)
        within = self.owner.end_within if grace is None else grace
        if extras.end_timer is not None:
            extras.end_timer.cancel()
            extras.end_timer = None
        if within < math.inf:
            extras.end_timer = backend.call_at(backend.now() + within, self.overdue)
        return ended

    def ending(self) -> Future:
        ended = self.mailbox.backend.future()
        self.own_extras().ended_waiters = [*(self.extras.ended_waiters or ()), ended]
        return ended

    def look_again(self) -> None:
        if self.extras.concurrent is not None and self.extras.concurrent.held_up:
            self.extras.concurrent.held_up.clear()
            self.mailbox.wake()
        elif self.mailbox.extras.held_back_until:
            self.mailbox.wake()

    def starting_before(self, mailbox: Mailbox) -> Sequence[Turn]:
        return self.owner.starting_before(mailbox)

    def withdraw(self, reply: Future) -> None:
        """The caller of this call is gone, and takes along the handler that is at work for it, if there is one."""
        if self.killed or self.failure is not None or self.mailbox.restarting:
            return
        if self.in_hand is not None and self.in_hand[3] is reply:
            if self.kill_scope is not None:
                self.kill_scope.cancel()
        elif self.extras.concurrent is not None:
            self.extras.concurrent.withdraw(reply)

    def kill(self) -> None:
        """End now, as somebody outside of the tree would have it."""
        self.owner.kill()

    def cancel(self) -> None:
        """End now: what runs is cancelled. The exit hook still runs, in a cancelled scope."""
        self.killed = True
        self._interrupt()
        if self.extras.life_scope is not None:
            self.extras.life_scope.cancel()

    def fail(self, error: BaseException) -> None:
        """A task of the nursery raised: the incarnation has crashed, and its handler in hand is cancelled.

        Told again when the nursery has ended, with what all of its tasks raised.
        """
        self.pass_up(error)
        if not self.killed:
            first, self.failure = self.failure is None, error
            if first:
                if self.mailbox.instrument is not None:
                    self.mailbox.instrument.failed()
                self._interrupt()

    def fail_first(self, error: BaseException) -> None:
        """A concurrent handler raised: its caller is told what, and not the group that comes of it when all have ended."""
        if self.failure is None:
            self.fail(error)
        else:
            self.pass_up(error)

    def _interrupt(self) -> None:
        self.signal = self.mailbox.attention = True
        extras = self.extras
        if extras.draining:
            extras.draining = False
        if extras.tasks is not None:
            extras.tasks.cancel()
        if extras.concurrent is not None:
            extras.concurrent.cancel()
        if self.mailbox.waker is not None and self.mailbox.turn is self:
            self.mailbox.wake()
        elif self.kill_scope is not None:
            self.kill_scope.cancel()
        elif not self.running and self.extras.life_scope is not None:  # its factory, or its enter hook
            self.extras.life_scope.cancel()

    @property
    def stopping(self) -> bool:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether it was asked to end."""
        return self.signal

    @property
    def late(self) -> BaseException | None:
        return self.failure if is_of(self.failure, HandlerLate) else None

    def answers_with(self, error: BaseException, *, call: bool) -> bool:
        cancelled = self.mailbox.backend.cancelled
        if self.owner.answers is CRASHES or is_cancellation(error, cancelled) or is_of(error, StreamStopped):
            return False
        why = self.judge(error, call=call)
        self.own_extras().judged = error, call, why  # for those that ask next, in the same task and at once
        return why is not None

    def judge(self, error: BaseException, *, call: bool) -> Why | None:
        """Why it is an answer, by what the child says; None: it isn't. A predicate is asked once, whoever wants to know."""
        answers = self.owner.answers
        if answers is CRASHES or is_cancellation(error, self.mailbox.backend.cancelled):
            return None
        judged = self.extras.judged
        if judged is not None and judged[0] is error and judged[1] is call:
            return judged[2]
        why, raised = answers.judge(error, call=call)
        if raised is not None and interrupts(raised):
            self.pass_up(raised)
        elif raised is not None:
            text = "%s #%d: its expects= raised %s, and so matches nothing"
            say(logging.ERROR, text, self.mailbox.path, self.number, raised, pass_up=self.pass_up)
        return why

    def forget_judged(self) -> None:
        """It is known what becomes of what the handler raised."""
        if self.extras.judged is not None:
            self.extras.judged = None

    def connects(self) -> None:
        """Its own code says: it is up, but begins no message, and isn't well, until it is `connected`."""
        self.own_extras().connecting = self.mailbox.attention = True
        if self.mailbox.instrument is not None:
            self.mailbox.instrument.connects()

    def connected(self, far: str) -> None:
        """What it speaks for has answered, and is called so: it begins its messages."""
        if self.extras.connecting and not self.is_over:
            self.extras.connecting = False
            if self.mailbox.instrument is not None:
                self.mailbox.instrument.connected(far)
            self.mailbox.wake()
            self.owner.connected(self)

    def nursery(self) -> Nursery:
        """The incarnation's task group, made on first use; RuntimeError once the incarnation is over.

        The exit hook has another one: the first is over by then.
        """
        if self.is_over:
            who = f"{self.mailbox.path} #{self.number}"
            raise RuntimeError(f"{who} has ended, and its nursery with it: ask current() in the next life")
        extras = self.own_extras()
        if extras.tasks is None:
            extras.tasks = Nursery(self.mailbox, NurseryTurn(self), self.fail)
            if self.killed or (self.signal and not extras.draining and not extras.leaving):
                extras.tasks.cancel()
        return extras.tasks

    @property
    def is_over(self) -> bool:
        """Whether nothing of it is begun any more, be it a task or a timer."""
        return self.over or self.mailbox.turn is not self

    @property
    def busy_beside(self) -> bool:
        """Whether anything beside its handlers goes on that may still have a message for it, and that its end waits for."""
        extras = self.extras
        if extras.pipes or (extras.concurrent is not None and extras.concurrent.in_hand):
            return True
        return extras.patient and extras.tasks is not None and extras.tasks.running > 0

    # -- its task, and its time --------------------------------------------------------------------------------------

    def can_share(self) -> bool:
        """Whether a successor may run in this incarnation's task: nothing of it is left there."""
        scope = self.kill_scope
        # A start that always fails at once would never let anybody else run. All lives count: one in 32 needs a new task.
        if not self.number % STARTS:
            return False
        return self.shareable and (scope is None or not scope.cancel_called)

    def arm_end_timer(self) -> None:
        """What ends by itself has the same time for nursery and exit hook that an ordered stop would give it."""
        within = self.owner.end_within
        if self.extras.end_timer is None and not self.extras.ordered and not self.killed and within < math.inf:
            backend = self.mailbox.backend
            self.own_extras().end_timer = backend.call_at(backend.now() + within, self.overdue)

    def overdue(self) -> None:
        """It takes too long to end."""
        if not self.killed:
            self.owner.kill()  # rather than itself: its owner reports what outlives that

    def pass_up(self, error: BaseException | None) -> None:
        """KeyboardInterrupt and SystemExit end more than an actor, wherever they were raised."""
        if error is None or is_of(error, Exception):  # whose groups hold nothing else
            return
        for leaf in leaves(error):
            if is_of(leaf, KeyboardInterrupt, SystemExit):
                self.owner.fatal(leaf)

    def holds(self, envelope: Envelope) -> bool:
        beside = self.extras.concurrent is not None and id(envelope) in self.extras.concurrent.in_hand
        return beside or self.in_hand is envelope

    def held(self) -> list[tuple[Lane, Envelope]]:
        held = [] if self.extras.concurrent is None else [*self.extras.concurrent.in_hand.values()]
        if self.in_hand is not None:
            held.append((self.extras.lane or self.mailbox, self.in_hand))
        return held


class NurseryTurn(Turn):
    """The turn of an incarnation's nursery tasks: the same actor, with no message in hand but a concurrent handler's own."""

    __slots__ = ("hops", "incarnation")
    exclusive = False

    def __init__(self, incarnation: Incarnation, envelope: Envelope | None = None, hops: Hops | None = None) -> None:
        super().__init__(incarnation.mailbox)
        self.incarnation: Incarnation = incarnation
        self.in_hand: Envelope | None = envelope
        self.hops: Hops | None = hops

    def below(self, hops: Hops) -> NurseryTurn:
        return NurseryTurn(self.incarnation, hops=hops)

    @property
    def life(self) -> Turn:
        return self.incarnation
