"""Handlers that run beside others.

Tested: SEMANTICS 17 (in the nursery, replies from there), 15 and 16 (a crash of one), 28, 6 (an orderly stop lets them finish).
"""

from __future__ import annotations

import functools
from typing import Any, cast

import anyio
import pytest

from supervise import (
    ActorCrashed,
    ActorStopped,
    Address,
    BadCall,
    Intensity,
    InvalidSpec,
    Supervisor,
    child,
    concurrent,
    current,
)
from supervise.events import Event, Raised
from supervise.testing.virtual_time import at_rest
from tests.doubles import Boom, Gate, Outcomes

pytestmark = pytest.mark.anyio


class Fetcher:
    def __init__(self, log: list[Any] | None = None) -> None:
        self.log: list[Any] = [] if log is None else log
        self.running = 0
        self.most = 0

    @concurrent(limit=3)
    async def fetch(self, name: str, seconds: float) -> str:
        self.running += 1
        self.most = max(self.most, self.running)
        self.log.append(f"begin {name}")
        try:
            await anyio.sleep(seconds)
        finally:
            self.running -= 1
        self.log.append(f"end {name}")
        return name

    @concurrent
    async def walk(self, gate: Gate) -> str:
        await gate.walk_through()
        return "through"

    @concurrent
    async def crash(self, gate: Gate) -> None:
        await gate.walk_through()
        raise Boom("beside")

    @concurrent(isolate=True)
    async def crash_alone(self) -> None:
        raise Boom("alone")

    @concurrent
    async def who(self) -> tuple[int, bool]:
        await anyio.sleep(1)
        return current().incarnation, current().sender is None

    async def note(self, entry: Any) -> int:
        self.log.append(entry)
        return len(self.log)

    async def most_at_once(self) -> int:
        return self.most


async def test_concurrent_handlers_run_while_the_mailbox_goes_on_and_answer_from_there() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Fetcher, log)) as app, anyio.create_task_group() as group:
        fetcher: Address[Fetcher] = app.find("fetcher")
        outcomes = Outcomes(group)
        await outcomes.watch("slow", fetcher.call(Fetcher.fetch, "slow", 5))
        await outcomes.watch("quick", fetcher.call(Fetcher.fetch, "quick", 1))
        await fetcher.call(Fetcher.note, "between")
        account = fetcher.account()
        assert (account.in_hand, account.balanced) == (2, True)
        await anyio.sleep(6)
        assert outcomes.of == {"slow": "slow", "quick": "quick"}
        assert log == ["begin slow", "begin quick", "between", "end quick", "end slow"]
        assert fetcher.account().handled == 3


async def test_the_limit_bounds_how_many_run_and_the_mailbox_waits_for_a_place() -> None:
    async with Supervisor("app", child(Fetcher)) as app:
        fetcher: Address[Fetcher] = app.find("fetcher")
        for n in range(10):
            await fetcher.send(Fetcher.fetch, str(n), 1)
        assert await fetcher.call(Fetcher.most_at_once) == 3
        await at_rest()
        assert fetcher.account().balanced


async def test_they_end_in_any_order() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Fetcher, log)) as app:
        fetcher: Address[Fetcher] = app.find("fetcher")
        for n in range(3):
            await fetcher.send(Fetcher.fetch, str(n), 3 - n)
        await at_rest()
        assert sorted(log) == ["begin 0", "begin 1", "begin 2"]
        await anyio.sleep(5)
        assert log[3:] == ["end 2", "end 1", "end 0"]


async def test_a_crash_of_one_crashes_the_actor_and_all_that_was_in_hand() -> None:
    async with Supervisor("app", child(Fetcher)) as app, anyio.create_task_group() as group:
        fetcher: Address[Fetcher] = app.find("fetcher")
        outcomes, gate, other = Outcomes(group), Gate(), Gate()
        await outcomes.watch("crash", fetcher.call(Fetcher.crash, gate))
        await outcomes.watch("other", fetcher.call(Fetcher.walk, other))
        assert await fetcher.call(Fetcher.note, "lives") == 1
        gate.open()
        await at_rest()
        assert isinstance(outcomes.of["crash"], ActorCrashed)
        assert isinstance(outcomes.of["crash"].__cause__, Boom)
        assert isinstance(outcomes.of["other"], ActorCrashed)
        assert await fetcher.call(Fetcher.who) == (2, True)
        assert fetcher.account().balanced


