"""The maps of the protocol's own frames: by hand in both directions, bounded, and without a token in any text.

Tested: what each map holds, and what a missing key means; each bound, one below and one above; texts of our own are cut
rather than refused over there; all fit into the smallest frame.
"""

from __future__ import annotations

from typing import Any, Final, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervise.errors import ProtocolError
from supervise.mailbox.subscription import WhenFull
from supervise.wire.bodies import (
    ENDS,
    ERRORS,
    SMALLEST_FRAME,
    DownBody,
    EndedBody,
    ErrorBody,
    Goodbye,
    Hello,
    MissedBody,
    Sizes,
    SubscribeBody,
    decode_body,
    encode_body,
    packed,
    plain,
)
from supervise.wire.frames import Frame, Kind, encode
from supervise_strategies.exit_reason import ExitKind

from . import by_hand

SIZES: Final = {"frame": 65536, "calls": 64, "depth": 8, "call_bytes": 262144, "send_bytes": 262144}
HELLO: Final = {
    "versions": [1, 3],
    "link": bytes(range(16)),
    "life": 4,
    "limits": SIZES,
    "name": "web",
    "token": "secret",
    "uses": ["shop", "stock"],
}

SPOKEN: Final[list[tuple[dict[str, Any], msgspec.Struct]]] = [
    (
        HELLO,
        Hello(
            versions=(1, 3),
            link=bytes(range(16)),
            life=4,
            limits=Sizes(**SIZES),
            name="web",
            token="secret",
            uses=("shop", "stock"),
        ),
    ),
    ({"why": "bye", "versions": [1, 2]}, Goodbye(why="bye", versions=(1, 2))),
    (
        {
            "kind": "raised",
            "text": "none left",
            "type": "OutOfStock",
            "path": "app/shop",
            "incarnation": 3,
            "begun": True,
            "raises": 1,
            "args": ["tea", -3, 2.5, None, True, b"\x00"],
        },
        ErrorBody(
            kind="raised",
            text="none left",
            type="OutOfStock",
            path="app/shop",
            incarnation=3,
            begun=True,
            raises=1,
            args=packed(["tea", -3, 2.5, None, True, b"\x00"]),
        ),
    ),
    (
        {"kind": "crashed", "path": "app/shop", "text": "KeyError: 1", "incarnation": 3, "final": True},
        DownBody(kind="crashed", path="app/shop", text="KeyError: 1", incarnation=3, final=True),
    ),
    ({"capacity": 16, "overflow": "close"}, SubscribeBody(capacity=16, overflow="close")),
    ({"why": "it ended", "slow": 16}, EndedBody(why="it ended", slow=16)),
    ({"dropped": 3, "gaps": 1}, MissedBody(dropped=3, gaps=1)),
]


@pytest.mark.parametrize(("by_others", "here"), SPOKEN, ids=[type(body).__name__ for _, body in SPOKEN])
def test_each_map_is_spoken_byte_by_byte(by_others: dict[str, Any], here: msgspec.Struct) -> None:
    assert by_hand.unpack(encode_body(here)) == by_others
    assert encode_body(decode_body(type(here), by_hand.pack(by_others))) == encode_body(here)
    assert decode_body(type(here), by_hand.pack({"later": [{}], **by_others, "more": None})) is not None


def test_what_is_missing_means_the_least() -> None:
    least = {key: HELLO[key] for key in ("versions", "link", "life", "limits")}
    hello = decode_body(Hello, by_hand.pack(least))
    assert (hello.name, hello.token, hello.uses) == ("", None, ())
    assert decode_body(Hello, by_hand.pack({**HELLO, "token": None})).token is None
    assert decode_body(Goodbye, b"\x80") == Goodbye(why="", versions=None)
    assert plain(decode_body(ErrorBody, by_hand.pack({"kind": "timeout"}))) == ()
    assert decode_body(SubscribeBody, by_hand.pack({"capacity": 1})).overflow == "drop_oldest"


@pytest.mark.parametrize(("kind", "value"), [(Hello, key) for key in ("versions", "link", "life", "limits")])
def test_what_is_needed_cannot_be_missing(kind: type[Hello], value: str) -> None:
    with pytest.raises(ProtocolError, match=rf"map: Hello: Object missing required field `{value}`"):
        decode_body(kind, by_hand.pack({key: one for key, one in HELLO.items() if key != value}))


