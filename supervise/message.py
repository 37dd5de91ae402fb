"""What a message is called: handlers and messages as people read them, in errors, events, logs and spans.

It stands below all rooms, and imports nothing of ours but how texts are made. What a message is made of is told in
`mailbox/envelope.py`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from itertools import islice
from types import FunctionType
from typing import Any, Final, NamedTuple, TypeAlias, cast

from supervise_strategies.exception import interrupts
from supervise_strategies.kind import kind_of, name_of_kind
from supervise_strategies.text import LONG, SHORT, one_line, shown

AnyHandler: TypeAlias = Callable[..., Any]


_PLAIN: Final = frozenset(map(id, (str, int, float, bool, bytes, list, dict, tuple, set, type(None))))
LONGEST: Final = 500
"""Characters of the text of a message."""


class Message(NamedTuple):
    """A message as its sender gave it: a handler and its arguments.

    It is attached to the error of a message that wasn't accepted, and stands in what `peek`,
    `take` and `on_dead_letter` show. It holds the real arguments, and keeps them alive.

    >>> async with Supervisor("app") as app:
    ...     names = await app.start(list)
    ...     names.pause()
    ...     await names.send(list.append, "ada")
    ...     message, = names.take(lambda message: message.handler is list.append)
    ...     message, message.args
    (<Message list.append('ada')>, ('ada',))
    """

    handler: AnyHandler
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def __str__(self) -> str:
        return describe(self.handler, self.args, self.kwargs)

    def __repr__(self) -> str:
        return f"<Message {self}>"


def describe(handler: AnyHandler, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """A message for people, shortened: `Counter.add(1, by='x')`. An argument whose repr raises is named by its type."""
    parts = [shown(a) for a in args[:5]]
    if kwargs:
        parts += [f"{one_line(k, SHORT)}={shown(v)}" for k, v in islice(kwargs.items(), 5)]
    if len(args) > 5 or len(kwargs) > 5:
        parts.append("…")
    return one_line(f"{name_of(handler)}({', '.join(parts)})", LONGEST)


def outline(handler: AnyHandler, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """The same without what users sent, for logs and errors: `Counter.add(int, by=str)`."""
    name = name_of(handler)
    if not kwargs:
        kinds = tuple(map(kind_of, args))
        if _PLAIN.issuperset(map(id, kinds)):  # a class may have a hash of its own, that raises
            return _plain_outline(name, kinds)
    parts = [name_of_kind(kind_of(arg)) for arg in args[:5]]
    if kwargs:
        parts += [f"{one_line(k, SHORT)}={name_of_kind(kind_of(v))}" for k, v in islice(kwargs.items(), 5)]
    if len(args) > 5 or len(kwargs) > 5:
        parts.append("…")
    return one_line(f"{name}({', '.join(parts)})", LONGEST)


@functools.lru_cache(maxsize=1000)
def _plain_outline(name: str, kinds: tuple[type, ...]) -> str:
    """Of builtin types, which may be kept for ever. Each message that is lost has its outline made: 1 us of a restart."""
    parts = [kind.__name__ for kind in kinds[:5]]
    return one_line(f"{name}({', '.join([*parts, '…'] if len(kinds) > 5 else parts)})", LONGEST)


def owner_of(handler: AnyHandler) -> str | None:
    """The class named in a function's qualified name, or None for a function of no class."""
    return _class_in(named(handler, "__qualname__"))


def _class_in(qualified_name: str) -> str | None:
    parts = qualified_name.split(".")
    if len(parts) > 1 and parts[-2] != "<locals>" and parts[-1] != "<lambda>":
        return parts[-2]
    return None


def short_name_of(handler: AnyHandler) -> str:
    """The name of a function, or of the class of any other callable."""
    return named(handler, "__name__") or name_of_kind(type(handler))


def name_of(handler: AnyHandler) -> str:
    """A handler for people: `Counter.add`, or the name of a plain callable."""
    if type(handler) is FunctionType and type(handler.__qualname__) is str and type(handler.__name__) is str:
        return _label(handler.__qualname__, handler.__name__)
    owner = owner_of(handler)
    name = short_name_of(handler)
    return one_line(name if owner is None else f"{owner}.{name}", LONG)


def label_of(qualified_name: str) -> str:
    """What `name_of` says of a plain function, by its qualified name."""
    return _label(qualified_name, qualified_name.rpartition(".")[2])


@functools.lru_cache(maxsize=1000)
def _label(qualified_name: str, name: str) -> str:
    """Of a function. Each crash asks for it once or more, and it is 2 us."""
    owner = _class_in(qualified_name[:1000])
    return one_line(name[:1000] if owner is None else f"{owner}.{name[:1000]}", LONG)


def named(handler: AnyHandler, attribute: str) -> str:
    """One of the names of a callable, which may be anybody's object: empty if it has none, or raises."""
    if type(handler) is FunctionType and attribute != "__module__":
        found: object = handler.__qualname__ if attribute == "__qualname__" else handler.__name__
    else:
        try:
            found = getattr(handler, attribute, "")
        except BaseException as error:
            if interrupts(error):
                raise
            return ""
    return str.__getitem__(cast(str, found), slice(1000)) if issubclass(type(found), str) else ""
