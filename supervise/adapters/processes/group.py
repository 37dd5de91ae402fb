"""One process, and all that it started: from its launch until none of its group runs and nothing more can be heard of it.

Theory of operation
-------------------
The process leads a session, and so a process group, of its own: what it starts belongs to it, and ends with it. It lives in the
keeper's thread, in four phases:

    launched -> its program runs -> the leader has ended, others may run -> all have ended, the pipes may hold something -> over

When the leader ends and nobody asked for it, the rest is killed. After `stop` the rest has the time that it takes, or that
`kill` leaves it. The actor around it, in its event loop, hears of three facts: `begun`, `said` and `over`. They are sent
through the loop in that order, so no task of it need live for them, and nothing that cancels tasks can lose one. What a
process says is read no faster than the actor takes it.

A loop can be closed in the middle of everything, and nothing tells of that: it is looked at once a second, and the group is
killed if it is gone. The actor is only known by a weak reference, and when that is collected it kills, too.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import weakref
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from .keeper import Keeper, keep
from .launch import Launched, Program, launch
from .members import running
from .pipe import PIECE, Pipe
from .status import UNKNOWN

LOOK_AGAIN: Final = 0.05  # seconds between two looks, where the system can't tell
LOOK_WHO_LEFT: Final = 0.5  # seconds: a process can leave its group, and nothing tells of that
LOOK_AT_LOOP: Final = 1.0  # seconds
LAST_WORDS: Final = 1.0  # seconds for what is still in its pipes when all of the group have ended
SLOW_READER: Final = 30.0  # seconds in which a loop that is busy takes what was read for it


class Listener(Protocol):
    """Whom it tells, in the event loop's thread."""

    def begun(self) -> None:
        """The program runs."""
        ...

    def said(self, pipe: int, piece: bytes) -> None:
        """It wrote something, to stdout (0) or stderr (1). No more is read from there until `go_on`."""
        ...

    def over(self, status: int, error: BaseException | None) -> None:
        """None of the group runs, and all was heard. `error`: why it didn't even begin."""
        ...


