"""Anything with a function that starts it and one that stops it, as a child.

Begin with `service`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeAlias, TypeVar, TypeVarTuple, Unpack, overload

from supervise.actor.factory import Factory, name_for
from supervise.mailbox.handler import awaitable
from supervise.tree.ref import resolved, resolved_partial
from supervise.tree.work import Work
from supervise_strategies.errors import InvalidSpec
from supervise_strategies.exception import leaves
from supervise_strategies.kind import is_of

A = TypeVar("A")
Ts = TypeVarTuple("Ts")
Step: TypeAlias = Callable[..., object]
Wait: TypeAlias = Callable[[], Coroutine[Any, Any, object]]


class Service:
    """The actor of a service that has no object; `service` makes it.

    It has no handlers of its own, but takes functions of it, as any actor does.

        >>> async with Supervisor("app") as app:
        ...     db = await app.start(service(start=list, stop=list), name="db")
        ...     await db.call(lambda actor: type(actor).__name__)
        'Service'
    """

    __slots__ = ()


class _RunningService(Generic[A]):
    __slots__ = ("_actor", "_make", "_start", "_stop", "_stopped", "_stopping", "_wait", "_work")

    def __init__(self, make: Callable[[], A] | None, start: Step, stop: Step, wait: Step | None) -> None:
        self._make = make
        self._start = start
        self._stop = stop
        self._wait = wait
        self._actor: tuple[Any, ...] = ()
        self._work: Work | None = None
        self._stopping = self._stopped = False

    async def __aenter__(self) -> Any:
        if self._make is not None:
            self._actor = (self._make(),)
        await _step(self._start, *self._actor)
        if self._wait is not None:
            self._work = Work()
            self._work.start_outlasting(self._until_it_ends, self._wait)
        return self._actor[0] if self._actor else Service()

    async def __aexit__(self, *_: object) -> None:
        self._stopping = True
        try:
            await _step(self._stop, *self._actor)
        finally:
            self._stopped = True
            if self._work is not None:
                await self._work.end()

    async def _until_it_ends(self, wait: Step) -> None:
        """It goes on while the service stops: what waits for the end of something often holds a part of it.

        grpc's, cancelled, cancels the future that its `stop` then waits for.
        """
        try:
            await _step(wait, *self._actor)
        except BaseException as error:
            if not self._stopping or self._stopped or _ends_more(error):
                raise  # else it says, by whatever error, that the service was stopped


def _ends_more(error: BaseException) -> bool:
    return is_of(error, GeneratorExit) or any(is_of(leaf, KeyboardInterrupt, SystemExit) for leaf in leaves(error))


async def _step(function: Step, *args: Any) -> None:
    result: Any = function(*args)
    if awaitable(result):
        await result


@overload
def service(*, start: Callable[[], object], stop: Callable[[], object], wait: Wait | None = None) -> Factory[Service]: ...
@overload
def service(
    factory: Callable[[Unpack[Ts]], A],
    /,
    *args: *Ts,
    start: Callable[[A], object],
    stop: Callable[[A], object],
    wait: Callable[[A], Coroutine[Any, Any, object]] | None = None,
) -> Factory[A]: ...
def service(  # type: ignore[misc]  # mypy binds the type variables of the second form in the first one too
    factory: Callable[[Unpack[Ts]], Any] | None = None, /, *args: *Ts, start: Any, stop: Any, wait: Any = None
) -> Factory[Any]:
    """A child that starts something, and stops it.

    For example `service(start=scheduler.start, stop=scheduler.shutdown)`. With a class, or
    another factory, each life builds an object, which is the actor, and the functions get it:
    `service(Pool, url, start=Pool.connect, stop=Pool.close)`. They may be plain or async; a
    plain one must not block.

        start: What begins it. If it raises, the start fails, and `stop` isn't called.
        stop: What ends it, at each end, after a crash, too. What it raises is a crash.
        wait: A coroutine function that returns, or raises, when it has ended by itself
            (default: nobody notices that). Then the child has ended, or crashed. At a stop it
            goes on until `stop` has returned, and is cancelled then; what it raises meanwhile
            is no crash.

    What its methods raise to a call goes to the caller, and the child lives on; what they raise
    to a send is a crash. With `expects=` or `on_error="crash"` on the child, those decide.

    Raises `InvalidSpec` for what isn't callable, or doesn't wait.

        >>> db = service(start=lambda: print("connected"), stop=lambda: print("closed"))
        >>> async with Supervisor("app", child(db, name="db")):
        ...     print("serving")
        connected
        serving
        closed
    """
    if factory is not None and not callable(factory):
        cure = "each life builds its own: give the class; for an object that is there, service(start=it.start, stop=it.stop)"
        raise InvalidSpec("service", "factory", factory, cure)
    who = "service" if factory is None else f"service of {name_for(factory, 'factory')}"
    for field, function in (("start", start), ("stop", stop)):
        if not callable(function):
            cure = "a function, plain or async: service(start=pool.connect, stop=pool.close)"
            raise InvalidSpec(who, field, function, cure)
    if wait is not None and not inspect.iscoroutinefunction(wait):
        cure = "a coroutine function that returns when the service has ended, or None"
        raise InvalidSpec(who, "wait", wait, cure)
    make = None if factory is None else lambda: resolved_partial(factory)(*resolved(args))
    name = name_for(factory if factory is not None else getattr(start, "__self__", None), "service")
    return Factory(name, lambda: _RunningService(make, start, stop, wait), on_error="reply")
