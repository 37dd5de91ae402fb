"""An object with a `run()` as a child, which can be sent messages as well.

Begin with `runnable`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from typing import Any, Generic, Protocol, TypeVar, TypeVarTuple, Unpack, overload

import anyio

from supervise.actor.factory import Factory, name_for
from supervise.mailbox.handler import awaitable
from supervise.tree.ref import resolved, resolved_partial
from supervise.tree.work import Work
from supervise_strategies.errors import InvalidSpec
from supervise_strategies.text import shown


class Runs(Protocol):
    """Has a `run()` that returns when the object's work is done."""

    def run(self) -> Coroutine[Any, Any, object]:
        """The work."""
        ...


A = TypeVar("A")
R = TypeVar("R", bound=Runs)
Ts = TypeVarTuple("Ts")
_BLOCKS = "run() has to be a coroutine function; one that blocks goes to supervise.adapters.thread"


class _Running(Generic[A]):
    """One life: the object, and its `run()`."""

    __slots__ = ("_ended", "_made", "_make", "_run", "_stop", "_work")

    def __init__(
        self,
        make: Callable[[], A],
        run: Callable[[A], Coroutine[Any, Any, object]] | None,
        stop: Callable[[A], object] | None,
    ) -> None:
        self._make = make
        self._run = run
        self._stop = stop

    async def __aenter__(self) -> A:
        made = self._made = self._make()
        run: Any = getattr(made, "run", None) if self._run is None else self._run
        if not inspect.iscoroutinefunction(run):
            raise TypeError(f"runnable: {_BLOCKS} ({shown(made)})")
        args = () if self._run is None else (made,)
        work = self._work = Work()
        if self._stop is None:
            work.start(run, *args)
        else:
            self._ended = anyio.Event()
            work.start_outlasting(self._until_it_ends, run, args)
        return made

    async def __aexit__(self, *_: object) -> None:
        if self._stop is None:
            return
        try:
            if not self._ended.is_set():
                asked: Any = self._stop(self._made)
                if awaitable(asked):
                    await asked
                await self._ended.wait()
        finally:
            await self._work.end()  # what hasn't returned by now is cancelled

    async def _until_it_ends(self, run: Callable[..., Coroutine[Any, Any, object]], args: tuple[Any, ...]) -> None:
        try:
            await run(*args)
        finally:
            self._ended.set()


@overload
def runnable(
    factory: Callable[[Unpack[Ts]], R], /, *args: *Ts, run: None = None, stop: Callable[[R], object] | None = None
) -> Factory[R]: ...
@overload
def runnable(
    factory: Callable[[Unpack[Ts]], A],
    /,
    *args: *Ts,
    run: Callable[[A], Coroutine[Any, Any, object]],
    stop: Callable[[A], object] | None = None,
) -> Factory[A]: ...
def runnable(factory: Callable[[Unpack[Ts]], Any], /, *args: *Ts, run: Any = None, stop: Any = None) -> Factory[Any]:
    """A child that is `factory(*args)`, whose `run()` runs beside its messages.

    For example `child(runnable(Poller, url))`. A handler and `run()` take turns as any two
    tasks do. The child ends as `run()` does: normally when it returns, by a crash when it
    raises. Each life builds the object afresh.

        run: A coroutine function of the class that has another name (default `run`).
        stop: A function of the object, plain or async, that makes `run()` return (default: a
            stop cancels it, wherever it waits, in the middle of a job, too). Then `run()` has
            to return within `stop_within`, or it is cancelled. `stop` is called before each end
            while `run()` runs, after a crash of a handler, too. It must not block. If it
            raises, `run()` is cancelled, and that is a crash.

    What a handler raises to a call goes to the caller, and the child lives on; what it raises
    to a send is a crash. With `expects=` or `on_error="crash"` on the child, those decide.

    Raises `InvalidSpec` for a class without a `run()` that can be awaited, and for what can't
    build an object.

        >>> import anyio
        >>> class Poller:
        ...     polls = 0
        ...     async def run(self):
        ...         while True:
        ...             self.polls += 1
        ...             await anyio.sleep(10)
        ...     def count(self):
        ...         return self.polls
        >>> async with Supervisor("app") as app:
        ...     poller = await app.start(runnable(Poller))
        ...     await anyio.sleep(15)
        ...     await poller.call(Poller.count)
        2
    """
    if not callable(factory):
        cure = "each life builds its own: give the class, runnable(Poller, url); to run this very object, a lambda"
        raise InvalidSpec("runnable", "factory", factory, cure)
    if run is not None and not inspect.iscoroutinefunction(run):
        cure = f"a coroutine function of the class, run=Consumer.main; {_BLOCKS}"
        raise InvalidSpec("runnable", "run", run, cure)
    if stop is not None and not callable(stop):
        cure = "a function of the object that makes its run() return, stop=Consumer.shut_down, or None"
        raise InvalidSpec("runnable", "stop", stop, cure)
    if isinstance(factory, type) and run is None:
        found = inspect.getattr_static(factory, "run", None)
        if found is None:
            cure = "it has no run(): name what it has, by run=cls.main, or service(cls, start=…, stop=…); or task(function)"
            raise InvalidSpec("runnable", "factory", factory, cure)
        if not inspect.iscoroutinefunction(found):
            raise InvalidSpec("runnable", "factory", factory, _BLOCKS)

    def make() -> Any:
        return resolved_partial(factory)(*resolved(args))

    return Factory(name_for(factory, "runnable"), lambda: _Running(make, run, stop), on_error="reply")
