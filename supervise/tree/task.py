"""A coroutine function as a child: a poller, a consumer, anything that runs until it returns."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine
from typing import Any, Self, TypeVarTuple, Unpack

from supervise.actor.factory import Factory, name_for
from supervise_strategies.errors import InvalidSpec

from .ref import resolved, resolved_partial
from .work import Work

Ts = TypeVarTuple("Ts")


class Task:
    """The actor around a coroutine function: what `task` and `start_task` make.

    It has no handlers of its own. Its address tells who it is, and how it ended.

    >>> async def migrate():
    ...     print("migrated")
    >>> async with Supervisor("app") as app:
    ...     job = await app.start_task(migrate, restart="transient")
    ...     print(await job.watch())
    migrated
    app/migrate #1 ended: normal
    """

    _supervise_works_as = "task"
    __slots__ = ("_args", "_function")

    def __init__(self, function: Callable[..., Coroutine[Any, Any, object]], args: tuple[Any, ...]) -> None:
        self._function = function
        self._args = args

    async def __aenter__(self) -> Self:
        Work().start(resolved_partial(self._function), *resolved(self._args))
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


def task(function: Callable[[Unpack[Ts]], Coroutine[Any, Any, object]], /, *args: *Ts) -> Factory[Task]:
    """Make a child of a coroutine function: `child(task(poll, url), name="poll")`.

    The same at run time is `await app.start_task(poll, url)`. Positional arguments only;
    keywords through `functools.partial`.

    When the function returns, the child has ended normally. So a permanent one, which is the
    default of a static child, runs it again; a transient one doesn't. What it raises is the
    crash.

    It is ready at once, before the function has begun. A stop cancels it, and gives it
    `stop_within` to clean up. In it, `current()` is this child.

    Raises `InvalidSpec` for what isn't a coroutine function.

    >>> import anyio
    >>> async def poll(url):
    ...     print(f"asked {url}, try {current().incarnation}")
    ...     await anyio.sleep(1)
    ...     raise ConnectionError("no answer")
    >>> async with Supervisor("app", child(task(poll, "example.org"))) as app:
    ...     await anyio.sleep(1.5)
    asked example.org, try 1
    asked example.org, try 2
    """
    check_coroutine_function("task", function)
    return Factory(name_for(function, "task"), lambda: Task(function, args))


def check_coroutine_function(who: str, function: object) -> None:
    """Refuse, with the cure, what can't be called again and again for a coroutine."""
    inner: Any = function
    while isinstance(inner, functools.partial):
        inner = inner.func
    if inspect.iscoroutinefunction(inner) or (callable(inner) and inspect.iscoroutinefunction(type(inner).__call__)):
        return
    if inspect.iscoroutine(function):
        function.close()  # or it would complain, on top, that nobody awaited it
        cure = f"a coroutine runs once, and each life needs its own: give the function and its arguments, {who}(poll, url)"
    elif callable(function):
        cure = f"a coroutine function (`async def`, or a functools.partial of one); if it blocks, see {_THREAD}"
    else:
        cure = f"a coroutine function, and its arguments after it: {who}(poll, url)"
    raise InvalidSpec(who, "function", function, cure)


_THREAD = "supervise.adapters.thread"
