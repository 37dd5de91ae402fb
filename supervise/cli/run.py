"""`supervise run`: a tree that serves until it is told to stop.

| what happens | exit status |
|---|---|
| SIGTERM or SIGINT: stopped in order, within the budget | 0 |
| the tree ended by itself in an orderly way | 0 |
| it gave up, or didn't start: the chain of crashes is on stderr | 1 |
| MODULE:TREE isn't one, or --log, --otlp or --health can't be done: one line on stderr | 2 |
| something outlived the budget and its cancellation: its path is on stderr | 70 |
| a second signal: everything is cancelled at once | 128 + its number |
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import anyio

from supervise.errors import GaveUp, StartFailed
from supervise.events import Event, Overran
from supervise.health import ServiceManager, serve
from supervise.tree.place import UNSTOPPABLE_AFTER
from supervise.tree.running import RunningSupervisor
from supervise.tree.supervisor import Runnable
from supervise_strategies.exit_reason import describe

from .telemetry import Telemetry

DEFAULT_BUDGET = 25.0  # seconds: less than the 30 s after which most process managers kill
HURRY = 1.0  # seconds that a tree may still take after all that lives was cancelled


class WrongTarget(Exception):
    """MODULE:TREE names no tree; the text is the one line to print."""


class WrongHealth(Exception):
    """--health can't be done; the text is the one line to print."""


def main(target: str, backend: str, budget: float | None, telemetry: Telemetry, probes: str | None = None) -> int:
    """Load the tree and serve it."""
    try:
        listen = None if probes is None else host_and_port(probes)
        description = load(target)
    except (WrongTarget, WrongHealth) as error:
        print(f"supervise: {error}", file=sys.stderr)
        return 2
    if budget is not None:
        description = description.with_budget(budget)
    elif description.shutdown_budget is None:
        description = description.with_budget(DEFAULT_BUDGET)
    telemetry.open(description.name)
    try:
        return anyio.run(_Service(description, telemetry, listen).serve, backend=backend)
    except WrongHealth as error:
        print(f"supervise: {error}", file=sys.stderr)
        return 2


def host_and_port(text: str) -> tuple[str, int]:
    """`HOST:PORT`, with an IPv6 address in brackets."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise WrongHealth(f"--health {text!r} isn't HOST:PORT: give both, e.g. --health 127.0.0.1:8080, or [::1]:8080")
    return host, int(port)


def load(target: str) -> Runnable:
    """The description that MODULE:TREE names, looked for in the working directory first."""
    module_name, colon, name = target.partition(":")
    if not colon or not module_name or not name:
        raise WrongTarget(f"{target!r} isn't MODULE:TREE: give a module and the name of a Supervisor in it, e.g. chat:TREE")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(module_name)
    except Exception as error:
        raise WrongTarget(
            f"{target!r}: module {module_name!r} can't be imported ({describe(error)}): "
            "run the command where it can, and mend what it raises"
        ) from error
    for part in name.split("."):
        if not hasattr(found, part):
            raise WrongTarget(f"{target!r}: module {module_name!r} has no {name!r}: name a Supervisor that it defines")
        found = getattr(found, part)
    if not isinstance(found, Runnable):
        raise WrongTarget(f"{target!r} is of type {type(found).__name__}: name a Supervisor or DynamicSupervisor")
    return found


class _Service:
    """One run of a tree, from its start to its exit status."""

    def __init__(self, description: Runnable, telemetry: Telemetry, listen: tuple[str, int] | None) -> None:
        self._listen = listen
        self._manager = ServiceManager.from_environment()
        self._description = description
        self._telemetry = telemetry
        self._status = 0
        self._asked = anyio.Event()
        self._unstoppable: list[str] = []

    async def serve(self) -> int:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async with AsyncExitStack() as stack:
                if self._listen is not None:
                    await self._answer_probes(stack, *self._listen)
                group = await stack.enter_async_context(anyio.create_task_group())
                try:
                    async with self._description as app:
                        app.subscribe(self._note)
                        group.start_soon(self._watch, signals, app)
                        group.start_soon(self._tell_the_end, app)
                        group.start_soon(self._manager.feed, app)
                        self._manager.ready(f"{app.path} has started")
                        await self._asked.wait()
                except (GaveUp, StartFailed) as error:
                    _print_chain(error)
                    self._status = 1
                group.cancel_scope.cancel()
                self._manager.stopping()  # if its end was over at once
        return self._status

    async def _answer_probes(self, stack: AsyncExitStack, host: str, port: int) -> None:
        """From before the tree's start until after its end."""
        try:
            chosen = await stack.enter_async_context(serve(self._description, host, port))
        except OSError as error:
            why = error.strerror or describe(error)
            raise WrongHealth(
                f"--health {host}:{port}: can't listen there ({why}): choose another port, or end what listens on this one"
            ) from error
        print(f"supervise: health at http://{host}:{chosen}/live, /ready and /tree", file=sys.stderr, flush=True)

    async def _tell_the_end(self, app: RunningSupervisor) -> None:
        await app.stopping()
        self._manager.stopping(f"{app.path} is stopping")

    def _note(self, event: Event) -> None:
        if isinstance(event, Overran):
            self._unstoppable.append(f"{event.path} #{event.incarnation}")

    async def _watch(self, signals: AsyncIterator[signal.Signals], app: RunningSupervisor) -> None:
        async for first in signals:
            print(f"supervise: {first.name}: stopping {app.path}", file=sys.stderr)
            self._asked.set()
            break
        async with anyio.create_task_group() as group:
            group.start_soon(self._give_up_waiting)
            async for second in signals:
                print(f"supervise: {second.name} again: everything is cancelled", file=sys.stderr)
                self._status = 128 + second
                app.kill_all()
                await anyio.sleep(UNSTOPPABLE_AFTER + HURRY)
                self._leave(self._status)

    async def _give_up_waiting(self) -> None:
        budget = self._description.shutdown_budget
        if budget is not None:
            await anyio.sleep(budget + UNSTOPPABLE_AFTER + HURRY)
            self._leave(70)

    def _leave(self, status: int) -> None:
        """What is left can't be ended from within; a process manager would wait for it for ever."""
        still = ", ".join(self._unstoppable) or "a part of the tree"
        print(f"supervise: {still} outlived its cancellation: leaving all the same", file=sys.stderr)
        sys.stderr.flush()
        self._telemetry.close()
        os._exit(status)


def _print_chain(error: GaveUp | StartFailed) -> None:
    print(f"supervise: {error}", file=sys.stderr)
    if isinstance(error, GaveUp):
        for number, crash in enumerate(error.crashes, 1):
            print(f"  {number}. {crash}", file=sys.stderr)
    elif error.__cause__ is not None:
        print(f"  because of {describe(error.__cause__)}", file=sys.stderr)
