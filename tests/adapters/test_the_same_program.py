"""A program as it is, and in a tree: the same replies, the same errors, and it comes back by itself.

Tested: SEMANTICS 43 and 75: a pykka program, an object in a thread of its own, and a pool of connections. The first two get
1,000 random asks and tells, some of which raise. What a tell raises ends a pykka actor; bare, somebody has to start it again.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
import pytest

from supervise import Address, Intensity, Supervisor, child
from supervise.adapters.own_thread import own_thread
from tests.real_clock import on_the_real_clock

pytest.importorskip("pykka", reason="the adapter adapts pykka")

import pykka

from supervise.adapters.pykka import actor

UNLIMITED = Intensity(1_000_000, per=1)
Request = tuple[str, str, int]


class Refused(Exception):
    """What the program raises at whoever asked."""


class Ledger:
    """The program itself."""

    def __init__(self) -> None:
        self.balance = 0
        self.entries: list[int] = []

    def book(self, amount: int) -> int:
        if self.balance + amount < 0:
            raise Refused(f"only {self.balance}, and not {amount}")
        self.balance += amount
        self.entries.append(amount)
        return self.balance

    def last(self, count: int) -> list[int]:
        return self.entries[-count:]

    def entry(self, index: int) -> int:
        return self.entries[index]


def requests(seed: int, number: int = 1000) -> list[Request]:
    draw = random.Random(seed)
    made: list[Request] = []
    for _ in range(number):
        way = draw.choice(("ask", "ask", "tell"))
        what = draw.choice(("book", "book", "last", "entry"))
        made.append((way, what, draw.randint(-60, 50) if what == "book" else draw.randint(0, 12)))
    return made


def outcome_of(function: Callable[[], Any]) -> Any:
    try:
        return function()
    except Exception as error:
        return type(error), str(error)


async def in_a_tree(tree: Supervisor, name: str, handler: Callable[[str], Any], made: list[Request]) -> tuple[list[Any], int]:
    """The replies to what was asked, and which life it is at the end."""
    replies: list[Any] = []
    life = 0
    async with tree as app:
        address: Address[Any] = app.find(name)
        for way, what, argument in made:
            if way == "tell":
                await address.send(handler(what), *arguments(handler, what, argument))
                continue
            try:
                replies.append(await address.call(handler(what), *arguments(handler, what, argument)))
            except Exception as error:
                replies.append((type(error), str(error)))
        await address.call(handler("last"), *arguments(handler, "last", 1))
        life = app.get_childspec(name).incarnation
    return replies, life


def arguments(handler: Callable[[str], Any], what: str, argument: int) -> tuple[Any, ...]:
    return ((what, argument),) if handler is to_receive else (argument,)


# -- pykka ---------------------------------------------------------------------------------------------------------------


class PykkaLedger(pykka.ThreadingActor):
    """The program, as it stands in a pykka actor."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger()

    def on_receive(self, message: Any) -> Any:
        what, argument = message
        return getattr(self.ledger, what)(argument)


def to_receive(what: str) -> Any:
    return PykkaLedger.on_receive


def bare_pykka(made: list[Request]) -> tuple[list[Any], int]:
    """The same with pykka alone: whoever told it what ended it has to start it again."""
    replies: list[Any] = []
    ref, starts = PykkaLedger.start(), 1
    try:
        for way, what, argument in made:
            if way == "ask":
                replies.append(outcome_of(partial(ref.ask, (what, argument))))
                continue
            ref.tell((what, argument))
            try:
                ref.ask(("last", 1))
            except pykka.ActorDeadError:
                ref, starts = PykkaLedger.start(), starts + 1
    finally:
        ref.stop()
    return replies, starts


