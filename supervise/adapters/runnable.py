"""An object with a `run()` as a child, which can be sent messages as well."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVar, TypeVarTuple, Unpack

from supervise.actor.factory import Factory, name_for
from supervise.tree.ref import resolved, resolved_partial
from supervise.tree.work import Work
from supervise_strategies.errors import InvalidSpec
from supervise_strategies.text import shown


class Runs(Protocol):
    """Has a `run()` that returns when the object's work is done."""

    def run(self) -> Coroutine[Any, Any, object]:
        """The work."""
        ...


A = TypeVar("A", bound=Runs)
Ts = TypeVarTuple("Ts")
_BLOCKS = "run() has to be a coroutine function; one that blocks goes to supervise.adapters.thread"


def runnable(factory: Callable[[Unpack[Ts]], A], /, *args: *Ts) -> Factory[A]:
    """A child that is `factory(*args)`, whose `run()` runs beside its messages: `child(runnable(Poller, url))`.

    The child ends as `run()` does: normally when it returns, by a crash when it raises. A stop cancels it. A handler and
    `run()` take turns as any two tasks do. Each life builds the object afresh.

    What a handler raises to a call goes to the caller, and the child lives on; what it raises to a send is a crash. With
    `expects=` or `on_error="crash"` on the child, those decide.

    Raises `InvalidSpec` for a class without a `run()` that can be awaited, and for what can't build an object.
    """
    if not callable(factory):
        cure = "each life builds its own: give the class, runnable(Poller, url); to run this very object, a lambda"
        raise InvalidSpec("runnable", "factory", factory, cure)
    if isinstance(factory, type):
        run = inspect.getattr_static(factory, "run", None)
        if run is None:
            cure = "it has no run(); name what it has: service(cls, start=…, stop=…), or task(function)"
            raise InvalidSpec("runnable", "factory", factory, cure)
        if not inspect.iscoroutinefunction(run):
            raise InvalidSpec("runnable", "factory", factory, _BLOCKS)

    @asynccontextmanager
    async def live() -> AsyncGenerator[A]:
        made = resolved_partial(factory)(*resolved(args))
        if not inspect.iscoroutinefunction(getattr(made, "run", None)):
            raise TypeError(f"runnable: {_BLOCKS} ({shown(made)})")
        Work().start(made.run)
        yield made

    return Factory(name_for(factory, "runnable"), live, on_error="reply")
