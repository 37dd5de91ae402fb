"""A declared interface: what of an actor can be reached from another process, and with which types.

Both sides share the class, which is best a Protocol, apart from any implementation. Only what is listed here can be reached
from outside. A caller names the functions as ever, and they are found by identity; the serving side runs them by name on the
live instance. No class, and no function, is ever looked up by a name that came from elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, field
from types import FunctionType
from typing import Any, Final, Generic, Self, TypeVar, cast

from msgspec import inspect

from supervise.address.address import Address, WeakAddress
from supervise.errors import NotServed
from supervise.message import AnyHandler, name_of, owner_of, short_name_of
from supervise.tree.child import Child
from supervise.tree.pool import Pool
from supervise_strategies.errors import InvalidSpec
from supervise_strategies.exception import interrupts
from supervise_strategies.kind import attributes_of_kind, is_of, kind_of, name_of_kind
from supervise_strategies.suggestion import did_you_mean
from supervise_strategies.text import LONG, one_line, shown

from .codec import Event, Method
from .format import MSGPACK, WireFormat
from .plain_data import written_out
from .raised import Plain, Raised
from .remote_address import Carrier, RemoteAddress
from .signature import hash_of, signature_of
from .table import Entry, Serves

A = TypeVar("A")

_LONGEST: Final = 100
"""Characters of a name."""
_CLASS: Final = "a class whose public functions are the handlers: a Protocol, best, that both sides share"
_EVENT: Final = "a dataclass, NamedTuple or msgspec.Struct: its class says which event it is"


@dataclass(frozen=True, eq=False, repr=False)
class Interface(Generic[A]):
    """What can be called from another process: functions of a class, with their types.

    name: What it is called on both sides: letters, digits, `_` and `-`.
    of: The class. Its public functions are the handlers, those of its bases too: `def` and
        `async def`, with all parameters and the result annotated with plain data.
    only: Some of them: `only=(OrdersApi.count,)`.
    raises: Exceptions that cross as themselves, rebuilt as `cls(*args)` from plain arguments.
        All others cross as text, `RemoteError`.
    events: Classes of plain data that it publishes. Without handlers that is all there is of it.
    wire: The class's name on the wire, if it is another one than its own. So `OrdersApiV1` can
        serve what callers of yesterday's `OrdersApi` ask for.
    format: How values become bytes, if not as MessagePack.

    It is immutable, and checked where it is built: `InvalidSpec` says what can't cross, and where
    it stands. `print` shows the signatures. Both sides compare them, by a hash, before the first
    message.

    >>> from typing import Protocol
    >>> class Shop(Protocol):
    ...     async def place(self, item: str, *, urgent: bool = False) -> int: ...
    ...     def stock(self) -> dict[str, int]: ...
    >>> shop = Interface("shop", Shop)
    >>> shop
    <Interface shop of Shop: 2 handlers>
    >>> print(shop)
    interface shop of Shop
      place(item: str, *, urgent: bool = ...) -> int
      stock() -> dict[str, int]
    >>> class Vague(Protocol):
    ...     def stock(self) -> dict: ...
    >>> Interface("vague", Vague)
    Traceback (most recent call last):
    InvalidSpec: interface 'vague': Vague.stock: return.keys[]=typing.Any is not valid: Any,
        or a container without its parameters (list, not list[int]), takes whatever comes; ...
    """

    name: str
    of: Callable[..., A]
    _: KW_ONLY
    only: Sequence[Callable[..., Any]] | None = None
    raises: Sequence[type[Exception]] = ()
    events: Sequence[type] = ()
    wire: str | None = None
    format: WireFormat = MSGPACK
    methods: tuple[Method, ...] = field(init=False)
    """Its handlers, in the order of its table."""
    kinds: tuple[Event, ...] = field(init=False)
    """Its events, in the order of its table."""
    _methods: dict[AnyHandler, Method] = field(init=False)
    _kinds: dict[int, Event] = field(init=False)
    _raised: Raised = field(init=False)

    def __post_init__(self) -> None:
        _check_name("interface", "name", self.name)
        who = f"interface {self.name!r}"
        if not is_of(self.of, type):
            raise InvalidSpec(who, "of", self.of, _CLASS)
        of: type[Any] = self.of
        wire = name_of_kind(of) if self.wire is None else self.wire
        _check_name(who, "wire", wire)
        _check_format(who, self.format)
        raised = Raised(who, self.raises)
        found = _handlers(who, of, self.only, needed=not self.events)
        methods: dict[AnyHandler, Method] = {}
        for index, (name, functions) in enumerate(found.items()):
            where, function = f"{who}: {name_of_kind(of)}.{name}", functions[-1]
            signature = signature_of(where, name, function, of, raised.names)
            entry = Entry(f"{self.name}.{wire}.{name}", signature.hash, signature.text)
            method = Method(where, name, function, index, entry, signature, self.format)
            methods.update(dict.fromkeys(functions, method))
        kinds = tuple(_events(who, self.name, self.events, self.format))
        derived = {
            "raises": raised.kinds,
            "events": tuple(each.kind for each in kinds),
            "methods": tuple(dict.fromkeys(methods.values())),
            "kinds": kinds,
            "_methods": methods,
            "_kinds": {id(each.kind): each for each in kinds},
            "_raised": raised,
        }
        for attribute, value in derived.items():
            object.__setattr__(self, attribute, value)

    def method(self, function: AnyHandler) -> Method:
        """The handler that a caller names. Raises `NotServed` for all that isn't one of its functions.

        It is found by identity. A base's function that the class overrides stands for the
        class's own.
        """
        if type(function) is FunctionType:  # anything else may have a hash that raises
            found = self._methods.get(function)
            if found is not None:
                return found
        raise self._not_served(function)

    def event(self, kind: type) -> Event:
        """The event of a class. Raises `NotServed` if it isn't one of its `events`."""
        found = self._kinds.get(id(kind))
        if found is None:
            there = ", ".join(name_of_kind(each.kind) for each in self.kinds) or "none"
            raise NotServed(f"interface {self.name!r} has no event {shown(kind)}: its events are {one_line(there, LONG)}")
        return found

    def by(self, actor: Child[A] | Pool[A] | Address[A] | WeakAddress[A]) -> Served:
        """Say who serves it: a child, a pool, or an address of this process.

        Type checkers report an actor whose class doesn't have all that the interface's class has.
        """
        given = cast("object", actor)
        if not issubclass(kind_of(given), Child | Pool | Address | WeakAddress):
            cure = "a child or a pool as it is described, or an address of this process: ORDERS.by(child(Orders))"
            if kind_of(given) is RemoteAddress:
                cure = f"{cure}; to an actor of another process it is passed on: relay(link, {self.name.upper()})"
            raise InvalidSpec(f"interface {self.name!r}", "by", given, cure)
        return Served(self, actor)

    def over(self, link: Address[Any] | WeakAddress[Any]) -> RemoteAddress[A]:
        """The address of whoever serves it at the other side of a link: `ORDERS.over(app.find(link))`.

        It is valid over every reconnect. Raises `InvalidSpec` for what is no link, or for one that
        wasn't told of this interface (`uses=`).
        """
        who = f"interface {self.name!r}"
        given = cast("object", link)
        carrier = link._mailbox.mailbox.extras.carrier if type(given) in (Address, WeakAddress) else None
        if not isinstance(carrier, Carrier):
            cure = "the address of a link that is started: ORDERS.over(app.find(link))"
            raise InvalidSpec(who, "over", given, cure)
        if self not in carrier.uses:
            there = ", ".join(used.name for used in carrier.uses) or "none"
            raise InvalidSpec(who, "over", given, f"a link that was told of it, uses=[…]; this one uses {there}")
        return RemoteAddress(carrier, self)

    def table(self) -> Serves:
        """What the other side is told of it, to compare it with its own."""
        handlers, events = tuple(each.entry for each in self.methods), tuple(each.entry for each in self.kinds)
        return Serves(self.name, self.format.name, handlers, events)

    def encode_raised(self, error: BaseException) -> tuple[int, tuple[Plain, ...]] | None:
        """The number and the arguments of an exception that crosses as itself.

        None for any other, which crosses as text: of another class, be it a subclass, or with
        arguments that aren't plain, few and small.
        """
        return self._raised.encode(error)

    def rebuild(self, index: object, args: object) -> Exception | None:
        """The exception of that number, made anew; None if it can't be made of these arguments."""
        return self._raised.rebuild(index, args)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Itself: it is frozen, and a description that has it may be copied."""
        return self

    def __repr__(self) -> str:
        counts = [_count(self.methods, "handler")] + ([_count(self.kinds, "event")] if self.kinds else [])
        return f"<Interface {self._title()}: {', '.join(counts)}>"

    def __str__(self) -> str:
        events = [f"  event {each.entry.text}" for each in self.kinds]
        return "\n".join([f"interface {self._title()}", *(f"  {each.entry.text}" for each in self.methods), *events])

    def _title(self) -> str:
        return f"{self.name} of {self._class_name()}"

    def _class_name(self) -> str:
        return one_line(name_of_kind(cast("type[Any]", self.of)), LONG)

    def _not_served(self, function: object) -> NotServed:
        own = [f"{self._class_name()}.{each.name}" for each in self.methods]
        near = did_you_mean(name_of(function) if callable(function) else "", own)
        given = f"{name_of(function)} ({shown(function)})" if callable(function) else shown(function)
        cure = f"{near}name one of its functions, as {own[0]}; they are found by identity" if own else "it has events alone"
        return NotServed(f"interface {self.name!r} has no handler {given}: {cure}")


@dataclass(frozen=True, slots=True, repr=False)
class Served:
    """An interface, and who serves it. It is made by `Interface.by`.

    >>> class Names(list):
    ...     def count_all(self) -> int:
    ...         return len(self)
    >>> Interface("names", Names).by(child(Names))
    <Served names by <Child names permanent>>
    """

    interface: Interface[Any]
    actor: Child[Any] | Pool[Any] | Address[Any] | WeakAddress[Any]

    def __repr__(self) -> str:
        return f"<Served {self.interface.name} by {shown(self.actor)}>"


def _handlers(who: str, of: type, only: object, *, needed: bool) -> dict[str, list[AnyHandler]]:
    """The public functions by their names: of each the class's own, and in front of it those of bases that it overrides."""
    functions: dict[str, list[AnyHandler]] = {}
    for name, found in attributes_of_kind(of):
        if type(found) is FunctionType and not name.startswith("_"):
            functions.setdefault(name, []).append(found)
        else:
            functions.pop(name, None)  # a base's, which isn't a function here
    if only is not None:
        functions = _chosen(who, functions, only)
    for name, (*_, function) in [*functions.items()]:
        if owner_of(function) is not None and short_name_of(function) == name:
            continue
        # What runs over there is found by the name of the function, and this one says another.
        if only is None and any(function is each[-1] for other, each in functions.items() if other != name):
            del functions[name]
            continue
        cure = f"it has to be a function of a class, called {name!r}: a decorator needs functools.wraps"
        raise InvalidSpec(who, "of", function, cure)
    if not functions and needed:
        raise InvalidSpec(who, "of", of, f"it has no public functions, nor events=; give {_CLASS}")
    return functions


