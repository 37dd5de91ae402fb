"""What an object holds, as texts: to be compared with what another one holds, without asking either whether it is equal."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Final, TypeAlias, cast

from supervise_strategies.exception import interrupts
from supervise_strategies.kind import attribute_of_kind, kind_of
from supervise_strategies.text import cut, one_line, shown

Holdings: TypeAlias = dict[str, str]
"""Names of attributes, and the texts of their values."""

MOST: Final = 200  # attributes that are looked at
ROOM: Final = 2000  # characters of a value's text that are compared
SAID: Final = 60  # of which are shown
DEPTH: Final = 3  # objects in objects, of those that say nothing of themselves
GONE: Final = "(not there)"
_ADDRESS: Final = re.compile(r" at 0x[0-9a-fA-F]+")
_SAYS_NOTHING: Final = object.__repr__


def holdings(value: object) -> Holdings:
    """The attributes of an object, and of the objects in it whose class has no `__repr__`: `state.items`.

    The texts are taken now, since what they are about goes on changing. Two lives of one thing are equal if their texts are
    but for addresses in memory, so a lock is no difference.
    """
    return dict(islice(_walk("", value, DEPTH), MOST))


def differences(before: Holdings, after: Holdings) -> dict[str, tuple[str, str]]:
    """By name, what was held before and what is held after, shortened; only where they differ."""
    return {
        name: (_said(before.get(name)), _said(after.get(name)))
        for name in {**before, **after}
        if before.get(name) != after.get(name)
    }


def _said(text: str | None) -> str:
    return GONE if text is None else cut(text, SAID)


def _walk(prefix: str, value: object, depth: int) -> Iterator[tuple[str, str]]:
    for name, held in _attributes(value):
        said = f"{prefix}{one_line(name, SAID)}"
        inner = [] if depth == 1 or not _says_nothing(held) else list(islice(_walk(f"{said}.", held, depth - 1), MOST))
        if inner:
            yield from inner
        else:
            yield said, _ADDRESS.sub("", shown(held, ROOM))


def _says_nothing(value: object) -> bool:
    return attribute_of_kind(kind_of(value), "__repr__") is _SAYS_NOTHING


def _attributes(value: object) -> Iterator[tuple[str, object]]:
    """Those of its `__dict__`, then its slots. No code of the object's own is run."""
    try:
        own: object = object.__getattribute__(value, "__dict__")
    except AttributeError:
        own = None
    except BaseException as error:  # a class may have a property of that name
        if interrupts(error):
            raise
        own = None
    if issubclass(kind_of(own), dict):
        for name, held in [*cast("dict[Any, Any]", own).items()]:
            if issubclass(kind_of(name), str):
                yield name, held
    for name in _slots(kind_of(value)):
        member: Any = attribute_of_kind(kind_of(value), name)
        if kind_of(member) is _MEMBER:
            get = cast("Callable[[Any, object], object]", _MEMBER.__get__)
            try:
                yield name, get(member, value)
            except AttributeError:
                continue


class _Slotted:
    __slots__ = ("one",)


_MEMBER: Final = kind_of(_Slotted.__dict__["one"])


def _slots(kind: type) -> Iterator[str]:
    """The names of the members that Python made for `__slots__`, of a class and of its bases."""
    for base in reversed(type.mro(kind)):
        for name, found in [*base.__dict__.items()]:
            if kind_of(found) is _MEMBER and not name.startswith("__"):
                yield name