class Group:
    """All but the private methods can be called in any thread."""

    __slots__ = (
        "__weakref__",
        "_asked",
        "_error",
        "_gathering",
        "_is_over",
        "_keeper",
        "_killed",
        "_listener",
        "_lock",
        "_loop_is_closed",
        "_members",
        "_pidfd",
        "_pipes",
        "_program",
        "_reaped",
        "_report",
        "_round",
        "_silent",
        "_soon",
        "_status",
        "pid",
    )

    def __init__(
        self,
        program: Program,
        soon: Callable[[Callable[[], object]], object],
        loop_is_closed: Callable[[], bool],
        listener: Listener,
    ) -> None:
        self.pid: int = 0
        """Of the process, and of its group."""
        self._program = program
        self._soon = soon
        self._loop_is_closed = loop_is_closed
        self._listener = weakref.ref(listener)
        self._lock = threading.RLock()  # a finalizer may come in between; a signal goes to nobody else's pid
        self._keeper: Keeper | None = None
        self._asked = self._killed = self._reaped = self._is_over = False
        self._gathering = self._silent = False
        self._status = 0
        self._error: BaseException | None = None
        self._pidfd: int | None = None
        self._report: int | None = None
        self._round = 0
        self._pipes: list[Pipe] = []
        self._members: set[int] = set()  # pidfds of those that outlive the leader

    # -- from any thread -----------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Start it. OSError or RuntimeError if the thread for it can't be made; all else is told."""

        def told(keeper: Keeper) -> None:
            self._keeper = keeper

        try:
            keep(self, told)
        except Exception:
            self._keeper = None
            raise

    @property
    def has_begun(self) -> bool:
        """Whether `over` will come, or has."""
        return self._keeper is not None

    def stop(self) -> None:
        """Ask all of it to end."""
        self._asked = True
        self._signal_all(signal.SIGTERM)

    def kill(self) -> None:
        """End all of it, also what isn't there yet. Idempotent."""
        if sys.is_finalizing():  # it has been killed; and the thread was stopped wherever it was, perhaps with a lock
            return
        self._killed = True
        self._signal_all(signal.SIGKILL)
        if self._keeper is not None:
            self._keeper.call(self, self._look_around)

    def send_signal(self, signum: int) -> None:
        """To the process alone; to nobody if it has ended."""
        with self._lock:
            if self.pid and not self._reaped:
                os.kill(self.pid, signum)

    def go_on(self, pipe: int) -> None:
        """What was said is taken: more may come."""
        if self._keeper is not None:
            self._keeper.call(self, self._pipes[pipe].go_on)

    def ask(self, question: Callable[[], object]) -> None:
        """Run something that takes its time in the thread of processes."""
        if self._keeper is not None:
            self._keeper.call(self, question)

    def join(self) -> None:
        """When it is over: wait for its thread, if that has no other process."""
        if self._keeper is not None:
            self._keeper.join()

    def _signal_all(self, signum: int) -> bool:
        """Whether anybody is left to get it; 0 only asks."""
        with self._lock:
            if not self.pid or self._is_over:
                return False
            try:
                os.killpg(self.pid, signum)
            except (ProcessLookupError, PermissionError):  # macOS says so of a group of zombies
                return False
            return True

    # -- in the keeper's thread: it begins -----------------------------------------------------------------------------

    def first_step(self) -> None:
        if self._killed:
            self._finish()
            return
        try:
            launched = launch(self._program)
        except BaseException as error:
            self._error = error
            self._finish()
            return
        self._take_over(launched)

    def _take_over(self, launched: Launched) -> None:
        keeper = self._its_keeper
        self._report = launched.report
        with self._lock:
            self.pid = launched.pid
        if self._killed:
            self._signal_all(signal.SIGKILL)
        try:
            self._pidfd = os.pidfd_open(self.pid)
        except (AttributeError, OSError):  # another system, an old kernel, or too many open files
            keeper.later(LOOK_AGAIN, self, self._look)
        else:
            keeper.watch(self._pidfd, self, self._leader_ends)
        keeper.later(LOOK_AT_LOOP, self, self._look_at_loop)
        self._pipes = [self._pipe(0, launched.output), self._pipe(1, launched.errors)]
        if self._report is None:
            self._tell(lambda listener: listener.begun())
        else:
            keeper.watch(self._report, self, self._hear_report)

    def _look_at_loop(self) -> None:
        if self._is_over:
            return
        if self._loop_is_closed():
            self.kill()
            for pipe in self._pipes:  # nobody takes what was read
                pipe.close()
        else:
            self._its_keeper.later(LOOK_AT_LOOP, self, self._look_at_loop)

    def _hear_report(self) -> None:
        if self._report is None:
            return
        report = b""
        with contextlib.suppress(BlockingIOError):
            report = os.read(self._report, PIECE)  # a few bytes, which come at once or not at all
        self._close(self._report)
        self._report = None
        if report:
            self._error = self._program.failure(report)
        else:
            self._tell(lambda listener: listener.begun())

    # -- it ends -------------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        if self._reap():
            if self._report is not None:
                os.set_blocking(self._report, False)
                self._hear_report()
            self._gather()
        else:
            self._its_keeper.later(LOOK_AGAIN, self, self._look)

    def _leader_ends(self) -> None:
        self._close(self._pidfd)
        self._pidfd = None
        if not self._asked:
            self._signal_all(signal.SIGKILL)  # while the leader is a zombie the number is surely that of its group
        self._look()

    def _reap(self) -> bool:
        with self._lock:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:  # somebody waits for all processes, or SIGCHLD is ignored
                self._status, self._reaped = UNKNOWN, True
            else:
                if pid:
                    self._status, self._reaped = os.waitstatus_to_exitcode(status), True
        return self._reaped

    def _look_around(self) -> None:
        if self._gathering:
            self._gather()

    def _gather(self) -> None:
        """Wait for whoever of the group outlives its leader."""
        self._gathering = True
        self._forget_members()
        killing = self._killed or not self._asked
        if not self._signal_all(signal.SIGKILL if killing else 0):
            self._listen_to_the_end()
            return
        members = running(self.pid)
        if members is not None and not members:  # zombies that nobody has waited for
            self._listen_to_the_end()
            return
        for member in members or ():
            with contextlib.suppress(AttributeError, OSError):
                pidfd = os.pidfd_open(member)
                self._members.add(pidfd)
                self._its_keeper.watch(pidfd, self, partial(self._member_ends, pidfd))
        self._round += 1
        again = partial(self._look_who_left, self._round)
        self._its_keeper.later(LOOK_WHO_LEFT if self._members else LOOK_AGAIN, self, again)

    def _look_who_left(self, number: int) -> None:
        if number == self._round:
            self._look_around()

    def _member_ends(self, pidfd: int) -> None:
        self._members.discard(pidfd)
        self._close(pidfd)
        if not self._members:
            self._look_around()

    def _forget_members(self) -> None:
        for pidfd in self._members:
            self._close(pidfd)
        self._members.clear()

    # -- it is heard ---------------------------------------------------------------------------------------------------

    def _pipe(self, number: int, descriptor: int) -> Pipe:
        def said(piece: bytes) -> bool:
            return self._tell(lambda listener: listener.said(number, piece))

        return Pipe(descriptor, self, self._its_keeper, said, self._heard_all)

    def _heard_all(self) -> None:
        if self._silent and all(pipe.descriptor is None for pipe in self._pipes):
            self._finish()

    def _listen_to_the_end(self) -> None:
        self._gathering, self._silent = False, True
        self._heard_all()
        if not self._is_over:
            self._its_keeper.later(LAST_WORDS, self, self._be_late)

    def _be_late(self) -> None:
        """One that left the group may hold a pipe, and say nothing for ever; what was read for the loop isn't lost."""
        for pipe in self._pipes:
            pipe.be_late()
        if not self._is_over:
            self._its_keeper.later(SLOW_READER, self, self._finish)

    # -- over ----------------------------------------------------------------------------------------------------------

    def _finish(self) -> None:
        if self._is_over:
            return
        with self._lock:
            self._is_over = True
        self._forget_members()
        for pipe in self._pipes:
            pipe.close()
        for descriptor in (self._pidfd, self._report):
            self._close(descriptor)
        self._pidfd = self._report = None
        if os.getpid() == 1 and self.pid:  # in a container: orphans come to this process, and nobody else waits for them
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-self.pid, os.WNOHANG)[0]:
                    pass
        self._its_keeper.release(self)
        self._tell(lambda listener: listener.over(self._status, self._error))

    def broken(self, error: BaseException) -> None:
        """A step of its own raised: nothing is certain but that it must end."""
        if self._error is None:
            self._error = error
        self._killed = True
        self._signal_all(signal.SIGKILL)
        with contextlib.suppress(OSError):
            if self.pid and not self._reaped:
                os.waitpid(self.pid, 0)
        self._finish()

    def orphaned(self) -> None:
        self._lock = threading.RLock()
        self._is_over = self._reaped = True
        for descriptor in (self._pidfd, self._report, *(pipe.descriptor for pipe in self._pipes), *self._members):
            if descriptor is not None:
                os.close(descriptor)  # the selector, which is shared with the parent, must not hear of it

    @property
    def _its_keeper(self) -> Keeper:
        assert self._keeper is not None
        return self._keeper

    def _close(self, descriptor: int | None) -> None:
        if descriptor is not None:
            self._its_keeper.unwatch(descriptor)
            os.close(descriptor)

    def _tell(self, fact: Callable[[Listener], object]) -> bool:
        """Through the loop, if there is somebody to be told."""
        if self._listener() is None:
            return False
        self._soon(partial(_hand_over, self._listener, fact))
        return True


def _hand_over(to: weakref.ref[Listener], fact: Callable[[Listener], object]) -> None:
    listener = to()
    if listener is not None:
        fact(listener)
