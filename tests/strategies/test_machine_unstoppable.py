"""Children that outlive their cancellation, as the machine decides about them.

Tested: SEMANTICS 3 (a temporary one is never restarted), 5, 8, 13 (what waits for a restart is kept), 25 (reported, nobody
waits for it but its own restart, which comes as soon as it has ended).
"""

from __future__ import annotations

from typing import Any

import pytest
from tenacity import wait_fixed

from supervise_strategies import (
    CancelStart,
    ChildAlreadyStarted,
    ChildRunning,
    ChildState,
    ChildUnstoppable,
    Close,
    Done,
    Forget,
    Overran,
    Reply,
    Restart,
    Start,
    Stop,
    StopMode,
    WakeAt,
)
from supervise_strategies.exit_reason import KILLED, SHUTDOWN

from .rig import Rig, final, spec

WAIT = Restart.permanent(wait=wait_fixed(10))


def group_with_unstoppable_b(a: Restart | None = None, b: Restart | None = None) -> Rig:
    """`a` crashed, and `b`, which was to stop with it, didn't."""
    rig = Rig(spec("a", a), spec("b", b), strategy="one_for_all").up()
    rig.ends("a")
    rig.at(6.0).overruns("b")
    return rig


def test_a_temporary_one_is_forgotten_when_it_has_ended_after_all_and_never_restarted() -> None:
    rig = group_with_unstoppable_b(b=Restart.temporary())
    rig.starts("a")
    assert rig.at(50.0).ends("b") == [Forget("b")]


def test_one_that_ends_while_its_group_is_still_stopping_comes_back_with_it_and_keeps_what_waits() -> None:
    rig = Rig("a", "b", "c", strategy="one_for_all").up()
    rig.ends("a")
    assert rig.at(6.0).overruns("c") == [Stop("b", StopMode.RESTART, 5.0, False)]
    assert rig.at(7.0).ends("c") == [], "not closed: its restart is under way"
    assert rig.stops("b") == [Start("a", 2)]
    assert rig.starts("a") == [Start("b", 2)]
    assert rig.starts("b") == [Start("c", 2)]


def test_one_that_ends_while_its_group_waits_for_a_backoff_keeps_what_waits() -> None:
    rig = group_with_unstoppable_b(a=WAIT)
    assert rig.at(7.0).ends("b") == [], "not closed: it is down with its group"
    assert rig.at(16.0).timer() == [Start("a", 2)]
    assert rig.starts("a") == [Start("b", 2)]


def test_one_that_ends_after_the_backoff_of_its_group_comes_back_then() -> None:
    rig = group_with_unstoppable_b(a=WAIT)
    assert rig.at(16.0).timer() == [Start("a", 2)]
    assert rig.starts("a") == []
    assert rig.at(30.0).ends("b") == [Start("b", 2)]


def test_one_whose_pending_restart_was_terminated_is_closed_at_its_end() -> None:
    rig = group_with_unstoppable_b()
    rig.starts("a")
    (reply,) = rig.took(rig.machine.terminate_child("b", "t", rig.now))
    assert isinstance(reply, Reply)
    assert isinstance(reply.result, ChildUnstoppable)
    assert rig.at(50.0).ends("b") == [Close("b")]
    assert rig.state("b") is ChildState.STOPPED


def test_one_whose_group_waits_and_that_was_terminated_is_closed_at_its_end_and_comes_back_with_the_group() -> None:
    rig = group_with_unstoppable_b(a=WAIT)
    rig.machine.terminate_child("b", "t", 7.0)
    assert rig.at(8.0).ends("b") == [Close("b")]
    assert rig.at(16.0).timer() == [Start("a", 2)]
    assert rig.starts("a") == [Start("b", 2)]


def test_one_that_was_terminated_answers_unstoppable_and_is_closed_when_it_has_ended() -> None:
    rig = Rig("a", "b").up()
    assert rig.took(rig.machine.terminate_child("a", "t", 0.0)) == [final("a")]
    (reply,) = rig.at(6.0).overruns("a")
    assert isinstance(reply, Reply)
    assert reply.ticket == "t"
    assert isinstance(reply.result, ChildUnstoppable)
    assert not rig.machine.busy
    assert rig.machine.count().active == 2
    assert rig.at(60.0).ends("a") == [Close("a")]


