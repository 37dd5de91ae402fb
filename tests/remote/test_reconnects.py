"""Many connections, one after the other: each sender's order holds, whatever was under way when one ended.

Tested in virtual time: 200 reconnects. Connections are cut on both sides, or on the near one alone, so that what the old one
has brought waits still, or after some more bytes; the new one agrees on much, or on little; senders and callers go on.
"""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import anyio
import pytest
from tenacity import wait_fixed

from supervise import events
from supervise.errors import OutcomeUnknown
from supervise.remote.limits import Limits
from supervise.testing import record
from supervise.testing.fake_link import FakeNetwork

from .world import OrdersApi, World, world

pytestmark = pytest.mark.anyio

RECONNECTS = 200
SENDERS = 3
EACH = 1_000_000
SMALL = Limits(frame=32768, calls=2, call_bytes=33_024, send_bytes=33_024)
WIDE = Limits()


async def breaks(w: World, chance: Random) -> None:
    kind, network = chance.randrange(4), w.network
    if kind < 2:
        w.orders.pause()  # so that what the old connection has brought waits in line
        await anyio.sleep(0.1)
        if kind:
            network.cut()
        else:
            network.cut_near()
    else:
        network.cut_after(chance.randrange(1, 2000), back=kind == 2)


def agrees(w: World, limits: Limits) -> None:
    """What the gate will agree on with the next connection."""
    life = w.shop.find("gate/acceptor")._mailbox.mailbox.turn
    assert life is not None
    acceptor: Any = life.instance
    acceptor._gate = acceptor._gate._replace(limits=limits)


async def test_the_order_of_each_sender_holds_over_200_reconnects() -> None:
    network, chance, went_on = FakeNetwork(latency=0.02), Random(7), True
    ends: Counter[str] = Counter()
    async with world(network, shop_options={"capacity": 3}, link_options={"capacity": 500, "wait": wait_fixed(0.3)}) as w:
        downs, there = record(w.web), record(w.shop)
        async with anyio.create_task_group() as group:

            async def sends(sender: int, chance: Random) -> None:
                number = 0
                while went_on:
                    for _ in range(chance.randrange(1, 30)):
                        await w.far.send(OrdersApi.note, sender * EACH + number)
                        number += 1
                    await w.far.send(OrdersApi.swallow, bytes(5000))  # it takes up credit
                    await anyio.sleep(chance.random() / 4)

            async def asks(chance: Random) -> None:
                while went_on:
                    try:
                        await w.far.call(OrdersApi.blob, chance.randrange(20_000))
                        ends["answered"] += 1
                    except OutcomeUnknown:
                        ends["unknown"] += 1

            for sender in range(SENDERS):
                group.start_soon(sends, sender, Random(sender))
                group.start_soon(asks, Random(10 + sender))
            for number in range(1, RECONNECTS + 1):
                await anyio.sleep(chance.random() / 2)
                agrees(w, SMALL if number % 2 else WIDE)
                await breaks(w, chance)
                with anyio.fail_after(600):
                    while network.made <= number:  # noqa: ASYNC110 - in virtual time
                        await anyio.sleep(0.02)
                await anyio.sleep(0.1)
                w.orders.resume()
            went_on = False
        assert await w.far.call(OrdersApi.count) == 0  # behind all that was sent
        await anyio.sleep(10)
        notes: list[int] = w.log
        assert w.settled()
        assert network.made > RECONNECTS
        for sender in range(SENDERS):
            own = [note for note in notes if note // EACH == sender]
            assert own == sorted(set(own))
            assert len(own) > RECONNECTS
        assert ends["answered"] > RECONNECTS
        assert ends["unknown"] > 10
        whys = [event.why for heard in (downs, there) for event in heard if isinstance(event, events.LinkDown)]
        assert not [why for why in whys if "ProtocolError" in why]
        unconfirmed = sum(event.unconfirmed for event in downs if isinstance(event, events.LinkDown))
        sent = sum(1 + max(note % EACH for note in notes if note // EACH == sender) for sender in range(SENDERS))
        assert sent - len(notes) <= unconfirmed
