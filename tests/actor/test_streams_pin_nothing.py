"""What a stream has ended with, and what it was asked with, is let go as its block is left, without a collector.

Tested: SEMANTICS 34, of streamed replies and of calls that would wait for themselves: a frame that holds the exception whose
traceback holds the frame keeps all that the reader had at hand, however large that is, until the collector comes.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from supervise import ActorCrashed, Address, CallCycle, Supervisor, child
from supervise.testing.virtual_time import at_rest
from tests.actor.streamers import OFTEN
from tests.doubles import Boom

pytestmark = pytest.mark.anyio


class Cargo:
    """Something that can be watched going away."""


class Carrier:
    async def carry(self, _: Cargo, many: int = 50) -> AsyncIterator[int]:
        for number in range(many):
            yield number

    async def crash(self, _: Cargo) -> AsyncIterator[int]:
        yield 1
        raise Boom

    async def hang(self, _: Cargo) -> AsyncIterator[int]:
        yield 1
        await anyio.sleep(100)

    async def take(self, _: Cargo) -> None:
        pass


async def read(carrier: Address[Carrier], handler: Any, cargo: Cargo, *more: Any) -> None:
    async with carrier.stream_from(handler, cargo, *more) as items:
        async for _ in items:
            pass


async def catch_in_the_block(carrier: Address[Carrier], cargo: Cargo) -> None:
    async with carrier.stream_from(Carrier.crash, cargo) as items:
        with pytest.raises(ActorCrashed):
            async for _ in items:
                pass


async def meet(carrier: Address[Carrier], way: str, cargo: Cargo) -> None:
    """One stream with that end. Errors are dropped at once."""
    try:
        match way:
            case "all is read":
                await read(carrier, Carrier.carry, cargo)
            case "a crash":
                await read(carrier, Carrier.crash, cargo)
            case "a crash that is caught in the block":
                await catch_in_the_block(carrier, cargo)
            case "a timeout":
                await read(carrier.options(timeout=5), Carrier.hang, cargo)
            case "a misfit":
                await read(carrier, Carrier.carry, cargo, 1, 2, 3)
            case "an error of the block":
                async with carrier.stream_from(Carrier.carry, cargo):
                    raise Boom
            case "a cycle":
                async with carrier.stream_from(Carrier.carry, cargo) as items:
                    await anext(items)
                    await at_rest()
                    await carrier.call(Carrier.take, cargo)
            case _:
                async with carrier.stream_from(Carrier.carry, cargo):
                    await carrier.call(Carrier.take, cargo)
    except (ActorCrashed, Boom, CallCycle, TimeoutError, TypeError):
        pass


WAYS = [
    "all is read",
    "a crash",
    "a crash that is caught in the block",
    "a timeout",
    "a misfit",
    "an error of the block",
    "a cycle",
    "a cycle that is met as the generator begins to wait",
]


@pytest.mark.parametrize("way", WAYS)
async def test_what_a_stream_was_asked_with_is_free_without_a_collector(way: str) -> None:
    async with Supervisor("app", child(Carrier), intensity=OFTEN) as app:
        carrier: Address[Carrier] = app.find("carrier")
        await meet(carrier, way, Cargo())
        await anyio.sleep(300)
        gc.collect()
        gc.disable()
        try:
            cargo = Cargo()
            gone = weakref.ref(cargo)
            await meet(carrier, way, cargo)
            del cargo
            await anyio.sleep(300)
            await at_rest()
            assert gone() is None
        finally:
            gc.enable()
