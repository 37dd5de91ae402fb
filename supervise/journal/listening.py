"""Who may listen: a function that is called at once, in the middle of what others do, so one that has to be awaited can't."""

from __future__ import annotations

import inspect
from typing import Final

from supervise_strategies.errors import InvalidSpec

ONE_EVENT: Final = "a function of one event"
A_CRASH: Final = "a function of an exception and an event"


def is_called_at_once(function: object) -> bool:
    """Whether it can be called, and isn't a coroutine function, of which the call alone does nothing."""
    call = getattr(function, "__call__", None)  # noqa: B004  # an object's own, which may be one, too
    return callable(function) and not inspect.iscoroutinefunction(function) and not inspect.iscoroutinefunction(call)


def check_listener(who: str, option: str, listener: object, what: str = ONE_EVENT, *, optional: bool = True) -> None:
    """InvalidSpec for what can't listen. `optional`: None is nobody."""
    if (listener is not None or not optional) and not is_called_at_once(listener):
        cure = f"{what}, or None" if optional else what
        raise InvalidSpec(who, option, listener, f"{cure}; it is called at once, so it can't be a coroutine function")
