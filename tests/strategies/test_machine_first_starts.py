"""A first start that is tried again, in the supervisor's own start and at run time.

Tested: SEMANTICS 47; of 85, a start that can't be cancelled.
"""

from __future__ import annotations

from typing import Any

import pytest
from tenacity import retry_if_exception_type, stop_after_attempt, wait_fixed

from supervise_strategies import (
    Action,
    CancelStart,
    ChildStartFailed,
    ChildState,
    ChildUnstoppable,
    Close,
    Directive,
    Done,
    Forget,
    Intensity,
    InvalidSpec,
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
from supervise_strategies.exit_reason import KILLED
from supervise_strategies.supervisor_state import Phase

from .rig import CRASH, Rig, spec

PATIENT = spec("b", Restart.permanent(wait=wait_fixed(1)), retry_start=True)
STRATEGIES = ["one_for_one", "one_for_all", "rest_for_one"]


def never(_: object) -> bool:
    return False


def answers(directives: list[Directive]) -> list[Reply]:
    return [each for each in directives if isinstance(each, Reply)]


def waiting(*more: Any, **settings: Any) -> Rig:
    """a runs, b has failed to start and waits, c hasn't begun."""
    rig = Rig("a", PATIENT, "c", *more, **settings)
    rig.begins()
    rig.starts("a")
    assert rig.fails("b") == [Waits(), WakeAt(1.0)]
    return rig


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_elders_run_and_younger_ones_wait_until_it_is_up(strategy: str) -> None:
    rig = waiting(strategy=strategy)
    assert rig.states() == {"a": "running", "b": "restarting", "c": "stopped"}
    for second in range(1, 6):
        assert rig.at(second).timer() == [Start("b", second + 1)]
        assert rig.fails("b") == [WakeAt(second + 1.0)]
    assert rig.at(6).timer() == [Start("b", 7)]
    assert rig.starts("b") == [Start("c", 1)]
    assert rig.starts("c") == [Ready()]
    assert rig.machine.phase is Phase.RUNNING
    assert [decision.ordinal for decision in rig.decisions] == [f"restart {n}, paced" for n in range(1, 7)]
    assert rig.decisions[0].rule == "its first start failed; permanent"


def test_without_it_nothing_is_tried_again() -> None:
    rig = Rig("a", spec("b", Restart.permanent(wait=wait_fixed(1))))
    rig.begins()
    rig.starts("a")
    rig.fails("b")
    rig.stops("a")
    assert rig.machine.phase is Phase.DONE


# How patient it is, and after which failed start the supervisor's own start has failed, under 3 in 5 s.
PATIENCE: list[tuple[dict[str, Any], int]] = [
    ({"restart": Restart()}, 4),
    ({"restart": Restart.permanent(wait=wait_fixed(1), stop=stop_after_attempt(6))}, 6),
    ({"restart": Restart.permanent(wait=wait_fixed(1)), "limit": Intensity(2, per=60)}, 3),
    ({"restart": Restart.permanent(wait=wait_fixed(1)), "limit": Intensity(2, per=60), "on_limit": "escalate"}, 3),
    ({"restart": Restart.permanent(wait=wait_fixed(0.1), counted=True)}, 4),
    ({"restart": Restart.permanent(when=retry_if_exception_type(OSError))}, 1),
]


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(("options", "failures"), PATIENCE)
def test_patience_that_is_spent_fails_the_supervisors_own_start(options: Any, failures: int, strategy: str) -> None:
    rig = Rig("a", spec("b", retry_start=True, **options), "c", strategy=strategy)
    rig.begins()
    rig.starts("a")
    last: list[Any] = []
    for number in range(1, failures + 1):
        assert rig.machine.phase is Phase.STARTING
        last = rig.fails("b", error=ValueError("no route"))
        if number < failures and rig.decisions[-1].delay:
            rig.at(rig.now + rig.decisions[-1].delay).timer()
    assert [directive for directive in last if isinstance(directive, Stop)]
    done = [directive for directive in rig.stops("a") if isinstance(directive, Done)]
    assert [(each.cause, each.failed) for each in done] == [(Cause.START_FAILED, "b")]
    assert done[0].reason.detail == "child 'b' didn't start: ValueError: x"


def test_what_can_never_work_is_not_tried_again() -> None:
    rig = Rig(PATIENT)
    rig.begins()
    directives = rig.fails("b", error=InvalidSpec("child 'b'", "factory", None, "an actor"))
    assert [type(directive) for directive in directives] == [Waits, Done]


NEVER = InvalidSpec("child 'b'", "factory", None, "an actor")


@pytest.mark.parametrize("tries", [1, 2, 5])
def test_nor_at_a_later_try_in_the_supervisors_own_start(tries: int) -> None:
    rig = Rig(PATIENT, "c")
    rig.begins()
    for second in range(1, tries):
        rig.fails("b")
        rig.at(second).timer()
    (done,) = [each for each in rig.fails("b", error=NEVER) if isinstance(each, Done)]
    assert (done.cause, done.failed) == (Cause.START_FAILED, "b")


@pytest.mark.parametrize("tries", [1, 2, 5])
@pytest.mark.parametrize("dynamic", [False, True])
def test_nor_at_a_later_try_at_run_time(tries: int, dynamic: bool) -> None:
    rig = Rig(dynamic=dynamic).up()
    rig.machine.start_child(PATIENT, "t", rig.now)
    for second in range(1, tries):
        rig.fails("b")
        rig.at(second).timer()
    last = rig.fails("b", error=NEVER)
    (reply,) = [each for each in last if isinstance(each, Reply)]
    assert isinstance(reply.result, ChildStartFailed)
    assert reply.result.__cause__ is NEVER
    assert Forget("b") in last


def test_of_a_child_that_has_worked_it_is_a_crash_like_any_other() -> None:
    rig = Rig(spec("b", retry_start=True)).up()
    assert rig.ends("b") == [Start("b", 2)]
    assert rig.fails("b", error=NEVER) == [Start("b", 3)]


def test_it_may_ignore_a_later_try_and_boot_goes_on() -> None:
    rig = waiting()
    rig.at(1).timer()
    assert rig.fails("b", ignored=True) == [Close("b"), Start("c", 1)]
    assert rig.starts("c") == [Ready()]


def test_calls_that_change_the_tree_wait_for_the_end_of_the_start_and_a_stop_does_not() -> None:
    rig = waiting()
    assert rig.took(rig.machine.terminate_child("a", "t", rig.now)) == []
    assert rig.took(rig.machine.start_child(spec("x"), "u", rig.now)) == []
    rig.at(1).timer()
    rig.starts("b")
    assert [type(each) for each in rig.starts("c")] == [Ready, Stop]
    rig = waiting()
    rig.machine.terminate_child("a", "t", rig.now)
    directives = rig.took(rig.machine.stop(rig.now))
    assert [type(each) for each in directives] == [Reply, Stop, WakeAt]
    assert [type(each) for each in rig.stops("a")] == [Done]


def test_a_stop_cancels_the_try_that_is_under_way() -> None:
    rig = waiting()
    rig.at(1).timer()
    assert rig.took(rig.machine.stop(rig.now))[0] == CancelStart("b", StopMode.FINAL)


# -- the deaths of elders ---------------------------------------------------------------------------------------------------


def test_an_elder_is_restarted_meanwhile_and_no_wait_is_cut_short() -> None:
    rig = waiting()
    assert rig.at(0.5).ends("a") == [Start("a", 2)]
    assert rig.starts("a") == []
    assert rig.at(1).timer() == [Start("b", 2)]
    rig.starts("b")
    assert rig.starts("c") == [Ready()]


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_an_elders_group_restart_takes_the_waiting_one_along_and_nobody_younger(strategy: str) -> None:
    rig = waiting(strategy=strategy)
    assert rig.at(0.5).ends("a") == [Start("a", 2), WakeAt(None)]
    assert rig.decisions[-1].affected == ("a",)
    assert rig.starts("a") == [Start("b", 2)]  # its wait is over, and that isn't counted
    assert rig.machine.restarts == 1
    assert rig.starts("b") == [Start("c", 1)]
    assert rig.starts("c") == [Ready()]


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_it_waits_for_an_elder_that_is_in_its_own_backoff(strategy: str) -> None:
    elder = spec("a", Restart.permanent(wait=wait_fixed(10)))
    rig = Rig(elder, PATIENT, "c", strategy=strategy)
    rig.begins()
    rig.starts("a")
    rig.fails("b")
    assert rig.at(0.5).ends("a") == [WakeAt(10.5)]
    assert rig.at(10.5).timer() == [Start("a", 2)]
    assert rig.starts("a") == [Start("b", 2)]
    rig.starts("b")
    assert rig.starts("c") == [Ready()]


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_an_elder_that_stays_down_lets_it_go_on(strategy: str) -> None:
    elder = spec("a", Restart.permanent(wait=wait_fixed(10)), limit=Intensity(1, per=60))
    rig = Rig(elder, PATIENT, "c", strategy=strategy)
    rig.begins()
    rig.starts("a")
    rig.fails("b")
    rig.at(0.5).ends("a")
    rig.at(10.5).timer()
    assert rig.fails("a") == [Close("a"), Start("b", 2)]
    rig.starts("b")
    assert rig.starts("c") == [Ready()]


def test_an_elder_that_exceeds_the_intensity_is_a_give_up() -> None:
    rig = waiting(intensity=Intensity(1))
    rig.ends("a")
    rig.starts("a")
    done = [directive for directive in rig.ends("a") if isinstance(directive, Done)]
    assert [each.cause for each in done] == [Cause.GAVE_UP]


# -- at run time ------------------------------------------------------------------------------------------------------------


def added(**settings: Any) -> Rig:
    """b was added to a supervisor that runs, and waits for its second try."""
    rig = Rig(*([] if settings.get("dynamic") else ["a"]), **settings).up()
    assert rig.took(rig.machine.start_child(PATIENT, "t", rig.now)) == [Start("b", 1)]
    assert rig.fails("b") == [WakeAt(1.0)]
    return rig


@pytest.mark.parametrize("settings", [{"strategy": "one_for_all"}, {"strategy": "rest_for_one"}, {"dynamic": True}])
def test_a_child_that_is_added_holds_up_nobody_and_its_call_is_answered_when_it_is_up(settings: Any) -> None:
    rig = added(**settings)
    assert not rig.machine.busy
    assert rig.took(rig.machine.start_child(spec("x"), "u", rig.now)) == [Start("x", 1)]
    assert rig.starts("x") == [Reply("u", True)]
    assert rig.at(1).timer() == [Start("b", 2)]
    assert rig.starts("b") == [Reply("t", True)]
    assert rig.state("b") is ChildState.RUNNING


# As above, but what is spent at run time is that start alone: the supervisor lives.
@pytest.mark.parametrize(("options", "failures"), PATIENCE)
@pytest.mark.parametrize("dynamic", [False, True])
def test_patience_that_is_spent_answers_the_call_and_forgets_the_child(options: Any, failures: int, dynamic: bool) -> None:
    rig = Rig(dynamic=dynamic).up()
    rig.machine.start_child(spec("b", retry_start=True, **options), "t", rig.now)
    error = ValueError("no route")
    last: list[Any] = []
    for number in range(1, failures + 1):
        last = rig.fails("b", error=error)
        if number < failures and rig.decisions[-1].delay:
            rig.at(rig.now + rig.decisions[-1].delay).timer()
    reply = next(each for each in last if isinstance(each, Reply))
    assert isinstance(reply.result, ChildStartFailed)
    assert reply.result.__cause__ is error
    assert Forget("b") in last
    assert rig.machine.phase is Phase.RUNNING
    assert [each for each in last if isinstance(each, Reply)] == [reply]


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_a_group_restart_takes_it_along_and_is_not_held_up_by_it(strategy: str) -> None:
    rig = added(strategy=strategy)
    rig.machine.start_child(spec("d"), "u", rig.now)
    rig.starts("d")
    assert rig.ends("a") == [Stop("d", StopMode.RESTART, 5.0, False)]
    rig.stops("d")
    assert Start("b", 2) in rig.starts("a")
    assert rig.at(2).fails("b") == [Start("d", 2)]
    assert rig.starts("d") == [WakeAt(3.0)]
    rig.at(3).timer()
    assert Reply("t", True) in rig.starts("b")


def test_one_that_is_terminated_or_whose_supervisor_stops_answers_once() -> None:
    rig = added()
    (reply,) = [each for each in rig.took(rig.machine.terminate_child("b", "u", rig.now)) if getattr(each, "ticket", "") == "t"]
    assert isinstance(reply, Reply)
    assert isinstance(reply.result, ChildStartFailed)
    rig = added()
    (reply,) = [each for each in rig.took(rig.machine.stop(rig.now)) if isinstance(each, Reply)]
    assert isinstance(reply.result, SupervisorNotRunning)
    assert not [each for each in rig.stops("a") if isinstance(each, Reply)]


def test_whoever_asked_and_is_cancelled_gets_no_further_try() -> None:
    rig = added()
    assert Forget("b") in rig.took(rig.machine.start_withdrawn("t", rig.now))
    rig = added()
    rig.at(1).timer()
    assert rig.took(rig.machine.start_withdrawn("t", rig.now)) == []
    assert Forget("b") in rig.fails("b")
    rig = added()
    rig.at(1).timer()
    rig.machine.start_withdrawn("t", rig.now)
    rig.starts("b")
    assert rig.state("b") is ChildState.RUNNING  # a start under way may succeed
    rig = Rig("a").up()
    rig.machine.start_child(PATIENT, "t", rig.now)
    rig.machine.start_withdrawn("t", rig.now)
    assert Forget("b") in rig.fails("b")
    assert rig.took(rig.machine.start_withdrawn("nobody's", rig.now)) == []


def test_whoever_asked_is_answered_also_if_the_turn_of_the_call_has_not_come() -> None:
    rig = Rig("a").up()
    rig.machine.start_child(spec("slow"), "s", rig.now)
    assert rig.took(rig.machine.start_child(PATIENT, "t", rig.now)) == []
    rig.machine.start_child(spec("once"), "o", rig.now)
    (reply,) = answers(rig.took(rig.machine.start_withdrawn("t", rig.now)))
    assert str(reply.result) == "child 'b' didn't start: nobody waits for it any more"
    assert rig.took(rig.machine.start_withdrawn("o", rig.now)) == []  # one try is made all the same
    assert rig.starts("slow") == [Reply("s", True), Start("once", 1)]
    assert rig.starts("once") == [Reply("o", True)]
    assert "b" not in rig.states()


def in_the_wait_of_its_group() -> Rig:
    """b was added, and waits with the group of a, which is in its backoff."""
    rig = Rig(spec("a", Restart.permanent(wait=wait_fixed(10))), strategy="one_for_all").up()
    rig.machine.start_child(PATIENT, "t", rig.now)
    rig.fails("b")
    assert rig.at(0.5).ends("a") == [WakeAt(10.5)]
    assert rig.states() == {"a": "restarting", "b": "stopped"}
    return rig


def test_one_that_waits_with_its_group_is_tried_on_alone_if_the_group_does_not_come() -> None:
    rig = in_the_wait_of_its_group()
    assert rig.took(rig.machine.terminate_child("a", "u", rig.now)) == [
        Close("a"),
        Reply("u", None),
        Start("b", 2),
        WakeAt(None),
    ]
    assert rig.fails("b") == [WakeAt(1.5)]
    rig.at(1.5).timer()
    assert rig.starts("b") == [Reply("t", True)]


def test_one_that_waits_for_its_next_try_holds_down_nobody_of_another_ones_group() -> None:
    rig = Rig(spec("a", Restart.permanent(wait=wait_fixed(10))), "c", strategy="one_for_all").up()
    rig.ends("a")
    rig.stops("c")
    rig.machine.start_child(PATIENT, "t", rig.now)
    rig.fails("b")
    assert Close("c") in rig.took(rig.machine.terminate_child("a", "u", rig.now))


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_one_that_could_not_be_cancelled_waits_for_an_elder_in_its_backoff(strategy: str) -> None:
    rig = Rig(spec("a", Restart.permanent(wait=wait_fixed(60))), PATIENT, "c", strategy=strategy)
    rig.begins()
    rig.starts("a")
    overrun(rig, "b")
    assert rig.ends("a") == [WakeAt(60.0)]
    assert rig.fails("b") == []
    assert rig.at(60).timer() == [Start("a", 2)]
    assert rig.starts("a") == [Start("b", 2)]
    assert rig.starts("b") == [Start("c", 1)]


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_boot_waits_for_an_elder_that_could_not_be_cancelled_and_is_to_come_back(strategy: str) -> None:
    rig = waiting(strategy=strategy)
    rig.ends("a")
    assert rig.took(rig.machine.stop_overran("a", 2, rig.now, reason=CRASH)) == []
    assert rig.fails("a") == [Start("a", 3)]
    assert rig.starts("a") == [Start("b", 2)]


def test_one_that_waits_with_its_group_is_forgotten_when_nobody_waits_for_it() -> None:
    rig = in_the_wait_of_its_group()
    directives = rig.took(rig.machine.start_withdrawn("t", rig.now))
    assert [type(each.result) for each in answers(directives)] == [ChildStartFailed]
    assert Forget("b") in directives
    assert rig.at(10.5).timer() == [Start("a", 2)]
    assert rig.starts("a") == []


@pytest.mark.parametrize("settings", [{}, {"dynamic": True}, {"strategy": "one_for_all"}])
def test_one_that_nobody_can_reach_is_forgotten_and_its_call_answered(settings: Any) -> None:
    rig = added(**settings)
    replies = answers(rig.took(rig.machine.child_over("b", rig.now)))
    assert [str(each.result) for each in replies] == ["child 'b' didn't start: nobody can reach it any more"]
    assert "b" not in rig.states()


def test_one_that_is_terminated_while_its_first_try_can_not_be_cancelled_answers_both() -> None:
    rig = Rig("a").up()
    rig.machine.start_child(PATIENT, "t", rig.now)
    assert overrun(rig, "b") == []
    first, second = answers(rig.took(rig.machine.terminate_child("b", "u", rig.now)))
    assert (first.ticket, str(first.result)) == ("t", "child 'b' didn't start: it was terminated meanwhile")
    assert (second.ticket, type(second.result)) == ("u", ChildUnstoppable)
    assert rig.fails("b") == [Close("b")]


def test_a_name_that_is_being_tried_is_taken_and_says_so() -> None:
    rig = added()
    (taken,) = answers(rig.machine.start_child(spec("b"), "u", rig.now))
    (pending,) = answers(rig.machine.delete_child("b", "u", rig.now))
    assert str(taken.result) == (
        "child 'b' is listed already, and waits for the next try of its first start: wait until it is up, "
        "or terminate_child() it, or take another name="
    )
    assert str(pending.result) == "child 'b' waits for the next try of its first start: terminate_child('b') cancels it"


def test_once_it_was_up_it_is_a_child_like_any_other() -> None:
    rig = added(strategy="one_for_all")
    rig.at(1).timer()
    rig.starts("b")
    rig.ends("b")
    assert rig.decisions[-1].affected == ("a", "b")


def test_a_child_that_is_started_by_hand_is_not_tried_again() -> None:
    rig = added()
    rig.machine.terminate_child("b", "u", rig.now)
    rig.machine.restart_child("b", "v", rig.now)
    replies = [each for each in rig.fails("b") if isinstance(each, Reply)]
    assert [each.ticket for each in replies] == ["v"]


def test_a_temporary_child_is_never_tried_again() -> None:
    with pytest.raises(InvalidSpec, match="a temporary child is never started again"):
        spec("a", Restart.temporary(), retry_start=True)
    with pytest.raises(InvalidSpec, match="True or False"):
        spec("a", retry_start="yes")


# -- a start that can't be cancelled ------------------------------------------------------------------------------------------


def overrun(rig: Rig, name: str) -> Any:
    return rig.took(rig.machine.stop_overran(name, rig.info(name).incarnation, rig.now, reason=CRASH, error=ValueError("late")))


def test_at_boot_it_has_failed_and_the_end_waits_for_it() -> None:
    rig = Rig("a", "b")
    rig.begins()
    rig.starts("a")
    assert [type(each) for each in overrun(rig, "b")] == [Stop]
    rig.stops("a")
    assert rig.machine.phase is Phase.STOPPING
    assert [type(each) for each in rig.fails("b")] == [Done]


def test_one_that_is_tried_again_is_tried_when_it_has_ended() -> None:
    rig = Rig("a", PATIENT, "c")
    rig.begins()
    rig.starts("a")
    assert overrun(rig, "b") == [Waits()]
    assert rig.states() == {"a": "running", "b": "unstoppable", "c": "stopped"}
    rig.ends("a")
    assert rig.starts("a") == []  # it is served meanwhile
    assert rig.at(5).fails("b", error=ValueError("late")) == [WakeAt(6.0)]
    rig.at(6).timer()
    assert rig.starts("b") == [Start("c", 1)]


@pytest.mark.parametrize("patience", [True, False])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_group_restart_does_not_pass_over_it_in_the_supervisors_own_start(strategy: str, patience: bool) -> None:
    rig = Rig("a", PATIENT if patience else spec("b", Restart.transient(when=never), retry_start=True), "c", strategy=strategy)
    rig.begins()
    rig.starts("a")
    overrun(rig, "b")
    rig.ends("a")
    assert rig.starts("a") == []
    assert rig.states() == {"a": "running", "b": "unstoppable", "c": "stopped"}
    if strategy != "one_for_one":  # it comes after its group, as one that waits would, and isn't judged
        assert rig.fails("b", error=ValueError()) == [Start("b", 2)]
        assert rig.starts("b") == [Start("c", 1)]
    elif patience:
        assert rig.at(5).fails("b") == [WakeAt(6.0)]
        rig.at(6).timer()
        assert rig.starts("b") == [Start("c", 1)]
    else:
        assert [type(each) for each in rig.fails("b", error=ValueError())] == [Stop]
        assert rig.machine.phase is Phase.STOPPING


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_in_a_restart_the_others_of_its_group_do_not_wait_for_it(strategy: str) -> None:
    rig = Rig("a", "b", "c", strategy=strategy).up()
    rig.ends("a")
    rig.stops("c")
    rig.stops("b")
    rig.starts("a")
    assert overrun(rig, "b") == [Start("c", 2)]
    rig.starts("c")
    assert rig.states() == {"a": "running", "b": "unstoppable", "c": "running"}
    rig.fails("b")
    assert rig.decisions[-1].rule.startswith("its restart failed to start")
    assert rig.decisions[-1].action is Action.RESTART


def test_one_that_was_asked_for_is_answered_and_forgotten_when_it_has_ended() -> None:
    rig = Rig("a").up()
    rig.machine.start_child(spec("b"), "t", rig.now)
    (reply,) = overrun(rig, "b")
    assert isinstance(reply.result, ChildStartFailed)
    assert rig.state("b") is ChildState.UNSTOPPABLE
    assert rig.fails("b") == [Forget("b")]
    rig = Rig("a").up()
    rig.machine.terminate_child("a", "t", rig.now)
    rig.stops("a")
    rig.machine.restart_child("a", "u", rig.now)
    (reply,) = overrun(rig, "a")
    assert isinstance(reply.result, ChildStartFailed)
    assert rig.fails("a") == [Close("a")]


def test_a_stop_of_the_supervisor_waits_for_it() -> None:
    rig = Rig("a", "b")
    rig.begins()
    rig.starts("a")
    rig.machine.stop(rig.now)
    rig.took(rig.machine.stop_overran("b", 1, rig.now))
    rig.stops("a")
    assert [type(each) for each in rig.ends("b", KILLED)] == [Done]
