"""pykka: a thread per actor. It has no supervision, so what restarts its actor here is written by hand."""

from __future__ import annotations

import gc
import importlib
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

from tests.benchmarks.sample import Sample, Stopwatch, Workload, expect, resident


def _counter() -> Any:
    """The actor class: `Counter.start()` gives a reference with `tell` and `ask`."""

    def __init__(self: Any) -> None:
        base.__init__(self)
        self.total = 0

    def on_receive(self: Any, message: Any) -> Any:
        if message == "crash":
            raise ValueError(message)
        self.total += message
        return self.total

    base: Any = importlib.import_module("pykka").ThreadingActor
    return type("Counter", (base,), {"__init__": __init__, "on_receive": on_receive})


def send_unbounded(n: int) -> Sample:
    counter = _counter().start()
    with Stopwatch() as watch:
        for _ in range(n):
            counter.tell(1)
        total = counter.ask(0)
    expect(total, n)
    counter.stop()
    return watch.per(n)


def call(n: int) -> Sample:
    counter = _counter().start()
    with Stopwatch() as watch:
        for _ in range(n):
            counter.ask(1)
    expect(counter.ask(0), n)
    counter.stop()
    return watch.per(n)


def _crowd(n: int, one: Callable[[Any], object]) -> Sample:
    """100 threads share the work."""
    counter, each = _counter().start(), max(1, n // 100)

    def client() -> None:
        for _ in range(each):
            one(counter)

    threads = [threading.Thread(target=client) for _ in range(100)]
    with Stopwatch() as watch:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        total = counter.ask(0)
    expect(total, each * 100)
    counter.stop()
    return watch.per(each * 100)


def callers(n: int) -> Sample:
    return _crowd(n, lambda counter: counter.ask(1))


def fan_in(n: int) -> Sample:
    return _crowd(n, lambda counter: counter.tell(1))


def ring(n: int) -> Sample:
    done = threading.Event()

    def on_receive(self: Any, left: Any) -> None:
        if isinstance(left, int):
            if left:
                self.following.tell(left - 1)
            else:
                done.set()
        else:
            self.following = left

    pykka: Any = importlib.import_module("pykka")
    node: Any = type("Node", (pykka.ThreadingActor,), {"on_receive": on_receive})
    nodes = [node.start() for _ in range(min(n, 1000))]
    for one, following in zip(nodes, nodes[1:] + nodes[:1], strict=True):
        one.ask(following)
    with Stopwatch() as watch:
        nodes[0].tell(n)
        done.wait()
    pykka.ActorRegistry.stop_all()
    return watch.per(n)


def idle(n: int) -> Sample:
    """At most 2,000: each is a thread."""
    n = min(n, 2_000)
    kind = _counter()
    gc.collect()
    before = resident()
    with Stopwatch() as spawn:
        counters = [kind.start() for _ in range(n)]
    used = (resident() - before) / n
    with Stopwatch() as stop:
        for counter in counters:
            counter.stop()
    return {"bytes": used} | spawn.per(n, "spawn") | stop.per(n, "stop")


def crash(n: int) -> Sample:
    dead: Any = importlib.import_module("pykka").ActorDeadError
    kind = _counter()
    counter = kind.start()
    with Stopwatch() as watch:
        for _ in range(n):
            counter.tell("crash")
            try:
                counter.ask(1)
            except dead:
                counter = kind.start()
                expect(counter.ask(1), 1)
    counter.stop()
    return watch.per(n)


WORKLOADS: Final[Mapping[str, Workload]] = {
    "send_unbounded": send_unbounded,
    "call": call,
    "callers": callers,
    "fan_in": fan_in,
    "ring": ring,
    "idle": idle,
    "crash": crash,
}
