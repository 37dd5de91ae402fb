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
from types import FunctionType
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from tenacity import Future, RetryCallState
from tenacity.retry import retry_all, retry_any, retry_base
from tenacity.stop import stop_after_attempt, stop_all, stop_any, stop_base
from tenacity.wait import (
    wait_base,
    wait_combine,
    wait_exponential,
    wait_exponential_jitter,
    wait_fixed,
    wait_incrementing,
    wait_none,
    wait_random,
    wait_random_exponential,
)

from .errors import InvalidSpec
from .exception import leaves
from .exit_reason import ExitKind, ExitReason
from .kind import is_of, kind_of, name_of_kind
from .suggestion import did_you_mean
from .text import shown

PolicyState: TypeAlias = RetryCallState
Wait: TypeAlias = wait_base | Callable[[RetryCallState], float]
Stop: TypeAlias = stop_base | Callable[[RetryCallState], bool]
When: TypeAlias = retry_base | Callable[[RetryCallState], bool]
Predicate: TypeAlias = retry_base | Callable[[Exception], bool]
"""Says something of an exception: one of tenacity's `retry_if_…` objects as it is, or a function of the exception."""
Draw: TypeAlias = Callable[[Wait, RetryCallState], float]

PACED: Final = 0.01
"""Seconds from which on a delay paces a restart; a shorter one stops no loop that is hot."""


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
    """What an end means for the child: permanent, transient or temporary.

    | it ended | permanent | transient | temporary |
    |---|---|---|---|
    | normal, shutdown | ✓ restarted | ✗ stays listed, stopped | ✗ forgotten |
    | crashed, killed, gave_up | ✓ restarted | ✓ restarted | ✗ forgotten |

    Permanent is the default: also a normal end is followed by a restart.

        >>> Restart("transient").type
        <RestartType.TRANSIENT: 'transient'>
        >>> Restart.transient().rule(ExitReason(ExitKind.NORMAL)).words
        'transient: normal is an orderly end'
    """

    PERMANENT = "permanent"
    TRANSIENT = "transient"
    TEMPORARY = "temporary"


@dataclass(frozen=True, slots=True)
class Restart:
    """One child's restart policy: whether it comes back after its end, and when.

    It is immutable, and free of counts: children may share one. `Restart.permanent(…)`,
    `.transient(…)` and `.temporary()` make one. `restart="transient"` is the short form.

    wait: One of tenacity's objects, asked for the seconds before each restart. Default:
        none, as in OTP.
    stop: One of tenacity's, which says when to leave the child stopped after failures in a
        row. Default: never.
    when: One of tenacity's `retry_if_…` objects, asked of an `Exception`: what it doesn't
        match ends the child. In a group, one that it doesn't match is enough. A kill
        follows the type alone. Default: each restarts.
    healthy_after: Seconds of life after which a row of failures begins anew (default 5).
    counted: Whether a restart that `wait` has put off is counted (default False), see
        below.

    A restart that `wait` has put off, by 10 ms or more, isn't counted against the supervisor's
    intensity. That is there to stop loops that are hot, and OTP, whose rule it is, knows no
    delays. So a backoff lasts as long as it has to; `stop`, or a `limit=` of the child, bounds
    it.

    Raises `InvalidSpec` for what can never work. A policy that raises decides nothing: the
    child is restarted by its type, and that is counted. The decision says what it raised.

    >>> from tenacity import wait_exponential
    >>> patient = Restart.permanent(wait=wait_exponential(multiplier=0.1, max=30))
    >>> async with Supervisor("app", child(list, restart=patient)) as app:
    ...     print(app.explain("list"))
    app: list #1 ended: crashed; permanent -> restart 1, paced after 0.1 s
      starts, in this order, after 0.1 s: list
      restarts left: 3 before, 3 after
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
            raise InvalidSpec("Restart", "type", self.type, cure, fault="invalid_restart_type", among=RestartType) from None
        for field, example in (
            ("wait", "wait_fixed(1)"),
            ("stop", "stop_after_attempt(5)"),
            ("when", "retry_if_exception_type(OSError)"),
        ):
            self._check_policy(field, example)
        _check_attempts(self.stop)
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
        """Restarted only after a crash, a kill or a give-up.

        After an orderly end it stays listed, stopped.
        """
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
        """The restart of this number in a row, in words, where no limit counts it.

        It is told by `stop`, or else by `wait`.
        """
        if self.stop is None:
            return f"restart {number}, paced"
        most = _attempts(self.stop)
        if type(most) is int:  # attempts are lives, and the first one is no restart
            return f"restart {number} of {most - 1}"
        return f"restart {number}, until {_name(self.stop)}"

    @property
    def intensity_counts(self) -> bool:
        """Whether its restarts count against the supervisor's intensity.

        As far as that can be said before a delay is drawn.
        """
        return self.stop is None and (self.wait is None or self.counted or _longest(self.wait) < PACED)

    def rule(self, reason: ExitReason, error: BaseException | None = None) -> Rule:
        """Whether an end with this reason is followed by a restart, and the rule in words.

        A `when` that itself raises decides nothing: the restart type does, and the rule names what
        it raised.
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


