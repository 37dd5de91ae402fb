"""Restarts that wait: what they stop meanwhile, what overtakes them, and how several share one timer.

Tested: SEMANTICS 3, 4 (a retry waits), 5 (groups), 9 (delays, one timer, one restart after the other), 10 (`when=` also about
what a factory raises), 1 (a retry spends the own limit).
"""

from __future__ import annotations

from typing import Any

import pytest
from tenacity import retry_if_exception_type, stop_after_attempt, wait_exponential, wait_fixed

from supervise_strategies import (
    Action,
    AutoShutdown,
    Cause,
    ChildState,
    Close,
    Done,
    Forget,
    Intensity,
    Reply,
    Restart,
    Start,
    Stop,
    StopMode,
    WakeAt,
)
from supervise_strategies.exit_reason import NORMAL

from .rig import Rig, spec

OF_TEN = Restart.permanent(wait=wait_fixed(10))
OF_FIVE = Restart.permanent(wait=wait_fixed(5))


def down(name: str) -> Stop:
    return Stop(name, StopMode.RESTART, 5.0, False)


def test_a_sooner_restart_replaces_the_instant_to_wake_at_and_a_later_one_leaves_it() -> None:
    rig = Rig(spec("a", OF_TEN), spec("b", OF_FIVE), spec("c", OF_TEN)).up()
    assert rig.at(0.0).ends("a") == [WakeAt(10.0)]
    assert rig.at(1.0).ends("b") == [WakeAt(6.0)]
    assert rig.at(2.0).ends("c") == []
    assert rig.at(6.0).timer() == [Start("b", 2), WakeAt(10.0)]
    rig.starts("b")
    assert rig.at(10.0).timer() == [Start("a", 2), WakeAt(12.0)]
    rig.starts("a")
    assert rig.at(12.0).timer() == [Start("c", 2)]


def test_when_the_next_to_wake_is_terminated_the_one_after_it_is_woken_in_its_time() -> None:
    rig = Rig(spec("a", OF_FIVE), spec("b", OF_TEN)).up()
    rig.ends("a")
    rig.ends("b")
    assert rig.took(rig.machine.terminate_child("a", "t", 1.0)) == [Close("a"), Reply("t", None), WakeAt(10.0)]
    assert rig.took(rig.machine.terminate_child("b", "t", 2.0)) == [Close("b"), Reply("t", None), WakeAt(None)]


def test_a_timer_that_fires_early_is_set_again() -> None:
    rig = Rig(spec("a", OF_TEN)).up()
    rig.ends("a")
    assert rig.at(9.999).timer() == [WakeAt(10.0)]
    assert rig.at(10.0).timer() == [Start("a", 2)]


def test_children_that_are_due_in_one_instant_come_back_one_after_the_other() -> None:
    rig = Rig(*(spec(name, OF_TEN) for name in "abc"), intensity=Intensity(9)).up()
    for name in "cab":
        rig.ends(name)
    assert rig.at(10.0).timer() == [Start("c", 2)]
    assert rig.starts("c") == [Start("a", 2)]
    assert rig.starts("a") == [Start("b", 2)]
    assert rig.starts("b") == []


def test_a_restart_that_is_due_while_another_is_under_way_waits_for_its_turn() -> None:
    rig = Rig(spec("a", OF_TEN), spec("b")).up()
    rig.at(0.0).ends("a")
    assert rig.at(9.0).ends("b") == [Start("b", 2)]
    assert rig.at(10.0).timer() == []
    assert rig.at(11.0).starts("b") == [Start("a", 2)]


def test_the_supervisor_s_own_stop_wins_over_a_restart_that_waits() -> None:
    rig = Rig(spec("a", OF_TEN)).up()
    rig.ends("a")
    out = rig.took(rig.machine.stop(1.0))
    assert [type(directive) for directive in out] == [Done, WakeAt]
    assert rig.at(10.0).timer() == []


