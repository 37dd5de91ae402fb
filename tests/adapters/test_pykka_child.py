"""Real pykka actors as children, on the real clock.

Tested: the list of promises, crashed from outside by a message of another pykka actor; `call` and `send` reach its methods, in
its thread; what a method raises; its hooks; an actor that stops itself, or is stopped by its reference, or by `stop_all`; one
that doesn't start; one that hangs; its thread is gone afterwards, and so is its entry in pykka's registry; bad input.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

pytest.importorskip("pykka", reason="it isn't installed: extra [pykka]")

import pykka

from supervise import (
    ActorCrashed,
    ActorStopped,
    Address,
    BadCall,
    ExitKind,
    GaveUp,
    InvalidSpec,
    StartFailed,
    Supervisor,
    child,
    current,
)
from supervise.adapters.pykka import actor
from supervise.adapters.pykka import reference as reference_to
from supervise.events import Overran, Raised, Started, Stopped
from supervise.tree import place
from tests.doubles import Boom
from tests.real_clock import BACKENDS

from .promises import check, check_normal_end, check_policy, present, tree


@pytest.fixture(params=BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def nothing_of_pykka_is_left() -> Iterator[None]:
    before = present()
    logging.getLogger("pykka").setLevel(logging.CRITICAL)
    yield
    assert present() == before
    assert pykka.ActorRegistry.get_all() == []


class Base(pykka.ThreadingActor):
    def inherited(self) -> str:
        return "from the base"


class Counter(Base):
    """Somebody else's actor."""

    def __init__(self, start: int = 0, *, log: list[str] | None = None) -> None:
        super().__init__()
        self.total = start
        self.log: list[str] = [] if log is None else log

    def on_start(self) -> None:
        self.log.append("start")
        self.home = threading.current_thread()

    def on_stop(self) -> None:
        self.log.append("stop")

    def on_failure(self, exception_type: Any, exception_value: Any, traceback: Any) -> None:
        self.log.append(f"failure {exception_value!r}")

    def add(self, amount: int) -> int:
        assert threading.current_thread() is self.home
        if amount < 0:
            raise Boom(f"can't add {amount}")
        self.total += amount
        return self.total

    def leave(self) -> None:
        self.stop()

    def hang(self, release: threading.Event) -> None:
        release.wait(20)

    def on_receive(self, message: Any) -> Any:
        if message == "crash":
            raise Boom("a message")
        return f"got {message}"


def reference() -> Any:
    """pykka's own, of the life that is there."""
    [found] = pykka.ActorRegistry.get_by_class(Counter)
    return found


async def crash_by_a_message(*_: object) -> None:
    reference().tell("crash")


async def end_by_its_reference(*_: object) -> None:
    reference().stop(block=False)


async def test_a_crash_behind_its_back_restarts_it_and_nothing_that_waits_is_lost() -> None:
    await check(actor(Counter), crash_by_a_message, detail="Boom: a message")


async def test_it_is_restarted_by_its_policy() -> None:
    await check_policy(actor(Counter), crash_by_a_message)


async def test_one_that_is_stopped_by_its_reference_has_ended_normally() -> None:
    await check_normal_end(actor(Counter), end_by_its_reference)


async def test_one_that_stops_itself_has_ended_normally_and_what_waits_is_not_begun() -> None:
    async def leave(_: object, counter: Address[Any]) -> None:
        await counter.send(Counter.leave)

    await check_normal_end(actor(Counter), leave)
    async with tree(actor(Counter, 5)) as (_, counter, witness):
        await counter.send(Counter.leave)
        assert await counter.call(Counter.add, 1) == 6
        assert await counter.call(Counter.add, 1) == 7
        assert len(witness.of(Stopped)) == 1
        assert not [letter for letter in (counter.account().dead_lettered, counter.account().failed) if letter]


