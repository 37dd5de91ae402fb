"""What was asked for together, and gets in each other's way: pauses, lanes, redelivery, concurrency, drains, kills.

Tested: SEMANTICS 13 to 17, 19 to 21, 30, 32, 35, 37, in combinations; each mailbox balances at the end of each.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, Self

import anyio
import pytest

from supervise import (
    ActorCrashed,
    ActorRestarting,
    ActorStopped,
    Address,
    CallTimeout,
    Child,
    DynamicSupervisor,
    GaveUp,
    Intensity,
    MailboxClosed,
    MessageDropped,
    Restart,
    RunningSupervisor,
    Supervisor,
    Throttle,
    child,
    concurrent,
    current,
)
from supervise.events import Event, Overran, Stopped
from supervise.testing import chaos
from supervise.testing.virtual_time import at_rest
from tests.doubles import Boom, Gate, Outcomes, Scribe, fill

pytestmark = pytest.mark.anyio
OFTEN = Intensity(100, per=1e6)


class Worker(Scribe):
    """Handlers of all kinds."""

    @concurrent
    async def beside(self, gate: Gate) -> str:
        await gate.walk_through()
        return "beside"

    @concurrent(limit=1)
    async def one(self, name: str, seconds: float) -> str:
        self.log.append(name)
        await anyio.sleep(seconds)
        return name

    @concurrent
    async def crash_beside(self, gate: Gate) -> None:
        await gate.walk_through()
        raise Boom("beside")

    async def hold_on(self, gate: Gate) -> str:
        """Lets nobody cancel it."""
        with anyio.CancelScope(shield=True):
            await gate.walk_through()
        return "held on"

    async def begin(self, task: Callable[..., Any], *args: Any) -> None:
        current().nursery.start_soon(task, *args)


class Managed(Worker):
    """Its exit hook raises."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.log.append("exit")
        raise Boom("exit")


async def crash_at(gate: Gate) -> None:
    await gate.walk_through()
    raise Boom("task")


@asynccontextmanager
async def alone(
    *children: Child[Any], listener: Any = None, strategy: Any = "one_for_one"
) -> AsyncGenerator[tuple[RunningSupervisor, Outcomes]]:
    """A tree with patience, whose mailboxes all balance, and are empty, when it has ended."""
    tree = Supervisor("app", *children, intensity=OFTEN, listener=listener, strategy=strategy)
    app: RunningSupervisor | None = None
    async with anyio.create_task_group() as group:
        async with tree as app:
            yield app, Outcomes(group)
            assert app.account().balanced
    assert app is not None
    assert app.account().balanced
    assert app.account()[5:] == (0, 0)


# -- pause ---------------------------------------------------------------------------------------------------------------


async def test_what_is_redelivered_to_a_paused_actor_waits_and_comes_first_when_it_goes_on() -> None:
    log: list[Any] = []
    async with alone(child(Worker, log, name="w", redeliver=2)) as (app, outcomes):
        worker: Address[Worker] = app.find("w")
        gate = Gate()
        await outcomes.watch("held", worker.call(Worker.hold, gate))
        await worker.send(Worker.note, "behind")
        worker.pause()
        worker.kill()
        await at_rest()
        worker.kill()
        await at_rest()
        assert (len(worker), log, outcomes.of) == (2, [], {})
        gate.open()
        worker.resume()
        await at_rest()
        assert (log, outcomes.of) == (["behind"], {"held": "through"})


async def test_a_paused_actor_that_nobody_can_write_to_any_more_handles_what_waits_and_ends() -> None:
    log: list[Any] = []
    async with DynamicSupervisor("app") as app:
        strong = [await app.start(Scribe, log, lifetime="addresses")]
        strong[0].pause()
        await strong[0].send(Scribe.note, "a")
        await at_rest()
        strong.clear()
        await at_rest()
        assert (log, app.count_children().specs) == (["a"], 0)


async def test_what_begins_with_the_tree_is_done_once_in_each_life_however_often_it_was_put_off() -> None:
    log: list[Any] = []

    def hello(scribe: Scribe) -> None:
        scribe.log.append(f"hello {current().incarnation}")

    async with alone(child(Scribe, log, name="s", on_tree_started=hello)) as (app, _):
        scribe: Address[Scribe] = app.find("s")
        await at_rest()
        scribe.pause()
        for _ in range(3):
            scribe.kill()
            await at_rest()
        assert len(scribe) == 1
        scribe.resume()
        await at_rest()
        assert log == ["hello 1", "hello 4"]


