r"""The texts of other people's objects: bounded before they are made, on one line, and never raising.

Theory of operation
-------------------
- What makes the whole of a large text is never asked for it: strings, bytes and numbers are cut first. Of containers,
  dataclasses, named tuples and exceptions only as many parts are shown as there is room for. (`reprlib` makes the texts of
  bytes and of foreign objects whole.) A subclass without a `__repr__` of its own is shown as its base.
- Any other `__repr__` or `__str__` is called once, and what it returns is cut.
- What it raises is named in the text, whatever it is: a `SystemExit` that a `__str__` raises ends nobody. Only
  KeyboardInterrupt passes up, which isn't the object's own.
- A character that would break a line, move a cursor or break an encoder (a lone surrogate) is written as `repr` writes it:
  `\n`, `\x1b`, `\ud800`.
"""

from __future__ import annotations

import dataclasses
from array import array
from collections import Counter, OrderedDict, UserDict, UserList, UserString, defaultdict, deque
from collections.abc import Callable, Iterable
from functools import partial
from itertools import islice
from types import FunctionType, MappingProxyType, SimpleNamespace
from typing import Any, Final, NamedTuple, TypeAlias

from .exception import interrupts
from .kind import attribute_of_kind, kind_of, name_of_kind

SHORT: Final = 60
"""Characters of one value among others."""
LONG: Final = 200
"""Characters of the text of an exception, and of a value that an error is about."""
DEPTH: Final = 5
"""Containers in containers; what is deeper is `…`."""

_SPACES: Final = "\xa0\u202f\u3000"  # what people write, though no `repr` does


def shown(value: object, limit: int = SHORT) -> str:
    """What `repr` says of a value, on one line of at most `limit` characters."""
    return one_line(_shown(value, limit, DEPTH), limit)


def said(value: object, limit: int = LONG) -> str:
    """What `str` says of a value, on one line of at most `limit` characters. Of an exception: its text, without its type."""
    return one_line(text_of(value, limit), limit)


def text_of(value: object, limit: int) -> str:
    """What `str` says of a value, with its lines as they are, cut at `limit` characters."""
    try:
        text = _str(value, limit, DEPTH)
    except BaseException as error:
        if interrupts(error):
            raise
        text = f"<its str() raised {name_of_kind(type(error))}>"
    return cut(text, limit)


def plain_text(error: BaseException, kind: type[BaseException]) -> str | None:
    """The text of the commonest exception, which has a string or a number and no `__str__` of its own; None of another one."""
    args = _ARGS(error)
    if len(args) != 1 or attribute_of_kind(kind, "__str__") is not _PLAIN:
        return None
    arg = args[0]
    return arg if type(arg) is str else int.__repr__(arg) if type(arg) is int and -_LARGE < arg < _LARGE else None


def cut(text: str, limit: int) -> str:
    """The text, or its beginning and `…`. The result is a plain `str`, whatever was given."""
    text = str.__getitem__(text, slice(limit + 1))
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def one_line(text: str, limit: int) -> str:
    """The same, without what would break the line, or an encoder."""
    text = printable(str.__getitem__(text, slice(limit + 1)))
    return text if len(text) <= limit else cut(text, limit)


def printable(text: str) -> str:
    """The whole text, without what would break the line, or an encoder. The result is a plain `str`, whatever was given."""
    text = str.__str__(text)
    if text.isprintable():
        return text
    return "".join([c if c.isprintable() or c in _SPACES else c.encode("unicode_escape").decode("ascii") for c in text])


def _shown(value: object, room: int, depth: int) -> str:
    try:
        return _repr(value, room, depth)
    except BaseException as error:
        if interrupts(error):
            raise
        return f"<{name_of_kind(kind_of(value))}: its repr() raised {name_of_kind(type(error))}>"


def _repr(value: Any, room: int, depth: int) -> str:
    kind = kind_of(value)
    if kind is int:  # the commonest argument; to look up its way takes 0.6 us, as many times in each crash
        return _int(value, room, depth)
    own = attribute_of_kind(kind, "__repr__")
    way = _WAYS.get(id(own))
    if way is not None:
        return way(value, room, depth)
    if type(own) is FunctionType:
        if own.__code__ is _NAMED_TUPLE:
            pairs = zip(attribute_of_kind(kind, "_fields"), _TUPLE(value), strict=False)
            return _fields(name_of_kind(kind), pairs, room, depth)
        made = getattr(own, "__wrapped__", None)
        if type(made) is FunctionType and "__create_fn__" in made.__qualname__:  # the one that `dataclass` makes
            values = ((field.name, getattr(value, field.name)) for field in dataclasses.fields(value) if field.repr)
            return _fields(name_of_kind(kind), values, room, depth)
    return cut(repr(value), room)


