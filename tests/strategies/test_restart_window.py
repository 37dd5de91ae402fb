"""The restart window: a ring of instants, sliding, its edge included.

Tested: the limit exactly; the edge; that old restarts are dropped only by the next one; that the ring never grows.
"""

from __future__ import annotations

import pytest

from supervise_strategies import Intensity, RestartWindow


@pytest.mark.parametrize("allowed", [0, 1, 2, 5])
def test_so_many_restarts_are_allowed_and_the_next_is_not(allowed: int) -> None:
    window = RestartWindow(Intensity(allowed, per=10))
    assert [window.add(0.0) for _ in range(allowed + 1)] == [*range(1, allowed + 1), 0]


@pytest.mark.parametrize(("later", "allowed"), [(9.9, False), (10.0, False), (10.1, True)])
def test_a_restart_counts_up_to_and_with_the_edge_of_the_period(later: float, allowed: bool) -> None:
    window = RestartWindow(Intensity(1, per=10))
    window.add(0.0)
    assert window.add(later) == allowed


def test_the_window_slides_and_is_no_bucket() -> None:
    window = RestartWindow(Intensity(2, per=10))
    assert [window.add(t) for t in (0.0, 9.0, 11.0, 12.0)] == [1, 2, 2, 0]


def test_old_restarts_are_remembered_until_the_next_one() -> None:
    window = RestartWindow(Intensity(3, per=1))
    window.add(0.0)
    window.add(0.5)
    assert len(window) == 2
    window.add(100.0)
    assert len(window) == 1


def test_the_restart_over_the_limit_is_not_counted_so_the_ring_never_grows() -> None:
    window = RestartWindow(Intensity(2, per=10))
    for _ in range(100):
        window.add(0.0)
    assert len(window) == 2
    assert window.add(10.5)
