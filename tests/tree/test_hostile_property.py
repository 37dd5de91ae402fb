"""Whatever hostile code does, and wherever: the promises hold in trees and plays that are drawn by a seed.

SEMANTICS 65, 10, 21. All that a user can hand over (`malice.KINDS`) raises whatever can be raised, blocks, or calls back into
the library, whenever it is called. Tested, at every step and at the end of each play:
- what ends the tree is what passes up (KeyboardInterrupt from anywhere; SystemExit from handler, factory, hook, nursery task,
  timer or policy), a spent limit, or somebody's own call; and what leaves the tree then is that very error, or names a culprit
- innocent neighbours answer and yield all the while, at once, in their first life
- the accounts balance, and nothing is queued or in hand when all is over
- nothing is left: no task, no timer, no thread; and the backend has nothing to complain of
- it comes to an end, in virtual time

In short, 150 plays on each backend, others on each CPython. What this leaves out, 20,000 of each:

    HYPOTHESIS_PROFILE=long pytest tests/tree/test_hostile_property.py
"""

from __future__ import annotations

import pytest

from tests.fresh_process import in_a_fresh_process
from tests.long_form import LONG, SEED
from tests.side_by_side import begun, side_by_side

from .hostile import play
from .malice import KINDS

__all__ = ("begun",)

EXAMPLES = 20_000 if LONG else 150
FIRST = SEED * 1000


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@side_by_side
def test_hostile_code_harms_nobody_but_itself(backend: str) -> None:
    plays = ["--backend", backend, "--examples", str(EXAMPLES), "--from-seed", str(FIRST)]
    done = in_a_fresh_process("-W", "error", "-m", "tests.tree.hostile", *plays)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{EXAMPLES} examples on {backend}, 0 failed" in done.stdout
    assert done.stderr == ""  # as of an exception that nobody could raise


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_seed_gives_the_same_play_again(backend: str) -> None:
    stories = [_story(backend, seed) for seed in range(5)]
    assert sum(map(len, stories)) > 100
    assert [_story(backend, seed) for seed in range(5)] == stories


def _story(backend: str, seed: int) -> list[str]:
    example, _ = play(backend, seed, frozenset(KINDS))
    return [str(note) for note in example.malice.notes]
