"""Messages by handler: counted only for actors whose detail is asked for, and told by the handlers' names.

Tested: what waits and what is called is counted, over a restart, beside lanes; a queue of one's own isn't counted; who isn't
asked for any more costs nothing again; of many the one that was asked for longest ago goes; the end.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import anyio
import pytest

from supervise import DynamicSupervisor, Supervisor, child, concurrent
from supervise.live import tally as tallies
from supervise.live.tally import FORGOTTEN, Tallies
from supervise.tree.place import ActorPlace

pytestmark = pytest.mark.anyio


class Echo:
    async def echo(self, text: str) -> str:
        return text

    def plain(self) -> None: ...

    async def boom(self) -> None:
        raise ValueError


def mailbox_of(app: Any, name: str) -> Any:
    place = app._branch.places[name]
    assert isinstance(place, ActorPlace)
    return place.mailbox


async def test_messages_are_counted_by_handler_while_somebody_asks() -> None:
    async with Supervisor("app", child(Echo, name="a"), child(Echo, name="b", lanes=("urgent", "other"))) as app:
        counts = Tallies()
        for name in ("a", "b"):
            actor, mailbox = app.find(name), mailbox_of(app, name)
            await actor.call(Echo.echo, "x")
            assert counts.of(mailbox) == {}
            for _ in range(3):
                await actor.send(Echo.plain)
            await actor.call(Echo.echo, "x")
            await actor.call(Echo.echo, "x")
            await actor.send(Echo.boom)
            await actor.call(Echo.echo, "x")
            assert counts.of(mailbox) == {"Echo.plain": 3, "Echo.echo": 3, "Echo.boom": 1}
        counts.end()
        await app.find("a").call(Echo.echo, "x")
        assert mailbox_of(app, "a").extras.tally is None
        assert not mailbox_of(app, "a").attention
        assert app.account().balanced


async def test_who_isnt_asked_for_any_more_isnt_counted_for() -> None:
    async with Supervisor("app", child(Echo, name="a"), child(Echo, name="b")) as app:
        counts = Tallies()
        a, b = mailbox_of(app, "a"), mailbox_of(app, "b")
        counts.of(a)
        counts.of(b)
        await anyio.sleep(FORGOTTEN - 1)
        counts.of(b)
        await anyio.sleep(2)
        assert a.extras.tally is None
        assert b.extras.tally is not None
        await anyio.sleep(2 * FORGOTTEN)
        assert b.extras.tally is None
        assert counts._timer is None


async def test_of_many_the_one_that_was_asked_for_longest_ago_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tallies, "LOOKED_AT", 2)
    async with DynamicSupervisor("app") as app:
        for name in ("a", "b", "c"):
            await app.start(Echo, name=name)
        counts = Tallies()
        boxes = [mailbox_of(app, name) for name in ("a", "b", "c")]
        for number in (0, 1, 0, 2):
            counts.of(boxes[number])
        assert [box.extras.tally is None for box in boxes] == [False, True, False]
        counts.end()


async def test_a_queue_of_ones_own_is_not_looked_into() -> None:
    class Own(deque[Any]):
        pass

    async with Supervisor("app", child(Echo, name="a", queue=Own)) as app:
        counts = Tallies()
        counts.of(mailbox_of(app, "a"))
        await app.find("a").call(Echo.echo, "x")
        assert counts.of(mailbox_of(app, "a")) == {}
        counts.end()


class Beside:
    @concurrent(limit=1)
    async def wait(self, until: anyio.Event) -> None:
        await until.wait()


async def test_a_message_that_has_to_wait_for_its_place_beside_others_is_counted_once() -> None:
    async with Supervisor("app", child(Beside, name="a")) as app:
        counts, until = Tallies(), anyio.Event()
        mailbox = mailbox_of(app, "a")
        counts.of(mailbox)
        for _ in range(3):
            await app.find("a").send(Beside.wait, until)
        await anyio.sleep(1)
        assert counts.of(mailbox) == {"Beside.wait": 1}
        until.set()
        await anyio.sleep(1)
        assert counts.of(mailbox) == {"Beside.wait": 3}
        counts.end()
        assert app.account().balanced
