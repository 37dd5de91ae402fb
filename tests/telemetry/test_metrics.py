"""What a tree does, in numbers, as a reader collects them.

Tested: each instrument of the table against a tree that does what it counts; that no attribute holds a path or an id; that the
numbers go on over trees, and a counter never falls; collecting from another thread while actors come and go; that counters are
0 before their first event, and that the series of a class are gone with it.
"""

from __future__ import annotations

import functools
import gc
import math
import re
import threading
from collections import deque
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
    ActorRestarting,
    ActorStopped,
    Address,
    DynamicSupervisor,
    GaveUp,
    IgnoreStart,
    Intensity,
    InvalidSpec,
    MailboxClosed,
    MailboxFull,
    Restart,
    SendTimeout,
    Supervisor,
    UnknownHandler,
    child,
    pool,
)
from supervise.events import DeadLetter, Event, LinkUp
from supervise.health import health
from supervise.spans.attributes import ACTOR_STATE, ACTOR_TYPE, ERROR_TYPE, MESSAGE_OUTCOME, REASON, RESTART_STRATEGY
from supervise.telemetry import metrics
from supervise.telemetry.durations import MOST_ERRORS
from supervise.telemetry.kinds import FEW
from supervise.telemetry.metrics import Metrics
from supervise.testing.virtual_time import at_rest
from supervise.tree.branch import BranchPlace
from tests.doubles import Boom, Gate, Scribe, fill
from tests.real_clock import on_the_real_clock

pytestmark = pytest.mark.anyio


class OtherScribe(Scribe):
    """Another type."""


async def note(scribe: Address[Scribe], entry: object) -> None:
    await scribe.send(Scribe.note, entry)


class Meter:
    """A provider with a reader, a clock that only the test moves, and what is read, by instrument and attributes."""

    def __init__(self, *, durations: bool = False) -> None:
        self._reader = InMemoryMetricReader()
        self._provider = MeterProvider([self._reader], shutdown_on_exit=False)
        self.now: float = 0.0
        self.metrics = Metrics(self._provider, durations=durations, clock=lambda: self.now)

    def read(self, instrument: str) -> dict[tuple[Any, ...], float]:
        """The numbers of one instrument under the values of their attributes, in the order of the attributes' names."""
        return {
            tuple(value for _, value in sorted(point.attributes.items())): point.value
            for metric, point in self.points()
            if metric.name == instrument
        }

    def counted(self, instrument: str) -> dict[tuple[Any, ...], float]:
        """The same without what is 0."""
        return {attributes: number for attributes, number in self.read(instrument).items() if number}

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
            assert meter.counted("supervise.actor.status") == {
                ("running", "Scribe"): 2,
                ("restarting", "Scribe"): 1,
                ("stopped", "Scribe"): 1,
                ("starting", "late"): 1,
            }
            gate.open()
    assert set(meter.read("supervise.actor.status").values()) == {0}  # said, and not just left out


async def test_an_actor_that_stops_is_counted_as_such(meter: Meter) -> None:
    async with Supervisor("app", metrics=meter.metrics) as app:
        scribe = await app.start(Scribe)
        gate = await fill(scribe)
        async with anyio.create_task_group() as group:
            group.start_soon(app.terminate_child, scribe)
            await at_rest()
            assert meter.counted("supervise.actor.status") == {("stopping", "Scribe"): 1}
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
    assert meter.counted("supervise.actor.restarts") == {("Scribe", "rest_for_one"): 9}
    assert meter.counted("supervise.actor.failures") == {("tests.doubles.Boom", "Scribe"): 8, ("killed", "Scribe"): 1}


async def test_an_orderly_end_is_no_failure_and_a_start_that_fails_is_one(meter: Meter) -> None:
    def unborn() -> Scribe:
        raise OSError("no device")

    async with Supervisor("app", metrics=meter.metrics) as app:
        await app.terminate_child(await app.start(Scribe))
        with pytest.raises(Exception, match="no device"):
            await app.start(unborn)
    assert meter.counted("supervise.actor.failures") == {("OSError", "unborn"): 1}
    assert meter.counted("supervise.actor.restarts") == {}


