"""State that outlives a crash: `current().checkpoint`, `@checkpointed`, and what the next factory finds.

Tested:
- SEMANTICS 53: what counts, when; who decides whether it is trusted; what `open_mailbox` gives back
- SEMANTICS 85: a checkpoint is the value itself, and lost only when the child is forgotten
"""

from __future__ import annotations

import asyncio
import functools
import gc
import weakref
from collections import deque
from typing import Any, Self

import anyio
import anyio.lowlevel
import pytest

from supervise import (
    Address,
    Checkpoint,
    Crashed,
    Current,
    DynamicSupervisor,
    Ended,
    Intensity,
    InvalidSpec,
    Supervisor,
    checkpointed,
    child,
    concurrent,
    current,
    open_mailbox,
)
from supervise.actor.checkpoint import last_checkpoint
from supervise.testing import virtual_time
from supervise.testing.virtual_time import at_rest
from tests.doubles import Boom, Gate, Outcomes

pytestmark = pytest.mark.anyio
PATIENT = Intensity(99)
ASYNCIO = pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)


class Counter:
    """Goes on from what its last life has kept."""

    def __init__(self, found: list[Checkpoint | None] | None = None) -> None:
        last = current().last_checkpoint
        self.total: int = 0 if last is None else last.value
        if found is not None:
            found.append(last)

    async def add(self, amount: int) -> int:
        self.total += amount
        current().checkpoint(self.total)
        await anyio.lowlevel.checkpoint()
        return self.total

    async def add_and_crash(self, amount: int) -> None:
        await self.add(amount)
        raise Boom

    def add_at_once(self, amount: int) -> int:
        self.total += amount
        current().checkpoint(self.total)
        return self.total

    @concurrent
    async def add_beside(self, amount: int, gate: Gate) -> int:
        await self.add(amount)
        await gate.walk_through()
        return self.total

    async def add_in_the_nursery(self, amount: int) -> None:
        current().nursery.start_soon(self.add, amount)

    async def crash(self) -> None:
        raise Boom

    async def read(self) -> int:
        return self.total


def kept_by(address: Address[Any]) -> Checkpoint | None:
    """What would be found, if there were a next life."""
    return last_checkpoint(address._mailbox.mailbox)


async def crash(app: Any, name: str = "counter") -> None:
    await app.find(name).send(Counter.crash)
    await at_rest()


@pytest.mark.parametrize("way", [Counter.add, Counter.add_at_once])
async def test_the_next_life_goes_on_from_the_last_one(way: Any) -> None:
    found: list[Checkpoint | None] = []
    async with Supervisor("app", child(Counter, found), intensity=PATIENT) as app:
        counter: Address[Any] = app.find("counter")
        assert await counter.call(way, 3) == 3
        await anyio.sleep(7)
        await crash(app)
        assert await counter.call(Counter.read) == 3
        assert found == [None, Checkpoint(3, 1, 7.0)]
        await crash(app)
        assert found[-1] == Checkpoint(3, 1, 7.0)
        assert await counter.call(way, 1) == 4
        await crash(app)
        assert found[-1] == Checkpoint(4, 3, 0.0)


async def test_what_a_handler_hands_over_counts_when_it_returns_and_not_if_it_raises() -> None:
    async with Supervisor("app", child(Counter), intensity=PATIENT) as app:
        counter: Address[Any] = app.find("counter")
        await counter.call(Counter.add, 3)
        await counter.send(Counter.add_and_crash, 5)
        assert await counter.call(Counter.read) == 3


@pytest.mark.parametrize("options", [{"expects": (Boom,)}, {"on_error": "reply"}])
async def test_nor_if_what_it_raises_is_an_answer(options: Any) -> None:
    async with Supervisor("app", child(Counter, **options), intensity=PATIENT) as app:
        counter: Address[Any] = app.find("counter")
        await counter.call(Counter.add, 3)
        with pytest.raises(Boom):
            await counter.call(Counter.add_and_crash, 5)
        app.kill("counter")
        await at_rest()
        assert await counter.call(Counter.read) == 3


