"""Facts at odd times: told twice, told late, held back; and what is answered meanwhile.

Tested: SEMANTICS 5 (a stop wins), 8 (calls in order, a stop cancels a start), stale facts, `hold` and `release`, calls to a
supervisor that isn't there any more.
"""

from __future__ import annotations

from typing import Any

import pytest
from tenacity import wait_fixed

from supervise_strategies import (
    CancelStart,
    Cause,
    ChildAlreadyPresent,
    ChildAlreadyStarted,
    ChildNotFound,
    ChildSpec,
    Close,
    Done,
    ExitKind,
    Forget,
    Intensity,
    Phase,
    Ready,
    Reply,
    Restart,
    Start,
    Stop,
    StopMode,
    Strategy,
    SupervisorNotRunning,
    TooManyChildren,
)
from supervise_strategies.exit_reason import KILLED, NORMAL

from .rig import Rig, Told, final, spec

TRANSIENT, TEMPORARY = Restart.transient(), Restart.temporary()


def result(directives: list[Any]) -> Any:
    (reply,) = [directive for directive in directives if isinstance(directive, Reply)]
    return reply.result


@pytest.mark.parametrize(
    ("restart", "reason"),
    [(TRANSIENT, NORMAL), (Restart.permanent(wait=wait_fixed(10)), KILLED)],
    ids=["left stopped", "in backoff"],
)
def test_an_end_that_is_told_twice_is_decided_about_once(restart: Restart, reason: Any) -> None:
    rig = Rig(spec("a", restart)).up()
    rig.ends("a", reason)
    before = rig.states()
    assert rig.ends("a", reason) == []
    assert rig.states() == before
    assert len(rig.decisions) == 1
    assert rig.machine.count().active == 0


def test_an_end_that_is_told_twice_before_it_is_served_is_served_once() -> None:
    rig = Rig("a").up()
    rig.machine.hold()
    rig.ends("a")
    rig.ends("a")
    assert rig.took(rig.machine.release(0.0)) == [Start("a", 2)]
    assert rig.starts("a") == []
    assert len(rig.decisions) == 1


def test_facts_about_a_former_incarnation_change_nothing() -> None:
    rig = Rig("a").up()
    rig.ends("a")
    assert rig.starts("a", 1) == rig.fails("a", 1) == rig.ends("a", number=1) == []
    assert rig.states() == {"a": "starting"}
    rig.starts("a")
    assert rig.ends("a", number=1) == []
    assert rig.states() == {"a": "running"}


def test_facts_that_come_after_the_end_change_nothing() -> None:
    rig = Rig("a").up()
    rig.machine.stop(0.0)
    rig.stops("a")
    assert rig.machine.phase is Phase.DONE
    assert rig.ends("a") == rig.starts("a") == rig.fails("a") == rig.overruns("a") == rig.timer() == []
    assert rig.took(rig.machine.stop(1.0)) == []


def test_holds_nest() -> None:
    rig = Rig("a").up()
    rig.machine.hold()
    rig.machine.hold()
    rig.ends("a")
    assert rig.machine.release(0.0) == []
    assert rig.took(rig.machine.release(0.0)) == [Start("a", 2)]


def test_a_start_that_is_asked_for_while_it_is_held_comes_after_what_it_holds() -> None:
    rig = Rig("a").up()
    rig.machine.hold()
    assert rig.machine.start_child(spec("b"), "ticket", 0.0) == []
    assert rig.took(rig.machine.release(0.0)) == [Start("b", 1)]


def test_ends_that_were_held_count_in_the_window_one_by_one() -> None:
    rig = Rig("a", "b", "c", intensity=Intensity(2)).up()
    rig.machine.hold()
    for name in "abc":
        rig.ends(name)
    rig.took(rig.machine.release(0.0))
    rig.starts("a")
    assert rig.starts("b") == [Stop("b", StopMode.RESTART, 5.0, False)]
    assert rig.machine.phase is Phase.STOPPING
    assert [decision.action.value for decision in rig.decisions] == ["restart", "restart", "give_up"]


def test_calls_are_served_in_order_with_the_ends_between_them() -> None:
    rig = Rig("a", spec("t", TEMPORARY)).up()
    machine = rig.machine
    assert machine.start_child(spec("slow"), 1, 0.0) == [Start("slow", 1)]
    assert machine.start_child(spec("t"), 2, 0.0) == []
    assert rig.ends("t") == []
    assert machine.start_child(spec("t"), 3, 0.0) == []
    assert machine.delete_child("slow", 4, 0.0) == []
    out = rig.starts("slow")
    assert out[0] == Reply(1, True)
    assert isinstance(out[1], Reply)
    assert isinstance(out[1].result, ChildAlreadyStarted), "it was asked for before the other one ended"
    assert Told(out[2:]) == [Forget("t"), Start("t", 1)]
    out = rig.starts("t")
    assert out[0] == Reply(3, True)
    assert isinstance(out[1], Reply)
    assert out[1].ticket == 4


def test_reading_is_answered_while_a_start_is_under_way() -> None:
    rig = Rig("a").up()
    rig.machine.start_child(spec("slow"), "t", 0.0)
    assert rig.machine.busy
    assert rig.states() == {"a": "running", "slow": "starting"}
    assert rig.machine.count() == (2, 1, 0, 2)
    assert "slow" in rig.machine


