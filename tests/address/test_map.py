"""`address.map(handler, items)`: one call for each item, a bounded number at once.

Tested: SEMANTICS 82 (in order or as completed, bounded in flight, errors by return_exceptions).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Iterator
from typing import Any

import anyio
import pytest

from supervise import ActorCrashed, Address, Intensity, InvalidSpec, Supervisor, child, current, pool
from supervise.testing.virtual_time import at_rest
from tests.doubles import Boom

pytestmark = pytest.mark.anyio


class Worker:
    async def double(self, n: int) -> int:
        await anyio.sleep(1 + n % 3)
        if n == 13:
            raise Boom("unlucky")
        return 2 * n

    def at_once(self, n: int) -> int:
        return n + 1


workers = pool(Worker, size=4, name="workers", intensity=Intensity(1000, per=1))


async def test_awaited_it_is_a_list_in_the_order_of_the_items() -> None:
    async with Supervisor("app", workers) as app:
        assert await app.find(workers).map(Worker.double, range(10)) == [2 * n for n in range(10)]
        assert await app.find(workers).map(Worker.double, []) == []
        assert await app.find(workers).weak.map(Worker.at_once, (1, 2)) == [2, 3]


async def test_it_uses_all_workers() -> None:
    class Even(Worker):
        async def double(self, n: int) -> int:
            await anyio.sleep(1)
            return 2 * n

    jobs = pool(Even, size=4)
    async with Supervisor("app", jobs) as app:
        begun = anyio.current_time()
        await app.find(jobs).map(Worker.double, range(20))
        assert anyio.current_time() - begun == pytest.approx(5.0)


async def test_as_completed_is_in_the_order_in_which_they_are_done() -> None:
    async with Supervisor("app", workers) as app:
        got = await app.find(workers).map(Worker.double, [2, 1, 0], ordered=False)
        assert got == [0, 2, 4]


async def test_one_by_one_each_comes_as_soon_as_it_is_its_turn() -> None:
    seen: list[tuple[float, int]] = []
    async with Supervisor("app", workers) as app:
        begun = anyio.current_time()
        async with app.find(workers).map(Worker.double, [0, 2, 1]) as results:
            async for result in results:
                seen.append((anyio.current_time() - begun, result))
    assert [(round(at, 3), result) for at, result in seen] == [(1.0, 0), (3.0, 4), (3.0, 2)]


async def test_items_are_taken_as_they_are_needed() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for n in range(1000):
            taken.append(n)
            yield n

    async with Supervisor("app", workers) as app:
        async with app.find(workers).map(Worker.at_once, items(), limit=5) as results:
            await at_rest()
            assert len(taken) == 5
            for n in range(10):
                assert await anext(results) == n + 1
            await at_rest()
            assert len(taken) == 15


async def test_in_flight_it_is_bounded() -> None:
    class Busy(Worker):
        now = 0
        most = 0

        async def double(self, n: int) -> int:
            Busy.now += 1
            Busy.most = max(Busy.most, Busy.now)
            await anyio.sleep(1)
            Busy.now -= 1
            return n

    async with Supervisor("app", child(Busy, name="busy", concurrency=100)) as app:
        address: Address[Worker] = app.find("busy")
        assert await address.map(Worker.double, range(50), limit=7) == [*range(50)]
        assert Busy.most == 7


async def test_an_asynchronous_source_is_read_and_a_generator_closed() -> None:
    closed: list[str] = []

    async def items() -> AsyncGenerator[int]:
        try:
            for n in range(100):
                await anyio.sleep(0.1)
                yield n
        finally:
            closed.append("closed")

    async with Supervisor("app", workers) as app:
        got: list[int] = []
        async with app.find(workers).map(Worker.at_once, items()) as results:
            async for result in results:
                got.append(result)
                if len(got) == 5:
                    break
        assert got == [1, 2, 3, 4, 5]
        assert closed == ["closed"]


async def test_the_first_error_is_raised_as_it_is_and_the_others_are_given_up() -> None:
    async with Supervisor("app", workers) as app:
        address = app.find(workers)
        with pytest.raises(ActorCrashed) as crashed:
            await address.map(Worker.double, range(100))
        assert isinstance(crashed.value.__cause__, Boom)
        await anyio.sleep(10)
        assert len(address) == 0
        assert app.account().balanced


async def test_after_an_error_nothing_goes_on_while_the_reader_is_busy() -> None:
    async with Supervisor("app", workers) as app:
        address = app.find(workers)
        with pytest.raises(ActorCrashed):
            async with address.map(Worker.double, [13, *range(100)]) as results:
                await anyio.sleep(5)
                assert len(address) == 0
                assert address.account().handled < 10
                await anext(results)


async def test_errors_stand_among_the_results_if_so_said() -> None:
    async with Supervisor("app", workers) as app:
        got: list[Any] = await app.find(workers).map(Worker.double, range(12, 15), return_exceptions=True)
        assert (got[0], got[2]) == (24, 28)
        assert isinstance(got[1], ActorCrashed)


async def test_what_the_items_raise_is_raised() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise Boom("no more")

    async with Supervisor("app", workers) as app:
        with pytest.raises(Boom, match="no more"):
            await app.find(workers).map(Worker.at_once, items(), return_exceptions=True)


async def test_what_the_body_raises_leaves_as_it_is() -> None:
    async with Supervisor("app", workers) as app:
        with pytest.raises(Boom, match="body"):
            async with app.find(workers).map(Worker.double, range(100)) as results:
                async for _ in results:
                    raise Boom("body")
        await anyio.sleep(10)
        assert app.account().balanced


async def test_who_is_cancelled_leaves_nothing_under_way() -> None:
    async with Supervisor("app", workers) as app:
        address = app.find(workers)
        with anyio.move_on_after(1.5):
            await address.map(Worker.double, range(100))
            pytest.fail("it was cancelled")
        await anyio.sleep(10)
        assert len(address) == 0
        assert app.account().balanced


async def test_from_an_actor_too() -> None:
    class Boss:
        async def ask(self) -> list[int]:
            return await current().find(workers).map(Worker.at_once, range(3))

    async with Supervisor("app", workers, child(Boss)) as app:
        assert await app.find("boss").call(Boss.ask) == [1, 2, 3]


async def test_it_is_used_once_and_inside_of_its_block() -> None:
    async with Supervisor("app", workers) as app:
        mapped = app.find(workers).map(Worker.at_once, range(3))
        with pytest.raises(RuntimeError, match="inside of `async with`"):
            await anext(mapped)
        assert await mapped == [1, 2, 3]
        with pytest.raises(RuntimeError, match="used already"):
            await mapped


@pytest.mark.parametrize(
    ("options", "text"),
    [({"limit": 0}, "limit"), ({"limit": 1.5}, "limit"), ({"ordered": None}, "ordered"), ({"return_exceptions": 2}, "return_")],
)
async def test_what_it_can_not_be_is_refused(options: dict[str, Any], text: str) -> None:
    async with Supervisor("app", workers) as app:
        with pytest.raises(InvalidSpec, match=text):
            app.find(workers).map(Worker.at_once, [1], **options)
        nothing: Any = 3
        with pytest.raises(InvalidSpec, match="an iterable"):
            app.find(workers).map(Worker.at_once, nothing)


async def test_a_source_of_ones_own_that_is_no_generator() -> None:
    class Source(AsyncIterable[int]):
        def __aiter__(self) -> Source:
            self.n = 0
            return self

        async def __anext__(self) -> int:
            self.n += 1
            if self.n > 3:
                raise StopAsyncIteration
            return self.n

    async with Supervisor("app", workers) as app:
        assert await app.find(workers).map(Worker.at_once, Source()) == [2, 3, 4]
