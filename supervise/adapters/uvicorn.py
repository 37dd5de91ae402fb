"""A uvicorn server as a child. Extra `[uvicorn]`; asyncio only, as uvicorn is."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import anyio

from supervise._backends import current_backend
from supervise.factory import Factory
from supervise.work import Work
from supervise_strategies.errors import InvalidSpec

try:
    import uvicorn
except ImportError:
    raise ImportError("supervise.adapters.uvicorn needs uvicorn: pip install 'supervise-actors[uvicorn]'") from None


class ServerFailed(Exception):
    """uvicorn didn't start: its application's startup failed, or its port couldn't be bound. Its own log says more."""


class _Uvicorn(uvicorn.Server):
    """Signals belong to whoever runs the tree; and the tree wants to know when it has started."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], object]) -> None:
        super().__init__(config)
        self._ready = ready
        self.has_shut_down = False

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()

    async def shutdown(self, sockets: Any = None) -> None:
        await super().shutdown(sockets)
        self.has_shut_down = not self.force_exit  # forced, it doesn't tell the application


class Server:
    """The actor around a uvicorn server: what can be asked of it by messages."""

    __slots__ = ("_ended", "_server", "_started", "_work")

    def __init__(self, config: uvicorn.Config) -> None:
        self._started = anyio.Event()
        self._ended = anyio.Event()
        self._server = _Uvicorn(config, self._started.set)

    async def port(self) -> int:
        """The TCP port on which it listens; with `port=0` in its configuration, the one that this life got."""
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
        try:
            self._server.should_exit = True
            await self._ended.wait()
        except BaseException:
            self._server.force_exit = True  # it waits for connections and requests no more
            raise
        finally:
            await self._clear_up()

    async def _serve(self) -> None:
        server = self._server
        try:
            await server.serve()
        except SystemExit as exit:  # how uvicorn says that it can't start; it isn't the end of the whole tree
            said = exit.__context__
            why = f": {said}" if isinstance(said, Exception) else ", its application's startup failed" * (not server.started)
            raise ServerFailed(f"uvicorn ended with status {exit.code}{why}") from said
        finally:
            self._ended.set()
        if not self._started.is_set():
            raise ServerFailed("uvicorn ended before it had started")

    async def _clear_up(self) -> None:
        """However it ended: no socket, no connection, no request and no application of it is left."""
        server = self._server
        with anyio.CancelScope(shield=True):
            if not self._started.is_set():
                await self._work.end()  # its start is cancelled
            elif not self._ended.is_set():
                await self._ended.wait()
            for listener in getattr(server, "servers", ()):
                listener.close()
            left = [*server.server_state.tasks]
            for request in left:
                request.cancel()
            for connection in [*server.server_state.connections]:
                transport = getattr(connection, "transport", None)
                if transport is not None:
                    transport.abort()
            if left:
                await asyncio.wait(left)
            if not server.has_shut_down and hasattr(server, "lifespan"):
                await server.lifespan.shutdown()
            await self._work.end()


def server(config: uvicorn.Config, /) -> Factory[Server]:
    """A child that serves an ASGI application: `child(server(uvicorn.Config(api, port=8000)), name="http")`.

    It is ready when it listens. A stop lets the requests in hand end, for `stop_within` at most; then they are cancelled. A
    crash of uvicorn itself, or its end by `limit_max_requests`, is the child's; what a request raises is the application's
    affair, as ever. It leaves signals to whoever runs the tree. In a request `current()` is this child.

    Each life serves the same application; with an application that has a lifespan, that is begun and ended each time. The
    address takes `Server.port`. On trio its start fails, and says so. Raises `InvalidSpec` for anything but a
    `uvicorn.Config` of one process.
    """
    if not isinstance(config, uvicorn.Config):
        cure = "the configuration of a server: server(uvicorn.Config(app, port=8000))"
        raise InvalidSpec("server", "config", config, cure)
    if config.should_reload or config.workers > 1:
        field = "reload" if config.should_reload else "workers"
        cure = "these need processes of their own, and a child is one server in this one: leave it out"
        raise InvalidSpec("server", field, getattr(config, field), cure)
    return Factory("server", lambda: Server(config))
