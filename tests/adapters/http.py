"""A request over a real socket, and as little HTTP as that takes."""

from __future__ import annotations

import json
from typing import Any

import anyio


async def get(port: int, path: str = "/") -> tuple[int, Any]:
    """The status and, decoded, the body."""
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        await stream.send(f"GET {path} HTTP/1.0\r\nHost: test\r\n\r\n".encode())
        answer = b""
        async for piece in stream:
            answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    text = body.decode()
    return int(head.split()[1]), json.loads(text) if text.startswith(("{", "[", '"')) else text


async def is_open(port: int) -> bool:
    try:
        stream = await anyio.connect_tcp("127.0.0.1", port)
    except OSError:
        return False
    await stream.aclose()
    return True