async def test_supervisors_that_give_up_are_counted_by_strategy_and_restarted_as_supervisors(meter: Meter) -> None:
    below = Supervisor("below", child(Scribe), intensity=Intensity(1), strategy="one_for_all")
    with pytest.raises(GaveUp):
        async with Supervisor("app", below, intensity=Intensity(1), metrics=meter.metrics) as app:
            for _ in range(4):
                await app.find("below/scribe").send(Scribe.crash)
                await at_rest()
    assert meter.counted("supervise.supervisor.escalations") == {("one_for_all",): 2, ("one_for_one",): 1}
    assert meter.counted("supervise.actor.restarts") == {("Scribe", "one_for_all"): 2, ("Supervisor", "one_for_one"): 1}


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
        assert meter.read("supervise.mailbox.size") == {("Scribe",): 5}
        for gate in gates:
            gate.open()
        await at_rest()
        assert meter.read("supervise.mailbox.size") == {("Scribe",): 0}


async def test_all_lanes_of_a_mailbox_are_counted(meter: Meter) -> None:
    async with Supervisor("app", metrics=meter.metrics) as app:
        scribe = await app.start(Scribe, lanes=("urgent", "bulk"))
        gate = await fill(scribe, 1, 2)
        await scribe.options(lane="urgent").send(Scribe.note, 3)
        assert meter.read("supervise.mailbox.size") == {("Scribe",): 3}
        gate.open()


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
async def test_what_an_overflow_drops_is_counted_as_such(meter: Meter, policy: Any) -> None:
    async with Supervisor("app", metrics=meter.metrics) as app:
        gate = await fill(await app.start(Scribe, capacity=2, overflow=policy), 1, 2, 3, 4)
        assert meter.counted("supervise.dead_letters") == {("full",): 2}
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
                ("Scribe", "handled"): times,
                ("Scribe", "failed"): times,
                ("Scribe", "dead_lettered"): 0,
                ("Scribe", "abandoned"): 0,
            }
    assert meter.read("supervise.mailbox.messages")["Scribe", "handled"] == 2


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
    found = meter.counted("supervise.dead_letters")
    assert found == {("in_hand",): 1, ("refused",): 1, ("stopped",): 4}
    assert sum(found.values()) == meter.read("supervise.mailbox.messages")["Scribe", "dead_lettered"]


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


