"""The README is true: what it shows runs, and what it names exists.

Tested: every Python block runs as a script, and prints what the text block after it shows; every shell command is either run
here or exactly one that `.ci/run` runs; every link leads somewhere; every name exists; every example is listed.
"""

from __future__ import annotations

import builtins
import importlib
import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

import supervise
import supervise.events
import supervise.health
import supervise.live
import supervise.telemetry
import supervise.testing
from tests.benchmarks.contestant import CONTESTANTS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
HANG_GUARD = 60
# Both make an environment and fill it from the package index: a minute, and a network that a test can't count on.
RUN_BY_CI = (
    "python3 -m venv .venv && .venv/bin/pip install -q . && .venv/bin/supervise demo",
    "python3 -m venv .venv && .venv/bin/pip install -q -e '.[test]' && .venv/bin/pytest",
)
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "strategies")])}


class Block(NamedTuple):
    language: str
    text: str


BLOCKS = [Block(*found) for found in re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)]
PROGRAMS = [(b.text, after.text) for b, after in pairwise([*BLOCKS, Block("", "")]) if b.language == "python"]
COMMANDS = [line for b in BLOCKS if b.language == "sh" for line in b.text.splitlines()]


def test_a_block_is_a_program_its_output_or_commands() -> None:
    assert {b.language for b in BLOCKS} == {"python", "text", "sh"}
    for before, block in pairwise(BLOCKS):
        assert block.language != "text" or before.language == "python"


@pytest.mark.parametrize(
    ("program", "output"), PROGRAMS, ids=["a crash and a restart", "an answer", "a tree", "health", "a test"]
)
def test_a_program_prints_what_is_shown(program: str, output: str, tmp_path: Path) -> None:
    (tmp_path / "counter.py").write_text(program, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-u", "-W", "error", str(tmp_path / "counter.py")],
        cwd=tmp_path,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,  # as a terminal shows them
        encoding="utf-8",
        timeout=HANG_GUARD,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert done.stdout.replace(str(tmp_path), "/home/you") == output


def test_the_first_program_is_short() -> None:
    assert len(PROGRAMS[0][0].splitlines()) <= 25


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_run_here_or_by_ci(command: str, tmp_path: Path) -> None:
    if command in RUN_BY_CI:
        runs = [line.strip() for line in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()]
        assert command in runs
        return
    subprocess.run(command, shell=True, cwd=ROOT, env=ENVIRONMENT, timeout=HANG_GUARD, check=True)


def test_both_commands_are_there() -> None:
    assert set(RUN_BY_CI) <= set(COMMANDS)


def test_links_lead_somewhere() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if not link.startswith("https://")]
    assert links
    missing = [link for link in links if not (ROOT / link).exists()]
    assert not missing


def test_every_example_is_listed() -> None:
    there = {path.name for path in (ROOT / "examples").glob("*.py")}
    assert there == set(re.findall(r"\(examples/(\w+\.py)\)", README))


def test_what_one_writes_for_what_one_has_is_there_and_short() -> None:
    table = README.partition("| you have |")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    named: set[str] = set()
    for _, written, module in rows:
        home = importlib.import_module(module.strip("`"))
        lines = re.findall(r"`([^`]+)`", written)
        assert 1 <= len(lines) <= 3
        assert any(hasattr(home, name) for name in re.findall(r"\w+", "".join(lines))), f"{module} has nothing of {lines[0]}"
        named.add(home.__name__)
    kinds = {f"supervise.adapters.{path.stem}" for path in (ROOT / "supervise" / "adapters").glob("*.py")}
    shared = {"__init__", "facade", "handoff"}
    assert named - {"supervise"} == kinds - {f"supervise.adapters.{name}" for name in shared}


def test_classes_that_are_named_exist() -> None:
    outside_blocks = re.sub(r"^```.*?^```$", "", README, flags=re.MULTILINE | re.DOTALL)
    of_others = " ".join(contestant.note() or "" for contestant in CONTESTANTS.values())  # said under the table of speed
    named = set(re.findall(r"`([A-Z][A-Za-z]+)(?!\w)", outside_blocks)) - {"Protocol", "FastAPI"}
    named -= set(re.findall(r"`([A-Z][A-Za-z]+)(?!\w)", of_others))
    assert "ActorCrashed" in named
    homes = (supervise, supervise.events, supervise.health, supervise.live, supervise.telemetry, supervise.testing, builtins)
    assert not [name for name in named if not any(hasattr(home, name) for home in homes)]
