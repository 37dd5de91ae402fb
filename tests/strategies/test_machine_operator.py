"""What a person asks of the machine: renewals and changes of policy, none of which is a crash.

Tested: `renew_child` in every state, `change_child`, `change_intensity`; the window and the backoff untouched by a renewal;
restarts, last reason and `finished` of `ChildInfo`; restarts left.
"""

from __future__ import annotations

from typing import Any

import pytest
from tenacity import wait_exponential, wait_fixed

from supervise_strategies import (
    Action,
    ChildNotFound,
    ChildStartFailed,
    ChildState,
    ChildTemporary,
    ChildUnstoppable,
    Close,
    Directive,
    Intensity,
    InvalidSpec,
    NotForDynamic,
    Reply,
    Restart,
    Start,
    Stop,
    StopMode,
    SupervisorNotRunning,
    WakeAt,
)
from supervise_strategies.exit_reason import NORMAL
from tests.strategies.rig import CRASH, Rig, spec

SLOWLY = Restart.permanent(wait=wait_fixed(7), counted=True)


def renew(rig: Rig, name: str) -> list[Directive]:
    return rig.took(rig.machine.renew_child(name, "t", rig.now))


def change(rig: Rig, name: str, **what: Any) -> list[Directive]:
    return rig.took(rig.machine.change_child(name, "t", rig.now, **what))


def refusal(directives: list[Directive]) -> Any:
    (reply,) = directives
    assert isinstance(reply, Reply)
    return reply.result


def test_a_renewal_keeps_the_mailbox_touches_no_sibling_and_counts_nothing() -> None:
    rig = Rig("a", "b", strategy="one_for_all", intensity=Intensity(0)).up()
    assert renew(rig, "a") == [Stop("a", StopMode.RESTART, 5.0, False)]
    assert rig.stops("a") == [Start("a", 2)]
    assert rig.starts("a") == [Reply("t", True)]
    assert rig.decisions == []
    assert rig.machine.restarts == rig.info("a").restarts == 0
    assert rig.info("b").incarnation == 1


def test_a_renewal_of_a_stopped_child_starts_it() -> None:
    rig = Rig("a").up()
    rig.took(rig.machine.terminate_child("a", "t", 0.0))
    rig.stops("a")
    assert renew(rig, "a") == [Start("a", 2)]
    assert rig.starts("a") == [Reply("t", True)]


def test_a_renewal_in_a_backoff_restarts_the_group_now_and_answers_at_once() -> None:
    rig = Rig(spec("a", SLOWLY), "b", strategy="one_for_all").up()
    rig.ends("a")
    rig.stops("b")
    assert rig.state("a") is ChildState.RESTARTING
    assert renew(rig, "a") == [Reply("t", True), Start("a", 2), WakeAt(None)]
    assert rig.starts("a") == [Start("b", 2)]
    rig.starts("b")
    assert rig.states() == {"a": "running", "b": "running"}
    assert rig.machine.restarts == 1  # the crash's own


def test_a_renewal_swallows_a_death_that_nobody_has_looked_at() -> None:
    rig = Rig("a", "b").up()
    rig.took(rig.machine.terminate_child("b", "t", 0.0))
    assert renew(rig, "a") == []
    rig.ends("a")
    rig.stops("b")  # the renewal is served first: it finds the child dead
    assert rig.state("a") is ChildState.STARTING
    assert (rig.starts("a"), rig.machine.restarts) == ([Reply("t", True)], 0)


def test_a_renewal_whose_start_fails_leaves_the_child_stopped() -> None:
    rig = Rig("a").up()
    renew(rig, "a")
    rig.stops("a")
    closed, reply = rig.fails("a")
    assert closed == Close("a")
    assert isinstance(reply, Reply)
    assert isinstance(reply.result, ChildStartFailed)
    assert (rig.state("a"), rig.info("a").last) == (ChildState.STOPPED, CRASH)


def test_a_renewal_of_what_outlives_its_cancellation_says_so_and_happens_when_it_has_ended() -> None:
    rig = Rig("a").up()
    renew(rig, "a")
    assert isinstance(refusal(rig.overruns("a")), ChildUnstoppable)
    assert isinstance(refusal(renew(rig, "a")), ChildUnstoppable)
    assert rig.ends("a") == [Start("a", 2)]


