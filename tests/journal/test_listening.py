"""Who can't listen: what has to be awaited, wherever a listener is given.

Tested: a coroutine function, and an object whose call is one, are refused with the cure, and nothing is left un-awaited.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, Final

import pytest

from supervise import DynamicSupervisor, InvalidSpec, RunningSupervisor, Supervisor, child, open_mailbox
from supervise.telemetry import Watchdog
from tests.doubles import Scribe

pytestmark = pytest.mark.anyio


async def listen(*_: object) -> None:
    raise AssertionError("it is never awaited")


class Listening:
    async def __call__(self, *_: object) -> None:
        raise AssertionError("it is never awaited")


@pytest.fixture
async def app() -> AsyncIterator[RunningSupervisor]:
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(Supervisor("app"))


PLACES: Final[dict[str, Callable[[RunningSupervisor, Any], object]]] = {
    "listener": lambda _, it: Supervisor("app", listener=it),
    "listener of a dynamic one": lambda _, it: DynamicSupervisor("app", listener=it),
    "listener of a mailbox": lambda _, it: open_mailbox(Scribe, listener=it),
    "listener of a watchdog": lambda app, it: Watchdog(app, listener=it),
    "subscribe": lambda app, it: app.subscribe(it),
    "on_crash": lambda _, it: Supervisor("app", on_crash=it),
    "on_dead_letter": lambda _, it: Supervisor("app", on_dead_letter=it),
    "on_dead_letter of a child": lambda _, it: child(Scribe, on_dead_letter=it),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("listener", [listen, Listening(), partial(listen, 1)], ids=["function", "object", "partial"])
async def test_what_has_to_be_awaited_is_refused(place: str, listener: Any, app: RunningSupervisor) -> None:
    with pytest.raises(InvalidSpec, match=r"is not valid: a (plain )?function of (one|an) .*(at once|doesn't wait)"):
        PLACES[place](app, listener)


async def test_nobody_can_be_subscribed_and_a_function_can(app: RunningSupervisor) -> None:
    nobody: Any = None
    with pytest.raises(InvalidSpec, match="a function of one event;"):
        app.subscribe(nobody)
    heard: list[object] = []
    app.subscribe(heard.append)
    await app.start(Scribe)
    assert heard
