"""`supervise run`: a tree that serves until it is told to stop.

| what happens | exit status |
|---|---|
| SIGTERM or SIGINT, at any time: what has started is stopped in order, within the budget | 0 |
| the tree ended by itself in an orderly way | 0 |
| it gave up, or didn't start: the chain of crashes is on stderr | 1 |
| MODULE:TREE isn't one, or --log, --otlp, --metrics, --health or --live can't be done: why is on stderr | 2 |
| something outlived the budget and its cancellation: its path is on stderr | 70 |
| a second signal: all process groups are killed, and the process is left at once | 128 + its number |

With --reload a tree that gave up, or didn't start, ends nothing: the next change of a file starts it anew.

In the last milliseconds of the interpreter, when it runs no Python code any more, a second signal ends it by itself: a shell
calls that 128 + its number, too.

A signal counts from the first moment: see `supervise/_signals.py`. A start that hangs is cancelled, an import of the user's
module is given up. What is done when the end takes long stands in `ending.py`.
"""

from __future__ import annotations

import logging
import math
import shlex
import signal
import sys
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, NamedTuple

import anyio
import anyio.lowlevel

from supervise._backends import current_backend
from supervise._signals import say, signals
from supervise.adapters.processes.keeper import kill_all
from supervise.errors import GaveUp, StartFailed
from supervise.health import ServiceManager, serve
from supervise.tree.running import RunningSupervisor
from supervise.tree.supervisor import Runnable
from supervise_strategies.exception import cause_of
from supervise_strategies.exit_reason import describe

from .ending import Ending
from .failure import traceback_text
from .listening import WrongAddress, host_and_port, shown, taken
from .outputs import unbreak
from .quit_signal import record_at_quit
from .target import WrongTarget, load
from .telemetry import Telemetry, shows

if TYPE_CHECKING:
    from .reload.reloader import Reloader

DEFAULT_BUDGET = 25.0  # seconds: less than the 30 s after which most process managers kill


class Live(NamedTuple):
    """What --live and --operate say."""

    where: str | None
    """A socket's path, or HOST:PORT; None: the usual place."""
    operate: bool


def main(
    target: str,
    backend: str,
    budget: float | None,
    telemetry: Telemetry,
    probes: str | None = None,
    factory: bool = False,
    live: Live | None = None,
    reload: bool = False,
) -> int:
    """Load the tree and serve it."""
    unbreak()
    as_command = signals.taken
    if not as_command:
        signals.take()
    signals.on_second = kill_all
    try:
        return _main(target, backend, budget, telemetry, probes, factory, live, reload)
    finally:
        if not as_command:  # else they are ours until the interpreter has ended, which may take its time, too
            signals.give_back()


def _main(
    target: str,
    backend: str,
    budget: float | None,
    telemetry: Telemetry,
    probes: str | None,
    factory: bool,
    live: Live | None,
    reload: bool,
) -> int:
    def applied(description: Runnable) -> Runnable:
        if budget is not None:
            description = description.with_budget(budget)
        elif description.shutdown_budget is None:
            description = description.with_budget(DEFAULT_BUDGET)
        return telemetry.applied(description)

    begun = time.time()
    try:
        listen = None if probes is None else host_and_port("--health", probes, 8080)
        description = _load_unless_asked_to_end(target, factory)
    except WrongAddress as error:
        print(f"supervise: {error}", file=sys.stderr)
        return 2
    except WrongTarget as error:
        if signals.first is not None:  # which the module took for a fault of its own
            return 0
        error.tell()
        return 2
    telemetry.open(description.name)
    description = applied(description)
    reloader: Reloader | None = None
    if reload:
        from .reload.service import reloader_of  # only those who ask for it wait for that

        reloader = reloader_of(target, lambda: applied(load(target, factory)), begun)
    within = math.inf if description.shutdown_budget is None else description.shutdown_budget
    try:
        service = _Service(description, Ending(within, telemetry.close), listen, live, reloader)
        return anyio.run(service.serve, backend=backend)
    except WrongAddress as error:
        print(f"supervise: {error}", file=sys.stderr)
        return 2


def _load_unless_asked_to_end(target: str, factory: bool) -> Runnable:
    """A module may take long to import, and a factory to run; what they do in a `finally` is done. SystemExit at a signal."""

    def give_up() -> None:  # in the signal's handler
        assert signals.first is not None
        say(f"supervise: {signals.first.name}: loading {target!r} is given up")
        raise SystemExit(0)

    signals.on_first = give_up
    try:
        return load(target, factory)
    finally:
        signals.on_first = _remember


def _remember() -> None:
    """Whoever comes next looks at `signals.first`."""