def test_a_group_that_waits_is_stopped_in_reverse_and_its_temporary_members_are_gone() -> None:
    rig = Rig(spec("a", OF_TEN), spec("t", Restart.temporary()), spec("b"), strategy="one_for_all").up()
    assert rig.ends("a") == [down("b")]
    assert rig.stops("b") == [Stop("t", StopMode.FINAL, 5.0, False)]
    assert rig.stops("t") == [Forget("t"), WakeAt(10.0)]
    assert rig.states() == {"a": "restarting", "b": "stopped"}
    assert rig.at(10.0).timer() == [Start("a", 2)]
    assert rig.starts("a") == [Start("b", 2)]


def test_the_delay_counts_from_when_the_group_is_down() -> None:
    rig = Rig(spec("a", OF_TEN), "b", strategy="one_for_all").up()
    rig.at(1.0).ends("a")
    assert rig.at(4.0).stops("b") == [WakeAt(14.0)]
    assert rig.info("a").due == 14.0


def test_a_child_that_was_added_while_its_group_waits_is_restarted_with_it() -> None:
    rig = Rig(spec("a", OF_TEN), strategy="one_for_all").up()
    rig.ends("a")
    assert rig.took(rig.machine.start_child(spec("late"), "t", 1.0)) == [Start("late", 1)]
    assert rig.at(1.0).starts("late") == [Reply("t", True)]
    assert rig.at(10.0).timer() == [down("late")]
    assert rig.stops("late") == [Start("a", 2)]
    assert rig.starts("a") == [Start("late", 2)]


def test_a_member_that_was_restarted_by_hand_while_its_group_waits_is_stopped_and_started_with_it() -> None:
    rig = Rig(spec("a", OF_TEN), "b", strategy="one_for_all").up()
    rig.ends("a")
    rig.stops("b")
    assert rig.took(rig.machine.restart_child("b", "t", 1.0)) == [Start("b", 2)]
    rig.starts("b")
    assert rig.at(10.0).timer() == [down("b")]
    assert rig.stops("b") == [Start("a", 2)]
    assert rig.starts("a") == [Start("b", 3)]


def test_terminating_a_member_of_a_group_that_waits_leaves_the_group_waiting_and_it_comes_back_with_it() -> None:
    """As in OTP: a group restart includes what was stopped by hand."""
    rig = Rig(spec("a", OF_TEN), "b", strategy="one_for_all").up()
    rig.ends("a")
    rig.stops("b")
    assert rig.took(rig.machine.terminate_child("b", "t", 1.0)) == [Close("b"), Reply("t", None)]
    assert rig.at(10.0).timer() == [Start("a", 2)]
    assert rig.starts("a") == [Start("b", 2)]


def test_a_member_that_another_pending_restart_covers_stays_held() -> None:
    rig = Rig(spec("a", OF_TEN), spec("b", OF_TEN), "c", strategy="rest_for_one").up()
    rig.ends("b")
    rig.stops("c")
    rig.at(1.0).ends("a")  # takes b and c with it, which are down already
    assert rig.states() == {"a": "restarting", "b": "stopped", "c": "stopped"}
    assert rig.took(rig.machine.terminate_child("b", "t", 2.0)) == [Close("b"), Reply("t", None)]
    assert rig.at(11.0).timer() == [Start("a", 2)]
    assert rig.starts("a") == [Start("b", 2)]
    assert rig.starts("b") == [Start("c", 2)]


def test_a_retry_of_a_failed_restart_is_queued_behind_what_is_there() -> None:
    rig = Rig("a", "b").up()
    rig.ends("a")
    assert rig.ends("b") == []
    assert rig.fails("a") == [Start("b", 2)], "the death came first"
    assert rig.starts("b") == [Start("a", 3)]


