"""An object of a blocking class, as a child: built, used and closed in its own thread.

Begin with `own_thread`.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from contextvars import Context, copy_context
from queue import SimpleQueue
from typing import Any, Final, ParamSpec, TypeAlias, TypeVar, cast

from supervise.actor.factory import Factory, name_for
from supervise.tree.ref import resolved, resolved_keywords
from supervise.tree.work import Work
from supervise_strategies.errors import InvalidSpec
from supervise_strategies.exception import exc_info_of

from .facade import Facade, facade_of, methods_of
from .handoff import Handoff

A = TypeVar("A")
P = ParamSpec("P")
Job: TypeAlias = tuple[Context, str, tuple[Any, ...], dict[str, Any], Handoff]
_END: Final = None


class OwnThread:
    """One life: the thread, and the jobs that wait for it, of which there is one at most."""

    __slots__ = ("_ended", "_facade", "_jobs", "_last", "_make", "_soon", "_thread")

    def __init__(self, make: Callable[[], Any], facade: type[Facade], last: str | None) -> None:
        self._make = make
        self._facade = facade
        self._last = last
        self._jobs: SimpleQueue[Job | BaseException | None] = SimpleQueue()

    async def __aenter__(self) -> Facade:
        work = Work()
        self._soon = work.soon
        started, self._ended = Handoff(work.soon), Handoff(work.soon)
        self._thread = threading.Thread(target=work.context().run, args=(self._live, started), name=work.path, daemon=True)
        self._thread.start()
        try:
            await started.result()
        except BaseException:
            await self._end(None)
            raise
        return self._facade(self._hand)

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> None:
        await self._end(error)
        await self._ended.result()  # what its close raised

    async def _end(self, error: BaseException | None) -> None:
        self._jobs.put(error if error is not None else _END)
        try:
            await self._ended.until_settled()
        finally:
            if self._ended.settled:  # else the loop is gone, and the thread may never end
                self._thread.join()

    async def _hand(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        answer = Handoff(self._soon)
        self._jobs.put((copy_context(), name, args, kwargs, answer))  # that of the handler: its actor, and its span
        return await answer.outlasted()  # the message is in hand until the method has ended

    # -- in the thread ---------------------------------------------------------------------------------------------------

    def _live(self, started: Handoff) -> None:
        try:
            self._serve(started)
        except BaseException as error:
            started.fail(error)
            self._ended.fail(error)
        else:
            self._ended.give(None)

    def _serve(self, started: Handoff) -> None:
        made = self._make()
        actor = made.__enter__() if self._last == "__exit__" else made
        started.give(None)
        while isinstance(job := self._jobs.get(), tuple):
            job[0].run(_do, actor, *job[1:])
            del job  # an idle thread doesn't keep the last arguments
        if self._last == "__exit__":
            made.__exit__(*exc_info_of(job))
        elif self._last == "close":
            made.close()


def _do(actor: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], answer: Handoff) -> None:
    try:
        result = getattr(actor, name)(*args, **kwargs)
    except BaseException as error:
        answer.fail(error)
    else:
        answer.give(result)


def _asynchronous(function: Any) -> str | None:
    if inspect.isasyncgenfunction(function):
        return "an async generator function"
    return "a coroutine function" if inspect.iscoroutinefunction(function) else None


def own_thread(cls: Callable[P, A], /, *args: P.args, **kwargs: P.kwargs) -> Factory[A]:
    """A child of a class that blocks, or belongs to one thread.

    For example `child(own_thread(sqlite3.Connection, path), name="db")`. Each life has a thread
    of its own. The object is built there, all its methods run there, one at a time, and it is
    closed there at the end: by its `close()`. If it has none and is a context manager, it is
    entered at first and exited at the end.

    The address is that of the class: `await db.call(sqlite3.Connection.execute, "…")`. Only
    methods of the class can be sent: any other function would run in the loop's thread. In the
    thread `current()` says who it is, and has `find`, `stop`, `checkpoint` and `publish`.

    What a method raises to a call goes to its caller, and the object lives on; what it raises
    to a send is a crash. With `expects=` or `on_error="crash"` on the child, those decide.

    A method that doesn't return can't be ended. A second after `stop_within` it is reported
    (`Overran`) and the child is unstoppable: it isn't restarted while it runs, and the tree's
    end waits for it.

    Raises `InvalidSpec` for what isn't a class, and for one with `@checkpointed`. Also for a class
    with coroutine or async generator functions: that is an actor as it is.

        >>> import sqlite3
        >>> class Db:
        ...     def __init__(self, path):
        ...         self.connection = sqlite3.connect(path)
        ...     def rows(self, sql):
        ...         return self.connection.execute(sql).fetchall()
        ...     def close(self):
        ...         self.connection.close()
        >>> async with Supervisor("app") as app:
        ...     db = await app.start(own_thread(Db, ":memory:"), name="db")
        ...     await db.call(Db.rows, "select 1 + 1")
        [(2,)]
    """
    if not isinstance(cls, type):
        cure = "the class itself, so that its methods are known; its arguments follow: own_thread(Db, path)"
        raise InvalidSpec("own_thread", "cls", cls, cure)
    asynchronous = [(name, kind) for name, function in methods_of(cls) if (kind := _asynchronous(function))]
    if asynchronous or hasattr(cls, "__aenter__"):
        named = " is ".join(asynchronous[0]) if asynchronous else "it is an async context manager"
        raise InvalidSpec("own_thread", "cls", cls, f"{named}, so it belongs in the loop: start({cls.__name__}, …) as it is")
    # A connection that is a context manager need not be closed by it: sqlite3's only commits.
    last = "close" if callable(getattr(cls, "close", None)) else "__exit__" if hasattr(cls, "__enter__") else None
    facade = facade_of(cls, "own_thread")
    built = cast("Callable[..., Any]", cls)

    def make() -> OwnThread:
        positional, keywords = resolved(args), resolved_keywords(kwargs)  # here, in the loop
        return OwnThread(lambda: built(*positional, **keywords), facade, last)

    life: Any = make
    return Factory(name_for(cls, "object"), life, on_error="reply", one_at_a_time=True)
