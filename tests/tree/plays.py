"""Plays by the thousand, and how often each option took effect in them.

    python -m tests.tree.plays --backend asyncio --examples 20000 --seed 1
    python3.12 -m tests.tree.plays --examples 2000 --least 0 --loop eager

`--loop` says how asyncio's loop is set: `eager` has each task begin at once (CPython 3.12), `debug` is asyncio's own, `uvloop`
runs it all on uvloop.

It exits with 1 if a promise was broken, or if an option took effect less often than `--least` says.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import time
import warnings
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, cast

import anyio
from hypothesis import HealthCheck, given, seed, settings

from supervise import ImmortalLoopWarning
from supervise.testing import virtual_time

from .generators import Cast, Step, casts, steps
from .play import EFFECTS, Play

NAMES = (
    "redelivery",
    "quarantine",
    "retried start",
    "supervisor's start that waits",
    "paced restart",
    "reply",
    "cancelled handler",
    "late start",
    "beside each other",
    "greeting in a start",
    "WouldDeadlock",
    "instance() given",
    "instance() refused",
    "pool",
    "resize",
    "key that was tried again",
    "no key",
    "worker that left",
    "last worker that left",
    "streamed reply",
    "stream left early",
    "stream crashed in the middle",
    "stream begun again",
    "stream closed by a stop",
    "late stream",
    "cancelled reader",
    "cycle through a reader",
    "stream of another actor",
    "stream handed on",
    "stream in a start",
)


async def _under(kind: str, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
    if kind == "eager":
        loop: Any = asyncio.get_running_loop()
        loop.set_task_factory(getattr(asyncio, "eager_task_factory"))  # noqa: B009 - CPython 3.11 has none
    elif kind == "debug":
        asyncio.get_running_loop().set_debug(enabled=True)
    await run()


def _play(backend: str, kind: str, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
    if kind != "uvloop":
        virtual_time.run(backend, partial(_under, kind, run))
        return
    from .jumping_uvloop import JumpingUvloop

    anyio.run(virtual_time.never_hangs(run), backend_options={"loop_factory": JumpingUvloop})


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.tree.plays", description="Random plays.")
    parser.add_argument("--backend", choices=["asyncio", "trio"], default="asyncio")
    parser.add_argument("--examples", type=int, default=20_000)
    parser.add_argument("--least", type=int, default=100, help="how often each option has to take effect")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--loop", choices=["plain", "eager", "debug", "uvloop"], default="plain", help="how asyncio's is set")
    said = parser.parse_args()
    logging.getLogger("supervise").setLevel(logging.CRITICAL)  # thousands of crashes, as asked for
    warnings.simplefilter("ignore", ImmortalLoopWarning)
    begun, played = time.perf_counter(), 0

    @seed(said.seed)
    @settings(max_examples=said.examples, deadline=None, database=None, suppress_health_check=[*cast("Any", HealthCheck)])
    @given(cast=casts, steps=steps)
    def play(cast: Cast, steps: list[Step]) -> None:
        nonlocal played
        played += 1
        one = Play(said.backend, cast, steps)
        _play(said.backend, said.loop, one.run)
        EFFECTS.update(one.stage.effects)

    play()
    print(f"{played} plays on {said.backend}, none broke a promise, {time.perf_counter() - begun:.1f} s")
    for name in NAMES:
        print(f"{EFFECTS[name]:7}  {name}")
    return int(any(EFFECTS[name] < said.least for name in NAMES))


if __name__ == "__main__":
    raise SystemExit(main())
