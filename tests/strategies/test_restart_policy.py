"""Restart policies: what comes back, after how long, and what a user's own policy object can't break.

Tested: restart type x exit reason; `when=` over exceptions, groups and what isn't an Exception; a predicate that raises; waits
and their sums from given instants; failures in a row, healed by a healthy time and by nothing else; shared policy objects.
"""

from __future__ import annotations

from typing import Any

import pytest
from tenacity import (
    retry_if_exception_type,
    retry_if_not_exception_type,
    stop_after_attempt,
    stop_after_delay,
    wait_exponential,
    wait_fixed,
    wait_none,
    wait_random,
)

from supervise_strategies import Backoff, ExitKind, ExitReason, InvalidSpec, Restart, RestartType
from supervise_strategies.exit_reason import KILLED, NORMAL, SHUTDOWN, crashed, describe
from supervise_strategies.restart import draw

REASONS = {
    "normal": NORMAL,
    "shutdown": SHUTDOWN,
    "shutdown with a reason": ExitReason(ExitKind.SHUTDOWN, "done"),
    "crashed": crashed(ValueError("x")),
    "killed": KILLED,
    "gave_up": ExitReason(ExitKind.GAVE_UP),
}
ABNORMAL = {"crashed", "killed", "gave_up"}


@pytest.mark.parametrize("name", REASONS)
@pytest.mark.parametrize("type", RestartType)
def test_restart_type_and_exit_reason_decide(type: RestartType, name: str) -> None:
    expected = type is RestartType.PERMANENT or (type is RestartType.TRANSIENT and name in ABNORMAL)
    assert Restart(type).rule(REASONS[name])[0] is expected


@pytest.mark.parametrize(
    ("error", "restarted"),
    [
        (OSError("a"), True),
        (FileNotFoundError("a subclass"), True),
        (ValueError("b"), False),
        (ExceptionGroup("g", [OSError("a")]), True),
        (ExceptionGroup("g", [ExceptionGroup("h", [OSError("a")])]), True),
        (ExceptionGroup("the most severe rule wins", [OSError("a"), ValueError("b")]), False),
        (BaseExceptionGroup("only an Exception is asked about", [OSError("a"), GeneratorExit()]), True),
        (GeneratorExit(), True),
    ],
)
def test_when_decides_per_exception(error: BaseException, restarted: bool) -> None:
    policy = Restart.permanent(when=retry_if_exception_type(OSError))
    assert policy.rule(crashed(error), error)[0] is restarted


def test_combined_predicates_are_taken_as_they_are() -> None:
    either = Restart.transient(when=retry_if_exception_type(OSError) | retry_if_exception_type(KeyError))
    assert either.rule(crashed(KeyError()), KeyError())[0]
    both = Restart.transient(when=retry_if_exception_type(OSError) & retry_if_not_exception_type(FileNotFoundError))
    assert not both.rule(crashed(FileNotFoundError()), FileNotFoundError())[0]
    assert both.rule(crashed(OSError()), OSError())[0]


def test_a_predicate_is_not_asked_about_a_kill() -> None:
    assert Restart.permanent(when=retry_if_exception_type(OSError)).rule(KILLED)[0]


def test_a_predicate_that_raises_leaves_the_decision_to_the_restart_type_and_is_named() -> None:
    def broken(_: object) -> bool:
        raise ZeroDivisionError

    restarted, rule, _ = Restart.transient(when=broken).rule(crashed(OSError()), OSError())
    assert restarted
    assert "ZeroDivisionError" in rule


def test_waits_see_the_attempt_and_the_given_instants_only() -> None:
    backoff, policy = Backoff(), Restart.permanent(wait=wait_exponential(multiplier=1, max=10) + wait_fixed(0.5))
    delays = [backoff.failed(policy, now=float(n), error=OSError(), draw=draw)[0] for n in range(5)]
    assert delays == [1.5, 2.5, 4.5, 8.5, 10.5]


def test_a_row_of_failures_that_is_over_begins_with_the_first_wait_again() -> None:
    policy, backoff = Restart.permanent(wait=wait_exponential(multiplier=1)), Backoff()
    assert [backoff.failed(policy, now, OSError(), draw)[0] for now in (0.0, 10.0, 100.0)] == [1, 2, 4]
    backoff.begin_anew()
    assert backoff.failed(policy, 105.0, OSError(), draw)[0] == 1


@pytest.mark.parametrize("first", [True, False])
def test_a_keyboard_interrupt_of_one_policy_is_not_lost_behind_what_the_other_raised(first: bool) -> None:
    def fail(_: object) -> float:
        raise ValueError

    def strike(_: object) -> float:
        raise KeyboardInterrupt

    wait: Any = strike if first else fail
    stop: Any = fail if first else strike
    answer = Backoff().failed(Restart.permanent(wait=wait, stop=stop), 0.0, None, draw)
    assert isinstance(answer.raised, KeyboardInterrupt)


