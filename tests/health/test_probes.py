"""The probes over real sockets and as an ASGI application, on the real clock.

Tested: status and body of /live and /ready in a tree's states; HEAD, unknown paths and methods; input that isn't HTTP,
too long, slow or cut off; mounted in a FastAPI application; a port that is taken; no file descriptors left; what is asked
raises, and so does the log; nothing is left.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import resource
import socket
from collections.abc import Generator
from typing import Any

import anyio
import pytest

from supervise import InvalidSpec, RunningSupervisor, Supervisor, child
from supervise.health import Endpoint, serve
from supervise.health import probes as probes_module
from supervise.tree import snapshot as snapshot_module
from tests.adapters.http import get
from tests.doubles import Scribe
from tests.real_clock import on_the_real_clock

pytestmark = [pytest.mark.anyio, on_the_real_clock]
HOST = "127.0.0.1"


def tree() -> Supervisor:
    return Supervisor("app", child(Scribe))


async def said(port: int, request: bytes) -> bytes:
    async with await anyio.connect_tcp(HOST, port) as stream:
        await stream.send(request)
        answer = b""
        try:
            async for piece in stream:
                answer += piece
        except anyio.BrokenResourceError:  # it was closed with something unread
            pass
        return answer


async def test_live_ready_and_tree_follow_the_tree() -> None:
    description = tree()
    async with serve(description, HOST, 0) as port:
        assert (await get(port, "/live"))[0] == (await get(port, "/ready"))[0] == 503
        async with description as app:
            assert await get(port, "/live") == (200, {"live": True, "ready": True, "degraded": False, "why": []})
            assert (await get(port, "/ready?verbose"))[0] == 200
            await app.operator("ada").stop("scribe")
            assert await get(port, "/ready") == (
                503,
                {"live": True, "ready": False, "degraded": False, "why": ["app/scribe is stopped"]},
            )
            assert (await get(port, "/live"))[0] == 200
            assert (await get(port, "/tree"))[0] == 404
        assert (await get(port, "/live"))[0] == 503


async def test_ready_is_red_while_it_stops() -> None:
    answers: list[int] = []

    class Last:
        async def __aenter__(self) -> Last:
            return self

        async def __aexit__(self, *_: object) -> None:
            answers.append((await get(port[0], "/ready"))[0])
            answers.append((await get(port[0], "/live"))[0])

    description, port = Supervisor("app", child(Last)), [0]
    async with serve(description, HOST, 0) as port[0]:
        async with description:
            assert (await get(port[0], "/ready"))[0] == 200
    assert answers == [503, 200]


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", b"404"),
        (b"POST /ready HTTP/1.1\r\nHost: x\r\n\r\n", b"405"),
        (b"GET /ready\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", b"400"),
        (b"GET /ready SMTP/1.1\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000, b"431"),
    ],
)
async def test_what_is_no_good_request_gets_its_status(request_: bytes, status: bytes) -> None:
    async with tree() as app, serve(app, HOST, 0) as port:
        answer = await said(port, request_)
        assert answer.startswith(b"HTTP/1.1 " + status) or (status == b"431" and answer == b"")
        assert (await get(port, "/ready"))[0] == 200


async def test_head_has_the_headers_and_no_body() -> None:
    async with tree() as app, serve(app, HOST, 0) as port:
        answer = await said(port, b"HEAD /ready HTTP/1.1\r\nHost: x\r\n\r\n")
        head, _, body = answer.partition(b"\r\n\r\n")
        assert body == b""
        assert b"content-type: application/json" in head
        assert b"cache-control: no-store" in head
        assert b"connection: close" in head


async def test_a_client_that_says_nothing_or_half_of_it_holds_up_nobody_and_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    async with tree() as app, serve(app, HOST, 0) as port:
        async with await anyio.connect_tcp(HOST, port) as silent, await anyio.connect_tcp(HOST, port) as half:
            await half.send(b"GET /re")
            assert (await get(port, "/ready"))[0] == 200
            await silent.aclose()
    monkeypatch.setattr(probes_module, "PATIENCE", 0.0)
    async with tree() as app, serve(app, HOST, 0) as port:
        assert await said(port, b"GET /re") == b""


async def test_above_the_most_connections_a_client_is_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes_module, "MOST", 1)
    async with tree() as app, serve(app, HOST, 0) as port:
        async with await anyio.connect_tcp(HOST, port) as first:
            await first.send(b"GET /re")
            assert await said(port, b"") == b""
        while not (await said(port, b"GET /ready HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.1 200"):
            await anyio.lowlevel.checkpoint()


async def test_a_port_that_is_taken_raises() -> None:
    async with tree() as app, serve(app, HOST, 0) as port:
        with pytest.raises(OSError, match=r"."):
            async with serve(app, HOST, port):
                pass


# -- as an ASGI application -----------------------------------------------------------------------------------------


async def asked(endpoint: Endpoint, path: str, **scope: Any) -> tuple[int, Any]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    await endpoint({"type": "http", "method": "GET", "path": path, **scope}, receive, send)
    start, body = sent
    return start["status"], json.loads(body["body"])


async def test_the_asgi_application_gives_the_same_answers() -> None:
    description = tree()
    endpoint = Endpoint(description)
    assert (await asked(endpoint, "/live"))[0] == 503
    async with description:
        assert await asked(endpoint, "/ready") == (200, {"live": True, "ready": True, "degraded": False, "why": []})
        assert (await asked(endpoint, "/health/ready", root_path="/health"))[0] == 200
        assert (await asked(endpoint, "/ready", root_path="/health"))[0] == 200
        assert (await asked(endpoint, "/nothing"))[0] == 404
        assert (await asked(endpoint, "/live", method="DELETE"))[0] == 405


async def test_it_takes_part_in_a_lifespan_and_in_nothing_but_http() -> None:
    sent: list[str] = []
    asks = iter(["lifespan.startup", "lifespan.shutdown"])

    async def send(message: Any) -> None:
        sent.append(message["type"])

    async def receive() -> Any:
        return {"type": next(asks)}

    endpoint = Endpoint(tree())
    await endpoint({"type": "lifespan"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    with pytest.raises(RuntimeError, match="speaks HTTP alone, not websocket"):
        await endpoint({"type": "websocket"}, receive, send)


async def test_mounted_in_a_fastapi_application() -> None:
    fastapi = pytest.importorskip("fastapi")
    api = fastapi.FastAPI()
    description = tree()
    api.mount("/health", Endpoint(description))
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    async with description:
        scope: dict[str, Any] = {
            "type": "http",
            "method": "GET",
            "path": "/health/ready",
            "headers": [],
            "query_string": b"",
            "root_path": "",
        }
        await api(scope, receive, send)
    assert sent[0]["status"] == 200


@pytest.mark.parametrize("source", [None, "app"])
async def test_an_endpoint_of_no_tree_is_refused_when_it_is_made(source: Any) -> None:
    with pytest.raises(InvalidSpec, match="a running tree"):
        Endpoint(source)


async def test_a_bug_in_what_looks_ends_one_connection_and_no_more(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def breaks(*_: object) -> Any:
        raise ValueError("a bug")

    async with tree() as app, serve(app, HOST, 0) as port:
        assert isinstance(app, RunningSupervisor)
        with monkeypatch.context() as patch:
            patch.setattr(Endpoint, "answer", breaks)
            assert await said(port, b"GET /ready HTTP/1.0\r\n\r\n") == b""
        assert (await get(port, "/ready"))[0] == 200
    assert "couldn't be told" in caplog.text


# -- when all goes wrong --------------------------------------------------------------------------------------------


@contextlib.contextmanager
def no_file_descriptors() -> Generator[None]:
    """As a process has them that leaks some: none."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir("/dev/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 20, hard))
    hog: list[int] = []
    try:
        with contextlib.suppress(OSError):
            while True:
                hog.append(os.open(os.devnull, os.O_RDONLY))
        yield
    finally:
        for descriptor in hog:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Hears(logging.Handler):
    """Waits for a record, and then raises what a log handler might."""

    def __init__(self, then: BaseException | None) -> None:
        super().__init__()
        self.then = then
        self.heard: list[str] = []
        self.event = anyio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(record.getMessage())
        self.event.set()
        if self.then is not None:
            raise self.then


