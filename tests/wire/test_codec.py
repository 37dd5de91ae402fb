"""Messages, results and events as bytes: what was given arrives, and nothing else than the declared errors comes of anything.

Tested: arguments by position and by name; defaults that weren't given; arguments that don't fit; what can't be encoded, or is
too large, with the message attached; strict decoding, with places; hostile values, classes and bytes; a format of one's own.
Values of a rich set of types come back as they were, and mutated bodies are `BadMessage` or good ones (hypothesis).
"""

from __future__ import annotations

import contextlib
import datetime as dt
import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import msgpack

from supervise import BadCall
from supervise.errors import BadMessage, BadReply, TooLarge
from supervise.wire.interface import Interface
from tests.hostile import rude
from tests.wire.data import (
    Address,
    Box,
    Circle,
    Colour,
    Item,
    Order,
    OrdersApi,
    OutOfStock,
    Pair,
    Point,
    PriceChanged,
    Receipt,
    Size,
    Sku,
    Square,
    Tag,
)
from tests.wire.making import interface_of, method_of

ORDERS = Interface("shop", OrdersApi, raises=(OutOfStock,), events=(PriceChanged, Point, Circle))
PLACE = ORDERS.method(OrdersApi.place)
FIND = ORDERS.method(OrdersApi.find)
DRAW = ORDERS.method(OrdersApi.draw)
ORDER = Order([Item(Sku("tea"), 2)], "soon", frozenset({Tag("gift")}), before=Order([]))
DAY, TIME, SPAN = dt.date(2026, 12, 1), dt.time(7, 30), dt.timedelta(hours=2)


