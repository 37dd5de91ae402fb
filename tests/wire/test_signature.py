"""Signatures: what both sides compare is the same text, and hash, on every version of Python and in every style of annotating.

Tested: pinned texts and hashes; what must make no difference, and what must; recursive types; each type that can't cross, with
the place where it stands.
"""

from __future__ import annotations

import array
import collections
import dataclasses
import datetime as dt
import decimal
import enum
import random
import typing
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, NewType, Optional, TypedDict, TypeVar, Union

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from supervise import InvalidSpec
from supervise.wire.interface import Interface
from supervise.wire.signature import hash_of
from tests.hostile import rude
from tests.wire import annotated_later, annotated_now, data
from tests.wire.data import Box, Circle, Colour, OrdersApi, OutOfStock, Pair, Point, PriceChanged, Square, Tag, TooMany
from tests.wire.making import class_with, interface_of, method_of, text_of

ORDERS = Interface("shop", OrdersApi, raises=(TooMany, OutOfStock), events=(PriceChanged, Point, Circle))
ITEM = "Item{qty: int(ge=1, le=1000) = ..., sku: str}"
ORDER = (
    f"Order{{before: Order | None = ..., items: list[{ITEM}], note: str | None = ..., tags: frozenset[Tag{{name: str}}] = ...}}"
)
RECEIPT = "Receipt{id: int, lines: list[str] = ..., when: datetime}"

# Another side may run another version: what stands here is never changed.
PINNED = {
    "shop.OrdersApi.place": (
        "4ccd15c65feca60f",
        f"place(order: {ORDER}, *, urgent: bool = ...) -> {RECEIPT} raises OutOfStock, TooMany",
    ),
    "shop.OrdersApi.count": (
        "429c93a1d06b2fcb",
        "count() -> int raises OutOfStock, TooMany",
    ),
    "shop.OrdersApi.find": (
        "c222b5072d329130",
        f"find(kind: Literal['new', 'old'], day: date, at: time = ..., /, limit: int = ..., *, "
        f"within: timedelta) -> list[{ORDER}] raises OutOfStock, TooMany",
    ),
    "shop.OrdersApi.draw": (
        "c9bffdd6e74b1215",
        "draw(shape: Circle{type='circle', radius: float} | Square{type='square', side: float}, "
        "at: Point(x: float, y: float = ...) = ..., colour: Colour['blue', 'red'] | None = ..., size: Size[1, "
        "10] = ...) -> Pair(left: int, right: int = ...) raises OutOfStock, TooMany",
    ),
    "shop.OrdersApi.move": (
        "ff348473cefe0390",
        "move(where: Address{street: str, town: str = ...}, ids: dict[UUID, tuple[int, str]], "
        "boxes: list[Box{inside: int}], other: Box#2{inside: str}, data: bytes) -> None raises OutOfStock, TooMany",
    ),
    "shop.PriceChanged": (
        "5fcebd89a5174ca6",
        "PriceChanged{price: Decimal, sku: str}",
    ),
    "shop.Point": (
        "cbd064d2bca44bd0",
        "Point(x: float, y: float = ...)",
    ),
    "shop.Circle": (
        "a51e575a0f602a96",
        "Circle{type='circle', radius: float}",
    ),
}


@pytest.mark.parametrize("entry", [*ORDERS.table().handlers, *ORDERS.table().events], ids=lambda entry: entry.key)
def test_texts_and_hashes_are_pinned(entry: Any) -> None:
    assert (entry.hash.hex(), entry.text) == PINNED[entry.key]


def test_the_hash_is_that_of_the_text() -> None:
    for entry in ORDERS.table().handlers:
        assert hash_of(entry.text) == entry.hash
        assert len(entry.hash) == 8


# -- what makes no difference ------------------------------------------------------------------------------------------------


def test_the_style_of_annotating_makes_no_difference() -> None:
    now, later = Interface("it", annotated_now.Api), Interface("it", annotated_later.Api)
    assert now.table() == later.table()
    assert now.methods[0].entry.text == (
        "place(lines: list[Line{item: str, notes: tuple[Note{by: str = ..., text: str}, ...] = ..., qty: int(ge=0) = ...}], "
        "by: str | None = ..., *, at: float | int | str | None = ...) -> dict[str, set[int]]"
    )


