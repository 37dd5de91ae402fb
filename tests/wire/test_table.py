"""What a side serves: numbered alike on both sides, in frames that fit, and bounded.

Tested: a table crosses whole, by hand in both directions, however it is split; what a side can't take is refused, here when
it is made and over there by name; a number is found by key and hash.
"""

from __future__ import annotations

from typing import Any, Final, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervise.errors import ProtocolError
from supervise.wire import table as module
from supervise.wire.bodies import encode_body
from supervise.wire.frames import GREETING, Kind, encode
from supervise.wire.table import MOST_BYTES, Entry, Serves, Table, TableReader
from supervise_strategies.errors import InvalidSpec

from . import by_hand


def entry(key: str, hash: int = 0, text: str = "") -> Entry:
    return Entry(key, hash.to_bytes(8, "big"), text)


ORDERS: Final = Serves("shop", "msgpack", (entry("shop.O.place", 1), entry("shop.O.count", 2)), (entry("shop.Priced", 3),))
OLDER: Final = Serves("shop", "msgpack", (entry("shop.O.place", 9), entry("shop.O.count", 2)))
STOCK: Final = Serves("stock", "msgpack", (), (entry("stock.Low", 4),))
TABLE: Final = Table([ORDERS, OLDER, STOCK])


def crossed(table: Table, limit: int = GREETING) -> Table:
    reader = TableReader()
    for frame in table.frames(limit):
        assert frame.kind is Kind.SERVES
        assert len(encode(frame)) - 4 <= limit
        reader.add(frame.body)
    return reader.whole()


def test_numbers_go_on_over_all_interfaces() -> None:
    assert [one.key for one in TABLE.handlers] == ["shop.O.place", "shop.O.count", "shop.O.place", "shop.O.count"]
    assert [one.key for one in TABLE.events] == ["shop.Priced", "stock.Low"]
    assert [TABLE.handlers.interface_of(n) for n in range(4)] == [0, 0, 1, 1]
    assert [TABLE.events.interface_of(n) for n in range(2)] == [0, 2]
    assert TABLE.handlers[2] is TABLE.handlers[-2] is OLDER.handlers[0]
    assert TABLE.handlers[1:2] == (ORDERS.handlers[1],)
    assert repr(TABLE) == "Table(['shop', 'shop', 'stock'])"


def test_a_number_is_found_by_key_and_hash() -> None:
    assert TABLE.index_of("shop.O.place", (1).to_bytes(8, "big")) == 0
    assert TABLE.index_of("shop.O.place", (9).to_bytes(8, "big")) == 2
    assert TABLE.index_of("shop.O.place", (2).to_bytes(8, "big")) is None
    assert TABLE.index_of("shop.O.other", (1).to_bytes(8, "big")) is None
    assert TABLE.events.index_of("stock.Low", (4).to_bytes(8, "big")) == 1
    same = (2).to_bytes(8, "big")
    assert [TABLE.index_of("shop.O.count", same, interface) for interface in (None, 0, 1, 2)] == [1, 1, 3, None]
    assert [one.hash[-1] for one in TABLE.handlers.with_key("shop.O.place")] == [1, 9]
    assert TABLE.handlers.with_key("nothing") == ()


def test_a_part_of_a_table_is_numbered_anew() -> None:
    assert TABLE.only({"stock"}).interfaces == (STOCK,)
    assert TABLE.only({"stock"}).events.index_of("stock.Low", (4).to_bytes(8, "big")) == 0
    assert TABLE.only(()).interfaces == ()


def test_a_table_is_spoken_byte_by_byte() -> None:
    by_others: dict[str, Any] = {
        "interface": "shop",
        "format": "msgpack",
        "handlers": [["shop.O.place", bytes(7) + b"\1", ""], ["shop.O.count", bytes(7) + b"\2", ""]],
        "events": [["shop.Priced", bytes(7) + b"\3", ""]],
        "more": False,
    }
    [frame] = Table([ORDERS]).frames()
    assert by_hand.unframed(encode(frame)) == [[1, 0, 0, by_hand.pack(by_others), 0, 0, "", [], 0, []]]
    reader = TableReader()
    reader.add(by_hand.pack({**by_others, "handlers": by_others["handlers"][:1], "events": [], "more": True}))
    reader.add(by_hand.pack({"interface": "shop", "format": "msgpack", "handlers": by_others["handlers"][1:], "more": True}))
    reader.add(by_hand.pack({"interface": "shop", "format": "msgpack", "events": by_others["events"], "later": 1}))
    reader.add(by_hand.pack({"interface": "stock", "format": "msgpack"}))
    assert reader.whole().interfaces == (ORDERS, Serves("stock", "msgpack"))


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=150)
entries = st.lists(st.builds(entry, texts.filter(bool), st.integers(0, 2**64 - 1), texts), max_size=30, unique=True)
interfaces = st.lists(
    st.builds(Serves, st.sampled_from(["a", "b"]), st.just("f"), entries.map(tuple), entries.map(tuple)), max_size=5
)


@given(interfaces, st.integers(1500, 6000))
def test_a_table_crosses_whole_however_it_is_split(parts: list[Serves], limit: int) -> None:
    try:
        table = Table(parts)
    except InvalidSpec:
        return  # a key twice
    assert crossed(table, limit).interfaces == table.interfaces


