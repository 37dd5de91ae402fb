"""What should be looked at first, in words, the worst of it first; nothing where all is well."""

from __future__ import annotations

from typing import Any

import pytest

from supervise.live.alarms import alarm_line, alarms
from supervise.live.drawing import BAD, LOUD, WARN, text_of

from .told_tree import head, row, shop, snapshot, supervisor, table_of


def said(*rows: dict[str, Any], now: float = 100.0, **fields: Any) -> list[tuple[str, str]]:
    return [*alarms(table_of(snapshot(100, *rows, **fields)), now)]


def test_all_is_well() -> None:
    assert alarms(table_of(shop()), 100.0) == []
    assert alarm_line(table_of(shop()), 100.0) == []


def test_nothing_is_said_before_anything_is_told() -> None:
    assert alarm_line(table_of(), 0.0) == []


@pytest.mark.parametrize(
    ("told", "text", "meaning"),
    [
        (row("shop/full", capacity=5, queued=5, senders=3), "full: 5/5, 3 senders wait", WARN),
        (row("shop/full", capacity=5, queued=5, senders=1), "full: 5/5, 1 sender waits", WARN),
        (row("shop/full", senders=2), "full: 2 senders wait", WARN),
        (supervisor("shop/rooms", limit=20, restarts=17), "rooms: 17 of 20 restarts", WARN),
        (supervisor("shop/rooms", limit=1, restarts=1), "rooms: 1 of 1 restart", WARN),
        (row("shop/a", paused=True), "paused: a", WARN),
        (row("shop/a", state="restarting", error="OSError: in use"), "a is restarting: OSError: in use", BAD),
        (row("shop/a", state="stopped", required=False), "a is stopped", WARN),
        (row("shop/p", kind="pool", workers=4, workers_up=2), "p 2 of 4 workers", BAD),
        (row("shop/p", kind="pool", workers=1, workers_up=0), "p 0 of 1 worker", BAD),
        (row("shop/p", kind="pool", state="stopped", workers=1), "p is stopped", BAD),
    ],
)
def test_each_sort(told: dict[str, Any], text: str, meaning: str) -> None:
    assert said(told) == [(text, meaning)]


@pytest.mark.parametrize(
    "told",
    [
        supervisor("shop/rooms", limit=20, restarts=15),
        supervisor("shop/rooms", limit=0, restarts=0),
        row("shop/a", limit=3, restarts=3),
        row("shop/a", state="finished"),
        row("shop/a", capacity=5, queued=5),
        row("shop/p", kind="pool", workers=4, workers_up=4),
    ],
)
def test_what_is_no_alarm(told: dict[str, Any]) -> None:
    assert said(told) == []


def test_the_longest_chain_of_waits_with_its_time_and_handler() -> None:
    rows = (
        row("shop/web", waits_for="shop/orders", hand=["Web.get"], hand_since=94.0),
        row("shop/orders", waits_for="shop/db", hand=["Orders.place"], hand_since=94.0),
        row("shop/db", hand=["Db.query"], hand_since=95.0),
    )
    assert said(*rows) == [("web -> orders -> db: 5 s (Db.query)", BAD)]
    assert said(*rows, now=95.5) == []  # every call waits for a moment


def test_of_a_long_way_the_beginning_and_the_end_are_told() -> None:
    rows = [row(f"shop/a{n}", waits_for=f"shop/a{n + 1}") for n in range(9)]
    ((text, _),) = said(*rows, row("shop/a9", hand=["A.f"], hand_since=90.0))
    assert text == "a0 -> a1 -> a2 -> 5 more -> a8 -> a9: 10 s (A.f)"


def test_a_cycle() -> None:
    assert said(row("shop/a", waits_for="shop/b"), row("shop/b", waits_for="shop/a")) == [("cycle: a -> b -> a", BAD)]


def test_the_workers_of_a_pool_are_not_told_by_themselves() -> None:
    told = said(row("shop/p", kind="pool", workers=2, workers_up=1), row("shop/p/0"), row("shop/p/1", state="restarting"))
    assert told == [("p 1 of 2 workers", BAD)]


def test_what_is_required_comes_first_and_many_are_counted() -> None:
    rows = [row(f"shop/o{n}", state="stopped", required=False) for n in range(5)]
    told = said(*rows, row("shop/must", state="stopped"))
    assert [text for text, _ in told] == ["must is stopped", "o0 is stopped", "o1 is stopped", "3 more like that"]


def test_paused_ones_are_one_alarm() -> None:
    assert [text for text, _ in said(*[row(f"shop/a{n}", paused=True) for n in range(5)])] == ["paused: a0, a1, a2 and 2 more"]


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"tree": {"name": "shop", "live": False, "ended": "stopped"}}, "shop has ended: stopped"),
        ({"tree": {"name": "shop", "live": False, "ended": ""}}, "shop isn't running"),
        ({"problem": "no child 'x'"}, "no child 'x'"),
    ],
)
def test_what_is_wrong_with_all_of_it(fields: dict[str, Any], text: str) -> None:
    assert said(**fields) == [(text, BAD)]


def blocked(**told: Any) -> dict[str, Any]:
    return {"loop": {"lag": 0.0, "blocked": {"for": 3.2, "path": "", "handler": "", "stack": [], **told}}}


@pytest.mark.parametrize(
    ("told", "text"),
    [
        (
            {"path": "shop/db", "handler": "Db.query", "stack": ["main (m.py:1)", "Db.query (db.py:7)"]},
            "! blocked for 3 s by shop/db (Db.query) at Db.query (db.py:7) ",
        ),
        ({"path": "shop/db"}, "! blocked for 3 s by shop/db "),
        ({}, "! blocked for 3 s by something that is no actor "),
        ({"path": "x\x1b[H", "stack": ["\u202e"]}, "! blocked for 3 s by x\\x1b[H at \\u202e "),
    ],
)
def test_a_blocked_loop_is_said_alone_and_loudly(told: dict[str, Any], text: str) -> None:
    table = table_of(("snapshot", {**head(100, **blocked(**told)), "rows": [row("shop/a", state="stopped")]}))
    assert alarm_line(table, 100.0) == [(text, LOUD)]


def test_alarms_stand_on_one_line() -> None:
    table = table_of(snapshot(100, row("shop/a", state="stopped"), row("shop/b", paused=True)))
    assert text_of(alarm_line(table, 100.0)) == "! a is stopped   ! paused: b"