def test_a_bound_class_or_a_module_makes_no_difference() -> None:
    other = dataclasses.make_dataclass("Tag", [("name", str)], frozen=True)
    other.__module__, other.__qualname__ = "elsewhere", "Outer.Tag"
    assert text_of(other) == text_of(Tag) == "Tag{name: str}"


Age = NewType("Age", int)
Older = NewType("Older", Annotated[Age, Meta(ge=18)])  # pyright: ignore[reportGeneralTypeIssues]
Maybe = NewType("Maybe", Optional[str])  # type: ignore[valid-newtype]  # noqa: UP045  # pyright: ignore[reportGeneralTypeIssues]


class Numbered(enum.Enum):
    TWO = 2
    MINUS = -1
    TEN = 10
    ALSO_TWO = TWO


class Renumbered(enum.Enum):
    A = 10
    B = 2
    C = -1


Renumbered.__name__ = "Numbered"


class Named(msgspec.Struct, rename="camel"):
    first_name: str
    last_name: str | msgspec.UnsetType = msgspec.UNSET


ODD_KEYS = TypedDict("ODD_KEYS", {"a b": int, "c\n": str, "größe": int, "\ud800": int})


class FunctionalPoint(msgspec.Struct, array_like=True, tag=True):
    x: int


@pytest.mark.parametrize(
    ("hint", "text"),
    [
        (None, "None"),
        (type(None), "None"),
        (bool, "bool"),
        (int, "int"),
        (float, "float"),
        (str, "str"),
        (bytes, "bytes"),
        (dt.datetime, "datetime"),
        (dt.date, "date"),
        (dt.time, "time"),
        (dt.timedelta, "timedelta"),
        (uuid.UUID, "UUID"),
        (decimal.Decimal, "Decimal"),
        (list[int], "list[int]"),
        (typing.List[int], "list[int]"),  # noqa: UP006
        (Sequence[int], "list[int]"),
        (Mapping[str, int], "dict[str, int]"),
        (set[int], "set[int]"),
        (frozenset[str], "frozenset[str]"),
        (tuple[int, ...], "tuple[int, ...]"),
        (tuple[int, str], "tuple[int, str]"),
        (tuple[()], "tuple[()]"),
        (dict[int, list[str]], "dict[int, list[str]]"),
        (dict[tuple[int, str], Point], "dict[tuple[int, str], Point(x: float, y: float = ...)]"),
        (Age, "int"),
        (Older, "int(ge=18)"),
        (Annotated[int, "for people"], "int"),
        (Annotated[int, Meta(description="for people", title="x")], "int"),
        (Annotated[int, Meta(ge=0), Meta(le=9)], "int(ge=0, le=9)"),
        (Annotated[str, Meta(max_length=3, pattern="^ä\n")], r"str(max_length=3, pattern='^\xe4\n')"),
        (Annotated[list[Annotated[str, Meta(min_length=1)]], Meta(max_length=2)], "list(max_length=2)[str(min_length=1)]"),
        (Annotated[dt.datetime, Meta(tz=True)], "datetime(tz=True)"),
        (Annotated[float, Meta(multiple_of=0.5)], "float(multiple_of=0.5)"),
        (Maybe, "str | None"),
        (Optional[int], "int | None"),  # noqa: UP045
        (Union[str, int, None], "int | str | None"),  # noqa: UP007
        (None | str | int, "int | str | None"),
        (Union[int, Age], "int"),  # noqa: UP007
        (Union[Maybe, int], "int | str | None"),  # noqa: UP007
        (Literal["b", "a", 10, 9], "Literal[9, 10, 'a', 'b']"),
        (Literal["ä\n"], r"Literal['\xe4\n']"),
        (Literal["a", None], "Literal['a'] | None"),
        (Optional[Literal["a"]], "Literal['a'] | None"),  # noqa: UP045
        (Literal["b"] | Literal["a", 1] | None, "Literal[1, 'a', 'b'] | None"),
        (Colour, "Colour['blue', 'red']"),
        (Numbered, "Numbered[-1, 2, 10]"),
        (Renumbered, "Numbered[-1, 2, 10]"),
        (Point, "Point(x: float, y: float = ...)"),
        (Pair, "Pair(left: int, right: int = ...)"),
        (Tag, "Tag{name: str}"),
        (Circle, "Circle{type='circle', radius: float}"),
        (FunctionalPoint, "FunctionalPoint(type='FunctionalPoint', x: int)"),
        (Square | Circle, "Circle{type='circle', radius: float} | Square{type='square', side: float}"),
        (Named, "Named{firstName: str, lastName: str = ...}"),
        (data.Address, "Address{street: str, town: str = ...}"),
        (ODD_KEYS, r"ODD_KEYS{'a b': int, 'c\n': str, größe: int, '\ud800': int}"),
        (Box[int], "Box{inside: int}"),
        (Box[Box[str]], "Box{inside: Box#2{inside: str}}"),
        (tuple[Tag, Tag], "tuple[Tag{name: str}, Tag]"),
        (dict[Colour, list[Colour]], "dict[Colour['blue', 'red'], list[Colour]]"),
        (data.Order, ORDER),
    ],
)
def test_a_type_is_written_out(hint: Any, text: str) -> None:
    written = method_of(hint).entry
    assert written.text == f"take(value: {text}) -> None"
    assert method_of(int, hint).entry.text.endswith(f"-> {text}")
    assert hash_of(written.text) == written.hash


