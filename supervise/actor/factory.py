"""`Factory`, which adapters return and `child` takes; and the names that factories give to children."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Generic, TypeVar

from supervise_strategies.answers import OnError

A_co = TypeVar("A_co", covariant=True)


class Factory(Generic[A_co]):
    """Makes a fresh life of an actor each time that it is called: `child(factory)`, or `await app.start(factory)`.

    It was validated when it was built, and can be used for any number of children. Its name is the default of `name=`.
    """

    __slots__ = ("__name__", "_make", "on_error")

    def __init__(
        self, name: str, make: Callable[[], AbstractAsyncContextManager[A_co]], *, on_error: OnError = "crash"
    ) -> None:
        self.__name__: str = name
        self.on_error: OnError = on_error
        """What `on_error=` of the child is, if the child says nothing of `on_error=` and `expects=`."""
        self._make = make

    def __call__(self) -> AbstractAsyncContextManager[A_co]:
        """One life: entered before the first message, exited at the end."""
        return self._make()

    def __repr__(self) -> str:
        return f"<Factory {self.__name__}>"


def name_for(thing: Any, default: str) -> str:
    """A name that a child can have, made of the thing's own."""
    while hasattr(thing, "func"):  # a partial
        thing = thing.func
    name = getattr(thing, "__name__", "")
    return name.replace("/", "-") if isinstance(name, str) and name and name != "<lambda>" else default


def default_name(factory: Callable[..., Any]) -> str:
    """A name made of the factory's own, in lower case."""
    while isinstance(factory, functools.partial):
        factory = factory.func
    name = getattr(factory, "__name__", "") or type(factory).__name__
    return "actor" if name == "<lambda>" else name.lower()