async def test_of_a_concurrent_handler_it_counts_when_that_returns() -> None:
    async with Supervisor("app", child(Counter), intensity=PATIENT) as app, anyio.create_task_group() as group:
        counter: Address[Any] = app.find("counter")
        gate = Gate()
        outcomes = Outcomes(group)
        await outcomes.watch("beside", counter.call(Counter.add_beside, 3, gate))
        await gate.reached.wait()
        assert await counter.call(lambda _: current().last_checkpoint) is None
        gate.open()
        await at_rest()
        await crash(app)
        assert await counter.call(Counter.read) == 3


async def test_also_what_makes_its_coroutine_hands_over_when_that_has_returned() -> None:
    def notes(function: Any) -> Any:
        @functools.wraps(function)
        def noted(actor: Counter, *args: Any) -> Any:
            current().checkpoint(-1)  # in turn, while the handler is made
            return function(actor, *args)

        return noted

    class Noted(Counter):
        @notes
        @concurrent
        async def walk(self, gate: Gate) -> None:
            await gate.walk_through()

    async with Supervisor("app", child(Noted, name="counter")) as app, anyio.create_task_group() as group:
        counter: Address[Any] = app.find("counter")
        gate = Gate()
        outcomes = Outcomes(group)
        await outcomes.watch("beside", counter.call(Noted.walk, gate))
        await gate.reached.wait()
        assert await counter.call(lambda _: current().last_checkpoint) is None
        gate.open()
        await at_rest()
        assert await counter.call(lambda _: current().last_checkpoint) == Checkpoint(-1, 1, 0.0)


async def test_what_a_cancelled_handler_has_handed_over_is_never_taken_for_another_ones() -> None:
    class Busy(Counter):
        @concurrent
        async def rest(self) -> None:
            await anyio.lowlevel.checkpoint()

    async with Supervisor("app", child(Busy, name="counter", on_cancel="cancel")) as app:
        counter: Address[Any] = app.find("counter")
        with pytest.raises(TimeoutError):
            await counter.options(timeout=1).call(Counter.add_beside, 3, Gate())
        for _ in range(20):  # each envelope may stand where the cancelled one stood
            await counter.call(Busy.rest)
            assert await counter.call(lambda _: current().last_checkpoint) is None


async def test_elsewhere_it_counts_at_once() -> None:
    async with Supervisor("app", child(Counter), intensity=PATIENT) as app:
        await app.find("counter").call(Counter.add_in_the_nursery, 3)
        await at_rest()
        await crash(app)
        assert await app.find("counter").call(Counter.read) == 3


async def test_an_instance_that_is_crashing_hands_over_nothing() -> None:
    class Last(Counter):
        async def __aenter__(self) -> Self:
            return self

        async def __aexit__(self, *_: object) -> None:
            current().checkpoint(-1)

        async def fall(self) -> None:
            async def raises() -> None:
                raise Boom

            current().nursery.start_soon(raises)

    async with Supervisor("app", child(Last, name="counter"), intensity=PATIENT) as app:
        counter: Address[Any] = app.find("counter")
        for message in (Counter.crash, Last.fall):
            await counter.send(message)
            await at_rest()
            assert await counter.call(Counter.read) == 0
        app.kill("counter")
        await at_rest()
        assert await counter.call(Counter.read) == 0
        await app.terminate_child("counter")  # in an orderly end it counts
        await app.restart_child("counter")
        assert await counter.call(Counter.read) == -1


class Faulty(deque[Any]):
    """A queue that raises once, when it is told so."""

    told = False

    def popleft(self) -> Any:
        if Faulty.told:
            Faulty.told = False
            raise OSError("disk")
        return super().popleft()


