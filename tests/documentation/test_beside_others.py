"""What the guide says of other libraries is tried on them, as far as they are installed.

Tested: the table of what each makes of the same crash, row by row; and what the page says of single ones. The extra `[bench]`
brings most of them. They run on event loops of their own, by the real clock: a test waits for what happens, never for a time.
"""

from __future__ import annotations

import asyncio
import gc
import importlib.metadata
import re
import threading
import warnings
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import make_dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

import anyio
import anyio.lowlevel
import pytest
import sniffio
import trio

from supervise import ActorCrashed, Supervisor, child

PAGE: Final = (Path(__file__).parents[2] / "examples" / "guide" / "beside-others.md").read_text(encoding="utf-8")
SOON: Final = 0.2
"""Seconds after which an answer that never comes is given up."""
HANG_GUARD: Final = 10


class Row(NamedTuple):
    """What is seen of one library. Each cell of the page's table begins with it."""

    waits: str
    """What becomes of messages that waited when the one before them crashed the actor."""
    asks: str
    """What whoever asked gets, when the actor crashes at it."""
    full: str
    """What a full mailbox does, if nothing is said of it but how many it holds."""
    group: str
    """Which siblings a restart can take along."""
    runs: str


def library(module: str, extra: str = "extra [bench]") -> Any:
    return pytest.importorskip(module, reason=f"{module} isn't installed: {extra}")


def derived(base: Any, body: type) -> Any:
    """The class `body`, derived from one of a library, which need not be there for type checkers."""
    return type(body.__name__, (body, base), {})


async def until(happened: Callable[[], bool]) -> None:
    with anyio.fail_after(HANG_GUARD):
        while not happened():  # noqa: ASYNC110 - it happens in others' code, which sets no event
            await anyio.sleep(0.001)


async def asked(answer: Awaitable[Any], error: type[BaseException], late: type[BaseException]) -> str:
    """What whoever asks gets: the error, sooner or later, or nothing in time."""
    try:
        await answer
    except late:
        return "a timeout"
    except error:
        return "the error"
    raise AssertionError("an answer")


async def filling(send: Callable[[int], Awaitable[None]], open_gate: Callable[[], None], refused: type[BaseException]) -> str:
    """What a mailbox that holds two does with six messages, while its actor stands at a gate."""
    sent: list[int] = []

    async def fill() -> None:
        for number in range(6):
            await send(number)
            sent.append(number)

    try:
        with anyio.move_on_after(SOON) as waits:
            await fill()
    except refused:
        return "raises"
    finally:
        open_gate()
    return "waits" if waits.cancelled_caught else "takes all"


def backends(start: Callable[[], Coroutine[Any, Any, str]]) -> str:
    """Where it runs: on asyncio, and perhaps on trio."""
    assert asyncio.run(start()) == "asyncio"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of coroutines that nobody awaits, since nothing runs
        try:
            found = trio.run(start)
        except (RuntimeError, trio.TrioInternalError):
            found = ""
        gc.collect()
    return "asyncio and trio" if found == "trio" else "asyncio"


# -- the same scene for each: an actor that adds, and crashes at what is below 0 ---------------------------------------------


def in_pykka() -> Row:
    pykka = library("pykka", "extra [pykka]")
    gate, done = threading.Event(), list[int]()

    class Adds:
        def on_receive(self, message: Any) -> int:
            if message is gate:
                gate.wait(HANG_GUARD)
                return 0
            if message < 0:
                raise ValueError(message)
            done.append(message)
            return len(done)

    kind = derived(pykka.ThreadingActor, Adds)
    counter = kind.start()
    counter.tell(gate)
    for number in (1, -1, 2):
        counter.tell(number)
    reply = counter.ask(3, block=False)
    gate.set()
    with pytest.raises(pykka.ActorDeadError):
        reply.get(timeout=HANG_GUARD)
    with pytest.raises(pykka.ActorDeadError):
        counter.tell(4)
    assert done == [1], "what was told is gone without a word"

    gate.clear()
    other = kind.start()
    with pytest.raises(ValueError, match="-1"):
        other.ask(-1)
    assert other.is_alive()
    other.tell(gate)
    for number in range(10_000):
        other.tell(number)
    gate.set()
    assert other.ask(0) == 10_002
    other.stop()
    return Row("lost", "the error", "no bound", "nobody", "threads")