class _Service:
    """One run of a tree, from its start to its exit status."""

    def __init__(
        self,
        description: Runnable,
        ending: Ending,
        listen: tuple[str, int] | None,
        live: Live | None,
        reloader: Reloader | None,
    ) -> None:
        self._listen = listen
        self._live = live
        self._reloader = reloader
        self._manager = ServiceManager.from_environment()
        self._description = description
        self._ending = ending
        self._status = 0
        self._asked = anyio.Event()
        self._leave = anyio.Event()  # the tree that runs now

    async def serve(self) -> int:
        soon = current_backend().from_anywhere()

        def first() -> None:  # in the signal's handler
            assert signals.first is not None
            say(f"supervise: {signals.first.name}: stopping {self._description.name}")
            self._ending.begin()
            soon(self._ask)

        signals.take()  # the user's module may have taken them meanwhile
        signals.on_first = first
        try:
            # Nobody sends this one. Listening to it has asyncio wake at any signal, also at one that comes when it is just
            # about to wait; trio does so by itself.
            with anyio.open_signal_receiver(signal.SIGURG):
                if signals.first is None:
                    await self._serve()
            return self._status
        finally:
            signals.on_first = self._late

    def _ask(self) -> None:
        self._asked.set()
        self._leave.set()

    def _late(self) -> None:
        """The first signal when the tree has ended, but not yet the process."""
        assert signals.first is not None
        say(f"supervise: {signals.first.name}: the end has begun already")
        self._ending.begin()

    async def _serve(self) -> None:
        async with AsyncExitStack() as stack:
            if self._live is not None:
                await self._let_see(stack, self._live)
            if self._reloader is None:
                await self._run(self._description)
                return
            from .reload.service import Reloading

            await Reloading(self._reloader, self._asked, lambda: self._leave.set()).serve(self._description, self._run)
            if self._asked.is_set():
                self._status = 0

    async def _run(self, description: Runnable) -> bool:
        """One tree, from its start to its end; whether it gave up, or didn't start."""
        self._description, self._status = description, 0
        self._leave = anyio.Event()
        if self._asked.is_set():
            self._leave.set()
        async with AsyncExitStack() as stack:
            if self._listen is not None:
                await self._answer_probes(stack, *self._listen)
            group = await stack.enter_async_context(anyio.create_task_group())
            group.start_soon(self._accompany)
            try:
                async with self._description as app:
                    group.start_soon(self._manager.feed, app)
                    self._manager.ready(f"{app.path} has started")
                    await self._leave.wait()
            except GaveUp as error:
                _print_chain(error)
                self._status = 1
            except StartFailed as error:
                if not self._leave.is_set():  # else it is what the signal wanted
                    _print_chain(error)
                    self._status = 1
            group.cancel_scope.cancel()
            self._manager.stopping()  # if its end was over at once
        return self._status != 0

    async def _answer_probes(self, stack: AsyncExitStack, host: str, port: int) -> None:
        """From before the tree's start until after its end."""
        try:
            chosen = await stack.enter_async_context(serve(self._description, host, port))
        except OSError as error:
            raise taken("--health", host, port, error) from error
        print(f"supervise: health at http://{shown(host, chosen)}/live and /ready", file=sys.stderr, flush=True)

    async def _let_see(self, stack: AsyncExitStack, live: Live) -> None:
        """For who watches and handles from outside whichever tree there is."""
        from supervise.live import CantServe, WrongFolder  # it takes 30 ms to load, asyncio for trio, too
        from supervise.live.server import serving

        try:
            served = await stack.enter_async_context(serving(lambda: self._description, live.where, operate=live.operate))
        except (CantServe, WrongFolder) as error:
            raise WrongAddress(f"--live: {error}") from error
        page = "" if served.url is None else f", and the page at {served.url}"
        print(f"supervise: live at {served.socket}{page}", file=sys.stderr, flush=True)
        if served.beyond:
            print("supervise: --live: other machines can reach that, in clear text: a port forward is safer", file=sys.stderr)

    async def _accompany(self) -> None:
        """Beside the tree, from the beginning of its start on: stop it when it is asked for, and look after its end."""
        app = self._description.running
        if app is None:  # its start failed before it waited for anything
            return
        self._ending.of(app)
        with record_at_quit(app):
            await self._look_after(app)

    async def _look_after(self, app: RunningSupervisor) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(self._stop_when_asked, app)
            await app.stopping()
            if self._reloader is None or self._asked.is_set():  # else another tree comes after it
                self._ending.begin()
            self._manager.stopping(f"{app.path} is stopping")
            group.start_soon(self._ending.tell)

    async def _stop_when_asked(self, app: RunningSupervisor) -> None:
        await self._leave.wait()
        while not app.running and app.ended is None:  # it is about to begin
            await anyio.lowlevel.checkpoint()
        await app.stop()


def _print_chain(error: GaveUp | StartFailed) -> None:
    cause = cause_of(error) if isinstance(error, StartFailed) else None
    lines = "" if cause is None else traceback_text(cause)
    told = shows(logging.ERROR)  # then the record of the failed start has it
    print(f"{'' if told else lines}supervise: {error}", file=sys.stderr)
    if isinstance(error, GaveUp):
        for number, crash in enumerate(error.crashes, 1):
            print(f"  {number}. {crash}", file=sys.stderr)
        if error.record is not None:
            print(f"  what led to it: supervise postmortem {shlex.quote(str(error.record))}", file=sys.stderr)
    elif cause is not None and not lines and describe(cause) not in str(error):
        print(f"  because of {describe(cause)}", file=sys.stderr)
