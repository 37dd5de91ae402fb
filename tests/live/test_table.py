"""What a client keeps of a stream: rows in the tree's order, rates, events; sorted, filtered and folded.

Tested without any server; once each backend serves a real tree, whose own stream is applied.
"""

from __future__ import annotations

import itertools
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio.to_thread
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervise import DynamicSupervisor, Supervisor, child
from supervise.live import Client, serve
from supervise.live.entry import row_from
from supervise.live.row import Row
from supervise.live.table import EVENTS, SORTS, Table, lines
from tests.doubles import Scribe
from tests.real_clock import on_the_real_clock

from .told_tree import change, event, paths, row, shop, snapshot, supervisor, table_of

GUARD = 60.0
"""Seconds after which what hangs is given up."""
NOTHING: list[dict[str, Any]] = [{}, {"rows": 3}, {"rows": [3, None, []]}, {"events": "x", "gone": 5}, {"gone": [[], "nobody"]}]


# -- rows ----------------------------------------------------------------------------------------------------------------


def test_a_row_has_the_usual_values_of_what_is_not_told() -> None:
    table = table_of(shop())
    assert table.entries["shop/web"].row == Row("shop/web", type="Web")


def test_hands_are_a_tuple() -> None:
    table = table_of(snapshot(1, row("shop", hand=["A.f", "A.g"])))
    assert table.entries["shop"].row.hand == ("A.f", "A.g")


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ({"path": "a", "queued": "many", "hand": "x", "type": 3, "limit": [], "due": None, "unheard_of": 1}, Row("a")),
        ({"path": "a", "hand": [1, "f", None]}, Row("a", hand=("f",))),
        ({"path": "a", "life": None, "state": None}, Row("a")),
        ({"path": "a\x1b[31m", "error": "x\u202ey\n"}, Row("a\\x1b[31m", error="x\\u202ey\\n")),
        ({"path": "a" * 5000}, Row("a" * 999 + "…")),
        ({"path": ""}, None),
        ({"path": 3}, None),
        ({}, None),
    ],
)
def test_what_is_not_as_it_should_be_is_as_if_it_were_not_told(told: dict[str, Any], found: Row | None) -> None:
    assert row_from(told) == found


@pytest.mark.parametrize("data", NOTHING)
@pytest.mark.parametrize("kind", ["snapshot", "change", "something new"])
def test_a_frame_that_says_nothing_does_nothing(kind: str, data: dict[str, Any]) -> None:
    table = table_of((kind, data))
    assert (table.entries, [*table.events], table.missed) == ({}, [], 0)
    assert len(lines(table, 80)) <= 1


def test_a_changed_row_is_replaced_and_a_gone_one_is_not_there() -> None:
    table = table_of(shop(), change(101, row("shop/db", type="Db", queued=7), gone=("shop/web",)))
    assert table.entries["shop/db"].row.queued == 7
    assert paths(table) == ["shop", "shop/db", "shop/rooms", "shop/rooms/a", "shop/rooms/b"]


def test_a_new_row_comes_after_all_that_is_below_its_supervisor() -> None:
    table = table_of(
        shop(),
        change(101, row("shop/rooms/c"), supervisor("shop/rooms/deep"), row("shop/rooms/deep/x")),
        change(102, row("shop/rooms/d")),
    )
    assert paths(table) == [
        "shop", "shop/db", "shop/rooms", "shop/rooms/a", "shop/rooms/b", "shop/rooms/c", "shop/rooms/deep",
        "shop/rooms/deep/x", "shop/rooms/d", "shop/web",
    ]  # fmt: skip


def test_the_levels_are_those_of_the_tree() -> None:
    assert [level for _, level in table_of(shop()).shown()] == [0, 1, 1, 2, 2, 1]


def test_a_supervisor_that_goes_before_its_children_leaves_nobody_behind() -> None:
    table = table_of(shop(), change(101, gone=("shop/rooms", "shop/rooms/a", "shop/rooms/b")))
    assert paths(table) == ["shop", "shop/db", "shop/web"]


