"""A tree that gives up, and one that serves, in processes of their own."""

from __future__ import annotations

import faulthandler
import os
import resource
import signal
from typing import NoReturn

from supervise import Intensity, Supervisor, child, current

resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # where SIGQUIT ends it
SECRET = "correct-horse-battery"


class Orders:
    """Crashes with what it was sent, three times; others of its messages wait."""

    async def __aenter__(self) -> Orders:
        await current().address.send(Orders.place, SECRET)
        await current().address.send(Orders.place, SECRET)
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def place(self, item: str) -> NoReturn:
        raise KeyError(item)


class Quiet:
    """Says that it is there."""

    async def __aenter__(self) -> Quiet:
        print("there", flush=True)
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


class Forks:
    """Has a copy of this process, as `multiprocessing` makes them, and says how that ended."""

    async def __aenter__(self) -> Forks:
        readable, writable = os.pipe()
        copy = os.fork()
        if not copy:
            os.write(writable, b".")
            while True:
                signal.pause()
        os.read(readable, 1)
        os.kill(copy, signal.SIGQUIT)
        _, status = os.waitpid(copy, 0)  # noqa: ASYNC222 - it ends at once, and nothing else is to be done
        print(f"the copy ended with {-os.waitstatus_to_exitcode(status)}", flush=True)
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


def on_quit(*_: object) -> None:
    print("my own", flush=True)


def with_a_handler() -> Supervisor:
    signal.signal(signal.SIGQUIT, on_quit)
    return SERVES


def with_faulthandler() -> Supervisor:
    faulthandler.register(signal.SIGQUIT, chain=False)
    return SERVES


def with_nothing() -> Supervisor:
    signal.signal(signal.SIGQUIT, signal.SIG_IGN)
    return SERVES


DOOMED = Supervisor("shop", child(Orders, name="orders"), intensity=Intensity(2, per=5))
SERVES = Supervisor("shop", child(Quiet, name="quiet"))
FORKS = Supervisor("shop", child(Forks, name="forks"))
OFF = Supervisor("shop", child(Quiet, name="quiet"), recorder=False)
