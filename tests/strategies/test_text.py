"""The texts of other people's objects (SEMANTICS 65, its last sentence).

Tested: bounded before they are made, whatever they hold; as `repr` and `str` say where there is room; one line, which any
encoder takes; whatever a `__repr__` or `__str__` raises is named, but KeyboardInterrupt; no metaclass, and no `__class__` of an
instance's own, is asked.
"""

from __future__ import annotations

import asyncio
import functools
from array import array
from collections import Counter, OrderedDict, UserDict, UserList, UserString, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from types import MappingProxyType, SimpleNamespace
from typing import Any, NamedTuple

import pytest

from supervise_strategies.errors import ChildNotFound, InvalidSpec
from supervise_strategies.exception import leaves
from supervise_strategies.exit_reason import describe
from supervise_strategies.text import LONG, SHORT, one_line, said, shown, text_of
from tests.hostile import rude


class Pair(NamedTuple):
    left: object
    right: object


@dataclass
class Point:
    x: object
    y: object = 2
    hidden: object = field(default=3, repr=False)


@dataclass
class Own:
    x: int

    def __repr__(self) -> str:
        return "its own"


class Names(list[str]):
    pass


class Loud(list[str]):
    def __repr__(self) -> str:
        return "LOUD"


AS_REPR: list[Any] = [
    None, True, 1, 1.5, "a", "it's\n", b"a", bytearray(b"a"), array("B", [1]), [], [1, [2]], (), (1,), (1, 2), set[int](), {1},
    frozenset[int](), frozenset({1}), {}, {1: "a"}, deque([1]), deque([1], maxlen=2), MappingProxyType({1: 2}),
    UserDict({1: 2}), UserList([1]), UserString("a"), SimpleNamespace(a=1), functools.partial(print, 1), {1: 2}.keys(),
    {1: 2}.values(), {1: 2}.items(), Pair(1, 2), Own(1), Names(["a"]), Loud(["a"]), ValueError("a", 1),
    KeyError("a"), int, range(3),
]  # fmt: skip


@pytest.mark.parametrize("value", AS_REPR, ids=lambda value: type(value).__name__)
def test_where_there_is_room_it_is_what_repr_says(value: Any) -> None:
    assert shown(value, 200) == repr(value)


def test_a_dataclass_is_shown_by_its_fields() -> None:
    assert shown(Point("a")) == "Point(x='a', y=2)"
    assert shown(OrderedDict({"a": 1})) == "OrderedDict({'a': 1})"
    assert shown(defaultdict(list, {1: [2]})) == "defaultdict({1: [2]})"
    assert shown(Counter("aab")) == "Counter({'a': 2, 'b': 1})"


class Counting:
    """Counts how often its text is asked for."""

    def __init__(self) -> None:
        self.asked = 0

    def __repr__(self) -> str:
        self.asked += 1
        return "c"


def _of_error(value: object) -> str:
    return describe(ValueError(value))


def _of_key(value: object) -> str:
    return describe(KeyError(value))


def _in_a_list(value: object) -> str:
    return shown([value])


def wide(parts: list[Any]) -> list[Any]:
    """Containers of all kinds, of these parts."""
    numbered = dict(enumerate(parts))
    return [
        parts, tuple(parts), deque(parts), Names(parts), numbered, dict.fromkeys(parts, 1), numbered.values(), set(parts),
        frozenset(parts), ValueError(*parts), Point(parts, parts), Pair(parts, parts), [[parts, parts], parts], UserList(parts),
        SimpleNamespace(parts=parts), functools.partial(print, *parts), defaultdict(None, numbered),
    ]  # fmt: skip


@pytest.mark.parametrize("ask", [shown, said, _of_error])
def test_of_a_container_no_more_is_asked_than_there_is_room_for(ask: Callable[[Any], str]) -> None:
    parts = [Counting() for _ in range(10_000)]
    for number, container in enumerate(wide(parts), 1):
        assert len(ask(container)) <= LONG
        assert sum(part.asked for part in parts) <= LONG * number


Heavy: Any = rude(str, on="__iter__ __len__ __str__ __format__ __getitem__ encode")  # the whole of it is never asked for


LARGE: list[Any] = [
    "x" * 10**6, b"x" * 10**6, bytearray(10**6), array("B", bytes(10**6)), Heavy("x" * 10**6), {b"k" * 10**6: b"v" * 10**6},
    [b"x" * 10**6] * 10**5, Point(b"x" * 10**6), Pair(b"x" * 10**6, 1), ValueError(b"x" * 10**6), UserString("x" * 10**6),
    10**100_000, [10**5000], range(10**9), {"a": {"b": {"c": {"d": {"e": {"f": {"g": 1}}}}}}},
]  # fmt: skip