async def test_an_isolated_one_only_fails_its_caller() -> None:
    events: list[Event] = []
    async with Supervisor("app", child(Fetcher), listener=events.append) as app:
        fetcher: Address[Fetcher] = app.find("fetcher")
        with pytest.raises(Boom, match="alone"):
            await fetcher.call(Fetcher.crash_alone)
        await fetcher.send(Fetcher.crash_alone)
        assert await fetcher.call(Fetcher.who) == (1, True)
        assert [e.error for e in events if isinstance(e, Raised)] == ["Boom: alone"]
        assert fetcher.account()[:4] == (3, 1, 2, 0)


async def test_an_orderly_stop_lets_them_finish_and_a_kill_doesnt() -> None:
    log: list[Any] = []
    async with (
        Supervisor("app", child(Fetcher, log, stop_within=10), intensity=Intensity(3, per=60)) as app,
        anyio.create_task_group() as group,
    ):
        fetcher: Address[Fetcher] = app.find("fetcher")
        outcomes = Outcomes(group)
        await outcomes.watch("a", fetcher.call(Fetcher.fetch, "a", 4))
        await app.terminate_child("fetcher")
        await at_rest()
        assert outcomes.of == {"a": "a"}
        assert log == ["begin a", "end a"]
        await app.restart_child("fetcher")
        await outcomes.watch("b", fetcher.call(Fetcher.fetch, "b", 100))
        await app.terminate_child("fetcher")
        await at_rest()
        assert isinstance(outcomes.of["b"], ActorStopped)
        assert log == ["begin a", "end a", "begin b"]


async def test_a_kill_while_the_mailbox_waits_for_a_place_loses_nothing() -> None:
    async with Supervisor("app", child(Fetcher), intensity=Intensity(9)) as app, anyio.create_task_group() as group:
        fetcher: Address[Fetcher] = app.find("fetcher")
        outcomes = Outcomes(group)
        for n in range(5):
            await outcomes.watch(n, fetcher.call(Fetcher.fetch, str(n), 50))
        assert (fetcher.account().in_hand, fetcher.account().queued) == (3, 2)  # who waits for a place waits in the queue
        fetcher.kill()
        await anyio.sleep(100)
        assert [type(outcomes.of[n]) for n in range(5)] == [ActorStopped] * 3 + [str] * 2
        assert fetcher.account().balanced


async def test_in_it_the_message_in_hand_has_its_sender() -> None:
    async def asks(_: object) -> tuple[int, bool]:
        return await fetcher.call(Fetcher.who)

    async with Supervisor("app", child(Fetcher), child(Fetcher, name="other")) as app:
        fetcher: Address[Fetcher] = app.find("fetcher")
        assert await app.find("other").call(asks) == (1, False)


def test_what_cannot_run_beside_others_is_refused_where_it_is_marked() -> None:
    def plain(self: object) -> None: ...

    with pytest.raises(TypeError, match=r"plain: only an `async def`"):
        concurrent(plain)
    with pytest.raises(InvalidSpec, match="limit=0"):
        concurrent(limit=0)(Fetcher.note)
    with pytest.raises(InvalidSpec, match="isolate='yes'"):
        concurrent(isolate=cast(bool, "yes"))(Fetcher.note)


class Asker:
    def __init__(self) -> None:
        self.got: list[Any] = []

    async def ask(self, seconds: float, fails: bool = False) -> None:
        async def later() -> str:
            await anyio.sleep(seconds)
            if fails:
                raise Boom("asked")
            return f"after {seconds:g}"

        current().pipe_to(Asker.receive, later())

    async def ask_carefully(self) -> None:
        async def later() -> str:
            raise Boom("carefully")

        current().pipe_to(Asker.receive, later(), failed=Asker.sorry)

    async def receive(self, result: str) -> None:
        self.got.append(result)

    async def sorry(self, error: Exception) -> None:
        self.got.append(str(error))

    async def result(self) -> list[Any]:
        return self.got

    async def life(self) -> int:
        return current().incarnation


