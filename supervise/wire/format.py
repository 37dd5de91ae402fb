"""How plain values become bytes, and bytes values of a declared type: MessagePack, or a format of one's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

import msgspec


class WireFormat(Protocol):
    """What makes bytes of plain values, and of bytes the values of a type.

    Both sides of a link have to use the same one, by its name. What its functions raise is
    `BadMessage`, or `BadReply` if it was about a result: they may raise what they like.

    `encode` is given plain data, as an interface declares it. Of a message that is a dict: the
    arguments that were given, by the names of their parameters. `decoder` is asked once for each
    type. That of a message is a `msgspec.Struct`, and what it returns has to be one of these.

    >>> import msgspec
    >>> class Json:
    ...     name = "json"
    ...     def encode(self, value):
    ...         return msgspec.json.encode(value)
    ...     def decoder(self, type):
    ...         return msgspec.json.Decoder(type).decode
    >>> class Clock:
    ...     def show(self, width: int) -> str: ...
    >>> json: WireFormat = Json()
    >>> Interface("clock", Clock, format=json).method(Clock.show).encode((5,), {})
    b'{"width":5}'
    """

    @property
    def name(self) -> str:
        """What it is called on the wire: `msgpack`."""
        ...

    def encode(self, value: Any, /) -> bytes:
        """The bytes of a value."""
        ...

    def decoder(self, type: Any, /) -> Callable[[bytes | memoryview], Any]:
        """What makes a value of the type, and raises for bytes that are of no such value."""
        ...


class MessagePack:
    """MessagePack, as msgspec writes and checks it: what an interface that names no other uses.

    >>> MSGPACK.decoder(list[int])(MSGPACK.encode([1, 2]))
    [1, 2]
    """

    __slots__ = ()
    name: str = "msgpack"
    # The encoder's own function: a method around it takes 20 ns more, of 530 for a small message.
    encode: staticmethod[[Any], bytes] = staticmethod(msgspec.msgpack.Encoder().encode)

    def decoder(self, type: Any, /) -> Callable[[bytes | memoryview], Any]:
        """What makes a value of the type: strictly, so that `"1"` is no int.

        Of a key that stands twice in a map the last one counts.
        """
        return msgspec.msgpack.Decoder(type).decode

    def __repr__(self) -> str:
        return "MSGPACK"


MSGPACK: Final = MessagePack()