def _chosen(who: str, functions: dict[str, list[AnyHandler]], only: object) -> dict[str, list[AnyHandler]]:
    if not is_of(only, tuple, list):
        raise InvalidSpec(who, "only", only, "a tuple of functions of the class: only=(OrdersApi.count,)")
    chosen: dict[str, list[AnyHandler]] = {}
    for function in cast("Sequence[object]", only):
        name = next((name for name, found in functions.items() if any(function is each for each in found)), None)
        if name is None:
            there = one_line(", ".join(functions) or "none", LONG)
            raise InvalidSpec(who, "only", function, f"public, plain functions of the class, as they stand in it: {there}")
        chosen[name] = functions[name]
    return chosen


def _event(who: str, prefix: str, kind: object, index: int, format: WireFormat) -> Event:
    if not is_of(kind, type):
        raise InvalidSpec(who, "events", kind, _EVENT)
    name = name_of_kind(kind)
    text = written_out(f"{who}: event", {name: kind})[name]
    if not is_of(inspect.type_info(kind), inspect.DataclassType, inspect.StructType, inspect.NamedTupleType):
        raise InvalidSpec(who, "events", cast(object, kind), _EVENT)
    return Event(who, cast("type[Any]", kind), index, Entry(f"{prefix}.{name}", hash_of(text), text), format)