def in_tapio() -> Row:
    tapio = library("tapio")
    model: Any = importlib.import_module("pydantic").create_model
    total: Any = model("Total", __base__=tapio.Message, value=(int, ...))
    add: Any = model("Add", __base__=tapio.Message, amount=(int, ...))
    ask: Any = model("Ask", __base__=tapio.Message, amount=(int, ...), reply_to=(tapio.ActorRef[total], ...))
    lives: list[str] = []

    def kind(name: str, gate: asyncio.Event | None = None) -> Any:
        class Counts:
            msg_type = add | ask
            count = 0

            async def on_message(self, message: Any) -> Any:
                if gate is not None:
                    await gate.wait()
                if message.amount < 0:
                    raise ValueError(message)
                self.count += message.amount
                if isinstance(message, ask):
                    message.reply_to.tell(total(value=self.count))
                return tapio.Behaviors.same()

        behavior = derived(tapio.AbstractBehavior, Counts)

        def begin(context: Any) -> Any:
            lives.append(name)
            return behavior(context)

        return tapio.Behaviors.setup(begin)

    def asking(amount: int) -> Callable[[Any], Any]:
        return lambda reply_to: ask(amount=amount, reply_to=reply_to)

    async def scene() -> tuple[str, str, str, str]:
        settings = tapio.TapioSettings(ask_timeout=timedelta(seconds=SOON))
        async with tapio.ActorSystem("scene", settings) as system:
            restarts = tapio.SupervisorStrategy.restart()
            counter = system.spawn(tapio.Behaviors.supervise(kind("counter")).on_failure(restarts), "counter")
            sibling = system.spawn(kind("sibling"), "sibling")
            for amount in (1, -1, 2, 3):
                counter.tell(add(amount=amount))
            reply = await counter.ask(asking(0), expect=total)
            asks = await asked(counter.ask(asking(-1), expect=total), ValueError, tapio.AskTimeoutError)
            await sibling.ask(asking(0), expect=total)
            assert lives.count("counter") == 3
            group = "nobody" if lives.count("sibling") == 1 else "all"

            resumes = tapio.Behaviors.supervise(kind("resumed")).on_failure(tapio.SupervisorStrategy.resume())
            resumed = system.spawn(resumes, "resumed")
            for amount in (1, -1, 2):
                resumed.tell(add(amount=amount))
            assert (await resumed.ask(asking(0), expect=total)).value == 3, "with the state that it had"

            stopped = system.spawn(kind("stopped"), "stopped")
            stopped.tell(add(amount=-1))
            with pytest.raises(tapio.AskTargetTerminated):
                await stopped.ask(asking(0), expect=total)

            gate = asyncio.Event()
            small = system.spawn(kind("small", gate), "small", mailbox=tapio.MailboxConfig(capacity=2))

            async def tell(number: int) -> None:
                small.tell(add(amount=number))

            full = await filling(tell, lambda: None, tapio.MailboxFullError)
            with anyio.move_on_after(SOON) as waits:
                while True:
                    await small.offer(add(amount=1))
            assert waits.cancelled_caught, "offer waits for room"
            gate.set()
        return "kept" if reply.value == 5 else "lost", asks, full, group

    async def start() -> str:
        async with tapio.ActorSystem("backend"):
            return sniffio.current_async_library()

    return Row(*asyncio.run(scene()), backends(start))


def casty_actor(casty: Any, body: Callable[[Any], Any], messages: Any, **options: Any) -> Any:
    """An actor whose messages are of this type; its annotation is made here."""
    body.__annotations__ = {"ctx": messages, "return": None}
    return casty.actor(**{"initial": None, **options})(body)


