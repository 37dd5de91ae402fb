"""A client in the standard library alone, as one in any other language would be: no msgspec, no supervise.

Look for: all that a client needs of the protocol. It greets, finds its handler's number in the table that the gate sends, calls
it, and says goodbye. What stands in frames and maps is a table in `examples/guide/remote.md`.

    python examples/wire_client.py 127.0.0.1 7000 shop.OrdersApi.place '{"item": "tea"}'
"""

import json
import os
import socket
import struct
import sys
from io import BytesIO
from typing import Any

HELLO, SERVES, READY, GOODBYE, PING, PONG, CALL, REPLY = 0, 1, 2, 3, 4, 5, 6, 8
LIMITS = {"frame": 65536, "calls": 1, "depth": 1, "call_bytes": 65792, "send_bytes": 65792}
SIZES = "BHI...fdBHIQbhiq.....BHIHIHI"  # what follows the bytes C4 to DF of MessagePack, as struct has it


def pack(value: Any) -> bytes:
    """A part of MessagePack: int, str, bytes, list and dict, each in its longest form."""
    if isinstance(value, int):
        return struct.pack(">Bq", 0xD3, value)
    tag = {"dict": 0xDF, "list": 0xDD, "str": 0xDB, "bytes": 0xC6}[type(value).__name__]
    parts = [part for pair in value.items() for part in pair] if tag == 0xDF else value
    data = b"".join(map(pack, parts)) if tag >= 0xDD else value.encode() if tag == 0xDB else value
    return struct.pack(">BI", tag, len(value) if tag >= 0xDD else len(data)) + data


def unpack(data: BytesIO) -> Any:
    tag = data.read(1)[0]
    if not 0x80 <= tag < 0xE0 or 0xC0 <= tag < 0xC4:
        return tag if tag < 0x80 else tag - 256 if tag >= 0xE0 else [None, None, False, True][tag - 0xC0]
    form = ">" + SIZES[tag - 0xC4] if tag >= 0xC4 else ""
    size = struct.unpack(form, data.read(struct.calcsize(form)))[0] if form else tag & (31 if tag >= 0xA0 else 15)
    if tag < 0x90 or tag >= 0xDE:
        return {unpack(data): unpack(data) for _ in range(size)}
    if tag < 0xA0 or tag >= 0xDC:
        return [unpack(data) for _ in range(size)]
    return size if 0xC7 <= tag < 0xD9 else data.read(size) if 0xC4 <= tag < 0xC7 else data.read(size).decode()


def send(stream: Any, kind: int, id: int = 0, to: int = 0, body: object = None, *more: object) -> None:
    data = pack([kind, id, to, b"" if body is None else pack(body), *more])
    stream.write(len(data).to_bytes(4, "big") + data)
    stream.flush()


def receive(stream: Any) -> tuple[int, Any]:
    kind, id, _, body, *_ = unpack(BytesIO(stream.read(int.from_bytes(stream.read(4), "big"))))
    if kind == PING:
        send(stream, PONG, id)
    return (kind, unpack(BytesIO(body)) if body else None) if kind != PING else receive(stream)


def main(host: str, port: str, key: str, arguments: str) -> None:
    with socket.create_connection((host, int(port)), timeout=10) as link, link.makefile("rwb") as stream:
        send(stream, HELLO, 0, 0, {"versions": [1, 1], "link": os.urandom(16), "life": 1, "limits": LIMITS, "name": "by hand"})
        send(stream, READY)
        table: list[list[Any]] = []
        while (frame := receive(stream))[0] not in (READY, GOODBYE):
            table += frame[1].get("handlers", []) if frame[0] == SERVES else []
        if frame[0] == GOODBYE:
            sys.exit(f"refused: {frame[1]['why']}")
        number = next(at for at, entry in enumerate(table) if entry[0] == key)
        print(f"{key} is handler {number}: {table[number][2]}")
        send(stream, CALL, 1, number, json.loads(arguments), 5000, 1, "", [os.urandom(8)])  # within 5 s; depth 1
        kind, answer = receive(stream)
        print("REPLY" if kind == REPLY else "ERROR", answer)
        send(stream, GOODBYE, 0, 0, {"why": "that was all"})


if __name__ == "__main__":
    main(*sys.argv[1:])