def crossed(method: Any, *args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    result: tuple[tuple[Any, ...], dict[str, Any]] = method.decode(method.encode(args, kwargs))
    return result


# -- arguments ---------------------------------------------------------------------------------------------------------------


def test_what_is_given_arrives() -> None:
    assert crossed(PLACE, ORDER) == ((ORDER,), {})
    assert crossed(PLACE, ORDER, urgent=True) == ((ORDER,), {"urgent": True})
    assert crossed(PLACE, order=ORDER, urgent=False) == ((ORDER,), {"urgent": False})
    assert crossed(ORDERS.method(OrdersApi.count)) == ((), {})
    assert crossed(FIND, "new", DAY, TIME, 5, within=SPAN) == (("new", DAY, TIME, 5), {"within": SPAN})


def test_the_body_is_a_map_of_what_was_given() -> None:
    assert msgpack.decode(PLACE.encode((ORDER,), {})).keys() == {"order"}
    assert msgpack.decode(FIND.encode(("new", DAY), {"within": SPAN, "limit": 5})).keys() == {"kind", "day", "within", "limit"}


def test_a_default_that_wasnt_given_is_the_serving_sides_own() -> None:
    assert crossed(FIND, "new", DAY, within=SPAN) == (("new", DAY), {"within": SPAN})
    assert crossed(FIND, "new", DAY, within=SPAN, limit=5) == (("new", DAY), {"within": SPAN, "limit": 5})
    assert crossed(DRAW, Circle(1.0), size=Size.LARGE) == ((Circle(1.0),), {"size": Size.LARGE})
    assert crossed(DRAW, Circle(1.0), colour=Colour.RED, at=Point(1, 2)) == ((Circle(1.0), Point(1, 2), Colour.RED), {})


def test_names_of_parameters_may_be_any() -> None:
    class Api:
        def take(
            self, __dict__: int, mro: int, __post_init__: int, p0: int, encode: int = 0, *, __struct_fields__: int
        ) -> None: ...

    method = Interface("it", Api).method(Api.take)
    given = ((1, 2, 3, 4, 5), {"__struct_fields__": 6})
    assert method.decode(method.encode(*given)) == given


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((), {}),
        ((ORDER, True), {}),
        ((ORDER, ORDER), {}),
        ((ORDER,), {"order": ORDER}),
        ((ORDER,), {"late": True}),
        ((), {"urgent": True}),
        ((), {"self": None, "order": ORDER}),
    ],
)
def test_arguments_that_dont_fit_are_a_bad_call(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    with pytest.raises(
        BadCall, match=r"OrdersApi\.place\(.*\) doesn't fit: it takes \(self, order: .*; TypeError: "
    ) as refused:
        PLACE.encode(args, kwargs)
    assert isinstance(refused.value.__cause__, TypeError)
    assert refused.value.message == (OrdersApi.place, args, kwargs)


ARGUMENTS = st.dictionaries(st.sampled_from(["self", "kind", "day", "at", "limit", "within", "more"]), st.integers(0, 9))


@given(st.lists(st.integers(0, 9), max_size=6), ARGUMENTS)
def test_a_call_fits_if_a_local_one_would(args: list[int], kwargs: dict[str, int]) -> None:
    """The types aren't looked at here."""
    try:
        bound = inspect.signature(OrdersApi.find).bind(None, *args, **kwargs)
    except TypeError:
        with pytest.raises(BadCall):
            FIND.encode(tuple(args), kwargs)
    else:
        del bound.arguments["self"]
        assert msgpack.decode(FIND.encode(tuple(args), kwargs)) == bound.arguments


class OddText(str):
    def __hash__(self) -> int:
        raise RuntimeError("no")


class Names(dict[Any, Any]):
    def keys(self) -> Any:
        return [OddText("urgent")]

    def __iter__(self) -> Any:
        return iter(self.keys())


def test_a_name_whose_hash_raises_is_a_bad_call() -> None:
    with pytest.raises(BadCall):
        PLACE.encode((ORDER,), Names(urgent=True))


# -- what can't be encoded ---------------------------------------------------------------------------------------------------


@dataclass
class Trap:
    sku: str

    def __getattribute__(self, name: str) -> Any:
        if name == "sku":
            raise SystemExit("no")
        return object.__getattribute__(self, name)


class HashRaises(type):
    def __hash__(cls) -> int:
        raise SystemExit

    def __eq__(cls, other: object) -> bool:
        raise SystemExit


CHANGING: dict[Any, Any] = {}


@dataclass(slots=True)
class Changes:
    a: int

    def __getattribute__(self, name: str) -> Any:
        if name == "a":
            CHANGING.update({n: n for n in range(len(CHANGING), len(CHANGING) + 100)})
        return object.__getattribute__(self, name)


def endless() -> Any:
    inside: list[Any] = []
    inside.append(inside)
    return inside


def deep() -> Any:
    value: Any = None
    for _ in range(100_000):
        value = [value]
    return value


ODD: dict[str, Callable[[], Any]] = {
    "object": object,
    "lone surrogate": lambda: "\ud800",
    "key with a surrogate": lambda: {"\ud800": 1},
    "too many bits": lambda: 1 << 64,
    "too many bits below": lambda: -(1 << 63) - 1,
    "in itself": endless,
    "deep": deep,
    "function": lambda: endless,
    "class": lambda: Order,
    "generator": lambda: (n for n in range(3)),
    "complex": lambda: 1j,
    "unset": lambda: msgspec.UNSET,
    "text of a class of its own": lambda: type("Text", (str,), {})("tea"),
    "attribute raises": lambda: Trap("tea"),
    "in a list": lambda: [Item(Sku("tea"), cast(Any, object()))],
    "aware time at the end of days": lambda: dt.datetime.max.replace(tzinfo=dt.timezone(dt.timedelta(hours=-1))),
    "all raises": rude(on="__class__ __repr__ __str__ __iter__ __len__ __hash__ __eq__"),
    "its attributes raise": rude(on="__getattribute__ __repr__"),
    "of a class whose hash raises": HashRaises("Odd", (), {}),
    "exception": lambda: ValueError("tea"),
    "set of objects": lambda: {object()},
    "signature": lambda: inspect.signature(endless),
}


@pytest.mark.parametrize("which", ODD)
def test_what_cant_be_encoded_is_told_to_its_sender(which: str) -> None:
    value = ODD[which]()
    with pytest.raises(BadMessage) as refused:
        PLACE.encode((ORDER,), {"urgent": value})
    text = str(refused.value)
    assert text.startswith("OrdersApi.place(Order, urgent=")
    assert f": urgent ({type(value).__name__}) can't cross: " in text
    assert len(text) < 800
    assert text.isprintable()
    assert refused.value.__cause__ is not None
    assert refused.value.message is not None
    assert refused.value.message.kwargs["urgent"] is value
    with pytest.raises(BadReply, match=r"OrdersApi\.place returned .*, which can't cross: "):
        PLACE.encode_result(value)


def test_the_first_argument_that_cant_be_encoded_is_named() -> None:
    with pytest.raises(BadMessage, match=r": colour \(object\) can't cross: TypeError: "):
        DRAW.encode((Circle(1.0), Point(1, 2), object()), {"size": 1j})


def test_a_dict_that_changes_as_it_is_encoded_is_a_message_or_a_bad_one() -> None:
    for _ in range(20):
        CHANGING.clear()
        CHANGING.update({"a": Changes(1), "b": Changes(2), "c": 3})
        with contextlib.suppress(BadMessage):
            PLACE.encode((CHANGING,), {})


class Interrupts(Trap):
    def __getattribute__(self, name: str) -> Any:
        if name == "sku":
            raise KeyboardInterrupt
        return object.__getattribute__(self, name)


def test_an_interrupt_passes() -> None:
    value = Interrupts("tea")
    with pytest.raises(KeyboardInterrupt):
        PLACE.encode((value,), {})
    with pytest.raises(KeyboardInterrupt):
        PLACE.encode_result(value)


def test_too_many_bytes_are_told_to_the_sender() -> None:
    body = PLACE.encode((ORDER,), {})
    assert PLACE.encode((ORDER,), {}, len(body)) == body
    with pytest.raises(TooLarge) as refused:
        PLACE.encode((ORDER,), {}, len(body) - 1)
    assert str(refused.value) == (
        f"OrdersApi.place(Order) has {len(body)} bytes, and at most {len(body) - 1} may cross at once: "
        "send less, or a reference to it"
    )
    assert refused.value.message == (OrdersApi.place, (ORDER,), {})
    result = PLACE.encode_result("x" * 100)
    assert PLACE.encode_result("x" * 100, len(result)) == result
    with pytest.raises(BadReply, match=r"OrdersApi\.place returned str, which has 102 bytes, and at most 101 may cross"):
        PLACE.encode_result("x" * 100, len(result) - 1)
    with pytest.raises(TooLarge, match=r"shop\.Point: Point has 19 bytes, and at most 18 may cross"):
        ORDERS.event(Point).encode(Point(1.0, 2.0), 18)


# -- what is decoded ---------------------------------------------------------------------------------------------------------

ITEMS: list[Any] = [{"sku": "tea", "qty": 1}, {"sku": "tea", "qty": 1}, {"sku": "tea", "qty": "many"}]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"order": {"items": ITEMS}}, "$.order.items[2].qty: Expected `int`, got `str`"),
        ({"order": {"items": [{"sku": "a", "qty": 0}]}}, "$.order.items[0].qty: Expected `int` >= 1"),
        ({"order": {"items": [{"qty": 1}]}}, "$.order.items[0]: Object missing required field `sku`"),
        ({"order": {}}, "$.order: Object missing required field `items`"),
        ({}, "$: Object missing required field `order`"),
        ({"order": {"items": []}, "urgent": 1}, "$.urgent: Expected `bool`, got `int`"),
        ({"order": {"items": []}, "late": True}, "$: Object contains unknown field `late`"),
        ({"order": {"items": []}, "p0": True}, "$: Object contains unknown field `p0`"),
        ({"order": {"items": []}, "x\n\x1b[2J" + "x" * 1000: True}, r"$: Object contains unknown field `x\n\x1b[2Jxxx"),
        ({"order": None}, "$.order: Expected `object`, got `None`"),
        ({1: 2}, "key in $: Expected `str`, got `int`"),
        ([], "$: Expected `object`, got `array`"),
        (None, "$: Expected `object`, got `None`"),
    ],
)
def test_what_isnt_of_the_declared_type_is_refused_with_its_place(given: Any, text: str) -> None:
    with pytest.raises(BadMessage) as refused:
        PLACE.decode(msgpack.encode(given))
    assert str(refused.value).startswith(f"OrdersApi.place: {text}")
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 500


