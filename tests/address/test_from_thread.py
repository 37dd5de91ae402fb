"""An address in other threads than the event loop's: it blocks there, in order, and says what is wrong.

Tested (SEMANTICS 35): sends and calls of a foreign thread, what they raise, the loop's own thread, a loop that is gone.
"""

from __future__ import annotations

import threading
from typing import Any

import anyio
import anyio.to_thread
import pytest

from supervise import (
    ActorStopped,
    Address,
    MailboxClosed,
    Supervisor,
    WouldDeadlock,
    child,
)
from tests.doubles import Boom, Scribe
from tests.real_clock import on_the_real_clock

pytestmark = pytest.mark.anyio


class InThread:
    """Runs something in a foreign thread, and hands over what came of it."""

    def __init__(self) -> None:
        self.outcome: list[Any] = []

    def __call__(self, *actions: Any) -> None:
        for action in actions:
            try:
                self.outcome.append(action())
            except Exception as error:
                self.outcome.append(error)


@on_the_real_clock
async def test_a_foreign_thread_sends_and_calls_in_order_and_blocks(anyio_backend: Any) -> None:
    log: list[Any] = []
    with anyio.fail_after(30):
        async with Supervisor("app", child(Scribe, log)) as app:
            scribe: Address[Scribe] = app.find("scribe")
            run = InThread()
            foreign = scribe.from_thread
            actions = [lambda n=n: foreign.send(Scribe.note, n) for n in range(50)]
            thread = threading.Thread(target=run, args=(*actions, lambda: foreign.call(Scribe.note, "end")))
            thread.start()
            await anyio.to_thread.run_sync(thread.join)
            assert log == [*range(50), "end"]
            assert run.outcome == [None] * 50 + [51]


@on_the_real_clock
async def test_a_thread_gets_what_the_call_raises(anyio_backend: Any) -> None:
    with anyio.fail_after(30):
        async with Supervisor("app", child(Scribe, expects=(Boom,))) as app:
            scribe: Address[Scribe] = app.find("scribe")
            run = InThread()
            foreign = scribe.from_thread
            await anyio.to_thread.run_sync(run, lambda: foreign.call(Scribe.crash))
            assert isinstance(run.outcome[0], Boom)
            await app.terminate_child("scribe")
            await anyio.to_thread.run_sync(run, lambda: foreign.call(Scribe.note, 1))
            assert isinstance(run.outcome[1], ActorStopped)


async def test_in_the_loops_own_thread_it_is_refused_with_the_cure() -> None:
    async with Supervisor("app", child(Scribe)) as app:
        scribe: Address[Scribe] = app.find("scribe")
        with pytest.raises(WouldDeadlock, match="await the address"):
            scribe.from_thread.call(Scribe.note, 1)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_when_the_loop_is_gone_a_thread_is_told_so(backend: str) -> None:
    async def main() -> Address[Scribe]:
        found: list[Address[Scribe]] = []
        async with Supervisor("app", child(Scribe)) as app:
            found.append(app.find("scribe"))
        return found[0]

    run = InThread()
    foreign = anyio.run(main, backend=backend).from_thread
    thread = threading.Thread(target=run, args=(lambda: foreign.call(Scribe.note, 1),))
    thread.start()
    thread.join(30)
    assert isinstance(run.outcome[0], MailboxClosed)