def _str(value: Any, room: int, depth: int) -> str:
    kind = kind_of(value)
    if kind is str:
        return cut(value, room)
    if kind is int:
        return _int(value, room, depth)
    own = id(attribute_of_kind(kind, "__str__"))
    if own == id(str.__str__):
        return cut(value, room)
    if own == id(BaseException.__str__):
        args = _ARGS(value)
        if len(args) == 1:
            return _str(args[0], room, depth - 1) if depth else "…"
        return _shown(args, room, depth) if args else ""
    if own == id(KeyError.__str__):
        args = _ARGS(value)
        return _shown(args[0] if len(args) == 1 else args, room, depth) if args else ""
    if own in _AS_REPR:
        return _shown(value, room, depth)
    return str(value)


# -- what is known to make the whole of a text -----------------------------------------------------------------------------

_Way: TypeAlias = Callable[[Any, int, int], str]


def _text(value: str, room: int, _: int) -> str:
    return cut(str.__repr__(str.__getitem__(value, slice(room + 1))), room)


def _bytes(value: bytes, room: int, _: int) -> str:
    return cut(bytes.__repr__(bytes.__getitem__(value, slice(room + 1))), room)


def _bytearray(value: bytearray, room: int, _: int) -> str:
    return cut(bytearray.__repr__(bytearray.__getitem__(value, slice(room + 1))), room)


def _array(value: array[Any], room: int, _: int) -> str:
    return cut(repr(_PART_OF_ARRAY(value, slice(room + 1))), room)


def _int(value: int, _: int, __: int) -> str:
    bits = int.bit_length(value)
    return int.__repr__(value) if bits <= 1024 else f"<int of {bits} bits>"  # the text of a larger one may raise


def _parts(opening: str, parts: Iterable[str], closing: str, room: int) -> str:
    """As many parts as there is room for; each is made when its turn comes."""
    text, comma = opening, ""
    for part in parts:
        text += comma + part
        if len(text) > room:
            return cut(text, room)
        comma = ", "
    return text + closing


def _values(opening: str, values: Iterable[Any], closing: str, room: int, depth: int) -> str:
    first = list(islice(values, room))  # what a repr does to the container is no concern of this one
    if not depth and first:
        return f"{opening}…{closing}"
    return _parts(opening, (_shown(value, room, depth - 1) for value in first), closing, room)


def _pairs(opening: str, pairs: Iterable[tuple[Any, Any]], closing: str, room: int, depth: int) -> str:
    first = list(islice(pairs, room))
    if not depth and first:
        return f"{opening}…{closing}"
    parts = (f"{_shown(key, room, depth - 1)}: {_shown(value, room, depth - 1)}" for key, value in first)
    return _parts(opening, parts, closing, room)


def _fields(name: str, pairs: Iterable[tuple[str, Any]], room: int, depth: int) -> str:
    if not depth:
        return f"{name}(…)"
    return _parts(f"{name}(", (f"{field}={_shown(value, room, depth - 1)}" for field, value in pairs), ")", room)


def _list(value: list[Any], room: int, depth: int) -> str:
    return _values("[", _LIST(value), "]", room, depth)


def _tuple(value: tuple[Any, ...], room: int, depth: int) -> str:
    return _values("(", _TUPLE(value), ",)" if _ARITY(value) == 1 else ")", room, depth)


def _set(value: set[Any], room: int, depth: int) -> str:
    braced = _SIZE(value) > 0
    text = _values("{" if braced else "", _SET(value), "}" if braced else "", room, depth)
    return text if braced and type(value) is set else f"{name_of_kind(kind_of(value))}({text})"


def _frozenset(value: frozenset[Any], room: int, depth: int) -> str:
    braced = _FROZEN_SIZE(value) > 0
    text = _values("{" if braced else "", _FROZENSET(value), "}" if braced else "", room, depth)
    return f"{name_of_kind(kind_of(value))}({text})"


