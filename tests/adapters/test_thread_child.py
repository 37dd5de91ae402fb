"""Blocking functions and blocking classes in threads of their own, on the real clock.

Tested: the list of promises, with a real thread; thread affinity, by sqlite3, which checks it; how a thread is asked to stop;
a thread that hangs: `Overran`, no restart while it runs, and the tree goes on when it has ended; bad input.
"""

from __future__ import annotations

import socketserver
import sqlite3
import threading
from queue import Empty, SimpleQueue
from typing import Any, Self

import anyio
import anyio.lowlevel
import pytest

from supervise import ActorCrashed, Address, BadCall, ExitKind, InvalidSpec, StartFailed, Supervisor, child
from supervise.adapters.own_thread import own_thread
from supervise.adapters.thread import thread
from supervise.events import Overran, Started, Stopped
from supervise.tree import place
from tests.doubles import Boom
from tests.real_clock import BACKENDS

from .promises import check, check_normal_end, check_policy, present, tree


@pytest.fixture(params=BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


pytestmark = pytest.mark.anyio


@pytest.fixture
def called_unstoppable_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "UNSTOPPABLE_AFTER", 0.05)


class Consumer:
    """Blocks on a queue, in whatever thread it is called."""

    def __init__(self) -> None:
        self.queue: SimpleQueue[Any] = SimpleQueue()
        self.threads: list[str] = []

    def consume(self, stop: threading.Event) -> None:
        self.threads.append(threading.current_thread().name)
        while not stop.is_set():
            try:
                item = self.queue.get(timeout=0.01)
            except Empty:
                continue
            if isinstance(item, Exception):
                raise item
            return

    async def crash(self, *_: object) -> None:
        self.queue.put(Boom("in the thread"))

    async def end(self, *_: object) -> None:
        self.queue.put("the end")


async def test_a_function_in_a_thread_keeps_the_list_of_promises() -> None:
    consumer = Consumer()
    await check(thread(consumer.consume), consumer.crash, detail="Boom: in the thread")
    await check_policy(thread(consumer.consume), consumer.crash)
    await check_normal_end(thread(consumer.consume), consumer.end)
    assert set(consumer.threads) == {"app/it"}


async def test_the_parameter_of_the_stop_event_can_have_any_name() -> None:
    asked: list[bool] = []

    def work(first: int, quit: threading.Event) -> None:
        asked.append(quit.wait(20) and first == 1)

    async with tree(thread(work, 1, stop="quit")) as (app, _, witness):
        await app.terminate_child("it")
        assert asked == [True]
        assert (await witness.ended()).reason.kind is ExitKind.SHUTDOWN


async def test_a_function_can_ask_it_to_stop_and_may_block_until_it_has() -> None:
    with socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler) as server:
        async with tree(thread(server.serve_forever, 0.01, stop=server.shutdown)) as (app, _, witness):
            await app.terminate_child("it")
            assert (await witness.ended()).reason.kind is ExitKind.SHUTDOWN


async def test_what_it_raises_when_it_is_asked_to_stop_is_a_crash() -> None:
    def work(stop: threading.Event) -> None:
        stop.wait(20)
        raise Boom("at the end")

    async with tree(thread(work)) as (app, _, witness):
        await app.terminate_child("it")
        assert (await witness.ended()).reason.detail == "Boom: at the end"


@pytest.mark.usefixtures("called_unstoppable_soon")
async def test_a_thread_that_hangs_is_reported_and_waited_for_and_nobody_else_waits() -> None:
    release, stopped = threading.Event(), threading.Event()

    def hang(stop: threading.Event) -> None:
        stop.wait(20)
        stopped.set()
        release.wait(20)

    try:
        async with tree(thread(hang), stop_within=0.01) as (app, address, witness):
            app.kill("it")  # as a crash: it would be restarted at once
            await witness.until(lambda: witness.of(Overran))
            assert stopped.wait(20)
            assert len(witness.of(Stopped)) == 0
            assert [e.incarnation for e in witness.of(Started) if e.path == "app/it"] == [1]
            other = await app.start(Consumer)
            assert await other.call(lambda _: "alive") == "alive"
            release.set()
            end = await witness.ended()
            assert end.reason.kind is ExitKind.KILLED
            await witness.started(2)
            await address.call(lambda _: None)
    finally:
        release.set()


class Ledger:
    """A class of the blocking world that insists on its thread."""

    def __init__(self, log: list[str]) -> None:
        self.log = log
        self._home = threading.current_thread()
        self.total = 0
        self._log("made")

    def _log(self, what: str) -> None:
        assert threading.current_thread() is self._home
        self.log.append(what)

    def add(self, amount: int) -> int:
        self._log("add")
        self.total += amount
        if amount < 0:
            raise Boom("can't add")
        return self.total

    def wait(self, event: threading.Event) -> None:
        event.wait(20)

    def close(self) -> None:
        self._log("closed")


class Locked(Ledger):
    close = None  # type: ignore[assignment]

    def __enter__(self) -> Self:
        self._log("entered")
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self._log(f"left with {error!r}")


async def test_a_class_in_its_own_thread_loses_nothing_that_waits_at_a_crash() -> None:
    log: list[str] = []
    before = present()
    async with tree(own_thread(Ledger, log), on_error="crash") as (app, ledger, witness):
        assert await ledger.call(Ledger.add, 1) == 1
        await ledger.send(Ledger.add, -1)
        await ledger.send(Ledger.add, 10)
        assert await ledger.call(Ledger.add, 100) == 110
        end = await witness.ended()
        assert end.reason.detail == "Boom: can't add"
        assert end.frames[-1].function == "Ledger.add"
        with pytest.raises(ActorCrashed):
            await ledger.call(Ledger.add, -1)
        assert await ledger.call(Ledger.add, 5) == 5
        assert app.find("it") == ledger
    assert log == [*["made", "add", "add", "closed"], *["made", "add", "add", "add", "closed"], *["made", "add", "closed"]]
    assert present() == before
    account = ledger.account()
    assert (account.accepted, account.handled, account.dead_lettered, account.failed) == (6, 4, 1, 1)