class Left(msgspec.Struct, tag=True):
    right: Right | None = None


class Right(msgspec.Struct, tag=True):
    left: Left | None = None
    more: Left | Right | int | str | None = None


MEMBERS = (Left, Right, int, str, float, type(None), list[Left])


@given(st.permutations(MEMBERS))
def test_the_order_of_a_union_makes_no_difference_though_its_members_name_each_other(members: list[Any]) -> None:
    assert text_of(Union[tuple(members)]) == text_of(Union[MEMBERS])  # noqa: UP007


def test_the_order_of_fields_counts_in_an_array_and_not_in_a_map() -> None:
    there, back = ([("a", int), ("b", str)], [("b", str), ("a", int)])
    assert text_of(dataclasses.make_dataclass("D", there)) == text_of(dataclasses.make_dataclass("D", back))
    assert text_of(msgspec.defstruct("D", there)) == text_of(msgspec.defstruct("D", back))
    assert text_of(NamedTuple("D", there)) != text_of(NamedTuple("D", back))
    as_array, reversed_array = (msgspec.defstruct("D", fields, array_like=True) for fields in (there, back))
    assert text_of(as_array) != text_of(reversed_array)
    assert text_of(NamedTuple("D", there)) == text_of(as_array)
    assert text_of(dataclasses.make_dataclass("D", there)) == text_of(msgspec.defstruct("D", there))


# -- what makes a difference -------------------------------------------------------------------------------------------------


def by_name(self: Any, value: int) -> None: ...
def by_other_name(self: Any, values: int) -> None: ...
def by_position(self: Any, value: int, /) -> None: ...
def by_keyword(self: Any, *, value: int) -> None: ...
def by_default(self: Any, value: int = 1) -> None: ...
def by_other_default(self: Any, value: int = 2) -> None: ...
def returns(self: Any, value: int) -> int: ...  # type: ignore[empty-body]
def two(self: Any, value: int, more: int) -> None: ...
def all_kinds(self: Any, a: int, b: int = 1, /, c: int = 2, *, d: int, e: int = 3) -> None: ...
def selfless(this: Any, /, a: int, *, b: int) -> None: ...


def signature(function: Callable[..., Any]) -> str:
    return Interface("it", class_with(function, "take")).methods[0].entry.text


def test_all_that_a_call_depends_on_makes_a_difference() -> None:
    functions = (by_name, by_other_name, by_position, by_keyword, by_default, returns, two)
    assert len({signature(function) for function in functions}) == len(functions)
    assert signature(by_default) == signature(by_other_default) == "take(value: int = ...) -> None"
    assert signature(by_position) == "take(value: int, /) -> None"
    assert signature(by_keyword) == "take(*, value: int) -> None"
    assert signature(all_kinds) == "take(a: int, b: int = ..., /, c: int = ..., *, d: int, e: int = ...) -> None"
    assert signature(selfless) == "take(a: int, *, b: int) -> None"


def test_async_makes_no_difference() -> None:
    async def later(self: Any, value: int) -> None: ...

    assert signature(later) == signature(by_name)


