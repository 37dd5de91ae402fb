"""SEMANTICS 61: what a descriptor makes runs in the actor's turn, or is refused; never half in the caller's task.

Tested: handlers that a descriptor of the class makes, callables of all kinds, on the class that is asked and overridden below
it; functions that yield, and what yields or waits and is handed back; classes that change while their actors run.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import cached_property, partial, partialmethod, singledispatchmethod
from types import SimpleNamespace
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from supervise import Address, NotAHandler, Supervisor, UnknownHandler, concurrent, current
from supervise.testing import FakeAddress, crash_on
from tests.doubles import Gate


def whose(actor: object) -> str:
    """Whose turn it is; `current()` raises in the task of a caller."""
    return f"{type(actor).__name__} in {current().name}"


class Bound:
    """A descriptor that yields a callable."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        wrapper: Any = self
        functools.update_wrapper(wrapper, function)

    def __get__(self, instance: Any, owner: Any = None) -> Callable[..., Any]:
        return partial(self.function, instance) if instance is not None else self.function


class Itself(Bound):
    """One that is itself on the class, and can be called there."""

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return partial(self.function, instance) if instance is not None else self

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)


class Doubler:
    """A callable object, as an attribute of a class: not bound, so the actor is its first argument as of any callable."""

    def __call__(self, actor: object, number: int) -> str:
        return f"{whose(actor)}: {2 * number}"


def traced(function: Callable[..., Any]) -> Any:
    @functools.wraps(function)
    def wrapper(*args: Any) -> Any:
        return function(*args)

    return wrapper


class Desk:
    @singledispatchmethod
    def receive(self, message: object) -> str:
        return f"{whose(self)}: any"

    @receive.register
    def _(self, message: int) -> str:
        return f"{whose(self)}: int"

    @singledispatchmethod
    async def receive_later(self, message: object) -> str:
        await anyio.lowlevel.checkpoint()
        return f"{whose(self)}: any"

    def add(self, left: int, right: int) -> str:
        return f"{whose(self)}: {left + right}"

    async def add_later(self, left: int, right: int) -> str:
        return self.add(left, right)

    increase = partialmethod(add, 1)
    increase_later = partialmethod(add_later, 1)
    double: Callable[[Any, int], str] = lambda self, number: f"{whose(self)}: {2 * number}"
    doubler = Doubler()

    @Bound
    def bound(self, number: int) -> str:
        return f"{whose(self)}: {number}"

    @Itself
    def itself(self, number: int) -> str:
        return f"{whose(self)}: {number}"

    @traced
    def wrapped(self, number: int) -> str:
        return f"{whose(self)}: {number}"

    @functools.lru_cache(maxsize=1)  # noqa: B019
    def cached(self, number: int) -> str:
        return f"{whose(self)}: {number}"

    plus = partial(whose)

    @property
    def shown(self) -> Callable[[], str]:
        return lambda: "shown"

    @cached_property
    def kept(self) -> Callable[[], str]:
        return lambda: "kept"


_Desk: Any = Desk  # its subclasses override what no type checker allows


class Other(_Desk):  # type: ignore[misc]
    """Overrides what the tests name by its base."""

    def receive(self, message: object) -> str:
        return "overridden"

    def increase(self, right: int) -> str:
        return "overridden"

    def bound(self, number: int) -> str:
        return "overridden"


class Turned(_Desk):  # type: ignore[misc]
    """Overrides plain functions by what a descriptor makes."""

    @singledispatchmethod
    def add(self, left: int, right: int) -> str:
        return "dispatched"

    @Bound
    def wrapped(self, number: int) -> str:
        return "bound"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("name", "args", "said"),
    [
        ("receive", (1,), "int"), ("receive", ("a",), "any"), ("receive_later", ("a",), "any"), ("increase", (2,), "3"),
        ("increase_later", (2,), "3"), ("double", (2,), "4"), ("doubler", (2,), "4"), ("bound", (2,), "2"),
        ("itself", (2,), "2"), ("wrapped", (2,), "2"), ("cached", (2,), "2"),
    ],
)  # fmt: skip
async def test_what_a_class_makes_runs_in_the_actors_turn(name: str, args: Any, said: str) -> None:
    async with Supervisor("app") as app:
        desk: Address[Any] = await app.start(Desk)
        for _ in range(2):
            assert await desk.call(getattr(Desk, name), *args) == f"Desk in desk: {said}"
        await desk.send(getattr(Desk, name), *args)
        assert await desk.call(Desk.add, 1, 2) == "Desk in desk: 3"
        assert app.get_childspec("desk").incarnation == 1
        assert app.dead_letters() == []


