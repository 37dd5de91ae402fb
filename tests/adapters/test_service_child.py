"""What has a start and a stop, what has a `run()`, and what is an asyncio task already; in virtual time.

Tested: the list of promises for each; when `stop` is called and when it isn't; a `run()` that is asked to return, and has the
time for it; the object as the actor; asyncio tasks that are cancelled by others; a clear error on trio; bad input.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import anyio
import pytest

from supervise import Address, ExitKind, InvalidSpec, StartFailed, Supervisor, child
from supervise.adapters.asyncio_task import asyncio_task
from supervise.adapters.runnable import runnable
from supervise.adapters.service import service
from tests.doubles import Boom

from .promises import check, check_normal_end, check_policy, tree

pytestmark = pytest.mark.anyio


class Pool:
    """Somebody else's class."""

    def __init__(self, log: list[str] | None = None) -> None:
        self.log: list[str] = [] if log is None else log
        self._ended = anyio.Event()
        self._error: Exception | None = None

    async def connect(self) -> None:
        self.log.append("connect")

    def connect_at_once(self) -> None:
        self.log.append("connect at once")

    async def close(self) -> None:
        self.log.append("close")

    async def query(self) -> str:
        return "rows"

    async def crash(self) -> None:
        raise Boom("in a query")

    def break_down(self, error: Exception | None) -> None:
        self._error = error
        self._ended.set()

    async def wait_closed(self) -> None:
        await self._ended.wait()
        if self._error is not None:
            raise self._error

    run = wait_closed


def crash_from_outside(log: list[Pool]) -> Any:
    async def crash(*_: object) -> None:
        log[-1].break_down(Boom("lost"))

    return crash


def end_from_outside(log: list[Pool]) -> Any:
    async def end(*_: object) -> None:
        log[-1].break_down(None)

    return end


class Pools(list[Pool]):
    """Keeps the object of each life."""

    def make(self) -> Pool:
        self.append(pool := Pool())
        return pool


def a_service(pools: Pools) -> Any:
    return service(pools.make, start=Pool.connect, stop=Pool.close, wait=Pool.wait_closed)


def a_runnable(pools: Pools) -> Any:
    return runnable(pools.make)


def a_runnable_with_a_stop(pools: Pools) -> Any:
    return runnable(pools.make, run=Pool.wait_closed, stop=lambda pool: pool.break_down(None))


@pytest.mark.parametrize("kind", [a_service, a_runnable, a_runnable_with_a_stop])
async def test_the_list_of_promises(kind: Any) -> None:
    pools = Pools()
    await check(kind(pools), crash_from_outside(pools), detail="Boom: lost")
    await check_policy(kind(pools), crash_from_outside(pools))
    await check_normal_end(kind(pools), end_from_outside(pools))


async def test_a_service_is_started_and_stopped_once_in_each_life_after_a_crash_too() -> None:
    log: list[str] = []
    async with tree(service(Pool, log, start=Pool.connect, stop=Pool.close)) as (_, pool, witness):
        assert log == ["connect"]
        assert await pool.call(Pool.query) == "rows"
        await pool.send(Pool.crash)
        await witness.started(2)
        assert log == ["connect", "close", "connect"]
    assert log == ["connect", "close", "connect", "close"]


async def test_start_and_stop_may_be_plain_functions_of_no_object() -> None:
    scheduler = Pool()
    async with tree(service(start=scheduler.connect_at_once, stop=scheduler.close)) as (_, address, witness):
        assert scheduler.log == ["connect at once"]
        await address.send(_boom)
        await witness.started(2)
    assert scheduler.log == ["connect at once", "close", "connect at once", "close"]


async def _boom(_: object) -> None:
    raise Boom


async def test_a_service_that_does_not_start_is_not_stopped() -> None:
    log: list[str] = []

    async def start() -> None:
        raise Boom("no route")

    with pytest.raises(StartFailed, match="no route"):
        async with tree(service(start=start, stop=lambda: log.append("stop"))):
            raise AssertionError("it runs")
    assert log == []


