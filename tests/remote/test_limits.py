"""Limits: each has a default, none is infinite, and what can't work is refused when it is said.

Tested: each field's range; combinations with which a message could never be sent; what both sides say, put together; nonsense
from the other side breaks a rule.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervise.errors import ProtocolError
from supervise.remote.limits import DEEPEST, Limits
from supervise.wire.bodies import SMALLEST_FRAME, Sizes, decode_body, encode_body
from supervise.wire.frames import EXTRA, GREETING, Frame, FrameReader, Kind, encode
from supervise_strategies.errors import InvalidSpec

KIB: Final = 1024
FIELDS: Final = tuple(field.name for field in dataclasses.fields(Limits))
SECONDS: Final = ("connect", "greeting", "whole_frame", "idle", "pong", "write", "grace")
TRAVELLING: Final = ("frame", "calls", "depth", "call_bytes", "send_bytes")


def limits(**fields: Any) -> Limits:
    return Limits(**fields)


def sizes(**but: int) -> Sizes:
    return Sizes(**{**{field: getattr(Limits(), field) for field in TRAVELLING}, **but})


def test_the_defaults() -> None:
    assert dataclasses.asdict(Limits()) == {
        "frame": 64 * KIB,
        "calls": 64,
        "depth": 8,
        "call_bytes": 256 * KIB,
        "send_bytes": 256 * KIB,
        "out_bytes": 256 * KIB,
        "connections": 1000,
        "per_address": 50,
        "handshakes": 100,
        "connect": 5.0,
        "greeting": 3.0,
        "whole_frame": 5.0,
        "idle": 15.0,
        "pong": 15.0,
        "write": 5.0,
        "grace": 5.0,
    }


def test_the_text_tells_of_each() -> None:
    assert [field for field in FIELDS if f"`{field}`" not in (Limits.__doc__ or "")] == []


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("value", [0, -1, math.inf, -math.inf, math.nan, True, None, "5", 1e300, 2**63, b"5"])
def test_what_is_no_limit_is_refused(field: str, value: Any) -> None:
    with pytest.raises(InvalidSpec) as caught:
        limits(**{field: value})
    error = caught.value
    assert (error.who, error.field) == ("Limits", field)
    assert error.value is value
    assert error.cure


@pytest.mark.parametrize("field", [field for field in FIELDS if field not in SECONDS])
def test_a_number_is_whole(field: str) -> None:
    with pytest.raises(InvalidSpec, match=field):
        limits(**{field: 100_000.5})


@pytest.mark.parametrize("field", SECONDS)
def test_seconds_need_not_be_whole(field: str) -> None:
    assert getattr(limits(**{field: 0.05}), field) == 0.05
    assert getattr(limits(**{field: 3}), field) == 3


@pytest.mark.parametrize(
    ("good", "bad", "field"),
    [
        ({"depth": 8}, {"depth": 9}, "depth"),
        ({"frame": SMALLEST_FRAME}, {"frame": SMALLEST_FRAME - 1}, "frame"),
        ({"call_bytes": 64 * KIB + EXTRA}, {"call_bytes": 64 * KIB + EXTRA - 1}, "call_bytes"),
        ({"send_bytes": 64 * KIB + EXTRA}, {"send_bytes": 64 * KIB + EXTRA - 1}, "send_bytes"),
        ({"out_bytes": 64 * KIB + EXTRA}, {"out_bytes": 64 * KIB + EXTRA - 1}, "out_bytes"),
        ({"frame": 256 * KIB - EXTRA}, {"frame": 256 * KIB}, "call_bytes"),
    ],
)
def test_what_could_never_be_sent_is_refused(good: dict[str, int], bad: dict[str, int], field: str) -> None:
    Limits(**good)
    with pytest.raises(InvalidSpec) as caught:
        Limits(**bad)
    assert caught.value.field == field


def test_a_call_of_each_depth_has_room_for_the_ids_above_it() -> None:
    above = (b"12345678",) * DEEPEST
    call = Frame(Kind.CALL, 1, depth=DEEPEST, above=above)
    assert list(FrameReader(GREETING).feed(encode(call))) == [call]


def test_limits_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Limits().frame = 1  # type: ignore[misc]


# -- both sides --------------------------------------------------------------------------------------------------------------


def test_what_travels_is_what_both_sides_have_to_keep() -> None:
    said = Limits(calls=7, depth=3).sizes()
    assert said == sizes(calls=7, depth=3)
    assert decode_body(Sizes, encode_body(said)) == said


def working(frame: int, calls: int, depth: int, call: int, send: int) -> Limits:
    room = frame + EXTRA
    return Limits(frame=frame, calls=calls, depth=depth, call_bytes=room + call, send_bytes=room + send, out_bytes=1 << 32)


values = st.builds(
    working,
    st.integers(SMALLEST_FRAME, 1 << 30),
    st.integers(1, 1 << 20),
    st.integers(1, DEEPEST),
    st.integers(0, 1 << 30),
    st.integers(0, 1 << 30),
)


@given(values, values)
def test_both_sides_come_to_the_same_and_it_works(mine: Limits, yours: Limits) -> None:
    here, there = mine.with_theirs(yours.sizes()), yours.with_theirs(mine.sizes())
    assert here.sizes() == there.sizes()
    assert all(getattr(here, field) == min(getattr(mine, field), getattr(yours, field)) for field in TRAVELLING)
    assert all(getattr(here, field) == getattr(mine, field) for field in FIELDS if field not in TRAVELLING)


def test_a_side_may_say_more_than_can_be_here() -> None:
    assert (
        Limits().with_theirs(sizes(depth=200, calls=2**63 - 1, frame=2**40, call_bytes=2**63 - 1, send_bytes=2**62)) == Limits()
    )


@pytest.mark.parametrize(
    "theirs",
    [
        sizes(frame=SMALLEST_FRAME - 1),
        sizes(frame=1),
        sizes(calls=0),
        sizes(depth=-1),
        sizes(call_bytes=64 * KIB + EXTRA - 1),
        sizes(send_bytes=64 * KIB + EXTRA - 1),
        sizes(frame=2**63 - 1),
    ],
)
def test_nonsense_from_the_other_side_breaks_a_rule(theirs: Sizes) -> None:
    with pytest.raises(ProtocolError) as caught:
        Limits().with_theirs(theirs)
    assert caught.value.rule == "limits"