def test_what_is_only_given_by_position_needs_what_stands_before_it() -> None:
    class Api:
        def take(self, a: int = 1, b: int = 2, /, c: int = 3) -> None: ...

    method = Interface("it", Api).method(Api.take)
    assert method.decode(msgpack.encode({"c": 5})) == ((), {"c": 5})
    with pytest.raises(BadMessage, match=r"Api\.take: \$\.b: it is only given by position"):
        method.decode(msgpack.encode({"b": 5}))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"\x81",
        b"\x81\xa5order",
        PLACE.encode((ORDER,), {}) + b"\x00",
        PLACE.encode((ORDER,), {})[:-1],
        b"\x81\xa5\xff\xff\xff\xff\xff\x01",
        b"\x81\xa5order\x82\xa5items\x90\xa4note\xa2\xff\xfe",
        b"\xdf\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff\xa5order",
        b"\x81\xa5order\x81\xa5items\xdd\xff\xff\xff\xff",
        b"\x81\xa5order\x81\xa4note\xdb\xff\xff\xff\xff",
        b"\x81\xa5order\x81\xa4tags\xdd\x7f\xff\xff\xff\x81",
        b"\x81\xa5order" + b"\x82\xa5items\x90\xa6before" * 100_000 + b"\xc0",
        b"\x81\xa5extra" + b"\x91" * 1_000_000,
        b"\x81\xa5order\xc7\x01\x05a",
    ],
)
def test_any_other_bytes_are_a_bad_message(body: bytes) -> None:
    with pytest.raises(BadMessage):
        PLACE.decode(body)