class Listener:
    """Its `wait` goes on until it is stopped, or for ever, and says so by an error, or not."""

    def __init__(self, log: list[str], says: BaseException | None = None, *, deaf: bool = False) -> None:
        self.log, self.says, self.deaf = log, says, deaf
        self.closed = anyio.Event()

    def listen(self) -> None:
        self.log.append("listen")

    async def close(self) -> None:
        self.closed.set()
        await anyio.sleep(1)
        self.log.append("closed")

    async def wait(self) -> None:
        try:
            await (anyio.sleep_forever() if self.deaf else self.closed.wait())
            self.log.append("wait is over")
        except anyio.get_cancelled_exc_class():
            self.log.append("wait is cancelled")
            raise
        if self.says is not None:
            raise self.says


def a_listener(*args: Any, **options: Any) -> Any:
    return service(partial(Listener, *args, **options), start=Listener.listen, stop=Listener.close, wait=Listener.wait)


@pytest.mark.parametrize("says", [None, Boom("closed"), ExceptionGroup("closed", [Boom("closed")]), asyncio.CancelledError()])
async def test_a_wait_goes_on_while_the_service_stops_and_what_it_raises_then_is_no_crash(says: Any) -> None:
    log: list[str] = []
    async with tree(a_listener(log, says)) as (_, address, witness):
        await address.stop()
        await witness.started(2)
        log.clear()
        await witness.started(2)
    assert log == ["wait is over", "closed"]
    assert [(await witness.ended(n)).reason.kind for n in (1, 2)] == [ExitKind.NORMAL, ExitKind.SHUTDOWN]


async def test_a_wait_that_hears_nothing_of_the_stop_is_cancelled_after_it() -> None:
    log: list[str] = []
    begun = anyio.current_time()
    async with tree(a_listener(log, deaf=True)) as (_, address, witness):
        await address.stop()
        assert anyio.current_time() - begun == 1  # its stop alone: nobody waits for what never ends
    assert log[:3] == ["listen", "closed", "wait is cancelled"]
    assert (await witness.ended()).reason.kind is ExitKind.NORMAL


async def test_a_wait_that_ends_the_program_does_so_while_it_is_stopped_too() -> None:
    with pytest.raises(SystemExit, match="3"):
        async with tree(a_listener([], SystemExit(3))):
            pass


async def test_a_runnable_takes_messages_while_it_runs() -> None:
    async with tree(runnable(Pool)) as (_, pool, _w):
        assert await pool.call(Pool.query) == "rows"


class Consumer:
    """Works on one job after the other, until it is asked to shut down."""

    def __init__(self, log: list[str], *, deaf: bool = False) -> None:
        self.log = log
        self._deaf = deaf
        self._stopping = False

    async def main(self) -> str:
        try:
            while not self._stopping:
                self.log.append("begin")
                await anyio.sleep(2)
                self.log.append("done")
        except anyio.get_cancelled_exc_class():
            self.log.append("cancelled")
            raise
        return "what it returns is of no interest"

    def shut_down(self) -> None:
        self.log.append("shut down")
        self._stopping = not self._deaf

    async def shut_down_later(self) -> None:
        await anyio.sleep(1)
        self.shut_down()

    async def bad_shut_down(self) -> None:
        raise Boom("shut down")

    async def fail(self) -> None:
        raise Boom("in a handler")


@pytest.mark.parametrize("stop", [Consumer.shut_down, Consumer.shut_down_later])
async def test_a_run_that_is_asked_to_return_finishes_its_job(stop: Any) -> None:
    log: list[str] = []
    async with tree(runnable(Consumer, log, run=Consumer.main, stop=stop)) as (_, _a, witness):
        await anyio.sleep(0.5)
    assert log == ["begin", "shut down", "done"]
    assert (await witness.ended()).reason.kind is ExitKind.SHUTDOWN