def test_the_exceptions_that_cross_belong_to_it_in_any_order() -> None:
    assert interface_of(int, raises=(OutOfStock, TooMany)).table() == interface_of(int, raises=[TooMany, OutOfStock]).table()
    assert method_of(int, raises=(OutOfStock,)).entry.text == "take(value: int) -> None raises OutOfStock"
    assert method_of(int, raises=(OutOfStock,)).entry.hash != method_of(int).entry.hash


UNLIKE = (int, float, str, bytes, bool, None, list[int], set[int], frozenset[int], tuple[int, ...], tuple[int], dict[str, int])
MORE = (
    Annotated[int, Meta(ge=0)],
    Annotated[int, Meta(ge=1)],
    Annotated[int, Meta(gt=0)],
    int | str,
    Tag,
    Point,
    Circle,
    Colour,
)


def test_unlike_types_have_unlike_texts() -> None:
    hints: tuple[Any, ...] = (*UNLIKE, *MORE, Point | None, Square | Circle)
    assert len({method_of(hint).entry.hash for hint in hints}) == len(hints)


def test_two_classes_of_one_name_are_told_apart() -> None:
    first, second = (dataclasses.make_dataclass("D", [("a", hint)]) for hint in (int, str))
    assert text_of(tuple[first, second, first]) == "tuple[D{a: int}, D#2{a: str}, D]"  # type: ignore[valid-type]
    assert text_of(tuple[first, second, second]) == "tuple[D{a: int}, D#2{a: str}, D#2]"  # type: ignore[valid-type]


def test_types_that_share_their_parts_dont_grow_without_end() -> None:
    hint: Any = int
    for n in range(60):
        fields: list[tuple[str, Any]] = [("a", hint), ("b", hint)]
        hint = dataclasses.make_dataclass(f"D{n}", fields)
    assert len(text_of(hint)) < 2000


# -- a class that stands in the interface's own ------------------------------------------------------------------------------


class Nested:
    class Inner(NamedTuple):
        x: int

    def list(self) -> list[int]: ...  # type: ignore[empty-body]

    def take(self, inner: Inner) -> Inner: ...  # type: ignore[empty-body]


def test_a_nested_class_is_found_and_a_handler_called_list_hides_nothing() -> None:
    taken, listed = Interface("it", Nested, only=(Nested.take, Nested.list)).methods
    assert taken.entry.text == "take(inner: Inner(x: int)) -> Inner"
    assert listed.entry.text == "list() -> list[int]"


# -- what can't cross --------------------------------------------------------------------------------------------------------

T = TypeVar("T")


class Handle:
    pass


@dataclass
class Line:
    handle: Handle


@dataclass
class Lines:
    lines: list[dict[str, Line]]


@dataclass
class WithUnion:
    either: list[int] | set[int]


@dataclass
class Initial:
    value: dataclasses.InitVar[int]


@dataclass
class Lost:
    where: Nowhere  # type: ignore[name-defined]  # pyright: ignore[reportUndefinedVariable]  # noqa: F821


class Mixed(enum.Enum):
    A = 1
    B = "b"


class Floats(enum.Enum):
    A = 1.5


class Nobody(enum.Enum):
    pass


class Meta2(type):
    def __hash__(cls) -> int:
        raise SystemExit

    def __getattribute__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise SystemExit
        return type.__getattribute__(cls, name)