def _events(who: str, prefix: str, kinds: object, format: WireFormat) -> Iterator[Event]:
    if not is_of(kinds, tuple, list):
        raise InvalidSpec(who, "events", kinds, f"a tuple of classes: events=(PriceChanged,). Each is {_EVENT}")
    seen: set[str] = set()
    for index, kind in enumerate(cast("Sequence[object]", kinds)):
        event = _event(who, prefix, kind, index, format)
        if event.entry.key in seen:
            raise InvalidSpec(
                who, "events", kind, f"two of them are called {name_of_kind(event.kind)}, and it is the name that crosses"
            )
        seen.add(event.entry.key)
        yield event


def _check_name(who: str, field: str, name: object) -> None:
    """It is part of a key, which is made with dots."""
    if type(name) is str and len(name) <= _LONGEST and name.replace("-", "_").isidentifier():
        return
    raise InvalidSpec(who, field, name, f"letters, digits, '_' and '-', a letter first, at most {_LONGEST}")


def _check_format(who: str, format: object) -> None:
    try:
        there: Any = format
        good = type(there.name) is str and bool(there.name) and callable(there.encode) and callable(there.decoder)
    except BaseException as error:
        if interrupts(error):
            raise
        good = False
    if not good:
        raise InvalidSpec(who, "format", format, "a WireFormat: a name, encode(value), and decoder(type)")


def _count(things: Sequence[object], noun: str) -> str:
    return f"{len(things)} {noun}{'' if len(things) == 1 else 's'}"
