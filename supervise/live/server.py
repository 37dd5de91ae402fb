"""The server: a thread with an event loop of its own, which answers also while the tree's loop is blocked.

It is a daemon thread that ends, with all its connections, when the `async with` of `serve` is left. Nothing of it runs in the
tree's loop but what it asks for there, in slices, and the actions of operators.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import socket
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from weakref import WeakSet

import anyio

from supervise._backends import current_backend
from supervise.log import say
from supervise.tree.running import RunningSupervisor
from supervise.tree.supervisor import Runnable
from supervise_strategies.errors import InvalidSpec
from supervise_strategies.exit_reason import describe
from supervise_strategies.kind import is_of

from .board import plain
from .endpoint import Endpoint
from .gate import LOOPBACK, Gate, Peer, is_loopback, name_in, peer_of
from .hand import Hand
from .listening import BACKLOG, CantServe, host_and_port, remove, tcp_socket, unix_socket, usual_place, write
from .log_feed import LogFeed
from .lookout import Lookout
from .request import LONGEST_HEAD, Gone, Refused, Request, answer, begin, read
from .tally import Tallies

if TYPE_CHECKING:
    from supervise.tree.snapshot import Source

CONNECTIONS: Final = 64
"""At a time, on the socket, and as many over HTTP; what comes above is closed at once."""
PATIENCE: Final = 5.0
"""Seconds that a client may take to say what it wants."""
SLOWNESS: Final = 10.0
"""Seconds for which an answer may wait for a client that doesn't read; then its connection is cut."""
FAREWELL: Final = 0.2
"""The same, when the server ends."""
TURNS: Final = 5
"""Turns of the loop for whoever is being accepted when the server ends; asyncio needs three."""
BUFFER: Final = 64 * 1024
"""Bytes that wait for a client."""


@dataclass(frozen=True, slots=True)
class Served:
    """Where a tree is served; `serve` yields it.

    `socket` is always there. `url` is over HTTP, with the token after `#`, where no server is
    told it. `beyond`: other machines can reach it over HTTP. What is said there, the token too,
    is in clear.

        >>> from pathlib import Path
        >>> Served(Path("run/app.sock")).url is None
        True
    """

    socket: Path
    url: str | None = None
    """Over HTTP, with the token after `#`, where no server is told it."""
    beyond: bool = False
    """Whether other machines can reach it over HTTP. What is said there, the token too, is in clear."""


@asynccontextmanager
async def serve(
    tree: Source, where: str | os.PathLike[str] | None = None, /, *, operate: bool = False
) -> AsyncGenerator[Served]:
    """Let a running tree be seen from outside, as long as the block lasts.

        tree: A running one, or its description, which needn't run yet. The block is in the
            tree's own event loop.
        where: The path of a unix socket. Or `HOST:PORT`, for HTTP and the page, beside a socket
            in the user's run-time folder; port 0 is any that is free. That socket alone is the
            default.
        operate: Whether it can be handled from there, too: restarted, stopped, paused (default
            False). Who asks is told as an event.

    The socket is for its user alone, and over HTTP a token is asked for. Mind that HTTP is in
    clear: `Served.beyond`.

    Nothing runs in the tree while nobody looks. A survey of it is taken in its loop in slices
    of 1 ms, each at least 100 times its own cost after the one before. All else is done in a
    thread. Raises `CantServe`, `WrongFolder`, and `InvalidSpec` for what is no tree.

        >>> import anyio, tempfile
        >>> tree = Supervisor("app", child(list, name="cart"))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     async with tree, serve(tree, f"{folder}/app.sock", operate=True) as served:
        ...         await anyio.to_thread.run_sync(Client(served.socket).act, "restart", "cart")
        'cart is restarted'
    """
    _check_tree(tree)
    async with serving(lambda: tree, where, operate=operate) as served:
        yield served


