"""What every adapter promises, checked in the same way for all of them: one list for whatever crashes."""

from __future__ import annotations

import os
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from tenacity import wait_fixed

from supervise import Address, ExitKind, Factory, Intensity, Restart, RunningSupervisor, Supervisor, child, current
from supervise.events import Decided, Event, Overran, Started, Stopped
from tests import beside

GUARD = 30.0  # seconds of the real clock, after which a test hangs; each takes about one


class Witness:
    """Hears all events of a tree, and waits for what they come to."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._more: anyio.Event | None = None

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        if self._more is not None:
            self._more.set()

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    async def until(self, condition: Callable[[], object]) -> None:
        while not condition():
            self._more = anyio.Event()
            await self._more.wait()

    async def ended(self, times: int = 1, name: str = "app/it") -> Any:
        """The event of its n-th end."""

        def ends() -> list[Any]:
            return [event for event in self.of(Stopped) if event.path == name]

        await self.until(lambda: len(ends()) >= times)
        return ends()[times - 1]

    async def started(self, times: int, name: str = "app/it") -> None:
        await self.until(lambda: any(e.path == name and e.incarnation >= times for e in self.of(Started)))


@asynccontextmanager
async def tree(factory: Factory[Any], **options: Any) -> AsyncGenerator[tuple[RunningSupervisor, Address[Any], Witness]]:
    """A tree with this one child, called `it`."""
    options.setdefault("restart", Restart.permanent(wait=wait_fixed(0.1)))
    async with witnessed(factory, **options) as (app, witness):
        yield app, app.find("it"), witness


@asynccontextmanager
async def witnessed(factory: Factory[Any], **options: Any) -> AsyncGenerator[tuple[RunningSupervisor, Witness]]:
    """The same without an address, for one that may have ended already, and been forgotten. It isn't restarted."""
    witness = Witness()
    options.setdefault("restart", "temporary")
    described = Supervisor("app", child(factory, name="it", **options), intensity=Intensity(5, per=600.0), listener=witness)
    with anyio.fail_after(GUARD):
        async with described as app:
            yield app, witness


class Notes:
    """Messages that note in which life they were handled, whatever the actor is."""

    def __init__(self) -> None:
        self.noted: list[tuple[int, int]] = []
        self.in_hand = anyio.Event()

    def message(self, number: int) -> Callable[[Any], None]:
        return lambda _: self.noted.append((number, current().incarnation))

    async def hold(self) -> None:
        """Stays in hand until the life ends."""
        self.in_hand.set()
        await anyio.sleep_forever()


Crash = Callable[[RunningSupervisor, Address[Any]], Awaitable[object]]


async def check(factory: Factory[Any], crash: Crash, kind: ExitKind = ExitKind.CRASHED, *, detail: str = "") -> None:
    """The list: the real thing is crashed, while messages wait, and once more while it waits for its restart."""
    before = present()
    notes = Notes()
    async with tree(factory) as (app, address, witness):
        await address.send(lambda _: notes.hold())
        await notes.in_hand.wait()
        for number in (1, 2):
            await address.send(notes.message(number))
        await crash(app, address)
        end = await witness.ended()
        assert end.reason.kind is kind, end
        assert end.waiting == 2
        assert present() == before, "nothing of a life is left when it has ended"
        await address.send(notes.message(3))  # it waits for its restart
        await address.call(notes.message(4))
        assert notes.noted == [(1, 2), (2, 2), (3, 2), (4, 2)]
        assert app.find("it") == address
        await crash(app, address)
        end = await witness.ended(2)
        assert end.reason.kind is kind, end
        assert detail in end.reason.detail
        await address.call(notes.message(5))
        assert notes.noted[-1] == (5, 3)
        decisions = [event.decision.action.value for event in witness.of(Decided)]
        assert decisions == ["restart", "restart"]
    last = await witness.ended(3)
    assert last.reason.kind is ExitKind.SHUTDOWN, last
    assert not witness.of(Overran)
    assert present() == before
    account = address.account()
    assert account.handled == 5
    assert account.accepted == 6  # the first was in hand at the crash


async def check_policy(factory: Factory[Any], crash: Crash) -> None:
    """A temporary child that crashes is gone, a transient one comes back."""
    async with tree(factory, restart="temporary") as (app, address, witness):
        await crash(app, address)
        await witness.ended()
        assert app.children() == []
    async with tree(factory, restart="transient") as (app, address, witness):
        await crash(app, address)
        await witness.started(2)


async def check_normal_end(factory: Factory[Any], end: Crash) -> None:
    """One that ended by itself: a transient child stays down, a permanent one runs again."""
    async with tree(factory, restart="transient") as (app, address, witness):
        await end(app, address)
        stopped = await witness.ended()
        assert stopped.reason.kind is ExitKind.NORMAL, stopped
        assert app.children()[0].state.value == "stopped"
    async with tree(factory, restart="permanent") as (app, address, witness):
        await end(app, address)
        await witness.started(2)
        assert (await witness.ended()).reason.kind is ExitKind.NORMAL


def present() -> tuple[frozenset[str], frozenset[int]]:
    """The threads that aren't a backend's own, and the processes below this one."""
    pools = ("AnyIO worker thread", "asyncio_", "Trio thread", "waitpid-", "asyncio-waitpid-")
    threads = {t.name for t in threading.enumerate() if not t.name.startswith(pools)}
    return frozenset(threads), frozenset(processes())


def processes() -> list[int]:
    """This process's children, and theirs, zombies included; but for what runs beside the tests."""
    others = beside.own_processes()
    below: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # gone meanwhile
        below.setdefault(int(fields[1]), []).append(int(entry.parent.name))
    found, todo = list[int](), [os.getpid()]
    while todo:
        inner = [pid for pid in below.get(todo.pop(), []) if pid not in others]
        found += inner
        todo += inner
    return found


def alive(pid: int) -> bool:
    """Whether it runs, whoever its parent is; a zombie doesn't."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
