"""`python -m tests.walk`: the files that one send, and one crash, go through, in the order in which the data goes.

A step is a call from one file of the library into another one; returns aren't shown. A step up is a call from a room into one
that stands above it: what is below only knows that as a protocol.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import supervise
from supervise import Address, Intensity, Supervisor
from supervise.testing import virtual_time
from supervise.testing.virtual_time import at_rest

from .house import floor_of

ROOT = Path(supervise.__file__).parents[1]


class Step(NamedTuple):
    by: str
    to: str
    function: str


class Walk(NamedTuple):
    files: tuple[str, ...]
    """In the order in which they are entered."""
    steps: tuple[Step, ...]
    """Each call from one into another."""

    @property
    def up(self) -> list[Step]:
        """The steps that go up."""
        return [step for step in self.steps if _floor(step.to) > _floor(step.by)]


def _floor(file: str) -> int:
    floor = floor_of(file.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
    assert floor is not None
    return floor


class Walker:
    def __init__(self) -> None:
        self.files: list[str] = []
        self.steps: list[Step] = []

    def step(self, frame: FrameType, event: str, _: Any) -> None:
        here = ours(frame)
        if event != "call" or here is None:
            return
        if not self.files or self.files[-1] != here:
            self.files.append(here)
        back = frame.f_back
        while back is not None and ours(back) is None:
            back = back.f_back
        came_from = None if back is None else ours(back)
        if came_from is not None and came_from != here:
            self.steps.append(Step(came_from, here, frame.f_code.co_name))


def ours(frame: FrameType) -> str | None:
    """The file of a frame, from the library's root on; None: it isn't the library's."""
    path = Path(frame.f_code.co_filename)
    for root in (ROOT / "supervise", ROOT / "strategies" / "supervise_strategies"):
        if path.is_relative_to(root) and not path.is_relative_to(root / "testing"):
            return str(path.relative_to(root.parent))
    return None


class Counter:
    def __init__(self) -> None:
        self.total = 0

    async def add(self, amount: int) -> None:
        self.total += amount

    async def crash(self, amount: int) -> None:
        raise ValueError(amount)


async def walk(deed: Callable[[Address[Counter]], Awaitable[None]]) -> Walk:
    """What one deed sets off, until all is at rest again."""
    walker = Walker()
    async with Supervisor("app", intensity=Intensity(10, per=5), tracing=False) as app:
        counter = await app.start(Counter)
        for _ in range(2):  # handlers are looked up once
            await counter.send(Counter.add, 1)
            await counter.send(Counter.crash, 1)
            await at_rest()
        await counter.send(Counter.add, 1)  # after which it sleeps
        await at_rest()
        sys.setprofile(walker.step)
        try:
            await deed(counter)
            await at_rest()
        finally:
            sys.setprofile(None)
    return Walk(tuple(walker.files), tuple(walker.steps))


async def one_send(counter: Address[Counter]) -> None:
    await counter.send(Counter.add, 1)


async def one_crash(counter: Address[Counter]) -> None:
    await counter.send(Counter.crash, 1)


def main() -> None:
    logging.disable()  # what crashes is told in the walk
    for title, deed in (("one send", one_send), ("one crash", one_crash)):
        found = virtual_time.run("asyncio", partial(walk, deed))
        print(f"{title}: {len(found.files)} entries into {len(set(found.files))} files, {len(found.up)} steps up")
        print("  " + "\n  ".join(found.files))


if __name__ == "__main__":
    main()
