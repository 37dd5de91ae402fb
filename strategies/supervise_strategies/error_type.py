"""`error.type`: one word for what failed, the same in spans, metrics and logs.

It is a class's name, as OpenTelemetry writes `exception.type`, or one of a few words; never a path, and never a message, so
that it has few values and can be an attribute of a metric.
"""

from __future__ import annotations

from typing import Final

from .exception import unwrapped
from .exit_reason import ExitKind, ExitReason
from .kind import full_name_of_kind, is_of

TIMEOUT: Final = "timeout"
"""Of every TimeoutError, and of whoever was cancelled because its time to stop was over."""


def error_type_of(error: BaseException) -> str:
    """The class of what was raised: with its module, if that isn't `builtins`; `timeout` for a TimeoutError.

    A group around a single exception is looked into, since a task group wraps even one; its `__cause__` never is.
    """
    error = unwrapped(error)
    return TIMEOUT if is_of(error, TimeoutError) else full_name_of_kind(type(error))


def error_type_of_end(reason: ExitReason, error: BaseException | None, *, ordered: bool = False) -> str:
    """That of an end, empty for an orderly one; `ordered`: it had been asked to end, so a kill came when its time was over."""
    if not reason.abnormal:
        return ""
    if error is not None and reason.kind is ExitKind.CRASHED:
        return error_type_of(error)
    return TIMEOUT if ordered and reason.kind is ExitKind.KILLED else reason.kind.value
