"""A class as the interpreter sees it, whatever its metaclass, or its instances, say or raise.

`isinstance` asks a value for its `__class__`, and `kind.__name__` asks a metaclass: both may be somebody's property, and raise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, TypeGuard, TypeVar, cast

T = TypeVar("T")

_mro: Final = cast("Callable[[type], tuple[type, ...]]", type.__dict__["__mro__"].__get__)
_dict: Final = cast("Callable[[type], dict[str, Any]]", type.__dict__["__dict__"].__get__)
_name: Final = cast("Callable[[type], str]", type.__dict__["__name__"].__get__)
_module: Final = cast("Callable[[type], object]", type.__dict__["__module__"].__get__)
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


def full_name_of_kind(kind: type) -> str:
    """The same with the module, if it isn't `builtins`."""
    module, name = _module(kind), qualified_name_of_kind(kind)
    if not issubclass(type(module), str) or module == "builtins":
        return name
    return f"{str.__getitem__(cast(str, module), slice(200))}.{name}"


def attribute_of_kind(kind: type, name: str, default: Any = None) -> Any:
    """What stands under a name in the class, or in the first of its bases that has it; nothing is bound, or run."""
    for base in _mro(kind):
        found = _dict(base)
        if name in found:
            return found[name]
    return default


def attributes_of_kind(kind: type) -> Iterator[tuple[str, Any]]:
    """All that stands in the class and in its bases, the farthest first: what comes later under a name overrides it."""
    for base in reversed(_mro(kind)):
        yield from list(_dict(base).items())


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
