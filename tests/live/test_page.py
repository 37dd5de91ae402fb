"""The page of the live view, in a browser, on trees that run.

Tested: what a browser is allowed, and that the page needs nobody else; the token, which is taken out of the address; the table,
its rates, filter, order, folds and keys; one actor, the other views, events; what it says when the loop is blocked, the server
has gone, the token is wrong; an operator's actions, and that there is no way to act where nobody may; texts of hostile users;
a small window, a dark scheme and its contrast; trees with many actors.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import http.client
import itertools
import json
import re
import secrets
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from supervise import DynamicSupervisor, Intensity, Supervisor, child, pool
from supervise.events import Asked, Event
from supervise.live.survey import Survey
from supervise.remote.dial import dial
from supervise.remote.gate import gate
from supervise.remote.limits import Limits
from tests.browser import Browser, Page
from tests.remote.world import ORDERS, Orders, OrdersApi

from .served import HANG, Live, Worker, live

GUARD = 20.0  # seconds after which a crash that isn't shown is given up: ten times as many as are promised
HOSTILE = [
    "<script>window.hacked = 1</script>",
    "<img src=x onerror='window.hacked = 1'>",
    "\"'&lt;&amp;` ${window.hacked = 1} \\u003c \\",
    "__proto__",
    "constructor",
    "shop\N{RIGHT-TO-LEFT OVERRIDE}nimda",
    "zero\N{ZERO WIDTH SPACE}width",
]


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with browser.page() as page:
        yield page
        assert page.complaints == []


def worker(name: str, factory: Callable[[], Worker] = Worker, **more: Any) -> Any:
    """One that is given no time when it is stopped: many of them have a message in hand that never ends."""
    return child(factory, name=name, stop_within=0, **more)


def shop(*more: Any) -> Supervisor:
    return Supervisor("shop", *map(worker, ("db", "flaky", "idle")), *more, intensity=Intensity(100, per=5))


def show(page: Page, tree: Live) -> None:
    """It, with all its rows."""
    page.open("about:blank")  # else the same address with another token is the same page
    page.open(tree.url)
    page.until("link.state === 'live'")
    page.settle()


def names(page: Page) -> list[str]:
    return page.texts(".row .name")


def cell(path: str, column: str) -> str:
    """The text of one, as an expression."""
    row = f"[...document.querySelectorAll('.row')].find(row => row.dataset.path === {json.dumps(path)})"
    return f"({row})?.querySelector('.c-{column}').textContent"


def until_text(page: Page, selector: str, text: str) -> None:
    page.until(f"[...document.querySelectorAll({json.dumps(selector)})].some(e => e.textContent.includes({json.dumps(text)}))")


def type_into(page: Page, selector: str, text: str) -> None:
    page.ask(f"document.querySelector({json.dumps(selector)}).select()")
    page.write(text) if text else page.press("Backspace", 8)


def open_detail(page: Page, path: str) -> None:
    """By a click on its row."""
    page.ask(f"[...document.querySelectorAll('.row')].find(row => row.dataset.path === {json.dumps(path)}).children[2].click()")
    until_text(page, "#about dt", "policy")


def said(port: int, method: str, **headers: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=HANG)
    connection.request(method, "/", headers=headers)
    return connection.getresponse()


# -- the document ------------------------------------------------------------------------------------------------------------


def test_the_document_holds_no_data_and_its_headers_allow_this_script_and_this_style_alone() -> None:
    with live(shop()) as tree:
        response = said(tree.port, "GET")
        text = response.read().decode()
    assert response.status == 200
    assert "shop" not in text
    policy = response.headers["content-security-policy"]
    allowed = {name: value for name, _, value in (part.strip().partition(" ") for part in policy.split(";"))}
    for tag, directive in (("script", "script-src"), ("style", "style-src")):
        [inner] = re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert allowed.pop(directive) == f"'sha256-{base64.b64encode(hashlib.sha256(inner.encode()).digest()).decode()}'"
    assert allowed == {
        "default-src": "'none'",
        "connect-src": "'self'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    assert response.headers["x-frame-options"] == "DENY"
    assert response.headers["cross-origin-opener-policy"] == "same-origin"
    assert response.headers["cross-origin-resource-policy"] == "same-origin"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert not re.findall(r"https?://|//# source|innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b", text)


def test_head_answers_with_the_same_headers_and_nothing_else() -> None:
    with live(shop()) as tree:
        whole, head = said(tree.port, "GET"), said(tree.port, "HEAD")
        assert head.read() == b""
        assert whole.read() != b""
    assert head.getheaders() == whole.getheaders()


def test_the_token_is_taken_out_of_the_address_and_kept_for_a_reload(page: Page) -> None:
    with live(shop()) as tree:
        show(page, tree)
        assert page.ask("location.href") == tree.base
        entries = page.call("Page.getNavigationHistory")["entries"]
        assert not [entry for entry in entries if tree.token in entry["url"]]
        assert {request.partition("/live/")[0].rstrip("/") for request in page.requests} == {tree.base.rstrip("/")}
        assert not [request for request in page.requests if tree.token in request]
        page.open(tree.base)
        page.until("link.state === 'live'")


def test_without_a_token_nothing_is_asked_and_the_page_says_what_to_do(page: Page) -> None:
    with live(shop()) as tree:
        page.open(tree.base)
        until_text(page, ".banner", "The token is missing: open the whole address that the server printed")
        assert page.requests == [tree.base]
        page.ask(f"void (location.hash = 'token={tree.token}')")  # as by pasting it into the address
        page.until("link.state === 'live'")
        page.settle()
        assert page.texts(".banner") == []
        assert page.ask("location.hash") == ""


def test_a_wrong_token_says_so_and_the_page_stops_asking(page: Page) -> None:
    with live(shop()) as tree:
        page.open(f"{tree.base}#token=wrong\N{SNOWMAN}")
        until_text(page, ".banner", "the token is missing or wrong")
        until_text(page, ".banner", "This page has stopped asking")
        assert len(page.requests) == 2
        assert page.ask("link.state") == "refused"
        assert len(page.complaints) == 1, "the browser's own, of the answer 401"
        page.complaints.clear()


# -- the table ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_running_tree_is_there_and_what_happens_to_it_is_shown(page: Page, backend: str) -> None:
    with live(shop(worker("full", capacity=5)), backend=backend) as tree:
        show(page, tree)
        assert names(page) == ["shop", "db", "flaky", "idle", "full"]
        assert page.texts("#name") == ["shop"]
        assert page.texts("#ready") == ["READY"]
        assert page.ask("document.title") == "shop: ready"
        assert page.ask(cell("shop", "rst")) == "0/100"
        assert page.ask(cell("shop/db", "queue")) == "0/1000"
        tree.send("db", Worker.hold)
        page.until(f"{cell('shop/db', 'in')}.startsWith('Worker.hold')")
        tree.soon(tree.app.find("full").call, Worker.hold)
        for _ in range(8):
            tree.soon(tree.app.find("full").send, Worker.work)
        page.until(f"{cell('shop/full', 'queue')} === '5/5 +3'")
        until_text(page, "#alarms button", "full: 5/5, 3 senders wait")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_crash_is_shown(page: Page, backend: str) -> None:
    with live(shop(), backend=backend) as tree:
        show(page, tree)
        assert page.ask(cell("shop/flaky", "life")) == "1"
        tree.send("flaky", Worker.refuse, "kettle")
        page.ask(f"window.deadline = performance.now() + {GUARD * 1000}; 0")
        page.until(f"{cell('shop/flaky', 'life')} === '2' || performance.now() > deadline")
        assert page.ask(cell("shop/flaky", "life")) == "2"
        assert page.ask(cell("shop/flaky", "rst")) == "1"
        assert page.ask(cell("shop/flaky", "waits")) == "crashed (RuntimeError: kettle)"
        until_text(page, "#last", "kettle")


def test_rates_are_made_of_counters_and_the_last_ones_are_drawn(page: Page) -> None:
    with live(shop()) as tree:

        async def traffic() -> None:
            while True:
                await tree.app.find("db").call(Worker.work)
                await anyio.sleep(0.001)

        show(page, tree)
        assert page.ask(cell("shop/idle", "msg")) in ("", "0")
        tree.soon(traffic)
        page.until(f"parseFloat({cell('shop/db', 'msg')}.replace(',', '')) > 0")
        page.until(f"/[▁-█]/.test({cell('shop/db', 'trend')})")
        page.until(f"{cell('shop/idle', 'msg')} === '0'")
        page.until("parseFloat(document.querySelector('#facts dd').textContent) > 0")
        assert page.ask(cell("shop/idle", "trend")) == ""


def rows_for(page: Page, *rows: dict[str, Any], **head: Any) -> None:
    """Have the page hear of these, as if the server had told of them."""
    told: dict[str, Any] = {"rows": rows, "gone": [], "events": [], "missed": 0, **head}
    page.ask(f"hear('change', {{...model.head, ...{json.dumps(told)}}})")
    page.settle()


def test_a_rate_is_that_between_two_surveys_and_starts_anew_when_a_counter_does(page: Page) -> None:
    with live(shop()) as tree:
        show(page, tree)
        page.ask("link.run.abort()")  # from here on it hears of nothing but this
        row = {"path": "shop/db", "handled": 100}
        seen = itertools.count(page.ask("model.seen") + 100, 2)
        found: list[str] = []
        for handled, failed in ((100, 0), (110, 10), (110, 10), (5, 0), (6, 0)):
            rows_for(page, row | {"handled": handled, "failed": failed}, seen=next(seen))
            found.append(page.ask(cell("shop/db", "msg")))
        assert found[1:] == ["10", "0", "", "0.5"]
        rows_for(page, row | {"handled": 1000}, seen=page.ask("model.seen"))  # the same survey is told once more
        assert page.ask(cell("shop/db", "msg")) == "0.5"
        page.ask(
            "hear('snapshot', {...model.head, tree: {...model.head.tree, pid: 1}, rows: [{path: 'shop/db', handled: 9000}]})"
        )
        page.settle()
        assert page.ask(cell("shop/db", "msg")) == "", "another process is no part of it"


def test_a_filter_shows_what_fits_and_what_is_above_it(page: Page) -> None:
    with live(shop(Supervisor("rooms", worker("red"), worker("blue")))) as tree:
        show(page, tree)
        tree.send("flaky", Worker.refuse, "kettle")
        page.until(f"{cell('shop/flaky', 'waits')} !== ''")
        for wanted, expected in (
            ("RED", ["shop", "rooms", "red"]),
            ("kettle", ["shop", "flaky"]),
            ("worker", ["shop", "db", "flaky", "idle", "rooms", "red", "blue"]),
            ("<none>", []),
            ("rooms", ["shop", "rooms", "red", "blue"]),
        ):
            type_into(page, "#filter", wanted)
            assert names(page) == expected
        assert page.texts("#count") == ["3 of 7"]
        type_into(page, "#filter", "")
        assert len(names(page)) == 7
        assert page.texts("#count") == [""]


def test_a_click_on_a_heading_sorts_and_the_third_makes_a_tree_again(page: Page) -> None:
    with live(shop(Supervisor("rooms", worker("red")))) as tree:
        show(page, tree)
        as_tree = names(page)
        tree.send("flaky", Worker.refuse, "kettle")
        page.until(f"{cell('shop/flaky', 'rst')} === '1'")
        page.click("#head .c-rst button")
        assert names(page)[0] in ("flaky", "shop")
        assert "rooms/red" in names(page), "beside others a row says its whole path"
        assert page.ask("document.querySelector('#head .c-rst').ariaSort") == "descending"
        page.click("#head .c-rst button")
        assert page.ask("document.querySelector('#head .c-rst').ariaSort") == "ascending"
        assert set(names(page)[-2:]) == {"flaky", "shop"}
        page.click("#head .c-rst button")
        assert names(page) == as_tree
        page.click("#head .c-actor button")
        assert names(page) == sorted(names(page), key=lambda name: "" if name == "shop" else name)
        for number in range(page.ask("document.querySelectorAll('#head button').length")):
            page.ask(f"document.querySelectorAll('#head button')[{number}].click()")
            page.settle()
            assert len(names(page)) == len(as_tree)


def test_supervisors_are_folded_and_then_have_the_sums_of_what_is_below(page: Page) -> None:
    with live(shop(Supervisor("rooms", worker("red", capacity=2), worker("blue")))) as tree:
        for handler in (Worker.hold, Worker.work, Worker.work):
            tree.send("rooms/red", handler)
        tree.send("rooms/blue", Worker.hold)
        tree.send("rooms/blue", Worker.work)
        show(page, tree)
        page.until(f"{cell('shop/rooms/red', 'queue')} === '2/2'")
        row = "[...document.querySelectorAll('.row')].find(row => row.dataset.path === 'shop/rooms')"
        assert page.ask(f"{row}.ariaExpanded") == "true"
        assert page.ask(cell("shop/rooms", "queue")) == ""
        page.ask(f"{row}.querySelector('.fold').click()")
        page.settle()
        assert names(page)[-1] == "rooms"
        assert page.ask(f"{row}.ariaExpanded") == "false"
        assert page.ask(f"{row}.querySelector('.more').textContent") == "2"
        page.until(f"{cell('shop/rooms', 'queue')} === '3'")
        tree.portal.call(tree.app.operator("ada").stop, "rooms/blue")
        page.until(f"{cell('shop/rooms', 'state')} === 'running, 1 not up'")
        page.ask(f"{row}.querySelector('.fold').click()")
        page.settle()
        assert names(page)[-2:] == ["red", "blue"]


def test_a_pool_is_one_thing_and_its_workers_are_folded(page: Page) -> None:
    with live(shop(pool(Worker, name="jobs", size=3, stop_within=0))) as tree:
        for _ in range(5):
            tree.send("jobs", Worker.hold)
        show(page, tree)
        page.until(f"{cell('shop/jobs', 'queue')} === '2/1000'")
        assert names(page)[-1] == "jobs"
        assert page.ask(cell("shop/jobs", "state")) == "running 3/3"
        assert page.texts(".row .more")[-1] == "3"
        page.ask("[...document.querySelectorAll('.fold')].at(-1).click()")
        page.settle()
        assert names(page)[-3:] == ["1", "2", "3"]


def test_all_of_it_can_be_done_by_keys(page: Page) -> None:
    chosen = "document.querySelector('.row[aria-selected=true]')?.dataset.path ?? null"
    with live(shop(Supervisor("rooms", worker("red")))) as tree:
        show(page, tree)
        page.press("/", 191)
        assert page.ask("document.activeElement.id") == "filter"
        page.write("room")
        page.press("Enter", 13)
        assert page.ask("document.activeElement.id") == "table"
        assert page.ask(chosen) == "shop"
        page.press("Escape", 27)
        assert len(names(page)) == 6
        for key, code, expected in (
            ("End", 35, "shop/rooms/red"),
            ("ArrowLeft", 37, "shop/rooms"),
            ("ArrowLeft", 37, "shop/rooms"),
            ("ArrowRight", 39, "shop/rooms"),
            ("ArrowRight", 39, "shop/rooms/red"),
            ("Home", 36, "shop"),
            ("ArrowDown", 40, "shop/db"),
            ("PageDown", 34, "shop/rooms/red"),
            ("ArrowUp", 38, "shop/rooms"),
            ("PageUp", 33, "shop"),
        ):
            page.press(key, code)
            assert page.ask(chosen) == expected, key
            assert (
                page.ask(
                    "document.getElementById(document.querySelector('#table').getAttribute('aria-activedescendant')).dataset.path"
                )
                == expected
            )
        page.press("ArrowDown", 40)
        page.press("Enter", 13)
        page.until("document.querySelector('#about section') !== null")
        assert page.texts("#whose") == ["shop/db"]
        page.press("ArrowDown", 40)
        assert page.texts("#whose") == ["shop/flaky"], "it follows"
        page.press("Escape", 27)
        assert page.ask("document.querySelector('#detail').hidden") is True
        page.ask("document.querySelector('#tab-tree').focus()")
        page.press("ArrowRight", 39)
        assert page.ask("document.querySelector('#waits').hidden") is False


def test_everything_that_takes_the_focus_has_a_name_and_shows_that_it_has_it(page: Page) -> None:
    with live(shop(), operate=True) as tree:
        show(page, tree)
        open_detail(page, "shop/db")
        page.ask("document.querySelector('#name').focus()")
        unnamed = """(e => (e.labels?.[0]?.textContent || e.getAttribute("aria-label") || e.getAttribute("aria-labelledby")
            || e.textContent).trim() ? null : e.outerHTML)(document.activeElement)"""
        found: list[str] = []
        while (here := page.ask("document.activeElement.id || document.activeElement.textContent")) not in found or len(
            found
        ) < 5:
            found.append(here)
            page.press("Tab", 9)
            if page.ask("document.activeElement === document.body"):
                break
            assert page.ask(unnamed) is None
            outline = page.ask("getComputedStyle(document.activeElement).outlineStyle")
            assert outline != "none" or page.ask("document.activeElement.id") == "table", page.ask(
                "document.activeElement.outerHTML"
            )
        assert {"filter", "table", "close", "who", "deed-restart", "change-restart"} <= set(found)


# -- one actor ---------------------------------------------------------------------------------------------------------------


def test_one_actor_is_told_of_in_full_and_kept_fresh(page: Page) -> None:
    with live(shop(worker("web"))) as tree:
        tree.send("web", Worker.refuse, "kettle")
        tree.send("web", Worker.hold)
        tree.send("web", Worker.work)
        show(page, tree)
        open_detail(page, "shop/web")
        until_text(page, "[data-part=explain]", "shop: web #2 ended: crashed; permanent -> restart")
        until_text(page, "[data-part=now]", "Worker.hold")
        until_text(page, "[data-part=stack]", "Worker.hold (")
        until_text(page, "[data-part=waiting]", "Worker.work1")
        until_text(page, "[data-part=account]", "accepted3")
        until_text(page, "[data-part=ends] summary", "#1crashed (RuntimeError: <str>)")
        page.ask("document.querySelector('[data-part=ends] summary').scrollIntoView()")
        page.click("[data-part=ends] summary")
        until_text(page, "[data-part=ends] details[open] .frames", "Worker.refuse (")
        tree.send("web", Worker.work)
        until_text(page, "[data-part=waiting]", "Worker.work2")
        assert page.ask("document.querySelector('[data-part=ends] details').open") is True, "it stays as the reader left it"
        tree.portal.call(tree.app.operator("ada").restart, "web")
        page.until("document.querySelectorAll('[data-part=ends] details').length === 2")
        assert page.ask("[...document.querySelectorAll('[data-part=ends] details')].map(e => e.open)") == [False, True]
        page.click("#close")
        page.settle()
        assert page.ask("detail.path") == ""


def test_an_answer_that_comes_late_is_not_taken_for_that_of_another_actor(page: Page) -> None:
    with live(shop()) as tree:
        tree.send("db", Worker.hold)
        show(page, tree)
        page.ask(
            """(ask => link.ask = async (what, query) => {
                const found = await ask(what, query);
                if (query.path === "db") await new Promise(done => window.late = done);
                return found;
            })(link.ask.bind(link))"""
        )
        page.ask("detail.open('shop/db')")
        page.until("typeof window.late === 'function'")
        open_detail(page, "shop/flaky")
        page.ask("window.late()")
        page.settle()
        assert page.texts("#whose") == ["shop/flaky"]
        assert not [text for text in page.texts("#about dd") if "hold" in text]


def test_a_link_tells_who_is_at_its_other_end_and_what_is_under_way(page: Page, tmp_path: Path) -> None:
    where, orders = f"unix://{tmp_path}/shop.sock", child(Orders, name="orders")
    door, link = gate(where, serves=[ORDERS.by(orders)]), dial(where, uses=[ORDERS], name="far", limits=Limits(calls=1))
    with live(shop(orders, door, link)) as tree:

        async def asks() -> None:
            await ORDERS.over(tree.app.find(link)).call(OrdersApi.wait, HANG)

        tree.portal.call(ORDERS.over(tree.app.find(link)).call, OrdersApi.count)
        asked = [tree.portal.start_task_soon(asks) for _ in range(2)]
        show(page, tree)
        until_text(page, ".row *", f"'gate' at {where}")
        until_text(page, ".row *", ": 1 out")
        open_detail(page, "shop/far")
        until_text(page, "[data-part=credit] dt", "calls of depth 1")
        until_text(page, "[data-part=credit] dd", "1 of 1, ")
        until_text(page, "[data-part=credit] dd", "; 1 wait for it")
        until_text(page, "#about dd", f"'gate' at {where}")
        for each in asked:
            each.cancel()


def test_one_that_is_gone_says_so(page: Page) -> None:
    with live(shop(DynamicSupervisor("rooms", max_children=7))) as tree:

        async def start() -> None:
            await tree.app.supervisor("rooms").start(Worker, name="red")

        tree.portal.call(start)
        show(page, tree)
        assert page.ask(cell("shop/rooms", "state")) == "running 1/7"
        open_detail(page, "shop/rooms/red")
        tree.portal.call(tree.app.operator("ada").stop, "rooms/red")
        until_text(page, "#about", "there is no child")
        page.until(f"{cell('shop/rooms/red', 'state')} === undefined")
    page.complaints[:] = [text for text in page.complaints if "404" not in text]  # the browser's own


# -- the other views ---------------------------------------------------------------------------------------------------------


def test_who_waits_for_whom_is_a_forest_and_an_alarm(page: Page) -> None:
    running: list[Live] = []

    def asks(name: str) -> Callable[[], Worker]:
        return lambda: Worker(lambda: running[0].app.find(name))

    with live(shop(worker("orders", asks("db")), worker("web", asks("orders")))) as tree:
        running.append(tree)
        tree.send("orders", Worker.ask)
        tree.send("web", Worker.ask)
        show(page, tree)
        until_text(page, "#alarms button", "web -> orders -> db: ")
        assert len(page.texts("#alarms button")) == 1, "a part of a chain isn't one more"
        page.click("#tab-waits")
        assert page.texts(".wait .path") == ["db", "orders", "web"]
        assert page.ask("[...document.querySelectorAll('.wait')].map(e => e.style.getPropertyValue('--depth'))") == [
            "0",
            "1",
            "2",
        ]
        assert page.texts(".wait.cycle") == []


def test_a_cycle_of_waits_is_red(page: Page) -> None:
    """The library refuses calls that would make one, where it is certain; others are found by looking."""
    with live(shop()) as tree:
        show(page, tree)
        page.click("#tab-waits")
        assert page.texts("#waits") == ["Nobody waits for another one."]
        edges = {"db": "flaky", "flaky": "db", "idle": "db"}
        rows_for(page, *({"path": f"shop/{one}", "waits_for": f"shop/{other}"} for one, other in edges.items()))
        assert page.texts(".wait.cycle .path") == ["db", "flaky"]
        assert page.texts(".wait.waits .path") == ["idle"]
        until_text(page, ".wait.cycle", "deadlock: db -> flaky -> db")
        assert page.texts("#alarms button") == ["deadlock: db -> flaky -> db"]
        red = page.ask("getComputedStyle(document.querySelector('.wait.cycle')).color")
        page.ask("document.querySelector('.wait').className = 'bad'")
        assert page.ask("getComputedStyle(document.querySelector('.bad')).color") == red


def test_types_have_sums_and_lead_to_their_actors(page: Page) -> None:
    class Other(Worker):
        pass

    with live(shop(worker("other", Other))) as tree:
        tree.send("db", Worker.hold)
        tree.send("db", Worker.work)
        show(page, tree)
        page.click("#tab-types")
        until_text(page, "#types", "Worker")
        rows = "[...document.querySelectorAll('#types tr')].map(row => [...row.children].map(cell => cell.textContent))"
        assert page.ask(rows)[0][:6] == ["type", "actors", "not up", "busy", "queued", "senders"]
        page.until(f"{rows}[1].slice(0, 6).join('|') === 'Worker|3||1|1|'")
        assert page.ask(rows)[2][:2] == ["Other", "1"]
        page.ask("[...document.querySelectorAll('#types .path')].find(e => e.textContent === 'Other').click()")
        page.settle()
        assert names(page) == ["shop", "other"]


def test_events_are_listed_with_those_that_were_before_the_page(page: Page) -> None:
    with live(shop()) as tree:
        tree.send("flaky", Worker.refuse, "before")
        tree.portal.call(tree.app.find("flaky").call, Worker.work)
        show(page, tree)
        page.click("#tab-events")
        until_text(page, "#happened", "ended: crashed")
        tree.send("flaky", Worker.refuse, "after")
        until_text(page, "#happened .text", "after")
        page.ask("events.loud = events.loud.filter(event => event.number > 0)")
        page.ask("events.past()")
        page.settle()
        assert len([text for text in page.texts("#happened .text") if "#1 ended: crashed" in text]) == 2, "end and decision"
        assert len([text for text in page.texts("#happened .text") if "#2 ended: crashed" in text]) == 2, "each is told once"
        assert page.texts("#happened .DEBUG") == []
        page.click("#debug")
        until_text(page, "#happened .DEBUG", "#3 started")
        type_into(page, "#filter", "after")
        assert all("after" in text for text in page.texts("#happened li"))
        type_into(page, "#filter", "")
        event = {
            "event": "X",
            "path": "shop/db",
            "time": "2026-01-01T00:00:00.000Z",
            "level": "WARNING",
            "text": "shop/db: boo",
        }
        trace = "0123456789abcdef0123456789abcdef"
        rows_for(page, events=[event | {"trace": trace}] * 300, missed=7)
        assert page.texts(".trace")[0] == trace
        assert page.texts("#happened .text")[0] == "boo", "its path stands before it"
        assert len(page.texts("#happened li")) == 200
        assert page.ask("events.loud.length") == 200
        rows_for(page, missed=7)
        until_text(page, "#happened", "7 events were missed here")


# -- what is wrong -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_blocked_loop_says_so_with_function_and_line(page: Page, backend: str) -> None:
    until = threading.Event()
    with live(shop(), backend=backend) as tree:
        try:
            show(page, tree)
            tree.send("db", Worker.block, until)
            until_text(page, ".banner.blocked", "by shop/db (Worker.block) at ")
            [banner] = page.texts(".banner.blocked")
            assert re.match(
                r"The event loop is blocked for \d+ s by shop/db \(Worker\.block\) at Worker\.block \(.*served\.py:\d+\)",
                banner,
            )
            assert "blocked" in page.ask("document.title")
        finally:
            until.set()
        page.until("document.querySelector('.banner') === null")


def test_what_keeps_the_tree_from_being_ready_is_said(page: Page) -> None:
    with live(shop()) as tree:
        show(page, tree)
        tree.portal.call(tree.app.operator("ada").stop, "idle")
        page.until("document.querySelector('#ready').textContent === 'NOT READY'")
        assert page.texts("#why li") == ["shop/idle is stopped"]
        assert page.ask("document.title") == "! shop: not ready"
        assert page.texts("#alarms button") == [], "it is said once"
        page.click("#why button")
        assert page.texts("#whose") == ["shop/idle"]


def test_when_the_server_has_gone_the_page_says_so_and_comes_back_with_it(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "token_urlsafe", "the-same-token-of-{}-bytes".format)
    with live(shop()) as tree:
        show(page, tree)
        port = tree.port
    until_text(page, ".banner.lost", "The stream is lost")
    assert page.texts("#ready") == ["NOT SEEN"]
    assert len(names(page)) == 4, "what was seen last stays"
    until_text(page, ".banner.lost", "nobody answers")
    with live(shop(worker("another")), port=port):
        page.ask("link.now()")
        page.until("link.state === 'live'")
        page.until("[...document.querySelectorAll('.name')].some(e => e.textContent === 'another')")
        page.settle()
        assert page.texts(".banner") == []
    pauses = page.ask("[0, 1, 2, 3, 4, 5].map(n => Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** n))")
    assert pauses == [0.5, 1, 2, 4, 8, 10]
    page.complaints[:] = [text for text in page.complaints if "net::" not in text]  # the browser's own


def test_a_server_that_has_begun_anew_with_another_token_is_told_apart(page: Page) -> None:
    with live(shop()) as tree:
        show(page, tree)
        port = tree.port
    until_text(page, ".banner.lost", "The stream is lost")
    with live(shop(), port=port) as tree:
        page.ask("link.now()")
        until_text(page, ".banner", "the token is missing or wrong")
        page.ask(f"void (location.hash = 'token={tree.token}')")
        page.until("link.state === 'live'")
    page.complaints[:] = [text for text in page.complaints if "net::" not in text and "401" not in text]


def test_another_version_of_the_protocol_is_not_guessed_at(page: Page) -> None:
    with live(shop()) as tree:
        show(page, tree)
        rows_for(page, {"path": "shop/db", "state": "new"}, schema=2)
        until_text(page, ".banner", "speaks version 2 of the protocol, and this page 1: load the page anew.")
        assert page.ask(cell("shop/db", "state")) == "running"
        assert page.ask("link.run.signal.aborted") is True


# -- the operator's hand -----------------------------------------------------------------------------------------------------


def test_where_nobody_may_act_there_are_no_buttons(page: Page) -> None:
    with live(shop()) as tree:
        show(page, tree)
        open_detail(page, "shop/db")
        assert page.ask("document.querySelector('#operator').checkVisibility()") is False


def test_an_operator_acts_and_each_action_is_an_event_with_who(page: Page) -> None:
    asked: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, Asked):
            asked.append(f"{event.who} {event.what} {event.path}")

    with live(shop(), operate=True) as tree:
        tree.portal.call(tree.app.subscribe, listen)
        show(page, tree)
        open_detail(page, "shop/db")
        type_into(page, "#who", "ada")
        for name, answer in (
            ("pause", "db is paused: it accepts messages, and begins none"),
            ("resume", "db goes on"),
            ("restart", "db is restarted"),
            ("stop", "db is stopped"),
            ("start", "db is started"),
        ):
            page.click(f"#deed-{name}")
            if name in ("restart", "stop"):
                assert page.ask("document.querySelector('#sure').open") is True
                assert page.texts("#sure-text")[0].startswith(f"{name.capitalize()} shop/db?")
                page.click("#sure-yes")
            until_text(page, "#answer.done", answer)
            if name == "pause":
                page.until(f"{cell('shop/db', 'state')} === 'paused'")
        page.ask("document.querySelector('#change-restart').value = 'transient'")
        type_into(page, "#change-intensity", "10/60")
        page.press("Enter", 13, "\r")
        until_text(page, "#answer.done", "db has restart=transient and intensity=10/60 now")
        until_text(page, "[data-part=now] dd", "transient, 10 in 60 s")
        who = "ada over HTTP"
        assert [text for text in asked if not text.startswith(who)] == []
        assert [text.removeprefix(who).split()[0] for text in asked] == [
            "pause",
            "resume",
            "restart",
            "stop",
            "start",
            "change",
        ]
        page.click("#tab-events")
        until_text(page, "#happened", "ada over HTTP")
        page.open(tree.base)
        page.until("link.state === 'live'")
        assert page.ask("document.querySelector('#who').value") == "ada"


def test_what_is_asked_for_twice_can_be_left(page: Page) -> None:
    with live(shop(), operate=True) as tree:
        show(page, tree)
        open_detail(page, "shop/db")
        page.click("#deed-restart")
        page.click("#sure-no")
        page.click("#deed-restart")
        page.press("Escape", 27)
        assert page.ask("document.querySelector('#sure').open") is False
        assert page.ask("document.querySelector('#detail').hidden") is False
        assert not [request for request in page.requests if request.endswith("/live/restart")]
        assert page.ask("document.activeElement.id") == "deed-restart"


def test_what_the_server_refuses_is_shown(page: Page) -> None:
    with live(shop(DynamicSupervisor("rooms")), operate=True) as tree:
        show(page, tree)
        open_detail(page, "shop/db")
        page.click("#deed-start")
        until_text(page, "#answer.bad", "not done: ")
        assert "db" in page.texts("#answer")[0]
        page.click("#change button")
        until_text(page, "#answer.bad", "say what to change")
        type_into(page, "#change-intensity", "1/1")
        open_detail(page, "shop")
        visible = "[...document.querySelectorAll('#operator button')].filter(e => e.checkVisibility()).map(e => e.textContent)"
        page.until(f"{visible}.join() === 'change policy'")
        assert page.ask("document.querySelector('#change-intensity').value") == "", "nor what was written for it"
        assert page.texts("#answer") == [""], "it is about another one"
        type_into(page, "#change-intensity", "7/60")
        page.click("#change button")
        until_text(page, "#answer.done", "shop has intensity=7/60 now")
        page.until(f"{cell('shop', 'rst')} === '0/7'")
    page.complaints[:] = [text for text in page.complaints if "409" not in text and "400" not in text]


# -- hostile users -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hostile", HOSTILE, ids=ascii)
def test_what_users_call_things_is_text_and_hides_nothing(hostile: str, page: Page) -> None:
    hostile = hostile.replace("/", "|")
    with live(shop(worker(hostile))) as tree:
        tree.send(hostile, Worker.refuse, hostile)
        tree.send(hostile, Worker.hold)
        show(page, tree)
        expected = re.sub("[\u202e\u200b]", lambda found: f"\\u{ord(found[0]):04x}", hostile)
        assert names(page)[-1] == expected
        page.until(f"{cell(f'shop/{hostile}', 'life')} === '2'")
        open_detail(page, f"shop/{hostile}")
        page.until("document.querySelectorAll('[data-part=ends] summary').length === 1")
        assert page.texts("#whose") == [f"shop/{expected}"]
        page.click("#tab-events")
        until_text(page, "#happened", "crashed")
        page.click("#tab-types")
        until_text(page, "#types", "Worker")
        rows_for(page, {"path": f"shop/{hostile}", "state": hostile, "error": hostile, "type": hostile, "waits_for": hostile})
        rows_for(
            page,
            events=[{"event": hostile, "path": hostile, "time": hostile, "level": hostile, "text": hostile, "trace": hostile}],
        )
        for tab in ("waits", "events", "tree"):
            page.click(f"#tab-{tab}")
        assert page.ask("typeof window.hacked") == "undefined"
        assert page.ask("document.querySelectorAll('main img, main script, header img').length") == 0
        assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b]", page.ask("document.body.innerText"))
        assert {request.partition("/live/")[0].rstrip("/") for request in page.requests} == {tree.base.rstrip("/")}


def test_control_characters_are_made_visible_and_lines_stay_where_they_are_meant(page: Page) -> None:
    with live(shop()) as tree:
        show(page, tree)
        assert page.ask("visible('a\\u0000\\u001b[31m\\n\\u2028\\ud800\\u061c\\ufeff é 👍')") == (
            "a\\u0000\\u001b[31m\\u000a\\u2028\\ud800\\u061c\\ufeff é 👍"
        )
        assert page.ask("visible('a\\nb\\r', true)") == "a\nb\\u000d"


# -- how it looks ------------------------------------------------------------------------------------------------------------


def test_a_small_window_has_all_views_without_scrolling_sideways(page: Page) -> None:
    page.resize(400, 700)
    long = "a-name-that-is-longer-than-a-telephone-is-wide-by-far"
    with live(shop(worker(long)), operate=True) as tree:
        tree.send(long, Worker.refuse, "x" * 150)
        show(page, tree)
        page.until(f"{cell(f'shop/{long}', 'state')} === 'running'")
        for tab in ("waits", "types", "events", "tree"):
            page.click(f"#tab-{tab}")
            assert page.ask("document.documentElement.scrollWidth") <= 400
            assert page.ask(f"document.querySelector('#{tab}').checkVisibility()")
        shown = "[...document.querySelectorAll('.row')].at(-1).querySelectorAll('div')"
        boxes = page.ask(f"[...{shown}].filter(e => e.checkVisibility()).map(e => e.getBoundingClientRect().toJSON())")
        assert len(boxes) == 4
        assert boxes[0]["width"] >= 80
        assert all(one["right"] <= other["left"] for one, other in itertools.pairwise(boxes))
        assert boxes[-1]["right"] <= 400
        open_detail(page, f"shop/{long}")
        assert page.ask("document.documentElement.scrollWidth") <= 400
        assert page.ask("document.querySelector('#detail').scrollWidth") <= 400
        page.click("#deed-restart")
        assert page.ask("document.querySelector('#sure').getBoundingClientRect().right") <= 400
        page.click("#sure-no")
        page.press("Escape", 27)
        assert page.ask("document.querySelector('#detail').hidden") is True


CONTRASTS = """(() => {
  const luminance = (parts) => parts.slice(0, 3).map(c => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, n) => sum + c * [0.2126, 0.7152, 0.0722][n], 0);
  const parse = (color) => color.match(/[\\d.]+/g).map(Number);
  const paper = (e) => {
    for (; e; e = e.parentElement) {
      const color = parse(getComputedStyle(e).backgroundColor);
      if (color.length === 3 || color[3] === 1) return color;
    }
  };
  const found = [];
  for (const e of document.querySelectorAll("body *")) {
    if (!e.checkVisibility() || ![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
    if (e.matches("option, script, style, noscript")) continue;
    const [one, other] = [luminance(parse(getComputedStyle(e).color)), luminance(paper(e))].sort((a, b) => b - a);
    found.push([(one + 0.05) / (other + 0.05), e.outerHTML.slice(0, 100)]);
  }
  return found;
})()"""


def test_both_schemes_can_be_read(page: Page) -> None:
    colours: list[list[str]] = []
    with live(shop(worker("full", capacity=1)), operate=True) as tree:
        tree.send("flaky", Worker.refuse, "kettle")
        tree.portal.call(tree.app.operator("ada").stop, "idle")
        tree.portal.call(tree.app.operator("ada").pause, "db")
        tree.send("full", Worker.hold)
        for _ in range(3):
            tree.soon(tree.app.find("full").send, Worker.work)
        show(page, tree)
        open_detail(page, "shop/flaky")
        page.until("document.querySelector('[data-part=ends] summary') !== null")
        until_text(page, "#alarms", "paused")
        for scheme in ("light", "dark"):
            page.prefer(prefers_color_scheme=scheme)
            colours.append(page.ask("['color', 'backgroundColor'].map(what => getComputedStyle(document.body)[what])"))
            for tab in ("waits", "types", "events", "tree"):
                page.click(f"#tab-{tab}")
                page.settle()
                contrasts = page.ask(CONTRASTS)
                assert len(contrasts) > 30
                assert [each for each in contrasts if each[0] < 4.5] == []
        page.ask("link.run.abort(); link.say('lost', 'x')")
        until_text(page, ".banner.lost", "The stream is lost")
        assert [each for each in page.ask(CONTRASTS) if each[0] < 4.5] == []
    assert colours[0] != colours[1]
    assert set(colours[0]) == {"rgb(27, 31, 36)", "rgb(255, 255, 255)"}


def test_where_one_points_with_a_finger_there_is_room_for_it(page: Page) -> None:
    page.call("Emulation.setTouchEmulationEnabled", enabled=True)
    with live(shop()) as tree:
        show(page, tree)
        tops = page.ask("[...document.querySelectorAll('.row')].map(e => e.getBoundingClientRect().top)")
        assert {below - above for above, below in itertools.pairwise(tops)} == {28}
        assert (
            page.ask("[...document.querySelectorAll('button')].filter(e => e.checkVisibility() && e.offsetHeight < 24).length")
            == 0
        )


def test_nothing_moves_by_itself(page: Page) -> None:
    """So there is nothing to leave out for those who prefer less motion."""
    with live(shop()) as tree:
        show(page, tree)
        moving = """[...document.querySelectorAll("*")].map(e => getComputedStyle(e)).filter(
            s => s.animationName !== "none" || !/^0s/.test(s.transitionDuration) || s.scrollBehavior === "smooth").length"""
        assert page.ask(moving) == 0


# -- many actors -------------------------------------------------------------------------------------------------------------


def test_of_many_rows_those_in_view_alone_are_made(page: Page) -> None:
    with live(shop()) as tree:
        show(page, tree)
        page.ask("link.run.abort()")
        page.ask(
            """(() => {
                const rows = [{path: "shop", kind: "supervisor"}, {path: "shop/pool", kind: "supervisor"}];
                for (let n = 0; n < 5000; n++) rows.push({path: `shop/pool/${n}`, type: "Worker", handled: n});
                hear("snapshot", {...model.head, rows});
            })()"""
        )
        page.settle()
        assert names(page) == ["shop", "pool"], "of so many it is folded at first"
        page.ask("document.querySelectorAll('.fold')[1].click()")
        page.settle()
        for _ in range(2):
            assert 20 < len(page.texts(".row")) < 100
            page.ask("document.querySelector('#tree').scrollTop = 1e9")
            page.settle()
        assert names(page)[-1] == "4999"
        page.click("#head .c-actor button")
        page.ask("document.querySelector('#table').focus()")
        page.press("End", 35)
        assert page.ask("document.querySelector('.row[aria-selected=true]').ariaRowIndex") == "5003"
        type_into(page, "#filter", "4321")
        assert names(page) == ["pool/4321"]
        assert page.texts("#count") == ["1 of 5,002"]


def test_a_tree_with_too_many_shows_its_types_first_and_then_the_worst(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("supervise.live.feed.Survey", functools.partial(Survey, most=10, worst=5))
    with live(shop(*(worker(f"worker{n}") for n in range(20)))) as tree:
        tree.send("worker7", Worker.refuse, "kettle")
        tree.send("worker13", Worker.hold)
        tree.portal.call(tree.app.operator("ada").stop, "worker5")
        show(page, tree)
        assert page.ask("document.querySelector('#types').hidden") is False
        until_text(page, "#types td", "23")
        page.click("#tab-tree")
        page.until("document.querySelectorAll('.row').length >= 4")
        assert names(page)[0] == "worker5"
        assert set(names(page)) >= {"worker5", "worker7", "worker13"}
        assert re.fullmatch(r"[4-6] rows, the worst of 23 actors", page.texts("#count")[0])
