"""Frames as somebody might send them who is broken, or wants to break the other side: made of valid ones."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, Final, TypeAlias, cast

import msgspec

from supervise.remote.greeting import Answering, Dialing
from supervise.remote.limits import Limits
from supervise.wire.bodies import (
    DownBody,
    EndedBody,
    ErrorBody,
    Goodbye,
    MissedBody,
    SubscribeBody,
    encode_body,
    packed,
)
from supervise.wire.frames import WRONG, Frame, Kind, encode
from supervise.wire.table import Entry, Serves, Table

Mutation: TypeAlias = Callable[[Random, bytes], bytes]
"""Of the bytes of a frame without its length, bytes with a length."""

TRACE: Final = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
SHOP: Final = Table(
    [
        Serves("shop", "msgpack", tuple(Entry(f"shop.O.h{n}", bytes(7) + bytes((n,)), "place() -> int") for n in range(4))),
        Serves("stock", "msgpack", (), (Entry("stock.Low", b"12345678", "Low{item: str}"),)),
    ]
)
PARTS: Final = [Serves("shop", "msgpack", part.handlers, more=more) for part in SHOP.interfaces for more in (True, False)]


def dialing() -> Dialing:
    return Dialing(SHOP, Limits(), link=bytes(16), life=1, name="web", token="secret", uses=["shop"])


def answering() -> Answering:
    return Answering(SHOP, Limits(), link=bytes(range(16)), life=1, name="gate")


def said_by_a_gate() -> tuple[Frame, ...]:
    gate = answering()
    gate.take(dialing().begin().frames[0])
    return gate.admit().frames


TALKS: Final = [
    (*dialing().begin().frames, Frame(Kind.PING, 1)),
    (*said_by_a_gate(), Frame(Kind.PING, 2)),
    (dialing().begin().frames[0], *[Frame(Kind.SERVES, body=encode_body(part)) for part in PARTS], Frame(Kind.READY)),
    answering().refuse("no").frames,
]
FRAMES: Final = [
    Frame(Kind.PING, 1),
    Frame(Kind.PONG, 2**63 - 1),
    Frame(Kind.CALL, 1, 3, b"\x81\xa4item\xa3tea", 1500, 1, TRACE, (b"12345678",)),
    Frame(Kind.CALL, 2**40, 65535, b"x" * 300, 0, 8, "", (b"12345678",) * 8),
    Frame(Kind.SEND, 0, 3, b"\x80", 70_000, 0, TRACE),
    Frame(Kind.SEND, body=b"x" * 2000),
    Frame(Kind.REPLY, 7, body=b"\xc0"),
    Frame(Kind.ERROR, 7, body=encode_body(ErrorBody(kind="raised", raises=1, args=packed(["tea", 3, None, b"", 2.5])))),
    Frame(Kind.ERROR, 7, body=encode_body(ErrorBody(kind="crashed", text="KeyError: 1", type="KeyError", path="app/shop"))),
    Frame(Kind.CANCEL, 7),
    Frame(Kind.CREDIT, 4096, 1),
    Frame(Kind.WATCH, 7, 1),
    Frame(Kind.UNWATCH, 7),
    Frame(Kind.DOWN, 7, body=encode_body(DownBody(kind="crashed", path="app/shop", text="KeyError: 1", incarnation=3))),
    Frame(Kind.SUBSCRIBE, 7, 0, encode_body(SubscribeBody(capacity=16, overflow="close"))),
    Frame(Kind.UNSUBSCRIBE, 7),
    Frame(Kind.MORE, 7, 16),
    Frame(Kind.EVENT, 7, body=b"\x91\x01"),
    Frame(Kind.ENDED, 7, body=encode_body(EndedBody(why="closed", slow=3))),
    Frame(Kind.MISSED, 7, body=encode_body(MissedBody(dropped=3, gaps=1))),
    Frame(Kind.GOODBYE, body=encode_body(Goodbye(why="bye", versions=(1, 2)))),
    *[frame for talk in TALKS for frame in talk],
]
VALUES: Final[list[Any]] = [
    *(None, True, False, 0, 1, -1, 8, 9, 21, 255, 256, 1000, 32767, 65535, 65536, 315_360_000_001, 2**63 - 1, 2**63, 2**64 - 1),
    *(-(2**63), 0.0, 1.5, float("inf"), float("nan"), "", "x", "x" * 201, "x" * 4001, "\x00", "\x1b[2J", "ä", "𝔘" * 300),
    *(b"", b"x", b"12345678", bytes(16), b"x" * 5000, [], [[]], [1, 2], [2, 1], ["x"] * 17, [b"12345678"] * 9, {}, {"why": 1}),
    *({1: 2}, {"": None}, msgspec.msgpack.Ext(5, b"x"), "shop", "stock", "crashed", "drop_oldest"),
]
PAYLOADS: Final = [encode(frame)[4:] for frame in FRAMES]
MARKERS: Final = bytes([*range(0x80, 0xA2), *range(0xC0, 0xE1), 0x00, 0x7F, 0xFF])


def framed(data: bytes | bytearray) -> bytes:
    return len(data).to_bytes(4, "big") + bytes(data)


def as_it_is(_: Random, data: bytes) -> bytes:
    return framed(data)


def flipped(random: Random, data: bytes) -> bytes:
    found = bytearray(data)
    for _ in range(random.randint(1, 3)):
        found[random.randrange(len(found))] ^= 1 << random.randrange(8)
    return framed(found)


def marked(random: Random, data: bytes) -> bytes:
    """Another type where one begins, perhaps."""
    found = bytearray(data)
    found[random.randrange(len(found))] = random.choice(MARKERS)
    return framed(found)


def cut(random: Random, data: bytes) -> bytes:
    return framed(data[: random.randrange(len(data))])


def swallowing(random: Random, data: bytes) -> bytes:
    """It ends early, and so takes the beginning of the next one for its end."""
    return framed(data)[: random.randrange(len(data) + 4)]


def misjudged(random: Random, data: bytes) -> bytes:
    length = len(data) ^ (1 << random.randrange(32)) if random.random() < 0.5 else len(data) + random.randint(-4, 4)
    return max(length, 0).to_bytes(4, "big") + data


def spliced(random: Random, data: bytes) -> bytes:
    other = random.choice(PAYLOADS)
    return framed(data[: random.randrange(len(data))] + other[random.randrange(len(other)) :])


def nested(random: Random, data: bytes) -> bytes:
    """Something deep where something was, or as a further element."""
    deep = random.choice([b"\x91", b"\x81\xa0", b"\x81\xa1x", b"\x92\xc0"]) * random.choice([3, 100, 1500, 15_000]) + b"\xc0"
    if random.random() < 0.3:
        return framed(b"\x9b" + data[1:] + deep)
    at = random.randrange(len(data))
    return framed(data[:at] + deep + data[at + 1 :])


def noise(random: Random, _: bytes) -> bytes:
    return framed(random.randbytes(random.choice([1, 5, 30, 300])))


def with_another_element(random: Random, data: bytes) -> bytes:
    elements = cast("list[Any]", msgspec.msgpack.decode(data))
    for _ in range(random.choice([1, 1, 1, 2])):
        elements[random.randrange(len(elements))] = random.choice(VALUES)
    return framed(msgspec.msgpack.encode(elements[: random.choice([8, 8, 8, 7, 4, 2])]))


def with_another_body(random: Random, data: bytes) -> bytes:
    elements = cast("list[Any]", msgspec.msgpack.decode(data))
    try:
        body = msgspec.msgpack.decode(elements[3])
    except WRONG:
        body = {}
    elements[3] = msgspec.msgpack.encode(changed(random, body))
    return framed(msgspec.msgpack.encode(elements))


def with_other_limits(random: Random, _: bytes) -> bytes:
    hello = cast("dict[str, Any]", msgspec.msgpack.decode(TALKS[0][0].body))
    hello["limits"][random.choice([*hello["limits"]])] = random.choice([1, 32767, 32768, 65536, 65791, 65792, 2**40])
    return encode(Frame(Kind.HELLO, body=msgspec.msgpack.encode(hello)))


def changed(random: Random, value: Any) -> Any:
    """The same but for one thing in it."""
    if type(value) not in (dict, list) or not value or random.random() < 0.1:
        return random.choice(VALUES)
    many: dict[Any, Any] | list[Any] = value
    key = random.choice([*many] if isinstance(many, dict) else range(len(many)))
    choice = random.random()
    if choice < 0.1:
        del many[key]
    elif choice < 0.3 and isinstance(many, list):
        many.insert(key, many[key])
    else:
        many[key] = changed(random, many[key])
    return many


MUTATIONS: Final[list[Mutation]] = [
    as_it_is,
    flipped,
    marked,
    cut,
    swallowing,
    misjudged,
    spliced,
    nested,
    noise,
    with_another_element,
    with_another_body,
    with_other_limits,
]