def test_rows_whose_supervisor_is_not_told_stand_for_themselves() -> None:
    table = table_of(snapshot(1, supervisor("shop"), row("shop/rooms/a"), row("shop/rooms/b"), all=False))
    assert set(paths(table)) == {"shop", "shop/rooms/a", "shop/rooms/b"}
    assert not table.is_whole


def test_another_snapshot_replaces_all() -> None:
    table = table_of(shop(), snapshot(101, supervisor("shop"), row("shop/new")))
    assert paths(table) == ["shop", "shop/new"]


@given(st.lists(st.tuples(st.booleans(), st.lists(st.sampled_from("abc"), max_size=3)), max_size=30))
def test_the_order_is_that_of_a_walk_whatever_comes_and_goes(steps: list[tuple[bool, list[str]]]) -> None:
    """Each row stands right behind one of its own supervisor's, or behind that itself; nobody is lost, or there twice."""
    table, seen = table_of(snapshot(1, supervisor("shop"))), 1.0
    there = {"shop"}
    for comes, names in steps:
        seen += 1
        path = "/".join(["shop", *names])
        if comes:
            new = ["/".join(["shop", *names[:n]]) for n in range(1, len(names) + 1)]
            table.apply(*change(seen, *[supervisor(each) for each in new]))
            there |= {*new}
        elif names:
            gone = {each for each in there if f"{each}/".startswith(f"{path}/")}
            table.apply(*change(seen, gone=tuple(gone)))
            there -= gone
    shown = table.shown()
    assert sorted(paths(table)) == sorted(there)
    assert [level for _, level in shown] == [entry.row.path.count("/") for entry, _ in shown]
    for (before, _), (entry, _) in itertools.pairwise(shown):
        assert f"{before.row.path}/".startswith(f"{entry.row.path.rpartition('/')[0]}/")


# -- rates ---------------------------------------------------------------------------------------------------------------


def test_a_rate_is_of_what_was_finished_between_two_surveys() -> None:
    table = table_of(
        snapshot(10, row("shop", handled=100, failed=2)),
        change(12, row("shop", handled=150, failed=4), totals={"handled": 150, "failed": 4}),
    )
    assert (table.entries["shop"].rate, table.entries["shop"].failing) == (26.0, True)


def test_the_rate_of_all_is_of_the_sums() -> None:
    table = table_of(
        shop(10, totals={"handled": 100, "failed": 1, "queued": 0}),
        change(12, totals={"handled": 200, "failed": 3, "queued": 0}),
    )
    assert table.rate == 51.0


def test_a_row_that_is_not_told_again_has_done_nothing() -> None:
    table = table_of(snapshot(1, row("shop")), change(2, row("shop", handled=5)), change(3))
    assert table.entries["shop"].rate == 0
    assert [*table.entries["shop"].rates] == [5.0, 0.0]


def test_a_frame_without_a_new_survey_leaves_the_rates_as_they_are() -> None:
    table = table_of(
        snapshot(1, row("shop"), totals={}),
        change(2, row("shop", handled=5), totals={"handled": 5}),
        change(2, totals={"handled": 5}),
    )
    assert (table.entries["shop"].rate, [*table.entries["shop"].rates], table.rate) == (5.0, [5.0], 5.0)


def test_the_last_ten_rates_are_kept_and_forgotten_when_nothing_has_happened_in_them() -> None:
    table = table_of(snapshot(0, row("shop")))
    for n in range(1, 13):
        table.apply(*change(n, row("shop", handled=n * n)))
    assert [*table.entries["shop"].rates] == [2.0 * n - 1 for n in range(3, 13)]
    for n in range(13, 22):
        table.apply(*change(n))
    assert [*table.entries["shop"].rates] == [23.0] + [0.0] * 9
    table.apply(*change(22))
    assert [*table.entries["shop"].rates] == []


def test_counters_that_fall_have_begun_anew() -> None:
    table = table_of(
        snapshot(1, row("shop", handled=100), totals={"handled": 100}), change(2, row("shop", handled=3), totals={"handled": 3})
    )
    assert (table.entries["shop"].rate, table.rate) == (0.0, 0.0)


