"""The flight recorder: what it keeps of a running tree, and where it writes that.

Theory of operation
-------------------
- Facts are kept as they come (`journal/facts.py`); nothing is written as long as nobody asks.
- A record is *taken* in the tree's thread, at once, and is whole then: it holds no actor. It is made a text and *written* in a
  thread of its own, so that neither a slow disk nor 20,000 facts hold up the event loop.
- When the tree gives up, its end waits for that thread, so that `GaveUp` names the file; but for 2 s at most, since a disk may
  hang. It is the loop's thread that waits, not a task: so nothing else happens meanwhile, on a virtual clock neither.
- What can't be written is one WARNING.
"""

from __future__ import annotations

import _thread
import logging
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import anyio
import anyio.to_thread

from supervise.journal.facts import Facts
from supervise.log import say
from supervise_strategies.errors import InvalidSpec
from supervise_strategies.exception import interrupts
from supervise_strategies.exit_reason import describe

from .record import Record, take
from .record_file import default_folder, write

if TYPE_CHECKING:
    from collections.abc import Callable

    from .tree import Tree

PATIENCE: Final = 2.0
"""Seconds for which the end of a tree that gave up waits for its record."""


@dataclass(frozen=True, slots=True)
class Recorder:
    """What the flight recorder of a tree keeps, and where it writes it.

    It is given as `Supervisor(…, recorder=Recorder("/var/lib/shop"))`. It writes when the tree
    gives up, and when it is asked: `app.record()`. What can't be written is one WARNING.

    folder: Where records are written; it is made if it isn't there. Default: what the
        variable SUPERVISE_RECORDS says, else `supervise` in the user's folder for state
        (`~/.local/state`).
    facts: How many are kept, the last ones (default 20,000); each takes some 300 bytes.
    keep: How many records of trees of this name stay in the folder (default 20); older ones
        are removed.

    Raises `InvalidSpec`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     async with Supervisor("app", recorder=Recorder(folder, keep=5)) as app:
    ...         file = await app.record()
    ...         file.suffix
    '.json'
    """

    folder: str | os.PathLike[str] | None = None
    facts: int = 20_000
    keep: int = 20

    def __post_init__(self) -> None:
        if not (self.folder is None or (isinstance(self.folder, str | os.PathLike) and os.fspath(self.folder))):
            raise InvalidSpec("Recorder", "folder", self.folder, "the path of a folder, or None")
        for option, value in (("facts", self.facts), ("keep", self.keep)):
            if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value < math.inf:
                cure = "a whole number, 1 or more; recorder=False keeps nothing"
                raise InvalidSpec("Recorder", option, value, cure)


RecorderOption: TypeAlias = Recorder | bool


def check_recorder(who: str, option: object) -> None:
    if not isinstance(option, Recorder | bool):
        raise InvalidSpec(who, "recorder", option, "True, False, or Recorder(folder)")


class FlightRecorder:
    """That of one tree that runs, or has run."""

    __slots__ = ("_options", "_tree", "_writing")

    def __init__(self, tree: Tree, options: Recorder) -> None:
        self._tree = tree
        self._options = options
        self._writing = False
        tree.bus.facts = Facts(tree.backend.now, options.facts, tree.bus.text)

    async def record(self) -> Path | None:
        """Write one now; where it is, or None if it can't be written, which is logged."""
        record = take(self._tree, "asked for")
        own = anyio.CapacityLimiter(1)  # the tree's threads may all be busy, and that be what there is to find out
        return await anyio.to_thread.run_sync(self._write, record, abandon_on_cancel=True, limiter=own)

    def record_at_end(self, why: str) -> Path | None:
        """Write one, and wait for it, as the tree is over; where it is, or None if it can't be written, or takes too long."""
        done, found = _thread.allocate_lock(), list[Path | None]()
        done.acquire()

        def then(file: Path | None) -> None:
            found.append(file)
            done.release()

        self._in_thread(take(self._tree, why), then)
        return found[0] if done.acquire(timeout=PATIENCE) else None

    def record_at_signal(self, why: str, then: Callable[[Path], object]) -> bool:
        """Write one, from a signal's handler in the tree's own thread, and tell where it is. False: one is being written."""
        if self._writing:
            return False
        self._in_thread(take(self._tree, why), lambda file: file and then(file))
        return True

    def _in_thread(self, record: Record, then: Callable[[Path | None], object]) -> None:
        def run() -> None:
            file: Path | None = None
            try:
                file = self._write(record)
            finally:
                self._writing = False
                then(file)

        self._writing = True
        try:
            # Not threading's: whatever this thread was doing when a signal came may hold the locks of that.
            _thread.start_new_thread(run, ())
        except RuntimeError:  # there can't be one more, or none at all
            run()

    def _write(self, record: Record) -> Path | None:
        folder: object = self._options.folder
        try:
            where = Path(self._options.folder) if self._options.folder is not None else default_folder()
            folder = where
            file = write(where, record.name, record.when, record.text(), self._options.keep)
        except BaseException as error:
            if interrupts(error):
                raise
            text = "%s: its flight record can't be written to %s: %s; SUPERVISE_RECORDS, or Recorder(folder), says where"
            say(logging.WARNING, text, record.name, "any folder" if folder is None else str(folder), describe(error))
            return None
        say(logging.INFO, "%s: its flight record is in %s", record.name, str(file))
        return file
