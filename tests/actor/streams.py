"""Streams of many items, and what they leave: `python -m tests.actor.streams [--items 1000000] [--backend asyncio|trio]`.

One stream after the other, in the actor's turn and beside it, with a reader that keeps up and one that is slow now and then;
some are left in the middle, one crashes there, and one is stopped there. It prints what it saw, and exits with 1 if a promise
was broken: an item that is missing, memory that grows with the items, a message unaccounted for, a task or a future left.
"""

from __future__ import annotations

import argparse
import gc
import logging
import sys
import time
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any, Final

import anyio
import anyio.lowlevel

from supervise import ActorCrashed, ActorStopped, Address, Supervisor, child, concurrent
from supervise.testing import left_over

MOST_BYTES: Final = 50_000
"""Of memory that a stream may have more at its end than at its first tenth; the items of one buffer are 2,000."""


class Source:
    """Yields fresh objects, each of some size, so that one that is kept is seen."""

    closed: int = 0

    async def items(self, many: int, crash: int | None = None) -> AsyncIterator[list[int]]:
        try:
            for number in range(many):
                if number == crash:
                    raise ValueError("in the middle")
                yield [number] * 8
                if not number % 1000:
                    await anyio.lowlevel.checkpoint()
        finally:
            type(self).closed += 1

    @concurrent
    async def items_beside(self, many: int) -> AsyncIterator[list[int]]:
        try:
            for number in range(many):
                yield [number] * 8
        finally:
            type(self).closed += 1


async def _read(address: Address[Source], handler: Any, many: int, *, pause: int, broken: list[str]) -> tuple[int, int]:
    """Read all of them; the memory that was in use at the first tenth, and at the end."""
    expected, early = 0, 0
    async with address.stream_from(handler, many) as items:
        async for item in items:
            if item[0] != expected:
                broken.append(f"item {expected} was {item[0]}")
                break
            expected += 1
            if pause and not expected % pause:
                await anyio.lowlevel.checkpoint()
            if expected == many // 10:
                early = _in_use()
        late = _in_use()
    if expected != many:
        broken.append(f"{expected} items of {many}")
    return early, late


async def _read_a_crash(address: Address[Source], many: int) -> list[str]:
    got = 0
    try:
        async with address.stream_from(Source.items, many, crash=many // 2) as items:
            async for _ in items:
                got += 1
    except ActorCrashed:
        return [] if got == many // 2 else [f"{got} items of {many // 2} before the crash"]
    return ["a crash that nobody was told of"]


async def _read_a_stop(address: Address[Source], many: int) -> list[str]:
    got = 0
    try:
        async with address.stream_from(Source.items, many) as items:
            async for _ in items:
                got += 1
                if got == many // 2:
                    await address.stop()
    except ActorStopped:
        return [] if many // 2 <= got < many else [f"{got} items of {many}, stopped after half of them"]
    return ["a stop that the reader wasn't told of"]


def _in_use() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


async def run(many: int) -> list[str]:
    """The promises that were broken."""
    broken: list[str] = []
    watch = left_over.watch()
    tracemalloc.start()
    before, begun = Source.closed, time.perf_counter()
    try:
        async with Supervisor("app", child(Source)) as app:
            source: Address[Source] = app.find("source")
            for handler in (Source.items, Source.items_beside):
                for pause in (0, 7):
                    early, late = await _read(source, handler, many, pause=pause, broken=broken)
                    if late - early > MOST_BYTES:
                        broken.append(f"{late - early} bytes more after {many} items of {handler.__name__}")
                async with source.stream_from(handler, many) as items:
                    async for item in items:
                        if item[0] == many // 2:
                            break
            broken += await _read_a_crash(source, many)
            broken += await _read_a_stop(source, many)
            account = source.account()
            if not account.balanced or account.queued or account.in_hand or account.accepted != 8:
                broken.append(f"{account}")
            if Source.closed - before != 8:
                broken.append(f"{Source.closed - before} of 8 generators were closed")
            print(f"8 streams of {many} items, {time.perf_counter() - begun:.1f} s; {account}")
    finally:
        tracemalloc.stop()
    await anyio.lowlevel.checkpoint()
    return broken + watch.left()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.actor.streams", description="Streams of many items.")
    parser.add_argument("--backend", choices=["asyncio", "trio"], default="asyncio")
    parser.add_argument("--items", type=int, default=1_000_000)
    said = parser.parse_args()
    logging.getLogger("supervise").setLevel(logging.CRITICAL)  # one crash, as asked for
    broken = anyio.run(run, said.items, backend=said.backend)
    print("\n".join(broken) or f"none broke a promise on {said.backend}")
    return bool(broken)


if __name__ == "__main__":
    sys.exit(main())
