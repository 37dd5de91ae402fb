"""The actors of a play, which write down outside of themselves what they do, and complain when two lives overlap."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, NamedTuple, Self

import anyio

from supervise import Address, concurrent, current
from tests.doubles import Boom

from .generators import Deed

if TYPE_CHECKING:
    from .generators import Part


class Line(NamedTuple):
    """One message: the n-th of a sender."""

    sender: int
    n: int
    deed: Deed
    seconds: float
    then: Address[Player] | None


class Answer(Exception):
    """What the actors are expected to raise."""


class Stage:
    """Where everything is written down."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, int, int]] = []
        """(actor, sender, n), when a handler began."""
        self.ended: list[tuple[int, int]] = []
        """(sender, n), when a handler returned."""
        self.complaints: list[str] = []
        self.failing: Counter[str] = Counter()
        self.effects: Counter[str] = Counter()
        """How often each option took effect."""
        self._present: defaultdict[str, Counter[int]] = defaultdict(Counter)
        self._handling: Counter[str] = Counter()

    @contextmanager
    def presence(self, what: str) -> Generator[None]:
        """Code of the running actor is on the stage, and no other life of it may be."""
        path, life = current().path, current().incarnation
        present = self._present[path]
        others = [other for other, count in present.items() if count and other != life]
        if others:
            self.complaints.append(f"{what} of {path} #{life} while #{others} is there")
        present[life] += 1
        try:
            yield
        finally:
            present[life] -= 1

    @contextmanager
    def handling(self, line: Line, *, beside: bool = False) -> Generator[None]:
        """A handler runs, and no other one of the actor may, unless it runs beside others."""
        path = current().path
        if self._handling[path] and not beside:
            self.complaints.append(f"{path} handles two messages at once")
        self._handling[path] += not beside
        self.begun.append((path, line.sender, line.n))
        self.effects["redelivery"] += current().attempt > 1
        try:
            with self.presence("a handler"):
                yield
        except anyio.get_cancelled_exc_class():
            self.effects["cancelled handler"] += 1
            raise
        finally:
            self._handling[path] -= not beside
        self.ended.append((line.sender, line.n))

    def left(self) -> list[str]:
        """Who is still there."""
        return [f"{path} #{life}" for path, lives in self._present.items() for life in lives.elements()]


class Player:
    """Does what its messages say."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    async def play(self, line: Line) -> int:
        with self._stage.handling(line):
            await self._do(line)
        return line.n

    async def tick(self) -> None:
        with self._stage.presence("a tick"):
            await anyio.sleep(0.1)

    async def take(self, result: object) -> None:
        with self._stage.presence("what takes a result"):
            await anyio.sleep(0.1)

    @concurrent(limit=2)
    async def play_beside(self, line: Line) -> int:
        with self._stage.handling(line, beside=True):
            await anyio.sleep(line.seconds)
            if line.deed == "beside, then crash":
                raise Boom(line.deed)
        return line.n

    def play_at_once(self, line: Line) -> int:
        with self._stage.handling(line):
            return line.n

    async def _do(self, line: Line) -> None:
        if line.deed in ("sleep", "sleep, then crash"):
            await anyio.sleep(line.seconds)
        if line.deed in ("crash", "sleep, then crash"):
            raise Boom(line.deed)
        if line.deed == "crash in a group":
            async with anyio.create_task_group() as group:
                group.start_soon(self._task, line.seconds, True)
        elif line.deed == "raise what is expected":
            raise Answer
        elif line.deed == "begin a task":
            current().nursery.start_soon(self._task, line.seconds, False)
        elif line.deed == "begin a task that crashes":
            current().nursery.start_soon(self._task, line.seconds, True)
        elif line.deed == "set a timer":
            current().after(line.seconds, Player.tick)
        elif line.deed == "tick for ever":
            current().every(0.7, Player.tick, id="tick")
        elif line.deed == "pipe to oneself":
            current().pipe_to(Player.take, self._result(line.seconds, False))
        elif line.deed == "pipe a failure to oneself":
            current().pipe_to(Player.take, self._result(line.seconds, True), failed=Player.take)
        elif line.deed == "stop":
            current().stop()
        elif line.deed == "relay" and line.then is not None:
            await line.then.call(Player.play, line._replace(sender=-1, n=next(_relayed), deed="note"))

    async def _result(self, seconds: float, fail: bool) -> str:
        with self._stage.presence("what is piped"):
            await anyio.sleep(seconds)
        if fail:
            raise Boom("what was to be piped")
        return "result"

    async def _task(self, seconds: float, crash: bool) -> None:
        with self._stage.presence("a task"):
            try:
                await anyio.sleep(seconds)
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(0.1)
            if crash:
                raise Boom("in a task")


_relayed = itertools.count()


class ManagedPlayer(Player):
    """Enters and leaves, which takes its time."""

    async def __aenter__(self) -> Self:
        with self._stage.presence("an enter hook"):
            await anyio.sleep(0.1)
        return self

    async def __aexit__(self, *_: object) -> None:
        with self._stage.presence("an exit hook"):
            await anyio.sleep(0.1)


class Factory:
    """Makes players, fails when it was told to, and looks whether the stage is free."""

    def __init__(self, stage: Stage, part: Part) -> None:
        self._stage = stage
        self._part = part

    def _check(self) -> None:
        path = current().path
        with self._stage.presence("a factory"):
            if self._stage.failing[path]:
                self._stage.failing[path] -= 1
                raise Boom("at the start")

    def at_once(self) -> Player:
        self._check()
        return ManagedPlayer(self._stage) if self._part.managed else Player(self._stage)

    async def later(self) -> Player:
        with self._stage.presence("a factory that waits"):
            await anyio.sleep(0.2)
            if self._part.start_within is not None and self._stage.failing[current().path]:
                self._stage.failing[current().path] -= 1
                self._stage.effects["late start"] += 1
                await anyio.sleep_forever()
        return self.at_once()

    @asynccontextmanager
    async def around(self) -> AsyncGenerator[Player]:
        with self._stage.presence("a context"):
            yield await self.later()
