"""The page that `supervise columns --html` writes, as a file and in a browser.

Tested: what it holds, and that it holds nothing that a browser would obey or fetch; a column for each actor and a row for each
instant; the filter, and starts, which are folded at first; rows and headings that are made as they come into view, so that
50,000 records of 300 actors are there at once; columns and controls in a small window; links to traces; a dark scheme.
"""

from __future__ import annotations

import base64
import hashlib
import html.parser
import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from supervise.cli.columns.page import prefix
from supervise.cli.main import main
from tests.browser import Browser, Page

from .logged import STORY, TRACE, log, record, started

RECORDS, ACTORS = 50_000, 300
LONGEST_OPENING = 3.0  # seconds
LARGEST = 20_000_000  # bytes
HOSTILE = [
    "<script>window.hacked = 1</script>",
    "</script><script>window.hacked = 1</script>",
    "</script /window.hacked = 1",
    "<!--<script>",
    "<img src=x onerror='window.hacked = 1'>",
    "\"'&lt;&amp;` ${window.hacked = 1} \\u003c \\",
    "\u2028window.hacked = 1\u2029",
    "lone \ud800 \udc80 and nul \x00",
    "__proto__",
]


class Parts(html.parser.HTMLParser):
    """What a browser would see: the tags with their attributes, and the texts of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self._in = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._in = (dict(attrs).get("type") or tag) if tag in ("script", "style") else ""

    def handle_endtag(self, tag: str) -> None:
        self._in = ""

    def handle_data(self, data: str) -> None:
        if self._in:
            self.texts[self._in] = self.texts.get(self._in, "") + data

    @property
    def log(self) -> Any:
        return json.loads(self.texts["application/json"])


def page_of(tmp_path: Path, *lines: str, jaeger: str | None = None) -> Path:
    out = tmp_path / "out.html"
    links = [] if jaeger is None else ["--jaeger", jaeger]
    assert main(["columns", log(tmp_path, *lines), "--html", str(out), *links]) == 0
    return out


def parts_of(page: Path) -> Parts:
    return Parts(page.read_text(encoding="utf-8"))


# -- the file ----------------------------------------------------------------------------------------------------------------


def test_the_file_holds_each_record_once(tmp_path: Path) -> None:
    crash = record(5, "app/a", "boom", level="ERROR", exception="Traceback\n  line", trace_id=TRACE)
    parts = parts_of(page_of(tmp_path, started(0, "app/a"), *STORY, record(4.5, "app/a", "late", time="x"), crash, crash))
    ms = 1772359200000
    assert parts.log == {
        "records": [
            [ms, 0, 0, 1, "#1 started"],
            [ms + 1000, 0, 1, 0, "#1 hello"],
            [ms + 2250, 1, 1, 0, "#1 in b"],
            [ms + 3000, 0, 2, 0, "#1 WARNING: ended: crashed (Boom)"],
            [ms + 4000, 2, 1, 0, "outside"],
            [None, 0, 1, 0, "late"],
            [ms + 5000, 0, 3, 0, "ERROR: boom", TRACE, 0],
            [ms + 5000, 0, 3, 0, "ERROR: boom", TRACE, 0],
        ],
        "actors": ["app/a", "app/b", "-"],
        "levels": ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"],
        "tracebacks": ["Traceback\n  line"],
        "prefix": "app/",
        "traces": None,
    }


def test_the_policy_allows_this_script_and_this_style_and_nothing_else(tmp_path: Path) -> None:
    parts = parts_of(page_of(tmp_path, *STORY))
    [policy] = [attributes["content"] for _, attributes in parts.tags if "http-equiv" in attributes]
    assert policy is not None
    directives = dict(directive.split(" ", 1) for directive in policy.split("; "))
    assert directives == {
        "default-src": "'none'",
        "script-src": hash_of(parts.texts["script"]),
        "style-src": hash_of(parts.texts["style"]),
        "base-uri": "'none'",
        "form-action": "'none'",
        "require-trusted-types-for": "'script'",
    }


def hash_of(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_the_file_names_nothing_elsewhere(tmp_path: Path) -> None:
    page = page_of(tmp_path, *STORY)
    assert not re.search(r"https?:|//\w|url\(|@import|\bsrc=|\bhref=", page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("hostile", HOSTILE, ids=ascii)
def test_what_a_log_holds_changes_nothing_of_the_page_around_it(hostile: str, tmp_path: Path) -> None:
    evil = record(1, hostile, hostile, level=hostile, trace_id=hostile, exception=f"Traceback\n{hostile}", event=hostile)
    parts = parts_of(page_of(tmp_path, evil))
    assert parts.tags == parts_of(page_of(tmp_path, STORY[0])).tags
    expected = re.sub("[\ud800\udc80\0]", "\N{REPLACEMENT CHARACTER}", re.sub("[\u2028\u2029]", " ", hostile))
    assert parts.log["actors"] == [expected]
    assert parts.log["records"][0][4].endswith(f": {expected}")
    assert parts.log["tracebacks"] == [f"Traceback\n{expected}"]


def test_what_utf_8_cant_encode_is_written_as_json_would(tmp_path: Path) -> None:
    """Arguments that aren't UTF-8 have lone surrogates."""
    assert (
        parts_of(page_of(tmp_path, STORY[0], jaeger="http://h/\udc80</script>")).log["traces"]
        == "http://h/\udc80</script>/trace/"
    )


