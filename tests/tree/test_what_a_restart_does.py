"""What a restart does to each thing that an actor has, in each way in which a life ends, as the guide's table says.

Tested: SEMANTICS 84. The table is the one in `examples/guide/restarts.md`, written by hand. Each cell is a test, and each part
of it, between commas and colons, is seen there. Crossed with 13 (the mailbox), 14 and 16 (the message in hand), 18 (nursery,
timers), 53, 27, 1 and 52 (limits).
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, ClassVar, Final, Self

import anyio
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tenacity import wait_fixed

from supervise import (
    ActorCrashed,
    ActorStopped,
    Address,
    Down,
    Intensity,
    MailboxClosed,
    Restart,
    RunningSupervisor,
    Supervisor,
    Undelivered,
    child,
    current,
)
from supervise.events import Decided, Event
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


def table() -> dict[tuple[str, str], list[str]]:
    """The parts of each cell, the first of which says it in short."""
    found: dict[tuple[str, str], list[str]] = {}
    for line in GUIDE.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == len(ENDS) + 1 and cells[0] in THINGS:
            for end, cell in zip(ENDS, cells[1:], strict=True):
                found[cells[0], end] = re.split(r"[:;,] ", cell)
    return found


TABLE: Final = table()


def test_the_table_is_whole() -> None:
    assert [*TABLE] == [(thing, end) for thing in THINGS for end in ENDS]


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
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.1)
            self.note("nursery ended")

    async def note_late(self, what: str) -> None:
        self.note(what)

    async def hold(self, gate: Gate, error: BaseException | None) -> str:
        if current().attempt == 1:
            current().after(0, Probe.note_late, "sent by a timer")
            await gate.walk_through()
            if error is not None:
                raise error
        return "finished"

    async def ask(self) -> int:
        return self.value

    async def publish(self, event: str) -> None:
        current().publish(event)


class WithHooks(Probe):
    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.note("exit hook")


class Sibling:
    async def crash(self) -> None:
        raise Boom("sibling")


class Monitor:
    async def begin(self, probe: Address[Probe]) -> None:
        current().watch(probe, Monitor.down)

    async def down(self, down: Down) -> None:
        Probe.note("monitor told", down.incarnation)


class Stage:
    """A tree with one probe, and the ways in which its life ends."""

    def __init__(self, end: str) -> None:
        self.end = end
        self.decided: list[Decided] = []
        self.dead: list[Undelivered] = []
        self.tracing: Any = "auto"

    @asynccontextmanager
    async def tree(self, factory: type[Probe] = Probe, **options: Any) -> AsyncGenerator[RunningSupervisor]:
        Probe.log = []
        spent = Intensity(0, per=60)
        below = Supervisor(
            "below",
            child(Sibling),
            child(factory, name="probe", on_dead_letter=self.dead.append, **options),
            strategy="one_for_all" if self.end == "group" else "one_for_one",
            intensity=spent if self.end in ("supervisor", "give-up") else Intensity(3, per=60),
            restart="temporary" if self.end == "give-up" else "permanent",
        )
        async with Supervisor("app", child(Monitor), below, tracing=self.tracing, listener=self.hear) as app:
            self.probe: Address[Probe] = app.find("below/probe")
            self.sibling: Address[Sibling] = app.find("below/sibling")
            yield app

    def hear(self, event: Event) -> None:
        if isinstance(event, Decided):
            self.decided.append(event)

    @property
    def error(self) -> Exception | None:
        return Boom("probe") if self.end == "crash" else None

    async def strike(self, app: RunningSupervisor, gate: Gate) -> None:
        """End its life, with a message in hand that waits at the gate."""
        if self.end == "operator":
            await app.operator("ada").restart("below/probe")
        elif self.end == "crash":
            gate.open()
        else:
            await self.sibling.send(Sibling.crash)
        await at_rest()

    async def hold(self, gate: Gate) -> str:
        try:
            return await self.probe.call(Probe.hold, gate, self.error)
        except (ActorCrashed, ActorStopped, MailboxClosed) as error:
            return type(error).__name__


class World(Stage):
    """One life, with all that it has, and how it ends."""

    def __init__(self, end: str) -> None:
        super().__init__(end)
        self.exporter = InMemorySpanExporter()
        self.tracing = TracerProvider()
        self.tracing.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.seen: dict[str, list[str]] = {}

    async def play(self) -> dict[str, list[str]]:
        async with self.tree() as app:
            await self.live(app)
        self.after()
        return self.seen

    async def live(self, app: RunningSupervisor) -> None:
        await app.find("monitor").call(Monitor.begin, self.probe)
        await self.probe.call(Probe.set_up)
        gate = Gate()
        async with anyio.create_task_group() as group:
            group.start_soon(self.watch)
            group.start_soon(self.listen)
            group.start_soon(self.has_in_hand, gate)
            await gate.reached.wait()
            await at_rest()
            assert [message.handler for message in self.probe.peek()] == [Probe.note_late]  # the timer's
            group.start_soon(self.wait_behind)
            await at_rest()
            group.start_soon(self.strike, app, gate)
            await at_rest()
            gate.open()
            await at_rest()
            await self.look(app)
            group.cancel_scope.cancel()

    async def has_in_hand(self, gate: Gate) -> None:
        held = await self.hold(gate)
        self.seen["message in hand"] = ["cut", f"the caller gets `{held}`"] if held != "finished" else ["finished"]

    async def wait_behind(self) -> None:
        """A call that waits in the mailbox while the life ends, and two messages behind it."""
        await self.probe.send(Probe.note_late, "first")
        await self.probe.send(Probe.note_late, "second")
        try:
            value = await self.probe.call(Probe.ask)
        except (ActorStopped, MailboxClosed):
            value = None
        waited = [what for what, _ in Probe.log if what in ("first", "second")]
        if value is None:
            lost = [letter.message.args for letter in self.dead if letter.message.handler is Probe.note_late]
            all_lost = lost[-2:] == [("first",), ("second",)] and not waited
            self.seen["mailbox"] = ["closed", "what waits is dead letters"] if all_lost else ["closed"]
        else:
            self.seen["mailbox"] = ["kept", "with all that waits"] if waited == ["first", "second"] else ["kept"]
            self.seen["state"] = ["fresh", "by the factory"] if value == 0 else ["the old one"]

    async def watch(self) -> None:
        await self.probe.watch()
        self.seen["watcher"] = ["told"]

    async def listen(self) -> None:
        async with self.probe.subscribe(str) as events:
            async for _ in events:
                self.seen["subscription"] = ["goes on", "`address.subscribe()` hears of the next life"]
        self.seen["subscription"] = ["ends"]

    async def look(self, app: RunningSupervisor) -> None:
        try:
            await self.probe.call(Probe.publish, "news")
            self.seen["address"] = ["valid"]
        except MailboxClosed:
            self.seen["address"] = ["closed", "`MailboxClosed`"]
        await anyio.sleep(10)  # for the timer, if there is one
        await at_rest()
        self.seen.setdefault("watcher", ["not told", "`address.watch()` waits on", "as a restart is no end"])
        self.seen["limits"] = await self.limits(app)
        told = [more for what, more in Probe.log if what == "monitor told"]
        self.seen["monitor"] = ["told", "`current().watch()` of another actor"] if told[:1] == [1] else ["not told"]
        if self.end != "give-up":
            self.probe.kill()
            await at_rest()
            if ("monitor told", 2) in Probe.log:
                self.seen["monitor"].append("and stays")

    async def limits(self, app: RunningSupervisor) -> list[str]:
        """What the end has cost. Another crash, of the sibling, says how many restarts are used."""
        used = [(event.supervisor, event.decision.child, event.decision.used) for event in self.decided]
        if self.end == "give-up":
            assert [event.decision.action.value for event in self.decided] == ["give_up", "leave"]
            return ["spent"]
        own, above = app.supervisor("below"), app
        costs = own.get_childspec("probe").restarts, above.get_childspec("below").restarts
        if self.end == "supervisor":
            return ["begun anew", "the supervisor above pays"] if costs == (0, 1) else [str(costs)]
        await self.sibling.send(Sibling.crash)
        await at_rest()
        next_one = self.decided[-1].decision.used
        if self.end == "crash":
            assert used == [("app/below", "probe", 1)]
            return ["one restart more", "or of its supervisor's intensity"] if (*costs, next_one) == (1, 0, 2) else [str(costs)]
        if self.end == "operator":
            return ["unchanged"] if (*costs, next_one) == (0, 0, 1) else [str(costs)]
        assert costs == (0, 0)
        paid = used == [("app/below", "sibling", 1)] and next_one == 2
        return ["unchanged for itself", "the one that crashed pays", "once for the group"] if paid else [str(used)]

    def after(self) -> None:
        log = Probe.log
        self.seen.setdefault("state", ["gone"])
        births = [more for what, more in log if what == "born"]
        if len(births) == 1:
            self.seen["context"] = self.seen["checkpoint"] = ["gone"]
        else:
            tenant, checkpoint = births[1]
            self.seen["context"] = ["empty", "no context variable of the last life"] if tenant == "nobody" else [tenant]
            self.seen["checkpoint"] = ["kept", "`current().last_checkpoint`"] if checkpoint == "kept" else ["gone"]
        self.seen["nursery"] = ["cancelled"] if ("nursery ended", None) in log else ["left"]
        said = {what for what, _ in log}
        self.seen["timers"] = ["there"] if "the timer's" in said else ["gone"]
        if "sent by a timer" not in said:
            self.seen["timers"].append("with what they have sent and nobody has begun")
        self.seen["trace"] = self.trace()

    def trace(self) -> list[str]:
        """To whose trace the second start of the probe belongs; of a give-up, the last decision."""
        spans = self.exporter.get_finished_spans()
        of = {span.context.span_id: span for span in spans if span.context is not None}
        if self.end == "give-up":
            root: Any = [span for span in spans if span.name.startswith("escalate")][-1]
        else:
            root = [span for span in spans if span.name == "start Probe"][1]
        names: list[str] = []
        while root is not None:
            names.append(root.name)
            root = None if root.parent is None else of.get(root.parent.span_id)
        crashes = ("process Sibling.crash", "process Probe.hold")
        if any(name.startswith(crashes) for name in names):
            return ["of the crash", "the restart is a span below the handler that raised"]
        return ["one of its own"]


# -- what another tree has to show -------------------------------------------------------------------------------------------


async def in_hand(end: str) -> list[str]:
    """More of the message in hand: a send, one that is tried again, and one that takes longer than a stop may."""
    found: list[str] = []
    if end == "crash":
        stage, gate = Stage(end), Gate()
        async with stage.tree() as app:
            await stage.probe.send(Probe.hold, gate, stage.error)
            await gate.reached.wait()
            await stage.strike(app, gate)
            if [letter.message.handler for letter in stage.dead if letter.attempts] == [Probe.hold]:
                found.append("a send is a dead letter")
        stage, gate = Stage(end), Gate()
        async with stage.tree(redeliver=1) as app, anyio.create_task_group() as group:
            group.start_soon(stage.strike, app, gate)
            if await stage.hold(gate) == "finished":
                found.append("`redeliver=` tries it again")
        return found
    stage, gate = Stage(end), Gate()
    async with stage.tree(stop_within=7) as app, anyio.create_task_group() as group:
        began = anyio.current_time()

        async def hold() -> None:
            held = await stage.hold(gate)
            if anyio.current_time() - began == pytest.approx(7):
                found.extend(["within `stop_within`", "then it is cut", f"and the caller gets `{held}`"])

        group.start_soon(hold)
        await gate.reached.wait()
        group.start_soon(stage.strike, app, gate)
    return found


async def exit_hook(end: str) -> list[str]:
    """What of a nursery has ended when the exit hook runs."""
    stage, gate = Stage(end), Gate()
    async with stage.tree(WithHooks) as app, anyio.create_task_group() as group:
        await stage.probe.call(Probe.set_up)
        group.start_soon(stage.hold, gate)
        await gate.reached.wait()
        group.start_soon(stage.strike, app, gate)
        await at_rest()
        gate.open()
        await anyio.sleep(1)
    order = [what for what, _ in Probe.log if what in ("nursery ended", "exit hook")]
    return ["and awaited before the exit hook"] if order[:2] == ["nursery ended", "exit hook"] else []


async def call_between_lives(end: str) -> list[str]:
    stage, gate = Stage(end), Gate()
    gate.open()
    async with stage.tree(restart=Restart.permanent(wait=wait_fixed(60))):
        assert await stage.hold(gate) == "ActorCrashed"
        await anyio.sleep(1)
        began = anyio.current_time()
        assert await stage.probe.call(Probe.ask) == 0
        return ["calls wait for the next life"] if anyio.current_time() - began == pytest.approx(59) else []


async def own_limit(end: str) -> list[str]:
    stage, gate = Stage(end), Gate()
    gate.open()
    async with stage.tree(limit=Intensity(2, per=60)):
        assert await stage.hold(gate) == "ActorCrashed"
        await at_rest()
        return ["of its own `limit=`"] if (stage.decided[0].decision.used, stage.decided[0].decision.allowed) == (1, 2) else []


MORE: Final[dict[tuple[str, str], Callable[[str], Awaitable[list[str]]]]] = {
    **{("message in hand", end): in_hand for end in ENDS},
    **{("nursery", end): exit_hook for end in ENDS},
    ("address", "crash"): call_between_lives,
    ("limits", "crash"): own_limit,
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("thing", THINGS)
async def test_each_thing_is_as_the_table_says(thing: str, end: str) -> None:
    seen = (await World(end).play())[thing]
    if more := MORE.get((thing, end)):
        seen += await more(end)
    said = TABLE[thing, end]
    assert said[0] == seen[0]
    assert {*said} <= {*seen}, "what isn't seen is promised"
