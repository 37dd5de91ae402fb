"""A tree that runs in a thread of its own and is served over HTTP, for tests that look at it from outside as a browser does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import anyio
from anyio.from_thread import BlockingPortal, start_blocking_portal

from supervise import RunningSupervisor, Supervisor
from supervise.live import Served, serve

HANG: Final = 60.0
"""Seconds after which what a test holds up goes on by itself."""


@dataclass(frozen=True)
class Live:
    """It, from the test's thread."""

    portal: BlockingPortal
    app: RunningSupervisor
    served: Served

    @property
    def url(self) -> str:
        assert self.served.url is not None
        return self.served.url

    @property
    def port(self) -> int:
        found = urlsplit(self.url).port
        assert found is not None
        return found

    @property
    def base(self) -> str:
        return self.url.partition("#")[0]

    @property
    def token(self) -> str:
        return self.url.partition("#token=")[2]

    def send(self, path: str, handler: Callable[..., Any], *args: Any) -> None:
        """A message to an actor, in its loop."""

        async def send() -> None:
            await self.app.find(path).send(handler, *args)

        self.portal.call(send)

    def soon(self, function: Callable[..., Any], *args: Any) -> None:
        """Call a coroutine function in a task of its own; what it raises is its own affair."""

        async def run() -> None:
            with suppress(Exception):
                await function(*args)

        self.portal.start_task_soon(run)


@contextmanager
def live(tree: Supervisor, *, operate: bool = False, port: int = 0, backend: str = "asyncio") -> Generator[Live]:
    """Run and serve it in the block."""
    with (
        start_blocking_portal(backend) as portal,
        portal.wrap_async_context_manager(tree) as app,
        portal.wrap_async_context_manager(serve(app, f"127.0.0.1:{port}", operate=operate)) as served,
    ):
        yield Live(portal, app, served)


class Worker:
    """An actor that does what tests need."""

    def __init__(self, other: Callable[[], Any] | None = None) -> None:
        self._other = other

    async def work(self) -> None:
        """As quick as can be."""

    async def refuse(self, text: str) -> None:
        raise RuntimeError(text)

    async def hold(self) -> None:
        """Until it is cancelled."""
        await anyio.sleep_forever()

    async def ask(self) -> None:
        """Wait for another one's answer."""
        assert self._other is not None
        await self._other().call(Worker.hold)

    async def block(self, until: threading.Event) -> None:
        """Hold up the whole event loop."""
        until.wait(HANG)
