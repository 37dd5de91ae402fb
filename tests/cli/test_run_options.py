"""`--log-level`, `--log-arguments`, `--backend trio` without trio, `--version`, and options that aren't well said.

Tested: what is on stderr is what is asked for, of the program's loggers and of `supervise`; a file of `--log` has the same
whatever is asked for; a demo is silent unless it is asked; a wrong level is refused with the choices.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import supervise
from supervise.cli.main import main
from tests.cli.secretive import SECRET
from tests.house import ROOT
from tests.long_form import on
from tests.side_by_side import begun, side_by_side

__all__ = ("begun",)

GUARD = 60.0
TREE = "tests.cli.chatty:TREE"


def command(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'strategies'}", **variables}
    return subprocess.run(
        [sys.executable, "-m", "supervise", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=GUARD,
        check=False,
    )


def shown(*arguments: str, backend: str = "asyncio") -> dict[str, set[str]]:
    """The levels of the records on stderr, by logger."""
    done = command("run", TREE, "--backend", backend, *arguments)
    assert done.returncode == 0, done.stderr
    found: dict[str, set[str]] = {}
    for level, logger in re.findall(r"^[\d-]+ [\d:,]+ (\w+) (\w+): ", done.stderr, re.MULTILINE):
        found.setdefault(logger, set()).add(level)
    return found


ALL = {"DEBUG", "INFO", "WARNING", "ERROR"}


@on("trio")
@pytest.mark.parametrize(
    ("arguments", "shop", "own", "library"),
    [
        ((), ALL - {"DEBUG"}, ALL, False),
        (("--log-level", "DEBUG"), ALL, ALL, True),
        (("--log-level", "info"), ALL - {"DEBUG"}, ALL - {"DEBUG"}, False),
        (("--log-level", "Warn"), {"WARNING", "ERROR"}, {"WARNING", "ERROR"}, False),
        (("--log-level", "error"), {"ERROR"}, {"ERROR"}, False),
        (("--log-level", "critical"), set[str](), set[str](), False),
        (("--log-level", "notset"), ALL, ALL, True),
    ],
)
@side_by_side
def test_the_level_is_that_of_what_is_shown(
    backend: str, arguments: tuple[str, ...], shop: set[str], own: set[str], library: bool
) -> None:
    found = shown(*arguments, backend=backend)
    assert found.get("shop", set()) == shop
    assert found.get("own", set()) == own
    assert ("DEBUG" in found.get("supervise", set())) is library  # it says starts and orderly ends there


@pytest.mark.parametrize("level", ["debug", "critical"])
def test_a_file_has_a_level_of_its_own(level: str, tmp_path: Path) -> None:
    def levels_in(name: str, *arguments: str) -> tuple[dict[str, set[str]], list[tuple[str, str]]]:
        found = shown("--log", str(tmp_path / name), *arguments)
        records = [json.loads(line) for line in (tmp_path / name).read_text(encoding="utf-8").splitlines()]
        return found, [(record["logger"], record["level"]) for record in records]

    _, without = levels_in("without.jsonl")
    found, there = levels_in("with.jsonl", "--log-level", level)
    assert there == without
    assert ("shop", "INFO") in there
    assert ("shop", "DEBUG") not in there
    assert ("own", "DEBUG") in there
    assert ("supervise", "DEBUG") in there
    assert ("DEBUG" in found.get("shop", set())) is (level == "debug")


@pytest.mark.parametrize("shown_too", [False, True])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_what_was_sent_is_in_no_record_unless_it_is_asked_for(shown_too: bool, backend: str, tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    arguments = ("run", "tests.cli.secretive:TREE", "--backend", backend, "--log", str(file))
    done = command(*arguments, *(["--log-arguments"] if shown_too else []))
    assert done.returncode == 0, done.stderr
    written = file.read_text(encoding="utf-8")
    for word in ("DeadLetter", "no such vault", "CallTimeout: app/vault: Vault.wait("):
        assert word in written
    assert (SECRET in written) is shown_too
    assert (SECRET in done.stderr) is shown_too


def test_a_demo_shows_records_when_it_is_asked() -> None:
    done = command("demo", "--log-level", "warning")
    assert done.returncode == 0
    assert "ERROR supervise: chat/rooms/lobby #1 ended: crashed" in done.stderr


CHOICES = "there are DEBUG, INFO, WARNING, ERROR, CRITICAL"


@pytest.mark.parametrize("name", ["run", "demo"])
@pytest.mark.parametrize(("level", "said"), [("warnin", f"did you mean 'WARNING'? {CHOICES}"), ("10", CHOICES)])
def test_a_wrong_level_is_refused_with_the_choices(
    name: str, level: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main([name, *([TREE] if name == "run" else []), "--log-level", level])
    assert left.value.code == 2
    err = capsys.readouterr().err
    assert f"error: argument --log-level: '{level}' isn't a level of log records: " in err
    assert said in err


@pytest.mark.parametrize("seconds", ["soon", "-1", "nan"])
def test_a_wrong_budget_is_refused_by_its_value(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["run", TREE, f"--shutdown-budget={seconds}"])
    assert left.value.code == 2
    assert f"argument --shutdown-budget: '{seconds}' isn't a number of seconds, 0 or more" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [("run", TREE), ("demo",)])
def test_trio_that_is_not_installed_is_one_line_with_the_cure(arguments: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['trio'] = None\n", encoding="utf-8")
    path = os.pathsep.join([str(tmp_path), str(ROOT), str(ROOT / "strategies")])
    done = command(*arguments, "--backend", "trio", PYTHONPATH=path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "supervise: --backend trio: trio isn't installed: pip install trio\n"


def test_trio_that_lacks_something_itself_is_told_with_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "trio.py").write_text("import no_such_module\n", encoding="utf-8")
    path = os.pathsep.join([str(tmp_path), str(ROOT), str(ROOT / "strategies")])
    done = command("run", TREE, "--backend", "trio", PYTHONPATH=path)
    assert done.returncode == 2
    assert done.stderr == (
        "supervise: --backend trio: ModuleNotFoundError: No module named 'no_such_module': pip install trio\n"
    )


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--version"])
    assert left.value.code == 0
    assert capsys.readouterr().out == f"supervise-actors {supervise.__version__}\n"


@pytest.mark.parametrize("arguments", [(), ("run",), ("tree",), ("explain",), ("demo",), ("columns",)])
def test_help_says_what_each_option_is_for(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main([*arguments, "--help"])
    assert left.value.code == 0
    said = capsys.readouterr().out
    options = re.findall(r"^  (--[\w-]+)(?: \S+)*?(?:  +(\S.*))?$(?:\n {20,}(\S.*))?", said, re.MULTILINE)
    assert [option for option, beside, below in options if not (beside or below)] == []
