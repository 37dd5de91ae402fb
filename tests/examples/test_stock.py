"""The FastAPI service whose handlers call an actor: what its callers get, and what its tree makes of it.

Tested: ten thousand bad requests are answered with errors, and not one restart comes of them; a lost connection is one restart,
and the request that was in hand is answered all the same.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from examples.service.stock import DATABASE, app, tree

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)]  # as FastAPI


@asynccontextmanager
async def served() -> AsyncGenerator[dict[str, Any]]:
    """The application between its start and its end, without a server; its state."""
    state: dict[str, Any] = {}
    started, ending, ended = anyio.Event(), anyio.Event(), anyio.Event()
    told = iter(({"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}))

    async def receive() -> Any:
        if started.is_set():
            await ending.wait()
        return next(told)

    async def send(message: Any) -> None:
        (ended if started.is_set() else started).set()
        assert message["type"].endswith(".complete"), message

    async with anyio.create_task_group() as group:
        group.start_soon(app, {"type": "lifespan", "asgi": {"version": "3.0"}, "state": state}, receive, send)
        await started.wait()
        yield state
        ending.set()
        await ended.wait()


async def take(state: dict[str, Any], item: str, amount: object) -> tuple[int, Any]:
    """One request: its status and its answer."""
    answer: list[Any] = []
    scope: dict[str, Any] = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": f"/items/{item}/take", "raw_path": b"", "root_path": "", "query_string": f"amount={amount}".encode(),
        "headers": [], "client": None, "server": ("here", 80), "state": dict(state),
    }  # fmt: skip

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        answer.append(message)

    await app(scope, receive, send)
    body = b"".join(message.get("body", b"") for message in answer)
    return answer[0]["status"], json.loads(body)


async def test_ten_thousand_bad_requests_are_answered_and_not_one_restart_comes_of_them() -> None:
    bad = [("plum", 1, 404), ("pear", 4, 422), ("apple", 0, 422), ("apple", "x", 422)]
    async with served() as state:
        stock = state["stock"]
        for number in range(10_000):
            item, amount, status = bad[number % len(bad)]
            assert (await take(state, item, amount))[0] == status
        assert await take(state, "apple", 1) == (200, DATABASE.rows["apple"])
        assert tree.running is not None
        assert tree.running.get_childspec("stock").incarnation == 1
        account = stock.account()
        assert (account.failed, account.handled, account.dead_lettered) == (7_500, 1, 0)


async def test_a_lost_connection_is_one_restart_and_its_request_is_answered_all_the_same() -> None:
    async with served() as state:
        before = DATABASE.connections
        DATABASE.lost = True
        answers: list[tuple[int, Any]] = []
        async with anyio.create_task_group() as group:

            async def ask() -> None:
                answers.append(await take(state, "apple", 1))

            for _ in range(20):
                group.start_soon(ask)
        assert [status for status, _ in answers] == [200] * 20
        assert len({left for _, left in answers}) == 20
        assert tree.running is not None
        info = tree.running.get_childspec("stock")
        assert (info.incarnation, info.restarts, DATABASE.connections) == (2, 1, before + 1)