async def test_what_begins_with_the_tree_is_done_once_in_each_life_if_it_is_redelivered_too() -> None:
    log: list[Any] = []

    def hello(scribe: Scribe) -> None:
        scribe.log.append(f"hello {current().incarnation}")
        if len(scribe.log) == 1:
            raise Boom

    async with alone(child(Scribe, log, name="s", on_tree_started=hello, redeliver=2)) as (app, _):
        await at_rest()
        assert log == ["hello 1", "hello 2"]
        assert app.find("s").account().balanced


@pytest.mark.parametrize("choice", ["strict", "fair"])
async def test_what_begins_with_the_tree_comes_before_what_waits_in_the_most_urgent_lane(choice: Any) -> None:
    log: list[Any] = []

    def hello(scribe: Scribe) -> None:
        scribe.log.append(f"hello {current().incarnation}")

    described = child(Scribe, log, name="s", on_tree_started=hello, lanes=("urgent", "middle", "normal"), choice=choice)
    async with alone(described) as (app, _):
        scribe: Address[Scribe] = app.find("s")
        await at_rest()
        gate = await fill(scribe, "normal")
        for lane in ("middle", "urgent"):
            await scribe.options(lane=lane).send(Scribe.note, lane)
        scribe.kill()
        gate.open()
        await at_rest()
        assert log[:2] == ["hello 1", "hello 2"]
        assert sorted(log[2:]) == ["middle", "normal", "urgent"]


# -- what ends, and what is said then ------------------------------------------------------------------------------------


async def test_a_stop_after_a_kill_handles_nothing_more() -> None:
    log: list[Any] = []
    async with alone(child(Worker, log, name="w", restart="temporary")) as (app, outcomes):
        worker: Address[Worker] = app.find("w")
        gate = Gate()
        await outcomes.watch("held", worker.call(Worker.hold_on, gate))
        await worker.send(Worker.note_at_once, "behind")
        worker.kill()
        await outcomes.watch("stop", worker.stop())
        gate.open()
        await at_rest()
        assert log == []
        assert str(outcomes.of["stop"]).startswith("killed")


@pytest.mark.parametrize("by", ["address", "supervisor"])
async def test_a_stop_that_drains_gives_nothing_more_to_an_instance_that_has_crashed(by: str) -> None:
    log: list[Any] = []
    async with alone(child(Worker, log, name="w", drain=True, restart="temporary")) as (app, outcomes):
        worker: Address[Worker] = app.find("w")
        crash, gate = Gate(), Gate()
        await worker.send(Worker.begin, crash_at, crash)
        await outcomes.watch("held", worker.call(Worker.hold_on, gate))
        await worker.send(Worker.note_at_once, "behind")
        crash.open()
        await at_rest()
        asked = worker.stop() if by == "address" else app.terminate_child(worker)
        await outcomes.watch("stop", asked)
        gate.open()
        await at_rest()
        assert log == []
        assert "stop" in outcomes.of


async def test_a_drain_lets_concurrent_handlers_end_and_a_crash_in_the_nursery_ends_the_drain() -> None:
    log: list[Any] = []
    async with alone(child(Worker, log, name="w", drain=True, stop_within=1000)) as (app, outcomes):
        worker: Address[Worker] = app.find("w")
        crash, beside, gate = Gate(), Gate(), Gate()
        await worker.send(Worker.begin, crash_at, crash)
        await outcomes.watch("beside", worker.call(Worker.beside, beside))
        await outcomes.watch("held", worker.call(Worker.hold, gate))
        for n in range(3):
            await worker.send(Worker.note, n)
        await outcomes.watch("stop", app.terminate_child("w"))
        crash.open()
        await at_rest()
        assert isinstance(outcomes.of["beside"], ActorCrashed)
        assert isinstance(outcomes.of["held"], ActorCrashed)
        assert "stop" in outcomes.of
        assert log == []
        assert worker.account().dead_lettered == 3
        assert worker.account().balanced


