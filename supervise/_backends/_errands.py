"""What other threads have asked a loop to do, and wait for: each is told how it ended, or that nobody does it any more.

Scenarios this must survive:

- The loop ends before it has begun with an errand, in the middle of it, or is stopped and never closed: whoever has the errands
  closes them at its own end, and from then on none is taken.
- The thread of the loop has ended without that, or the loop was stopped and closed: who waits looks, now and then.
- A task of ours that raises would end a trio run with an internal error; so nothing but a cancellation leaves one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from ._base import Backend

LOOK: Final = 0.5  # seconds between two looks whether there still is a thread that could answer


class Gone(Exception):
    """Nobody does it any more: the loop has ended, or is another process's."""


class Errands:
    """Those of one loop, until they are closed."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._thread = threading.current_thread()  # the object: its ident may be that of another thread one day
        self._lock = threading.Lock()
        self._waiting: set[Errand] = set()
        self._closed = False

    def run(self, ask: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Have the loop run it, in the context of the calling thread, and wait. Raises `Gone`, or what it raises."""
        if threading.current_thread() is self._thread:  # whose loop isn't running just now, and won't while this waits
            raise Gone
        errand = Errand(self, self._backend, ask)
        with self._lock:
            if self._closed:
                raise Gone
            self._waiting.add(errand)
        try:
            if not self._backend.from_anywhere()(errand.begin):
                raise Gone
            return errand.wait()
        finally:
            with self._lock:
                self._waiting.discard(errand)

    def close(self) -> None:
        """All that wait are told that nobody does it, and so is whoever comes later. Idempotent."""
        with self._lock:
            self._closed = True
            waiting, self._waiting = self._waiting, set()
        for errand in waiting:
            errand.settle(None, Gone())

    @property
    def abandoned(self) -> bool:
        """Whether the loop is closed, or its thread has ended."""
        return not self._thread.is_alive() or self._backend.is_closed()


class Errand:
    """One of them."""

    def __init__(self, errands: Errands, backend: Backend, ask: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        self._errands = errands
        self._backend = backend
        self._ask = ask
        self._context = copy_context()
        self._outcome: Future[Any] = Future()
        self._settling = threading.Lock()

    def wait(self) -> Any:
        """In the thread that asked."""
        outcome = self._outcome
        try:
            while True:
                try:
                    return outcome.result(LOOK)
                except TimeoutError:
                    if outcome.done():  # it is what came of it
                        raise
                    if self._errands.abandoned:
                        raise Gone from None
        finally:
            del outcome, self  # the outcome has the error, whose traceback has this frame

    def begin(self) -> None:
        """In the loop."""
        if self._outcome.done():
            return
        try:
            self._backend.run_apart(self._run, self._context)
        except RuntimeError:  # the loop takes nothing more
            self.settle(None, Gone())

    def settle(self, result: Any, error: BaseException | None) -> None:
        """Say how it ended, unless that was said already; from any thread."""
        with self._settling:
            if self._outcome.done():
                return
            if error is None:
                self._outcome.set_result(result)
            else:
                self._outcome.set_exception(error)

    async def _run(self) -> None:
        try:
            result = await self._ask()
        except (self._backend.cancelled, GeneratorExit):
            self.settle(None, Gone())
            raise
        except BaseException as error:
            self.settle(None, error)
        else:
            self.settle(result, None)