def in_casty() -> Row:
    casty = library("casty")
    add: Any = make_dataclass("Add", [("amount", int)], bases=(casty.Askable[int],), frozen=True)
    lives: list[str] = []

    async def count(ctx: Any) -> None:
        lives.append(ctx.key)
        total = 0
        async for message in ctx.inbox:
            amount = message if isinstance(message, int) else message.amount
            if amount < 0:
                raise ValueError(amount)
            total += amount
            if not isinstance(message, int):
                message.reply_to.tell(total)

    now = casty.Backoff(first=timedelta(0), limit=timedelta(0))
    counter = casty_actor(casty, count, casty.Context[None, int | add], backoff=now)

    async def scene() -> tuple[str, str, str, str]:
        async with casty.ActorSystem() as system:
            one, sibling = system.ref(counter, "counter"), system.ref(counter, "sibling")
            await sibling.ask(add(0))
            for amount in (1, -1, 2, 3):
                one.tell(amount)
            total = await one.ask(add(0))
            asks = await asked(one.ask(add(-1)), casty.ActorFailed, TimeoutError)
            await sibling.ask(add(0))
            group = "nobody" if lives.count("sibling") == 1 else "all"

            gate, got = asyncio.Event(), list[int]()

            async def stands(ctx: Any) -> None:
                async for message in ctx.inbox:
                    await gate.wait()
                    got.append(message)

            small = system.ref(casty_actor(casty, stands, casty.Context[None, int], mailbox=2), "small")

            async def tell(number: int) -> None:
                small.tell(number)

            assert await filling(tell, gate.set, casty.MailboxFull) == "takes all"
            await until(lambda: len(got) >= 2)
            small.tell(99)
            await until(lambda: 99 in got)
        full = "drops" if len(got) < 7 else "no bound"
        return "kept" if total == 5 else "lost", asks, full, group

    async def start() -> str:
        async with casty.ActorSystem():
            return sniffio.current_async_library()

    return Row(*asyncio.run(scene()), backends(start))


def in_lapinbeam() -> Row:
    lapinbeam = library("lapinbeam")
    lives: list[str] = []

    def kind(name: str, gate: asyncio.Event | None = None, got: list[int] | None = None) -> Any:
        class Counter:
            def __init__(self) -> None:
                lives.append(name)
                self.total = 0

            async def receive(self, message: int) -> None:
                if gate is not None:
                    await gate.wait()
                if message < 0:
                    raise ValueError(message)
                self.total += message
                if got is not None:
                    got.append(message)
                if lapinbeam.current_message().reply_to is not None:
                    await lapinbeam.current_message().reply(self.total)

        return lapinbeam.actor(name=name)(Counter)

    async def scene() -> tuple[str, str, str, str]:
        async with lapinbeam.Node("scene@127.0.0.1:0") as node:
            counter = lapinbeam.Supervisor(node=node).spawn(kind("counter"))
            for amount in (1, -1, 2, 3):
                await counter.send(amount)
            total = await counter.ask(0, timeout=HANG_GUARD)
            asks = await asked(counter.ask(-1, timeout=SOON), ValueError, TimeoutError)
        restarted: dict[str, set[str]] = {}
        for strategy, members in (("one_for_one", "b"), ("rest_for_one", "bc"), ("one_for_all", "abc")):
            lives.clear()
            async with lapinbeam.Node("group@127.0.0.1:0") as node:
                supervisor = lapinbeam.Supervisor(node=node, strategy=strategy)
                actors = [supervisor.spawn(kind(name)) for name in "abc"]
                await until(lambda: len(lives) == 3)
                await actors[1].send(-1)
                await until(lambda: len(lives) >= 3 + len(members))  # noqa: B023 - it is awaited here
                assert {*lives[3:]} == {*members}
            restarted[strategy] = {*lives[3:]}
        gate, got = asyncio.Event(), list[int]()
        async with lapinbeam.Node("full@127.0.0.1:0", mailbox_capacity=2) as node:
            small = lapinbeam.Supervisor(node=node).spawn(kind("small", gate, got))
            assert await filling(small.send, gate.set, Exception) == "takes all"
            await until(lambda: len(got) >= 2)
            await small.send(99)
            await until(lambda: 99 in got)
        full = "drops" if len(got) < 7 else "no bound"
        group = "all, or the younger" if len(restarted["rest_for_one"]) == 2 else "all"
        return "kept" if total == 5 else "lost", asks, full, group

    async def start() -> str:
        async with lapinbeam.Node("backend@127.0.0.1:0"):
            return sniffio.current_async_library()

    return Row(*asyncio.run(scene()), backends(start))


