"""A child that nobody can reach any more: whatever restarts are due, it isn't started again.

Tested: SEMANTICS 72 (no group restart, supervisor restart or backoff builds it again).
"""

from __future__ import annotations

import pytest
from tenacity import wait_fixed

from supervise_strategies import (
    Action,
    ChildState,
    Close,
    Directive,
    Forget,
    Ready,
    Reply,
    Restart,
    Start,
    Stop,
    StopMode,
    Strategy,
    Supervision,
    SupervisorSpec,
    WakeAt,
)
from supervise_strategies.exit_reason import NORMAL

from .rig import Rig, spec

TRANSIENT = Restart.transient()
WAITS = Restart.transient(wait=wait_fixed(10))


def over(rig: Rig, name: str) -> list[Directive]:
    return rig.took(rig.machine.child_over(name, rig.now))


def down(name: str) -> Stop:
    return Stop(name, StopMode.RESTART, 5.0, False)


def stopped(rig: Rig, name: str) -> bool:
    info = rig.info(name)
    return info.state is ChildState.STOPPED and info.finished and info.due is None


def test_a_crash_of_one_that_is_over_isnt_followed_by_a_restart_and_costs_none() -> None:
    rig = Rig(spec("a", TRANSIENT)).up()
    assert over(rig, "a") == []
    assert rig.ends("a") == [Close("a")]
    assert (rig.decisions[-1].action, rig.decisions[-1].rule) == (Action.LEAVE, "nobody can reach it any more")
    assert (rig.machine.restarts, rig.state("a")) == (0, ChildState.STOPPED)


@pytest.mark.parametrize("strategy", [Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE])
def test_no_group_restart_starts_it_again(strategy: Strategy) -> None:
    rig = Rig("a", spec("b", TRANSIENT), "c", strategy=strategy).up()
    over(rig, "b")
    rig.ends("b", reason=NORMAL)
    assert rig.ends("a") == [down("c")]
    assert rig.stops("c") == [Start("a", 2)]
    assert rig.starts("a") == [Close("b"), Start("c", 2)]
    rig.starts("c")
    assert stopped(rig, "b")


def test_one_that_is_over_when_its_group_is_stopped_stays_down() -> None:
    rig = Rig("a", spec("b", TRANSIENT), strategy=Strategy.ONE_FOR_ALL).up()
    rig.ends("a")
    over(rig, "b")
    assert rig.stops("b") == [Start("a", 2)]
    assert rig.starts("a") == [Close("b")]
    assert stopped(rig, "b")
    assert not rig.machine.busy


def test_a_backoff_that_nobody_needs_ends_at_once() -> None:
    rig = Rig(spec("a", WAITS)).up()
    assert rig.ends("a") == [WakeAt(10.0)]
    assert over(rig.at(1.0), "a") == [Close("a"), WakeAt(None)]
    assert stopped(rig, "a")
    assert rig.at(10.0).timer() == []


def test_a_backoff_that_the_group_waits_for_ends_in_its_time_without_the_one_that_is_over() -> None:
    rig = Rig(spec("a", WAITS), "b", strategy=Strategy.ONE_FOR_ALL).up()
    rig.ends("a")
    rig.stops("b")
    assert over(rig, "a") == []
    assert rig.at(10.0).timer() == [Close("a"), Start("b", 2)]
    rig.starts("b")
    assert stopped(rig, "a")


def test_a_member_that_is_over_while_its_group_waits_is_closed_at_once_and_stays_down() -> None:
    rig = Rig(spec("a", WAITS), spec("b", TRANSIENT), strategy=Strategy.ONE_FOR_ALL).up()
    rig.ends("a")
    rig.stops("b")
    assert over(rig, "b") == [Close("b")]
    assert rig.at(10.0).timer() == [Start("a", 2)]
    assert rig.starts("a") == [Close("b")]


def test_a_member_that_is_over_isnt_closed_again_when_the_wait_of_its_group_is_called_off() -> None:
    rig = Rig(spec("a", WAITS), spec("b", TRANSIENT), "c", strategy=Strategy.ONE_FOR_ALL).up()
    rig.ends("a")
    rig.stops("c")
    rig.stops("b")
    assert over(rig, "b") == [Close("b")]
    assert rig.took(rig.machine.terminate_child("a", "t", 1.0)) == [Close("a"), Close("c"), Reply("t", None), WakeAt(None)]


def test_a_restart_that_fails_to_start_isnt_tried_again() -> None:
    rig = Rig(spec("a", TRANSIENT)).up()
    assert rig.ends("a") == [Start("a", 2)]
    over(rig, "a")
    assert rig.fails("a") == [Close("a")]
    assert "nobody can reach it any more" in rig.decisions[-1].rule


def test_no_supervisor_restart_starts_it_again() -> None:
    machine = Supervision(SupervisorSpec("sup", (spec("a", TRANSIENT), spec("b"))), lives={"a": 3}, over={"a"})
    assert machine.begin(0.0) == [Close("a"), Start("b", 1)]
    assert machine.child_started("b", 1, 0.0) == [Ready()]


def test_asked_for_by_hand_it_isnt_started_either() -> None:
    rig = Rig(spec("a", TRANSIENT)).up()
    over(rig, "a")
    rig.ends("a", reason=NORMAL)
    for call in (rig.machine.restart_child, rig.machine.renew_child):
        assert rig.took(call("a", "t", 1.0)) == [Close("a"), Reply("t", False)]


def test_a_temporary_one_is_forgotten() -> None:
    rig = Rig(spec("a", Restart.temporary())).up()
    over(rig, "a")
    assert rig.ends("a") == [Forget("a")]
    assert over(rig, "a") == []
