"""A process of the operating system as a child, with all the processes that it starts.

Begin with `process`. POSIX only. `Process` is what its address takes; `ProcessFailed` and
`PortTaken` are what its starts and crashes say.

Theory of operation
-------------------
The actor is the event loop's side of a `Group`, which lives in the one thread for child processes. That thread starts it, reads
its output and waits for its end, and tells the actor so through the loop. No task of the actor's has to live for it:
a process says most when it stops. The exit hook sends SIGTERM to the group and waits; its own cancellation, at the deadline of
`stop_within`, is what SIGKILL follows on. So there is one deadline, the child's.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import math
import os
import re
import signal
import sys
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Self, cast

import anyio

from supervise._backends import current_backend
from supervise.actor.factory import Factory, name_for
from supervise.log import logger as base_logger
from supervise.log import say
from supervise.tree.work import Work
from supervise_strategies.errors import InvalidSpec

from .handoff import Handoff
from .processes.group import Group
from .processes.launch import Program
from .processes.lines import Lines, harmless
from .processes.port_owner import Owner, owner
from .processes.ready import PortTaken as PortTaken
from .processes.ready import (
    Ready,
    check_free,
    check_ready,
    describe_missing,
    pattern_of,
    port_of,
    until_it_listens,
    until_it_says_yes,
)
from .processes.status import describe_status, was_killed

_LEVELS: Final = (logging.INFO, logging.WARNING)  # of stdout and stderr


class ProcessFailed(Exception):
    """A process ended by a fault of its own, or before it was ready.

    `status` is as `subprocess` has it: not 0, negative for a signal; 255 if somebody else of
    this program collected it. The text has its last line on stderr.

        >>> import sys
        >>> async with Supervisor("app") as app:
        ...     await app.start(process([sys.executable, "-c", "exit(3)"], ready="never"), name="db")
        Traceback (most recent call last):
        ChildStartFailed: child 'db' didn't start: ProcessFailed: exit status 3, before it was ready
    """

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status: int = status
        """As `subprocess` has it: negative for a signal; 255 if somebody else of this program collected it."""


class Process:
    """The actor around a process; `process` makes it.

    Its address takes these methods.

        >>> import signal, sys
        >>> from supervise.events import Stopped
        >>> from supervise.testing import record
        >>> pause = process([sys.executable, "-c", "import signal; print('ready'); signal.pause()"], ready="ready")
        >>> async with Supervisor("app") as app:
        ...     server = await app.start(pause, name="server")
        ...     with record(app) as recording:
        ...         await server.call(Process.send_signal, signal.SIGKILL)
        ...         print(await recording.wait_for(Stopped))
        app/server #1 ended: killed (...)
    """

    _supervise_works_as = "process"
    __slots__ = (
        "__weakref__",
        "_at_once",
        "_begun",
        "_ears",
        "_ending",
        "_group",
        "_heard",
        "_lines",
        "_log",
        "_over",
        "_pattern",
        "_port",
        "_program",
        "_ready",
        "_ready_within",
        "_said",
        "_work",
    )

    def __init__(self, program: Program, ready: Ready | None, ready_within: float) -> None:
        self._program = program
        self._ready: Any = ready
        self._ready_within = ready_within
        self._pattern: re.Pattern[str] | None = pattern_of(ready)
        self._port: tuple[str, int] | None = port_of(ready)
        self._group: Group | None = None

    async def pid(self) -> int:
        """Its process id, which is that of its group as well."""
        return self._its_group.pid

    async def send_signal(self, signum: int) -> None:
        """Send a signal to the process alone, not to its group.

        One that ends it is an end that nobody asked for: it was killed.
        """
        self._its_group.send_signal(signal.Signals(signum))

    # -- life ----------------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self._work = work = Work()
        self._log = logging.getLogger(f"{base_logger.name}.{work.path.replace('/', '.')}")
        self._ending, self._ears = False, _Ears(self)
        self._begun, self._over = Handoff(work.soon), Handoff(work.soon)
        self._at_once: int | None = None  # the status with which it ended before its start was told
        self._heard, self._said, self._lines = anyio.Event(), "", (Lines(), Lines())
        if self._port is not None:
            await check_free(self._program.arguments[0], *self._port)
        self._group = group = Group(self._program, work.soon, _loop_is_closed(), self._ears)
        try:
            group.begin()
            await self._begun.result()
            await self._until_ready()
        except BaseException as error:
            await self._end_now(error)
            raise
        if self._at_once is not None:
            work.soon(functools.partial(self._report, self._at_once))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ending, asked = True, anyio.current_time()
        at_once = anyio.current_effective_deadline() == -math.inf  # killed, so nobody is asked first
        try:
            if not self._over.settled:
                self._its_group.stop()
                await self._over.wait()  # a shell has ended at once; what it had started has the same time as anybody
        except BaseException as error:
            if not at_once and not isinstance(error, GeneratorExit):  # whose loop is gone, with its clock
                text = "%s: process group %d still runs %.1f s after SIGTERM, and gets SIGKILL"
                say(logging.WARNING, text, self._work.path, self._its_group.pid, anyio.current_time() - asked)
            await self._end_now(error)
            raise
        self._its_group.join()

    async def _end_now(self, error: BaseException) -> None:
        """Nothing of the group is left, and all that it said has been heard."""
        self._ending, group = True, self._its_group
        group.kill()
        if group.has_begun and not isinstance(error, GeneratorExit):  # the loop is gone: nobody would tell
            try:
                with anyio.CancelScope(shield=True):
                    await self._over.until_settled()
            finally:
                group.join()  # which only waits if all is over

    def __del__(self) -> None:
        group = getattr(self, "_group", None)
        if group is not None and not self._over.settled:  # its loop was closed in the middle of everything
            group.kill()

    @property
    def _its_group(self) -> Group:
        assert self._group is not None
        return self._group

    # -- what it says, and how it ends ---------------------------------------------------------------------------------

    def _hear(self, pipe: int, lines: list[str]) -> None:
        for line in lines:
            text = harmless(line)
            if pipe and text.strip():
                self._said = text.strip()[-120:]
            if self._pattern is not None and self._pattern.search(line):
                self._heard.set()
            say(_LEVELS[pipe], "%s", text, to=self._log)  # a handler's own fault is no reason to end the process

    def _report(self, status: int) -> None:
        work = self._work
        if self._ending:
            return
        if not work.ready and self._ready is None:  # it has run, so its start has succeeded, and is about to say so
            self._at_once = status
            return
        text = describe_status(status) + (f'; it last said "{self._said}"' if self._said else "")
        if not work.ready:
            work.failed(ProcessFailed(f"{text}, before it was ready", status))
        elif status == 0:
            work.over()
        elif was_killed(status):
            work.killed(text)
        else:
            work.failed(ProcessFailed(text, status))

    # -- readiness -----------------------------------------------------------------------------------------------------

    async def _until_ready(self) -> None:
        if self._ready is None:
            return
        program = self._program.arguments[0]
        with anyio.move_on_after(self._ready_within):
            if self._pattern is not None:
                await self._heard.wait()
            elif self._port is not None:
                await until_it_listens(program, *self._port, self._owner)
            else:
                await until_it_says_yes(self._ready)
            return
        raise TimeoutError(f"{program} wasn't ready within {self._ready_within:g} s: {describe_missing(self._ready)}")

    async def _owner(self, host: str, port: int) -> Owner:
        answer, group = Handoff(self._work.soon), self._its_group

        def look() -> None:
            try:
                answer.give(owner(host, port, group.pid))
            except Exception:  # a table that isn't what it should be
                answer.give(Owner.UNKNOWN)

        group.ask(look)
        found: Owner = await answer.result()
        return found


class _Ears:
    """What its group tells, in the loop's thread. It goes with its process, whose methods are those for messages alone."""

    __slots__ = ("__weakref__", "_process")

    def __init__(self, process: Process) -> None:
        self._process = weakref.ref(process)

    def begun(self) -> None:
        if process := self._process():
            process._begun.settle(None, None)

    def said(self, pipe: int, piece: bytes) -> None:
        if process := self._process():
            try:
                process._work.run(process._hear, pipe, process._lines[pipe].feed(piece))
            finally:
                process._its_group.go_on(pipe)

    def over(self, status: int, error: BaseException | None) -> None:
        if process := self._process():
            try:
                for pipe, lines in enumerate(process._lines):
                    process._work.run(process._hear, pipe, lines.end())
                if error is None:
                    process._report(status)
            finally:
                process._begun.settle(None, error)
                process._over.settle(None, None)