def in_everything() -> Row:
    actors = library("actor_for_agents")
    lives: list[str] = []

    class Counts:
        context: Any
        total = 0

        async def on_started(self) -> None:
            lives.append(self.context.self_ref.name)

        async def on_receive(self, message: int) -> int:
            if message < 0:
                raise ValueError(message)
            self.total += message
            return self.total

    class Parent:
        context: Any

        async def on_receive(self, message: Any) -> Any:
            return [await self.context.spawn(counter_type, name) for name in ("counter", "sibling")]

        def supervisor_strategy(self) -> Any:
            return actors.AllForOneStrategy()

    counter_type, parent_type = derived(actors.Actor, Counts), derived(actors.Actor, Parent)

    async def scene() -> tuple[str, str, str, str]:
        system = actors.ActorSystem("scene")
        counter, _sibling = await (await system.spawn(parent_type, "parent")).ask(0)
        for amount in (1, -1, 2, 3):
            await counter.tell(amount)
        total = await counter.ask(0)
        asks = await asked(counter.ask(-1), ValueError, TimeoutError)
        await until(lambda: lives.count("sibling") > 1)

        top = await system.spawn(counter_type, "top")
        for amount in (1, -1, 2):
            await top.tell(amount)
        assert await top.ask(0) == 3, "who has no parent isn't restarted: it goes on with what it has"

        gate = asyncio.Event()

        class Stands:
            async def on_receive(self, message: int) -> None:
                await gate.wait()

        small = await system.spawn(derived(actors.Actor, Stands), "small", mailbox_size=2)
        full = await filling(small.tell, gate.set, actors.MailboxFullError)
        await system.shutdown()
        return "kept" if total == 5 else "lost", asks, full, "all"

    async def start() -> str:
        system = actors.ActorSystem("backend")
        await (await system.spawn(counter_type, "counter")).ask(0)
        await system.shutdown()
        return sniffio.current_async_library()

    return Row(*asyncio.run(scene()), backends(start))


def papyra_system() -> tuple[Any, Any, Any]:
    library("papyra", "`pip install papyra`")
    return (
        importlib.import_module("papyra.system").ActorSystem,
        importlib.import_module("papyra.actor").Actor,
        importlib.import_module("papyra.supervision"),
    )


def in_papyra() -> Row:
    system_of, actor, supervision = papyra_system()
    lives: list[str] = []

    class Counts:
        total = 0

        async def receive(self, message: int) -> int:
            if message < 0:
                raise ValueError(message)
            self.total += message
            return self.total

    counter_type = derived(actor, Counts)

    def named(name: str) -> Callable[[], Any]:
        def make() -> Any:
            lives.append(name)
            return counter_type()

        return make

    async def scene() -> tuple[str, str, str, str]:
        restarts = supervision.SupervisionPolicy(strategy=supervision.Strategy.RESTART)
        async with system_of() as system:
            counter = system.spawn(named("counter"), policy=restarts)
            system.spawn(named("sibling"), policy=restarts)
            for amount in (1, -1, 2, 3):
                await counter.tell(amount)
            total = await counter.ask(0)
            asks = await asked(counter.ask(-1), ValueError, TimeoutError)
            assert lives.count("counter") == 3
            group = "nobody" if lives.count("sibling") == 1 else "all"

            gate = anyio.Event()

            class Stands:
                async def receive(self, message: int) -> None:
                    await gate.wait()

            small = system.spawn(derived(actor, Stands), mailbox_capacity=2)
            full = await filling(small.tell, gate.set, ValueError)
        return "kept" if total == 5 else "lost", asks, full, group

    async def start() -> str:
        async with system_of() as system:
            await system.spawn(counter_type).ask(0)
            return sniffio.current_async_library()

    return Row(*asyncio.run(scene()), backends(start))


