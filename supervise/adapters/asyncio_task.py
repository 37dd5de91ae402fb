"""An `asyncio.Task` that somebody else's code makes, as a child.

Begin with `asyncio_task`. asyncio only. A coroutine function of your own goes to
`supervise.task` as it is.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any, Self, TypeVarTuple, Unpack

import anyio

from supervise._backends import current_backend
from supervise.actor.factory import Factory, name_for
from supervise.tree.ref import resolved, resolved_partial
from supervise.tree.work import Work
from supervise_strategies.errors import InvalidSpec
from supervise_strategies.text import shown

Ts = TypeVarTuple("Ts")


class AsyncioTask:
    """The actor around an asyncio task; `asyncio_task` makes it.

    It has no handlers of its own, but takes functions of it, as any actor does.

        >>> import asyncio
        >>> def begin():
        ...     return asyncio.create_task(asyncio.sleep(60))
        >>> async with Supervisor("app") as app:
        ...     poller = await app.start(asyncio_task(begin), name="poller")
        ...     await poller.call(lambda actor: type(actor).__name__)
        'AsyncioTask'
    """

    _supervise_works_as = "task"
    __slots__ = ("_args", "_make")

    def __init__(self, make: Callable[..., asyncio.Future[Any]], args: tuple[Any, ...]) -> None:
        self._make = make
        self._args = args

    async def __aenter__(self) -> Self:
        backend = current_backend().name
        if backend != "asyncio":
            raise RuntimeError(
                f"asyncio_task needs asyncio, and this tree runs on {backend}: "
                f"run it there, or give the coroutine function behind {shown(self._make)} to supervise.task"
            )
        made: Any = resolved_partial(self._make)(*resolved(self._args))
        if not asyncio.isfuture(made):
            if inspect.iscoroutine(made):
                made.close()
            cure = "its function has to return an asyncio.Task; a coroutine function goes to supervise.task as it is"
            raise TypeError(f"asyncio_task: {cure} ({shown(self._make)} returned {shown(made)})")
        Work().start(_follow, made)
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


async def _follow(task: asyncio.Future[Any]) -> None:
    ended = anyio.Event()

    def tell(_: object) -> None:
        ended.set()

    task.add_done_callback(tell)
    try:
        await ended.wait()
    except asyncio.CancelledError:
        task.cancel()  # once: cancelling what awaits it would repeat it at every turn, and cut its clean-up
        with anyio.CancelScope(shield=True):
            await ended.wait()
        if not task.cancelled():
            task.result()  # what it raised in its clean-up
        raise
    task.result()  # one that somebody else cancelled raises here, and nobody of the tree has asked for that


def asyncio_task(make: Callable[[Unpack[Ts]], asyncio.Future[Any]], /, *args: *Ts) -> Factory[AsyncioTask]:
    """A child that is the task that `make(*args)` returns.

    For example `child(asyncio_task(client.run_in_background))`. It takes what makes a task, and
    not a task: one that has ended can't be started again, and each life makes it afresh.

    The child ends as the task does: normally when it returns, by a crash when it raises, or
    when somebody else cancels it. A stop cancels it once, and waits: `stop_within` is for its
    clean-up. On trio its start fails, and says so.

    Raises `InvalidSpec` for a task, a coroutine, and a coroutine function.

        >>> import asyncio
        >>> async def poll(url):
        ...     raise OSError(f"no route to {url}")
        >>> def begin(url):
        ...     return asyncio.create_task(poll(url))
        >>> poller = child(asyncio_task(begin, "ada"), name="poller", restart="temporary")
        >>> async with Supervisor("app", poller, listener=print):
        ...     await asyncio.sleep(1)
        app/poller #1 started
        app #1 started
        app/poller #1 ended: crashed (OSError: no route to ada)...
        ...
    """
    given: Any = make
    if asyncio.isfuture(given):
        cure = "a task runs once, and each life needs its own: give what makes it, asyncio_task(lambda: create_task(work()))"
        raise InvalidSpec("asyncio_task", "make", make, cure)
    if inspect.iscoroutine(make):
        make.close()
        raise InvalidSpec("asyncio_task", "make", make, "a coroutine runs once: give its function to supervise.task")
    if inspect.iscoroutinefunction(make):
        raise InvalidSpec("asyncio_task", "make", make, "it makes a coroutine, not a task: give it to supervise.task")
    if not callable(make):
        raise InvalidSpec("asyncio_task", "make", make, "a function that returns an asyncio.Task")
    return Factory(name_for(make, "task"), lambda: AsyncioTask(make, args))
