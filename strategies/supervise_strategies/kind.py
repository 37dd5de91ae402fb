"""A class as the interpreter sees it, whatever its metaclass, or its instances, say or raise.

`isinstance` asks a value for its `__class__`, and `kind.__name__` asks a metaclass: both may be somebody's property, and raise.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, TypeAlias, TypeGuard, TypeVar, cast

T = TypeVar("T")
ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]

_mro: Final = cast("Callable[[type], tuple[type, ...]]", type.__dict__["__mro__"].__get__)
_dict: Final = cast("Callable[[type], dict[str, Any]]", type.__dict__["__dict__"].__get__)
_name: Final = cast("Callable[[type], str]", type.__dict__["__name__"].__get__)
_qualified_name: Final = cast("Callable[[type], str]", type.__dict__["__qualname__"].__get__)


def kind_of(value: object) -> Any:
    """The type of a value that can be anything."""
    return type(value)


def name_of_kind(kind: type) -> str:
    """The name that it was given, cut to 100 characters."""
    return str.__getitem__(_name(kind), slice(100))


def qualified_name_of_kind(kind: type) -> str:
    """The same with the classes, or the function, around it."""
    return str.__getitem__(_qualified_name(kind), slice(200))


def attribute_of_kind(kind: type, name: str, default: Any = None) -> Any:
    """What stands under a name in the class, or in the first of its bases that has it; nothing is bound, or run."""
    for base in _mro(kind):
        found = _dict(base)
        if name in found:
            return found[name]
    return default


def name_in_kind(kind: type, value: object) -> str | None:
    """Under which name this very object stands in the class, or in one of its bases."""
    for base in _mro(kind):
        for name, found in _dict(base).items():
            if found is value:
                return name
    return None


def is_of(value: object, *kinds: type[T]) -> TypeGuard[T]:
    """Whether a value is an instance: by its type, and not by what it says of itself."""
    return issubclass(type(value), kinds)


# -- what stands in an exception, whatever its class makes of these names ------------------------------------------------

_cause: Final = cast("Callable[[BaseException], BaseException | None]", BaseException.__dict__["__cause__"].__get__)
_context: Final = cast("Callable[[BaseException], BaseException | None]", BaseException.__dict__["__context__"].__get__)
_traceback: Final = cast("Callable[[BaseException], TracebackType | None]", BaseException.__dict__["__traceback__"].__get__)


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
