"""The task in which a tree lives that no `async with` can be put around: of a test fixture, a notebook, a prompt."""

from __future__ import annotations

import logging
from contextvars import copy_context
from typing import TYPE_CHECKING

import anyio

from supervise._backends import current_backend
from supervise.log import say
from supervise_strategies.exception import interrupts

if TYPE_CHECKING:
    from .running import RunningSupervisor
    from .supervisor import Runnable


class Host:
    """One run of a tree in a task of its own. It belongs to the event loop, so whoever opened it may be gone when it ends.

    What ends the tree is raised by whichever of `wait` and `close` comes first. The task itself raises nothing but the loop's
    own cancellation: on trio it is a system task, and anything else would end the run with an internal error.
    """

    def __init__(self, tree: Runnable) -> None:
        self._tree = tree
        self._backend = current_backend()
        self._opened = anyio.Event()
        self._over = anyio.Event()
        self._scope = anyio.CancelScope()
        self._app: RunningSupervisor | None = None
        self._error: BaseException | None = None

    async def open(self) -> RunningSupervisor:
        """Start the tree, and return when all of it is ready."""
        self._backend.run_apart(self._live, copy_context())
        try:
            await self._opened.wait()
        except BaseException:
            self._scope.cancel()
            with anyio.CancelScope(shield=True):
                await self._over.wait()
            if self._error is not None and interrupts(self._error):  # it passes up, though this was cancelled before
                self._raise()
            self._error = None
            raise
        if self._app is None:
            self._raise()
            raise RuntimeError(f"supervisor {self._tree.name!r} was cancelled while it started, as its event loop ends")
        return self._app

    async def close(self) -> None:
        """Stop the tree in order, wait until nothing of it is left, and raise what ended it, if nobody was told."""
        if self._app is not None:
            self._app._branch.tree.stop()
        await self.wait()

    async def wait(self) -> None:
        """Wait until it has ended, and raise what ended it, if nobody was told."""
        await self._over.wait()
        self._raise()

    async def left(self) -> None:
        """Wait until its task has left the tree, which then can run again."""
        await self._over.wait()

    async def _live(self) -> None:
        try:
            with self._scope:
                async with self._tree as app:
                    app._branch.tree.hosted = self
                    self._app = app
                    self._opened.set()
                    await app._branch.tree.over.wait()
        except (self._backend.cancelled, GeneratorExit):
            raise
        except BaseException as error:
            self._error = error
        finally:
            self._opened.set()
            self._over.set()

    def _raise(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            try:
                raise error
            finally:
                del error

    def __del__(self) -> None:
        error = getattr(self, "_error", None)
        if error is not None:
            name = self._tree.name
            say(
                logging.CRITICAL,
                "%s ended, and neither wait() nor close() told anybody: %s",
                name,
                error,
                error=error,
            )