def test_a_new_row_has_no_rate() -> None:
    table = table_of(shop(1), change(2, row("shop/new", handled=1000)))
    assert table.entries["shop/new"].rate == 0


def test_a_snapshot_of_the_same_process_goes_on_with_the_rates() -> None:
    table = table_of(snapshot(1, row("shop")), change(2, row("shop", handled=5)), snapshot(3, row("shop", handled=15)))
    assert [*table.entries["shop"].rates] == [5.0, 10.0]


def test_another_process_begins_anew() -> None:
    other = {"name": "shop", "pid": 8, "live": True}
    table = table_of(
        snapshot(1, row("shop"), totals={"handled": 0}),
        change(2, row("shop", handled=5), totals={"handled": 5}),
        snapshot(3, row("shop", handled=15), totals={"handled": 15}, tree=other),
    )
    assert ([*table.entries["shop"].rates], table.rate) == ([], 0.0)


def test_a_clock_that_falls_gives_no_rate() -> None:
    table = table_of(snapshot(9, row("shop"), totals={"handled": 0}), change(2, row("shop", handled=5), totals={"handled": 5}))
    assert (table.entries["shop"].rate, table.entries["shop"].row.handled, table.rate) == (0.0, 5, 0.0)


# -- sorted, filtered, folded ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sort", "first"),
    [
        ("worst", "shop/down"),
        ("actor", "shop"),
        ("life", "shop/lives"),
        ("rst", "shop/lives"),
        ("queue", "shop/queue"),
        ("msg/s", "shop/rate"),
        ("fail", "shop/fail"),
        ("cpu", "shop/cpu"),
        ("in hand", "shop/hand"),
    ],
)
def test_rows_are_sorted_by_each_column(sort: str, first: str) -> None:
    table = table_of(
        snapshot(
            1,
            supervisor("shop"),
            row("shop/young", hand=["f"], hand_since=5.0),
            row("shop/hand", hand=["f"], hand_since=1.0),
            row("shop/cpu", cpu=0.5),
            row("shop/fail", failed=3),
            row("shop/queue", queued=9),
            row("shop/lives", life=4, restarts=3),
            row("shop/rate"),
            row("shop/down", state="restarting"),
        ),
        change(2, row("shop/rate", handled=9)),
    )
    table.sort = sort
    assert paths(table)[0] == first
    assert {level for _, level in table.shown()} == {0}


def test_every_column_that_sorts_is_tested() -> None:
    assert [*SORTS] == ["tree", "worst", "actor", "life", "rst", "queue", "msg/s", "fail", "cpu", "in hand"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ROOMS/A", ["shop", "shop/rooms", "shop/rooms/a"]),
        ("room", ["shop", "shop/rooms", "shop/rooms/a", "shop/rooms/b"]),
        ("Web", ["shop", "shop/web"]),
        ("nobody", []),
        ("running", ["shop", "shop/db", "shop/rooms", "shop/rooms/a", "shop/rooms/b", "shop/web"]),
    ],
)
def test_the_filter_shows_what_fits_and_where_it_stands(text: str, found: list[str]) -> None:
    table = table_of(shop())
    table.filter = text
    assert paths(table) == found


def test_paused_is_a_state_to_filter_by_and_a_fold_hides_nothing_that_fits() -> None:
    table = table_of(shop(), change(101, row("shop/rooms/b", paused=True)))
    table.filter, table.folded = "paused", {"shop/rooms"}
    assert paths(table) == ["shop", "shop/rooms", "shop/rooms/b"]
    table.sort = "queue"
    assert paths(table) == ["shop/rooms/b"]


def test_a_folded_supervisor_hides_what_is_below_it_and_tells_its_sums() -> None:
    table = table_of(
        shop(),
        change(101, row("shop/rooms/a", queued=3, handled=10, capacity=5), row("shop/rooms/b", queued=4, handled=20)),
    )
    table.folded = {"shop/rooms"}
    assert paths(table) == ["shop", "shop/db", "shop/rooms", "shop/web"]
    rooms = next(text for text in lines(table, 100) if "rooms" in text).split()
    assert (rooms[:2], "7" in rooms, "30" in rooms) == (["▸", "rooms"], True, True)


