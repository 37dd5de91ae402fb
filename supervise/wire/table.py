"""What a side of a link serves, numbered: so that a message has a number instead of a name."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from typing import Annotated, Final, TypeAlias, overload

import msgspec
from msgspec import Meta

from supervise.errors import ProtocolError
from supervise_strategies.errors import InvalidSpec
from supervise_strategies.text import LONG, said, shown

from .bodies import Given, decode_body, encode_body
from .frames import GREETING, Frame, Kind

MOST_BYTES: Final = 1 << 20
"""Of the bodies of a table's SERVES, in all."""
MOST_ENTRIES: Final = 10_000
MOST_INTERFACES: Final = 1000
LONGEST_SIGNATURE: Final = 16_000

_Hash: TypeAlias = Annotated[bytes, Meta(min_length=8, max_length=8)]
_Signature: TypeAlias = Annotated[str, Meta(max_length=LONGEST_SIGNATURE)]


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A handler or an event: its key, the hash of its signature, and the signature for people."""

    key: Given
    hash: _Hash
    text: _Signature


class Serves(msgspec.Struct, frozen=True):
    """An interface that is served: the body of a SERVES. `more`: the next one goes on with it."""

    interface: Given
    format: Given
    handlers: tuple[Entry, ...] = ()
    events: tuple[Entry, ...] = ()
    more: bool = False


class Numbered(Sequence[Entry]):
    """The handlers of a table, or its events. What stands at an index is found by it, and the index by key and hash."""

    __slots__ = ("_entries", "_indexes", "_keys", "_owners")

    def __init__(self, parts: Iterable[tuple[Entry, ...]]) -> None:
        whole = [*parts]
        self._entries = tuple([entry for part in whole for entry in part])
        self._owners = tuple([owner for owner, part in enumerate(whole) for _ in part])
        self._indexes: dict[tuple[str, bytes], list[int]] = {}
        self._keys: dict[str, list[Entry]] = {}
        for index, entry in enumerate(self._entries):
            same = self._indexes.setdefault((entry.key, entry.hash), [])
            if same and self._owners[same[-1]] == self._owners[index]:
                raise InvalidSpec("Table", "key", entry.key, "an interface has a key only once with the same hash")
            same.append(index)
            self._keys.setdefault(entry.key, []).append(entry)

    def index_of(self, key: str, hash: bytes, interface: int | None = None) -> int | None:
        """Where it stands: the first one, or that of an interface. None: nowhere."""
        found = self._indexes.get((key, hash), ())
        return next((index for index in found if interface in (None, self._owners[index])), None)

    def interface_of(self, index: int) -> int:
        """The number of the interface that it belongs to."""
        return self._owners[index]

    def with_key(self, key: str) -> tuple[Entry, ...]:
        """All of this key, whatever their hashes: for the error of who asks for another one."""
        return tuple(self._keys.get(key, ()))

    @overload
    def __getitem__(self, index: int) -> Entry: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Entry, ...]: ...
    def __getitem__(self, index: int | slice) -> Entry | tuple[Entry, ...]:
        return self._entries[index]

    def __len__(self) -> int:
        return len(self._entries)


class Table:
    """What a side serves. Handlers are numbered from 0 over all interfaces, in their order; so are events, and interfaces.

    Raises `InvalidSpec` if an interface has a key twice with the same hash, or if there is too
    much. Different interfaces may have the same key and hash. They may even have the same name:
    an old one is served beside a new one.

    >>> entry = Entry("shop.OrdersApi.place", b"12345678", "place(item: str) -> int")
    >>> table = Table([Serves("shop", "msgpack", (entry,))])
    >>> table.index_of(entry.key, b"12345678"), table.index_of(entry.key, b"87654321")
    (0, None)
    >>> [other.text for other in table.handlers.with_key(entry.key)]
    ['place(item: str) -> int']
    """

    __slots__ = ("events", "handlers", "interfaces")

    def __init__(self, interfaces: Iterable[Serves] = ()) -> None:
        self.interfaces: tuple[Serves, ...] = tuple(interfaces)
        self.handlers: Numbered = Numbered(one.handlers for one in self.interfaces)
        self.events: Numbered = Numbered(one.events for one in self.interfaces)
        if (number := len(self.interfaces)) > MOST_INTERFACES:
            raise InvalidSpec("Table", "interfaces", number, f"at most {MOST_INTERFACES}")
        if (number := len(self.handlers) + len(self.events)) > MOST_ENTRIES:
            raise InvalidSpec("Table", "entries", number, f"at most {MOST_ENTRIES} handlers and events in all")

    def __repr__(self) -> str:
        return f"Table({shown([one.interface for one in self.interfaces], LONG)})"

    def index_of(self, key: str, hash: bytes, interface: int | None = None) -> int | None:
        """The number of a handler: the first one, or that of an interface. None: it isn't served."""
        return self.handlers.index_of(key, hash, interface)

    def only(self, names: Container[str]) -> Table:
        """A table of the interfaces with these names. It is numbered anew."""
        return Table(one for one in self.interfaces if one.interface in names)

    def frames(self, limit: int = GREETING) -> list[Frame]:
        """SERVES frames, each of which has at most so many bytes.

        Raises `InvalidSpec` for what nobody could take: a signature, a name or a table that is too
        large.
        """
        bodies = [body for one in self.interfaces for body in _bodies(one, limit)]
        if (total := sum(map(len, bodies))) > MOST_BYTES:
            raise InvalidSpec("Table", "bytes", total, f"at most {MOST_BYTES} in all: serve fewer handlers, or shorter types")
        return [Frame(Kind.SERVES, body=body) for body in bodies]


