"""Restart policy: whether an ended child comes back, and after how long.

The restart *type* is Erlang/OTP's. What refines it are tenacity's own objects, as they are: `wait=` (and their sums),
`stop=`, and `when=` (its retry predicates, and their `|` and `&`). They are callables over one state object, which is
filled here from the instants that the caller gives; nothing in it was read from a clock.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from tenacity import Future, RetryCallState
from tenacity.retry import retry_base
from tenacity.stop import stop_after_attempt, stop_base
from tenacity.wait import wait_base, wait_none

from .errors import InvalidSpec
from .exception import leaves
from .exit_reason import ExitKind, ExitReason
from .kind import is_of, kind_of, name_of_kind
from .text import shown

PolicyState: TypeAlias = RetryCallState
Wait: TypeAlias = wait_base | Callable[[RetryCallState], float]
Stop: TypeAlias = stop_base | Callable[[RetryCallState], bool]
When: TypeAlias = retry_base | Callable[[RetryCallState], bool]
Predicate: TypeAlias = retry_base | Callable[[Exception], bool]
"""Says something of an exception: one of tenacity's `retry_if_…` objects as it is, or a function of the exception."""
Draw: TypeAlias = Callable[[Wait, RetryCallState], float]


def draw(policy: Wait, state: RetryCallState) -> float:
    """Ask a wait policy for its delay. Chance comes in here and nowhere else, so the machine is given this from outside."""
    return float(policy(state))


class Rule(NamedTuple):
    """What a policy says of an end."""

    restart: bool
    words: str
    """The rule that says so."""
    raised: BaseException | None = None
    """By the user's `when=`, which then decided nothing."""


class RestartType(StrEnum):
    """What an end means for the child.

    | it ended | permanent | transient | temporary |
    |---|---|---|---|
    | normal, shutdown | ✓ restarted | ✗ stays listed, stopped | ✗ forgotten |
    | crashed, killed, gave_up | ✓ restarted | ✓ restarted | ✗ forgotten |
    """

    PERMANENT = "permanent"
    TRANSIENT = "transient"
    TEMPORARY = "temporary"


@dataclass(frozen=True, slots=True)
class Restart:
    """One child's restart policy. Immutable, and free of counts: children may share one.

    `wait` is asked for the delay before each restart (default: none, as in OTP); `stop` says when to leave the child stopped
    after failures in a row; `when` decides per exception between a restart and an end. A life of `healthy_after` seconds
    starts the row of failures anew. Of several exceptions in a group the most severe rule wins: one that `when` doesn't
    match ends the child. `when` is only asked about an `Exception`; a kill follows the restart type alone.

    A restart that `wait` has put off, by 10 ms or more, isn't counted against the supervisor's intensity: that is there to stop
    loops that are hot, and OTP, whose rule it is, knows no delays. So a backoff lasts as long as it has to; `stop`, or a
    `limit=` of the child, bounds it. `counted=True` counts it all the same.
    """

    type: RestartType = RestartType.PERMANENT
    wait: Wait | None = None
    stop: Stop | None = None
    when: When | None = None
    healthy_after: float = 5.0
    counted: bool = False

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "type", RestartType(self.type))
        except ValueError:
            cure = "use Restart.permanent(), Restart.transient() or Restart.temporary()"
            raise InvalidSpec("Restart", "type", self.type, cure, fault="invalid_restart_type") from None
        for field, example in (
            ("wait", "wait_fixed(1)"),
            ("stop", "stop_after_attempt(5)"),
            ("when", "retry_if_exception_type(OSError)"),
        ):
            self._check_policy(field, example)
        if self.wait is not None and type(self.wait) is wait_none:
            object.__setattr__(self, "wait", None)
        after = self.healthy_after
        if isinstance(after, bool) or not isinstance(after, int | float) or math.isnan(after) or after < 0:
            raise InvalidSpec("Restart", "healthy_after", after, "seconds, 0 or more; math.inf for never")
        if self.counted not in (True, False):
            raise InvalidSpec("Restart", "counted", self.counted, "True or False")
        if self.counted and self.wait is None:
            raise InvalidSpec("Restart", "counted", True, "leave it out: a restart without wait= is always counted")
        if self.counted and self.stop is not None:
            raise InvalidSpec("Restart", "counted", True, "leave it out: stop= bounds the restarts, and nothing else does then")

    def _check_policy(self, field: str, example: str) -> None:
        policy: object = getattr(self, field)
        if policy is None:
            return
        if not callable(policy) or inspect.isclass(policy):
            raise InvalidSpec("Restart", field, policy, f"a tenacity object, e.g. {field}={example}")
        if inspect.iscoroutinefunction(policy) or inspect.iscoroutinefunction(policy.__call__):
            raise InvalidSpec("Restart", field, policy, f"it can't be awaited: a plain function, or e.g. {example}")
        if self.type is RestartType.TEMPORARY:
            cure = "a temporary child is never restarted: leave it out, or make the child transient"
            raise InvalidSpec("Restart", field, policy, cure)

    @classmethod
    def permanent(
        cls,
        *,
        wait: Wait | None = None,
        stop: Stop | None = None,
        when: When | None = None,
        healthy_after: float = 5.0,
        counted: bool = False,
    ) -> Restart:
        """Restarted always, also after a normal end (which counts against the intensity)."""
        return cls(RestartType.PERMANENT, wait, stop, when, healthy_after, counted)

    @classmethod
    def transient(
        cls,
        *,
        wait: Wait | None = None,
        stop: Stop | None = None,
        when: When | None = None,
        healthy_after: float = 5.0,
        counted: bool = False,
    ) -> Restart:
        """Restarted only after a crash, a kill or a give-up; after an orderly end it stays listed, stopped."""
        return cls(RestartType.TRANSIENT, wait, stop, when, healthy_after, counted)

    @classmethod
    def temporary(cls) -> Restart:
        """Never restarted, not even with its group; forgotten when it ends."""
        return cls(RestartType.TEMPORARY)

    def __str__(self) -> str:
        parts = [f"{field}={_name(value)}" for field in ("wait", "stop", "when") if (value := getattr(self, field)) is not None]
        parts += ["counted=True"] if self.counted else []
        return f"{self.type.value}({', '.join(parts)})" if parts else self.type.value

    def ordinal(self, number: int) -> str:
        """The restart of this number in a row, in words, where no limit counts it: by `stop` or else by `wait`."""
        if self.stop is None:
            return f"restart {number}, paced"
        if isinstance(self.stop, stop_after_attempt):  # attempts are lives, and the first one is no restart
            return f"restart {number} of {self.stop.max_attempt_number - 1}"
        return f"restart {number}, until {_name(self.stop)}"

    def rule(self, reason: ExitReason, error: BaseException | None = None) -> Rule:
        """Whether an end with this reason is followed by a restart, and the rule that says so, in words.

        A `when` that itself raises decides nothing: the restart type does, and the rule names what it raised.
        """
        if self.type is RestartType.TEMPORARY:
            return Rule(False, "temporary: never restarted")
        if self.type is RestartType.TRANSIENT and not reason.abnormal:
            return Rule(False, f"transient: {reason.kind.value} is an orderly end")
        if self.when is None or reason.kind is not ExitKind.CRASHED or error is None:
            return Rule(True, self.type.value)
        asked = [leaf for leaf in leaves(error) if is_of(leaf, Exception)]
        for leaf in asked:
            try:
                matched = bool(self.when(retry_state(leaf, attempt=1, first=0.0, now=0.0)))
            except BaseException as failure:
                return Rule(True, f"{self.type.value}; its when= raised {name_of_kind(type(failure))}", failure)
            if not matched:
                return Rule(False, f"when={_name(self.when)} doesn't match {name_of_kind(type(leaf))}")
        return Rule(True, f"{self.type.value}, when={_name(self.when)} matches" if asked else self.type.value)


