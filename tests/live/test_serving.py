"""The server's own life: it can't begin, something strikes while it begins or ends, there are no files left."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import resource
import socket
import threading
from collections.abc import Callable, Generator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from supervise import DynamicSupervisor, Supervisor, child
from supervise.live import CantServe, Client, serve
from supervise.live import server as servers
from supervise.live.listening import remove, write
from tests.real_clock import on_the_real_clock

from .asked import GUARD, ask, connected

pytestmark = [pytest.mark.anyio, on_the_real_clock]


class Idle:
    """It has nothing to do."""


def tree() -> Supervisor:
    return Supervisor("app", child(Idle, name="idle"))


def of_servers() -> list[str]:
    """The threads of servers that live."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("live view")]


def is_hung_up_on(client: socket.socket) -> bool:
    """Or it was never taken, or came too late even for that."""
    try:
        return client.recv(1) == b""
    except OSError as error:
        return error.errno in (errno.ECONNRESET, errno.ENOTCONN, errno.EINVAL)


# -- it can't begin --------------------------------------------------------------------------------------------------


async def test_without_a_thread_nothing_is_served_and_that_is_said(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start

    def fails(thread: threading.Thread) -> None:
        if thread.name.startswith("live view"):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", fails)
    async with tree() as app:
        with pytest.raises(CantServe, match="can't start new thread"):
            async with serve(app, runtime / "app.sock"):
                pytest.fail("nobody serves it")
    assert not (runtime / "app.sock").exists()


async def test_without_an_event_loop_for_the_thread_nothing_is_served_and_that_is_said(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(_: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(servers._Server, "_serve", fails)
    async with tree() as app:
        with pytest.raises(CantServe, match="Too many open files"):
            async with serve(app, runtime / "app.sock"):
                pytest.fail("nobody serves it")
    assert not of_servers()


async def test_a_folder_that_cant_be_made_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/proc")
    async with tree() as app:
        with pytest.raises(CantServe, match="/proc/supervise"):
            async with serve(app):
                pytest.fail("it has no socket")


# -- something strikes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("turns", range(6))
async def test_who_comes_as_it_ends_is_hung_up_on_and_nothing_of_him_is_left(runtime: Path, turns: int) -> None:
    """Whatever there is of a connection by then: so many turns of its loop are between that and the stop, or the other way."""
    path, blocked, goes_on = runtime / "app.sock", threading.Event(), threading.Event()
    clients, late = [socket.socket(socket.AF_UNIX) for _ in range(3)], socket.socket(socket.AF_UNIX)

    def block() -> None:
        blocked.set()
        goes_on.wait(GUARD)

    def after(turns: int, then: Callable[[], None]) -> None:
        if turns:
            asyncio.get_running_loop().call_soon(after, turns - 1, then)
        else:
            then()

    def stops() -> None:
        stopping.set()
        after(turns, come_late)

    def come_late() -> None:
        with contextlib.suppress(OSError):  # nobody listens any more
            late.connect(str(path))

    async def stop() -> None:
        server._loop.call_soon_threadsafe(after, turns, stops)
        goes_on.set()
        await servers._Server.stop(server)

    async with tree() as app, serve(app, path):
        alive: list[Any] = [one for one in servers._all if one._thread.is_alive()]
        (server,) = alive
        server._loop.call_soon_threadsafe(block)
        await anyio.to_thread.run_sync(blocked.wait, GUARD)
        stopping = server._stopping
        server._stopping = SimpleNamespace(set=lambda: None, is_set=stopping.is_set)
        server.stop = stop
        for client in clients:
            client.connect(str(path))
    for client in (*clients, late):
        with client:
            client.settimeout(GUARD)
            assert is_hung_up_on(client)


@pytest.mark.parametrize("moment", ["start", "stop"])
async def test_a_cancellation_while_it_begins_or_ends_leaves_no_thread(
    runtime: Path, moment: str, monkeypatch: pytest.MonkeyPatch, anyio_backend_name: str
) -> None:
    """asyncio's own cancel() pierces a shield."""
    until = servers._until
    waits: list[anyio.Event] = []
    cancelled: list[bool] = []

    async def strike(event: anyio.Event) -> None:
        waits.append(event)
        if len(waits) == (1 if moment == "start" else 2):
            if anyio_backend_name == "asyncio":
                task = asyncio.current_task()
                assert task is not None
                asyncio.get_running_loop().call_soon(task.cancel)
            else:
                scope.cancel()
        await until(event)

    async def struck() -> None:
        try:
            async with serve(app, runtime / "app.sock"):
                pass
            await anyio.lowlevel.checkpoint()
        except anyio.get_cancelled_exc_class():
            cancelled.append(True)
            if anyio_backend_name != "asyncio":
                raise

    async with tree() as app:
        with monkeypatch.context() as patch:
            patch.setattr(servers, "_until", strike)
            with anyio.fail_after(GUARD):
                async with anyio.create_task_group() as group:
                    scope = group.cancel_scope
                    group.start_soon(struck)
        assert cancelled == [True]
        assert not of_servers()
        async with serve(app, runtime / "app.sock"):  # the socket is free, and another one answers
            assert (await ask(Client(runtime / "app.sock").snapshot))["tree"]["name"] == "app"


async def test_a_client_that_doesnt_read_holds_up_nobody_who_leaves(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "SLOWNESS", GUARD + 10)  # seconds that leaving may not take
    async with DynamicSupervisor("app") as app:
        for number in range(4000):
            await app.start(Idle, name=f"{number}-{'x' * 100}")
        with anyio.fail_after(GUARD), contextlib.ExitStack() as stack:
            async with serve(app, runtime / "app.sock"):
                slow = stack.enter_context(connected(runtime / "app.sock"))
                slow.sendall(b"GET /live/snapshot HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert await ask(slow.recv, 9) == b"HTTP/1.1 "


# -- no files --------------------------------------------------------------------------------------------------------


class Counts(logging.Handler):
    """Records of asyncio's."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.heard = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.count += 1
        self.heard.set()


@contextlib.contextmanager
def no_file_descriptors() -> Generator[Callable[[], None]]:
    """What it gives takes those that were let go of meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(int(name) for name in os.listdir("/dev/fd")) + 20, hard))
    hog: list[int] = []

    def fill() -> None:
        with contextlib.suppress(OSError):
            while True:
                hog.append(os.open(os.devnull, os.O_RDONLY))

    try:
        fill()
        yield fill
    finally:
        for descriptor in hog:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_without_file_descriptors_a_client_waits_and_the_log_isnt_flooded(runtime: Path) -> None:
    counts = Counts()
    logging.getLogger("asyncio").addHandler(counts)
    try:
        async with tree() as app, serve(app, runtime / "app.sock"):
            await ask(Client(runtime / "app.sock").snapshot)  # what is opened first is open
            with contextlib.ExitStack() as stack:
                late = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(5)]
                connection = late[0]
                with no_file_descriptors() as fill:
                    for connection in late:  # the server may just have hung up on somebody, and have a place for one more
                        fill()
                        connection.settimeout(GUARD)
                        connection.connect(str(runtime / "app.sock"))
                        connection.sendall(b"GET /live/snapshot HTTP/1.1\r\nHost: localhost\r\n\r\n")
                        if await ask(counts.heard.wait, 1.0):
                            break
                    assert counts.heard.is_set()
                assert await ask(connection.recv, 12) == b"HTTP/1.1 200"
    finally:
        logging.getLogger("asyncio").removeHandler(counts)
    assert 0 < counts.count < 10  # with as many tries as may wait in the queue it was 1,024


# -- a process that was forked off -----------------------------------------------------------------------------------


async def test_who_was_forked_off_waits_for_no_thread_that_it_hasnt(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with tree() as app:
        with anyio.fail_after(GUARD):
            async with serve(app, "127.0.0.1:0") as served:
                server = next(server for server in servers._all if server._thread.is_alive())
                with monkeypatch.context() as patch:  # as it is in the child
                    patch.setattr(server._thread, "is_alive", lambda: False)
                    await server.stop()
                assert (await ask(Client(served.url).snapshot))["tree"]["name"] == "app"
    path = runtime / "app.url"
    write(path, "text")
    remove(path, os.getpid() + 1)
    assert path.exists()
    remove(path, os.getpid())
    assert not path.exists()


# -- where it lies ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["木" * 60, "é" * 60, "x" * 300, "half\udc80" * 20])
async def test_a_tree_of_any_name_is_served_in_the_usual_place(name: str) -> None:
    async with Supervisor(name) as app, serve(app) as served:
        assert len(os.fsencode(served.socket)) <= 100
        assert (await ask(Client(served.socket).snapshot))["tree"]["pid"] == os.getpid()
