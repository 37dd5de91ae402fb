"""What a tree does, in numbers, as a reader collects them.

Tested: each instrument of the table against a tree that does what it counts; that no attribute holds a path or an id; that the
numbers go on over trees, and a counter never falls; collecting from another thread while actors come and go.
"""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from tenacity import wait_fixed

from supervise import (
    ActorCrashed,
    DynamicSupervisor,
    GaveUp,
    Intensity,
    InvalidSpec,
    Restart,
    Supervisor,
    UnknownHandler,
    child,
    pool,
)
from supervise.events import DeadLetter, Event
from supervise.spans.attributes import ACTOR_STATE, ACTOR_TYPE, ERROR_TYPE, MESSAGE_OUTCOME, REASON, RESTART_STRATEGY
from supervise.telemetry import metrics
from supervise.telemetry.metrics import Metrics
from supervise.testing.virtual_time import at_rest
from tests.doubles import Gate, Scribe, fill
from tests.real_clock import on_the_real_clock

pytestmark = pytest.mark.anyio


class Meter:
    """A provider with a reader, a clock that only the test moves, and what is read, by instrument and attributes."""

    def __init__(self) -> None:
        self._reader = InMemoryMetricReader()
        self._provider = MeterProvider([self._reader], shutdown_on_exit=False)
        self.now: float = 0.0
        self.metrics = Metrics(self._provider, clock=lambda: self.now)

    def read(self, instrument: str) -> dict[tuple[Any, ...], float]:
        """The numbers of one instrument under the values of their attributes, in the order of the attributes' names."""
        return {
            tuple(value for _, value in sorted(point.attributes.items())): point.value
            for metric, point in self.points()
            if metric.name == instrument
        }

    def points(self) -> Iterator[tuple[Any, Any]]:
        data: Any = self._reader.get_metrics_data()
        for resource in data.resource_metrics if data is not None else ():
            for scope in resource.scope_metrics:
                assert scope.scope.name == "supervise"
                for metric in scope.metrics:
                    for point in metric.data.data_points:
                        yield metric, point

    def close(self) -> None:
        self._provider.shutdown()


@pytest.fixture
def meter() -> Iterator[Meter]:
    meter = Meter()
    yield meter
    meter.close()


@asynccontextmanager
async def written() -> AsyncGenerator[Scribe]:
    yield Scribe()


async def test_actors_are_counted_by_type_and_state(meter: Meter) -> None:
    gate = Gate()

    async def late() -> Scribe:
        await gate.walk_through()
        return Scribe()

    async with Supervisor("app", DynamicSupervisor("below"), metrics=meter.metrics) as app:
        await app.start(Scribe)
        await app.supervisor("below").start(written)
        stopped = await app.start(Scribe, name="stopped")
        await app.terminate_child(stopped)
        crashing = await app.start(Scribe, name="slow", restart=Restart.permanent(wait=wait_fixed(10)))
        await crashing.send(Scribe.crash)
        await at_rest()
        async with anyio.create_task_group() as group:
            group.start_soon(app.start, late)
            await gate.reached.wait()
            assert meter.read("supervise.actor.count") == {
                ("running", "Scribe"): 2,
                ("restarting", "Scribe"): 1,
                ("starting", "late"): 1,
            }
            gate.open()
    assert set(meter.read("supervise.actor.count").values()) == {0}  # said, and not just left out


async def test_an_actor_that_stops_is_counted_as_such(meter: Meter) -> None:
    async with Supervisor("app", metrics=meter.metrics) as app:
        scribe = await app.start(Scribe)
        gate = await fill(scribe)
        async with anyio.create_task_group() as group:
            group.start_soon(app.terminate_child, scribe)
            await at_rest()
            assert meter.read("supervise.actor.count") == {("stopping", "Scribe"): 1}
            gate.open()


