"""What a restart does to each thing that an actor has, in each way in which a life ends, as the guide's table says.

Tested: SEMANTICS 84. The table is the one in `examples/guide/restarts.md`, written by hand; each cell begins with the word that
is seen here. Crossed with 13 (the mailbox), 14 and 16 (the message in hand), 18 (nursery, timers), 53, 27, 1 and 52 (limits).
"""

from __future__ import annotations

import re
from contextvars import ContextVar
from pathlib import Path
from typing import Any, ClassVar, Final

import anyio
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from supervise import (
    ActorCrashed,
    ActorStopped,
    Address,
    Down,
    Intensity,
    MailboxClosed,
    RunningSupervisor,
    Supervisor,
    child,
    current,
)
from supervise.testing.virtual_time import at_rest
from tests.doubles import Boom, Gate

pytestmark = pytest.mark.anyio
GUIDE: Final = (Path(__file__).parents[2] / "examples" / "guide" / "restarts.md").read_text(encoding="utf-8")
ENDS: Final = ("crash", "group", "operator", "supervisor", "give-up")
THINGS: Final = (
    "mailbox",
    "message in hand",
    "state",
    "checkpoint",
    "nursery",
    "timers",
    "subscription",
    "monitor",
    "watcher",
    "address",
    "context",
    "trace",
    "limits",
)
TENANT: Final[ContextVar[str]] = ContextVar("tenant", default="nobody")


def table() -> dict[tuple[str, str], str]:
    found: dict[tuple[str, str], str] = {}
    for line in GUIDE.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == len(ENDS) + 1 and cells[0] in THINGS:
            for end, cell in zip(ENDS, cells[1:], strict=True):
                found[cells[0], end] = cell
    return found


TABLE: Final = table()


def test_the_table_is_whole() -> None:
    assert set(TABLE) == {(thing, end) for thing in THINGS for end in ENDS}


class Probe:
    """What the lives of one actor have, in a log that outlives them."""

    log: ClassVar[list[tuple[str, Any]]] = []

    def __init__(self) -> None:
        last = current().last_checkpoint
        self.note("born", (TENANT.get(), None if last is None else last.value))
        self.value = 0

    @classmethod
    def note(cls, what: str, more: Any = None) -> None:
        cls.log.append((what, more))

    async def set_up(self) -> None:
        TENANT.set("acme")
        self.value = 42
        current().checkpoint("kept")
        current().after(5.0, Probe.note_late, "the timer's")
        current().nursery.start_soon(self.work)

    async def work(self) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            self.note("nursery cancelled")

    async def note_late(self, what: str) -> None:
        self.note(what)

    async def hold(self, gate: Gate, error: BaseException | None) -> str:
        await gate.walk_through()
        if error is not None:
            raise error
        return "finished"

    async def ask(self) -> int:
        return self.value

    async def publish(self, event: str) -> None:
        current().publish(event)


class Sibling:
    async def crash(self) -> None:
        raise Boom("sibling")


class Monitor:
    async def begin(self, probe: Address[Probe]) -> None:
        current().watch(probe, Monitor.down)

    async def down(self, down: Down) -> None:
        Probe.note("monitor told", down.incarnation)


