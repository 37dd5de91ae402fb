"""Nobody is told to install what can't be had: the distribution is on no package index, where another has the name `supervise`.

What a text may name is a third-party package, or a checkout: `pip install .`, `pip install '.[trio]'`.
"""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from .house import ROOT

TEXTS = ("*.py", "*.md", "*.toml", "*.yaml", "*.yml", "run")
INSTALLS = re.compile(r"pip3? install((?:[ =][^`&;|()\n]*)?)")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXPORTERS = {"opentelemetry-exporter-otlp-proto-http", "opentelemetry-exporter-prometheus"}
THIRD_PARTY = {"msgspec", "pykka", "textual", "trio", "uvicorn", "watchfiles", *EXPORTERS}
"""What texts name; all of it is in an extra, so that a checkout brings the same."""


def texts() -> Iterator[Path]:
    folders = [ROOT / name for name in ("supervise", "strategies", "examples", "tests", ".ci", ".github")]
    found = [path for folder in folders for pattern in TEXTS for path in folder.rglob(pattern)]
    return (path for path in [*ROOT.glob("*.md"), *found] if path != Path(__file__))


def wanted(line: str) -> list[str]:
    """What a text would have pip install, without options."""
    found: list[str] = []
    for arguments in INSTALLS.findall(line):
        try:
            words = shlex.split(arguments)
        except ValueError:  # the quote ends further on, in another part of the text
            words = arguments.replace("'", " ").replace('"', " ").split()
        found += [word for word in words if not word.startswith("-")]
    return found


def impossible(word: str) -> bool:
    name = re.split(r"[\[<>=!~ ]", word.strip("\"'.,:{}"))[0].lower().replace("_", "-")
    return name in (PROJECT["name"], "supervise", "supervise-strategies", "supervise-pytest")


def test_nothing_is_to_be_installed_from_where_it_is_not() -> None:
    lines = [(path, line) for path in texts() for line in path.read_text(encoding="utf-8").splitlines()]
    wrong = [f"{path.relative_to(ROOT)}: {line.strip()}" for path, line in lines if any(map(impossible, wanted(line)))]
    assert wrong == []
    with_extras = f"{PROJECT['name']}["
    assert [f"{path.relative_to(ROOT)}: {line.strip()}" for path, line in lines if with_extras in line] == []


@pytest.mark.parametrize(
    ("line", "bad"),
    [
        ("needs pykka: pip install 'supervise-actors[pykka]'", True),
        ("run `pip install supervise`, and then", True),
        ("pip install -q --upgrade supervise_actors>=1", True),
        ("pip install -q . && .venv/bin/supervise demo", False),
        ("`pip install '.[otlp]'` in a checkout of supervise", False),
        ("needs uvicorn: pip install uvicorn", False),
    ],
)
def test_a_line_that_cannot_work_is_found(line: str, bad: bool) -> None:
    assert any(map(impossible, wanted(line))) is bad


def test_what_errors_tell_to_install_is_in_an_extra() -> None:
    extras = {re.split(r"[\[<>=!~; ]", each)[0] for extra in PROJECT["optional-dependencies"].values() for each in extra}
    assert extras >= THIRD_PARTY
    library = [path for path in texts() if path.is_relative_to(ROOT / "supervise") or path.is_relative_to(ROOT / "strategies")]
    named = {word.strip("\"'") for path in library for word in wanted(path.read_text(encoding="utf-8"))}
    assert {word for word in named if word not in (".", "{why}")} <= THIRD_PARTY