@pytest.mark.parametrize("value", LARGE, ids=lambda value: type(value).__name__)
def test_large_values_are_cut_before_their_text_is_made(value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import tracemalloc

    error, key = ValueError(value), KeyError(value)
    tracemalloc.start()
    try:
        texts = shown(value), shown([value]), describe(error), describe(key)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 100_000
    assert [len(text) <= limit for text, limit in zip(texts, (SHORT, SHORT, LONG, LONG), strict=True)] == [True] * 4


def test_a_number_that_has_no_text_is_told_by_its_size() -> None:
    assert shown(10**5000) == "<int of 16610 bits>"
    assert describe(ValueError(-(10**5000))) == "ValueError: <int of 16610 bits>"


def nested(make: Callable[[Any], Any], depth: int = 2_000) -> Any:
    value: Any = "end"
    for _ in range(depth):
        value = make(value)
    return value


def circle() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


@pytest.mark.parametrize(
    "value",
    [
        circle(),
        nested(lambda v: [v]),
        nested(lambda v: (v,)),
        nested(lambda v: {1: v}),
        nested(Point),
        nested(ValueError, 20_000),
    ],
    ids=["circle", "list", "tuple", "dict", "dataclass", "exception"],
)
def test_what_is_deep_or_holds_itself_ends_in_an_ellipsis(value: Any) -> None:
    assert "…" in shown(value)
    assert "…" in describe(ValueError(value))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("two\nlines\r", r"two\nlines\r"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("half \ud800", r"half \ud800"),
        ("\u2028 \x85 \u202e", r"\u2028 \x85 \u202e"),
        ("é, 日本\u3000語 and\xa0€", "é, 日本\u3000語 and\xa0€"),
    ],
)
def test_it_is_one_line_that_any_encoder_takes(text: str, line: str) -> None:
    class Prints:
        def __repr__(self) -> str:
            return text

    for made in (shown(Prints()), said(text), said(ValueError(text)), one_line(text, 100)):
        assert made == line
        made.encode()
    assert describe(ExceptionGroup(text, [OSError(text)])) == f"ExceptionGroup(OSError: {line})"


def test_the_lines_of_a_text_are_kept_where_they_are_wanted() -> None:
    assert text_of(ValueError("two\nlines"), 100) == "two\nlines"


class Cancelled(BaseException):
    """As trio's."""


RAISED: list[type[BaseException]] = [
    RuntimeError, SystemExit, GeneratorExit, asyncio.CancelledError, Cancelled, RecursionError, MemoryError, StopIteration
]  # fmt: skip


class RudeError(Exception):
    def __init__(self, raised: type[BaseException]) -> None:
        self.raised = raised

    def __repr__(self) -> str:
        raise self.raised

    __str__ = __repr__


@pytest.mark.parametrize("raised", RAISED)
def test_whatever_a_repr_or_str_raises_is_named(raised: type[BaseException]) -> None:
    error, name = RudeError(raised), raised.__name__
    assert shown(error) == f"<RudeError: its repr() raised {name}>"
    assert shown([1, error]) == f"[1, <RudeError: its repr() raised {name}>]"
    assert shown({error: 1}, 100) == f"{{<RudeError: its repr() raised {name}>: 1}}"
    assert describe(error) == f"RudeError: <its str() raised {name}>"
    assert describe(ExceptionGroup("g", [error])) == f"ExceptionGroup(RudeError: <its str() raised {name}>)"
    assert describe(KeyError(error)) == f"KeyError: <RudeError: its repr() raised {name}>"
    assert str(InvalidSpec("child 'a'", "limit", error, "a number")) == (
        f"child 'a': limit=<RudeError: its repr() raised {name}> is not valid: a number"
    )


@pytest.mark.parametrize("ask", [shown, said, describe, _in_a_list, _of_key])
def test_keyboard_interrupt_passes_up(ask: Callable[[Any], str]) -> None:
    with pytest.raises(KeyboardInterrupt):
        ask(RudeError(KeyboardInterrupt))


@pytest.mark.parametrize("ask", [shown, said, describe])
def test_a_group_with_a_keyboard_interrupt_in_it_passes_up_too(ask: Callable[[Any], str]) -> None:
    def raises(_: object) -> str:
        raise BaseExceptionGroup("of a task group", [ValueError(), BaseExceptionGroup("in it", [KeyboardInterrupt()])])

    error: Any = type("Interrupted", (Exception,), {"__repr__": raises, "__str__": raises})()
    with pytest.raises(BaseExceptionGroup, match="of a task group"):
        ask(error)


