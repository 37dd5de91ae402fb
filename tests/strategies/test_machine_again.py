"""The end of a life by a message that ended one before, as the pure machine sees it; and what policies raise.

Tested: SEMANTICS 54 (`child_exited(again=True)` costs no limit, and the decision says so; its wait is obeyed), 10 and
65 (`Rule.raised`, `PassUp`).
"""

from __future__ import annotations

from typing import Any

import pytest

from supervise_strategies import Intensity, PassUp, Restart
from supervise_strategies.directives import Action
from supervise_strategies.exit_reason import crashed

from .rig import CRASH, Rig, spec


def raising(error: BaseException) -> Any:
    def policy(*_: Any) -> Any:
        raise error

    return policy


@pytest.mark.parametrize(
    "described",
    [
        spec("a"),
        spec("a", limit=Intensity(1, per=1000)),
        spec("a", Restart.permanent(stop=lambda state: state.attempt_number > 1)),
    ],
    ids=["intensity", "own limit", "stop="],
)
def test_ends_by_a_message_that_is_tried_again_cost_no_limit(described: Any) -> None:
    rig = Rig(described, intensity=Intensity(1, per=1000)).up()
    rig.ends("a")
    rig.starts("a")
    for _ in range(20):
        rig.ends("a", again=True)
        rig.starts("a")
    assert [decision.action for decision in rig.decisions] == [Action.RESTART] * 21
    assert {decision.used for decision in rig.decisions[1:]} == {rig.decisions[0].used}
    assert rig.info("a").incarnation == 22
    rig.ends("a")
    assert rig.decisions[-1].action is not Action.RESTART


def test_the_decision_says_that_it_is_not_counted() -> None:
    rig = Rig("a", intensity=Intensity(1)).up()
    rig.ends("a")
    rig.starts("a")
    rig.ends("a", again=True)
    assert rig.decisions[-1].rule == "permanent; by a message that was tried again, so it isn't counted"
    assert "isn't counted" in str(rig.decisions[-1])


def test_such_an_end_needs_no_restart_where_the_policy_wants_none() -> None:
    rig = Rig(spec("a", Restart.temporary())).up()
    rig.ends("a", again=True)
    assert [decision.action for decision in rig.decisions] == [Action.LEAVE]


def test_it_waits_as_the_policy_says_and_does_not_lengthen_the_next_wait() -> None:
    asked: list[int] = []

    def wait(state: Any) -> float:
        asked.append(state.attempt_number)
        return float(state.attempt_number)

    rig = Rig(spec("a", Restart.permanent(wait=wait)), intensity=Intensity(0)).up()
    for number, again in enumerate([True, False, True, True, False]):
        rig.ends("a", again=again)
        rig.at(rig.now + 10).timer()
        rig.starts("a")
        assert ("isn't counted" in str(rig.decisions[-1])) is again, number
    assert asked == [1, 1, 1, 1, 2]
    assert [decision.delay for decision in rig.decisions] == [1, 1, 1, 1, 2]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), GeneratorExit()])
@pytest.mark.parametrize("field", ["when", "wait", "stop"])
def test_what_a_policy_raises_is_passed_up_and_the_child_comes_back(field: str, error: BaseException) -> None:
    policies: dict[str, Any] = {field: raising(error)}
    rig = Rig(spec("a", Restart.permanent(**policies)), intensity=Intensity(100)).up()
    directives = rig.ends("a", crashed(ValueError("x")), error=ValueError("x"))
    assert [d.error for d in directives if isinstance(d, PassUp)] == [error]
    assert rig.decisions[-1].action is Action.RESTART
    assert type(error).__name__ in rig.decisions[-1].rule


@pytest.mark.parametrize("field", ["when", "wait", "stop"])
def test_an_ordinary_error_of_a_policy_is_only_named(field: str) -> None:
    policies: dict[str, Any] = {field: raising(OSError("lost"))}
    rig = Rig(spec("a", Restart.permanent(**policies)), intensity=Intensity(100)).up()
    directives = rig.ends("a", crashed(ValueError("x")), error=ValueError("x"))
    assert not [d for d in directives if isinstance(d, PassUp)]
    assert "OSError" in rig.decisions[-1].rule


def test_a_policy_that_raises_while_a_restart_is_tried_again_is_passed_up_too() -> None:
    error = SystemExit(3)
    rig = Rig(spec("a", Restart.permanent(when=raising(error))), intensity=Intensity(100)).up()
    rig.ends("a", CRASH)
    directives = rig.fails("a", error=ValueError("x"))
    assert [d.error for d in directives if isinstance(d, PassUp)] == [error]
    assert rig.decisions[-1].action is Action.RESTART


def test_the_rule_names_what_was_raised() -> None:
    error = KeyboardInterrupt()
    rule = Restart.permanent(when=raising(error)).rule(crashed(ValueError("x")), ValueError("x"))
    assert (rule.restart, rule.raised) == (True, error)
    assert Restart.permanent().rule(CRASH, ValueError("x")).raised is None