async def test_the_table_in_the_docstring_is_whole() -> None:
    meter = Meter(durations=True)
    found: set[str] = set()
    async with Supervisor("app", intensity=Intensity(1), metrics=meter.metrics) as app:
        await (await app.start(Scribe)).send(Scribe.crash)
        app._branch.tree.bus.publish(LinkUp("app/link", 1, "there", "", "shop"))  # as links do; what is of them is there then
        await at_rest()
        found |= {metric.name for metric, _ in meter.points()}
    assert metrics.__doc__ is not None
    assert found == {
        name
        for line in metrics.__doc__.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`([a-z_.]+)`", line.split("|")[1])
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
        assert meter.counted("supervise.actor.status") == {("running", "Scribe"): 1}


async def test_a_counter_does_not_fall_while_a_child_is_being_forgotten(meter: Meter) -> None:
    read: list[float] = []

    def listener(event: Event) -> None:
        if isinstance(event, DeadLetter):  # the child isn't in its place any more, and not in the sum of those that are gone
            read.append(meter.read("supervise.mailbox.messages")["Scribe", "handled"])

    async with Supervisor("app", DynamicSupervisor("below"), listener=listener, metrics=meter.metrics) as app:
        scribe = await app.supervisor("below").start(Scribe)
        await scribe.call(Scribe.note, 1)
        assert meter.read("supervise.mailbox.messages")["Scribe", "handled"] == 1
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
            handled.append(meter.read("supervise.mailbox.messages").get(("Scribe", "handled"), 0))

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
    assert meter.read("supervise.mailbox.messages")["Scribe", "handled"] == 300


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
        assert meter.read("supervise.mailbox.size") == {("Scribe",): 3}
        assert meter.counted("supervise.actor.status") == {("running", "Scribe"): 2}
        for gate in gates:
            gate.open()
        await at_rest()
        assert meter.read("supervise.mailbox.messages")["Scribe", "handled"] == 5


# -- what a dashboard needs besides ------------------------------------------------------------------------------------


async def test_a_counter_is_0_before_its_first_event(meter: Meter) -> None:
    below = DynamicSupervisor("below")
    async with Supervisor("app", below, child(Scribe), strategy="rest_for_one", metrics=meter.metrics):
        assert meter.read("supervise.actor.restarts") == {
            ("Scribe", "rest_for_one"): 0,
            ("DynamicSupervisor", "rest_for_one"): 0,
        }
        assert meter.read("supervise.actor.failures") == {("Scribe",): 0}
        assert meter.read("supervise.supervisor.escalations") == {("rest_for_one",): 0, ("one_for_one",): 0}
        assert meter.read("supervise.mailbox.accepted") == {("Scribe",): 0}
        assert meter.read("supervise.mailbox.messages") == {
            ("Scribe", outcome): 0 for outcome in ("handled", "failed", "dead_lettered", "abandoned")
        }
        assert meter.read("supervise.mailbox.rejections") == {
            (reason,): 0 for reason in ("full", "stopped", "gone", "restarting", "timeout")
        }
        assert meter.read("supervise.dead_letters") == {
            (reason,): 0 for reason in ("stopped", "in_hand", "overran", "spent", "full", "refused", "late", "by_hand")
        }
        assert meter.read("supervise.actor.status") == {
            (state, "Scribe"): int(state == "running") for state in ("starting", "running", "restarting", "stopping", "stopped")
        }


async def test_each_event_is_counted_in_the_series_that_was_0(meter: Meter) -> None:
    async with Supervisor("app", child(Scribe), metrics=meter.metrics) as app:
        before = meter.read("supervise.actor.restarts")
        await app.find("scribe").send(Scribe.crash)
        await at_rest()
        assert {key: n + 1 for key, n in before.items()} == meter.read("supervise.actor.restarts")
        assert meter.read("supervise.actor.failures") == {("Scribe",): 0, ("tests.doubles.Boom", "Scribe"): 1}


async def test_what_comes_in_and_what_becomes_of_it_is_told_by_type(meter: Meter) -> None:
    async with Supervisor("app", DynamicSupervisor("below"), metrics=meter.metrics) as app:
        await (await app.start(Scribe)).call(Scribe.note, 1)
        other = await app.supervisor("below").start(OtherScribe)
        for n in range(3):
            await other.call(Scribe.note, n)
        await app.supervisor("below").terminate_child(other)
        assert meter.read("supervise.mailbox.accepted") == {("Scribe",): 1, ("OtherScribe",): 3}
        assert meter.counted("supervise.mailbox.messages") == {("Scribe", "handled"): 1, ("OtherScribe", "handled"): 3}
    assert meter.read("supervise.mailbox.accepted") == {("Scribe",): 1, ("OtherScribe",): 3}


async def test_a_whole_supervisor_that_is_removed_keeps_its_counts(meter: Meter) -> None:
    async with Supervisor("app", metrics=meter.metrics) as app:
        nested = await app.start_child(Supervisor("nested", child(Scribe), pool(OtherScribe, size=1)))
        await nested.find("scribe").call(Scribe.note, 1)
        await nested.find("otherscribe").call(Scribe.note, 1)
        await app.terminate_child("nested")
        await app.delete_child("nested")
        assert meter.read("supervise.mailbox.accepted") == {("Scribe",): 1, ("OtherScribe",): 1}


async def test_messages_that_are_not_accepted_are_counted_by_reason(meter: Meter) -> None:
    async with Supervisor("app", DynamicSupervisor("below"), metrics=meter.metrics) as app:
        full = await app.start(Scribe, name="full", capacity=1, overflow="reject")
        gate = await fill(full, 1)
        with pytest.raises(MailboxFull):
            await full.send(Scribe.note, 2)
        with pytest.raises(MailboxFull):
            full.try_send(Scribe.note, 3)
        gate.open()
        waits = await app.start(Scribe, name="waits", capacity=1)
        gate = await fill(waits, 1)
        with pytest.raises(SendTimeout):
            await waits.options(timeout=1).call(Scribe.note, 2)
        gate.open()
        stopped = await app.start(Scribe, name="stopped")
        await app.terminate_child(stopped)
        with pytest.raises(ActorStopped):
            await stopped.call(Scribe.note, 1)
        gone = await app.supervisor("below").start(Scribe)
        await app.supervisor("below").terminate_child(gone)
        with pytest.raises(MailboxClosed):
            await gone.send(Scribe.note, 1)
        away = await app.start(Scribe, name="away", restart=Restart.permanent(wait=wait_fixed(10)))
        await away.send(Scribe.crash)
        await at_rest()
        with pytest.raises(ActorRestarting):
            await away.options(on_restart="fail").call(Scribe.note, 1)
        assert meter.read("supervise.mailbox.rejections") == {
            ("full",): 2,
            ("timeout",): 1,
            ("stopped",): 1,
            ("gone",): 1,
            ("restarting",): 1,
        }


async def test_senders_that_wait_and_how_full_the_fullest_mailbox_is_are_told_by_type(meter: Meter) -> None:
    async with Supervisor("app", metrics=meter.metrics) as app:
        gates = [
            await fill(await app.start(Scribe, name="roomy", capacity=4), 1),
            await fill(await app.start(Scribe, name="tight", capacity=2), 1, 2),
            await fill(await app.start(OtherScribe, name="endless", capacity=math.inf), 1),
        ]
        async with anyio.create_task_group() as group:
            for n in range(3):
                group.start_soon(note, app.find("tight"), n)
            await at_rest()
            assert meter.read("supervise.mailbox.waiting_senders") == {("Scribe",): 3, ("OtherScribe",): 0}
            assert meter.read("supervise.mailbox.utilization") == {("Scribe",): 1.0, ("OtherScribe",): 0.0}
            for gate in gates:
                gate.open()
        await at_rest()
        assert meter.read("supervise.mailbox.waiting_senders") == {("Scribe",): 0, ("OtherScribe",): 0}
        assert meter.read("supervise.mailbox.utilization") == {("Scribe",): 0.0, ("OtherScribe",): 0.0}


async def test_ready_and_degraded_are_told_as_health_tells_them(meter: Meter) -> None:
    def told() -> tuple[float, float]:
        return meter.read("supervise.tree.ready")[()], meter.read("supervise.tree.degraded")[()]

    gate = Gate()
    starting: list[tuple[float, float]] = []

    @asynccontextmanager
    async def looking() -> AsyncGenerator[Scribe]:
        starting.append(told())
        yield Scribe()

    rarely = Restart.permanent(wait=wait_fixed(10))
    tree = Supervisor(
        "app",
        child(Scribe, name="needed", restart=rarely),
        child(Scribe, name="extra", required=False, restart=rarely),
        Supervisor("optional", child(Scribe, name="below", restart=rarely), required=False),
        pool(OtherScribe, size=2, name="jobs", restart=rarely),
        child(looking, name="looking"),
        intensity=Intensity(100),
        metrics=meter.metrics,
    )
    async with tree as app:
        assert starting == [(0, 0)] or starting == [(0, 1)]
        assert told() == (1, 0)
        for path, expected in (
            ("needed", (0, 0)),
            ("extra", (1, 1)),
            ("optional/below", (1, 1)),
            ("jobs/1", (1, 1)),
        ):
            await app.find(path).send(Scribe.crash)
            await at_rest()
            assert told() == expected == (health(app).ready, health(app).degraded), path
            await anyio.sleep(11)
            assert told() == (1, 0) == (health(app).ready, health(app).degraded), path
        await app.find("looking").send(Scribe.hold, gate)
        await gate.reached.wait()
        async with anyio.create_task_group() as group:
            group.start_soon(app.stop)
            await at_rest()
            assert told()[0] == 0
            gate.open()
    assert told() == (0, 0)


async def test_of_several_trees_all_have_to_be_ready(meter: Meter) -> None:
    async with Supervisor("well", child(Scribe), metrics=meter.metrics):
        rarely = Restart.permanent(wait=wait_fixed(10))
        async with Supervisor("app", child(Scribe, restart=rarely), metrics=meter.metrics) as app:
            assert meter.read("supervise.tree.ready") == {(): 1}
            await app.find("scribe").send(Scribe.crash)
            await at_rest()
            assert meter.read("supervise.tree.ready") == {(): 0}
        assert meter.read("supervise.tree.ready") == {(): 1}


async def test_the_lag_of_the_loop_is_the_time_until_it_answers_or_what_has_passed_of_it(meter: Meter) -> None:
    async with Supervisor("app", metrics=meter.metrics):
        assert meter.read("supervise.loop.lag") == {(): 0.0}
        meter.now = 2.0  # nothing else ran meanwhile: it is blocked
        assert meter.read("supervise.loop.lag") == {(): 2.0}
        meter.now = 3.0
        await at_rest()  # now it answers
        meter.now = 50.0
        assert meter.read("supervise.loop.lag") == {(): 3.0}
        await at_rest()
        assert meter.read("supervise.loop.lag") == {(): 0.0}
    assert meter.read("supervise.loop.lag") == {(): 0.0}


async def test_a_class_that_is_gone_takes_its_series_along(meter: Meter) -> None:
    def names() -> set[str]:
        return {str(value) for _, point in meter.points() for value in point.attributes.values()}

    async def play(app: Any, number: int) -> None:
        made = type(f"Made{number}", (Scribe,), {})
        address = await app.supervisor("below").start(made)
        await address.call(Scribe.note, 1)
        with pytest.raises(ActorCrashed):
            await address.call(Scribe.crash)
        assert f"Made{number}" in names()

    async with Supervisor("app", DynamicSupervisor("below"), child(Scribe), metrics=meter.metrics) as app:
        for number in range(3):
            await play(app, number)
            await at_rest()
            gc.collect()
            assert not {name for name in names() if name.startswith("Made")}
        assert "Scribe" in names()
        assert meter.read("supervise.mailbox.accepted") == {("Scribe",): 0}


async def test_a_namesake_keeps_the_series(meter: Meter) -> None:
    async def play(app: Any) -> None:
        namesake = type("OtherScribe", (Scribe,), {})
        address = await app.supervisor("below").start(namesake)
        await address.call(Scribe.note, 1)
        await app.supervisor("below").terminate_child(address)

    async with Supervisor("app", DynamicSupervisor("below"), child(OtherScribe), metrics=meter.metrics) as app:
        assert meter.read("supervise.mailbox.accepted") == {("OtherScribe",): 0}
        await play(app)
        await at_rest()
        gc.collect()
        assert meter.read("supervise.mailbox.accepted") == {("OtherScribe",): 1}


async def test_the_kinds_of_errors_are_no_more_than_there_is_room_for(meter: Meter) -> None:
    class Thrower:
        def throw(self, number: int) -> None:
            raise type(f"Error{number}", (Exception,), {"__module__": "made"})

    async with Supervisor("app", child(Thrower), intensity=Intensity(1000), metrics=meter.metrics) as app:
        for number in range(MOST_ERRORS + 5):
            await app.find("thrower").send(Thrower.throw, number)
            await at_rest()
    found = meter.counted("supervise.actor.failures")
    assert len(found) == MOST_ERRORS + 1
    assert found["_OTHER", "Thrower"] == 5


async def test_one_walk_through_the_tree_is_for_a_whole_collection(meter: Meter, monkeypatch: pytest.MonkeyPatch) -> None:
    walks: list[Any] = []
    walk = BranchPlace.walk

    def counted(self: BranchPlace, *args: Any) -> Any:
        walks.append(self)
        return walk(self, *args)

    async with Supervisor("app", child(Scribe), metrics=meter.metrics):
        monkeypatch.setattr(BranchPlace, "walk", counted)
        for _ in range(3):
            meter.read("supervise.actor.status")
        monkeypatch.undo()
    assert len(walks) == 3


async def test_what_a_queue_of_ones_own_raises_costs_only_what_is_told_of_that_mailbox(meter: Meter) -> None:
    class Raising(deque[Any]):
        broken = False

        def __len__(self) -> int:
            if Raising.broken:
                raise Boom("no length")
            return super().__len__()

    async with Supervisor("app", metrics=meter.metrics) as app:
        await (await app.start(OtherScribe, queue=Raising)).call(Scribe.note, 1)
        await (await app.start(Scribe)).call(Scribe.note, 1)
        Raising.broken = True
        assert meter.read("supervise.mailbox.accepted")[("Scribe",)] == 1
        Raising.broken = False
        assert meter.read("supervise.mailbox.accepted") == {("Scribe",): 1, ("OtherScribe",): 1}


def test_durations_that_are_no_bool_are_refused() -> None:
    wrong: Any = "yes"
    with pytest.raises(InvalidSpec, match=r"durations='yes'.*True or False"):
        Metrics(durations=wrong)


async def test_a_pool_that_shrinks_keeps_its_counts(meter: Meter) -> None:
    jobs = pool(Scribe, size=2, name="jobs")
    async with Supervisor("app", jobs, metrics=meter.metrics) as app:
        await app.find("jobs/2").call(Scribe.note, 1)
        await app.find(jobs).call(Scribe.note, 2)
        assert meter.read("supervise.mailbox.accepted") == {("Scribe",): 2}
        await app.resize(jobs, 1)
        assert meter.read("supervise.mailbox.accepted") == {("Scribe",): 2}
        await app.find(jobs).call(Scribe.note, 3)
        assert meter.read("supervise.mailbox.accepted") == {("Scribe",): 3}
    assert meter.read("supervise.mailbox.accepted") == {("Scribe",): 3}


async def test_factories_that_are_gone_are_forgotten_though_nobody_reads(meter: Meter) -> None:
    """Each of them is another object, as that of a session may be."""
    async with DynamicSupervisor("app", metrics=meter.metrics) as app:
        for _ in range(10):
            kept = [await app.start(functools.partial(Scribe, [n]), lifetime="addresses") for n in range(2 * FEW)]
            del kept
            await at_rest()
            gc.collect()
        kinds = meter.metrics._kinds
        assert max(len(kinds._names), len(kinds._made)) <= 5 * FEW


async def test_a_factorys_name_can_be_a_label_whatever_it_is(meter: Meter) -> None:
    """Half a character would fail the whole scrape."""

    def make() -> Scribe:
        raise IgnoreStart

    make.__name__ = "m\udce4ker"
    async with Supervisor("app", child(make, name="maker"), metrics=meter.metrics):
        assert meter.counted("supervise.actor.status") == {("stopped", r"m\udce4ker"): 1}
