"""The actors of a play, which write down outside of themselves what they do, and complain when two lives overlap."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Generator
from contextlib import AbstractContextManager, AsyncExitStack, aclosing, asynccontextmanager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

import anyio

from supervise import Address, StrategyError, SuperviseError, WeakAddress, WouldDeadlock, concurrent, current
from supervise.mailbox.pool_mailbox import PoolMailbox
from tests.doubles import Boom

from .generators import Deed, Reading
from .pools import Ledger
from .readers import Item, Readers

if TYPE_CHECKING:
    from .generators import Part

SLOW = 4
"""Items that a generator takes its time for."""
PATIENCE = 5.0
"""Seconds for which an actor waits for another one where nobody can tell that they wait for each other."""


TURNS_TO_ANOTHER: Final = ("relay", "ask for another", "read another", "read what calls back", "hand on")


class Line(NamedTuple):
    """One message: the n-th of a sender."""

    sender: int
    n: int
    deed: Deed
    seconds: float
    then: Address[Player] | WeakAddress[Player] | None
    pool: str = ""
    """The path of the pool that it was sent to; else it is for that actor alone."""
    key: int | None = None
    lane: str = "normal"
    reading: Reading = Reading()
    """If it is read from."""


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
        self.addresses: list[Address[Player]] = []
        """Of all actors that are written to; empty, until the tree has started."""
        self.keys = Ledger(self.complaints)
        self.readers = Readers(self.complaints, self.effects)
        self.players: dict[tuple[str, int], Player] = {}
        """The last one that was made under this path for a life of this number."""
        self._present: defaultdict[str, Counter[int]] = defaultdict(Counter)
        self._busy: defaultdict[str, Counter[str]] = defaultdict(Counter)

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
    def busy(self, part: Part, how: str = "in turn") -> Generator[None]:
        """A handler runs: by itself, or beside others where its class says so, or beside as many as the actor may run."""
        path = current().path
        busy = self._busy[path]
        busy[how] += 1
        if part.concurrency is not None:
            self.effects["beside each other"] += busy.total() > 1
            if busy.total() > part.concurrency:
                self.complaints.append(f"{path} handles {busy.total()} messages at once, of {part.concurrency}")
        elif busy["in turn"] > 1 or busy["beside"] > 2 or busy["yields beside"] > 2:
            self.complaints.append(f"{path} handles too many messages at once: {busy}")
        try:
            yield
        finally:
            busy[how] -= 1

    @contextmanager
    def handling(self, line: Line) -> Generator[None]:
        """A handler runs for one message."""
        where = line.pool or current().path
        self.begun.append((where, line.sender, line.n))
        again = current().attempt > 1
        self.effects["redelivery"] += again
        self.effects["key that was tried again"] += again and line.key is not None
        try:
            with self.presence("a handler"), self.keys.taken(line):
                yield
        except anyio.get_cancelled_exc_class():
            self.effects["cancelled handler"] += 1
            raise
        self.ended.append((line.sender, line.n))

    def instance_of(self, address: Address[Any] | WeakAddress[Any], player: Player) -> None:
        """It was given as the object of the life that goes on."""
        self.effects["instance() given"] += 1
        if player.over or player.path != address.path:
            self.complaints.append(f"instance() of {address.path} gave that of {player.path} #{player.life}, which is over")

    def left(self) -> list[str]:
        """Who is still there."""
        return [f"{path} #{life}" for path, lives in self._present.items() for life in lives.elements()]


class Player:
    """Does what its messages say."""

    def __init__(self, stage: Stage, part: Part) -> None:
        self._stage = stage
        self._part = part
        self.path, self.life = current().path, current().incarnation
        self.over = False
        """Its life has ended, or is about to."""
        stage.players[self.path, self.life] = self

    async def play(self, line: Line) -> int:
        with self._stage.busy(self._part), self._stage.handling(line):
            await self._do(line)
        return line.n

    async def tick(self) -> None:
        with self._stage.busy(self._part), self._stage.presence("a tick"):
            await anyio.sleep(0.1)

    async def take(self, result: object) -> None:
        with self._stage.busy(self._part), self._stage.presence("what takes a result"):
            await anyio.sleep(0.1)

    @concurrent(limit=2)
    async def play_beside(self, line: Line) -> int:
        with self._stage.busy(self._part, "beside"), self._stage.handling(line):
            await anyio.sleep(line.seconds)
            if line.deed == "beside, then crash":
                raise Boom(line.deed)
        return line.n

    async def items(self, line: Line) -> AsyncGenerator[Item]:
        async with aclosing(self._items(line, "in turn")) as items:
            async for item in items:
                yield item

    @concurrent(limit=2)
    async def items_beside(self, line: Line) -> AsyncGenerator[Item]:
        async with aclosing(self._items(line, "yields beside")) as items:
            async for item in items:
                yield item

    async def _items(self, line: Line, how: str) -> AsyncGenerator[Item]:
        reading, readers = line.reading, self._stage.readers
        with self._stage.busy(self._part, how), self._stage.handling(line), readers.run(line) as run:
            try:
                for index in range(reading.items + 1):
                    if index == min(reading.at, reading.items):
                        if line.deed == "hand on" and line.then is not None:
                            async with aclosing(self._handed_on(line.then, line)) as others:
                                async for _ in others:
                                    yield run.next()
                        else:
                            await self._do(line)
                    if index < reading.items:
                        if index < SLOW:
                            await anyio.sleep(reading.gap)
                        yield run.next()
            finally:
                if reading.slow_close:
                    await anyio.sleep(0.1)

    async def _handed_on(self, address: Address[Player] | WeakAddress[Player], line: Line) -> AsyncGenerator[Item]:
        """What another actor yields, to whoever reads this one."""
        async with AsyncExitStack() as stack:
            with self._patience():
                items = await stack.enter_async_context(address.stream_from(Player.items, relayed(line)))
            while True:
                with self._patience():
                    item = await anext(items, None)
                if item is None:
                    return
                self._stage.effects["stream handed on"] += 1
                yield item

    def play_at_once(self, line: Line) -> int:
        busy = self._stage.busy(self._part) if self._part.concurrency is None else nullcontext()
        with busy, self._stage.handling(line):
            return line.n

    async def _do(self, line: Line) -> None:
        if line.deed in ("sleep", "sleep, then crash", "beside", "beside, then crash"):
            await anyio.sleep(line.seconds)
        if line.deed in ("crash", "sleep, then crash", "beside, then crash"):
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
        elif line.deed == "ask for oneself":
            await self._ask(current().address)
        elif line.deed == "read oneself":
            with self._patience():
                await self._read(current().address, relayed(line))
        elif line.then is not None and line.deed in TURNS_TO_ANOTHER:
            with self._patience():
                if line.deed == "relay":
                    await line.then.call(Player.play, relayed(line))
                elif line.deed == "ask for another":
                    await self._ask(line.then)
                elif line.deed == "read what calls back":
                    await self._read(line.then, relayed(line)._replace(deed="relay", then=current().address))
                else:
                    await self._read(line.then, relayed(line))
                    self._stage.effects["stream of another actor"] += 1

    async def _read(self, address: Address[Any] | WeakAddress[Any], line: Line) -> None:
        """What an actor yields, in a handler."""
        await read(self._stage, address.options(buffer=line.reading.buffer), Player.items, line)

    def _patience(self) -> AbstractContextManager[object]:
        """None, where a ring of those that wait for each other is seen."""
        return anyio.fail_after(PATIENCE) if self._part.size or self._part.concurrency else nullcontext()

    async def _ask(self, address: Address[Any] | WeakAddress[Any]) -> None:
        """For the object itself."""
        if await ask(self._stage, address) is not None and address.path == self.path:
            self._stage.complaints.append(f"{self.path} got its own object, and would have waited for itself in a restart")

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


def relayed(line: Line) -> Line:
    """What an actor says to another one, as it was told to."""
    return line._replace(sender=-1, n=next(_relayed), deed="note", pool="", key=None, lane="normal")


async def read(stage: Stage, view: Address[Any] | WeakAddress[Any], handler: Any, line: Line) -> None:
    """What a line asks for. Its reader may call the actor meanwhile, which would wait for itself."""
    mailbox = view._mailbox
    certain = mailbox.options.concurrency is None and not isinstance(mailbox, PoolMailbox)

    async def call() -> None:
        if line.reading.calls:
            with nullcontext() if certain else anyio.fail_after(PATIENCE):
                await view.call(Player.play, relayed(line))

    await stage.readers.read(view, handler, line, call)


async def ask(stage: Stage, address: Address[Any] | WeakAddress[Any]) -> Player | None:
    """For an actor's object."""
    try:
        player: Player = await address.instance()
    except (SuperviseError, StrategyError, TypeError) as error:
        stage.effects["instance() refused"] += 1
        stage.effects["WouldDeadlock"] += isinstance(error, WouldDeadlock)
        return None
    stage.instance_of(address, player)
    return player


