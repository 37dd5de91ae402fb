"""A stand-in that has the handlers of a class, for an object that lives in another thread."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeAlias

from supervise.actor.checkpoint import is_checkpointed
from supervise.mailbox.stand_in import StandIn
from supervise_strategies.errors import InvalidSpec

Hand: TypeAlias = Callable[[str, tuple[Any, ...], dict[str, Any]], Awaitable[Any]]


class Facade(StandIn):
    """What the mailbox sees in the object's stead. Each of its handlers hands itself over, and awaits the answer."""

    __slots__ = ("_supervise_hand",)

    def __init__(self, hand: Hand) -> None:
        self._supervise_hand = hand

    def __getattr__(self, name: str) -> Any:
        kind = type(self).__qualname__
        raise AttributeError(
            f"the {kind} lives in a thread of its own, and {name!r} can't be reached from here: "
            f"send it one of its methods, e.g. call({kind}.method), which runs there"
        )


def methods_of(cls: type) -> Iterator[tuple[str, Any]]:
    """The names and functions of a class that run on an instance, but the special ones."""
    for name in dir(cls):
        found = inspect.getattr_static(cls, name)
        if name.startswith("__") or not callable(found) or isinstance(found, staticmethod | classmethod | type):
            continue
        yield name, found


def facade_of(cls: type, where: str) -> type[Facade]:
    """A subclass of `Facade` with a handler for each method of `cls`, and its name. `where`: who wants it, for errors."""
    if is_checkpointed(cls):
        cure = "has @checkpointed, which would run in the loop's thread: call current().checkpoint(value) in its methods"
        raise InvalidSpec(where, "cls", cls, f"its snapshot() {cure}")
    body: dict[str, Any] = {"__slots__": (), "__doc__": cls.__doc__, "__qualname__": cls.__qualname__}
    for name, function in methods_of(cls):
        body[name] = _handler(name, function)
    return type(cls.__name__, (Facade,), body)


def _handler(name: str, function: Any) -> Callable[..., Any]:
    async def handler(self: Facade, *args: Any, **kwargs: Any) -> Any:
        return await self._supervise_hand(name, args, kwargs)

    handler.__name__ = name
    handler.__qualname__ = getattr(function, "__qualname__", name)
    handler.__doc__ = getattr(function, "__doc__", None)
    handler.__dict__["__wrapped__"] = function  # it says what it takes, so a call that doesn't fit is its caller's error
    return handler
