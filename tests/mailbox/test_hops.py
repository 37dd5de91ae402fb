"""What is done because of a call that came over a link stands below it, as long as its caller waits, and no longer.

Tested: local calls, through several actors, a pool and a stream; tasks of the nursery, of a handler's own group and threads;
not sends, timers, nor what goes on after the answer. A call from outside carries nothing at all.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import anyio.to_thread
import pytest

from supervise import Address, Supervisor, child, concurrent, current, pool
from supervise.mailbox.envelope import MessageOptions
from supervise.mailbox.foreign_reply import ForeignReply
from supervise.mailbox.hops import Hops, hops_of
from supervise.mailbox.turn import current_turn
from supervise.testing.virtual_time import at_rest
from tests.doubles import Gate
from tests.real_clock import on_the_real_clock

pytestmark = pytest.mark.anyio
ABOVE = (b"12345678", b"abcdefgh")


class Slot(ForeignReply):
    def __init__(self, lane: Any) -> None:
        super().__init__(lane)
        self.told: list[Any] = []

    def returned(self, result: Any, /) -> None:
        self.told.append(result)

    def raised(self, error: BaseException, /) -> None:
        self.told.append(error)


def here() -> tuple[int, tuple[bytes, ...]] | None:
    hops = hops_of(current_turn(None))
    return None if hops is None else (hops.depth, hops.above)


class Desk:
    """Looks where it stands, or has somebody else look."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    async def look(self) -> Any:
        return here()

    def look_at_once(self) -> Any:
        return here()

    @concurrent
    async def look_beside(self) -> Any:
        return here()

    async def note(self) -> None:
        self.seen.append(here())

    async def read(self) -> list[Any]:
        return self.seen

    async def items(self) -> AsyncIterator[Any]:
        yield here()

    async def ask(self, other: Address[Desk], handler: Any) -> Any:
        return await other.call(handler)

    async def ask_through(self, other: Address[Desk], last: Address[Desk]) -> Any:
        return await other.call(Desk.ask, last, Desk.look)

    async def ask_from_a_group(self, other: Address[Desk]) -> Any:
        found: list[Any] = []

        async def ask() -> None:
            found.append(await other.call(Desk.look))

        async with anyio.create_task_group() as group:
            group.start_soon(ask)
        return found[0]

    async def ask_from_a_thread(self, other: Address[Desk]) -> Any:
        return await anyio.to_thread.run_sync(other.from_thread.call, Desk.look)

    async def ask_from_the_nursery(self, other: Address[Desk]) -> Any:
        done, found = anyio.Event(), list[Any]()

        async def ask() -> None:
            current().nursery.start_soon(again)

        async def again() -> None:
            found.append(await other.call(Desk.look))
            done.set()

        current().nursery.start_soon(ask)
        await done.wait()
        return found[0]

    @concurrent
    async def ask_beside(self, other: Address[Desk]) -> Any:
        return await other.call(Desk.look)

    async def stream(self, other: Address[Desk]) -> Any:
        async with other.stream_from(Desk.items) as items:
            return await anext(items)

    async def send_to(self, other: Address[Desk]) -> None:
        await other.send(Desk.note)

    async def leave_behind(self, other: Address[Desk], gate: Gate) -> None:
        async def later() -> None:
            await gate.walk_through()
            await other.call(Desk.note)

        current().nursery.start_soon(later)

    async def set_timer(self) -> None:
        current().after(1, Desk.note)


async def arrives(address: Address[Any], handler: Any, *args: Any) -> Slot:
    lane = address._mailbox.mailbox.lanes[0]
    reply = Slot(lane)
    await lane.post(handler, args, {}, reply, MessageOptions(hops=Hops(2, ABOVE, reply)))
    await at_rest()
    return reply


@pytest.mark.parametrize("handler", [Desk.look, Desk.look_at_once, Desk.look_beside], ids=["async", "plain", "concurrent"])
async def test_its_own_handler_stands_there(handler: Any) -> None:
    async with Supervisor("app") as app:
        desk = await app.start(Desk)
        assert (await arrives(desk, handler)).told == [(2, ABOVE)]
        assert await desk.call(handler) is None


@pytest.mark.parametrize(
    ("handler", "args"),
    [
        (Desk.ask, (Desk.look,)),
        (Desk.ask, (Desk.look_at_once,)),
        (Desk.ask, (Desk.look_beside,)),
        (Desk.ask_from_a_group, ()),
        (Desk.ask_from_the_nursery, ()),
        (Desk.ask_beside, ()),
        (Desk.stream, ()),
    ],
)
@pytest.mark.parametrize("pooled", [False, True], ids=["actor", "pool"])
async def test_what_its_handler_calls_stands_below_it(handler: Any, args: tuple[Any, ...], pooled: bool) -> None:
    described: Any = pool(Desk, size=2, name="other") if pooled else child(Desk, name="other")
    async with Supervisor("app", described) as app:
        desk, other = await app.start(Desk, name="desk"), app.find("other")
        assert (await arrives(desk, handler, other, *args)).told == [(2, ABOVE)]
        assert await desk.call(handler, other, *args) is None  # nothing of it is left


async def test_through_several_actors() -> None:
    async with Supervisor("app") as app:
        first, second, third = [await app.start(Desk, name=name) for name in ("first", "second", "third")]
        assert (await arrives(first, Desk.ask_through, second, third)).told == [(2, ABOVE)]


@on_the_real_clock
async def test_from_a_thread_of_its_handler() -> None:
    async with Supervisor("app") as app:
        desk, other = await app.start(Desk), await app.start(Desk, name="other")
        lane = desk._mailbox.mailbox.lanes[0]
        told = anyio.Event()

        class Waking(Slot):
            def returned(self, result: Any, /) -> None:
                super().returned(result)
                told.set()

        reply = Waking(lane)
        await lane.post(Desk.ask_from_a_thread, (other,), {}, reply, MessageOptions(hops=Hops(2, ABOVE, reply)))
        with anyio.fail_after(30):
            await told.wait()
        assert reply.told == [(2, ABOVE)]


async def test_a_send_waits_for_nothing_and_a_timer_is_nobodys() -> None:
    async with Supervisor("app") as app:
        desk, other = await app.start(Desk), await app.start(Desk, name="other")
        await arrives(desk, Desk.send_to, other)
        await arrives(desk, Desk.set_timer)
        await anyio.sleep(2)
        assert (await other.call(Desk.read), await desk.call(Desk.read)) == ([None], [None])


async def test_after_the_answer_a_task_that_goes_on_stands_below_nothing() -> None:
    async with Supervisor("app") as app:
        desk, other, gate = await app.start(Desk), await app.start(Desk, name="other"), Gate()
        assert (await arrives(desk, Desk.leave_behind, other, gate)).told == [None]
        gate.open()
        await at_rest()
        assert await other.call(Desk.read) == [None]
