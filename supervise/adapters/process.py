"""A process of the operating system as a child, with all the processes that it starts. POSIX only.

Theory of operation
-------------------
The process leads a session, and so a process group, of its own: what it starts belongs to it, and ends with it. Two tasks
read its output and one waits for its end; they outlast the actor's nursery, since a process says most when it stops, and one
whose output nobody reads blocks. The exit hook sends SIGTERM to the group and waits; its own cancellation, at the deadline of
`stop_within`, is what SIGKILL follows on. So there is one deadline, the child's.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias, cast

import anyio
from anyio.abc import ByteReceiveStream

from supervise.actor.factory import Factory, name_for
from supervise.log import logger as base_logger
from supervise.mailbox.handler import awaitable
from supervise.tree.work import Work
from supervise_strategies.errors import InvalidSpec
from supervise_strategies.text import LONG, shown

from . import process_groups

if TYPE_CHECKING:
    from anyio.abc import Process as AnyioProcess

Ready: TypeAlias = "str | re.Pattern[str] | int | tuple[str, int] | Callable[[], object] | Callable[[], Awaitable[object]]"

TRY_AGAIN: Final = 0.05  # seconds between two looks at a port, or two calls, while it isn't ready
LAST_WORDS: Final = 1.0  # seconds for what is still in its pipes when all of the group is dead
LONGEST_LINE: Final = 8192  # bytes; what is longer is logged in pieces

_FAULTS: Final = ("SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGTRAP", "SIGSYS", "SIGPIPE", "SIGXCPU", "SIGXFSZ")
_OWN_FAULT: Final = frozenset(int(getattr(signal, name, 0)) for name in _FAULTS)


class ProcessFailed(Exception):
    """A process ended with a status other than 0, by a fault of its own, or before it was ready."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status: int = status
        """As `subprocess` has it: negative for a signal."""


class _Plan:
    __slots__ = ("arguments", "cwd", "env", "ready", "ready_within")

    def __init__(self, arguments: tuple[str, ...], cwd: Any, env: Any, ready: Any, ready_within: float) -> None:
        self.arguments: tuple[str, ...] = arguments
        self.cwd: str | os.PathLike[str] | None = cwd
        self.env: dict[str, str] | None = env
        self.ready: Any = ready
        self.ready_within: float = ready_within


