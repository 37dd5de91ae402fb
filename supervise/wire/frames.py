r"""Frames: the unit of what crosses to another process, and the whole protocol as a table.

Who writes the other side in another language needs nothing but this text. Numbers are of version 1.

A frame
-------
Four bytes, big-endian: the length of what follows, from 1 up to the limit. Then so many bytes: one MessagePack array,
`[kind, id, to, body, ms, depth, trace, above, flags, via]`. Elements that are missing at its end are 0, or empty. Further ones
are ignored, so that later versions can add some. Until READY the limit is 65536, whatever HELLO says; then what was agreed.

| element | type | range |
|---|---|---|
| kind | int | one of the kinds below |
| id | int | 0 to 2**63 - 1 |
| to | int | 0 to 65535 |
| body | bin | any bytes, or a map of its own, in MessagePack |
| ms | int | milliseconds that are left, 0 to 315360000000 (ten years); 0: no deadline |
| depth | int | 0 to 255; of a CALL 1: it comes from outside of all messages that came over a link; a SEND has one less |
| trace | str | a W3C traceparent, or empty; at most 256 characters, each from space to `~` |
| above | array | at most 8 of bin, 8 random bytes each: ids of calls, outermost first; the last is this call's own |
| flags | int | the sum of: 1, it doesn't wait for a restart of the actor; 2, cancel its handler with it; 4, never do |
| via | array | at most 8 of str, each at most 200 characters: whom a relay passes it on for, nearest first; its word for it |

Kinds: what has to be there (neither 0 nor empty), and what may be. All else is 0 or empty.

| kind | has to be there | may be there | what it says |
|---|---|---|---|
| 0 HELLO | body | | who this is; the first frame of a side |
| 1 SERVES | body | | a part of the table: what this side serves |
| 2 READY | | | the table is whole. The link is up when both sides have sent and received it |
| 3 GOODBYE | body | | an orderly end, or a refusal; nothing follows |
| 4 PING | id | | is somebody there? |
| 5 PONG | id | | the answer to the PING of this id |
| 6 CALL | id, depth, above | to, body, ms, trace, flags, via | run handler `to`, and answer; the id is of no other open one |
| 7 SEND | | to, body, ms, depth, trace, via | run handler `to`; there is no answer |
| 8 REPLY | id | body | the result of the call |
| 9 ERROR | id, body | | what became of the call instead |
| 10 CANCEL | id | | nobody waits for the answer of the call any more. It comes nevertheless, once |
| 11 CREDIT | id | to | SENDs to interface `to`, of the table of who says this, have `id` more bytes of room |
| 12 WATCH | id | to | tell when the actor behind interface `to` ends; the id is of the watcher's choice |
| 13 UNWATCH | id | | the watcher isn't interested any more |
| 14 DOWN | id, body | | the actor that is watched has ended |
| 15 SUBSCRIBE | id, body | to | begin a subscription to event `to`; the id is of the subscriber's choice |
| 16 UNSUBSCRIBE | id | | end it |
| 17 MORE | id, to | | `to` further events of this subscription may come |
| 18 EVENT | id | body | one of its events |
| 19 ENDED | id, body | | the subscription has ended by itself |
| 20 MISSED | id, body | | how much the subscriber has missed so far; before EVENT or ENDED, if that is more than it was |

Maps in bodies
--------------
Unknown keys are ignored; `= …` is what a missing one means.

| of | key | value |
|---|---|---|
| HELLO | versions | [lowest, highest], ints from 1 to 65535 |
| | link | bin, 16 random bytes, the same over all reconnects |
| | life | int, 0 to 2**63 - 1, higher with each connection of the link |
| | limits | map of ints: frame, calls, depth, call_bytes, send_bytes |
| | name, token, uses | str = "", str or nil = nil, names of interfaces [str, …] = [] |
| SERVES | interface, format | str, the name of the interface; str, of its bodies' format |
| | handlers, events | [[key: str, hash: bin of 8 bytes, signature: str], …] = [] |
| | more | bool = false: the next SERVES goes on with this interface |
| GOODBYE | why, versions | str = "", as in HELLO or nil = nil |
| ERROR | kind | str, one of those below |
| | text, type, path | str = "" |
| | incarnation, begun | int = 0, bool = false |
| | raises, args | int = 0, [nil, bool, int, float, str or bin, …] = [], at most 16: of the kind "raised" |
| DOWN | kind | str, normal, shutdown, crashed, killed, gave_up or unreachable |
| | path, text, incarnation | str = "", str = "", int = 0 |
| | final | bool = false: it isn't started again by itself; that its life has ended was told before |
| SUBSCRIBE | capacity, overflow | int, 1 to 65535; "drop_oldest" or "close" = "drop_oldest" |
| ENDED | why | str = "" |
| | slow | int = 0: so many events waited, overflow is "close", and one more came |
| MISSED | dropped | int = 0: events that were dropped, as overflow says, since SUBSCRIBE |
| | gaps | int = 0: how often since SUBSCRIBE a relay has lost the link that they come by |

Kinds of ERROR: crashed, stopped, closed, full, dropped, unknown, restarting, timeout, cycle, too_deep, bad_message, bad_reply,
too_large, not_served, outcome_unknown, raised, remote, cancelled. Bodies of CALL, SEND, REPLY and EVENT are in the format that
the interface names. A hash is of the signature: as both sides know it, or the handler can't be used.

Characters, at most: names, keys and types 200 · paths and whys 1000 · texts of errors and tokens 4000 · texts of signatures
16000. At most 1000 names in `uses`.

How it goes
-----------
- The dialing side sends HELLO, SERVES for each interface, READY, without waiting. The gate reads HELLO, asks who may come
  in, and then answers the same; or GOODBYE. Before that it tells nothing but its versions. The highest version that both
  speak is spoken; HELLO and GOODBYE are the same in all of them. Only PING and GOODBYE may come in between. PING is answered.
- A table is one SERVES for each interface. With `more` true, the next SERVES goes on with the same interface. Over all of
  its frames handlers are numbered from 0, in their order; so are events, and interfaces. `to` is such a number, in the table
  of the side that serves. A table has at most 1 MiB of bodies, 10000 entries and 1000 interfaces.
- Of limits the smaller of both sides' holds. `frame`: bytes of a frame, 32768 or more. `calls`: CALLs of one depth that are
  open at once, in each direction. `depth`: the deepest CALL. A message counts 256 bytes more than its body. CALLs of one
  depth hold at most `call_bytes` until they are answered; SENDs to one interface hold `send_bytes` until CREDIT gives them
  back. A frame has to fit: `call_bytes` and `send_bytes` are at least `frame` + 256.
- Each CALL has exactly one REPLY or ERROR.
- CALLs and SENDs to one interface stay in their order if they come from the same depth: a relay may change it otherwise.
- Who breaks a rule is disconnected. The rules, by name:

| rule | broken by |
|---|---|
| length | a length of 0, or above the limit |
| array | bytes that aren't one MessagePack array |
| kind, id, to, body, ms, depth, trace, above, flags, via | an element of another type, or out of its range |
| needs | a kind without what it needs |
| spare | a kind with what it has no use for |
| map | a body that isn't the map of its kind |
| order | a frame that wasn't to come now |
| table | a table that is too large, or names something twice |
| limits | limits with which nothing could be sent |
| credit | more than was agreed on, or CREDIT for what wasn't sent |
"""

