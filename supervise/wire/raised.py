"""The exceptions that an interface `raises`: they cross as themselves, rebuilt from their plain arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias, cast

import msgspec

from supervise_strategies.errors import InvalidSpec
from supervise_strategies.exception import interrupts
from supervise_strategies.kind import is_of, kind_of, name_of_kind

Plain: TypeAlias = bool | int | float | str | bytes | None

_PLAIN: Final = frozenset(
    map(id, (type(None), bool, int, float, str, bytes))
)  # a class may have a hash of its own, that raises
_MOST: Final = 16
"""Arguments of one exception."""
_BYTES: Final = 8192
"""Of its arguments together: it is an error's text, and no way to send data."""
_args: Final = cast("Callable[[BaseException], tuple[Any, ...]]", BaseException.__dict__["args"].__get__)
_CURE: Final = "a tuple of exception classes, below Exception: raises=(OutOfStock,)"


class Raised:
    """The exceptions that cross as themselves, by their names: so both sides number them alike."""

    __slots__ = ("_index", "kinds", "names")

    def __init__(self, who: str, kinds: object) -> None:
        given: Any = kinds
        if not issubclass(kind_of(kinds), tuple | list):
            raise InvalidSpec(who, "raises", kinds, _CURE)
        by_name: dict[str, type[Exception]] = {}
        for kind in given:
            if not issubclass(kind_of(kind), type) or not issubclass(kind, Exception):
                raise InvalidSpec(who, "raises", kind, _CURE)
            name = name_of_kind(kind)
            if name in by_name:
                raise InvalidSpec(who, "raises", kind, f"two of them are called {name}, and it is the name that crosses")
            by_name[name] = kind
        self.names: tuple[str, ...] = tuple(sorted(by_name))
        self.kinds: tuple[type[Exception], ...] = tuple(by_name[name] for name in self.names)
        self._index: dict[int, int] = {id(kind): index for index, kind in enumerate(self.kinds)}  # a class may have no hash

    def encode(self, error: BaseException) -> tuple[int, tuple[Plain, ...]] | None:
        """Its number and its arguments; None if it can't cross as itself.

        It has to be of exactly such a class, and its arguments plain, few and small. A subclass
        isn't the declared class: who catches it over there may want what only that one has.
        """
        index = self._index.get(id(kind_of(error)))
        if index is None:
            return None
        args = _args(error)
        return (index, args) if _are_plain(args) else None

    def rebuild(self, index: object, args: object) -> Exception | None:
        """`cls(*args)`; None if there is no such class, or it raises, or makes something else."""
        if type(index) is not int or not 0 <= index < len(self.kinds) or not is_of(args, tuple, list):
            return None
        plain = tuple(cast("Sequence[Plain]", args))
        if not _are_plain(plain):
            return None
        kind = self.kinds[index]
        try:
            made: object = kind(*plain)
        except BaseException as error:
            if interrupts(error):
                raise
            return None
        return made if is_of(made, kind) else None


def _are_plain(args: tuple[Any, ...]) -> bool:
    if len(args) > _MOST or not _PLAIN.issuperset(id(kind_of(arg)) for arg in args):
        return False
    try:
        return len(msgspec.msgpack.encode(args)) <= _BYTES
    except (ValueError, OverflowError):  # a lone surrogate, or an int of more than 64 bits
        return False