async def test_a_crash_beside_in_a_managed_actor_whose_exit_hook_raises_is_what_is_told() -> None:
    log: list[Any] = []
    events: list[Event] = []
    async with alone(child(Managed, log, name="w", restart="transient"), listener=events.append) as (app, outcomes):
        worker: Address[Managed] = app.find("w")
        crash, gate = Gate(), Gate()
        await outcomes.watch("crash", worker.call(Managed.crash_beside, crash))
        await outcomes.watch("beside", worker.call(Managed.beside, gate))
        crash.open()
        await at_rest()
        assert [str(outcomes.of[name].__cause__) for name in ("crash", "beside")] == ["beside", "beside"]
        gate = Gate()
        await outcomes.watch("next", worker.call(Managed.beside, gate))
        await outcomes.watch("stop", worker.stop())
        gate.open()
        await at_rest()
        assert outcomes.of["next"] == "beside"
        assert "Boom: exit" in str(outcomes.of["stop"])
        assert log == ["exit", "exit"]
        assert worker.account().balanced
        reasons = [str(e.reason) for e in events if isinstance(e, Stopped)]
        assert ["beside" in reasons[0], "exit" in reasons[1]] == [True, True]


async def test_a_kill_while_it_waits_for_a_place_gives_the_message_back_in_its_order() -> None:
    log: list[Any] = []
    async with alone(child(Worker, log, name="w", redeliver=1)) as (app, outcomes):
        worker: Address[Worker] = app.find("w")
        for name in "abc":
            await outcomes.watch(name, worker.call(Worker.one, name, 5))
        worker.pause()
        worker.kill()
        await at_rest()
        assert [message.args[0] for message in worker.peek()] == ["a", "b", "c"]
        worker.resume()
        await anyio.sleep(20)
        assert outcomes.of == {"a": "a", "b": "b", "c": "c"}


async def test_a_timeout_and_a_cancelled_caller_while_a_message_waits_for_a_place_are_accounted_for() -> None:
    async with alone(child(Worker, name="w")) as (app, outcomes):
        worker: Address[Worker] = app.find("w")
        await outcomes.watch("a", worker.call(Worker.one, "a", 5))
        await outcomes.watch("b", worker.options(timeout=2).call(Worker.one, "b", 1))
        await outcomes.watch("c", worker.options(timeout=3).call(Worker.one, "c", 1))
        await anyio.sleep(4)
        assert (type(outcomes.of["b"]), type(outcomes.of["c"])) == (CallTimeout, CallTimeout)
        worker.kill()
        await at_rest()
        assert isinstance(outcomes.of["a"], ActorStopped)
        account = worker.account()
        assert (account.abandoned, account.balanced) == (2, True)


async def test_system_exit_beside_another_crash_still_passes_up() -> None:
    class Leaving(Worker):
        @concurrent
        async def leave(self) -> None:
            try:
                await anyio.sleep_forever()
            finally:
                raise SystemExit(7)

    with pytest.raises(SystemExit):
        async with Supervisor("app", child(Leaving, name="w"), intensity=OFTEN) as app:
            worker: Address[Leaving] = app.find("w")
            crash = Gate()
            await worker.send(Leaving.leave)
            await worker.send(Leaving.crash_beside, crash)
            crash.open()
            await anyio.sleep(10)


async def test_a_group_restart_overtakes_a_stop_with_grace_and_the_stop_is_answered() -> None:
    log: list[Any] = []
    pair = (child(Worker, log, name="a", stop_within=2), child(Worker, log, name="b"))
    async with alone(*pair, strategy="one_for_all") as (app, outcomes):
        a: Address[Worker] = app.find("a")
        gate = Gate()
        await outcomes.watch("held", a.call(Worker.hold, gate))
        await a.send(Worker.note, "behind")
        await outcomes.watch("stop", a.stop(grace=100))
        await app.find("b").send(Worker.crash)
        await at_rest()
        await anyio.sleep(3)
        assert str(outcomes.of["stop"]).startswith("killed")
        assert isinstance(outcomes.of["held"], ActorStopped)
        await a.send(Worker.note, "next")
        await at_rest()
        assert log == ["behind", "next"]
        assert a.account().balanced
        assert [c.incarnation for c in app.which_children()] == [2, 2]


