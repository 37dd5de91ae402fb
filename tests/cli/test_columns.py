"""`supervise columns`: a log as columns, in a terminal and on a page.

Tested: a column for each actor, in the order of time; who finds no room shares the last one; filters; following a file, new
actors and cut files included; nothing in a log reaches the terminal or the page as anything but text; links to traces; bad
input is one line with the cure, status 2; what the runtime logs can be read.
"""

from __future__ import annotations

import html.parser
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from supervise.cli.columns import Columns, parse, render
from supervise.cli.main import main

ROOT = Path(__file__).parents[2]
GUARD = 30.0
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'strategies'}", "COLUMNS": "90"}
TRACE = "0af7651916cd43dd8448eb211c80319c"


def record(second: float, actor: str | None, message: str, **more: Any) -> str:
    whole = {"time": f"2026-03-01T10:00:{second:09.6f}+00:00", "level": "INFO", "message": message, **more}
    return json.dumps(whole | ({} if actor is None else {"actor": actor})) + "\n"


def log(tmp_path: Path, *lines: str) -> str:
    path = tmp_path / "app.jsonl"
    path.write_text("".join(lines), encoding="utf-8")
    return str(path)


STORY = (
    record(1, "app/a", "hello", incarnation=1),
    record(2.25, "app/b", "in b", incarnation=1),
    record(3, "app/a", "app/a #1 ended: crashed (Boom)", incarnation=1, level="WARNING"),
    record(4, None, "outside"),
)


def test_each_actor_has_a_column_and_each_record_a_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["columns", log(tmp_path, *STORY), "--width", "85"]) == 0
    assert capsys.readouterr().out.split("\n") == [
        "             | app/a                 | app/b                 | -",
        "-------------+-----------------------+-----------------------+----------------------",
        "10:00:01.000 | #1 hello              |                       |",
        "10:00:02.250 |                       | #1 in b               |",
        "10:00:03.000 | #1 WARNING: ended:    |                       |",
        "             | crashed (Boom)        |                       |",
        "10:00:04.000 |                       |                       | outside",
        "",
    ]


def test_rows_are_in_the_order_of_time_whatever_the_zone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    early = record(0, "app/a", "early").replace("10:00:00.000000+00:00", "12:59:00.000000+03:00")
    assert main(["columns", log(tmp_path, STORY[0], early), "--width", "85"]) == 0
    out = capsys.readouterr().out
    assert out.index("09:59:00.000 | early") < out.index("10:00:01.000")


def test_no_row_is_wider_than_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [record(n, f"app/actor-{n}", "x" * 300) for n in range(9)]
    for width in ("33", "50", "80", "131"):
        assert main(["columns", log(tmp_path, *lines), "--width", width]) == 0
        assert max(map(len, capsys.readouterr().out.split("\n"))) <= int(width)


def test_those_who_say_least_share_the_last_column_under_their_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [record(1, "app/quiet", "hm"), record(2, "app/still", "oh"), record(3, "app/loud", "a"), record(4, "app/loud", "b")]
    assert main(["columns", log(tmp_path, *lines), "--width", "60"]) == 0
    out = capsys.readouterr().out.split("\n")
    assert out[0].split("|")[1:] == [" app/loud              ", " 2 others"]
    assert out[2].endswith("| app/quiet hm")
    assert out[4].endswith("| a                     |")


def test_only_those_whose_path_fits_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["columns", log(tmp_path, *STORY), "--only", "*/b", "--only", "nobody"]) == 0
    out = capsys.readouterr().out
    assert "in b" in out
    assert "hello" not in out
    assert "outside" not in out


def test_what_a_log_holds_is_text_to_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evil = record(1, "app/\x1b]0;owned\x07", "red \x1b[31m\x9b31m\r\n\u202eback \U000e0001", level="\x1b[2J")
    assert main(["columns", log(tmp_path, evil)]) == 0
    out = capsys.readouterr().out
    assert all(c.isprintable() or c == "\n" for c in out)
    assert "back" in out


