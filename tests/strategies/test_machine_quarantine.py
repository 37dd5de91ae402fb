"""Crashes that look alike: after so many in a row the child is left down. And what a limit that is spent means for a group.

Tested: SEMANTICS 52; of 54, what a message that is tried again costs; of 85, one word for all that stay down.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tenacity import stop_after_attempt, wait_fixed, wait_incrementing

from supervise_strategies import (
    Action,
    AutoShutdown,
    ChildState,
    Close,
    Done,
    Forget,
    Intensity,
    InvalidSpec,
    NotForDynamic,
    Reply,
    Restart,
    Start,
    Stop,
)
from supervise_strategies.exit_reason import KILLED, NORMAL
from supervise_strategies.explanation import explain

from .rig import CRASH, Rig, spec

WHERE = "ValueError at Db.query (db.py:7)"
OTHER = "KeyError at Db.find (db.py:9)"


def crash(rig: Rig, fingerprint: str = WHERE, name: str = "a", **how: Any) -> Action:
    """One crash, and its restart if there is one."""
    rig.ends(name, fingerprint=fingerprint, **how)
    if rig.state(name) is ChildState.STARTING:
        rig.starts(name)
    return rig.decisions[-1].action


@pytest.mark.parametrize("number", [1, 2, 3, 7])
def test_the_nth_crash_in_a_row_leaves_it_down(number: int) -> None:
    rig = Rig(spec("a", quarantine=number), "b").up()
    for _ in range(number - 1):
        assert crash(rig) is Action.RESTART
    assert crash(rig) is Action.LEAVE
    assert rig.states() == {"a": "stopped", "b": "running"}
    decision = rig.decisions[-1]
    assert decision.rule == f"quarantine={number}: {number} {'crashes' if number > 1 else 'crash'} in a row of one kind"
    assert decision.fingerprint == WHERE
    told = f"{number} {'crashes' if number > 1 else 'crash'} in a row, each {WHERE}"
    assert str(rig.info("a").last) == f"gave_up (systematic: {told}; last: ValueError: x)"


def test_its_mailbox_refuses_from_then_on() -> None:
    rig = Rig(spec("a", quarantine=1)).up()
    assert rig.ends("a", fingerprint=WHERE) == [Close("a")]


def test_repeats_are_not_charged_to_the_supervisor_and_say_so() -> None:
    rig = Rig(spec("a", quarantine=9), intensity=Intensity(1, per=60)).up()
    for _ in range(8):
        assert crash(rig) is Action.RESTART
    assert rig.machine.restarts == 1
    assert [decision.ordinal for decision in rig.decisions[:3]] == [
        "restart 1 of 1 within 60 s",
        "restart 1 of 8 after the same crash (quarantine=9)",
        "restart 2 of 8 after the same crash (quarantine=9)",
    ]


def test_a_row_of_another_kind_is_charged_once_each() -> None:
    rig = Rig(spec("a", quarantine=3), intensity=Intensity(2, per=60)).up()
    for fingerprint in (WHERE, WHERE, OTHER, OTHER):
        assert crash(rig, fingerprint) is Action.RESTART
    assert crash(rig, WHERE) is Action.GIVE_UP


# What comes between two crashes of one kind, and whether the row goes on.
Between = Callable[[Rig], object]


def nothing(_: Rig) -> None:
    pass


def lives(seconds: float) -> Between:
    return lambda rig: rig.at(rig.now + seconds)


def crashes(fingerprint: str, **how: Any) -> Between:
    return lambda rig: crash(rig, fingerprint, **how)


BETWEEN: list[tuple[str, Between, bool]] = [
    ("nothing", nothing, True),
    ("a life of less than 5 s", lives(4.9), True),
    ("a healthy life", lives(5), False),
    ("another crash", crashes(OTHER), False),
    ("a crash without a fingerprint", crashes(""), False),
    ("a kill", crashes("", reason=KILLED), False),
    ("a normal end", crashes("", reason=NORMAL), False),
    ("a crash by a message that was tried again", crashes(OTHER, again=True), True),
    ("the same by a message that was tried again", crashes(WHERE, again=True), True),
]


@pytest.mark.parametrize(("between", "goes_on"), [row[1:] for row in BETWEEN], ids=[row[0] for row in BETWEEN])
def test_another_crash_or_a_healthy_life_ends_the_row(between: Any, goes_on: bool) -> None:
    rig = Rig(spec("a", quarantine=2), intensity=Intensity(99)).up()
    crash(rig)
    between(rig)
    assert crash(rig) is (Action.LEAVE if goes_on else Action.RESTART)


def with_its_group(rig: Rig) -> None:
    rig.ends("b")
    rig.stops("a")
    rig.starts("a")
    rig.starts("b")


def with_its_group_whose_end_it_was_before(rig: Rig) -> None:
    rig.machine.hold()
    rig.ends("b")
    rig.ends("a", fingerprint=OTHER)
    rig.took(rig.machine.release(rig.now))
    rig.starts("a")
    rig.starts("b")


def by_hand(rig: Rig) -> None:
    rig.took(rig.machine.terminate_child("a", "ticket", rig.now))
    rig.overruns("a")
    rig.stops("a")
    rig.took(rig.machine.restart_child("a", "ticket", rig.now))
    rig.starts("a")


def by_a_message_that_was_tried_again(rig: Rig) -> None:
    rig.ends("a", fingerprint=OTHER, again=True)
    rig.stops("b")
    if rig.decisions[-1].delay:
        rig.at(rig.now + rig.decisions[-1].delay).timer()
    rig.starts("a")
    rig.starts("b")


ENDED = [with_its_group, with_its_group_whose_end_it_was_before, by_hand, by_a_message_that_was_tried_again]


@pytest.mark.parametrize("healthy", [True, False])
@pytest.mark.parametrize("ended", ENDED)
def test_a_healthy_life_ends_a_row_of_crashes_alike_whatever_ends_it(ended: Between, healthy: bool) -> None:
    description = spec("a", Restart.permanent(healthy_after=100), quarantine=2)
    rig = Rig(description, "b", strategy="one_for_all", intensity=Intensity(99)).up()
    rig.ends("a", fingerprint=WHERE)
    rig.stops("b")
    rig.starts("a")
    rig.starts("b")
    rig.at(100 if healthy else 99.9)
    ended(rig)
    rig.ends("a", fingerprint=WHERE)
    anew = healthy or ended is by_hand  # which lifts a quarantine, so it begins the row anew
    assert rig.decisions[-1].action is (Action.RESTART if anew else Action.LEAVE)


@pytest.mark.parametrize("healthy", [True, False])
@pytest.mark.parametrize("ended", ENDED)
def test_a_healthy_life_ends_the_row_that_a_backoff_counts_whatever_ends_it(ended: Between, healthy: bool) -> None:
    """A start alone heals nothing, nor does the time between two lives."""
    description = spec("a", Restart.permanent(wait=wait_incrementing(7, 1), healthy_after=100))
    rig = Rig(description, "b", strategy="one_for_all", intensity=Intensity(99)).up()
    rig.ends("a")
    rig.stops("b")
    assert rig.decisions[-1].delay == 7
    rig.at(1000).timer()
    rig.starts("a")
    rig.starts("b")
    rig.at(1100 if healthy else 1099.9)
    ended(rig)
    rig.ends("a")
    assert rig.decisions[-1].delay == (7 if healthy else 8)


def test_failed_starts_are_no_step_of_it_and_end_no_row() -> None:
    rig = Rig(spec("a", quarantine=2), intensity=Intensity(99)).up()
    rig.ends("a", fingerprint=WHERE)
    for _ in range(5):
        rig.fails("a")
    rig.starts("a")
    assert crash(rig) is Action.LEAVE


# What else would have decided at the third crash: the quarantine is judged first.
FIRST: list[dict[str, Any]] = [
    {"limit": Intensity(2, per=60)},
    {"limit": Intensity(2, per=60), "on_limit": "escalate"},
    {"restart": Restart.permanent(stop=stop_after_attempt(3))},
    {"restart": Restart.permanent(stop=stop_after_attempt(3)), "on_limit": "escalate"},
    {},
]


@pytest.mark.parametrize("options", FIRST)
@pytest.mark.parametrize("strategy", ["one_for_one", "one_for_all", "rest_for_one"])
def test_it_is_judged_before_any_limit_and_siblings_live(options: dict[str, Any], strategy: str) -> None:
    rig = Rig(spec("a", quarantine=3, **options), "b", strategy=strategy).up()
    for _ in range(2):
        rig.ends("a", fingerprint=WHERE)
        if strategy != "one_for_one":
            rig.stops("b")
        rig.starts("a")
        if strategy != "one_for_one":
            rig.starts("b")
    assert rig.ends("a", fingerprint=WHERE) == [Close("a")]
    assert rig.decisions[-1].rule.startswith("quarantine=3")
    assert rig.states() == {"a": "stopped", "b": "running"}


def test_an_own_limit_that_is_spent_before_decides_before() -> None:
    rig = Rig(spec("a", quarantine=3, limit=Intensity(1, per=60))).up()
    crash(rig)
    assert crash(rig) is Action.LEAVE
    assert rig.decisions[-1].rule == "its own limit of 1 in 60 s is spent"


def test_it_stays_listed_under_a_dynamic_supervisor_and_an_operator_can_lift_it() -> None:
    rig = Rig(dynamic=True).up()
    rig.machine.start_child(spec("a", quarantine=1), "t", rig.now)
    rig.starts("a")
    assert rig.ends("a", fingerprint=WHERE) == [Close("a")]
    assert rig.state("a") is ChildState.STOPPED
    assert rig.took(rig.machine.renew_child("a", "u", rig.now)) == [Start("a", 2)]
    assert rig.starts("a") == [Reply("u", True)]
    (refusal,) = rig.took(rig.machine.renew_child("a", "v", rig.now))
    assert isinstance(refusal, Reply)
    assert isinstance(refusal.result, NotForDynamic)
    rig.ends("a", fingerprint=WHERE)
    assert Forget("a") in rig.took(rig.machine.terminate_child("a", "w", rig.now))


@pytest.mark.parametrize("by", ["restart_child", "renew_child"])
@pytest.mark.parametrize(
    ("options", "lives"),
    [
        ({"quarantine": 2}, 2),
        ({"limit": Intensity(1, per=600)}, 1),
        ({"restart": Restart.permanent(wait=wait_fixed(0), stop=stop_after_attempt(2))}, 1),
    ],
)
def test_who_starts_it_by_hand_lifts_a_quarantine_and_gives_no_new_budget(by: str, options: Any, lives: int) -> None:
    rig = Rig(spec("a", **options)).up()
    assert crash(rig) is Action.RESTART
    assert crash(rig) is Action.LEAVE
    for _ in range(2):
        getattr(rig.machine, by)("a", "t", rig.now)
        rig.starts("a")
        if lives > 1:
            assert crash(rig) is Action.RESTART
        assert crash(rig) is Action.LEAVE


@pytest.mark.parametrize("options", [{"quarantine": 1}, {"limit": Intensity(0)}, {"limit": Intensity(0), "quarantine": 5}])
@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_a_siblings_group_restart_passes_over_one_that_is_spent(options: dict[str, Any], strategy: str) -> None:
    rig = Rig("a", spec("b", **options), "c", strategy=strategy).up()
    assert crash(rig, name="b") is Action.LEAVE
    rig.ends("a")
    assert rig.decisions[-1].affected == ("a", "c")
    assert rig.stops("c") == [Start("a", 2)]
    assert rig.starts("a") == [Start("c", 2)]
    rig.starts("c")
    assert rig.states() == {"a": "running", "b": "stopped", "c": "running"}


def test_one_that_was_stopped_by_hand_comes_back_with_its_group_all_the_same() -> None:
    rig = Rig("a", "b", strategy="one_for_all").up()
    rig.machine.terminate_child("b", "t", rig.now)
    rig.stops("b")
    rig.ends("a")
    assert rig.decisions[-1].affected == ("a", "b")


def test_a_significant_child_in_quarantine_has_ended() -> None:
    rig = Rig(
        spec("a", Restart.transient(), significant=True, quarantine=1), "b", auto_shutdown=AutoShutdown.ANY_SIGNIFICANT
    ).up()
    assert [type(each) for each in rig.ends("a", fingerprint=WHERE)] == [Close, Stop]
    assert [type(each) for each in rig.stops("b")] == [Done]


def test_explain_takes_a_crash_that_is_not_named_for_one_like_the_last_also_when_it_is_the_first() -> None:
    rig = Rig(spec("a", quarantine=1)).up()
    first = explain(rig.machine, "a", rig.now).decision
    assert first is not None
    assert first.action is Action.LEAVE
    assert str(first.reason) == "gave_up (systematic: 1 crash in a row)"


def test_explain_says_so_before() -> None:
    rig = Rig(spec("a", quarantine=2)).up()
    crash(rig)
    found = explain(rig.machine, "a", rig.now, CRASH, fingerprint=WHERE)
    assert found.decision is not None
    assert found.decision.action is Action.LEAVE
    assert "quarantine=2" in str(found)
    assert crash(rig) is Action.LEAVE
    after = explain(rig.machine, "a", rig.now)
    why = f"gave_up (systematic: 2 crashes in a row, each {WHERE}; last: ValueError: x)"
    assert after.note == f"it can't crash now: it is stopped; {why}"


REFUSED: list[tuple[Any, str]] = [
    (0, "after how many crashes of one kind in a row: a whole number, 1 or more"),
    (True, "a whole number"),
    (1.5, "a whole number"),
    ("3", "a whole number"),
]


@pytest.mark.parametrize(("value", "text"), REFUSED)
def test_a_quarantine_is_a_whole_number(value: Any, text: str) -> None:
    with pytest.raises(InvalidSpec, match=text):
        spec("a", quarantine=value)


def test_a_temporary_child_has_no_quarantine() -> None:
    with pytest.raises(InvalidSpec, match="a temporary child is never restarted"):
        spec("a", Restart.temporary(), quarantine=3)
