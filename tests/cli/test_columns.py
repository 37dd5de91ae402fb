"""`supervise columns`: a log as columns in a terminal. The page is in `test_columns_page.py`.

Tested: a column for each actor, in the order of time; who finds no room shares the last one; wide characters; filters;
following a file, new actors, cut and rotated files included; nothing in a log reaches the terminal as anything but text; links
to traces; odd fields; bad input is one line with the cure, status 2; nothing that fits is one line, status 1; logs of the
runtime.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervise.cells import cells
from supervise.cli.columns.cells import wrapped
from supervise.cli.columns.log import Log
from supervise.cli.columns.table import Columns
from supervise.cli.main import main

from .logged import STORY, TRACE, log, record

ROOT = Path(__file__).parents[2]
GUARD = 30.0
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'strategies'}", "COLUMNS": "90"}


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


@pytest.mark.parametrize("cut", [1, 12, 40, -2])
def test_what_was_appended_to_a_line_that_is_cut_off_is_shown(
    cut: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A process that was killed as it wrote leaves half a line, and the next one goes on in the same file."""
    after = STORY[1].replace('"message"', '"extra": {"time": "now", "of": {"time": "then"}}, "message"')
    assert main(["columns", log(tmp_path, STORY[0], STORY[0][:cut] + after, STORY[2]), "--width", "85"]) == 0
    heard = capsys.readouterr()
    rows = [line.split("|")[0].strip() for line in heard.out.split("\n")[2:]]
    assert [row for row in rows if row] == ["10:00:01.000", "10:00:02.250", "10:00:03.000"]
    [line] = heard.err.strip().split("\n")
    assert "line 2 begins with a record that is cut off, and is left out" in line


def test_a_terminal_gets_the_link_around_the_text(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w+") as out:
        entries = list(Log("log").parse([record(1, "app/a", "x", trace_id=TRACE)]))
        Columns(60, "http://localhost:16686/trace/").show(entries, out)
        out.seek(0)
        assert f"\x1b]8;;http://localhost:16686/trace/{TRACE}\x1b\\x\x1b]8;;\x1b\\" in out.read()


# -- which records ------------------------------------------------------------------------------------------------------------


def shown(out: str) -> list[str]:
    """The first lines of the records, without the gaps between columns."""
    return [" ".join(line.replace("|", " ").split()[1:]) for line in out.split("\n")[2:] if line[:1].strip()]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--last", "1"], ["outside"]),
        (["--last", "3"], ["#1 in b", "#1 WARNING: ended: crashed (Boom)", "outside"]),
        (["--last", "2", "--only", "app/*"], ["#1 in b", "#1 WARNING: ended: crashed (Boom)"]),
        (["--last", "1", "--only", "*/b"], ["#1 in b"]),
        (["--last", str(10**30)], ["#1 hello", "#1 in b", "#1 WARNING: ended: crashed (Boom)", "outside"]),
    ],
)
def test_only_the_last_records_of_those_that_fit_are_shown(
    arguments: list[str], words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["columns", log(tmp_path, *STORY), "--width", "200", *arguments]) == 0
    assert shown(capsys.readouterr().out) == words


