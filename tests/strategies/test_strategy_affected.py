"""Which siblings a restart takes with it.

Tested: SEMANTICS 5, as a table; that children are told apart by identity.
"""

from __future__ import annotations

import pytest

from supervise_strategies import Strategy


@pytest.mark.parametrize(
    ("strategy", "child", "affected"),
    [
        ("one_for_one", "a", "a"),
        ("one_for_one", "c", "c"),
        ("one_for_all", "a", "abcd"),
        ("one_for_all", "d", "abcd"),
        ("rest_for_one", "a", "abcd"),
        ("rest_for_one", "c", "cd"),
        ("rest_for_one", "d", "d"),
    ],
)
def test_a_restart_affects_these_in_start_order(strategy: str, child: str, affected: str) -> None:
    children = {name: [name] for name in "abcd"}
    assert Strategy(strategy).affected([*children.values()], children[child]) == [children[name] for name in affected]


def test_children_that_are_equal_are_not_the_same() -> None:
    elder, younger = [0], [0]
    (affected,) = Strategy.REST_FOR_ONE.affected([elder, younger], younger)
    assert affected is younger
