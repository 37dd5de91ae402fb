"""Messages that come from elsewhere: posted with a reply slot that nobody awaits here, which tells how its call has ended.

Tested: each end of a call is told once, whatever that end is; the order of one poster's sends and calls; a caller that is gone,
before its call is in, in the queue and in hand; deadlines, full mailboxes, `on_restart="fail"`; who asks; what the hook raises.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import anyio
import pytest
from tenacity import wait_fixed

from supervise import (
    ActorCrashed,
    ActorRestarting,
    ActorStopped,
    Address,
    BadCall,
    CallTimeout,
    MailboxClosed,
    MailboxFull,
    MessageDropped,
    Restart,
    Supervisor,
    UnknownHandler,
    concurrent,
    current,
)
from supervise.address.origin import Origin
from supervise.mailbox.envelope import Deadline, MessageOptions
from supervise.mailbox.foreign_reply import ForeignReply
from supervise.mailbox.lane import Lane
from supervise.testing.virtual_time import at_rest
from tests.doubles import Gate, Scribe, fill

pytestmark = pytest.mark.anyio
PATIENT = Restart.permanent(wait=wait_fixed(10))


class Told(ForeignReply):
    """What it was told, in a list; one of several may be shared."""

    def __init__(self, lane: Lane, told: list[Any] | None = None) -> None:
        super().__init__(lane)
        self.told: list[Any] = [] if told is None else told

    def returned(self, result: Any, /) -> None:
        self.told.append(result)

    def raised(self, error: BaseException, /) -> None:
        self.told.append(type(error))


class Worker(Scribe):
    @concurrent
    async def beside(self, gate: Gate) -> str:
        await gate.walk_through()
        return "through"

    def asked_by(self) -> Origin | None:
        return current().origin


def lane_of(address: Address[Any]) -> Lane:
    return address._mailbox.mailbox.lanes[-1]


async def post(address: Address[Any], handler: Any, *args: Any, **options: Any) -> Told:
    lane = lane_of(address)
    reply = Told(lane)
    await lane.post(handler, args, {}, reply, MessageOptions(**options) if options else None)
    return reply


def settled(address: Address[Any]) -> bool:
    account, lanes = address.account(), address._mailbox.mailbox.lanes
    extras = address._mailbox.mailbox.extras
    return account.balanced and not account.queued and not any(lane.given_up for lane in lanes) and not extras.fail_fast


async def test_a_result_is_told_and_so_is_each_error() -> None:
    async with Supervisor("app") as app:
        scribe = await app.start(Scribe, restart=PATIENT)
        reply = await post(scribe, Scribe.note, "one")
        await at_rest()
        assert (reply.told, reply.done(), reply.cancelled(), reply.exception()) == ([1], True, False, None)
        unknown, misfit = await post(scribe, dict[str, str].keys), await post(scribe, Scribe.note)
        crash, behind = await post(scribe, Scribe.crash), await post(scribe, Scribe.note, "two")
        await at_rest()
        assert (unknown.told, misfit.told, crash.told, behind.told) == ([UnknownHandler], [BadCall], [ActorCrashed], [])
        await anyio.sleep(11)
        assert behind.told == [1]  # a fresh life has a fresh log
        assert settled(scribe)


async def test_one_posters_sends_and_calls_keep_their_order() -> None:
    async with Supervisor("app") as app:
        log: list[Any] = []
        scribe = await app.start(Scribe, log, capacity=3)
        lane = lane_of(scribe)
        for n in range(200):
            await lane.post(Scribe.note, (n,), {}, Told(lane) if n % 3 else None, None)
        await at_rest()
        assert log == [*range(200)]
        assert settled(scribe)


async def test_who_posts_waits_for_room() -> None:
    async with Supervisor("app") as app, anyio.create_task_group() as group:
        log: list[Any] = []
        scribe = await app.start(Scribe, log, capacity=2)
        gate = await fill(scribe, "waits")
        group.start_soon(post, scribe, Scribe.note, "in line")
        await at_rest()
        group.start_soon(post, scribe, Scribe.note, "behind")
        await at_rest()
        assert len(scribe) == 2
        gate.open()
        await at_rest()
        assert log[-2:] == ["in line", "behind"]


@pytest.mark.parametrize(
    ("overflow", "ends"),
    [("drop_newest", [MessageDropped]), ("drop_oldest", [1])],
)
async def test_a_policy_that_drops_tells_what_it_drops(overflow: Any, ends: list[Any]) -> None:
    async with Supervisor("app") as app:
        scribe = await app.start(Scribe, capacity=1, overflow=overflow)
        scribe.pause()
        first = await post(scribe, Scribe.note, "first")
        second = await post(scribe, Scribe.note, "second")
        assert (first.told, second.told) == (([MessageDropped], []) if overflow == "drop_oldest" else ([], [MessageDropped]))
        scribe.resume()
        await at_rest()
        assert second.told == ends
        assert settled(scribe)


async def test_a_mailbox_that_rejects_raises_at_who_posts() -> None:
    async with Supervisor("app") as app:
        scribe = await app.start(Scribe, capacity=1, overflow="reject")
        scribe.pause()
        await post(scribe, Scribe.note, "first")
        with pytest.raises(MailboxFull) as full:
            await post(scribe, Scribe.note, "second")
        assert full.value.message is not None
        scribe.resume()


@pytest.mark.parametrize(("restart", "refusal"), [("permanent", ActorStopped), ("temporary", MailboxClosed)])
async def test_an_actor_that_is_stopped_refuses(restart: Any, refusal: type[Exception]) -> None:
    async with Supervisor("app") as app:
        scribe = await app.start(Scribe, restart=restart)
        scribe.pause()
        waits = await post(scribe, Scribe.note, "waits")
        await app.terminate_child(scribe)
        assert waits.told == [refusal]
        with pytest.raises(refusal):
            await post(scribe, Scribe.note, "too late")
        assert settled(scribe)


async def test_a_call_that_doesnt_wait_for_a_restart() -> None:
    async with Supervisor("app") as app:
        scribe = await app.start(Scribe, restart=PATIENT)
        scribe.pause()
        await scribe.send(Scribe.crash)
        waits = await post(scribe, Scribe.note, "waits", on_restart="fail")
        stays = await post(scribe, Scribe.note, "stays")
        scribe.resume()
        await at_rest()
        assert (waits.told, stays.told) == ([ActorRestarting], [])
        with pytest.raises(ActorRestarting):
            await post(scribe, Scribe.note, "now", on_restart="fail")
        await anyio.sleep(11)
        done = await post(scribe, Scribe.note, "up", on_restart="fail")
        await at_rest()
        assert done.told == [2]
        assert settled(scribe)


async def test_a_deadline_passes_in_the_queue() -> None:
    async with Supervisor("app") as app:
        scribe = await app.start(Scribe)
        scribe.pause()
        now = scribe._mailbox.backend.now()
        late = await post(scribe, Scribe.note, "late", deadline=Deadline(now, 2))
        await anyio.sleep(3)
        scribe.resume()
        await at_rest()
        assert late.told == [CallTimeout]
        assert scribe.account().abandoned == 1
        assert settled(scribe)


# -- a caller that is gone --------------------------------------------------------------------------------------------------


async def test_withdrawn_in_the_queue_it_is_skipped_and_holds_no_room() -> None:
    async with Supervisor("app") as app:
        log: list[Any] = []
        scribe = await app.start(Scribe, log, capacity=2)
        gate = await fill(scribe)
        first, second = await post(scribe, Scribe.note, "first"), await post(scribe, Scribe.note, "second")
        assert first.withdraw()
        assert first.withdraw()  # once more is no harm
        third = await post(scribe, Scribe.note, "third")
        gate.open()
        await at_rest()
        assert (first.told, second.told, third.told) == ([], [1], [2])
        assert log == ["second", "third"]
        assert settled(scribe)


async def test_withdrawn_before_it_is_in_it_never_was() -> None:
    async with Supervisor("app") as app, anyio.create_task_group() as group:
        log: list[Any] = []
        scribe = await app.start(Scribe, log, capacity=1)
        gate = await fill(scribe, "waits")
        lane, accepted = lane_of(scribe), scribe.account().accepted
        reply = Told(lane)
        group.start_soon(partial(lane.post, Scribe.note, ("gone",), {}, reply, None))
        await at_rest()
        assert reply.withdraw()
        gate.open()
        await at_rest()
        assert (log, reply.told) == (["waits"], [])
        assert scribe.account().accepted == accepted
        assert await scribe.call(Scribe.note, "room again") == 2
        assert settled(scribe)


@pytest.mark.parametrize("handler", [Worker.hold, Worker.beside], ids=["exclusive", "concurrent"])
async def test_withdrawn_in_hand_its_handler_goes_on_and_its_end_is_told(handler: Any) -> None:
    async with Supervisor("app") as app:
        worker, gate = await app.start(Worker), Gate()
        reply = await post(worker, handler, gate)
        await at_rest()
        assert not reply.withdraw()
        assert reply.told == []
        gate.open()
        await at_rest()
        assert len(reply.told) == 1
        assert settled(worker)


@pytest.mark.parametrize("handler", [Worker.hold, Worker.beside], ids=["exclusive", "concurrent"])
@pytest.mark.parametrize("said", ["child", "message"])
async def test_withdrawn_in_hand_it_takes_its_handler_along_if_it_may(handler: Any, said: str) -> None:
    async with Supervisor("app") as app:
        worker, gate = await app.start(Worker, on_cancel="cancel" if said == "child" else "finish"), Gate()
        reply = await post(worker, handler, gate, **({} if said == "child" else {"on_cancel": "cancel"}))
        await at_rest()
        assert reply.withdraw()
        await at_rest()
        assert reply.told == []
        assert (worker.account().abandoned, worker.account().in_hand) == (1, 0)
        assert settled(worker)


async def test_a_crash_with_a_withdrawn_call_in_hand_is_told_once() -> None:
    async with Supervisor("app") as app:
        worker, gate = await app.start(Worker), Gate()
        reply = await post(worker, Worker.hold, gate)
        await at_rest()
        assert not reply.withdraw()
        worker._mailbox.mailbox.turn.kill()  # type: ignore[union-attr]  # it is in hand, so there is a life
        await at_rest()
        assert reply.told == [ActorStopped]
        assert settled(worker)


# -- what the hook does, and who asks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("raises", [ValueError, KeyError])
async def test_a_hook_that_raises_is_logged_and_harms_nobody(raises: type[Exception], caplog: pytest.LogCaptureFixture) -> None:
    class Rude(Told):
        def returned(self, result: Any, /) -> None:
            raise raises("no")

    async with Supervisor("app") as app:
        scribe = await app.start(Scribe)
        lane = lane_of(scribe)
        await lane.post(Scribe.note, ("a",), {}, Rude(lane), None)
        await at_rest()
        assert await scribe.call(Scribe.note, "b") == 2
        assert settled(scribe)
    assert [r.message for r in caplog.records if "couldn't be told" in r.message] != []


async def test_nobody_may_await_it() -> None:
    async with Supervisor("app") as app:
        reply = Told(lane_of(await app.start(Scribe)))
        awaited: Awaitable[Any] = reply
        with pytest.raises(RuntimeError, match="isn't here"):
            await awaited
        reply.set_result(1)
        for settle in (lambda: reply.set_result(2), lambda: reply.set_exception(ValueError())):
            call: Callable[[], object] = settle
            with pytest.raises(RuntimeError, match="ended already"):
                call()
        assert reply.told == [1]


async def test_who_asks_is_known_to_the_handler() -> None:
    async with Supervisor("app") as app:
        worker, link = await app.start(Worker), await app.start(Scribe, name="link")
        origin = Origin(link.weak, "10.0.0.1", "shop", relayed=("till",))
        reply = await post(worker, Worker.asked_by, origin=origin)
        await at_rest()
        assert reply.told == [origin]
        assert await worker.call(Worker.asked_by) is None
        assert str(origin) == "shop at 10.0.0.1 for till"
