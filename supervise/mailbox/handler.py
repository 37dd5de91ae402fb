"""What an actor can be asked to run: how a function that a caller names is found on the live instance."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import cached_property, partial, partialmethod, singledispatchmethod
from types import (
    AsyncGeneratorType,
    BuiltinMethodType,
    ClassMethodDescriptorType,
    CodeType,
    CoroutineType,
    FunctionType,
    GeneratorType,
    MethodType,
    MethodWrapperType,
    ModuleType,
)
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias, TypeVar, overload
from weakref import WeakValueDictionary

from supervise.errors import NotAHandler, UnknownHandler
from supervise.message import AnyHandler, name_of, owner_of, short_name_of
from supervise_strategies.child_spec import is_count
from supervise_strategies.errors import InvalidSpec
from supervise_strategies.exception import interrupts
from supervise_strategies.kind import attribute_of_kind, is_of, kind_of, name_in_kind, name_of_kind, qualified_name_of_kind
from supervise_strategies.text import shown

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine, Generator

F = TypeVar("F", bound=Callable[..., Any])
_MARK: Final = "__supervise_concurrent__"


# What to call with the instance as first argument; whether calling it only makes a coroutine; the attribute of the class that
# it was found as, with its value: it is looked up again when that is another one; and its code, if it may begin in its caller's
# step. A plain tuple: it is taken apart for each message, and that of a class takes 20 ns more.
Resolved: TypeAlias = "tuple[Callable[..., Any], bool | Concurrency, str, object, CodeType | None]"


Table: TypeAlias = dict[AnyHandler, Resolved]


class KindTable(Table):
    """The handlers that were found on a class so far; shared by all its instances, and gone with the last of them.

    What is found on a class holds the class. So only who runs an actor of the class holds its table: a class that was made in
    a function can be collected when it has no actors any more.
    """

    __slots__ = ("__weakref__", "_kind")

    def __init__(self, kind: type) -> None:
        super().__init__()
        self._kind = kind


_tables: WeakValueDictionary[int, KindTable] = WeakValueDictionary()  # by id: a class needs no hash, nor is its own asked


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
    """Mark an `async def` handler: it runs beside others, while the mailbox goes on.

    It runs in the incarnation's nursery, and shares the instance's state with whatever else
    runs. So it has to be as careful as any concurrent code. One sender's messages are handed
    over in order, and may begin and end in any.

    So may one that yields, which is read by `stream_from`. Then its stream holds up nobody,
    however slow its reader is.

    limit: How many of them run at once (default `math.inf`). The next message that asks for
        this handler waits, and the mailbox behind it.
    isolate: Whether what it raises is only told to the caller, and the actor lives on.
        Default: False, it crashes the actor.

    An orderly stop lets those that run finish; a crash and a kill cancel and await them. Raises
    TypeError for a plain `def`, `InvalidSpec` for a limit that is none.

    >>> import anyio
    >>> class Fetcher:
    ...     @concurrent(limit=5)
    ...     async def fetch(self, page):
    ...         await anyio.sleep(1)
    ...         return page
    >>> async with Supervisor("app") as app:
    ...     fetcher, began = await app.start(Fetcher), anyio.current_time()
    ...     pages = await fetcher.map(Fetcher.fetch, range(10))
    ...     round(anyio.current_time() - began)
    2
    """
    if function is None:
        return partial(_mark, limit, isolate)
    return _mark(limit, isolate, function)


def _mark(limit: float, isolate: bool, function: F) -> F:
    name = getattr(function, "__qualname__", shown(function))
    if not inspect.iscoroutinefunction(function) and not inspect.isasyncgenfunction(function):
        raise TypeError(f"@concurrent on {name}: only an `async def` handler can run beside others")
    if not is_count(limit, 1):
        raise InvalidSpec(
            f"@concurrent on {name}", "limit", limit, "how many may run at once: a whole number, 1 or more, or math.inf"
        )
    if isolate not in (True, False):
        raise InvalidSpec(f"@concurrent on {name}", "isolate", isolate, "True or False")
    setattr(function, _MARK, Concurrency(limit, isolate, name))
    return function


def table_for(actor: type) -> KindTable:
    """The handlers that were found on a class so far. It is kept as long as somebody holds it."""
    table = _tables.get(id(actor))
    if table is None:
        table = _tables[id(actor)] = KindTable(actor)
    return table


def check(handler: object) -> None:
    """Refuse what can't be run by an actor, at the call, before anything is sent."""
    kind = kind_of(handler)
    if kind is FunctionType:
        return
    given = f"handler={shown(handler)}"
    # A builtin function is "bound" to its module: `len` may be run by an actor, `[].append` may not.
    if issubclass(kind, MethodType | BuiltinMethodType | MethodWrapperType) and not _of_module(handler):
        owner: Any = getattr(handler, "__self__")  # noqa: B009 - of three unlike types
        shown_owner = name_of_kind(owner if is_of(owner, type) else kind_of(owner))
        function: Any = getattr(handler, "__func__", handler)
        cure = f"name the function on the class, {shown_owner}.{short_name_of(function)}"
        raise NotAHandler(f"{given} is bound to an object of its own: {cure}")
    if issubclass(kind, type):
        owner = handler
        raise NotAHandler(f"{given} is a class: name one of its functions, e.g. {name_of_kind(owner)}.method")
    if issubclass(kind, _DESCRIPTORS):
        raise NotAHandler(f"{given} has no instance to run on: name a plain function of the class")
    if not callable(handler):
        raise NotAHandler(f"{given} isn't callable: give a function of the actor's class, or one that takes the actor")