def test_an_empty_log_is_an_empty_page(tmp_path: Path) -> None:
    assert parts_of(page_of(tmp_path)).log["records"] == []


@pytest.mark.parametrize(
    ("paths", "common"),
    [
        (["app/a", "app/b", "-"], "app/"),
        (["app/rooms/1", "app/rooms/2", "app/rooms", "app"], "app/rooms/"),  # those above aren't asked
        (["app/rooms/1", "app/pool/2"], "app/"),
        (["app/rooms/1", "app/rooms2/1"], "app/"),
        (["app/a", "shop/a"], ""),
        (["app/rooms/1"], "app/rooms/"),
        (["app"], ""),
        (["-"], ""),
        ([], ""),
        (["/a", "/b"], "/"),
        (["app/", "app/x"], "app/"),
    ],
)
def test_the_prefix_is_what_all_paths_begin_with_up_to_a_slash(paths: list[str], common: str) -> None:
    assert prefix(paths) == common


# -- in a browser ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with browser.page() as page:
        yield page
        assert page.complaints == []


def show(page: Page, file: Path) -> None:
    page.open(file.as_uri())
    page.settle()


def rows_of(page: Page) -> list[list[str]]:
    """The clock, and then the text in each column."""
    rows: list[list[str]] = page.ask(
        """[...document.querySelectorAll(".row")].map(row => {
            const found = Array(document.querySelectorAll(".heading").length).fill("");
            for (const cell of row.querySelectorAll(".cell")) found[cell.getAttribute("aria-colindex") - 2] = cell.innerText;
            return [row.querySelector(".clock").textContent, ...found];
        })"""
    )
    return rows


def boxes_of(page: Page, selector: str) -> list[dict[str, float]]:
    found = f"[...document.querySelectorAll({json.dumps(selector)})]"
    boxes: list[dict[str, float]] = page.ask(f"{found}.map(e => e.getBoundingClientRect().toJSON())")
    return boxes


def filter_by(page: Page, text: str) -> None:
    page.ask("document.querySelector('#filter').select()")
    page.write(text) if text else page.press("Backspace", 8)


def test_each_actor_has_a_column_and_each_instant_a_row(page: Page, tmp_path: Path) -> None:
    together = record(3.0004, "app/b", "at the same time")
    again = record(3.0005, "app/a", "again, which is another row")
    show(page, page_of(tmp_path, *STORY, record(0, None, "undated", time=None), together, again))
    assert page.texts(".heading") == ["…/a", "…/b", "-"]
    assert page.ask("[...document.querySelectorAll('.heading')].map(e => e.title)") == ["app/a", "app/b", "-"]
    assert page.texts("#prefix") == ["… is app"]
    assert rows_of(page) == [
        ["10:00:01.000", "#1 hello", "", ""],
        ["10:00:02.250", "", "#1 in b", ""],
        ["10:00:03.000", "#1 WARNING: ended: crashed (Boom)", "at the same time", ""],
        ["10:00:03.000", "again, which is another row", "", ""],
        ["10:00:04.000", "", "", "outside"],
        ["?", "", "", "undated"],
    ]
    assert page.texts(".day") == ["2026-03-01"]
    headings, [first] = boxes_of(page, ".heading"), boxes_of(page, ".row:nth-child(1) .cell")
    assert (first["left"], first["right"]) == (headings[0]["left"], headings[0]["right"])
    assert headings[2]["right"] == pytest.approx(page.ask("document.querySelector('#view').clientWidth"), abs=1)


