"""`supervise top`, by a pilot, against a stream that the test tells: what is seen, what each key does, what is drawn anew.

What a real tree does to it, and it to a real tree, is in `test_top_real.py`; a real terminal in `test_top_terminal.py`.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from supervise.cli.top.app import Top
from supervise.cli.top.listener import FIRST, LONGEST, Listener
from supervise.cli.top.table_page import TablePage
from supervise.live.client import LiveError, NoTree
from supervise.live.drawing import BAD, LOUD, STRONG, WARN
from supervise.live.folder import Found
from tests.live.told_tree import change, event, row, shop, snapshot, supervisor

from .fake_source import FakeSource, meanings, on_asyncio, page_of, seen, top_of, until, until_seen, until_unseen

pytestmark = [pytest.mark.anyio, on_asyncio]

SIZE = (100, 30)


def lines(pilot: Any) -> list[str]:
    return page_of(pilot).body.texts


def names(pilot: Any) -> list[str]:
    return [text.strip("▾▸ ").split(" ")[0] for text in lines(pilot)]


def chosen(pilot: Any) -> str | None:
    return page_of(pilot).path()


# -- the table -----------------------------------------------------------------------------------------------------------


async def test_rows_appear_and_rates_move() -> None:
    source = FakeSource(shop())
    async with top_of(source).run_test(size=SIZE) as pilot:
        await until_seen(pilot, "rooms")
        assert names(pilot) == ["shop", "db", "rooms", "a", "b", "web"]
        assert seen(pilot).split("\n")[0].startswith("shop  pid 7  up 2 h  READY")
        source.tell(change(101, row("shop/db", type="Db", capacity=1000, handled=42), totals={"handled": 42, "queued": 3}))
        await until_seen(pilot, "42 msg/s  3 queued")
        assert " 42" in lines(pilot)[1]
        source.tell(change(102, row("shop/new"), gone=("shop/web",), totals={"handled": 42, "queued": 0}))
        await until_seen(pilot, "new", "0 msg/s")
        assert names(pilot) == ["shop", "db", "rooms", "a", "b", "new"]


async def test_only_what_has_changed_is_drawn() -> None:
    rows = [row(f"shop/a{n}", capacity=10) for n in range(5000)]
    source = FakeSource(snapshot(100, supervisor("shop"), *rows, at=None))
    async with top_of(source).run_test(size=SIZE) as pilot:
        await until_seen(pilot, "a20")
        page = page_of(pilot)
        await pilot.pause()
        before = page.drawn
        source.tell(change(101, row("shop/a3", capacity=10, queued=4), row("shop/a4000", queued=9), at=None))
        await until_seen(pilot, "4/10")
        assert page.drawn - before == 1  # of two rows one is seen


async def test_it_shows_what_happens() -> None:
    source = FakeSource(shop())
    async with top_of(source).run_test(size=SIZE) as pilot:
        await until_seen(pilot, "rooms")
        crash = event("shop/db", "db #1 ended: crashed (Boom: x)", level="WARNING", trace="6dfcaf0123456789")
        source.tell(change(101, row("shop/db", life=2, restarts=1, error="crashed (Boom: x)"), events=(crash,)))
        await until_seen(pilot, "events: db #1 ended: crashed (Boom: x)", "trace 6dfcaf01")
        assert "crashed (Boom" in lines(pilot)[1]
        await pilot.press("e")
        await until_seen(pilot, "the last 1 events", "07:08:09  db #1 ended: crashed (Boom: x)  trace 6dfcaf0123456789")
        assert meanings(pilot, "db #1 ended") == {WARN, ""}  # in the list, and below it
        source.tell(change(102, events=(event("shop/db", "db #2 started"),), missed=7))
        await until_seen(pilot, "the last 2 events  7 missed")
        assert page_of(pilot).cursor == 1  # it follows
        await pilot.press("up")
        source.tell(change(103, events=(event("shop/web", "web is late"),)))
        await until_seen(pilot, "web is late")
        assert page_of(pilot).cursor == 0  # until the user looks at another one
        await pilot.press("e")
        assert isinstance(pilot.app.screen, TablePage)


async def test_events_that_are_forgotten_leave_the_chosen_one_chosen() -> None:
    source = FakeSource(shop(), change(101, events=tuple(event("shop", f"event {n}.") for n in range(500))))
    async with top_of(source).run_test(size=SIZE) as pilot:
        await until_seen(pilot, "event 499.")
        await pilot.press("e", "up", "up")
        source.tell(change(102, events=tuple(event("shop", f"event {n}.") for n in range(500, 510))))
        await until_seen(pilot, "event 509.")
        assert "event 497." in lines(pilot)[page_of(pilot).cursor - page_of(pilot).first]


async def test_the_cursor_stays_with_its_actor_and_the_first_line_stays_the_first() -> None:
    source = FakeSource(shop())
    async with top_of(source).run_test(size=SIZE) as pilot:
        await until_seen(pilot, "rooms")
        await pilot.press("down", "down", "down")
        assert chosen(pilot) == "shop/rooms/a"
        source.tell(change(101, gone=("shop/db",)))
        await until_unseen(pilot, "db")
        assert (chosen(pilot), page_of(pilot).cursor) == ("shop/rooms/a", 2)
        await pilot.press("end")
        assert chosen(pilot) == "shop/web"
        await pilot.press("home", "up", "pageup")
        assert chosen(pilot) == "shop"


async def test_a_long_table_scrolls_with_the_cursor() -> None:
    rows = [row(f"shop/a{n}") for n in range(200)]
    async with top_of(FakeSource(snapshot(1, supervisor("shop"), *rows))).run_test(size=SIZE) as pilot:
        await until_seen(pilot, "a20")
        await pilot.press("pagedown", "pagedown", "down")
        height = page_of(pilot).body.size.height
        assert chosen(pilot) == f"shop/a{2 * (height - 1)}"
        assert chosen(pilot) == f"shop/{names(pilot)[-1]}"
        await pilot.press("end")
        assert names(pilot)[-1] == "a199"
        page_of(pilot).on_mouse_scroll_up()
        assert chosen(pilot) == "shop/a196"
        await pilot.click("#body", offset=(3, 0))
        assert chosen(pilot) == f"shop/{names(pilot)[0]}"


async def test_rows_are_sorted_by_the_next_column() -> None:
    source = FakeSource(shop(), change(101, row("shop/rooms/b", queued=7)))
    async with top_of(source).run_test(size=SIZE) as pilot:
        await until_seen(pilot, " 7 ")
        await pilot.press("s", "s", "s", "s", "s")
        assert names(pilot)[0] == "rooms/b"
        assert "sorted by queue" in seen(pilot)
        assert meanings(pilot, "queue") >= {STRONG}
        await pilot.press("S")
        assert "sorted by rst" in seen(pilot)
        await pilot.press("t")
        assert names(pilot)[0] == "shop"


async def test_the_filter_shows_what_fits_while_it_is_typed() -> None:
    async with top_of(FakeSource(shop())).run_test(size=SIZE) as pilot:
        await until_seen(pilot, "rooms")
        await pilot.press("slash", "w", "e", "q", "backspace")
        assert "filter: we▏" in seen(pilot)
        assert names(pilot) == ["shop", "web"]
        await pilot.press("b", "enter")
        assert names(pilot) == ["shop", "web"]
        await pilot.press("slash", "ctrl+u", "x", "x")
        assert "nothing fits the filter 'xx'" in seen(pilot)
        await pilot.press("escape")
        assert names(pilot) == ["shop", "web"]  # as before
        await pilot.press("escape")
        assert len(names(pilot)) == 6


async def test_keys_that_are_typed_into_the_filter_do_nothing_else() -> None:
    source = FakeSource(shop())
    async with top_of(source).run_test(size=SIZE) as pilot:
        await until_seen(pilot, "rooms")
        await pilot.press("slash", *"qrxapcfwyets?", "enter")
        assert isinstance(pilot.app.screen, TablePage)
        assert pilot.app.screen.top.table.filter == "qrxapcfwyets?"
        assert source.acts == []


async def test_supervisors_are_folded_and_unfolded() -> None:
    async with top_of(FakeSource(shop())).run_test(size=SIZE) as pilot:
        await until_seen(pilot, "rooms")
        await pilot.press("down", "down", "down", "t")
        assert names(pilot) == ["shop", "db", "rooms", "web"]
        assert chosen(pilot) == "shop/rooms"  # what was chosen is in it
        await pilot.press("space")
        assert names(pilot) == ["shop", "db", "rooms", "a", "b", "web"]
        await pilot.press("left")
        assert names(pilot) == ["shop", "db", "rooms", "web"]
        assert any(text.startswith("  ▸ rooms") for text in lines(pilot))
        await pilot.press("right", "down", "left")
        assert (chosen(pilot), len(names(pilot))) == ("shop/rooms", 6)


async def test_of_very_many_actors_the_worst_are_seen() -> None:
    rows = [row("shop/rooms/a", queued=1), row("shop/rooms/b", state="restarting")]
    told = snapshot(1, supervisor("shop"), *rows, all=False, totals={"actors": 100_000})
    async with top_of(FakeSource(told)).run_test(size=(140, 30)) as pilot:
        await until_seen(pilot, "100k actors, the worst 3")
        assert names(pilot) == ["rooms/b", "rooms/a", "shop"]


# -- the other pages -----------------------------------------------------------------------------------------------------


def detail() -> dict[str, Any]:
    return {
        "at": 130.0,
        "row": row(
            "shop/db", type="Db", life=3, restarts=2, queued=4, capacity=9, hand=["Db.query"], hand_since=100.0,
            oldest_since=110.0, waits_for="shop/web", error="crashed (Boom: x)", senders=2, paused=True,
        ),
        "policy": "permanent, 3 in 5 s",
        "explain": "shop: db #3 ended: crashed; permanent -> restart 1 of 3\nstarts, in this order: db",
        "account": {"accepted": 12345, "dead_lettered": 2},
        "waiting": {"Db.query": 3, "Db.\x1b[2Jset": 1},
        "stack": ["Db.query (db.py:7)", "sleep (anyio.py:9)"],
        "ends": [
            {"time": "2031-05-06T07:08:09Z", "life": 2, "kind": "crashed", "detail": "Boom: x", "handler": "Db.set",
             "frames": ["Db.set (db.py:8)"]},
        ],
    }  # fmt: skip


async def test_all_of_one_actor() -> None:
    source = FakeSource(shop(), change(101, events=(event("shop/db", "db is late", trace="abc123"), event("shop", "other"))))
    source.details["shop/db"] = detail()
    async with top_of(source).run_test(size=SIZE) as pilot:
        await until_seen(pilot, "rooms")
        await pilot.press("down", "enter")
        await until_seen(pilot, "permanent, 3 in 5 s")
        told = [text.strip() for text in lines(pilot)]
        assert told == [
            "state     running  Db  life 3, 2 restarts  4 of 9 queued  paused  2 senders waiting for room  last:…",
            "policy    permanent, 3 in 5 s",
            "in hand   Db.query  for 30 s at least",
            "waits for shop/web",
            "the oldest message has waited for 20 s at least",
            "stands at Db.query (db.py:7)",
            "sleep (anyio.py:9)",
            "account   12,345 accepted, 2 dead lettered",
            "waiting          3  Db.query",
            "1  Db.\\x1b[2Jset",
            "a crash   shop: db #3 ended: crashed; permanent -> restart 1 of 3",
            "starts, in this order: db",
            "its ends  07:08:09  #2 crashed  Boom: x  in Db.set",
            "Db.set (db.py:8)",
            "events    07:08:09  db is late  trace abc123",
        ]
        await pilot.press("escape")
        assert isinstance(pilot.app.screen, TablePage)


async def test_a_link_tells_who_is_at_its_other_end_and_what_of_its_credit_is_used() -> None:
    source = FakeSource(shop())
    calls = {"of": "calls of depth 1", "out": 64, "most": 64, "out_bytes": 20000, "most_bytes": 262144, "waiting": 7}
    sends = {"of": "sends to orders", "out": 3, "most": None, "out_bytes": 900, "most_bytes": 262144, "waiting": 0}
    found = row("shop/db", type="Peer", far="'gate' at tcp://shop:7000", open_calls=64, taken_calls=1, unconfirmed=3)
    source.details["shop/db"] = {"at": 1.0, "row": found, "held_back": 2, "credit": [calls, sends]}
    async with top_of(source).run_test(size=SIZE) as pilot:
        await until_seen(pilot, "rooms")
        await pilot.press("down", "enter")
        await until_seen(pilot, "tcp://shop:7000")
        told = [text.strip() for text in lines(pilot)]
        assert told[1:] == [
            "link      'gate' at tcp://shop:7000: 64 out, 1 in, 3 unconfirmed",
            "2 messages held back until there is credit again",
            "calls of depth 1: 64 of 64, 20,000 of 262,144 bytes  7 senders wait for credit",
            "sends to orders: 3, 900 of 262,144 bytes",
        ]


async def test_a_supervisor_tells_what_is_left_of_its_policy() -> None:
    source = FakeSource(shop())
    policy = {"policy": "one_for_one, 50 in 60 s", "children": 3}
    source.details["shop"] = {"at": 1.0, "row": supervisor("shop", restarts=3, limit=50), **policy}
    async with top_of(source).run_test(size=SIZE) as pilot:
        await until_seen(pilot, "rooms")
        await pilot.press("enter")
        await until_seen(pilot, "one_for_one, 50 in 60 s; 3 of these are used; 3 children")


async def test_an_actor_that_is_gone_says_so_and_a_long_detail_scrolls() -> None:
    source = FakeSource(shop())
    async with top_of(source).run_test(size=(100, 12)) as pilot:
        await until_seen(pilot, "db")
        await pilot.press("down", "enter")
        await until_seen(pilot, "no child 'shop/db'")
        source.details["shop/db"] = detail()
        await until_seen(pilot, "stands at")
        assert "its ends" not in seen(pilot)
        await pilot.press("end")
        assert "Db.set (db.py:8)" in seen(pilot)
        await pilot.press("home")
        assert "state " in lines(pilot)[0]


async def test_who_waits_for_whom_and_cycles_are_red() -> None:
    source = FakeSource(
        shop(),
        change(
            101,
            row("shop/db", waits_for="shop/web", hand=["Db.query"], hand_since=95.0),
            row("shop/web", waits_for="shop/db", queued=3),
            row("shop/rooms/a", waits_for="shop/rooms/b"),
            row("shop/rooms/b", state="restarting"),
        ),
    )
    async with top_of(source).run_test(size=SIZE) as pilot:
        await until_seen(pilot, "! cycle: db -> web -> db")
        await pilot.press("w")
        await until_seen(pilot, "who is waited for")
        assert [text.rstrip() for text in lines(pilot)] == [
            lines(pilot)[0],
            "  ← web  3 queued",
            "    ↻ db  waits in turn: none of them can go on",
            "rooms/b  restarting",
            "  ← rooms/a",
        ]
        assert lines(pilot)[0].startswith("db  Db.query ≥")
        assert meanings(pilot, "↻ db") == {BAD}
        assert BAD not in meanings(pilot, "← rooms/a")
        await pilot.press("down", "enter")
        await until(pilot, lambda: source.asked == ["shop/web"])
        await pilot.press("w")
        await until_seen(pilot, "who is waited for")
        source.tell(change(102, row("shop/db"), row("shop/web"), row("shop/rooms/a")))
        await until_seen(pilot, "nobody waits for anybody")


async def test_sums_by_type_with_their_rates() -> None:
    source = FakeSource(shop())
    room = {"type": "Room", "actors": 100_000, "down": 3, "restarts": 5, "queued": 17, "busy": 2, "senders": 1}
    source.types = {"seen": 10.0, "types": [{**room, "handled": 1000, "failed": 4}, {"type": "Web\x1b", "actors": 1}]}
    async with top_of(source, every=1.0).run_test(size=SIZE) as pilot:
        await until_seen(pilot, "rooms")
        await pilot.press("y")
        await until_seen(pilot, "100k")
        assert lines(pilot)[0].split() == ["Room", "100k", "3", "5", "17", "1", "2", "4"]
        assert lines(pilot)[1].split() == ["Web\\x1b", "1"]
        source.types = {"seen": 12.0, "types": [{**room, "handled": 2000, "failed": 4}]}
        await until_seen(pilot, " 500 ")
        assert len(lines(pilot)) == 1


async def test_help_and_the_way_back() -> None:
    async with top_of(FakeSource(shop())).run_test(size=(100, 20)) as pilot:
        await until_seen(pilot, "rooms")
        await pilot.press("question_mark")
        await until_seen(pilot, "fold all supervisors")
        await pilot.press("end")
        await until_seen(pilot, "lower bounds")
        await pilot.press("w")
        await until_seen(pilot, "nobody waits")
        await pilot.press("escape", "escape")
        assert isinstance(pilot.app.screen, TablePage)


async def test_a_screen_of_another_size_is_drawn_anew() -> None:
    async with top_of(FakeSource(shop())).run_test(size=(100, 30)) as pilot:
        await until_seen(pilot, "fail")
        for width, height in ((30, 10), (1, 1), (200, 60)):
            await pilot.resize_terminal(width, height)
            await pilot.pause()
            assert all(len(text) <= width for text in seen(pilot).split("\n"))
        await until(pilot, lambda: lines(pilot)[0].startswith("▾ shop") and len(lines(pilot)) == 6)


# -- what must be seen at once -------------------------------------------------------------------------------------------


async def test_a_blocked_loop_is_a_loud_line() -> None:
    stuck = {"for": 3.1, "path": "shop/db", "handler": "Db.query", "stack": ["Db.query (db.py:7)"]}
    source = FakeSource(shop(), change(100, loop={"lag": 0.0, "blocked": stuck}))
    async with top_of(source).run_test(size=SIZE) as pilot:
        await until_seen(pilot, "blocked for 3 s by shop/db (Db.query) at Db.query (db.py:7)", "BLOCKED")
        assert meanings(pilot, "blocked for 3 s") == {LOUD}
        source.tell(change(101))
        await until_unseen(pilot, "blocked")


async def test_hostile_names_move_no_cursor() -> None:
    name = "shop/\x1b[2J\x9b31m\u202e<b>[red]x[/red]"
    source = FakeSource(
        snapshot(
            1,
            supervisor("shop"),
            row(name, waits_for="shop/\x07", hand=["A.\x1b[m"], error="\r\n\x00"),
            tree={"name": "\x1b]0;x\x07", "live": True, "ready": True},
        ),
        change(2, events=(event(name, "\x1b[31m[bold]e"),), tree={"name": "\x1b]0;x\x07", "live": True, "ready": True}),
    )
    source.details[row(name)["path"]] = {"row": row(name), "policy": "\x1b[5m"}
    async with top_of(source).run_test(size=(160, 30)) as pilot:
        await until_seen(pilot, "<b>[red]x[/red]", "[bold]e", "\\x1b]0;x\\x07")
        for key in ("", "e", "w", "question_mark"):
            if key:
                await pilot.press(key)
                await pilot.pause()
            assert all(character.isprintable() or character == "\n" for character in seen(pilot))


async def test_a_stream_that_breaks_off_is_taken_up_again_after_pauses_that_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    def wait(listener: Listener, seconds: float) -> bool:
        pauses.append(seconds)
        if len(pauses) == 8:
            source.tell(snapshot(200, supervisor("shop"), row("shop/back")))
        return listener._over.is_set()

    monkeypatch.setattr(Listener, "wait", wait)
    source = FakeSource(shop())
    async with top_of(source).run_test(size=SIZE) as pilot:
        await until_seen(pilot, "rooms")
        for _ in range(7):
            source.break_off(NoTree("run/shop.sock: nobody answers there"))
        source.break_off()
        await until_seen(pilot, "back")
        assert pauses == [FIRST, 1.0, 2.0, 4.0, 8.0, LONGEST, LONGEST, LONGEST]
        assert source.connections == 9
        assert not meanings(pilot, "nobody answers")


async def test_while_nobody_answers_it_says_so_loudly() -> None:
    source = FakeSource(shop())
    async with top_of(source).run_test(size=SIZE) as pilot:
        await until_seen(pilot, "rooms")
        source.break_off(NoTree("run/shop.sock: nobody answers there\x1b[2J"))
        await until(pilot, lambda: meanings(pilot, "nobody answers there\\x1b[2J: trying again in 500 ms") == {LOUD})
        assert "rooms" in seen(pilot)  # what was last known
        source.tell(shop(200))
        await until_unseen(pilot, "nobody answers")


async def test_frozen_nothing_moves_until_it_goes_on() -> None:
    source = FakeSource(shop())
    async with top_of(source).run_test(size=SIZE) as pilot:
        await until_seen(pilot, "rooms")
        await pilot.press("f")
        frozen = seen(pilot)
        assert frozen.startswith("FROZEN  shop")
        source.tell(change(101, gone=("shop/web",)))
        app = page_of(pilot).top
        await until(pilot, lambda: "shop/web" not in app.table.entries)
        page_of(pilot).redraw()
        assert seen(pilot) == frozen
        await pilot.press("down", "f")
        assert "web" not in seen(pilot)
        assert "FROZEN" not in seen(pilot)


# -- an operator's keys ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("key", "action"), [("r", "restart"), ("x", "stop")])
async def test_restart_and_stop_ask_again(key: str, action: str) -> None:
    source = FakeSource(shop())
    async with top_of(source, who="ada").run_test(size=SIZE) as pilot:
        await until_seen(pilot, "rooms")
        await pilot.press("down", key)
        assert f"{action} db?  y / n" in seen(pilot)
        await pilot.press("n")
        assert "y / n" not in seen(pilot)
        await pilot.press(key, "down")  # whatever isn't yes
        assert "y / n" not in seen(pilot)
        assert source.acts == []
        await pilot.press(key, "y")
        await until_seen(pilot, f"shop/db: {action} is done")
        assert source.acts == [(action, "shop/db", "ada", {})]


async def test_what_is_asked_for_is_what_was_chosen_when_it_was_asked() -> None:
    """Rows may move, or go, while the question stands."""
    source = FakeSource(shop())
    async with top_of(source).run_test(size=SIZE) as pilot:
        await until_seen(pilot, "rooms")
        await pilot.press("down", "r")
        source.tell(change(101, gone=("shop/db",)))
        await until(pilot, lambda: "db" not in names(pilot))
        await pilot.press("y")
        await until(pilot, lambda: source.acts == [("restart", "shop/db", "", {})])


async def test_start_pause_and_resume_do_not() -> None:
    source = FakeSource(shop())
    async with top_of(source).run_test(size=SIZE) as pilot:
        await until_seen(pilot, "rooms")
        await pilot.press("down", "a")
        await until_seen(pilot, "start is done")
        await pilot.press("p")
        await until_seen(pilot, "pause is done")
        source.tell(change(101, row("shop/db", paused=True)))
        await until_seen(pilot, "! paused: db")
        await pilot.press("p")
        await until_seen(pilot, "resume is done")
        assert [act[:2] for act in source.acts] == [("start", "shop/db"), ("pause", "shop/db"), ("resume", "shop/db")]


async def test_a_policy_is_changed() -> None:
    source = FakeSource(shop())
    async with top_of(source).run_test(size=SIZE) as pilot:
        await until_seen(pilot, "rooms")
        await pilot.press("down", "c", *"intensity=10/60 restart=transient", "enter")
        await until_seen(pilot, "change is done")
        assert source.acts == [("change", "shop/db", "", {"intensity": "10/60", "restart": "transient"})]
        for text, answer in (("path=x", "say intensity="), ("nonsense", "say intensity="), ("", "nothing is changed")):
            await pilot.press("c", *text, "enter")
            assert answer in seen(pilot)
        await pilot.press("c", "x", "escape")
        assert len(source.acts) == 1


async def test_a_refusal_is_shown() -> None:
    source = FakeSource(shop())
    source.refusal = "'db' is stopping\x1b[2J"
    async with top_of(source).run_test(size=SIZE) as pilot:
        await until_seen(pilot, "rooms")
        await pilot.press("down", "a")
        await until(pilot, lambda: meanings(pilot, "start db: 'db' is stopping\\x1b[2J") == {BAD})
        await pilot.press("down")
        assert "is stopping" not in seen(pilot)


@pytest.mark.parametrize("key", list("rxapc"))
async def test_a_tree_that_is_served_to_be_looked_at_says_so(key: str) -> None:
    source = FakeSource(shop(operate=False))
    async with top_of(source).run_test(size=SIZE) as pilot:
        await until_seen(pilot, "rooms")
        await pilot.press(key)
        assert "the tree is served without --operate" in seen(pilot)
        await pilot.press("y", "enter")
        assert source.acts == []


async def test_the_keys_are_for_the_actor_of_the_page() -> None:
    source = FakeSource(shop())
    source.details["shop/db"] = detail()
    async with top_of(source).run_test(size=SIZE) as pilot:
        await until_seen(pilot, "rooms")
        await pilot.press("down", "enter")
        await until_seen(pilot, "policy")
        await pilot.press("r", "y")
        await until_seen(pilot, "restart is done")
        assert source.acts == [("restart", "shop/db", "", {})]


# -- the way in and out ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["q", "ctrl+c"])
async def test_it_is_left(key: str) -> None:
    source = FakeSource(shop())
    app = top_of(source)
    async with app.run_test(size=SIZE) as pilot:
        await until_seen(pilot, "rooms")
        await pilot.press("slash" if key == "ctrl+c" else "w", key)
        assert not app.is_running or app._exit
    assert app.return_code == 0


async def test_of_several_trees_one_is_chosen() -> None:
    wanted: list[str | None] = []
    source = FakeSource(shop())
    among = tuple(Found(name, pid, Path(f"/run/{name}-{pid}.sock")) for name, pid in (("chat", 5), ("sh\x1bop", 7)))

    def connect(where: str | None) -> FakeSource:
        wanted.append(where)
        return source

    async with Top(connect, None, among).run_test(size=SIZE) as pilot:
        await until_seen(pilot, "which one?", "chat", "sh\\x1bop", "pid 7")
        await pilot.press("w", "escape", "r", "down", "enter")
        await until_seen(pilot, "rooms")
        assert wanted == ["/run/sh\x1bop-7.sock"]


async def test_a_slow_answer_keeps_nobody_from_leaving() -> None:
    source = FakeSource(shop())
    begun: list[float] = []

    def act(action: str, path: str, *, who: str = "", **_: str) -> str:
        begun.append(time.monotonic())
        raise LiveError(f"{source._frames.get(timeout=60)}")  # for ever, as far as this test is concerned

    source.act = act  # type: ignore[method-assign]
    app = top_of(source)
    async with app.run_test(size=SIZE) as pilot:
        await until_seen(pilot, "rooms")
        await pilot.press("a")
        await until(pilot, lambda: begun)
        await until_seen(pilot, "start shop …")
        await pilot.press("q")
    source.tell(shop())
    source.tell(shop())
    assert app.return_code == 0
