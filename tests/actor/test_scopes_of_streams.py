"""A generator may have a cancel scope or a task group open where it yields.

Tested: SEMANTICS 81 with 23: leaving closes it and crashes nobody, a kill and a stop are what they are, and a scope that is
cancelled while the generator waits for its reader reaches the generator, as it would reach an `await`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import anyio
import pytest

from supervise import ActorCrashed, ActorStopped, Address, Supervisor, child
from supervise.testing.virtual_time import at_rest
from tests.actor.streamers import OFTEN, take
from tests.doubles import Boom

pytestmark = pytest.mark.anyio


class Scoped:
    """Yields inside of scopes."""

    def __init__(self, log: list[Any] | None = None) -> None:
        self.log: list[Any] = [] if log is None else log

    async def grouped(self, crash: Exception | None = None) -> AsyncIterator[int]:
        async def beside() -> None:
            await anyio.sleep(5)
            if crash is not None:
                raise crash

        number = 0
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(beside)
                while True:
                    yield number
                    number += 1
        finally:
            self.log.append("closed")

    async def moves_on(self) -> AsyncIterator[int]:
        with anyio.move_on_after(5):
            while True:
                yield 1
        self.log.append("moved on")
        yield 2

    async def fails(self) -> AsyncIterator[int]:
        with anyio.fail_after(5):
            while True:
                yield 1

    async def crashes_when_closed(self) -> AsyncIterator[int]:
        async with anyio.create_task_group():
            try:
                while True:
                    yield 1
            finally:
                raise Boom("as it was closed")

    async def answers(self) -> str:
        await anyio.sleep(1)
        return "lives"


class Native:
    """With a task group of asyncio's own."""

    async def grouped(self) -> AsyncIterator[int]:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(1000))
            while True:
                yield 1


@pytest.mark.parametrize("concurrency", [None, 2])
async def test_leaving_closes_a_generator_with_an_open_task_group_and_crashes_nobody(concurrency: int | None) -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Scoped, log, concurrency=concurrency)) as app:
        scoped: Address[Scoped] = app.find("scoped")
        async with scoped.stream_from(Scoped.grouped) as items:
            assert await take(items, 2) == [0, 1]
            await at_rest()
        await at_rest()
        assert log == ["closed"]
        assert scoped.account() == (1, 1, 0, 0, 0, 0, 0)
        assert await scoped.call(Scoped.answers) == "lives"


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_so_it_does_with_one_of_asyncios_own() -> None:
    async with Supervisor("app", child(Native)) as app:
        native: Address[Native] = app.find("native")
        async with native.stream_from(Native.grouped) as items:
            await take(items, 2)
        assert native.account() == (1, 1, 0, 0, 0, 0, 0)


@pytest.mark.parametrize("concurrency", [None, 2])
@pytest.mark.parametrize("way", ["kill", "stop"])
async def test_a_kill_and_a_stop_of_one_are_no_crash(concurrency: int | None, way: str) -> None:
    log: list[Any] = []
    ends: list[str] = []
    scopes = child(Scoped, log, concurrency=concurrency)
    async with Supervisor("app", scopes, intensity=OFTEN, listener=lambda event: ends.append(str(event))) as app:
        scoped: Address[Scoped] = app.find("scoped")
        with pytest.raises(ActorStopped):
            async with scoped.stream_from(Scoped.grouped) as items:
                await take(items, 2)
                await at_rest()
                if way == "kill":
                    scoped.kill()
                else:
                    await scoped.stop()
                async for _ in items:
                    pass
        await at_rest()
        assert log == ["closed"]
        assert f"app/scoped #1 ended: {'killed' if way == 'kill' else 'normal'}" in ends


async def test_what_else_is_raised_as_it_is_closed_is_a_crash_as_ever() -> None:
    async with Supervisor("app", child(Scoped), intensity=OFTEN) as app:
        scoped: Address[Scoped] = app.find("scoped")
        with pytest.raises(ActorCrashed) as caught:
            async with scoped.stream_from(Scoped.crashes_when_closed) as items:
                await take(items, 2)
        group = cast("ExceptionGroup[Exception]", caught.value.__cause__)
        assert [type(error) for error in group.exceptions] == [Boom]


@pytest.mark.parametrize("concurrency", [None, 2])
async def test_a_task_of_its_group_that_crashes_while_it_waits_for_its_reader_is_the_cause(concurrency: int | None) -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Scoped, log, concurrency=concurrency), intensity=OFTEN) as app:
        scoped: Address[Scoped] = app.find("scoped")
        got: list[int] = []
        with pytest.raises(ActorCrashed) as caught:
            async with scoped.stream_from(Scoped.grouped, Boom("beside")) as items:
                await anyio.sleep(10)
                got.extend([item async for item in items])
        group = cast("ExceptionGroup[Exception]", caught.value.__cause__)
        assert [type(error) for error in group.exceptions] == [Boom]
        assert log == ["closed"]
        assert await scoped.call(Scoped.answers) == "lives"


@pytest.mark.parametrize("buffer", [1, 16, 1000])
@pytest.mark.parametrize("concurrency", [None, 2])
async def test_a_scope_that_is_cancelled_while_it_waits_for_its_reader_reaches_the_generator(
    concurrency: int | None, buffer: int
) -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Scoped, log, concurrency=concurrency)) as app:
        scoped: Address[Scoped] = app.find("scoped")
        async with scoped.options(buffer=buffer).stream_from(Scoped.moves_on) as items:
            await anyio.sleep(10)
            assert log == ["moved on"]
            got = [item async for item in items]
        assert got == [*[1] * (len(got) - 1), 2]
        assert await scoped.call(Scoped.answers) == "lives"
        assert scoped.account() == (2, 2, 0, 0, 0, 0, 0)


async def test_so_its_own_deadline_is_what_it_says() -> None:
    async with Supervisor("app", child(Scoped), intensity=OFTEN) as app:
        scoped: Address[Scoped] = app.find("scoped")
        with pytest.raises(ActorCrashed, match="TimeoutError"):
            async with scoped.stream_from(Scoped.fails) as items:
                await anyio.sleep(10)
                async for _ in items:
                    pass
        assert await scoped.call(Scoped.answers) == "lives"
