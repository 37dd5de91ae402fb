"""The scripted workers: real actors that start, end and clean up as a scenario says."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import anyio.lowlevel

from supervise import IgnoreStart, current
from supervise_strategies import ExitKind, ExitReason

from .plans import Plans
from .record import Record


class Scripted(Exception):
    """What goes wrong because the script says so."""


class Script:
    """What all workers of a scenario share: the plans, the record, and who waits or cleans up."""

    def __init__(self, kill: Callable[[str], None]) -> None:
        self.plans = Plans()
        self.record = Record()
        self.kill = kill
        self.hanging: dict[str, anyio.Event] = {}
        """By path: the gates that an init has reached."""
        self._cleaning = 0
        self._cleaned = anyio.Event()

    async def enter(self) -> None:
        """The init of a worker that can wait in it."""
        path = current().path
        init = self.plans.init(path)
        if init.gated:
            self.hanging[path] = gate = anyio.Event()
            self.record.blocked(path)
            try:
                await gate.wait()
            finally:
                self.hanging.pop(path, None)
        self._come_out(path, init.outcome)

    def begin(self) -> None:
        """The init of a worker that can't."""
        path = current().path
        self._come_out(path, self.plans.init(path).outcome)

    def _come_out(self, path: str, outcome: str) -> None:
        if outcome == "ignore":
            raise IgnoreStart("the script says so")
        if outcome != "ok":
            raise Scripted(f"init: {outcome}")
        doom = self.plans.doom(path)
        if doom is not None:  # the first message of this incarnation, in its mailbox before it is ready
            me = current()
            me.address.try_send(Worker.end, doom, me.incarnation)

    async def clean_up(self, seconds: float) -> None:
        """Take some time for it. A worker that is killed gets none: its exit hook runs in a cancelled scope."""
        self._cleaning += 1
        try:
            await anyio.lowlevel.checkpoint()
            if seconds:
                await anyio.sleep(seconds)
        finally:
            self._cleaning -= 1
            self._cleaned.set()
            self._cleaned = anyio.Event()

    @property
    def cleaning(self) -> bool:
        """Whether a worker takes its time to stop."""
        return self._cleaning > 0

    async def cleaned(self) -> None:
        """Wait until one of them has stopped, or was cancelled."""
        await self._cleaned.wait()


class Worker:
    """A plain actor: nothing to enter or exit, so that it is restarted in its task."""

    def __init__(self, script: Script) -> None:
        self.script = script
        script.begin()

    async def end(self, reason: ExitReason, incarnation: int | None = None) -> None:
        """End by itself; if it is said which incarnation is meant, only that one does."""
        if incarnation in (None, current().incarnation):
            _end(self.script, reason)


class GatedWorker(Worker):
    """Made by an async factory, which can wait."""

    def __init__(self, script: Script) -> None:
        self.script = script


async def gated_worker(script: Script) -> GatedWorker:
    """The factory of a worker whose init can hang."""
    await script.enter()
    return GatedWorker(script)


class CarefulWorker:
    """An async context manager: it cleans up when it is asked to stop, may need time for it, and may misbehave."""

    def __init__(self, script: Script, seconds: float, reason: ExitReason) -> None:
        self.script = script
        self._seconds = seconds
        self._reason = reason
        self._asked = True

    async def __aenter__(self) -> CarefulWorker:
        await self.script.enter()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None and self._asked:
            await self.script.clean_up(self._seconds)
            if self._reason.kind is not ExitKind.SHUTDOWN:
                _end(self.script, self._reason)

    def end(self, reason: ExitReason, incarnation: int | None = None) -> None:
        """See `Worker.end`. Not async, so that both kinds of handlers crash."""
        if incarnation in (None, current().incarnation):
            self._asked = False
            _end(self.script, reason)


def _end(script: Script, reason: ExitReason) -> None:
    if reason.kind is ExitKind.CRASHED:
        raise Scripted("crash")
    if reason.kind is ExitKind.KILLED:
        script.kill(current().path)
    else:
        current().stop(shutdown=None if reason.kind is ExitKind.NORMAL else reason.detail)
