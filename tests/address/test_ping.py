"""All actors of a tree asked at once: who answers and who doesn't, how fast, and why, in all states of a child."""

from __future__ import annotations

import math
from typing import Any

import anyio
import pytest

from supervise import InvalidSpec, Pong, Supervisor, child
from tests.doubles import Gate, Scribe
from tests.situations import ACCEPTING, FORGOTTEN, STOPPED, Situation

TREE = Supervisor("app", Supervisor("left", child(Scribe)), Supervisor("leftovers", child(Scribe)), child(Scribe, name="left2"))


pytestmark = pytest.mark.anyio


async def test_all_actors_below_answer_in_the_order_of_the_tree() -> None:
    async with TREE as app:
        pongs = await app.ping()
        assert list(pongs) == ["app/left/scribe", "app/leftovers/scribe", "app/left2"]
        assert all(pongs.values())
        assert all(pong == Pong(0.0) for pong in pongs.values())  # no time passes
        assert list(await app.supervisor("left").ping()) == ["app/left/scribe"]
        assert str(Pong(0.0123)) == "12.3 ms"


async def test_one_that_is_busy_answers_late_or_not_at_all() -> None:
    async with Supervisor("app", child(Scribe), child(Scribe, name="slow"), child(Scribe, name="held")) as app:
        gate = Gate()
        await app.find("held").send(Scribe.hold, gate)

        async def doze(_: Scribe) -> None:
            await anyio.sleep(2)

        await app.find("slow").send(doze)
        begun = anyio.current_time()
        pongs = await app.ping(timeout=3)
        assert anyio.current_time() - begun == pytest.approx(3)
        assert pongs["app/scribe"] == Pong(0.0)
        assert pongs["app/slow"].seconds == pytest.approx(2)
        assert pongs["app/held"] == Pong(None, "no answer within 3 s")
        assert not pongs["app/held"]
        assert str(pongs["app/held"]) == "no answer within 3 s"
        gate.open()
        assert all((await app.ping(timeout=None)).values())


@pytest.mark.parametrize("situation", [*ACCEPTING, *STOPPED])
async def test_one_that_does_not_run_is_not_waited_for(situation: Situation) -> None:
    async with situation() as (app, scribe):
        begun = anyio.current_time()
        pong = (await app.ping())[scribe.path]
        assert anyio.current_time() == begun
        assert not pong
        assert ("is restarting" if situation in ACCEPTING else "is stopped") in pong.why
        assert "a ping" in pong.why  # rather than the name of what a ping runs


@pytest.mark.parametrize("situation", FORGOTTEN)
async def test_one_that_is_gone_is_not_asked(situation: Situation) -> None:
    async with situation() as (app, _):
        assert await app.ping() == {}


async def test_a_ping_that_cannot_be_is_refused() -> None:
    async with Supervisor("app", child(Scribe)) as app:
        wrong: Any = app
        for timeout in (-1, "soon", math.nan, True):
            with pytest.raises(InvalidSpec, match="ping of 'app': timeout="):
                await wrong.ping(timeout=timeout)