async def test_a_run_that_does_not_return_in_time_is_cancelled() -> None:
    log: list[str] = []
    begun = anyio.current_time()
    deaf = runnable(partial(Consumer, log, deaf=True), run=Consumer.main, stop=Consumer.shut_down)
    async with tree(deaf, stop_within=3):
        await anyio.sleep(0.5)
    assert log == ["begin", "shut down", "done", "begin", "cancelled"]
    assert anyio.current_time() - begun == pytest.approx(3.5)


async def test_a_stop_that_raises_is_a_crash_and_leaves_nothing_running() -> None:
    log: list[str] = []
    async with tree(runnable(Consumer, log, run=Consumer.main, stop=Consumer.bad_shut_down)) as (_, _a, witness):
        await anyio.sleep(0.5)
    assert log == ["begin", "cancelled"]
    end = await witness.ended()
    assert (end.reason.kind, end.reason.detail) == (ExitKind.CRASHED, "Boom: shut down")


async def test_a_crash_of_a_handler_asks_it_to_return_before_the_next_life() -> None:
    log: list[str] = []
    async with tree(runnable(Consumer, log, run=Consumer.main, stop=Consumer.shut_down)) as (_, consumer, witness):
        await anyio.sleep(0.5)
        await consumer.send(Consumer.fail)
        await witness.started(2)
        assert log == ["begin", "shut down", "done"]
    assert "Boom: in a handler" in (await witness.ended()).reason.detail


async def test_what_a_run_raises_when_it_is_asked_to_return_is_a_crash() -> None:
    class Sore(Consumer):
        async def main(self) -> str:
            await super().main()
            raise Boom("sore")

    async with tree(runnable(Sore, list[str](), run=Sore.main, stop=Sore.shut_down)) as (_, _a, witness):
        await anyio.sleep(0.5)
    end = await witness.ended()
    assert (end.reason.kind, end.reason.detail) == (ExitKind.CRASHED, "Boom: sore")


async def test_a_stop_is_not_called_where_the_run_has_ended() -> None:
    log: list[Any] = []

    class Short(Consumer):
        async def main(self) -> str:
            raise Boom("short")

    async with tree(runnable(Short, log, run=Short.main, stop=Short.shut_down), restart="temporary") as (_, _a, witness):
        await witness.ended()
    assert log == []


async def test_their_types_are_those_of_the_object() -> None:
    async with Supervisor("app") as app:
        pool: Address[Pool] = await app.start(service(Pool, start=Pool.connect, stop=Pool.close))
        other: Address[Pool] = await app.start(runnable(Pool))
        third: Address[Consumer] = await app.start(runnable(Consumer, [""], run=Consumer.main, stop=Consumer.shut_down))
        rows: str = await pool.call(Pool.query)
        assert (rows, pool.name, other.name, third.name) == ("rows", "pool", "pool-2", "consumer")


class Client:
    """Makes an asyncio task in each life, as clients of brokers do."""

    def __init__(self) -> None:
        self.tasks: list[asyncio.Task[None]] = []
        self.cleaned_up = 0
        self._error: Exception | None = None
        self._ended = asyncio.Event()

    def run_in_background(self) -> asyncio.Task[None]:
        self.tasks.append(task := asyncio.create_task(self._run()))
        return task

    async def _run(self) -> None:
        try:
            await self._ended.wait()
        finally:
            await asyncio.sleep(1)  # a second cancellation would cut this
            self.cleaned_up += 1
        self._ended.clear()
        if self._error is not None:
            raise self._error

    async def crash(self, *_: object) -> None:
        self._error = Boom("in the task")
        self._ended.set()

    async def end(self, *_: object) -> None:
        self._error = None
        self._ended.set()


@pytest.fixture
def only_asyncio(anyio_backend_name: str) -> None:
    if anyio_backend_name != "asyncio":
        pytest.skip("asyncio's own")