async def test_restarts_and_failures_are_counted_by_type_and_reason(meter: Meter) -> None:
    def factory() -> Scribe:
        return Scribe()

    async with Supervisor("app", intensity=Intensity(100), strategy="rest_for_one", metrics=meter.metrics) as app:
        scribes = [
            await app.start(Scribe, name="a"),
            await app.start(factory, name="b"),
            await app.start(functools.partial(Scribe, None), name="c"),
            await app.start(written, name="d"),
        ]
        for scribe in scribes:
            for _ in range(2):
                await scribe.send(Scribe.crash)
                await at_rest()
        app.kill("a")
        await at_rest()
    assert meter.read("supervise.actor.restarts") == {("Scribe", "rest_for_one"): 9}
    assert meter.read("supervise.actor.failures") == {("tests.doubles.Boom", "Scribe"): 8, ("killed", "Scribe"): 1}


async def test_an_orderly_end_is_no_failure_and_a_start_that_fails_is_one(meter: Meter) -> None:
    def unborn() -> Scribe:
        raise OSError("no device")

    async with Supervisor("app", metrics=meter.metrics) as app:
        await app.terminate_child(await app.start(Scribe))
        with pytest.raises(Exception, match="no device"):
            await app.start(unborn)
    assert meter.read("supervise.actor.failures") == {("OSError", "unborn"): 1}
    assert meter.read("supervise.actor.restarts") == {}


async def test_supervisors_that_give_up_are_counted_by_strategy_and_restarted_as_supervisors(meter: Meter) -> None:
    below = Supervisor("below", child(Scribe), intensity=Intensity(1), strategy="one_for_all")
    with pytest.raises(GaveUp):
        async with Supervisor("app", below, intensity=Intensity(1), metrics=meter.metrics) as app:
            for _ in range(4):
                await app.find("below/scribe").send(Scribe.crash)
                await at_rest()
    assert meter.read("supervise.supervisor.escalations") == {("one_for_all",): 2, ("one_for_one",): 1}
    assert meter.read("supervise.actor.restarts") == {("Scribe", "one_for_all"): 2, ("Supervisor", "one_for_one"): 1}


async def test_utilization_is_that_of_whoever_is_nearest_to_giving_up_and_falls_with_time(meter: Meter) -> None:
    below = Supervisor("below", child(Scribe), intensity=Intensity(2, per=10))
    limited = child(Scribe, name="limited", limit=Intensity(10, per=100))
    async with Supervisor("app", below, limited, intensity=Intensity(4, per=10), metrics=meter.metrics) as app:
        assert meter.read("supervise.supervisor.restart.utilization") == {(): 0.0}
        for _ in range(3):
            await app.find("limited").send(Scribe.crash)
            await at_rest()
        assert meter.read("supervise.supervisor.restart.utilization") == {(): 0.3}
        await app.find("below/scribe").send(Scribe.crash)
        await at_rest()
        assert meter.read("supervise.supervisor.restart.utilization") == {(): 0.5}
        meter.now = 10.5
        assert meter.read("supervise.supervisor.restart.utilization") == {(): 0.3}
    assert meter.read("supervise.supervisor.restart.utilization") == {(): 0.0}


async def test_messages_that_wait_are_counted_by_type(meter: Meter) -> None:
    async with Supervisor("app", metrics=meter.metrics) as app:
        gates = [await fill(await app.start(Scribe, name=name), *range(n)) for name, n in (("a", 2), ("b", 3))]
        assert meter.read("supervise.mailbox.message.count") == {("Scribe",): 5}
        for gate in gates:
            gate.open()
        await at_rest()
        assert meter.read("supervise.mailbox.message.count") == {("Scribe",): 0}


