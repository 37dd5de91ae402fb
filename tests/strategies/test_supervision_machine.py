"""The machine where the recorded scenarios don't go: backoff, cancelled starts, own limits, and what can't be stopped.

Tested: SEMANTICS 1 (own limits), 4 (backoff of a retry), 5 (a group waits down; terminate cancels), 8 (a stop cancels a start),
9 (delays), 12 (decisions), 25 (unstoppable), held facts, stale facts, dynamic supervisors.
"""

from __future__ import annotations

from typing import Any

import pytest
from tenacity import stop_after_attempt, wait_fixed

from supervise_strategies import (
    Action,
    CancelStart,
    Cause,
    ChildRestarting,
    ChildSpec,
    ChildState,
    ChildUnstoppable,
    Close,
    Directive,
    Done,
    Forget,
    Intensity,
    NotForDynamic,
    Overran,
    Ready,
    Reply,
    Report,
    Restart,
    Start,
    Stop,
    StopMode,
    Supervision,
    SupervisorNotRunning,
    SupervisorSpec,
    TooManyChildren,
    WakeAt,
)
from supervise_strategies.exit_reason import NORMAL, SHUTDOWN, crashed

from .rig import Told, spec

CRASH = crashed(ValueError("x"))
WAIT = Restart.permanent(wait=wait_fixed(10), counted=True)


def up(*children: ChildSpec, **more: Any) -> Supervision:
    """A machine whose children all run."""
    machine = Supervision(SupervisorSpec("sup", children, **more))
    machine.begin(0.0)
    for child in children:
        machine.child_started(child.id, 1, 0.0)
    return machine


def acts(directives: list[Directive]) -> list[Directive]:
    return [d for d in directives if not isinstance(d, Report)]


def decisions(directives: list[Directive]) -> list[Any]:
    return [d.decision for d in directives if isinstance(d, Report)]


def state(machine: Supervision, name: str) -> ChildState | None:
    child = machine.child(name)
    return None if child is None else child.state


def test_children_start_one_after_the_other_and_then_the_supervisor_is_ready() -> None:
    machine = Supervision(SupervisorSpec("sup", (spec("a"), spec("b"))))
    assert machine.begin(0.0) == [Start("a", 1)]
    assert machine.child_started("a", 1, 0.0) == [Start("b", 1)]
    assert machine.child_started("b", 1, 0.0) == [Ready()]


def test_a_backoff_leaves_the_supervisor_free_and_wakes_it_once() -> None:
    machine = up(spec("a", WAIT), spec("b"))
    assert acts(machine.child_exited("a", 1, CRASH, 1.0)) == [WakeAt(11.0)]
    assert state(machine, "a") is ChildState.RESTARTING
    assert not machine.busy
    assert acts(machine.child_exited("b", 1, CRASH, 2.0)) == [Start("b", 2)]
    machine.child_started("b", 2, 2.0)
    assert acts(machine.timer(11.0)) == [Start("a", 2)]
    assert machine.restarts == 2, "counted when it was decided, not again when it was due"


def test_a_group_stops_at_once_and_starts_after_the_delay() -> None:
    machine = up(spec("a"), spec("b", WAIT), spec("c"), strategy="rest_for_one")
    assert acts(machine.child_exited("b", 1, CRASH, 0.0)) == [Stop("c", StopMode.RESTART, 5.0, False)]
    assert machine.child_exited("c", 1, NORMAL, 0.0) == [WakeAt(10.0)]
    assert machine.timer(10.0) == [Start("b", 2)]
    assert machine.child_started("b", 2, 10.0) == [Start("c", 2)]


def test_terminating_the_child_whose_restart_is_pending_leaves_its_group_down() -> None:
    machine = up(spec("a"), spec("b", WAIT), spec("c"), strategy="rest_for_one")
    machine.child_exited("b", 1, CRASH, 0.0)
    machine.child_exited("c", 1, NORMAL, 0.0)
    assert Told(machine.terminate_child("b", "t", 1.0)) == [Close("b"), Close("c"), Reply("t", None), WakeAt(None)]
    assert machine.timer(10.0) == []
    assert state(machine, "b") is state(machine, "c") is ChildState.STOPPED


def test_a_pending_restart_answers_restarting() -> None:
    machine = up(spec("a", WAIT))
    machine.child_exited("a", 1, CRASH, 0.0)
    for call in (machine.restart_child, machine.delete_child):
        (reply,) = call("a", "t", 1.0)
        assert isinstance(reply, Reply)
        assert isinstance(reply.result, ChildRestarting)


