"""Starts and restarts that last: how long a tree has patience with what is down, and what it says meanwhile.

Tested:
- SEMANTICS 47: `retry_start=`, in the tree's own start and at run time
- SEMANTICS 48, 85: `start_within=`, and who takes long is said to
- SEMANTICS 49: a coroutine function that never returns an actor
- SEMANTICS 50: a backoff lasts, and ends at the restart that a table says
"""

from __future__ import annotations

import functools
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, Never, NoReturn, Self, cast

import anyio
import pytest
from tenacity import stop_after_attempt, wait_exponential, wait_fixed, wait_random

from supervise import (
    ChildStartFailed,
    DynamicSupervisor,
    GaveUp,
    Intensity,
    InvalidSpec,
    Restart,
    StartFailed,
    StartLate,
    Supervisor,
    child,
    current,
    task,
)
from supervise.events import Decided, Event, Overran, Started, Starting, Stopped
from supervise.events import StartFailed as StartFailedEvent
from supervise.health import health
from supervise.testing.virtual_time import at_rest
from tests.doubles import Boom

pytestmark = pytest.mark.anyio
BACKOFF = Restart.permanent(wait=wait_exponential(multiplier=0.1, max=30) + wait_random(0, 0.1))


class Service:
    """What an actor depends on, up or down."""

    def __init__(self) -> None:
        self.down = False
        self.tries = 0

    def use(self) -> None:
        if self.down:
            self.tries += 1
            raise ConnectionError("connection refused")


def plain(service: Service) -> Any:
    """It fails in its factory."""
    return lambda: Client(service, at_start=True)


class Client:
    def __init__(self, service: Service, *, at_start: bool = False) -> None:
        self.service = service
        if at_start:
            service.use()

    async def work(self) -> str:
        self.service.use()
        return "done"


class Entered(Client):
    """It fails in its enter hook."""

    async def __aenter__(self) -> Entered:
        await anyio.sleep(0.01)
        self.service.use()
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


def in_factory(service: Service, **options: Any) -> Any:
    return child(plain(service), name="client", **options)


def in_enter_hook(service: Service, **options: Any) -> Any:
    return child(Entered, service, name="client", **options)


def in_handler(service: Service, **options: Any) -> Any:
    return child(Client, service, name="client", **options)


PLACES: list[Callable[..., Any]] = [in_factory, in_enter_hook, in_handler]


async def keep_asking(client: Any) -> None:
    """Somebody who needs it, and doesn't give up."""
    while True:
        await client.send(Client.work)
        await anyio.sleep(0.5)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("wait", [wait_exponential(multiplier=0.1, max=30) + wait_random(0, 0.1), wait_fixed(1)])
async def test_a_backoff_outlasts_a_service_that_is_down_for_a_minute(place: Any, wait: Any) -> None:
    service = Service()
    events: list[Event] = []
    tree = Supervisor("app", place(service, restart=Restart.permanent(wait=wait)), listener=events.append)
    async with tree as app, anyio.create_task_group() as group:
        client = app.find("client")
        group.start_soon(keep_asking, client)
        await anyio.sleep(1)
        service.down = True
        await client.send(Client.work)
        await anyio.sleep(60)
        assert service.tries > 4
        service.down = False
        await anyio.sleep(31)
        assert await client.call(Client.work) == "done"
        assert app.ended is None
        assert app.restarts == 0, "none of them is counted against the intensity"
        ordinals = [event.decision.ordinal for event in events if isinstance(event, Decided)]
        assert ordinals[:3] == ["restart 1, paced", "restart 2, paced", "restart 3, paced"]
        group.cancel_scope.cancel()


