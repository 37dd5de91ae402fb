"""New code for a child, and a new description of its supervisor: nothing of it is a crash, none is forgotten, none counted.

Tested: `reload_child` in every state, of every restart type, under a dynamic supervisor, in the supervisor's own start and in a
start that is under way; a start that fails then; the answers; `describe`: policies, the intensity, the order, who is static.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tenacity import wait_fixed

from supervise_strategies import (
    CancelStart,
    ChildNotFound,
    ChildState,
    Directive,
    Done,
    Intensity,
    Ready,
    Reply,
    Restart,
    Start,
    Stop,
    StopMode,
    SupervisorNotRunning,
    SupervisorSpec,
    WakeAt,
)
from supervise_strategies.exit_reason import NORMAL
from tests.strategies.rig import CRASH, Rig, spec

SLOWLY = Restart.permanent(wait=wait_fixed(7))


def reload(rig: Rig, name: str, ticket: str = "t") -> list[Directive]:
    return rig.took(rig.machine.reload_child(name, ticket, rig.now))


def stop(name: str) -> Stop:
    return Stop(name, StopMode.RESTART, 5.0, False)


@pytest.mark.parametrize("restart", [Restart(), Restart.transient(), Restart.temporary()])
@pytest.mark.parametrize("strategy", ["one_for_one", "one_for_all"])
def test_it_is_stopped_and_started_on_its_mailbox_whatever_its_restart_type(restart: Restart, strategy: Any) -> None:
    rig = Rig(spec("a", restart), "b", strategy=strategy, intensity=Intensity(0)).up()
    assert reload(rig, "a") == [stop("a")]
    assert rig.stops("a") == [Start("a", 2)]
    assert rig.starts("a") == [Reply("t", True)]
    assert (rig.decisions, rig.machine.restarts, rig.info("a").restarts) == ([], 0, 0)


def test_a_child_of_a_dynamic_supervisor_is_not_forgotten() -> None:
    rig = Rig(dynamic=True).up()
    rig.machine.start_child(spec("a", Restart.temporary()), "s", 0.0)
    rig.starts("a")
    assert reload(rig, "a") == [stop("a")]
    assert rig.stops("a") == [Start("a", 2)]
    assert rig.starts("a") == [Reply("t", True)]


def test_they_come_one_after_the_other_in_the_order_in_which_they_were_asked_for() -> None:
    rig = Rig("a", "b").up()
    assert reload(rig, "a", "1") == [stop("a")]
    assert reload(rig, "b", "2") == []
    assert rig.stops("a") == [Start("a", 2)]
    assert rig.starts("a") == [Reply("1", True), stop("b")]
    assert rig.stops("b") == [Start("b", 2)]
    assert rig.starts("b") == [Reply("2", True)]


def test_one_that_is_dead_already_is_only_started() -> None:
    rig = Rig("a", "b", intensity=Intensity(0)).up()
    reload(rig, "b")
    assert rig.ends("a") == []  # its end waits behind that
    reload(rig, "a")
    rig.stops("b")
    told = rig.starts("b")
    assert told[0] == Reply("t", True)
    assert rig.machine.phase.name == "STOPPING"  # the end came first, and it had no restart left


def test_one_that_waits_for_its_restart_gets_it_now_with_its_group() -> None:
    rig = Rig(spec("a", SLOWLY), "b", strategy="one_for_all", intensity=Intensity(0)).up()
    rig.ends("a")
    rig.stops("b")
    assert (rig.state("a"), rig.info("a").due) == (ChildState.RESTARTING, 7.0)
    assert reload(rig, "a") == [Start("a", 2), WakeAt(None)]
    assert rig.starts("a") == [Start("b", 2)]
    assert rig.starts("b") == [Reply("t", True)]


@pytest.mark.parametrize("options", [{"limit": Intensity(0)}, {"quarantine": 1}])
def test_one_that_was_given_up_on_is_started_with_a_new_budget(options: dict[str, Any]) -> None:
    rig = Rig(spec("a", **options)).up()
    rig.ends("a", fingerprint="here")
    assert rig.state("a") is ChildState.STOPPED
    assert reload(rig, "a") == [Start("a", 2)]
    assert rig.starts("a") == [Reply("t", True)]
    rig.ends("a", fingerprint="here")
    assert rig.info("a").alike == (1 if "quarantine" in options else 0)


@pytest.mark.parametrize("how", ["by hand", "in order"])
def test_one_that_is_stopped_is_not_started(how: str) -> None:
    rig = Rig(spec("a", Restart.transient())).up()
    if how == "by hand":
        rig.took(rig.machine.terminate_child("a", "s", 0.0))
        rig.stops("a")
    else:
        rig.ends("a", NORMAL)
    assert reload(rig, "a") == [Reply("t", False)]
    assert rig.state("a") is ChildState.STOPPED


def test_one_that_outlives_its_cancellation_is_started_when_it_has_ended() -> None:
    rig = Rig("a").up()
    reload(rig, "a")
    assert rig.overruns("a") == [Reply("t", True)]
    assert reload(rig, "a", "2") == [Reply("2", False)]
    assert rig.ends("a") == [Start("a", 2)]


def test_a_start_that_fails_is_judged_as_that_of_a_restart() -> None:
    rig = Rig("a", spec("b", Restart.temporary()), intensity=Intensity(1)).up()
    reload(rig, "a")
    rig.stops("a")
    assert rig.fails("a") == [Reply("t", False), Start("a", 3)]
    assert (len(rig.decisions), rig.machine.restarts) == (1, 1)
    rig.starts("a")
    reload(rig, "b")
    rig.stops("b")
    rig.fails("b")
    assert "b" not in rig.machine  # temporary: it isn't tried again


def test_a_start_under_way_is_cancelled_and_another_takes_its_place() -> None:
    rig = Rig("a", "b", intensity=Intensity(0))
    rig.begins()
    assert reload(rig, "a") == [CancelStart("a", StopMode.RESTART), Reply("t", True)]
    assert rig.fails("a") == [Start("a", 2)]
    assert rig.starts("a") == [Start("b", 1)]
    assert rig.starts("b") == [Ready()]


def test_a_start_of_a_temporary_child_that_was_asked_for_goes_on_with_the_new_code() -> None:
    rig = Rig(dynamic=True).up()
    rig.machine.start_child(spec("a", Restart.temporary()), "s", 0.0)
    reload(rig, "a")
    assert rig.fails("a") == [Start("a", 2)]
    assert rig.starts("a") == [Reply("s", True)]


def test_a_first_start_that_is_tried_again_is_tried_at_once_in_the_supervisors_own_start() -> None:
    rig = Rig(spec("a", SLOWLY, retry_start=True), "b")
    rig.begins()
    rig.fails("a")
    assert rig.state("a") is ChildState.RESTARTING
    assert Start("a", 2) in reload(rig, "a")
    assert rig.starts("a") == [Reply("t", True), Start("b", 1)]
    assert rig.starts("b") == [Ready()]


def test_one_that_is_not_there_and_a_supervisor_that_ends() -> None:
    rig = Rig("a", "b").up()
    (reply,) = reload(rig, "x")
    assert isinstance(reply, Reply)
    assert isinstance(reply.result, ChildNotFound)
    reload(rig, "a")
    reload(rig, "b", "2")
    replies = [told for told in rig.took(rig.machine.stop(0.0)) if isinstance(told, Reply)]
    assert [reply.ticket for reply in replies] == ["t", "2"]
    assert all(isinstance(reply.result, SupervisorNotRunning) for reply in replies)
    rig.stops("a")
    assert isinstance(rig.stops("b")[-1], Done)


def test_another_description_holds_from_the_next_end_on() -> None:
    rig = Rig("a", spec("b", SLOWLY), "c", intensity=Intensity(0)).up()
    rig.ends("b")
    new = SupervisorSpec("sup", (spec("c"), spec("b", SLOWLY), spec("a", Restart.transient())), strategy="rest_for_one")  # type: ignore[arg-type]
    assert rig.took(rig.machine.describe(new, 0.0)) == []
    assert [child.id for child in rig.machine.children()] == ["c", "b", "a"]
    assert rig.info("b").due == 7.0  # it goes on waiting
    assert rig.ends("c", CRASH)[-1] == stop("a")  # as rest_for_one has it, and a restart is left
    assert rig.decisions[-1].allowed == 3


def test_what_an_operator_has_changed_holds_where_the_description_says_what_it_said() -> None:
    rig = Rig("a", "b").up()
    rig.took(rig.machine.change_child("a", "t", 0.0, restart=SLOWLY))
    same = rig.machine.spec
    rig.took(rig.machine.describe(replace(same, children=(spec("a"), spec("b", Restart.transient()))), 0.0))
    assert [child.spec.restart for child in rig.machine.children()] == [SLOWLY, Restart.transient()]


def test_who_was_added_and_is_described_now_stays_when_the_supervisor_ends() -> None:
    rig = Rig("a").up()
    rig.machine.start_child(spec("b"), "s", 0.0)
    rig.starts("b")
    rig.took(rig.machine.describe(SupervisorSpec("sup", (spec("b"), spec("a"))), 0.0))
    rig.took(rig.machine.stop(0.0))
    rig.stops("a")  # the younger one by now
    assert [type(told) for told in rig.stops("b")] == [Done]
