"""Every script in examples/ runs on its own, as a user would run it, and says what it shows.

Tested: exit status and stderr of each script on each backend that it takes; that a new file is picked up; that each begins
with a docstring that says what to look for, and ends with an assertion. chat.py and wire_client.py talk to somebody, and have
tests of their own; test_an_actor.py is run by pytest.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.side_by_side import begun, side_by_side

from .scripts import (
    HANG_GUARD,
    LOG_LINE,
    ROOT,
    backends,
    ends_with_an_assertion,
    run,
    says_what_to_look_for,
    strange_lines,
)

__all__ = ("begun",)

ELSEWHERE = {"chat.py", "test_an_actor.py", "wire_client.py"}


def scripts(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.py") if path.name not in ELSEWHERE)


def runs(folder: Path) -> list[tuple[Path, tuple[str, ...]]]:
    """Each script with its arguments: once for each backend if it takes one."""
    return [(script, backend) for script in scripts(folder) for backend in backends(script)]


EXAMPLES = scripts(ROOT / "examples")
RUNS = runs(ROOT / "examples")


@pytest.mark.parametrize(("script", "arguments"), RUNS, ids=["-".join((s.stem, *a)) for s, a in RUNS])
@side_by_side
def test_runs_without_a_failure_or_a_warning(script: Path, arguments: tuple[str, ...]) -> None:
    run(script, arguments)


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda script: script.stem)
def test_says_what_to_look_for(script: Path) -> None:
    assert says_what_to_look_for(script)


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda script: script.stem)
def test_ends_with_an_assertion(script: Path) -> None:
    assert ends_with_an_assertion(script)


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
    assert says_what_to_look_for(tests)


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
    assert strange_lines(f"app/a #1 started\n{line}") == [line]


def test_a_traceback_is_a_crashs_own_and_a_warning_never_is() -> None:
    crash = "app/a #1 ended: crashed (Boom)\nTraceback (most recent call last):\n  File 'x.py', line 3, in main\nBoom\n"
    assert strange_lines(crash) == []
    for line in ("x.py:3: ResourceWarning: unclosed socket", "Exception ignored in: <function Token.__del__ at 0x7f>"):
        assert strange_lines(f"{crash}{line}") == [line]
    assert strange_lines(f"{crash}app/a #2 started\nBoom") == ["Boom"]
