"""A tree in the lifespan of real Starlette and FastAPI applications, served by a real uvicorn, which is a child itself.

Tested: the addresses in each request's state, valid over a crash and a restart; the tree is stopped after the last request;
a tree that doesn't start; one that gives up, which `on_end` hears of; bad input.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

pytest.importorskip("uvicorn")
pytest.importorskip("fastapi")
pytest.importorskip("starlette")

import uvicorn
from fastapi import FastAPI
from fastapi import Request as FastAPIRequest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from supervise import (
    DynamicSupervisor,
    Intensity,
    InvalidSpec,
    RunningSupervisor,
    StartFailed,
    Supervisor,
    child,
    current,
    task,
)
from supervise.adapters.starlette import lifespan
from supervise.adapters.uvicorn import Server, server
from supervise.tree.tree import TreeEnded
from tests.doubles import Boom
from tests.real_clock import BACKENDS

from .http import get
from .promises import Witness, tree


@pytest.fixture(params=BACKENDS[:2])  # asyncio and uvloop
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("uvicorn_is_silent")]


class Counter:
    def __init__(self) -> None:
        self.total = 0

    async def add(self, amount: int) -> tuple[int, int]:
        if not amount:
            raise Boom("nothing to add")
        self.total += amount
        return self.total, current().incarnation


class Inner:
    """The tree below the application, and what it did."""

    def __init__(self, **options: Any) -> None:
        self.witness = Witness()
        self.counter = child(Counter, name="counter")
        self.workers = DynamicSupervisor("workers")
        poll = child(task(anyio.sleep_forever), name="poll")
        self.tree = Supervisor("inner", self.counter, poll, self.workers, listener=self.witness, **options)


async def add(request: Request) -> JSONResponse:
    amount = int(request.query_params["amount"])
    return JSONResponse([*await request.state.counter.call(Counter.add, amount)])


async def show(request: Request) -> JSONResponse:
    running: RunningSupervisor = request.state.supervisor
    workers: RunningSupervisor = request.state.workers
    return JSONResponse([running.path, workers.path, request.state.poll.path])


async def send_nothing(request: Request) -> JSONResponse:
    await request.state.counter.send(Counter.add, 0)
    return JSONResponse([])


def starlette(inner: Inner, **options: Any) -> Starlette:
    routes = [Route("/add", add), Route("/show", show), Route("/crash", send_nothing)]
    return Starlette(routes=routes, lifespan=lifespan(inner.tree, **names(inner), **options))


def fastapi(inner: Inner, **options: Any) -> FastAPI:
    application = FastAPI(lifespan=lifespan(inner.tree, **names(inner), **options))

    @application.get("/add")
    async def _(request: FastAPIRequest, amount: int) -> list[int]:
        return [*await request.state.counter.call(Counter.add, amount)]

    for path, function in (("/show", show), ("/crash", send_nothing)):
        application.add_route(path, function)
    return application


def names(inner: Inner) -> dict[str, Any]:
    return {"counter": inner.counter, "poll": "poll", "workers": inner.workers}


@asynccontextmanager
async def served(application: Any) -> AsyncGenerator[int]:
    configuration = uvicorn.Config(application, port=0, log_config=None, ws="none")
    async with tree(server(configuration)) as (_, http, _w):
        yield await http.call(Server.port)


@pytest.mark.parametrize("framework", [starlette, fastapi])
async def test_requests_reach_actors_that_crash_and_are_restarted(framework: Any) -> None:
    inner = Inner()
    async with served(framework(inner)) as port:
        assert await get(port, "/show") == (200, ["inner", "inner/workers", "inner/poll"])
        assert await get(port, "/add?amount=1") == (200, [1, 1])
        assert await get(port, "/add?amount=2") == (200, [3, 1])
        assert await get(port, "/crash") == (200, [])
        assert await get(port, "/add?amount=5") == (200, [5, 2])
        assert (await get(port, "/add?amount=0"))[0] == 500
        assert await get(port, "/add?amount=7") == (200, [7, 3])
    ended = await inner.witness.ended(name="inner")
    assert ended.reason.kind.value == "shutdown"


async def test_a_tree_that_does_not_start_keeps_the_application_from_starting() -> None:
    def unborn() -> None:
        raise Boom("no database")

    application = Starlette(lifespan=lifespan(Supervisor("inner", child(unborn))))
    with pytest.raises(StartFailed, match="its application's startup failed"):
        async with served(application):
            raise AssertionError("it runs")


async def test_a_tree_that_gives_up_is_told_to_on_end_and_its_addresses_say_that_they_are_closed() -> None:
    inner = Inner(intensity=Intensity(0))
    ends: list[TreeEnded] = []
    over = anyio.Event()

    def on_end(ended: TreeEnded) -> None:
        ends.append(ended)
        over.set()

    async with served(starlette(inner, on_end=on_end)) as port:
        assert await get(port, "/crash") == (200, [])
        await over.wait()
        assert (await get(port, "/add?amount=1"))[0] == 500
    assert [ended.cause.name for ended in ends] == ["GAVE_UP"]


async def test_on_end_is_not_told_of_an_ordinary_stop() -> None:
    ends: list[TreeEnded] = []
    async with served(starlette(Inner(), on_end=ends.append)):
        pass
    assert ends == []


any_lifespan: Any = lifespan
Make = Callable[[Inner], object]
BAD: list[tuple[Make, list[str]]] = [
    (lambda _: any_lifespan(Counter), ["tree=", "lifespan(Supervisor('app', child(…)))"]),
    (lambda inner: any_lifespan(inner.tree, on_end=7), ["on_end=7", "a function"]),
    (lambda inner: any_lifespan(inner.tree, counter=Counter), ["counter=", "what child(…) returned"]),
    (lambda inner: any_lifespan(inner.tree, counter=child(Counter)), ["counter=", "isn't in the tree 'inner'"]),
    (lambda inner: any_lifespan(inner.tree, supervisor=inner.counter), ["supervisor=", "another name"]),
]


@pytest.mark.parametrize(("make", "words"), BAD)
def test_the_wrong_kind_of_object_is_refused_with_the_cure(make: Make, words: list[str]) -> None:
    with pytest.raises(InvalidSpec) as refused:
        make(Inner())
    for word in words:
        assert word in str(refused.value)
