"""SIGTERM and SIGINT to `supervise run`, in real processes: the first ends it in order, the second kills.

Tested: each moment (starting, running, stopping) with each that ignores its stop (coroutine, thread, process), on both
backends; a blocked event loop; before, while and after the user's module is imported; the end of the interpreter; a fork.
Nothing of the processes that were started is ever left. They run four at a time.
"""

from __future__ import annotations

import itertools
import os
import signal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.house import ROOT
from tests.side_by_side import begun, side_by_side

from .command import Command

__all__ = ("begun",)

TERM, INT = signal.SIGTERM, signal.SIGINT
BACKENDS = ("asyncio", "trio")
MOMENTS = ("starting", "running", "stopping")
DEAF = ("coroutine", "thread", "process")
TAKEN = "stopping app"  # what is said when the first signal has been heard

on_both = pytest.mark.parametrize("backend", BACKENDS)
in_each_case = pytest.mark.parametrize(("moment", "deaf"), [*itertools.product(MOMENTS, DEAF)])


@on_both
@in_each_case
@side_by_side
def test_79_the_first_signal_ends_it_within_the_budget(backend: str, moment: str, deaf: str) -> None:
    with Command(f"tests.cli.deaf:{moment}.{deaf}", "--backend", backend, "--shutdown-budget", "0.2") as command:
        command.until_said("there")
        command.send(TERM)
        status = command.status()
        assert "Traceback" not in command.said
        if deaf == "process":
            assert status == 0, command.said
        else:
            assert status == 70, command.said
            assert "supervise: app/deaf #1 outlived its cancellation" in command.said


@on_both
@in_each_case
@side_by_side
def test_79_the_second_signal_kills(backend: str, moment: str, deaf: str) -> None:
    with Command(f"tests.cli.deaf:{moment}.{deaf}", "--backend", backend, "--shutdown-budget", "3600") as command:
        command.until_said("there")
        command.send(TERM)
        command.until_said(TAKEN)
        command.send(INT)
        assert command.status() == 128 + INT, command.said
        assert "supervise: SIGINT again: all is killed\n" in command.said
        assert "Traceback" not in command.said


@on_both
@side_by_side
def test_a_blocked_event_loop_does_not_swallow_the_second_signal(backend: str) -> None:
    with Command("tests.cli.deaf:blocked", "--backend", backend, "--shutdown-budget", "3600") as command:
        command.until_said("there")
        command.send(TERM)
        command.until_said(TAKEN)
        command.send(TERM)
        assert command.status() == 128 + TERM


@on_both
@side_by_side
def test_a_blocked_event_loop_is_left_after_the_budget_and_the_line_that_blocks_it_is_said(backend: str) -> None:
    with Command("tests.cli.deaf:blocked", "--backend", backend, "--shutdown-budget", "0") as command:
        command.until_said("there")
        command.send(TERM)
        assert command.status() == 70
        assert "app/deaf #1, app/blocked #1 outlived its cancellation" in command.said
        assert "the main thread is at" in command.said
        assert "deaf.py:" in command.said


@on_both
@side_by_side
def test_25_an_end_that_nobody_asked_for_is_left_after_the_budget_too(backend: str) -> None:
    with Command("tests.cli.deaf:stopping.coroutine", "--backend", backend, "--shutdown-budget", "0") as command:
        command.until_said("there")
        assert command.status() == 70
        assert "app/deaf #1 outlived its cancellation" in command.said


@on_both
@side_by_side
def test_an_end_of_the_interpreter_that_hangs_is_left_after_the_budget(backend: str) -> None:
    with Command("tests.cli.deaf:lingering", "--backend", backend, "--shutdown-budget", "0") as command:
        command.until_said("there")
        assert command.status() == 70


@on_both
@side_by_side
def test_an_end_of_the_interpreter_that_hangs_is_killed_by_the_second_signal(backend: str) -> None:
    with Command("tests.cli.deaf:lingering", "--backend", backend, "--shutdown-budget", "3600") as command:
        command.until_said("there")
        command.until_asleep()
        command.send(INT)
        command.until_said("SIGINT: the end has begun already")
        command.send(TERM)
        assert command.status() == 128 + TERM
        assert "Traceback" not in command.said


SENDER = """
import os, signal, sys

class Sender:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.{name})

sys.meta_path.insert(0, Sender())
"""
SENDS_AT_AN_IMPORT = f"""{SENDER}
from supervise.cli.main import main
sys.exit(main())
"""


@pytest.mark.parametrize("number", [TERM, INT])
@pytest.mark.parametrize("module", ["anyio", "supervise.cli", "supervise.cli.main", "supervise.cli.run", "tests.cli.trees"])
@side_by_side
def test_a_signal_at_any_import_is_an_end_with_status_0(module: str, number: signal.Signals) -> None:
    program = ["-c", SENDS_AT_AN_IMPORT.format(module=module, name=number.name)]
    with Command("tests.cli.trees:ORDERLY", program=program) as command:
        assert command.status() == 0, command.said
        assert "start a" not in command.said
        assert "Traceback" not in command.said


@side_by_side
def test_an_import_that_hangs_is_given_up_in_order() -> None:
    with Command("tests.cli.slow_module:TREE") as command:
        command.until_said("there")
        command.send(INT)
        assert command.status() == 0
        assert "cleared up" in command.said
        assert "Traceback" not in command.said


@side_by_side
def test_a_factory_that_hangs_is_given_up_in_order() -> None:
    with Command("tests.cli.factories:slow", "--factory") as command:
        command.until_said("there")
        command.send(TERM)
        assert command.status() == 0
        assert "SIGTERM: loading 'tests.cli.factories:slow' is given up" in command.said
        assert "cleared up" in command.said
        assert "Traceback" not in command.said


@pytest.mark.parametrize("package", ["supervise", "supervise.__main__", "supervise.cli.main"])
@pytest.mark.parametrize("module", ["anyio", "tests.cli.trees"])
@side_by_side
def test_the_package_as_a_program_hears_signals_from_its_first_moment(package: str, module: str) -> None:
    with TemporaryDirectory() as folder:
        Path(folder, "sitecustomize.py").write_text(SENDER.format(module=module, name="SIGTERM"), encoding="utf-8")
        path = os.pathsep.join([folder, str(ROOT), str(ROOT / "strategies")])
        for program in (["-m", package], [f"-m{package}"]):
            with Command("tests.cli.trees:ORDERLY", program=program, PYTHONPATH=path) as command:
                assert command.status() == 0, command.said
                assert "start a" not in command.said
                assert "Traceback" not in command.said


@side_by_side
def test_an_import_that_swallows_the_first_signal_is_killed_by_the_second() -> None:
    with Command("tests.cli.deaf_module:TREE") as command:
        command.until_said("there 0")
        command.send(INT)
        command.until_said("there 1")
        command.send(TERM)
        assert command.status() == 128 + TERM


@on_both
@side_by_side
def test_a_fork_is_ended_by_signals_as_ever(backend: str) -> None:
    with Command("tests.cli.deaf:forking", "--backend", backend) as command:
        command.until_said(f"the fork was ended by signal {TERM:d}")
        command.send(TERM)
        assert command.status() == 0
