"""MessagePack and frames by hand, from the format's own table: so that the protocol is spoken without what is tested."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final, TypeAlias

Value: TypeAlias = Any  # None, bool, int, float, str, bytes, a list or a dict of them

LENGTHS: Final = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4, 0xDC: 2, 0xDD: 4, 0xDE: 2, 0xDF: 4}
NUMBERS: Final = {
    0xCA: ">f",
    0xCB: ">d",
    0xCC: ">B",
    0xCD: ">H",
    0xCE: ">I",
    0xCF: ">Q",
    0xD0: ">b",
    0xD1: ">h",
    0xD2: ">i",
    0xD3: ">q",
}


def frame(*elements: Value) -> bytes:
    """The bytes of a frame, with its length."""
    return framed(pack(list(elements)))


def framed(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def unframed(data: bytes) -> list[list[Value]]:
    """The frames of a stream, all of which is there."""
    found: list[list[Value]] = []
    while data:
        (length,) = struct.unpack_from(">I", data)
        value, rest = _unpack(data[4 : 4 + length])
        assert rest == b""
        found.append(value)
        data = data[4 + length :]
    return found


def pack(value: Value) -> bytes:
    if value is None:
        return b"\xc0"
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return _int(value)
    if isinstance(value, float):
        return b"\xcb" + struct.pack(">d", value)
    if isinstance(value, bytes):
        return _head(len(value), {256: b"\xc4", 1 << 16: b"\xc5", 1 << 32: b"\xc6"}) + value
    if isinstance(value, str):
        text = value.encode()
        first = (
            bytes((0xA0 | len(text),))
            if len(text) < 32
            else _head(len(text), {256: b"\xd9", 1 << 16: b"\xda", 1 << 32: b"\xdb"})
        )
        return first + text
    return CONTAINERS[type(value)](value)


def _list(values: list[Value]) -> bytes:
    few = len(values) < 16
    first = bytes((0x90 | len(values),)) if few else _head(len(values), {1 << 16: b"\xdc", 1 << 32: b"\xdd"})
    return first + b"".join(map(pack, values))


def _dict(pairs: dict[Value, Value]) -> bytes:
    first = bytes((0x80 | len(pairs),)) if len(pairs) < 16 else _head(len(pairs), {1 << 16: b"\xde"})
    return first + b"".join(pack(key) + pack(one) for key, one in pairs.items())


CONTAINERS: Final[dict[type, Callable[[Any], bytes]]] = {list: _list, dict: _dict}


def unpack(data: bytes) -> Value:
    value, rest = _unpack(data)
    assert rest == b""
    return value


def _int(value: int) -> bytes:
    if -32 <= value < 128:
        return struct.pack(">b", value)
    formats = (0xCC, 0xCD, 0xCE, 0xCF) if value >= 0 else (0xD0, 0xD1, 0xD2, 0xD3)
    for first in formats:
        try:
            return bytes((first,)) + struct.pack(NUMBERS[first], value)
        except struct.error:
            continue
    raise OverflowError(value)


def _head(length: int, firsts: dict[int, bytes]) -> bytes:
    size, first = next((size, first) for size, first in firsts.items() if length < size)
    return first + length.to_bytes({256: 1, 1 << 16: 2, 1 << 32: 4}[size], "big")


def _unpack(data: bytes) -> tuple[Value, bytes]:
    first, rest = data[0], data[1:]
    if first < 0x80:
        return first, rest
    if first >= 0xE0:
        return first - 256, rest
    if first in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[first], rest
    if first in NUMBERS:
        size = struct.calcsize(NUMBERS[first])
        return struct.unpack(NUMBERS[first], rest[:size])[0], rest[size:]
    if first in LENGTHS:
        length, rest = int.from_bytes(rest[: LENGTHS[first]], "big"), rest[LENGTHS[first] :]
        sort = {0xC4: "bin", 0xC5: "bin", 0xC6: "bin", 0xDC: "array", 0xDD: "array", 0xDE: "map", 0xDF: "map"}.get(first, "str")
    else:
        length = first & (0x1F if first >= 0xA0 else 0x0F)
        sort = "str" if first >= 0xA0 else "array" if first >= 0x90 else "map"
    if sort in ("bin", "str"):
        assert len(rest) >= length
        return rest[:length] if sort == "bin" else rest[:length].decode(), rest[length:]
    values: list[Value] = []
    for _ in range(length if sort == "array" else 2 * length):
        value, rest = _unpack(rest)
        values.append(value)
    return values if sort == "array" else dict(zip(values[::2], values[1::2], strict=True)), rest
