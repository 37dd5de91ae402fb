"""What a text says of the arguments of a message is replaced by their types, as texts of messages do (`message.outline`).

It is the best that can be done, and no proof: what a handler made of an argument (`item.upper()`) isn't known again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from types import GetSetDescriptorType, MemberDescriptorType
from typing import Any, Final, cast

from supervise_strategies.exception import interrupts
from supervise_strategies.kind import full_name_of_kind, kind_of, name_of_kind
from supervise_strategies.text import LONG, one_line, said, shown

MOST: Final = 100
"""Values of one message that are looked for, those in containers included."""
DEPTH: Final = 3
"""Containers in containers that are looked into."""
ANYWHERE: Final = 4
"""Characters from which on a value is found inside of a word, too: a shorter one stands in many words by chance."""
SEARCHED: Final = 10_000
"""Characters of a long argument in which pieces of the text are looked for."""

_WRITTEN_IN_PYTHON: Final = 1 << 9  # CPython's Py_TPFLAGS_HEAPTYPE
_MARKS: Final = 0xF0000  # characters that nobody prints, so `describe` has escaped them in the text
_KEYS: Final = dict[Any, Any].keys
_MEMBERS: Final = dict[Any, Any].values
_PARTIAL_ARGS: Final[Callable[[Any], tuple[Any, ...]]] = partial.__dict__["args"].__get__
_PARTIAL_NAMED: Final[Callable[[Any], dict[str, Any]]] = partial.__dict__["keywords"].__get__
_CONTAINERS: Final[tuple[tuple[type, Callable[[Any], Iterable[Any]]], ...]] = (
    (tuple, tuple[Any, ...].__iter__),
    (list, list[Any].__iter__),
    (set, set[Any].__iter__),
    (frozenset, frozenset[Any].__iter__),
    (deque, deque[Any].__iter__),
    (BaseException, BaseException.__dict__["args"].__get__),
    (partial, _PARTIAL_ARGS),
    (partial, lambda made: _MEMBERS(_PARTIAL_NAMED(made))),
)
_ATOMS: Final = frozenset({str, bytes, bytearray, int, float, complex})
# As the interpreter sees them, whatever a metaclass says.
_MRO: Final = cast("Callable[[type], tuple[type, ...]]", type.__dict__["__mro__"].__get__)
_DICT: Final = cast("Callable[[type], Mapping[str, Any]]", type.__dict__["__dict__"].__get__)
_FLAGS: Final = cast("Callable[[type], int]", type.__dict__["__flags__"].__get__)


def redacted(text: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """The text, in which each value of the message is its type in angle brackets: `KeyError: '<str>'`.

    A value is found as `str` and as `repr` write it, also where the text was cut in the middle of it; so is a piece of a longer
    string, if the text quotes it, or it is no common word. What says nothing of the user's (None, True, False, and what is
    empty) stays. It asks objects for their texts; what that raises is passed over. Where it can't be done it is `…`.
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
    try:
        # All of them before the first text is asked for: that may change what they stand in.
        values = [*islice(_values((*args, *kwargs.values()), DEPTH), MOST)]
        return _replaced(text, values)
    except BaseException as error:
        if interrupts(error):
            raise
        return "…"


def _replaced(text: str, values: list[Any]) -> str:
    names: list[str] = []
    found: list[tuple[int, str, str]] = []
    for value in values:
        name = f"<{name_of_kind(kind_of(value))}>"
        for written in _written(value):
            if written in text or (len(written) >= ANYWHERE and text.endswith("…")):
                found.append((len(written), written, name))
    # The longest first: another one may be a part of it. Meanwhile each stands as one character, in which none is found.
    for _, written, name in sorted(found, key=lambda one: -one[0]):
        text = _without(text, written, _mark(names, name))
    for value in values:
        if issubclass(kind_of(value), (str, bytes, bytearray)) and len(whole := _whole(value)) > ANYWHERE:
            for piece in _pieces(text):
                if piece in whole:
                    text = text.replace(piece, _mark(names, f"<{name_of_kind(kind_of(value))}>"))
    for number, name in enumerate(names):
        text = text.replace(chr(_MARKS + number), name)
    return text


