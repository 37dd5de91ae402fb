"""A start that waits because a first start below it is tried again: nobody waits for it but whoever comes after it.

Tested: SEMANTICS 47, of a supervisor that is a child of another.
"""

from __future__ import annotations

from typing import Any

import pytest
from tenacity import wait_fixed

from supervise_strategies import (
    Action,
    CancelStart,
    ChildAlreadyStarted,
    ChildRunning,
    ChildStartFailed,
    ChildState,
    ChildUnstoppable,
    Close,
    Directive,
    Done,
    Forget,
    Intensity,
    Overran,
    Ready,
    Reply,
    Restart,
    Start,
    Stop,
    StopMode,
    SupervisorNotRunning,
    Waits,
    WakeAt,
)
from supervise_strategies.directives import Cause
from supervise_strategies.exit_reason import NORMAL
from supervise_strategies.supervisor_state import Phase

from .rig import Rig, spec

STRATEGIES = ["one_for_one", "one_for_all", "rest_for_one"]
GROUPS = ["one_for_all", "rest_for_one"]


def waits(rig: Rig, name: str = "b") -> list[Directive]:
    return rig.took(rig.machine.start_waits(name, rig.info(name).incarnation, rig.now))


def answers(directives: list[Directive]) -> list[tuple[object, object]]:
    """Who is told what: a result, or the type of an error."""
    return [
        (each.ticket, type(each.result) if isinstance(each.result, Exception) else each.result)
        for each in directives
        if isinstance(each, Reply)
    ]


# -- in the supervisor's own start ---------------------------------------------------------------------------------------------


def booting(**settings: Any) -> Rig:
    """a runs, the start of b waits, c hasn't begun."""
    rig = Rig("a", "b", "c", **settings)
    rig.begins()
    assert rig.starts("a") == [Start("b", 1)]
    assert waits(rig) == [Waits()]
    assert rig.states() == {"a": "running", "b": "starting", "c": "stopped"}
    return rig


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_younger_ones_come_when_it_is_up(strategy: str) -> None:
    rig = booting(strategy=strategy)
    assert waits(rig) == []
    assert rig.starts("b") == [Start("c", 1)]
    assert rig.starts("c") == [Ready()]


def test_an_elder_is_restarted_meanwhile_and_boot_goes_on_whichever_is_up_first() -> None:
    rig = booting()
    assert rig.ends("a") == [Start("a", 2)]
    assert rig.starts("a") == []
    assert rig.ends("a") == [Start("a", 3)]
    assert rig.starts("b") == []
    assert rig.starts("a") == [Start("c", 1)]
    assert rig.starts("c") == [Ready()]


@pytest.mark.parametrize("meanwhile", ["nothing", "an elder is restarted"])
def test_if_it_fails_the_supervisors_own_start_has_failed(meanwhile: str) -> None:
    rig = booting()
    if meanwhile == "nothing":
        assert [type(each) for each in rig.fails("b")] == [Stop]
        (done,) = rig.stops("a")
    else:
        rig.ends("a")
        assert rig.fails("b") == [CancelStart("a")]
        (done,) = rig.fails("a")
    assert isinstance(done, Done)
    assert (done.cause, done.failed) == (Cause.START_FAILED, "b")


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("strategy", GROUPS)
def test_the_group_restart_of_an_elder_takes_it_along(strategy: str, late: bool) -> None:
    """Those below it hang on the elder as much as any other of the group."""
    rig = booting(strategy=strategy)
    assert rig.ends("a") == [CancelStart("b")]
    if late:
        assert rig.overruns("b") == [Start("a", 2)]
        assert rig.starts("a") == []
        assert rig.fails("b") == [Start("b", 2)]
    else:
        assert rig.fails("b") == [Start("a", 2)]
        assert rig.starts("a") == [Start("b", 2)]
    assert waits(rig) == []  # it was told before
    assert rig.starts("b") == [Start("c", 1)]
    assert rig.starts("c") == [Ready()]


def test_calls_wait_and_a_stop_does_not() -> None:
    rig = booting()
    assert rig.took(rig.machine.terminate_child("b", "t", rig.now)) == []
    directives = rig.took(rig.machine.stop(rig.now))
    assert CancelStart("b", StopMode.FINAL) in directives
    assert answers(directives) == [("t", SupervisorNotRunning)]
    assert [type(each) for each in rig.fails("b")] == [Stop]
    assert [type(each) for each in rig.stops("a")] == [Done]


