"""What the server's thread has of the tree's loop: a way to run a function there, how late that is, and what blocks it.

Whatever is asked has either begun within its time, or is withdrawn and never done: there is no third.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

from supervise.log import say
from supervise.tree.blocking import who_blocks
from supervise.tree.running import RunningSupervisor
from supervise_strategies.exception import interrupts

if TYPE_CHECKING:
    from supervise._backends import Backend
    from supervise.events import Blocked
    from supervise.tree.snapshot import Source

T = TypeVar("T")

BLOCKED_AFTER: Final = 1.0
"""Seconds without an answer after which a loop is called blocked."""


class LoopBlocked(Exception):
    """The tree's loop didn't come to what was asked; it is withdrawn."""


class LoopGone(Exception):
    """There is no loop any more."""


class Withdrawable(Generic[T]):
    """A function that either begins, or is withdrawn; whichever is first, in whatever thread."""

    __slots__ = ("_function", "_lock", "_taken")

    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        self._lock = threading.Lock()
        self._taken = False

    def begin(self) -> Callable[[], T] | None:
        """What is to be done; None: it was withdrawn."""
        return self._function if self._take() else None

    def withdraw(self) -> bool:
        """Whether it hasn't begun, and never will."""
        return self._take()

    def _take(self) -> bool:
        with self._lock:
            before, self._taken = self._taken, True
            return not before


class Lookout:
    """Of one tree, or of one after the other. It is made in the tree's loop, and used in the server's."""

    def __init__(self, tree: Callable[[], Source], backend: Backend) -> None:
        self._tree = tree
        self._soon = backend.from_anywhere()
        self._thread = threading.get_ident()
        self._waiting: dict[object, float] = {}  # what the loop hasn't come to, withdrawn or not: since when
        self.lag: float = 0.0
        """Seconds that the loop took to begin with what it was last asked."""

    @property
    def app(self) -> RunningSupervisor | None:
        """The tree; None while it doesn't run."""
        tree = self._tree()
        return tree if isinstance(tree, RunningSupervisor) else tree.running

    @property
    def name(self) -> str:
        tree = self._tree()
        return tree.path if isinstance(tree, RunningSupervisor) else tree.name

    async def ask(self, function: Callable[[], T], within: float | None = None) -> T:
        """Run a function in the tree's loop, and wait for what it returns or raises.

        Raises `LoopBlocked` if it hasn't begun in so many seconds, or else in those after which a loop is called blocked: then
        it never will. `LoopGone`.
        """
        if within is None and self.blocked_for:  # what was asked before is still to be answered
            raise LoopBlocked
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()
        asked, wish = time.monotonic(), Withdrawable(function)

        def run() -> None:
            self._waiting.pop(wish, None)
            begun = wish.begin()
            if begun is None:
                return
            self.lag = time.monotonic() - asked
            result: Any = None
            error: BaseException | None = None
            try:
                result = begun()
            except BaseException as raised:
                error = raised
                if interrupts(raised):  # it struck here by chance, and is the tree's
                    error = LoopBlocked("it was interrupted")
                    self._pass_up(raised)
            with contextlib.suppress(RuntimeError):  # the server has ended meanwhile
                loop.call_soon_threadsafe(_settle, answer, result, error)

        self._waiting[wish] = asked
        try:
            if not self._soon(run):
                raise LoopGone
            done, _ = await asyncio.wait([answer], timeout=BLOCKED_AFTER if within is None else within)
            if not done and wish.withdraw():
                raise LoopBlocked
            result, error = await answer
        finally:
            wish.withdraw()
        if error is not None:
            raise error
        return cast(T, result)

    def soon(self, function: Callable[[], object]) -> None:
        """Run it in the tree's loop, after all that was asked before, and wait for nothing."""
        self._soon(function)

    def _pass_up(self, struck: BaseException) -> None:
        app = self.app
        if app is None:
            say(logging.ERROR, "%s was interrupted before it ran", self.name, error=struck)
        else:
            app._branch.tree.bus.pass_up(struck)

    @property
    def blocked_for(self) -> float:
        """Seconds for which the loop hasn't answered, if that is so long that it is blocked; else 0."""
        oldest = min([*self._waiting.values()], default=None)
        seconds = 0.0 if oldest is None else time.monotonic() - oldest
        return seconds if seconds >= BLOCKED_AFTER else 0.0

    def loop_time(self) -> float:
        """Seconds of the processor that the loop's thread has used; where that can't be asked, the whole process."""
        if sys.platform == "linux":
            try:
                return time.clock_gettime(time.pthread_getcpuclockid(self._thread))
            except OSError:  # it has ended
                pass
        return time.process_time()

    def blocked(self) -> Blocked | None:
        """What blocks it now."""
        seconds, app = self.blocked_for, self.app
        return None if not seconds or app is None else who_blocks(app._branch, self._thread, seconds)


def _settle(answer: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if not answer.done():
        answer.set_result((result, error))
