"""The kill loop in short; its long form is `python -m tests.cli.kill_loop --runs 200`."""

from __future__ import annotations

from .kill_loop import Outcome, Run, outcomes, plan, table

GUARD = 30.0  # seconds beyond the stop time: only a hang takes so long, whatever else the processor has to do
AT_ONCE = 4


def test_64_a_busy_program_that_is_interrupted_at_any_instant_ends_and_leaves_nothing() -> None:
    done = outcomes(plan(6, seed=1, kinds=["bare"]) + plan(6, seed=2, kinds=["run"]), GUARD, AT_ONCE)
    assert not any(outcome.wrong for _, outcome in done), table(done)


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