@pytest.mark.parametrize("strategy", GROUPS)
def test_an_elder_whose_restart_waits_holds_up_those_that_it_would_take_along(strategy: str) -> None:
    rig = Rig("a", "b", "c", strategy=strategy)
    rig.begins()
    rig.starts("a")
    waits(rig)
    rig.ends("a")
    rig.fails("b")
    assert waits(rig, "a") == []
    assert rig.states() == {"a": "starting", "b": "stopped", "c": "stopped"}
    assert rig.starts("a") == [Start("b", 2)]
    assert rig.starts("b") == [Start("c", 1)]
    assert rig.starts("c") == [Ready()]


@pytest.mark.parametrize("younger", [True, False])
def test_a_temporary_one_goes_with_its_group_and_those_after_it_wait_for_the_elder(younger: bool) -> None:
    elder, below = spec("a", Restart.permanent(wait=wait_fixed(60))), spec("b", Restart.temporary())
    rig = Rig(elder, below, *(["c"] if younger else []), strategy="rest_for_one")
    rig.begins()
    rig.starts("a")
    waits(rig)
    assert rig.ends("a") == [CancelStart("b", StopMode.FINAL)]
    assert rig.fails("b") == [Forget("b"), *([] if younger else [Ready()]), WakeAt(60.0)]
    assert rig.at(60).timer() == [Start("a", 2)]
    assert rig.starts("a") == ([Start("c", 1)] if younger else [])
    assert not younger or rig.starts("c") == [Ready()]


@pytest.mark.parametrize("waiting", ["its restart", "its first start", "its turn", "its group"])
def test_a_significant_one_that_is_to_come_has_not_ended(waiting: str) -> None:
    significant = [spec(name, Restart.transient(), significant=True) for name in ("b", "c")]
    rig = Rig("a", *significant, strategy="rest_for_one", auto_shutdown="all_significant")
    if waiting == "its turn":
        rig = Rig(significant[0], "a", significant[1], auto_shutdown="all_significant")
        rig.begins()
        rig.starts("b")
        waits(rig, "a")
    elif waiting == "its first start":
        rig = Rig(*significant, auto_shutdown="all_significant")
        rig.begins()
        rig.starts("b")
        waits(rig, "c")
    elif waiting == "its restart":
        rig = Rig(*significant, auto_shutdown="all_significant").up()
        rig.ends("c")
        waits(rig, "c")
    else:
        slow = spec("a", Restart.permanent(wait=wait_fixed(60)))
        rig = Rig(significant[0], slow, significant[1], strategy="rest_for_one", auto_shutdown="all_significant").up()
        rig.ends("a")
        rig.stops("c")
    rig.ends("b", NORMAL)
    assert rig.machine.phase in (Phase.STARTING, Phase.RUNNING)


@pytest.mark.parametrize("comes", ["up", "down", "late"])
def test_a_stop_waits_for_what_ends_already_and_for_one_that_comes_before_its_turn(comes: str) -> None:
    rig = asked()
    rig.machine.terminate_child("a", "u", rig.now)
    directives = rig.took(rig.machine.stop(rig.now))
    assert [type(each) for each in directives] == [Reply, Reply]
    if comes == "up":
        assert rig.starts("b") == []
        assert rig.stops("a") == [Stop("b", StopMode.FINAL, 5.0, False)]
        done = rig.stops("b")
    elif comes == "down":
        assert rig.fails("b") == [Forget("b")]
        done = rig.stops("a")
    else:
        assert rig.took(rig.machine.stop_overran("b", 1, rig.now)) == []
        assert [type(each) for each in rig.stops("a")] == [Overran]
        done = rig.fails("b")
    assert isinstance(done[-1], Done)


# -- in a restart ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_others_of_its_group_go_on_and_a_failure_is_one_more_restart(strategy: str) -> None:
    rig = Rig("a", "b", "c", strategy=strategy).up()
    rig.ends("b")
    if strategy != "one_for_one":
        rig.stops("c")
    if strategy == "one_for_all":
        rig.stops("a")
        rig.starts("a")
    assert waits(rig) == ([] if strategy == "one_for_one" else [Start("c", 2)])
    if strategy != "one_for_one":
        rig.starts("c")
    assert rig.states() == {"a": "running", "b": "starting", "c": "running"}
    assert rig.ends("c", number=2 if strategy != "one_for_one" else 1) != []  # it is served
    rig = Rig("a", "b", "c").up()
    rig.ends("b")
    waits(rig)
    assert rig.fails("b") == [Start("b", 3)]
    assert (rig.decisions[-1].action, rig.decisions[-1].used) == (Action.RESTART, 2)
    assert rig.decisions[-1].rule.startswith("its restart failed to start")


def test_a_failure_that_is_one_too_many_is_a_give_up() -> None:
    rig = Rig("a", "b", intensity=Intensity(1)).up()
    rig.ends("b")
    waits(rig)
    assert [type(each) for each in rig.fails("b")] == [Stop]
    assert rig.decisions[-1].action is Action.GIVE_UP


