"""A first start that is tried again below a supervisor that is a child itself: those above go on meanwhile.

Tested: SEMANTICS 47, in a start, a restart, and at run time.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from tenacity import stop_after_attempt, wait_fixed

from supervise import (
    ChildStartFailed,
    DynamicSupervisor,
    GaveUp,
    Intensity,
    Restart,
    StartFailed,
    Supervisor,
    SupervisorNotRunning,
    child,
)
from supervise.events import Event, Started
from supervise.health import health
from supervise.testing.virtual_time import at_rest
from tests.doubles import Boom

pytestmark = pytest.mark.anyio
PATIENT = Restart.permanent(wait=wait_fixed(1))


class Database:
    """Up from some time on, or never."""

    def __init__(self, up_after: float) -> None:
        self.up_after = up_after
        self.tries = 0

    def connect(self) -> Worker:
        self.tries += 1
        if anyio.current_time() < self.up_after:
            raise ConnectionError("connection refused")
        return Worker()


class Worker:
    async def crash(self) -> None:
        raise Boom

    async def answer(self) -> int:
        return 42


def storage(database: Database, *, restart: Restart = PATIENT, **options: Any) -> Supervisor:
    """An elder, and who needs the database."""
    needs: Callable[[], Worker] = database.connect
    return Supervisor(
        "storage", child(Worker, name="cache"), child(needs, name="pool", retry_start=True, restart=restart), **options
    )


def app(database: Database, **options: Any) -> Supervisor:
    """Storage is two levels down; the web service needs it, and the log doesn't."""
    below = Supervisor("backend", storage(database), child(Worker, name="jobs"))
    return Supervisor("app", child(Worker, name="log"), below, child(Worker, name="web"), **options)


@asynccontextmanager
async def starting(tree: Supervisor) -> AsyncGenerator[list[BaseException]]:
    """While it starts; what it raised, and stopped at the end."""
    raised: list[BaseException] = []

    async def run() -> None:
        try:
            async with tree as running:
                await running.wait()
        except (StartFailed, GaveUp) as error:
            raised.append(error)

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        await at_rest()
        yield raised
        if tree.running is not None and tree.running.running:
            await tree.running.stop()


def running(tree: Supervisor) -> Any:
    assert tree.running is not None
    return tree.running


def states(supervisor: Any) -> dict[str, str]:
    return {info.id: f"{info.state.value} {info.incarnation}" for info in supervisor.which_children()}


async def test_each_level_restarts_its_elders_meanwhile_and_the_younger_ones_of_all_levels_wait() -> None:
    events: list[Event] = []
    tree = app(Database(anyio.current_time() + 59.5), listener=events.append)
    async with starting(tree) as raised:
        await anyio.sleep(30)
        found = running(tree)
        for path in ("log", "backend/storage/cache"):
            await found.find(path).send(Worker.crash)
            await at_rest()
            assert await found.find(path).call(Worker.answer) == 42
        assert states(found) == {"log": "running 2", "backend": "starting 1", "web": "stopped 0"}
        assert states(found.supervisor("backend")) == {"storage": "starting 1", "jobs": "stopped 0"}
        assert "app/backend/storage is starting" in health(found).why
        assert any(each.startswith("app/backend/storage/pool is restarting in 1 s: crashed") for each in health(found).why)
        events.clear()
        await anyio.sleep(31)
        up = [event.path for event in events if isinstance(event, Started)]
        order = ["pool", "storage", "jobs", "backend", "web", "app"]
        assert [path.rsplit("/")[-1] for path in up] == order, "as without any failure"
        assert states(found) == {"log": "running 2", "backend": "running 1", "web": "running 1"}
        assert raised == []


async def test_a_stop_meanwhile_ends_all_of_it() -> None:
    tree = app(Database(float("inf")))
    async with starting(tree) as raised:
        await anyio.sleep(30)
        await running(tree).stop()
        await at_rest()
        assert [str(error) for error in raised] == ["supervisor 'app' didn't start: it was stopped before it was ready"]


async def test_patience_that_is_spent_is_the_end_of_each_start_above() -> None:
    impatient = Restart.permanent(wait=wait_fixed(1), stop=stop_after_attempt(5))
    tree = Supervisor("app", child(Worker, name="log"), storage(Database(float("inf")), restart=impatient))
    async with starting(tree) as raised:
        await anyio.sleep(10)
        (error,) = raised
        assert "child 'storage' didn't start: child 'pool' didn't start" in str(error)
        assert isinstance(error.__cause__, ConnectionError)


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
async def test_a_group_restart_above_begins_it_anew(strategy: str) -> None:
    database = Database(anyio.current_time() + 20)
    tree = app(database, strategy=strategy)
    async with starting(tree):
        await anyio.sleep(10)
        await running(tree).find("log").send(Worker.crash)
        await at_rest()
        assert states(running(tree)) == {"log": "running 2", "backend": "starting 2", "web": "stopped 0"}
        assert states(running(tree).supervisor("backend/storage")) == {"cache": "running 2", "pool": "restarting 12"}
        await anyio.sleep(11)
        assert states(running(tree)) == {"log": "running 2", "backend": "running 2", "web": "running 1"}