def test_fold_all_hides_all_but_the_first_level_and_unfolds_again() -> None:
    table = table_of(shop())
    table.fold_all()
    assert paths(table) == ["shop", "shop/db", "shop/rooms", "shop/web"]
    table.fold_all()
    assert len(paths(table)) == 6


def test_a_pool_is_counted_once_in_sums() -> None:
    table = table_of(
        snapshot(1, supervisor("shop"), row("shop/p", kind="pool", workers=2, workers_up=2), row("shop/p/0"), row("shop/p/1"))
    )
    assert [entry.row.path for entry in table.below("shop")] == ["shop/p"]


# -- events --------------------------------------------------------------------------------------------------------------


def test_events_are_kept_and_missed_ones_are_counted() -> None:
    table = table_of(
        shop(), change(101, events=(event("shop/db", "db #2 started", trace="6dfcaf", life=2, level="WARNING"),), missed=3)
    )
    table.apply(*change(102, missed=2))
    (kept,) = table.events
    assert (kept.path, kept.text, kept.trace, kept.life, kept.clock, kept.is_bad) == (
        "shop/db", "db #2 started", "6dfcaf", 2, "07:08:09", True,
    )  # fmt: skip
    assert table.missed == 5


def test_the_last_events_are_kept() -> None:
    table = table_of(shop(), change(101, events=tuple(event("shop", f"{n}") for n in range(EVENTS + 7))))
    assert [table.events[0].text, table.events[-1].text, len(table.events)] == ["7", f"{EVENTS + 6}", EVENTS]


def test_what_an_event_says_moves_no_cursor() -> None:
    table = table_of(change(1, events=(event("shop\x07", "\x1b[2J\u202e"),)))
    assert (table.events[0].path, table.events[0].text) == ("shop\\x07", "\\x1b[2J\\u202e")


# -- copies ----------------------------------------------------------------------------------------------------------------


def test_a_copy_stays_as_it_is() -> None:
    table = table_of(shop(), change(101, row("shop/db", handled=5), events=(event("shop", "one"),)))
    table.sort, table.filter, table.folded = "queue", "d", {"shop/rooms"}
    copy = table.copy()
    before = (lines(copy, 100), copy.entries["shop/db"].rate, paths(copy))
    table.apply(*change(102, row("shop/db", handled=99), row("shop/d2"), gone=("shop/web",), events=(event("shop", "two"),)))
    table.folded.clear()
    assert (lines(copy, 100), copy.entries["shop/db"].rate, paths(copy)) == before
    assert paths(copy) != paths(table)


# -- of a real tree --------------------------------------------------------------------------------------------------------


@on_the_real_clock
@pytest.mark.anyio
async def test_it_follows_a_real_tree(anyio_backend: Any) -> None:
    table, seen = Table(), threading.Event()

    def follow(client: Client) -> None:
        for kind, data in client.stream(every=0.25):
            table.apply(kind, data)
            if "app/rooms/new" in table.entries and table.entries["app/scribe"].rate > 0 and table.events:
                break
        seen.set()

    async def in_thread(client: Client) -> None:
        await anyio.to_thread.run_sync(follow, client, abandon_on_cancel=True)

    tree = Supervisor("app", child(Scribe, name="scribe"), DynamicSupervisor("rooms"), child(Scribe, name="last"))
    with TemporaryDirectory() as folder, anyio.fail_after(GUARD):
        async with tree as app, serve(app, Path(folder) / "s") as served:
            async with anyio.create_task_group() as group:
                group.start_soon(in_thread, Client(served.socket))
                while not table.entries:  # noqa: ASYNC110 - it is filled in a thread
                    await anyio.sleep(0.01)
                await app.supervisor("rooms").start(Scribe, name="new")
                while not seen.is_set():
                    await app.find("scribe").call(Scribe.note, "x")
                    await anyio.sleep(0.01)
    assert paths(table) == ["app", "app/scribe", "app/rooms", "app/rooms/new", "app/last"]
    assert any("new" in happening.text for happening in table.events)
    assert table.rate > 0
    assert lines(table, 100)[0].startswith("app  pid")