def test_a_give_up_cancels_each_start_that_waits_in_reverse_order() -> None:
    rig = Rig("a", "b", "c", intensity=Intensity(2)).up()
    for name in ("a", "b"):
        rig.ends(name)
        waits(rig, name)
    assert rig.ends("c") == [CancelStart("b")]
    assert rig.fails("b") == [CancelStart("a")]
    assert [type(each) for each in rig.fails("a")] == [Done]


# -- that somebody asked for ---------------------------------------------------------------------------------------------------


def asked(**settings: Any) -> Rig:
    """b was added, and waits."""
    rig = Rig(*([] if settings.get("dynamic") else ["a"]), **settings).up()
    assert rig.took(rig.machine.start_child(spec("b"), "t", rig.now)) == [Start("b", 1)]
    assert waits(rig) == []
    assert not rig.machine.busy
    return rig


@pytest.mark.parametrize("dynamic", [False, True])
def test_whoever_asked_is_answered_when_it_is_up_or_has_failed(dynamic: bool) -> None:
    assert answers(asked(dynamic=dynamic).starts("b")) == [("t", True)]
    rig, error = asked(dynamic=dynamic), ValueError("no route")
    directives = rig.fails("b", error=error)
    assert Forget("b") in directives
    assert answers(directives) == [("t", ChildStartFailed)]
    assert [each.result.__cause__ for each in directives if isinstance(each, Reply)] == [error]  # type: ignore[union-attr]


def test_calls_are_served_meanwhile() -> None:
    rig = asked()
    assert rig.took(rig.machine.start_child(spec("x"), "u", rig.now)) == [Start("x", 1)]
    assert rig.starts("x") == [Reply("u", True)]
    assert answers(rig.took(rig.machine.start_child(spec("b"), "u", rig.now))) == [("u", ChildAlreadyStarted)]
    assert answers(rig.took(rig.machine.delete_child("b", "u", rig.now))) == [("u", ChildRunning)]


@pytest.mark.parametrize("dynamic", [False, True])
def test_terminated_it_is_cancelled_and_both_are_answered(dynamic: bool) -> None:
    rig = asked(dynamic=dynamic)
    assert rig.took(rig.machine.terminate_child("b", "u", rig.now)) == [CancelStart("b", StopMode.FINAL)]
    directives = rig.fails("b")
    assert (Forget("b") if dynamic else Close("b")) in directives
    assert answers(directives) == [("t", ChildStartFailed), ("u", None)]


def test_terminated_it_may_be_unstoppable() -> None:
    rig = asked()
    rig.machine.terminate_child("b", "u", rig.now)
    assert answers(rig.overruns("b")) == [("u", ChildUnstoppable)]
    directives = rig.fails("b")
    assert Close("b") in directives
    assert answers(directives) == [("t", ChildStartFailed)]


def test_when_nobody_waits_for_it_any_more_before_its_turn_it_has_one_try() -> None:
    rig = Rig("a").up()
    rig.machine.start_child(spec("slow"), "s", rig.now)
    rig.machine.start_child(spec("b"), "t", rig.now)
    rig.machine.start_child(spec("c"), "u", rig.now)
    assert rig.took(rig.machine.start_withdrawn("t", rig.now)) == []
    assert rig.took(rig.machine.start_withdrawn("u", rig.now)) == []
    rig.starts("slow")
    assert waits(rig) == [Start("c", 1)]
    assert rig.starts("c") == [Reply("u", True), CancelStart("b", StopMode.FINAL)]
    assert answers(rig.fails("b")) == [("t", ChildStartFailed)]
    assert rig.states() == {"a": "running", "slow": "running", "c": "running"}


@pytest.mark.parametrize("up", [True, False])
def test_when_the_name_is_taken_it_changes_nothing_for_who_has_it(up: bool) -> None:
    rig = asked()
    if up:
        rig.starts("b")
    rig.machine.start_child(spec("slow"), "s", rig.now)
    rig.machine.start_child(spec("b"), "u", rig.now)
    rig.machine.start_withdrawn("u", rig.now)
    assert answers(rig.starts("slow")) == [("s", True), ("u", ChildAlreadyStarted)]
    assert up or answers(rig.starts("b")) == [("t", True)]
    rig.machine.terminate_child("b", "v", rig.now)
    assert rig.stops("b") == [Close("b"), Reply("v", None)]