@pytest.mark.anyio
@on_the_real_clock
@pytest.mark.parametrize("seed", [1, 2])
async def test_a_pykka_program_gives_the_same_replies_and_lives_where_pykkas_lives(seed: int) -> None:
    made = requests(seed)
    bare, starts = await anyio.to_thread.run_sync(bare_pykka, made)
    tree = Supervisor("app", child(actor(PykkaLedger), name="ledger"), intensity=UNLIMITED)
    replies, life = await in_a_tree(tree, "ledger", to_receive, made)
    assert replies == bare
    assert life == starts
    assert 10 < starts < 300
    assert sum(isinstance(reply, tuple) for reply in bare) > 50


# -- a thread of its own -------------------------------------------------------------------------------------------------


class OneThread(Ledger):
    """The program, as an object that belongs to one thread."""

    def __init__(self) -> None:
        super().__init__()
        self.thread = threading.get_ident()

    def _check(self) -> None:
        assert self.thread == threading.get_ident(), "it is used in another thread"

    def book(self, amount: int) -> int:
        self._check()
        return super().book(amount)

    def last(self, count: int) -> list[int]:
        self._check()
        return super().last(count)

    def entry(self, index: int) -> int:
        self._check()
        return super().entry(index)


def of_the_class(what: str) -> Any:
    return getattr(OneThread, what)


def bare_thread(made: list[Request]) -> tuple[list[Any], int]:
    """The same with an executor of one thread. An error that nobody waits for leaves who knows what: it is built anew."""
    replies: list[Any] = []
    starts = 1
    with ThreadPoolExecutor(1) as executor:
        ledger = executor.submit(OneThread).result()
        for way, what, argument in made:
            done = executor.submit(getattr(ledger, what), argument)
            if way == "ask":
                replies.append(outcome_of(done.result))
            elif done.exception() is not None:
                ledger, starts = executor.submit(OneThread).result(), starts + 1
    return replies, starts


@pytest.mark.anyio
@on_the_real_clock
@pytest.mark.parametrize("seed", [3, 4])
async def test_an_object_in_a_thread_of_its_own_gives_the_same_replies(seed: int) -> None:
    made = requests(seed)
    bare, starts = await anyio.to_thread.run_sync(bare_thread, made)
    tree = Supervisor("app", child(own_thread(OneThread), name="ledger"), intensity=UNLIMITED)
    replies, life = await in_a_tree(tree, "ledger", of_the_class, made)
    assert replies == bare
    assert life == starts
    assert 10 < starts < 300


# -- a pool of connections -----------------------------------------------------------------------------------------------


class Pool:
    """As those of database drivers: it gives out ten connections, and whoever finds none waits."""

    def __init__(self, connections: int = 10) -> None:
        self._free = anyio.CapacityLimiter(connections)

    async def fetch(self, n: int) -> int:
        async with self._free:
            await anyio.sleep(0.02)
            if n % 10 == 0:
                raise Refused(f"no row {n}")
            return n


async def seconds_for(fetch: Callable[[int], Any]) -> tuple[float, list[Any]]:
    """The time that a hundred take at once, and what came of each."""
    came: dict[int, Any] = {}

    async def ask(n: int) -> None:
        try:
            came[n] = await fetch(n)
        except Exception as error:
            came[n] = type(error), str(error)

    begun = anyio.current_time()
    async with anyio.create_task_group() as group:
        for n in range(100):
            group.start_soon(ask, n)
    return anyio.current_time() - begun, [came[n] for n in range(100)]


@pytest.mark.anyio
@pytest.mark.parametrize("concurrency", [10, 100])
async def test_a_pool_of_connections_is_as_fast_in_a_tree_and_a_bad_query_costs_nobody_else(concurrency: int) -> None:
    bare, expected = await seconds_for(Pool().fetch)
    wrapped, came = 0.0, expected[:0]
    async with Supervisor("app", child(Pool, concurrency=concurrency, expects=(Refused,))) as app:
        pool: Address[Pool] = app.find("pool")
        wrapped, came = await seconds_for(pool.recipient(Pool.fetch).call)
        assert app.get_childspec("pool").incarnation == 1
    assert came == expected
    assert bare == pytest.approx(0.2)
    assert bare <= wrapped <= 1.3 * bare
