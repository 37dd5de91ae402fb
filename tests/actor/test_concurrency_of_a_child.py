"""`concurrency=n`: all handlers of a child run beside each other, for a class that can't be decorated.

Tested: SEMANTICS 75 (at most n at once; a wrapped pool isn't serialised), 85 (one crash cuts all that are in hand).
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from supervise import ActorCrashed, Address, InvalidSpec, Supervisor, child, concurrent, current, open_mailbox
from supervise.adapters.own_thread import own_thread
from supervise.testing.virtual_time import at_rest
from tests.doubles import Boom, Gate, Outcomes

pytestmark = pytest.mark.anyio


def traced(function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """As many decorators are: what it makes is no coroutine function."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Awaitable[Any]:
        return function(*args, **kwargs)

    return wrapper


class Pool:
    """Somebody else's class."""

    def __init__(self) -> None:
        self.busy = 0
        self.most = 0

    async def query(self, seconds: float = 1.0) -> str:
        self.busy += 1
        self.most = max(self.most, self.busy)
        try:
            await anyio.sleep(seconds)
        finally:
            self.busy -= 1
        return "rows"

    @traced
    async def traced_query(self, seconds: float = 1.0) -> str:
        return await self.query(seconds)

    @concurrent(limit=2)
    async def report(self) -> str:
        return await self.query()

    def size(self) -> int:
        return self.busy

    async def through(self, gate: Gate) -> str:
        await gate.walk_through()
        return "through"

    async def fail(self, error: BaseException) -> None:
        raise error

    async def name_of_the_sender(self) -> str | None:
        sender = current().sender
        return None if sender is None else sender.name


async def all_of(pool: Address[Pool], handler: Callable[..., Any], times: int) -> float:
    """The seconds that so many calls at once take."""
    begun = anyio.current_time()
    async with anyio.create_task_group() as group:
        for _ in range(times):
            group.start_soon(pool.call, handler)
    return anyio.current_time() - begun


async def test_as_many_run_at_once_as_it_says() -> None:
    async with Supervisor("app", child(Pool, concurrency=10)) as app:
        pool: Address[Pool] = app.find("pool")
        assert await all_of(pool, Pool.query, 100) == pytest.approx(10.0)
        assert (await pool.instance()).most == 10


async def test_without_it_they_run_one_after_the_other() -> None:
    async with Supervisor("app", child(Pool)) as app:
        pool: Address[Pool] = app.find("pool")
        assert await all_of(pool, Pool.query, 10) == pytest.approx(10.0)


async def test_what_a_decorator_made_runs_beside_others_too() -> None:
    async with Supervisor("app", child(Pool, concurrency=10)) as app:
        pool: Address[Pool] = app.find("pool")
        assert await all_of(pool, Pool.traced_query, 20) == pytest.approx(2.0)


async def test_a_limit_of_a_handlers_own_counts_too() -> None:
    async with Supervisor("app", child(Pool, concurrency=10)) as app:
        pool: Address[Pool] = app.find("pool")
        assert await all_of(pool, Pool.report, 10) == pytest.approx(5.0)


async def test_the_limit_is_one_for_all_handlers() -> None:
    async with Supervisor("app", child(Pool, concurrency=3)) as app:
        pool: Address[Pool] = app.find("pool")
        async with anyio.create_task_group() as group:
            for handler in (Pool.query, Pool.traced_query, Pool.report) * 3:
                group.start_soon(pool.call, handler)
        assert (await pool.instance()).most == 3


async def test_without_a_bound_all_run_at_once() -> None:
    async with Supervisor("app", child(Pool, concurrency=float("inf"))) as app:
        assert await all_of(app.find("pool"), Pool.query, 500) == pytest.approx(1.0)


async def test_a_plain_handler_and_one_that_is_no_method_answer() -> None:
    async with Supervisor("app", child(Pool, concurrency=2)) as app:
        pool: Address[Pool] = app.find("pool")
        assert await pool.call(Pool.size) == 0
        assert await pool.call(lambda it: type(it).__name__) == "Pool"


