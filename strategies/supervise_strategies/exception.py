"""What stands in an exception, whatever its class makes of these names: its `__traceback__` may be a property that raises."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Final, TypeAlias, cast

from .kind import is_of

ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]

_cause: Final = cast("Callable[[BaseException], BaseException | None]", BaseException.__dict__["__cause__"].__get__)
_context: Final = cast("Callable[[BaseException], BaseException | None]", BaseException.__dict__["__context__"].__get__)
_traceback: Final = cast("Callable[[BaseException], TracebackType | None]", BaseException.__dict__["__traceback__"].__get__)
_inside: Final = cast("Callable[[BaseException], tuple[BaseException, ...]]", BaseExceptionGroup.__dict__["exceptions"].__get__)


def cause_of(error: BaseException) -> BaseException | None:
    """Its `__cause__`."""
    return _cause(error)


def context_of(error: BaseException) -> BaseException | None:
    """Its `__context__`."""
    return _context(error)


def traceback_of(error: BaseException) -> TracebackType | None:
    """Its `__traceback__`."""
    return _traceback(error)


def exc_info_of(error: BaseException | None) -> ExcInfo:
    """What `__exit__` is given; `sys.exc_info()` of an exception that is at hand."""
    return (None, None, None) if error is None else (type(error), error, _traceback(error))


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The exceptions inside nested groups, in order, however deep; task groups wrap even a single one.

    A group that is inside twice is looked into once: groups that share their parts can have more leaves than there is time.
    """
    waiting = [error]
    seen: set[int] = set()
    while waiting:
        found = waiting.pop()
        if not is_of(found, BaseExceptionGroup):
            yield found
        elif id(found) not in seen:
            seen.add(id(found))
            waiting.extend(reversed(_inside(found)))


def unwrapped(error: BaseException, *, raised: bool = False) -> BaseException:
    """The exception inside of groups that hold a single one: a task group wraps even one. `raised`: only if it was raised."""
    found = error
    while is_of(error, BaseExceptionGroup) and len(inside := _inside(error)) == 1:
        error = inside[0]
        if not raised or _traceback(error) is not None:
            found = error
    return found


def raised_inside(error: BaseException) -> BaseException:
    """What is innermost of it and was raised: of groups the first one inside, unless that has been put there by hand."""
    found = error
    while is_of(error, BaseExceptionGroup):
        error = _inside(error)[0]
        if _traceback(error) is not None:
            found = error
    return found


def interrupts(error: BaseException) -> bool:
    """Whether it is a KeyboardInterrupt, or has one in it: that passes up from anywhere, whoever's code it struck in."""
    return not is_of(error, Exception) and any(is_of(leaf, KeyboardInterrupt) for leaf in leaves(error))
