"""Functions for `--factory`: some make a tree, some do what a function may do instead."""

from __future__ import annotations

import functools
import sys
import time
from typing import Any, NoReturn

from supervise import Supervisor, child

from .trees import ORDERLY, Loud

LOUD = child(Loud, "a", name="a")
NUMBER = 7


def make(name: str = "made") -> Supervisor:
    return Supervisor(name, child(Loud, "a", name="a"))


class Settings:
    @classmethod
    def tree(cls) -> Supervisor:
        return make("of-settings")


class Callable:
    def __call__(self) -> Supervisor:
        return make("called")


class Coroutine:
    async def __call__(self) -> Supervisor:
        return make()


class Unsignable:
    """Whoever asks for its signature is told nothing."""

    def __call__(self) -> Supervisor:
        return make("unsignable")

    @property
    def __signature__(self) -> NoReturn:
        raise RuntimeError("no signature")


partly = functools.partial(make, "partly")
called = Callable()
unsignable = Unsignable()
coroutine = Coroutine()
ready = ORDERLY


def needs(port: int, host: str) -> Supervisor:
    return make(f"{host}-{port}")


async def later() -> Supervisor:
    return make()


def later_all_the_same() -> Any:
    return later()


def nothing() -> None:
    make()


def number() -> int:
    return NUMBER


def broken() -> Supervisor:
    return make(str(1 / 0))


def invalid() -> Supervisor:
    return Supervisor("app", child(Loud, "a", name="a/b"))


def leaves() -> Supervisor:
    sys.exit(3)


def interrupted() -> Supervisor:
    raise KeyboardInterrupt


def slow() -> Supervisor:
    try:
        print("there", flush=True)
        time.sleep(3600)
    finally:
        print("cleared up", flush=True)
    return make()
