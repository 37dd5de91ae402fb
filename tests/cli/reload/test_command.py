"""`supervise run --reload` in real processes, with the real watcher.

Tested: a change is seen, in place, aside and renamed, in a new folder; SIGTERM and SIGINT end it as ever, also while it waits,
and while a module is imported; a tree that gave up, or did not start, waits for a change; one that starts is started anew;
a file as target; what is broken; no watchfiles.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import dedent
from typing import Any

import pytest

from tests.cli.command import GUARD, Command
from tests.house import ROOT
from tests.side_by_side import begun, side_by_side

__all__ = ("begun",)

BACKENDS = ("asyncio", "trio")
on_both = pytest.mark.parametrize("backend", BACKENDS)
LOUD = """
    class Loud:
        def __init__(self, name):
            self.name = name
        async def __aenter__(self):
            print("start", self.name, "1", flush=True)
            return self
        async def __aexit__(self, *_):
            print("stop", self.name, "1", flush=True)
"""
APP = """
    from supervise import Intensity, Supervisor, child
    from loud import Loud
    from other import Other
    TREE = Supervisor("app", child(Loud, "a", name="a"), child(Other, name="other"), intensity=Intensity(0))
"""
OTHER = "class Other: ...\n"
BROKEN = "supervise: reload: loud.py can't be imported (ZeroDivisionError: division by zero): the old code runs on"
RESTARTED = "supervise: reload: loud.py: restarted app/a; 1 actor of unchanged code runs on"


class Program:
    """Its files, and the command that runs it."""

    def __init__(self, *arguments: str, target: str = "app:TREE", **texts: str) -> None:
        self._folder = TemporaryDirectory()
        self.folder = Path(self._folder.name)
        self.write(**{"loud": LOUD, "other": OTHER, "app": APP, **texts})
        self.command = Command("--reload", target, *arguments, folder=self.folder)

    def write(self, **texts: str) -> None:
        for name, text in texts.items():
            (self.folder / f"{name}.py").write_text(dedent(text), encoding="utf-8")

    def __enter__(self) -> tuple[Program, Command]:
        self.command.__enter__()
        return self, self.command

    def __exit__(self, *error: Any) -> None:
        self.command.__exit__(*error)
        self._folder.cleanup()


def loud(version: str) -> str:
    return LOUD.replace('"1"', f'"{version}"')


@on_both
@side_by_side
def test_a_change_is_seen_however_it_is_written(backend: str) -> None:
    with Program("--backend", backend) as (program, command):
        command.until_said("start a 1")
        program.write(loud=loud("2"))
        command.until_said(RESTARTED)
        command.until_said("start a 2")
        aside = program.folder / ".loud.py.swp"
        aside.write_text(dedent(loud("3")), encoding="utf-8")
        os.replace(aside, program.folder / "loud.py")
        command.until_said("start a 3")
        program.write(loud=loud("4") + "    1 / 0\n")
        command.until_said(BROKEN)
        assert 'loud.py", line' in command.said
        program.write(loud=loud("5"))
        command.until_said("start a 5")
        command.until_said_times(RESTARTED, 3)  # which is said after the start
        assert "start a 4" not in command.said
        assert "other" not in command.said.replace("app/other", "")
        command.send(signal.SIGTERM)
        assert command.status() == 0
        assert command.said.count(RESTARTED) == 3
        assert "stop a 5" in command.said
        assert "detected" not in command.said


@on_both
@side_by_side
def test_a_new_folder_is_watched_and_a_folder_of_tools_is_not(backend: str) -> None:
    with Program("--backend", backend) as (program, command):
        command.until_said("start a 1")
        program.write(app=APP + "\n    from parts.big import SIZE\n    print('size', SIZE, flush=True)\n")
        command.until_said(
            "supervise: reload: app.py can't be imported (ModuleNotFoundError: No module named 'parts'): the old code runs on"
        )
        for folder in ("parts", "node_modules"):
            (program.folder / folder).mkdir()
            (program.folder / folder / "big.py").write_text("SIZE = 1\n", encoding="utf-8")
        command.until_said("size 1")
        (program.folder / "parts" / "big.py").write_text("SIZE = 2\n", encoding="utf-8")
        command.until_said("size 2")
        command.send(signal.SIGINT)
        assert command.status() == 0


@on_both
@side_by_side
def test_a_tree_that_gave_up_waits_for_the_next_change(backend: str) -> None:
    with Program("--backend", backend) as (program, command):
        command.until_said("start a 1")
        program.write(loud="class Loud:\n    def __init__(self, name):\n        raise OSError('no port')\n")
        command.until_said("supervise: reload: app doesn't run: the next change starts it anew")
        assert "no port" in command.said
        assert "gave up" in command.said
        program.write(loud="1 / 0")
        command.until_said(BROKEN)
        program.write(loud=loud("3"))
        command.until_said("supervise: reload: app is started anew")
        command.until_said("start a 3")
        program.write(loud=loud("4"))
        command.until_said("start a 4")
        command.send(signal.SIGTERM)
        assert command.status() == 0
        assert "stop a 4" in command.said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@on_both
@side_by_side
def test_a_tree_that_does_not_start_waits_and_a_signal_ends_it(backend: str, number: signal.Signals) -> None:
    with Program("--backend", backend, loud=LOUD.replace("self.name = name", "raise OSError('no port')")) as (_, command):
        command.until_said("supervise: reload: app doesn't run: the next change starts it anew")
        command.send(number)
        assert command.status() == 0
        assert command.said.count("Traceback") == 1


@on_both
@side_by_side
def test_a_start_that_hangs_is_begun_anew_with_the_new_code(backend: str) -> None:
    hanging = "import anyio\n" + dedent(LOUD).replace("return self", "await anyio.sleep_forever()")
    with Program("--backend", backend, loud=hanging) as (program, command):
        command.until_said("start a 1")
        program.write(loud=loud("2"))
        command.until_said("supervise: reload: app is started anew")
        command.until_said("start a 2")
        command.send(signal.SIGTERM)
        assert command.status() == 0


@on_both
@side_by_side
def test_another_root_is_started_anew(backend: str) -> None:
    with Program("--backend", backend) as (program, command):
        command.until_said("start a 1")
        program.write(app=APP.replace('"app"', '"shop"'))
        command.until_said("supervise: reload: shop is started anew")
        command.until_said_times("start a 1", 2)
        assert command.said.index("stop a 1") < command.said.rindex("start a 1")
        program.write(loud=loud("2"))
        command.until_said("supervise: reload: loud.py: restarted shop/a; 1 actor of unchanged code runs on")
        command.send(signal.SIGTERM)
        assert command.status() == 0


@on_both
@side_by_side
def test_an_import_that_hangs_is_given_up_by_the_signal_that_ends_it(backend: str) -> None:
    with Program("--backend", backend) as (program, command):
        command.until_said("start a 1")
        program.write(loud="print('hangs', flush=True)\nwhile True: pass\n")
        command.until_said("hangs")
        command.send(signal.SIGTERM)
        assert command.status() == 0, command.said
        assert "stop a 1" in command.said
        assert "Traceback" not in command.said


@on_both
@side_by_side
def test_a_file_as_target(backend: str) -> None:
    with Program("--backend", backend, target="app.py:TREE") as (program, command):
        command.until_said("start a 1")
        program.write(app=APP.replace('Loud, "a"', 'Loud, "b"'))
        command.until_said("supervise: reload: app.py: restarted app/a; 1 actor of unchanged code runs on")
        command.until_said("start b 1")
        command.send(signal.SIGTERM)
        assert command.status() == 0


@on_both
@side_by_side
def test_the_second_signal_kills_it_as_ever(backend: str) -> None:
    shielded = "with anyio.CancelScope(shield=True):\n            await anyio.sleep_forever()\n        "
    deaf = "import anyio\n" + dedent(LOUD).replace('print("stop"', f'{shielded}print("stop"')
    with Program("--backend", backend, "--shutdown-budget", "3600", loud=deaf) as (_, command):
        command.until_said("start a 1")
        command.send(signal.SIGTERM)
        command.until_said("stopping app")
        command.send(signal.SIGINT)
        assert command.status() == 128 + signal.SIGINT


def test_without_watchfiles_it_says_what_to_install(tmp_path: Path) -> None:
    code = "import sys; sys.modules['watchfiles'] = None; from supervise.cli.main import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code, "run", "--reload", "app:TREE"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'strategies'}"},
        capture_output=True,
        text=True,
        timeout=GUARD,
        check=False,
    )
    assert (done.returncode, done.stderr) == (2, "supervise: --reload: watchfiles isn't installed: pip install watchfiles\n")
