"""The larger programs of examples/programs/ run as a user runs them, on each backend, and assert what they show.

Tested: exit status and stderr of each; that each has a size that can be read at one go, says what to look for, ends with an
assertion, and is in the guide's list. What they do is in virtual time, or waits for facts: none of them needs a fast machine.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.side_by_side import begun, side_by_side

from .scripts import ROOT, backends, ends_with_an_assertion, run, says_what_to_look_for

__all__ = ("begun",)

PROGRAMS = sorted((ROOT / "examples" / "programs").glob("*.py"))
ON_ONE_BACKEND = {"bank_pykka.py"}  # pykka alone, as it was before it was moved
RUNS = [(program, backend) for program in PROGRAMS for backend in backends(program)]
each_program = pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.stem)


@pytest.mark.parametrize(("program", "arguments"), RUNS, ids=["-".join((p.stem, *a)) for p, a in RUNS])
@side_by_side
def test_runs_without_a_failure_or_a_warning(program: Path, arguments: tuple[str, ...]) -> None:
    run(program, arguments)


def test_all_but_the_one_that_is_moved_take_both_backends() -> None:
    assert {program.name for program in PROGRAMS if len(backends(program)) < 2} == ON_ONE_BACKEND
    assert len(RUNS) == 2 * len(PROGRAMS) - len(ON_ONE_BACKEND) > 1


@each_program
def test_is_of_a_size_that_can_be_read_at_one_go(program: Path) -> None:
    assert 60 <= len(program.read_text(encoding="utf-8").splitlines()) <= 150


@each_program
def test_says_what_to_look_for(program: Path) -> None:
    assert says_what_to_look_for(program)


@each_program
def test_ends_with_an_assertion(program: Path) -> None:
    assert ends_with_an_assertion(program)


def test_every_program_is_in_the_guides_list() -> None:
    index = (ROOT / "examples" / "guide" / "README.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"\(\.\./programs/(\w+\.py)\)", index)) == [program.name for program in PROGRAMS]