def in_supervise() -> Row:
    class Counter:
        def __init__(self) -> None:
            self.total = 0

        async def add(self, amount: int) -> int:
            if amount < 0:
                raise ValueError(amount)
            self.total += amount
            return self.total

        async def stand(self, gate: anyio.Event) -> None:
            await gate.wait()

    async def scene() -> tuple[str, str, str, str]:
        restarted: dict[str, str] = {}
        total, asks = 0, ""
        strategies: tuple[Any, ...] = ("one_for_one", "rest_for_one", "one_for_all")
        for strategy in strategies:
            members = [child(Counter, name=name) for name in "abc"]
            async with Supervisor("app", *members, strategy=strategy) as app:
                for amount in (1, -1, 2, 3):
                    await app.find("b").send(Counter.add, amount)
                total = await app.find("b").call(Counter.add, 0)
                asks = await asked(app.find("b").call(Counter.add, -1), ActorCrashed, TimeoutError)
                await app.find("b").call(Counter.add, 0)
                restarted[strategy] = "".join(info.id for info in app.children() if info.incarnation == 3)
        assert restarted == {"one_for_one": "b", "rest_for_one": "bc", "one_for_all": "abc"}
        full = ""
        async with Supervisor("app", child(Counter, capacity=2)) as app:
            small, gate = app.find("counter"), anyio.Event()
            await small.send(Counter.stand, gate)
            full = await filling(lambda number: small.send(Counter.add, number), gate.set, ValueError)
        return "kept" if total == 5 else "lost", asks, full, "all, or the younger"

    async def start() -> str:
        async with Supervisor("app"):
            pass
        return sniffio.current_async_library()

    return Row(*asyncio.run(scene()), backends(start))


SCENES: Final[dict[str, Callable[[], Row]]] = {
    "pykka": in_pykka,
    "tapio": in_tapio,
    "casty": in_casty,
    "lapinbeam": in_lapinbeam,
    "everything-is-an-actor": in_everything,
    "papyra": in_papyra,
    "supervise": in_supervise,
}
DISTRIBUTIONS: Final = {"tapio": "tapio-py", "supervise": "supervise-actors"}
"""Where it isn't the project's name."""


def cells() -> Iterable[list[str]]:
    """The rows of the table of crashes, without the head."""
    table = PAGE.partition("| | what waited |")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def test_the_table_has_a_row_for_each_of_them() -> None:
    assert [row[0].split(" ")[0] for row in cells()] == [*SCENES]


@pytest.mark.parametrize("name", SCENES)
def test_each_does_what_the_table_says(name: str, recwarn: pytest.WarningsRecorder) -> None:
    (written,) = (row[1:] for row in cells() if row[0].split(" ")[0] == name)
    seen = SCENES[name]()
    assert [cell.startswith(word) for cell, word in zip(written, seen, strict=True)] == [True] * 5, seen


@pytest.mark.parametrize("name", SCENES)
def test_each_says_of_itself_how_mature_it_is(name: str) -> None:
    distribution = DISTRIBUTIONS.get(name, name)
    try:
        about = importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{distribution} isn't installed: `pip install {distribution}`")
    (status,) = (line for line in about.metadata.get_all("Classifier") or [] if line.startswith("Development Status"))
    word = status.rpartition(" - ")[2]
    marked = any(path.name == "py.typed" for path in about.files or []) or name == "supervise"
    row = rf"^\| {name} [\d.]+ \| {word} \| {'yes' if marked else 'no'} \|$"
    assert re.search(row, PAGE, re.MULTILINE), (word, marked)


# -- what is said of single ones ----------------------------------------------------------------------------------------------


def test_pykka_needs_nothing_and_a_handler_of_it_may_block() -> None:
    pykka = library("pykka", "extra [pykka]")
    assert not importlib.metadata.requires("pykka")
    assert not [name for name in dir(pykka) if "superv" in name.lower() or "restart" in name.lower()]
    gate = threading.Event()

    class Either:
        def on_receive(self, message: Any) -> str:
            return str(gate.wait(HANG_GUARD)) if message == "block" else "answered"

    kind = derived(pykka.ThreadingActor, Either)
    blocked, other = kind.start(), kind.start()
    waits = blocked.ask("block", block=False)
    assert other.ask("now") == "answered"
    gate.set()
    assert waits.get(timeout=HANG_GUARD) == "True"
    pykka.ActorRegistry.stop_all()


