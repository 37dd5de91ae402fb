"""How a mailbox without a supervisor ends: by itself, by hand, or because nobody has it any more.

Tested: SEMANTICS 36, 30 to 33: supervision by hand ends with the last address; whoever waits for a mailbox that is closed,
or collected, is told: calls, sends, pings, watches, other threads.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import anyio
import anyio.to_thread
import pytest

from supervise import ActorStopped, Address, Crashed, Ended, MailboxClosed, OpenMailbox, current, open_mailbox
from supervise.testing.virtual_time import at_rest
from tests.doubles import Boom, Gate, Outcomes, Scribe
from tests.real_clock import on_the_real_clock

pytestmark = pytest.mark.anyio


@contextmanager
def no_life() -> Generator[Callable[[], Scribe]]:
    """A factory that isn't called."""
    made: list[Scribe] = []

    def factory() -> Scribe:
        made.append(Scribe())
        return made[0]

    yield factory
    assert made == []


async def by_hand(mailbox: OpenMailbox[Scribe], factory: Callable[..., Any], *args: Any) -> int:
    """How many lives it took."""
    lives = 1
    while isinstance(await mailbox.run(factory, *args), Crashed):
        lives += 1
    return lives


@pytest.mark.parametrize("when", ["before", "parked", "in hand"])
async def test_supervision_by_hand_ends_when_the_last_address_is_gone(when: str) -> None:
    log: list[Any] = []
    mailbox, address = open_mailbox(Scribe)
    async with anyio.create_task_group() as group:
        outcomes, gate = Outcomes(group), Gate()
        if when != "before":
            await outcomes.watch("lives", by_hand(mailbox, Scribe, log))
        if when == "in hand":
            await address.send(Scribe.hold, gate)
            await gate.reached.wait()
        for n in range(3):
            await address.send(Scribe.crash)
            await address.send(Scribe.note, n)
        address.close()
        gate.open()
        if when == "before":
            await outcomes.watch("lives", by_hand(mailbox, Scribe, log))
        await at_rest()
        assert outcomes.of == {"lives": 4}
        assert log == [0, 1, 2]
        assert mailbox.account().balanced
        assert isinstance(await mailbox.run(Scribe), Ended)  # at once, and without a life


async def test_supervision_by_hand_ends_though_its_factory_never_succeeds() -> None:
    def factory() -> Scribe:
        raise Boom

    mailbox, address = open_mailbox(Scribe)
    async with anyio.create_task_group() as group:
        outcomes = Outcomes(group)
        address.close()
        await at_rest()
        await outcomes.watch("lives", by_hand(mailbox, factory))
        assert outcomes.of == {"lives": 1}


async def test_supervision_by_hand_ends_when_the_last_address_goes_in_the_crashing_life() -> None:
    mailbox, address = open_mailbox(Scribe)
    addresses = [address]

    def close_and_crash(_: Scribe) -> None:
        addresses.pop().close()
        raise Boom

    await address.send(close_and_crash)
    del address
    assert await by_hand(mailbox, Scribe) == 2


async def test_a_pause_does_not_keep_it_when_nobody_is_left_who_could_resume_it() -> None:
    log: list[Any] = []
    mailbox, address = open_mailbox(Scribe)
    address.pause()
    await address.send(Scribe.note, "waits")
    async with anyio.create_task_group() as group:
        outcomes = Outcomes(group)
        await outcomes.watch("lives", by_hand(mailbox, Scribe, log))
        assert log == []
        address.close()
        await at_rest()
        assert outcomes.of == {"lives": 1}
        assert log == ["waits"]


async def test_a_pause_of_a_mailbox_that_nobody_runs_keeps_what_waits_for_the_first_life() -> None:
    log: list[Any] = []
    mailbox, address = open_mailbox(Scribe)
    address.pause()
    await address.send(Scribe.note, "waits")
    address.resume()
    async with anyio.create_task_group() as group:
        group.start_soon(by_hand, mailbox, Scribe, log)
        await at_rest()
        assert log == ["waits"]
        address.close()


