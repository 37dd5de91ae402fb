"""Trees with something that ignores its stop, for `supervise run`; they say "there" when it is time for a signal.

`deaf:starting.coroutine`, and so on: when it is found ignoring its stop, and what it is.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from math import inf
from typing import Any

import anyio

from supervise import Supervisor, child, current
from supervise.adapters.own_thread import own_thread
from supervise.adapters.process import process
from supervise.adapters.thread import thread


def there() -> None:
    print("there", flush=True)


async def swallow() -> None:
    """Never end, whoever cancels."""
    while True:
        try:
            await anyio.sleep(3600)
        except BaseException:
            continue


class Actor:
    """A coroutine that is deaf in its enter hook, in a handler, or in its exit hook."""

    def __init__(self, deaf_in: str) -> None:
        self.deaf_in = deaf_in

    async def __aenter__(self) -> Actor:
        if self.deaf_in == "starting":
            there()
            await swallow()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.deaf_in == "stopping":
            there()
            await swallow()

    async def hang(self) -> None:
        there()
        await swallow()


class Blocking:
    """Its thread never comes back from its start."""

    def __init__(self) -> None:
        there()
        time.sleep(3600)


def silent(stop: threading.Event) -> None:
    """A thread that knows that it is to stop, and doesn't."""
    stop.wait()
    time.sleep(3600)


def loud(stop: threading.Event) -> None:
    stop.wait()
    there()
    time.sleep(3600)


class Announcer:
    """What is started last."""

    def built(self) -> None:
        there()

    def stop_all(self) -> None:
        current().stop_tree("enough")


class Patient:
    """What is stopped last, and takes its time."""

    async def __aenter__(self) -> Patient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await anyio.sleep_forever()


class Blocked:
    """Takes the whole event loop with it."""

    def hang(self) -> None:
        there()
        while True:
            pass


class Lingering:
    """Its tree ends in order, and the interpreter doesn't."""

    def keep(self) -> None:
        threading.Thread(target=self._stay).start()
        current().stop_tree("enough")

    def _stay(self) -> None:
        threading.main_thread().join()  # it is over when the interpreter's end begins
        there()
        time.sleep(3600)


class Forking:
    """Has a fork: a signal that ends that is no business of `supervise run`."""

    def fork(self) -> None:
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.write(writing, b"x")
            for _ in range(6000):  # not one long sleep: a signal just before it begins would be heard at its end
                time.sleep(0.01)
            os._exit(7)
        os.read(reading, 1)  # CPython drops the signals that come before the fork has come back in the child
        os.kill(pid, signal.SIGTERM)
        print("the fork was ended by signal", os.WTERMSIG(os.waitpid(pid, 0)[1]), flush=True)


def actor(deaf_in: str, **options: Any) -> Any:
    return child(Actor, deaf_in, name="deaf", stop_within=inf, **options)


def function(deaf: Callable[[threading.Event], None]) -> Any:
    return child(thread(deaf), name="deaf", stop_within=inf)


def shell(line: str, ready: str) -> Any:
    command = ["sh", "-c", f"{line}; while :; do sleep 100 & wait; done"]
    return child(process(command, ready=ready), name="deaf", stop_within=inf)


def tree(*children: Any, stops: bool = False) -> Supervisor:
    begin = Announcer.stop_all if stops else Announcer.built
    return Supervisor("app", *children, child(Announcer, name="announcer", on_tree_started=begin))


class starting:
    coroutine = Supervisor("app", actor("starting"))
    thread = Supervisor("app", child(own_thread(Blocking), name="deaf"))
    # A start that is given up kills the process at once, so something else has to take its time.
    process = Supervisor("app", child(Patient, stop_within=inf), shell("trap '' TERM; echo there", ready="never"))


class running:
    coroutine = Supervisor("app", actor("running", on_tree_started=Actor.hang))
    thread = tree(function(silent))
    process = tree(shell("trap '' TERM; echo up", ready="up"))


class stopping:
    coroutine = tree(actor("stopping"), stops=True)
    thread = tree(function(loud), stops=True)
    process = tree(shell("trap 'echo there' TERM; echo up", ready="up"), stops=True)


blocked = Supervisor("app", shell("echo up", ready="up"), child(Blocked, on_tree_started=Blocked.hang))
lingering = Supervisor("app", child(Lingering, on_tree_started=Lingering.keep))
forking = Supervisor("app", child(Forking, on_tree_started=Forking.fork))