def test_one_of_a_dynamic_supervisor_is_forgotten_when_it_has_ended() -> None:
    rig = Rig(dynamic=True).up()
    rig.machine.start_child(spec("x"), "s", 0.0)
    rig.starts("x")
    rig.machine.terminate_child("x", "t", 0.0)
    rig.overruns("x")
    assert rig.ends("x") == [Forget("x")]


@pytest.mark.parametrize(
    ("call", "refusal"),
    [("restart_child", ChildRunning), ("delete_child", ChildRunning), ("start_child", ChildAlreadyStarted)],
)
def test_as_long_as_it_lives_it_counts_as_running(call: str, refusal: type[Exception]) -> None:
    rig = group_with_unstoppable_b()
    rig.starts("a")
    subject = spec("b") if call == "start_child" else "b"
    (reply,) = getattr(rig.machine, call)(subject, "t", 7.0)
    assert isinstance(reply.result, refusal)


def test_its_resumed_restart_was_paid_for_by_its_group() -> None:
    rig = group_with_unstoppable_b()
    rig.starts("a")
    rig.at(8.0).ends("b")
    assert rig.machine.restarts == 1
    assert [decision.child for decision in rig.decisions] == ["a"]


def test_a_start_that_outlives_its_cancellation_doesn_t_keep_the_elders_from_being_stopped() -> None:
    rig = Rig("a", "b")
    rig.begins()
    rig.starts("a")
    assert rig.took(rig.machine.stop(1.0)) == [CancelStart("b", StopMode.FINAL)]
    assert rig.at(2.0).overruns("b") == [final("a")]
    assert rig.stops("a") == [Overran(("b",), SHUTDOWN)]
    assert isinstance(rig.at(60.0).fails("b")[-1], Done)


def test_a_start_that_outlives_its_cancellation_and_gets_ready_is_waited_for_until_it_has_ended() -> None:
    rig = Rig("a", "b")
    rig.begins()
    rig.starts("a")
    rig.machine.stop(1.0)
    rig.at(2.0).overruns("b")
    rig.stops("a")
    assert rig.at(50.0).starts("b") == []
    assert isinstance(rig.at(60.0).ends("b", KILLED)[-1], Done)


def test_a_dynamic_supervisor_s_stop_names_all_that_it_waits_for() -> None:
    rig = Rig(dynamic=True).up()
    for name in "xyz":
        rig.machine.start_child(spec(name), name, 0.0)
        rig.starts(name)
    assert {d.id for d in rig.machine.stop(0.0) if isinstance(d, Stop)} == {"x", "y", "z"}
    rig.overruns("x")
    rig.overruns("z")
    assert rig.stops("y") == [Forget("y"), Overran(("x", "z"), SHUTDOWN)]
    assert rig.ends("z") == [Forget("z")], "it is said once"
    assert isinstance(rig.ends("x")[-1], Done)


def test_a_stop_that_overran_is_no_news_about_a_child_that_wasn_t_asked_to_stop() -> None:
    rig = Rig(spec("a", WAIT), "b").up()
    assert rig.overruns("b") == []
    assert rig.ends("a") == [WakeAt(10.0)]
    assert rig.overruns("a") == []
    assert rig.states() == {"a": "restarting", "b": "running"}


@pytest.mark.parametrize("backwards", [False, True])
def test_those_that_outlive_the_end_are_looked_at_once_and_not_at_the_end_of_each(backwards: bool) -> None:
    class Looked(dict[str, Any]):
        times = 0

        def values(self) -> Any:
            Looked.times += 1
            return super().values()

    names = [f"c{n}" for n in range(100)]
    rig = Rig(*names).up()
    rig.took(rig.machine.stop(rig.now))
    state: Any = rig.machine._state
    state.slots = Looked(state.slots)
    told = [directive for name in reversed(names) for directive in rig.overruns(name) if isinstance(directive, Overran)]
    assert told == [Overran((*names,), SHUTDOWN)]
    last: list[Any] = []
    for name in reversed(names) if backwards else names:
        last = rig.ends(name, KILLED)
    assert [type(directive) for directive in last] == [Done]
    assert Looked.times < 10