@pytest.mark.anyio
@pytest.mark.parametrize(("name", "args"), [("receive", (1,)), ("increase", (1,)), ("bound", (1,))])
async def test_a_subclass_overrides_what_a_descriptor_made(name: str, args: Any) -> None:
    async with Supervisor("app") as app:
        other: Address[Any] = await app.start(Other)
        assert await other.call(getattr(Desk, name), *args) == "overridden"


@pytest.mark.anyio
async def test_a_subclass_overrides_a_function_by_a_descriptor() -> None:
    async with Supervisor("app") as app:
        turned: Address[Any] = await app.start(Turned)
        assert await turned.call(Desk.add, 1, 2) == "dispatched"
        assert await turned.call(Desk.wrapped, 1) == "bound"


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["shown", "kept", "receive", "increase"])
async def test_a_descriptor_itself_is_refused_at_the_call(name: str) -> None:
    async with Supervisor("app") as app:
        desk: Address[Any] = await app.start(Desk)
        with pytest.raises(NotAHandler, match="name a plain function of the class"):
            await desk.call(vars(Desk)[name], 1)
        assert desk.account().accepted == 0


@pytest.mark.anyio
async def test_a_function_that_a_subclass_makes_a_property_or_a_class_is_unknown() -> None:
    class Shut(_Desk):  # type: ignore[misc]
        @property
        def add(self) -> int:
            return 1

        @cached_property
        def wrapped(self) -> int:
            return 1

        class double:
            pass

        add_later = dict.__dict__["fromkeys"]

    async with Supervisor("app") as app:
        shut: Address[Any] = await app.start(Shut)
        handlers: list[Any] = [Desk.add, Desk.wrapped, Desk.add_later]
        for handler in handlers:
            with pytest.raises(UnknownHandler, match=r"that runs on an instance.*give a plain function"):
                await shut.call(handler, 1)
        assert app.get_childspec("shut").incarnation == 1


@pytest.mark.anyio
async def test_c_functions_run_on_actors_of_builtin_classes() -> None:
    async with Supervisor("app") as app:
        table: Address[dict[str, int]] = await app.start(lambda: {"a": 1}, name="table")
        stack: Address[list[int]] = await app.start(lambda: [1], name="stack")
        for _ in range(2):
            assert await table.call(dict[str, int].get, "a") == 1
            await stack.send(list[int].append, 2)
        assert await stack.call(list[int].__len__) == 3
        assert await stack.call(operator.length_hint) == 3
        assert await table.call(len) == 1


# -- what yields -------------------------------------------------------------------------------------------------------------


class Search:
    def __init__(self) -> None:
        self.ran: list[str] = []

    async def results(self) -> AsyncIterator[int]:
        self.ran.append("results")
        yield 1

    def lines(self) -> Iterator[int]:
        self.ran.append("lines")
        yield 1

    @contextmanager
    def managed(self) -> Generator[int]:
        self.ran.append("managed")
        yield 1

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[int]:
        self.ran.append("transaction")
        yield 1

    @traced
    def wrapped(self) -> AsyncIterator[int]:
        return self.results()

    def handed_back(self) -> AsyncIterator[int]:
        return self.results()

    async def handed_back_later(self) -> Iterator[int]:
        return self.lines()

    async def forgotten(self) -> Any:
        return self.seen_later()

    def generated(self) -> Iterator[int]:
        return (self.ran.append("generated") or n for n in range(3))  # type: ignore[func-returns-value]

    @concurrent
    async def beside(self) -> AsyncIterator[int]:
        return self.results()

    async def seen_later(self) -> list[str]:
        self.ran.append("seen later")
        return self.ran

    def seen(self) -> list[str]:
        return self.ran

    partly = partialmethod(lines)


class Streamed:
    async def results(self) -> int:
        return 1


class Streams(Streamed):
    async def results(self) -> AsyncIterator[int]:  # type: ignore[override]
        yield 1


class Caller:
    """Is a generator function by its class."""

    def __call__(self, actor: Search) -> Iterator[int]:
        actor.ran.append("caller")
        yield 1


def plain_lines(actor: Search) -> Iterator[int]:
    actor.ran.append("plain")
    yield 1


YIELDING: list[Any] = [Search.results, Search.lines, plain_lines, partial(plain_lines), Caller()]
HANDED_BACK: list[Any] = [
    Search.managed, Search.transaction, Search.wrapped, Search.handed_back, Search.handed_back_later, Search.generated,
    Search.beside, Search.partly,
]  # fmt: skip


