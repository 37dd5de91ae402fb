"""A queue of the user's own that fails: nothing hangs, no message is lost, and the crash names the queue.

Tested: SEMANTICS 65 (queues may raise anything), 21 (the account), 39 (`drop` and `take`, whose predicates may do anything).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import anyio
import pytest

from supervise import ActorCrashed, ActorStopped, Address, GaveUp, Intensity, Message, Supervisor, child, concurrent
from supervise.events import Event, Stopped
from supervise.testing.virtual_time import at_rest
from tests.doubles import Gate, Outcomes, Scribe, fill

pytestmark = pytest.mark.anyio
OFTEN = Intensity(1000, per=1)
FAILURES = [OSError("disk full"), SystemExit(3), GeneratorExit("odd")]


class Odd:
    """A deque that does as it is told to, as soon as it is told to."""

    fails: ClassVar[dict[str, BaseException]] = {}
    lies: ClassVar[dict[str, Callable[[Odd], Any]]] = {}
    asked: ClassVar[list[str]] = []

    def __init__(self) -> None:
        self.kept: deque[Any] = deque()

    def _do(self, what: str, honest: Callable[[], Any]) -> Any:
        self.asked.append(what)
        if what in self.fails:
            raise self.fails[what]
        return self.lies[what](self) if what in self.lies else honest()

    def append(self, envelope: Any, /) -> None:
        self._do("append", lambda: self.kept.append(envelope))

    def appendleft(self, envelope: Any, /) -> None:
        self._do("appendleft", lambda: self.kept.appendleft(envelope))

    def popleft(self) -> Any:
        return self._do("popleft", self.kept.popleft)

    def __len__(self) -> int:
        length: int = self._do("len", self.kept.__len__)
        return length

    def __iter__(self) -> Iterator[Any]:
        found: Iterator[Any] = self._do("iter", self.kept.__iter__)
        return found


@pytest.fixture
def odd() -> type[Odd]:
    class OwnQueue(Odd):
        fails: ClassVar[dict[str, BaseException]] = {}
        lies: ClassVar[dict[str, Callable[[Odd], Any]]] = {}
        asked: ClassVar[list[str]] = []

    return OwnQueue


class Worker(Scribe):
    @concurrent(limit=1)
    async def beside(self, gate: Gate) -> None:
        await gate.walk_through()


@pytest.mark.parametrize("error", FAILURES)
async def test_what_append_raises_is_raised_by_the_sender_and_nothing_was_accepted(
    odd: type[Odd], error: BaseException
) -> None:
    async with Supervisor("app", child(Scribe, queue=odd)) as app:
        scribe: Address[Scribe] = app.find("scribe")
        gate = await fill(scribe, "there")
        odd.fails["append"] = error
        expected = OSError if isinstance(error, OSError) else RuntimeError
        for send in (scribe.send, scribe.call):
            with pytest.raises(expected, match=str(error) if isinstance(error, OSError) else "append of a mailbox's queue"):
                await send(Scribe.note, "new")
        with pytest.raises(expected):
            scribe.try_send(Scribe.note, "new")
        assert (scribe.account().accepted, scribe.account().balanced) == (2, True)
        odd.fails.clear()
        gate.open()
        assert await scribe.call(Scribe.note, "next") == 2
        assert scribe.account() == (3, 3, 0, 0, 0, 0, 0)


@pytest.mark.parametrize("error", FAILURES)
async def test_what_popleft_raises_crashes_the_actor_and_no_message_is_lost(odd: type[Odd], error: BaseException) -> None:
    log: list[Any] = []
    reasons: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, Stopped):
            reasons.append(str(event.reason))
            odd.fails.clear()  # from the second life on it does its work

    async with Supervisor("app", child(Scribe, log, queue=odd), listener=listen) as app:
        scribe: Address[Scribe] = app.find("scribe")
        gate = await fill(scribe, "a", "b")
        odd.fails["popleft"] = error
        gate.open()
        await at_rest()
        assert log == ["a", "b"]
        assert len(reasons) == 1
        assert str(error) in reasons[0] or "popleft" in reasons[0]
        assert scribe.account() == (3, 3, 0, 0, 0, 0, 0)


LIES: dict[str, Callable[[Odd], Any]] = {
    "foreign": lambda queue: (anyio.sleep, (), {}, None, None, None),
    "no envelope": lambda queue: 3,
    "twice": lambda queue: queue.kept[0],
    "drops one": lambda queue: (queue.kept.popleft(), queue.kept.popleft())[1],
}


@pytest.mark.parametrize("lie", list(LIES))
async def test_a_queue_that_gives_what_it_should_not_ends_nothing_but_its_actor(odd: type[Odd], lie: str) -> None:
    log: list[Any] = []
    reasons: list[str] = []
    outcomes: dict[Any, Any] = {}

    def listen(event: Event) -> None:
        if isinstance(event, Stopped):
            reasons.append(str(event.reason))

    kept: list[Address[Scribe]] = []
    async with anyio.create_task_group() as group:
        watching = Outcomes(group)
        outcomes = watching.of
        try:
            async with Supervisor("app", child(Scribe, log, queue=odd), child(Scribe, name="sibling"), listener=listen) as app:
                scribe: Address[Scribe] = app.find("scribe")
                kept.append(scribe)
                gate = await fill(scribe, "a", "b", "c")
                await watching.watch("call", scribe.call(Scribe.note, "d"))
                odd.lies["popleft"] = LIES[lie]
                gate.open()
                await anyio.sleep(1)
                assert scribe.account().balanced
        except GaveUp:
            pass
    assert "call" in outcomes
    account = kept[0].account()
    assert account.balanced
    assert (account.queued, account.in_hand, account.accepted) == (0, 0, 5)
    if lie != "drops one":
        assert all("OwnQueue" in reason or "popleft" in reason for reason in reasons[:1])


@pytest.mark.parametrize("lie", [0, -1, 10_000])
@pytest.mark.parametrize("what", ["len", "iter"])
async def test_which_messages_wait_is_known_whatever_the_queue_says(odd: type[Odd], what: str, lie: int) -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Scribe, log, queue=odd, capacity=3)) as app, anyio.create_task_group() as group:
        scribe: Address[Scribe] = app.find("scribe")
        gate, outcomes = await fill(scribe, "a", "b"), Outcomes(group)
        odd.lies[what] = (lambda _: lie) if what == "len" else (lambda _: iter([3] * max(lie, 0)))
        assert len(scribe) == 2
        assert [message.args for message in scribe.peek()] == [("a",), ("b",)]
        await scribe.send(Scribe.note, "c")
        await outcomes.watch("d", scribe.send(Scribe.note, "d"))
        assert outcomes.of == {}
        assert scribe.drop(lambda message: message.args == ("b",)) == 1
        gate.open()
        await at_rest()
        assert log == ["a", "c", "d"]
        assert scribe.account().balanced


@pytest.mark.parametrize("what", ["popleft", "iter", "len", "append", "appendleft"])
@pytest.mark.parametrize("error", FAILURES)
async def test_no_message_is_lost_at_a_stop_whatever_fails(odd: type[Odd], what: str, error: BaseException) -> None:
    async with Supervisor("app", child(Scribe, queue=odd)) as app, anyio.create_task_group() as group:
        scribe: Address[Scribe] = app.find("scribe")
        scribe.pause()
        outcomes = Outcomes(group)
        for n in range(3):
            await scribe.send(Scribe.note, n)
            await outcomes.watch(n, scribe.call(Scribe.note, n))
        odd.fails[what] = error
        await app.terminate_child("scribe")
        await at_rest()
        assert [type(outcomes.of[n]) for n in range(3)] == [ActorStopped] * 3
        assert scribe.account() == (6, 0, 0, 6, 0, 0, 0)


@pytest.mark.parametrize("what", ["popleft", "iter", "append", "appendleft"])
@pytest.mark.parametrize("error", FAILURES)
async def test_no_message_is_lost_where_some_are_taken_out_whatever_fails(
    odd: type[Odd], what: str, error: BaseException
) -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Scribe, log, queue=odd), intensity=OFTEN) as app:
        scribe: Address[Scribe] = app.find("scribe")
        gate = await fill(scribe, *range(6))
        odd.fails[what] = error
        assert [message.args[0] for message in scribe.take(lambda message: message.args[0] % 2 == 1)] == [1, 3, 5]
        odd.fails.clear()
        gate.open()
        await at_rest()
        assert log == [0, 2, 4]
        assert scribe.account() == (7, 4, 0, 3, 0, 0, 0)


async def test_what_a_queue_sends_itself_while_some_are_taken_out_is_handled_after_the_others(odd: type[Odd]) -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Scribe, log, queue=odd), intensity=OFTEN) as app:
        scribe: Address[Scribe] = app.find("scribe")
        gate = await fill(scribe, *range(4))

        def send_and_give(queue: Odd) -> Any:
            del odd.lies["popleft"]
            scribe.try_send(Scribe.note, "late")
            return queue.kept.popleft()

        odd.lies["popleft"] = send_and_give
        assert [message.args[0] for message in scribe.take(lambda message: message.args[0] == 1)] == [1]
        assert len(scribe) == 4
        gate.open()
        await at_rest()
        assert log == [0, 2, 3, "late"]
        assert scribe.account() == (6, 5, 0, 1, 0, 0, 0)


async def test_a_queue_that_shows_one_twice_and_another_not_at_all_costs_no_life(odd: type[Odd]) -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Scribe, log, queue=odd), intensity=OFTEN) as app:
        scribe: Address[Scribe] = app.find("scribe")
        gate = await fill(scribe, *range(4))
        odd.lies["iter"] = lambda queue: iter([queue.kept[0], *[*queue.kept][:-1]])
        assert [message.args[0] for message in scribe.take(lambda message: message.args[0] == 2)] == [2]
        odd.lies.clear()
        gate.open()
        await at_rest()
        assert log == [0, 1, 3]
        assert app.restarts == 0
        assert scribe.account().balanced


@pytest.mark.parametrize("when", ["popleft", "append", "iter"])
@pytest.mark.parametrize("inner", [{0, 3}, {1}, {2}, {0, 1, 2, 3}])
async def test_each_is_taken_out_once_though_the_queue_takes_some_out_itself_meanwhile(
    odd: type[Odd], when: str, inner: set[int]
) -> None:
    log: list[Any] = []
    taken: list[Any] = []
    async with Supervisor("app", child(Scribe, log, queue=odd), intensity=OFTEN) as app:
        scribe: Address[Scribe] = app.find("scribe")
        gate = await fill(scribe, *range(4))

        def take(among: set[int]) -> None:
            taken.extend(message.args[0] for message in scribe.take(lambda message: message.args[0] in among))

        def take_others(queue: Odd) -> Any:
            del odd.lies[when]
            take(inner)
            return queue.kept.popleft() if when == "popleft" else iter([*queue.kept])

        odd.lies[when] = take_others
        take({1, 2})
        odd.lies.clear()
        account = scribe.account()
        assert account.balanced
        assert (account.dead_lettered, sorted(taken)) == (len(taken), sorted({1, 2} | inner))
        gate.open()
        await at_rest()
        assert log == [n for n in range(4) if n not in {1, 2} | inner]
        assert scribe.account().balanced


@pytest.mark.parametrize("error", FAILURES)
async def test_what_cannot_be_put_back_after_a_crash_is_told_its_caller(odd: type[Odd], error: BaseException) -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Scribe, log, queue=odd, redeliver=3), intensity=OFTEN) as app:
        scribe: Address[Scribe] = app.find("scribe")
        odd.fails["appendleft"] = error
        with pytest.raises(ActorCrashed):
            await scribe.call(Scribe.crash)
        await scribe.send(Scribe.crash)
        await at_rest()
        assert await scribe.call(Scribe.note, "next") == 1
        assert scribe.account() == (3, 1, 1, 1, 0, 0, 0)


@pytest.mark.parametrize("error", FAILURES)
async def test_a_queue_that_cannot_be_made_is_told_the_sender(error: BaseException) -> None:
    def make() -> Any:
        raise error

    async with Supervisor("app", child(Scribe, queue=make)) as app:
        expected = OSError if isinstance(error, OSError) else RuntimeError
        with pytest.raises(expected):
            await app.find("scribe").send(Scribe.note, 1)
        with pytest.raises(expected):
            await app.find("scribe").call(Scribe.note, 1)
        assert app.find("scribe").account() == (0, 0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize("what", ["append", "popleft", "iter", "len"])
async def test_a_keyboard_interrupt_in_a_queue_leaves_the_tree_and_the_account_balances(odd: type[Odd], what: str) -> None:
    kept: list[Address[Scribe]] = []
    caught: list[str] = []
    try:
        async with Supervisor("app", child(Scribe, queue=odd)) as app:
            scribe: Address[Scribe] = app.find("scribe")
            kept.append(scribe)
            scribe.pause()
            for n in range(3):
                await scribe.send(Scribe.note, n)
            odd.fails[what] = KeyboardInterrupt()
            if what == "append":
                await scribe.send(Scribe.note, "new")
            scribe.resume()
            await anyio.sleep(1)
    except BaseException as error:
        caught.append(type(error).__name__)
    assert caught == (["KeyboardInterrupt"] if what in ("append", "popleft") else [])
    assert kept[0].account().balanced
    assert odd.asked.count("popleft") <= 3  # it isn't struck again for each of its messages
    assert (kept[0].account().queued, kept[0].account().in_hand) == (0, 0)


async def test_overflow_drop_oldest_drops_one_though_popleft_fails(odd: type[Odd]) -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Scribe, log, queue=odd, capacity=2, overflow="drop_oldest"), intensity=OFTEN) as app:
        scribe: Address[Scribe] = app.find("scribe")
        gate = await fill(scribe, "a", "b")
        odd.fails["popleft"] = OSError()
        await scribe.send(Scribe.note, "c")
        assert scribe.account()[4:] == (0, 2, 1)
        assert scribe.account().dead_lettered == 1
        odd.fails.clear()
        gate.open()
        await anyio.sleep(1)
        assert scribe.account().balanced


# -- predicates -----------------------------------------------------------------------------------------------------------


def one_or_two(message: Message) -> bool:
    return message.args[0] in (1, 2)


@pytest.mark.parametrize("queue", [deque, Odd])
@pytest.mark.parametrize("inner", ["drop", "take", "try_send", "peek", "kill", "account"])
@pytest.mark.parametrize("outer", ["drop", "take"])
async def test_a_predicate_may_call_back_into_the_mailbox(outer: str, inner: str, queue: Any) -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Scribe, log, queue=queue), intensity=OFTEN) as app:
        scribe: Address[Scribe] = app.find("scribe")
        gate = await fill(scribe, *range(4))
        again = True

        def chosen(message: Message) -> bool:
            nonlocal again
            if again:
                again = False
                if inner in ("drop", "take"):
                    getattr(scribe, inner)(one_or_two)
                elif inner == "try_send":
                    scribe.try_send(Scribe.note, 5)
                else:
                    getattr(scribe, inner)()
            return bool(message.args[0] in (0, 1))

        getattr(scribe, outer)(chosen)
        gate.open()
        await at_rest()
        assert log == {"drop": [3], "take": [3], "try_send": [2, 3, 5]}.get(inner, [2, 3])
        assert scribe.account().balanced
        assert (scribe.account().queued, scribe.account().in_hand) == (0, 0)


@pytest.mark.parametrize("error", [*FAILURES, KeyboardInterrupt()])
async def test_what_a_predicate_raises_leaves_all_as_it_was(error: BaseException) -> None:
    log: list[Any] = []

    def chosen(message: Message) -> bool:
        if message.args == (2,):
            raise error
        return True

    async with Supervisor("app", child(Scribe, log)) as app:
        scribe: Address[Scribe] = app.find("scribe")
        gate = await fill(scribe, *range(4))
        for remove in (scribe.drop, scribe.take):
            with pytest.raises(type(error)):
                remove(chosen)
        assert len(scribe) == 4
        gate.open()
        await at_rest()
        assert log == [0, 1, 2, 3]
        assert scribe.account().balanced


class Proxy:
    """A queue that finds what it is asked for by itself."""

    def __init__(self) -> None:
        self._kept: deque[Any] = deque()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._kept, name)

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._kept)


async def test_what_is_made_and_is_no_queue_is_said_to_who_sends_and_nothing_is_accepted() -> None:
    def heap() -> Any:
        return [*()]

    async with Supervisor("app", child(Scribe, queue=heap)) as app:
        scribe: Address[Scribe] = app.find("scribe")
        for _ in range(2):
            with pytest.raises(TypeError, match=r"heap made \[\], which has no appendleft, popleft"):
                await scribe.send(Scribe.note, 1)
        assert scribe.account().accepted == 0
        assert app.restarts == 0


async def test_a_queue_that_finds_its_methods_by_itself_is_one() -> None:
    make: Any = Proxy
    async with Supervisor("app", child(Scribe, queue=make)) as app:
        assert await app.find("scribe").call(Scribe.note, 1) == 1
