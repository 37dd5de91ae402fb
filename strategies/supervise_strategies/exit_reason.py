"""Why an incarnation, or a supervisor, ended: one small value that can be kept for ever.

It holds text, never an exception: a kept exception keeps its frames, and frames keep addresses alive.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Final, NamedTuple, cast


class ExitKind(StrEnum):
    """Erlang's reasons, and one of our own: `gave_up`."""

    NORMAL = "normal"
    """It ended by itself: `current().stop()`, or its work was done."""
    SHUTDOWN = "shutdown"
    """An orderly end: its supervisor asked, or it said so itself (`stop(shutdown=reason)`, OTP's `{shutdown, Reason}`)."""
    CRASHED = "crashed"
    """An exception left a handler, a task of the nursery, the factory or a hook."""
    KILLED = "killed"
    """It was cancelled without being asked, or was asked and took too long."""
    GAVE_UP = "gave_up"
    """A supervisor spent its restart intensity, or a child spent its own limit."""


class ExitReason(NamedTuple):
    """The kind of an end and, as text, what else is known about it."""

    kind: ExitKind
    detail: str = ""

    @property
    def abnormal(self) -> bool:
        """Whether a transient child is restarted after it (OTP: anything but normal, shutdown, `{shutdown, _}`)."""
        return self.kind not in _ORDERLY

    def __str__(self) -> str:
        return f"{self.kind.value} ({self.detail})" if self.detail else self.kind.value


_ORDERLY: Final = frozenset({ExitKind.NORMAL, ExitKind.SHUTDOWN})

NORMAL: Final = ExitReason(ExitKind.NORMAL)
SHUTDOWN: Final = ExitReason(ExitKind.SHUTDOWN)
KILLED: Final = ExitReason(ExitKind.KILLED)


def crashed(error: BaseException) -> ExitReason:
    """The reason of a crash: the exception's type and its text, shortened, without the exception."""
    return ExitReason(ExitKind.CRASHED, describe(error))


def describe(error: BaseException, limit: int = 200) -> str:
    """`Type: text` of an exception, at most `limit` characters; a `__str__` that raises is named, not raised.

    Of a group it is what is inside that tells: `ExceptionGroup(OSError: no route; KeyError: 'x')`.
    """
    inside = [*leaves(error)]
    if inside[0] is not error:
        line = f"{type(error).__name__}({'; '.join(describe(leaf, limit) for leaf in inside)})"
    else:
        try:
            text = str(error)
        except Exception as unprintable:
            text = f"<its str() raised {type(unprintable).__name__}>"
        line = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return line if len(line) <= limit else line[: limit - 1] + "…"


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The exceptions inside nested groups; task groups wrap even a single one."""
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        for inner in group.exceptions:
            yield from leaves(inner)
    else:
        yield error
