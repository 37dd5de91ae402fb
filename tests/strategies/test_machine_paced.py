"""Restarts that a policy delays aren't counted against the supervisor, and which restart is the last.

Tested: SEMANTICS 50, 51.
"""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from tenacity import stop_after_attempt, stop_after_delay, wait_exponential, wait_fixed, wait_random

from supervise_strategies import Action, ChildSpec, ImmortalLoopWarning, Intensity, InvalidSpec, Restart, SupervisorSpec
from supervise_strategies.child_spec import warn_of_immortal_loop
from supervise_strategies.explanation import explain

from .rig import Rig, spec

BACKOFF = wait_exponential(multiplier=0.1, max=30)


def crash_and_return(rig: Rig, name: str = "a") -> bool:
    """One crash, and the restart after its delay; False: there is none."""
    rig.ends(name)
    decision = rig.decisions[-1]
    if decision.action is not Action.RESTART:
        return False
    if decision.delay:
        rig.at(rig.now + decision.delay).timer()
    rig.starts(name)
    return True


def crash_until_it_ends(rig: Rig, most: int = 50) -> int:
    restarts = 0
    while restarts < most and crash_and_return(rig):
        restarts += 1
    return restarts


def fail_until_it_ends(rig: Rig, most: int = 50) -> int:
    """One crash, after which no start succeeds."""
    rig.ends("a")
    restarts = 0
    while restarts < most and rig.decisions[-1].action is Action.RESTART:
        restarts += 1
        if rig.decisions[-1].delay:
            rig.at(rig.now + rig.decisions[-1].delay).timer()
        rig.fails("a")
    return restarts


# What is said of the child, how many restarts follow on each other under 3 in 5 s, and what the last but one is called.
LAST: list[tuple[str, dict[str, Any], int, str]] = [
    ("nothing", {"restart": Restart()}, 3, "restart 2 of 3 within 5 s"),
    ("paced", {"restart": Restart.permanent(wait=BACKOFF)}, 50, "restart 49, paced"),
    ("paced, counted", {"restart": Restart.permanent(wait=wait_fixed(0.1), counted=True)}, 3, "restart 2 of 3 within 5 s"),
    ("counted, slower than the window", {"restart": Restart.permanent(wait=wait_fixed(2), counted=True)}, 50, "3 of 3"),
    ("stop", {"restart": Restart.permanent(stop=stop_after_attempt(5))}, 4, "restart 3 of 4"),
    ("stop and wait", {"restart": Restart.permanent(wait=BACKOFF, stop=stop_after_attempt(31))}, 30, "restart 29 of 30"),
    (
        "stop by time",
        {"restart": Restart.permanent(wait=wait_fixed(1), stop=stop_after_delay(9))},
        9,
        "restart 8, until stop_af",
    ),
    ("limit", {"restart": Restart(), "limit": Intensity(7, per=60)}, 7, "restart 6 of 7 within 60 s"),
    (
        "limit and wait",
        {"restart": Restart.permanent(wait=BACKOFF), "limit": Intensity(7, per=600)},
        7,
        "restart 6 of 7 within",
    ),
    ("below 10 ms", {"restart": Restart.permanent(wait=wait_fixed(0.009))}, 3, "restart 2 of 3 within 5 s"),
    ("10 ms", {"restart": Restart.permanent(wait=wait_fixed(0.01))}, 50, "restart 49, paced"),
]


@pytest.mark.parametrize("strategy", ["one_for_one", "rest_for_one", "one_for_all"])
@pytest.mark.parametrize("ends", [crash_until_it_ends, fail_until_it_ends])
@pytest.mark.parametrize(("options", "restarts", "words"), [row[1:] for row in LAST], ids=[row[0] for row in LAST])
def test_the_last_restart_is_the_one_that_the_table_says(
    options: dict[str, Any], restarts: int, words: str, ends: Any, strategy: str
) -> None:
    rig = Rig(spec("a", **options), strategy=strategy).up()
    assert ends(rig) == restarts
    performed = [decision for decision in rig.decisions if decision.action is Action.RESTART]
    assert words in performed[restarts - 2].ordinal
    assert words in str(performed[restarts - 2])
    gave_up = rig.decisions[-1].action is Action.GIVE_UP
    assert gave_up == ("limit" not in options and options["restart"].stop is None and restarts < 50)


@pytest.mark.parametrize(("options", "restarts"), [row[1:3] for row in LAST], ids=[row[0] for row in LAST])
def test_explain_says_the_same_before(options: dict[str, Any], restarts: int) -> None:
    rig = Rig(spec("a", **options)).up()
    for _ in range(restarts + 1):
        foretold = explain(rig.machine, "a", rig.now).decision
        assert foretold is not None
        goes_on = crash_and_return(rig)
        assert foretold == rig.decisions[-1]._replace(reason=foretold.reason)
        if not goes_on:
            break


def test_the_delay_that_was_drawn_decides() -> None:
    draws = iter([0.5, 0.001, 0.5, 0.002, 0.0])
    rig = Rig(spec("a", Restart.permanent(wait=lambda _: next(draws))), intensity=Intensity(3)).up()
    words: list[str] = []
    for _ in range(5):
        assert crash_and_return(rig)
        words.append(rig.decisions[-1].ordinal)
    in_window = [f"restart {n} of 3 within 5 s" for n in (1, 2, 3)]
    assert words == ["restart 1, paced", in_window[0], "restart 3, paced", in_window[1], in_window[2]]