def _deque(value: deque[Any], room: int, depth: int) -> str:
    closing = "])" if value.maxlen is None else f"], maxlen={value.maxlen})"
    return _values(f"{name_of_kind(kind_of(value))}([", _DEQUE(value), closing, room, depth)


def _iterable(value: Iterable[Any], room: int, depth: int) -> str:
    return _values(f"{name_of_kind(kind_of(value))}([", iter(value), "])", room, depth)


def _mapping(value: dict[Any, Any], room: int, depth: int) -> str:
    return _pairs("{", _PAIRS(value), "}", room, depth)


def _named_mapping(value: dict[Any, Any], room: int, depth: int) -> str:
    return _pairs(f"{name_of_kind(kind_of(value))}({{", _PAIRS(value), "})", room, depth)


def _proxy(value: MappingProxyType[Any, Any], room: int, depth: int) -> str:
    return _pairs("mappingproxy({", value.items(), "})", room, depth)


def _data(value: Any, room: int, depth: int) -> str:
    return _shown(value.data, room, depth)


def _namespace(value: SimpleNamespace, room: int, depth: int) -> str:
    return _fields("namespace", _NAMES(value).items(), room, depth)


def _partial(value: partial[Any], room: int, depth: int) -> str:
    parts = [value.func, *islice(value.args, room)]
    named = (f"{name}={_shown(part, room, depth - 1)}" for name, part in islice(value.keywords.items(), room))
    if not depth:
        return "functools.partial(…)"
    return _parts("functools.partial(", [*(_shown(part, room, depth - 1) for part in parts), *named], ")", room)


def _exception(value: BaseException, room: int, depth: int) -> str:
    return _values(f"{name_of_kind(kind_of(value))}(", _ARGS(value), ")", room, depth)


class _One(NamedTuple):
    one: object


# The base's own: a subclass may have methods of these names that say, or do, anything.
_LIST: Final = list[Any].__iter__
_TUPLE: Final = tuple[Any, ...].__iter__
_ARITY: Final = tuple[Any, ...].__len__
_SET: Final = set[Any].__iter__
_SIZE: Final = set[Any].__len__
_FROZENSET: Final = frozenset[Any].__iter__
_FROZEN_SIZE: Final = frozenset[Any].__len__
_DEQUE: Final = deque[Any].__iter__
_PART_OF_ARRAY: Final = attribute_of_kind(array, "__getitem__")
_PAIRS: Final = dict[Any, Any].items
_PLAIN: Final[object] = BaseException.__str__
_LARGE: Final = 1 << 1024
_ARGS: Final[Callable[[BaseException], tuple[Any, ...]]] = BaseException.__dict__["args"].__get__
_NAMES: Final[Callable[[SimpleNamespace], dict[str, Any]]] = SimpleNamespace.__dict__["__dict__"].__get__
_NAMED_TUPLE: Final = attribute_of_kind(_One, "__repr__").__code__  # all have the same
_nothing: Final[dict[str, str]] = {}
_KNOWN: Final[tuple[tuple[type, _Way], ...]] = (
    (str, _text),
    (bytes, _bytes),
    (bytearray, _bytearray),
    (array, _array),
    (int, _int),
    (list, _list),
    (tuple, _tuple),
    (set, _set),
    (frozenset, _frozenset),
    (deque, _deque),
    (dict, _mapping),
    (defaultdict, _named_mapping),
    (OrderedDict, _named_mapping),
    (Counter, _named_mapping),
    (type(_nothing.keys()), _iterable),
    (type(_nothing.values()), _iterable),
    (type(_nothing.items()), _iterable),
    (MappingProxyType, _proxy),
    (UserDict, _data),
    (UserList, _data),
    (UserString, _data),
    (SimpleNamespace, _namespace),
    (partial, _partial),
    (BaseException, _exception),
)
# By the identity of the function that would be called: it lives for ever, and to look it up runs no code of anybody.
_WAYS: Final[dict[int, _Way]] = {id(attribute_of_kind(kind, "__repr__")): way for kind, way in _KNOWN}
_AS_REPR: Final = {id(attribute_of_kind(kind, "__str__")) for kind in (object, bytes, bytearray)}
