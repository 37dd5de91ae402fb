"""A uvicorn server as a child. Extra `[uvicorn]`; asyncio only, as uvicorn is.

Begin with `server`. `Server` is what its address takes; `ServerFailed` is what a failed
start says.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Generator
from typing import Any, Final

import anyio

from supervise._backends import current_backend
from supervise.actor.factory import Factory
from supervise.tree.work import Work
from supervise_strategies.errors import InvalidSpec
from supervise_strategies.exception import context_of

try:
    import uvicorn
except ImportError:
    raise ImportError("supervise.adapters.uvicorn needs uvicorn: pip install uvicorn") from None


FORCED: Final = 0.5  # seconds in which uvicorn, which looks every 0.1 s, sees that it has to end at once


class ServerFailed(Exception):
    """uvicorn didn't start: its application's startup failed, or its port couldn't be bound.

    Its own log says more.

        >>> import socket, uvicorn
        >>> async def api(scope, receive, send):
        ...     pass
        >>> with socket.create_server(("127.0.0.1", 0)) as somebody:
        ...     config = uvicorn.Config(api, port=somebody.getsockname()[1], lifespan="off", log_config=None)
        ...     async with Supervisor("app") as app:
        ...         await app.start(server(config))
        Traceback (most recent call last):
        ChildStartFailed: child 'server' didn't start: ServerFailed: uvicorn ended with status ...
    """


class _Uvicorn(uvicorn.Server):
    """Signals belong to whoever runs the tree; and the tree wants to know when it has started."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], object]) -> None:
        super().__init__(config)
        self._ready = ready
        self.has_shut_down = False
        self.application: asyncio.Task[Any] | None = None
        """In which uvicorn runs the application's lifespan, and which it doesn't keep."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    async def startup(self, sockets: Any = None) -> None:
        main = getattr(self.lifespan, "main", None)
        if main is not None:  # None: the application has no lifespan

            async def seen() -> None:
                self.application = asyncio.current_task()
                await main()

            self.lifespan.main = seen
        await super().startup(sockets)
        if self.started:
            self._ready()

    async def shutdown(self, sockets: Any = None) -> None:
        await super().shutdown(sockets)
        self.has_shut_down = not self.force_exit  # forced, it doesn't tell the application


class Server:
    """The actor around a uvicorn server; `server` makes it.

    Its address takes `Server.port`.

        >>> import uvicorn
        >>> async def api(scope, receive, send):
        ...     pass
        >>> config = uvicorn.Config(api, port=0, lifespan="off", log_config=None)
        >>> async with Supervisor("app") as app:
        ...     http = await app.start(server(config), name="http")
        ...     await http.call(Server.port) > 0
        True
    """

    __slots__ = ("_ended", "_server", "_started", "_work")

    def __init__(self, config: uvicorn.Config) -> None:
        self._started = anyio.Event()
        self._ended = anyio.Event()
        self._server = _Uvicorn(config, self._started.set)

    async def port(self) -> int:
        """The TCP port on which it listens.

        With `port=0` in its configuration, the one that this life got.
        """
        name: Any = self._server.servers[0].sockets[0].getsockname()
        return int(name[1])

    # -- life ----------------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Server:
        backend = current_backend().name
        if backend != "asyncio":
            raise RuntimeError(f"uvicorn needs asyncio, and this tree runs on {backend}: run it there, or use another server")
        self._work = work = Work()
        work.start_outlasting(self._serve)
        try:
            await self._started.wait()
        except BaseException:
            await self._clear_up()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        server = self._server
        try:
            server.should_exit = True
            await self._ended.wait()
            if not server.has_shut_down:  # it crashed, and left all as it was
                await server.shutdown()
        except BaseException:
            server.force_exit = True  # it waits for connections and requests no more
            raise
        finally:
            await self._clear_up()

    async def _serve(self) -> None:
        server = self._server
        try:
            await server.serve()
        except SystemExit as exit:  # how uvicorn says that it can't start; it isn't the end of the whole tree
            said = context_of(exit)
            why = f": {said}" if isinstance(said, Exception) else ", its application's startup failed" * (not server.started)
            raise ServerFailed(f"uvicorn ended with status {exit.code}{why}") from said
        finally:
            self._ended.set()
        if not self._started.is_set():
            raise ServerFailed("uvicorn ended before it had started")

    async def _clear_up(self) -> None:
        """However it ended: no socket, no connection, no request and no lifespan of it is left."""
        server = self._server
        with anyio.CancelScope(shield=True):
            if self._started.is_set():
                with anyio.move_on_after(FORCED):
                    await self._ended.wait()
            await self._work.end()  # what is still there, a start that is given up for one, is cancelled
            for listener in getattr(server, "servers", ()):
                listener.close()
            for connection in [*server.server_state.connections]:
                transport = getattr(connection, "transport", None)
                if transport is not None:
                    transport.abort()
            left: set[asyncio.Task[Any]] = {*server.server_state.tasks}
            if server.application is not None:
                left.add(server.application)  # it has ended, unless it wasn't asked, or took too long
            for task in left:
                task.cancel()
            if left:
                await asyncio.wait(left)


def server(config: uvicorn.Config, /) -> Factory[Server]:
    r"""A child that serves an ASGI application by uvicorn.

    For example `child(server(uvicorn.Config(api, port=8000)), name="http")`. It is ready when
    it listens. A stop lets the requests in hand end, for `stop_within` at most; then they are
    cancelled. It leaves signals to whoever runs the tree. A crash of uvicorn itself, or its end
    by `limit_max_requests`, is the child's; what a request raises is the application's affair,
    as ever. In a request `current()` is this child.

    Each life serves the same application; with an application that has a lifespan, that is
    begun and ended each time. The address takes `Server.port`. On trio its start fails, and
    says so. Raises `InvalidSpec` for anything but a `uvicorn.Config` of one process.

        >>> import anyio, uvicorn
        >>> async def api(scope, receive, send):
        ...     await send({"type": "http.response.start", "status": 204, "headers": []})
        ...     await send({"type": "http.response.body"})
        >>> async with Supervisor("app") as app:
        ...     http = await app.start(server(uvicorn.Config(api, port=0, lifespan="off", log_config=None)))
        ...     async with await anyio.connect_tcp("127.0.0.1", await http.call(Server.port)) as client:
        ...         await client.send(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
        ...         (await client.receive()).splitlines()[0]
        b'HTTP/1.1 204 No Content'
    """
    if not isinstance(config, uvicorn.Config):
        cure = "the configuration of a server: server(uvicorn.Config(app, port=8000))"
        raise InvalidSpec("server", "config", config, cure)
    if config.should_reload or config.workers > 1:
        field = "reload" if config.should_reload else "workers"
        cure = "these need processes of their own, and a child is one server in this one: leave it out"
        raise InvalidSpec("server", field, getattr(config, field), cure)
    return Factory("server", lambda: Server(config))
