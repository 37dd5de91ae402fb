"""Frames: the table of the protocol holds, byte by byte; whatever comes is frames, or `ProtocolError`.

Tested: every kind, written and read by hand; each rule, by name; a reader's frames don't depend on how the stream was cut; what
is refused by its length is never kept; nothing is copied over and over.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervise.errors import ProtocolError
from supervise.wire import frames
from supervise.wire.frames import FIELDS, GREETING, RULES, Frame, FrameReader, Kind, encode
from supervise.wire.kinds import KINDS

from . import by_hand

CALL_ID: Final = b"12345678"
TRACE: Final = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
LARGE: Final = 2**63 - 1

# One frame of each kind, as somebody writes it who has only the table, and what it is here.
SPOKEN: Final[list[tuple[list[Any], Frame]]] = [
    ([0, 0, 0, b"\x80", 0, 0, "", [], 0, []], Frame(Kind.HELLO, body=b"\x80")),
    ([1, 0, 0, b"\x80", 0, 0, "", [], 0, []], Frame(Kind.SERVES, body=b"\x80")),
    ([2, 0, 0, b"", 0, 0, "", [], 0, []], Frame(Kind.READY)),
    ([3, 0, 0, b"\x80", 0, 0, "", [], 0, []], Frame(Kind.GOODBYE, body=b"\x80")),
    ([4, 1, 0, b"", 0, 0, "", [], 0, []], Frame(Kind.PING, 1)),
    ([5, LARGE, 0, b"", 0, 0, "", [], 0, []], Frame(Kind.PONG, LARGE)),
    (
        [6, 300, 65535, b"x" * 300, 70_000, 2, TRACE, [b"87654321", CALL_ID], 3, ["web", "uid 7"]],
        Frame(Kind.CALL, 300, 65535, b"x" * 300, 70_000, 2, TRACE, (b"87654321", CALL_ID), 3, ("web", "uid 7")),
    ),
    (
        [7, 0, 200, b"x" * 70_000, 1, 3, TRACE, [], 0, ["web"]],
        Frame(Kind.SEND, 0, 200, b"x" * 70_000, 1, 3, TRACE, via=("web",)),
    ),
    ([8, 70_000, 0, b"", 0, 0, "", [], 0, []], Frame(Kind.REPLY, 70_000)),
    ([9, 1 << 40, 0, b"\x80", 0, 0, "", [], 0, []], Frame(Kind.ERROR, 1 << 40, 0, b"\x80")),
    ([10, 1, 0, b"", 0, 0, "", [], 0, []], Frame(Kind.CANCEL, 1)),
    ([11, 512, 3, b"", 0, 0, "", [], 0, []], Frame(Kind.CREDIT, 512, 3)),
    ([12, 1, 0, b"", 0, 0, "", [], 0, []], Frame(Kind.WATCH, 1)),
    ([13, 1, 0, b"", 0, 0, "", [], 0, []], Frame(Kind.UNWATCH, 1)),
    ([14, 1, 0, b"\x80", 0, 0, "", [], 0, []], Frame(Kind.DOWN, 1, body=b"\x80")),
    ([15, 1, 2, b"\x80", 0, 0, "", [], 0, []], Frame(Kind.SUBSCRIBE, 1, 2, b"\x80")),
    ([16, 1, 0, b"", 0, 0, "", [], 0, []], Frame(Kind.UNSUBSCRIBE, 1)),
    ([17, 1, 64, b"", 0, 0, "", [], 0, []], Frame(Kind.MORE, 1, 64)),
    ([18, 1, 0, b"\xc0", 0, 0, "", [], 0, []], Frame(Kind.EVENT, 1, body=b"\xc0")),
    ([19, 1, 0, b"\x80", 0, 0, "", [], 0, []], Frame(Kind.ENDED, 1, body=b"\x80")),
    ([20, 1, 0, b"\x80", 0, 0, "", [], 0, []], Frame(Kind.MISSED, 1, body=b"\x80")),
]
STREAM: Final = b"".join([encode(frame) for _, frame in SPOKEN])
FRAMES: Final = [frame for _, frame in SPOKEN]


def read(*chunks: bytes, limit: int = 1 << 20) -> list[Frame]:
    reader = FrameReader(limit)
    return [frame for chunk in chunks for frame in reader.feed(chunk)]


def refused(*chunks: bytes, limit: int = 1 << 20) -> ProtocolError:
    with pytest.raises(ProtocolError) as caught:
        read(*chunks, limit=limit)
    return caught.value


# -- the table ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("by_others", "here"), SPOKEN, ids=[frame.kind.name for frame in FRAMES])
def test_every_kind_is_spoken_byte_by_byte(by_others: list[Any], here: Frame) -> None:
    assert by_hand.unframed(encode(here)) == [by_others]
    assert encode(here) == by_hand.frame(*by_others)
    assert read(by_hand.frame(*by_others)) == [here]


def test_all_kinds_are_spoken() -> None:
    assert [frame.kind for frame in FRAMES] == [*Kind] == [*KINDS]


def rows(first: str) -> Iterator[list[str]]:
    """The rows of the table in the docstring that begins so."""
    table = (frames.__doc__ or "").split(first)[1].split("\n\n")[0]
    for line in table.splitlines()[2:]:
        yield [cell.strip() for cell in line.strip("| ").split(" | ")]


def test_the_text_says_of_each_kind_what_is_checked() -> None:
    told = {}
    for line in (frames.__doc__ or "").splitlines():
        if found := re.match(r"\| (\d+) ([A-Z]+) \|([^|]*)\|([^|]*)\|", line):
            told[int(found[1]), found[2]] = found[3].replace(",", "").split(), found[4].replace(",", "").split()
    uses = {(int(kind), kind.name): (use.needs.split(), use.may.split()) for kind, use in KINDS.items()}
    assert told == uses


def test_the_text_names_each_element_and_each_rule() -> None:
    assert tuple(name for name, *_ in rows("| element | type | range |")) == FIELDS
    assert [rule for names, _ in rows("| rule | broken by |") for rule in names.split(", ")] == [*RULES]


def test_elements_that_are_missing_are_empty_and_further_ones_are_ignored() -> None:
    assert read(by_hand.frame(4, 7), by_hand.frame(2)) == [Frame(Kind.PING, 7), Frame(Kind.READY)]
    assert read(by_hand.frame(4, 7, 0, b"", 0, 0, "", [], 0, [], {"later": [1, None]}, 2.5)) == [Frame(Kind.PING, 7)]


def test_an_int_that_is_written_longer_than_needed_is_the_same_int() -> None:
    assert read(by_hand.framed(b"\x92\xcf" + (4).to_bytes(8, "big") + b"\xd3" + (7).to_bytes(8, "big"))) == [
        Frame(Kind.PING, 7)
    ]


# -- rules -------------------------------------------------------------------------------------------------------------------

CALL: Final[list[Any]] = [6, 1, 0, b"", 0, 1, "", [CALL_ID], 0, []]


def but(index: int, value: Any, frame: list[Any] = CALL) -> bytes:
    return by_hand.frame(*frame[:index], value, *frame[index + 1 :])


@pytest.mark.parametrize(
    ("rule", "data"),
    [
        ("array", by_hand.framed(b"\xc1")),
        ("array", by_hand.framed(by_hand.pack({"kind": 4}))),
        ("array", by_hand.framed(by_hand.pack(4))),
        ("array", by_hand.framed(by_hand.pack(None))),
        ("array", by_hand.framed(by_hand.pack([]))),
        ("array", by_hand.framed(by_hand.pack([4, 1]) + b"\x00")),
        ("array", by_hand.framed(by_hand.pack([4, 1])[:-1])),
        ("array", by_hand.framed(b"\xdd\xff\xff\xff\xff\x04\x01")),
        ("array", by_hand.framed(b"\x9b" + by_hand.pack(CALL)[1:] + b"\x91" * 50_000 + b"\xc0")),
        ("array", by_hand.framed(b"\x9b" + by_hand.pack(CALL)[1:] + b"\xdf\xff\xff\xff\xff")),
        ("array", by_hand.framed(b"\x94\x07\x00\x00\xc6\xff\xff\xff\xff")),
        ("kind", but(0, 21)),
        ("kind", but(0, -1)),
        ("kind", but(0, 6.0)),
        ("kind", but(0, True)),
        ("kind", but(0, "CALL")),
        ("id", but(1, -1)),
        ("id", but(1, 2**63)),
        ("id", but(1, None)),
        ("to", but(2, -1)),
        ("to", but(2, 65536)),
        ("body", but(3, "text")),
        ("body", but(3, [])),
        ("body", but(3, None)),
        ("ms", but(4, -1)),
        ("ms", but(4, 315_360_000_001)),
        ("ms", but(4, 1.5)),
        ("depth", but(5, -1)),
        ("depth", but(5, 256)),
        ("trace", but(6, "x" * 257)),
        ("trace", but(6, "a\nb")),
        ("trace", but(6, "a\x7fb")),
        ("trace", but(6, "ä")),
        ("trace", but(6, b"00-")),
        ("above", but(7, [b"1234567"])),
        ("above", but(7, [b"123456789"])),
        ("above", but(7, ["12345678"])),
        ("above", but(7, [CALL_ID] * 9)),
        ("above", but(7, CALL_ID)),
        ("flags", but(8, 8)),
        ("flags", but(8, "1")),
        ("via", but(9, ["x" * 201])),
        ("via", but(9, ["x"] * 9)),
        ("via", but(9, [1])),
        ("above", by_hand.framed(by_hand.pack(CALL[:7]).replace(b"\x97", b"\x98", 1) + b"\xdd\xff\xff\xff\xff")),
        ("needs", but(1, 0)),
        ("needs", but(5, 0)),
        ("needs", but(7, [])),
        ("length", b"\0\0\0\0"),
        ("length", b"\xff\xff\xff\xff"),
    ],
)
def test_a_broken_rule_is_named(rule: str, data: bytes) -> None:
    assert refused(data).rule == rule


@pytest.mark.parametrize("kind", Kind)
def test_each_kind_has_what_it_needs_and_nothing_else(kind: Kind) -> None:
    whole = Frame(kind, 1, 1, b"\x80", 1, 1, TRACE, (CALL_ID,), 1, ("web",))
    uses = KINDS[kind]
    empty = {field: getattr(Frame(kind), field) for field in FIELDS}
    spare = [field for field in FIELDS[1:] if field not in (*uses.needs.split(), *uses.may.split())]
    good = msgspec.structs.replace(whole, **{field: empty[field] for field in spare})
    assert read(encode(good)) == [good]
    assert read(encode(msgspec.structs.replace(good, **{field: empty[field] for field in uses.may.split()})))
    for field in uses.needs.split():
        error = refused(encode(msgspec.structs.replace(good, **{field: empty[field]})))
        assert (error.rule, str(error)) == ("needs", f"needs: {kind.name} without {field}")
    for field in spare:
        error = refused(encode(msgspec.structs.replace(good, **{field: getattr(whole, field)})))
        assert (error.rule, str(error)) == ("spare", f"spare: {kind.name} with {field}")


def test_the_text_of_what_is_refused_is_short_and_on_one_line() -> None:
    error = refused(but(6, "\x1b[2J\n" * 50))
    assert len(str(error)) < 300
    assert str(error).isprintable()


def test_a_length_is_refused_as_soon_as_it_is_there_and_nothing_of_the_frame_is_kept() -> None:
    reader = FrameReader(1000)
    assert list(reader.feed(b"\0\0\x03")) == []
    with pytest.raises(ProtocolError, match="a frame of 1001 bytes; 1 to 1000 are allowed"):
        list(reader.feed(b"\xe9"))
    assert reader.partial == 0
    with pytest.raises(ProtocolError, match="a frame of 1001 bytes; 1 to 1000 are allowed"):
        list(FrameReader(1000).feed(b"\0\0\x03\xe9" + b"x" * 5000))
    assert read(b"\0\0\x03\xe8", limit=1000) == []


def test_a_frame_that_has_just_the_limit_is_read() -> None:
    data = encode(Frame(Kind.SEND, body=b"x" * 500))
    assert len(read(data, limit=len(data) - 4)) == 1
    assert refused(data, limit=len(data) - 5).rule == "length"


# -- the reader --------------------------------------------------------------------------------------------------------------


def outcome(chunks: Iterable[bytes]) -> tuple[list[Frame], str | None]:
    """What comes of a stream: its frames, and what ended them."""
    found: list[Frame] = []
    reader = FrameReader(1 << 20)
    try:
        for chunk in chunks:
            reader.feed(chunk)
            while (frame := next(reader, None)) is not None:
                found.append(frame)
    except ProtocolError as error:
        return found, str(error)
    return found, None


SMALL: Final = [frame for frame in FRAMES if len(frame.body) < 1000]


@given(st.lists(st.sampled_from(SMALL), max_size=12), st.booleans(), st.data())
def test_any_cut_of_a_stream_gives_the_same_frames(sent: list[Frame], broken: bool, data: st.DataObject) -> None:
    stream = b"".join(map(encode, sent)) + (but(0, 99) + encode(SMALL[0]) if broken else b"")
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    chunks = [stream[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    found, error = outcome(chunks)
    assert found == sent
    assert error == ("kind: Invalid enum value 99 - at `$[0]`" if broken else None)


def test_byte_by_byte() -> None:
    data = b"".join(map(encode, SMALL))
    assert read(*(data[n : n + 1] for n in range(len(data)))) == SMALL
    assert read(STREAM) == FRAMES


@given(st.binary(max_size=200), st.data())
def test_any_bytes_are_frames_or_a_broken_rule(stream: bytes, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(stream)))
    found, error = outcome([stream[:cut], stream[cut:]])
    assert (found, error) == outcome([stream])


def test_who_stops_in_between_loses_nothing() -> None:
    reader = FrameReader(1 << 20)
    first = next(reader.feed(STREAM[:100]))
    found = [first, next(reader.feed(STREAM[100:200]))]
    for frame in reader:
        found.append(frame)
        if len(found) == 5:
            break
    found.extend(reader.feed(STREAM[200:]))
    assert found == FRAMES


def test_the_limit_may_change_between_two_frames() -> None:
    reader = FrameReader(GREETING)
    small, large = encode(Frame(Kind.READY)), encode(Frame(Kind.SEND, body=b"x" * GREETING))
    frames = reader.feed(small + large)
    assert next(frames).kind is Kind.READY
    reader.limit = 2 * GREETING
    assert next(frames).kind is Kind.SEND


def test_partial_is_what_is_there_of_a_frame_that_has_begun() -> None:
    reader = FrameReader(1 << 20)
    ping = encode(Frame(Kind.PING, 1))
    assert reader.partial == 0
    for cut in range(1, len(ping)):
        assert list(reader.feed(ping[cut - 1 : cut])) == []
        assert reader.partial == cut
    assert len(list(reader.feed(ping[-1:] + ping + ping[:3]))) == 2
    assert reader.partial == 3


def test_after_a_broken_rule_the_reader_stays_broken() -> None:
    reader = FrameReader(1 << 20)
    good = encode(Frame(Kind.PING, 1))
    found = reader.feed(good + but(0, 99) + good)
    assert next(found) == Frame(Kind.PING, 1)
    errors: list[ProtocolError] = []
    for again in (lambda: next(found), lambda: next(found), lambda: reader.feed(good), lambda: list(reader)):
        with pytest.raises(ProtocolError) as caught:
            again()
        errors.append(caught.value)
    assert {error.rule for error in errors} == {"kind"}
    assert len({id(error) for error in errors}) == 4  # each has a traceback of its own
    assert reader.partial == 0


def test_each_byte_is_moved_once_at_most() -> None:
    """Else many frames of a chunk, or a frame that comes byte by byte, would cost the square of it."""
    reader = FrameReader(1 << 20)
    chunk = encode(Frame(Kind.PING, 1)) * 100
    for _ in reader.feed(chunk):
        assert reader._view.obj is chunk
    large = encode(Frame(Kind.SEND, body=b"x" * 5000))
    begun = reader._begun
    assert len(list(reader.feed(large))) == 1
    assert reader._begun is begun  # not used: it was whole
    for n in range(len(large) - 1):
        assert list(reader.feed(large[n : n + 1])) == []
        assert reader._begun is begun
    assert list(reader.feed(large[-1:])) == [Frame(Kind.SEND, body=b"x" * 5000)]


def test_a_chunk_that_was_read_is_let_go_and_a_body_does_not_hold_it() -> None:
    reader = FrameReader(1 << 20)
    [frame] = reader.feed(encode(Frame(Kind.SEND, body=b"x" * 5000)))
    assert type(frame.body) is bytes
    assert reader._view.obj == b""


def test_what_was_fed_is_not_changed_by_who_has_it() -> None:
    reader = FrameReader(1 << 20)
    chunk = bytearray(encode(Frame(Kind.PING, 1)))
    found = reader.feed(chunk)
    chunk[:] = bytes(len(chunk))
    assert list(found) == [Frame(Kind.PING, 1)]
    assert list(reader.feed(memoryview(encode(Frame(Kind.PING, 2))))) == [Frame(Kind.PING, 2)]
    assert list(reader.feed(b"")) == []


def test_the_text_of_a_frame_never_has_its_body() -> None:
    frame = Frame(Kind.HELLO, body=by_hand.pack({"token": "secret"}))
    assert repr(frame) == "Frame(HELLO, body=<14 bytes>)"
    assert "secret" not in repr([frame]) + str(frame) + str(frame.__rich_repr__())
    assert repr(Frame(Kind.CALL, 1, 2, b"abc", 5, 1, TRACE, (CALL_ID,))) == (
        f"Frame(CALL, id=1, to=2, body=<3 bytes>, ms=5, depth=1, trace='{TRACE}', above=(b'12345678',))"
    )
