"""A record beside an object, for what few of its kind have."""

from __future__ import annotations

from typing import Any, NoReturn, TypeVar

E = TypeVar("E", bound="Extras")


class Extras:
    """Fields with defaults. An object reads them in one that all share, and gets its own before it sets the first."""

    __slots__ = ()


def shared(extras: E) -> E:
    """The same, in which nothing can be set any more: what one wrote there, all would have."""
    kind = type(extras)
    # Another class with the same slots, which is all that CPython asks for; checkers only know classes by name.
    extras.__class__ = type(kind.__name__, (kind,), {"__slots__": (), "__setattr__": _refuse})  # pyright: ignore[reportAttributeAccessIssue]
    return extras


def _refuse(self: object, name: str, value: Any) -> NoReturn:
    raise AttributeError(f"{name} is set in the record that all share; own_extras() gives one that is the object's own")