@pytest.mark.usefixtures("only_asyncio")
async def test_an_asyncio_task_keeps_the_list_of_promises() -> None:
    client = Client()
    await check(asyncio_task(client.run_in_background), client.crash, detail="Boom: in the task")
    await check_policy(asyncio_task(client.run_in_background), client.crash)
    await check_normal_end(asyncio_task(client.run_in_background), client.end)
    assert client.cleaned_up == len(client.tasks)
    assert all(task.done() for task in client.tasks)


@pytest.mark.usefixtures("only_asyncio")
async def test_an_asyncio_task_that_somebody_else_cancels_has_crashed() -> None:
    client = Client()
    async with tree(asyncio_task(client.run_in_background)) as (_, _, witness):
        await anyio.sleep(1)
        client.tasks[0].cancel()
        end = await witness.ended()
        assert end.reason.kind is ExitKind.CRASHED
        assert "nobody of the tree asked" in end.reason.detail
        await witness.started(2)


@pytest.mark.usefixtures("only_asyncio")
async def test_a_factory_that_makes_no_task_fails_its_start() -> None:
    async def work() -> None: ...

    for wrong in (lambda: 7, lambda: work()):
        with pytest.raises(StartFailed, match=r"has to return an asyncio\.Task"):
            async with tree(asyncio_task(wrong)):  # type: ignore[arg-type]
                raise AssertionError("it runs")


async def test_an_asyncio_task_on_trio_fails_its_start_and_says_why(anyio_backend_name: str) -> None:
    if anyio_backend_name != "trio":
        pytest.skip("it works there")
    with pytest.raises(StartFailed, match="needs asyncio, and this tree runs on trio"):
        async with tree(asyncio_task(_never)):
            raise AssertionError("it runs")


def _never() -> asyncio.Task[None]:
    raise AssertionError("nobody may call it")


class NoRun:
    pass


class BlockingRun:
    def run(self) -> None: ...


any_service: Any = service
any_runnable: Any = runnable
any_asyncio_task: Any = asyncio_task


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: any_service(Pool(), start=Pool.connect, stop=Pool.close), ["factory=", "start=it.start"]),
        (lambda: any_service(start="connect", stop=print), ["start='connect'", "a function"]),
        (lambda: any_service(Pool, start=Pool.connect, stop=None), ["service of Pool", "stop=None"]),
        (lambda: any_service(start=print, stop=print, wait=print), ["wait=", "coroutine function"]),
        (lambda: any_runnable(Pool()), ["factory=", "give the class"]),
        (lambda: any_runnable(NoRun), ["NoRun", "no run()", "run=cls.main", "service("]),
        (lambda: any_runnable(Pool, run=Pool.connect_at_once), ["run=", "a coroutine function", "supervise.adapters.thread"]),
        (lambda: any_runnable(Pool, run="main"), ["run=", "a coroutine function of the class"]),
        (lambda: any_runnable(Pool, stop="close"), ["stop=", "a function of the object"]),
        (lambda: any_runnable(BlockingRun), ["BlockingRun", "supervise.adapters.thread"]),
        (lambda: any_asyncio_task(_async), ["_async", "supervise.task"]),
        (lambda: any_asyncio_task(_async()), ["runs once", "supervise.task"]),
        (lambda: any_asyncio_task(7), ["make=7", "asyncio.Task"]),
    ],
)
def test_the_wrong_kind_of_object_is_refused_with_the_cure(make: Any, words: list[str]) -> None:
    with pytest.raises(InvalidSpec) as refused:
        make()
    for word in words:
        assert word in str(refused.value)


async def _async() -> None: ...


@pytest.mark.usefixtures("only_asyncio")
async def test_a_task_itself_is_refused_with_the_cure() -> None:
    made = asyncio.create_task(_async())
    with pytest.raises(InvalidSpec, match="give what makes it"):
        any_asyncio_task(made)
    await made


async def test_an_object_of_a_factory_without_a_run_fails_its_start() -> None:
    with pytest.raises(StartFailed, match="has to be a coroutine function"):
        async with Supervisor("app", child(any_runnable(lambda: NoRun()))):
            raise AssertionError("it runs")