@contextlib.contextmanager
def hearing(then: BaseException | None = None) -> Generator[Hears]:
    handler, logger = Hears(then), logging.getLogger("supervise")
    logger.addHandler(handler)
    try:
        yield handler
    finally:
        logger.removeHandler(handler)


@pytest.mark.parametrize("then", [None, OSError("the log's disk"), SystemExit(1), GeneratorExit()])
async def test_a_probe_without_file_descriptors_ends_nothing_and_is_answered_later(
    monkeypatch: pytest.MonkeyPatch, then: BaseException | None
) -> None:
    monkeypatch.setattr(probes_module, "ACCEPT_AGAIN", 0.0)
    async with tree() as app, serve(app, HOST, 0) as port:
        assert (await get(port, "/live"))[0] == 200
        with socket.socket() as probe, hearing(then) as hears:
            probe.setblocking(False)
            with no_file_descriptors():
                assert probe.connect_ex((HOST, port)) in (0, errno.EINPROGRESS)
                await hears.event.wait()
            for _ in range(20):
                await anyio.lowlevel.checkpoint()
            assert [said for said in hears.heard if "no connection can be taken" in said and "Too many open files" in said]
            assert len(hears.heard) == 1  # once in so many seconds, however often it was tried
        assert (await get(port, "/live"))[0] == 200


@pytest.mark.parametrize("error", [ValueError("a bug"), SystemExit(3), RecursionError(), GeneratorExit()])
async def test_what_is_asked_and_raises_is_a_500_and_the_service_lives_on(
    error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raises(*_: object) -> None:
        raise error

    async with tree() as app, serve(app, HOST, 0) as port:
        with monkeypatch.context() as patch, hearing(ValueError("so does the log")) as hears:
            patch.setattr(snapshot_module, "_child", raises)  # as the length of a user's own queue would
            for path in ("/ready", "/live"):
                status, body = await get(port, path)
                assert (status, type(error).__name__ in body["error"]) == (500, True)
                assert (await asked(Endpoint(app), path))[0] == 500
            assert len(hears.heard) == 4
        assert (await get(port, "/ready"))[0] == 200
