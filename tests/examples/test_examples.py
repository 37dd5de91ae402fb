"""Every script in examples/ runs on its own, as a user would run it, and says what it shows.

Tested: exit status and stderr of each script on each backend that it takes; that a new file is picked up; that each begins
with a docstring that says what to look for, and ends with an assertion. chat.py is a conversation and has tests of its own;
test_an_actor.py is run by pytest.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.side_by_side import begun, side_by_side

__all__ = ("begun",)

ROOT = Path(__file__).parents[2]
ELSEWHERE = {"chat.py", "test_an_actor.py"}
HANG_GUARD = 60  # seconds; an example takes less than one
# What the logger `supervise` says: "app/counter #1 ended: …", "app: counter #1 ended: …".
LOG_LINE = re.compile(r"[a-z][\w/-]*( #\d+ |: ([\w/-]+ #\d+ ended: |.* is lost: |\d+ (more lost|waiting messages?))).*")

# What asyncio's debug mode says of a step that took 0.1 s: that is the machine's doing, with everything else that runs there.
SLOW_MACHINE = re.compile(r"Executing <.* took \d+\.\d+ seconds$")


def scripts(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.py") if path.name not in ELSEWHERE)


def runs(folder: Path) -> list[tuple[Path, tuple[str, ...]]]:
    """Each script with its arguments: once for each backend if it takes one."""
    return [
        (script, backend)
        for script in scripts(folder)
        for backend in ([("asyncio",), ("trio",)] if "sys.argv[1]" in script.read_text(encoding="utf-8") else [()])
    ]


EXAMPLES = scripts(ROOT / "examples")
RUNS = runs(ROOT / "examples")


@pytest.mark.parametrize(("script", "arguments"), RUNS, ids=["-".join((s.stem, *a)) for s, a in RUNS])
@side_by_side
def test_runs_without_a_failure_or_a_warning(script: Path, arguments: tuple[str, ...]) -> None:
    with tempfile.TemporaryDirectory() as elsewhere:
        done = subprocess.run(
            [sys.executable, "-X", "dev", "-W", "error", str(script), *arguments],
            cwd=elsewhere,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "strategies")])},
            capture_output=True,
            encoding="utf-8",
            timeout=HANG_GUARD,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout, "an example shows something"
    strange = [line for line in done.stderr.splitlines() if not LOG_LINE.fullmatch(line) and not SLOW_MACHINE.match(line)]
    assert not strange, "\n".join(strange)


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda script: script.stem)
def test_says_what_to_look_for(script: Path) -> None:
    said = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8")))
    assert said is not None
    assert "Look for:" in said


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda script: script.stem)
def test_ends_with_an_assertion(script: Path) -> None:
    module = ast.parse(script.read_text(encoding="utf-8"))
    [main] = [part for part in module.body if isinstance(part, ast.AsyncFunctionDef) and part.name == "main"]
    last: ast.stmt = main.body[-1]
    while isinstance(last, ast.AsyncWith | ast.With):
        last = last.body[-1]
    assert isinstance(last, ast.Assert)


def test_the_tests_of_an_actor_pass_on_both_backends() -> None:
    tests = ROOT / "examples" / "test_an_actor.py"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "supervise_pytest", "-p", "no:cacheprovider", "-rA", str(tests)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "strategies")])},
        capture_output=True,
        encoding="utf-8",
        timeout=HANG_GUARD,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    passed = re.findall(r"^PASSED \S+::(\w+)\[(\w+)\]", done.stdout, re.MULTILINE)
    written = re.findall(r"^async def (test_\w+)", tests.read_text(encoding="utf-8"), re.MULTILINE)
    assert {*passed} == {(name, backend) for name in written for backend in ("asyncio", "trio")}
    assert len(passed) >= 6
    assert "Look for:" in (ast.get_docstring(ast.parse(tests.read_text(encoding="utf-8"))) or "")


def test_a_new_script_is_picked_up_by_itself(tmp_path: Path) -> None:
    (tmp_path / "new.py").write_text("import sys\nprint(sys.argv[1])\n", encoding="utf-8")
    (tmp_path / "plain.py").write_text("print('no backend')\n", encoding="utf-8")
    (tmp_path / "chat.py").write_text("", encoding="utf-8")
    (tmp_path / "notes.txt").write_text("", encoding="utf-8")
    new, plain = tmp_path / "new.py", tmp_path / "plain.py"
    assert runs(tmp_path) == [(new, ("asyncio",)), (new, ("trio",)), (plain, ())]


def test_every_example_takes_both_backends() -> None:
    assert len(RUNS) == 2 * len(EXAMPLES) > 0


@pytest.mark.parametrize(
    "line",
    [
        "Traceback (most recent call last):",
        '  File "x.py", line 3, in main',
        "x.py:3: ResourceWarning: unclosed socket",
        "sys:1: RuntimeWarning: coroutine 'main' was never awaited",
        "Exception ignored in: <function Token.__del__ at 0x7f>",
        "AssertionError",
    ],
)
def test_a_warning_or_a_traceback_is_no_log_line(line: str) -> None:
    assert not LOG_LINE.fullmatch(line)
