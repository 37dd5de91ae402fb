"""What a message is called: handlers and messages as people read them, in errors, events, logs and spans.

It stands below all rooms, and imports nothing of this package. What a message is made of is told in `mailbox/envelope.py`.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

AnyHandler: TypeAlias = Callable[..., Any]


class Message(NamedTuple):
    """A message as its sender gave it: attached to the error when it wasn't accepted, and shown when it is looked at."""

    handler: AnyHandler
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def __str__(self) -> str:
        return describe(self.handler, self.args, self.kwargs)


_short = reprlib.Repr()
_short.maxstring = _short.maxother = 60
_short.maxlevel = 3


def describe(handler: AnyHandler, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """A message for people, shortened: `Counter.add(1, by='x')`. An argument whose repr raises is named by its type."""
    shown = [_repr(a) for a in args[:5]] + [f"{k}={_repr(v)}" for k, v in list(kwargs.items())[:5]]
    if len(args) > 5 or len(kwargs) > 5:
        shown.append("…")
    return f"{name_of(handler)}({', '.join(shown)})"


def _repr(value: object) -> str:
    try:
        return _short.repr(value)
    except Exception:
        return f"<{type(value).__name__}>"


def owner_of(handler: AnyHandler) -> str | None:
    """The class named in a function's qualified name, or None for a function of no class."""
    parts: list[str] = getattr(handler, "__qualname__", "").split(".")
    if len(parts) > 1 and parts[-2] != "<locals>" and parts[-1] != "<lambda>":
        return parts[-2]
    return None


def name_of(handler: AnyHandler) -> str:
    """A handler for people: `Counter.add`, or the name of a plain callable."""
    owner = owner_of(handler)
    name: str = getattr(handler, "__name__", None) or type(handler).__name__
    return f"{owner}.{name}" if owner is not None else name
