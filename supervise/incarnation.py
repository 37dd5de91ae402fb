"""One life of an actor on its mailbox: built by its factory, one message at a time, until it ends for one reason.

Theory of operation
-------------------
An actor's task runs one incarnation after another, as long as they can share it (`live`). An incarnation goes through

    factory -> enter hook -> ready -> messages -> nursery ended -> exit hook -> what was in hand settled -> decision

in that order and in that one task, so two incarnations never overlap, and a decision is only made when nothing of the old
one is left. Every other task speaks to it by flags: `stop` (after the message in hand), `kill` (now), `fail` (a task of the
nursery raised). Flags are raised synchronously, and looked at before each message.

Cancellation, which decides about everything else:

- A parked actor is ended by flag and wake-up, never by cancellation: a reader that is cancelled natively loses what was just
  handed over (tried). Only a handler that runs is cancelled, through the *kill scope*: entered before the task's first async
  handler, kept over restarts in the same task (one per message would make a send 7 times as dear).
- An actor that is an async context manager has a *life scope* around all of it, entered before the enter hook, left after
  the exit hook; a scope put around the exit hook alone corrupts the stack when the enter hook had opened a task group.
- "Was it asked for?" is decided by our own flag, never by the exception's type: on asyncio, a handler that awaits a foreign
  cancelled task sees the very same exception as one that is killed.
- A crash whose `finally` awaits in a cancelled scope is masked by the cancellation; the cause is then in `__context__`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextvars import Context, copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from supervise_strategies.exit_reason import KILLED, NORMAL, ExitKind, ExitReason, crashed, describe, leaves

from .crew import Crew
from .envelope import Envelope, Options
from .envelope import describe as describe_message
from .errors import ActorCrashed, ActorStopped, IgnoreStart, UnknownHandler
from .events import Expected, logger
from .handler import Concurrency, awaitable, class_of, resolve, table_for
from .lane import LOW, Lane, MessageQueue
from .nursery import Nursery
from .turn import CURRENT, Life, Turn

if TYPE_CHECKING:
    from ._backends import Future, Handle, Scope
    from .events import Event
    from .instrument import Find
    from .mailbox import Mailbox
    from .reading import Reading
    from .timers import Timers

TURN: Final = 128  # messages without a yield: a 1 ms timer is at most 0.1 ms late behind a long queue


class Owner(Protocol):
    """The logical actor that the incarnation is a life of, as far as an incarnation needs it."""

    mailbox: Mailbox

    @property
    def factory(self) -> Callable[..., Any]: ...
    @property
    def args(self) -> tuple[Any, ...]: ...
    @property
    def expects(self) -> tuple[type[BaseException], ...]: ...
    @property
    def end_within(self) -> float: ...
    @property
    def redeliver(self) -> int: ...
    def started(self, incarnation: Incarnation) -> None: ...
    def ended(
        self, incarnation: Incarnation, reason: ExitReason, error: BaseException | None, *, ignored: bool
    ) -> Incarnation | None:
        """All is over; the answer is the next incarnation, if it is to run in the same task."""
        ...

    def kill(self) -> None:
        """Its end takes too long: cancel it, and say so if it still runs then."""
        ...

    def fatal(self, error: BaseException) -> None: ...
    def publish(self, event: Event) -> None: ...
    def find(self, key: Any) -> Any: ...
    def supervisor(self, key: Any) -> Any: ...
    def stop_tree(self, why: str) -> None: ...


class Incarnation(Life):
    """One life. Made, with its flags, before its task runs, so that a stop which lands in between isn't lost."""

    __slots__ = (
        "_crew",
        "_culprit",
        "_end_timer",
        "_kill_scope",
        "_lane",
        "_life_scope",
        "_made",
        "_manager",
        "_nursery",
        "_over",
        "_shareable",
        "_signal",
        "_throttle_timer",
        "draining",
        "failure",
        "instance",
        "killed",
        "number",
        "ordered",
        "owner",
        "patient",
        "readers",
        "running",
        "stop_reason",
        "timers",
    )
    task: object
    in_hand: Envelope | None

    def __init__(self, owner: Owner, number: int) -> None:
        super().__init__(owner.mailbox, exclusive=True)
        self.owner: Owner = owner
        self.number: int = number
        self.instance: Any = None
        self.running: bool = False  # its start has succeeded
        self.stop_reason: ExitReason | None = None
        self.draining: bool = False
        self.ordered: bool = False  # its supervisor asked for the end, and keeps the time
        self.killed: bool = False
        self.failure: BaseException | None = None
        self.timers: Timers | None = None  # made on first use
        self.readers: set[Reading] | None = None
        self._signal = False  # one of the flags above is up: look before the next message
        self._shareable = True  # a successor may run in the same task, as far as it is known
        self._nursery: Nursery | None = None
        self._crew: Crew | None = None
        self._culprit: Envelope | None = None  # the message whose handler raised
        self._lane: Lane | None = None  # that the message in hand came from, if there are several
        self._throttle_timer: Handle | None = None
        self._over: list[Future] | None = None
        self.patient: bool = False  # its nursery may finish
        self._made: Any = None  # by the factory, and not an actor yet
        self._manager: Any = None  # the async context manager that was entered
        self._kill_scope: Scope | None = None
        self._life_scope: Scope | None = None
        self._end_timer: Handle | None = None

    # -- flags: raised from anywhere in the loop's thread ------------------------------------------------------------

    def stop(self, reason: ExitReason, *, drain: bool = False) -> None:
        """End after the message in hand (`drain`: after all that are queued). The last reason given is the one that counts."""
        self.stop_reason = reason
        # An actor's own stop() doesn't throw away what its supervisor lets it drain; one that was killed, or has crashed,
        # begins no message any more.
        self.draining = (drain or self.draining) and not self.killed and self.failure is None
        self._signal = self.mailbox.attention = True
        if self._nursery is not None and not drain:
            self._nursery.cancel()
        for reading in self.readers or ():  # a source is an intake, even where the nursery may go on
            reading.scope.cancel()
        self.mailbox.wake()

    def leave(self, grace: float | None) -> Future:
        """Take in nothing more, handle what waits, let the nursery finish, and end; what still runs after `grace` is killed."""
        mailbox, backend = self.mailbox, self.mailbox.backend
        ended = backend.future()
        self._over = [*(self._over or ()), ended]
        mailbox.refuse("stopped")
        self.patient = True
        self.stop(NORMAL, drain=True)
        within = self.owner.end_within if grace is None else grace
        if self._end_timer is not None:
            self._end_timer.cancel()
            self._end_timer = None
        if within < math.inf:
            self._end_timer = backend.call_at(backend.now() + within, self._overdue)
        return ended

    def kill(self) -> None:
        """End now, as somebody outside of the tree would have it."""
        self.owner.kill()

    def cancel(self) -> None:
        """End now: what runs is cancelled. The exit hook still runs, in a cancelled scope."""
        self.killed = True
        self._interrupt()
        if self._life_scope is not None:
            self._life_scope.cancel()

    def fail(self, error: BaseException) -> None:
        """A task of the nursery raised: the incarnation has crashed, and its handler in hand is cancelled.

        Told again when the nursery has ended, with what all of its tasks raised.
        """
        self._pass_up(error)
        if not self.killed:
            first, self.failure = self.failure is None, error
            if first:
                if self.mailbox.instrument is not None:
                    self.mailbox.instrument.failed()
                self._interrupt()

    def _fail_first(self, error: BaseException) -> None:
        """A concurrent handler raised: its caller is told what, and not the group that comes of it when all have ended."""
        if self.failure is None:
            self.fail(error)
        else:
            self._pass_up(error)

    def _interrupt(self) -> None:
        self._signal = self.mailbox.attention = True
        self.draining = False
        if self._nursery is not None:
            self._nursery.cancel()
        if self._crew is not None:
            self._crew.cancel()
        if self.mailbox.waker is not None and self.mailbox.turn is self:
            self.mailbox.wake()
        elif self._kill_scope is not None:
            self._kill_scope.cancel()
        elif not self.running and self._life_scope is not None:  # its factory, or its enter hook
            self._life_scope.cancel()

    @property
    def stopping(self) -> bool:
        """Whether it was asked to end."""
        return self._signal

    def nursery(self) -> Nursery:
        """The incarnation's task group, made on first use."""
        if self._nursery is None:
            self._nursery = Nursery(self.mailbox, Aside(self), self.fail)
            if self._signal and not self.draining:
                self._nursery.cancel()
        return self._nursery

    # -- the task ----------------------------------------------------------------------------------------------------

    async def live(self) -> None:
        """Run this incarnation, and its successors as long as they can share the task.

        One flat coroutine: each nested frame that is suspended while the actor is idle costs 140 to 400 bytes.
        """
        mailbox = self.mailbox
        backend = mailbox.backend
        task = backend.current_task()
        life: Incarnation | None = self
        envelope: Any = None
        handler: Any = None
        args: Any = None
        kwargs: Any = None
        reply: Any = None
        options: Any = None
        found: Any = None
        function: Any = None
        result: Any = None
        find: Find = resolve
        while life is not None:
            CURRENT.set(life)
            life.task = task
            error = life._build()
            if life._made is not None:
                error = await life._enter()
            instance = life.instance
            actor = class_of(instance)
            table = table_for(actor)
            if mailbox.instrument is not None:
                table, find = mailbox.instrument.finder(life)
            left = TURN
            while error is None:
                queue = mailbox.queue
                batch = len(queue)
                if mailbox.attention:
                    looked = life._look()
                    if looked is None:
                        break
                    queue, batch = looked
                if not batch:
                    lifetime = mailbox.lifetime
                    if lifetime is not None and not lifetime.open and not mailbox.waiting and not mailbox.reserved:
                        life.stop_reason = life.stop_reason or NORMAL
                        break
                    mailbox.waker = waker = backend.future()
                    try:
                        await waker
                    except backend.cancelled as raised:  # its own task group crashed behind it, or somebody cancelled natively
                        mailbox.waker = None
                        error = raised
                    left = TURN
                    continue
                done = 0
                for done in range(1, min(batch, left) + 1):  # noqa: B007 - counted after a break
                    try:
                        life.in_hand = envelope = queue.popleft()
                    except Exception as raised:  # a queue of the user's own
                        life.in_hand = None
                        error = raised
                        break
                    handler, args, kwargs, reply, _, options = envelope
                    if (reply is not None and reply.done()) or (options is not None and not options.begins(backend.now)):
                        mailbox.abandoned += 1
                        life.in_hand = None
                        continue
                    try:
                        try:
                            found = table[handler]
                        except (KeyError, TypeError):  # not asked for before, or without a hash
                            found = None
                        if found is None:
                            found = find(actor, table, handler)
                        function, is_coroutine = found
                        result = function(instance, *args, **kwargs) if kwargs else function(instance, *args)
                        if is_coroutine is True or (is_coroutine is False and awaitable(result)):
                            if life._kill_scope is None:
                                life._enter_kill_scope()
                            result = await result
                        elif is_coroutine is not False:
                            if life._kill_scope is None:
                                life._enter_kill_scope()
                            await life._begin(is_coroutine, envelope, result)
                            if mailbox.attention:
                                break
                            continue
                    except BaseException as raised:
                        if isinstance(raised, GeneratorExit) and life._is_being_closed():
                            raise
                        if not life._survives(envelope, raised, found=found is not None):
                            error = life._leave_kill_scope(raised) if _is_cancellation(raised, backend.cancelled) else raised
                            break
                    else:
                        mailbox.handled += 1
                        if reply is not None and not reply.done():
                            reply.set_result(result)
                    if mailbox.attention:
                        break
                if error is None:
                    life.in_hand = None
                # An idle loop must not pin the last message: an address sent as an argument would stay strong.
                envelope = handler = args = kwargs = reply = options = found = function = result = None
                if mailbox.credits < LOW:
                    mailbox.replenish()
                left -= done
                if left <= 0 and error is None:
                    left = TURN
                    try:
                        await backend.checkpoint()
                    except backend.cancelled as raised:
                        error = life._leave_kill_scope(raised)
            del instance
            if life.running:
                life._out_of_service(error)
            if life._nursery is not None or life._life_scope is not None or life._crew is not None:
                error = await life._leave(error)
            life = life._finish(error)
            error = None

    def can_share(self) -> bool:
        """Whether a successor may run in this incarnation's task: nothing of it is left there."""
        scope = self._kill_scope
        if not self.number % TURN:  # a start that always fails at once would never let anybody else run
            return False
        return self._shareable and (scope is None or not scope.cancel_called)

    def succeed(self, predecessor: Incarnation) -> None:
        """Take over the predecessor's task, with the kill scope that is open in it."""
        self._kill_scope = predecessor._kill_scope
        predecessor._kill_scope = None

    def _build(self) -> BaseException | None:
        """Call the factory; what it made is the actor, or has to be entered or awaited first."""
        mailbox = self.mailbox
        mailbox.turn = self
        mailbox.attention = True  # whatever was so before
        if self.killed:
            return None
        try:
            made = self.owner.factory(*self.owner.args)
            if _is_manager(made) or awaitable(made):
                self._shareable = False
                self._made = made
            else:
                self._ready(made)
        except BaseException as error:
            return error
        return None

    async def _enter(self) -> BaseException | None:
        """A factory that has to be awaited, or an actor that is an async context manager: all inside one life scope."""
        made, self._made = self._made, None
        self._life_scope = scope = self.mailbox.backend.scope()
        scope.__enter__()
        try:
            if self.killed:  # by what the factory itself did, before there was a scope to be cancelled
                scope.cancel()
            if awaitable(made):
                made = await made
            kind = class_of(made)
            if not hasattr(kind, "__aenter__"):
                self._ready(made)
                return None
            instance = await kind.__aenter__(made)
            self._manager = made
            if instance is None:
                raise TypeError(
                    f"{kind.__qualname__}.__aenter__ returned None, and what it returns is the actor: `return self`"
                )
            self._ready(instance)
        except BaseException as error:
            if isinstance(error, GeneratorExit) and self._is_being_closed():
                raise
            return error
        return None

    async def _leave(self, error: BaseException | None) -> BaseException | None:
        """End what the incarnation has besides itself: nursery, exit hook, life scope. The answer is what it ends with."""
        raised: BaseException | None = None
        try:
            if self._life_scope is not None:
                self._leave_kill_scope(None)  # it was entered inside of the life scope
                if self._manager is None:
                    error = self._leave_life_scope(error, error)
            bad = error is not None or self.failure is not None or self.killed
            if self._crew is not None:
                self._arm_end_timer()
                await self._crew.end(cancel=bad)
            if self._nursery is not None:
                self._arm_end_timer()
                await self._nursery.end(cancel=bad or not self.patient)
            if self._manager is not None:
                error = await self._exit(error)
        except BaseException as again:
            if isinstance(again, GeneratorExit) and self._is_being_closed():
                raise
            raised = again
        return self._leave_life_scope(error, raised)

    async def _exit(self, error: BaseException | None) -> BaseException | None:
        """Run the exit hook. A cancellation that is ours leaves it as an exception, for the life scope that it belongs to."""
        made, self._manager = self._manager, None
        cause = error or self.failure
        self._arm_end_timer()
        try:
            await class_of(made).__aexit__(
                made, None if cause is None else type(cause), cause, None if cause is None else cause.__traceback__
            )
        except BaseException as raised:
            self._pass_up(raised)
            cancelled = self.mailbox.backend.cancelled
            if _is_cancellation(raised, cancelled):
                if self.killed:
                    raise
                return error or raised
            if cause is None or _is_cancellation(cause, cancelled):
                return raised
            if raised is not cause:
                logger.error("%s #%d: its exit hook raised %s", self.mailbox.path, self.number, describe(raised))
        return error

    def _leave_life_scope(self, error: BaseException | None, raised: BaseException | None) -> BaseException | None:
        """Leave it, if there is one, as `with` would; `error` is what stands besides what was `raised` through it."""
        scope, self._life_scope = self._life_scope, None
        if scope is None:
            return raised or error
        try:
            caught = scope.__exit__(
                None if raised is None else type(raised), raised, None if raised is None else raised.__traceback__
            )
        except BaseException as again:  # an exit hook left a scope or a group open; or a group whose remains are raised
            return again
        return error if caught else raised or error

    def _finish(self, error: BaseException | None) -> Incarnation | None:
        """All of it has ended: settle what was in hand, and ask what follows."""
        mailbox = self.mailbox
        if self._end_timer is not None:
            self._end_timer.cancel()
        if self._throttle_timer is not None:
            self._throttle_timer.cancel()
        if self.timers is not None:
            self.timers._end()
        reason, error = self._judge(error)
        self.instance = None
        mailbox.turn = None
        mailbox.restarting = True
        instrument, culprit = mailbox.instrument, self._culprit
        self._settle(reason, error)
        self._pass_up(error)
        # The context then holds one variable, the turn; another one was set by a handler, and mustn't leak. 31 ns.
        self._shareable = self._shareable and len(copy_context()) == 1
        if instrument is not None:
            passage = None if culprit is None or culprit[5] is None else culprit[5].passage
            instrument.ends(self, passage, reason, error)
        ignored = not self.running and isinstance(error, IgnoreStart)
        successor = self.owner.ended(self, reason, error, ignored=ignored)
        if instrument is not None:
            instrument.ended()
        self.failure = error = None
        for ended in self._over or ():
            if not ended.done():
                ended.set_result(reason)
        if successor is None:
            self._leave_kill_scope(None)
        self.task = None
        return successor

    def _look(self) -> tuple[MessageQueue, int] | None:
        """Look around: where the next messages come from, and how many at once. None: a flag says to end."""
        mailbox = self.mailbox
        mailbox.answer_pings()
        if self._signal and not (self.draining and mailbox.waiting):
            return None
        if mailbox.plain:
            mailbox.attention = self._signal
            mailbox.admit(leaving=1 if mailbox.queue else 0)
            return mailbox.queue, len(mailbox.queue)
        lost = mailbox.lifetime is not None and not mailbox.lifetime.open  # nobody is left who could resume it
        lane = None if mailbox.paused and not self._signal and not lost else mailbox.choose()
        if lane is None:
            return mailbox.queue, 0
        if self._throttle_timer is not None:
            self._throttle_timer.cancel()
            self._throttle_timer = None
        rest = mailbox.hold_back()
        if rest > 0:
            backend = mailbox.backend
            self._throttle_timer = backend.call_at(backend.now() + rest, mailbox.wake)
            return mailbox.queue, 0
        self._lane = lane
        lane.admit(leaving=1)
        if lane is not mailbox:
            lane.replenish()
        return lane.queue, 1

    async def _begin(self, concurrency: Concurrency, envelope: Envelope, coroutine: Any) -> None:
        """Hand a message over to the crew."""
        if self._crew is None:
            self._crew = Crew(partial(Aside, self), self._answer, self._fail_first)
        try:
            await self._crew.take(concurrency, self._lane or self.mailbox, envelope, coroutine)
        finally:
            self.in_hand = None

    def _answer(self, envelope: Envelope, result: Any, error: BaseException | None, isolated: bool) -> bool:
        """A concurrent handler has ended; False: its message is settled with the incarnation, as it crashes or is killed."""
        mailbox, reply = self.mailbox, envelope[3]
        if error is None:
            mailbox.handled += 1
            if reply is not None and not reply.done():
                reply.set_result(result)
            return True
        if self._tolerates(error) or (isolated and isinstance(error, Exception)):
            self._tell(envelope, error)
            return True
        if self._culprit is None and not _is_cancellation(error, mailbox.backend.cancelled):
            self._culprit = envelope
        return False

    def _out_of_service(self, error: BaseException | None) -> None:
        """No message is begun any more: calls that don't wait for the next life fail now, before nursery and exit hook end."""
        self.mailbox.restarting = True
        if error is not None or self.failure is not None or self.killed:
            self.mailbox.crashed()

    def _arm_end_timer(self) -> None:
        """What ends by itself has the same time for nursery and exit hook that an ordered stop would give it."""
        within = self.owner.end_within
        if self._end_timer is None and not self.ordered and not self.killed and within < float("inf"):
            backend = self.mailbox.backend
            self._end_timer = backend.call_at(backend.now() + within, self._overdue)

    def _overdue(self) -> None:
        if not self.killed:
            self.owner.kill()  # rather than itself: its owner reports what outlives that

    def _ready(self, instance: Any) -> None:
        if instance is None:
            raise TypeError(f"the factory of {self.mailbox.path} returned None: it has to return the actor")
        self.instance = instance
        self.running = True
        self.mailbox.restarting = False
        if self.mailbox.instrument is not None:
            self.mailbox.instrument.started(instance)
        self.owner.started(self)

    def _enter_kill_scope(self) -> None:
        """Before the task's first async handler."""
        self._kill_scope = scope = self.mailbox.backend.scope()
        scope.__enter__()
        if self.killed or self.failure is not None:  # by what the function did that made the coroutine
            scope.cancel()

    def _leave_kill_scope(self, error: BaseException | None) -> BaseException | None:
        """Leave the scope as the exception itself would; the answer is what is left of it."""
        scope, self._kill_scope = self._kill_scope, None
        if scope is None:
            return error
        try:
            scope.__exit__(
                type(error) if error is not None else None, error, error.__traceback__ if error is not None else None
            )
        except BaseException as raised:  # a handler left a scope or a group open; or a group whose remains are raised
            return raised
        return error

    def _pass_up(self, error: BaseException | None) -> None:
        """KeyboardInterrupt and SystemExit end more than an actor, wherever they were raised."""
        if error is None or isinstance(error, Exception):  # whose groups hold nothing else
            return
        for leaf in leaves(error):
            if isinstance(leaf, KeyboardInterrupt | SystemExit):
                self.owner.fatal(leaf)

    def _is_being_closed(self) -> bool:
        """Whether GeneratorExit comes from outside: the loop is gone, and nothing may be awaited any more."""
        try:
            return self.mailbox.backend.current_task() is not self.task
        except RuntimeError:  # no loop runs
            return True

    def _survives(self, envelope: Envelope, error: BaseException, *, found: bool) -> bool:
        """Whether the actor lives on after what its handler raised: the caller is told, or it is said and counted."""
        if not found and isinstance(error, UnknownHandler):  # one that the handler itself met is a crash
            self.in_hand = None  # before anybody is told, who may look at the account
            self.mailbox.cut(envelope, error, str(error))
            return True
        if not self._tolerates(error):
            if not _is_cancellation(error, self.mailbox.backend.cancelled):
                self._culprit = envelope
            return False
        self.in_hand = None
        self._tell(envelope, error)
        return True

    def _tolerates(self, error: BaseException) -> bool:
        """Whether it is one of the answers that the child `expects`."""
        expects = self.owner.expects
        if not expects or not isinstance(error, expects) or isinstance(error, KeyboardInterrupt | SystemExit):
            return False
        return not _is_cancellation(error, self.mailbox.backend.cancelled)

    def _tell(self, envelope: Envelope, error: BaseException) -> None:
        """A handler raised, and the actor lives on: its caller gets the exception; for a send, it is said and counted."""
        mailbox, reply = self.mailbox, envelope[3]
        mailbox.failed += 1
        if reply is None:
            self.owner.publish(Expected(mailbox.path, self.number, describe_message(*envelope[:3]), describe(error)))
        elif not reply.done():
            reply.set_exception(_deliverable(error))

    def _judge(self, error: BaseException | None) -> tuple[ExitReason, BaseException | None]:
        """One reason for the end, and the exception that stands behind it."""
        if self.failure is not None:
            error = self.failure
        cancelled = self.mailbox.backend.cancelled
        if error is not None and not _is_cancellation(error, cancelled):
            return crashed(error), error
        masked = _masked(error, cancelled)
        if self.killed:
            return (KILLED if masked is None else ExitReason(ExitKind.KILLED, describe(masked))), None
        if error is not None:
            self._shareable = False  # asyncio counts a native cancel(), and the count stays with the task
            if masked is not None:
                return crashed(masked), masked
            return ExitReason(
                ExitKind.CRASHED, f"{type(error).__name__}: cancelled, and nobody of the tree asked for it"
            ), error
        return self.stop_reason or NORMAL, None

    def _settle(self, reason: ExitReason, error: BaseException | None) -> None:
        """What was in hand has ended with the incarnation, or goes back; queued calls that don't wait for the next one fail."""
        held = self._held()
        self.in_hand = self._crew = None
        culprit, self._culprit = self._culprit, None
        if held:
            # Back to the front in the order in which they were handed over, so the last one first.
            for lane, envelope in reversed(held):
                if not (reason.abnormal and self._redelivers(lane, envelope, envelope is culprit)):
                    self._cut(envelope, reason, error)
        if reason.abnormal:
            self.mailbox.crashed()

    def _held(self) -> list[tuple[Lane, Envelope]]:
        """All that is in hand, in the order of hand-over."""
        held = [] if self._crew is None else [*self._crew.in_hand.values()]
        if self.in_hand is not None:
            held.append((self._lane or self.mailbox, self.in_hand))
        return held

    @property
    def holds(self) -> int:
        return len(self._held())

    def _redelivers(self, lane: Lane, envelope: Envelope, guilty: bool) -> bool:
        """Put it back, if it may be tried again. Only the message whose handler raised has used up one of its tries."""
        allowed = self.owner.redeliver
        handler, args, kwargs, reply, sender, options = envelope
        if not allowed or (reply is not None and reply.done()) or (options is not None and options.on_restart == "fail"):
            return False
        if guilty:
            options = (options or Options())._replace(failures=1 if options is None else options.failures + 1)
            if options.failures > allowed:
                return False
        lane.put_back((handler, args, kwargs, reply, sender, options))
        return True

    def _cut(self, envelope: Envelope, reason: ExitReason, error: BaseException | None) -> None:
        mailbox = self.mailbox
        if envelope[3] is None:
            mailbox.dead_letter(envelope, f"in hand when #{self.number} ended: {reason}")
            return
        if reason.kind is ExitKind.CRASHED:
            failure: Exception = ActorCrashed(mailbox.path, self.number, reason.detail)
            failure.__cause__ = error
        else:
            failure = ActorStopped(f"{mailbox.path} #{self.number} was stopped ({reason}) while it handled this call")
        mailbox.cut(envelope, failure, "")


