"""The library's own restart, with parts of it knocked out: each step puts one back."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import Context
from typing import Any, Final, TypeAlias
from unittest import mock

from supervise import Supervisor
from supervise._backends import Backend, current_backend
from supervise.actor import ending, loop
from supervise.mailbox.mailbox import Mailbox
from supervise.tree.node import _OBEY
from supervise.tree.place import ActorPlace
from supervise_strategies import directives as do
from supervise_strategies.exit_reason import ExitKind, ExitReason
from supervise_strategies.supervision import Supervision
from tests.benchmarks.actor import Counter
from tests.benchmarks.backend import on_trio
from tests.benchmarks.sample import Sample, Stopwatch, Workload, expect, figure

from . import channel_loop, queue_loop, toolkit

Patch: TypeAlias = Callable[[], Any]
_CRASHED: Final = ExitReason(ExitKind.CRASHED)


def _restart(machine: Any, id: str, number: int, *_: object, **__: object) -> list[do.Directive]:
    """No decision: a restart, whatever the intensity and the strategy are."""
    machine._state.slots[id].number = number + 1
    return [do.Start(id, number + 1)]


def _forgets(place: ActorPlace, incarnation: Any, *_: object, **__: object) -> Any:
    """No supervisor: the next one is built by the place itself."""
    place.incarnation = None
    node = place.node
    node.asking, node.in_place = incarnation, None
    _OBEY[do.Start](node, do.Start(place.name, incarnation.number + 1))
    node.machine._state.slots[place.name].number = incarnation.number + 1
    successor, node.in_place, node.asking = node.in_place, None, None
    return successor


def _nothing(*_: object, **__: object) -> Any:
    return None


def _no_directives(*_: object) -> list[do.Directive]:
    return []


def _a_crash(_: BaseException) -> ExitReason:
    return _CRASHED


def _no(*_: object) -> bool:
    return False


def _counted(mailbox: Mailbox, *_: object) -> None:
    mailbox.dead_lettered += 1


# What is knocked out of the library at first, in the order in which it comes back.
PARTS: Final[Mapping[str, Sequence[Patch]]] = {
    "place and supervisor hear of it": [
        lambda: mock.patch.object(ActorPlace, "ended", _forgets),
        lambda: mock.patch.object(ActorPlace, "started", _nothing),
    ],
    "machine: policy, intensity, directives": [
        lambda: mock.patch.object(Supervision, "child_exited", _restart),
        lambda: mock.patch.object(Supervision, "child_started", _no_directives),
    ],
    "the decision as an event, kept": [lambda: mock.patch.dict(_OBEY, {do.Report: _nothing})],
    "the exit reason as text": [lambda: mock.patch.object(ending, "crashed", _a_crash)],
    "cancelled, or crashed?": [
        lambda: mock.patch.object(loop, "is_cancellation", _no),
        lambda: mock.patch.object(ending, "is_cancellation", _no),
    ],
    "the dead letter as text and event": [lambda: mock.patch.object(Mailbox, "dead_letter", _counted)],
}
CORE: Final = "incarnation: mailbox, flags, settling"
BARE: Final = "parked task, try in a loop"
SLICES = 3


@contextmanager
def _without(parts: Sequence[str]) -> Generator[None]:
    with ExitStack() as stack:
        for part in parts:
            for patch in PARTS[part]:
                stack.enter_context(patch())
        yield


async def _library(n: int, without: Sequence[str]) -> float:
    watch = Stopwatch()
    async with Supervisor("bench", intensity=toolkit.UNLIMITED) as app:
        counter = await app.start(Counter)
        with _without(without), watch:
            for _ in range(n):
                await counter.send(Counter.crash, 1)
                expect(await counter.call(Counter.add, 1), 1)
    return watch.cpu / n * 1e6


class Bare:
    """A parked task that begins again with a fresh instance."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.queue: deque[Any] = deque()
        self.waker: Any = None
        self.over = False

    async def run(self) -> None:
        while not self.over:
            instance = Counter()
            reply: Any = None
            try:
                while not self.over:
                    while not self.queue and not self.over:
                        self.waker = self.backend.future()
                        await self.waker
                    if self.queue:
                        handler, amount, reply = self.queue.popleft()
                        result = await handler(instance, amount)
                        if reply is not None:
                            reply.set_result(result)
            except Exception as error:
                if reply is not None:
                    reply.set_exception(error)

    def put(self, handler: Any, amount: int, reply: Any) -> None:
        self.queue.append((handler, amount, reply))
        self.wake()

    def wake(self) -> None:
        waker, self.waker = self.waker, None
        if waker is not None:
            waker.set_result(None)


async def _bare(n: int) -> float:
    backend = current_backend()
    await backend.open()
    bare = Bare(backend)
    backend.spawn(bare.run, Context(), "bare")
    with Stopwatch() as watch:
        for _ in range(n):
            bare.put(Counter.crash, 1, None)
            reply = backend.future()
            bare.put(Counter.add, 1, reply)
            expect(await reply, 1)
    bare.over = True
    bare.wake()
    await backend.checkpoint()
    await backend.close()
    return watch.cpu / n * 1e6


async def crash(n: int) -> Sample:
    """Ratios to the loop by hand: all take turns, a slice of the work each."""
    hand: Any = (channel_loop if on_trio() else queue_loop).crash
    each = max(1, n // SLICES)
    steps = {CORE if not back else [*PARTS][back - 1]: [*PARTS][back:] for back in range(len(PARTS) + 1)}
    ratios: dict[str, list[float]] = {title: [] for title in (BARE, *steps)}
    for _ in range(SLICES):
        base = figure(await hand(each), "time", "cpu")
        ratios[BARE].append(await _bare(each) / base)
        for title, without in steps.items():
            ratios[title].append(await _library(each, without) / base)
    return {title: statistics.median(values) for title, values in ratios.items()}


WORKLOADS: Final[Mapping[str, Workload]] = {"crash": crash}