async def test_a_stop_of_what_restarts_is_refused_and_two_stops_are_both_answered() -> None:
    restart = Restart.permanent(wait=lambda _: 5.0)
    async with alone(child(Scribe, name="s", restart=restart)) as (app, outcomes):
        scribe: Address[Scribe] = app.find("s")
        await scribe.send(Scribe.crash)
        await at_rest()
        with pytest.raises(ActorRestarting):
            await scribe.stop()
        await anyio.sleep(6)
        gate = await fill(scribe)
        await outcomes.watch(1, scribe.stop())
        await outcomes.watch(2, scribe.stop(grace=0))
        await at_rest()
        assert [str(outcomes.of[n]).partition(":")[0] for n in (1, 2)] == ["killed", "killed"]
        gate.open()


# -- lanes, overflow, throttle -------------------------------------------------------------------------------------------


async def test_lanes_that_drop_their_oldest_tell_callers_in_time_and_balance() -> None:
    log: list[Any] = []
    lanes: Any = {"lanes": ("urgent", "normal"), "overflow": "drop_oldest", "capacity": 2}
    async with alone(child(Scribe, log, name="s", **lanes)) as (app, outcomes):
        scribe: Address[Scribe] = app.find("s")
        urgent = scribe.options(lane="urgent", timeout=5)
        gate = await fill(scribe)
        for n in range(4):
            await outcomes.watch(n, urgent.call(Scribe.note, n))
            await outcomes.watch(-n - 1, scribe.options(timeout=3).call(Scribe.note, -n - 1))
        assert {key: type(got) for key, got in outcomes.of.items()} == dict.fromkeys((0, 1, -1, -2), MessageDropped)
        await anyio.sleep(4)
        assert {key: type(got) for key, got in outcomes.of.items() if key < -2} == {-3: CallTimeout, -4: CallTimeout}
        await scribe.send(Scribe.note, "late")  # it takes the place of one whose caller is gone
        gate.open()
        await at_rest()
        assert log == [2, 3, "late"]
        assert outcomes.of[2] == 1
        account = scribe.account()
        assert (account.handled, account.dead_lettered, account.abandoned, account.balanced) == (4, 4, 2, True)


async def test_a_crash_with_redelivery_to_a_full_mailbox_that_drops_its_oldest_balances() -> None:
    log: list[Any] = []
    async with alone(child(Scribe, log, name="s", overflow="drop_oldest", capacity=1, redeliver=1)) as (app, outcomes):
        scribe: Address[Scribe] = app.find("s")
        gate = Gate()
        await outcomes.watch("held", scribe.call(Scribe.hold, gate))
        await scribe.send(Scribe.note, "a")
        scribe.pause()
        scribe.kill()
        await at_rest()
        assert len(scribe) == 2
        await scribe.send(Scribe.note, "b")
        assert isinstance(outcomes.of.get("held"), MessageDropped) or len(scribe) <= 2
        scribe.resume()
        gate.open()
        await at_rest()
        assert scribe.account().balanced
        assert log[-1] == "b"


async def test_a_throttled_drain_ends_at_its_deadline_and_what_it_had_no_time_for_is_a_dead_letter() -> None:
    log: list[Any] = []
    events: list[Event] = []
    described = child(Scribe, log, name="s", throttle=Throttle(1), drain=True, stop_within=3.5)
    async with alone(described, listener=events.append) as (app, _):
        scribe: Address[Scribe] = app.find("s")
        for n in range(10):
            await scribe.send(Scribe.note, n)
        await at_rest()
        begun = anyio.current_time()
        await app.terminate_child("s")
        assert anyio.current_time() - begun == pytest.approx(3.5)
        assert log == [0, 1, 2, 3]
        assert scribe.account()[:4] == (10, 4, 0, 6)
        assert [e for e in events if isinstance(e, Overran)] == []


async def test_a_throttled_actor_that_is_paused_and_stopped_with_grace_handles_what_waits() -> None:
    log: list[Any] = []
    async with alone(child(Scribe, log, name="s", throttle=Throttle(2), restart="transient")) as (app, outcomes):
        scribe: Address[Scribe] = app.find("s")
        scribe.pause()
        for n in range(4):
            await scribe.send(Scribe.note, n)
        await outcomes.watch("stop", scribe.stop(grace=10))
        await anyio.sleep(5)
        assert (log, str(outcomes.of["stop"])) == ([0, 1, 2, 3], "normal")


# -- what is looked into -------------------------------------------------------------------------------------------------


