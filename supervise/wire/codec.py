"""Messages, results and events as bytes: what is prepared once for each handler, and used for each message.

Theory of operation
-------------------
- A message is a map of parameters and what was given for them. A default that wasn't given doesn't cross: the serving side has
  its own. A result, and an event, is the value itself.
- Who encodes is told at once: `BadCall` if the arguments don't fit, `BadMessage` (`BadReply`) for what can't be encoded,
  `TooLarge` for too many bytes. Whether a value is of the declared type shows where it is decoded: strictly, with its place.
- What is decoded comes from anybody. A missing, unknown or wrong parameter, a byte too many or too few, text that is no UTF-8,
  too many values inside of each other, what a class of the user's own raises: all of it is `BadMessage` (`BadReply`), and
  nothing else. Of a key that stands twice in a map the last one counts. A class of data passes over fields that it doesn't
  know, unless it forbids them, as msgspec does.
- A format may raise, and return, what it likes. Only KeyboardInterrupt passes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, NoReturn, Union

import msgspec
from msgspec import UNSET, UnsetType

from supervise.errors import BadCall, BadMessage, BadReply, CallError, TooLarge
from supervise.message import AnyHandler, Message, name_of, outline
from supervise_strategies.errors import InvalidSpec
from supervise_strategies.exception import interrupts
from supervise_strategies.exit_reason import describe
from supervise_strategies.kind import is_of, kind_of, name_of_kind
from supervise_strategies.text import LONG, one_line, said

from .format import WireFormat
from .signature import Signature
from .table import Entry


class Method:
    """One handler of an interface: makes bytes of its messages and results, and reads them.

    It is found by `Interface.method`, and can be used from any thread.

    >>> class Shop:
    ...     def place(self, item: str, *, urgent: bool = False) -> int: ...
    >>> place = Interface("shop", Shop).method(Shop.place)
    >>> place
    <Method shop.Shop.place>
    >>> place.decode(place.encode(("tea",), {"urgent": True}))
    (('tea',), {'urgent': True})
    """

    __slots__ = (
        "_by_name",
        "_declared",
        "_encode",
        "_fewest",
        "_name",
        "_parameters",
        "_positional",
        "_read",
        "_read_result",
        "_required",
        "_struct",
        "_whole",
        "entry",
        "function",
        "index",
        "name",
    )

    def __init__(
        self, who: str, name: str, function: AnyHandler, index: int, entry: Entry, signature: Signature, format: WireFormat
    ) -> None:
        self.name: str = name
        """Under which it is run on the live instance."""
        self.function: AnyHandler = function
        self.index: int = index
        """Its place in the table of its interface."""
        self.entry: Entry = entry
        parameters = signature.parameters
        self._name = name_of(function)
        self._declared = signature.declared
        self._parameters = parameters
        self._positional = tuple(each.name for each in parameters if each.positional)
        self._by_name = frozenset(each.name for each in parameters if each.by_name)
        self._required = frozenset(each.name for each in parameters if each.required)
        # A call by position alone is most calls: to know that it fits takes two comparisons.
        only_positional = all(each.positional for each in parameters if each.required)
        self._fewest: float = len(self._required) if only_positional else math.inf
        self._whole = all(each.positional and each.required for each in parameters)
        self._encode = format.encode
        self._struct = msgspec.defstruct(
            name,
            [
                (f"p{n}", each.type) if each.required else (f"p{n}", Union[each.type, UnsetType], UNSET)  # noqa: UP007
                for n, each in enumerate(parameters)
            ],
            rename={f"p{n}": each.name for n, each in enumerate(parameters)},  # a name may be one that no struct can have
            kw_only=True,
            forbid_unknown_fields=True,
        )
        self._read = reader(who, format, self._struct)
        self._read_result = reader(who, format, signature.result)

    def encode(self, args: tuple[Any, ...], kwargs: dict[str, Any], limit: float = math.inf) -> bytes:
        """The body of a message, in its caller's task.

        Raises `BadCall` for arguments that don't fit, as the call of the function would;
        `BadMessage` for one that can't be encoded, `TooLarge` beyond `limit` bytes. Each has the
        message attached.
        """
        if kwargs or not self._fewest <= len(args) <= len(self._positional):
            given = self._bound(args, kwargs)
        else:
            # There may be fewer arguments than parameters. To say so with strict=False takes 140 ns more, of 530.
            given = dict(zip(self._positional, args))  # noqa: B905
        try:
            body = self._encode(given)
        except BaseException as error:
            if interrupts(error):
                raise
            raise self._not_encoded(args, kwargs, given, error) from error
        if type(body) is not bytes:
            raise BadMessage(f"{self._name}: {_no_bytes(body)}", Message(self.function, args, kwargs))
        if len(body) > limit:
            text = f"{outline(self.function, args, kwargs)} {_too_many(body, limit)}"
            raise TooLarge(text, Message(self.function, args, kwargs))
        return body

    def decode(self, body: bytes | memoryview) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments, by position as far as they can be given so.

        The implementation may call its parameters something else. Raises `BadMessage`, with its
        place (`$.order.qty`), for all that isn't a message of this signature.
        """
        try:
            given = self._read(body)
        except BaseException as error:
            _refuse(BadMessage, self._name, error)
        if type(given) is not self._struct:
            raise BadMessage(f"{self._name}: {_not_made(given, 'arguments')}")
        values = msgspec.structs.astuple(given)
        return (values, {}) if self._whole else self._placed(values)

    def encode_result(self, value: Any, limit: float = math.inf) -> bytes:
        """The body of its answer.

        Raises `BadReply` for what can't be encoded, and beyond `limit` bytes.
        """
        try:
            body = self._encode(value)
        except BaseException as error:
            if interrupts(error):
                raise
            raise BadReply(f"{self._name} returned {_kind(value)}, which can't cross: {describe(error)}") from error
        if type(body) is not bytes:
            raise BadReply(f"{self._name}: {_no_bytes(body)}")
        if len(body) > limit:
            raise BadReply(f"{self._name} returned {_kind(value)}, which {_too_many(body, limit)}")
        return body

    def decode_result(self, body: bytes | memoryview) -> Any:
        """The answer. Raises `BadReply`, with its place, for all that isn't of the declared type."""
        try:
            return self._read_result(body)
        except BaseException as error:
            _refuse(BadReply, f"the answer of {self._name}", error)

    def _bound(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """What was given for which parameter; `BadCall` if it doesn't fit. `inspect` takes 1.5 us more to bind it."""
        given = dict(zip(self._positional, args, strict=False))
        try:
            if (
                len(args) <= len(self._positional)
                and self._by_name.issuperset(kwargs)
                and given.keys().isdisjoint(kwargs)
                and self._required <= given.keys() | kwargs.keys()
            ):
                given.update(kwargs)
                return given
            self._declared.bind(None, *args, **kwargs)
            cause: BaseException = TypeError("these arguments don't fit")
        except BaseException as error:  # a name may be of a class of its own
            if interrupts(error):
                raise
            cause = error
        text = f"{outline(self.function, args, kwargs)} doesn't fit: it takes {said(self._declared)}; {describe(cause)}"
        raise BadCall(text, Message(self.function, args, kwargs)) from cause

    def _not_encoded(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], given: dict[str, Any], error: BaseException
    ) -> BadMessage:
        """What its sender gets: the first argument that can't be encoded by itself is the one."""
        which = "an argument"
        for name, value in given.items():
            try:
                self._encode(value)
            except BaseException as why:
                if interrupts(why):
                    raise
                which = f"{one_line(name, LONG)} ({_kind(value)})"
                break
        text = f"{outline(self.function, args, kwargs)}: {which} can't cross: {describe(error)}"
        return BadMessage(text, Message(self.function, args, kwargs))

    def _placed(self, values: tuple[Any, ...]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        gap = False
        for (name, _, _, positional, by_name), value in zip(self._parameters, values, strict=True):
            if value is UNSET:
                gap = True
            elif positional and not gap:
                args.append(value)
            elif by_name:
                kwargs[name] = value
            else:
                raise BadMessage(f"{self._name}: $.{name}: it is only given by position, and what stands before it is missing")
        return tuple(args), kwargs

    def __repr__(self) -> str:
        return f"<Method {self.entry.key}>"


class Event:
    """One kind of events of an interface: makes bytes of them, and reads them.

    >>> from typing import NamedTuple
    >>> class Price(NamedTuple):
    ...     item: str
    ...     pence: int
    >>> class Shop:
    ...     def count(self) -> int: ...
    >>> price = Interface("shop", Shop, events=(Price,)).event(Price)
    >>> price.decode(price.encode(Price("tea", 250)))
    Price(item='tea', pence=250)
    """

    __slots__ = ("_encode", "_read", "entry", "index", "kind")

    def __init__(self, who: str, kind: type, index: int, entry: Entry, format: WireFormat) -> None:
        self.kind: type = kind
        self.index: int = index
        """Its place in the table of its interface."""
        self.entry: Entry = entry
        self._encode = format.encode
        self._read = reader(who, format, kind)

    def encode(self, value: Any, limit: float = math.inf) -> bytes:
        """The body of an event.

        Raises `BadMessage` for what isn't of this kind, or can't be encoded; `TooLarge` beyond
        `limit` bytes.
        """
        key = self.entry.key
        if not issubclass(kind_of(value), self.kind):
            raise BadMessage(f"{key}: {_kind(value)} is another kind of event")
        try:
            body = self._encode(value)
        except BaseException as error:
            if interrupts(error):
                raise
            raise BadMessage(f"{key}: {_kind(value)} can't cross: {describe(error)}") from error
        if type(body) is not bytes:
            raise BadMessage(f"{key}: {_no_bytes(body)}")
        if len(body) > limit:
            raise TooLarge(f"{key}: {_kind(value)} {_too_many(body, limit)}")
        return body

    def decode(self, body: bytes | memoryview) -> Any:
        """The event. Raises `BadMessage`, with its place, for all that isn't of this kind."""
        try:
            value: Any = self._read(body)
        except BaseException as error:
            _refuse(BadMessage, self.entry.key, error)
        if not issubclass(kind_of(value), self.kind):
            raise BadMessage(f"{self.entry.key}: {_not_made(value, name_of_kind(self.kind))}")
        return value

    def __repr__(self) -> str:
        return f"<Event {self.entry.key}>"


def reader(who: str, format: WireFormat, type: Any) -> Callable[[bytes | memoryview], Any]:
    """What a format makes of bytes for a type. Raises `InvalidSpec` if it can't say."""
    try:
        read: Any = format.decoder(type)
    except BaseException as error:
        if interrupts(error):
            raise
        raise InvalidSpec(who, "format", format, f"its decoder({_kind_of_type(type)}) raised {describe(error)}") from error
    if not callable(read):
        raise InvalidSpec(who, "format", format, "its decoder(type) returns a function of bytes")
    function: Callable[[bytes | memoryview], Any] = read
    return function


_AT: Final = " - at `"


def _refuse(kind: type[CallError], whose: str, error: BaseException) -> NoReturn:
    """Raise what an error in decoding comes to. The place stands in front: so it isn't what is cut off."""
    if interrupts(error):
        raise error
    text = describe(error)
    if type(error) is msgspec.ValidationError:  # of msgspec alone: what a class raises is made one, with its text
        text = str(error) if _AT in str(error) else f"{error}{_AT}$`"
        what, _, place = text.rpartition(_AT)
        text = f"{one_line(place.replace('`', ''), LONG)}: {one_line(what, LONG)}"
    raise kind(f"{whose}: {text}") from error


def _kind(value: object) -> str:
    return one_line(name_of_kind(kind_of(value)), LONG)


def _kind_of_type(type: Any) -> str:
    return one_line(name_of_kind(type), LONG) if is_of(type, kind_of(int)) else said(type)


def _no_bytes(body: object) -> str:
    return f"its format made {_kind(body)} of it, and not bytes"


def _not_made(value: object, what: str) -> str:
    return f"its format made {_kind(value)} of the bytes, and not {what}"


def _too_many(body: bytes, limit: float) -> str:
    return f"has {len(body)} bytes, and at most {limit} may cross at once: send less, or a reference to it"