def test_only_what_fits_the_filter_is_shown_and_the_count_says_so(page: Page, tmp_path: Path) -> None:
    crash = record(5, "app/c", "boom", exception="Traceback\n  of a Kettle", trace_id=TRACE)
    show(page, page_of(tmp_path, *STORY, crash))
    assert page.texts("#count") == ["5 of 5 records, 4 of 4 actors"]
    for wanted, texts, count in (
        ("HELLO", ["#1 hello"], "1 of 5 records, 1 of 4 actors"),
        ("app/b", ["#1 in b"], "1 of 5 records, 1 of 4 actors"),
        ("kettle", ["boom"], "1 of 5 records, 1 of 4 actors"),
        (TRACE, ["boom"], "1 of 5 records, 1 of 4 actors"),
        ("warning", ["#1 WARNING: ended: crashed (Boom)"], "1 of 5 records, 1 of 4 actors"),
        (" app/A ", ["#1 hello", "#1 WARNING: ended: crashed (Boom)"], "2 of 5 records, 1 of 4 actors"),
        ("<nothing like this>", [], "0 of 5 records, 0 of 4 actors"),
        ("", 5, "5 of 5 records, 4 of 4 actors"),
    ):
        filter_by(page, wanted)
        shown = page.ask("[...document.querySelectorAll('.text')].map(e => e.firstChild.textContent)")
        assert shown == texts if isinstance(texts, list) else len(shown) == texts
        assert page.texts("#count") == [count]


def test_starts_are_folded_until_one_wants_to_see_them(page: Page, tmp_path: Path) -> None:
    show(page, page_of(tmp_path, *(started(0, f"app/{n}") for n in range(3)), record(1, "app/1", "hello, started")))
    assert page.texts(".text") == ["hello, started"]
    assert page.texts("#fold") == [" starts (3)"]
    assert page.texts("#count") == ["1 of 4 records, 1 of 3 actors"]
    page.click("#starts")
    assert len(page.texts(".text")) == 4
    assert page.texts("#count") == ["4 of 4 records, 3 of 3 actors"]
    page.click("#starts")
    assert len(page.texts(".text")) == 1


def test_a_log_without_starts_has_nothing_to_unfold(page: Page, tmp_path: Path) -> None:
    show(page, page_of(tmp_path, STORY[0]))
    assert page.ask("document.querySelector('#fold').checkVisibility()") is False


def test_the_keyboard_reaches_everything_under_its_name(page: Page, tmp_path: Path) -> None:
    show(page, page_of(tmp_path, started(0, "app/a"), *(record(n % 60, "app/a", "hello") for n in range(500))))
    focus = "(e => [e.id || e.className, e.labels?.[0]?.innerText.trim() ?? e.ariaLabel])(document.activeElement)"
    found: list[list[str]] = []
    for _ in range(3):
        page.press("Tab", 9)
        found.append(page.ask(focus))
    assert found == [["filter", "Filter"], ["starts", "starts (1)"], ["view", "Records"]]
    page.press("End", 35)
    page.until("document.querySelector('.row:last-child').ariaRowIndex === '501'")  # it scrolls there by and by
    assert page.ask("document.querySelector('#count').matches('output')"), "it isn't told to who doesn't see it"


@pytest.mark.parametrize("hostile", HOSTILE, ids=ascii)
def test_what_a_log_holds_is_text(hostile: str, page: Page, tmp_path: Path) -> None:
    evil = record(1, hostile, hostile, level=hostile, trace_id=TRACE, exception=f"Traceback\n{hostile}")
    file = page_of(tmp_path, evil, record(2, f"{hostile}/x", "y"), jaeger="http://localhost:16686")
    show(page, file)
    filter_by(page, hostile.replace("\0", " "))
    filter_by(page, "")
    page.ask("document.querySelector('details').open = true")
    page.settle()
    assert page.ask("typeof window.hacked") == "undefined"
    expected = re.sub("[\ud800\udc80\0]", "\N{REPLACEMENT CHARACTER}", re.sub("[\u2028\u2029]", " ", hostile))
    assert page.ask("document.querySelector('.heading').title") == expected
    assert page.texts("pre") == [f"Traceback\n{expected}"]
    assert page.requests == [file.as_uri()]


