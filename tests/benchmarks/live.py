"""`python -m tests.benchmarks.live [SCENARIO...] [--rounds 7] [--seconds 5]`: what it costs a tree to be watched.

Each scenario is a tree in a process of its own, served by a socket, with 0, 1 and 5 watchers at one look a second, in turns
within one run: the chat server under load, and so many idle actors. For each turn: the processor time of the tree's process, as
percent of a core, and how late a timer of 1 ms is, at its 99.9th percentile. Watchers and chat clients are in other processes.
Medians over the rounds, and how much more it is than with nobody watching; it exits with 1 if that is over a limit.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager
from tempfile import TemporaryDirectory
from typing import IO, Any, Final, NamedTuple

from supervise import DynamicSupervisor
from supervise.cli import chat
from supervise.live import Client, serve

SCENARIOS: Final = ("chat", "1000", "20000", "100000")
WATCHERS: Final = (0, 1, 5)
MOST_POINTS: Final = 3.0
"""Of a core, more than with nobody watching."""
MOST_LATE: Final = 5.0
"""Milliseconds more."""
CLIENTS, ROOMS, LINES = 60, 10, 7
"""Of the chat: so many clients in so many rooms, each says so many lines a second; each is a message to all in the room."""
TICK: Final = 0.001


class Turn(NamedTuple):
    """What was seen of the tree's process in one turn."""

    cpu: float
    """Percent of a core."""
    late: float
    """Milliseconds that a timer of 1 ms was late, at the 99.9th percentile."""
    messages: int


class Idle:
    """It has nothing to do."""


# -- the tree's process ----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def tree(scenario: str) -> AsyncGenerator[tuple[Any, int]]:
    """The tree, and the port of the chat."""
    if scenario == "chat":
        async with chat.tree() as app:
            yield app, await app.find("listener").call(chat.Listener.port)
        return
    async with DynamicSupervisor("app") as app:
        for _ in range(int(scenario)):
            await app.start(Idle)
        yield app, 0


async def run_tree(scenario: str, path: str) -> None:
    """Say the port; then, for each line that is read, take a turn of so many seconds and say what was seen."""
    loop = asyncio.get_running_loop()
    async with tree(scenario) as (app, port), serve(app, path):
        print(port, flush=True)
        while line := (await loop.run_in_executor(None, sys.stdin.readline)).strip():
            lates: list[float] = []
            over = loop.time() + float(line)
            handled, used, began = app.account().handled, time.process_time(), time.perf_counter()
            while loop.time() < over:
                due = loop.time() + TICK
                await asyncio.sleep(TICK)
                lates.append(loop.time() - due)
            passed = time.perf_counter() - began
            cpu = 100 * (time.process_time() - used) / passed
            late = 1000 * statistics.quantiles(lates, n=1000)[-1]
            print(cpu, late, app.account().handled - handled, flush=True)


# -- the chat's clients, in a process of their own -------------------------------------------------------------------------


async def run_clients(port: int) -> None:
    async def client(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"NICK c{number}\nJOIN room{number % ROOMS}\n".encode())

        async def hear() -> None:
            while await reader.read(65536):
                pass

        hearing = asyncio.create_task(hear())
        try:
            while not hearing.done():
                await asyncio.sleep(1 / LINES)
                writer.write(b"SAY something of some length that people say\n")
                await writer.drain()
        finally:
            hearing.cancel()
            writer.close()

    await asyncio.gather(*(client(number) for number in range(CLIENTS)), return_exceptions=True)


# -- who measures ----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def process(*words: str) -> Generator[subprocess.Popen[str]]:
    """One of the others; it ends with the block."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.live", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        try:
            yield other
        finally:
            other.kill()


@contextlib.contextmanager
def watched(path: str, watchers: int) -> Generator[None]:
    """So many look once a second, in threads of this process."""
    over = threading.Event()
    began = [threading.Event() for _ in range(watchers)]

    def watch(seen: threading.Event) -> None:
        frames = Client(path, timeout=120.0).stream()
        try:
            for _ in frames:
                seen.set()
                if over.is_set():
                    return
        finally:
            frames.close()

    threads = [threading.Thread(target=watch, args=(seen,)) for seen in began]
    for thread in threads:
        thread.start()
    for seen in began:
        seen.wait()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def measure(scenario: str, rounds: int, seconds: float) -> dict[int, list[Turn]]:
    """All turns, by the number of watchers."""
    turns: dict[int, list[Turn]] = {watchers: [] for watchers in WATCHERS}
    with TemporaryDirectory(prefix="live-") as folder, contextlib.ExitStack() as stack:
        path = os.path.join(folder, "tree.sock")
        of_tree = stack.enter_context(process("--tree", scenario, path))
        asked, told = _both(of_tree)
        port = int(told.readline())
        if port:
            stack.enter_context(process("--clients", str(port)))
            take(asked, told, 3.0)  # until all have joined
        for number in range(rounds):
            for watchers in WATCHERS[:: 1 if number % 2 else -1]:
                with watched(path, watchers):
                    turns[watchers].append(take(asked, told, seconds))
        asked.write("\n")
        asked.flush()
    return turns


def _both(other: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    assert other.stdin is not None
    assert other.stdout is not None
    return other.stdin, other.stdout


def take(asked: IO[str], told: IO[str], seconds: float) -> Turn:
    asked.write(f"{seconds}\n")
    asked.flush()
    cpu, late, messages = told.readline().split()
    return Turn(float(cpu), float(late), int(messages))


def report(scenario: str, turns: dict[int, list[Turn]], seconds: float) -> bool:
    """Print the medians, and say whether none is over its limit."""
    good = True
    least = {name: statistics.median(getattr(turn, name) for turn in turns[0]) for name in ("cpu", "late")}
    for watchers, seen in turns.items():
        cpu, late = (statistics.median(getattr(turn, name) for turn in seen) for name in ("cpu", "late"))
        more, later = cpu - least["cpu"], late - least["late"]
        rate = statistics.median(turn.messages for turn in seen) / seconds
        over = more > MOST_POINTS or later > MOST_LATE
        good = good and not over
        print(
            f"{scenario:>8} {watchers:>8} {rate:>9.0f}/s {cpu:>8.2f} % {more:>+7.2f} {late:>9.2f} ms {later:>+7.2f}"
            f"{'  OVER' if over else ''}",
            flush=True,
        )
    return good


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.live", description=__doc__)
    parser.add_argument("scenarios", nargs="*", choices=[*SCENARIOS, []], help="all")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--tree", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--clients", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.tree is not None:
        asyncio.run(run_tree(*given.tree))
        return 0
    if given.clients is not None:
        asyncio.run(run_clients(given.clients))
        return 0
    print(f"{'tree':>8} {'watchers':>8} {'messages':>11} {'processor':>10} {'more':>7} {'timer late':>12} {'more':>7}")
    found = [report(name, measure(name, given.rounds, given.seconds), given.seconds) for name in given.scenarios or SCENARIOS]
    print(f"limits: {MOST_POINTS:g} points of a core and {MOST_LATE:g} ms more than with nobody watching")
    return 0 if all(found) else 1


if __name__ == "__main__":
    sys.exit(main())
