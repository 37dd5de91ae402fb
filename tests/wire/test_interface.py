"""What may be reached from another process: which functions are handlers, who serves them, what is refused when it is built.

Tested: handlers by identity, and all that isn't one; `only`, `wire`, `raises`, `events`, `format`; every fault with who, field
and cure; what is printed; the table, and how it is compared with another side's; exceptions that cross as themselves.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import FrozenInstanceError, dataclass
from typing import Any, NamedTuple, Protocol, TypedDict, cast

import msgspec
import pytest

from supervise import InvalidSpec, Supervisor, child, open_mailbox, pool
from supervise.errors import NotServed
from supervise.testing import FakeAddress
from supervise.wire.interface import Interface, Served
from supervise.wire.match import compare
from supervise.wire.remote_address import RemoteAddress
from supervise.wire.table import Entry
from tests.hostile import rude
from tests.wire.data import Circle, Order, OrdersApi, OutOfStock, Point, PriceChanged, Receipt, TooMany
from tests.wire.making import any_interface, class_of, class_with, interface_of

ORDERS = Interface("shop", OrdersApi, raises=(TooMany, OutOfStock), events=(PriceChanged, Point, Circle))


class Orders:
    async def place(self, order: Order, *, urgent: bool = False) -> Receipt:
        raise NotImplementedError

    def count(self) -> int:
        return 0


class Base:
    def count(self) -> int:
        return 0

    def name(self) -> str:
        return ""


class Derived(Base):
    async def add(self, number: int) -> None: ...

    def name(self) -> str:
        return "derived"


class Hidden(Base):
    name = None  # type: ignore[assignment]

    def _private(self) -> int:
        return 1

    @staticmethod
    def static() -> int:
        return 1

    @classmethod
    def on_class(cls) -> int:
        return 1

    @property
    def shown(self) -> int:
        return 1

    constant = 1


def names(interface: Interface[Any]) -> list[str]:
    return [method.name for method in interface.methods]


# -- handlers ----------------------------------------------------------------------------------------------------------------


def test_the_public_functions_are_the_handlers_those_of_bases_too() -> None:
    assert names(ORDERS) == ["place", "count", "find", "draw", "move"]
    assert names(Interface("it", Derived)) == ["count", "name", "add"]
    assert [method.index for method in ORDERS.methods] == [0, 1, 2, 3, 4]


def test_what_isnt_a_plain_public_function_is_no_handler() -> None:
    assert names(Interface("it", Hidden)) == ["count"]


def test_only_some_of_them() -> None:
    interface = Interface("it", Derived, only=(Derived.add, Derived.count))
    assert names(interface) == ["add", "count"]
    with pytest.raises(NotServed):
        interface.method(Derived.name)


def test_a_handler_is_found_by_the_function_itself() -> None:
    interface = Interface("it", Derived)
    assert interface.method(Derived.add).name == "add"
    assert interface.method(Derived.count) is interface.method(Base.count)
    assert interface.method(Derived.count).function is Base.count


def test_a_bases_function_stands_for_the_classs_own() -> None:
    interface = Interface("it", Derived)
    assert interface.method(Base.name) is interface.method(Derived.name)
    assert interface.method(Base.name).function is Derived.name
    assert len(interface.methods) == 3


def test_a_second_name_of_a_handler_is_passed_over() -> None:
    class Api:
        def count(self) -> int: ...  # type: ignore[empty-body]

        number = count

    assert names(Interface("it", Api)) == ["count"]
    assert Interface("it", Api).method(Api.number).name == "count"


def test_a_decorated_function_is_one_if_it_says_whose_it_is() -> None:
    def logged(function: Callable[..., Any]) -> Any:
        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return run

    class Api:
        @logged
        def count(self, more: int) -> int: ...  # type: ignore[empty-body]

    assert Interface("it", Api).method(cast(Any, Api).count).entry.text == "count(more: int) -> int"


class Unhashable:
    __hash__ = None  # type: ignore[assignment]

    def __call__(self) -> None: ...


class HashRaises(type):
    def __hash__(cls) -> int:
        raise SystemExit

    def __eq__(cls, other: object) -> bool:
        raise SystemExit


ODD: Any = HashRaises("Odd", (), {})


any_list: Any = list
# By name: pytest looks at what stands in a parameter, and some of these raise then.
NO_HANDLERS: dict[str, Any] = {
    "lambda": lambda: 1,
    "another class": Orders.count,
    "a class of the same functions": Base.count,
    "bound": Orders().count,
    "partial": functools.partial(OrdersApi.count),
    "the class": OrdersApi,
    "builtin": len,
    "descriptor": any_list.append,
    "text": "count",
    "None": None,
    "list": [],
    "no hash": Unhashable(),
    "all raises": rude(on="__hash__ __eq__ __call__ __repr__ __class__")(),
    "attributes raise": rude(on="__hash__ __eq__ __getattribute__ __repr__")(),
    "the hash of a class raises": ODD,
    "of such a class": ODD(),
}


@pytest.mark.parametrize("which", NO_HANDLERS)
def test_whatever_else_is_named_isnt_served(which: str) -> None:
    with pytest.raises(
        NotServed, match=r"interface 'shop' has no handler .*: .*name one of its functions, as OrdersApi\.place"
    ):
        ORDERS.method(NO_HANDLERS[which])


def test_a_closure_of_the_same_name_isnt_served() -> None:
    async def place(self: Any, order: Order) -> Receipt:
        raise NotImplementedError

    place.__qualname__ = OrdersApi.place.__qualname__
    with pytest.raises(NotServed):
        ORDERS.method(place)


def test_the_nearest_handler_is_named() -> None:
    class OrdersApi:
        def cuont(self) -> int: ...  # type: ignore[empty-body]

    with pytest.raises(NotServed, match=r"did you mean 'OrdersApi\.count'\?"):
        ORDERS.method(OrdersApi.cuont)


# -- names, and what is printed ----------------------------------------------------------------------------------------------


def test_keys_have_the_name_of_the_class_or_the_one_that_was_said() -> None:
    assert ORDERS.method(OrdersApi.count).entry.key == "shop.OrdersApi.count"
    assert ORDERS.event(Point).entry.key == "shop.Point"
    old = Interface("shop", Derived, wire="OrdersApi")
    assert old.method(Derived.add).entry.key == "shop.OrdersApi.add"
    assert old.method(Derived.count).entry.text == "count() -> int"


def test_it_is_printed_for_people() -> None:
    assert repr(ORDERS) == "<Interface shop of OrdersApi: 5 handlers, 3 events>"
    assert repr(Interface("it", Hidden)) == "<Interface it of Hidden: 1 handler>"
    lines = str(ORDERS).splitlines()
    assert lines[0] == "interface shop of OrdersApi"
    assert lines[2] == "  count() -> int raises OutOfStock, TooMany"
    assert lines[-2:] == [
        "  event Point(x: float, y: float = ...)",
        "  event Circle{type='circle', radius: float}",
    ]
    assert repr(ORDERS.methods[0]) == "<Method shop.OrdersApi.place>"
    assert repr(ORDERS.kinds[0]) == "<Event shop.PriceChanged>"


def test_it_is_frozen() -> None:
    for thing in (ORDERS, ORDERS.by(child(cast(Any, Orders)))):
        with pytest.raises(FrozenInstanceError):
            any_of_it: Any = thing
            any_of_it.interface = None
    with pytest.raises(FrozenInstanceError):
        ORDERS.name = "other"  # type: ignore[misc]


def test_a_copy_of_it_is_itself() -> None:
    served = ORDERS.by(child(cast(Any, Orders)))
    assert copy.copy(ORDERS) is copy.deepcopy(ORDERS) is copy.deepcopy(served).interface is ORDERS


# -- who serves it -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("actor", [child(cast(Any, Orders)), pool(cast(Any, Orders), size=2)])
def test_a_child_or_a_pool_serves_it(actor: Any) -> None:
    served = ORDERS.by(actor)
    assert isinstance(served, Served)
    assert served.interface is ORDERS
    assert served.actor is actor
    assert repr(served).startswith("<Served shop by <")


@pytest.mark.anyio
async def test_an_address_serves_it_and_one_of_another_process_is_relayed() -> None:
    _, address = open_mailbox(cast(Any, Orders))
    for one in (address, address.weak):
        assert ORDERS.by(cast(Any, one)).actor is one
    elsewhere: Any = RemoteAddress(cast(Any, None), ORDERS)
    with pytest.raises(InvalidSpec, match=r"to an actor of another process it is passed on: relay\(link, SHOP\)"):
        ORDERS.by(elsewhere)


NOBODY: dict[str, Any] = {
    "class": Orders,
    "instance": Orders(),
    "None": None,
    "name": "orders",
    "supervisor": Supervisor("app"),
    "double": FakeAddress(cast(Any, Orders)),
    "hostile": rude(on="__class__ __getattribute__ __repr__")(),
}


@pytest.mark.parametrize("which", NOBODY)
def test_nobody_else_serves_it(which: str) -> None:
    with pytest.raises(InvalidSpec, match=r"interface 'shop': by=.*a child or a pool as it is described, or an address"):
        ORDERS.by(NOBODY[which])


# -- what is refused ---------------------------------------------------------------------------------------------------------


class Empty(Protocol): ...


def unannotated(self: Any, order: Any) -> None: ...


unannotated.__annotations__.pop("order")


def no_result(self: Any, order: int): ...  # type: ignore[no-untyped-def]


del no_result.__annotations__["self"]


def no_self() -> None: ...


def many(self: Any, *orders: int) -> None: ...


def named(self: Any, **orders: int) -> None: ...


def many_selves(*selves: Any) -> None: ...


def unknown_name(self: Any, order: Any) -> None: ...


unknown_name.__annotations__["order"] = "Nowhere"


def generator(self: Any) -> Iterator[int]:
    yield 1


async def items(self: Any) -> AsyncIterator[int]:
    yield 1


async def returns_items(self: Any) -> AsyncIterator[int]:
    raise NotImplementedError


def generates_under_another_name(self: Any) -> Iterator[int]:
    yield 1


generates_under_another_name.__annotations__["return"] = list[int]


def later(self: Any) -> Awaitable[int]:
    raise NotImplementedError


def lying(self: Any) -> None: ...


cast(Any, lying).__signature__ = "no signature"


class FormatRaises:
    name = "raises"

    def encode(self, value: Any) -> bytes:
        return b""

    def decoder(self, type: Any) -> Any:
        raise KeyError(type)


class DecoderOfNothing(FormatRaises):
    def decoder(self, type: Any) -> Any:
        return None


class Settings(TypedDict):
    wide: bool


class NotData:
    pass


class Plain(NamedTuple):
    value: Any


@dataclass
class Vague:
    orders: list[Any]


class Second:
    class PriceChanged(msgspec.Struct):
        sku: str

    class OutOfStock(Exception):
        pass


COUNT = class_of(int)


@pytest.mark.parametrize(
    ("name", "of", "options", "text"),
    [
        ("", OrdersApi, {}, "interface: name='' is not valid: letters"),
        ("a.b", OrdersApi, {}, "interface: name='a.b' is not valid"),
        ("a b", OrdersApi, {}, "name='a b'"),
        ("1", OrdersApi, {}, "name='1'"),
        ("a" * 101, OrdersApi, {}, "at most 100"),
        (None, OrdersApi, {}, "name=None"),
        (type("Text", (str,), {})("a"), OrdersApi, {}, "name='a'"),
        ("a\ud800", OrdersApi, {}, r"name='a\ud800'"),
        ("shop", OrdersApi, {"wire": "a.b"}, "interface 'shop': wire='a.b' is not valid: letters"),
        ("shop", OrdersApi, {"wire": ""}, "interface 'shop': wire=''"),
        ("shop", Orders(), {}, "interface 'shop': of=<"),
        ("shop", lambda: 1, {}, "a class whose public functions are the handlers"),
        ("shop", list[int], {}, "of=list[int]"),
        ("shop", list, {}, "it has no public functions"),
        ("shop", Empty, {}, "it has no public functions"),
        ("shop", NotData, {}, "it has no public functions"),
        ("shop", COUNT, {"only": ()}, "it has no public functions"),
        ("shop", Hidden, {"only": COUNT.take}, "interface 'shop': only=<function"),
        ("shop", Hidden, {"only": (Hidden.static,)}, "public, plain functions of the class, as they stand in it: count"),
        ("shop", Hidden, {"only": (Hidden.on_class,)}, "only=<bound method"),
        ("shop", Hidden, {"only": (Hidden.shown,)}, "only=<property"),
        ("shop", Hidden, {"only": (Hidden.__dict__["static"],)}, "only=<staticmethod"),
        ("shop", Hidden, {"only": (Hidden._private,)}, "only=<function Hidden._private"),
        ("shop", Hidden, {"only": ("count",)}, "only='count'"),
        ("shop", Hidden, {"only": (Orders.count,)}, "only=<function Orders.count"),
        ("shop", Hidden, {"only": (rude(on="__eq__ __hash__ __repr__")(),)}, "its repr() raised SystemExit"),
        (
            "shop",
            class_with(unannotated),
            {},
            "Api.unannotated: order='' is not valid: say of which type it is",
        ),
        ("shop", class_with(no_result), {}, "Api.no_result: return='' is not valid: say what it returns"),
        ("shop", class_with(no_self), {}, "it has no first parameter for the instance"),
        ("shop", class_with(many_selves), {}, "it has no first parameter for the instance"),
        ("shop", class_with(many), {}, "Api.many: orders=\"*orders: 'int'\" is not valid"),
        ("shop", class_with(named), {}, "name each parameter, or take a list or a dict of one type"),
        ("shop", class_with(unknown_name), {}, "name 'Nowhere' is not defined"),
        ("shop", class_with(lying), {}, "Api.lying: annotations="),
        ("shop", class_with(generator), {}, "events=(…,)"),
        ("shop", class_with(items), {}, "return a list, or declare what it yields as events=(…,)"),
        ("shop", class_with(returns_items), {}, "return a list, or declare what it yields as events=(…,)"),
        ("shop", class_with(generates_under_another_name), {}, "return a list, or declare what it yields as events=(…,)"),
        ("shop", class_with(later), {}, "write `async def`"),
        ("shop", type("Api", (), {"run": no_self}), {}, "a decorator needs functools.wraps"),
        ("shop", COUNT, {"raises": OutOfStock}, "interface 'shop': raises=<class"),
        ("shop", COUNT, {"raises": (OutOfStock(),)}, "a tuple of exception classes"),
        ("shop", COUNT, {"raises": (int,)}, "raises=<class 'int'>"),
        ("shop", COUNT, {"raises": ("OutOfStock",)}, "raises='OutOfStock'"),
        ("shop", COUNT, {"raises": (KeyboardInterrupt,)}, "below Exception"),
        ("shop", COUNT, {"raises": (BaseException,)}, "below Exception"),
        ("shop", COUNT, {"raises": (OutOfStock, Second.OutOfStock)}, "two of them are called OutOfStock"),
        ("shop", COUNT, {"raises": None}, "raises=None"),
        ("shop", COUNT, {"events": PriceChanged}, "interface 'shop': events=<class"),
        ("shop", COUNT, {"events": (int,)}, "its class says which event it is"),
        ("shop", COUNT, {"events": (NotData,)}, "interface 'shop': event: NotData="),
        ("shop", COUNT, {"events": (Settings,)}, "its class says which event it is"),
        ("shop", COUNT, {"events": (Plain,)}, "event: Plain.value=typing.Any"),
        ("shop", COUNT, {"events": (Vague,)}, "event: Vague.orders[]=typing.Any"),
        ("shop", COUNT, {"events": (Point(1, 2),)}, "events=Point(x=1, y=2)"),
        ("shop", COUNT, {"events": (PriceChanged, Second.PriceChanged)}, "two of them are called PriceChanged"),
        ("shop", COUNT, {"events": (ODD,)}, "event: Odd="),
        ("shop", COUNT, {"format": None}, "interface 'shop': format=None is not valid: a WireFormat"),
        ("shop", COUNT, {"format": NotData()}, "a WireFormat: a name, encode(value), and decoder(type)"),
        ("shop", COUNT, {"format": rude(on="__getattribute__")()}, "a WireFormat"),
        ("shop", COUNT, {"format": FormatRaises()}, "raised KeyError"),
        ("shop", COUNT, {"format": DecoderOfNothing()}, "its decoder(type) returns a function of bytes"),
    ],
)
def test_what_cant_cross_is_refused_where_it_is_built(name: Any, of: Any, options: Any, text: str) -> None:
    with pytest.raises(InvalidSpec) as refused:
        any_interface(name, of, **options)
    assert text in str(refused.value)
    assert refused.value.cure
    assert len(str(refused.value)) < 1200


# -- the table ---------------------------------------------------------------------------------------------------------------


def entry(key: str, text: str) -> Entry:
    return Entry(key, text.encode()[:8].ljust(8), text)


def test_both_sides_have_the_same_table_of_the_same_interface() -> None:
    other = Interface("shop", OrdersApi, raises=(OutOfStock, TooMany), events=(PriceChanged, Point, Circle))
    assert ORDERS.table() == other.table()
    assert [found.at for found in compare(ORDERS.table().handlers, other.table().handlers)] == [0, 1, 2, 3, 4]
    assert [found.at for found in compare(ORDERS.table().events, other.table().events)] == [0, 1, 2]


def test_an_entry_is_found_by_its_key_and_hash_wherever_it_stands() -> None:
    a, b, c = entry("a", "a()"), entry("b", "b()"), entry("c", "c()")
    assert [found.at for found in compare([a, b, c], [c, entry("b", "b(x)"), b, b])] == [None, 2, 0]
    assert [found.why for found in compare([b, c], [c, b])] == ["", ""]


def test_a_mismatch_names_the_handler_and_says_both_signatures() -> None:
    [found] = compare([entry("shop.a", "a(x: int)")], [entry("shop.a", "a(y: int)"), entry("shop.a", "a(z: int)")])
    assert found.at is None
    assert found.why == "shop.a has another signature there: here a(x: int); there a(y: int) (and 1 more)"
    [missing] = compare([entry("shop.a", "a()")], [])
    assert missing == (None, "shop.a isn't served there")


def test_what_the_other_side_says_is_shortened_and_escaped() -> None:
    [found] = compare([Entry("a", b"1" * 8, "a()")], [Entry("a", b"2" * 8, "\x1b[2J\n\ud800" + "x" * 10**6)])
    assert "\x1b" not in found.why
    assert "\n" not in found.why
    assert len(found.why) < 1200
    found.why.encode()


def test_of_long_signatures_the_place_where_they_differ_is_shown() -> None:
    long = "a(" + ", ".join(f"p{n}: int" for n in range(1000))
    [found] = compare([entry("a", f"{long}, here: int)")], [Entry("a", b"other---", f"{long}, there: str)")])
    assert "here: int)" in found.why
    assert "there: str)" in found.why
    assert len(found.why) < 1200
    [shorter] = compare([Entry("a", b"1" * 8, long)], [Entry("a", b"2" * 8, f"{long}, more: int")])
    assert shorter.why.endswith("more: int")


def test_another_side_with_other_exceptions_serves_none_of_the_handlers() -> None:
    other = Interface("shop", OrdersApi, raises=(OutOfStock,))
    assert {found.at for found in compare(ORDERS.table().handlers, other.table().handlers)} == {None}


# -- exceptions that cross as themselves -------------------------------------------------------------------------------------


class Sold(OutOfStock):
    pass


def test_a_declared_exception_crosses_with_its_plain_arguments() -> None:
    for error in (OutOfStock(), OutOfStock("tea", 1, 2.5, None, True, b"x"), TooMany("tea", 3)):
        crossed = ORDERS.encode_raised(error)
        assert crossed is not None
        again = ORDERS.rebuild(crossed[0], msgspec.msgpack.decode(msgspec.msgpack.encode(crossed[1])))
        assert again is not None
        assert (type(again), again.args) == (type(error), error.args)


def test_its_number_doesnt_depend_on_the_order_in_which_they_are_declared() -> None:
    other = Interface("shop", OrdersApi, raises=(OutOfStock, TooMany))
    assert other.encode_raised(OutOfStock()) == ORDERS.encode_raised(OutOfStock()) == (0, ())


@pytest.mark.parametrize(
    "error",
    [
        ValueError("tea"),
        Sold("tea"),
        Exception(),
        OutOfStock(["tea"]),
        OutOfStock(type("Text", (str,), {})("tea")),
        OutOfStock(ODD()),
        OutOfStock(OutOfStock()),
        OutOfStock("\ud800"),
        OutOfStock(1 << 64),
        OutOfStock(*range(17)),
        OutOfStock("x" * 8193),
        OutOfStock(*["x" * 600] * 16),
        OutOfStock("ä" * 5000),
        KeyboardInterrupt(),
    ],
)
def test_any_other_crosses_as_text(error: BaseException) -> None:
    assert ORDERS.encode_raised(error) is None


class Interrupted(Exception):
    def __init__(self, what: str) -> None:
        raise {"exit": SystemExit, "interrupt": KeyboardInterrupt, "value": ValueError}[what]


class Weird(Exception):
    def __new__(cls, *args: Any) -> Any:
        return "no exception"


RAISING = interface_of(int, raises=(Weird, Interrupted, TooMany, OutOfStock))


@pytest.mark.parametrize(
    ("kind", "args"),
    [
        ("OutOfStock", [[1]]),
        ("OutOfStock", "text"),
        ("OutOfStock", None),
        ("OutOfStock", list(range(17))),
        ("OutOfStock", ["x" * 10000]),
        ("OutOfStock", ["\ud800"]),
        ("TooMany", []),
        ("TooMany", ["tea", "1", 2]),
        ("Interrupted", ["exit"]),
        ("Interrupted", ["value"]),
        ("Interrupted", ["nothing of these"]),
        ("Weird", []),
        ("Weird", [1]),
    ],
)
def test_what_cant_be_made_anew_is_none(kind: str, args: Any) -> None:
    index = sorted(["Weird", "Interrupted", "TooMany", "OutOfStock"]).index(kind)
    assert RAISING.rebuild(index, args) is None


@pytest.mark.parametrize("index", [-1, 4, True, 1.0, "1", None, []])
def test_there_is_none_of_another_number(index: Any) -> None:
    assert RAISING.rebuild(index, []) is None
    assert type(RAISING.rebuild(1, [])) is OutOfStock


def test_an_interrupt_passes() -> None:
    with pytest.raises(KeyboardInterrupt):
        interface_of(int, raises=(Interrupted,)).rebuild(0, ["interrupt"])


def test_an_event_is_found_by_its_class() -> None:
    assert [ORDERS.event(kind).index for kind in (PriceChanged, Point, Circle)] == [0, 1, 2]


NO_EVENTS: dict[str, Any] = {
    "of the same name": Second.PriceChanged,
    "another": Order,
    "None": None,
    "name": "Point",
    "the hash of a class raises": ODD,
    "hostile": rude(on="__hash__ __eq__ __repr__ __class__")(),
}


@pytest.mark.parametrize("which", NO_EVENTS)
def test_another_class_is_no_event(which: str) -> None:
    with pytest.raises(NotServed, match="its events are PriceChanged, Point, Circle"):
        ORDERS.event(NO_EVENTS[which])
