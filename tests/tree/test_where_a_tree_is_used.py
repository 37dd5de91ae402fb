"""A running tree knows where it may be changed and waited for: in its own thread and event loop, before anything changes.

Tested (SEMANTICS 62): each such call of a handle and of an operator in a foreign thread, in another loop of the same thread,
and in the child of a fork; what only reads works in any thread; the tree goes on, and ends well.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest

from supervise import RunningSupervisor, Supervisor, WrongLoop, WrongProcess, WrongThread, child
from supervise.events import Event
from tests.address.test_forks import error_of, in_child
from tests.address.test_threads_and_loops import InThread
from tests.doubles import Scribe
from tests.real_clock import on_the_real_clock

pytestmark = pytest.mark.anyio


async def _enter(context: Any) -> None:
    await context.__aenter__()


def _ada(app: RunningSupervisor) -> Any:
    return app.operator("ada")


USES: dict[str, Callable[[RunningSupervisor], Any]] = {
    "start": lambda app: app.start(Scribe, name="more"),
    "start_task": lambda app: app.start_task(anyio.sleep, 1),
    "start_child": lambda app: app.start_child(Supervisor("more", child(Scribe))),
    "terminate_child": lambda app: app.terminate_child("scribe"),
    "restart_child": lambda app: app.restart_child("scribe"),
    "delete_child": lambda app: app.delete_child("scribe"),
    "kill": lambda app: app.kill("scribe"),
    "kill_all": lambda app: app.kill_all(),
    "stop": lambda app: app.stop(),
    "stop below": lambda app: app.supervisor("inner").stop(),
    "wait": lambda app: app.wait(),
    "stopping": lambda app: app.stopping(),
    "close": lambda app: app.close(),
    "subscribe": lambda app: app.subscribe(print),
    "events": lambda app: _enter(app.events()),
    "ping": lambda app: app.ping(),
    "operator.pause": lambda app: _ada(app).pause("scribe"),
    "operator.resume": lambda app: _ada(app).resume("scribe"),
    "operator.stop": lambda app: _ada(app).stop("scribe"),
    "operator.start": lambda app: _ada(app).start("scribe"),
    "operator.restart": lambda app: _ada(app).restart("scribe"),
    "operator.change": lambda app: _ada(app).change("scribe", restart="transient"),
}
READS: dict[str, Callable[[RunningSupervisor], Any]] = {
    "find": lambda app: app.find("scribe"),
    "which_children": lambda app: app.which_children(),
    "count_children": lambda app: app.count_children(),
    "explain": lambda app: str(app.explain("scribe")),
    "account": lambda app: app.account(),
    "dead_letters": lambda app: app.dead_letters(),
    "state": lambda app: (app.name, app.path, repr(app), app.running, app.busy, app.restarts, app.ended),
}


def tree() -> Supervisor:
    return Supervisor("app", child(Scribe), Supervisor("inner", child(Scribe, name="other")))


def look(app: RunningSupervisor) -> Any:
    return app.which_children(), app.supervisor("inner").which_children(), app.busy, app.ended


@pytest.mark.parametrize("use", list(USES))
async def test_in_another_thread_each_change_and_wait_is_refused_with_the_cure(use: str) -> None:
    app = await tree().open()
    before = look(app)
    asked: list[Event] = []
    leave = app.subscribe(asked.append)
    foreign = InThread(lambda: USES[use](app)).wait()
    assert isinstance(foreign.error, WrongThread), foreign.error or foreign.result
    assert "anyio.from_thread.run" in str(foreign.error)
    assert str(foreign.error).startswith("app")
    assert (look(app), asked) == (before, [])
    leave()
    assert await app.find("scribe").call(Scribe.note, 1) == 1
    await app.close()


@pytest.mark.parametrize("read", list(READS))
async def test_what_only_reads_works_in_any_thread(read: str) -> None:
    async with tree() as app:
        foreign = InThread(lambda: READS[read](app)).wait()
        assert foreign.error is None
        assert foreign.result == READS[read](app)


@pytest.mark.parametrize("use", list(USES))
def test_in_another_loop_of_the_same_thread_each_is_refused_and_the_tree_goes_on(use: str) -> None:
    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    app = first.run_until_complete(tree().open())

    async def wrong() -> None:
        made = USES[use](app)
        if asyncio.iscoroutine(made):
            await asyncio.wait_for(made, 5)

    before = look(app)
    with pytest.raises(WrongLoop, match="another event loop"):
        second.run_until_complete(wrong())
    second.close()
    assert look(app) == before
    assert first.run_until_complete(app.find("scribe").call(Scribe.note, 1)) == 1
    first.run_until_complete(app.close())
    first.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform doesn't fork")
@on_the_real_clock
async def test_in_a_forked_child_each_is_refused_and_the_parent_is_unharmed(anyio_backend: Any) -> None:
    with anyio.fail_after(60):
        app = await tree().open()
        said = in_child(lambda: {use: error_of(lambda use=use: USES[use](app)) for use in USES})  # type: ignore[misc]
        assert said == dict.fromkeys(USES, WrongProcess.__name__)
        assert await app.find("scribe").call(Scribe.note, 1) == 1
        await app.close()


def test_what_has_ended_says_so_in_any_loop() -> None:
    async def whole() -> RunningSupervisor:
        async with tree() as app:
            pass
        return app

    app = asyncio.run(whole())

    async def ask() -> None:
        await app.wait()
        await app.stopping()
        await app.stop()
        assert [event async for event in _events(app)] == []

    asyncio.run(ask())
    InThread(lambda: app.wait()).wait()


async def _events(app: RunningSupervisor) -> AsyncIterator[Event]:
    async with app.events() as events:
        async for event in events:
            yield event


@on_the_real_clock
async def test_a_thread_of_the_loops_own_hands_a_change_to_it(anyio_backend: Any) -> None:
    async with tree() as app:
        await anyio.to_thread.run_sync(lambda: anyio.from_thread.run(lambda: app.start(Scribe, name="more")))
        assert app.find("more").path == "app/more"