def _mark(names: list[str], name: str) -> str:
    if name not in names:
        names.append(name)
    return chr(_MARKS + names.index(name))


def _written(value: Any) -> Iterator[str]:
    """How a value may stand in a text."""
    kind = kind_of(value)
    plain = said(value).removesuffix("…")
    if plain:
        yield plain
    if kind is int or kind is float or (kind is str and plain == value and "'" not in plain and "\\" not in plain):
        return  # `repr` says the same
    if issubclass(kind, (bytes, bytearray)) and (decoded := _decoded(value)):
        yield one_line(decoded, LONG).removesuffix("…")
    quoted = shown(value, LONG).removesuffix("…")
    if kind is str:
        quoted = quoted.strip("'\"")
    if quoted and quoted != plain:
        yield quoted


def _decoded(value: bytes | bytearray) -> str:
    return bytes(memoryview(value)[:SEARCHED]).decode(errors="replace")


def _whole(value: Any) -> str:
    """All of a string, as far as pieces are looked for in it."""
    return str.__getitem__(value, slice(SEARCHED)) if issubclass(kind_of(value), str) else _decoded(value)


def _pieces(text: str) -> Iterator[str]:
    """What is quoted, and what looks like a name or a number."""
    for quote in "'\"":
        yield from (piece for piece in text.split(quote)[1:-1] if len(piece) >= ANYWHERE and not piece.isspace())
    for word in text.split():
        piece = word.strip(".,:;!?()[]{}<>'\"…")
        if len(piece) >= ANYWHERE and not (piece.isalpha() and piece[1:].islower()):
            yield piece


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
    """Those of it itself. Each list is made at once: another thread may change what it is made of."""
    classes = _MRO(kind)
    if issubclass(kind, dict):
        yield from [*islice(_KEYS(value), MOST)]
        yield from [*islice(_MEMBERS(value), MOST)]
    for base, each in _CONTAINERS:
        if issubclass(kind, base):
            yield from [*islice(each(value), MOST)]
    for above in classes:
        if not _FLAGS(above) & _WRITTEN_IN_PYTHON or full_name_of_kind(above).startswith("supervise."):
            continue  # a function has its module's globals, and an address a whole tree
        for own in [*_DICT(above).values()]:
            if type(own) is MemberDescriptorType or (type(own) is GetSetDescriptorType and own.__name__ == "__dict__"):
                with suppress(AttributeError):  # a slot that is empty
                    found: Any = own.__get__(value)
                    yield from (found,) if type(own) is MemberDescriptorType else [*islice(_MEMBERS(found), MOST)]


def _without(text: str, value: str, mark: str) -> str:
    if len(value) >= ANYWHERE and not value.isdigit():
        text = text.replace(value, mark)
    else:
        text = _without_word(text, value, mark)
    if len(value) >= ANYWHERE and text.endswith("…"):  # it was cut, maybe in the middle of this value
        begin = text.find(value[:ANYWHERE])
        while begin >= 0:
            if value.startswith(text[begin:-1]):
                return f"{text[:begin]}{mark}…"
            begin = text.find(value[:ANYWHERE], begin + 1)
    return text


def _without_word(text: str, value: str, mark: str) -> str:
    """Where it is no part of a word. By hand: to compile an expression of each value takes longer than the restart."""
    begin = text.find(value)
    while begin >= 0:
        end = begin + len(value)
        before, after = text[begin - 1 : begin], text[end : end + 1]
        if before.isalnum() or after.isalnum() or before in ("_", "<") or after in ("_", ">"):
            begin = text.find(value, begin + 1)
            continue
        text = f"{text[:begin]}{mark}{text[end:]}"
        begin = text.find(value, begin + 1)
    return text