_DESCRIPTORS: Final = (staticmethod, classmethod, property, cached_property, singledispatchmethod, partialmethod)


def _of_module(handler: object) -> bool:
    owner: object = getattr(handler, "__self__", None)
    return owner is None or is_of(owner, ModuleType)


class StreamingHandler:
    """Stands for a handler whose items are asked for one by one, and runs the generator function that is found for it."""

    __slots__ = ()
    handler: AnyHandler
    """The one that was asked for, as its caller named it."""

    def begin(self, function: Callable[..., Any], instance: Any, /, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, Any]:
        """Call the generator function now, and run it to its end where this is awaited."""
        raise NotImplementedError


def asked_for(handler: Any) -> AnyHandler:
    """The handler that a caller named, be it to call it or to read what it yields."""
    named: AnyHandler = handler.handler if is_of(handler, StreamingHandler) else handler
    return named


def resolve(actor: type, table: Table, handler: Any) -> Resolved:
    """Find the handler on the live class: by name if the function names an owner class, so that subclasses override it.

    Any other callable is run as it is, with the instance as first argument, and isn't remembered (a closure would be kept
    for ever). UnknownHandler if the class has no such attribute; NotAHandler if its body would run elsewhere than in the
    actor's turn.
    """
    if is_of(handler, StreamingHandler):
        return _streaming(actor, handler)
    function, to_run, name, found = find(actor, handler)
    way = _way(function)
    if to_run is not found:  # a callable of no class; or the class makes it, and so makes another one for each instance
        return to_run, way if found is None or is_of(way, Concurrency) else False, name, None, None
    resolved = function, way, name, found, _code_of(function) if way is True else None
    try:
        table[handler] = resolved
    except Exception:  # it has no hash, or its equality raises
        return resolved
    return resolved


def _streaming(actor: type, streaming: StreamingHandler) -> Resolved:
    """The same of a handler that is asked for its items. Each stream runs it in a way of its own, so it isn't remembered."""
    function, to_run, _, _ = find(actor, streaming.handler)
    if not _yields_items(function):
        raise NotAHandler(
            f"handler={name_of(function)} isn't an async generator function, so stream_from has nothing to read: use call"
        )
    mark: Any = getattr(function, _MARK, None)
    run: Any = partial(streaming.begin, to_run)
    for attribute in ("__module__", "__qualname__"):  # for spans
        setattr(run, attribute, getattr(function, attribute, None))
    return run, mark if is_of(mark, Concurrency) else True, "", None, None


def find(actor: type, handler: AnyHandler) -> tuple[Any, Callable[..., Any], str, object]:
    """What the live class has for a handler, what to call with the instance for it, under which name, and as which attribute.

    UnknownHandler if the class has no such attribute.
    """
    name = attribute_named_by(actor, handler)
    if name is None:
        return handler, handler, "", None
    found: Any = attribute_of_kind(actor, name)
    kind = kind_of(found)
    function: Any = None
    if found is not None and not issubclass(kind, type | staticmethod | classmethod | ClassMethodDescriptorType):
        function = found if kind is FunctionType else _on_the_class(actor, name)
    if not callable(function):
        shown_actor = qualified_name_of_kind(actor)
        there = "" if found is None else " that runs on an instance"
        raise UnknownHandler(
            f"{shown_actor} has no handler {name!r}{there} (asked for {name_of(handler)}): "
            f"give a plain function of {shown_actor}, or one that takes the actor"
        )
    return function, function if function is found else _bound(name), name, found


def resolve_beside(actor: type, table: Table, handler: AnyHandler) -> Resolved:
    """The same, for an actor all of whose handlers run beside each other: as if each was marked, but with no limit of its own.

    One that isn't a coroutine function counts, too, since what it returns may have to be awaited: that of a decorator, say.
    """
    function, way, name, value, _ = resolve(actor, {}, handler)
    if not is_of(way, Concurrency):
        way = Concurrency(math.inf, False, name_of(asked_for(handler)))
    resolved = function, way, name, value, None
    if value is not None:
        with suppress(Exception):  # it has no hash, or its equality raises
            table[handler] = resolved
    return resolved


def attribute_named_by(actor: type, handler: AnyHandler) -> str | None:
    """The attribute of the class that a handler stands for, which a subclass may override; None: it stands for itself."""
    owner = owner_of(handler)
    if owner is not None:
        name = short_name_of(handler)
        if name.startswith("__") and not name.endswith("__"):
            return f"_{owner.lstrip('_')}{name}"  # as the compiler mangles a private name
        return name
    # A partialmethod makes a new function each time that it is taken from its class, and that one doesn't say its name.
    if type(handler) is FunctionType:
        made_by = handler.__dict__.get("__partialmethod__") or handler.__dict__.get("_partialmethod")
        if made_by is not None:
            return name_in_kind(actor, made_by)
    return None


