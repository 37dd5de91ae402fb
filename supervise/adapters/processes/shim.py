"""What runs in a new process before its program does, in an interpreter of its own, and then becomes that program.

It is a script, `python -I -S shim.py ORDER REPORT PARENT`, and imports nothing that isn't built in, but for the one library
that calls C: it costs some 8 ms of processor time. A hook between fork and exec would cost less, but isn't safe where threads
run.

ORDER is a file descriptor to read from: marshalled, the directory to go to (or None), the paths to try, arguments, environment.
REPORT is one to write to: nothing if the program runs, which closes it, else errno and whether it was the directory's fault.
PARENT is the process that wants this one to end when it ends itself.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # typing's costs more to import than all the rest
if TYPE_CHECKING:
    import signal
    from typing import Any
else:
    import _signal as signal  # signal itself, but for its enums

PR_SET_PDEATHSIG = 1
NOT_THERE, NO_DIRECTORY = 2, 20  # ENOENT and ENOTDIR, without a library
FAILED = 127
"""The exit status that nobody gets to see: the report says more."""


def main(order: int, report: int, parent: int) -> None:
    import marshal
    import posix

    posix.set_inheritable(report, False)
    ordered = b""
    while piece := posix.read(order, 1 << 20):
        ordered += piece
    posix.close(order)
    directory, paths, arguments, environment = marshal.loads(ordered)
    _die_with(parent)
    _begin_with_default_signals()
    at_directory, error = directory is not None, 0
    try:
        if at_directory:
            posix.chdir(directory)
        at_directory = False
    except OSError as failed:
        error, paths = failed.errno or 0, ()
    for path in paths:  # what is wrong with one that is there says more than that the others aren't
        try:
            posix.execve(path, arguments, environment)
        except OSError as failed:
            if error in (0, NOT_THERE, NO_DIRECTORY):
                error = failed.errno or 0
    posix.write(report, marshal.dumps((error, at_directory)))
    posix._exit(FAILED)


def _die_with(parent: int) -> None:
    """On Linux the kernel ends this process, and what it becomes, as soon as the *thread* that made it has ended."""
    import posix

    if sys.platform == "linux":
        try:
            import _ctypes
        except ImportError:  # an interpreter without it: then an orphan lives on
            return
        whole: Any = None  # all that is loaded already
        prctl = _ctypes.dlsym(_ctypes.dlopen(whole, 0), "prctl")
        _ctypes.call_function(prctl, (PR_SET_PDEATHSIG, 9))
    if posix.getppid() != parent:  # it has ended already, so no signal will come
        posix._exit(FAILED)


def _begin_with_default_signals() -> None:
    """What a program ignores, or blocks, would be ignored or blocked in the next one, too; this interpreter ignores some."""
    for number in range(1, signal.NSIG):
        try:
            signal.signal(number, signal.SIG_DFL)
        except (OSError, ValueError):  # one that nobody can change, or no signal
            continue
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # what came meanwhile takes effect here


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
