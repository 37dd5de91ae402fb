"""The table as it is drawn, and as plain text: columns that fit, the state above, the last event below."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervise.cells import cells
from supervise.live.columns import COLUMNS, Columns, heading
from supervise.live.drawing import BAD, DIM, PLAIN, WARN, Piece, text_of
from supervise.live.picture import sight_of
from supervise.live.table import lines

from .told_tree import change, event, row, shop, snapshot, supervisor, table_of

WHOLE = """\
shop  pid 7  up 2 h  READY, degraded                  2999 msg/s  5 queued   cpu 11 %  loop lag 2 ms
! flaky is restarting: OSError: port in use   ! rooms/a -> db: 6 s (Db.query)   ! full: 5/5, 3 send…
actor      state        life    rst   queue  msg/s  fail  cpu  in hand     waits for
▾ shop     1-for-1         1   3/50
    db     running         1         0/1000                    query ≥6 s
    full   running         1            5/5                    slow ≥1 s   3 senders wait
    flaky  backoff 2 s     3      3  0/1000                                OSError: port in use
  ▾ rooms  dynamic         1  17/20
      a    running         1              0   2999         9%  enter       → db
events: flaky #3 failed to start: OSError                                             trace 6dfcaf01"""


def test_the_whole_picture() -> None:
    table = table_of(
        snapshot(
            100,
            supervisor("shop", limit=50, restarts=3),
            row("shop/db", capacity=1000, hand=["Db.query"], hand_since=95.0, restarts=0),
            row("shop/full", capacity=5, queued=5, senders=3, hand=["Full.slow"], hand_since=100.0),
            row("shop/flaky", state="restarting", life=3, restarts=3, capacity=1000, due=103.0, error="OSError: port in use"),
            supervisor("shop/rooms", type="dynamic", limit=20, restarts=17),
            row("shop/rooms/a", waits_for="shop/db", hand=["Room.enter"]),
            totals={"queued": 5, "handled": 0},
        ),
        change(
            101,
            row("shop/rooms/a", waits_for="shop/db", hand=["Room.enter"], handled=2999, cpu=0.09),
            events=(event("shop/flaky", "flaky #3 failed to start: OSError", trace="6dfcaf0123456789"),),
            totals={"queued": 5, "handled": 2999},
            tree={"name": "shop", "pid": 7, "up": 7200.0, "live": True, "ready": True, "degraded": True},
        ),
    )
    assert lines(table, 100) == WHOLE.split("\n")


@pytest.mark.parametrize("width", [1, 10, 20, 40, 60, 79, 80, 100, 119, 120, 200, 400])
def test_no_line_is_wider_than_it_may_be(width: int) -> None:
    table = table_of(
        snapshot(
            1,
            supervisor("shop"),
            row("shop/" + "界" * 60, hand=["A." + "f" * 90], error="x" * 200),
            row("shop/b", waits_for="shop/" + "c" * 99),
        ),
        change(2, events=(event("shop", "t" * 300),)),
    )
    found = lines(table, width)
    assert max(map(cells, found)) <= width
    assert len(found) == 6


@given(st.text(max_size=60), st.text(max_size=60), st.integers(1, 150), st.booleans())
def test_whatever_a_name_holds_a_line_is_one_line_that_fits(name: str, error: str, width: int, ascii: bool) -> None:
    table = table_of(snapshot(1, supervisor("shop"), row(f"shop/{name}", error=error, hand=[name], waits_for=error, type=name)))
    for text in lines(table, width, ascii=ascii):
        assert cells(text) <= width
        assert all(character.isprintable() or character in "\xa0\u202f\u3000" for character in text)


def test_a_long_path_is_cut_in_its_middle() -> None:
    table = table_of(snapshot(1, row("shop/connections/of/a/very/long/path/with/many/parts/and/an/end")))
    table.sort = "actor"
    assert "connecti" in lines(table, 80)[-1]
    assert "…" in lines(table, 80)[-1]
    assert "end" in lines(table, 80)[-1]


def test_in_ascii() -> None:
    table = table_of(shop(), change(101, row("shop/web", handled=8, hand=["W.f"], hand_since=1.0, waits_for="shop/db")))
    assert all(text.isascii() for text in lines(table, 100, ascii=True))


def pieces(told: dict[str, Any], *more: dict[str, Any]) -> dict[str, Piece]:
    table = table_of(snapshot(100, told, *more))
    (found, *_) = Columns().pieces(sight_of(table, 100.0), table.shown())
    return {column.name: piece for column, piece in zip(COLUMNS, found, strict=True)}


