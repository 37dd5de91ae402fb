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
- Fairness: between two turns of the loop all of these together handle `BATCH` messages, or start as many actors. What comes
  beyond that waits for a carrier that the loop has just run.
- A carrier first learns that a handler waits when that has made its first step. It takes that step by hand, so that it can wake
  another carrier only then: to wake one for each message would cost what this saves.
- Carriers are scheduled by the loop, and never begun at once by an eager task factory: a fan-out would recurse (tried).
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Coroutine, Generator
from contextvars import Context, copy_context
from functools import partial
from types import CoroutineType, coroutine
from typing import TYPE_CHECKING, Any, Final, cast

from supervise._backends import give
from supervise.mailbox.handler import awaitable, class_of
from supervise.mailbox.lane import LOW
from supervise.mailbox.turn import CURRENT

from .beginning import build
from .first_step import FirstStep
from .judgement import settle
from .loop import BATCH, live, spawn

if TYPE_CHECKING:
    from supervise._backends import Backend, Future, Scope
    from supervise.mailbox.envelope import Envelope
    from supervise.mailbox.turn import Turn

    from .incarnation import Incarnation

DONE: Final = FirstStep((print, (), {}, None, None, None))
"""Of a message that was handled in one step."""
NOBODY: Final = cast("Turn", None)  # as where no actor's code runs
IDLE: Final = 64
"""Carriers that may wait for work; more of them end."""


class Carrier:
    """One task. While it runs a life, that one has its kill scope."""

    __slots__ = ("coming", "life", "queue", "scope", "step", "task", "waited", "wake")

    def __init__(self, queue: RunQueue) -> None:
        self.queue: RunQueue = queue
        self.task: object = None
        self.scope: Scope | None = None
        self.wake: Future | None = None  # while it waits for work
        self.life: Incarnation | None = None  # that it waits with
        self.waited: bool = False  # the life that it runs has waited for something other than messages
        self.coming: bool = False  # it was summoned, and hasn't run since
        self.step: Coroutine[Any, Any, None] | None = None  # of the life that it runs

    def can_be_shared(self) -> bool:
        """Whether nothing of the life that it runs would be felt by another one. 31 ns, and another 25 on asyncio."""
        return len(copy_context()) == 1 and not self.queue.backend.is_being_cancelled(self.task)

    def keeps(self, life: Incarnation) -> bool:
        """Whether it goes on waiting with the life that it runs, which may soon wait for something again."""
        if self.waited:
            self.life = life
            self.queue.keep(self)
        return self.waited

    def keeps_no_more(self) -> None:
        """There is something to do, or others are kept instead."""
        self.waited = False
        self.life = None
        self.queue.kept.pop(self, None)

    def becomes_its_own(self) -> None:
        """It is the task of the life that it runs, until that ends."""
        self.queue.leave(self)


