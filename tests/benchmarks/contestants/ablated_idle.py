"""An idle actor, built up from a bare parked task out of the library's own parts; each step is a workload of its own."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Mapping
from contextvars import Context
from functools import partial
from typing import Any, Final, TypeAlias, cast

from supervise import DynamicSupervisor, RunningSupervisor
from supervise.actor.incarnation import Incarnation
from supervise.actor.loop import spawn
from supervise.journal.bus import Bus
from supervise.mailbox.mailbox import Mailbox
from supervise.mailbox.turn import set_turn
from supervise.tree.child import Child
from supervise.tree.node import Node
from supervise.tree.place import ActorPlace
from supervise_strategies.answers import CRASHES
from supervise_strategies.exit_reason import NORMAL
from supervise_strategies.redeliver import NEVER
from tests.benchmarks.actor import Counter
from tests.benchmarks.sample import Sample, Stopwatch, Workload, collection, expect, resident


class Parked:
    """A task that waits, and what it would wait for."""

    __slots__ = ("mailbox", "task", "waker")

    def __init__(self, node: Node, context: Context | None, mailbox: Mailbox | None) -> None:
        self.mailbox = mailbox
        self.waker: Any = None
        backend = node.tree.backend
        backend.spawn(partial(self.run, backend, context is None), Context() if context is None else context, "parked")

    async def run(self, backend: Any, own: bool) -> None:
        if own:
            set_turn(cast(Any, self))
        self.task = backend.current_task()
        instance = Counter()
        self.waker = backend.future()
        await self.waker
        expect(instance.total, 0)

    def stop(self) -> None:
        self.waker.set_result(None)


class Unheard(ActorPlace):
    """A place whose supervisor isn't told."""

    __slots__ = ()

    def started(self, incarnation: Incarnation) -> None: ...
    def connected(self, incarnation: Incarnation) -> None: ...

    def ended(self, incarnation: Incarnation, *_: Any, **__: Any) -> None: ...


class Owner:
    """The least that an incarnation needs."""

    __slots__ = ("incarnation", "mailbox")
    answers = CRASHES
    end_within = 5.0
    redeliver = NEVER
    make = Counter

    def __init__(self, node: Node, name: str) -> None:
        self.mailbox = _mailbox(node, name)
        self.incarnation = Incarnation(cast(Any, self), 1)
        spawn(self.incarnation)

    @property
    def bus(self) -> Bus:
        return self.mailbox.dead_letters.bus

    def started(self, incarnation: Incarnation) -> None: ...
    def connected(self, incarnation: Incarnation) -> None: ...

    def ended(self, incarnation: Incarnation, *_: Any, **__: Any) -> None: ...

    def stop(self) -> None:
        self.incarnation.stop(NORMAL)


def _mailbox(node: Node, name: str) -> Mailbox:
    return Mailbox(node.tree.backend, node.path, name, _CHILD.mailbox_options, node.tree.dead_letters)


def _name(number: int) -> str:
    return f"counter-{number}"


Make: TypeAlias = Callable[[RunningSupervisor, Node, int], Awaitable[Callable[[], object] | None]]
"""One more actor; the answer stops it, where its supervisor doesn't."""

_SHARED: Final = Context()
_CHILD: Final = Child[Counter](Counter, (), {}, default="temporary")


async def _task(_: RunningSupervisor, node: Node, number: int) -> Callable[[], object]:
    return Parked(node, _SHARED, None).stop


async def _context(_: RunningSupervisor, node: Node, number: int) -> Callable[[], object]:
    return Parked(node, None, None).stop


async def _with_mailbox(_: RunningSupervisor, node: Node, number: int) -> Callable[[], object]:
    return Parked(node, None, _mailbox(node, _name(number))).stop


async def _incarnation(_: RunningSupervisor, node: Node, number: int) -> Callable[[], object]:
    return Owner(node, _name(number)).stop


async def _place(_: RunningSupervisor, node: Node, number: int) -> Callable[[], object]:
    place = Unheard(node, _name(number), _CHILD)
    place.start(node, 1)
    return partial(_stop, place)


def _stop(place: ActorPlace) -> None:
    if place.incarnation is not None:
        place.incarnation.stop(NORMAL)


async def _machine(_: RunningSupervisor, node: Node, number: int) -> None:
    await node.offer(_name(number), _CHILD.spec, _CHILD).answer


async def _library(app: RunningSupervisor, _: Node, number: int) -> Callable[[], object]:
    return (await app.start(Counter)).close


async def idle(n: int, make: Make) -> Sample:
    gc.collect()
    before, used, spawned, figures = resident(), 0.0, Stopwatch(), Sample()
    async with DynamicSupervisor("bench") as app:
        node = app._branch.running_node()
        with spawned:
            stops = [await make(app, node, number) for number in range(n)]
            for _ in range(2):  # trio shuffles what runs in one turn
                await node.tree.backend.checkpoint()
        gc.collect()
        used = (resident() - before) / n
        figures = collection()
        for stop in stops:
            if stop is not None:
                stop()
    return {"bytes": used} | spawned.per(n, "spawn") | figures


WORKLOADS: Final[Mapping[str, Workload]] = {
    title: partial(idle, make=make)
    for title, make in {
        "parked task, bare future": _task,
        "a context of its own": _context,
        "mailbox": _with_mailbox,
        "incarnation: all that may happen": _incarnation,
        "place in the tree": _place,
        "machine: spec, slot, answer": _machine,
        "the library: name, checks, address": _library,
    }.items()
}
