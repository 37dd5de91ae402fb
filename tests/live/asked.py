"""What tests ask a served tree: by the client in a thread, as its users do, or byte by byte."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple, TypeAlias, TypeVar

import anyio
import anyio.to_thread

from supervise.live import Client

T = TypeVar("T")

Frames: TypeAlias = Generator[tuple[str, dict[str, Any]]]

GUARD = 30.0  # seconds after which what hangs is given up


async def ask(function: Callable[..., T], *args: Any, **keywords: Any) -> T:
    """Call it in a thread, while the tree's loop runs on."""
    with anyio.fail_after(GUARD):
        return await anyio.to_thread.run_sync(partial(function, *args, **keywords), abandon_on_cancel=True)


class Answer(NamedTuple):
    """A whole HTTP response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def request(
    to: Path | int, method: str, address: str, headers: dict[str, str] | None = None, body: bytes = b"", host: str = ""
) -> Answer:
    """One request over a socket or a port, written by hand: what no client would send, too."""
    given = {"Host": host or (f"127.0.0.1:{to}" if isinstance(to, int) else "localhost"), **(headers or {})}
    if body:
        given.setdefault("Content-Length", str(len(body)))
    lines = [f"{method} {address} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items())]
    return said(to, "\r\n".join([*lines, "", ""]).encode("latin-1") + body)


def said(to: Path | int, data: bytes) -> Answer:
    """The answer to these bytes."""
    with connected(to) as connection:
        connection.sendall(data)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while part := connection.recv(65536):
                answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head:
        return Answer(0, {}, b"")
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(": ") for line in lines)
    return Answer(int(first.split()[1]), {name.lower(): value for name, _, value in pairs}, body)


@contextlib.contextmanager
def connected(to: Path | int) -> Generator[socket.socket]:
    """A connection that ends with the block."""
    if isinstance(to, int):
        connection = socket.create_connection(("127.0.0.1", to), GUARD)
    else:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(GUARD)
        connection.connect(str(to))
    with connection:
        yield connection


def until(frames: Frames, wanted: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """The first frame of a stream that is wanted."""
    return next(data for _, data in frames if wanted(data))


async def told(frames: Frames, wanted: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """The same, while the tree's loop runs on."""
    return await ask(until, frames, wanted)


async def following(frames: Frames) -> tuple[str, dict[str, Any]]:
    """The next frame."""
    return await ask(lambda: next(frames))


def seen(client: Client, wanted: Callable[[dict[str, Any]], object], **query: Any) -> dict[str, Any]:
    """A snapshot that is so; surveys are made no more often than they may cost, so it may take some."""
    while True:
        found = client.snapshot(**query)
        if wanted(found):
            return found


async def until_seen(client: Client, wanted: Callable[[dict[str, Any]], object], **query: Any) -> dict[str, Any]:
    """The same, while the tree's loop runs on."""
    return await ask(seen, client, wanted, **query)


def rows_of(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """By path."""
    return {row["path"]: row for row in found["rows"]}


class Gate:
    """What a blocking handler waits for, in the loop's own thread, until a test has seen enough."""

    def __init__(self) -> None:
        self.entered = Event()
        self._opened = Event()

    def block(self) -> None:
        """Hold the thread up."""
        self.entered.set()
        assert self._opened.wait(GUARD), "nobody opened it"

    def open(self) -> None:
        self._opened.set()
