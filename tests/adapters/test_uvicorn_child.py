"""A real uvicorn server on a loopback port as a child, on the real clock.

Tested: the list of promises, with a uvicorn that crashes; the port is open when it is ready, and closed when it has ended;
requests in hand at a stop; a stop that takes too long; ports that are taken, applications that don't start; that it leaves
signals alone; a clear error on trio; bad input.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from typing import Any

import anyio
import anyio.lowlevel
import pytest

pytest.importorskip("uvicorn")

import uvicorn

from supervise import Address, ExitKind, InvalidSpec, StartFailed, current
from supervise.adapters.uvicorn import Server, server
from supervise.events import Overran
from tests.doubles import Boom
from tests.real_clock import BACKENDS

from .http import get, is_open
from .promises import check, check_normal_end, check_policy, tree


@pytest.fixture(params=BACKENDS[:2])  # asyncio and uvloop
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("uvicorn_is_silent", "uvicorn_looks_at_each_tick")]


@pytest.fixture
def uvicorn_looks_at_each_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    """It calls `callback_notify`, which is how it is crashed here, at one of ten ticks, so once a second."""
    on_tick = uvicorn.Server.on_tick

    def each(self: uvicorn.Server, counter: int) -> Any:
        return on_tick(self, counter - counter % 10)

    monkeypatch.setattr(uvicorn.Server, "on_tick", each)


class Application:
    """An ASGI application that keeps a log, and can be told to misbehave."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.failing = ""
        self.reached, self.release = anyio.Event(), anyio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if scope["path"] == "/slow":
            self.reached.set()
            await self.release.wait()
        if scope["path"] == "/crash":
            raise Boom("in a request")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": current().path.encode()})

    async def _lifespan(self, receive: Any, send: Any) -> None:
        await receive()
        self.log.append("startup")
        if self.failing:
            await send({"type": "lifespan.startup.failed", "message": self.failing})
            return
        await send({"type": "lifespan.startup.complete"})
        try:
            await receive()
        except asyncio.CancelledError:
            self.log.append("cancelled")
            raise
        self.log.append("shutdown")
        await send({"type": "lifespan.shutdown.complete"})


class Breakable:
    """uvicorn calls this back now and then; what it raises crashes uvicorn's own loop."""

    def __init__(self) -> None:
        self.broken = False

    async def __call__(self) -> None:
        if self.broken:
            self.broken = False
            raise Boom("in uvicorn")

    async def crash(self, *_: object) -> None:
        self.broken = True


def configuration(application: Any, notify: Any = None, **more: Any) -> uvicorn.Config:
    given: dict[str, Any] = {
        "port": 0,
        "log_config": None,
        "callback_notify": notify,
        "timeout_notify": 0,
        "ws": "none",
        **more,
    }
    return uvicorn.Config(application, **given)


async def test_it_keeps_the_list_of_promises() -> None:
    breakable, application = Breakable(), Application()
    await check(server(configuration(application, breakable)), breakable.crash, detail="Boom: in uvicorn")
    assert application.log == ["startup", "shutdown"] * 3
    await check_policy(server(configuration(application, breakable)), breakable.crash)


async def test_it_serves_when_it_is_ready_and_again_after_a_crash_and_its_port_is_closed_at_the_end() -> None:
    breakable, application = Breakable(), Application()
    ports: list[int] = []
    async with tree(server(configuration(application, breakable))) as (_, address, witness):
        http: Address[Server] = address
        for life in (1, 2):
            ports.append(await http.call(Server.port))
            assert await get(ports[-1]) == (200, "app/it")
            if life == 1:
                await breakable.crash()
                await witness.ended()
                assert not await is_open(ports[-1])
    assert not await is_open(ports[-1])


async def test_a_request_that_raises_is_the_applications_affair() -> None:
    async with tree(server(configuration(Application()))) as (_, http, witness):
        port = await http.call(Server.port)
        assert (await get(port, "/crash"))[0] == 500
        assert await get(port) == (200, "app/it")
        assert len(witness.events) == 2  # it, and the tree, have started