@pytest.mark.parametrize("up", [True, False])
async def test_in_a_restart_all_above_go_on_and_whoever_calls_is_served(up: bool) -> None:
    """What the supervisor that comes back needs is down by now."""
    database = Database(0)
    tree = Supervisor(
        "app",
        child(Worker, name="log"),
        storage(database, intensity=Intensity(0)),
        child(Worker, name="web"),
        strategy="one_for_all",
    )
    async with tree as running:
        database.up_after = anyio.current_time() + 30
        await running.find("storage/cache").send(Worker.crash)
        await at_rest()
        assert states(running) == {"log": "running 2", "storage": "starting 2", "web": "running 2"}
        assert await running.find("web").call(Worker.answer) == 42
        assert (await running.start(Worker)).path == "app/worker"
        if up:
            await anyio.sleep(31)
            assert states(running)["storage"] == "running 2"
        else:
            await running.terminate_child("storage")
            assert states(running) == {"log": "running 2", "storage": "stopped 2", "web": "running 2", "worker": "running 1"}
            database.up_after = 0
            await running.restart_child("storage")
            assert states(running.supervisor("storage")) == {"cache": "running 3", "pool": "running 3"}


@pytest.mark.parametrize("above", [Supervisor, DynamicSupervisor])
async def test_a_subtree_that_is_started_at_run_time_holds_up_nobody(above: Any) -> None:
    database = Database(anyio.current_time() + 30)
    async with above("app") as running, anyio.create_task_group() as group:
        up: list[Any] = []

        async def start() -> None:
            up.append(await running.start_child(storage(database)))

        group.start_soon(start)
        await at_rest()
        worker = await running.start(Worker)
        await worker.send(Worker.crash)
        await at_rest()
        assert await worker.call(Worker.answer) == 42 if above is Supervisor else True
        assert up == []
        await anyio.sleep(31)
        (found,) = up
        assert states(found) == {"cache": "running 1", "pool": "running 31"}


@pytest.mark.parametrize("above", [Supervisor, DynamicSupervisor])
async def test_a_subtree_that_nobody_waits_for_any_more_is_stopped_and_forgotten(above: Any) -> None:
    database = Database(float("inf"))
    async with above("app") as running:
        with anyio.move_on_after(10):
            await running.start_child(storage(database))
        await at_rest()
        tries = database.tries
        await anyio.sleep(10)
        assert states(running) == {}
        assert database.tries == tries


async def test_a_subtree_that_does_not_start_is_an_error_of_whoever_asked() -> None:
    impatient = Restart.permanent(wait=wait_fixed(1), stop=stop_after_attempt(5))
    async with Supervisor("app", child(Worker)) as running:
        with pytest.raises(ChildStartFailed, match="child 'storage' didn't start: child 'pool' didn't start"):
            await running.start_child(storage(Database(float("inf")), restart=impatient))
        assert states(running) == {"worker": "running 1"}


# -- what hangs on it ------------------------------------------------------------------------------------------------------


class Slow(Worker):
    """Takes a second for each message, and for its end."""

    def __init__(self, log: list[str], name: str) -> None:
        self.log = log
        self.name = name

    async def __aenter__(self) -> Slow:
        return self

    async def __aexit__(self, *_: object) -> None:
        await anyio.sleep(1)
        self.log.append(f"{self.name} ended")

    async def work(self) -> None:
        await anyio.sleep(1)
        self.log.append("handled")


def waiting(log: list[str], name: str) -> Supervisor:
    """A supervisor whose start waits for ever, with an elder that runs."""
    cache = child(Slow, log, f"{name}/cache", name="cache", drain=True, stop_within=60)
    pool = child(Database(float("inf")).connect, name="pool", retry_start=True, restart=PATIENT)
    return Supervisor(name, cache, pool, intensity=Intensity(3, per=600))


@pytest.mark.parametrize("how", ["stop", "terminate"])
async def test_elders_below_it_drain_at_a_stop_as_if_it_were_up(how: str) -> None:
    log: list[str] = []
    async with Supervisor("app") as running, anyio.create_task_group() as group:

        async def ask() -> None:
            with pytest.raises((ChildStartFailed, SupervisorNotRunning)):
                await running.start_child(waiting(log, "storage"))

        group.start_soon(ask)
        await at_rest()
        for _ in range(5):
            await running.find("storage/cache").send(Slow.work)
        if how == "stop":
            await running.stop()
        else:
            await running.terminate_child("storage")
        assert log == ["handled"] * 5 + ["storage/cache ended"]


