"""Pools, crossed with what comes at the same time: own messages, pauses, ends, lanes, hostile keys, cancelled resizes.

Tested: SEMANTICS 77, with 13, 17, 21, 37, 65, 67 and 70.
"""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from supervise import (
    MailboxFull,
    Message,
    Supervisor,
    current,
    pool,
)
from supervise.testing.virtual_time import at_rest
from tests.doubles import Boom

pytestmark = pytest.mark.anyio


class Worker:
    def __init__(self, log: list[Any] | None = None) -> None:
        self.log: list[Any] = [] if log is None else log

    async def job(self, key: object, n: object = 0, seconds: float = 0.1) -> str:
        self.log.append((key, n, "begins"))
        await anyio.sleep(seconds)
        self.log.append((key, n, "ends"))
        return current().name

    def name(self) -> str:
        return current().name


def by_first(message: Message) -> Any:
    return message.args[0] if message.args else None


# -- hostile keys --------------------------------------------------------------------------------------------------------


async def test_after_a_key_that_raised_the_next_message_wakes_a_worker() -> None:
    def key(message: Message) -> Any:
        if message.args[0] == "bad":
            raise Boom("bad")
        return message.args[0]

    jobs = pool(Worker, size=2, name="jobs", key=key)
    async with Supervisor("app", jobs) as app:
        address = app.find(jobs)
        await at_rest()
        for _ in range(2):
            with pytest.raises(Boom):
                await address.send(Worker.job, "bad")
            with anyio.fail_after(10):
                assert await address.call(Worker.job, "good") in ("1", "2")
        assert app.account().balanced
        assert app.account().accepted == 2


async def test_a_key_that_sends_to_its_own_pool_takes_no_more_room_than_there_is() -> None:
    sending = True

    def key(message: Message) -> Any:
        nonlocal sending
        if sending and message.args[1] == "outer":
            address.try_send(Worker.job, "k", "inner")
        return message.args[0]

    jobs = pool(Worker, size=1, name="jobs", key=key, capacity=10, overflow="reject")
    async with Supervisor("app", jobs) as app:
        address = app.find(jobs)
        await at_rest()
        await address.send(Worker.job, "k", "outer")
        sending = False
        with pytest.raises(MailboxFull):
            for _ in range(30):
                address.try_send(Worker.job, "k", "plain")
        assert len(address) == 10
        assert app.account().balanced