async def test_its_own_end_is_a_normal_one() -> None:
    async def ask_twice(_: object, http: Address[Any]) -> None:
        await get(await http.call(Server.port))

    await check_normal_end(server(configuration(Application(), limit_max_requests=1)), ask_twice)


async def test_a_stop_lets_a_request_in_hand_end() -> None:
    application = Application()
    answers: list[Any] = []
    async with tree(server(configuration(application))) as (app, http, witness):
        port = await http.call(Server.port)

        async def ask() -> None:
            answers.append(await get(port, "/slow"))

        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            await application.reached.wait()
            group.start_soon(app.terminate_child, "it")
            while await is_open(port):
                await anyio.lowlevel.checkpoint()
            application.release.set()
        assert answers == [(200, "app/it")]
        assert (await witness.ended()).reason.kind is ExitKind.SHUTDOWN
    assert application.log == ["startup", "shutdown"]


async def test_a_request_that_takes_longer_than_the_stop_may_is_cancelled() -> None:
    application = Application()
    async with tree(server(configuration(application)), stop_within=0.3) as (app, http, witness):
        port = await http.call(Server.port)
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            await stream.send(b"GET /slow HTTP/1.1\r\nHost: test\r\n\r\n")
            await application.reached.wait()
            await app.terminate_child("it")
            end = await witness.ended()
            assert end.reason.kind is ExitKind.KILLED
        assert not witness.of(Overran)
    assert application.log == ["startup", "cancelled"]


async def test_an_application_whose_shutdown_hangs_is_cancelled() -> None:
    class Hanging(Application):
        async def _lifespan(self, receive: Any, send: Any) -> None:
            await send({"type": "lifespan.startup.complete"})
            try:
                await anyio.sleep_forever()
            finally:
                self.log.append("cancelled")

    application = Hanging()
    async with tree(server(configuration(application)), stop_within=0.3) as (app, _, witness):
        await app.terminate_child("it")
        assert (await witness.ended()).reason.kind is ExitKind.KILLED
        assert not witness.of(Overran)
    assert application.log == ["cancelled"]


async def test_a_port_that_is_taken_fails_the_start_and_not_the_program() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartFailed, match="address already in use"):
            async with tree(server(configuration(Application(), port=port))):
                raise AssertionError("it runs")


async def test_an_application_that_does_not_start_fails_the_start() -> None:
    application = Application()
    application.failing = "no database"
    with pytest.raises(StartFailed, match="its application's startup failed"):
        async with tree(server(configuration(application))):
            raise AssertionError("it runs")


async def test_signals_are_left_to_whoever_runs_the_tree() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    async with tree(server(configuration(Application()))):
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


async def test_a_start_that_is_given_up_leaves_nothing() -> None:
    class Slow(Application):
        async def _lifespan(self, receive: Any, send: Any) -> None:
            await anyio.sleep_forever()

    with anyio.move_on_after(0.3):
        async with tree(server(configuration(Slow()))):
            raise AssertionError("it runs")


any_server: Any = server


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: any_server(Application()), ["config=", "server(uvicorn.Config(app, port=8000))"]),
        (lambda: any_server(configuration(Application(), workers=2)), ["workers=2", "leave it out"]),
        (lambda: any_server(configuration("m:app", reload=True)), ["reload=True", "leave it out"]),
        (lambda: any_server(uvicorn.Server(configuration(Application()))), ["config="]),
    ],
)
def test_the_wrong_kind_of_object_is_refused_with_the_cure(make: Any, words: list[str]) -> None:
    with pytest.raises(InvalidSpec) as refused:
        make()
    for word in words:
        assert word in str(refused.value)


def test_on_trio_its_start_fails_and_says_why() -> None:
    async def main() -> None:
        with pytest.raises(StartFailed, match="uvicorn needs asyncio, and this tree runs on trio"):
            async with tree(server(configuration(Application()))):
                raise AssertionError("it runs")

    anyio.run(main, backend="trio")
