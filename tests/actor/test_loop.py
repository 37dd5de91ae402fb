"""One message at a time.

Tested (SEMANTICS 17): handlers never overlap, also while they await; one sender's order is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from supervise import Supervisor
from supervise.testing import virtual_time
from tests.doubles import Outcomes, Scribe

if TYPE_CHECKING:
    pass


class Turnstile:
    """Counts how many are inside at once."""

    def __init__(self) -> None:
        self.inside = 0
        self.most = 0

    async def pass_slowly(self, seconds: float) -> None:
        self.inside += 1
        self.most = max(self.most, self.inside)
        await anyio.sleep(seconds)
        self.inside -= 1

    def count(self) -> int:
        return self.most


@pytest.mark.anyio
async def test_handlers_never_overlap_although_they_await() -> None:
    began = anyio.current_time()
    async with Supervisor("app") as app, anyio.create_task_group() as group:
        turnstile = await app.start(Turnstile)
        callers = Outcomes(group)
        for n in range(5):
            await callers.watch(n, turnstile.call(Turnstile.pass_slowly, 1.0))
            await turnstile.send(Turnstile.pass_slowly, 0.5)
        await virtual_time.at_rest()
        assert await turnstile.call(Turnstile.count) == 1
        assert anyio.current_time() - began == 7.5


@pytest.mark.anyio
async def test_messages_of_one_sender_are_handled_in_the_order_of_their_sending() -> None:
    async with Supervisor("app") as app:
        log: list[int] = []
        scribe = await app.start(Scribe, log)
        for n in range(300):
            await scribe.send(Scribe.note_at_once if n % 3 else Scribe.note, n)
        await scribe.call(Scribe.note, 300)
        assert log == [*range(301)]
