"""The maps that are bodies of the protocol's own frames: who this is, and why something ended.

`frames.py` tells what stands in them. What comes is of bounded size, part by part, or `ProtocolError`. Texts of our own are
cut when a body is made, so that none is refused over there for its length, or for what UTF-8 can't say.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Final, Literal, TypeAlias, TypeVar, get_args

import msgspec
from msgspec import Meta
from msgspec.structs import force_setattr

from supervise.errors import ProtocolError
from supervise_strategies.text import LONG, cut, said, shown

from .frames import WRONG

VERSIONS: Final = (1, 1)
"""The lowest and the highest version that this side speaks."""
SMALLEST_FRAME: Final = 32768
"""Bytes of a frame that each side can take: in so many each body of this file can be sent, but for the args of `raised`."""
LONGEST_NAME: Final = 200
LONGEST_WHY: Final = 1000
LONGEST_TEXT: Final = 4000

Versions: TypeAlias = tuple[Annotated[int, Meta(ge=1, le=65535)], Annotated[int, Meta(ge=1, le=65535)]]
Name: TypeAlias = Annotated[str, Meta(max_length=LONGEST_NAME)]
Given: TypeAlias = Annotated[str, Meta(min_length=1, max_length=LONGEST_NAME)]
"""A name that there has to be."""
Why: TypeAlias = Annotated[str, Meta(max_length=LONGEST_WHY)]
Text: TypeAlias = Annotated[str, Meta(max_length=LONGEST_TEXT)]
Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Some: TypeAlias = Annotated[int, Meta(ge=1, le=2**63 - 1)]
"""A count that isn't 0."""
Plain: TypeAlias = bool | int | float | str | bytes | None

ErrorKind: TypeAlias = Literal[
    "crashed",
    "stopped",
    "closed",
    "full",
    "dropped",
    "unknown",
    "restarting",
    "timeout",
    "cycle",
    "too_deep",
    "bad_message",
    "bad_reply",
    "too_large",
    "not_served",
    "outcome_unknown",
    "raised",
    "remote",
    "cancelled",
]
EndKind: TypeAlias = Literal["normal", "shutdown", "crashed", "killed", "gave_up", "unreachable"]
ERRORS: Final[tuple[str, ...]] = get_args(ErrorKind)
ENDS: Final[tuple[str, ...]] = get_args(EndKind)


class Sizes(msgspec.Struct, frozen=True, kw_only=True):
    """What a side's limits say to the other one: those of which the smaller holds."""

    frame: Some
    calls: Some
    depth: Some
    call_bytes: Some
    send_bytes: Some


class Hello(msgspec.Struct, frozen=True, kw_only=True):
    """HELLO: who this is. No text of it shows the token.

    >>> sizes = Sizes(frame=65536, calls=64, depth=8, call_bytes=262144, send_bytes=262144)
    >>> hello = Hello(versions=VERSIONS, link=bytes(16), life=1, limits=sizes, name="web", token="secret")
    >>> print(hello)
    Hello(name='web', life=1, versions=(1, 1), uses=(), token=<hidden>)
    """

    versions: Versions
    link: Annotated[bytes, Meta(min_length=16, max_length=16)]
    life: Count
    limits: Sizes
    name: Name = ""
    token: Text | None = None
    uses: Annotated[tuple[Given, ...], Meta(max_length=1000)] = ()

    def __post_init__(self) -> None:
        _in_order(self.versions)

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """What a pretty printer shows, which would else find the token by itself."""
        return [(field, getattr(self, field)) for field in ("name", "life", "versions", "uses")]

    def __repr__(self) -> str:
        parts = [f"{field}={shown(value, LONG)}" for field, value in self.__rich_repr__()]
        return f"Hello({', '.join(parts)}{', token=<hidden>' if self.token is not None else ''})"


class Goodbye(msgspec.Struct, frozen=True, kw_only=True):
    """GOODBYE: why this side ends the connection, or refuses it."""

    why: Why = ""
    versions: Versions | None = None

    def __post_init__(self) -> None:
        _bound(self, why=LONGEST_WHY)
        if self.versions is not None:
            _in_order(self.versions)


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """ERROR: what became of a call instead of its result.

    `args` of a `raised` one can be as large as a frame: look at the length before it is sent.
    """

    kind: ErrorKind
    text: Text = ""
    type: Name = ""
    path: Why = ""
    incarnation: Count = 0
    begun: bool = False
    raises: Annotated[int, Meta(ge=0, le=65535)] = 0
    """Which of the exceptions that the interface `raises`; `args` are what it is made of."""
    args: Annotated[tuple[msgspec.Raw, ...], Meta(max_length=16)] = ()
    """Each for itself, as `packed` makes and `plain` reads them."""

    def __post_init__(self) -> None:
        if any(bytes(arg)[:1] in _NOT_PLAIN for arg in self.args):
            raise ValueError("an argument isn't nil, a bool, a number, a str or a bin")
        _bound(self, text=LONGEST_TEXT, type=LONGEST_NAME, path=LONGEST_WHY)