def repr_of_length(value: Any) -> str:
    return f"{type(value).__name__} of {len(value)}"


ERROR: Final = {"kind": "crashed"}
BOUNDS: Final[list[tuple[type[msgspec.Struct], dict[str, Any], str, Any, Any]]] = [
    (Hello, HELLO, "versions", [65535, 65535], [1, 65536]),
    (Hello, HELLO, "versions", [2, 2], [2, 1]),
    (Hello, HELLO, "versions", [1, 1], [0, 1]),
    (Hello, HELLO, "versions", [1, 1], [1]),
    (Hello, HELLO, "versions", [1, 1], [1, 1, 1]),
    (Hello, HELLO, "link", b"x" * 16, b"x" * 15),
    (Hello, HELLO, "link", b"x" * 16, "x" * 16),
    (Hello, HELLO, "life", 2**63 - 1, 2**63),
    (Hello, HELLO, "life", 0, -1),
    (Hello, HELLO, "name", "ä" * 200, "ä" * 201),
    (Hello, HELLO, "token", "x" * 4000, "x" * 4001),
    (Hello, HELLO, "uses", ["x" * 200] * 100, ["x" * 201]),
    (Hello, HELLO, "uses", ["x"] * 1000, ["x"] * 1001),
    (Hello, HELLO, "uses", [], [""]),
    (Hello, HELLO, "limits", {**SIZES, "later": 1}, {**SIZES, "frame": 0}),
    (Hello, HELLO, "limits", {**SIZES, "calls": 2**63 - 1}, {**SIZES, "calls": 2**63}),
    (Hello, HELLO, "limits", SIZES, {"frame": 65536}),
    (Hello, HELLO, "limits", SIZES, {**SIZES, "frame": 65536.0}),
    (Hello, HELLO, "limits", SIZES, None),
    (Goodbye, {}, "why", "x" * 1000, "x" * 1001),
    (Goodbye, {}, "versions", [1, 1], [2, 1]),
    (ErrorBody, ERROR, "kind", "remote", "unheard of"),
    (ErrorBody, ERROR, "text", "x" * 4000, "x" * 4001),
    (ErrorBody, ERROR, "type", "x" * 200, "x" * 201),
    (ErrorBody, ERROR, "path", "x" * 1000, "x" * 1001),
    (ErrorBody, ERROR, "incarnation", 1, -1),
    (ErrorBody, ERROR, "begun", False, 0),
    (ErrorBody, ERROR, "raises", 65535, 65536),
    (ErrorBody, ERROR, "args", [0] * 16, [0] * 17),
    (ErrorBody, ERROR, "args", ["x"], [["x"]]),
    (ErrorBody, ERROR, "args", [1], [{"x": 1}]),
    (ErrorBody, ERROR, "args", ["x" * 70_000], [[1] * 20]),
    (ErrorBody, ERROR, "args", [b"x"], [dict.fromkeys(range(20), 1)]),
    (DownBody, {"kind": "normal"}, "kind", "unreachable", "crashed "),
    (DownBody, {"kind": "normal"}, "text", "x" * 4000, "x" * 4001),
    (SubscribeBody, {"capacity": 1}, "capacity", 65535, 65536),
    (SubscribeBody, {"capacity": 1}, "capacity", 1, 0),
    (SubscribeBody, {"capacity": 1}, "overflow", "close", "drop"),
    (EndedBody, {}, "why", "x" * 1000, "x" * 1001),
]


@pytest.mark.parametrize(("kind", "others", "key", "good", "bad"), BOUNDS)
def test_each_part_is_bounded(kind: type[msgspec.Struct], others: dict[str, Any], key: str, good: Any, bad: Any) -> None:
    decode_body(kind, by_hand.pack({**others, key: good}))
    with pytest.raises(ProtocolError) as caught:
        decode_body(kind, by_hand.pack({**others, key: bad}))
    assert caught.value.rule == "map"
    assert len(str(caught.value)) < 300
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "data",
    [b"", b"\xc1", b"\xc0", b"\x90", b"\x80\x80", b"\x81\xa3why", b"\x81\xa3why\xa1\xff", b"\x81\xa1x" + b"\x91" * 50_000],
)
def test_what_is_no_map_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError, match=r"^map: Goodbye: "):
        decode_body(Goodbye, data)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_body_or_a_broken_rule(data: bytes) -> None:
    for _, body in SPOKEN:
        try:
            found = decode_body(type(body), data)
        except ProtocolError as error:
            assert error.rule == "map"  # noqa: PT017
        else:
            assert decode_body(type(body), encode_body(found)) == found