@pytest.mark.parametrize(
    ("call", "args"),
    [("start_child", (ChildSpec("x"),)), ("terminate_child", ("a",)), ("restart_child", ("a",)), ("delete_child", ("a",))],
)
@pytest.mark.parametrize("ended", [False, True], ids=["stopping", "done"])
def test_a_supervisor_that_ends_refuses_all_calls_at_once(call: str, args: tuple[Any, ...], ended: bool) -> None:
    rig = Rig("a").up()
    rig.machine.stop(0.0)
    if ended:
        rig.stops("a")
    assert isinstance(result(getattr(rig.machine, call)(*args, "t", 0.0)), SupervisorNotRunning)


def test_a_call_whose_stop_is_under_way_when_the_supervisor_stops_is_answered_and_the_stop_goes_on() -> None:
    rig = Rig("a", "b").up()
    assert rig.took(rig.machine.terminate_child("a", "t", 0.0)) == [final("a")]
    out = rig.took(rig.machine.stop(0.0))
    assert isinstance(result(out), SupervisorNotRunning)
    assert len(out) == 1, "one thing at a time: the others are stopped when it has ended"
    assert rig.stops("a") == [final("b")]
    assert isinstance(rig.stops("b")[-1], Done)


def test_a_start_by_call_that_is_cancelled_by_a_stop_is_forgotten() -> None:
    rig = Rig("a").up()
    rig.machine.start_child(spec("new"), "t", 0.0)
    out = rig.took(rig.machine.stop(0.0))
    assert isinstance(result(out), SupervisorNotRunning)
    assert CancelStart("new", StopMode.FINAL) in out
    assert rig.fails("new") == [Forget("new"), final("a")]


def test_a_stop_wins_over_a_group_restart_that_is_half_done() -> None:
    rig = Rig("a", "b", "c", strategy=Strategy.ONE_FOR_ALL).up()
    rig.ends("a")
    rig.stops("c")
    rig.stops("b")
    assert rig.starts("a") == [Start("b", 2)]
    assert rig.took(rig.machine.stop(0.0)) == [CancelStart("b", StopMode.FINAL)]
    assert rig.fails("b") == [final("a")]
    (done,) = rig.stops("a")
    assert isinstance(done, Done)


def test_a_child_that_dies_while_the_supervisor_stops_is_not_asked_to_stop() -> None:
    rig = Rig("a", "b").up()
    rig.machine.stop(0.0)
    assert rig.ends("a") == []
    (done,) = rig.stops("b")
    assert isinstance(done, Done)
    assert not rig.decisions


def test_a_child_that_died_before_the_supervisor_began_to_stop_is_not_restarted() -> None:
    rig = Rig("a", "b").up()
    rig.machine.hold()
    rig.ends("a")
    assert rig.took(rig.machine.stop(0.0)) == [final("b")]
    assert isinstance(rig.stops("b")[-1], Done)


def test_what_dies_while_the_supervisor_itself_starts_is_served_when_it_is_ready() -> None:
    rig = Rig("a", "b")
    rig.begins()
    assert rig.starts("a") == [Start("b", 1)]
    assert rig.ends("a") == []
    assert rig.starts("b") == [Ready(), Start("a", 2)]


def test_a_start_that_fails_ends_the_supervisor_s_own_start_and_names_the_child() -> None:
    rig = Rig("a", spec("b", TEMPORARY), "c")
    rig.begins()
    rig.starts("a")
    assert Stop("a", StopMode.RESTART, 5.0, False) in rig.fails("b")
    (done,) = [d for d in rig.stops("a") if isinstance(d, Done)]
    assert (done.cause, done.failed, done.reason.kind) == (Cause.START_FAILED, "b", ExitKind.CRASHED)


@pytest.mark.parametrize(
    ("restart", "follows"), [(TRANSIENT, [Close("x"), Reply("t", False)]), (TEMPORARY, [Forget("x"), Reply("t", False)])]
)
def test_an_ignored_start_is_listed_as_stopped_unless_it_is_temporary(restart: Restart, follows: list[Any]) -> None:
    rig = Rig("a").up()
    rig.machine.start_child(spec("x", restart), "t", 0.0)
    assert rig.fails("x", ignored=True) == follows


def test_a_dynamic_supervisor_that_is_full_has_room_again_when_a_child_has_ended() -> None:
    rig = Rig(dynamic=True, max_children=1).up()
    machine = rig.machine
    machine.start_child(spec("x", TEMPORARY), 1, 0.0)
    assert machine.start_child(spec("y"), 2, 0.0) == [], "it waits for its turn before it is counted"
    out = rig.starts("x")
    assert isinstance(result(out[1:]), TooManyChildren)
    rig.ends("x", NORMAL)
    assert machine.start_child(spec("y"), 3, 0.0) == [Start("y", 1)]


def test_a_dynamic_child_that_waits_for_its_restart_is_terminated_and_forgotten() -> None:
    rig = Rig(dynamic=True).up()
    rig.machine.start_child(spec("x", Restart.permanent(wait=wait_fixed(10))), 1, 0.0)
    rig.starts("x")
    rig.ends("x")
    out = rig.took(rig.machine.terminate_child("x", 2, 1.0))
    assert Told(out[:2]) == [Forget("x"), Reply(2, None)]
    assert isinstance(result(rig.machine.terminate_child("x", 3, 1.0)), ChildNotFound)


def test_a_name_that_is_listed_but_stopped_is_present_and_not_started() -> None:
    rig = Rig(spec("a", TRANSIENT)).up()
    rig.ends("a", NORMAL)
    assert isinstance(result(rig.machine.start_child(spec("a"), "t", 0.0)), ChildAlreadyPresent)
