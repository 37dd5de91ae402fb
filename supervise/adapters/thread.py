"""A blocking function in a thread of its own, as a child: begin with `thread`."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from typing import Any, Self

import anyio
import anyio.to_thread

from supervise.actor.factory import Factory, name_for
from supervise.tree.ref import resolved, resolved_partial
from supervise.tree.work import Work
from supervise_strategies.errors import InvalidSpec

from .handoff import Handoff


class Thread:
    """The actor around a function that blocks; `thread` makes it.

    It has no handlers of its own, but takes functions of it, as any actor does.

        >>> def watch(stop):
        ...     stop.wait()
        >>> async with Supervisor("app") as app:
        ...     watcher = await app.start(thread(watch), name="watcher")
        ...     await watcher.call(lambda actor: type(actor).__name__)
        'Thread'
    """

    _supervise_works_as = "thread"
    __slots__ = ("_args", "_ask", "_ended", "_function", "_parameter", "_thread")

    def __init__(self, function: Callable[..., object], args: tuple[Any, ...], parameter: str | None, ask: Any) -> None:
        self._function = resolved_partial(function)
        self._args = resolved(args)
        self._parameter = parameter
        self._ask: Callable[[], object] | None = ask

    async def __aenter__(self) -> Self:
        work = Work()
        self._ended = ended = Handoff(work.soon)
        keywords: dict[str, Any] = {}
        if self._parameter is not None:
            keywords[self._parameter] = event = threading.Event()
            self._ask = event.set
        # A daemon: the interpreter's end waits for no thread that nobody could stop. The tree does, and says so.
        work_of_it = (_run, self._function, self._args, keywords, ended)
        self._thread = threading.Thread(target=work.context().run, args=work_of_it, name=work.path, daemon=True)
        self._thread.start()
        work.start(ended.result)
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            if not self._ended.settled and self._ask is not None:
                if self._parameter is not None:
                    self._ask()
                else:
                    with anyio.CancelScope(shield=True):
                        await anyio.to_thread.run_sync(self._ask)  # it may block until the function has returned
        except GeneratorExit:  # the loop is gone, and nobody can wait
            raise
        except BaseException:
            await self._until_returned()
            raise
        await self._until_returned()
        await self._ended.result()  # what it raised when it was asked to stop

    async def _until_returned(self) -> None:
        try:
            await self._ended.until_settled()
        finally:
            if self._ended.settled:  # else the loop is gone, and the function may never return
                self._thread.join()


def _run(function: Callable[..., object], args: tuple[Any, ...], keywords: dict[str, Any], ended: Handoff) -> None:
    try:
        function(*args, **keywords)
    except BaseException as error:
        ended.fail(error)
    else:
        ended.give(None)


def thread(function: Callable[..., object], /, *args: Any, stop: str | Callable[[], object] | None = "stop") -> Factory[Thread]:
    """A child that runs a blocking function in a thread of its own.

    For example `child(thread(consume, queue), name="consumer")`. Keywords go through
    `functools.partial`. The child ends as the function does: normally when it returns, by a
    crash when it raises.

        stop: How it is asked to stop, since nothing can end a thread from outside. The name of
            the parameter that gets a fresh `threading.Event` for each life, which is set then
            (default `"stop"`). Or a function to be called then, in another thread, such as
            `server.shutdown`; what that raises is a crash, once `function` has returned. Or
            None, if it can't be asked.

    The child is stopped when the function has returned. One that hasn't a second after
    `stop_within` is reported (`Overran`): it is unstoppable, isn't restarted while it runs, and
    the tree's end waits for it. In the thread `current()` says who it is, and has `find`,
    `stop`, `checkpoint` and `publish`.

    Raises `InvalidSpec` for a coroutine function, and if there is no such parameter.

        >>> def watch(stop):
        ...     print("watches")
        ...     stop.wait()
        ...     print("was asked to stop")
        >>> async with Supervisor("app", child(thread(watch), name="watcher")):
        ...     pass
        watches
        was asked to stop
    """
    who = f"thread of {name_for(function, 'function')}"
    if not callable(function) or inspect.iscoroutinefunction(function):
        cure = "a function that blocks, and its arguments: thread(consume, queue); a coroutine function goes to supervise.task"
        raise InvalidSpec(who, "function", function, cure)
    if isinstance(stop, str):
        if not _takes(function, args, stop):
            cure = (
                "it has no such parameter that is free: name the one that takes the threading.Event, "
                "or give a function that makes it return, stop=server.shutdown, or None if there is no way"
            )
            raise InvalidSpec(who, "stop", stop, cure)
        return Factory(name_for(function, "thread"), lambda: Thread(function, args, stop, None))
    if stop is not None and (not callable(stop) or inspect.iscoroutinefunction(stop)):
        cure = "the name of the parameter that takes a threading.Event, a plain function, or None"
        if isinstance(stop, threading.Event):
            cure = "an event that is set stays set in the next life: name the parameter instead, and each gets its own"
        raise InvalidSpec(who, "stop", stop, cure)
    return Factory(name_for(function, "thread"), lambda: Thread(function, args, None, stop))


def _takes(function: Callable[..., object], args: tuple[Any, ...], parameter: str) -> bool:
    try:
        inspect.signature(function).bind_partial(*args, **{parameter: None})
    except (TypeError, ValueError):  # no such parameter, or no signature
        return False
    return True