@pytest.mark.parametrize("count", ["0", "-3", "many", "1.5", ""])
def test_a_wrong_number_of_records_is_named_with_the_cure(count: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["columns", "app.jsonl", "--last", count])
    assert left.value.code == 2
    assert f"argument --last: {count!r} isn't a number, 1 or more" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("lines", "patterns", "line"),
    [
        (STORY, ["nobody"], "no record is of an actor that --only 'nobody' fits: there are app/a, app/b, -"),
        (STORY[:1], ["x", "y*"], "no record is of an actor that --only 'x' and --only 'y*' fits: there are app/a"),
        (
            [record(n, f"app/{n}", "x") for n in range(7)],
            ["nobody"],
            "no record is of an actor that --only 'nobody' fits: there are app/0, app/1, app/2 and 4 more",
        ),
        ((), ["nobody"], "there is no record that --only 'nobody' could fit"),
    ],
)
@pytest.mark.parametrize("where", [[], ["--html", "out.html"]])
def test_where_nothing_fits_one_line_says_so_and_the_status_is_1(
    lines: tuple[str, ...],
    patterns: list[str],
    line: str,
    where: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    log(tmp_path, *lines)
    assert main(["columns", "app.jsonl", *where, *(f"--only={pattern}" for pattern in patterns)]) == 1
    assert capsys.readouterr() == ("", f"supervise: app.jsonl: {line}\n")
    assert not Path("out.html").exists()


# -- odd records --------------------------------------------------------------------------------------------------------------

NO_TIMES: list[object] = [
    None,
    "noon",
    "",
    17,
    True,
    {},
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "2026-02-30",
    "\ud800",
]


@pytest.mark.parametrize("odd", NO_TIMES, ids=ascii)
def test_a_record_with_an_odd_time_stands_after_the_one_before_it(
    odd: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [record(1, "app/a", "one"), record(0, "app/a", "odd", time=odd), record(0.5, "app/a", "zero")]
    assert main(["columns", log(tmp_path, *lines), "--width", "85"]) == 0
    heard = capsys.readouterr()
    assert [line.split() for line in heard.out.split("\n")[2:5]] == [
        ["10:00:00.500", "|", "zero"],
        ["10:00:01.000", "|", "one"],
        ["?", "|", "odd"],
    ]
    [line] = heard.err.strip().split("\n")
    assert "app.jsonl: 1 record has no `time` in ISO 8601, in line 2;" in line
    assert "supervise.telemetry.json_handler()" in line


def test_all_odd_times_of_a_log_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ['{"message": "first"}\n', *STORY, "\n", *(record(0, "app/a", "x", time=odd) for odd in NO_TIMES * 200)]
    assert main(["columns", log(tmp_path, *lines), "--html", str(tmp_path / "out.html")]) == 0
    [line] = capsys.readouterr().err.strip().split("\n")
    assert "app.jsonl: 2,001 records have no `time` in ISO 8601, the first in line 1;" in line


@pytest.mark.parametrize(
    ("odd", "text"),
    [
        (None, "| -\n"),
        (17, "#17 17: 17"),
        (True, "| True: True"),
        ([1], "[1]: [1]"),
        ({"a": {"b": None}}, "{'a': {'b': None}}: {'a': {'b': None}}"),
        ("\ud800\x00\u2028", "\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER} : \N{REPLACEMENT CHARACTER}"),
    ],
    ids=ascii,
)
def test_odd_fields_are_shown_as_they_are(odd: object, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fields = dict.fromkeys(("level", "message", "incarnation", "actor", "trace_id", "exception", "event", "logger"), odd)
    line = json.dumps({"time": "2026-03-01", **fields}) + "\n"
    assert main(["columns", log(tmp_path, line), "--width", "200"]) == 0
    heard = capsys.readouterr()
    assert heard.err == ""
    assert text in heard.out


# -- wide characters ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("abc", 3),
        ("", 0),
        ("日本語", 6),
        ("ｱ", 1),
        ("Ａ", 2),
        ("e\u0301", 1),
        ("한", 2),
        ("\u1112\u1161\u11ab", 2),
        ("🎉", 2),
        ("é…", 2),
    ],
)
def test_a_wide_character_takes_two_cells_and_one_that_combines_none(text: str, count: int) -> None:
    assert cells(text) == count


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("one two three", ["one two", "three"]),
        ("  one   two  ", ["one   two"]),
        ("a abcdefghijkl b", ["a abcdefgh", "ijkl b"]),
        ("日本語日本語", ["日本語日本", "語"]),
        ("ab 日本語日本語", ["ab 日本語", "日本語"]),
        ("abcdefghi日", ["abcdefghi", "日"]),
        ("e\u0301" * 11, ["e\u0301" * 10, "e\u0301"]),
        ("", []),
    ],
)
def test_lines_break_at_spaces_and_beside_wide_characters(text: str, lines: list[str]) -> None:
    assert wrapped(text, 10) == lines