@asynccontextmanager
async def serving(
    tree: Callable[[], Source], where: str | os.PathLike[str] | None = None, /, *, operate: bool = False
) -> AsyncGenerator[Served]:
    """The same of whichever tree that function names when somebody looks: one may follow another."""
    url = file = None
    address = None if where is None or isinstance(where, os.PathLike) else host_and_port(where)
    with contextlib.ExitStack() as stack:
        if where is None or address is not None:
            path = usual_place(tree().name)
        else:
            path = Path(os.path.abspath(where))  # noqa: ASYNC240 - it asks for the working directory alone
        unix = stack.enter_context(unix_socket(path))
        token = secrets.token_urlsafe(24)
        hosts: tuple[str, ...] = LOOPBACK
        tcp: socket.socket | None = None
        beyond = address is not None and not is_loopback(address[0])
        if address is not None:
            host, port = address
            tcp = stack.enter_context(tcp_socket(host, port))
            port = tcp.getsockname()[1]
            hosts = (*LOOPBACK, name_in(f"[{host}]" if ":" in host else host))
            url = f"http://{f'[{host}]' if ':' in host else host}:{port}/#token={token}"
            file = path.with_suffix(".url")
            write(file, url)
            stack.callback(remove, file, os.getpid())
        raised: BaseException | None = None
        async with anyio.create_task_group() as group:
            hand = Hand(group)
            group.start_soon(hand.run)
            server = _Server(Lookout(tree, current_backend()), Gate(token, hosts, beyond, operate), hand, unix, tcp)
            try:
                await server.start()
                yield Served(path, url, beyond)
            except BaseException as error:  # it leaves as it is, and in no group
                if is_of(error, anyio.get_cancelled_exc_class(), GeneratorExit):
                    raise
                raised = error
            finally:
                await server.stop()
                group.cancel_scope.cancel()
        if raised is not None:
            raise raised