class DownBody(msgspec.Struct, frozen=True, kw_only=True):
    """DOWN: how an actor that was watched has ended."""

    kind: EndKind
    path: Why = ""
    text: Text = ""
    incarnation: Count = 0
    final: bool = False
    """Whether it isn't started again by itself; it was told before that this life has ended."""

    def __post_init__(self) -> None:
        _bound(self, path=LONGEST_WHY, text=LONGEST_TEXT)


class SubscribeBody(msgspec.Struct, frozen=True, kw_only=True):
    """SUBSCRIBE: how many events wait at the publisher for this subscriber, and what happens to the next one."""

    capacity: Annotated[int, Meta(ge=1, le=65535)]
    overflow: Literal["drop_oldest", "close"] = "drop_oldest"


class EndedBody(msgspec.Struct, frozen=True, kw_only=True):
    """ENDED: why there will be no more events."""

    why: Why = ""
    slow: Count = 0
    """So many waited to be read, and there was to be no more than that; 0: it ended for another reason."""

    def __post_init__(self) -> None:
        _bound(self, why=LONGEST_WHY)


class MissedBody(msgspec.Struct, frozen=True, kw_only=True):
    """MISSED: what a subscriber hasn't got, since its subscription began on this connection."""

    dropped: Count = 0
    gaps: Count = 0


# The first bytes of maps, arrays and extensions, and one that nothing begins with. What is nested is never made: a frame of it
# takes 50 times its size.
_NOT_PLAIN: Final = frozenset(
    bytes((n,)) for n in (*range(0x80, 0xA0), 0xC1, *range(0xC7, 0xCA), *range(0xD4, 0xD9), *range(0xDC, 0xE0))
)

B = TypeVar("B", bound=msgspec.Struct)

_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODERS: Final[dict[type, msgspec.msgpack.Decoder[Any]]] = {}


def encode_body(body: msgspec.Struct) -> bytes:
    r"""The bytes of a body.

    >>> encode_body(EndedBody(why="closed"))
    b'\x81\xa3why\xa6closed'
    """
    return _ENCODE(body)


def decode_body(kind: type[B], data: bytes) -> B:
    r"""A body of this kind. Raises `ProtocolError`, whose text has nothing of what was in it but a wrong kind.

    >>> decode_body(EndedBody, b"\x81\xa3why\x07")
    Traceback (most recent call last):
    ProtocolError: map: EndedBody: Expected `str`, got `int` - at `$.why`
    """
    decoder = _DECODERS.get(kind)
    if decoder is None:
        decoder = _DECODERS[kind] = msgspec.msgpack.Decoder(kind)
    try:
        found: B = decoder.decode(data)
    except WRONG as error:
        refused = ProtocolError("map", f"{kind.__name__}: {said(error)}")
    else:
        return found
    raise refused  # outside of the block: no context that has pieces of the body


def packed(args: Iterable[Plain]) -> tuple[msgspec.Raw, ...]:
    """Arguments of an exception, as `ErrorBody` takes them."""
    return tuple([msgspec.Raw(_ENCODE(arg)) for arg in args])


def plain(body: ErrorBody) -> tuple[Plain, ...]:
    """The arguments of an exception. Raises `ProtocolError` for a str that isn't UTF-8.

    >>> plain(ErrorBody(kind="raised", args=packed(["tea", 3])))
    ('tea', 3)
    """
    try:
        return tuple([msgspec.msgpack.decode(arg) for arg in body.args])
    except WRONG as error:
        refused = ProtocolError("map", f"ErrorBody: {said(error)}")
    raise refused


def sendable(text: str, limit: int) -> str:
    """The text, cut, in characters that UTF-8 has. The result is a plain `str`."""
    text = cut(text, limit)
    return text if text.isascii() else cut(text.encode("utf-8", "backslashreplace").decode("utf-8"), limit)


def _bound(body: msgspec.Struct, **limits: int) -> None:
    for field, limit in limits.items():
        text: str = getattr(body, field)
        if not (text.isascii() and len(text) <= limit):
            force_setattr(body, field, sendable(text, limit))


def _in_order(versions: tuple[int, int]) -> None:
    if versions[0] > versions[1]:
        raise ValueError("versions are [lowest, highest]")