def test_casty_keeps_what_was_set_over_a_crash_and_copies_messages() -> None:
    casty = library("casty")
    seen: list[int] = []
    same: list[bool] = []
    sent = (1, 2)

    async def sums(ctx: Any) -> None:
        async for message in ctx.inbox:
            if not message:
                raise ValueError("nothing to add")
            same.append(message is sent)
            await ctx.state.set(ctx.state.value + sum(message))
            seen.append(ctx.state.value)

    now = casty.Backoff(first=timedelta(0), limit=timedelta(0))
    actor = casty_actor(casty, sums, casty.Context[int, tuple[int, ...]], initial=0, backoff=now)

    async def scene() -> None:
        async with casty.ActorSystem() as system:
            one = system.ref(actor, "sums")
            for message in (sent, (), (3, 4)):
                one.tell(message)
            await until(lambda: len(seen) == 2)

    asyncio.run(scene())
    assert (seen, same) == ([3, 10], [False, False])


def test_lapinbeam_gives_up_one_child_alone() -> None:
    lapinbeam = library("lapinbeam")

    class Fragile:
        async def receive(self, message: str) -> None:
            if message == "crash":
                raise ValueError(message)
            await lapinbeam.current_message().reply(message)

    async def scene() -> None:
        async with lapinbeam.Node("limit@127.0.0.1:0") as node:
            supervisor = lapinbeam.Supervisor(node=node, max_restarts=0)
            one, other = (supervisor.spawn(lapinbeam.actor(name=name)(type(name, (Fragile,), {}))) for name in "ab")
            await one.send("crash")
            with anyio.fail_after(HANG_GUARD), pytest.raises(ValueError, match="no local actor"):
                while True:
                    await one.send("is it there?")
                    await anyio.sleep(0.001)
            assert await other.ask("alive", timeout=HANG_GUARD) == "alive"

    asyncio.run(scene())


def test_papyra_stops_by_default_and_what_waits_is_no_dead_letter() -> None:
    system_of, actor, _ = papyra_system()
    exceptions: Any = importlib.import_module("papyra.exceptions")
    done: list[int] = []

    class Fragile:
        async def receive(self, message: int) -> None:
            if message < 0:
                raise ValueError(message)
            done.append(message)

    async def scene() -> None:
        async with system_of() as system:
            fragile = system.spawn(derived(actor, Fragile))
            for number in (1, -1, 2):
                await fragile.tell(number)
            with pytest.raises(exceptions.ActorStopped):
                for _ in range(1000):
                    await fragile.tell(3)
                    await anyio.sleep(0.001)
            lost = [letter.message for letter in system.dead_letters.messages]
            assert 2 not in done
            assert 2 not in lost
            assert 3 in lost, "what is sent afterwards is one"

    asyncio.run(scene())


def test_celery_takes_a_task_for_done_before_it_runs_unless_told_otherwise_and_can_retry() -> None:
    celery = library("celery", "`pip install celery`")
    app = celery.Celery("scene", broker="memory://", backend="cache+memory://")
    assert app.conf.task_acks_late is False
    assert not app.conf.task_reject_on_worker_lost
    assert app.conf.accept_content == {"json"} or [*app.conf.accept_content] == ["json"]
    app.conf.task_always_eager = True
    tries: list[int] = []

    def fetch() -> str:
        tries.append(len(tries))
        if len(tries) < 3:
            raise ConnectionError("down")
        return "fetched"

    task = app.task(autoretry_for=(ConnectionError,), max_retries=2, retry_backoff=True)(fetch)
    assert task.delay().get() == "fetched"
    assert len(tries) == 3


def test_a_task_group_ends_all_when_one_raises_and_tenacity_calls_one_function_again() -> None:
    from tenacity import AsyncRetrying, stop_after_attempt

    ended: list[str] = []
    tries: list[int] = []

    async def lasts() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append("the other one, too")

    async def fails() -> None:
        await anyio.lowlevel.checkpoint()
        raise ValueError("once")

    async def fails_at_first() -> str:
        tries.append(len(tries))
        if len(tries) < 3:
            raise ConnectionError("down")
        return "done"

    async def scene() -> None:
        with pytest.raises(ExceptionGroup):
            async with anyio.create_task_group() as group:
                group.start_soon(lasts)
                group.start_soon(fails)
        assert await AsyncRetrying(stop=stop_after_attempt(3))(fails_at_first) == "done"

    asyncio.run(scene())
    assert (ended, tries) == (["the other one, too"], [0, 1, 2])