def test_a_trace_id_is_a_link_to_its_page(page: Page, tmp_path: Path) -> None:
    traced = record(1, "app/a", "x", trace_id=TRACE)
    show(page, page_of(tmp_path, traced))
    assert page.texts("span.trace") == [TRACE[:8]]
    show(page, page_of(tmp_path, traced, jaeger="http://localhost:16686/ui/?a=1&b='\"<"))
    assert page.ask("document.querySelector('a.trace').getAttribute('href')") == (
        f"http://localhost:16686/ui/?a=1&b='\"</trace/{TRACE}"
    )


def test_a_traceback_stays_unfolded_when_its_row_comes_back(page: Page, tmp_path: Path) -> None:
    long = "\n".join(f"line {n}" for n in range(60))
    lines = [
        record(n % 60, "app/a", f"number {n}", exception=long, time=f"2026-03-01T10:{n // 60:02}:{n % 60:02}")
        for n in range(600)
    ]
    show(page, page_of(tmp_path, *lines))
    page.click(".row:nth-child(3) summary")
    rows = boxes_of(page, ".row")
    assert rows[2]["height"] > 60 * 10
    assert all(above["bottom"] == pytest.approx(below["top"]) for above, below in itertools.pairwise(rows))
    page.ask("document.querySelector('#view').scrollTop = 1e9")
    page.settle()
    assert "number 599" in page.texts(".text")[-1]
    page.ask("document.querySelector('#view').scrollTop = 0")
    page.settle()
    assert page.ask("[...document.querySelectorAll('details')].map(e => e.open)")[:4] == [False, False, True, False]


def test_both_schemes_can_be_read(page: Page, tmp_path: Path) -> None:
    show(page, page_of(tmp_path, *STORY))
    brightness: list[list[int]] = []
    for scheme in ("light", "dark"):
        page.prefer(prefers_color_scheme=scheme)
        brightness.append(
            page.ask(
                """["color", "backgroundColor"].map(what =>
                    getComputedStyle(document.body)[what].match(/\\d+/g).slice(0, 3).reduce((a, b) => a + +b, 0))"""
            )
        )
    [ink, paper], [dark_ink, dark_paper] = brightness
    assert paper - ink > 400
    assert dark_ink - dark_paper > 400


