"""How often a tree is surveyed, by how many parts of it are looked at, and by how many who look."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervise import DynamicSupervisor, Supervisor
from supervise.live import Client, LiveError, serve
from supervise.live import feed as feeds
from tests.real_clock import on_the_real_clock

from .asked import ask, following

pytestmark = [pytest.mark.anyio, on_the_real_clock]


async def test_who_asks_for_many_parts_in_turn_gets_no_more_surveys_than_who_asks_for_one(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "OF_LOOP", 10_000_000)  # each survey is paid for an hour
    monkeypatch.setattr(feeds, "IDLE", 3)
    tree = Supervisor("app", *(DynamicSupervisor(name) for name in "abcd"))
    async with tree as app, serve(app, runtime / "app.sock"):
        client = Client(runtime / "app.sock")
        first = await ask(client.snapshot, under="a")
        with pytest.raises(LiveError, match="no child"):
            await ask(client.snapshot, under="nobody")  # which costs no survey, and takes nobody's place
        for name in "bc":
            await ask(client.snapshot, under=name)
        again = await ask(client.snapshot, under="a")
        assert again["seq"] == first["seq"] == 1
        assert again["interval"] > 2.5 * first["interval"]  # what three parts cost is shared
        with pytest.raises(LiveError) as refused:
            await ask(client.snapshot, under="d")
        assert refused.value.status == 429
        assert (await ask(client.actor, "d"))["row"]["path"] == "app/d"


async def test_two_who_watch_are_told_how_often_the_one_who_is_in_more_of_a_hurry_has_it_seen(runtime: Path) -> None:
    async with Supervisor("app") as app, serve(app, runtime / "app.sock"):
        client = Client(runtime / "app.sock")
        slow, fast = client.stream(every=600), client.stream(every=100)
        assert (await following(slow))[1]["interval"] == 600
        assert (await following(fast))[1]["interval"] == 100
        slow.close()
        fast.close()
