"""The time of a tree is that of its event loop, also where a test patches what that asks.

Tested: `time.monotonic` is replaced while the tree runs, as tools do that freeze time; the loop's own `time` is.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from tenacity import wait_fixed

from supervise import Restart, Supervisor
from tests.doubles import Scribe

IN_A_MINUTE = Restart.permanent(wait=wait_fixed(60))


class Clock:
    def __init__(self) -> None:
        self.now = time.monotonic() + 1e6

    def __call__(self, *_: object) -> float:
        return self.now


async def turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.mark.parametrize("where", ["the module", "the loop"])
def test_a_backoff_is_over_when_the_loop_says_so(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    whole: Any = time if where == "the module" else asyncio.BaseEventLoop
    name = "monotonic" if where == "the module" else "time"

    async def main() -> None:
        async with Supervisor("app") as app:
            scribe = await app.start(Scribe, restart=IN_A_MINUTE)
            if where == "the module":
                monkeypatch.setattr(whole, name, clock)
            await scribe.send(Scribe.crash)
            await turns()
            call = asyncio.ensure_future(scribe.call(Scribe.note, 1))
            await turns()
            assert not call.done()
            clock.now += 61
            await turns()
            assert await call == 1

    if where == "the loop":
        monkeypatch.setattr(whole, name, clock)
    asyncio.run(main())
