"""Calls that nobody waits for any more hold no room, and the books about them are kept whatever becomes of them.

Tested: SEMANTICS 58: cancelled and expired calls, each overflow policy, lanes, views, in amortised constant time; who waits
for room is woken; `Lane.given_up` is 0 at rest, by whatever path they went.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import anyio
import pytest
from anyio.abc import TaskGroup

from supervise import Address, CallTimeout, Intensity, MailboxFull, SuperviseError, Supervisor, child, concurrent
from supervise._backends import current_backend, fail, give
from supervise.mailbox.envelope import is_given_up
from supervise.mailbox.lane import FEW, Lane
from supervise.testing.virtual_time import at_rest
from tests.doubles import Boom, Gate, Outcomes, Scribe, fill

pytestmark = pytest.mark.anyio
ASYNCIO = pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
OFTEN = Intensity(10_000)
RARE = ("open", "wait", "pause", "kill", "drop", "native")


class Worker(Scribe):
    @concurrent(limit=2)
    async def beside(self, gate: Gate) -> None:
        await gate.walk_through()


def lanes_of(address: Address[Any]) -> tuple[Lane, ...]:
    return address._mailbox.mailbox.lanes


def holds_true(address: Address[Any]) -> None:
    """What is true at every rest: room is what those leave who are waited for."""
    capacity = address._mailbox.mailbox.options.capacity
    for lane in lanes_of(address):
        live = sum(not is_given_up(envelope) for envelope in lane.queue)
        assert lane.room + lane.credits + len(lane.reservations) == capacity - live
    assert address.account().balanced


def all_is_settled(address: Address[Any]) -> None:
    """What is true when nothing waits, and nothing is in hand."""
    assert (address.account().queued, address.account().in_hand) == (0, 0)
    assert [lane.given_up for lane in lanes_of(address)] == [0 for _ in lanes_of(address)]
    holds_true(address)


class Callers:
    """Calls in the background, each of which may be cancelled."""

    def __init__(self, group: TaskGroup) -> None:
        self._group = group
        self.scopes: list[anyio.CancelScope] = []
        self.errors: list[Exception] = []

    async def call(self, address: Any, handler: Any, *args: Any) -> anyio.CancelScope:
        scope = anyio.CancelScope()
        self.scopes.append(scope)
        self._group.start_soon(self._call, scope, address, handler, args)
        await at_rest()
        return scope

    async def _call(self, scope: anyio.CancelScope, address: Any, handler: Any, args: Any) -> None:
        with scope:
            try:
                await address.call(handler, *args)
            except Exception as error:
                self.errors.append(error)

    async def give_up(self) -> None:
        for scope in self.scopes:
            scope.cancel()
        await at_rest()


# -- each policy ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("expires", [False, True], ids=["cancelled", "expired"])
@pytest.mark.parametrize("overflow", ["wait", "reject", "drop_oldest", "drop_newest"])
async def test_a_full_lane_has_room_when_a_call_in_it_is_given_up(overflow: Any, expires: bool) -> None:
    log: list[Any] = []
    async with (
        Supervisor("app", child(Scribe, log, capacity=3, overflow=overflow)) as app,
        anyio.create_task_group() as group,
    ):
        scribe: Address[Scribe] = app.find("scribe")
        gate, callers = await fill(scribe, "first"), Callers(group)
        for n in range(2):
            await callers.call(scribe.options(timeout=1) if expires else scribe, Scribe.note, f"given up {n}")
        assert len(scribe) == 3
        if expires:
            await anyio.sleep(1)
            await at_rest()
        else:
            await callers.give_up()
        holds_true(scribe)
        for n in range(2):
            scribe.try_send(Scribe.note, f"late {n}")
        gate.open()
        await at_rest()
        assert log == ["first", "late 0", "late 1"]
        assert scribe.account() == (6, 4, 0, 0, 2, 0, 0)
        all_is_settled(scribe)


@pytest.mark.parametrize("overflow", ["reject", "drop_oldest", "drop_newest"])
async def test_a_policy_that_drops_does_so_only_for_those_who_are_waited_for(overflow: Any) -> None:
    log: list[Any] = []
    async with (
        Supervisor("app", child(Scribe, log, capacity=2, overflow=overflow)) as app,
        anyio.create_task_group() as group,
    ):
        scribe: Address[Scribe] = app.find("scribe")
        gate, callers = await fill(scribe, "first"), Callers(group)
        await callers.call(scribe, Scribe.note, "given up")
        await callers.give_up()
        await scribe.send(Scribe.note, "second")
        if overflow == "reject":
            with pytest.raises(MailboxFull):
                await scribe.send(Scribe.note, "third")
        else:
            await scribe.send(Scribe.note, "third")
        gate.open()
        await at_rest()
        assert log == (["second", "third"] if overflow == "drop_oldest" else ["first", "second"])
        all_is_settled(scribe)


async def test_a_call_that_is_given_up_wakes_who_already_waits_for_room() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Scribe, log, capacity=1)) as app, anyio.create_task_group() as group:
        scribe: Address[Scribe] = app.find("scribe")
        gate, outcomes, callers = await fill(scribe), Outcomes(group), Callers(group)
        await callers.call(scribe, Scribe.note, "given up")
        await outcomes.watch("waits", scribe.send(Scribe.note, "waits"))
        await outcomes.watch("waits, too", scribe.send(Scribe.note, "waits, too"))
        assert outcomes.of == {}
        await callers.give_up()
        assert list(outcomes.of) == ["waits"]  # though the actor hasn't gone on
        gate.open()
        await at_rest()
        assert log == ["waits", "waits, too"]
        all_is_settled(scribe)


async def test_an_expired_call_wakes_who_already_waits_for_room() -> None:
    async with Supervisor("app", child(Scribe, capacity=1)) as app, anyio.create_task_group() as group:
        scribe: Address[Scribe] = app.find("scribe")
        gate, outcomes = await fill(scribe), Outcomes(group)
        await outcomes.watch("expires", scribe.options(timeout=1).call(Scribe.note, "expires"))
        await outcomes.watch("waits", scribe.send(Scribe.note, "waits"))
        await anyio.sleep(1)
        await at_rest()
        assert isinstance(outcomes.of["expires"], TimeoutError)
        assert outcomes.of["waits"] is None
        gate.open()
        await at_rest()
        all_is_settled(scribe)


async def test_each_lane_has_its_own_and_a_view_of_it_gives_up_there() -> None:
    async with (
        Supervisor("app", child(Scribe, capacity=1, overflow="reject", lanes=("urgent", "normal"))) as app,
        anyio.create_task_group() as group,
    ):
        scribe: Address[Scribe] = app.find("scribe")
        urgent = scribe.options(lane="urgent")
        gate, callers = await fill(scribe), Callers(group)
        await callers.call(urgent.weak.options(lane="urgent", timeout=100), Scribe.note, "given up")
        await scribe.send(Scribe.note, "stays")
        await callers.give_up()
        assert [lane.given_up for lane in lanes_of(scribe)] == [1, 0]
        with pytest.raises(MailboxFull):
            await scribe.send(Scribe.note, "no room")
        await urgent.send(Scribe.note, "room")
        with pytest.raises(MailboxFull):
            await urgent.send(Scribe.note, "no room")
        gate.open()
        await at_rest()
        all_is_settled(scribe)


# -- what it costs --------------------------------------------------------------------------------------------------------


async def given_up_one_by_one(many: int, **options: Any) -> None:
    async with Supervisor("app", child(Scribe, capacity=many, **options)) as app, anyio.create_task_group() as group:
        scribe: Address[Scribe] = app.find("scribe")
        gate, callers = await fill(scribe), Callers(group)
        for n in range(many):
            scope = anyio.CancelScope()
            callers.scopes.append(scope)
            group.start_soon(callers._call, scope, scribe, Scribe.note, (n,))
        await at_rest()
        assert len(scribe) == many
        for scope in callers.scopes:
            scope.cancel()
            await at_rest()
            scribe.try_send(Scribe.note, "in its place")
        await at_rest()
        assert len(scribe) <= many + FEW + 1
        gate.open()
        await at_rest()
        all_is_settled(scribe)


async def test_calls_are_given_up_in_amortised_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at = 0
    real = Lane.take_out

    def counted(self: Lane, chosen: Callable[[Any], bool]) -> Any:
        nonlocal looked_at
        looked_at += len(self.queue)
        return real(self, chosen)

    monkeypatch.setattr(Lane, "take_out", counted)
    for many in (200, 800):
        looked_at = 0
        await given_up_one_by_one(many)
        assert 0 < looked_at <= 3 * many


class Counting:
    """A queue that counts what it is asked for."""

    steps = 0

    def __init__(self) -> None:
        self._kept: deque[Any] = deque()

    def append(self, envelope: Any, /) -> None:
        Counting.steps += 1
        self._kept.append(envelope)

    def appendleft(self, envelope: Any, /) -> None:
        Counting.steps += 1
        self._kept.appendleft(envelope)

    def popleft(self) -> Any:
        Counting.steps += 1
        return self._kept.popleft()

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[Any]:
        for envelope in self._kept:
            Counting.steps += 1
            yield envelope


async def test_a_queue_of_ones_own_is_looked_through_in_amortised_constant_time() -> None:
    for many in (200, 800):
        Counting.steps = 0
        await given_up_one_by_one(many, queue=Counting)
        assert Counting.steps <= 30 * many


async def test_a_few_stand_in_the_queue_until_it_is_their_turn_and_no_more() -> None:
    async with Supervisor("app", child(Scribe, capacity=100)) as app, anyio.create_task_group() as group:
        scribe: Address[Scribe] = app.find("scribe")
        gate, callers = await fill(scribe), Callers(group)
        for n in range(FEW):
            await callers.call(scribe, Scribe.note, n)
        await callers.give_up()
        assert len(scribe) == FEW
        for n in range(FEW, 3 * FEW):
            await callers.call(scribe, Scribe.note, n)
        await callers.give_up()
        assert len(scribe) <= FEW
        gate.open()
        await at_rest()
        all_is_settled(scribe)


# -- the books ------------------------------------------------------------------------------------------------------------


async def test_given_up_in_hand() -> None:
    async with Supervisor("app", child(Worker, capacity=2)) as app, anyio.create_task_group() as group:
        worker: Address[Worker] = app.find("worker")
        for handler in (Worker.hold, Worker.beside):
            gate, callers = Gate(), Callers(group)
            await callers.call(worker, handler, gate)
            await callers.give_up()
            holds_true(worker)
            gate.open()
            await at_rest()
            all_is_settled(worker)
        assert worker.account().handled == 2


@pytest.mark.parametrize("redeliver", [0, 1])
@pytest.mark.parametrize("end", ["crash", "kill", "stop"])
@pytest.mark.parametrize("handler", [Worker.hold, Worker.beside])
async def test_given_up_in_hand_when_the_life_ends(handler: Any, end: str, redeliver: int) -> None:
    async def fail() -> None:
        raise Boom

    described = child(Worker, redeliver=redeliver, name="worker")
    async with Supervisor("app", described, intensity=OFTEN) as app, anyio.create_task_group() as group:
        worker = app.find(described)
        callers, instance = Callers(group), await worker.call(_nursery)
        await callers.call(worker, handler, Gate())
        await callers.call(worker, Scribe.note, "queued")
        await callers.give_up()
        holds_true(worker)
        if end == "crash":
            instance.start_soon(fail)
        elif end == "kill":
            worker.kill()
        else:
            group.start_soon(app.terminate_child, "worker")
            await anyio.sleep(10)
        await at_rest()
        all_is_settled(worker)


def _nursery(_: Any) -> Any:
    from supervise import current

    return current().nursery


async def test_given_up_and_redelivered() -> None:
    async with Supervisor("app", child(Scribe, redeliver=3), intensity=OFTEN) as app, anyio.create_task_group() as group:
        scribe: Address[Scribe] = app.find("scribe")
        callers, gate = Callers(group), Gate()
        await callers.call(scribe, Scribe.hold, gate)
        scribe.pause()
        scribe.kill()  # it is in the queue again
        await at_rest()
        assert len(scribe) == 1
        await callers.give_up()
        holds_true(scribe)
        scribe.resume()
        await at_rest()
        assert scribe.account().abandoned == 1
        all_is_settled(scribe)


async def test_given_up_and_dropped_taken_or_discarded() -> None:
    async with Supervisor("app", child(Scribe, capacity=3), intensity=OFTEN) as app, anyio.create_task_group() as group:
        scribe: Address[Scribe] = app.find("scribe")
        for remove in (scribe.drop, scribe.take):
            gate, callers = await fill(scribe), Callers(group)
            await callers.call(scribe, Scribe.note, "given up")
            await callers.give_up()
            remove(lambda message: True)
            all_but_in_hand = scribe.account()
            assert (all_but_in_hand.queued, all_but_in_hand.abandoned > 0) == (0, True)
            assert lanes_of(scribe)[0].given_up == 0
            gate.open()
            await at_rest()
            all_is_settled(scribe)
        scribe.pause()
        callers = Callers(group)
        await callers.call(scribe, Scribe.note, "given up")
        await callers.give_up()
        await app.terminate_child("scribe")
        all_is_settled(scribe)


async def test_given_up_and_taken_out_by_a_crash_for_which_it_would_not_have_waited() -> None:
    async with Supervisor("app", child(Scribe), intensity=OFTEN) as app, anyio.create_task_group() as group:
        scribe: Address[Scribe] = app.find("scribe")
        scribe.pause()
        callers, others = Callers(group), Callers(group)
        fast = scribe.options(on_restart="fail")
        await callers.call(fast, Scribe.note, "given up")
        await others.call(fast, Scribe.note, "waits")
        await callers.give_up()
        scribe.kill()
        await at_rest()
        assert len(others.errors) == 1
        scribe.resume()
        await at_rest()
        all_is_settled(scribe)


async def test_a_deadline_that_passed_before_its_timer_fires() -> None:
    """The actor finds the envelope too late by its own look at the clock, in the same instant."""
    async with Supervisor("app", child(Scribe)) as app, anyio.create_task_group() as group:
        scribe: Address[Scribe] = app.find("scribe")

        async def exactly(self: Scribe) -> None:
            await anyio.sleep(1)

        outcomes = Outcomes(group)
        await scribe.send(exactly)
        await outcomes.watch("late", scribe.options(timeout=1).call(Scribe.note, "late"))
        await outcomes.watch("early", scribe.options(timeout=0.999_999).call(Scribe.note, "early"))
        await anyio.sleep(2)
        assert [type(outcomes.of[which]) for which in ("late", "early")] == [CallTimeout] * 2
        all_is_settled(scribe)


@ASYNCIO
@pytest.mark.parametrize("stage", ["queued", "in hand"])
async def test_a_call_that_expires_and_is_cancelled_natively_in_the_same_instant(stage: str) -> None:
    async with Supervisor("app", child(Scribe, capacity=2)) as app:
        scribe: Address[Scribe] = app.find("scribe")
        gate = Gate()
        if stage == "queued":
            gate = await fill(scribe)
        task = asyncio.ensure_future(scribe.options(timeout=1).call(Scribe.hold, gate))
        await at_rest()
        loop = asyncio.get_running_loop()
        loop.call_at(loop.time() + 1, task.cancel)
        await anyio.sleep(1)
        await at_rest()
        assert task.cancelled()
        holds_true(scribe)
        gate.open()
        await at_rest()
        all_is_settled(scribe)


# -- at random, against a model -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("overflow", ["wait", "reject", "drop_oldest", "drop_newest"])
@pytest.mark.parametrize("seed", range(12))
async def test_at_random_the_room_is_what_those_leave_who_are_waited_for(seed: int, overflow: Any) -> None:
    chance = random.Random(seed)
    lanes: tuple[str, ...] = ("urgent", "normal") if chance.random() < 0.5 else ()
    options: Any = {"lanes": lanes, "choice": chance.choice(["strict", "fair"]), "redeliver": chance.choice([0, 1])}
    described = child(Worker, name="worker", capacity=chance.randint(1, 4), overflow=overflow, **options)
    async with Supervisor("app", described, intensity=OFTEN) as app, anyio.create_task_group() as group:
        worker = app.find(described)
        callers, gates = Callers(group), [Gate()]
        native: list[asyncio.Task[Any]] = []
        for _ in range(120):
            view = worker.options(
                timeout=chance.choice([None, 0.0, 0.5, 1, 3]),
                on_restart=chance.choice(["wait", "wait", "fail"]),
                lane=chance.choice([None, *lanes]),
            )
            handler: Any = chance.choice([Worker.hold, Worker.beside, Worker.note, Worker.crash])
            deed = chance.choice(
                ["call"] * 8 + ["send"] * 2 + ["cancel"] * 5 + ["open", "wait", "pause", "kill", "drop", "native"]
            )
            if deed == "call":
                await callers.call(view, handler, chance.choice(gates) if handler in (Worker.hold, Worker.beside) else "x")
            elif deed == "send":
                group.start_soon(_send, view)
            elif deed == "cancel":
                chance.choice(callers.scopes or [anyio.CancelScope()]).cancel()
            elif deed == "native" and _on_asyncio():
                native.append(asyncio.ensure_future(_quietly(view.call(Worker.note, "x"))))
                await at_rest()
                chance.choice(native).cancel()
            elif deed == "open":
                gates[-1].open()
                gates.append(Gate())
            elif deed == "wait":
                await anyio.sleep(chance.choice([0.5, 1]))
            elif deed == "pause":
                chance.choice([worker.pause, worker.resume])()
            elif deed == "kill":
                worker.kill()
            elif deed == "drop":
                worker.drop(lambda message: chance.random() < 0.5)
            await at_rest()
            holds_true(worker)
            for lane in lanes_of(worker):
                dead = sum(map(is_given_up, lane.queue))
                assert dead <= lane.given_up
        worker.resume()
        for gate in gates:
            gate.open()
        for task in native:
            task.cancel()
        await callers.give_up()
        await anyio.sleep(10)
        all_is_settled(worker)


async def _send(view: Address[Worker]) -> None:
    await _quietly(view.send(Worker.note, "sent"))


async def _quietly(awaited: Any) -> None:
    try:
        await awaited
    except Exception:
        return


def _on_asyncio() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


@pytest.mark.parametrize("how", ["stop", "crash", "drop", "drop_oldest"])
async def test_a_caller_who_is_cancelled_by_the_text_of_its_own_message_is_given_up(how: str) -> None:
    class Suicidal:
        def __init__(self, scope: anyio.CancelScope) -> None:
            self.scope = scope

        def __repr__(self) -> str:
            self.scope.cancel()
            return "a text"

    options: dict[str, Any] = {"overflow": "drop_oldest", "capacity": 1} if how == "drop_oldest" else {}
    async with Supervisor("app", child(Scribe, **options)) as app, anyio.create_task_group() as group:
        scribe: Address[Scribe] = app.find("scribe")
        gate = Gate()
        await scribe.send(Scribe.hold, gate)
        await gate.reached.wait()
        ended: list[str] = []

        async def call() -> None:
            with anyio.CancelScope() as scope:
                view = scribe.options(on_restart="fail") if how == "crash" else scribe
                try:
                    await view.call(Scribe.note, Suicidal(scope))
                except SuperviseError as error:
                    ended.append(type(error).__name__)
            if scope.cancelled_caught:
                ended.append("cancelled")

        group.start_soon(call)
        await at_rest()
        if how == "stop":
            group.start_soon(app.terminate_child, "scribe")
            await at_rest()  # or the handler would end before, and the call be answered
        elif how == "crash":
            app.kill("scribe")
        elif how == "drop":
            scribe.drop(lambda _: True)
        else:
            await scribe.send(Scribe.note, "new")
        gate.open()
        await at_rest()
        assert len(ended) == 1
        assert scribe.account().balanced
        assert scribe._mailbox.given_up == 0


async def test_what_is_done_by_now_is_settled_by_nobody() -> None:
    backend = current_backend()
    for settle in (partial(give, result=1), partial(fail, error=Boom())):
        done = backend.future()
        done.set_result(0)
        assert settle(done) is False
        assert await done == 0
        fresh = backend.future()
        assert settle(fresh) is True
        with suppress(Boom):
            await fresh
