"""Restart policies: what comes back, after how long, and what a user's own policy object can't break.

Tested: restart type x exit reason; `when=` over exceptions, groups and what isn't an Exception; a predicate that raises; waits
and their sums from given instants; failures in a row, healed by a healthy time and by nothing else; shared policy objects.
"""

from __future__ import annotations

import pytest
from tenacity import (
    retry_if_exception_type,
    retry_if_not_exception_type,
    stop_after_attempt,
    stop_after_delay,
    wait_exponential,
    wait_fixed,
    wait_none,
)

from supervise_strategies import Backoff, ExitKind, ExitReason, Restart, RestartType
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
    delays = [backoff.failed(policy, now=float(n), up_since=None, error=OSError(), draw=draw)[0] for n in range(5)]
    assert delays == [1.5, 2.5, 4.5, 8.5, 10.5]


def test_a_healthy_life_ends_the_row_of_failures_and_a_short_one_or_a_mere_start_does_not() -> None:
    policy = Restart.permanent(wait=wait_exponential(multiplier=1), healthy_after=5)
    backoff = Backoff()

    def failed(now: float, up_since: float | None) -> float:
        return backoff.failed(policy, now, up_since, OSError(), draw)[0]

    assert failed(0, None) == 1
    assert failed(10, 5.001) == 2
    assert failed(100, None) == 4, "the time between two lives isn't uptime"
    assert failed(105, 100) == 1


def test_children_that_share_a_policy_object_share_no_counts() -> None:
    policy = Restart.permanent(wait=wait_exponential(multiplier=1))
    one, other = Backoff(), Backoff()
    for expected in (1.0, 2.0, 4.0):
        assert one.failed(policy, 0.0, None, None, draw)[0] == expected
    assert other.failed(policy, 0.0, None, None, draw)[0] == 1.0


@pytest.mark.parametrize(("stop", "enough_at"), [(stop_after_attempt(3), 3), (stop_after_delay(2), 3)])
def test_stop_policies_count_failures_in_a_row_and_the_time_since_the_first(stop: object, enough_at: int) -> None:
    backoff, policy = Backoff(), Restart.permanent(stop=stop)  # type: ignore[arg-type]  # parametrised over both kinds
    answers = [backoff.failed(policy, float(n), None, OSError(), draw)[1] for n in range(enough_at)]
    assert answers == [False] * (enough_at - 1) + [True]


def _forty_two(_: object, __: object) -> float:
    return 42.0


def test_the_random_draw_is_an_argument() -> None:
    backoff, policy = Backoff(), Restart.permanent(wait=wait_fixed(1))
    assert backoff.failed(policy, 0.0, None, None, _forty_two) == (42.0, False)


def test_a_wait_of_none_is_no_wait_and_a_negative_one_too() -> None:
    assert Restart.permanent(wait=wait_none()).wait is None
    assert Backoff().failed(Restart.permanent(wait=lambda _: -1.0), 0.0, None, None, draw)[0] == 0.0


def test_a_description_of_an_error_is_short_and_survives_a_str_that_raises() -> None:
    class Rude(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

    assert describe(ValueError("x" * 500)).endswith("…")
    assert len(describe(ValueError("x" * 500))) == 200
    assert describe(Rude()) == "Rude: <its str() raised RuntimeError>"
    assert describe(ValueError()) == "ValueError"
