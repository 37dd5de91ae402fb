"""A context for each message: what a handler sets in a context variable isn't there for the next one.

The context that a task runs in can't be exchanged. So while nobody sets a variable, handlers run in that of their actor's
task. Once one did, each later handler of that life is stepped in a copy of what the context was before the first message. To
ask after each message whether that is so costs 5 to 15 ns, since equal contexts share their tree; such a copy for each would
be 600.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextvars import Context
from types import CoroutineType
from typing import Any

from supervise.mailbox.handler import awaitable


def differs(context: Context, before: Context) -> bool:
    """Whether a variable was set. Two values that can't be compared aren't the same."""
    try:
        return context != before
    except BaseException:  # by an equality of the user's
        return True


def in_clean_context(base: Context, handler: Callable[..., Any]) -> Callable[..., Any]:
    """The same handler, which is run in a copy of the context, and so is what it returns to be awaited."""

    def run(*args: Any, **kwargs: Any) -> Any:
        context = base.copy()
        result = context.run(handler, *args, **kwargs)
        return InContext(context, result) if awaitable(result) else result

    return run


class InContext:
    """What is awaited in a task, and runs in a context of its own. It is awaited once."""

    __slots__ = ("_run", "coroutine")

    def __init__(self, context: Context, rest: Any) -> None:
        self._run: Callable[..., Any] = context.run
        self.coroutine: Coroutine[Any, Any, Any] = rest if type(rest) is CoroutineType else _awaited(rest)

    def __await__(self) -> InContext:
        return self

    def __iter__(self) -> InContext:
        return self

    def __next__(self) -> Any:
        return self._run(self.coroutine.send, None)

    def send(self, value: Any) -> Any:
        return self._run(self.coroutine.send, value)

    def throw(self, *error: Any) -> Any:
        return self._run(self.coroutine.throw, *error)

    def close(self) -> None:
        self._run(self.coroutine.close)


async def _awaited(rest: Any) -> Any:
    return await rest
