"""`supervise run --reload`, beside the tree that it serves: it hears of changes, and the tree goes on with them.

A tree that doesn't run, since it gave up or didn't start, is started anew at the next change that can be imported. So is one
that is still starting, and one whose root is another one by now.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio

from supervise._signals import signals
from supervise.cli.target import WrongTarget
from supervise.log import say

from .folders import Folders
from .generation import NotImported
from .program import Program
from .reloader import Loaded, Reloader
from .telling import tell
from .watcher import Watcher, folders_of_a_target

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from supervise.tree.running import RunningSupervisor
    from supervise.tree.supervisor import Runnable

    from .plan import Plan


class Reloading:
    """That of one command. `asked` is set when it is to end; `leave` has the tree that runs stopped in order."""

    def __init__(self, reloader: Reloader, asked: anyio.Event, leave: Callable[[], object]) -> None:
        self._reloader = reloader
        self._asked = asked
        self._leave = leave
        self._tree: Runnable | None = None
        self._next: Runnable | None = None
        self._wanted = anyio.Event()  # that
        self._told = anyio.Event()
        self._hint = False
        self._renewing: anyio.CancelScope | None = None

    async def serve(self, tree: Runnable, run: Callable[[Runnable], Awaitable[bool]]) -> None:
        """Run the tree, and each that takes its place. `run` says whether it failed, and isn't what somebody wanted."""
        async with anyio.create_task_group() as group:
            group.start_soon(Watcher(self._reloader.folders, self.hear).run)
            group.start_soon(self._look_when_told, group)
            while True:
                self._tree, self._next, self._wanted = tree, None, anyio.Event()
                failed = await run(tree)
                if failed and self._following() is None and not self._asked.is_set():
                    tell(f"{tree.name} doesn't run: the next change starts it anew")
                    await self._wait_for_the_next()
                following = self._following()
                if following is None or self._asked.is_set():
                    break
                tell(f"{following.name} is started anew")
                tree = following
            group.cancel_scope.cancel()

    def hear(self, written: bool) -> None:
        """Something may have changed."""
        self._hint = self._hint or written
        self._told.set()

    def _following(self) -> Runnable | None:
        return self._next

    async def _wait_for_the_next(self) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(_cancel_after, self._asked, group)
            group.start_soon(_cancel_after, self._wanted, group)

    async def _look_when_told(self, group: TaskGroup) -> None:
        while True:
            await self._told.wait()
            self._told, hint, self._hint = anyio.Event(), self._hint, False
            try:
                loaded = self._reloader.look(hint=hint)
                if loaded is not None and not self._asked.is_set():
                    self._go_on_with(loaded, group)
            except Exception as error:  # a bug here ends no program
                say(logging.ERROR, "reload: a bug in supervise: %s", error, error=error)

    def _go_on_with(self, loaded: Loaded, group: TaskGroup) -> None:
        """At once. An earlier change that is being carried out is asked for to its end, and not waited for."""
        if self._renewing is not None:
            self._renewing.cancel()
        app = None if self._tree is None else self._tree.running
        plan = self._reloader.plan(app, loaded) if app is not None and _is_up(app) else None
        if app is None or plan is None:
            self._next = loaded.tree
            self._wanted.set()
            self._leave()
        else:
            self._renewing = anyio.CancelScope()
            group.start_soon(self._carry_out, app, loaded, plan, self._renewing)

    async def _carry_out(self, app: RunningSupervisor, loaded: Loaded, plan: Plan, scope: anyio.CancelScope) -> None:
        with scope:
            await self._reloader.carry_out(app, loaded, plan)


def reloader_of(target: str, load: Callable[[], Runnable], begun: float) -> Reloader:
    """That of a program whose tree is loaded. `begun`: when that began, in seconds since the epoch."""
    return Reloader(Program(Folders(*folders_of_a_target(target)), begun), load, _given_up_at_a_signal)


@contextmanager
def _given_up_at_a_signal() -> Generator[None]:
    """Modules may take long to import: the signal that ends the tree ends that, too."""
    on_first = signals.on_first

    def first() -> None:
        on_first()
        raise SystemExit(0)

    signals.on_first = first
    try:
        yield
    except (SystemExit, NotImported, WrongTarget):
        if signals.first is None:
            raise
    finally:
        signals.take()  # a module may have taken them
        signals.on_first = on_first


def _is_up(app: RunningSupervisor) -> bool:
    """Whether its start is over, and its end hasn't begun."""
    tree, node = app._branch.tree, app._branch.node
    return node is not None and node.ready and not tree.ending.is_set()


async def _cancel_after(event: anyio.Event, group: TaskGroup) -> None:
    await event.wait()
    group.cancel_scope.cancel()