from __future__ import annotations

import re
import struct
from collections import deque
from operator import attrgetter
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from msgspec import Meta

from supervise.errors import ProtocolError
from supervise_strategies.text import said

from .kinds import KINDS, Kind

__all__ = ("EXTRA", "FIELDS", "GREETING", "RULES", "Frame", "FrameReader", "Kind", "encode")

# fmt: off
RULES: Final = (
    "length", "array", "kind", "id", "to", "body", "ms", "depth", "trace", "above", "flags", "via", "needs",
    "spare", "map", "order", "table", "limits", "credit",
)
# fmt: on
"""Every `.rule` of a `ProtocolError`, as the table above says them."""
GREETING: Final = 65536
"""Bytes of a frame until READY."""
EXTRA: Final = 256
"""So many bytes a message counts more than its body: small ones cost memory too."""


_Id: TypeAlias = Annotated[int, Meta(ge=0, le=2**63 - 1)]
_To: TypeAlias = Annotated[int, Meta(ge=0, le=65535)]
_Ms: TypeAlias = Annotated[int, Meta(ge=0, le=10 * 365 * 24 * 3600 * 1000)]
_Depth: TypeAlias = Annotated[int, Meta(ge=0, le=255)]
_Trace: TypeAlias = Annotated[str, Meta(max_length=256)]
_Above: TypeAlias = Annotated[tuple[Annotated[bytes, Meta(min_length=8, max_length=8)], ...], Meta(max_length=8)]
_Flags: TypeAlias = Annotated[int, Meta(ge=0, le=7)]
_Via: TypeAlias = Annotated[tuple[Annotated[str, Meta(max_length=200)], ...], Meta(max_length=8)]
MOST_VIA: Final = 8
"""Names in `via`."""
NOW: Final = 1
"""Flags of a CALL: it doesn't wait for a restart of the actor."""
CANCEL: Final = 2
"""Its handler is cancelled with it."""
FINISH: Final = 4
"""It never is."""