async def test_call_and_send_reach_its_methods_in_its_thread() -> None:
    async with Supervisor("app") as app:
        counter: Address[Counter] = await app.start(actor(Counter, 10), name="counter")
        total: int = await counter.call(Counter.add, 1)
        await counter.send(Counter.add, 4)
        assert (total, await counter.call(Counter.add, 0)) == (11, 15)
        assert await counter.call(Counter.on_receive, "mail") == "got mail"
        assert await counter.call(Base.inherited) == "from the base"


async def test_what_its_method_raises_crashes_it_and_what_waits_is_handled_by_the_next() -> None:
    log: list[str] = []
    async with tree(actor(Counter, 100, log=log), on_error="crash") as (app, counter, witness):
        assert await counter.call(Counter.add, 1) == 101
        await counter.send(Counter.add, -1)
        for amount in (1, 2, 3):
            await counter.send(Counter.add, amount)
        assert await counter.call(Counter.add, 0) == 106
        with pytest.raises(ActorCrashed, match="can't add -2") as crash:
            await counter.call(Counter.add, -2)
        assert isinstance(crash.value.__cause__, Boom)
        assert await counter.call(Counter.add, 0) == 100
        assert app.find("it") == counter
        assert (await witness.ended()).frames[-1].function == "Counter.add"
    first, second = ('failure Boom("can\'t add -1")', 'failure Boom("can\'t add -2")')
    assert log == ["start", first, "start", second, "start", "stop"]


async def test_what_an_ask_raises_goes_to_the_asker_and_what_a_tell_raises_stops_it_as_in_pykka() -> None:
    async with tree(actor(Counter, 100)) as (_, counter, witness):
        with pytest.raises(Boom, match="can't add -1"):
            await counter.call(Counter.add, -1)
        assert await counter.call(Counter.add, 1) == 101
        assert not witness.of(Stopped)
        await counter.send(Counter.add, -2)
        assert await counter.call(Counter.add, 1) == 101
        assert [event.reason.detail for event in witness.of(Stopped)] == ["Boom: can't add -2"]


async def test_what_it_is_expected_to_raise_is_an_answer_and_all_else_a_crash() -> None:
    async with tree(actor(Counter), expects=(KeyError,)) as (_, counter, _witness):
        with pytest.raises(ActorCrashed):
            await counter.call(Counter.add, -1)
    async with tree(actor(Counter), expects=(Boom,)) as (_, counter, witness):
        with pytest.raises(Boom):
            await counter.call(Counter.add, -1)
        assert await counter.call(Counter.add, 1) == 1
        assert not witness.of(Stopped)


@pytest.mark.parametrize("on_error", ["reply", "crash"])
async def test_what_a_method_raises_whose_caller_is_gone_is_judged_all_the_same(on_error: Any) -> None:
    begun, release = threading.Event(), threading.Event()

    class Blocks(Counter):
        def work(self) -> None:
            begun.set()
            release.wait(20)
            raise Boom("in the thread")

    async with tree(actor(Blocks), on_cancel="cancel", on_error=on_error) as (_, blocks, witness):
        async with anyio.create_task_group() as group:
            group.start_soon(blocks.call, Blocks.work)
            await anyio.to_thread.run_sync(begun.wait, 20)
            group.cancel_scope.cancel()
        release.set()
        if on_error == "crash":
            await witness.started(2)
            assert [event.reason.detail for event in witness.of(Stopped)] == ["Boom: in the thread"]
        else:
            await blocks.ping()
            assert [event.error for event in witness.of(Raised)] == ["Boom: in the thread"]


async def test_a_message_in_hand_when_it_crashes_behind_its_back_is_told_to_its_caller() -> None:
    async with tree(actor(Counter)) as (_, counter, witness):
        release = threading.Event()
        outcome: list[Any] = []

        async def call() -> None:
            with pytest.raises(ActorCrashed):
                await counter.call(Counter.add, 1)
            outcome.append("told")

        ref = reference()
        ref.proxy().hang(release)  # by pykka's own way: our message waits behind it, in pykka's inbox
        ref.tell("crash")
        async with anyio.create_task_group() as group:
            group.start_soon(call)
            while not counter.account().in_hand:
                await anyio.lowlevel.checkpoint()
            release.set()
        assert outcome == ["told"]
        await witness.started(2)