# -- a busy log --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """50,000 records of 300 actors: half are starts, and one of 50 has a traceback."""
    folder = tmp_path_factory.mktemp("busy")
    text = "order placed, payment refused; the stock is reserved and a mail goes to the customer, who waits for it"
    lines: list[str] = []
    for n in range(RECORDS - 1):
        actor = f"shop/workers/worker-{n * 7 % ACTORS}"
        time, trace = f"2026-03-01T10:{n // 1000:02}:{n % 1000 * 0.06:09.6f}+00:00", f"{n * 0x9E3779B97F4A7C15 % 2**128:032x}"
        if n % 2:
            line = started(0, actor, 1 + n // ACTORS)
            lines.append(json.dumps(json.loads(line) | {"time": time, "trace_id": trace}) + "\n")
        else:
            more = (
                {} if n % 50 else {"exception": "".join(f'  File "orders.py", line {n % k}, in place\n' for k in range(1, 20))}
            )
            lines.append(record(0, actor, f"{text[: n % 105]} number {n}", time=time, trace_id=trace, **more))
    return page_of(folder, *lines, record(0, "shop/workers/worker-0", "the very last", time="2026-03-01T11:00:00"))


def test_a_busy_log_is_a_file_of_moderate_size(busy: Path) -> None:
    assert len(parts_of(busy).log["records"]) == RECORDS
    assert busy.stat().st_size < LARGEST


def test_a_busy_log_opens_at_once(busy: Path, page: Page) -> None:
    """The promise is in seconds, so they are measured, from the navigation until there are rows: the best of three, since
    whatever else this machine does only ever makes it later.
    """
    seconds: list[float] = []
    for _ in range(3):
        show(page, busy)
        assert page.texts(".row")
        seconds.append(page.ask("performance.getEntriesByName('rows')[0].startTime") / 1000)
    assert min(seconds) < LONGEST_OPENING
    assert page.requests == [busy.as_uri()]


def test_only_rows_and_headings_in_view_are_made_and_the_end_is_reached(busy: Path, page: Page) -> None:
    show(page, busy)
    assert page.texts("#count") == ["25,001 of 50,000 records, 150 of 300 actors"]
    page.click("#starts")
    for _ in range(2):
        assert len(page.texts(".row")) < 100
        assert len(page.texts(".heading")) < 100
        page.ask("document.querySelector('#view').scrollTop = 1e9")
        page.settle()
    assert page.texts(".row")[-1].endswith("the very last")
    [view], [*_, last] = boxes_of(page, "#view"), boxes_of(page, ".row")
    assert last["bottom"] <= view["bottom"]
    page.ask("document.querySelector('#view').scrollLeft = 1e9")
    page.settle()
    assert page.ask("document.querySelector('.heading:last-child').ariaColIndex") == "301"


def test_what_one_reads_stays_in_its_place_while_rows_above_are_measured(busy: Path, page: Page) -> None:
    show(page, busy)
    page.ask("document.querySelector('#view').scrollTop = 400000")
    page.settle()
    top = "[...document.querySelectorAll('.row')].find(e => e.getBoundingClientRect().bottom > 200)"
    for _ in range(20):
        row, before = page.ask(f"(e => [e.ariaRowIndex, e.getBoundingClientRect().top])({top})")
        page.ask("document.querySelector('#view').scrollBy(0, -50)")
        page.settle()
        after = page.ask(f"document.querySelector('.row[aria-rowindex=\"{row}\"]').getBoundingClientRect().top")
        assert after == pytest.approx(before + 50, abs=2)


def test_a_filter_keeps_the_place_in_the_log(busy: Path, page: Page) -> None:
    show(page, busy)
    filter_by(page, "number 30006")
    [text] = page.texts(".text")
    filter_by(page, "")
    [view] = boxes_of(page, "#view")
    tops = page.ask(
        "[...document.querySelectorAll('.text')].filter(e => e.textContent.includes('30006'))"
        ".map(e => e.getBoundingClientRect().top)"
    )
    assert len(tops) == 1, text
    assert view["top"] <= tops[0] <= view["bottom"]


def test_headings_and_times_stay_in_sight_and_lead_to_records_beside_the_view(busy: Path, page: Page) -> None:
    show(page, busy)
    page.ask("document.querySelector('#view').scrollTo(5000, 5000)")
    page.settle()
    [view], [head], [corner] = (boxes_of(page, selector) for selector in ("#view", "#head", "#corner"))
    assert (head["top"], corner["left"], corner["top"]) == (view["top"], view["left"], view["top"])
    assert {box["left"] for box in boxes_of(page, ".time")} == {view["left"]}
    aside = "[...document.querySelectorAll('.time')].find(e => e.dataset.aside && e.getBoundingClientRect().top > 200)"
    row = page.ask(f"{aside}.parentElement.ariaRowIndex")
    page.ask(f"{aside}.querySelector('button').click()")
    page.settle()
    cell = f'.row[aria-rowindex="{row}"] .cell'
    assert boxes_of(page, cell)[0]["left"] >= corner["right"] - 1
    assert boxes_of(page, cell)[0]["right"] <= view["right"]
    assert page.ask(f"document.querySelector('.row[aria-rowindex=\"{row}\"] .time').dataset.aside") == ""


def test_a_small_window_has_the_filter_and_a_column_in_view(busy: Path, page: Page) -> None:
    page.resize(400, 700)
    show(page, busy)
    assert page.ask("document.documentElement.scrollWidth") == 400
    for selector in ("#filter", "#fold", "#count"):
        [box] = boxes_of(page, selector)
        assert box["left"] >= 0
        assert box["right"] <= 400
    em = page.ask("parseFloat(getComputedStyle(document.querySelector('.cell')).fontSize)")
    assert min(box["width"] for box in boxes_of(page, ".cell, .heading")) >= 18 * em
    [first, *_] = boxes_of(page, ".heading")
    assert first["right"] <= 400
