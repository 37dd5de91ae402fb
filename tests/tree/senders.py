"""The senders of a play: tasks that write to its actors, one message after the other, and keep what became of each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream

from supervise import (
    ActorCrashed,
    ActorRestarting,
    ActorStopped,
    Address,
    CallCycle,
    MailboxClosed,
    MailboxFull,
    MessageDropped,
    SendTimeout,
    WeakAddress,
    WouldDeadlock,
)
from tests.doubles import Boom

from .generators import Part, Say
from .pools import NoKey
from .stage import Answer, Line, Player, Stage, read

OK: Final = "ok"
CANCELLED: Final = "cancelled"
OUTCOMES: Final = (
    ActorCrashed, ActorRestarting, ActorStopped, Answer, Boom, CallCycle, ExceptionGroup, MailboxClosed, MailboxFull,
    MessageDropped, NoKey, TimeoutError, WouldDeadlock,
)  # fmt: skip
NEVER_BEGUN: Final = (ActorRestarting, MailboxClosed, MailboxFull, MessageDropped, NoKey, SendTimeout)


def is_stream(say: Say) -> bool:
    """Whether its sender reads what the actor yields."""
    return say.way in ("stream", "stream in time", "stream or fail")


class Sender:
    """One task that writes, one message after the other."""

    def __init__(
        self, number: int, native: bool, parts: tuple[Part, ...], worker: Callable[[int, int], Any], stage: Stage
    ) -> None:
        self.number = number
        self._stage = stage
        self.parts = parts
        self._worker = worker
        self.alone: set[int] = set()
        """What it wrote to one worker of a pool."""
        self._native = native
        self.outcomes: dict[int, tuple[Say, Any]] = {}
        self._scope: anyio.CancelScope | None = None
        self._task: asyncio.Task[Any] | None = None
        self._told, self._jobs = anyio.create_memory_object_stream[tuple[int, Say, Address[Player], Address[Player]]](1000)
        self._count = 0

    def tell(self, say: Say, to: Address[Player], then: Address[Player]) -> None:
        self._told.send_nowait((self._count, say, to, then))
        self._count += 1

    def cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
        elif self._scope is not None:
            self._scope.cancel()

    @property
    def at_work(self) -> int | None:
        """The message that it waits for; None: it has nothing to do."""
        return self._count - 1 - self._jobs.statistics().current_buffer_used if len(self.outcomes) < self._count else None

    def has_lanes(self, say: Say) -> bool:
        return self.parts[say.to].lanes != "none"

    def finish(self) -> None:
        self._told.close()

    async def run(self) -> None:
        jobs: MemoryObjectReceiveStream[Any] = self._jobs
        async with jobs:
            async for n, say, to, then in jobs:
                outcome: Any = CANCELLED
                if self._native:
                    self._task = asyncio.create_task(self._outcome(n, say, to, then))
                    await asyncio.wait([self._task])
                    outcome = CANCELLED if self._task.cancelled() else self._task.result()
                    self._task = None
                else:
                    with anyio.CancelScope() as self._scope:
                        outcome = await self._outcome(n, say, to, then)
                    self._scope = None
                assert n not in self.outcomes
                self.outcomes[n] = (say, outcome)

    async def _outcome(self, *what: Any) -> Any:
        try:
            await self._write(*what)
        except OUTCOMES as error:
            return type(error)
        return OK

    async def _write(self, n: int, say: Say, to: Address[Player], then: Address[Player]) -> None:
        line = Line(self.number, n, say.deed, say.seconds, then, reading=say.reading)
        handler: Any = Player.play_at_once if say.deed == "note at once" else Player.play
        if say.deed.startswith("beside"):
            handler = Player.play_beside
        part = self.parts[say.to]
        lane = "urgent" if say.urgent and self.has_lanes(say) else None
        worker = self._worker(say.to, n) if say.alone and part.size else None
        if worker is not None:
            self.alone.add(n)
            to, lane = worker, None
        elif part.size:
            line = line._replace(pool=to.path, key=say.key if part.keyed else None, lane=lane or "normal")
        by: Address[Player] | WeakAddress[Player] = to.weak if say.weak else to
        options: dict[str, Any] = {} if lane is None else {"lane": lane}
        if say.way in ("call in time", "send in time", "stream in time"):
            options["timeout"] = say.seconds
        elif say.way in ("call or fail", "stream or fail"):
            options["on_restart"] = "fail"
        if is_stream(say):
            options["buffer"] = say.reading.buffer
        if options:
            by = by.options(**options)
        if is_stream(say):
            handler = Player.items_beside if say.deed.startswith("beside") else Player.items
            await read(self._stage, by, handler, line)
        elif say.way == "try_send":
            by.try_send(handler, line)
        elif say.way in ("send", "send in time"):
            await by.send(handler, line)
        else:
            assert await by.call(handler, line) == n

    def order_of(self, n: int) -> str | None:
        """Among which of its messages to one actor it is handled in the order of sending; None: no order is promised."""
        said = self.outcomes.get(n)
        if said is None:
            return None
        say, part = said[0], self.parts[said[0].to]
        if n in self.alone:
            lane = "alone"
        else:
            lane = "urgent" if say.urgent and self.has_lanes(say) else "normal"
            if part.size and part.keyed and say.key is not None:
                return f"{lane}, key {say.key}"
        if say.deed.startswith("beside"):
            return None
        if part.concurrency is not None:  # what runs beside others is only handed over in order
            return f"{lane}, at once" if say.deed == "note at once" and not is_stream(say) else None
        return lane
