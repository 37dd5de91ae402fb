"""What it costs to be watched, in small: a turn is measured, and what is over a limit is told and is exit code 1."""

from __future__ import annotations

import pytest

from . import live
from .live import Turn


def test_a_tree_is_measured_in_turns_with_and_without_watchers() -> None:
    turns = live.measure("10", 1, 0.05)
    assert [(watchers, len(seen)) for watchers, seen in turns.items()] == [(0, 1), (1, 1), (5, 1)]
    assert all(turn.cpu > 0 and turn.late > 0 for seen in turns.values() for turn in seen)


@pytest.mark.parametrize(
    ("watched", "status", "said"),
    [
        (Turn(12.9, 5.9, 500), 0, "100/s    12.90 %   +2.90      5.90 ms   +4.90\n"),
        (Turn(13.1, 1.0, 500), 1, "+3.10      1.00 ms   +0.00  OVER\n"),
        (Turn(10.0, 6.1, 500), 1, "+0.00      6.10 ms   +5.10  OVER\n"),
    ],
)
def test_what_is_over_a_limit_is_told(
    watched: Turn, status: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    quiet = Turn(10.0, 1.0, 500)

    def measure(scenario: str, rounds: int, seconds: float) -> dict[int, list[Turn]]:
        return {0: [quiet] * 3, 1: [quiet, watched, watched]}

    monkeypatch.setattr(live, "measure", measure)
    assert live.main(["chat"]) == status
    assert said in capsys.readouterr().out