def test_a_renewal_that_a_stop_overtakes_is_answered() -> None:
    rig = Rig("a").up()
    renew(rig, "a")
    assert isinstance(refusal(rig.took(rig.machine.stop(0.0))), SupervisorNotRunning)


def test_what_is_forgotten_when_it_stops_can_not_be_renewed() -> None:
    assert isinstance(refusal(renew(Rig(spec("a", Restart.temporary())).up(), "a")), ChildTemporary)
    assert isinstance(refusal(renew(Rig(dynamic=True).up(), "a")), NotForDynamic)
    assert isinstance(refusal(renew(Rig("a").up(), "z")), ChildNotFound)


def test_a_changed_restart_holds_from_the_next_end_on_and_forgets_the_failures_in_a_row() -> None:
    rig = Rig(spec("a", Restart.permanent(wait=wait_exponential())), intensity=Intensity(9)).up()
    for n in range(1, 4):
        rig.ends("a")
        rig.at(rig.now + 2**n).timer()
        rig.starts("a")
    assert change(rig, "a", restart=Restart.permanent(wait=wait_exponential(multiplier=3))) == [Reply("t", None)]
    rig.ends("a")
    assert rig.decisions[-1].delay == 3.0
    assert change(rig, "a", restart=Restart.transient()) == [Reply("t", None)]
    rig.at(50).timer()
    rig.starts("a")
    rig.ends("a", NORMAL)
    assert rig.decisions[-1].action is Action.LEAVE


def test_a_changed_limit_keeps_what_was_counted() -> None:
    rig = Rig(spec("a", limit=Intensity(2))).up()
    rig.ends("a")
    rig.starts("a")
    assert rig.machine.left("a", 0.0) == 1
    change(rig, "a", limit=Intensity(1))
    assert rig.machine.left("a", 0.0) == 0
    rig.ends("a")
    assert rig.decisions[-1].action is Action.LEAVE


def test_a_changed_intensity_keeps_what_was_counted() -> None:
    rig = Rig("a", intensity=Intensity(3)).up()
    for _ in range(2):
        rig.ends("a")
        rig.starts("a")
    assert rig.took(rig.machine.change_intensity(Intensity(2), "t", 0.0)) == [Reply("t", None)]
    assert (rig.machine.restarts, rig.machine.left("a", 0.0), rig.machine.left("a", 6.0)) == (2, 0, 2)
    rig.ends("a")
    assert rig.decisions[-1].action is Action.GIVE_UP


def test_a_change_that_could_not_have_been_described_is_refused_and_nothing_changes() -> None:
    rig = Rig(spec("a", Restart.transient(), significant=True), auto_shutdown="any_significant").up()
    error = refusal(change(rig, "a", restart=Restart.permanent()))
    assert isinstance(error, InvalidSpec)
    assert "significant" in str(error)
    assert rig.info("a").spec.restart == Restart.transient()
    assert isinstance(refusal(change(rig, "z", restart=SLOWLY)), ChildNotFound)


@pytest.mark.parametrize(("reason", "finished"), [(NORMAL, True), (CRASH, False)])
def test_finished_is_what_ended_in_an_orderly_way_and_no_more_once_it_starts_again(reason: Any, finished: bool) -> None:
    when = Restart.transient(when=lambda _: False)
    rig = Rig(spec("a", when)).up()
    rig.ends("a", reason, error=ValueError("x"))
    assert (rig.state("a"), rig.info("a").finished) == (ChildState.STOPPED, finished)
    rig.took(rig.machine.restart_child("a", "t", 0.0))
    rig.starts("a")
    rig.took(rig.machine.terminate_child("a", "t", 0.0))
    rig.stops("a")
    assert not rig.info("a").finished
    rig.took(rig.machine.restart_child("a", "t", 0.0))
    rig.fails("a", ignored=True)
    assert rig.info("a").finished


def test_restarts_and_the_last_reason_are_remembered() -> None:
    rig = Rig("a", "b", strategy="one_for_all").up()
    rig.ends("a")
    rig.stops("b")
    rig.starts("a")
    rig.starts("b")
    assert [(c.restarts, c.last) for c in rig.machine.children()] == [(1, CRASH), (0, None)]
    rig.ends("a", NORMAL)
    assert (rig.info("a").restarts, rig.info("a").last) == (2, CRASH)