typing_any: Any = typing
any_collections: Any = collections
REFUSED: dict[str, tuple[Any, str, str]] = {
    "Any": (Any, "value", "takes whatever comes"),
    "object": (object, "value", "what crosses is plain data"),
    "bare list": (list, "value[]", "takes whatever comes"),
    "bare List": (typing_any.List, "value[]", "takes whatever comes"),
    "bare dict": (dict, "value.keys[]", "takes whatever comes"),
    "bare tuple": (tuple, "value[]", "takes whatever comes"),
    "bare set": (set, "value[]", "takes whatever comes"),
    "bare Sequence": (Sequence, "value[]", "takes whatever comes"),
    "dict of Any": (dict[str, Any], "value[]", "takes whatever comes"),
    "inner Any": (list[dict[str, tuple[int, Any]]], "value[][][1]", "takes whatever comes"),
    "type variable": (T, "value", "takes whatever comes"),
    "bare generic": (Box, "value.inside", "takes whatever comes"),
    "untyped": (any_collections.namedtuple("Untyped", "a b"), "value.a", "takes whatever comes"),
    "a class": (Handle, "value", "what crosses is plain data"),
    "a class in a class": (list[Lines], "value[].lines[][].handle", "what crosses is plain data"),
    "type": (type[int], "value", "what crosses is plain data"),
    "callable": (Callable[[int], int], "value", "what crosses is plain data"),
    "iterable": (list[Iterable[int]], "value[]", "what crosses is plain data"),
    "deque": (collections.deque[int], "value", "what crosses is plain data"),
    "array": (array.array, "value", "what crosses is plain data"),
    "complex": (complex, "value", "what crosses is plain data"),
    "bytearray": (bytearray, "value", "what crosses is plain data"),
    "memoryview": (memoryview, "value", "what crosses is plain data"),
    "raw": (msgspec.Raw, "value", "what crosses is plain data"),
    "ext": (list[msgspec.msgpack.Ext], "value[]", "what crosses is plain data"),
    "exception": (OutOfStock, "value", "what crosses is plain data"),
    "protocol": (OrdersApi, "value", "what crosses is plain data"),
    "subclass of str": (type("Text", (str,), {}), "value", "what crosses is plain data"),
    "two maps": (Tag | data.Order, "value", "more than one dataclass"),
    "two arrays": (WithUnion, "value.either", "more than one array-like"),
    "two texts": (list[str | dt.date], "value[]", "more than one str-like type"),
    "an enum of both": (dict[str, Mixed], "value[]", "all str or all int"),
    "an enum of floats": (Floats, "value", "all str or all int"),
    "an enum of nobody": (Nobody, "value", "at least one"),
    "literal of bytes": (list[Literal[b"a"]], "value[]", "Literal may only contain"),
    "a constraint of another type": (Annotated[int, Meta(min_length=1)], "value", "min_length"),
    "an init variable": (list[Initial], "value[].value", "InitVar"),
    "a name that isn't known": (list[Lost], "value[]", "Nowhere"),
    "set of lists": (set[list[int]], "value[]", "it has no hash"),
    "set of dicts": (frozenset[dict[str, int]], "value[]", "it has no hash"),
    "keys that are a dataclass": (dict[data.Item, int], "value.keys[]", "it has no hash"),
    "set of a struct": (set[Circle], "value[]", "it has no hash"),
    "never": (typing.NoReturn, "value", "what crosses is plain data"),
    "class variable": (typing.ClassVar[int], "value", "what crosses is plain data"),
    "hostile class": (rude(on="__eq__ __hash__ __repr__"), "value", "what crosses is plain data"),
    "no type at all": (3, "value", "what crosses is plain data"),
}


@pytest.mark.parametrize("which", REFUSED)
def test_what_cant_cross_is_named_with_its_place(which: str) -> None:
    hint, place, text = REFUSED[which]
    for hints, start in (((hint,), "value"), ((int, hint), "return")):
        with pytest.raises(InvalidSpec) as refused:
            method_of(*hints)
        assert refused.value.who == "interface 'it': Api.take"
        assert refused.value.field == place.replace("value", start, 1)
        assert text in refused.value.cure
        assert len(str(refused.value)) < 1200


def test_a_class_that_raises_whatever_it_is_asked_is_refused() -> None:
    for hint in (Meta2("Odd", (), {}), list[Meta2("Odd", (), {})]):  # type: ignore[misc]
        with pytest.raises(InvalidSpec, match=r"interface 'it': Api\.take: "):
            method_of(hint)


@given(st.randoms(use_true_random=False))
def test_the_first_that_cant_cross_is_named_by_its_parameter(chance: random.Random) -> None:
    hints: list[Any] = [int, list[str], Tag, Handle]
    chance.shuffle(hints)

    def take(self: Any, a: Any, b: Any, c: Any, d: Any) -> None: ...

    take.__annotations__ = {**dict(zip("abcd", hints, strict=True)), "return": None}
    with pytest.raises(InvalidSpec) as refused:
        Interface("it", class_with(take))
    assert refused.value.field == "abcd"[hints.index(Handle)]
