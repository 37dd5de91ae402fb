"""Answers to calls, in the words of the recordings."""

from __future__ import annotations

from typing import Final

from supervise_strategies import (
    ChildAlreadyPresent,
    ChildAlreadyStarted,
    ChildNotFound,
    ChildRestarting,
    ChildRunning,
    ChildStartFailed,
    InvalidSpec,
    NotForDynamic,
    StrategyError,
    SupervisorNotRunning,
)

from .scenario import Json

OK: Final[Json] = {"status": "ok"}
PENDING: Final[Json] = {"status": "pending"}

CLASSES: Final[dict[type[StrategyError], str]] = {
    ChildNotFound: "not_found",
    ChildRunning: "running",
    ChildRestarting: "restarting",
    ChildAlreadyStarted: "already_started",
    ChildAlreadyPresent: "already_present",
    ChildStartFailed: "start_failed",
    NotForDynamic: "simple_one_for_one",
    SupervisorNotRunning: "supervisor_died",  # a path where no supervisor runs is `noproc`, and asked for before any call
    InvalidSpec: "invalid_spec",
}


def reply(result: bool | Exception | None) -> Json:
    """Of a call: done, started, ignored, or refused."""
    if result is None:
        return OK
    if isinstance(result, bool):
        return {"status": "ok", "child": "alive" if result else "ignored"}
    if not isinstance(result, StrategyError):
        raise result
    answer = refusal(CLASSES[type(result)])
    return {**answer, "detail": result.fault} if isinstance(result, InvalidSpec) else answer


def refusal(word: str, *, child: str | None = None) -> Json:
    """An error of that class; `child` is the path that made a start fail."""
    answer = {"status": "error", "class": word}
    return answer if child is None else {**answer, "child": child}
