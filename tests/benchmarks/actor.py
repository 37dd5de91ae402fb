"""The actors that every asynchronous contestant runs: one handler is the same work for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextvars import ContextVar
from typing import Final

import trio

TENANT: Final[ContextVar[int]] = ContextVar("tenant")


class Counter:
    """`total` shows that nothing was skipped, and that a fresh instance began anew."""

    __slots__ = ("total",)

    def __init__(self) -> None:
        self.total = 0

    async def add(self, amount: int) -> int:
        self.total += amount
        return self.total

    async def add_for_tenant(self, amount: int) -> int:
        """It says for whom, as logs and spans ask it of a context variable."""
        TENANT.set(amount)
        self.total += amount
        return self.total

    def add_now(self, amount: int) -> int:
        self.total += amount
        return self.total

    async def add_later(self, amount: int) -> int:
        """A handler that suspends once, in the loop's own cheapest way."""
        await asyncio.sleep(0)
        self.total += amount
        return self.total

    async def count_to(self, amount: int) -> AsyncGenerator[int]:
        """Yields without ever suspending."""
        for number in range(amount):
            yield number

    async def crash(self, amount: int) -> int:
        raise ValueError(amount)


class TrioCounter(Counter):
    __slots__ = ()

    async def add_later(self, amount: int) -> int:
        await trio.lowlevel.checkpoint()
        self.total += amount
        return self.total