def matches(predicate: Predicate, error: BaseException) -> tuple[bool, BaseException | None]:
    """Whether each exception in it matches, groups looked into, as only an `Exception` can; and what the predicate raised."""
    for leaf in leaves(error):
        if not is_of(leaf, Exception):
            return False, None
        try:
            asked: Any = retry_state(leaf, attempt=1, first=0.0, now=0.0) if isinstance(predicate, retry_base) else leaf
            if not predicate(asked):
                return False, None
        except BaseException as raised:
            return False, raised
    return True, None


def as_restart(value: Restart | RestartName) -> Restart:
    """A bare name stands for its type without more; what is neither is left as it is, for the child's spec to refuse."""
    if isinstance(value, str) and value in [*RestartType]:
        return Restart(RestartType(value))
    return value  # type: ignore[return-value]  # not judged yet


def retry_state(error: BaseException | None, *, attempt: int, first: float, now: float) -> RetryCallState:
    """What tenacity's policies look at: the `attempt`-th failure in a row, begun at `first`, with its outcome at `now`."""
    state = RetryCallState(_NO_RETRYING, None, (), {})
    state.attempt_number = attempt
    state.start_time = first
    state.outcome_timestamp = now
    state.outcome = Future.construct(attempt, error if error is not None else _ENDED, has_exception=True)
    return state


def _name(policy: object) -> str:
    """A policy for people: its class, or its function's name, with its plain settings."""
    if inspect.isfunction(policy):
        return policy.__name__
    settings: dict[str, Any] = getattr(policy, "__dict__", {})
    plain = ", ".join(f"{key}={shown(value)}" for key, value in settings.items() if is_of(value, int, float, str))
    return f"{name_of_kind(kind_of(policy))}({plain})"


class _EndedWithoutException(Exception):
    """Stands for an end that no exception caused (a kill, a normal end), so that a wait policy has an outcome to look at."""


_ENDED: Final = _EndedWithoutException("the child ended without an exception")
_NO_RETRYING: Final[Any] = None  # tenacity's own loop, which nothing here runs

RestartName: TypeAlias = Literal["permanent", "transient", "temporary"]