async def test_a_class_in_its_own_thread_is_restarted_by_its_policy() -> None:
    async def crash(_: object, ledger: Address[Any]) -> None:
        await ledger.send(Ledger.add, -1)

    await check_policy(own_thread(Ledger, []), crash)


async def test_what_it_is_expected_to_raise_is_an_answer() -> None:
    async with tree(own_thread(Ledger, []), expects=(Boom,)) as (_, ledger, witness):
        with pytest.raises(Boom):
            await ledger.call(Ledger.add, -1)
        assert await ledger.call(Ledger.add, 1) == 0
        assert not witness.of(Stopped)


async def test_a_context_manager_is_entered_and_left_in_its_thread() -> None:
    log: list[str] = []
    async with tree(own_thread(Locked, log)) as (_, ledger, witness):
        await ledger.send(Ledger.add, -1)
        await witness.started(2)
    assert log == ["made", "entered", "add", 'left with Boom("can\'t add")', "made", "entered", "left with None"]


async def test_sqlite_which_checks_it_is_used_in_one_thread_only() -> None:
    async with tree(own_thread(sqlite3.Connection, ":memory:")) as (_, address, _w):
        db: Address[sqlite3.Connection] = address
        await db.call(sqlite3.Connection.execute, "create table t (n)")
        await db.call(sqlite3.Connection.execute, "insert into t values (?)", (7,))
        await db.call(sqlite3.Connection.commit)
        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            await db.call(sqlite3.Connection.execute, "select * from absent")
        await db.call(sqlite3.Connection.execute, "select * from t")
        await db.send(sqlite3.Connection.execute, "select * from absent")
        with pytest.raises(sqlite3.OperationalError, match="no such table: t"):  # it was in the memory of the first life
            await db.call(sqlite3.Connection.execute, "select * from t")


async def test_what_would_run_in_the_loop_says_so() -> None:
    async with tree(own_thread(Ledger, [])) as (_, ledger, _w):
        with pytest.raises(AttributeError, match=r"lives in a thread of its own.*call\(Ledger\.method\)"):
            await ledger.call(lambda self: self.total)


async def test_an_object_that_cannot_be_built_fails_its_start() -> None:
    class Unborn:
        def __init__(self) -> None:
            raise Boom("no file")

    before = present()
    with pytest.raises(StartFailed, match="no file"):
        async with tree(own_thread(Unborn)):
            raise AssertionError("it runs")
    assert present() == before


@pytest.mark.usefixtures("called_unstoppable_soon")
async def test_a_method_that_hangs_is_reported_and_waited_for() -> None:
    release = threading.Event()
    before = present()
    try:
        async with tree(own_thread(Ledger, []), stop_within=0.01) as (app, ledger, witness):
            await ledger.send(Ledger.wait, release)
            while not ledger.account().in_hand:
                await anyio.lowlevel.checkpoint()
            async with anyio.create_task_group() as group:
                group.start_soon(app.stop)
                await witness.until(lambda: witness.of(Overran))
                assert [event.path for event in witness.of(Overran)] == ["app/it"]
                release.set()
    finally:
        release.set()
    assert present() == before


class Asynchronous:
    async def work(self) -> None: ...


any_thread: Any = thread
any_own_thread: Any = own_thread


def _takes_none() -> None: ...


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: any_thread(_takes_none),
            ["thread of _takes_none", "stop='stop'", "no such parameter", "stop=server.shutdown"],
        ),
        (lambda: any_thread(_takes_none, stop="quit"), ["stop='quit'"]),
        (lambda: any_thread(_takes_none, stop=threading.Event()), ["stays set", "name the parameter"]),
        (lambda: any_thread(_takes_none, stop=7), ["stop=7", "plain function"]),
        (lambda: any_thread(Asynchronous.work), ["supervise.task"]),
        (lambda: any_thread(7), ["function=7", "thread(consume, queue)"]),
        (lambda: any_own_thread(sqlite3.connect, ":memory:"), ["the class itself"]),
        (lambda: any_own_thread(Ledger([])), ["the class itself"]),
        (lambda: any_own_thread(Asynchronous), ["work is a coroutine function", "start(Asynchronous, …)"]),
    ],
)
def test_the_wrong_kind_of_object_is_refused_with_the_cure(make: Any, words: list[str]) -> None:
    with pytest.raises(InvalidSpec) as refused:
        make()
    for word in words:
        assert word in str(refused.value)


async def test_it_can_stand_in_a_description() -> None:
    ledger = child(own_thread(Ledger, []), name="ledger")
    async with Supervisor("app", ledger) as app:
        address: Address[Ledger] = app.find(ledger)
        total: int = await address.call(Ledger.add, 1)
        assert total == 1


@pytest.mark.parametrize("options", [{}, {"on_error": "crash"}])
async def test_a_call_that_does_not_fit_is_its_callers_error(options: Any) -> None:
    async with tree(own_thread(Ledger, []), **options) as (_, ledger, witness):
        wrong: Any = ledger
        with pytest.raises(BadCall, match=r"app/it: Ledger\.add\(int, int, int\) doesn't fit: it takes \(self, amount"):
            await wrong.call(Ledger.add, 1, 2, 3)
        await wrong.send(Ledger.add)
        assert await ledger.call(Ledger.add, 1) == 1
        assert not witness.of(Stopped)
