"""A program that is always busy, for the kill loop: actors that call each other and crash, a process, a thread, one is stuck.

`python -m tests.cli.busy BACKEND` calls `anyio.run` itself, and gets KeyboardInterrupt. `busy_and_deaf` is the same for
`supervise run`, where what is stuck swallows its cancellation. It says "begin" before the event loop runs, and "busy" when all
has started. A line on stdin makes it say where it stands.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import gc
import os
import random
import sys
import threading
from typing import Any, cast

import anyio
import anyio.lowlevel
import trio

from supervise import CallError, Intensity, Supervisor, child, current
from supervise.actor.stack import await_stack, coroutine_of
from supervise.adapters.process import process
from supervise.adapters.thread import thread
from supervise.tree.tree import Tree

LOST = "asyncio has lost a step of"
PATIENCE = 0.4  # seconds for a stop of each
BUDGET = 1.0
ACTORS = 4


class Worker:
    """Asks the next one, all the time, and crashes now and then."""

    def __init__(self, number: int) -> None:
        self.next: str = str((number + 1) % ACTORS)

    async def __aenter__(self) -> Worker:
        current().nursery.start_soon(self.ask_on)
        return self

    async def __aexit__(self, *_: object) -> None:
        await anyio.lowlevel.checkpoint()

    async def ask_on(self) -> None:
        other = current().find(self.next)
        while True:
            with contextlib.suppress(CallError):
                await other.call(Worker.work, random.random())
            await anyio.sleep(random.choice((0, 0, 0.001, 0.003)))

    async def work(self, dice: float) -> float:
        if dice < 0.01:
            raise RuntimeError("unlucky")
        if dice < 0.2:
            await anyio.lowlevel.checkpoint()
        return dice


class Stuck:
    """Waits in a handler, for ever; if it is deaf, whoever cancels it."""

    def __init__(self, deaf: bool) -> None:
        self.deaf = deaf

    async def wait(self) -> None:
        print("busy", flush=True)
        while True:
            try:
                await anyio.sleep(3600)
            except BaseException:
                if not self.deaf:
                    raise


def beat(stop: threading.Event) -> None:
    while not stop.wait(0.01):
        pass


def tree(deaf: bool) -> Supervisor:
    often = Intensity(10_000, per=10_000.0)
    worker = [child(Worker, number, name=str(number), stop_within=PATIENCE) for number in range(ACTORS)]
    shell = ["sh", "-c", "echo up; while :; do sleep 3600 & wait; done"]
    return Supervisor(
        "app",
        child(thread(beat), name="thread", stop_within=PATIENCE),
        child(process(shell, ready="up"), name="process", stop_within=PATIENCE),
        Supervisor("workers", *worker, intensity=often),
        child(Stuck, deaf, name="stuck", stop_within=PATIENCE, on_tree_started=Stuck.wait),
        shutdown_budget=BUDGET,
    )


def say_where_it_stands() -> None:
    """Of a program that hangs: its threads, its tasks, and what is left of its tree."""
    sys.stdin.readline()
    faulthandler.dump_traceback(all_threads=True)
    for found in gc.get_objects():
        if isinstance(found, Tree):
            alive = [f"{place.mailbox.path} #{place.number}" for place in found.root.actors() if place.alive()]
            node = found.root.node
            phase = "no node" if node is None else f"{node.machine.phase}"
            print(f"tree: ended={found.ended} alive={alive} root: {phase}", file=sys.stderr)
        elif isinstance(found, asyncio.Task | trio.lowlevel.Task):
            task: Any = cast("Any", found)
            name = getattr(task, "name", None) or task.get_name()
            waiter = getattr(task, "_fut_waiter", None)
            if waiter is not None and waiter.done():  # asked while the loop waits for events: all that was ready has run
                print(f"{LOST} {name}", file=sys.stderr)
            stack = await_stack(coroutine_of(task))
            if stack:
                print(f"task {name}:", *stack, sep="\n  ", file=sys.stderr)
    sys.stderr.flush()


def listen() -> None:
    random.seed(os.environ.get("BUSY_SEED"))
    threading.Thread(target=say_where_it_stands, daemon=True).start()
    print("begin", flush=True)


async def serve() -> None:
    async with tree(deaf=False):
        await anyio.sleep_forever()


def main() -> int:
    try:
        listen()
        anyio.run(serve, backend=sys.argv[1])
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