def test_a_start_that_fails_in_a_restart_costs_budget_again_and_waits_its_backoff() -> None:
    machine = up(spec("a", WAIT))
    machine.child_exited("a", 1, CRASH, 0.0)
    machine.timer(10.0)
    assert acts(machine.start_failed("a", 2, CRASH, 10.0)) == [WakeAt(20.0)]
    assert machine.restarts == 1, "the first was 10 s ago"


def test_the_elder_s_restart_overtakes_a_pending_one_of_its_group() -> None:
    machine = up(spec("a"), spec("b", WAIT), strategy="rest_for_one")
    machine.child_exited("b", 1, CRASH, 0.0)
    assert acts(machine.child_exited("a", 1, CRASH, 1.0)) == [Start("a", 2), WakeAt(None)]
    assert machine.child_started("a", 2, 1.0) == [Start("b", 2)]
    assert machine.child_started("b", 2, 1.0) == []


def test_a_stop_cancels_a_hanging_start_and_then_stops_the_elders() -> None:
    machine = Supervision(SupervisorSpec("sup", (spec("a"), spec("b"), spec("c"))))
    machine.begin(0.0)
    machine.child_started("a", 1, 0.0)
    assert machine.stop(1.0) == [CancelStart("b", StopMode.FINAL)]
    assert machine.start_failed("b", 1, CRASH, 1.0) == [Stop("a", StopMode.FINAL, 5.0, False)]
    (done,) = machine.child_exited("a", 1, NORMAL, 1.0)
    assert isinstance(done, Done)
    assert done.cause is Cause.ASKED


def test_a_start_that_is_ready_before_its_cancellation_is_stopped_like_any_child() -> None:
    machine = Supervision(SupervisorSpec("sup", (spec("a"),)))
    machine.begin(0.0)
    machine.stop(1.0)
    assert machine.child_started("a", 1, 1.0) == [Stop("a", StopMode.FINAL, 5.0, False)]
    assert isinstance(machine.child_exited("a", 1, NORMAL, 1.0)[-1], Done)


@pytest.mark.parametrize(
    "policy",
    [{"limit": Intensity(1, per=100)}, {"restart": Restart.permanent(stop=stop_after_attempt(2))}],
    ids=["limit", "stop"],
)
def test_a_child_with_a_limit_of_its_own_spends_only_that_and_is_left_stopped(policy: dict[str, Any]) -> None:
    machine = up(spec("a", **policy), spec("b"), strategy="one_for_all", intensity=Intensity(0))
    machine.child_exited("a", 1, CRASH, 0.0)
    machine.child_exited("b", 1, NORMAL, 0.0)
    machine.child_started("a", 2, 0.0)
    machine.child_started("b", 2, 0.0)
    assert machine.restarts == 0
    spent = machine.child_exited("a", 2, CRASH, 0.0)
    assert Told(acts(spent)) == [Close("a")]
    (decision,) = decisions(spent)
    assert decision.action is Action.LEAVE
    assert decision.reason.kind.value == "gave_up"
    assert state(machine, "b") is ChildState.RUNNING


def test_an_own_limit_that_escalates_makes_the_supervisor_give_up() -> None:
    machine = up(spec("a", limit=Intensity(0), on_limit="escalate"))
    given_up = machine.child_exited("a", 1, CRASH, 0.0)
    assert [d.action for d in decisions(given_up)] == [Action.GIVE_UP]
    assert isinstance(given_up[-1], Done)
    assert given_up[-1].cause is Cause.GAVE_UP


def test_a_decision_says_which_rule_which_restart_of_how_many_what_delay_and_whom_it_affects() -> None:
    machine = up(spec("a", WAIT), spec("b"), spec("t", Restart.temporary()), strategy="one_for_all")
    (decision,) = decisions(machine.child_exited("a", 1, CRASH, 3.0))
    assert (decision.used, decision.allowed, decision.per, decision.delay, decision.at) == (1, 3, 5.0, 10.0, 3.0)
    assert decision.affected == ("a", "b")
    assert str(decision) == ("a #1 ended: crashed (ValueError: x); permanent -> restart 1 of 3 within 5 s with b after 10 s")