class Waiting:
    """All that can wait for an actor that doesn't run."""

    def __init__(self, outcomes: Outcomes, address: Address[Scribe]) -> None:
        self.outcomes = outcomes
        self._address = address.weak

    async def begin(self) -> None:
        weak = self._address
        await self.outcomes.watch("call", weak.call(Scribe.note, "queued"))
        await self.outcomes.watch("send", weak.send(Scribe.note, "waits for room"))
        await self.outcomes.watch("call for room", weak.call(Scribe.note, "waits for room, too"))
        await self.outcomes.watch("ping", weak.ping())
        await self.outcomes.watch("watch", weak.watch())
        assert self.outcomes.of == {}

    def are_told(self) -> None:
        of = self.outcomes.of
        assert [type(of[name]) for name in ("call", "send", "call for room", "ping")] == [MailboxClosed] * 4
        assert (of["watch"].path, of["watch"].incarnation) == ("scribe", 0)


async def test_who_waits_for_a_mailbox_that_is_closed_unrun_is_told() -> None:
    mailbox, address = open_mailbox(Scribe, capacity=1)
    async with anyio.create_task_group() as group:
        waiting = Waiting(Outcomes(group), address)
        await waiting.begin()
        mailbox.close()
        await at_rest()
        waiting.are_told()
        assert mailbox.account() == (1, 0, 0, 1, 0, 0, 0)
        mailbox.close()  # idempotent


async def test_who_waits_for_a_mailbox_that_is_collected_is_told() -> None:
    async with anyio.create_task_group() as group:
        mailbox, address = open_mailbox(Scribe, capacity=1)
        waiting = Waiting(Outcomes(group), address)
        await waiting.begin()
        del mailbox
        gc.collect()
        await at_rest()
        waiting.are_told()
        with pytest.raises(MailboxClosed):
            await address.send(Scribe.note, "late")
        with pytest.raises(MailboxClosed):
            await address.ping()
        assert (await address.watch()).incarnation == 0
        assert address.account().balanced


async def test_who_watches_or_pings_a_mailbox_whose_last_address_goes_unrun_is_told() -> None:
    mailbox, address = open_mailbox(Scribe)
    async with anyio.create_task_group() as group:
        outcomes, weak = Outcomes(group), address.weak
        await outcomes.watch("ping", weak.ping())
        await outcomes.watch("watch", weak.watch())
        address.close()
        await at_rest()
        assert isinstance(outcomes.of["ping"], MailboxClosed)
        assert outcomes.of["watch"].incarnation == 0
        assert isinstance(await mailbox.run(Scribe), Ended)


async def test_a_ping_before_the_first_life_is_answered_by_it() -> None:
    mailbox, address = open_mailbox(Scribe)
    async with anyio.create_task_group() as group:
        outcomes = Outcomes(group)
        await outcomes.watch("ping", address.ping())
        await anyio.sleep(3)
        await outcomes.watch("lives", by_hand(mailbox, Scribe))
        assert outcomes.of == {"ping": pytest.approx(3)}
        address.close()


async def test_a_watch_tells_of_the_last_life_when_the_mailbox_is_collected_after_a_crash() -> None:
    async with anyio.create_task_group() as group:
        mailbox, address = open_mailbox(Scribe)
        await address.send(Scribe.crash)
        assert isinstance(await mailbox.run(Scribe), Crashed)
        outcomes = Outcomes(group)
        await outcomes.watch("watch", address.watch())
        assert outcomes.of == {}
        del mailbox
        gc.collect()
        await at_rest()
        assert outcomes.of["watch"].incarnation == 1
        assert outcomes.of["watch"].reason.kind.value == "crashed"