async def test_all_lanes_of_a_mailbox_are_counted(meter: Meter) -> None:
    async with Supervisor("app", metrics=meter.metrics) as app:
        scribe = await app.start(Scribe, lanes=("urgent", "bulk"))
        gate = await fill(scribe, 1, 2)
        await scribe.options(lane="urgent").send(Scribe.note, 3)
        assert meter.read("supervise.mailbox.message.count") == {("Scribe",): 3}
        gate.open()


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
async def test_what_an_overflow_drops_is_counted_as_such(meter: Meter, policy: Any) -> None:
    async with Supervisor("app", metrics=meter.metrics) as app:
        gate = await fill(await app.start(Scribe, capacity=2, overflow=policy), 1, 2, 3, 4)
        assert meter.read("supervise.dead_letters") == {("overflow",): 2}
        gate.open()


async def test_what_became_of_messages_goes_on_over_children_and_trees_that_are_gone(meter: Meter) -> None:
    tree = Supervisor("app", DynamicSupervisor("below"), metrics=meter.metrics)
    for times in (1, 2):
        async with tree as app:
            scribe = await app.supervisor("below").start(Scribe)
            await scribe.call(Scribe.note, 1)
            with pytest.raises(ActorCrashed):
                await scribe.call(Scribe.crash)
            await at_rest()
            assert meter.read("supervise.mailbox.messages") == {
                ("handled",): times,
                ("failed",): times,
                ("dead_lettered",): 0,
                ("abandoned",): 0,
            }
    assert meter.read("supervise.mailbox.messages")["handled",] == 2


async def test_dead_letters_are_counted_by_a_reason_code(meter: Meter) -> None:
    def not_there() -> None: ...

    not_there.__qualname__ = "Scribe.not_there"
    not_there.__name__ = "not_there"
    unknown: Any = not_there
    async with Supervisor("app", DynamicSupervisor("below"), metrics=meter.metrics) as app:
        kept = await app.start(Scribe)
        await kept.send(Scribe.crash)
        await kept.send(unknown)
        await at_rest()
        for scribe in (kept, await app.supervisor("below").start(Scribe)):
            gate = await fill(scribe, 1, 2)
            async with anyio.create_task_group() as group:
                group.start_soon((app if scribe is kept else app.supervisor("below")).terminate_child, scribe)
                await at_rest()
                gate.open()
        with pytest.raises(UnknownHandler):
            await (await app.start(Scribe, name="other")).call(unknown)
    found = meter.read("supervise.dead_letters")
    assert found == {("in_hand",): 1, ("unknown_handler",): 1, ("stopped",): 2, ("gone",): 2}
    assert sum(found.values()) == meter.read("supervise.mailbox.messages")["dead_lettered",]


async def test_no_attribute_holds_a_path_or_an_id(meter: Meter) -> None:
    async with Supervisor("app", DynamicSupervisor("below", intensity=Intensity(99)), metrics=meter.metrics) as app:
        for n in range(20):
            scribe = await app.supervisor("below").start(Scribe, name=f"secret-{n}", restart="permanent")
            await scribe.send(Scribe.crash)
        await at_rest()
    points = [*meter.points()]
    assert sum(metric.name == "supervise.actor.restarts" for metric, _ in points) == 1
    assert {key for _, point in points for key in point.attributes} <= {
        ACTOR_TYPE,
        ACTOR_STATE,
        ERROR_TYPE,
        MESSAGE_OUTCOME,
        REASON,
        RESTART_STRATEGY,
    }
    assert not any("/" in str(value) or "secret" in str(value) for _, point in points for value in point.attributes.values())
    assert all(metric.unit for metric, _ in points)


async def test_the_table_in_the_docstring_is_whole(meter: Meter) -> None:
    found: set[str] = set()
    async with Supervisor("app", intensity=Intensity(1), metrics=meter.metrics) as app:
        await (await app.start(Scribe)).send(Scribe.crash)
        await at_rest()
        found |= {metric.name for metric, _ in meter.points()}
    assert metrics.__doc__ is not None
    assert found | {"supervise.supervisor.escalations"} == {
        line.split("`")[1] for line in metrics.__doc__.splitlines() if line.startswith("| `")
    }