async def test_one_crash_cuts_all_that_are_in_hand() -> None:
    events: list[Any] = []
    async with Supervisor("app", child(Pool, concurrency=10), listener=events.append) as app:
        pool: Address[Pool] = app.find("pool")
        gate = Gate()
        of: dict[Any, Any] = {}
        async with anyio.create_task_group() as group:
            outcomes = Outcomes(group)
            outcomes.of = of
            for n in range(3):
                await outcomes.watch(f"held {n}", pool.call(Pool.through, gate))
            await gate.reached.wait()
            await outcomes.watch("crash", pool.call(Pool.fail, Boom("poison")))
        for name in ("held 0", "held 1", "held 2", "crash"):
            assert isinstance(of[name], ActorCrashed), of[name]
        assert await pool.call(Pool.size) == 0
        assert pool.account().in_hand == 0


async def test_what_is_an_answer_is_one_here_too() -> None:
    async with Supervisor("app", child(Pool, concurrency=10, on_error="reply")) as app:
        pool: Address[Pool] = app.find("pool")
        gate = Gate()
        of: dict[Any, Any] = {}
        async with anyio.create_task_group() as group:
            outcomes = Outcomes(group)
            outcomes.of = of
            await outcomes.watch("held", pool.call(Pool.through, gate))
            await gate.reached.wait()
            with pytest.raises(Boom):
                await pool.call(Pool.fail, Boom("an answer"))
            gate.open()
        assert of["held"] == "through"


async def test_what_was_in_hand_is_tried_again_with_redeliver() -> None:
    async with Supervisor("app", child(Pool, concurrency=10, redeliver=1)) as app:
        pool: Address[Pool] = app.find("pool")
        of: dict[Any, Any] = {}
        async with anyio.create_task_group() as group:
            outcomes = Outcomes(group)
            outcomes.of = of
            await outcomes.watch("held", pool.call(Pool.query, 5.0))
            await at_rest()
            with pytest.raises(ActorCrashed):
                await pool.call(Pool.fail, Boom("twice"))
        assert of["held"] == "rows"


async def test_a_stop_lets_those_that_run_finish() -> None:
    of: dict[Any, Any] = {}
    async with anyio.create_task_group() as group:
        async with Supervisor("app", child(Pool, concurrency=10)) as app:
            outcomes = Outcomes(group)
            outcomes.of = of
            await outcomes.watch("held", app.find("pool").call(Pool.query, 2.0))
            await at_rest()
    assert of["held"] == "rows"


async def test_the_sender_is_that_of_each_message() -> None:
    class Asker:
        async def ask(self) -> str | None:
            return await current().find("pool").call(Pool.name_of_the_sender)

    async with Supervisor("app", child(Pool, concurrency=10), child(Asker, name="asker")) as app:
        assert await app.find("asker").call(Asker.ask) == "asker"


async def test_spans_begin_and_end_in_the_task_that_runs_the_handler() -> None:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    async with Supervisor("app", child(Pool, concurrency=10), tracing=provider) as app:
        pool: Address[Pool] = app.find("pool")
        assert await all_of(pool, Pool.traced_query, 5) == pytest.approx(1.0)
        assert await pool.call(Pool.size) == 0
    names = [span.name for span in exporter.get_finished_spans()]
    assert names.count("process Pool.traced_query") == 5
    assert names.count("process Pool.size") == 1


async def test_an_open_mailbox_has_it_too() -> None:
    mailbox, address = open_mailbox(Pool, concurrency=5)
    async with anyio.create_task_group() as group:
        group.start_soon(mailbox.run, Pool)
        assert await all_of(address, Pool.query, 10) == pytest.approx(2.0)
        group.cancel_scope.cancel()


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "4", True])
async def test_a_limit_that_is_none_is_refused(wrong: Any) -> None:
    with pytest.raises(InvalidSpec, match=r"concurrency.*how many handlers may run at once"):
        child(Pool, concurrency=wrong)


async def test_a_deadline_of_handlers_is_refused_beside_it() -> None:
    with pytest.raises(InvalidSpec, match=r"handler_deadline.*on_cancel='cancel'"):
        child(Pool, concurrency=5, handler_deadline=1.0)


async def test_what_has_a_thread_of_its_own_does_one_thing_at_a_time() -> None:
    class Blocks:
        def work(self) -> None: ...

    with pytest.raises(InvalidSpec, match=r"concurrency.*thread of its own"):
        child(own_thread(Blocks), concurrency=2)