class Process:
    """The actor around a process: what can be asked of it by messages."""

    __slots__ = ("_ended", "_ending", "_handle", "_heard", "_log", "_pattern", "_plan", "_said", "_silent", "_work")

    def __init__(self, plan: _Plan) -> None:
        self._plan = plan
        self._pattern: re.Pattern[str] | None = None
        ready = plan.ready
        if isinstance(ready, str):
            self._pattern = re.compile(re.escape(ready))
        elif isinstance(ready, re.Pattern):
            self._pattern = cast("re.Pattern[str]", ready)

    async def pid(self) -> int:
        """Its process id, which is that of its group as well."""
        return self._handle.pid

    async def send_signal(self, signum: int) -> None:
        """Send a signal to the process alone, not to its group. One that ends it is an end that nobody asked for."""
        self._handle.send_signal(signal.Signals(signum))

    # -- life ----------------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        plan = self._plan
        self._work = work = Work()
        self._log = logging.getLogger(f"{base_logger.name}.{work.path.replace('/', '.')}")
        self._ending = False
        self._ended, self._heard, self._said = anyio.Event(), anyio.Event(), ""
        self._silent = [anyio.Event(), anyio.Event()]
        with anyio.CancelScope(shield=True):  # or one that was begun in between would be left
            self._handle: AnyioProcess = await anyio.open_process(
                plan.arguments, stdin=subprocess.DEVNULL, cwd=plan.cwd, env=plan.env, start_new_session=True
            )
            process_groups.add(self._handle.pid)
        try:
            work.start_outlasting(self._read, self._handle.stdout, logging.INFO, self._silent[0])
            work.start_outlasting(self._read, self._handle.stderr, logging.WARNING, self._silent[1])
            work.start_outlasting(self._follow)
            await self._until_ready()
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._clear_up()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ending, ordered = True, not self._ended.is_set()
        try:
            if ordered:
                self._to_group(signal.SIGTERM)
                await self._ended.wait()
                await self._group_ends()  # a shell has ended at once; what it had started has the same time as anybody
        finally:
            with anyio.CancelScope(shield=True):
                await self._clear_up()

    async def _clear_up(self) -> None:
        """Nothing of the group is left, and all that it said has been heard."""
        self._ending = True
        self._to_group(signal.SIGKILL)
        await self._ended.wait()
        self._to_group(signal.SIGKILL)  # the group may have grown until its leader was dead
        await self._group_ends()
        process_groups.discard(self._handle.pid)
        await self._last_words()
        await self._work.end()
        await self._handle.aclose()

    async def _group_ends(self) -> None:
        while self._to_group(0) and _runs(self._handle.pid):  # noqa: ASYNC110  # nobody tells
            await anyio.sleep(TRY_AGAIN)

    def _to_group(self, signum: int) -> bool:
        """Whether anybody is left to get it; 0 only asks."""
        try:
            os.killpg(self._handle.pid, signum)
        except (ProcessLookupError, PermissionError):  # macOS says so of a group of zombies
            return False
        return True

    # -- beside its messages -------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        status = await self._handle.wait()
        if not self._ending:
            self._to_group(signal.SIGKILL)  # what it had started goes with it
            await self._last_words()
        self._ended.set()
        if not self._ending:
            self._report(status)
        await anyio.sleep_forever()  # whose return would be the actor's normal end

    async def _last_words(self) -> None:
        with anyio.move_on_after(LAST_WORDS):  # one that left the group may hold a pipe, and say nothing for ever
            for silent in self._silent:
                await silent.wait()

    def _report(self, status: int) -> None:
        work = self._work
        text = describe_status(status) + (f'; it last said "{self._said}"' if self._said else "")
        if not work.ready:
            work.failed(ProcessFailed(f"{text}, before it was ready", status))
        elif status == 0:
            work.over()
        elif status < 0 and -status not in _OWN_FAULT:
            work.killed(text)
        else:
            work.failed(ProcessFailed(text, status))

    async def _read(self, stream: ByteReceiveStream | None, level: int, silent: anyio.Event) -> None:
        rest = b""
        try:
            assert stream is not None
            async for piece in stream:
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    self._heard_line(line, level)
                while len(rest) > LONGEST_LINE:
                    self._heard_line(rest[:LONGEST_LINE], level)
                    rest = rest[LONGEST_LINE:]
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass
        finally:
            if rest:
                self._heard_line(rest, level)
            silent.set()
        await anyio.sleep_forever()

    def _heard_line(self, line: bytes, level: int) -> None:
        text = line.decode(errors="replace").rstrip("\r")
        if level > logging.INFO and text.strip():
            self._said = text.strip()[-120:]
        self._log.log(level, "%s", text)
        if self._pattern is not None and self._pattern.search(text):
            self._heard.set()

    # -- readiness -----------------------------------------------------------------------------------------------------

    async def _until_ready(self) -> None:
        ready: Any = self._plan.ready
        if ready is None:
            return
        with anyio.move_on_after(self._plan.ready_within):
            if self._pattern is not None:
                await self._heard.wait()
                return
            while True:
                if await (
                    _is_open(cast("int | tuple[str, int]", ready)) if isinstance(ready, int | tuple) else _says_yes(ready)
                ):
                    return
                await anyio.sleep(TRY_AGAIN)
        raise TimeoutError(f"{self._plan.arguments[0]} wasn't ready within {self._plan.ready_within:g} s: {_shown(ready)}")


def _runs(group: int) -> bool:
    """Whether anybody of a process group runs; zombies, which a container's init may never collect, don't."""
    stats = [*Path("/proc").glob("[0-9]*/stat")]
    for stat in stats:
        with contextlib.suppress(OSError):  # gone meanwhile
            state, _, its_group = stat.read_text(errors="replace").rpartition(")")[2].split()[:3]
            if int(its_group) == group and state not in "ZX":
                return True
    return not stats  # without such a list, as on macOS, the system's word has to do


