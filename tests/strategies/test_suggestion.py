"""Which name was meant by a wrong one: the same in other letters, the only one that begins so, or the most similar."""

from __future__ import annotations

import time
from typing import Any

import pytest

from supervise_strategies.suggestion import COMPARED, LONGEST, did_you_mean, nearest

NAMES = ("restart", "retry_start", "stop_within", "start_within", "TREE")


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("restrat", "restart"),
        ("RESTART", "restart"),
        ("tree", "TREE"),
        ("TREEE", "TREE"),
        ("stop", "stop_within"),
        ("retry", "retry_start"),
        ("s", None),
        ("timeout", None),
        ("", None),
        ("x" * 1_000_000, None),
        (7, None),
        (None, None),
    ],
)
def test_the_nearest_name(wrong: Any, meant: str | None) -> None:
    assert nearest(wrong, NAMES) == meant
    assert did_you_mean(wrong, NAMES) == ("" if meant is None else f"did you mean {meant!r}? ")


def test_what_is_no_name_is_passed_over() -> None:
    names: list[Any] = [7, None, "x" * (LONGEST + 1), "restart"]
    assert nearest("restrat", names) == "restart"


class Rude(str):
    """A name that answers nothing."""

    def __len__(self) -> int:
        raise RuntimeError

    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    def __hash__(self) -> int:
        raise RuntimeError

    def lower(self) -> str:
        raise RuntimeError

    def startswith(self, *_: Any) -> bool:
        raise RuntimeError


def test_names_of_a_class_of_ones_own_are_texts() -> None:
    assert nearest(Rude("restrat"), [Rude("restart")]) == "restart"


def test_among_very_many_it_takes_no_longer_than_among_some() -> None:
    began = time.process_time()
    assert nearest("worker-x", (f"worker-{n}" for n in range(10**7))) is not None
    assert time.process_time() - began < 2  # it takes about 2 ms; all of them would take a minute
    assert nearest("last", [*("other" for _ in range(COMPARED)), "last"]) is None