@pytest.mark.parametrize(
    ("told", "column", "piece"),
    [
        (row("s", paused=True), "state", ("paused", WARN)),
        (row("s", state="restarting", due=103.0), "state", ("backoff 3 s", BAD)),
        (row("s", state="restarting", due=99.0), "state", ("restarting", BAD)),
        (row("s", state="stopped"), "state", ("stopped", BAD)),
        (row("s", state="stopped", required=False), "state", ("stopped", WARN)),
        (row("s", state="finished"), "state", ("finished", DIM)),
        (row("s"), "state", ("running", PLAIN)),
        (row("s", kind="pool", workers=3, workers_up=3), "state", ("pool 3/3", PLAIN)),
        (row("s", kind="pool", workers=3, workers_up=1), "state", ("pool 1/3", BAD)),
        (row("s", kind="supervisor", type="dynamic", children=3, max_children=9), "state", ("dynamic 3/9", DIM)),
        (row("s", kind="supervisor", type="dynamic", children=8, max_children=9), "state", ("dynamic 8/9", WARN)),
        (supervisor("s"), "state", ("1-for-1", DIM)),
        (supervisor("s", type="dynamic"), "state", ("dynamic", DIM)),
        (supervisor("s", state="starting"), "state", ("starting", BAD)),
        (row("s"), "life", ("1", DIM)),
        (row("s", life=3), "life", ("3", PLAIN)),
        (supervisor("s", restarts=3, limit=3), "rst", ("3/3", WARN)),
        (supervisor("s", restarts=1, limit=3), "rst", ("1/3", PLAIN)),
        (row("s", restarts=4, limit=3), "rst", ("4", PLAIN)),
        (row("s"), "rst", ("", PLAIN)),
        (row("s"), "queue", ("0", DIM)),
        (row("s", queued=3), "queue", ("3", PLAIN)),
        (row("s", queued=3, capacity=10), "queue", ("3/10", PLAIN)),
        (row("s", queued=8, capacity=10), "queue", ("8/10", WARN)),
        (row("s", queued=10, capacity=10), "queue", ("10/10", BAD)),
        (row("s", queued=1, capacity=10, senders=1), "queue", ("1/10", BAD)),
        (row("s", failed=3), "fail", ("3", PLAIN)),
        (row("s", cpu=0.5), "cpu", ("50%", PLAIN)),
        (row("s", cpu=0.0), "cpu", ("0%", DIM)),
        (row("s", hand=["A.f", "A.g"], hand_since=99.5), "in hand", ("f, g", PLAIN)),
        (row("s", far="'gate' at shop"), "in hand", ("'gate' at shop", PLAIN)),
        (row("s", far="shop", open_calls=1200, unconfirmed=3, credit=0.8), "in hand", ("shop: 1200 out, 3 unconfirmed", WARN)),
        (row("s", far="shop", taken_calls=1, hand=["A.f"], hand_since=99.5), "in hand", ("f", PLAIN)),
        (row("s", far="a\x1b[2Jb"), "in hand", ("a\\x1b[2Jb", PLAIN)),
        (row("s", hand=["A.f"], hand_since=95.0), "in hand", ("f ≥5 s", PLAIN)),
        (row("s", waits_for="shop/db"), "waits for", ("→ db", PLAIN)),
        (row("s", waits_for="s"), "waits for", ("→ s", BAD)),
        (row("s", senders=2), "waits for", ("2 senders wait", WARN)),
        (row("s", error="E"), "waits for", ("E", DIM)),
        (row("s", error="E", state="stopped"), "waits for", ("E", BAD)),
    ],
)
def test_what_stands_in_a_column_and_what_it_means(told: dict[str, Any], column: str, piece: Piece) -> None:
    assert pieces(told)[column] == piece


def test_columns_only_grow() -> None:
    columns, table = Columns(), table_of(snapshot(1, row("s", queued=123456, capacity=999999)))
    columns.pieces(sight_of(table, 1), table.shown())
    before = columns.widths(100)
    table.apply(*change(2, row("s")))
    columns.pieces(sight_of(table, 2), table.shown())
    assert columns.widths(100) == before


def test_where_there_is_little_room_the_least_important_columns_go_first() -> None:
    columns = Columns()
    there = [{column.name for column, width in zip(COLUMNS, columns.widths(n), strict=True) if width} for n in (200, 60, 30)]
    assert len(there[0]) == len(COLUMNS)
    assert there[0] > there[1] > there[2] >= {"actor", "state", "queue", "msg/s"}


def test_the_heading_says_by_what_rows_are_sorted() -> None:
    widths = Columns().widths(120)
    assert [text for text, meaning in heading(widths, "queue") if meaning == "strong"] == ["queue"]
    assert "waits for" in text_of(heading(widths, "queue"))


@pytest.mark.parametrize(
    ("tree", "word"),
    [
        ({"live": True, "ready": True, "degraded": False}, "  READY"),
        ({"live": True, "ready": True, "degraded": True}, "READY, degraded"),
        ({"live": True, "ready": False}, "NOT READY"),
        ({"live": False, "ready": False}, "NOT RUNNING"),
    ],
)
def test_how_the_tree_is(tree: dict[str, Any], word: str) -> None:
    assert word in lines(table_of(snapshot(1, tree={"name": "shop", "pid": 7, **tree})), 100)[0]


def test_of_very_many_actors_it_says_that_the_worst_are_seen() -> None:
    table = table_of(snapshot(1, supervisor("s"), row("s/a"), all=False, totals={"actors": 100_000, "queued": 0}))
    assert "100k actors, the worst 2" in lines(table, 120)[0]


def test_missed_events_are_told() -> None:
    assert lines(table_of(change(1, missed=3)), 80)[-1] == "events: 3 missed"
