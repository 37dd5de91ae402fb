"""What the protocol tells, read by those who didn't write it: what isn't as it should be is as if it weren't told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeGuard, cast

from supervise_strategies.text import one_line

LONGEST: Final = 1000
"""Characters of one text: more than what a tree tells ever has."""


def text_in(data: Mapping[str, Any], name: str) -> str:
    """A text, on one line and printable; else nothing."""
    value = data.get(name)
    return one_line(value, LONGEST) if is_text(value) else ""


def number_in(data: Mapping[str, Any], name: str) -> float:
    """A number, else 0."""
    value = data.get(name)
    return value if isinstance(value, int | float) else 0.0


def part_in(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An object, else an empty one."""
    value = data.get(name)
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


def list_in(data: Mapping[str, Any], name: str) -> list[object]:
    """A list, else an empty one."""
    value = data.get(name)
    return cast("list[object]", value) if isinstance(value, list) else []


def texts_in(data: Mapping[str, Any], name: str) -> list[str]:
    """The texts in a list, each as `text_in` gives it."""
    return [one_line(each, LONGEST) for each in list_in(data, name) if is_text(each)]


def parts_in(data: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """The objects in a list."""
    return [cast("Mapping[str, Any]", each) for each in list_in(data, name) if isinstance(each, dict)]


def is_text(value: object) -> TypeGuard[str]:
    return isinstance(value, str)