async def _is_open(where: int | tuple[str, int]) -> bool:
    host, port = ("127.0.0.1", where) if isinstance(where, int) else where
    try:
        stream = await anyio.connect_tcp(host, port)
    except OSError:
        return False
    await stream.aclose()
    return True


async def _says_yes(ready: Callable[[], Any]) -> bool:
    try:
        answer = ready()
        if awaitable(answer):
            answer = await answer
    except OSError:  # nobody listens yet
        return False
    return bool(answer)


def _shown(ready: Any) -> str:
    text = shown(ready, LONG)
    if isinstance(ready, str | re.Pattern):
        return f"no line of its output had {text}"
    if isinstance(ready, int | tuple):
        return f"nobody listens on port {ready if isinstance(ready, int) else ready[1]}"
    return f"{text} didn't say yes"


def describe_status(status: int) -> str:
    """`exit status 3`, or `ended by SIGSEGV`; a shell's 128 + n is said to be one."""
    if status < 0:
        return f"ended by {_signal_name(-status)}"
    shell = f" (128 + {_signal_name(status - 128)})" if 128 < status < 128 + signal.NSIG else ""
    return f"exit status {status}{shell}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def process(
    arguments: Sequence[str | os.PathLike[str]],
    /,
    *,
    ready: Ready | None = None,
    ready_within: float = 30.0,
    cwd: str | os.PathLike[str] | None = None,
    env: Mapping[str, str] | None = None,
) -> Factory[Process]:
    """A child that is a process: `child(process(["redis-server", "--port", "7000"], ready=7000), name="redis")`.

    Exit status 0 is a normal end, another one a crash (`ProcessFailed`, with its last line on stderr). A signal that stands
    for a fault of its own (SIGSEGV, SIGABRT, …) is a crash; any other one came from somebody else: it was killed.

    A stop sends SIGTERM to the process and all that it started, and SIGKILL to those that still live after `stop_within`
    (5 s unless the child says otherwise). Nothing of its process group outlives it; a daemon that leaves the group does.

    `ready` is what the start waits for, `ready_within` seconds at most: a text, or a compiled pattern, in a line of its
    output; a TCP port on which it listens, on 127.0.0.1 or as `(host, port)`; or a function, plain or async, that is called
    until it returns something true (OSError: not yet; anything else that it raises fails the start). Without it the child
    is ready when the process runs. A start that is given up kills the process.

    Each line on stdout is a log record of the logger `supervise.app.redis` (its path), level INFO; stderr, WARNING. stdin is
    empty. `env` is the whole environment. The address takes `Process.pid` and `Process.send_signal`. Raises `InvalidSpec`.
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
    _check_ready(who, ready)
    if isinstance(ready_within, bool) or not isinstance(ready_within, int | float) or not ready_within > 0:
        raise InvalidSpec(who, "ready_within", ready_within, "seconds, more than 0")
    if env is not None and not isinstance(env, Mapping):
        raise InvalidSpec(who, "env", env, "the whole environment as a mapping, e.g. {**os.environ, 'PORT': '7000'}, or None")
    plan = _Plan(command, cwd, None if env is None else dict(env), ready, ready_within)
    name = name_for(None, os.path.basename(command[0]) or "process")
    return Factory(name, lambda: Process(plan))


def _is_command(given: Any) -> bool:
    if not isinstance(given, Sequence):
        return False
    parts = cast("Sequence[object]", given)
    return bool(parts) and all(isinstance(part, str | os.PathLike) for part in parts)


def _is_ready(given: Any) -> bool:
    if isinstance(given, tuple):
        where = cast("tuple[object, ...]", given)
        return len(where) == 2 and isinstance(where[0], str) and _is_port(where[1])
    if isinstance(given, str):
        return given != ""
    return given is None or isinstance(given, re.Pattern) or callable(given) or _is_port(given)


def _is_port(given: object) -> bool:
    return isinstance(given, int) and not isinstance(given, bool) and 0 < given < 65536


def _check_ready(who: str, ready: object) -> None:
    if not _is_ready(ready):
        cure = "a text or pattern in a line of its output, a TCP port, (host, port), a function to be called, or None"
        raise InvalidSpec(who, "ready", ready, cure)