async def test_starts_that_wait_are_stopped_in_reverse_order_as_all_else() -> None:
    log: list[str] = []
    async with Supervisor("app", child(Slow, log, "elder")) as running, anyio.create_task_group() as group:

        async def ask(name: str) -> None:
            with pytest.raises(SupervisorNotRunning):
                await running.start_child(waiting(log, name))

        for name in ("one", "two"):
            group.start_soon(ask, name)
            await at_rest()
        await running.start(Slow, log, "younger")
        begun = anyio.current_time()
        await running.stop()
        assert log == ["younger ended", "two/cache ended", "one/cache ended", "elder ended"]
        assert anyio.current_time() - begun == pytest.approx(4)


async def test_the_cause_is_that_of_the_one_whose_patience_is_spent_whatever_else_fails_with_it() -> None:
    class Elder(Slow):
        async def __aenter__(self) -> Elder:
            if "crashed" in self.log:
                await anyio.sleep(100)
            return self

        async def crash(self) -> None:
            self.log.append("crashed")
            raise Boom

    impatient = Restart.permanent(wait=wait_fixed(1), stop=stop_after_attempt(5))
    below = storage(Database(float("inf")), restart=impatient)
    tree = Supervisor("app", child(Elder, list[str](), "elder", name="elder"), below)
    async with starting(tree) as raised:
        await running(tree).find("elder").send(Elder.crash)
        await anyio.sleep(10)
        (error,) = raised
        assert isinstance(error.__cause__, ConnectionError)


async def test_one_that_gives_up_as_it_waits_says_what_it_gave_up_for() -> None:
    async with Supervisor("app") as running_app, anyio.create_task_group() as group:

        async def ask() -> None:
            with pytest.raises(ChildStartFailed, match="child 'cache' ended: crashed") as refused:
                await running_app.start_child(storage(Database(float("inf")), intensity=Intensity(0)))
            assert isinstance(refused.value.__cause__, Boom)

        group.start_soon(ask)
        await at_rest()
        await running_app.find("storage/cache").send(Worker.crash)


async def test_explain_says_what_comes_and_what_does_not() -> None:
    tree = app(Database(float("inf")))
    async with starting(tree):
        found = running(tree)
        assert found.explain("log").starts == ("log",)
        await found.find("log").send(Worker.crash)
        await at_rest()
        assert states(found) == {"log": "running 2", "backend": "starting 1", "web": "stopped 0"}
    fragile = Supervisor("app", child(Worker, name="log"), storage(Database(float("inf")), intensity=Intensity(0)))
    async with starting(fragile) as raised:
        said = str(running(fragile).explain("storage/cache")).splitlines()
        assert said[1:] == [
            "app/storage: its start waits, and fails with it",
            "  stops, in this order: log",
            "  the tree ends: crashed (child 'storage' didn't start: child 'cache' ended: crashed)",
        ]
        await running(fragile).find("storage/cache").send(Worker.crash)
        await anyio.sleep(1)
        (error,) = raised
        assert "child 'storage' didn't start: child 'cache' ended: crashed" in str(error)


async def test_explain_says_that_a_group_restart_begins_it_anew() -> None:
    tree = app(Database(float("inf")), strategy="one_for_all")
    async with starting(tree):
        found = running(tree).explain("log")
        assert (found.stops, found.starts) == (("backend",), ("log", "backend", "web")), "as if each start succeeded"


async def test_a_supervisor_that_was_up_and_gives_up_has_no_exception_of_its_own() -> None:
    asked: list[object] = []

    def ask(state: object) -> bool:
        asked.append(state)
        return True

    policy = Restart.permanent(when=ask)
    below = Supervisor("below", child(Worker, name="worker"), intensity=Intensity(0), restart=policy)
    async with Supervisor("app", below) as running_app:
        await running_app.find("below/worker").send(Worker.crash)
        await at_rest()
        assert states(running_app) == {"below": "running 2"}
    assert asked == []


async def test_explain_knows_those_that_are_gone_before_their_turn() -> None:
    late = child(Worker, name="late", lifetime="addresses", restart="temporary")
    tree = Supervisor("app", child(Worker, name="log"), storage(Database(float("inf"))), late)
    async with starting(tree):
        address: Any = running(tree).find("late")
        del address
        await at_rest()
        assert running(tree).explain("log").starts == ("log",)