async def test_a_message_in_front_of_which_it_stops_is_told_to_its_caller() -> None:
    async with tree(actor(Counter)) as (_, counter, witness):
        release = threading.Event()
        ref = reference()
        ref.proxy().hang(release)
        ref.stop(block=False)
        async with anyio.create_task_group() as group:

            async def call() -> None:
                with pytest.raises(pykka.ActorDeadError, match="stopped before it handled this message"):
                    await counter.call(Counter.add, 1)

            group.start_soon(call)
            while not counter.account().in_hand:
                await anyio.lowlevel.checkpoint()
            release.set()
        await witness.started(2)
        assert await counter.call(Counter.add, 1) == 1


async def test_it_is_ready_when_on_start_has_returned_and_fails_with_it() -> None:
    class Unborn(Counter):
        def on_start(self) -> None:
            raise Boom("not today")

    class Unbuilt(Counter):
        def __init__(self) -> None:
            raise Boom("no file")

    for cls in (Unborn, Unbuilt):
        with pytest.raises(StartFailed, match=r"not today|no file"):
            async with tree(actor(cls)):
                raise AssertionError("it runs")


async def test_on_stop_that_raises_is_a_crash() -> None:
    class Rude(Counter):
        def on_stop(self) -> None:
            raise Boom("at the end")

    async with tree(actor(Rude)) as (app, _, witness):
        await app.terminate_child("it")
        assert (await witness.ended()).reason.detail == "Boom: at the end"


async def test_stop_all_ends_it_and_its_supervisor_starts_it_again() -> None:
    async with tree(actor(Counter, 3)) as (_, counter, witness):
        await anyio.to_thread.run_sync(pykka.ActorRegistry.stop_all)
        await witness.started(2)
        assert await counter.call(Counter.add, 1) == 4


async def test_stop_all_of_more_than_the_intensity_ends_the_tree() -> None:
    with pytest.raises(GaveUp):
        async with Supervisor("app", recorder=False) as app:
            for name in ("a", "b", "c", "d"):
                await app.start(actor(Counter), name=name)
            await anyio.to_thread.run_sync(pykka.ActorRegistry.stop_all)
            await anyio.sleep_forever()


async def test_one_that_hangs_is_reported_and_not_restarted_while_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "UNSTOPPABLE_AFTER", 0.05)
    release = threading.Event()
    try:
        async with tree(actor(Counter), stop_within=0.01) as (app, counter, witness):
            await counter.send(Counter.hang, release)
            while not counter.account().in_hand:
                await anyio.lowlevel.checkpoint()
            app.kill("it")
            await witness.until(lambda: witness.of(Overran))
            with pytest.raises(ActorStopped, match="still runs"):
                await counter.call(Counter.add, 1)
            assert [event.incarnation for event in witness.of(Started) if event.path == "app/it"] == [1]
            release.set()
            await witness.started(2)
            assert await counter.call(Counter.add, 1) == 1
    finally:
        release.set()


async def test_it_can_stand_in_a_description_and_be_stopped_and_started_by_hand() -> None:
    counter = child(actor(Counter, 1), name="counter")
    async with Supervisor("app", counter) as app:
        address = app.find(counter)
        await app.terminate_child("counter")
        assert pykka.ActorRegistry.get_all() == []
        with pytest.raises(ActorStopped):
            await address.call(Counter.add, 1)
        await app.restart_child("counter")
        assert await address.call(Counter.add, 1) == 2


async def test_a_kill_ends_it_as_killed() -> None:
    async with tree(actor(Counter)) as (app, _, witness):
        app.kill("it")
        assert (await witness.ended()).reason.kind is ExitKind.KILLED
        await witness.started(2)


def other_thread(function: Any, *args: Any) -> Any:
    return anyio.to_thread.run_sync(function, *args)


