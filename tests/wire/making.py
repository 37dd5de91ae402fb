"""Interfaces of one handler, or of one type, made in a test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from supervise.wire.codec import Method
from supervise.wire.interface import Interface

any_interface: Any = Interface


def class_with(function: Callable[..., Any], name: str | None = None) -> Any:
    """A class that has this function, as if it was written in its body."""
    name = function.__name__ if name is None else name
    function.__name__, function.__qualname__ = name, f"Api.{name}"
    return type("Api", (), {name: function})


def class_of(hint: Any, result: Any = None) -> Any:
    """A class whose only handler takes one value of a type, and returns one of another."""

    def take(self: Any, value: Any) -> Any: ...

    take.__annotations__ = {"value": hint, "return": result}
    return class_with(take)


def method_of(hint: Any, result: Any = None, **options: Any) -> Method:
    return interface_of(hint, result, **options).methods[0]


def interface_of(hint: Any, result: Any = None, **options: Any) -> Interface[Any]:
    interface: Interface[Any] = any_interface("it", class_of(hint, result), **options)
    return interface


def text_of(hint: Any) -> str:
    """How a type is written."""
    return method_of(hint).entry.text.removeprefix("take(value: ").removesuffix(") -> None")
