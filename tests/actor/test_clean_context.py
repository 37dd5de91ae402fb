"""SEMANTICS 60: each message begins with a clean context: what a handler set in a context variable isn't there for the next.

Tested: plain functions, coroutine functions that wait and that don't, concurrent ones, streams; sent, called, many at once;
with a task of its own and without; what the factory and the enter hook set is there each time; a value whose equality raises;
a variable that was set and reset; what a handler that waits sees is its own throughout; a restart begins with what its own
start sets; a token of an earlier message raises; what is shown of a handler that waits is the same.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import threading
import weakref
from collections.abc import AsyncGenerator, Callable
from contextvars import ContextVar, Token
from decimal import Decimal
from typing import Any

import anyio
import pytest
import trio

from supervise import Address, Intensity, Supervisor, concurrent, current
from supervise.actor.stack import handler_stack, thread_stack
from supervise.errors import ActorCrashed
from supervise.testing import at_rest
from tests.doubles import Gate

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


# -- what the first one has set ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("handler", [*HANDLERS, Clerk.sometimes], ids=lambda handler: handler.__name__)
@pytest.mark.parametrize("known", [False, True])
async def test_the_first_that_sets_a_variable_keeps_nothing_alive(handler: Callable[..., Any], known: bool) -> None:
    async with Supervisor("app") as app:
        for ask in ("call", "send"):
            clerk: Address[Any] = await app.start(Clerk, NO_LOG)
            for _ in range(2 if known else 0):
                await clerk.call(handler, None)
            tenant = Gate()
            watched = weakref.ref(tenant)
            how: Any = {"wait": True} if handler is Clerk.sometimes else {}
            await getattr(clerk, ask)(handler, tenant, **how)
            await anyio.sleep(1)
            await clerk.call(Clerk.set_and_reset)
            del tenant
            NO_LOG.clear()
            await anyio.sleep(1)
            gc.collect()
            assert watched() is None, ask


@with_own_task
async def test_the_exit_hook_sees_what_the_enter_hook_set(own_task: bool) -> None:
    seen: list[Any] = []

    class Hooked(Entered):
        async def __aexit__(self, *_: object) -> None:
            seen.append((BASE.get(), TENANT.get("reset")))

        async def rebase(self, to: str) -> None:
            BASE.set(to)

    async with Supervisor("app") as app:
        hooked: Address[Any] = await app.start(Hooked, NO_LOG, own_task=own_task)
        for number in range(3):
            await hooked.call(Clerk.waits, number)
            await hooked.call(Hooked.rebase, "by a handler")
    assert seen == [("entered", "nobody")]


async def test_concurrent_handlers_leave_nothing_to_the_next_message() -> None:
    log: list[Any] = []

    def sets(function: Any) -> Any:
        @functools.wraps(function)
        def run(self: Any, tenant: Any) -> Any:
            TENANT.set(("decorated", tenant))
            return function(self, tenant)

        return run

    class Leases(Clerk):
        @sets
        @concurrent
        async def decorated(self, tenant: Any) -> Any:
            return TENANT.get()

    async with Supervisor("app") as app:
        one_by_one: Address[Any] = await app.start(Leases, log)
        ten_at_once: Address[Any] = await app.start(Leases, log, concurrency=10)
        for leases in (one_by_one, ten_at_once):
            for tenant in range(3):
                assert await leases.call(Leases.decorated, tenant) == ("decorated", tenant)
                assert await leases.call(Clerk.plain, tenant) == "nobody"
    assert set(log) == {("nobody", "none")}


# -- where the steps are made --------------------------------------------------------------------------------------------------


def test_what_a_thread_asks_for_on_trio_has_the_context_of_the_thread() -> None:
    class Threads:
        async def ask(self) -> tuple[Any, Any]:
            TENANT.set("handler")
            return await trio.to_thread.run_sync(self.work), TENANT.get()

        def work(self) -> Any:
            TENANT.set("thread")
            return trio.from_thread.run(self.read)

        async def read(self) -> Any:
            return TENANT.get()

    async def main() -> None:
        async with Supervisor("app") as app:
            threads = await app.start(Threads)
            for _ in range(3):
                assert await threads.call(Threads.ask) == ("thread", "handler")

    trio.run(main)


async def test_what_a_decorator_sets_is_there_where_its_handler_goes_on() -> None:
    def sets(function: Any) -> Any:
        @functools.wraps(function)
        def run(self: Any, tenant: Any) -> Any:
            TENANT.set(tenant)
            return function(self, tenant)

        return run

    class Decorated:
        @sets
        async def at_once(self, tenant: Any) -> Any:
            return TENANT.get()

        @sets
        async def waits(self, tenant: Any) -> Any:
            await anyio.sleep(0.01)
            return TENANT.get()

        def plain(self) -> Any:
            return TENANT.get()

    async with Supervisor("app") as app:
        for handler in (Decorated.at_once, Decorated.waits):
            first: Address[Any] = await app.start(Decorated)
            await first.call(handler, 0)  # its class is known from now on
            second: Address[Any] = await app.start(Decorated)
            await second.call(Decorated.plain)
            for tenant in range(3):
                assert await second.call(handler, tenant) == tenant
                assert await second.call(Decorated.plain) == "nobody"


def test_our_own_frames_are_not_shown_of_one_that_blocks() -> None:
    stacks: list[list[str]] = []

    class Blocks:
        async def sets(self) -> None:
            TENANT.set(1)

        async def here(self) -> None:
            stacks.append([line.function for line in thread_stack(threading.get_ident())])

        def here_at_once(self) -> None:
            stacks.append([line.function for line in thread_stack(threading.get_ident())])

    async def main() -> None:
        async with Supervisor("app") as app:
            blocks = await app.start(Blocks)
            for handler in (Blocks.here, Blocks.here_at_once):
                await blocks.send(Blocks.sets)
                await blocks.send(handler)
                await anyio.sleep(0.01)

    anyio.run(main)
    assert [[name for name in stack if "test_our_own" not in name and name != "thread_stack"] for stack in stacks] == [[], []]


def test_a_task_factory_that_gives_its_tasks_another_context() -> None:
    log: list[Any] = []

    def as_it_likes(loop: Any, coroutine: Any, **_: Any) -> asyncio.Task[Any]:
        return asyncio.Task(coroutine, loop=loop)

    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(as_it_likes)
        async with Supervisor("app") as app:
            clerk = await app.start(Clerk, log, own_task=True)
            for handler in (Clerk.plain, Clerk.at_once, Clerk.waits):
                for tenant in range(3):
                    assert await clerk.call(handler, tenant) == "nobody"

    asyncio.run(main())


def test_what_the_start_sets_is_there_with_such_a_factory() -> None:
    def as_it_likes(loop: Any, coroutine: Any, **_: Any) -> asyncio.Task[Any]:
        return asyncio.Task(coroutine, loop=loop)

    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(as_it_likes)
        async with Supervisor("app") as app:
            for factory, base in FACTORIES.items():
                log: list[Any] = []
                clerk: Address[Any] = await app.start(factory, log, own_task=True, restart="permanent")
                for _ in range(2):
                    for tenant in range(2):
                        await clerk.call(Clerk.waits, tenant)
                    await app.operator("ada").restart(clerk.name)
                assert set(log) == {("nobody", base)}

    asyncio.run(main())


async def test_a_variable_without_a_default_is_never_found_with_another_ones_value() -> None:
    cached: ContextVar[dict[str, int]] = ContextVar("cached")
    seen: list[Any] = []

    def cache() -> dict[str, int]:
        try:
            return cached.get()
        except LookupError:
            cached.set({})
            return cached.get()

    class Broke(Exception):
        def __str__(self) -> str:
            return f"{Decimal(250) / 100} left"

    class Account:
        async def __aenter__(self) -> Account:
            return self

        async def __aexit__(self, *_: object) -> None:
            seen.append((cache(), Decimal(1) / 4))

        async def pay(self) -> tuple[Decimal, dict[str, int]]:
            return Decimal(1) / 2, cache()

        async def fail(self) -> None:
            raise Broke

    async with Supervisor("app", intensity=Intensity(10)) as app:
        account = await app.start(Account)
        for _ in range(2):  # decimal's context is made by the first handler, and in C it isn't looked at what is there
            assert await account.call(Account.pay) == (Decimal("0.5"), {})
            assert await account.call(Account.pay) == (Decimal("0.5"), {})
            with pytest.raises(ActorCrashed, match=r"2.5 left"):
                await account.call(Account.fail)
    assert len(seen) > 1  # the last life may be stopped before it has begun
    assert seen == [({}, Decimal("0.25"))] * len(seen)


async def test_an_interrupt_in_an_equality_of_the_users_ends_the_tree() -> None:
    class Struck:
        def __init__(self) -> None:
            self.times = 0

        def __eq__(self, other: object) -> bool:
            raise KeyboardInterrupt("in an equality")

        __hash__ = None  # type: ignore[assignment]

    def made() -> Clerk:
        TENANT.set(Struck())
        return Clerk(NO_LOG)

    with pytest.raises((KeyboardInterrupt, BaseExceptionGroup)) as caught:
        async with Supervisor("app") as app:
            clerk = await app.start(made)
            await clerk.send(Clerk.waits, Struck())
            await anyio.sleep(1)
    assert "in an equality" in repr(caught.value)