def test_of_a_key_that_stands_twice_the_last_one_counts() -> None:
    body = b"\x82" + msgpack.encode("order") + msgpack.encode(Order([])) + msgpack.encode("order") + msgpack.encode(ORDER)
    assert PLACE.decode(body) == ((ORDER,), {})


def test_a_memoryview_is_read_and_not_kept() -> None:
    body = bytearray(method_of(bytes).encode((b"abc",), {}))
    args, _ = method_of(bytes).decode(memoryview(body))
    body[:] = bytes(len(body))
    assert args == (b"abc",)


class Raises(msgspec.Struct):
    what: str

    def __post_init__(self) -> None:
        kinds = {"value": ValueError, "runtime": RuntimeError, "exit": SystemExit, "interrupt": KeyboardInterrupt}
        if self.what == "rude":
            raise cast(Any, type("Rude", (RuntimeError,), {"__str__": kinds.pop, "__repr__": kinds.pop}))
        if self.what in kinds:
            raise kinds[self.what]("a line\nand another")


@pytest.mark.parametrize("what", ["value", "runtime", "exit", "rude"])
def test_what_a_class_raises_is_a_bad_message(what: str) -> None:
    method = method_of(Raises, Raises)
    with pytest.raises(BadMessage, match=r"Api\.take: ") as refused:
        method.decode(msgpack.encode({"value": {"what": what}}))
    assert str(refused.value).isprintable()
    with pytest.raises(BadReply, match=r"the answer of Api\.take: "):
        method.decode_result(msgpack.encode({"what": what}))


def test_an_interrupt_passes_where_it_is_decoded() -> None:
    method = method_of(Raises, Raises)
    with pytest.raises(KeyboardInterrupt):
        method.decode(msgpack.encode({"value": {"what": "interrupt"}}))
    with pytest.raises(KeyboardInterrupt):
        method.decode_result(msgpack.encode({"what": "interrupt"}))


# -- results and events ------------------------------------------------------------------------------------------------------


def test_a_result_arrives() -> None:
    receipt = Receipt(1, dt.datetime(2026, 12, 1, tzinfo=dt.UTC))
    assert PLACE.decode_result(PLACE.encode_result(receipt)) == receipt
    assert method_of(int).decode_result(method_of(int).encode_result(None)) is None


@pytest.mark.parametrize("result", [None, "text", {"id": "1"}, {"id": 1}, {"id": 1, "when": "yesterday"}])
def test_a_result_of_another_type_is_a_bad_reply_at_the_caller(result: Any) -> None:
    body = PLACE.encode_result(result)
    with pytest.raises(BadReply, match=r"^the answer of OrdersApi\.place: \$"):
        PLACE.decode_result(body)
    with pytest.raises(BadReply):
        PLACE.decode_result(body + b"\x00")


class Dearer(PriceChanged):
    pass


def test_an_event_arrives() -> None:
    for event in (PriceChanged(Sku("tea"), Decimal("2.50")), Point(1, 2), Circle(3.0)):
        entry = ORDERS.event(type(event))
        assert entry.decode(entry.encode(event)) == event


def test_what_isnt_of_its_kind_is_no_event() -> None:
    price = ORDERS.event(PriceChanged)
    for other in (None, Point(1, 2), PriceChanged, {"sku": "tea", "price": "1"}, rude(on="__class__ __repr__")()):
        with pytest.raises(BadMessage, match=r"^shop\.PriceChanged: .* is another kind of event"):
            price.encode(other)
    with pytest.raises(BadMessage, match=r"^shop\.PriceChanged: PriceChanged can't cross: "):
        price.encode(PriceChanged(Sku("tea"), cast(Any, object())))
    with pytest.raises(BadMessage, match=r"^shop\.PriceChanged: \$\.price: Invalid decimal string"):
        price.decode(msgpack.encode({"sku": "tea", "price": "much"}))
    assert price.decode(price.encode(Dearer(Sku("tea"), Decimal(2)))) == PriceChanged(Sku("tea"), Decimal(2))


