"""As much of an HTTP/1.1 server as probes need: one request a connection, no body, nothing kept.

It is for `supervise run --health`, which serves while its tree starts and stops, so it can't be a child of that tree; and it
runs on trio, too, where uvicorn doesn't. An application that has a server mounts `Endpoint` there instead.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Final, cast

import anyio
from anyio.abc import ByteStream, SocketAttribute, SocketListener, TaskGroup

from supervise.log import say
from supervise.tree.snapshot import Source
from supervise_strategies.exception import cause_of

from .asgi import Answer, Endpoint

LONGEST_HEAD: Final = 8192  # bytes of a request, of which only the first line is looked at
PATIENCE: Final = 5.0  # seconds that a client may take for all of it
MOST: Final = 64  # connections at a time; what comes above is closed at once
ACCEPT_AGAIN: Final = 0.1  # seconds until the next try, when no connection can be taken
COMPLAIN_EVERY: Final = 5.0  # seconds, of that


@asynccontextmanager
async def serve(tree: Source, host: str, port: int) -> AsyncGenerator[int]:
    r"""Answer `/live` and `/ready` over HTTP on that address, as long as the block lasts.

    It yields the port, which is chosen if `port` is 0. The answers are those of `Endpoint`. It
    runs beside the tree and on trio, too, but it is no web server: one request a connection, 64
    connections at a time, 5 s for each. An application that has a server mounts `Endpoint`
    there.

    When no connection can be taken, since the process has no file descriptors left, it
    complains and goes on trying. Raises `OSError` if it can't listen there.

        >>> import anyio
        >>> async with Supervisor("app") as app, serve(app, "127.0.0.1", 0) as port:
        ...     async with await anyio.connect_tcp("127.0.0.1", port) as client:
        ...         await client.send(b"GET /ready HTTP/1.1\r\n\r\n")
        ...         (await client.receive()).splitlines()[0]
        b'HTTP/1.1 200 OK'
    """
    probes = _Probes(Endpoint(tree))
    multi = await anyio.create_tcp_listener(local_host=host, local_port=port)
    async with multi, anyio.create_task_group() as group:
        for listener in cast("list[SocketListener]", multi.listeners):
            group.start_soon(probes.listen, listener, group)
        try:
            yield multi.listeners[0].extra(SocketAttribute.local_port)
        finally:
            group.cancel_scope.cancel()


class _Probes:
    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._room = anyio.CapacityLimiter(MOST)
        self._complained = -math.inf

    async def listen(self, listener: SocketListener, group: TaskGroup) -> None:
        # Not listener.serve(): there an error of one accept() would end it, and all that is around it.
        while True:
            try:
                stream = await listener.accept()
            except Exception as error:
                self._complain(error)
                await anyio.sleep(ACCEPT_AGAIN)
            else:
                group.start_soon(self._connection, stream)

    def _complain(self, error: Exception) -> None:
        now = time.monotonic()
        if now - self._complained >= COMPLAIN_EVERY:
            self._complained = now
            text = "health: no connection can be taken, so probes aren't answered: %s"
            cause = cause_of(error)
            say(logging.WARNING, text, error if cause is None else cause)

    async def _connection(self, stream: ByteStream) -> None:
        try:
            async with stream:
                try:
                    self._room.acquire_nowait()
                except anyio.WouldBlock:
                    return
                try:
                    with anyio.move_on_after(PATIENCE):
                        await _converse(self._endpoint, stream)
                finally:
                    self._room.release()
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream, OSError):
            pass  # the client is gone
        except Exception as error:
            say(logging.ERROR, "the health couldn't be told", error=error)


async def _converse(endpoint: Endpoint, stream: ByteStream) -> None:
    head = b""
    while b"\r\n\r\n" not in head and b"\n\n" not in head:
        if len(head) > LONGEST_HEAD:
            await _send(stream, Answer(431, b"", ((b"content-length", b"0"),)), "GET")
            return
        head += await stream.receive(LONGEST_HEAD)
    words = head.split(b"\n", 1)[0].decode("latin-1").split()
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        await _send(stream, Answer(400, b"", ((b"content-length", b"0"),)), "GET")
        return
    method, target, _ = words
    await _send(stream, endpoint.answer(method, target.partition("?")[0]), method)


async def _send(stream: ByteStream, answer: Answer, method: str) -> None:
    lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}".encode()]
    lines += [name + b": " + value for name, value in answer.headers]
    lines += [b"connection: close", b"", b"" if method == "HEAD" else answer.body]
    await stream.send(b"\r\n".join(lines))
    await stream.send_eof()
