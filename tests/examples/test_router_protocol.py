"""The router's parser, without sockets.

Tested: whatever is sent arrives, in whatever pieces it comes; one message a call; an incomplete one leaves the buffer intact;
one that is too long is refused as soon as that is certain, in whatever pieces it comes, and not a byte too soon.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.router import ID, LONGEST, BadInput, Message, take_message

SHORT = 8  # bytes: so short a limit that generated messages are often on both sides of it

peers = st.integers(0, 2**32 - 1)
bodies = st.binary(max_size=SHORT - 1).map(lambda text: text.replace(b"\0", b"\1") + b"\0")
messages = st.builds(Message, peers, bodies)
noise = st.lists(st.sampled_from([b"\0", b"a", b"\0\0\0\2"]), max_size=30).map(b"".join)
cuts = st.lists(st.integers(1, 7), max_size=20)


def encode(message: Message) -> bytes:
    return message.peer.to_bytes(ID, "big") + message.body


def pieces(data: bytes, lengths: list[int]) -> list[bytes]:
    found: list[bytes] = []
    for length in lengths:
        found.append(data[:length])
        data = data[length:]
    return [*found, data]


def parse(arriving: list[bytes]) -> tuple[list[Message], bool, bytes]:
    """What a reader gets out of it: the messages, whether the next one was refused, and what is left."""
    buffer, taken = bytearray(), list[Message]()
    for piece in arriving:
        buffer += piece
        try:
            while (message := take_message(buffer, SHORT)) is not None:
                taken.append(message)
        except BadInput:
            return taken, True, b""  # how much has come by then depends on the pieces
    return taken, False, bytes(buffer)


@given(st.lists(messages), cuts)
def test_what_is_sent_arrives_in_order_in_whatever_pieces(sent: list[Message], lengths: list[int]) -> None:
    assert parse(pieces(b"".join(map(encode, sent)), lengths)) == (sent, False, b"")


@given(noise, cuts)
def test_any_bytes_mean_the_same_in_one_piece_and_in_many(data: bytes, lengths: list[int]) -> None:
    assert parse(pieces(data, lengths)) == parse([data])


@given(messages, st.binary())
def test_one_call_takes_one_message_and_leaves_the_rest(message: Message, rest: bytes) -> None:
    buffer = bytearray(encode(message) + rest)
    assert take_message(buffer, SHORT) == message
    assert buffer == rest


@given(messages, st.data())
def test_an_incomplete_message_is_left_intact(message: Message, data: st.DataObject) -> None:
    whole = encode(message)
    part = whole[: data.draw(st.integers(0, len(whole) - 1))]
    buffer = bytearray(part)
    assert take_message(buffer, SHORT) is None
    assert buffer == part


@given(peers, st.integers(0, 2 * SHORT))
def test_an_endless_message_is_refused_from_the_first_byte_that_makes_it_too_long(peer: int, length: int) -> None:
    endless = peer.to_bytes(ID, "big") + b"x" * length
    buffer = bytearray(endless)
    if length < SHORT:  # the NUL may still come in time
        assert take_message(buffer, SHORT) is None
    else:
        with pytest.raises(BadInput, match="more than 8 bytes"):
            take_message(buffer, SHORT)
    assert buffer == endless


def test_the_longest_message_is_allowed_and_one_byte_more_is_not_though_it_came_whole() -> None:
    longest = Message(1, b"x" * (LONGEST - 1) + b"\0")
    assert take_message(bytearray(encode(longest))) == longest
    with pytest.raises(BadInput, match=f"more than {LONGEST} bytes"):
        take_message(bytearray(encode(Message(1, b"x" * LONGEST + b"\0"))))


def test_a_nul_in_the_id_ends_nothing() -> None:
    buffer = bytearray(b"\0\0\0\0\0")
    assert take_message(buffer) == Message(0, b"\0")
