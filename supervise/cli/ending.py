"""The end of `supervise run`: who is waited for, and what is done when the waiting has to end.

Two watch over it. A task of the event loop says who is waited for. A thread ends the process when the budget and some more
is spent, since an event loop that is blocked, a thread that doesn't return, or an exit of the interpreter that hangs would
ask nobody else.
"""

from __future__ import annotations

import _thread
import contextlib
import logging
import math
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Final

import anyio

from supervise import log
from supervise._signals import can_write, say
from supervise.adapters.processes.keeper import kill_all
from supervise.events import Event, Overran, Stopped
from supervise.tree.place import UNSTOPPABLE_AFTER

if TYPE_CHECKING:
    from collections.abc import Callable

    from supervise.tree.running import RunningSupervisor

HURRY: Final = 1.0  # seconds that a tree may still take after all that lives was cancelled
FIRST_WORD: Final = 2.0  # seconds after which a stop is long
EACH: Final = 5.0  # seconds from one word to the next
FOR_EVER: Final = 1e9  # seconds, 30 years; for much more nothing can sleep
NAMED: Final = 10  # paths in one line
AN_ANSWER: Final = 0.2  # seconds that an event loop which isn't blocked doesn't need
LAST_DELIVERY: Final = 3.0  # seconds for logs and spans when the process is left
AT_WORK: Final = 0.5  # seconds, for which a thread's first step is waited for: CPython crashes if its end comes before that


class Ending:
    """That of one run."""

    def __init__(self, budget: float, close: Callable[[], object]) -> None:
        self._budget = budget
        self._close = close
        self._app: RunningSupervisor | None = None
        self._begun = False
        self._unstoppable: dict[str, None] = {}

    def of(self, app: RunningSupervisor) -> None:
        """The tree whose end it will be."""
        self._app = app
        app.subscribe(self._note)

    def begin(self) -> None:
        """From now on the budget runs. Idempotent, and callable in a signal handler."""
        if self._begun:
            return
        self._begun = True
        if self._budget < FOR_EVER:
            # Not threading's: whatever the main thread was doing when its signal came may hold the locks of that.
            with contextlib.suppress(RuntimeError):  # so late in the interpreter's end that it starts no thread any more
                begun = _thread.allocate_lock()
                begun.acquire()
                _thread.start_new_thread(self._leave_in_time, (begun,))
                begun.acquire(timeout=AT_WORK)

    async def tell(self) -> None:
        """Say who is waited for, as long as the tree's end takes."""
        await anyio.sleep(FIRST_WORD)
        while self._app is not None and self._app.ended is None:
            if can_write(2):  # a reader that only sleeps would make the stop sleep, too
                log.say(logging.WARNING, "%s", waiting_for(self._app))
            await anyio.sleep(EACH)

    def _note(self, event: Event) -> None:
        if isinstance(event, Overran):
            self._unstoppable[f"{event.path} #{event.incarnation}"] = None
        elif isinstance(event, Stopped):
            self._unstoppable.pop(f"{event.path} #{event.incarnation}", None)

    # -- in the thread ---------------------------------------------------------------------------------------------------

    def _leave_in_time(self, begun: _thread.LockType) -> None:
        begun.release()
        time.sleep(self._budget + UNSTOPPABLE_AFTER + HURRY)
        try:
            kill_all()
            who, where = self._who_is_left(), self._where_it_hangs()
            say(f"supervise: {who} outlived its cancellation: leaving all the same{where}")
            closed = _thread.allocate_lock()
            closed.acquire()
            _thread.start_new_thread(self._deliver, (closed,))
            closed.acquire(timeout=LAST_DELIVERY)
        finally:
            os._exit(70)

    def _deliver(self, closed: _thread.LockType) -> None:
        try:
            self._close()
        finally:
            closed.release()

    def _who_is_left(self) -> str:
        return _listed([*self._unstoppable] or self._running()) or "a part of the program"

    def _running(self) -> list[str]:
        return [] if self._app is None else paths_of(self._app)

    def _where_it_hangs(self) -> str:
        """The line of the main thread, if no event loop answers there."""
        if self._app is not None:
            answered = _thread.allocate_lock()
            answered.acquire()
            self._app._branch.tree.backend.from_anywhere()(answered.release)
            if answered.acquire(timeout=AN_ANSWER):
                return ""
        frame = sys._current_frames().get(threading.main_thread().ident or 0)
        return "" if frame is None else f"; the main thread is at {frame.f_code.co_filename}:{frame.f_lineno}"


def waiting_for(app: RunningSupervisor) -> str:
    """Who keeps a tree from its end, and for how long it may."""
    left = app._branch.tree.budget_left()
    time_left = "without a deadline" if left == math.inf else f"for {left:.3g} s at most, then it is cancelled"
    if left <= 0:
        time_left = "although it was cancelled: the budget is spent"
    return f"{app.path} is stopping: waiting for {_listed(paths_of(app)) or 'itself'}, {time_left}"


def paths_of(app: RunningSupervisor) -> list[str]:
    """The actors that still run."""
    return [f"{place.mailbox.path} #{place.number}" for place in app._branch.actors() if place.alive()]


def _listed(paths: list[str]) -> str:
    more = len(paths) - NAMED
    return ", ".join(paths[:NAMED]) + (f" and {more} more" if more > 0 else "")