async def test_pipe_to_brings_a_result_back_as_a_message_to_self() -> None:
    async with Supervisor("app", child(Asker)) as app:
        asker: Address[Asker] = app.find("asker")
        await asker.call(Asker.ask, 2)
        await asker.call(Asker.ask_carefully)
        await anyio.sleep(1)
        assert await asker.call(Asker.result) == ["carefully"]
        await anyio.sleep(2)
        assert await asker.call(Asker.result) == ["carefully", "after 2"]


async def test_what_pipe_to_awaits_crashes_the_actor_and_goes_with_the_incarnation() -> None:
    async with Supervisor("app", child(Asker)) as app:
        asker: Address[Asker] = app.find("asker")
        await asker.call(Asker.ask, 2, fails=True)
        await asker.call(Asker.ask, 3)
        await anyio.sleep(5)
        assert await asker.call(Asker.life) == 2
        assert await asker.call(Asker.result) == []


async def test_an_actor_that_ends_by_itself_gives_its_concurrent_handlers_the_time_of_a_stop() -> None:
    async with Supervisor("app") as app:
        fetcher = await app.start(Fetcher, restart="temporary", stop_within=1)
        await fetcher.send(Fetcher.fetch, "a", 1000)
        await fetcher.send(lambda _: current().stop())
        begun = anyio.current_time()
        await fetcher.watch()
        assert anyio.current_time() - begun == pytest.approx(1)


# -- below a decorator that knows nothing of it ---------------------------------------------------------------------------


def remembered(method: Any) -> Any:
    """A plain function around a coroutine function, of which `functools.wraps` copies all that it is marked with."""

    @functools.wraps(method)
    def look(self: Library, key: str) -> Any:
        self.looks.append(key)
        if key == "wrong":
            raise Boom(key)
        return self.known[key] if key in self.known else method(self, key)

    return look


class Library:
    def __init__(self, looks: list[str]) -> None:
        self.looks = looks
        self.known = {"hit": "from the cache"}

    @remembered
    @concurrent(limit=1)
    async def read(self, key: str) -> str:
        await anyio.sleep(10)
        return f"read {key}"


async def test_a_decorator_is_called_once_a_message_and_when_there_is_a_place() -> None:
    looks: list[str] = []
    async with Supervisor("app", child(Library, looks)) as app, anyio.create_task_group() as group:
        library: Address[Library] = app.find("library")
        outcomes = Outcomes(group)
        for key in "abc":
            await outcomes.watch(key, library.call(Library.read, key))
        assert looks == ["a"]
        await anyio.sleep(31)
        assert outcomes.of == {key: f"read {key}" for key in "abc"}
        assert looks == ["a", "b", "c"]


async def test_a_decorator_that_answers_by_itself_has_answered() -> None:
    async with Supervisor("app", child(Library, list[str]())) as app:
        library: Address[Library] = app.find("library")
        for _ in range(3):  # it took no place
            assert await library.call(Library.read, "hit") == "from the cache"
        await library.send(Library.read, "hit")
        await at_rest()
        assert library.account() == (4, 4, 0, 0, 0, 0, 0)
        assert app.restarts == 0


class Branch(Library):
    @remembered
    @concurrent(isolate=True)
    async def lend(self, key: str) -> str:
        await anyio.sleep(10)
        return f"lent {key}"


async def test_what_a_decorator_of_an_isolated_handler_raises_is_told_its_caller_alone() -> None:
    async with Supervisor("app", child(Branch, list[str]())) as app, anyio.create_task_group() as group:
        branch: Address[Branch] = app.find("branch")
        outcomes = Outcomes(group)
        await outcomes.watch("neighbour", branch.call(Branch.lend, "a"))
        with pytest.raises(Boom, match="wrong"):
            await branch.call(Branch.lend, "wrong")
        await branch.send(Branch.lend, "wrong")
        lend: Any = Branch.lend
        with pytest.raises(BadCall):
            await branch.call(lend)
        await anyio.sleep(11)
        assert outcomes.of == {"neighbour": "lent a"}
        assert app.restarts == 0
        assert branch.account().balanced


async def test_what_a_decorator_raises_is_a_crash_as_of_any_handler() -> None:
    async with Supervisor("app", child(Library, list[str]())) as app:
        library: Address[Library] = app.find("library")
        with pytest.raises(ActorCrashed, match="Boom"):
            await library.call(Library.read, "wrong")
        assert app.restarts == 1
        assert library.account().balanced
