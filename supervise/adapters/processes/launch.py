"""How a process starts: in a session of its own, by way of the shim, with pipes for what it says."""

from __future__ import annotations

import contextlib
import marshal
import os
import signal
import subprocess
import sys
import tempfile
import threading
from typing import IO, Final, NamedTuple

from . import shim

_LOCK: Final = threading.Lock()  # held while there are descriptors that a fork of this program would keep open for ever
if sys.platform != "win32":
    os.register_at_fork(before=_LOCK.acquire, after_in_parent=_LOCK.release, after_in_child=_LOCK.release)

# A signal that its thread causes itself can't wait, and faulthandler wants to see it.
_FAULTS: Final = ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGABRT", "SIGTRAP", "SIGSYS")


class Program(NamedTuple):
    """What is to run."""

    arguments: tuple[str, ...]
    cwd: str | os.PathLike[str] | None
    env: dict[str, str] | None
    """The whole environment; None: this process's own."""

    def environment(self) -> dict[bytes, bytes]:
        """As bytes. A Python program writes at once what it prints, unless the variable says otherwise."""
        given = {**os.environ} if self.env is None else self.env
        return {os.fsencode(k): os.fsencode(v) for k, v in ({"PYTHONUNBUFFERED": "1"} | given).items()}

    def failure(self, report: bytes) -> OSError:
        """The exception for what a shim reports, the same as `subprocess` raises."""
        number, at_directory = marshal.loads(report)
        where = self.cwd if at_directory else self.arguments[0]
        return OSError(number, os.strerror(number), where)


class Launched(NamedTuple):
    """A process that runs, and the ends of the pipes that lead here. Whoever gets them closes them."""

    pid: int
    output: int
    errors: int
    report: int | None
    """Closed in silence when the program runs, else it says why not; None: it runs already."""


def interpreter() -> list[str] | None:
    """The command of an interpreter for the shim; None if `sys.executable` is none, as in a frozen program."""
    python = sys.executable
    if not python or getattr(sys, "frozen", False) or not os.path.basename(python).startswith(("python", "pypy")):
        return None
    if not os.path.isfile(shim.__file__):  # in a zip archive
        return None
    # -I would ignore PYTHONHOME, too, and without it such an interpreter finds nothing of its own
    return [python, "-SsP" if os.environ.get("PYTHONHOME") else "-IS", shim.__file__]


def hold_back_signals() -> None:
    """In the thread that launches: what is sent to a process before its program runs waits until it does."""
    if interpreter() is not None:
        faults = {getattr(signal, name) for name in _FAULTS if hasattr(signal, name)}
        signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals() - faults)


def launch(program: Program) -> Launched:
    """Start it, in the thread that it shall end with. Raises what `subprocess.Popen` does if it can't be started.

    With a shim, that it can't run its program is told by the report. Without one, in a frozen program, the process inherits
    this thread's blocked signals, and outlives this process if that is killed.
    """
    environment = program.environment()
    arguments = [os.fsencode(argument) for argument in program.arguments]
    if any(b"\0" in text for text in (*arguments, *environment, *environment.values())):
        raise ValueError("embedded null byte")
    if any(not name or b"=" in name for name in environment):
        raise ValueError("illegal environment variable name")
    with _LOCK, contextlib.ExitStack() as at_once, contextlib.ExitStack() as on_error:
        output, its_output = os.pipe()
        on_error.callback(os.close, output)
        at_once.callback(os.close, its_output)
        errors, its_errors = os.pipe()
        on_error.callback(os.close, errors)
        at_once.callback(os.close, its_errors)
        command = interpreter()
        report: int | None = None
        if command is None:
            process = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=its_output,
                stderr=its_errors,
                start_new_session=True,
                cwd=program.cwd,
                env=environment,
            )
        else:
            report, its_report = os.pipe()
            on_error.callback(os.close, report)
            at_once.callback(os.close, its_report)
            order = at_once.enter_context(_nameless_file())
            cwd = None if program.cwd is None else os.fsencode(program.cwd)
            order.write(marshal.dumps((cwd, _paths(arguments[0], environment), arguments, environment)))
            order.seek(0)
            passed = (order.fileno(), its_report)
            process = subprocess.Popen(
                [*command, *map(str, passed), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=its_output,
                stderr=its_errors,
                start_new_session=True,
                pass_fds=passed,
            )
        process.returncode = 0  # it isn't waited for by this object, which would complain of that
        on_error.pop_all()
        return Launched(process.pid, output, errors, report)


def _nameless_file() -> IO[bytes]:
    """For what may be longer than a pipe holds, or than other users should read among the arguments."""
    memfd_create = getattr(os, "memfd_create", None)
    return tempfile.TemporaryFile() if memfd_create is None else open(memfd_create("supervise"), "w+b")


def _paths(program: bytes, environment: dict[bytes, bytes]) -> list[bytes]:
    """Where the program may be: along the PATH that it is to have, as `subprocess` does it."""
    if os.path.dirname(program):
        return [program]
    found = environment.get(b"PATH")
    folders = os.defpath.encode() if found is None else found
    return [os.path.join(folder, program) for folder in folders.split(os.pathsep.encode())]
