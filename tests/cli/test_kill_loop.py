"""The kill loop in short; its long form is `python -m tests.cli.kill_loop --runs 200`."""

from __future__ import annotations

import pytest

from tests.fresh_process import in_a_fresh_process

from .kill_loop import KINDS, Outcome, Run, table

GUARD = "30"  # seconds beyond the stop time: only a hang takes so long, whatever else the processor has to do
SEEDS = {"bare": "1", "run": "2"}


@pytest.mark.parametrize("kind", KINDS)
def test_64_a_busy_program_that_is_interrupted_at_any_instant_ends_and_leaves_nothing(kind: str) -> None:
    runs = ["--kind", kind, "--runs", "6", "--seed", SEEDS[kind], "--more", GUARD, "--at-once", "4"]
    done = in_a_fresh_process("-m", "tests.cli.kill_loop", *runs)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sum(line.startswith(kind) for line in done.stdout.splitlines()) == 2  # a line for each backend


def test_a_run_that_fails_is_shown_with_its_seed_and_what_it_said() -> None:
    run = Run("bare", "trio", 7, True)
    shown = table([(run, Outcome(3.21, "status 1", "Traceback\nboom")), (run, Outcome(0.5, "", "fine"))])
    assert shown.split("\n") == [
        "kind  backend   runs  twice  lost  failed   worst",
        "bare  trio         2      2     0       1    3.2s",
        "",
        "bare trio --seed 7 --twice: status 1",
        "    Traceback",
        "    boom",
    ]
