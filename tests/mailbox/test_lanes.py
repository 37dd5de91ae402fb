"""Lanes, overflow, throttle, and looking into a mailbox.

Tested: SEMANTICS 37 (lanes, choice, the four policies), 39 (peek, drop, take), a queue of one's own.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import anyio
import pytest

from supervise import (
    Address,
    Ended,
    InvalidSpec,
    MailboxFull,
    Message,
    MessageDropped,
    Supervisor,
    Throttle,
    child,
    open_mailbox,
)
from supervise.testing.virtual_time import at_rest
from tests.doubles import Boom, ByNumber, Outcomes, Scribe, fill

pytestmark = pytest.mark.anyio
LANES = ("urgent", "normal", "bulk")


def lanes_of(scribe: Address[Scribe]) -> list[Address[Scribe]]:
    return [scribe.options(lane=lane) for lane in LANES]


async def test_the_strict_choice_takes_the_most_urgent_first_and_keeps_the_order_in_a_lane() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Scribe, log, lanes=LANES)) as app:
        scribe: Address[Scribe] = app.find("scribe")
        urgent, normal, bulk = lanes_of(scribe)
        gate = await fill(scribe)
        for n in range(3):
            await bulk.send(Scribe.note, f"bulk {n}")
            await normal.send(Scribe.note, f"normal {n}")
            await urgent.send(Scribe.note, f"urgent {n}")
        await scribe.send(Scribe.note, "no lane")
        assert len(scribe) == 10
        gate.open()
        await at_rest()
        assert log == [*(f"{lane} {n}" for lane in LANES for n in range(3)), "no lane"]
        assert scribe.account().balanced


async def test_the_fair_choice_starves_nobody() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Scribe, log, lanes=LANES, choice="fair")) as app:
        scribe: Address[Scribe] = app.find("scribe")
        urgent, _, bulk = lanes_of(scribe)
        gate = await fill(scribe)
        for n in range(100):
            await urgent.send(Scribe.note, f"urgent {n}")
        await bulk.send(Scribe.note, "bulk 0")
        await bulk.send(Scribe.note, "bulk 1")
        gate.open()
        await at_rest()
        assert [entry for entry in log[:5] if entry.startswith("bulk")] == ["bulk 0", "bulk 1"]
        assert [entry for entry in log if entry.startswith("urgent")] == [f"urgent {n}" for n in range(100)]


async def test_the_strict_choice_does_starve_and_that_is_what_was_asked_for() -> None:
    log: list[Any] = []

    async def urgent_again(self: Scribe) -> None:
        self.log.append("urgent")
        if len(self.log) < 200:
            scribe.options(lane="urgent").try_send(urgent_again)

    async with Supervisor("app", child(Scribe, log, lanes=LANES)) as app:
        scribe: Address[Scribe] = app.find("scribe")
        gate = await fill(scribe, "bulk")
        await scribe.options(lane="urgent").send(urgent_again)
        gate.open()
        await at_rest()
        assert log == ["urgent"] * 200 + ["bulk"]


async def test_each_lane_has_its_own_room_and_a_full_one_holds_up_no_other() -> None:
    log: list[Any] = []
    async with (
        Supervisor("app", child(Scribe, log, lanes=LANES, capacity=1)) as app,
        anyio.create_task_group() as group,
    ):
        scribe: Address[Scribe] = app.find("scribe")
        urgent, _, bulk = lanes_of(scribe)
        gate = await fill(scribe, "bulk 0")
        outcomes = Outcomes(group)
        await outcomes.watch("bulk 1", bulk.send(Scribe.note, "bulk 1"))
        await urgent.send(Scribe.note, "urgent 0")
        await outcomes.watch("urgent 1", urgent.call(Scribe.note, "urgent 1"))
        assert outcomes.of == {}
        gate.open()
        await at_rest()
        assert sorted(outcomes.of) == ["bulk 1", "urgent 1"]
        assert sorted(log) == ["bulk 0", "bulk 1", "urgent 0", "urgent 1"]
        assert log[0] == "urgent 0"
        assert scribe.account().balanced


async def test_lanes_are_kept_over_a_restart_and_become_dead_letters_at_a_stop() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Scribe, log, lanes=LANES)) as app:
        scribe: Address[Scribe] = app.find("scribe")
        urgent, _, bulk = lanes_of(scribe)
        gate = await fill(scribe, "bulk 0")
        await urgent.send(Scribe.note, "urgent 0")
        app.kill("scribe")
        await at_rest()
        assert log == ["urgent 0", "bulk 0"]
        scribe.pause()
        await bulk.send(Scribe.note, 1)
        await urgent.send(Scribe.note, 2)
        await app.terminate_child("scribe")
        assert scribe.account().dead_lettered == 3
        assert scribe.account().balanced
        gate.open()


async def test_a_lane_that_isnt_there_is_named_with_those_that_are() -> None:
    async with Supervisor("app", child(Scribe, lanes=LANES), child(Scribe, name="plain")) as app:
        with pytest.raises(InvalidSpec, match=r"lane='fast'.*'urgent', 'normal', 'bulk'"):
            app.find("scribe").options(lane="fast")
        with pytest.raises(InvalidSpec, match=r"lane='fast'.*none"):
            app.find("plain").options(lane="fast")


# -- overflow ------------------------------------------------------------------------------------------------------------


async def test_drop_oldest_keeps_the_newest_and_its_caller_is_told() -> None:
    log: list[Any] = []
    async with (
        Supervisor("app", child(Scribe, log, capacity=2, overflow="drop_oldest")) as app,
        anyio.create_task_group() as group,
    ):
        scribe: Address[Scribe] = app.find("scribe")
        gate = await fill(scribe)
        outcomes = Outcomes(group)
        await outcomes.watch("a", scribe.call(Scribe.note, "a"))
        for entry in "bcd":
            await scribe.send(Scribe.note, entry)
        scribe.try_send(Scribe.note, "e")
        await at_rest()
        assert isinstance(outcomes.of["a"], MessageDropped)  # while the one that came before it is still in hand
        gate.open()
        await at_rest()
        assert log == ["d", "e"]
        assert scribe.account() == (6, 3, 0, 3, 0, 0, 0)
        assert all("drop_oldest" in letter.why for letter in app.dead_letters())


async def test_drop_newest_keeps_what_waits() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Scribe, log, capacity=2, overflow="drop_newest")) as app:
        scribe: Address[Scribe] = app.find("scribe")
        gate = await fill(scribe, "a", "b", "c")
        scribe.try_send(Scribe.note, "d")
        with pytest.raises(MessageDropped, match="drop_newest"):
            await scribe.call(Scribe.note, "e")
        gate.open()
        await at_rest()
        assert log == ["a", "b"]
        assert scribe.account() == (6, 3, 0, 3, 0, 0, 0)


async def test_reject_raises_with_the_message_attached() -> None:
    async with Supervisor("app", child(Scribe, capacity=1, overflow="reject")) as app:
        scribe: Address[Scribe] = app.find("scribe")
        gate = await fill(scribe, "a")
        with pytest.raises(MailboxFull) as caught:
            await scribe.send(Scribe.note, "b")
        assert caught.value.message == Message(Scribe.note, ("b",), {})
        gate.open()


@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest"])
async def test_a_call_whose_deadline_has_passed_when_it_would_be_dropped_says_so(overflow: Any) -> None:
    async with Supervisor("app", child(Scribe, capacity=1, overflow=overflow)) as app:
        scribe: Address[Scribe] = app.find("scribe")
        scribe.pause()
        await scribe.send(Scribe.note, 1)
        with pytest.raises(TimeoutError):
            await scribe.options(timeout=0).call(Scribe.note, 2)
        await scribe.send(Scribe.note, 3)
        assert scribe.account().balanced
        scribe.resume()


@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest"])
async def test_a_sender_in_a_loop_to_a_full_mailbox_that_drops_lets_others_run(overflow: Any) -> None:
    async with Supervisor("app", child(Scribe, capacity=3, overflow=overflow)) as app:
        scribe: Address[Scribe] = app.find("scribe")
        gate = await fill(scribe)
        with anyio.move_on_after(1) as scope:
            for n in itertools.count():
                await scribe.send(Scribe.note, n)
                if n == 1000:
                    scope.cancel()
                assert n < 1200
        gate.open()
        await at_rest()
        assert scribe.account().balanced


# -- throttle ------------------------------------------------------------------------------------------------------------


async def test_a_throttle_begins_so_many_a_second_and_a_burst_after_a_rest() -> None:
    seen: list[float] = []

    def stamp(_: Scribe) -> None:
        seen.append(round(anyio.current_time() - begun, 6))

    async with Supervisor("app", child(Scribe, throttle=Throttle(2, burst=3))) as app:
        scribe: Address[Scribe] = app.find("scribe")
        begun = anyio.current_time()
        for _ in range(6):
            await scribe.send(stamp)
        await anyio.sleep(10)
        assert seen == [0, 0, 0, 0.5, 1, 1.5]
        seen.clear()
        begun = anyio.current_time()
        for _ in range(4):
            await scribe.send(stamp)
        await anyio.sleep(5)
        assert seen == [0, 0, 0, 0.5]


async def test_a_throttle_loses_nothing_when_the_last_strong_address_goes() -> None:
    log: list[Any] = []
    mailbox, address = open_mailbox(Scribe, throttle=Throttle(1))
    for n in range(5):
        await address.send(Scribe.note, n)
    del address
    begun = anyio.current_time()
    assert isinstance(await mailbox.run(Scribe, log), Ended)
    assert log == [0, 1, 2, 3, 4]
    assert anyio.current_time() - begun == pytest.approx(4)


async def test_a_throttle_is_kept_over_a_restart_and_leaves_no_timer() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Scribe, log, throttle=Throttle(1))) as app:
        scribe: Address[Scribe] = app.find("scribe")
        for n in range(3):
            await scribe.send(Scribe.note, n)
        await at_rest()
        app.kill("scribe")
        await at_rest()
        assert log == [0]
        await anyio.sleep(1.5)
        assert log == [0, 1]


@pytest.mark.parametrize(("rate", "burst"), [(0, 1), (-1, 1), (math.inf, 1), (True, 1), (1, 0), (1, 1.5)])
def test_a_throttle_that_cannot_be_is_refused(rate: Any, burst: Any) -> None:
    with pytest.raises(InvalidSpec, match="Throttle"):
        Throttle(rate, burst)


# -- looking into a mailbox ----------------------------------------------------------------------------------------------


async def test_peek_drop_and_take() -> None:
    log: list[Any] = []
    async with (
        Supervisor("app", child(Scribe, log, capacity=5)) as app,
        anyio.create_task_group() as group,
    ):
        scribe: Address[Scribe] = app.find("scribe")
        gate = await fill(scribe, *range(4))
        outcomes = Outcomes(group)
        await outcomes.watch("called", scribe.call(Scribe.note, 4))
        await outcomes.watch("waits", scribe.send(Scribe.note, 5))
        assert [message.args for message in scribe.peek()] == [(0,), (1,), (2,), (3,), (4,)]
        assert [str(message) for message in scribe.peek(1)] == ["Scribe.note(0)"]
        assert scribe.take(lambda message: message.args == (1,)) == [Message(Scribe.note, (1,), {})]
        await at_rest()
        assert "waits" in outcomes.of  # there is room now
        assert scribe.drop(lambda message: message.args[0] > 3) == 2
        await at_rest()
        assert isinstance(outcomes.of["called"], MessageDropped)
        gate.open()
        await at_rest()
        assert log == [0, 2, 3]
        account = scribe.account()
        assert (account.dead_lettered, account.balanced) == (3, True)


# -- a queue of one's own ------------------------------------------------------------------------------------------------


async def test_a_queue_of_ones_own_decides_about_the_order() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Scribe, log, queue=ByNumber)) as app:
        scribe: Address[Scribe] = app.find("scribe")
        gate = await fill(scribe, 3, 1, 2)
        assert [message.args for message in scribe.peek()] == [(1,), (2,), (3,)]
        gate.open()
        await at_rest()
        assert log == [1, 2, 3]
        assert scribe.account().balanced


async def test_a_queue_that_cannot_be_made_is_told_to_the_sender_who_needs_it_and_the_actor_lives_on() -> None:
    made: list[ByNumber] = []

    def make() -> ByNumber:
        if made:
            raise Boom("one queue is enough")
        made.append(ByNumber())
        return made[0]

    log: list[Any] = []
    async with Supervisor("app", child(Scribe, log, queue=make, lanes=LANES)) as app:
        scribe: Address[Scribe] = app.find("scribe")
        await scribe.options(lane="urgent").call(Scribe.note, 1)
        with pytest.raises(Boom):
            await scribe.send(Scribe.note, 2)
        await scribe.options(lane="urgent").call(Scribe.note, 3)
        assert log == [1, 3]
        assert (app.which_children()[0].incarnation, scribe.account().balanced) == (1, True)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("lanes", ("one",)),
        ("lanes", ("a", "a")),
        ("lanes", ["a", "b"]),
        ("lanes", ("a", "")),
        ("choice", "random"),
        ("overflow", "drop"),
        ("queue", 3),
        ("redeliver", -1),
        ("redeliver", True),
        ("lifetime", "forever"),
        ("on_tree_started", Scribe().note),
        ("on_tree_started", "note"),
    ],
)
def test_options_that_cannot_be_are_refused_by_name_and_value(option: str, value: Any) -> None:
    options: Any = {option: value}
    with pytest.raises(InvalidSpec) as caught:
        child(Scribe, **options)
    assert option in str(caught.value)
    assert "scribe" in str(caught.value)
