"""What README and the guide show is true: each block is run or checked, and what it prints is what is shown.

Tested: that each program runs on both backends without a warning, in virtual time, and prints what the block after it shows;
that no program proves nothing; commands; tests that are named; links.
"""

from __future__ import annotations

import ast
import re
from itertools import pairwise
from pathlib import Path

import pytest

from tests.house import ROOT

from .page import PAGES, Block, Page
from .programs import backends, commands, outcomes

NOTHING = Block("", "", 0, {})
FILES = {"yaml", "ini", "dockerfile", "toml", "json"}
"""Languages of blocks that are no programs. A remark names the test that looks at each."""
# Both make an environment and fill it from the package index: a minute, and a network that a test can't count on.
RUN_BY_CI = {
    "python3 -m venv .venv && .venv/bin/pip install -q . && .venv/bin/supervise demo",
    "python3 -m venv .venv && .venv/bin/pip install -q -e '.[test]' && .venv/bin/pytest",
}


def followed(page: Page) -> list[tuple[int, Block, Block]]:
    """Each block with its number and the next one."""
    return [(number, *two) for number, two in enumerate(pairwise([*page.blocks, NOTHING]))]


def name_of(page: Page, block: Block) -> str:
    return f"{page.path.stem}:{block.line}"


BLOCKS = [
    pytest.param(page, number, block, after, id=name_of(page, block))
    for page in PAGES
    for number, block, after in followed(page)
]
PROGRAMS = [
    pytest.param(page, number, backend, id=f"{name_of(page, block)}-{backend}")
    for page in PAGES
    for number, block, _ in followed(page)
    if block.language == "python"
    for backend in backends(block)
]
COMMANDS = [
    pytest.param(page, number, id=name_of(page, block))
    for page in PAGES
    for number, block, _ in followed(page)
    if block.language == "sh" and "run by" not in block.remarks
]


def like(shown: str, printed: str) -> bool:
    """Whether it is what was shown. `…` stands for what is another time another: within its line, or for whole lines."""
    lines = [re.escape(line).replace("…", "[^\n]*") + "\n" for line in shown.splitlines()]
    pattern = "".join("(?s:.*\n)?" if line == "[^\n]*\n" else line for line in lines)
    return re.fullmatch(pattern, printed) is not None


def test_dots_stand_for_what_varies() -> None:
    assert like("one\n", "one\n")
    assert not like("one\n", "one\ntwo\n")
    assert like("took … s\n", "took 0.5 s\n")
    assert not like("took … s\n", "took\n 0.5 s\n")
    for there in ("", "two\n", "two\n\nthree\n"):
        assert like("one\n…\nfour\n", f"one\n{there}four\n")
    assert not like("one\n…\nfour\n", "one\ntwo\nthree\n")


@pytest.mark.parametrize(("page", "number", "block", "after"), BLOCKS)
def test_a_block_proves_something(page: Page, number: int, block: Block, after: Block) -> None:
    """A program asserts, or prints what is compared, or is a file of a later block; other blocks are looked at by a test."""
    where = f"{page.name}:{block.line}"
    if block.language == "python":
        later = "\n".join(one.text for one in page.blocks[number + 1 :])
        used = block.file is not None and re.search(rf"\b{Path(block.file).stem}\b", later)
        asserts = any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(block.text)))
        assert after.language == "text" or asserts or used, f"{where}: it asserts nothing, and what it prints isn't shown"
    elif block.language == "text":
        before = page.blocks[number - 1] if number else NOTHING
        assert before.language in {"python", "sh"}, f"{where}: whose output is it?"
    elif block.language == "sh":
        assert "run by" in block.remarks or after.language == "text" or {*block.text.splitlines()} <= RUN_BY_CI, (
            f"{where}: what these commands print isn't shown, and no test that runs them is named"
        )
    else:
        assert block.language in FILES, f"{where}: a block in {block.language or 'no language'}"
        assert "checked by" in block.remarks, f"{where}: no test that looks at it is named"


@pytest.mark.parametrize(("page", "number", "backend"), PROGRAMS)
def test_a_program_runs_and_prints_what_is_shown(page: Page, number: int, backend: str) -> None:
    done = outcomes(page)[number, backend]
    assert done.status == 0, done.output
    after = page.blocks[number + 1] if number + 1 < len(page.blocks) else NOTHING
    if after.language == "text":
        assert like(after.text, done.output), done.output


@pytest.mark.parametrize(("page", "number"), COMMANDS)
def test_a_command_prints_what_is_shown(page: Page, number: int) -> None:
    block = page.blocks[number]
    after = page.blocks[number + 1] if number + 1 < len(page.blocks) else NOTHING
    if after.language != "text":
        runs = {line.strip() for line in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()}
        assert {*block.text.splitlines()} <= runs
        return
    done = commands(page)[number]
    assert done.status == 0, done.output
    assert like(after.text, done.output), done.output


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path.stem)
def test_a_test_that_is_named_is_there(page: Page) -> None:
    for named in page.named_tests():
        file, _, test = named.partition("::")
        assert (ROOT / file).is_file(), f"{page.name}: {file} isn't there"
        if test:
            source = (ROOT / file).read_text(encoding="utf-8")
            assert re.search(rf"def {test}\(", source), f"{page.name}: {file} has no test {test}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path.stem)
def test_links_lead_somewhere(page: Page) -> None:
    for link in page.links():
        file, _, heading = link.partition("#")
        if link.startswith("https://"):
            continue
        there = page.path.parent / file if file else page.path
        assert there.exists(), f"{page.name}: {link} isn't there"
        if heading:
            headings = re.findall(r"^#+ (.*)$", there.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in {re.sub(r"[^\w\- ]", "", one).lower().replace(" ", "-") for one in headings}, link
