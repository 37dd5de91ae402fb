"""The signals of `supervise run`, which count before anything else of it is imported.

`supervise/__init__.py` imports this file first. In any other program than the command that does nothing: a library has no
business with signals. It stands here, and not in `cli/`, because `import supervise.cli` imports `supervise` first, and that
is where the time goes.

The first SIGTERM or SIGINT asks for an orderly end, and what that means changes as the program goes on (`on_first`): leave at
once while nothing of the user's has run, give up the import of the user's module, then stop the tree. The second kills,
whatever the program does: a plain handler runs in the main thread between two bytecodes, so an event loop that is blocked
by a `while True` doesn't keep it away. Only a C function that doesn't return does.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
from collections.abc import Callable
from typing import Any, Final, NoReturn

NUMBERS: Final = (signal.SIGTERM, signal.SIGINT)
LONGEST: Final[int] = getattr(select, "PIPE_BUF", 512)  # bytes, for which a pipe that can be written at all has room


class Signals:
    """What becomes of SIGTERM and SIGINT in this process, from `take` on."""

    def __init__(self) -> None:
        self.first: signal.Signals | None = None
        """The one that has asked for the end."""
        self.on_first: Callable[[], object] = _nothing
        """Called by the first one, in the handler: it may raise what is to be raised where the program is."""
        self.on_second: Callable[[], object] = _nothing
        """Called before the second one ends the process."""
        self._before: dict[int, Any] = {}
        self._process = 0

    @property
    def taken(self) -> bool:
        return bool(self._before)

    def take(self) -> None:
        """Begin, or begin again if somebody else has taken them since. ValueError in any thread but the main one."""
        for number in NUMBERS:
            self._before.setdefault(number, signal.getsignal(number))
            signal.signal(number, self._heard)
        self._process = os.getpid()

    def give_back(self) -> None:
        """As it was before."""
        while self._before:
            number, handler = self._before.popitem()
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self.first, self.on_first, self.on_second = None, _nothing, _nothing

    def _heard(self, number: int, _: object) -> None:
        if os.getpid() != self._process:  # a fork has the handlers too, but isn't the command
            signal.signal(number, self._before[number])
            os.kill(os.getpid(), number)
        elif self.first is None:
            self.first = signal.Signals(number)
            self.on_first()
        else:
            self._kill(signal.Signals(number))

    def _kill(self, second: signal.Signals) -> NoReturn:
        try:
            self.on_second()
            say(f"supervise: {second.name} again: all is killed")
        finally:
            os._exit(128 + second)


def say(text: str) -> None:
    """One line on stderr, wherever the program is. Left out if it can't be written at once."""
    if sys.stderr is None:  # it was closed from the start, and its number may be that of another file by now
        return
    with contextlib.suppress(OSError, ValueError):
        if can_write(2):
            os.write(2, text.encode(errors="backslashreplace")[: LONGEST - 1] + b"\n")


def can_write(descriptor: int) -> bool:
    """Whether a line can be written now, without waiting for a reader."""
    if sys.platform == "win32":
        return True
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return any(event & select.POLLOUT for _, event in poll.poll(0))


def _nothing() -> None:
    pass


def _leave() -> None:
    say(f"supervise: {signals.first.name if signals.first else 'a signal'}: nothing had started yet")
    os._exit(0)  # an exception would fall into whatever is being imported, and be seen


def _is_command(given: list[str], original: list[str]) -> bool:
    """Whether this process is `supervise run`, by its own command line: a child of multiprocessing has a copy of `sys.argv`."""
    if given[1:2] != ["run"] or original[1 - len(given) :] != given[1:]:
        return False
    program = original[-len(given)].removeprefix("-m")
    return os.path.basename(program) in ("supervise", "supervise.__main__") or "supervise.cli" in program


signals: Final = Signals()

if sys.platform != "win32" and _is_command(getattr(sys, "argv", []), sys.orig_argv):
    with contextlib.suppress(ValueError):  # not in the main thread
        signals.take()
        signals.on_first = _leave