@given(st.text(st.sampled_from("ab -日本ｱ\u0301\u1161🎉…")), st.integers(2, 30))
def test_no_line_is_wider_than_its_column_and_nothing_is_lost(text: str, width: int) -> None:
    lines = wrapped(text, width)
    assert all(cells(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_columns_stand_below_each_other_whatever_they_hold(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [
        record(1, "app/客戶", "日本語のログは二倍の幅です " * 3),
        record(2, "app/b", "e\u0301te\u0301 🎉 " * 9),
        record(3, "app/c", "end"),
    ]
    assert main(["columns", log(tmp_path, *lines), "--width", "80"]) == 0
    first, *rest = capsys.readouterr().out.replace("+", "|").rstrip("\n").split("\n")
    bars = [cells(part) for part in first.split("|")[:-1]]
    assert len(bars) == 3
    for line in rest:
        assert [cells(part) for part in line.split("|")[:-1]] == bars[: line.count("|")]
        assert cells(line) <= 80


def test_300_actors_leave_columns_that_can_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [record(n % 60, f"app/workers/{n}", f"<{n}>") for n in range(300)]
    assert main(["columns", log(tmp_path, *lines), "--width", "120"]) == 0
    heading, rule, *rows = capsys.readouterr().out.rstrip("\n").split("\n")
    assert heading.split("|")[-1].strip() == "296 others"
    assert min(len(part.strip()) for part in rule.split("+")[1:]) >= 18
    assert all(any(f"<{n}>" in row for row in rows) for n in range(300))


@pytest.mark.parametrize("width", ["0", "1", "14", "20"])
def test_a_terminal_that_is_too_narrow_gets_one_column(
    width: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    assert main(["columns", log(tmp_path, *STORY[:2])]) == 0
    assert "1 hello" in capsys.readouterr().out


# -- bad input ---------------------------------------------------------------------------------------------------------------

GOOD = STORY[0]


@pytest.mark.parametrize(
    ("content", "arguments", "words"),
    [
        (None, [], ["app.jsonl: No such file", "name a file of JSON records"]),
        ("not json\n" + GOOD, [], ["line 1 isn't JSON", "supervise.telemetry.json_handler()"]),
        (GOOD + "[1]\n", [], ["line 2 is no JSON object", "supervise run --log"]),
        ("[" * 100_000 + "\n", [], ["line 1 isn't JSON"]),
        (b"\xff\xfe\n", [], ["not UTF-8"]),
        (GOOD, ["--width", "10"], ["--width 10 is too narrow", "or more"]),
        (GOOD, ["--jaeger", "javascript:alert(1)"], ["'javascript:alert(1)' isn't a URL", "http://localhost:16686"]),
        (GOOD, ["--jaeger", "http://[bad"], ["isn't a URL"]),
        (GOOD, ["--html", "no/such/folder.html"], ["no/such/folder.html: No such file", "that can be written"]),
        (GOOD, ["--html", "app.jsonl"], ["is the log itself", "another file"]),
        (GOOD, ["--html", "out.html", "--follow"], ["exclude each other"]),
        (GOOD, ["--last", "5", "--follow", "-"], ["--last 5", "standard input", "leave --follow or --last out"]),
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
    assert main(["columns", *([] if "-" in arguments else ["app.jsonl"]), *arguments]) == 2
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


@pytest.mark.parametrize("arguments", [[], ["--last", "1"], ["--follow"]])
def test_a_full_disk_is_one_line_and_status_2(arguments: list[str], tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "supervise.cli.main", "columns", log(tmp_path, *STORY), *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=ENVIRONMENT, stdout=full, stderr=subprocess.PIPE, text=True, timeout=GUARD, check=False
        )
    assert (done.returncode, done.stderr) == (2, "supervise: standard output: No space left on device\n")


def test_a_closed_stdout_is_nobody_who_reads(tmp_path: Path) -> None:
    command = ["sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-m", "supervise.cli.main", "columns", log(tmp_path, *STORY)]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True, timeout=GUARD, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# -- a file that is followed: each step is what happens between two looks at it ----------------------------------------------


def interrupt() -> NoReturn:
    raise KeyboardInterrupt


def rows(path: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *steps: Callable[[], object]) -> str:
    """What is shown of each record, the first letter of its text, and "!" for each line on stderr, until Ctrl-C."""
    following = iter([*steps, interrupt])
    shown = ""

    def sleep(_: float) -> None:
        nonlocal shown
        heard = capsys.readouterr()
        shown += "".join(line[15] for line in heard.out.splitlines() if line.startswith("10:00")) + "!" * heard.err.count("\n")
        next(following)()

    monkeypatch.setattr(time, "sleep", sleep)
    assert main(["columns", path, "--follow", "--width", "85"]) == 0
    return shown


def write(path: str, *lines: str, mode: str = "a") -> None:
    with open(path, mode, encoding="utf-8") as file:
        file.writelines(lines)


A, B, C, D = (record(n, "app/a", text) for n, text in enumerate("abcd"))


def test_a_file_that_is_rotated_is_read_to_its_end_and_then_the_new_one_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = log(tmp_path, A)
    older = f"{path}.1"

    def rotate() -> None:
        write(path, B)  # since the last look
        os.rename(path, older)
        write(path, D, mode="x")
        write(older, C)  # by a writer that hasn't opened the new one yet

    assert rows(path, monkeypatch, capsys, rotate, lambda: None) == "abcd"


def test_while_no_file_has_the_name_the_old_one_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = log(tmp_path, A)
    older = f"{path}.1"
    steps = (lambda: os.rename(path, older), lambda: write(older, B), lambda: write(path, C), lambda: write(older, D))
    assert rows(path, monkeypatch, capsys, *steps, lambda: write(path, D)) == "abcd"


def test_each_of_several_rotations_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = log(tmp_path, A)

    def rotate(line: str) -> Callable[[], object]:
        def step() -> None:
            os.replace(path, f"{path}.1")
            write(path, line, mode="x")

        return step

    assert rows(path, monkeypatch, capsys, *map(rotate, (B, C, D)), lambda: None) == "abcd"


def test_a_file_that_was_cut_is_read_from_its_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = log(tmp_path, A, B)
    assert rows(path, monkeypatch, capsys, lambda: write(path, C, mode="w"), lambda: write(path, D)) == "abcd"


@pytest.mark.parametrize("end", ["rotated", "cut"])
def test_of_a_last_line_that_was_left_unfinished_it_is_said(
    end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = log(tmp_path, A, B[:20])

    def step() -> None:
        if end == "rotated":
            os.rename(path, f"{path}.1")
        write(path, C, mode="w")

    said: list[str] = []
    monkeypatch.setattr(sys.stderr, "write", said.append)
    assert rows(path, monkeypatch, capsys, step, lambda: write(path, D)) == "acd"
    assert "".join(said) == f"supervise: {path}: line 2, the last one, is cut off, and left out\n"


def test_a_character_of_which_half_is_there_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = log(tmp_path, A)
    line = json.dumps(json.loads(record(1, "app/a", "é")), ensure_ascii=False).encode() + b"\n"
    half = line.index("é".encode()) + 1

    def add(part: bytes) -> Callable[[], object]:
        def step() -> None:
            with open(path, "ab") as file:
                file.write(part)

        return step

    assert rows(path, monkeypatch, capsys, add(line[:half]), add(line[half:]), lambda: None) == "aé"


def test_what_has_the_name_and_cant_be_read_is_said_once_and_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = log(tmp_path, A)

    def replace_by_folder() -> None:
        os.rename(path, f"{path}.1")
        os.mkdir(path)

    steps = (replace_by_folder, lambda: None, lambda: None, lambda: os.rmdir(path), lambda: write(path, B))
    assert rows(path, monkeypatch, capsys, *steps, lambda: None) == "a!b"


def test_a_line_number_is_that_of_the_file_that_it_is_said_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = log(tmp_path, A, record(1, "app/a", "b", time="late"))

    def rotate() -> None:
        os.replace(path, f"{path}.1")
        write(path, C, mode="x")

    assert rows(path, monkeypatch, capsys, rotate, rotate, lambda: None) == "acc"  # that one has no time
    assert "in line 2 of what had this name before;" in capsys.readouterr().err
    following = iter([rotate, lambda: write(path, "no record\n"), interrupt])

    def go_on(_: float) -> None:
        next(following)()

    monkeypatch.setattr(time, "sleep", go_on)
    assert main(["columns", path, "--follow"]) == 2
    assert f"{path}: line 2 isn't JSON" in capsys.readouterr().err


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
            os.rename(path, f"{path}.1")
            Path(path).write_text(record(10, "app/b", "rotated"), encoding="utf-8")
            heard_until(process, "rotated")
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=GUARD)
            assert (process.returncode, err) == (0, "")
        finally:
            process.kill()


def test_of_a_file_that_is_followed_the_last_records_are_shown_first(tmp_path: Path) -> None:
    path = log(tmp_path, record(1, "app/a", "first"), record(3, "app/b", "third"), record(2, "app/b", "second"))
    with columns(path, "--follow", "--last", "2") as process:
        try:
            heard = heard_until(process, "third")
            assert ["first" in line or "app/a" in line for line in heard] == [False] * 4
            assert "second" in heard[2]
            with Path(path).open("a") as growing:
                growing.write(record(0, "app/b", "fourth", time="late"))
            heard_until(process, "fourth")
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=GUARD)
            assert process.returncode == 0
            assert "1 record has no `time` in ISO 8601, in line 4" in err
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("given", "variables", "words"),
    [
        (b"\xff\xfe\n", {}, "standard input: not UTF-8"),
        (None, {}, "standard input is closed"),
        (record(1, "app/日本", "é").encode(), {"PYTHONIOENCODING": "ascii"}, ""),
    ],
)
def test_standard_input_is_utf_8_whatever_the_terminal_is(given: bytes | None, variables: dict[str, str], words: str) -> None:
    close = ["sh", "-c", 'exec "$@" <&-', "sh"] if given is None else []
    command = [*close, sys.executable, "-m", "supervise.cli.main", "columns", "-"]
    done = subprocess.run(
        command, cwd=ROOT, env=ENVIRONMENT | variables, input=given, capture_output=True, timeout=GUARD, check=False
    )
    assert (done.returncode, done.stderr.decode().count("\n")) == ((2, 1) if words else (0, 0))
    assert words in done.stderr.decode()


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