def test_failed_restarts_are_failures_in_a_row_for_the_wait() -> None:
    rig = Rig(spec("a", Restart.permanent(wait=wait_exponential(multiplier=1))), intensity=Intensity(9)).up()
    assert rig.at(0.0).ends("a") == [WakeAt(1.0)]
    rig.at(1.0).timer()
    assert rig.fails("a") == [WakeAt(3.0)]
    rig.at(3.0).timer()
    assert rig.fails("a") == [WakeAt(7.0)]


WHEN = Restart.permanent(when=retry_if_exception_type(OSError))


@pytest.mark.parametrize(
    ("restart", "end", "leaves"),
    [
        (WHEN, ValueError("no"), True),
        (WHEN, OSError("again"), False),
        (WHEN, ExceptionGroup("g", [OSError("a"), ValueError("b")]), True),
        (WHEN, None, False),
        (Restart.permanent(), ValueError("no"), False),
        (Restart.transient(), ValueError("no"), False),
    ],
)
def test_what_a_factory_raises_in_a_restart_is_judged_by_when_as_any_crash(
    restart: Restart, end: BaseException | None, leaves: bool
) -> None:
    rig = Rig(spec("a", restart), "b").up()
    rig.ends("a", error=OSError("first"))
    assert rig.fails("a", error=end) == ([Close("a")] if leaves else [Start("a", 3)])
    assert rig.decisions[-1].action is (Action.LEAVE if leaves else Action.RESTART)
    assert "its restart failed to start" in rig.decisions[-1].rule


def test_a_group_whose_restart_is_ended_by_when_stays_as_it_is() -> None:
    rig = Rig("a", spec("b", WHEN), "c", strategy="one_for_all").up()
    rig.ends("a")
    rig.stops("c")
    rig.stops("b")
    rig.starts("a")
    assert rig.fails("b", error=ValueError("no")) == [Close("b"), Close("c")]
    assert rig.states() == {"a": "running", "b": "stopped", "c": "stopped"}


def test_a_member_whose_start_was_ignored_is_closed_once() -> None:
    rig = Rig(spec("a", OF_TEN), "b", "c", strategy="one_for_all").up()
    rig.ends("a")
    rig.stops("c")
    rig.stops("b")
    rig.at(10.0).timer()
    rig.starts("a")
    assert rig.fails("b", ignored=True) == [Close("b"), Start("c", 2)]
    assert rig.took(rig.machine.terminate_child("c", "t", 10.0)) == []
    assert rig.fails("c") == [Close("c"), Reply("t", None)], "the retry is called off, and b isn't a part of it any more"


def test_a_significant_child_whose_restart_is_ended_by_when_shuts_its_supervisor_down() -> None:
    significant = spec("a", Restart.transient(when=retry_if_exception_type(OSError)), significant=True)
    rig = Rig(significant, auto_shutdown=AutoShutdown.ANY_SIGNIFICANT).up()
    rig.ends("a", error=OSError())
    done = rig.fails("a", error=ValueError())[-1]
    assert isinstance(done, Done)
    assert done.cause is Cause.AUTO_SHUTDOWN


@pytest.mark.parametrize(
    "own",
    [{"limit": Intensity(1, per=100)}, {"restart": Restart.permanent(stop=stop_after_attempt(2))}],
    ids=["limit", "stop"],
)
def test_a_retry_spends_the_child_s_own_limit_too_and_its_group_stays_down(own: dict[str, Any]) -> None:
    rig = Rig(spec("a", **own), "b", strategy="one_for_all", intensity=Intensity(0)).up()
    rig.ends("a")
    rig.stops("b")
    assert rig.fails("a") == [Close("a"), Close("b")]
    assert rig.decisions[-1].action is Action.LEAVE
    assert rig.states() == {"a": "stopped", "b": "stopped"}


def test_an_end_without_a_restart_counts_nowhere() -> None:
    rig = Rig(spec("a", Restart.transient(wait=wait_fixed(10))), "b").up()
    assert rig.ends("a", NORMAL) == [Close("a")]
    assert rig.machine.restarts == 0
    assert rig.state("a") is ChildState.STOPPED
