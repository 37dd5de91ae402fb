"""What is under way in one tree: jobs, done to their end one after the other, however deep the tree is.

Theory of operation
-------------------
What a supervisor is told has consequences for those above and below it, and theirs for others. As calls inside of calls, they
would go as deep as the tree. So they are jobs: generators, which yield wherever they may have caused others. Those are done
first, in the order in which they were caused, before the one that caused them goes on. That is the order in which calls
would do it; only what stands behind a call in the same step comes before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from supervise.journal.bus import Bus

Job: TypeAlias = Iterator[None]


class Agenda:
    """The jobs of one tree. It belongs to the loop's thread, and never waits."""

    __slots__ = ("_broken", "_bus", "_busy", "_under_way", "caused")

    def __init__(self, bus: Bus, broken: Callable[[BaseException], object]) -> None:
        self._bus = bus
        self._broken = broken  # hears of a job that failed; the others are done all the same
        self._busy = False
        self._under_way: list[Job] = []  # what has begun and isn't done: each was caused by the one before it
        self.caused: list[Job] = []
        """By the step that is being done, and not begun yet."""

    def do(self, job: Job) -> None:
        """Do it now with all that it causes, or, within another job, as soon as that yields."""
        if self._busy:
            self.caused.append(job)
            return
        try:
            with self._bus:  # what the user hears of it is told when all of it has been done
                try:
                    self._busy = True
                    try:  # as `_is_done`, without its frame
                        done = next(job, _DONE) is _DONE
                    except BaseException as error:
                        self._broken(error)
                        done = False
                    if not done or self.caused:  # most cause nothing
                        self._do_all(job)
                finally:
                    self._busy = False
        except BaseException as error:  # Ctrl-C, on asyncio, which may strike between any two lines
            self._broken(error)
            with self._bus:  # whoever caused the job waits for its end; it may not even have begun
                self._busy = True
                self._do_all(job)
                self._busy = False

    def _is_done(self, job: Job) -> bool:
        """Take a step of it."""
        try:
            return next(job, _DONE) is _DONE
        except BaseException as error:  # a bug; lost, it would leave a tree that hangs in silence
            self._broken(error)
            return False  # it is, unless Ctrl-C struck before it went on

    def _do_all(self, job: Job) -> None:
        """As far as they aren't done; one that was is done at once."""
        under_way, caused = self._under_way, self.caused
        under_way.append(job)
        while under_way:
            if caused:
                under_way.extend(reversed(caused))
                caused.clear()
            if self._is_done(under_way[-1]):
                under_way.pop()


_DONE: Final = object()
