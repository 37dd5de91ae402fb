"""What becomes of a message, in each way in which a handler runs and in each state of a tree, as the guide's table says.

Tested: SEMANTICS 43, 44, 46, 52, 54, 80, 85, crossed: who gets which error, what it is counted as, what is a dead letter, and
whether the actor lives. The table is the one in `examples/guide/errors.md`, which is written by hand.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import anyio
import pytest

from supervise import (
    ActorStopped,
    Address,
    DynamicSupervisor,
    Intensity,
    MailboxClosed,
    RunningSupervisor,
    Supervisor,
    child,
    concurrent,
    current,
)
from supervise.events import Event, Stopped
from supervise.testing.virtual_time import at_rest
from tests.doubles import Gate

pytestmark = pytest.mark.anyio
GUIDE: Final = (Path(__file__).parents[2] / "examples" / "guide" / "errors.md").read_text(encoding="utf-8")


class Fate(NamedTuple):
    """One row of the table."""

    message: str
    what: str
    caller: str
    counted: str
    dead_letter: bool
    lives: bool


def table() -> list[Fate]:
    rows = re.findall(r"^\| (call|send) \| ([\w ]+) \| ([^|]+) \| ([^|]+) \| (yes|no) \| ([^|]+) \|$", GUIDE, re.MULTILINE)
    return [
        Fate(how, what, caller.strip("` "), counted, dead == "yes", end == "lives on")
        for how, what, caller, counted, dead, end in rows
    ]


TABLE: Final = table()
EVENTS: Final = ("expected", "reply", "crash", "wrong arity", "unknown", "cancelled", "late")
HANDLERS: Final = ("plain", "concurrent", "isolated", "redelivered", "streamed")
TREES: Final = ("one_for_one", "group", "dynamic", "quarantined", "paused", "draining")


def test_the_table_is_whole() -> None:
    assert {(fate.message, fate.what) for fate in TABLE} == {(m, w) for m in ("call", "send") for w in EVENTS}
    assert len(TABLE) == 14


class Wrong(Exception):
    pass


class Elsewhere:
    def unknown(self, gate: Gate) -> None: ...


async def one(gate: Gate) -> AsyncGenerator[Gate]:
    yield gate


class Actor:
    """Its handlers do what is asked for when their gate is open."""

    async def plain(self, gate: Gate) -> str:
        await gate.walk_through()
        if gate_raises(gate):
            raise Wrong
        return "done"

    @concurrent
    async def beside(self, gate: Gate) -> str:
        return await self.plain(gate)

    @concurrent(isolate=True)
    async def isolated(self, gate: Gate) -> str:
        return await self.plain(gate)

    async def note(self) -> int:
        return current().incarnation

    async def read(self, gate: Gate) -> None:
        current().read(one(gate), Actor.plain)

    async def read_wrong(self, gate: Gate) -> None:
        note: Any = Actor.note
        current().read(one(gate), note)

    async def read_unknown(self, gate: Gate) -> None:
        unknown: Any = Elsewhere.unknown
        current().read(one(gate), unknown)


class Raising(Gate):
    """A gate behind which the handler raises."""


def gate_raises(gate: Gate) -> bool:
    return isinstance(gate, Raising)


def options_for(what: str, handler: str, tree: str) -> dict[str, Any]:
    options: dict[str, Any] = {"name": "actor", "on_cancel": "cancel"}
    if what == "expected":
        options["expects"] = (Wrong,)
    if what == "reply":
        options["on_error"] = "reply"
    if handler == "redelivered":
        options["redeliver"] = 1
    if tree == "quarantined":
        options["quarantine"] = 1
    if tree == "draining":
        options["drain"] = True
    return options


@asynccontextmanager
async def in_a_tree(
    tree: str, options: dict[str, Any], events: list[Event]
) -> AsyncGenerator[tuple[RunningSupervisor, Address[Actor]]]:
    more: dict[str, Any] = {"intensity": Intensity(99), "listener": events.append}
    if tree == "dynamic":
        async with DynamicSupervisor("app", **more) as app:
            permanent: dict[str, Any] = {**options, "restart": "permanent"}
            yield app, await app.start(Actor, **permanent)
        return
    strategy: Any = "one_for_all" if tree == "group" else "one_for_one"
    async with Supervisor("app", child(Actor, **options), child(Actor, name="sibling"), strategy=strategy, **more) as app:
        yield app, app.find("actor")


def handler_for(what: str, handler: str) -> tuple[Any, tuple[Any, ...]]:
    gate: Gate = Raising() if what in ("expected", "reply", "crash") else Gate()
    if what == "unknown":
        return (Actor.read_unknown if handler == "streamed" else Elsewhere.unknown), (gate,)
    function: Any = {"concurrent": Actor.beside, "isolated": Actor.isolated, "streamed": Actor.read}.get(handler, Actor.plain)
    if what == "wrong arity":
        return (Actor.read_wrong, (gate,)) if handler == "streamed" else (function, (gate, "too much"))
    return function, (gate,)


def expected_fate(message: str, what: str, handler: str) -> Fate:
    """The row of the table, with what the guide says of the handler."""
    (fate,) = [row for row in TABLE if (row.message, row.what) == (message, what)]
    if handler == "isolated" and not fate.lives:
        caller = "the error" if message == "call" else "nothing"
        return fate._replace(caller=caller, counted="failed", dead_letter=False, lives=True)
    return fate


async def fate_of(message: str, what: str, handler: str, tree: str) -> tuple[Fate, Fate, dict[str, Any]]:
    """What the table says, what comes of it, and what else was seen."""
    function, args = handler_for(what, handler)
    gate: Gate = args[0]
    error: list[Exception] = []
    cancelled = crashed = False
    counts: dict[str, int] = {}
    seen: dict[str, Any] = {}
    events: list[Event] = []
    async with in_a_tree(tree, options_for(what, handler, tree), events) as (app, actor), anyio.create_task_group() as group:
        if tree == "paused":
            actor.pause()

        async def write() -> None:
            nonlocal cancelled
            view = actor.options(timeout=1) if what == "late" else actor
            with anyio.CancelScope() as scope:
                scopes.append(scope)
                try:
                    await (view.call if message == "call" else view.send)(function, *args)
                except Exception as raised:
                    error.append(raised)
            cancelled = scope.cancelled_caught

        scopes: list[anyio.CancelScope] = []
        group.start_soon(write)
        await at_rest()
        if tree == "paused":
            actor.resume()
            await at_rest()
        if tree == "draining":
            group.start_soon(app.terminate_child, "actor")
            await at_rest()
        if what == "cancelled":
            scopes[0].cancel()
            await at_rest()
        if what == "late":
            await anyio.sleep(2)
        gate.open()
        await at_rest()
        await at_rest()
        account = actor.account()
        asked = 1 if handler == "streamed" else 0  # to read the stream
        counts = {
            "handled": account.handled - asked,
            "failed": account.failed,
            "dead letter": account.dead_lettered,
            "abandoned": account.abandoned,
        }
        assert account.balanced
        infos = {info.id: info for info in app.which_children()}
        actor_info, sibling = infos.get("actor"), infos.get("sibling")
        ends = [event for event in events if isinstance(event, Stopped) and event.path == "app/actor"]
        crashed = any(event.reason.abnormal for event in ends)
        seen = {
            "state": None if actor_info is None else actor_info.state.value,
            "incarnation": None if actor_info is None else actor_info.incarnation,
            "sibling": None if sibling is None else sibling.incarnation,
            "paused": actor._mailbox.extras.paused,
            "charged": app.restarts,
            "refused": None,
        }
        if tree != "paused":
            try:
                await actor.options(timeout=1).call(Actor.note)
            except (ActorStopped, MailboxClosed) as refused:
                seen["refused"] = type(refused).__name__
        group.cancel_scope.cancel()
    got = "its cancellation" if cancelled else "nothing"
    if error:
        got = "the error" if isinstance(error[0], Wrong) else type(error[0]).__name__
    counted = [name for name, number in counts.items() if number]
    found = Fate(message, what, got, counted[0] if len(counted) == 1 else str(counts), counts["dead letter"] == 1, not crashed)
    return expected_fate(message, what, handler), found, seen


@pytest.mark.parametrize("tree", TREES)
@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize("what", EVENTS)
async def test_each_message_has_the_fate_that_the_guide_says(what: str, handler: str, tree: str) -> None:
    for message in ("call", "send"):
        if handler == "streamed" and message == "call":
            continue  # it is a send
        expected, found, seen = await fate_of(message, what, handler, tree)
        assert found == expected
        tries = 1 if expected.lives else 2 if handler == "redelivered" and tree not in ("quarantined", "draining") else 1
        if tree == "draining":
            assert seen["state"] == "stopped"
            assert seen["refused"] == "ActorStopped"
        elif tree == "quarantined" and not expected.lives:
            assert (seen["state"], seen["incarnation"], seen["refused"]) == ("stopped", 1, "ActorStopped")
        else:
            life = 1 if expected.lives else 1 + tries
            assert (seen["state"], seen["incarnation"], seen["refused"]) == ("running", life, None)
        if tree == "group":
            assert seen["sibling"] == seen["incarnation"]
        elif tree in ("one_for_one", "quarantined", "paused"):
            assert seen["sibling"] == 1
        charged = 0 if expected.lives or tree in ("quarantined", "draining") else 1
        assert seen["charged"] == charged, "only the first crash by a message is counted"


@pytest.mark.parametrize("handler", ["plain", "redelivered"])
async def test_a_crash_while_draining_makes_dead_letters_of_the_rest(handler: str) -> None:
    redeliver = 1 if handler == "redelivered" else 0
    async with Supervisor("app", child(Actor, drain=True, redeliver=redeliver)) as app, anyio.create_task_group() as group:
        actor = app.find("actor")
        gate = Raising()
        await actor.send(Actor.plain, gate)
        for _ in range(3):
            await actor.send(Actor.note)
        await gate.reached.wait()
        group.start_soon(app.terminate_child, "actor")
        await at_rest()
        gate.open()
        await at_rest()
        account = actor.account()
        assert (account.dead_lettered, account.handled, account.queued) == (4, 0, 0)