def _on_the_class(actor: type, name: str) -> Any:
    """What the class itself says that it has: a descriptor may make something, and may raise."""
    try:
        return getattr(actor, name, None)
    except BaseException as error:
        if interrupts(error):
            raise
        return None


def _bound(name: str) -> Callable[..., Any]:
    def run(instance: Any, /, *args: Any, **kwargs: Any) -> Any:
        return getattr(instance, name)(*args, **kwargs)

    run.__name__ = run.__qualname__ = name
    return run


def _way(function: Callable[..., Any]) -> bool | Concurrency:
    """Whether calling it only makes a coroutine; and if so, whether that runs beside others.

    NotAHandler if it only makes a generator: that would run in the task of whoever gets it, beside the actor's own handlers.
    """
    try:
        mark: Any = getattr(function, _MARK, None)
        if inspect.iscoroutinefunction(function):  # it looks through partials
            return mark if is_of(mark, Concurrency) else True  # a mock has every attribute
        body = _body(function)
        items = inspect.isasyncgenfunction(body)
        yields = items or inspect.isgeneratorfunction(body)
        if is_of(mark, Concurrency) and not yields:  # by a decorator
            marked: Concurrency = mark
            return marked
    except BaseException as error:  # a callable of anybody's own class
        if interrupts(error):
            raise
        return False
    if yields:
        raise NotAHandler(f"handler={name_of(function)} {_YIELDS}{_ITEMS if items else _LINES}")
    return False


def _code_of(function: Callable[..., Any]) -> CodeType | None:
    """That of an `async def` itself: to call it runs nothing yet. None: it only says that it is one.

    Who reloads modules may give the function another code, so that is compared each time. To ask for the flags of the code then
    would take 60 ns more, of a call of 2400.
    """
    if type(function) is FunctionType and function.__code__.co_flags & inspect.CO_COROUTINE:
        return function.__code__
    return None


def _yields_items(function: Callable[..., Any]) -> bool:
    """Whether it is an async generator function, be it behind decorators."""
    try:
        if inspect.iscoroutinefunction(function):
            return False
        return inspect.isasyncgenfunction(_body(function)) or inspect.isasyncgenfunction(inspect.unwrap(function))
    except BaseException as error:  # a callable of anybody's own class
        if interrupts(error):
            raise
        return False


def peeled(function: Any) -> Any:
    """The function of a partial one, and of the method that is made of one."""
    while True:
        made_by = getattr(function, "__partialmethod__", None) or getattr(function, "_partialmethod", None) or function
        if made_by is function and not is_of(function, partial, partialmethod):
            return function
        function = made_by.func


def _body(function: Any) -> Any:
    """What runs when it is called."""
    function = peeled(function)
    if type(function) is not FunctionType and not inspect.isbuiltin(function):
        return attribute_of_kind(kind_of(function), "__call__", function)
    return function


_YIELDS: Final = "yields, and its body would run in its caller's task, beside the actor's own handlers: "
_ITEMS: Final = "read it with stream_from, return a list, or send() or publish() the items one by one"
_LINES: Final = "return a list, or send() or publish() the items one by one; stream_from reads one that is `async def`"


def unfinished(result: object) -> bool:
    """Whether a result's body has still to run, and would do so in the task of the caller who gets it."""
    kind = type(result)
    return (
        kind is GeneratorType
        or kind is AsyncGeneratorType
        or kind is CoroutineType
        or kind is CONTEXT_MANAGER
        or kind is ASYNC_CONTEXT_MANAGER
    )


def unfinished_result(handler: AnyHandler, result: object) -> NotAHandler:
    """What the caller gets instead: the error is its own, and the actor lives on."""
    name = name_of(handler)
    if is_of(result, CoroutineType):
        return NotAHandler(f"handler={name} returned a coroutine that nobody has awaited: await it in the handler")
    cure = _ITEMS if issubclass(type(result), AsyncGeneratorType) else _LINES
    return NotAHandler(f"handler={name} returned {shown(result)}: it {_YIELDS}{cure}")


@contextmanager
def _context() -> Generator[None]:
    yield


@asynccontextmanager
async def _async_context() -> AsyncGenerator[None]:
    yield


CONTEXT_MANAGER: Final = type(_context())
ASYNC_CONTEXT_MANAGER: Final = type(_async_context())


def class_of(value: object) -> Any:
    """The type of a value that can be anything, for looking up its special methods as Python does."""
    return type(value)


def awaitable(value: object) -> bool:
    """Whether a plain function's result has to be awaited; 5 times as fast as asking `collections.abc.Awaitable`.

    What the commonest kinds have is known: to look for what isn't there takes CPython 3.11 200 ns.
    """
    kind = type(value)
    return value is not None and kind is not int and kind is not str and kind is not dict and hasattr(kind, "__await__")