def _loop_is_closed() -> Callable[[], bool]:
    """A function for any thread. Trio lets no run end before its tasks have."""
    if current_backend().name == "asyncio":
        return asyncio.get_running_loop().is_closed
    return lambda: False


def process(
    arguments: Sequence[str | os.PathLike[str]],
    /,
    *,
    ready: Ready | None = None,
    ready_within: float = 30.0,
    cwd: str | os.PathLike[str] | None = None,
    env: Mapping[str, str] | None = None,
) -> Factory[Process]:
    """A child that is a process of the operating system, with all that it starts.

    For example `child(process(["redis-server", "--port", "7000"], ready=7000), name="redis")`.

    Exit status 0 is a normal end, another one a crash (`ProcessFailed`, with its last line on
    stderr). A signal that stands for a fault of its own (SIGSEGV, SIGABRT, …) is a crash; any
    other one came from somebody else: it was killed.

    A stop sends SIGTERM to the process and all that it started. SIGKILL follows for those that
    still live after `stop_within` (5 s unless the child says otherwise). Nothing of its process
    group outlives it; a daemon that leaves the group does. If this program itself is killed,
    the process ends with it on Linux, but not what the process had started.

        arguments: A list of texts and paths, the program first. A line of the shell is
            `["sh", "-c", "exec …"]`.
        ready: What the start waits for (default: that the process runs). A text, or a compiled
            pattern, in a line of its output. A TCP port on which it listens, on 127.0.0.1 or as
            `(host, port)`. Or a function, plain or async, that is called until it returns
            something true; OSError means not yet, and anything else that it raises fails the
            start.
        ready_within: Seconds for that (default 30); then TimeoutError fails the start, and
            kills the process.
        cwd: The folder in which it runs (default: this program's).
        env: Its whole environment (default: this program's). PYTHONUNBUFFERED=1 is added unless
            it is there (`""`: buffered).

    A port is ready when the process, or one of its group, listens there. The start fails with
    `PortTaken` if somebody did before, or if it is a stranger who does, as far as the system
    tells. With `docker run -p` it always is, so wait for a text.

    Each line on stdout is a log record of the logger `supervise.app.redis` (its path), level
    INFO; stderr, WARNING. Control characters are spelled out. stdin is empty. The process
    begins with default signals, none of them blocked. The address takes `Process.pid` and
    `Process.send_signal`. Raises `InvalidSpec` for options that can't be, and on Windows.

        >>> import sys
        >>> serve = process([sys.executable, "-c", "import signal; print('ready'); signal.pause()"], ready="ready")
        >>> async with Supervisor("app") as app:
        ...     server = await app.start(serve, name="server")
        ...     await server.call(Process.pid) > 0
        True
    """
    who = "process"
    if sys.platform == "win32":
        raise InvalidSpec(who, "arguments", arguments, "process groups are POSIX's; on Windows there is no such child")
    if isinstance(arguments, str | bytes):
        cure = "a list, program first; for a line of the shell ['sh', '-c', 'exec …']"
        raise InvalidSpec(who, "arguments", arguments, cure)
    if not _is_command(arguments):
        cure = "a list of texts and paths, program first: ['redis-server', '--port', '7000']"
        raise InvalidSpec(who, "arguments", arguments, cure)
    command = tuple(os.fspath(argument) for argument in arguments)
    who = f"process {os.path.basename(command[0])!r}"
    check_ready(who, ready)
    if isinstance(ready_within, bool) or not isinstance(ready_within, int | float) or not ready_within > 0:
        raise InvalidSpec(who, "ready_within", ready_within, "seconds, more than 0")
    if env is not None and not isinstance(env, Mapping):
        raise InvalidSpec(who, "env", env, "the whole environment as a mapping, e.g. {**os.environ, 'PORT': '7000'}, or None")
    program = Program(command, cwd, None if env is None else dict(env))
    name = name_for(None, os.path.basename(command[0]) or "process")
    return Factory(name, lambda: Process(program, ready, ready_within))


def _is_command(given: Any) -> bool:
    if not isinstance(given, Sequence):
        return False
    parts = cast("Sequence[object]", given)
    return bool(parts) and all(isinstance(part, str | os.PathLike) for part in parts)
