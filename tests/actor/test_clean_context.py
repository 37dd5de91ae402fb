"""SEMANTICS 60: each message begins with a clean context: what a handler set in a context variable isn't there for the next.

Tested: plain functions, coroutine functions that wait and that don't, concurrent ones, streams; sent, called, many at once;
with a task of its own and without; what the factory and the enter hook set is there each time; a value whose equality raises;
a variable that was set and reset; what a handler that waits sees is its own throughout; a restart begins with what its own
start sets; a token of an earlier message raises; what is shown of a handler that waits is the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextvars import ContextVar, Token
from typing import Any

import anyio
import pytest

from supervise import Address, Supervisor, concurrent, current
from supervise.actor.stack import handler_stack
from supervise.errors import ActorCrashed
from supervise.testing import at_rest

pytestmark = pytest.mark.anyio
TENANT: ContextVar[Any] = ContextVar("tenant", default="nobody")
BASE: ContextVar[str] = ContextVar("base", default="none")
NO_LOG: list[Any] = []


class Unequal:
    def __eq__(self, other: object) -> bool:
        raise ValueError("not to be compared")

    __hash__ = None  # type: ignore[assignment]


class Clerk:
    def __init__(self, log: list[Any]) -> None:
        self.log = log
        self.token: Token[Any] | None = None

    def plain(self, tenant: Any) -> Any:
        return self.note(tenant)

    async def at_once(self, tenant: Any) -> Any:
        return self.note(tenant)

    async def waits(self, tenant: Any) -> Any:
        await anyio.sleep(0.01)
        before = self.note(tenant)
        await anyio.sleep(0.01)
        assert tenant is None or TENANT.get() is tenant
        return before

    async def sometimes(self, tenant: Any, *, wait: bool = False) -> Any:
        if wait:
            await anyio.sleep(0.01)
        return self.note(tenant)

    async def waits_after(self, tenant: Any) -> Any:
        before = self.note(tenant)
        await anyio.sleep(0.01)
        assert tenant is None or TENANT.get() is tenant
        return before

    @concurrent
    async def beside(self, tenant: Any) -> Any:
        before = self.note(tenant)
        await anyio.sleep(0.01)
        assert tenant is None or TENANT.get() is tenant
        return before

    async def stream(self, tenant: Any) -> AsyncGenerator[Any, None]:
        yield self.note(tenant)
        assert TENANT.get() is tenant
        yield tenant

    async def fails(self, tenant: Any) -> None:
        self.note(tenant)
        raise ValueError("as asked")

    def set_and_reset(self) -> Any:
        token = TENANT.set("for a moment")
        TENANT.reset(token)
        return TENANT.get()

    def keep_token(self) -> None:
        self.token = TENANT.set("kept")

    def reset_token(self) -> None:
        assert self.token is not None
        TENANT.reset(self.token)

    def note(self, tenant: Any) -> Any:
        before = TENANT.get()
        self.log.append((before, BASE.get()))
        if tenant is not None:
            TENANT.set(tenant)
        return before


class Entered(Clerk):
    async def __aenter__(self) -> Entered:
        BASE.set("entered")
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


def made(log: list[Any]) -> Clerk:
    BASE.set("made")
    return Clerk(log)


HANDLERS = [Clerk.plain, Clerk.at_once, Clerk.waits, Clerk.waits_after, Clerk.beside]
FACTORIES = {Clerk: "none", Entered: "entered", made: "made"}
each = pytest.mark.parametrize("handler", HANDLERS, ids=lambda handler: handler.__name__)
by_each = pytest.mark.parametrize("factory", list(FACTORIES), ids=lambda factory: factory.__name__)
with_own_task = pytest.mark.parametrize("own_task", [False, True])


@each
@by_each
@with_own_task
@pytest.mark.parametrize("known", [False, True])
async def test_the_next_message_sees_nothing_of_it(
    handler: Callable[..., Any], factory: Any, own_task: bool, known: bool
) -> None:
    log: list[Any] = []
    async with Supervisor("app") as app:
        clerk: Address[Any] = await app.start(factory, log, own_task=own_task)
        for _ in range(2 if known else 0):  # what was asked for before may be answered in the caller's own step
            await clerk.call(handler, None)
        for tenant in range(4):
            assert await clerk.call(handler, tenant) == "nobody"
        for tenant in range(4):
            await clerk.send(handler, tenant)
        await at_rest()
        for mixed in HANDLERS:
            assert await clerk.call(mixed, "other") == "nobody"
            await clerk.send(mixed, "another")
        await at_rest()
    assert set(log) == {("nobody", FACTORIES[factory])}


@pytest.mark.parametrize("call", [True, False])
async def test_the_next_message_sees_nothing_of_one_that_waits_after_its_first_step(call: bool) -> None:
    log: list[Any] = []
    async with Supervisor("app") as app:
        clerk = await app.start(Clerk, log)
        for _ in range(2):  # so that its first step is made by hand
            await clerk.call(Clerk.sometimes, None)
        ask = clerk.call if call else clerk.send
        for tenant in ("a", "b"):
            await ask(Clerk.sometimes, tenant, wait=True)
            await ask(Clerk.at_once, tenant)
        await at_rest()
    assert set(log) == {("nobody", "none")}


@each
async def test_what_is_sent_by_another_actor_sees_nothing_of_it(handler: Callable[..., Any]) -> None:
    log: list[Any] = []

    class Sender:
        async def sends(self, clerk: Address[Clerk]) -> Any:
            TENANT.set("of the sender")
            for tenant in range(3):
                await clerk.send(handler, tenant)
            return await clerk.call(handler, 3)

    async with Supervisor("app") as app:
        clerk, sender = await app.start(Clerk, log), await app.start(Sender)
        for _ in range(3):
            assert await sender.call(Sender.sends, clerk) == "nobody"
    assert set(log) == {("nobody", "none")}


@with_own_task
async def test_a_value_that_cannot_be_compared_is_another_one(own_task: bool) -> None:
    log: list[Any] = []
    async with Supervisor("app") as app:
        clerk = await app.start(made, log, own_task=own_task)
        for handler in HANDLERS * 2:
            await clerk.send(handler, Unequal())
        await at_rest()
        for handler in HANDLERS * 2:
            assert await clerk.call(handler, Unequal()) == "nobody"
    assert set(log) == {("nobody", "made")}


async def test_a_stream_begins_clean_and_keeps_its_own() -> None:
    log: list[Any] = []
    async with Supervisor("app") as app:
        clerk = await app.start(Clerk, log)
        for tenant in ("a", "b", "c"):
            async with clerk.stream_from(Clerk.stream, tenant) as items:
                assert [item async for item in items] == ["nobody", tenant]
            assert await clerk.call(Clerk.waits, "other") == "nobody"
    assert set(log) == {("nobody", "none")}


@by_each
async def test_the_next_life_begins_with_what_its_own_start_sets(factory: Any) -> None:
    log: list[Any] = []
    async with Supervisor("app") as app:
        clerk: Address[Any] = await app.start(factory, log, restart="permanent")
        for handler in (Clerk.waits, Clerk.at_once):
            await clerk.call(handler, "first")
            with pytest.raises(ActorCrashed):
                await clerk.call(Clerk.fails, "second")
            assert await clerk.call(handler, "third") == "nobody"
            await app.operator("ada").restart(clerk.path.partition("/")[2])
            assert await clerk.call(handler, "fourth") == "nobody"
    assert set(log) == {("nobody", FACTORIES[factory])}


async def test_a_variable_that_was_set_and_reset_changes_nothing() -> None:
    async with Supervisor("app") as app:
        clerk = await app.start(Clerk, NO_LOG)
        for _ in range(3):
            assert await clerk.call(Clerk.set_and_reset) == "nobody"
            assert clerk._mailbox.turn is clerk._mailbox.waker  # it sleeps, and has no task


async def test_a_token_of_an_earlier_message_raises() -> None:
    async with Supervisor("app") as app:
        clerk = await app.start(Clerk, NO_LOG, on_error="reply")
        await clerk.call(Clerk.waits, 1)
        await clerk.call(Clerk.keep_token)
        with pytest.raises(ValueError, match="different Context"):
            await clerk.call(Clerk.reset_token)


async def test_a_cancelled_handler_and_one_with_a_scope_of_its_own_see_what_they_set() -> None:
    class Careful:
        def __init__(self) -> None:
            self.seen: list[Any] = []

        async def guarded(self, tenant: str) -> Any:
            before = TENANT.get()
            TENANT.set(tenant)
            try:
                with anyio.move_on_after(0.01):
                    await anyio.sleep_forever()
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self.child)
                await anyio.sleep(10)
            finally:
                self.seen.append((before, TENANT.get()))

        async def child(self) -> None:
            self.seen.append(TENANT.get())

        async def all(self) -> list[Any]:
            return self.seen

    async with Supervisor("app") as app:
        careful = await app.start(Careful)
        for tenant in ("a", "b"):
            with anyio.move_on_after(1):
                await careful.options(on_cancel="cancel").call(Careful.guarded, tenant)
        assert await careful.call(Careful.all) == ["a", ("nobody", "a"), "b", ("nobody", "b")]


async def test_where_its_handler_waits_is_still_shown() -> None:
    functions: list[str] = []
    async with Supervisor("app") as app:
        clerk = await app.start(Clerk, NO_LOG)
        await clerk.call(Clerk.plain, 1)
        await clerk.call(Clerk.waits, 1)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: clerk.call(Clerk.waits, 2))
            await anyio.sleep(0.005)
            life: Any = clerk._mailbox.turn
            functions += [line.function for line in handler_stack(life)]
    assert functions[0] == "Clerk.waits"
    assert "InContext.__next__" not in functions


async def test_its_own_nursery_tasks_see_what_the_handler_set_that_began_them() -> None:
    class Parent:
        def __init__(self) -> None:
            self.seen: list[Any] = []

        async def begin(self, tenant: str) -> None:
            TENANT.set(tenant)
            current().nursery.start_soon(self.task)

        async def task(self) -> None:
            self.seen.append(TENANT.get())

        def all(self) -> list[Any]:
            return self.seen

    async with Supervisor("app") as app:
        parent = await app.start(Parent)
        for tenant in ("a", "b", "c"):
            await parent.call(Parent.begin, tenant)
            await at_rest()
        assert await parent.call(Parent.all) == ["a", "b", "c"]


def test_what_it_awaits_may_be_any_awaitable() -> None:
    class Returns:
        def future(self) -> Any:
            TENANT.set("set")
            loop = asyncio.get_running_loop()
            future = loop.create_future()
            loop.call_soon(future.set_result, TENANT.get())
            return future

        def before(self) -> Any:
            return TENANT.get()

    async def main() -> None:
        async with Supervisor("app") as app:
            returns = await app.start(Returns)
            for _ in range(3):
                assert await returns.call(Returns.future) == "set"
                assert await returns.call(Returns.before) == "nobody"

    asyncio.run(main())