class RunQueue:
    """Those of one tree. It belongs to the loop's thread."""

    __slots__ = ("_carriers", "_idle", "_over", "_ready", "_serving", "_summoned", "backend", "kept", "left")

    def __init__(self, backend: Backend) -> None:
        self.backend: Backend = backend
        self.left: int = BATCH
        """Messages and starts until the loop turns."""
        self._ready: deque[Incarnation] = deque()
        self._carriers: set[Carrier] = set()
        self._idle: list[Carrier] = []
        self._summoned = False  # a carrier is on its way
        self._serving = False  # a carrier is at work in this very step, and looks again before it waits
        self._over = False
        self.kept: dict[Carrier, None] = {}
        """Those that wait with a life that may soon wait for something again, longest first."""

    def keep(self, carrier: Carrier) -> None:
        """It waits with its life; if there are too many of those, the one that has waited longest does so no more."""
        if len(self.kept) >= IDLE:
            longest = next(iter(self.kept))
            del self.kept[longest]
            if longest.life is not None:
                longest.life.mailbox.wake()
        self.kept[carrier] = None

    def begin(self, life: Incarnation) -> None:
        """Begin a first life: at once, if nothing speaks against it, or else as soon as a carrier comes to it."""
        if self.left <= 0 or sys.exc_info()[0] is not None:  # what is being handled would be the context of what it raises
            self.add(life)
            return
        self.left -= 1
        context = Context()
        life.task = self.backend.current_task()  # for the time of its factory
        error = context.run(_build, life)
        life.task = None
        mailbox = life.mailbox
        if error is not None or life.made is not None or len(context) != 1:
            spawn(life, context=context, error=error)
        elif life.running and not life.signal and mailbox.lifetime is None and mailbox.plain and mailbox.is_quiet:
            mailbox.waker = life
        else:
            self.add(life)

    def add(self, life: Incarnation) -> None:
        """It has something to do, and no task. It raises where nobody can be woken: then nothing is changed."""
        if not self._summoned and not self._serving:
            self._summon()
        self._ready.append(life)

    def holds(self, life: Incarnation) -> bool:
        """Whether it waits for its turn."""
        return life in self._ready

    def coroutine_of(self, task: object) -> Any:
        """The coroutine of the life that this task runs, if it is a carrier that does."""
        return next((carrier.step for carrier in [*self._carriers] if carrier.task is task), None)

    def leave(self, carrier: Carrier) -> None:
        """It comes back no more."""
        self._carriers.discard(carrier)

    def look(self) -> None:
        """Some carriers may have been struck or cancelled, and tell nobody."""
        dead = [carrier for carrier in self._carriers if self.backend.has_died(carrier.task)]
        self._carriers.difference_update(dead)
        self._idle = [carrier for carrier in self._idle if carrier in self._carriers]
        self._summoned = self._serving = False
        self._look_on()

    def end(self) -> None:
        """The tree is over: nobody has work any more."""
        self._over = True
        idle, self._idle = self._idle, []
        for carrier in idle:
            if carrier.wake is not None:
                give(carrier.wake, None)

    # -- carriers ----------------------------------------------------------------------------------------------------

    def _look_on(self) -> None:
        if self._ready and not self._summoned and not self._serving:
            self._summon()

    def _summon(self) -> None:
        self._summoned = True
        try:
            while self._idle:
                carrier = self._idle.pop()
                if carrier.wake is not None and give(carrier.wake, None):
                    carrier.coming = True
                    return
            carrier = Carrier(self)
            carrier.coming = True
            self._carriers.add(carrier)
            run, over = partial(self._run, carrier), partial(self._ended, carrier)
            carrier.task = self.backend.spawn_soon(run, Context(), "supervise carrier", over)
        except BaseException:
            self._summoned = False
            raise

    async def _run(self, carrier: Carrier) -> None:
        carrier.task = self.backend.current_task()
        await self._work(carrier)

    def _ended(self, carrier: Carrier) -> None:
        """Its task has ended, however: it may have been cancelled before it began, or struck by Ctrl-C."""
        self._carriers.discard(carrier)
        if carrier in self._idle:
            self._idle.remove(carrier)
        if carrier.coming:
            self._summoned = False
        self._look_on()

    @coroutine
    def _work(self, carrier: Carrier) -> Generator[Any, Any, None]:
        ready = self._ready
        try:
            while True:
                carrier.coming = self._summoned = False
                self.left = BATCH
                while ready:
                    if self.left <= 0:
                        yield from self._turn(carrier).__await__()
                        continue
                    life = ready.popleft()
                    if life.task is not None or life.over:  # it was added twice, as Ctrl-C had struck
                        continue
                    begun = self._alone(carrier, life)
                    if begun is DONE:
                        del life, begun
                        continue
                    carrier.step = live(life, life.mailbox, carrier, None, begun)
                    del begun
                    yield from self._carry(carrier, carrier.step)
                    if carrier not in self._carriers:  # it was that life's own
                        return
                    carrier.step = None
                    over = life.over
                    del life
                    if over and not carrier.can_be_shared():
                        return
                if self._over or len(self._idle) >= IDLE:
                    return
                CURRENT.set(NOBODY)  # a carrier that idles must not pin the last life
                carrier.wake = self.backend.future()
                self._idle.append(carrier)
                yield from carrier.wake.__await__()
                carrier.wake = None
        finally:
            CURRENT.set(NOBODY)
            carrier.step = None
            scope, carrier.scope = carrier.scope, None
            if scope is not None:
                scope.__exit__(None, None, None)

    def _carry(self, carrier: Carrier, step: Coroutine[Any, Any, None]) -> Generator[Any, Any, None]:
        """Run it to its end. When it waits for something, another carrier looks after the queue."""
        carrier.waited = False
        try:
            self._serving = True
            waits_for = step.send(None)
            while True:
                self._serving = False
                carrier.waited = True
                if self._ready:
                    self._look_on()
                error: BaseException | None = None
                sent: Any = None
                try:
                    sent = yield waits_for
                except BaseException as raised:
                    error = raised  # thrown outside of here, or the life would see it as the one that is being handled
                self._serving = True
                waits_for = step.send(sent) if error is None else step.throw(error)
                del error, sent
        except StopIteration:
            return
        finally:
            self._serving = False

    def _alone(self, carrier: Carrier, life: Incarnation) -> FirstStep | None:
        """Handle a message that waits alone, of which nothing special is to be said. `DONE`: it was, and the life sleeps.

        What comes of it otherwise is for the actor's loop, which costs as much again. None: nothing was begun.
        """
        mailbox, table = life.mailbox, life.table
        queue: Any = mailbox.queue
        plain = class_of(queue) is deque and len(queue) == 1 and mailbox.lifetime is None
        if mailbox.attention or not plain or table is None:
            return None
        envelope: Envelope = queue[0]
        handler, args, kwargs, reply, _, options = envelope
        if options is not None or (reply is not None and reply.done()):
            return None
        instance = life.instance
        result: Any = None
        try:
            function, way, name, attribute = table[handler]
            if (way is not True and way is not False) or getattr(class_of(instance), name) is not attribute:
                return None
        except Exception:  # not asked for before, without a hash, or gone from the class
            return None
        CURRENT.set(life)
        life.task = carrier.task
        life.in_hand = envelope
        queue.popleft()
        self.left -= 1
        self._serving = True
        try:
            result = function(instance, *args, **kwargs) if kwargs else function(instance, *args)
        except BaseException as error:
            return FirstStep(envelope, error=error)
        if way:
            if carrier.scope is None:
                carrier.scope = self.backend.scope()
                carrier.scope.__enter__()
            life.kill_scope = carrier.scope
            if type(result) is not CoroutineType or mailbox.attention:
                return FirstStep(envelope, result)
            try:
                waits_for: Any = cast(Any, result).send(None)
            except StopIteration as end:
                result = end.value
            except BaseException as error:
                return FirstStep(envelope, error=error)
            else:
                return FirstStep(envelope, result, waits_for, begun=True)
        elif awaitable(result):
            return FirstStep(envelope, result)
        if reply is None:
            mailbox.handled += 1
        else:
            settle(life, mailbox, envelope, result, None, isolated=False)
        life.in_hand = None
        if mailbox.credits < LOW:
            mailbox.replenish()
        if mailbox.attention or queue or not carrier.can_be_shared():
            return None
        life.task = life.kill_scope = None
        mailbox.waker = life
        self._serving = False
        return DONE

    async def _turn(self, carrier: Carrier) -> None:
        """Let the loop turn."""
        carrier.coming = self._summoned = True
        await self.backend.checkpoint()
        carrier.coming = self._summoned = False
        self.left = BATCH


def _build(life: Incarnation) -> BaseException | None:
    CURRENT.set(life)
    return build(life)
