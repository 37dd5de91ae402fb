"""A whole tree that runs: its tasks, its events, its budget, and how it ends."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, NamedTuple

import anyio

from supervise._backends import give
from supervise.actor.run_queue import RunQueue
from supervise.errors import GaveUp, StartFailed
from supervise.journal.bus import Bus
from supervise.journal.crash_log import CrashLog
from supervise.journal.event_log import EventLog
from supervise.journal.facts import Lives
from supervise.log import say
from supervise.mailbox.dead_letters import DeadLetters, OnDeadLetter
from supervise_strategies.directives import Cause, StopMode
from supervise_strategies.exception import exc_info_of, interrupts, leaves
from supervise_strategies.exit_reason import SHUTDOWN, ExitKind, ExitReason, describe
from supervise_strategies.kind import is_of, name_of_kind
from supervise_strategies.restart import Draw, draw

from .agenda import Agenda
from .branch import BranchPlace
from .deadlines import Deadlines
from .node import Node
from .recorder import FlightRecorder, Recorder
from .registry import Registry
from .starts import Starts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from supervise._backends import Backend, Handle
    from supervise.events import Listener
    from supervise.journal.bus import OnCrash
    from supervise.mailbox.instrument import Instruments

    from .branch import Place
    from .description import Description
    from .host import Host

GRACE = 5.0  # seconds for an ordered stop when the tree is cancelled from outside, if its own budget isn't shorter


class WrongTask(RuntimeError):
    """A tree is left in another task than it was entered in."""


class TreeEnded(NamedTuple):
    """How a tree ended: what `app.ended` says, which is None while the tree runs.

    `cause` is what made it end, `reason` how that looked from above. `str()` says both.

    >>> async with Supervisor("app") as app:
    ...     names = await app.start(list)
    ...     await names.send(lambda names: current().stop_tree("done for today"))
    ...     await app.wait()
    >>> print(app.ended)
    self: shutdown (done for today)
    """

    reason: ExitReason
    cause: Cause

    def __str__(self) -> str:
        return f"{self.cause.value}: {self.reason}"


class Tree:
    """The root of everything: what `async with Supervisor(…)` opens and closes.

    How it ends, in the host's task:

    - The body left: the tree is stopped in order, and waited for. Nothing of it is left then.
    - The tree ended by itself (give-up, auto-shutdown, `stop_tree`): the body is cancelled through a scope of our own; what
      the scope's exit says decides between our own end and a cancellation that came from outside at the same time.
    - A cancellation from outside: stopped in order under a shield, for at most 5 s or the budget, then by cancellation. A
      second one, as the second Ctrl-C is, cancels all at once.
    - The host's task, or the loop, goes away: asyncio then cancels all tasks there are, in any order, and some may not even
      have begun. So who was told to end, and can't say so, is looked for.
    """

    def __init__(
        self,
        backend: Backend,
        description: Description,
        listener: Listener | None,
        handle: Callable[[BranchPlace], object],
        instruments: Instruments | None = None,
        on_dead_letter: OnDeadLetter | None = None,
        on_crash: OnCrash | None = None,
        log_arguments: bool = False,
        recorder: Recorder | None = None,
    ) -> None:
        self.backend = backend
        self.began: float = backend.now()
        self.runs: RunQueue = RunQueue(backend)
        backend.runs = self.runs
        self.instruments: Instruments | None = instruments
        self.handle = handle
        self.host: object = backend.current_task()
        self.hosted: Host | None = None
        self.unwatch: Callable[[], object] = _nothing
        self.on_forgotten: tuple[Callable[[BranchPlace, Place], object], ...] = ()
        """Told of what is listed nowhere any more, after its last message: for who sums up. They neither raise nor wait."""
        self.bus: Bus = Bus(self.fatal, EventLog(backend.now, backend.call_at), on_crash, log_arguments=log_arguments)
        self.recorder: FlightRecorder | None = None if recorder is None else FlightRecorder(self, recorder)
        self.lives: Lives = self.bus.facts.lives("")  # of the root alone
        backend.pass_up = self.fatal
        if listener is not None:
            self.bus.subscribe(listener)
        self.dead_letters: DeadLetters = DeadLetters(self.bus, backend.call_at, on_dead_letter)
        self.crash_log: CrashLog = CrashLog()
        self.starts: Starts = Starts(backend)
        self.deadlines: Deadlines = Deadlines(backend)
        self.agenda: Agenda = Agenda(self.bus, self.broken)
        self.draw: Draw = draw
        self.root: BranchPlace = BranchPlace(self, None, description.name, description)
        self.registry: Registry = Registry()
        self.ended: TreeEnded | None = None
        self.ending: anyio.Event = anyio.Event()
        self.over: anyio.Event = anyio.Event()
        self._ready = backend.future()
        self._scope = anyio.CancelScope()
        self._budget = description.shutdown_budget
        self._budget_ends = math.inf
        self._budget_timer: Handle | None = None
        self.in_body: bool = False
        self._error: BaseException | None = None
        self._broken: BaseException | None = None
        self._look: Handle | None = None  # for those who can't say that they have ended
        self._look_again = 0.05  # seconds
        self._root_node: Node | None = None
        self._recorded = False
        self._record: Path | None = None

    def new_node(self, branch: BranchPlace, number: int) -> Node:
        node = Node(self, branch, number)
        if branch is self.root:
            self._root_node = node
        return node

    # -- begin -------------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Start the whole tree; return when all of it is ready. Raises StartFailed, and leaves nothing behind."""
        await self.backend.open()
        self._scope.__enter__()
        self.root.start(None, 1)
        try:
            await self._ready
        except BaseException as error:
            self._note(error)
            await self._stop_shielded()
            self._scope.__exit__(*exc_info_of(error))
            await self.backend.close()
            if is_of(self._error, KeyboardInterrupt):  # it passes up, though this was cancelled before
                raise self._error from None
            raise
        node = self._root_node
        if self.ended is not None and (node is None or not node.ready):
            self._scope.__exit__(None, None, None)
            await self.backend.close()
            cause, self._error = self._error, None
            if self._broken is not None:
                raise self._broken
            if is_of(cause, KeyboardInterrupt, SystemExit):
                raise cause
            if self.ended.cause is Cause.GAVE_UP:
                cause = self._gave_up()
            raise StartFailed(f"supervisor {self.root.name!r} didn't start: {self._why_not()}") from cause
        self.in_body = True
        if self.ended is not None:  # ready, and over before the host could look: the body is cancelled where it first waits
            self._scope.cancel()

    def _why_not(self) -> str:
        """Why it ended before it was ready."""
        assert self.ended is not None
        reason, cause = self.ended
        if reason.detail:
            return reason.detail
        if cause is Cause.AUTO_SHUTDOWN:
            return "a significant child ended, which ends its supervisor, before all were ready"
        return "it was stopped before it was ready"

    def started(self) -> None:
        """The root is ready, or over."""
        give(self._ready, None)

    # -- end ---------------------------------------------------------------------------------------------------------

    def stop(self, reason: ExitReason = SHUTDOWN, cause: Cause = Cause.ASKED) -> None:
        """Stop everything in order, within the budget. Idempotent; returns at once."""
        node = self.root.node
        if node is None:
            return
        node.step(node.machine.stop, self.backend.now(), mode=StopMode.FINAL, reason=reason, cause=cause)

    def begin_to_end(self) -> None:
        """The root stops, whatever made it: a give-up has to be over in time too. The budget runs from here on. Idempotent."""
        if self.ending.is_set():
            return
        self.ending.set()
        if self.root.instrument is not None:
            self.root.instrument.asked_to_stop()
        if self._budget is not None:
            self._budget_ends = self.backend.now() + self._budget
            self._budget_timer = self.backend.call_at(self._budget_ends, self.kill)

    def stop_from_inside(self, why: str) -> None:
        """An actor asked for the end of the whole tree."""
        self.stop(ExitReason(ExitKind.SHUTDOWN, why), Cause.SELF)

    def fatal(self, error: BaseException) -> None:
        """KeyboardInterrupt and SystemExit stop the tree in order and leave it as they are; Ctrl-C once more, at once."""
        error = next((leaf for leaf in leaves(error) if is_of(leaf, KeyboardInterrupt, SystemExit)), error)
        first, self._error = self._error, error
        if is_of(first, KeyboardInterrupt):
            self._error = first
        if interrupts(error) and self.ending.is_set():
            if error is not first:  # a nursery tells of each of its errors twice: at once, and when it has ended
                self.kill()
        else:
            self.stop(ExitReason(ExitKind.SHUTDOWN, name_of_kind(type(error))), Cause.SELF)

    def broken(self, error: BaseException) -> None:
        """The library itself failed. Nothing is certain any more, so all is cancelled, and the error leaves the tree."""
        if self._broken is not None:
            return
        self._broken = error
        if not interrupts(error):  # which may strike anywhere, on asyncio, and is nobody's bug
            text = "%s: a bug in supervise: %s; the tree is cancelled"
            say(logging.CRITICAL, text, self.root.path, error, error=error, pass_up=self.fatal)
        self.kill()

    def kill(self) -> None:
        """Cancel everything that lives, at once: the budget is spent, somebody insists, or nothing is certain any more."""
        if self.ended is not None:
            if not self.over.is_set():  # Ctrl-C struck meanwhile
                self._wind_up()
            return
        node = self.root.node
        if node is not None:
            node.step(node.machine.stop, self.backend.now())
            node.kill_all()
        if self._look is None:
            self._look = self.backend.call_at(self.backend.now() + self._look_again, self._look_for_dead)

    def _look_for_dead(self) -> None:
        """Some may have ended and can't say so: their task was cancelled before it began, or what failed is who would hear."""
        if self.ended is not None:
            return
        waiting = self.runs.look()
        for place in self.root.actors():
            place.bury(waiting)
            place.cancel_again()  # Ctrl-C may have struck in the middle of the first time
        if self._broken is not None and not self.root.alive():
            self.finished(ExitReason(ExitKind.CRASHED, describe(self._broken)), Cause.SELF, None)
            return
        self._look_again = min(1.0, 2 * self._look_again)
        self._look = self.backend.call_at(self.backend.now() + self._look_again, self._look_for_dead)

    def budget_left(self) -> float:
        """Seconds that an ordered stop of the whole tree may still take."""
        return math.inf if self._budget_ends == math.inf else max(0.0, self._budget_ends - self.backend.now())

    def finished(self, reason: ExitReason, cause: Cause, error: BaseException | None) -> None:
        """The root is done: nothing of the tree runs any more."""
        if self._error is None:
            self._error = error
        self.ended = TreeEnded(reason, cause)
        self._wind_up()

    def _wind_up(self) -> None:
        """Tell all who wait that it is over. It may be done again, if it was struck in the middle."""
        assert self.ended is not None
        for timer in (self._budget_timer, self._look):
            if timer is not None:
                timer.cancel()
        self.starts.end()
        self.runs.end()
        self.backend.errands.close()
        self.root.forget()
        self.dead_letters.end()
        self.bus.end()
        if self.recorder is not None and self.ended.cause is Cause.GAVE_UP and not self._recorded:
            self._recorded = True
            self.bus.then(self._record_give_up)  # when all has been told of it
        self.over.set()
        self.started()
        if self.in_body and (self.ended.cause is not Cause.ASKED or self._error is not None or self._broken is not None):
            self._scope.cancel()

    def _record_give_up(self) -> None:
        if self.recorder is not None:
            try:
                self._record = self.recorder.record_at_end("it gave up")
            except BaseException as struck:  # Ctrl-C, where its thread is waited for
                self.fatal(struck)

    async def close(self, exc: BaseException | None) -> bool:
        """Leave the body: stop what runs, and say whether `exc` was only our own cancellation of the body.

        In another task than the one that entered, the tree is stopped all the same; then RuntimeError. What that task has
        opened, it alone can close.
        """
        self.in_body = False
        if self.backend.current_task() is not self.host:
            await self._refuse_to_leave()
        outer: BaseException | None = None
        if self.ended is None:
            self.stop()
            if is_of(exc, self.backend.cancelled):
                await self._stop_shielded()
            else:
                try:
                    await self.over.wait()
                except BaseException as again:  # it is cancelled from outside; or Ctrl-C, once more
                    outer = again
                    if not is_of(again, self.backend.cancelled):
                        self._note(again)
                        self.kill()
                    await self._stop_shielded()
        leaving = exc if outer is None else outer
        swallowed, rest = False, None
        try:
            swallowed = bool(self._scope.__exit__(*exc_info_of(leaving)))
        except BaseException as raised:  # trio took our cancellation out of the body's group: what is left is the body's own
            rest = leaving = exc = raised
        await self.backend.close()
        error, self._error = self._error, None
        if self._broken is None and is_of(error, KeyboardInterrupt, SystemExit):  # also where it was cancelled from outside
            raise error
        if outer is not None and not swallowed:
            raise outer
        if is_of(leaving, self.backend.cancelled) and not swallowed:
            return False
        if self._broken is not None:
            raise self._broken
        if self.ended is not None and self.ended.cause is Cause.GAVE_UP:
            self._raise_gave_up(None if swallowed else exc)
        if rest is not None:
            raise rest
        return swallowed

    async def _refuse_to_leave(self) -> None:
        self.stop()
        await self.over.wait()
        self.backend.empty()
        raise WrongTask(
            f"the `async with` of supervisor {self.root.name!r} was left in another task than it was entered in, as some test "
            "fixtures and notebooks do; the tree is stopped. There, use `app = await tree.open()` and `await app.close()`"
        )

    def _raise_gave_up(self, body: BaseException | None) -> None:
        gave_up = self._gave_up()
        try:
            raise gave_up
        finally:
            gave_up.__context__ = body  # the body's own error, never our cancellation of it

    def _gave_up(self) -> GaveUp:
        crashes = self._root_node.crashes if self._root_node is not None else ()
        return GaveUp(self.root.name, crashes, self._record)

    async def _stop_shielded(self) -> None:
        """In order, for a while, although the host is cancelled; then by cancellation; then as long as it takes.

        A native cancel() pierces the shield, and Ctrl-C is raised where the main task waits. The tree isn't left alone for
        it, but is cancelled at once.
        """
        self.stop()
        grace = GRACE if self._budget is None else min(GRACE, self._budget)
        timer = self.backend.call_at(self.backend.now() + grace, self.kill)
        with anyio.CancelScope(shield=True):
            while self.ended is None:
                try:
                    await self.over.wait()
                except BaseException as again:
                    if is_of(again, GeneratorExit, Exception):  # the loop is gone, or is another one: nobody can wait here
                        raise
                    self._note(again)
                    self.kill()
        timer.cancel()

    def _note(self, error: BaseException) -> None:
        """What struck the host while it waited is what leaves, in the end."""
        for leaf in leaves(error):
            if is_of(leaf, KeyboardInterrupt):
                self._error = leaf


def _nothing() -> None:
    pass