# What is said of the child, and the last restart that it has, under 3 in 5 s; with what is said of it then.
LAST: list[tuple[str, dict[str, Any], int, str]] = [
    ("stop", {"restart": Restart.permanent(wait=wait_fixed(0.1), stop=stop_after_attempt(9))}, 8, "stop= says enough"),
    ("limit", {"restart": Restart.permanent(wait=wait_fixed(0.1)), "limit": Intensity(5, per=600)}, 5, "its own limit of 5 in"),
    ("counted", {"restart": Restart.permanent(wait=wait_fixed(0.1), counted=True)}, 3, "gives up"),
    ("no wait", {"restart": Restart.permanent()}, 3, "gives up"),
    ("slower than the window", {"restart": Restart.permanent(wait=wait_fixed(6), counted=True)}, 40, ""),
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("strategy", ["one_for_one", "rest_for_one"])
@pytest.mark.parametrize(("options", "last", "words"), [row[1:] for row in LAST], ids=[row[0] for row in LAST])
async def test_it_ends_at_the_restart_that_the_table_says_and_explain_says_so_before(
    place: Any, strategy: Any, options: dict[str, Any], last: int, words: str
) -> None:
    service = Service()
    decided: list[Decided] = []
    foretold: list[str] = []
    inner = Supervisor("inner", place(service, **options), child(Service, name="younger"), strategy=strategy)
    tree = Supervisor(
        "app", inner, intensity=Intensity(0), listener=lambda e: decided.append(e) if isinstance(e, Decided) else None
    )
    try:
        async with tree as app:
            service.down = True
            for _ in range(50):
                if app.supervisor("inner").get_childspec("client").state.value == "running":
                    found = app.explain("inner/client", error=ConnectionError("connection refused")).decision
                    assert found is not None
                    foretold.append(str(found))
                    await app.find("inner/client").send(Client.work)
                await anyio.sleep(7 if last == 40 else 0.2)
                if len(decided) > last or app.ended is not None:
                    break
    except GaveUp:
        assert words == "gives up"
    of_the_child = [event.decision for event in decided if event.path == "app/inner/client"]
    restarts = [decision for decision in of_the_child if decision.action.value == "restart"]
    assert len(restarts) == last if words else len(restarts) >= last
    assert words in str(of_the_child[-1])
    told = [str(decision) for decision in of_the_child]
    assert foretold
    assert all(line in told for line in foretold)
    if words.startswith("stop"):
        assert [decision.ordinal for decision in restarts] == [f"restart {n} of 8" for n in range(1, 9)]


# -- the first start --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [in_factory, in_enter_hook])
@pytest.mark.parametrize("strategy", ["one_for_one", "one_for_all", "rest_for_one"])
async def test_a_first_start_that_fails_for_ten_seconds_is_tried_again(place: Any, strategy: Any) -> None:
    service, log = Service(), list[str]()
    service.down = True
    events: list[Event] = []

    def member(name: str) -> str:
        log.append(name)
        return name

    described = Supervisor(
        "app",
        child(member, "elder", name="elder"),
        place(service, restart=BACKOFF, retry_start=True),
        child(member, "younger", name="younger"),
        strategy=strategy,
        listener=events.append,
    )

    async def heal() -> None:
        await anyio.sleep(10)
        assert log == ["elder"], "elders run, younger ones wait"
        app = described.running
        assert app is not None
        seen = health(app)
        assert not seen.ready
        assert seen.live
        lines = {line.split(" is ")[0]: line for line in seen.why}
        assert "restarting in" in lines["app/client"]
        assert "connection refused" in lines["app/client"]
        service.down = False

    async with anyio.create_task_group() as group:
        group.start_soon(heal)
        async with described as app:
            assert anyio.current_time() >= 10
            assert await app.find("client").call(Client.work) == "done"
            assert health(app).ready
            assert app.restarts == 0
    assert log == ["elder", "younger"]
    rules = [event.decision.rule for event in events if isinstance(event, Decided)]
    assert rules[0] == "its first start failed; permanent"


@pytest.mark.parametrize(
    "patience",
    [
        {"restart": Restart.permanent(wait=wait_fixed(1), stop=stop_after_attempt(4))},
        {"limit": Intensity(3), "on_limit": "stop", "required": False},
    ],
    ids=["stop", "limit"],
)
async def test_patience_that_is_spent_at_boot_is_start_failed_with_the_last_cause(patience: dict[str, Any]) -> None:
    service = Service()
    service.down = True
    with pytest.raises(StartFailed, match="child 'client' didn't start: ConnectionError: connection refused") as raised:
        async with Supervisor("app", in_factory(service, retry_start=True, **patience)):
            raise AssertionError("it runs")
    assert isinstance(raised.value.__cause__, ConnectionError)
    assert service.tries == 4


def down() -> Client:
    raise ConnectionError("down")


async def never() -> Client:
    await anyio.sleep_forever()
    raise AssertionError


PATIENT: dict[str, Any] = {"retry_start": True, "restart": Restart.permanent(wait=wait_fixed(1))}
BOOTS: list[Callable[[], Any]] = [
    lambda: child(never),
    lambda: child(down, **PATIENT),
    lambda: Supervisor("inner", child(down, **PATIENT)),
    lambda: Supervisor("inner", child(never)),
]


def _stop(app: Any) -> Any:
    return app.stop()


def _kill(app: Any) -> Any:
    return app._branch.tree.kill()


def _stop_from_inside(app: Any) -> Any:
    return app._branch.tree.stop_from_inside("enough")


@pytest.mark.parametrize("boot", BOOTS)
@pytest.mark.parametrize(
    ("end", "why"),
    [
        (_stop, "it was stopped before it was ready"),
        (_kill, "it was stopped before it was ready"),
        (_stop_from_inside, "enough"),
    ],
)
async def test_a_tree_that_is_stopped_while_it_starts_says_so(boot: Any, end: Any, why: str) -> None:
    tree = Supervisor("app", boot())

    async def stop() -> None:
        await anyio.sleep(5)
        ended = end(tree.running)
        if ended is not None:
            await ended

    async with anyio.create_task_group() as group:
        group.start_soon(stop)
        with pytest.raises(StartFailed, match=f"^supervisor 'app' didn't start: {why}$"):
            async with tree:
                raise AssertionError("it runs")


async def test_so_does_one_whose_significant_child_ends_meanwhile() -> None:
    async def soon() -> None:
        await anyio.sleep(5)

    significant = child(task(soon), name="soon", significant=True, restart="temporary")
    with pytest.raises(StartFailed, match="didn't start: a significant child ended, which ends its supervisor, before all"):
        async with Supervisor("app", significant, child(down, **PATIENT), auto_shutdown="any_significant"):
            raise AssertionError("it runs")


async def test_an_elder_that_gives_up_meanwhile_says_so() -> None:
    service = Service()
    service.down = True

    async def crash() -> None:
        raise Boom("again")

    elder = child(task(crash), name="elder")
    with pytest.raises(StartFailed, match="child 'elder' ended") as raised:
        async with Supervisor("app", elder, in_factory(service, restart=BACKOFF, retry_start=True)):
            raise AssertionError("it runs")
    assert isinstance(raised.value.__cause__, GaveUp)


async def test_messages_that_come_meanwhile_wait_for_it() -> None:
    service = Service()
    service.down = True
    got: list[str] = []

    class Elder:
        def __init__(self) -> None:
            current().nursery.start_soon(self.ask)

        async def ask(self) -> None:
            got.append(await current().find("client").call(Client.work))

    tree = Supervisor("app", child(Elder, name="elder"), in_factory(service, restart=BACKOFF, retry_start=True))

    async def heal() -> None:
        await anyio.sleep(3)
        service.down = False

    async with anyio.create_task_group() as group:
        group.start_soon(heal)
        async with tree:
            await at_rest()
            assert got == ["done"]


@pytest.mark.parametrize("supervisor", [Supervisor, DynamicSupervisor])
async def test_at_run_time_it_holds_up_nobody_and_its_call_returns_when_it_is_up(supervisor: Any) -> None:
    service = Service()
    service.down = True
    async with supervisor("app") as app, anyio.create_task_group() as group:
        found: list[Any] = []

        async def begin() -> None:
            found.append(await app.start(plain(service), name="client", restart=BACKOFF, retry_start=True))

        group.start_soon(begin)
        await anyio.sleep(5)
        assert found == []
        other = await app.start(Client, Service())
        assert await other.call(Client.work) == "done"
        service.down = False
        await anyio.sleep(30)
        assert await found[0].call(Client.work) == "done"


@pytest.mark.parametrize("supervisor", [Supervisor, DynamicSupervisor])
async def test_whoever_is_cancelled_meanwhile_leaves_nothing(supervisor: Any) -> None:
    service = Service()
    service.down = True
    async with supervisor("app") as app:
        with anyio.move_on_after(5) as scope:
            await app.start(plain(service), name="client", restart=BACKOFF, retry_start=True)
        assert scope.cancelled_caught
        tries = service.tries
        await anyio.sleep(60)
        assert (service.tries, app.which_children()) == (tries, [])
        service.down = False
        assert await app.start(Client, service, name="client")


async def test_patience_that_is_spent_at_run_time_is_child_start_failed_and_the_tree_lives() -> None:
    service = Service()
    service.down = True
    async with Supervisor("app") as app:
        patience: list[dict[str, Any]] = [
            {},
            {"limit": Intensity(2)},
            {"restart": Restart.permanent(stop=stop_after_attempt(3))},
        ]
        for options in patience:
            with pytest.raises(ChildStartFailed, match="connection refused") as raised:
                await app.start(plain(service), name="client", retry_start=True, **options)
            assert isinstance(raised.value.__cause__, ConnectionError)
            assert app.which_children() == []
        assert service.tries == 4 + 3 + 3


# -- how long a start may take ------------------------------------------------------------------------------------------------


@asynccontextmanager
async def hangs(cured: anyio.Event | None = None) -> AsyncGenerator[Client]:
    if cured is None or not cured.is_set():
        await anyio.sleep_forever()
    yield Client(Service())


async def test_a_start_that_hangs_fails_in_time_and_names_the_line() -> None:
    with pytest.raises(StartFailed, match="didn't start: StartLate: app/slow wasn't ready within start_within=3 s") as raised:
        async with Supervisor("app", child(hangs, name="slow", start_within=3)):
            raise AssertionError("it runs")
    assert anyio.current_time() == pytest.approx(3)
    cause = raised.value.__cause__
    assert isinstance(cause, StartLate)
    assert isinstance(cause, TimeoutError)
    assert ": it waits in hangs (" in str(cause)
    assert __file__ in str(cause)


async def test_it_bounds_each_try() -> None:
    cured = anyio.Event()
    slow = child(hangs, cured, name="slow", start_within=3, restart=Restart.permanent(wait=wait_fixed(1)), retry_start=True)

    async def heal() -> None:
        await anyio.sleep(10)
        cured.set()

    async with anyio.create_task_group() as group:
        group.start_soon(heal)
        async with Supervisor("app", slow) as app:
            assert 10 <= anyio.current_time() <= 13
            assert app.get_childspec("slow").incarnation == 4


async def test_a_start_that_cannot_be_cancelled_is_unstoppable_and_has_failed() -> None:
    gate = anyio.Event()
    lives: list[int] = []

    async def stubborn() -> Client:
        lives.append(len(lives))
        if len(lives) == 1:
            with anyio.CancelScope(shield=True):
                await gate.wait()
        return Client(Service())

    events: list[Event] = []
    async with Supervisor("app", listener=events.append) as app, anyio.create_task_group() as group:
        with pytest.raises(ChildStartFailed, match="StartLate"):
            await app.start(stubborn, name="slow", start_within=3)
        assert anyio.current_time() == pytest.approx(4)
        assert [event.path for event in events if isinstance(event, Overran)] == ["app/slow"]
        assert app.get_childspec("slow").state.value == "unstoppable"
        gate.set()
        await at_rest()
        assert app.which_children() == []
        gate = anyio.Event()
        lives.clear()
        found: list[Any] = []

        async def begin() -> None:
            found.append(await app.start(stubborn, name="slow", start_within=3, restart=BACKOFF, retry_start=True))

        group.start_soon(begin)
        await anyio.sleep(60)
        assert lives == [0], "no second life while the first one lasts"
        gate.set()
        await anyio.sleep(1)
        assert lives == [0, 1]
        assert await found[0].call(Client.work) == "done"


async def test_a_tree_whose_start_cannot_be_cancelled_waits_for_it_and_fails() -> None:
    async def stubborn() -> Client:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(20)
        return Client(Service())

    with pytest.raises(StartFailed, match="StartLate"):
        async with Supervisor("app", child(stubborn, name="slow", start_within=3)):
            raise AssertionError("it runs")
    assert anyio.current_time() == pytest.approx(20)


class Late:
    """Its enter hook swallows its cancellation, and returns late as if nothing was."""

    def __init__(self, log: list[str]) -> None:
        self.log = log

    async def __aenter__(self) -> Self:
        self.log.append("entered")
        try:
            await anyio.sleep(10)
        except BaseException:
            self.log.append("cancelled")
        return self

    async def __aexit__(self, kind: Any, *_: object) -> None:
        self.log.append(f"exited for {kind.__name__ if kind else None}")


async def late(log: list[str]) -> Any:
    """A coroutine function that waits for what can't be cancelled, as a thread is."""
    with anyio.CancelScope(shield=True):
        await anyio.sleep(3.5)
    return Late(log) if log else Client(Service())


LATE: list[tuple[Any, list[str], list[str]]] = [
    (Late, [], ["entered", "cancelled", "exited for StartLate"]),
    (late, [], []),
    (late, ["made late"], ["made late"]),  # and never entered
]


@pytest.mark.parametrize(("factory", "before", "after"), LATE)
async def test_a_start_that_returns_late_has_failed_and_what_was_entered_is_exited(
    factory: Any, before: list[str], after: list[str]
) -> None:
    log, events = [*before], list[Event]()
    with pytest.raises(StartFailed, match="StartLate: app/slow wasn't ready within start_within=3 s"):
        async with Supervisor("app", child(factory, log, name="slow", start_within=3), listener=events.append):
            raise AssertionError("it runs")
    assert log == after
    assert [event.path for event in events if isinstance(event, StartFailedEvent)] == ["app/slow", "app"]
    assert not [event for event in events if isinstance(event, Started | Stopped)]


async def test_it_is_tried_again_and_is_no_step_of_a_quarantine() -> None:
    tries: list[float] = []

    async def connect() -> Client:
        tries.append(anyio.current_time())
        if len(tries) < 4:
            return cast("Client", await late([]))
        return Client(Service())

    options: dict[str, Any] = {"retry_start": True, "restart": Restart.permanent(wait=wait_fixed(1)), "quarantine": 1}
    async with Supervisor("app", child(connect, name="slow", start_within=3, **options)) as app:
        assert tries == [0, 4.5, 9, 13.5]
        info = app.get_childspec("slow")
        assert (info.state.value, info.incarnation, info.alike) == ("running", 4, 0)


async def test_a_start_that_is_not_wanted_any_more_and_returns_late_has_failed_too() -> None:
    log, events = list[str](), list[Event]()
    async with DynamicSupervisor("app", listener=events.append) as app:
        with anyio.move_on_after(1):
            await app.start(Late, log, name="slow")
    assert log == ["entered", "cancelled", "exited for None"]
    ended = [event for event in events if event.path == "app/slow"]
    assert [str(event) for event in ended] == ["app/slow #1 failed to start: killed"]


async def test_who_takes_long_is_said_to_at_each_doubling_with_the_line_and_the_cure() -> None:
    events: list[Event] = []

    async def slow() -> Client:
        await anyio.sleep(50)
        return Client(Service())

    async with Supervisor("app", child(slow), listener=events.append):
        pass
    told = [event for event in events if isinstance(event, Starting)]
    assert [event.seconds for event in told] == [5, 10, 20, 40]
    text = str(told[0])
    assert text.startswith("app/slow #1 has been starting for 5 s, and waits in ")
    assert f".slow ({__file__}:" in text
    assert text.endswith("if slow is to go on working, and never returns an actor: child(task(slow))")
    assert [event for event in events if isinstance(event, Started)]


async def test_who_is_quick_is_never_said_to() -> None:
    events: list[Event] = []
    async with Supervisor("app", child(Entered, Service(), name="client"), listener=events.append):
        await anyio.sleep(100)
    assert not [event for event in events if isinstance(event, Starting)]


# -- coroutine functions that never return an actor ---------------------------------------------------------------------------


async def polls() -> None:
    await anyio.sleep_forever()


async def polls_for_ever() -> Never:
    await anyio.sleep_forever()
    raise AssertionError


async def never_returns() -> NoReturn:
    await anyio.sleep_forever()
    raise AssertionError


async def polls_what(url: str = "", *, every: float = 1) -> None:
    await anyio.sleep_forever()


class Poller:
    """An object that is called as a coroutine function."""

    def __init__(self, said: Any = None) -> None:
        pass

    async def __call__(self) -> None:
        await anyio.sleep_forever()

    async def poll(self) -> None:
        await anyio.sleep_forever()


# Each with how it is written instead, and the name of what works.
WORKERS: list[tuple[Any, str, str]] = [
    (polls, "polls", "polls"),
    (polls_for_ever, "polls_for_ever", "polls_for_ever"),
    (never_returns, "never_returns", "never_returns"),
    (functools.partial(polls_what, "db"), "functools.partial(polls_what, …)", "polls_what"),
    (functools.partial(functools.partial(polls_what, "db"), every=2), "functools.partial(polls_what, …)", "polls_what"),
    (Poller(), "Poller(…)", "Poller.__call__"),
    (Poller().poll, "Poller.poll", "Poller.poll"),
]


@pytest.mark.parametrize(("function", "written"), [row[:2] for row in WORKERS])
async def test_a_coroutine_function_that_says_it_returns_no_actor_is_refused_with_the_cure(function: Any, written: str) -> None:
    cure = f"a function that does the work itself is a task: child(task({written}))"
    with pytest.raises(InvalidSpec, match=re.escape(cure)):
        child(function)
    async with Supervisor("app") as app:
        with pytest.raises(InvalidSpec, match="is a task"):
            await app.start(function)
        await app.start_task(function)


@pytest.mark.parametrize(("function", "written", "name"), WORKERS)
async def test_one_that_does_not_say_so_gets_the_cure_when_it_takes_long(
    function: Any, written: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in (polls, polls_for_ever, never_returns, polls_what, Poller.__call__, Poller.poll):
        monkeypatch.setattr(each, "__annotations__", {})
    events: list[Event] = []
    with pytest.raises(StartFailed):
        async with Supervisor("app", child(function, name="slow", start_within=8), listener=events.append):
            raise AssertionError("it runs")
    (told,) = [event for event in events if isinstance(event, Starting)]
    assert str(told).endswith(f"; if {name} is to go on working, and never returns an actor: child(task({written}))")


async def test_what_returns_an_actor_is_not_refused_however_it_is_called() -> None:
    class Builds:
        async def __call__(self) -> Client:
            return Client(Service())

    async def builds(_: object) -> Client:
        return Client(Service())

    class Called(Client):
        async def __call__(self) -> None:
            """What an instance does is nothing to its class."""

    called: Any = [child(Called, Service(), name="one"), child(functools.partial(Called, Service()), name="two")]
    made: Any = [child(Builds(), name="three"), child(functools.partial(builds, 1), name="four")]
    async with Supervisor("app", *called, *made) as app:
        assert [info.state.value for info in app.which_children()] == ["running"] * 4


async def test_one_that_returns_none_at_a_later_try_is_refused_and_not_tried_again() -> None:
    tries: list[int] = []

    async def builds():  # type: ignore[no-untyped-def]
        tries.append(len(tries))
        if not tries[-1]:
            raise ConnectionError("down")

    with pytest.raises(StartFailed, match="it has to return the actor") as raised:
        async with Supervisor("app", child(builds, restart=BACKOFF, retry_start=True)):
            raise AssertionError("it runs")
    assert isinstance(raised.value.__cause__, InvalidSpec)
    assert tries == [0, 1]
    tries.clear()
    async with Supervisor("app") as app:
        with pytest.raises(ChildStartFailed) as refused:
            await app.start(builds, restart=BACKOFF, retry_start=True)
        assert isinstance(refused.value.__cause__, InvalidSpec)
        assert tries == [0, 1]


async def test_one_that_returns_none_is_refused_and_not_tried_again() -> None:
    tries: list[int] = []

    async def builds():  # type: ignore[no-untyped-def]
        tries.append(1)

    cause: Any = None
    with pytest.raises(StartFailed, match="it has to return the actor") as raised:
        async with Supervisor("app", child(builds, restart=BACKOFF, retry_start=True)):
            raise AssertionError("it runs")
    cause = raised.value.__cause__
    assert isinstance(cause, InvalidSpec)
    assert "a function that does the work itself is a task: child(task(function))" in str(cause)
    assert tries == [1]