def no_restart(who: str, value: object) -> InvalidSpec:
    """For what is no restart policy. Words that mean one elsewhere, as `always` does, are known."""
    meant = _ELSEWHERE.get(value, value) if type(value) is str else value
    known = f"did you mean {meant!r}? " if meant is not value else did_you_mean(value, RestartType)
    cure = f"{known}'permanent', 'transient' or 'temporary', or e.g. Restart.permanent(wait=wait_fixed(1))"
    return InvalidSpec(who, "restart", value, cure, fault="invalid_restart_type")


def retry_state(error: BaseException | None, *, attempt: int, first: float, now: float) -> RetryCallState:
    """What tenacity's policies look at: the `attempt`-th failure in a row, begun at `first`, with its outcome at `now`."""
    state = RetryCallState(_NO_RETRYING, None, (), {})
    state.attempt_number = attempt
    state.start_time = first
    state.outcome_timestamp = now
    state.outcome = Future.construct(attempt, error if error is not None else _ENDED, has_exception=True)
    return state


_JOINED: Final[dict[type, tuple[str, str]]] = {  # where a combination keeps its parts, and the sign that makes it of them
    stop_any: ("stops", " | "),
    stop_all: ("stops", " & "),
    retry_any: ("retries", " | "),
    retry_all: ("retries", " & "),
    wait_combine: ("wait_funcs", " + "),
}
_ELSEWHERE: Final = {
    "always": "permanent",
    "on-failure": "transient",
    "on_failure": "transient",
    "never": "temporary",
    "no": "temporary",
}
_LONGEST: Final[dict[type, str]] = {  # where a wait keeps its longest delay
    wait_fixed: "wait_fixed",
    wait_random: "wait_random_max",
    wait_incrementing: "max",
    wait_exponential: "max",
    wait_random_exponential: "max",
    wait_exponential_jitter: "max",
}


def _parts(policy: object) -> tuple[Any, ...]:
    """What a combination of tenacity's is made of; itself, if it is none."""
    where = _JOINED.get(type(policy))
    parts: tuple[Any, ...] | None = None if where is None else getattr(policy, where[0], None)
    return (policy,) if parts is None or type(parts) is not tuple else parts


def _longest(wait: object) -> float:
    """The longest delay that it gives, in seconds; infinity for what isn't tenacity's own."""
    if type(wait) is wait_none:
        return 0.0
    parts = _parts(wait)
    if len(parts) > 1:
        return sum(map(_longest, parts))
    where = _LONGEST.get(type(wait))
    longest = None if where is None else getattr(wait, where, None)
    return longest if is_of(longest, int, float) else math.inf


def _check_attempts(stop: object) -> None:
    """`stop_after_attempt("5")` is no limit: it raises whenever it is asked."""
    todo = [stop]
    while todo:
        policy = todo.pop()
        parts = _parts(policy)
        if parts != (policy,):
            todo.extend(parts)
        most = _attempts(policy)
        if most is not None and (is_of(most, bool) or not is_of(most, int, float)):
            cure = f"a whole number of attempts, e.g. stop_after_attempt(5), and not stop_after_attempt({shown(most)})"
            raise InvalidSpec("Restart", "stop", stop, cure)


def _attempts(stop: object) -> object:
    """The number that a `stop_after_attempt` was given; None for another policy, or where it can't be had."""
    try:
        return stop.max_attempt_number if is_of(stop, stop_after_attempt) else None
    except Exception:  # a subclass of the user's own
        return None


def _name(policy: object) -> str:
    """A policy for people: its class, or its function's name, with its plain settings; a combination as it was written."""
    parts = _parts(policy)
    if len(parts) > 1:
        names = (f"({_name(part)})" if len(_parts(part)) > 1 else _name(part) for part in parts)
        return _JOINED[type(policy)][1].join(names)
    if is_of(policy, FunctionType):
        return policy.__name__
    try:
        settings: dict[str, Any] = getattr(policy, "__dict__", {})
        plain = ", ".join(f"{key}={shown(value)}" for key, value in settings.items() if is_of(value, int, float, str))
    except Exception:  # an object of the user's own; a decision is told in words, and must not depend on it
        plain = "…"
    return f"{name_of_kind(kind_of(policy))}({plain})"


class _EndedWithoutException(Exception):
    """Stands for an end that no exception caused (a kill, a normal end), so that a wait policy has an outcome to look at."""


_ENDED: Final = _EndedWithoutException("the child ended without an exception")
_NO_RETRYING: Final[Any] = None  # tenacity's own loop, which nothing here runs

RestartName: TypeAlias = Literal["permanent", "transient", "temporary"]
