"""Exit reasons: those of the recordings and ours."""

from __future__ import annotations

from typing import Any, Final

from supervise_strategies import Cause, ExitKind, ExitReason

_KINDS: Final = {
    "normal": ExitKind.NORMAL,
    "shutdown": ExitKind.SHUTDOWN,
    "crash": ExitKind.CRASHED,
    "kill": ExitKind.KILLED,
}
_WORDS: Final = {
    ExitKind.NORMAL: "normal",
    ExitKind.SHUTDOWN: "shutdown",
    ExitKind.CRASHED: "crash",
    ExitKind.KILLED: "killed",
    ExitKind.GAVE_UP: "gave_up",  # OTP has no such reason: it must not occur
}


def exit_reason(scripted: Any) -> ExitReason:
    """What a step, or a child's `stop_reason`, asks for: a word, or `{"shutdown": x}`."""
    if isinstance(scripted, str):
        return ExitReason(_KINDS[scripted])
    return ExitReason(ExitKind.SHUTDOWN, str(scripted["shutdown"]))


def reason_word(reason: ExitReason, cause: Cause = Cause.SELF) -> str:
    """The reason class of an event. A detail is the `x` of `{shutdown, x}` only if the child itself said so."""
    if reason.kind is ExitKind.SHUTDOWN and reason.detail and cause in (Cause.SELF, Cause.ASKED):
        return "shutdown_term"
    return _WORDS[reason.kind]