def test_a_last_line_that_is_cut_off_is_left_out_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["columns", log(tmp_path, STORY[0], STORY[1][:20])]) == 0
    heard = capsys.readouterr()
    assert "hello" in heard.out
    assert "line 2, the last one, is cut off" in heard.err


# -- the page ----------------------------------------------------------------------------------------------------------------


class Page(html.parser.HTMLParser):
    """What a browser would see: the tags with their attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.rows: list[list[str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("href", "src") and value is not None]
        assert not any(name.startswith("on") for name, _ in attrs)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("th", "td"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1] and data.strip():
            self.rows[-1][-1] += data


def test_the_page_has_a_column_for_each_actor_and_a_row_for_each_instant(tmp_path: Path) -> None:
    together = record(3.0004, "app/b", "at the same time")
    out = tmp_path / "out.html"
    assert main(["columns", log(tmp_path, *STORY, together), "--html", str(out)]) == 0
    assert Page(out.read_text(encoding="utf-8")).rows == [
        ["UTC", "app/a", "app/b", "-"],
        ["10:00:01.000", "#1 hello", "", ""],
        ["10:00:02.250", "", "#1 in b", ""],
        ["10:00:03.000", "#1 ERROR: ended: crashed (Boom)", "at the same time", ""],
        ["10:00:04.000", "", "", "outside"],
    ]


EVIL = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&"


def test_what_a_log_holds_is_text_on_the_page() -> None:
    evil = record(1, EVIL, EVIL, level=f'x" onclick="{EVIL}', trace_id=f'"{EVIL}', exception=f"Traceback\n{EVIL}")
    page = Page(render(list(parse([evil], "log")), "http://localhost:16686"))
    assert not {"script", "img", "a"} & set(page.tags)
    assert page.links == []
    assert page.rows[0][1] == EVIL
    said, more = page.rows[1][1].split("traceback")
    assert said.endswith(f": {EVIL}")
    assert EVIL in more


def test_the_page_loads_nothing() -> None:
    text = render(list(parse(STORY, "log")), None)
    assert "default-src 'none'" in text
    assert Page(text).links == []


@pytest.mark.parametrize("prefix", ["http://localhost:16686", "https://jaeger.example/ui/?a=1&b='\"<"])
def test_a_trace_id_is_a_link_to_its_page(prefix: str) -> None:
    page = Page(render(list(parse([record(1, "app/a", "x", trace_id=TRACE)], "log")), prefix))
    assert page.links == [f"{prefix}/trace/{TRACE}"]
    assert page.rows[1][1] == "x " + TRACE[:8]


def test_a_terminal_gets_the_link_around_the_text(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w+") as out:
        Columns(60, "http://localhost:16686/").show(list(parse([record(1, "app/a", "x", trace_id=TRACE)], "log")), out)
        out.seek(0)
        assert f"\x1b]8;;http://localhost:16686/trace/{TRACE}\x1b\\x\x1b]8;;\x1b\\" in out.read()


# -- bad input ---------------------------------------------------------------------------------------------------------------

GOOD = STORY[0]


@pytest.mark.parametrize(
    ("content", "arguments", "words"),
    [
        (None, [], ["app.jsonl: No such file", "name a file of JSON records"]),
        ("not json\n" + GOOD, [], ["line 1 isn't JSON", "supervise.telemetry.json_handler()"]),
        (GOOD + "[1]\n", [], ["line 2 is no JSON object", "supervise run --log"]),
        ("[" * 100_000 + "\n", [], ["line 1 isn't JSON"]),
        ('{"message": "x"}\n', [], ["line 1 has no `time`", "json_handler()"]),
        ('{"time": "noon"}\n', [], ["line 1 has no `time`"]),
        ('{"time": 17}\n', [], ["line 1 has no `time`"]),
        (b"\xff\xfe\n", [], ["not UTF-8"]),
        (GOOD, ["--width", "10"], ["--width 10 is too narrow", "or more"]),
        (GOOD, ["--jaeger", "javascript:alert(1)"], ["'javascript:alert(1)' isn't a URL", "http://localhost:16686"]),
        (GOOD, ["--jaeger", "http://[bad"], ["isn't a URL"]),
        (GOOD, ["--html", "no/such/folder.html"], ["no/such/folder.html: No such file", "that can be written"]),
        (GOOD, ["--html", "app.jsonl"], ["is the log itself", "another file"]),
        (GOOD, ["--html", "out.html", "--follow"], ["exclude each other"]),
    ],
)
def test_bad_input_is_one_line_with_the_cure_and_status_2(
    content: str | bytes | None,
    arguments: list[str],
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path("app.jsonl").write_bytes(content if isinstance(content, bytes) else content.encode())
    assert main(["columns", "app.jsonl", *arguments]) == 2
    heard = capsys.readouterr()
    assert heard.out == ""
    [line] = heard.err.strip().split("\n")
    for word in words:
        assert word in line
    if content is not None:
        assert Path("app.jsonl").stat().st_size == len(content), "the log itself was written to"


def test_a_folder_is_no_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["columns", str(tmp_path)]) == 2
    assert len(capsys.readouterr().err.strip().split("\n")) == 1


def test_an_empty_log_is_empty_columns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["columns", log(tmp_path, "\n")]) == 0
    assert main(["columns", log(tmp_path), "--html", str(tmp_path / "out.html")]) == 0
    assert capsys.readouterr().out == ""


# -- processes ---------------------------------------------------------------------------------------------------------------


def columns(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-u", "-m", "supervise.cli.main", "columns", *arguments]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=ENVIRONMENT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A shell that runs the tests in the background has them ignore it, and what they start, too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        **options,
    )


def heard_until(process: subprocess.Popen[str], word: str) -> list[str]:
    assert process.stdout is not None
    heard: list[str] = []
    for line in process.stdout:
        heard.append(line.rstrip())
        if word in line:
            return heard
    raise AssertionError(f"it ended without saying {word!r}: {heard}")


def test_a_file_that_is_followed_is_shown_as_it_grows_with_new_actors(tmp_path: Path) -> None:
    path = log(tmp_path, STORY[0])
    with columns(path, "--follow") as process:
        try:
            assert "app/a" in heard_until(process, "hello")[0]
            with Path(path).open("a") as growing:
                growing.write(STORY[1][:10])  # half a line isn't a line yet
                growing.flush()
                growing.write(STORY[1][10:])
                growing.flush()
                assert "app/a" in heard_until(process, "in b")[0]  # with headings, which have changed
                growing.write(STORY[2])
                growing.flush()
                assert len(heard_until(process, "WARNING")) == 1
            Path(path).write_text(record(9, "app/b", "anew"), encoding="utf-8")  # it was cut
            heard_until(process, "anew")
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=GUARD)
            assert (process.returncode, err) == (0, "")
        finally:
            process.kill()


def test_standard_input_is_read_and_a_reader_who_has_seen_enough_is_no_failure(tmp_path: Path) -> None:
    with columns("-", stdin=subprocess.PIPE) as process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdout.close()
            process.stdin.write("".join(record(n % 60, "app/a", "x" * 100) for n in range(5000)))
            process.stdin.close()
            assert process.stderr is not None
            assert process.stderr.read() == ""
            assert process.wait(GUARD) == 0
        finally:
            process.kill()


def test_what_the_demo_logs_can_be_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "demo.jsonl"
    command = [sys.executable, "-m", "supervise.cli.main", "demo", "--log", str(path)]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, text=True, capture_output=True, timeout=90, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert main(["columns", str(path), "--only", "chat/rooms/*", "--width", "200"]) == 0
    out = capsys.readouterr().out
    assert "#1 ERROR: ended: crashed (RuntimeError: sabotage)" in out
    assert out.index("#1 started") < out.index("#1 ERROR: ended") < out.index("#2 started")