async def test_close_from_within_its_own_actor() -> None:
    log: list[Any] = []
    mailbox, address = open_mailbox(Scribe)

    def close(self: Scribe) -> None:
        mailbox.close()
        self.log.append(current().stopping)

    await address.send(close)
    await address.send(Scribe.note, "behind")
    assert isinstance(await mailbox.run(Scribe, log), Ended)
    assert log == [True]
    assert mailbox.account() == (2, 1, 0, 1, 0, 0, 0)


async def test_close_between_two_lives_ends_what_waits() -> None:
    mailbox, address = open_mailbox(Scribe)
    async with anyio.create_task_group() as group:
        outcomes = Outcomes(group)
        await address.send(Scribe.crash)
        await outcomes.watch("call", address.call(Scribe.note, "waits"))
        assert isinstance(await mailbox.run(Scribe), Crashed)
        assert outcomes.of == {}
        mailbox.close()
        await at_rest()
        assert isinstance(outcomes.of["call"], MailboxClosed)
        assert mailbox.account().balanced


@on_the_real_clock
@pytest.mark.parametrize("end", ["close", "collect"])
@pytest.mark.parametrize("how", ["call", "send"])
async def test_another_thread_that_waits_for_a_mailbox_that_goes_is_told(anyio_backend: Any, how: str, end: str) -> None:
    with anyio.fail_after(30):
        mailbox, address = open_mailbox(Scribe, capacity=1)
        raised: list[Exception] = []
        foreign = address.from_thread

        def ask() -> None:
            try:
                if how == "call":
                    foreign.call(Scribe.note, "from a thread")
                else:
                    foreign.send(Scribe.note, "first")
                    foreign.send(Scribe.note, "waits for room")
            except Exception as error:
                raised.append(error)

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        weak = address.weak
        while not len(weak):
            await anyio.lowlevel.checkpoint()
        if how == "send":
            while not weak._mailbox.waiting_senders:
                await anyio.lowlevel.checkpoint()
        if end == "close":
            mailbox.close()
        del mailbox
        gc.collect()
        await anyio.to_thread.run_sync(thread.join)
        assert [type(error) for error in raised] == [MailboxClosed]


async def test_a_run_right_after_the_last_address_is_closed_is_over_at_once_and_has_no_life() -> None:
    mailbox, address = open_mailbox(Scribe)
    address.close()
    with no_life() as factory:
        assert isinstance(await mailbox.run(factory), Ended)
        await at_rest()
        assert isinstance(await mailbox.run(factory), Ended)


async def test_what_waits_is_handled_though_its_last_address_is_closed_right_before_the_run() -> None:
    log: list[Any] = []
    mailbox, address = open_mailbox(Scribe)
    await address.send(Scribe.note, "waits")
    address.close()
    assert isinstance(await mailbox.run(Scribe, log), Ended)
    assert log == ["waits"]


async def test_what_is_closed_stays_closed_whoever_else_asks_for_an_end() -> None:
    mailbox, address = open_mailbox(Scribe)
    async with anyio.create_task_group() as group:
        outcomes, gate = Outcomes(group), Gate()
        await outcomes.watch("run", mailbox.run(Scribe))
        await address.send(Scribe.hold, gate)
        await gate.reached.wait()
        mailbox.close()
        await outcomes.watch("stop", address.stop())
        gate.open()
        await at_rest()
        assert isinstance(outcomes.of["run"], Ended)
        with pytest.raises(MailboxClosed):
            await address.send(Scribe.note, "late")
        with pytest.raises(MailboxClosed):
            await mailbox.run(Scribe)


async def test_a_watch_returns_after_a_stop_by_address() -> None:
    mailbox, address = open_mailbox(Scribe)
    async with anyio.create_task_group() as group:
        outcomes = Outcomes(group)
        await outcomes.watch("run", mailbox.run(Scribe))
        await outcomes.watch("watch", address.watch())
        assert str(await address.stop()) == "normal"
        await at_rest()
        assert isinstance(outcomes.of["run"], Ended)
        assert outcomes.of["watch"].incarnation == 1
        with pytest.raises(ActorStopped, match=r"run\(\)"):
            await address.send(Scribe.note, "late")
