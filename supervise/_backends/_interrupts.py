"""Where Ctrl-C may strike on trio: never in code of this package, nor in what that calls; so no state is left half changed.

trio raises KeyboardInterrupt in whatever runs when the signal comes, unless the innermost function that is marked says no. All
of ours are marked, once, as their code objects: it costs nothing when they run. A signal that comes meanwhile is raised in the
main task, as soon as that waits. A handler may block for ever, so it is marked as one that may be struck; it then crashes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final, cast

import trio

_PACKAGES: Final = ("supervise.", "supervise_strategies.")
_NOT_OURS: Final = ("supervise.testing.", "supervise.cli.")  # these call what is the user's body
_marked: Final[set[str]] = set()


class _HasCode:
    """What trio's decorators want: anything that has a code object."""

    def __init__(self, code: CodeType) -> None:
        self.__code__ = code


def spare_our_own() -> None:
    """Mark all functions of the modules that were imported since the last time."""
    for name in [name for name in sys.modules if _is_ours(name) and name not in _marked]:
        _marked.add(name)
        module = sys.modules[name]
        for function in _functions(module):
            for code in _codes(function.__code__):
                trio.lowlevel.enable_ki_protection(_HasCode(code))


def _is_ours(module: object) -> bool:
    return type(module) is str and module.startswith(_PACKAGES) and not module.startswith(_NOT_OURS)


def let_strike(function: object) -> None:
    """This function of the user's may be interrupted, though ours call it."""
    # Of anything but a plain function it would be asked what it is, and it may say anything.
    if type(function) is FunctionType and not _is_ours(function.__module__):
        trio.lowlevel.disable_ki_protection(_HasCode(function.__code__))


def _functions(module: ModuleType) -> Iterator[FunctionType]:
    todo: list[Any] = [value for value in vars(module).values() if getattr(value, "__module__", None) == module.__name__]
    while todo:
        value: Any = todo.pop()
        if isinstance(value, FunctionType):
            yield value
        elif isinstance(value, type):
            todo.extend(
                part for part in vars(value).values() if not isinstance(part, type) or part.__module__ == module.__name__
            )
        elif isinstance(value, staticmethod | classmethod):
            todo.append(cast(Any, value).__func__)
        elif isinstance(value, property):
            todo.extend(part for part in (value.fget, value.fset, value.fdel) if part is not None)
        if isinstance(value, FunctionType):
            todo.extend(part for name, part in vars(value).items() if name == "__wrapped__")


def _codes(code: CodeType) -> Iterator[CodeType]:
    """It, and all that is defined inside of it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)