async def test_a_reference_is_used_as_pykkas_own_and_outlives_a_crash() -> None:
    async with tree(actor(Counter, 5)) as (_, counter, witness):
        held = reference_to(counter)

        def use() -> list[Any]:
            answers = [held.ask("mail"), held.proxy().add(1).get(), held.ask("mail", block=False).get()]
            with pytest.raises(Boom, match="can't add -1"):  # the exception itself, as pykka raises it
                held.proxy().add(-1).get()
            assert held.proxy().add(1).get() == 7  # which is no crash
            held.tell("mail")
            return [*answers, held.proxy().add(1).get()]

        assert await other_thread(use) == ["got mail", 6, "got mail", 8]
        held_too = reference_to(counter)
        await other_thread(held_too.tell, "crash")
        await witness.started(2)
        assert await other_thread(held.ask, "mail") == "got mail"


async def test_a_pykka_actor_can_have_a_reference_to_another_child() -> None:
    class Relay(Counter):
        def __init__(self, other: Any) -> None:
            super().__init__()
            self.other = other

        def on_receive(self, message: Any) -> Any:
            return ["relayed", self.other.ask(message)]

    counter = child(actor(Counter), name="counter")
    relay = child(lambda: actor(Relay, reference_to(current().find(counter)))(), name="relay")
    async with Supervisor("app", counter, relay) as app:
        assert await app.find("relay").call(Relay.on_receive, "mail") == ["relayed", "got mail"]


async def test_a_reference_to_one_that_is_stopped_says_so_as_pykka_does() -> None:
    async with tree(actor(Counter)) as (app, counter, _):
        held = reference_to(counter)
        await app.terminate_child("it")
        for use in (held.tell, held.ask):
            with pytest.raises(pykka.ActorDeadError):
                await other_thread(use, "mail")
        await app.restart_child("it")
        assert await other_thread(held.ask, "mail") == "got mail"
    for use in (held.tell, held.ask):
        with pytest.raises(pykka.ActorDeadError):
            await other_thread(use, "mail")


async def test_a_reference_waits_no_longer_than_it_was_told() -> None:
    release = threading.Event()
    async with tree(actor(Counter)) as (_, counter, _w):
        held = reference_to(counter)
        await counter.send(Counter.hang, release)
        with pytest.raises(pykka.Timeout):
            await other_thread(lambda: held.ask("mail", timeout=0.01))
        release.set()


async def test_a_reference_in_the_loops_own_thread_says_so() -> None:
    async with tree(actor(Counter)) as (_, counter, _w):
        with pytest.raises(RuntimeError, match="for other threads"):
            reference_to(counter).ask("mail")
        with pytest.raises(InvalidSpec, match="address"):
            reference_to(any_actor)


class NoActor:
    pass


any_actor: Any = actor


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: any_actor(NoActor), ["NoActor", "subclass of pykka.ThreadingActor"]),
        (lambda: any_actor(Counter(1)), ["not started", "actor(Counter, 10)"]),
        (lambda: any_actor(Counter(1).actor_ref), ["runs already", "not started; its arguments follow"]),
        (lambda: any_actor(lambda: Counter()), ["subclass of pykka.ThreadingActor"]),
    ],
)
def test_the_wrong_kind_of_object_is_refused_with_the_cure(make: Any, words: list[str]) -> None:
    with pytest.raises(InvalidSpec) as refused:
        make()
    for word in words:
        assert word in str(refused.value)


@pytest.mark.parametrize("options", [{}, {"on_error": "crash"}])
async def test_a_call_that_does_not_fit_is_its_callers_error(options: Any) -> None:
    async with tree(actor(Counter), **options) as (_, counter, witness):
        wrong: Any = counter
        with pytest.raises(BadCall, match=r"app/it: Counter\.add\(int, int, int\) doesn't fit"):
            await wrong.call(Counter.add, 1, 2, 3)
        await wrong.send(Counter.add)
        assert await counter.call(Counter.add, 1) == 1
        assert not witness.of(Stopped)
