"""Trees that make spans, and trees with metrics, for the command line's tests: apart from the others, which load neither."""

from __future__ import annotations

import itertools

import anyio
import anyio.lowlevel
from opentelemetry import trace
from opentelemetry.metrics import NoOpMeterProvider

from supervise import Supervisor, child, current
from supervise.telemetry import Metrics

from .trees import Deaf, Loud


class Busy:
    """Works for itself, in spans, until it is stopped."""

    async def __aenter__(self) -> Busy:
        current().nursery.start_soon(self._work)
        return self

    async def __aexit__(self, *_: object) -> None:
        trace.get_tracer("t").start_span("stop").end()

    async def _work(self) -> None:
        for n in itertools.count():
            with trace.get_tracer("t").start_as_current_span("work", attributes={"n": n}):
                await anyio.lowlevel.checkpoint()
            if n == 100:
                print(n, flush=True)
            if n > 100:
                await anyio.sleep(0.001)


class DeafAndTraced(Deaf):
    async def __aenter__(self) -> DeafAndTraced:
        trace.get_tracer("t").start_span(f"start {self.name}").end()
        await super().__aenter__()
        return self


BUSY = Supervisor("app", child(Busy, name="busy"))
DEAF_AND_TRACED = Supervisor("app", child(DeafAndTraced, "a", name="a", stop_within=0.0))
COUNTED = Supervisor("app", child(Loud, "a", name="a"), metrics=Metrics())
COUNTED_ELSEWHERE = Supervisor("app", child(Loud, "a", name="a"), metrics=Metrics(NoOpMeterProvider()))
