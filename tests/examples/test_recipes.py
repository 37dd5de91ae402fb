"""Each recipe runs on its own, against the real thing that it is about, and shows what it says.

Tested: status, stderr and output of each, on each backend that it takes; its last line asserts; it is short, says what to look
for, and what has to be installed; the index lists it. Without the package that it is about it is skipped.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from pathlib import Path

import pytest

from tests.side_by_side import begun, side_by_side

from .scripts import ROOT, backends, run

__all__ = ("begun",)

FOLDER = ROOT / "examples" / "recipes"
RECIPES = sorted(FOLDER.glob("*.py"))
LIMIT = 80  # lines that count
# Where a package is found under another name than that by which it is installed.
INSTALLED_AS = {"grpc": "grpcio", "paho": "paho-mqtt"}
OURS = {"anyio", "supervise", "tenacity"}
SHOWN = {
    "consumer": r"(sends mail \d: \d\n)+done: \['mail 1', 'mail 3'.*\]; buried: \['mail two'\]; restarts: 1\n",
    "database_pool": r"an answer: CHECK constraint failed.*\nafter a crash: \[0, 1, 2, .*, 19\]  cached: 8\n",
    "grpc_server": r"tea: 2 .*\nplum: NOT_FOUND, .*\nthe connection: UNAVAILABLE, .*\ntea: 1 .*\ntea: 0 .*\n",
    "mqtt_client": r"\[20\.1, .*, 20\.5\]\n",
    "multiprocessing_worker": r"an answer: .*division.* by zero\nafter a crash: 100\n",
    "process_pool": r"0 ZeroDivisionError: .*\n1 1\.000\n2 0\.500\n3 ActorCrashed: .* BrokenProcessPool.*\n(\d 0\.\d+\n){4}",
    "web_aiohttp": r"tea: 200  plum: 404\nas the database goes away: \{.*503: \d+.*\}  then: 200\n",
}


def third_party(script: Path) -> list[str]:
    """The packages that it imports and that aren't ours, nor what we need."""
    tree = ast.parse(script.read_text(encoding="utf-8"))
    named = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    named += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return sorted({name.split(".")[0] for name in named} - OURS - sys.stdlib_module_names)


def runs() -> list[object]:
    found: list[object] = []
    for script in RECIPES:
        missing = [package for package in third_party(script) if importlib.util.find_spec(package) is None]
        names = ", ".join(INSTALLED_AS.get(package, package) for package in missing)
        skipped = pytest.mark.skipif(bool(missing), reason=f"{script.name} is about {names}, which isn't installed")
        found += [pytest.param(script, each, id="-".join((script.stem, *each)), marks=skipped) for each in backends(script)]
    return found


@pytest.mark.parametrize(("script", "arguments"), runs())
@side_by_side
def test_runs_without_a_failure_or_a_warning_and_shows_what_it_says(script: Path, arguments: tuple[str, ...]) -> None:
    output = run(script, arguments)
    assert re.fullmatch(SHOWN[script.stem], output), output


@pytest.mark.parametrize("script", RECIPES, ids=lambda script: script.stem)
def test_is_short_says_what_to_look_for_and_what_it_needs(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    assert len([line for line in text.splitlines() if line.strip()]) < LIMIT
    said = ast.get_docstring(ast.parse(text)) or ""
    assert "Look for:" in said
    assert re.findall(r"`pip install ([\w-]+)`", said) == [INSTALLED_AS.get(name, name) for name in third_party(script)]


@pytest.mark.parametrize("script", RECIPES, ids=lambda script: script.stem)
def test_ends_with_an_assertion(script: Path) -> None:
    module = ast.parse(script.read_text(encoding="utf-8"))
    [main] = [part for part in module.body if isinstance(part, ast.AsyncFunctionDef) and part.name == "main"]
    last: ast.stmt = main.body[-1]
    while isinstance(last, ast.AsyncWith | ast.With):
        last = last.body[-1]
    assert isinstance(last, ast.Assert)


def test_the_index_lists_each_and_nothing_else() -> None:
    index = (FOLDER / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| .* \| \[(\w+\.py)\]\((\w+\.py)\) \|", index, re.MULTILINE)
    assert [name for name, _ in rows] == [link for _, link in rows]
    assert sorted(name for name, _ in rows) == [script.name for script in RECIPES]
    assert {script.stem for script in RECIPES} == set(SHOWN)


def test_what_they_need_is_in_an_extra_that_the_tests_do_without() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    extra = re.search(r"^recipes = \[(.*?)\]$", text, re.MULTILINE | re.DOTALL)
    assert extra is not None
    needed = {INSTALLED_AS.get(name, name) for script in RECIPES for name in third_party(script)}
    assert set(re.findall(r'"([\w-]+)', extra[1])) == needed