async def test_a_tree_without_a_configured_provider_runs_all_the_same() -> None:
    async with Supervisor("app", metrics=Metrics()) as app:
        assert await (await app.start(Scribe)).call(Scribe.note, 1) == 1


@pytest.mark.parametrize("kind", [Supervisor, DynamicSupervisor])
def test_metrics_that_are_none_are_refused(kind: Any) -> None:
    with pytest.raises(InvalidSpec, match=r"supervisor 'app'.*metrics=17.*Metrics\("):
        kind("app", metrics=17)


async def test_a_description_with_another_budget_keeps_its_metrics(meter: Meter) -> None:
    async with DynamicSupervisor("app", metrics=meter.metrics).with_budget(math.inf) as app:
        await app.start(Scribe)
        assert meter.read("supervise.actor.count") == {("running", "Scribe"): 1}


async def test_a_counter_does_not_fall_while_a_child_is_being_forgotten(meter: Meter) -> None:
    read: list[float] = []

    def listener(event: Event) -> None:
        if isinstance(event, DeadLetter):  # the child isn't in its place any more, and not in the sum of those that are gone
            read.append(meter.read("supervise.mailbox.messages")["handled",])

    async with Supervisor("app", DynamicSupervisor("below"), listener=listener, metrics=meter.metrics) as app:
        scribe = await app.supervisor("below").start(Scribe)
        await scribe.call(Scribe.note, 1)
        assert meter.read("supervise.mailbox.messages")["handled",] == 1
        gate = await fill(scribe, 2)
        async with anyio.create_task_group() as group:
            group.start_soon(app.supervisor("below").terminate_child, scribe)
            await at_rest()
            gate.open()
    assert len(read) == 1
    assert read[0] >= 1


async def test_children_may_come_while_a_reader_walks_through_the_tree(meter: Meter) -> None:
    async with Supervisor("app", metrics=meter.metrics) as app:
        for name in "ab":
            await app.start(Scribe, name=name)
        walk = app._branch.actors()
        found = [next(walk).name]
        await app.start(Scribe, name="c")
        found += [place.name for place in walk]
        assert found == ["a", "b"]


@on_the_real_clock
async def test_reading_from_another_thread_while_actors_come_and_go_fails_never_and_falls_never(meter: Meter) -> None:
    over = threading.Event()
    handled: list[float] = []

    def read() -> None:
        while not over.is_set():
            handled.append(meter.read("supervise.mailbox.messages").get(("handled",), 0))

    async with Supervisor("app", DynamicSupervisor("below"), metrics=meter.metrics) as app:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.to_thread.run_sync, read)
            below = app.supervisor("below")
            try:
                with anyio.fail_after(30):
                    while not handled:  # the thread has to get its turn
                        await anyio.lowlevel.checkpoint()
                    for _ in range(300):
                        scribe = await below.start(Scribe)
                        await scribe.call(Scribe.note, 1)
                        await below.terminate_child(scribe)
            finally:
                over.set()
    assert handled == sorted(handled)
    assert meter.read("supervise.mailbox.messages")["handled",] == 300


async def test_a_pool_counts_what_waits_in_it_under_the_type_of_its_workers() -> None:
    meter = Meter()
    jobs = pool(Scribe, size=2, name="jobs")
    async with Supervisor("app", jobs, metrics=meter.metrics) as app:
        gates = [Gate(), Gate()]
        for gate in gates:
            await app.find(jobs).send(Scribe.hold, gate)
            await gate.reached.wait()
        for n in range(3):
            await app.find(jobs).send(Scribe.note, n)
        assert meter.read("supervise.mailbox.message.count") == {("Scribe",): 3}
        assert meter.read("supervise.actor.count") == {("running", "Scribe"): 2}
        for gate in gates:
            gate.open()
        await at_rest()
        assert meter.read("supervise.mailbox.messages")[("handled",)] == 5
