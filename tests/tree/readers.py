"""What is promised of streamed replies, and looked at in plays: each item once, in order, and each generator closed once."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import anyio

from supervise import ActorCrashed, ActorStopped, CallCycle, CallTimeout, StrategyError, SuperviseError, current

if TYPE_CHECKING:
    from supervise import Address, WeakAddress

    from .stage import Line

End: TypeAlias = Literal["open", "done", "closed", "cancelled", "raised"]


class Item(NamedTuple):
    """What is yielded."""

    run: int
    """The number of the generator, among all of the play."""
    number: int


class Run:
    """One generator, from its first step on."""

    def __init__(self, number: int, path: str, life: int) -> None:
        self.number = number
        self.path, self.life = path, life
        self.yielded = 0
        self.end: End = "open"

    def next(self) -> Item:
        self.yielded += 1
        return Item(self.number, self.yielded - 1)

    def __repr__(self) -> str:
        return f"<run {self.number} of {self.path} #{self.life}, {self.end} after {self.yielded} items>"


class Readers:
    """The generators of all streams, what their readers had of them, and how each reader ended."""

    def __init__(self, complaints: list[str], effects: Counter[str]) -> None:
        self.runs: defaultdict[tuple[int, int], list[Run]] = defaultdict(list)
        """By (sender, n) of their message."""
        self.had: defaultdict[tuple[int, int], list[Item]] = defaultdict(list)
        self.left: set[tuple[int, int]] = set()
        """Whose readers wanted no further item."""
        self._replies: list[Any] = []
        self._open: dict[int, Run] = {}
        self._complaints = complaints
        self._effects = effects
        self._count = 0

    # -- the generator's side ------------------------------------------------------------------------------------------------

    @contextmanager
    def run(self, line: Line) -> Generator[Run]:
        """A generator is at work, or stands at its `yield`."""
        me, place, task = current(), (line.sender, line.n), anyio.get_current_task().id
        self._count += 1
        run = self._open[self._count] = Run(self._count, me.path, me.incarnation)
        if self.had[place]:
            self._complaints.append(f"{run} begins, and its reader had {self.had[place]} before, of {self.runs[place]}")
        if any(other.end == "open" for other in self.runs[place]):
            self._complaints.append(f"{run} begins beside {self.runs[place]}")
        self.runs[place].append(run)
        self._effects["stream begun again"] += me.attempt > 1
        end: End = "raised"
        try:
            yield run
            end = "done"
        except GeneratorExit:
            end = "closed"
            raise
        except anyio.get_cancelled_exc_class():
            end = "cancelled"
            raise
        finally:
            run.end = end
            del self._open[run.number]
            if anyio.get_current_task().id != task:
                self._complaints.append(f"{run} was closed in another task")

    def over(self, path: str, life: int) -> None:
        """This life of an actor is over."""
        still = [run for run in self._open.values() if (run.path, run.life) == (path, life)]
        if still:
            self._complaints.append(f"{path} #{life} is over, and left {still}")

    # -- the reader's side ---------------------------------------------------------------------------------------------------

    async def read(
        self, view: Address[Any] | WeakAddress[Any], handler: Any, line: Line, meanwhile: Callable[[], Awaitable[None]]
    ) -> None:
        """As the line says. `meanwhile`: what is awaited after the first item."""
        place = (line.sender, line.n)
        try:
            async with view.stream_from(handler, line) as items:
                self._replies.append(getattr(items, "_reply"))  # noqa: B009 - of a private class
                self._effects["stream left early"] += await self._take(items, line, meanwhile)
        except (ActorCrashed, ActorStopped, CallTimeout) as error:
            self._effects["stream crashed in the middle"] += isinstance(error, ActorCrashed) and bool(self.had[place])
            self._effects["late stream"] += isinstance(error, CallTimeout)
            closed = [run.end for run in self.runs[place]][-1:] == ["closed"]
            self._effects["stream closed by a stop"] += isinstance(error, ActorStopped) and closed
            raise
        except anyio.get_cancelled_exc_class():
            self._effects["cancelled reader"] += 1
            raise

    async def _take(self, items: AsyncIterator[Item], line: Line, meanwhile: Callable[[], Awaitable[None]]) -> bool:
        """Whether the reader leaves before it has seen the end."""
        reading, place = line.reading, (line.sender, line.n)
        if reading.takes == 0:
            await anyio.sleep(reading.pace)
            self.left.add(place)
            return True
        had = self.had[place]
        async for item in items:
            before = had[-1] if had else Item(item.run, -1)
            had.append(item)
            if item != (before.run, before.number + 1):
                self._complaints.append(f"{line} has {item} after {before}")
            if len(had) == reading.takes:
                self.left.add(place)
                return True
            if len(had) == 1:
                await self._call(meanwhile)
            if len(had) <= 4:
                await anyio.sleep(reading.pace)
        self._effects["streamed reply"] += 1
        return False

    async def _call(self, meanwhile: Callable[[], Awaitable[None]]) -> None:
        """The reader's own call to the actor that it reads from."""
        try:
            await meanwhile()
        except CallCycle:
            self._effects["cycle through a reader"] += 1
        except (StrategyError, SuperviseError, TimeoutError, ExceptionGroup):
            pass

    # -- what holds ----------------------------------------------------------------------------------------------------------

    def broken(self, sender: int, n: int, items: int, *, to_the_end: bool) -> list[str]:
        """What isn't as its reader was told. `to_the_end`: it was told that there is nothing more."""
        had, runs = self.had[sender, n], self.runs[sender, n]
        if had and (not runs or had[0].run != runs[-1].number or len(had) > runs[-1].yielded):
            return [f"{had} is nothing that {runs} yielded last"]
        if to_the_end and (sender, n) not in self.left and (len(had) != items or not runs or runs[-1].end != "done"):
            return [f"its reader was told that {had} is all of {items} items of {runs}"]
        return []

    def left_over(self) -> list[str]:
        """Generators that weren't closed, and whatever is kept of a stream that was read, when all is over."""
        found = [repr(run) for run in self._open.values()]
        for reply in self._replies:
            kept = {name: getattr(reply, name) for name in ("space", "arrival", "reader", "_timer", "_envelope", "_error")}
            kept = {name: value for name, value in kept.items() if value is not None}
            if kept or reply.buffer or (reply.run is not None and (reply.run.open or reply.run.waiting)):
                found.append(f"{reply} has {kept}, {reply.buffer} and {reply.run}")
        return found
