"""What a rule says about itself, which exceptions a predicate is shown, and which policies can't work.

Tested: SEMANTICS 10 (only an `Exception` is asked about; nested groups), 12 (the rule in words), 42 (refused when built).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tenacity import RetryCallState, retry_if_exception_message, retry_if_exception_type, wait_fixed

from supervise_strategies import ExitReason, InvalidSpec, Restart
from supervise_strategies.exit_reason import KILLED, NORMAL, SHUTDOWN, crashed

OS = Restart.permanent(when=retry_if_exception_type(OSError))


def test_a_predicate_is_shown_each_exception_of_nested_groups_and_nothing_else() -> None:
    shown: list[BaseException | None] = []

    def look(state: RetryCallState) -> bool:
        assert state.outcome is not None
        shown.append(state.outcome.exception())
        return True

    first, second = OSError("a"), KeyError("b")
    error = BaseExceptionGroup("g", [BaseExceptionGroup("h", [first, KeyboardInterrupt()]), second])
    Restart.permanent(when=look).rule(crashed(error), error)
    assert shown == [first, second]


def test_the_first_exception_that_doesn_t_match_decides_and_is_named() -> None:
    error = ExceptionGroup("g", [OSError("a"), KeyError("b"), ValueError("c")])
    restarted, rule, _ = OS.rule(crashed(error), error)
    assert not restarted
    assert rule.endswith("doesn't match KeyError")


def test_a_predicate_that_raises_at_one_of_several_leaves_it_to_the_restart_type() -> None:
    def picky(state: RetryCallState) -> bool:
        assert state.outcome is not None
        if isinstance(state.outcome.exception(), KeyError):
            raise LookupError
        return True

    error = ExceptionGroup("g", [OSError("a"), KeyError("b")])
    assert Restart.transient(when=picky).rule(crashed(error), error)[:2] == (True, "transient; its when= raised LookupError")


@pytest.mark.parametrize(
    ("policy", "reason", "error", "words"),
    [
        (Restart.permanent(), NORMAL, None, "permanent"),
        (Restart.transient(), KILLED, None, "transient"),
        (Restart.transient(), SHUTDOWN, None, "transient: shutdown is an orderly end"),
        (Restart.temporary(), KILLED, None, "temporary: never restarted"),
        (OS, crashed(OSError()), OSError(), "permanent, when=retry_if_exception_type() matches"),
        (OS, KILLED, None, "permanent"),
        (OS, crashed(GeneratorExit()), GeneratorExit(), "permanent"),
        (
            Restart.permanent(when=retry_if_exception_message(message="busy")),
            crashed(OSError("busy")),
            OSError("busy"),
            "permanent, when=retry_if_exception_message(message='busy') matches",
        ),
    ],
)
def test_the_rule_in_words(policy: Restart, reason: ExitReason, error: BaseException | None, words: str) -> None:
    assert policy.rule(reason, error)[1] == words


async def _async(_: RetryCallState) -> Any:
    return 1


class _AsyncObject:
    async def __call__(self, _: RetryCallState) -> Any:
        return 1


@pytest.mark.parametrize("field", ["wait", "stop", "when"])
@pytest.mark.parametrize("policy", [_async, _AsyncObject()], ids=["function", "object"])
def test_a_policy_that_would_have_to_be_awaited_is_refused(field: str, policy: Callable[..., Any]) -> None:
    """Its coroutine would be true, for ever, and never be awaited."""
    with pytest.raises(InvalidSpec, match="can't be awaited"):
        Restart(**{field: policy})  # type: ignore[arg-type]


def test_a_policy_prints_with_its_settings() -> None:
    assert str(Restart.transient(wait=wait_fixed(3))) == "transient(wait=wait_fixed(wait_fixed=3.0))"
    assert str(Restart.temporary()) == "temporary"
