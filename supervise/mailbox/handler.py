"""What an actor can be asked to run: how a function that a caller names is found on the live instance."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from functools import partial
from types import BuiltinMethodType, FunctionType, MethodType, MethodWrapperType, ModuleType
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar, overload
from weakref import WeakKeyDictionary

from supervise.errors import NotAHandler, UnknownHandler
from supervise.message import AnyHandler, name_of, owner_of
from supervise_strategies.child_spec import is_count
from supervise_strategies.errors import InvalidSpec

F = TypeVar("F", bound=Callable[..., Any])
_MARK: Final = "__supervise_concurrent__"


# What to call with the instance as first argument, and whether calling it only makes a coroutine. A plain tuple: it is taken
# apart for each message, and that of a class takes 20 ns more.
Resolved: TypeAlias = "tuple[Callable[..., Any], bool | Concurrency]"
Table: TypeAlias = dict[AnyHandler, Resolved]

_tables: WeakKeyDictionary[type, Table] = WeakKeyDictionary()


class Concurrency(NamedTuple):
    """How a handler runs beside others."""

    limit: float
    isolate: bool
    key: str
    """The name that its own limit is counted under."""


@overload
def concurrent(function: F, /) -> F: ...
@overload
def concurrent(*, limit: float = ..., isolate: bool = ...) -> Callable[[F], F]: ...
def concurrent(function: F | None = None, /, *, limit: float = math.inf, isolate: bool = False) -> F | Callable[[F], F]:
    """Mark an `async def` handler: it runs beside others, in the incarnation's nursery, while the mailbox goes on.

    It shares the instance's state with whatever else runs, so it has to be as careful as any concurrent code. One sender's
    messages are handed over in order, and may begin and end in any. While `limit` of them run, the next message that asks
    for this handler waits, and the mailbox behind it. What it raises crashes the actor; with `isolate=True` it is only told
    to the caller, and the actor lives on. An orderly stop lets those that run finish; a crash and a kill cancel and await them.
    """
    if function is None:
        return partial(_mark, limit, isolate)
    return _mark(limit, isolate, function)


def _mark(limit: float, isolate: bool, function: F) -> F:
    name = getattr(function, "__qualname__", repr(function))
    if not inspect.iscoroutinefunction(function):
        raise TypeError(f"@concurrent on {name}: only an `async def` handler can run beside others")
    if not is_count(limit, 1):
        raise InvalidSpec(
            f"@concurrent on {name}", "limit", limit, "how many may run at once: a whole number, 1 or more, or math.inf"
        )
    if isolate not in (True, False):
        raise InvalidSpec(f"@concurrent on {name}", "isolate", isolate, "True or False")
    setattr(function, _MARK, Concurrency(limit, isolate, name))
    return function


def table_for(actor: type) -> Table:
    """The handlers that were found on a class so far; shared by all its instances."""
    table = _tables.get(actor)
    if table is None:
        table = _tables[actor] = {}
    return table


def check(handler: object) -> None:
    """Refuse what can't be run by an actor, at the call, before anything is sent."""
    if isinstance(handler, FunctionType):
        return
    # A builtin function is "bound" to its module: `len` may be run by an actor, `[].append` may not.
    if isinstance(handler, MethodType | BuiltinMethodType | MethodWrapperType) and not _of_module(handler):
        owner: object = handler.__self__
        shown = owner.__name__ if isinstance(owner, type) else type(owner).__name__
        raise NotAHandler(
            f"handler={handler!r} is bound to an object of its own: name the function on the class, {shown}.{handler.__name__}"
        )
    if isinstance(handler, type):
        raise NotAHandler(f"handler={handler!r} is a class: name one of its functions, e.g. {handler.__name__}.method")
    if isinstance(handler, staticmethod | classmethod | property):
        raise NotAHandler(f"handler={handler!r} has no instance to run on: name a plain function of the class")
    if not callable(handler):
        raise NotAHandler(
            f"handler={handler!r} isn't callable: give a function of the actor's class, or one that takes the actor"
        )


def _of_module(handler: object) -> bool:
    owner: object = getattr(handler, "__self__", None)
    return owner is None or isinstance(owner, ModuleType)


def resolve(actor: type, table: Table, handler: AnyHandler) -> Resolved:
    """Find the handler on the live class: by name if the function names an owner class, so that subclasses override it.

    Any other callable is run as it is, with the instance as first argument, and isn't remembered (a closure would be kept
    for ever). UnknownHandler if the class has no such attribute.
    """
    owner = owner_of(handler)
    if owner is None:
        return handler, _way(handler)
    name: str = handler.__name__
    if name.startswith("__") and not name.endswith("__"):
        name = f"_{owner.lstrip('_')}{name}"  # as the compiler mangles a private name
    found: object = inspect.getattr_static(actor, name, None)
    if found is None or isinstance(found, staticmethod | classmethod) or not callable(found):
        there = "" if found is None else " that runs on an instance"
        raise UnknownHandler(
            f"{actor.__qualname__} has no handler {name!r}{there} (asked for {name_of(handler)}): "
            f"give a plain function of {actor.__qualname__}, or one that takes the actor"
        )
    function: Callable[..., Any] = getattr(actor, name)
    table[handler] = resolved = (function, _way(function))
    return resolved


def _way(function: Callable[..., Any]) -> bool | Concurrency:
    """Whether calling it only makes a coroutine; and if so, whether that runs beside others."""
    mark: Concurrency | None = getattr(function, _MARK, None)
    return mark if mark is not None else inspect.iscoroutinefunction(function)  # it looks through partials


def class_of(value: object) -> Any:
    """The type of a value that can be anything, for looking up its special methods as Python does."""
    return type(value)


def awaitable(value: object) -> bool:
    """Whether a plain function's result has to be awaited; 5 times as fast as asking `collections.abc.Awaitable`."""
    return hasattr(type(value), "__await__")