async def test_a_choice_that_raises_takes_nothing_out() -> None:
    log: list[Any] = []
    async with alone(child(Scribe, log, name="s")) as (app, _):
        scribe: Address[Scribe] = app.find("s")
        gate = await fill(scribe, 3, "x", 1)
        with pytest.raises(TypeError):
            scribe.drop(lambda message: message.args[0] > 2)
        assert [message.args[0] for message in scribe.peek()] == [3, "x", 1]
        gate.open()
        await at_rest()
        assert log == [3, "x", 1]
        assert scribe.account().dead_lettered == 0


async def test_chaos_doesnt_end_an_actor_that_lives_by_its_addresses_and_never_had_one() -> None:
    async with (
        Supervisor("app", child(Scribe, name="s", lifetime="addresses"), intensity=Intensity(10_000)) as app,
        chaos(app, 10, seed=1),
    ):
        await anyio.sleep(5)
        assert app.which_children()[0].alive
        assert app.which_children()[0].incarnation > 10


async def test_an_address_found_after_the_last_one_is_gone_brings_nobody_back() -> None:
    log: list[Any] = []
    async with alone(child(Scribe, log, name="s", lifetime="addresses")) as (app, _):
        strong = [app.find("s")]
        gate = await fill(strong[0], "a")
        strong.clear()
        await at_rest()
        late = app.find("s")
        with pytest.raises(MailboxClosed):
            await late.send(Scribe.note, "late")
        gate.open()
        await at_rest()
        assert log == ["a"]


# -- a queue of one's own that fails -------------------------------------------------------------------------------------


class Faulty(deque[Any]):
    """A queue that raises, when it is told to."""

    fails: frozenset[str] = frozenset()

    def append(self, envelope: Any, /) -> None:
        if "append" in self.fails:
            raise Boom("append")
        super().append(envelope)

    def popleft(self) -> Any:
        if "popleft" in self.fails:
            raise Boom("popleft")
        return super().popleft()


class Broken(Faulty):
    fails: frozenset[str] = frozenset({"popleft"})


@pytest.mark.parametrize("way", ["send", "try_send", "call", "a view"])
async def test_a_queue_that_takes_nothing_in_is_the_senders_error_and_nothing_was_accepted(way: str) -> None:
    made: list[Faulty] = []

    def make() -> Faulty:
        made.append(Faulty())
        return made[-1]

    async with alone(child(Scribe, name="s", queue=make)) as (app, _):
        scribe: Address[Scribe] = app.find("s")
        await scribe.call(Scribe.note, 1)
        made[0].fails = frozenset({"append"})
        for _ in range(3):
            with pytest.raises(Boom, match="append"):
                if way == "send":
                    await scribe.send(Scribe.note, 2)
                elif way == "try_send":
                    scribe.try_send(Scribe.note, 2)
                elif way == "call":
                    await scribe.call(Scribe.note, 2)
                else:
                    await scribe.options(timeout=5).send(Scribe.note, 2)
        made[0].fails = frozenset()
        assert await scribe.call(Scribe.note, 3) == 2
        assert scribe.account() == (2, 2, 0, 0, 0, 0, 0)


async def test_a_queue_that_gives_nothing_out_is_a_crash_of_its_actor() -> None:
    made: list[Faulty] = []

    def make() -> Faulty:
        made.append(Faulty())
        return made[-1]

    events: list[Event] = []
    async with alone(child(Scribe, name="s", queue=make), listener=events.append) as (app, outcomes):
        scribe: Address[Scribe] = app.find("s")
        await scribe.call(Scribe.note, 1)
        made[0].fails = frozenset({"popleft"})

        def mend(event: Event) -> None:
            if isinstance(event, Stopped):
                made[0].fails = frozenset()

        app.subscribe(mend)
        await outcomes.watch("call", scribe.call(Scribe.note, 2))
        assert outcomes.of == {"call": 1}
        assert [str(e.reason) for e in events if isinstance(e, Stopped)] == ["crashed (Boom: popleft)"]
        assert scribe.account().balanced


# -- from threads --------------------------------------------------------------------------------------------------------


async def test_a_give_up_with_a_queue_that_gives_nothing_out_ends_the_tree_and_doesnt_hang() -> None:
    with pytest.raises((GaveUp, Boom)):
        async with Supervisor("app", child(Scribe, name="s", queue=Broken), intensity=Intensity(2)) as app:
            await app.find("s").send(Scribe.note, 1)
            await anyio.sleep(100)