@pytest.mark.parametrize(
    "value", [[], [1] * 16, [1] * 70_000, {}, {n: n for n in range(16)}, {n: n for n in range(70_000)}], ids=repr_of_length
)
def test_no_argument_is_nested(value: Any) -> None:
    refuse_argument(msgspec.msgpack.encode(value))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 8, 16, 255, 256, 70_000])
def test_no_argument_is_an_extension(size: int) -> None:
    refuse_argument(msgspec.msgpack.encode(msgspec.msgpack.Ext(5, bytes(size))))


def refuse_argument(argument: bytes) -> None:
    with pytest.raises(ProtocolError, match="an argument isn't nil, a bool, a number, a str or a bin"):
        decode_body(ErrorBody, b"\x82\xa4kind\xa6raised\xa4args\x91" + argument)


def test_an_argument_that_is_no_text_is_refused_when_it_is_read() -> None:
    body = decode_body(ErrorBody, b"\x82\xa4kind\xa6raised\xa4args\x91\xa1\xff")
    with pytest.raises(ProtocolError, match=r"^map: ErrorBody: "):
        plain(body)


def test_texts_of_our_own_are_cut_and_cross() -> None:
    awkward = "\ud800𝔘\n" * 5000
    for body in (
        Goodbye(why=awkward),
        EndedBody(why=awkward),
        DownBody(kind="killed", path=awkward, text=awkward),
        ErrorBody(kind="remote", text=awkward, type=awkward, path=awkward),
    ):
        assert decode_body(type(body), encode_body(body)) == body
    assert Goodbye(why="x" * 1001).why == "x" * 999 + "…"
    assert ErrorBody(kind="remote", text="\ud800").text == "\\ud800"
    assert ErrorBody(kind="remote", text="zwei\nZeilen").text == "zwei\nZeilen"


def test_whatever_they_say_each_fits_into_the_smallest_frame() -> None:
    widest = "𝔘" * 5000
    for kind, body in (
        (Kind.GOODBYE, Goodbye(why=widest, versions=(65535, 65535))),
        (Kind.ERROR, ErrorBody(kind="not_served", text=widest, type=widest, path=widest, incarnation=2**63 - 1, begun=True)),
        (Kind.DOWN, DownBody(kind="unreachable", path=widest, text=widest, incarnation=2**63 - 1)),
        (Kind.ENDED, EndedBody(why=widest, slow=2**63 - 1)),
        (Kind.MISSED, MissedBody(dropped=2**63 - 1, gaps=2**63 - 1)),
    ):
        assert len(encode(Frame(kind, 2**63 - 1, 0, encode_body(body)))) - 4 <= SMALLEST_FRAME


def test_the_token_is_in_no_text() -> None:
    hello = SPOKEN[0][1]
    assert isinstance(hello, Hello)
    assert hello.token == "secret"
    assert repr(hello) == "Hello(name='web', life=4, versions=(1, 3), uses=('shop', 'stock'), token=<hidden>)"
    assert "secret" not in f"{hello} {[hello]!r} {hello.__rich_repr__()}"
    for wrong in ({**HELLO, "token": ["secret"]}, {**HELLO, "token": b"secret"}, {**HELLO, "token": "secret" * 1000}):
        with pytest.raises(ProtocolError) as caught:
            decode_body(Hello, by_hand.pack(wrong))
        assert "secret" not in str(caught.value)


def test_the_lists_of_kinds_are_those_of_the_words_here() -> None:
    assert set(ENDS) == {*ExitKind, "unreachable"}
    assert len(ERRORS) == 18
    assert decode_body(SubscribeBody, by_hand.pack({"capacity": 1})).overflow in get_args(WhenFull)