class World:
    """One life, with all that it has, and how it ends."""

    def __init__(self, end: str) -> None:
        self.end = end
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.seen: dict[str, str] = {}

    async def play(self) -> dict[str, str]:
        Probe.log = []
        spent = Intensity(0, per=60)
        below = Supervisor(
            "below",
            child(Sibling),
            child(Probe, name="probe"),
            strategy="one_for_all" if self.end == "group" else "one_for_one",
            intensity=spent if self.end in ("supervisor", "give-up") else Intensity(3, per=60),
            restart="temporary" if self.end == "give-up" else "permanent",
        )
        async with Supervisor("app", child(Monitor), below, tracing=self.provider) as app:
            await self.live(app)
        await self.after()
        return self.seen

    async def live(self, app: RunningSupervisor) -> None:
        self.probe: Address[Probe] = app.find("below/probe")
        self.sibling: Address[Sibling] = app.find("below/sibling")
        await app.find("monitor").call(Monitor.begin, self.probe)
        await self.probe.call(Probe.set_up)
        gate = Gate()
        async with anyio.create_task_group() as group:
            group.start_soon(self.watch)
            group.start_soon(self.listen)
            group.start_soon(self.hold, gate)
            await gate.reached.wait()
            group.start_soon(self.wait_behind)
            await at_rest()
            group.start_soon(self.strike, app, gate)
            await at_rest()
            gate.open()
            await at_rest()
            await self.look(app)
            group.cancel_scope.cancel()

    async def strike(self, app: RunningSupervisor, gate: Gate) -> None:
        if self.end == "operator":
            await app.operator("ada").restart("below/probe")
        elif self.end != "crash":
            await self.sibling.send(Sibling.crash)

    async def hold(self, gate: Gate) -> None:
        error = Boom("probe") if self.end == "crash" else None
        try:
            answer = await self.probe.call(Probe.hold, gate, error)
        except ActorCrashed:
            answer = "cut"
        self.seen["message in hand"] = answer

    async def wait_behind(self) -> None:
        """A call that waits in the mailbox while the life ends."""
        try:
            value = await self.probe.call(Probe.ask)
        except (ActorStopped, MailboxClosed):
            self.seen["mailbox"] = "closed"
        else:
            self.seen["mailbox"] = "kept"
            self.seen["state"] = "fresh" if value == 0 else "the old one"

    async def watch(self) -> None:
        await self.probe.watch()
        self.seen["watcher"] = "told"

    async def listen(self) -> None:
        async with self.probe.subscribe(str) as events:
            async for _ in events:
                self.seen["subscription"] = "goes on"
        self.seen["subscription"] = "ends"

    async def look(self, app: RunningSupervisor) -> None:
        try:
            await self.probe.call(Probe.publish, "news")
            self.seen["address"] = "valid"
        except MailboxClosed:
            self.seen["address"] = "closed"
        await anyio.sleep(10)  # for the timer, if there is one
        await at_rest()
        if self.end != "give-up":
            own, above = app.supervisor("below"), app
            self.seen["limits"] = {
                ("crash", 1, 0): "one restart more",
                ("group", 0, 0): "unchanged",
                ("operator", 0, 0): "unchanged",
                ("supervisor", 0, 1): "begun anew",
            }[self.end, own.get_childspec("probe").restarts, above.get_childspec("below").restarts]
        else:
            self.seen["limits"] = "spent"

    async def after(self) -> None:
        log = Probe.log
        self.seen.setdefault("watcher", "not told")
        self.seen.setdefault("state", "gone")
        births = [more for what, more in log if what == "born"]
        if len(births) == 1:
            self.seen["context"] = self.seen["checkpoint"] = "gone"
        else:
            tenant, checkpoint = births[1]
            self.seen["context"] = "empty" if tenant == "nobody" else tenant
            self.seen["checkpoint"] = "kept" if checkpoint == "kept" else "gone"
        self.seen["nursery"] = "cancelled" if ("nursery cancelled", None) in log else "left"
        self.seen["timers"] = "there" if any(what == "the timer's" for what, _ in log) else "gone"
        self.seen["monitor"] = "told" if ("monitor told", 1) in log else "not told"
        self.seen["trace"] = self.trace()

    def trace(self) -> str:
        """To whose trace the next start of the probe belongs; of a give-up, the last decision."""
        spans = self.exporter.get_finished_spans()
        of = {span.context.span_id: span for span in spans if span.context is not None}
        root: Any = [span for span in spans if span.name == "start Probe"][-1]
        if self.end == "give-up":
            root = [span for span in spans if span.name.startswith("escalate")][-1]
        names: list[str] = []
        while root is not None:
            names.append(root.name)
            root = None if root.parent is None else of.get(root.parent.span_id)
        crashes = ("process Sibling.crash", "process Probe.hold")
        return "of the crash" if any(name.startswith(crashes) for name in names) else "one of its own"


@pytest.mark.parametrize("end", ENDS)
async def test_each_thing_is_as_the_table_says(end: str) -> None:
    seen = await World(end).play()
    wrong = {thing: (TABLE[thing, end], seen.get(thing)) for thing in THINGS if not begins(TABLE[thing, end], seen.get(thing))}
    assert not wrong


def begins(cell: str, word: str | None) -> bool:
    return word is not None and re.match(rf"{re.escape(word)}\b", cell) is not None
