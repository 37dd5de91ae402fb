"""A context for each message: what a handler sets in a context variable isn't there for the next one.

Theory of operation
-------------------
- The context that a task runs in can't be exchanged. So while nobody sets a variable, handlers run in that of their actor's
  task. Once one did, each later handler of that life is stepped in a copy of what the context was before the first message.
- To ask after each message whether one did costs 5 to 15 ns, since equal contexts share their tree; such a copy for each would
  be 600. Another value that is equal counts as the same.
- What the first one has set is put back in the task's own context, where the exit hook would find it, and nobody could ever
  replace it. A variable without a default can't be put back.
- A handler that runs beside others begins in a copy from the start: it has a task of its own, which costs ten times as much.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextvars import Context
from types import CodeType, CoroutineType
from typing import Any, Final

from supervise.mailbox.handler import awaitable

ContextHere = Callable[[], Context]


def differs(context: Context, before: Context, pass_up: Callable[[BaseException], object]) -> bool:
    """Whether a variable was set. Two values that can't be compared aren't the same; what that raised is passed up."""
    try:
        return context != before
    except BaseException as raised:  # by an equality of the user's
        pass_up(raised)
        return True


def put_back(context: Context, clean: Context) -> Context:
    """In this context, which is the one that runs: let go of what was set since. The answer is a copy.

    No variable can be taken out of a context, so one that wasn't there has its default again. Without a default it stays: code
    that finds anything there takes it for what it has set itself. `decimal`, in C, doesn't even look: a None crashed Python.
    """
    for variable in [*context]:
        if variable in clean:
            value = clean[variable]
        else:
            try:
                value = Context().run(variable.get)
            except LookupError:
                continue
        if context[variable] is not value:
            variable.set(value)
    return context.copy()


class InCleanContext:
    """A handler that is run in a copy of a context, and so is what it returns to be awaited."""

    __slots__ = ("_base", "_handler", "_here")

    def __init__(self, base: Context, handler: Callable[..., Any], here: ContextHere | None) -> None:
        self._base = base
        self._handler = handler
        self._here = here

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        context = self._base.copy()
        result = context.run(self._handler, *args, **kwargs)
        return InContext(context, result, self._here) if awaitable(result) else result


class InContext:
    """What is awaited in a task, and runs in a context of its own. It is awaited once.

    `here` says what the task's own context is, where the event loop may exchange that: what `trio.from_thread.run` is given is
    stepped in this task, and in the context of its thread.
    """

    __slots__ = ("_here", "_home", "_in_context", "coroutine")

    def __init__(self, context: Context, rest: Any, here: ContextHere | None) -> None:
        self._in_context: Callable[..., Any] = context.run
        self._here = here
        self._home: Context | None = None
        self.coroutine: Coroutine[Any, Any, Any] = rest if type(rest) is CoroutineType else _awaited(rest)

    def __await__(self) -> InContext:
        self._home = None if self._here is None else self._here()
        return self

    def __iter__(self) -> InContext:
        return self

    def __next__(self) -> Any:
        return self._step(self.coroutine.send, None)

    def send(self, value: Any) -> Any:
        return self._step(self.coroutine.send, value)

    def throw(self, *error: Any) -> Any:
        return self._step(self.coroutine.throw, *error)

    def close(self) -> None:
        self._in_context(self.coroutine.close)

    def _step(self, step: Callable[..., Any], *args: Any) -> Any:
        if self._here is not None and self._here() is not self._home:
            return step(*args)
        return self._in_context(step, *args)


async def _awaited(rest: Any) -> Any:
    return await rest


FRAMES: Final[tuple[CodeType, ...]] = (
    *(made.__code__ for made in (InContext.__next__, InContext.send, InContext.throw, InContext.close, InContext._step)),
    InCleanContext.__call__.__code__,
    _awaited.__code__,
)
"""Those of ours that stand between an actor's loop and its handler."""