class Last(Counter):
    """Its exit hook hands over, even when it crashes."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            current().checkpoint(-1)


@pytest.mark.parametrize("handed_over_before", [True, False])
async def test_nor_does_one_whose_queue_makes_it_crash(handed_over_before: bool) -> None:
    async with Supervisor("app", child(Last, name="counter", queue=Faulty), intensity=PATIENT) as app:
        counter: Address[Any] = app.find("counter")
        kept = await counter.call(Counter.add, 3) if handed_over_before else 0
        Faulty.told = True
        await counter.send(Counter.read)
        await at_rest()
        assert app.get_childspec("counter").incarnation == 2
        assert await counter.call(Counter.read) == kept


async def own_task(_: object) -> Any:
    return asyncio.current_task()


@ASYNCIO
@pytest.mark.parametrize("handed_over_before", [True, False])
async def test_nor_does_one_whose_task_is_cancelled_natively(handed_over_before: bool) -> None:
    async with Supervisor("app", child(Last, name="counter"), intensity=PATIENT) as app:
        counter: Address[Any] = app.find("counter")
        kept = await counter.call(Counter.add, 3) if handed_over_before else 0
        (await counter.call(own_task)).cancel()
        await at_rest()
        assert app.get_childspec("counter").incarnation == 2
        assert await counter.call(Counter.read) == kept


async def test_a_life_that_is_over_hands_over_nothing() -> None:
    lives: list[Current] = []

    def build() -> Counter:
        lives.append(current())
        return Counter()

    def last(_: object) -> Any:
        return current().last_checkpoint

    counter: Any = None
    async with Supervisor("app", child(build, name="counter"), intensity=PATIENT) as app:
        counter = app.find("counter")
        await crash(app)
        await counter.call(Counter.add, 3)
        with pytest.raises(RuntimeError, match=r"app/counter #1> has ended.*next one"):
            lives[0].checkpoint(-1)
        assert await counter.call(last) == Checkpoint(3, 2, 0.0)
    told: Any = Counter.add
    for life in lives:
        with pytest.raises(RuntimeError, match="has ended"):
            life.checkpoint(-1)
        assert life.last_checkpoint is None, "nothing is left after the tree's end"
        with pytest.raises(RuntimeError, match="has ended"):
            life.watch(counter, told)


async def test_it_is_the_value_itself_and_may_be_none() -> None:
    value: list[int] = []

    def keep(_: Counter, what: object) -> None:
        current().checkpoint(what)

    async with Supervisor("app", child(Counter), intensity=PATIENT) as app:
        counter: Address[Any] = app.find("counter")
        await counter.call(keep, value)
        kept = await counter.call(lambda _: current().last_checkpoint)
        assert kept is not None
        assert kept.value is value
        await counter.call(keep, None)
        kept = await counter.call(lambda _: current().last_checkpoint)
        assert kept == Checkpoint(None, 1, 0.0)


async def test_it_is_kept_over_all_restarts_and_lost_only_when_the_child_is_forgotten() -> None:
    below = Supervisor("below", child(Counter), intensity=PATIENT)
    again: Any = None
    async with Supervisor("app", below, intensity=PATIENT) as app:
        counter: Address[Any] = app.find("below/counter")
        await counter.call(Counter.add, 3)
        app.kill("below")
        await at_rest()
        assert await counter.call(Counter.read) == 3
        await app.operator("ada").restart("below/counter")
        await app.supervisor("below").terminate_child("counter")
        await app.supervisor("below").restart_child("counter")
        assert await counter.call(Counter.read) == 3
        await app.supervisor("below").terminate_child("counter")
        await app.supervisor("below").delete_child("counter")
        assert kept_by(counter) is None
        again = await app.supervisor("below").start(Counter)
        assert await again.call(Counter.read) == 0
        await again.call(Counter.add, 1)
    assert kept_by(again) is None
    async with DynamicSupervisor("app") as app:
        temporary = await app.start(Counter)
        await temporary.call(Counter.add, 3)
        assert kept_by(temporary) is not None
        await app.terminate_child(temporary)
        assert kept_by(temporary) is None


class Big:
    """A value that can be watched."""


def keeps(held: list[Any]) -> Any:
    value = Big()
    held.append(weakref.ref(value))

    def keep(actor: object) -> None:
        current().checkpoint((value, actor, current().address))  # in a ring, as an address leads to what keeps it

    return keep


@pytest.mark.parametrize("beside", [False, True])
async def test_what_a_handler_hands_over_that_its_caller_cancels_does_not_count(beside: bool) -> None:
    gate = Gate()

    class Cancelled(Counter):
        async def add_slowly(self, amount: int) -> None:
            await self.add(amount)
            await gate.walk_through()

        @concurrent
        async def add_slowly_beside(self, amount: int) -> None:
            await self.add(amount)
            await gate.walk_through()

    async with Supervisor("app", child(Cancelled, name="counter", on_cancel="cancel")) as app:
        counter: Address[Any] = app.find("counter")
        with anyio.move_on_after(1) as scope:
            await counter.call(Cancelled.add_slowly_beside if beside else Cancelled.add_slowly, 3)
        assert scope.cancelled_caught
        assert await counter.call(Counter.read) == 3
        await at_rest()
        assert kept_by(counter) is None
        assert app.get_childspec("counter").incarnation == 1


async def run_by_hand(held: list[Any]) -> None:
    mailbox, counter = open_mailbox(Counter)
    run: Any = mailbox.run
    async with anyio.create_task_group() as group:
        group.start_soon(run, Counter)
        await counter.call(keeps(held))
        held.append((mailbox, counter))
        group.cancel_scope.cancel()


async def never_closed(held: list[Any]) -> None:
    app = await Supervisor("app", child(Counter)).open()
    await app.find("counter").call(keeps(held))
    held.append(app)


@pytest.mark.parametrize("library", ["asyncio", "trio"])
@pytest.mark.parametrize("main", [run_by_hand, never_closed])
def test_it_goes_with_its_mailbox_even_if_the_loop_ends_first(library: str, main: Any) -> None:
    held: list[Any] = []
    backend, options = virtual_time.backend(library)
    anyio.run(main, held, backend=backend, backend_options=options)
    del held[1:]
    gc.collect()
    assert held[0]() is None


# -- snapshots ------------------------------------------------------------------------------------------------------------


class Ledger:
    def __init__(self, taken: list[tuple[float, int]], fails: list[bool] | None = None) -> None:
        last = current().last_checkpoint
        self.total: int = 0 if last is None else last.value
        self.taken = taken
        self.fails = [] if fails is None else fails

    @checkpointed(every=10)
    def snapshot(self) -> int:
        self.taken.append((anyio.current_time(), self.total))
        if self.fails:
            raise Boom("no snapshot")
        return self.total

    async def add(self, amount: int, seconds: float = 0.0) -> None:
        self.total += amount
        await anyio.sleep(seconds)

    async def crash(self) -> None:
        raise Boom

    async def read(self) -> int:
        return self.total


async def test_a_snapshot_is_taken_every_so_often_if_anything_was_handled() -> None:
    taken: list[tuple[float, int]] = []
    async with Supervisor("app", child(Ledger, taken), intensity=PATIENT) as app:
        begun = anyio.current_time()
        ledger: Address[Ledger] = app.find("ledger")
        await anyio.sleep(35)
        assert taken == [], "an idle actor isn't asked"
        await ledger.send(Ledger.add, 1)
        await anyio.sleep(1)
        await ledger.send(Ledger.add, 2)
        await anyio.sleep(30)
        assert [(at - begun, total) for at, total in taken] == [(40, 3)]
        await ledger.send(Ledger.add, 4)
        await at_rest()
        await ledger.send(Ledger.crash)
        assert await ledger.call(Ledger.read) == 3


async def test_it_is_taken_between_two_messages() -> None:
    taken: list[tuple[float, int]] = []
    async with Supervisor("app", child(Ledger, taken)) as app:
        begun = anyio.current_time()
        ledger: Address[Ledger] = app.find("ledger")
        await ledger.call(Ledger.add, 1)
        await ledger.send(Ledger.add, 2, 25)
        await anyio.sleep(30)
        assert [(at - begun, total) for at, total in taken] == [(25, 3)]


async def crashes_itself(ledger: Ledger) -> None:
    await ledger.add(2, 3)
    raise Boom


async def shielded(ledger: Ledger) -> None:
    """It goes on for 3 s, whatever becomes of its actor."""
    with anyio.CancelScope(shield=True):
        await ledger.add(2, 3)


async def begins_what_crashes(ledger: Ledger) -> None:
    async def crashes() -> None:
        await anyio.sleep(2)
        raise Boom

    current().nursery.start_soon(crashes)
    await shielded(ledger)


@pytest.mark.parametrize("handler", [crashes_itself, begins_what_crashes, shielded])
async def test_never_from_a_crashing_instance(handler: Any) -> None:
    taken: list[tuple[float, int]] = []
    async with Supervisor("app", child(Ledger, taken), intensity=PATIENT) as app:
        ledger: Address[Ledger] = app.find("ledger")
        await ledger.call(Ledger.add, 1)
        await anyio.sleep(9)
        await ledger.send(handler)  # it is due while this one is in hand
        await anyio.sleep(2)
        if handler is shielded:
            app.kill("ledger")
        await anyio.sleep(60)
        assert app.get_childspec("ledger").incarnation == 2
        assert taken == []
        assert await ledger.call(Ledger.read) == 0
        await ledger.call(shielded)
        await anyio.sleep(60)
        assert [total for _, total in taken] == [2], "of one that lives it is taken"


@ASYNCIO
async def test_nor_from_one_whose_handler_is_cancelled_natively() -> None:
    taken: list[tuple[float, int]] = []
    async with Supervisor("app", child(Ledger, taken), intensity=PATIENT) as app:
        ledger: Address[Ledger] = app.find("ledger")
        task = await ledger.call(own_task)
        await anyio.sleep(9)
        await ledger.send(Ledger.add, 2, 3)
        await anyio.sleep(2)
        task.cancel()
        await at_rest()
        assert app.get_childspec("ledger").incarnation == 2
        assert taken == []


async def test_one_that_raises_is_said_and_the_last_one_stays(caplog: pytest.LogCaptureFixture) -> None:
    taken: list[tuple[float, int]] = []
    fails: list[bool] = []
    async with Supervisor("app", child(Ledger, taken, fails), intensity=PATIENT) as app:
        ledger: Address[Ledger] = app.find("ledger")
        await ledger.call(Ledger.add, 1)
        await anyio.sleep(15)
        fails.append(True)
        await ledger.call(Ledger.add, 2)
        await anyio.sleep(15)
        assert "app/ledger #1: its snapshot() raised Boom: no snapshot; the last checkpoint stays" in caplog.messages
        app.kill("ledger")
        await at_rest()
        assert await ledger.call(Ledger.read) == 1


async def test_nothing_is_left_of_it_after_its_life() -> None:
    taken: list[tuple[float, int]] = []
    async with Supervisor("app", child(Ledger, taken)) as app:
        ledger: Address[Ledger] = app.find("ledger")
        await ledger.call(Ledger.add, 1)
        await app.terminate_child("ledger")
        await anyio.sleep(60)
        assert taken == []


def test_what_can_not_be_a_snapshot_is_refused() -> None:
    def other(_: object) -> None: ...
    async def snapshot(_: object) -> None: ...

    with pytest.raises(InvalidSpec, match=r"the method is called snapshot\(self\)"):
        checkpointed(every=1)(other)
    with pytest.raises(InvalidSpec, match="a plain function"):
        checkpointed(every=1)(snapshot)
    for value in (0, -1, True, "1", float("inf")):
        wrong: Any = value
        with pytest.raises(InvalidSpec, match="seconds, more than 0"):
            checkpointed(every=wrong)


# -- by hand --------------------------------------------------------------------------------------------------------------


async def test_a_mailbox_by_hand_keeps_it_too_and_gives_the_actor_back() -> None:
    mailbox, counter = open_mailbox(Counter)
    async with anyio.create_task_group() as group:
        outcomes: list[Any] = []

        async def run() -> None:
            while isinstance(outcome := await mailbox.run(Counter), Crashed):
                outcomes.append(outcome)
            outcomes.append(outcome)

        group.start_soon(run)
        await counter.call(Counter.add, 3)
        await counter.send(Counter.crash)
        assert await counter.call(Counter.read) == 3
        await counter.stop()
        await at_rest()
        ended = outcomes[-1]
        assert isinstance(ended, Ended)
        assert isinstance(ended.actor, Counter)
        assert ended.actor.total == 3
    assert kept_by(counter) is not None
    mailbox.close()
    assert kept_by(counter) is None