class ManagedPlayer(Player):
    """Enters and leaves, which takes its time."""

    async def __aenter__(self) -> Self:
        with self._stage.presence("an enter hook"):
            await anyio.sleep(0.1)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.over = True
        with self._stage.presence("an exit hook"):
            await anyio.sleep(0.3)


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

    def at_once(self, friend: Any = None) -> Player:
        self._check()
        return ManagedPlayer(self._stage, self._part) if self._part.managed else Player(self._stage, self._part)

    async def later(self, friend: Any = None) -> Player:
        with self._stage.presence("a factory that waits"):
            await anyio.sleep(0.2)
            if self._part.start_within is not None and self._stage.failing[current().path]:
                self._stage.failing[current().path] -= 1
                self._stage.effects["late start"] += 1
                await anyio.sleep_forever()
            if friend is not None:
                await self._greet(friend)
        return self.at_once()

    @asynccontextmanager
    async def around(self, friend: Any = None) -> AsyncGenerator[Player]:
        with self._stage.presence("a context"):
            player = await self.later(friend)
            try:
                yield player
            finally:
                player.over = True

    async def _greet(self, friend: Any) -> None:
        """Turn to another actor, or to itself, in one's own start, which the younger ones wait for."""
        line = Line(-1, next(_relayed), "note", 0.0, None)
        try:
            address: Address[Any] = friend if issubclass(type(friend), Address) else current().find(friend)
            if self._stage.addresses and address not in self._stage.addresses:
                return  # it was forgotten, and made anew with its supervisor
            if self._part.greeting == "send":
                address.try_send(Player.play, line)
            elif self._part.greeting == "call":
                await address.call(Player.play, line)
            elif self._part.greeting == "instance":
                await ask(self._stage, address)
            elif self._part.greeting == "stream":
                await read(self._stage, address, Player.items, line)
                self._stage.effects["stream in a start"] += 1
        except (SuperviseError, StrategyError, Answer) as error:
            self._stage.effects["WouldDeadlock"] += isinstance(error, WouldDeadlock)
        else:
            self._stage.effects["greeting in a start"] += self._part.greeting != "nothing"