def test_children_that_share_a_policy_object_share_no_counts() -> None:
    policy = Restart.permanent(wait=wait_exponential(multiplier=1))
    one, other = Backoff(), Backoff()
    for expected in (1.0, 2.0, 4.0):
        assert one.failed(policy, 0.0, None, draw)[0] == expected
    assert other.failed(policy, 0.0, None, draw)[0] == 1.0


@pytest.mark.parametrize(("stop", "enough_at"), [(stop_after_attempt(3), 3), (stop_after_delay(2), 3)])
def test_stop_policies_count_failures_in_a_row_and_the_time_since_the_first(stop: object, enough_at: int) -> None:
    backoff, policy = Backoff(), Restart.permanent(stop=stop)  # type: ignore[arg-type]  # parametrised over both kinds
    answers = [backoff.failed(policy, float(n), OSError(), draw)[1] for n in range(enough_at)]
    assert answers == [False] * (enough_at - 1) + [True]


def _forty_two(_: object, __: object) -> float:
    return 42.0


def test_the_random_draw_is_an_argument() -> None:
    backoff, policy = Backoff(), Restart.permanent(wait=wait_fixed(1))
    assert backoff.failed(policy, 0.0, None, _forty_two) == (42.0, False, None)


def test_a_wait_of_none_is_no_wait_and_a_negative_one_too() -> None:
    assert Restart.permanent(wait=wait_none()).wait is None
    assert Backoff().failed(Restart.permanent(wait=lambda _: -1.0), 0.0, None, draw)[0] == 0.0


def test_a_description_of_an_error_is_short_and_survives_a_str_that_raises() -> None:
    class Rude(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

    assert describe(ValueError("x" * 500)).endswith("…")
    assert len(describe(ValueError("x" * 500))) == 200
    assert describe(Rude()) == "Rude: <its str() raised RuntimeError>"
    assert describe(ValueError()) == "ValueError"


class _Odd(stop_after_attempt):
    """Its number can't be had."""

    def __init__(self) -> None:
        pass

    @property
    def max_attempt_number(self) -> int:  # type: ignore[override]
        raise KeyError

    def __call__(self, retry_state: object) -> bool:
        return False


def test_no_policy_object_makes_the_words_of_a_decision_raise() -> None:
    assert Restart.permanent(stop=_Odd()).ordinal(3).startswith("restart 3, until _Odd(")
    assert Restart.permanent(stop=stop_after_attempt(2.5)).ordinal(1).startswith("restart 1, until stop_after_attempt(")  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", ["5", [5], True, {}])
def test_a_stop_that_could_never_be_asked_is_refused_wherever_it_lies(wrong: Any) -> None:
    never: Any = stop_after_attempt(wrong)
    for stop in (never, never | stop_after_delay(3), stop_after_delay(3) & (stop_after_attempt(3) | never)):
        with pytest.raises(InvalidSpec, match=r"Restart: stop=.* is not valid: a whole number of attempts, e\.g\."):
            Restart.permanent(stop=stop)


def test_combinations_are_told_as_they_are_written() -> None:
    a, b, c = stop_after_attempt(3), stop_after_delay(9), stop_after_delay(1)
    names = ["stop_after_attempt(max_attempt_number=3)", "stop_after_delay(max_delay=9.0)", "stop_after_delay(max_delay=1.0)"]
    assert str(Restart.permanent(stop=a | b)) == f"permanent(stop={names[0]} | {names[1]})"
    assert str(Restart.permanent(stop=a & (b | c))) == f"permanent(stop={names[0]} & ({names[1]} | {names[2]}))"
    assert str(Restart.permanent(wait=wait_fixed(1) + wait_fixed(2))).count("wait_fixed(wait_fixed=") == 2
    assert Restart.permanent(stop=a | b).ordinal(2) == f"restart 2, until {names[0]} | {names[1]}"


@pytest.mark.parametrize(
    ("restart", "counts"),
    [
        (Restart(), True),
        (Restart.permanent(wait=wait_fixed(0.009)), True),
        (Restart.permanent(wait=wait_fixed(0.004) + wait_random(0, 0.005)), True),
        (Restart.permanent(wait=wait_fixed(0.004) + wait_random(0, 0.006)), False),
        (Restart.permanent(wait=wait_exponential(max=0.001)), True),
        (Restart.permanent(wait=wait_fixed(1)), False),
        (Restart.permanent(wait=lambda _: 0.0), False),
        (Restart.permanent(wait=wait_fixed(1), counted=True), True),
        (Restart.permanent(stop=stop_after_attempt(3)), False),
    ],
)
def test_a_policy_says_whether_the_intensity_counts_its_restarts(restart: Restart, counts: bool) -> None:
    assert restart.intensity_counts is counts
