"""An address in other threads than the event loop's: it blocks there, in order, and says what is wrong.

Tested (SEMANTICS 35): sends and calls of a foreign thread, what they raise, the loop's own thread, a loop that is gone.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from supervise import (
    ActorStopped,
    Address,
    CallTimeout,
    FromThread,
    MailboxClosed,
    OpenMailbox,
    SuperviseError,
    Supervisor,
    WouldDeadlock,
    child,
    open_mailbox,
)
from tests.doubles import Boom, Gate, Scribe
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


@on_the_real_clock
async def test_options_of_the_address_hold_from_a_thread(anyio_backend: Any) -> None:
    async with Supervisor("app", child(Scribe)) as app:
        scribe: Address[Scribe] = app.find("scribe")
        scribe.pause()
        run = InThread()
        hurried = scribe.options(timeout=0.01).from_thread
        await anyio.to_thread.run_sync(run, lambda: hurried.call(Scribe.note, "tea"))
        assert isinstance(run.outcome[0], CallTimeout)
        scribe.resume()


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


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_threads_that_call_while_the_loop_ends_are_all_told(backend: str) -> None:
    for _ in range(5):
        runs = [InThread() for _ in range(8)]
        threads: list[threading.Thread] = []

        async def main(runs: list[InThread] = runs, threads: list[threading.Thread] = threads) -> None:
            async with Supervisor("app", child(Scribe)) as app:
                foreign = app.find("scribe").from_thread
                for run in runs:
                    actions = [lambda: foreign.call(Scribe.note, 1)] * 200
                    threads.append(threading.Thread(target=run, args=actions, daemon=True))
                    threads[-1].start()
                while not runs[0].outcome:
                    await anyio.lowlevel.checkpoint()

        anyio.run(main, backend=backend)
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()
        for outcome in (outcome for run in runs for outcome in run.outcome):
            assert isinstance(outcome, int | ActorStopped | MailboxClosed), outcome


def test_where_a_loop_is_stopped_and_never_closed_who_calls_is_told_once_the_tree_has_ended() -> None:
    loop = asyncio.new_event_loop()
    tree = Supervisor("app", child(Scribe))
    app = loop.run_until_complete(tree.open())
    foreign = app.find("scribe").from_thread
    before, after = InThread(), InThread()
    thread = threading.Thread(target=before, args=(lambda: foreign.call(Scribe.hold, Gate()),), daemon=True)
    thread.start()
    while not app.account().in_hand:
        loop.run_until_complete(asyncio.sleep(0.001))
    loop.call_soon(app.kill, "scribe")
    loop.run_until_complete(app.close())
    thread.join(30)
    assert isinstance(before.outcome[0], SuperviseError)
    thread = threading.Thread(target=after, args=(lambda: foreign.call(Scribe.note, 1),), daemon=True)
    thread.start()
    thread.join(30)
    assert isinstance(after.outcome[0], MailboxClosed)
    loop.close()


def test_who_waits_in_a_loop_that_is_stopped_and_then_closed_is_told() -> None:
    loop = asyncio.new_event_loop()
    app = loop.run_until_complete(Supervisor("app", child(Scribe)).open())
    foreign, run, gate = app.find("scribe").from_thread, InThread(), Gate()
    thread = threading.Thread(target=run, args=(lambda: foreign.call(Scribe.hold, gate),), daemon=True)
    thread.start()
    loop.run_until_complete(gate.reached.wait())
    loop.close()
    thread.join(30)
    assert [type(outcome) for outcome in run.outcome] == [MailboxClosed]


def test_where_the_thread_of_the_loop_has_ended_and_nothing_was_closed_who_calls_is_told() -> None:
    loop = asyncio.new_event_loop()
    opened: list[tuple[OpenMailbox[Scribe], Address[Scribe]]] = []

    async def open_one() -> None:
        opened.append(open_mailbox(Scribe))

    of_the_loop = threading.Thread(target=lambda: loop.run_until_complete(open_one()))
    of_the_loop.start()
    of_the_loop.join(30)
    run = InThread()
    thread = threading.Thread(target=run, args=(lambda: opened[0][1].from_thread.call(Scribe.note, 1),), daemon=True)
    thread.start()
    thread.join(30)
    assert [type(outcome) for outcome in run.outcome] == [MailboxClosed]
    loop.close()


@on_the_real_clock
async def test_an_errand_runs_in_the_context_of_the_thread_that_asks(anyio_backend: Any) -> None:
    tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant", default="nobody")
    seen: list[str] = []

    class Looking:
        """An address that looks at the context in which it is asked."""

        def __init__(self, address: Address[Scribe]) -> None:
            self._address = address
            self._mailbox = address._mailbox

        async def call(self, handler: Any, /, *args: Any, **kwargs: Any) -> Any:
            seen.append(tenant.get())
            return await self._address.call(handler, *args, **kwargs)

    def ask(looking: Any) -> None:
        tenant.set("theirs")
        FromThread(looking).call(Scribe.note, 1)

    with anyio.fail_after(30):
        async with Supervisor("app", child(Scribe)) as app:
            tenant.set("ours")
            thread = threading.Thread(target=ask, args=(Looking(app.find("scribe")),), daemon=True)
            thread.start()
            await anyio.to_thread.run_sync(thread.join)
    assert seen == ["theirs"]
