"""The front page and the lists of the guide are true: what they name exists, and what exists is listed.

Tested: both commands are those of `.ci/run`; the first program is short; every example is listed; what one writes for what one
has is there; classes that any page names exist. What the blocks show is run by `tests/documentation`.
"""

from __future__ import annotations

import builtins
import importlib
import re
from types import ModuleType
from typing import Final

import pytest

from tests.benchmarks.contestant import CONTESTANTS
from tests.documentation.page import GUIDE, PAGES, README, Page
from tests.documentation.test_blocks import RUN_BY_CI
from tests.house import ROOT
from tests.test_public_api import PATHS

INDEX: Final = Page(GUIDE / "README.md")
THREADS: Final = Page(GUIDE / "threads-and-processes.md")
SHARED: Final = {"__init__", "facade", "handoff", "pykka_reference"}
"""Parts of several adapters."""
KINDS: Final = {path.stem for path in (ROOT / "supervise" / "adapters").glob("*.py")} - SHARED
OF_OTHERS: Final = {
    "ActorDeadError": "pykka's",
    "ActorFailed": "casty's",
    "ActorRef": "pykka's",
    "CrashLoopBackOff": "what Kubernetes says",
    "Expected": "an error of the pool's page",
    "FastAPI": "FastAPI's",
    "Host": "a header of HTTP",
    "ObjectSendStream": "anyio's",
    "TestClient": "Starlette's",
}
"""Classes of others that pages name, and other words in capitals."""


def test_both_commands_are_there() -> None:
    assert {line for block in README.blocks if block.language == "sh" for line in block.text.splitlines()} == RUN_BY_CI


def test_the_first_program_is_short() -> None:
    (first, *_) = (block for block in README.blocks if block.language == "python")
    assert len(first.text.splitlines()) <= 25


def test_every_example_is_listed() -> None:
    there = {path.name for path in (ROOT / "examples").glob("*.py")}
    assert there == set(re.findall(r"\(\.\./(\w+\.py)\)", INDEX.text))


def table(page: Page) -> list[list[str]]:
    lines = page.text.partition("| you have |")[2].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_what_one_writes_for_what_one_has_is_there_and_short() -> None:
    named: set[str] = set()
    for _, written, module in table(THREADS):
        home = importlib.import_module(re.findall(r"`([\w.]+)`", module)[0])
        lines = re.findall(r"`([^`]+)`", written)
        assert 1 <= len(lines) <= 3
        assert any(hasattr(home, name) for name in re.findall(r"\w+", "".join(lines))), f"{module} has nothing of {lines[0]}"
        named.add(home.__name__)
    assert named - {"supervise"} == {f"supervise.adapters.{name}" for name in KINDS}


def test_the_front_page_shows_the_most_of_it() -> None:
    adapters = [importlib.import_module(f"supervise.adapters.{name}") for name in KINDS]
    names = {"child", "task"} | {name for home in adapters for name in PATHS[home.__name__]}
    for _, written in table(README):
        lines = re.findall(r"`([^`]+)`", written)
        assert lines
        assert all(names & {*re.findall(r"\w+", line)} for line in lines), written


def homes() -> list[ModuleType]:
    return [builtins, *(importlib.import_module(module) for module in ("supervise", *PATHS))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_classes_that_are_named_exist(page: Page) -> None:
    outside = re.sub(r"^```.*?^```$|<!--.*?-->", "", page.text, flags=re.MULTILINE | re.DOTALL)
    of_contestants = " ".join(contestant.note() or "" for contestant in CONTESTANTS.values())  # said below the table of speed
    in_blocks = {name for block in page.blocks for name in re.findall(r"\bclass (\w+)", block.text)}
    named = set(re.findall(r"`([A-Z][a-z]+[A-Za-z]*)(?=[`(\[])", outside)) - in_blocks - set(OF_OTHERS)
    named -= set(re.findall(r"`([A-Z][A-Za-z]+)(?!\w)", of_contestants))
    assert not [name for name in sorted(named) if not any(hasattr(home, name) for home in homes())]