# -- a format of one's own ---------------------------------------------------------------------------------------------------


class Json:
    name = "json"

    def encode(self, value: Any) -> bytes:
        return json.dumps(msgspec.to_builtins(value)).encode()

    def decoder(self, type: Any) -> Callable[[bytes | memoryview], Any]:
        return msgspec.json.Decoder(type).decode


class Broken:
    """A format that does what it is told."""

    name = "broken"

    def __init__(self, does: Callable[[Any], Any]) -> None:
        self.does = does

    def encode(self, value: Any) -> Any:
        return self.does(value)

    def decoder(self, type: Any) -> Callable[[bytes | memoryview], Any]:
        return self.does


def test_a_format_of_ones_own_is_used_throughout() -> None:
    orders = Interface("shop", OrdersApi, events=(Point,), format=Json())
    find, point = orders.method(OrdersApi.find), orders.event(Point)
    body = find.encode(("new", DAY), {"within": SPAN})
    assert json.loads(body)["day"] == "2026-12-01"
    assert find.decode(body) == (("new", DAY), {"within": SPAN})
    assert find.decode_result(find.encode_result([Order([])])) == [Order([])]
    assert point.decode(point.encode(Point(1, 2))) == Point(1, 2)
    with pytest.raises(BadMessage, match=r"\$\.kind: Invalid enum value 'odd'"):
        find.decode(json.dumps({"kind": "odd", "day": "2026-12-01", "within": "PT1S"}).encode())
    for body in (b"", b"\xff", b"{", b"[]", b"[" * 100_000):
        with pytest.raises(BadMessage):
            find.decode(body)


def raising(error: BaseException) -> Callable[[Any], Any]:
    def run(_: Any) -> Any:
        raise error

    return run


def returning(value: Any) -> Callable[[Any], Any]:
    return lambda _: value


@pytest.mark.parametrize(
    "does",
    [
        raising(KeyError("tea")),
        raising(SystemExit()),
        raising(rude(RuntimeError, on="__str__ __repr__")()),
        returning(None),
        returning("text"),
        returning(bytearray(b"x")),
        returning(rude(on="__class__ __len__ __repr__ __eq__")()),
    ],
)
def test_what_a_format_raises_or_returns_is_a_bad_message_or_reply(does: Any) -> None:
    interface = interface_of(int, int, format=Broken(does), events=(Point,))
    [method], point = interface.methods, interface.event(Point)
    for run in (lambda: method.encode((1,), {}), lambda: method.decode(b"x"), lambda: point.encode(Point(1))):
        with pytest.raises(BadMessage):
            run()
    with pytest.raises(BadReply):
        method.encode_result(1)
    with pytest.raises(BadMessage):
        point.decode(b"x")


# -- values come back, and mutated bodies are refused ------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
MOMENTS = st.datetimes(timezones=st.sampled_from([None, dt.UTC])).map(lambda moment: moment.replace(fold=0))
LEAVES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (None, st.none()),
    (bool, st.booleans()),
    (int, st.integers(-(1 << 63), (1 << 64) - 1)),
    (float, st.floats(allow_nan=False)),
    (str, TEXT),
    (bytes, st.binary(max_size=8)),
    (dt.datetime, MOMENTS),
    (dt.date, st.dates()),
    (dt.time, st.times().map(lambda moment: moment.replace(fold=0))),
    (dt.timedelta, st.timedeltas()),
    (UUID, st.uuids()),
    (Decimal, st.decimals(allow_nan=False)),
    (Colour, st.sampled_from(Colour)),
    (Size, st.sampled_from(Size)),
    (Sku, TEXT),
    (Point, st.builds(Point, st.floats(allow_nan=False), st.floats(allow_nan=False))),
    (Pair, st.builds(Pair, st.integers(0, 9), st.integers(0, 9))),
    (Tag, st.builds(Tag, TEXT)),
    (Circle | Square, st.builds(Circle, st.floats(0, 9)) | st.builds(Square, st.floats(0, 9))),
    (Item, st.builds(Item, TEXT.map(Sku), st.integers(1, 1000))),
    (Address, st.fixed_dictionaries({"street": TEXT}, optional={"town": TEXT})),
]
HASHABLE = [(hint, values) for hint, values in LEAVES if hint not in (Item, Address, Circle | Square)]
Typed = tuple[Any, st.SearchStrategy[Any]]
any_list: Any = list
any_tuple: Any = tuple
any_dict: Any = dict
any_set: Any = set
any_frozenset: Any = frozenset
any_box: Any = Box