class _Server:
    """One thread."""

    def __init__(self, lookout: Lookout, gate: Gate, hand: Hand, unix: socket.socket, tcp: socket.socket | None) -> None:
        self._lookout = lookout
        self._gate = gate
        self._hand = hand
        self._sockets = (unix, tcp)
        self._tallies = Tallies()
        self._soon = current_backend().from_anywhere()
        self._began = anyio.Event()
        self._over = anyio.Event()
        self._thread = threading.Thread(target=self._run, name=f"live view of {lookout.name}", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._open: set[asyncio.Task[None]] = set()
        self._connections: set[asyncio.StreamWriter] = set()
        self._count = {True: 0, False: 0}
        self._endpoint: Endpoint | None = None
        self._serves = False
        self._failed: BaseException | None = None  # why it never did
        _all.add(self)

    def forked(self) -> None:
        """In a process that was forked off, where nobody answers: let go of what clients would wait for there."""
        for listening in self._sockets:
            if listening is not None:
                listening.close()
        for writer in self._connections:
            with contextlib.suppress(OSError):
                os.close(writer.get_extra_info("socket").fileno())

    # -- in the tree's loop ------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Until it answers. Raises `CantServe`."""
        try:
            self._thread.start()
        except RuntimeError as error:
            raise _no_thread(self._lookout.name, error) from error
        await _until(self._began)
        if self._failed is not None:
            raise _no_thread(self._lookout.name, self._failed) from self._failed

    async def stop(self) -> None:
        """End it, and wait for that, whatever strikes meanwhile: its sockets are closed only then.

        No request takes long, and none is waited for.
        """
        if not self._thread.is_alive():  # it couldn't be started, or is another process's, from which this one was forked off
            self._tallies.end()
            return
        loop, stopping = self._loop, self._stopping
        if loop is not None and stopping is not None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(stopping.set)
        try:
            await _until(self._over)
        finally:
            self._thread.join()
            self._tallies.end()

    # -- in the thread -----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            if self._serves:
                say(logging.ERROR, "the live view of %s has ended", self._lookout.name, error=error)
            else:
                self._failed = error
        finally:
            self._soon(self._began.set)
            self._soon(self._over.set)

    async def _serve(self) -> None:
        self._loop = self._hand.loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._endpoint = endpoint = Endpoint(self._lookout, self._gate, self._hand, LogFeed(), self._tallies)
        unix, tcp = self._sockets
        servers: list[asyncio.Server] = []
        # asyncio tries to take as many at once as may wait. Where no file descriptor is left, each of these tries is a record.
        servers.append(await asyncio.start_unix_server(self._accept(True), sock=unix, limit=LONGEST_HEAD, backlog=1))
        if tcp is not None:
            servers.append(await asyncio.start_server(self._accept(False), sock=tcp, limit=LONGEST_HEAD, backlog=1))
        for listening in self._sockets:
            if listening is not None:
                listening.listen(BACKLOG)
        self._serves = True
        self._soon(self._began.set)
        await self._stopping.wait()
        # What is still being accepted as a server is closed, asyncio would leave open: it is let come to its end before.
        for listening in self._sockets:
            if listening is not None:
                self._loop.remove_reader(listening)
        for _ in range(TURNS):
            await asyncio.sleep(0)
        for server in servers:
            server.close()
        endpoint.feeds.end()
        endpoint.logs.end()
        for task in [*self._open]:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    def _accept(self, local: bool) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]:
        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if self._count[local] >= CONNECTIONS:
                writer.transport.abort()
                return
            self._count[local] += 1
            self._connections.add(writer)
            task = asyncio.get_running_loop().create_task(self._converse(reader, writer, local))
            self._open.add(task)
            task.add_done_callback(lambda task: self._left(task, writer, local))

        return accept

    def _left(self, task: asyncio.Task[None], writer: asyncio.StreamWriter, local: bool) -> None:
        """Of a task that was cancelled before its first step, too."""
        writer.transport.abort()
        self._connections.discard(writer)
        self._open.discard(task)
        self._count[local] -= 1

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, local: bool) -> None:
        writer.transport.set_write_buffer_limits(high=BUFFER)
        try:
            async with asyncio.timeout(PATIENCE):
                request = await read(reader)
            peer = peer_of(writer.get_extra_info("socket")) if local else Peer()
            await self._answer(request, peer, reader, writer)
        except Refused as refused:
            body = plain({"error": str(refused)})
            with contextlib.suppress(OSError, TimeoutError):
                await _send(writer, answer(refused.status, body, "application/json", *refused.headers))
        except (Gone, TimeoutError, OSError):
            pass
        except Exception as error:
            say(logging.ERROR, "the live view of %s couldn't answer", self._lookout.name, error=error)
            with contextlib.suppress(OSError, TimeoutError):
                await _send(writer, answer(500, plain({"error": f"it couldn't be told: {type(error).__name__}"})))
        finally:
            assert self._stopping is not None
            await _close(writer, FAREWELL if self._stopping.is_set() else SLOWNESS)

    async def _answer(self, request: Request, peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert self._endpoint is not None
        found = await self._endpoint.answer(request, peer)
        if isinstance(found, bytes):
            await _send(writer, found)
            return
        left = asyncio.ensure_future(_until_left(reader))
        try:
            async with contextlib.aclosing(found):
                await _send(writer, begin(200, "text/event-stream"))
                while not left.done():
                    part = asyncio.ensure_future(anext(found))
                    try:
                        await asyncio.wait([part, left], return_when=asyncio.FIRST_COMPLETED)
                        if not part.done():
                            return
                        await _send(writer, part.result())
                    except StopAsyncIteration:
                        return
                    finally:
                        part.cancel()
                        await asyncio.gather(part, return_exceptions=True)
        finally:
            left.cancel()


async def _until_left(reader: asyncio.StreamReader) -> None:
    """Until a client that is told something closes its side."""
    with contextlib.suppress(OSError):
        while await reader.read(1024):
            pass


async def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    """All of it, if the client goes on taking it. Raises TimeoutError, OSError."""
    for at in range(0, len(data), BUFFER):
        writer.write(data[at : at + BUFFER])
        async with asyncio.timeout(SLOWNESS):
            await writer.drain()


async def _close(writer: asyncio.StreamWriter, patience: float) -> None:
    """Let what was written go out, and hang up."""
    try:
        if writer.can_write_eof():
            writer.write_eof()
        async with asyncio.timeout(patience):
            writer.close()
            await writer.wait_closed()
    except (OSError, TimeoutError, RuntimeError):
        writer.transport.abort()


async def _until(event: anyio.Event) -> None:
    """Wait for it; what strikes meanwhile leaves only then. A native cancel() pierces a shield, and Ctrl-C comes anywhere."""
    struck: BaseException | None = None
    with anyio.CancelScope(shield=True):
        while not event.is_set():
            try:
                await event.wait()
            except BaseException as error:
                if is_of(error, GeneratorExit, Exception):  # the loop is gone: nobody can wait here
                    raise
                struck = error
    if struck is not None:
        raise struck


def _no_thread(name: str, why: BaseException) -> CantServe:
    return CantServe(
        f"{name}: it is served by a thread with an event loop of its own, and there can't be one ({describe(why)}): "
        "let the process have more threads or files"
    )


def _check_tree(tree: object) -> None:
    if not isinstance(tree, RunningSupervisor | Runnable):
        raise InvalidSpec("serve", "tree", tree, "a running tree, or the Supervisor that describes it")


_all: Final[WeakSet[_Server]] = WeakSet()


def _forked() -> None:
    for server in _all:
        server.forked()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_forked)
