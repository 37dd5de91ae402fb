"""Streams out of a pool, out of an actor with `concurrency=`, and in a start.

Tested: SEMANTICS 75 and 77 with 81: a stream is bound to the worker that begins it, which it holds up, and nobody else; what it
does at a crash of its worker, as the pool gets smaller, and in the account; who waits for a start.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Self

import anyio
import pytest

from supervise import (
    ActorCrashed,
    ActorStopped,
    Address,
    Intensity,
    Supervisor,
    WeakAddress,
    WouldDeadlock,
    child,
    current,
    pool,
)
from supervise.testing.virtual_time import at_rest
from tests.actor.streamers import OFTEN, Model, read, take
from tests.doubles import Boom, Outcomes

pytestmark = pytest.mark.anyio


async def test_streams_of_a_pool_run_on_as_many_workers() -> None:
    async with Supervisor("app", pool(Model, size=2, name="models")) as app, anyio.create_task_group() as group:
        models: Address[Model] = app.find("models")
        outcomes = Outcomes(group)
        async with models.stream_from(Model.numbers) as first, models.stream_from(Model.numbers) as second:
            assert (await take(first, 3), await take(second, 3)) == ([0, 1, 2], [0, 1, 2])
            await at_rest()
            await outcomes.watch("third", read(models, Model.numbers, 2))
            await at_rest()
            assert outcomes.of == {}
            assert models.account().in_hand == 2
        await at_rest()
        assert outcomes.of == {"third": [0, 1]}
        assert models.account() == (3, 3, 0, 0, 0, 0, 0)


async def test_the_reader_may_call_the_pool_whose_worker_waits_for_it() -> None:
    async with Supervisor("app", pool(Model, size=2, name="models")) as app:
        models: Address[Model] = app.find("models")
        async with models.stream_from(Model.numbers) as numbers:
            await take(numbers, 3)
            await at_rest()
            assert await models.call(Model.note, 1) == 1
            with anyio.move_on_after(1) as scope:
                async with models.stream_from(Model.numbers) as others:
                    await anext(others)
                    await models.call(Model.note, 2)  # it isn't certain: a worker may be added
            assert scope.cancelled_caught


@pytest.mark.parametrize("redeliver", [0, 1])
async def test_a_worker_that_crashes_is_another_ones_affair_only_if_nothing_was_taken(redeliver: int) -> None:
    async with Supervisor("app", pool(Model, size=2, name="models", redeliver=redeliver), intensity=OFTEN) as app:
        models: Address[Model] = app.find("models")
        async with models.stream_from(Model.by_the_second, 3, Boom("late")) as numbers:
            with pytest.raises(ActorCrashed, match=r"models/\d #1 crashed with Model.by_the_second in hand"):
                async for _ in numbers:
                    pass
        async with models.stream_from(Model.numbers, 0, Boom("at once")) as numbers:
            with pytest.raises(ActorCrashed):
                await anext(numbers)
        assert models.account() == (2, 0, 2, 0, 0, 0, 0)


@pytest.mark.parametrize("redeliver", [0, 1])
async def test_a_worker_that_has_to_go_closes_the_stream_that_waits_and_another_one_may_begin_it(redeliver: int) -> None:
    async with Supervisor("app", pool(Model, size=2, name="models", redeliver=redeliver)) as app:
        models: Address[Model] = app.find("models")
        resized = anyio.Event()

        async def read_later() -> list[Any]:
            async with models.stream_from(Model.numbers, 20) as numbers:
                await resized.wait()
                return [number async for number in numbers]

        async with anyio.create_task_group() as group:
            outcomes = Outcomes(group)
            await outcomes.watch(1, read_later())
            await outcomes.watch(2, read_later())
            await at_rest()
            await app.resize("models", 1)
            resized.set()
            await at_rest()
            whole = [end for end in outcomes.of.values() if end == [*range(20)]]
            stopped = [end for end in outcomes.of.values() if isinstance(end, ActorStopped)]
            assert (len(whole), len(stopped)) == ((2, 0) if redeliver else (1, 1))
        assert models.account().balanced


async def test_a_worker_that_calls_the_actor_that_reads_it_is_a_cycle() -> None:
    class Asking(Model):
        async def asks(self, other: WeakAddress[Any]) -> AsyncIterator[Any]:
            yield await other.call(Model.note, 1)

    async def read_one(_: Model, models: Address[Asking]) -> Any:
        async with models.stream_from(Asking.asks, current().address) as items:
            return await anext(items)

    async with Supervisor("app", pool(Asking, size=2, name="models"), child(Model), intensity=OFTEN) as app:
        with pytest.raises(ActorCrashed, match="would wait for itself for ever"):
            await app.find("model").call(read_one, app.find("models"))


@pytest.mark.parametrize("way", ["reads", "leaves"])
async def test_a_wait_for_a_worker_that_already_waits_for_the_reader_is_a_cycle(way: str) -> None:
    class Asking(Model):
        async def asks(self, other: WeakAddress[Any]) -> AsyncIterator[Any]:
            yield await other.call(Model.note, 1)

    async def read_late(_: Model, models: Address[Asking]) -> None:
        async with models.stream_from(Asking.asks, current().address) as items:
            await at_rest()  # the worker's call waits behind this message
            if way == "reads":
                await anext(items)

    async with Supervisor("app", pool(Asking, size=2, name="models"), child(Model), intensity=OFTEN) as app:
        path = "app/model -> app/models -> app/models/1 -> app/model: this call of .*asks would wait for itself for ever"
        with pytest.raises(ActorCrashed, match=path):
            await app.find("model").call(read_late, app.find("models"))


async def test_with_concurrency_all_streams_run_beside_each_other() -> None:
    async with Supervisor("app", child(Model, concurrency=2)) as app:
        model: Address[Model] = app.find("model")
        async with model.stream_from(Model.numbers) as first:
            await anext(first)
            await at_rest()
            assert await model.call(Model.note, "beside") > 1
            async with model.stream_from(Model.numbers) as second:
                assert await take(second, 3) == [0, 1, 2]
                await at_rest()
                with anyio.move_on_after(1) as scope:
                    await model.call(Model.note, "no place")
                assert scope.cancelled_caught


async def test_the_task_of_a_stream_is_named_after_its_handler() -> None:
    class Named(Model):
        async def name(self) -> AsyncIterator[str | None]:
            yield anyio.get_current_task().name

    async with Supervisor("app", child(Named, concurrency=2)) as app:
        [name] = await read(app.find("named"), Named.name)
        assert "Named.name" in name


async def test_a_start_that_reads_what_starts_after_it_would_deadlock() -> None:
    class Early(Model):
        async def __aenter__(self) -> Self:
            later: Address[Model] = current().find("later")
            async with later.stream_from(Model.numbers, 3) as numbers:
                with pytest.raises(WouldDeadlock):
                    await anext(numbers)
            return self

        async def __aexit__(self, *_: object) -> None:
            pass

    async with Supervisor("app", child(Early), child(Model, name="later"), intensity=Intensity(1)) as app:
        assert await read(app.find("later"), Model.numbers, 2) == [0, 1]
        assert app.find("later").account().abandoned == 1


async def test_an_actor_may_hand_on_what_it_reads() -> None:
    class Upper(Model):
        async def doubled(self, source: Address[Model], many: int) -> AsyncIterator[int]:
            async with source.stream_from(Model.numbers, many) as numbers:
                async for number in numbers:
                    yield 2 * number

    async with Supervisor("app", child(Model), child(Upper)) as app:
        upper: Address[Upper] = app.find("upper")
        assert await read(upper, Upper.doubled, app.find("model"), 100) == [*range(0, 200, 2)]
        async with upper.stream_from(Upper.doubled, app.find("model"), 10**9) as numbers:
            await take(numbers, 3)
        assert app.find("model").account() == (2, 2, 0, 0, 0, 0, 0)
