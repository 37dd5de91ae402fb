"""thespian on its `simpleSystemBase`: all actors in one thread, run while somebody asks. Nothing restarts them."""

from __future__ import annotations

import contextlib
import gc
import importlib
from collections.abc import Generator, Mapping
from typing import Any, Final

from tests.benchmarks.sample import Sample, Stopwatch, Workload, expect, resident


def _counter(thespian: Any) -> Any:
    def receive(self: Any, message: Any, sender: Any) -> None:
        if isinstance(message, int):
            self.total = getattr(self, "total", 0) + message
        elif message == "total":
            self.send(sender, getattr(self, "total", 0))
        elif message == "add":
            self.total = getattr(self, "total", 0) + 1
            self.send(sender, self.total)

    return type("Counter", (thespian.Actor,), {"receiveMessage": receive})


@contextlib.contextmanager
def _system() -> Generator[tuple[Any, Any]]:
    thespian: Any = importlib.import_module("thespian.actors")
    system = thespian.ActorSystem("simpleSystemBase")
    try:
        yield thespian, system
    finally:
        system.shutdown()


def send_unbounded(n: int) -> Sample:
    with _system() as (thespian, system):
        counter = system.createActor(_counter(thespian))
        with Stopwatch() as watch:
            for _ in range(n):
                system.tell(counter, 1)
            total = system.ask(counter, "total", 5)
        expect(total, n)
    return watch.per(n)


def call(n: int) -> Sample:
    with _system() as (thespian, system):
        counter = system.createActor(_counter(thespian))
        with Stopwatch() as watch:
            for _ in range(n):
                system.ask(counter, "add", 5)
        expect(system.ask(counter, "total", 5), n)
    return watch.per(n)


def ring(n: int) -> Sample:
    def receive(self: Any, message: Any, sender: Any) -> None:
        if isinstance(message, int):
            if message:
                self.send(self.following, message - 1)
            else:
                self.send(self.client, "done")
        elif isinstance(message, tuple):
            self.following, self.client = message[1], sender  # pyright: ignore[reportUnknownMemberType]
            self.send(sender, "joined")

    with _system() as (thespian, system):
        node = type("Node", (thespian.Actor,), {"receiveMessage": receive})
        nodes = [system.createActor(node) for _ in range(min(n, 1000))]
        for one, following in zip(nodes, nodes[1:] + nodes[:1], strict=True):
            system.ask(one, ("following", following), 5)
        with Stopwatch() as watch:
            answer = system.ask(nodes[0], n, 60)
        expect(answer, "done")
    return watch.per(n)


def idle(n: int) -> Sample:
    with _system() as (thespian, system):
        kind = _counter(thespian)
        gc.collect()
        before = resident()
        with Stopwatch() as spawn:
            counters = [system.createActor(kind) for _ in range(n)]
        used = (resident() - before) / n
        with Stopwatch() as stop:
            for counter in counters:
                system.tell(counter, thespian.ActorExitRequest())
    return {"bytes": used} | spawn.per(n, "spawn") | stop.per(n, "stop")


WORKLOADS: Final[Mapping[str, Workload]] = {
    "send_unbounded": send_unbounded,
    "call": call,
    "ring": ring,
    "idle": idle,
}