def _bodies(one: Serves, limit: int) -> Iterator[bytes]:
    """The interface in parts. Each part is read again, as the other side would."""
    handlers: list[Entry] = []
    events: list[Entry] = []
    # Around the body of a frame there are 13 bytes; the heads of two long arrays have 4 more than those of empty ones.
    room = rest = limit - 13 - 8 - len(_checked(Serves(one.interface, one.format)))
    for part, entries in (handlers, one.handlers), (events, one.events):
        for entry in entries:
            size = len(_encoded(entry, entry.key))
            if size > room:
                raise InvalidSpec(
                    "Table", "key", entry.key, f"an entry of at most {room} bytes, not of {size}: shorten its types"
                )
            if size > rest:
                yield _checked(Serves(one.interface, one.format, tuple(handlers), tuple(events), more=True))
                handlers.clear()
                events.clear()
                rest = room
            part.append(entry)
            rest -= size
    yield _checked(Serves(one.interface, one.format, tuple(handlers), tuple(events)))


def _checked(part: Serves) -> bytes:
    body = _encoded(part, part.interface)
    try:
        decode_body(Serves, body)
    except ProtocolError as error:
        raise InvalidSpec("Table", "interface", part.interface, f"what can cross: {error}") from None
    return body


def _encoded(what: Entry | Serves, name: str) -> bytes:
    try:
        return encode_body(what)
    except (TypeError, ValueError, OverflowError) as error:  # a lone surrogate
        raise InvalidSpec("Table", "name", name, f"what can cross: {said(error)}") from None


class TableReader:
    """Puts the table of the other side together, SERVES by SERVES. What is wrong is `ProtocolError`."""

    __slots__ = ("_bytes", "_entries", "_parts", "_whole")

    def __init__(self) -> None:
        self._whole: list[Serves] = []
        self._parts: list[Serves] = []  # of an interface whose last part isn't there
        self._bytes = 0
        self._entries = 0

    def add(self, body: bytes) -> None:
        """Take the body of the next one."""
        self._bytes += len(body)
        if self._bytes > MOST_BYTES:
            raise ProtocolError("table", f"more than {MOST_BYTES} bytes")
        part = decode_body(Serves, body)
        self._entries += len(part.handlers) + len(part.events)
        if self._entries > MOST_ENTRIES or len(self._whole) >= MOST_INTERFACES:
            raise ProtocolError("table", f"more than {MOST_ENTRIES} entries, or {MOST_INTERFACES} interfaces")
        if self._parts and (part.interface, part.format) != (self._parts[0].interface, self._parts[0].format):
            raise ProtocolError("table", f"{shown(part.interface)} where {shown(self._parts[0].interface)} goes on")
        self._parts.append(part)
        if not part.more:
            handlers = tuple([entry for one in self._parts for entry in one.handlers])
            events = tuple([entry for one in self._parts for entry in one.events])
            self._whole.append(Serves(part.interface, part.format, handlers, events))
            self._parts.clear()

    def whole(self) -> Table:
        """All of it, after READY."""
        if self._parts:
            raise ProtocolError("table", f"READY where {shown(self._parts[0].interface)} goes on")
        try:
            return Table(self._whole)
        except InvalidSpec as error:
            refused = ProtocolError("table", said(error))
        raise refused
