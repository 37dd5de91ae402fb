"""The one thread that starts child processes, hears what they say, and waits for their ends.

It has to outlive them: on Linux a process dies with the *thread* that made it, and the loop's own may be one that ends sooner.
It begins with the first process and ends with the last. It is a daemon, so no process keeps the interpreter from ending;
then, and when a program is told to leave at once, `kill_all` kills what still lives.

Everything that happens in it comes from one selector, from other threads by `call`, or from a timer.
"""

from __future__ import annotations

import atexit
import contextlib
import heapq
import itertools
import os
import selectors
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol, TypeAlias

from .launch import hold_back_signals

Step: TypeAlias = Callable[[], object]


class Kept(Protocol):
    """What lives in the keeper's thread."""

    def first_step(self) -> None:
        """Begin; in the thread."""
        ...

    def kill(self) -> None:
        """End now, all that belongs to it; from any thread, and from a signal handler."""
        ...

    def broken(self, error: BaseException) -> None:
        """A step of it raised, which none should; in the thread."""
        ...

    def orphaned(self) -> None:
        """It belongs to the process that this one was forked from: leave it alone."""
        ...


class Keeper:
    """The thread and its selector. All but `call` and `join` is for what lives in it."""

    def __init__(self) -> None:
        self.ended: bool = False
        """Nothing lives in it any more, and nothing ever will."""
        self._kept: set[Kept] = set()
        self._jobs: deque[tuple[Kept, Step]] = deque()
        self._timers: list[tuple[float, int, Kept, Step]] = []
        self._number = itertools.count()
        self._selector = selectors.DefaultSelector()
        self._ear, self._mouth = os.pipe()
        os.set_blocking(self._ear, False)
        os.set_blocking(self._mouth, False)
        self._selector.register(self._ear, selectors.EVENT_READ, None)
        self._thread = threading.Thread(target=self._run, name="supervise child processes", daemon=True)

    # -- from any thread -----------------------------------------------------------------------------------------------

    def call(self, kept: Kept, step: Step) -> None:
        """Run it in the thread, soon and in order; not at all if that has ended."""
        with _lock:
            if not self.ended:
                self._jobs.append((kept, step))
                with contextlib.suppress(BlockingIOError):  # so many wake-ups are there that one more changes nothing
                    os.write(self._mouth, b"\0")

    def join(self) -> None:
        """Wait for the thread if it has nothing left to do: it ends at once then."""
        if self.ended:
            self._thread.join()

    def all(self) -> list[Kept]:
        with _lock:
            return [*self._kept]

    # -- for what lives in it ------------------------------------------------------------------------------------------

    def watch(self, descriptor: int, kept: Kept, step: Step) -> None:
        """Run it as often as there is something to read."""
        self._selector.register(descriptor, selectors.EVENT_READ, (kept, step))

    def unwatch(self, descriptor: int) -> None:
        with contextlib.suppress(KeyError):
            self._selector.unregister(descriptor)

    def later(self, seconds: float, kept: Kept, step: Step) -> None:
        """Run it once. It can't be taken back: a step looks whether it is still wanted."""
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._number), kept, step))

    def release(self, kept: Kept) -> None:
        """It has ended. If it was the last, the thread ends, too."""
        global _keeper
        with _lock:
            self._kept.discard(kept)
            if not self._kept:
                self.ended = True
                if _keeper is self:
                    _keeper = None

    # -- the thread ----------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        hold_back_signals()
        while not self.ended:
            for key, _ in self._selector.select(self._patience()):
                if key.data is None:
                    with contextlib.suppress(BlockingIOError):
                        os.read(self._ear, 4096)
                else:
                    _take(*key.data)
            while self._jobs:
                _take(*self._jobs.popleft())
            while self._timers and self._timers[0][0] <= time.monotonic():
                _take(*heapq.heappop(self._timers)[2:])
        self.close()

    def _patience(self) -> float | None:
        if self._jobs:
            return 0
        return max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None

    def close(self) -> None:
        with _lock:  # nobody writes to a descriptor that has a new owner
            self.ended = True
            self._selector.close()
            os.close(self._ear)
            os.close(self._mouth)

    def keep(self, kept: Kept) -> None:
        """Take it in, and have it begin. RuntimeError if there can be no more threads."""
        with _lock:
            self._kept.add(kept)
            self.call(kept, kept.first_step)
            if self._thread.ident is None:
                try:
                    self._thread.start()
                except Exception:
                    self.release(kept)
                    self.close()
                    raise


def _take(kept: Kept, step: Step) -> None:
    try:
        step()
    except BaseException as error:
        kept.broken(error)


_lock = threading.RLock()  # a finalizer or a signal handler may come in between
_keeper: Keeper | None = None


def keep(kept: Kept, told: Callable[[Keeper], object]) -> None:
    """Have it begin in the thread, which is made if there is none; before that, `told` hears which one it is."""
    global _keeper
    with _lock:
        keeper = _keeper
        if keeper is None:
            keeper = _keeper = Keeper()
        told(keeper)
        keeper.keep(kept)


def kill_all() -> None:
    """Kill all process groups that live, at once. For the interpreter's end, and for a program that can't wait for it."""
    keeper = _keeper
    if keeper is not None:
        for kept in keeper.all():
            kept.kill()


def _forked() -> None:
    """In the forked process the thread isn't there, and the processes are its parent's."""
    global _keeper, _lock
    _lock = threading.RLock()
    keeper, _keeper = _keeper, None
    if keeper is not None:
        for kept in keeper.all():
            kept.orphaned()
        keeper.close()


_AT_EXIT: Final = atexit.register(kill_all)
if sys.platform != "win32":
    os.register_at_fork(after_in_child=_forked)
