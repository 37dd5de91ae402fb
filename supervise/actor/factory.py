"""`Factory`, which adapters return and `child` takes; and the names that factories give to children."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Generic, TypeVar

from supervise.message import name_of
from supervise_strategies.answers import OnError
from supervise_strategies.kind import attribute_of_kind

A_co = TypeVar("A_co", covariant=True)
WORKS_AS: Final = "_supervise_works_as"
"""An attribute of the class of an actor that only runs something: what it is called in front of that one's name."""


class Factory(Generic[A_co]):
    """Makes a fresh life of an actor each time that it is called: what `task` returns.

    The adapters return one, too. It was validated when it was built, and can be used for any
    number of children. Its name is the default of `name=`.

    >>> async def poll(url): ...
    >>> poller = task(poll, "example.org")
    >>> poller
    <Factory poll>
    >>> print(Supervisor("app", child(poller)))
    app  [one_for_one, 3 in 5 s]
      poll  permanent
    """

    __slots__ = ("__name__", "_make", "on_error", "one_at_a_time")

    def __init__(
        self,
        name: str,
        make: Callable[[], AbstractAsyncContextManager[A_co]],
        *,
        on_error: OnError = "crash",
        one_at_a_time: bool = False,
    ) -> None:
        self.__name__: str = name
        self.on_error: OnError = on_error
        """What `on_error=` of the child is, if the child says nothing of `on_error=` and `expects=`."""
        self.one_at_a_time: bool = one_at_a_time
        """Whether it has a thread of its own, which does one thing at a time: then `concurrency=` of the child is refused."""
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


def coroutine_function_of(factory: Callable[..., Any]) -> Callable[..., Any] | None:
    """What runs if the factory is a coroutine function, a partial of one, or an object that is called as one; else None."""
    while isinstance(factory, functools.partial):
        factory = factory.func
    if isinstance(factory, type):
        return None
    function: Any = factory
    if not hasattr(function, "__code__"):
        function = attribute_of_kind(type(factory), "__call__")
    code = getattr(function, "__code__", None)
    return function if code is not None and code.co_flags & inspect.CO_COROUTINE else None


def as_task(factory: Callable[..., Any]) -> str:
    """How a factory that does the work itself is written instead: `child(task(poll))`."""
    inner = factory
    while isinstance(inner, functools.partial):
        inner = inner.func
    written = name_of(inner)
    if not hasattr(inner, "__code__"):
        written += "(…)"
    return f"child(task({written if inner is factory else f'functools.partial({written}, …)'}))"