def test_a_frame_is_filled_before_the_next_one_begins() -> None:
    table = Table([Serves("shop", "msgpack", tuple(entry(f"shop.O.h{n:04}", n, "x" * 80) for n in range(1000)))])
    frames = table.frames(8192)
    assert crossed(table, 8192).interfaces == table.interfaces
    assert all(len(encode(frame)) > 8000 for frame in frames[:-1])
    assert len(table.frames()) == 2


@pytest.mark.parametrize("text", ["", "x" * 20, "x" * 200])
def test_a_frame_is_never_longer_than_its_limit(text: str) -> None:
    handlers = tuple(entry(f"h{n}", n, text) for n in range(200))
    for limit in range(700, 800):
        assert len(crossed(Table([Serves("shop", "f", handlers, handlers)]), limit).handlers) == 200


# -- what is refused ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "field"),
    [
        ([Serves("shop", "f", (entry("k", 1), entry("k", 2), entry("k", 1)))], "key"),
        ([Serves("shop", "f", (), (entry("k", 1), entry("k", 1)))], "key"),
        ([Serves(f"i{n}", "f") for n in range(1001)], "interfaces"),
        (
            [Serves("shop", "f", tuple(entry(f"k{n}") for n in range(5001)), tuple(entry(f"k{n}") for n in range(5000)))],
            "entries",
        ),
    ],
)
def test_what_is_no_table_is_refused_where_it_is_made_and_over_there(parts: list[Serves], field: str) -> None:
    with pytest.raises(InvalidSpec) as caught:
        Table(parts)
    assert caught.value.field == field
    reader = TableReader()
    with pytest.raises(ProtocolError) as refused:
        for part in parts:
            for begin in range(0, max(len(part.handlers), 1), 1000):
                handlers, last = part.handlers[begin : begin + 1000], begin + 1000 >= len(part.handlers)
                reader.add(encode_body(Serves(part.interface, "f", handlers, part.events if last else (), more=not last)))
        reader.whole()
    assert refused.value.rule == "table"
    assert refused.value.__context__ is None


@pytest.mark.parametrize(
    ("part", "field"),
    [
        (Serves("x" * 201, "f"), "interface"),
        (Serves("", "f"), "interface"),
        (Serves("shop", ""), "interface"),
        (Serves("shop", "f", (entry("x" * 201),)), "interface"),
        (Serves("shop", "f", (entry(""),)), "interface"),
        (Serves("shop", "f", (Entry("k", b"short", ""),)), "interface"),
        (Serves("shop", "f", (entry("k", 1, "x" * 16_001),)), "interface"),
        (Serves("shop", "f", (entry("k", 1, "\ud800"),)), "name"),
        (Serves("\ud800", "f"), "name"),
        (Serves("shop", "f", (Entry("k", cast("bytes", 2**80), ""),)), "name"),
        (Serves("shop", "f", tuple(entry(f"k{n}", n, "x" * 15_000) for n in range(80))), "bytes"),
    ],
)
def test_what_nobody_could_take_is_refused_here(part: Serves, field: str) -> None:
    with pytest.raises(InvalidSpec) as caught:
        Table([part]).frames()
    assert (caught.value.who, caught.value.field) == ("Table", field)


def test_an_entry_that_no_frame_has_room_for_is_refused() -> None:
    assert len(Table([Serves("shop", "f", (entry("k", 1, "𝔘" * 16_000),))]).frames()) == 1
    with pytest.raises(InvalidSpec, match="an entry of at most"):
        Table([Serves("shop", "f", (entry("k", 1, "x" * 2000),))]).frames(2000)


@pytest.mark.parametrize(
    "bodies",
    [
        [Serves("shop", "f", more=True), Serves("stock", "f")],
        [Serves("shop", "f", more=True), Serves("shop", "g")],
        [Serves("shop", "f", more=True)],
    ],
)
def test_an_interface_that_goes_on_has_to(bodies: list[Serves]) -> None:
    reader = TableReader()
    with pytest.raises(ProtocolError, match=r"^table: .* where 'shop' goes on"):
        for body in bodies:
            reader.add(encode_body(body))
        reader.whole()


def test_a_table_that_is_too_large_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = TableReader()
    body = encode_body(Serves("shop", "f", tuple(entry(f"k{n}", n, "x" * 15_000) for n in range(4)), more=True))
    for _ in range(MOST_BYTES // len(body)):
        reader.add(body)

    def never(*_: object) -> None:
        pytest.fail("it was decoded")

    monkeypatch.setattr(module, "decode_body", never)
    with pytest.raises(ProtocolError, match=rf"^table: more than {MOST_BYTES} bytes"):
        reader.add(body)


def test_too_many_interfaces_are_refused_before_the_end() -> None:
    reader = TableReader()
    for n in range(1000):
        reader.add(encode_body(Serves(f"i{n}", "f")))
    with pytest.raises(ProtocolError, match=r"^table: more than .* 1000 interfaces"):
        reader.add(encode_body(Serves("one more", "f")))


def test_names_from_over_there_are_shown_on_one_short_line() -> None:
    reader = TableReader()
    reader.add(encode_body(Serves("\x1b[2J\n" * 40, "f", more=True)))
    with pytest.raises(ProtocolError) as caught:
        reader.whole()
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200
