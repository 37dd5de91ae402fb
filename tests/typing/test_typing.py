"""Both type checkers agree with `accepted.py` and with each line of `refused.py`, and the surface is typed whole."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.side_by_side import begun, side_by_side

__all__ = ("begun",)

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def run(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} isn't installed here; the extra `dev` has it")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True, check=False)


@side_by_side
def test_mypy_accepts_and_refuses_what_it_should() -> None:
    done = run("mypy", "tests/typing/accepted.py", "tests/typing/refused.py")
    assert done.returncode == 0, done.stdout


@side_by_side
def test_pyright_accepts_and_refuses_what_it_should() -> None:
    done = run("pyright", "--pythonpath", sys.executable, "tests/typing/accepted.py", "tests/typing/refused.py")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
@side_by_side
def test_a_line_that_isnt_refused_any_more_is_found_out(checker: str) -> None:
    source = (HERE / "refused.py").read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as elsewhere:
        changed = Path(elsewhere) / "refused_changed.py"
        changed.write_text(f"{source}\n\nright: int = 1  # type: ignore[assignment]\n", encoding="utf-8")
        done = run(checker, *(["--pythonpath", sys.executable] if checker == "pyright" else []), str(changed))
    assert done.returncode == 1
    (complaint,) = [line for line in done.stdout.splitlines() if "error: " in line]
    assert "nnecessary" in complaint or "unused-ignore" in complaint


@pytest.mark.parametrize("name", ["accepted", "refused"])
def test_the_cases_can_be_imported_and_do_nothing(name: str) -> None:
    assert importlib.import_module(f"tests.typing.{name}").__doc__


@side_by_side
def test_every_public_symbol_has_a_known_type() -> None:
    try:
        importlib.metadata.version("supervise-actors")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("the package isn't installed here, and pyright only verifies the types of one that is")
    done = run("pyright", "--verifytypes", "supervise", "--ignoreexternal", "--outputjson")  # of the `python` of PATH
    score = json.loads(done.stdout)["typeCompleteness"]["completenessScore"]
    assert score == 1, done.stdout