Liar: Any = rude(on="__class__ __getattribute__")
Meta: Any = rude(type, on="__repr__ __eq__ __hash__ __getattribute__ __call__ __instancecheck__ __subclasscheck__")


def test_neither_a_metaclass_nor_an_instance_is_asked_what_it_is() -> None:
    hostile_kind: Any = Meta("Hostile", (), {})
    error_kind: Any = Meta("HostileError", (Exception,), {})
    lying_kind: Any = rude(Exception, on="__class__")
    hostile, error = object.__new__(hostile_kind), BaseException.__new__(error_kind, "no")
    assert shown(Liar()).startswith("<")
    assert shown(hostile_kind).endswith("its repr() raised SystemExit>")
    assert "Hostile" in shown(hostile, 200)
    assert describe(error) == "HostileError: no"
    assert describe(lying_kind("no")) == "Rude: no"
    assert next(leaves(error)) is error


def test_a_text_of_somebodys_own_class_becomes_a_plain_one() -> None:
    class Says:
        def __repr__(self) -> str:
            text: str = Heavy("x" * 10**6)
            return text

        __str__ = __repr__

    for text in (shown(Says()), said(Says()), said(Heavy("x" * 10**6)), describe(ValueError(Heavy("y")))):
        assert type(text) is str
    renamed = type("T", (Exception,), {})
    renamed.__name__ = Heavy("Renamed")
    assert describe(renamed("no")) == "Renamed: no"


def test_a_generator_isnt_run() -> None:
    ran: list[int] = []

    def make() -> Any:
        ran.append(1)
        yield

    assert shown(make(), 200).startswith("<generator object")
    assert "generator" in describe(ValueError(make()))
    assert not ran


# -- exceptions --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError(), "ValueError"),
        (ValueError(""), "ValueError"),
        (ValueError("no", 1), "ValueError: ('no', 1)"),
        (ValueError({"a": 1}), "ValueError: {'a': 1}"),
        (KeyError("a"), "KeyError: 'a'"),
        (KeyError("a", 1), "KeyError: ('a', 1)"),
        (OSError(2, "gone", "f"), "FileNotFoundError: [Errno 2] gone: 'f'"),
        (ValueError(ValueError("inside")), "ValueError: inside"),
        (UnicodeDecodeError("utf-8", b"x" * 10**6, 0, 1, "bad"), "UnicodeDecodeError: 'utf-8' codec can't decode byte 0x78"),
    ],
)
def test_an_exception_is_told_as_str_tells_it(error: BaseException, text: str) -> None:
    assert describe(error).startswith(text)


def test_a_thousand_groups_in_each_other_are_looked_through() -> None:
    deep: Any = OSError("no route")
    for _ in range(1000):
        deep = ExceptionGroup("g", [deep])
    assert describe(deep) == "ExceptionGroup(OSError: no route)"
    assert [type(leaf) for leaf in leaves(deep)] == [OSError]


def test_the_leaves_of_a_group_come_in_their_order() -> None:
    inner = ExceptionGroup("g", [OSError(2), OSError(3)])
    assert [leaf.args for leaf in leaves(ExceptionGroup("g", [OSError(1), inner, OSError(4)]))] == [(1,), (2,), (3,), (4,)]


def test_of_a_hundred_thousand_leaves_only_the_first_are_told() -> None:
    asked: list[int] = []

    class Leaf(Exception):
        def __str__(self) -> str:
            asked.append(1)
            return "x"

    text = describe(ExceptionGroup("g", [Leaf() for _ in range(100_000)]))
    assert len(text) == LONG
    assert len(asked) < LONG


def test_groups_that_share_their_parts_are_looked_into_once() -> None:
    shared: Any = OSError("no route")
    for _ in range(60):  # 2 ** 60 ways lead to it
        shared = ExceptionGroup("g", [shared, shared])
    assert {type(leaf) for leaf in leaves(shared)} == {OSError}


def test_a_group_whose_class_says_otherwise_is_looked_into() -> None:
    class Empty(ExceptionGroup[Exception]):
        @property
        def exceptions(self) -> Any:
            raise SystemExit

    assert describe(Empty("g", [OSError("no")])) == "Empty(OSError: no)"


# -- errors of this package --------------------------------------------------------------------------------------------------


def test_an_error_about_a_value_shows_the_beginning_of_a_large_one_and_keeps_it() -> None:
    value = "x" * 50_000_000
    error = InvalidSpec("child 'a'", "limit", value, "a number")
    assert len(str(error)) < 300
    assert error.value is value
    assert len(str(ChildNotFound("x" * 10**6))) < 300
    assert str(ChildNotFound("a")) == "there is no child 'a' here"
