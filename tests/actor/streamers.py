"""Actors that yield, and how the tests of streamed replies read them."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import anyio

from supervise import (
    Address,
    Intensity,
    WeakAddress,
    concurrent,
    current,
)
from tests.doubles import Boom, Gate

OFTEN = Intensity(100)


class Model:
    """Yields numbers, and notes what becomes of the generators."""

    def __init__(self, log: list[Any] | None = None) -> None:
        self.log: list[Any] = [] if log is None else log

    async def numbers(self, many: float = math.inf, crash: Exception | None = None) -> AsyncIterator[int]:
        number = 0
        try:
            while number < many:
                yield number
                self.log.append(number)
                number += 1
            if crash is not None:
                raise crash
        finally:
            self.log.append("closed")

    async def by_the_second(self, many: float = math.inf, crash: Exception | None = None) -> AsyncGenerator[int]:
        number = 0
        try:
            while number < many:
                await anyio.sleep(1)
                yield number
                number += 1
            if crash is not None:
                raise crash
        except BaseException as error:
            self.log.append("closed" if isinstance(error, GeneratorExit) else "cancelled")
            raise

    @concurrent(limit=2)
    async def beside(self, many: float = math.inf) -> AsyncIterator[int]:
        try:
            number = 0
            while number < many:
                yield number
                number += 1
        finally:
            self.log.append("closed")

    @concurrent
    async def by_the_second_beside(self) -> AsyncGenerator[int]:
        async with aclosing(self.by_the_second()) as numbers:
            async for number in numbers:
                yield number

    async def after(self, gate: Gate, *items: Any) -> AsyncIterator[Any]:
        await gate.walk_through()
        for item in items:
            yield item

    async def where(self, tasks: list[Any]) -> AsyncIterator[Any]:
        tasks.append(anyio.get_current_task().id)
        try:
            while True:
                yield current().path, current().incarnation
        finally:
            await anyio.sleep(1)
            tasks.append(anyio.get_current_task().id)

    async def held_in_finally(self, gate: Gate) -> AsyncIterator[int]:
        try:
            while True:
                yield 1
        finally:
            await gate.walk_through()
            self.log.append("closed")

    async def crashes_when_closed(self, many: float = math.inf) -> AsyncIterator[int]:
        try:
            number = 0
            while number < many:
                yield number
                number += 1
        finally:
            raise Boom("as it was closed")

    async def yields_when_closed(self) -> AsyncIterator[int]:
        while True:
            try:
                yield 1
            except GeneratorExit:
                self.log.append("swallowed")
                yield 2
                raise

    async def yields_a_last_word(self, words: int = 1) -> AsyncIterator[int]:
        """As one who forgets that its reader may have left."""
        task = anyio.get_current_task().id
        try:
            while True:
                yield 1
        finally:
            try:
                for _ in range(words):
                    try:
                        yield 2
                    except GeneratorExit:
                        self.log.append("told again")
            finally:
                self.log.append("closed" if anyio.get_current_task().id == task else "closed in another task")

    async def checks_and_waits(self) -> AsyncIterator[int]:
        current().checkpoint("on the way")
        number = 0
        while True:
            yield number
            number += 1

    async def last(self) -> Any:
        found = current().last_checkpoint
        return None if found is None else found.value

    async def hold(self, gate: Gate) -> None:
        await gate.walk_through()

    def note(self, entry: Any) -> int:
        self.log.append(entry)
        return len(self.log)

    async def crash(self) -> None:
        raise Boom("elsewhere")

    def crash_beside(self) -> None:
        current().nursery.start_soon(self.crash)


async def read(address: Address[Any] | WeakAddress[Any], handler: Any, *args: Any, got: list[Any] | None = None) -> list[Any]:
    got = [] if got is None else got
    async with address.stream_from(handler, *args) as items:
        async for item in items:
            got.append(item)
    return got


async def take(items: AsyncIterator[Any], many: int) -> list[Any]:
    return [await anext(items) for _ in range(many)]
