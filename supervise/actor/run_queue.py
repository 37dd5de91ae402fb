"""Actors that have work and no task, and the tasks that run them: an idle actor costs no task, nor a turn of the loop.

Theory of operation
-------------------
- A *carrier* is a task that runs one life after the other, each until it idles. While a handler waits for something, its
  carrier waits with it, and is the actor's task in every respect; another one serves the queue meanwhile. So handlers of two
  actors never alternate in one task while one is suspended.
- What would be felt by the next life that it runs keeps a carrier from being shared: a context variable that was set, or a
  cancellation that is still to come. The task is then that actor's own until its end, as each actor's was that has an enter
  hook, an async factory, or `own_task=True`.
- A start calls the factory at once, in a context of its own, where the start was decided; so ten thousand starts need no task.
  What it makes is then asleep until its first message.
- Fairness: between two turns of the loop all of these together handle `BATCH` messages, or start a quarter as many actors. What
  comes beyond that waits for a carrier that the loop has just run.
- A carrier first learns that a handler waits when that has made its first step. It takes that step by hand, so that it can wake
  another carrier only then: to wake one for each message would cost what this saves.
- Carriers are scheduled by the loop, and never begun at once by an eager task factory: a fan-out would recurse (tried).
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Generator
from contextvars import Context
from functools import partial
from types import CoroutineType, coroutine
from typing import TYPE_CHECKING, Any, Final, cast

from supervise._backends import give
from supervise.mailbox.handler import awaitable
from supervise.mailbox.lane import LOW
from supervise.mailbox.turn import set_turn

from .beginning import build
from .budget import START, Budget, budget_of
from .carrier import IDLE, UNNAMED, Carrier
from .first_step import FirstStep, begin
from .judgement import settle
from .loop import live, spawn

if TYPE_CHECKING:
    from supervise._backends import Backend
    from supervise.mailbox.envelope import Envelope
    from supervise.mailbox.turn import Turn

    from .incarnation import Incarnation

DONE: Final = FirstStep((print, (), {}, None, None, None))
"""Of a message that was handled in one step."""
_kind_of: Callable[[object], Any] = type
NOBODY: Final = cast("Turn", None)  # as where no actor's code runs


class RunQueue:
    """Those of one tree. It belongs to the loop's thread."""

    __slots__ = (
        "_begun",
        "_carriers",
        "_over",
        "backend",
        "budget",
        "context",
        "idle",
        "in_context",
        "kept",
        "ready",
        "serving",
        "summoned",
    )

    def __init__(self, backend: Backend) -> None:
        self.backend: Backend = backend
        self.budget: Budget = budget_of(backend)
        self.ready: deque[Incarnation] = deque()
        """Those that have something to do."""
        self._carriers: set[Carrier] = set()
        self.idle: list[Carrier] = []
        """Carriers that wait for work."""
        self.summoned: bool = False
        """A carrier is on its way."""
        self.serving: bool = False
        """A carrier is at work in this very step, and looks again before it waits."""
        self._over = False
        self._begun: dict[Incarnation, FirstStep] = {}  # of those in `ready` that have a message in hand
        self.context: Context | None = None
        """For a handler that needs no task; None while one is in it."""
        self.in_context: Incarnation | None = None
        """Whose turn it is there."""
        self.kept: dict[Carrier, None] = {}
        """Those that wait with a life that may soon wait for something again, longest first."""

    def begin(self, life: Incarnation) -> None:
        """Begin a first life: at once, if nothing speaks against it, or else as soon as a carrier comes to it."""
        if self.budget.left <= 0 or sys.exc_info()[0] is not None:  # which would be the context of what it raises
            self.add(life)
            return
        self.budget.left -= START
        context = Context()
        life.task = self.backend.current_task()  # for the time of its factory
        error = context.run(_build, life)
        life.task = None
        mailbox = life.mailbox
        if error is not None or life.extras.made is not None or len(context) != 1:
            spawn(life, context=context, error=error)
        elif life.running and not life.signal and mailbox.lifetime is None and mailbox.is_quiet:
            mailbox.waker = life
        else:
            self.add(life)

    def add(self, life: Incarnation) -> None:
        """It has something to do, and no task. It raises where nobody can be woken: then nothing is changed."""
        if not self.summoned and not self.serving:
            self._summon()
        self.ready.append(life)

    def go_on(self, life: Incarnation, begun: FirstStep) -> None:
        """It has a message in hand, and no task to go on with it."""
        self._begun[life] = begun
        self.add(life)

    def hand(self, carrier: Carrier, life: Incarnation, begun: FirstStep) -> None:
        """It is for this very carrier to go on: the handler made its first step as that task."""
        carrier.handed = (life, begun)
        if carrier.wake is not None:
            give(carrier.wake, None)

    def enter_context(self, context: Context | None, life: Incarnation) -> Context:
        """For a handler that needs no task. It is given back as `context`, if no variable was set there."""
        context = context or Context()
        context.run(set_turn, life)
        self.in_context = life
        return context

    def take_back(self, carrier: Carrier) -> None:
        """An idle carrier was lent for one step. What has left something in its task, or its context, has used it up."""
        scope = carrier.scope
        clean = carrier.can_be_shared()
        if clean and (scope is None or not scope.cancel_called) and not self._over:
            self.idle.append(carrier)
            return
        carrier.retired = True
        if carrier.wake is not None:
            give(carrier.wake, None)

    def forget(self, life: Incarnation) -> None:
        """It has ended: nothing here is to pin it."""
        if self.in_context is life:
            self.context = self.in_context = None
        for carrier in self.idle:
            if carrier.runs is life:
                carrier.runs = None
                carrier.context.run(set_turn, NOBODY)

    def coroutine_of(self, task: object) -> Any:
        """The coroutine of the life that this task runs, if it is a carrier that does."""
        return next((carrier.step for carrier in [*self._carriers] if carrier.task is task), None)

    def is_answering(self, life: Incarnation) -> bool:
        """Whether a handler of it makes its first step in that of a caller; asked from any thread."""
        if life.task is None:
            return self.context is None and self.in_context is life
        found = next((carrier for carrier in [*self._carriers] if carrier.task is life.task), None)
        return found is not None and found.step is None and found.handed is None and found not in self.idle

    def look(self) -> set[Incarnation]:
        """Some carriers may have been struck or cancelled, and tell nobody. The answer: who waits for its turn, and is well."""
        dead = [carrier for carrier in self._carriers if self.backend.has_died(carrier.task)]
        self._carriers.difference_update(dead)
        self.idle = [carrier for carrier in self.idle if carrier in self._carriers]
        self.summoned = self.serving = False
        self._look_on()
        return {*self.ready}

    def end(self) -> None:
        """The tree is over: nobody has work any more."""
        self._over = True
        idle, self.idle = self.idle, []
        for carrier in idle:
            if carrier.wake is not None:
                give(carrier.wake, None)

    # -- carriers ----------------------------------------------------------------------------------------------------

    def _look_on(self) -> None:
        if self.ready and not self.summoned and not self.serving:
            self._summon()

    def _summon(self) -> None:
        self.summoned = True
        try:
            renews = self.budget.call_for_more() if self.budget.left <= 1 else None
            while self.idle:
                carrier = self.idle.pop()
                carrier.renews = renews
                if carrier.wake is not None and give(carrier.wake, None):
                    carrier.coming = True
                    return
            carrier = Carrier(self)
            carrier.renews = renews
            carrier.coming = True
            self._carriers.add(carrier)
            run, over = partial(self._run, carrier), partial(self._ended, carrier)
            carrier.task = self.backend.spawn_soon(run, carrier.context, UNNAMED, over)
        except BaseException:
            self.summoned = False
            raise

    async def _run(self, carrier: Carrier) -> None:
        carrier.task = self.backend.current_task()
        carrier.context = self.backend.context_of(carrier.task, carrier.context)
        carrier.usage, carrier.unused = self.backend.usage_of(carrier.task)
        await self._work(carrier)

    def _ended(self, carrier: Carrier) -> None:
        """Its task has ended, however: it may have been cancelled before it began, or struck by Ctrl-C."""
        self._carriers.discard(carrier)
        if carrier in self.idle:
            self.idle.remove(carrier)
        if carrier.coming:
            self.summoned = False
        self._look_on()

    @coroutine
    def _work(self, carrier: Carrier) -> Generator[Any, Any, None]:
        ready = self.ready
        at: Incarnation | None = None
        try:
            while True:
                if carrier.coming:
                    carrier.coming = self.summoned = False
                    if carrier.renews is not None:
                        self.budget.renew(carrier.renews)
                        carrier.renews = None
                if carrier.handed is not None:
                    (life, handed), carrier.handed = carrier.handed, None
                    at = life
                    carrier.waited = False
                    carrier.step = live(life, life.mailbox, carrier.context, carrier, None, handed)
                    del handed
                    yield from self._carry(carrier, life)
                    if carrier.own or (life.over and not carrier.can_be_shared()):
                        return
                    carrier.step = None
                    del life
                if carrier.retired:
                    return
                while ready:
                    if self.budget.left <= 0:
                        yield from self._turn(carrier).__await__()
                        continue
                    life = at = ready.popleft()
                    if life.task is not None or life.over:  # it was added twice, as Ctrl-C had struck
                        continue
                    carrier.waited = False
                    begun = self._begun.pop(life) if life in self._begun else self._alone(carrier, life)
                    if begun is DONE:
                        at = None
                        del life, begun
                        continue
                    carrier.step = live(life, life.mailbox, carrier.context, carrier, None, begun)
                    del begun
                    yield from self._carry(carrier, life)
                    if carrier.own:
                        return
                    carrier.step = None
                    over = life.over
                    del life
                    if over and not carrier.can_be_shared():
                        return
                if self._over or len(self.idle) >= IDLE:
                    return
                carrier.runs = at = None
                set_turn(NOBODY)  # a carrier that idles must not pin the last life
                carrier.wake = self.backend.future()
                self.idle.append(carrier)
                try:
                    yield from carrier.wake.__await__()
                except self.backend.cancelled as struck:  # natively
                    if carrier.handed is None:
                        raise
                    carrier.handed[1].strike(struck)  # it is the handler's, which made its first step as this task
                carrier.wake = None
        except Exception as error:  # a bug; lost, it would leave a tree that hangs in silence
            if at is not None:
                at.owner.broken(error)
        finally:
            self.serving = False
            set_turn(NOBODY)
            carrier.step = None
            carrier.leave_scope()

    def _carry(self, carrier: Carrier, life: Incarnation) -> Generator[Any, Any, None]:
        """Run its step to the end. When it waits for something, another carrier looks after the queue."""
        step: Any = carrier.step
        try:
            self.serving = True
            waits_for = step.send(None)
            while True:
                self.serving = False
                carrier.waited = True
                if not carrier.named:
                    carrier.name(life.mailbox.name)
                if self.ready:
                    self._look_on()
                error: BaseException | None = None
                sent: Any = None
                try:
                    sent = yield waits_for
                except BaseException as raised:
                    error = raised  # thrown outside of here, or the life would see it as the one that is being handled
                self.serving = True
                waits_for = step.send(sent) if error is None else step.throw(error)
                del error, sent
        except StopIteration:
            return
        finally:
            self.serving = False
            if carrier.named and not carrier.own:
                carrier.name(None)

    def _alone(self, carrier: Carrier, life: Incarnation) -> FirstStep | None:
        """Handle a message that waits alone, of which nothing special is to be said. `DONE`: it was, and the life sleeps.

        What comes of it otherwise is for the actor's loop, which costs as much again. None: nothing was begun.
        """
        mailbox = life.mailbox
        table: Any = life.table
        queue: Any = mailbox.queue
        if mailbox.attention or _kind_of(queue) is not deque or len(queue) != 1 or mailbox.lifetime is not None:
            return None
        envelope: Envelope = queue[0]
        handler, args, kwargs, reply, _, options = envelope
        if options is not None or (reply is not None and reply.done()):
            return None
        result: Any = None
        try:
            function, way, name, attribute, _ = table[handler]
            if (way is not True and way is not False) or getattr(_kind_of(life.instance), name) is not attribute:
                return None
        except Exception:  # not asked for before, without a hash, or gone from the class
            return None
        set_turn(life)
        life.task = carrier.task
        life.in_hand = envelope
        queue.popleft()
        self.budget.left -= 1
        self.serving = True
        try:
            result = function(life.instance, *args, **kwargs) if kwargs else function(life.instance, *args)
        except BaseException as error:
            return FirstStep(envelope, error=error)
        if way:
            life.kill_scope = carrier.scope or carrier.enter_scope()
            if _kind_of(result) is not CoroutineType or mailbox.attention:
                return FirstStep(envelope, result)
            try:
                done, end = begin(result)
            except BaseException as error:
                return FirstStep(envelope, error=error)
            if not done:
                return FirstStep(envelope, result, end, begun=True)
            result = end
        elif result is not None and awaitable(result):
            return FirstStep(envelope, result)
        if reply is None:
            mailbox.handled += 1
        else:
            settle(life, mailbox, envelope, result, None, isolated=False)
        life.in_hand = None
        if mailbox.credits < LOW:
            mailbox.replenish()
        if way and reply is not None and self.backend.enter is None:
            carrier.waited = True  # it may be called again soon, and could answer only by a carrier that waits with it
            return None
        if mailbox.attention or queue or len(carrier.context) != 1 or carrier.usage() is not carrier.unused:
            return None
        life.task = life.kill_scope = None
        mailbox.waker = life
        self.serving = False
        return DONE

    async def _turn(self, carrier: Carrier) -> None:
        """The same of one that carries nobody."""
        carrier.coming = self.summoned = True
        await self.budget.turn(self.backend)
        carrier.coming = self.summoned = False


def _build(life: Incarnation) -> BaseException | None:
    set_turn(life)
    return build(life)
