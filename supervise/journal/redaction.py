"""What a text says of the arguments of a message is replaced by their types, as texts of messages do (`message.outline`)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from types import GetSetDescriptorType, MemberDescriptorType
from typing import Any, Final

from supervise_strategies.kind import full_name_of_kind, kind_of, name_of_kind
from supervise_strategies.text import LONG, said, shown

MOST: Final = 100
"""Values of one message that are looked for, those in containers included."""
DEPTH: Final = 3
"""Containers in containers that are looked into."""
ANYWHERE: Final = 4
"""Characters from which on a value is found inside of a word, too: a shorter one stands in many words by chance."""

_WRITTEN_IN_PYTHON: Final = 1 << 9  # CPython's Py_TPFLAGS_HEAPTYPE
_KEYS: Final = dict[Any, Any].keys
_MEMBERS: Final = dict[Any, Any].values
_CONTAINERS: Final[tuple[tuple[type, Callable[[Any], Iterator[Any]]], ...]] = (
    (tuple, tuple[Any, ...].__iter__),
    (list, list[Any].__iter__),
    (set, set[Any].__iter__),
    (frozenset, frozenset[Any].__iter__),
)
_ATOMS: Final = frozenset({str, bytes, int, float, complex})


def redacted(text: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """The text, in which each value of the message is its type in angle brackets: `KeyError: '<str>'`.

    A value is found as `str` and as `repr` write it, also where the text was cut in the middle of it. What says nothing of the
    user's (None, True, False, and what is empty) stays. It asks objects for their texts; what that raises is passed over.
    """
    if len(args) == 1 and not kwargs:  # most crashes say what they can't do with the one thing that they were given
        value, kind = args[0], kind_of(args[0])
        if kind is int and int.bit_length(value) < 64:
            number = int.__repr__(value)
            if number not in text:
                return text
            if number == text:
                return "<int>"
        elif kind is str and (value == text or f"'{value}'" == text):
            return text.replace(value, "<str>")
    for value in islice(_values((*args, *kwargs.values()), DEPTH), MOST):
        kind = kind_of(value)
        name = f"<{name_of_kind(kind)}>"
        plain, quoted = said(value), shown(value, LONG)
        text = _without(text, quoted.removesuffix("…"), name) if kind is not str else text
        text = _without(text, plain.removesuffix("…"), name)
        if kind is str and quoted[1:-1] != plain:
            text = _without(text, quoted.removesuffix("…").strip("'\""), name)
    return text


def _values(values: Iterable[Any], depth: int) -> Iterator[Any]:
    """All of them, and what is in them: in containers, and in attributes of objects. No code of the user's runs for that."""
    for value in islice(values, MOST):
        kind = kind_of(value)
        if kind is bool or value is None:
            continue
        yield value
        if depth and kind not in _ATOMS:
            yield from _values(_parts(value, kind), depth - 1)


def _parts(value: Any, kind: type) -> Iterator[Any]:
    if issubclass(kind, dict):
        yield from islice(_KEYS(value), MOST)
        yield from islice(_MEMBERS(value), MOST)
    for base, each in _CONTAINERS:
        if issubclass(kind, base):
            yield from islice(each(value), MOST)
    for above in kind.__mro__:
        if not above.__flags__ & _WRITTEN_IN_PYTHON or full_name_of_kind(above).startswith("supervise."):
            continue  # a function has its module's globals, and an address a whole tree
        for own in above.__dict__.values():
            if type(own) is MemberDescriptorType or (type(own) is GetSetDescriptorType and own.__name__ == "__dict__"):
                with suppress(AttributeError):  # a slot that is empty
                    found: Any = own.__get__(value)
                    yield from (found,) if type(own) is MemberDescriptorType else _MEMBERS(found)


def _without(text: str, value: str, name: str) -> str:
    if value and value in text:
        if len(value) >= ANYWHERE and not value.isdigit():
            text = text.replace(value, name)
        else:
            text = re.sub(rf"(?<![\w<]){re.escape(value)}(?![\w>])", name, text)
    if len(value) >= ANYWHERE and text.endswith("…"):  # it was cut, maybe in the middle of this value
        begin = text.find(value[:ANYWHERE])
        while begin >= 0:
            if value.startswith(text[begin:-1]):
                return f"{text[:begin]}{name}…"
            begin = text.find(value[:ANYWHERE], begin + 1)
    return text