def held() -> Rig:
    """b was added, waited, and is down with the group of a, which is in its backoff."""
    rig = Rig(spec("a", Restart.permanent(wait=wait_fixed(10))), strategy="one_for_all").up()
    rig.machine.start_child(spec("b"), "t", rig.now)
    waits(rig)
    rig.ends("a")
    assert rig.fails("b") == [WakeAt(10.0)]
    return rig


def test_held_with_its_group_it_is_forgotten_when_nobody_waits_for_it_any_more() -> None:
    rig = held()
    directives = rig.took(rig.machine.start_withdrawn("t", rig.now))
    assert Forget("b") in directives
    assert answers(directives) == [("t", ChildStartFailed)]
    assert rig.at(10).timer() == [Start("a", 2)]
    assert rig.starts("a") == []


def test_held_with_a_group_that_does_not_come_it_is_started_alone() -> None:
    rig = held()
    assert Start("b", 2) in rig.took(rig.machine.terminate_child("a", "u", rig.now))
    assert answers(rig.starts("b")) == [("t", True)]


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("before", [False, True])
def test_when_nobody_waits_for_it_any_more_it_is_cancelled_and_forgotten(before: bool, late: bool) -> None:
    if before:
        rig = Rig("a").up()
        rig.machine.start_child(spec("b"), "t", rig.now)
        assert rig.took(rig.machine.start_withdrawn("t", rig.now)) == []  # a start under way may succeed
        assert waits(rig) == [CancelStart("b", StopMode.FINAL)]
    else:
        rig = asked()
        assert rig.took(rig.machine.start_withdrawn("t", rig.now)) == [CancelStart("b", StopMode.FINAL)]
    if late:
        rig.overruns("b")
    directives = rig.fails("b")
    assert Forget("b") in directives
    assert answers(directives) == [("t", ChildStartFailed)]
    assert rig.states() == {"a": "running"}


def test_it_may_be_up_before_its_cancellation_was_begun() -> None:
    rig = asked()
    rig.ends("a")
    rig.machine.start_withdrawn("t", rig.now)  # it comes behind the restart that is under way
    assert answers(rig.starts("b")) == [("t", True)]
    rig.starts("a")
    assert rig.states() == {"a": "running", "b": "running"}


def test_a_group_restart_takes_it_along_and_whoever_asked_waits_on() -> None:
    rig = asked(strategy="one_for_all")
    rig.took(rig.machine.start_child(spec("c"), "u", rig.now))
    rig.starts("c")
    assert [type(each) for each in rig.ends("a")] == [Stop]
    assert rig.stops("c") == [CancelStart("b")]
    assert rig.fails("b") == [Start("a", 2)]
    assert rig.starts("a") == [Start("b", 2)]
    directives = rig.fails("b")
    assert answers(directives) == [("t", ChildStartFailed)]
    assert Start("c", 2) in directives, "the others go on"
    assert Forget("b") in directives


@pytest.mark.parametrize("ended", [True, False])
def test_one_that_is_started_again_by_hand_is_answered_later_and_stays_listed(ended: bool) -> None:
    rig = Rig("a", "b").up()
    if ended:
        rig.took(rig.machine.terminate_child("b", "s", rig.now))
        rig.stops("b")
        rig.machine.restart_child("b", "t", rig.now)
    else:
        rig.machine.renew_child("b", "t", rig.now)
        rig.stops("b")
    assert rig.took(rig.machine.start_withdrawn("t", rig.now)) == []  # it is no new one
    assert waits(rig) == []
    assert not rig.machine.busy
    directives = rig.fails("b")
    assert answers(directives) == [("t", ChildStartFailed)]
    assert rig.states() == {"a": "running", "b": "stopped"}


def test_started_anew_by_hand_all_who_asked_have_one_answer() -> None:
    rig = asked()
    assert rig.took(rig.machine.renew_child("b", "u", rig.now)) == [CancelStart("b")]
    assert rig.fails("b") == [Start("b", 2)]
    assert answers(rig.starts("b")) == [("t", True), ("u", True)]


def test_what_is_told_twice_holds_up_nothing_else() -> None:
    rig = asked()
    rig.machine.start_child(spec("x"), "u", rig.now)
    assert waits(rig) == []
    assert rig.machine.busy
    assert answers(rig.starts("x")) == [("u", True)]


def test_what_is_told_too_late_changes_nothing() -> None:
    rig = Rig("a", "b").up()
    assert waits(rig) == []
    rig.ends("b")
    assert rig.took(rig.machine.start_waits("b", 1, rig.now)) == []
    assert rig.machine.busy
    assert rig.took(rig.machine.start_waits("nobody", 1, rig.now)) == []
    rig.machine.stop(rig.now)
    assert waits(rig) == []
    assert rig.machine.phase is Phase.STOPPING
    assert rig.state("b") is ChildState.STARTING
