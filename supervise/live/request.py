"""As much of HTTP/1.1 as the live protocol needs: one request a connection, a small body, nothing kept.

What is asked here comes from anybody who can reach the port, so each part is bounded before it is read.
"""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import Any, Final, NamedTuple, cast
from urllib.parse import parse_qsl, unquote, urlsplit

LONGEST_HEAD: Final = 16 * 1024
"""Bytes of a request's first line and headers."""
LONGEST_BODY: Final = 16 * 1024
"""Bytes of what an action says."""


NO_LINE: Final = frozenset("\0\r\n")
"""What others might take for the end of a header."""


class Refused(Exception):
    """A request that isn't done; the text is for who asked."""

    def __init__(self, status: int, text: str, *headers: tuple[str, str]) -> None:
        super().__init__(text)
        self.status: int = status
        self.headers: tuple[tuple[str, str], ...] = headers


class Gone(Exception):
    """Who asked has left in the middle of it."""


class Request(NamedTuple):
    """One request. Names of headers are in small letters; a header that comes twice is refused."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes = b""

    def json(self) -> dict[str, Any]:
        """The body, an object. Raises `Refused`."""
        found = object_of(self.body or b"{}")
        if found is None:
            raise Refused(400, "the body isn't a JSON object")
        return found


async def read(reader: asyncio.StreamReader) -> Request:
    """The next one. Raises `Refused`, `Gone`. The reader's limit has to be `LONGEST_HEAD`."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        raise Refused(431, f"a request has at most {LONGEST_HEAD} bytes before its body") from None
    except (asyncio.IncompleteReadError, OSError):
        raise Gone from None
    request = _parsed(head)
    length = request.headers.get("content-length", "0")
    if "transfer-encoding" in request.headers:
        raise Refused(411, "say how long the body is: content-length")
    if not (length.isascii() and length.isdecimal() and len(length) <= 9):
        raise Refused(400, "content-length isn't a number")
    if int(length) > LONGEST_BODY:
        raise Refused(413, f"a body has at most {LONGEST_BODY} bytes")
    try:
        return request._replace(body=await reader.readexactly(int(length)))
    except (asyncio.IncompleteReadError, OSError):
        raise Gone from None


def _parsed(head: bytes) -> Request:
    first, *lines = head[:-4].decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1.") or not words[0].isalpha() or not words[1].startswith("/"):
        raise Refused(400, "that isn't a request of HTTP/1.1")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip() or name.lower() in headers or not NO_LINE.isdisjoint(line):
            raise Refused(400, "a header can't be read, or comes twice")
        headers[name.lower()] = value.strip()
    try:
        target = urlsplit(words[1])
        query = dict(parse_qsl(target.query, keep_blank_values=True, max_num_fields=20))
        path = unquote(target.path, errors="strict")
    except ValueError:
        raise Refused(400, "the address can't be read") from None
    return Request(words[0], path, query, headers)


def object_of(data: bytes) -> dict[str, Any] | None:
    """A JSON object; None: it is something else, or nothing."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else None


def answer(status: int, body: bytes, kind: str = "application/json", *headers: tuple[str, str]) -> bytes:
    """A whole response, after which the connection ends."""
    return begin(status, kind, ("content-length", str(len(body))), *headers) + body


def begin(status: int, kind: str, *headers: tuple[str, str]) -> bytes:
    """The beginning of one; it ends with the connection, where no length is said."""
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        f"content-type: {kind}",
        "cache-control: no-store",
        "x-content-type-options: nosniff",
        "referrer-policy: no-referrer",
        "connection: close",
        *(f"{name}: {value}" for name, value in headers),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