class Frame(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One frame. Its text has the length of the body, never the body: in HELLO that has a token.

    >>> Frame(Kind.SEND, to=3, body=b"...", ms=1500)
    Frame(SEND, to=3, body=<3 bytes>, ms=1500)
    """

    kind: Kind
    id: _Id = 0
    to: _To = 0
    body: bytes = b""
    ms: _Ms = 0
    depth: _Depth = 0
    trace: _Trace = ""
    above: _Above = ()
    flags: _Flags = 0
    via: _Via = ()

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """What a pretty printer shows, which would else find the fields by itself."""
        shown = [(field, getattr(self, field)) for field in FIELDS]
        return [(field, f"<{len(value)} bytes>" if field == "body" else value) for field, value in shown if value]

    def __repr__(self) -> str:
        parts = [f"{name}={value if name == 'body' else repr(value)}" for name, value in self.__rich_repr__() if name != "kind"]
        return f"Frame({', '.join([self.kind.name, *parts])})"


FIELDS: Final = Frame.__struct_fields__


def _getter(fields: list[str]) -> attrgetter[Any] | None:
    """All of them as a tuple. `attrgetter` makes one only of two or more."""
    return attrgetter(*fields, fields[0]) if fields else None


# Each frame that comes passes here, so the tables are made ready: 0.15 us of a CALL instead of 1.
_CHECKS: Final = {
    kind: (_getter(uses.needs.split()), _getter([f for f in FIELDS[1:] if f not in f"{uses.needs} {uses.may}".split()]))
    for kind, uses in KINDS.items()
}
_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(Frame).decode
_LENGTH: Final = struct.Struct(">I").unpack_from
WRONG: Final = (msgspec.MsgspecError, ValueError, RecursionError)
"""What msgspec raises for bytes that it can't decode."""
_NOTHING: Final = memoryview(b"")
_ELEMENT: Final = re.compile(r"\$\[(\d)\]")  # where msgspec says that an array is wrong


def encode(frame: Frame) -> bytes:
    """The bytes of a frame, its length included. Whether it keeps the rules is up to who made it.

    >>> encode(Frame(Kind.PING, 7)).hex(" ")
    '00 00 00 0a 98 04 07 00 c4 00 00 00 a0 90'
    """
    data = _ENCODE(frame)
    return len(data).to_bytes(4, "big") + data


class FrameReader:
    """Makes frames of bytes, however these were cut into chunks.

    `feed` takes a chunk, and hands out the reader itself, which iterates over the frames that are
    whole. Who stops in between loses none: the next iteration goes on there. What is wrong
    is raised in its turn, after the frames before it, and only `ProtocolError` ever is. After
    that nothing is read any more, and the same is raised again.

    A length above `limit` is refused as soon as it is there: no byte of such a frame is kept.
    `limit` can be set at any time, and holds for frames that weren't begun.

    >>> reader = FrameReader(GREETING)
    >>> data = encode(Frame(Kind.PING, 7)) + encode(Frame(Kind.CANCEL, 8))
    >>> list(reader.feed(data[:20])), reader.partial
    ([Frame(PING, id=7)], 6)
    >>> list(reader.feed(data[20:])), reader.partial
    ([Frame(CANCEL, id=8)], 0)
    """

    __slots__ = ("_at", "_begun", "_broken", "_chunks", "_end", "_view", "_whole", "limit")

    def __init__(self, limit: int) -> None:
        self.limit: int = limit
        self._chunks: deque[bytes] = deque()  # what was fed, and isn't looked at yet
        self._view = _NOTHING  # the chunk that is being read, from _at to _end
        self._at = 0
        self._end = 0
        self._begun = bytearray()  # a frame that lies in several chunks, as far as it is there
        self._whole = 4  # so many bytes it has; 4: its length isn't known yet
        self._broken: tuple[str, str] | None = None

    @property
    def partial(self) -> int:
        """So many bytes there are of a frame that isn't whole; 0: none has begun. Ask it when the iteration is done."""
        return len(self._begun)

    def feed(self, chunk: bytes | bytearray | memoryview) -> FrameReader:
        """Take the next bytes. Raises `ProtocolError` if a rule was broken before."""
        if self._broken is not None:
            raise ProtocolError(*self._broken)
        if chunk:
            self._chunks.append(bytes(chunk))
        return self

    def __iter__(self) -> FrameReader:
        return self

    def __next__(self) -> Frame:
        if self._broken is not None:
            raise ProtocolError(*self._broken)
        while True:
            at, end = self._at, self._end
            if not self._begun and end - at >= 4:
                head = at + 4
                stop = head + self._length(self._view, at)
                if stop <= end:
                    self._at = stop
                    return self._frame(self._view[head:stop])
            if at < end:
                # Each byte is moved once at most before it is decoded, however many there are in a chunk.
                self._at = stop = min(at + self._whole - len(self._begun), end)
                self._begun += self._view[at:stop]
                if len(self._begun) < self._whole:
                    continue
                if self._whole == 4:
                    self._whole += self._length(self._begun, 0)
                else:
                    whole, self._begun, self._whole = self._begun, bytearray(), 4
                    return self._frame(memoryview(whole)[4:])
            elif self._chunks:
                self._view, self._at = memoryview(self._chunks.popleft()), 0
                self._end = len(self._view)
            else:
                self._view, self._at, self._end = _NOTHING, 0, 0  # a chunk isn't kept longer than it is read
                raise StopIteration

    def _length(self, data: memoryview | bytearray, at: int) -> int:
        length: int = _LENGTH(data, at)[0]
        if not 0 < length <= self.limit:
            raise self._refused("length", f"a frame of {length} bytes; 1 to {self.limit} are allowed")
        return length

    def _frame(self, data: memoryview) -> Frame:
        try:
            frame = _DECODE(data)
        except WRONG as error:
            found = _ELEMENT.search(str(error)) if isinstance(error, msgspec.ValidationError) else None
            refused = self._refused(FIELDS[int(found[1])] if found else "array", said(error))
        else:
            needs, spare = _CHECKS[frame.kind]
            if not (
                (needs is not None and not all(needs(frame)))
                or (spare is not None and any(spare(frame)))
                or not (frame.trace.isascii() and frame.trace.isprintable())
            ):
                return frame
            refused = self._refused(*_fault(frame))
        raise refused

    def _refused(self, rule: str, what: str) -> ProtocolError:
        self._broken = rule, what
        self._chunks.clear()
        self._view, self._at, self._end, self._begun = _NOTHING, 0, 0, bytearray()
        return ProtocolError(rule, what)


def _fault(frame: Frame) -> tuple[str, str]:
    """Which rule a frame breaks, for the error's text."""
    name, uses = frame.kind.name, KINDS[frame.kind]
    for field in uses.needs.split():
        if not getattr(frame, field):
            return "needs", f"{name} without {field}"
    for field in FIELDS[1:]:
        if getattr(frame, field) and field not in f"{uses.needs} {uses.may}".split():
            return "spare", f"{name} with {field}"
    return "trace", f"a character of {said(frame.trace)} isn't one from space to ~"