class Aside(Turn):
    """The turn of an incarnation's nursery tasks: the same actor, with no message in hand but a concurrent handler's own."""

    __slots__ = ("incarnation",)

    def __init__(self, incarnation: Incarnation, envelope: Envelope | None = None) -> None:
        super().__init__(incarnation.mailbox, exclusive=False)
        self.incarnation: Incarnation = incarnation
        self.in_hand: Envelope | None = envelope


def _is_manager(made: Any) -> bool:
    return hasattr(class_of(made), "__aenter__")


def spawn(incarnation: Incarnation) -> None:
    """Begin a new task, with an empty context of its own."""
    mailbox = incarnation.mailbox
    mailbox.backend.spawn(incarnation.live, Context(), mailbox.name)  # its path would be 60 bytes more


def _is_cancellation(error: BaseException, cancelled: type[BaseException]) -> bool:
    """Whether it is nothing else; what leaves a cancelled trio nursery is a group of them."""
    if isinstance(error, Exception):  # a group of exceptions holds nothing else
        return False
    return all(isinstance(leaf, cancelled) for leaf in leaves(error))


def _masked(error: BaseException | None, cancelled: type[BaseException]) -> BaseException | None:
    """The exception that was under way when a cancellation took its place."""
    seen = 0
    while error is not None and seen < 50:
        if not _is_cancellation(error, cancelled):
            return error
        error, seen = error.__context__, seen + 1
    return None


def _deliverable(error: BaseException) -> BaseException:
    """A future can't carry StopIteration: it would end the coroutine that awaits it."""
    if isinstance(error, StopIteration):
        wrapped = RuntimeError(f"the handler raised {describe(error)}")
        wrapped.__cause__ = error
        return wrapped
    return error