def containers(inside: st.SearchStrategy[Typed]) -> st.SearchStrategy[Typed]:
    def container(kind: int, one: Typed, other: Typed, key: Typed) -> Typed:
        hint, values = one
        made: list[Typed] = [
            (any_list[hint], st.lists(values, max_size=3)),
            (any_tuple[hint, ...], st.lists(values, max_size=3).map(tuple)),
            (any_tuple[hint, other[0]], st.tuples(values, other[1])),
            (any_box[hint], values.map(Box)),
            (any_dict[key[0], hint], st.dictionaries(key[1], values, max_size=3)),
            (any_set[key[0]], st.sets(key[1], max_size=3)),
            (any_frozenset[key[0]], st.frozensets(key[1], max_size=3)),
            (hint if hint is None else hint | None, st.none() | values),
        ]
        return made[kind]

    return st.builds(container, st.integers(0, 7), inside, inside, st.sampled_from(HASHABLE))


TYPED: st.SearchStrategy[Typed] = st.recursive(st.sampled_from(LEAVES), containers, max_leaves=4)


@settings(max_examples=300)
@given(st.data())
def test_values_of_many_types_come_back_as_they_were(data: st.DataObject) -> None:
    hint, values = data.draw(TYPED)
    method = method_of(hint, hint)
    value = data.draw(values)
    (again,), kwargs = method.decode(method.encode((value,), {}))
    assert (again, kwargs) == (value, {})
    assert type(again) is type(value)
    assert method.decode_result(method.encode_result(value)) == value


MOVE = ORDERS.method(OrdersApi.move)
BODIES = [
    (PLACE, PLACE.encode((ORDER,), {"urgent": True})),
    (FIND, FIND.encode(("new", DAY, TIME), {"within": SPAN, "limit": 3})),
    (DRAW, DRAW.encode((Circle(1.0), Point(1, 2), Colour.BLUE, Size.LARGE), {})),
    (DRAW, DRAW.encode((Square(1.0),), {"size": Size.SMALL})),
    (MOVE, MOVE.encode(({"street": "a"}, {UUID(int=1): (1, "x")}, [Box(1)], Box("y"), b"data"), {})),
]
PIECES = [
    b"\xc0",
    b"\xc1",
    b"\xdd\xff\xff\xff\xff",
    b"\xdf\x00\x00\xff\xff",
    b"\xcf" + b"\xff" * 8,
    b"\xd7\xff" + b"\xff" * 8,
    b"\x81\xa4type\xa6square",
    b"\xa2\xff\xfe",
    b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00",
    b"\x91" * 2000,
    msgpack.encode(ORDER),
]
CHANGES = st.tuples(st.integers(0, 400), st.integers(0, 3), st.binary(min_size=1, max_size=3) | st.sampled_from(PIECES))


def refused(decode: Callable[[bytes], Any], body: bytes, error: type[Exception]) -> bool:
    """Whether it is refused, in a text for people; any other error fails the test."""
    try:
        decode(body)
    except error as said:
        return str(said).isprintable() and len(str(said)) < 600
    return False


@settings(max_examples=1500)
@given(st.sampled_from(BODIES), st.lists(CHANGES, min_size=1, max_size=3))
def test_a_mutated_body_is_a_bad_message_or_a_good_one(body: Any, changes: list[tuple[int, int, bytes]]) -> None:
    method, mutated = body
    for place, taken, piece in changes:
        at = place % (len(mutated) + 1)
        mutated = mutated[:at] + piece + mutated[at + taken :]
    if not refused(method.decode, mutated, BadMessage):
        args, kwargs = method.decode(mutated)
        inspect.signature(method.function).bind(None, *args, **kwargs)
        again = method.decode(method.encode(args, kwargs))
        assert again == (args, kwargs) or b"\xcb\x7f\xf8" in mutated  # NaN is unlike itself


@given(st.binary(max_size=40))
def test_any_bytes_are_a_bad_message_or_a_good_one(body: bytes) -> None:
    for method in ORDERS.methods:
        assert refused(method.decode, body, BadMessage) or method.decode(body)
        assert refused(method.decode_result, body, BadReply) or [method.decode_result(body)]