@pytest.mark.anyio
@pytest.mark.parametrize("handler", YIELDING + HANDED_BACK, ids=lambda h: getattr(h, "__qualname__", "object"))
async def test_a_body_that_would_run_in_the_callers_task_is_refused(handler: Any) -> None:
    async with Supervisor("app") as app:
        search: Address[Any] = await app.start(Search)
        for _ in range(2):
            with pytest.raises(
                NotAHandler, match=r"yields, and its body would run in its caller's task.*return a list, or send"
            ):
                await search.call(handler)
        assert await search.call(Search.seen) == []
        assert app.get_childspec("search").incarnation == 1
        account = search.account()
        assert (account.failed, account.handled) == (2, 1)
        assert account.balanced


@pytest.mark.anyio
@pytest.mark.parametrize("handler", YIELDING, ids=lambda h: getattr(h, "__qualname__", "object"))
async def test_a_sent_one_is_a_dead_letter(handler: Any) -> None:
    async with Supervisor("app") as app:
        search: Address[Any] = await app.start(Search)
        await search.send(handler)
        assert await search.call(Search.seen) == []
        [letter] = app.dead_letters()
        assert "return a list" in letter.why
        assert app.get_childspec("search").incarnation == 1


@pytest.mark.anyio
async def test_a_subclass_whose_handler_yields_is_refused_by_the_name_of_its_base() -> None:
    async with Supervisor("app") as app:
        streams: Address[Any] = await app.start(Streams)
        with pytest.raises(NotAHandler, match=r"Streams.results yields"):
            await streams.call(Streamed.results)


@pytest.mark.anyio
async def test_a_coroutine_that_nobody_awaited_isnt_run_by_the_caller() -> None:
    async with Supervisor("app") as app:
        search = await app.start(Search)
        with pytest.warns(RuntimeWarning, match="never awaited"):
            with pytest.raises(NotAHandler, match="await it in the handler"):
                await search.call(Search.forgotten)
        assert await search.call(Search.seen) == []


@pytest.mark.anyio
async def test_a_handler_that_met_such_a_refusal_itself_crashes() -> None:
    async def ask(_: Search, other: Address[Any]) -> None:
        await other.call(Search.results)

    async with Supervisor("app") as app:
        first, second = await app.start(Search), await app.start(Search)
        await first.send(ask, second)
        await first.call(Search.seen)
        assert (app.get_childspec("search").incarnation, app.get_childspec("search-2").incarnation) == (2, 1)


@pytest.mark.anyio
async def test_a_fake_address_refuses_the_same() -> None:
    search: Any = FakeAddress(Search)
    for handler in (Search.results, Search.handed_back):
        with pytest.raises(NotAHandler, match="return a list"):
            await search.call(handler)
    assert await search.call(Search.seen) == []


# -- a class that changes ----------------------------------------------------------------------------------------------------


class Base:
    async def work(self) -> str:
        return "base"

    async def other(self) -> str:
        return "other"


@pytest.mark.anyio
async def test_an_attribute_that_is_replaced_is_run_at_the_next_call(monkeypatch: pytest.MonkeyPatch) -> None:
    class Derived(Base):
        pass

    async def patched(self: Any) -> str:
        return "patched"

    def at_once(self: Any) -> str:
        return "at once"

    async with Supervisor("app") as app:
        actor: Address[Base] = await app.start(Derived)
        handler = Base.work
        said: list[str] = []
        for change in (None, (Base, patched), (Derived, at_once), (Base, at_once)):
            if change is not None:
                monkeypatch.setattr(change[0], "work", change[1], raising=False)
            said.append(await actor.call(handler))
            said.append(await actor.call(Base.other))
        monkeypatch.undo()
        assert said == ["base", "other", "patched", "other", "at once", "other", "at once", "other"]
        assert await actor.call(handler) == "base"


@pytest.mark.anyio
async def test_an_attribute_that_is_gone_is_unknown() -> None:
    class Short(Base):
        async def work(self) -> str:
            return "short"

    async with Supervisor("app") as app:
        actor: Address[Any] = await app.start(Short)
        handler = Short.work
        assert await actor.call(handler) == "short"
        del Short.work
        assert await actor.call(handler) == "base"
        Short.work = None  # type: ignore[assignment]
        with pytest.raises(UnknownHandler, match="no handler 'work'"):
            await actor.call(handler)


@pytest.mark.anyio
async def test_a_trap_is_armed_among_messages_that_wait() -> None:
    gate = Gate()

    class Slow:
        async def work(self, first: bool) -> None:
            if first:
                await gate.walk_through()

    async with Supervisor("app") as app:
        slow = await app.start(Slow)
        for first in (True, False, False):
            await slow.send(Slow.work, first)
        await gate.reached.wait()
        with crash_on(slow, Slow.work) as trap:
            gate.open()
            await trap.wait()
            assert trap.happened == 1
        assert await slow.call(lambda _: SimpleNamespace(fine=True)) == SimpleNamespace(fine=True)
