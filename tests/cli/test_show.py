"""`supervise tree` and `supervise explain`: what they print of trees that don't run, and how they refuse what isn't one."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from supervise.cli.main import main

TREES = "tests.cli.trees"


def test_a_tree_is_printed_with_its_policies_and_nothing_of_it_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tree", f"{TREES}:POLICIES"]) == 0
    assert capsys.readouterr().out.split("\n") == [
        "shop  [one_for_all, 3 in 5 s]",
        "  db  permanent",
        "  workers  [rest_for_one, 0 in 5 s]",
        "    1  permanent(wait=wait_fixed(wait_fixed=2.0), counted=True)",
        "    2  transient, optional",
        "  sessions  [dynamic, 3 in 5 s]",
        "3 supervisors, 3 actors",
        "",
    ]


@pytest.mark.parametrize("path", ["db", "shop/db", "/db"])
def test_a_crash_is_explained(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", f"{TREES}:POLICIES", path]) == 0
    assert capsys.readouterr().out.split("\n") == [
        "shop: db #1 ended: crashed; permanent -> restart 1 of 3 within 5 s with workers, sessions",
        "  stops, in this order: sessions, workers",
        "  starts, in this order: db, workers, sessions",
        "  restarts left: 3 before, 2 after",
        "",
    ]


def test_a_crash_that_makes_supervisors_give_up_is_explained_upwards(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", f"{TREES}:POLICIES", "workers/1"]) == 0
    lines = capsys.readouterr().out.split("\n")
    assert lines[0] == ("shop/workers: 1 #1 ended: crashed; permanent -> gives up: more than 0 restarts within 5 s")
    assert lines[1] == "  stops, in this order: 2"
    assert lines[2].startswith("shop: workers #1 ended: gave_up (child '1' ended: crashed); permanent -> restart 1 of 3")
    assert main(["explain", f"{TREES}:DOOMED", "below"]) == 0
    assert "the tree ends, and GaveUp is raised" in capsys.readouterr().out


def test_a_dynamic_supervisor_itself_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", f"{TREES}:POLICIES", "sessions"]) == 0
    assert "sessions #1 ended: gave_up" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tree", f"{TREES}:"], ["MODULE:TREE"]),
        (["tree", "no_such_module:TREE"], ["there is no module 'no_such_module'"]),
        (["tree", f"{TREES}:NUMBER"], ["int", "name a Supervisor"]),
        (["tree", f"{TREES}:WRONG_ARGUMENTS"], ["'app/below/a'", "too many positional", "mend its child(…)"]),
        (["explain", f"{TREES}:NUMBER", "a"], ["int", "name a Supervisor"]),
        (["explain", f"{TREES}:WRONG_ARGUMENTS", "below/a"], ["'app/below/a'", "mend its child(…)"]),
        (["explain", f"{TREES}:POLICIES", "workers/3"], ["'workers/3'", "'shop/workers' has '1', '2'"]),
        (["explain", f"{TREES}:POLICIES", "db/x"], ["'shop/db' is an actor, and has no children"]),
        (["explain", f"{TREES}:POLICIES", "sessions/ann"], ["'shop/sessions' is dynamic", "app.explain"]),
        (["explain", f"{TREES}:POLICIES", ""], ["there is no child ''", "'shop' has 'db'"]),
        (["explain", f"{TREES}:POLICIES", "shop"], ["there is no child 'shop'", "'shop' has 'db'"]),
        (["explain", f"{TREES}:EMPTY", "x"], ["'empty' is dynamic"]),
    ],
)
def test_bad_input_is_one_line_that_names_the_cure_with_status_2(
    arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("supervise: ")
    assert len(said.err.strip().split("\n")) == 1
    for word in words:
        assert word in said.err


@pytest.mark.parametrize("command", [["tree", f"{TREES}:POLICIES"], ["explain", f"{TREES}:POLICIES", "db"]])
def test_a_reader_who_has_seen_enough_changes_nothing(command: list[str]) -> None:
    """As `supervise tree app:TREE | head -1` has one."""
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as nobody_reads_this:
        done = subprocess.run(
            [sys.executable, "-m", "supervise", *command],
            stdout=nobody_reads_this,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, b"")