def test_what_cannot_be_stopped_holds_up_nobody_but_its_own_restart() -> None:
    machine = up(spec("a"), spec("b"), strategy="one_for_all")
    assert acts(machine.child_exited("a", 1, CRASH, 0.0)) == [Stop("b", StopMode.RESTART, 5.0, False)]
    assert machine.stop_overran("b", 1, 6.0) == [Start("a", 2)]
    assert machine.child_started("a", 2, 6.0) == []
    assert state(machine, "b") is ChildState.UNSTOPPABLE
    (refused,) = machine.terminate_child("b", "t", 7.0)
    assert isinstance(refused, Reply)
    assert isinstance(refused.result, ChildUnstoppable)


def test_what_could_not_be_stopped_is_restarted_as_soon_as_it_has_ended() -> None:
    machine = up(spec("a"), spec("b"), strategy="one_for_all")
    machine.child_exited("a", 1, CRASH, 0.0)
    machine.stop_overran("b", 1, 6.0)
    machine.child_started("a", 2, 6.0)
    assert machine.child_exited("b", 1, NORMAL, 50.0) == [Start("b", 2)]
    assert machine.restarts == 1


def test_a_supervisor_s_own_end_waits_for_what_cannot_be_stopped_and_says_so_once() -> None:
    machine = up(spec("a"), spec("b"))
    machine.stop(0.0)
    assert machine.stop_overran("b", 1, 6.0) == [Stop("a", StopMode.FINAL, 5.0, False)]
    assert machine.child_exited("a", 1, NORMAL, 6.0) == [Overran(("b",), SHUTDOWN)]
    assert isinstance(machine.child_exited("b", 1, NORMAL, 99.0)[-1], Done)


def test_facts_that_are_held_are_served_in_order_afterwards() -> None:
    machine = up(spec("a"), spec("b"))
    machine.hold()
    assert machine.child_exited("b", 1, CRASH, 0.0) == []
    assert machine.child_exited("a", 1, CRASH, 0.0) == []
    assert acts(machine.release(0.0)) == [Start("b", 2)]
    assert acts(machine.child_started("b", 2, 0.0)) == [Start("a", 2)]


def test_stale_facts_change_nothing() -> None:
    machine = up(spec("a"))
    assert machine.child_exited("a", 7, CRASH, 0.0) == []
    assert machine.child_started("a", 1, 0.0) == []
    assert machine.start_failed("a", 1, CRASH, 0.0) == []
    assert machine.stop_overran("a", 1, 0.0) == []
    assert machine.child_exited("nobody", 1, CRASH, 0.0) == []
    assert state(machine, "a") is ChildState.RUNNING


def test_a_dynamic_supervisor_stops_all_at_once_and_forgets_what_ends() -> None:
    machine = up(dynamic=True, max_children=2)
    for name in ("x", "y"):
        machine.start_child(spec(name), name, 0.0)
        assert machine.child_started(name, 1, 0.0) == [Reply(name, True)]
    (full,) = machine.start_child(spec("z"), "z", 0.0)
    assert isinstance(full, Reply)
    assert isinstance(full.result, TooManyChildren)
    stops = {Stop(name, StopMode.FINAL, 5.0, False) for name in ("x", "y")}
    assert set(machine.stop(0.0)) == stops
    assert Told(machine.child_exited("y", 1, NORMAL, 0.0)) == [Forget("y")]
    assert Told(machine.child_exited("x", 1, NORMAL, 0.0)[:1]) == [Forget("x")]


def test_a_dynamic_supervisor_knows_no_names() -> None:
    machine = up(dynamic=True)
    for replies in (
        machine.restart_child("x", "t", 0.0),
        machine.delete_child("x", "t", 0.0),
        machine.terminate_child("x", "t", 0.0, by_name=True),
    ):
        (reply,) = replies
        assert isinstance(reply, Reply)
        assert isinstance(reply.result, NotForDynamic)


def test_calls_that_waited_when_the_supervisor_stopped_are_refused() -> None:
    machine = up(spec("a"))
    machine.start_child(spec("b"), "first", 0.0)
    machine.terminate_child("a", "second", 0.0)
    refused = [d for d in machine.stop(0.0) if isinstance(d, Reply)]
    assert [r.ticket for r in refused] == ["first", "second"]
    assert all(isinstance(r.result, SupervisorNotRunning) for r in refused)


def test_a_wait_policy_that_raises_costs_the_delay_and_not_the_restart() -> None:
    def broken(_: object) -> float:
        raise ZeroDivisionError

    machine = up(spec("a", Restart.permanent(wait=broken)))
    restarted = machine.child_exited("a", 1, CRASH, 0.0)
    assert acts(restarted) == [Start("a", 2)]
    assert "ZeroDivisionError" in decisions(restarted)[0].rule
