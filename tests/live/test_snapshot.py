"""What a served tree tells of itself, asked by the client over its socket while the tree's loop runs.

Tested: every field of a row, from a tree in which it says something; the head; under, top, sort and by; a tree that doesn't
run, that stops, that starts; one actor's detail; events and ends; no argument of a message anywhere; hostile names and texts.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from supervise import Address, DynamicSupervisor, Intensity, Restart, RunningSupervisor, Supervisor, child, pool
from supervise.live import Client, LiveError, NoTree, Served, serve
from supervise.live.row import FIELDS
from tests.real_clock import on_the_real_clock

from .asked import ask, following, rows_of, seen, told, until_seen

pytestmark = [pytest.mark.anyio, on_the_real_clock]


class Db:
    async def query(self, go_on: anyio.Event, sql: str) -> str:
        await go_on.wait()
        return sql

    async def quick(self, sql: str) -> str:
        return sql

    async def boom(self, text: str) -> None:
        raise ValueError(text)


class Orders:
    async def place(self, db: Address[Db], go_on: anyio.Event) -> None:
        await db.call(Db.query, go_on, "secret")


@asynccontextmanager
async def served(*children: Any, **options: Any) -> AsyncGenerator[tuple[RunningSupervisor, Client, Served]]:
    async with Supervisor("app", *children, **options) as app, serve(app) as at:
        yield app, await ask(Client, at.socket), at


async def test_a_whole_tree_top_down_with_a_head() -> None:
    async with served(child(Db, name="db"), Supervisor("below", child(Db, name="a")), DynamicSupervisor("rooms")) as (
        _,
        client,
        _,
    ):
        found = await ask(client.snapshot)
        assert [row["path"] for row in found["rows"]] == ["app", "app/db", "app/below", "app/below/a", "app/rooms"]
        assert [row.get("kind", "actor") for row in found["rows"]] == [
            "supervisor",
            "actor",
            "supervisor",
            "actor",
            "supervisor",
        ]
        assert [row["type"] for row in found["rows"]] == ["one_for_one", "Db", "one_for_one", "Db", "dynamic"]
        assert (found["schema"], found["all"], found["operate"]) == (1, True, False)
        tree = found["tree"]
        assert (tree["name"], tree["live"], tree["ready"], tree["degraded"], tree["why"]) == ("app", True, True, False, [])
        assert found["totals"]["actors"] == 2
        assert found["loop"]["blocked"] is None
        assert found["at"] >= found["seen"] > 0
        assert all(set(row) <= set(FIELDS) for row in found["rows"])


async def test_counts_what_is_in_hand_and_who_waits_for_whom() -> None:
    async with served(child(Db, name="db", capacity=2), child(Orders, name="orders")) as (app, client, _):
        db, go_on = app.find("db"), anyio.Event()
        await db.call(Db.quick, "secret")
        async with anyio.create_task_group() as group:

            async def order() -> None:
                await app.find("orders").call(Orders.place, db, go_on)

            async def ask_once_more() -> None:
                await db.send(Db.quick, "secret")

            group.start_soon(order)
            await until_seen(client, lambda found: rows_of(found)["app/db"].get("hand") == ["Db.query"])
            for _ in range(3):
                group.start_soon(ask_once_more)
            first = rows_of(await until_seen(client, lambda found: rows_of(found)["app/db"].get("senders") == 1))
            row = first["app/db"]
            assert (row["hand"], row["queued"], row["capacity"], row["senders"]) == (["Db.query"], 2, 2, 1)
            assert (row["accepted"], row["handled"]) == (4, 1)
            assert first["app/orders"]["waits_for"] == "app/db"
            again = await ask(until_later, client, "app/db")
            assert again["hand_since"] == row["hand_since"]  # the earliest look at which it was there
            assert again["oldest_since"] == row["oldest_since"]
            go_on.set()
        await db.ping()
        row = rows_of(await until_seen(client, lambda found: "hand" not in rows_of(found)["app/db"]))["app/db"]
        assert not {"hand", "hand_since", "oldest_since", "queued", "senders"} & set(row)


def until_later(client: Client, path: str) -> dict[str, Any]:
    seq = client.snapshot()["seq"]
    return rows_of(seen(client, lambda found: found["seq"] > seq))[path]


async def test_ends_restarts_limits_and_backoffs() -> None:
    from tenacity import wait_fixed

    slow = Restart.permanent(wait=wait_fixed(1000))
    async with served(
        child(Db, name="db", limit=Intensity(7, per=60)), child(Db, name="slow", restart=slow), intensity=Intensity(9, per=5)
    ) as (app, client, _):
        for name in ("db", "db", "slow"):
            await app.find(name).send(Db.boom, "secret")
        rows = rows_of(await until_seen(client, lambda found: rows_of(found)["app/slow"].get("state") == "restarting"))
        assert (rows["app/db"]["life"], rows["app/db"]["restarts"], rows["app/db"]["limit"]) == (3, 2, 7)
        assert rows["app"]["limit"] == 9
        assert rows["app/slow"]["due"] > 0
        assert rows["app/slow"]["error"].startswith("crashed (ValueError")
        found = await ask(client.snapshot)
        assert (found["tree"]["ready"], found["tree"]["live"]) == (False, True)
        assert found["tree"]["why"][0].startswith("app/slow is restarting")
        about = await ask(client.actor, "db")
        assert [end["life"] for end in about["ends"]] == [2, 1]
        assert {end["handler"] for end in about["ends"]} == {"Db.boom"}
        assert all(end["frames"][-1].startswith("Db.boom (") for end in about["ends"])
        assert "restart 3 of 7" in about["explain"]
        assert about["policy"] == "permanent, 7 in 60 s"


async def test_a_pool_is_one_row_with_its_workers_below() -> None:
    async with served(pool(Db, size=3, name="jobs")) as (_, client, _):
        rows = rows_of(await ask(client.snapshot))
        jobs = rows["app/jobs"]
        assert (jobs["kind"], jobs["type"], jobs["workers"], jobs["workers_up"]) == ("pool", "Db", 3, 3)
        assert len([path for path in rows if path.startswith("app/jobs/")]) == 3


async def test_optional_children_only_degrade_it_and_a_pause_is_told() -> None:
    async with served(child(Db, name="db", required=False), child(Db, name="other")) as (app, client, _):
        operator = app.operator("ada")
        await operator.stop("db")
        operator.pause("other")
        found = await until_seen(client, lambda found: found["tree"]["degraded"])
        assert found["tree"]["ready"]
        assert rows_of(found)["app/other"]["paused"]
        assert "required" in rows_of(found)["app/db"]


async def test_parts_sorted_cut_and_summed() -> None:
    async with served(child(Db, name="db"), DynamicSupervisor("rooms")) as (app, client, _):
        rooms = app.supervisor("rooms")
        for name in ("a", "b", "c"):
            room = await rooms.start(Db, name=name)
            if name == "b":
                await room.call(Db.quick, "x")
        assert [row["path"] for row in (await ask(client.snapshot, under="rooms"))["rows"]] == [
            "app/rooms",
            "app/rooms/a",
            "app/rooms/b",
            "app/rooms/c",
        ]
        assert [row["path"] for row in (await ask(client.snapshot, under="app/rooms", sort="handled", top=1))["rows"]] == [
            "app/rooms/b"
        ]
        types = (await ask(client.snapshot, by="type"))["types"]
        assert [(each["type"], each["actors"]) for each in types] == [("Db", 4)]
        for wrong, status in (({"sort": "size"}, 400), ({"top": 0}, 400), ({"under": "db"}, 400), ({"under": "roms"}, 404)):
            with pytest.raises(LiveError) as refused:
                await ask(client.snapshot, **wrong)
            assert refused.value.status == status
        assert "did you mean 'rooms'?" in str(refused.value)


async def test_a_tree_that_doesnt_run_or_is_over_says_so() -> None:
    description = Supervisor("app", child(Db, name="db"))
    async with serve(description) as at:
        client = await ask(Client, at.socket)
        found = await ask(client.snapshot)
        assert (found["tree"]["live"], found["tree"]["why"], found["rows"]) == (False, ["app isn't running"], [])
        with pytest.raises(LiveError, match="app isn't running"):
            await ask(client.actor, "db")
        async with description:
            assert (await ask(client.snapshot))["tree"]["ready"]
        assert not (await ask(client.snapshot))["tree"]["live"]
    with pytest.raises(NoTree, match=r"nobody answers there|no socket"):
        await ask(client.snapshot)


async def test_what_starts_is_seen_while_it_starts() -> None:
    go_on = anyio.Event()

    @asynccontextmanager
    async def slow() -> AsyncGenerator[Db]:
        await go_on.wait()
        yield Db()

    description = Supervisor("app", child(Db, name="db"), child(slow, name="slow"))
    async with serve(description) as at, anyio.create_task_group() as group:

        async def run() -> None:
            async with description:
                pass

        group.start_soon(run)
        client = await ask(Client, at.socket)
        found = await until_seen(client, lambda found: len(found["rows"]) == 3)
        assert (found["tree"]["live"], found["tree"]["ready"]) == (True, False)
        assert rows_of(found)["app/slow"]["state"] == "starting"
        go_on.set()


async def test_no_argument_is_told_anywhere_and_hostile_texts_are_one_printable_line() -> None:
    class Hostile:
        async def go(self, text: str) -> None:
            raise RuntimeError("\x1b[31m<img src=x>\n\u2028\u202e" + "x" * 10_000)

    async with served(child(Db, name="db"), child(Hostile, name="\x1b[2J<b>"), log_arguments=True) as (app, client, _):
        stream = await ask(client.stream, every=0.25)
        await following(stream)
        await app.find("db").send(Db.boom, "secret")
        await app.find("\x1b[2J<b>").send(Hostile.go, "secret")
        change = await told(stream, lambda data: sum(e["event"] == "Decided" for e in data.get("events", ())) > 0)
        whole = await ask(client.snapshot)
        about = [await ask(client.actor, name) for name in ("db", "\x1b[2J<b>")]
        events = await ask(client.events)
        await ask(stream.close)
        assert "secret" not in json.dumps([whole["tree"], about[0]["stack"], events])
        assert all(event["text"].isprintable() for event in change["events"])
        assert all(len(event["text"]) <= 500 for event in change["events"])
        crash = next(end for end in about[1]["ends"] if end["kind"] == "crashed")
        assert crash["detail"].isprintable()
        assert len(crash["detail"]) <= 500


async def test_how_long_a_tree_is_up_is_since_it_began_and_not_since_it_is_served() -> None:
    description = Supervisor("app")
    async with description as app:
        app._branch.tree.began -= 7200  # two hours ago
        async with serve(app) as at:
            assert 7200 <= (await ask(Client(at.socket).snapshot))["tree"]["up"] < 7300
    async with serve(description) as at:
        assert (await ask(Client(at.socket).snapshot))["tree"]["up"] == 0
        async with description:
            assert (await until_seen(Client(at.socket), lambda found: found["seq"]))["tree"]["up"] < 60
