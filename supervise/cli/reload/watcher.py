"""Says when files of the program may have changed: what watchfiles hears, in a thread of its own.

What is heard is a hint, and no more: whoever looks compares what is on the disk with what runs. So nothing depends on which
events an editor causes, in which order, or on one that is lost while the folders that are watched become others.
"""

from __future__ import annotations

import functools
import importlib
import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import anyio

from .telling import tell

if TYPE_CHECKING:
    from .folders import Folders

MISSING: Final = "watchfiles isn't installed: pip install watchfiles"
STEP: Final = 100  # milliseconds in which nothing more happens: then it is one change
AT_MOST: Final = 1600  # milliseconds that a burst of changes is waited for
EACH: Final = 1000  # milliseconds, after which the thread comes back if nothing happens
AGAIN: Final = 0.2  # seconds until the next try


def is_installed() -> bool:
    """Whether there is something to watch with."""
    try:
        importlib.import_module("watchfiles")
    except ImportError:
        return False
    return True


class Watcher:
    """That of one program. `changed` is told whether a Python file was written; if not, somebody should look all the same.

    Folders of tools and package managers aren't watched at all: that of a project with node_modules would be too many.
    """

    def __init__(self, folders: Folders, changed: Callable[[bool], object]) -> None:
        self._folders = folders
        self._changed = changed
        self._polls = False
        self._others = False  # there are other folders than before, and maybe files in them
        logging.getLogger("watchfiles").setLevel(logging.WARNING)  # it tells of each change

    async def run(self) -> None:
        """Watch until it is cancelled."""
        while True:
            watched = {*self._folders.walk()}
            stop = anyio.Event()
            async with anyio.create_task_group() as group:
                group.start_soon(self._hear, watched, stop, group.cancel_scope)
                try:
                    await anyio.sleep_forever()
                finally:
                    stop.set()  # the thread isn't told that its task is cancelled

    async def _hear(self, watched: set[str], stop: anyio.Event, scope: anyio.CancelScope) -> None:
        """Until these aren't the folders any more."""
        from watchfiles import awatch

        watch = functools.partial(awatch, debounce=AT_MOST, step=STEP, rust_timeout=EACH, yield_on_timeout=True)
        first = True
        try:
            polls = self._polls or None
            async for changes in watch(*watched, watch_filter=None, stop_event=stop, force_polling=polls, recursive=False):
                paths = [path for _, path in changes]
                written = any(path.endswith(".py") and self._folders.holds(path) for path in paths)
                if first or written:
                    first = False  # now it is heard what changes; before that something may have
                    self._changed(written or self._others)
                    self._others = False
                if paths and {*self._folders.walk()} != watched:
                    self._others = True
                    break
        except FileNotFoundError:  # one of the folders vanished just now
            await anyio.sleep(AGAIN)
        except (OSError, RuntimeError) as error:  # the system allows no more watches, say
            if self._polls:
                tell(f"the program's files can't be watched ({error}): it goes on without")
                await anyio.sleep_forever()
            tell(f"the program's files can't be watched ({error}): they are looked at again and again instead")
            self._polls = True
        scope.cancel()


def folders_of_a_target(target: str) -> list[str]:
    """The working directory; and that of a file which is named as the target."""
    where = target.rpartition(":")[0]
    here = [os.getcwd()]
    return [*here, os.path.dirname(os.path.realpath(where))] if where.endswith(".py") else here