def test_in_a_group_the_failed_members_policy_decides() -> None:
    rig = Rig("a", spec("b", Restart.permanent(wait=wait_fixed(1))), strategy="one_for_all", intensity=Intensity(1)).up()
    for _ in range(5):
        rig.ends("b")
        rig.stops("a")
        assert rig.decisions[-1].ordinal.endswith(", paced")
        rig.at(rig.now + 1).timer()
        rig.starts("a")
        rig.starts("b")
    rig.ends("a")
    assert rig.decisions[-1].ordinal == "restart 1 of 1 within 5 s"


def test_a_healthy_life_begins_the_count_anew() -> None:
    rig = Rig(spec("a", Restart.permanent(wait=BACKOFF))).up()
    assert crash_and_return(rig)
    assert crash_and_return(rig)
    rig.at(rig.now + 6)
    assert crash_and_return(rig)
    assert [decision.ordinal for decision in rig.decisions] == ["restart 1, paced", "restart 2, paced", "restart 1, paced"]


REFUSED: list[tuple[Any, str]] = [
    (lambda: Restart.permanent(wait=BACKOFF, stop=stop_after_attempt(3), counted=True), "stop= bounds the restarts"),
    (lambda: Restart.permanent(counted=True), "a restart without wait= is always counted"),
    (lambda: Restart.permanent(wait=BACKOFF, counted=1.5), "True or False"),  # type: ignore[arg-type]
    (lambda: ChildSpec("a", Restart.permanent(wait=BACKOFF, counted=True), limit=Intensity()), "its own limit= counts all"),
]


@pytest.mark.parametrize(("make", "text"), REFUSED)
def test_what_can_not_be_counted_is_refused(make: Any, text: str) -> None:
    with pytest.raises(InvalidSpec, match=text):
        make()


def _raises(_: object) -> Any:
    raise KeyError("typo")


def _says(answer: object) -> Any:
    def says(_: object) -> Any:
        return answer

    return says


# Policies that say nothing, and what is told of them.
SILENT: list[tuple[dict[str, Any], str]] = [
    ({"stop": _raises}, "KeyError: 'typo'"),
    ({"wait": wait_fixed(0.01), "stop": _raises}, "KeyError: 'typo'"),
    ({"wait": _raises}, "KeyError: 'typo'"),
    ({"wait": _raises, "stop": stop_after_attempt(50)}, "KeyError: 'typo'"),
    ({"wait": _says("abc"), "stop": stop_after_attempt(50)}, "ValueError"),
    ({"wait": _says([1])}, "TypeError"),
]


@pytest.mark.parametrize("ends", [crash_until_it_ends, fail_until_it_ends])
@pytest.mark.parametrize(("policies", "words"), SILENT)
@pytest.mark.parametrize("more", [{}, {"limit": Intensity(3, per=60)}, {"quarantine": 9}])
def test_a_policy_that_raises_bounds_nothing_so_the_restart_is_counted(
    ends: Any, policies: dict[str, Any], words: str, more: dict[str, Any]
) -> None:
    rig = Rig(spec("a", Restart.permanent(**policies), **more)).up()
    assert ends(rig) == 3
    for number, decision in enumerate(rig.decisions[:3], 1):
        assert f"raised {words}" in decision.rule
        assert decision.rule.endswith("so the restart is counted")
        assert decision.ordinal.startswith(f"restart {number} of 3 within")
        assert (decision.number, decision.used) == (number, number)


def test_a_stop_is_asked_all_the_same_where_wait_raises() -> None:
    rig = Rig(spec("a", Restart.permanent(wait=_raises, stop=stop_after_attempt(3)))).up()
    assert crash_until_it_ends(rig) == 2
    assert rig.decisions[-1].rule == "stop= says enough"


def test_a_policy_says_that_it_counts() -> None:
    assert (
        str(Restart.permanent(wait=wait_fixed(1), counted=True)) == "permanent(wait=wait_fixed(wait_fixed=1.0), counted=True)"
    )


def test_an_immortal_loop_is_never_warned_of_where_restarts_are_not_counted() -> None:
    sup = SupervisorSpec("sup", intensity=Intensity(1, per=5))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_immortal_loop(sup, spec("a", Restart.permanent(wait=wait_random(0, 1)), stop_within=10))
        for stop in (stop_after_attempt(3), stop_after_delay(9)):
            warn_of_immortal_loop(sup, spec("a", Restart.permanent(stop=stop), stop_within=10))
    with pytest.warns(ImmortalLoopWarning, match=r"raise the period, or give its restarts a wait=, so they aren't counted$"):
        warn_of_immortal_loop(sup, spec("a", Restart.permanent(wait=wait_fixed(0.001)), stop_within=10))
    for restart, limit in ((Restart.permanent(wait=BACKOFF, counted=True), None), (Restart(wait=BACKOFF), Intensity(1))):
        with pytest.warns(ImmortalLoopWarning, match=r"raise the period$"):
            warn_of_immortal_loop(sup, spec("a", restart, stop_within=10, limit=limit))
