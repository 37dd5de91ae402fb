"""Why an incarnation, or a supervisor, ended: one small value that can be kept for ever.

It holds text, never an exception: a kept exception keeps its frames, and frames keep addresses alive.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

from .exception import leaves
from .kind import name_of_kind
from .text import LONG, one_line, plain_text, printable, text_of


class ExitKind(StrEnum):
    """The kinds of ends: Erlang's reasons, and `gave_up`, which is our own.

    NORMAL and SHUTDOWN are orderly, the others abnormal. It is a `str`, so it compares with
    one.

    NORMAL: It ended by itself: `current().stop()`, or its work was done.
    SHUTDOWN: An orderly end: its supervisor asked, or it said so itself.
    CRASHED: An exception left a handler, a task of the nursery, the factory or a hook.
    KILLED: It was cancelled without being asked, or was asked and took too long.
    GAVE_UP: A supervisor spent its restart intensity, or a child its own limit.
    UNREACHABLE: Of an actor of another process: the link to it is down. It may live on over
        there. It is Erlang's `noconnection`.

    >>> async with Supervisor("app") as app:
    ...     names = await app.start(list)
    ...     reason = await names.stop()
    ...     reason.kind, reason.kind == "normal"
    (<ExitKind.NORMAL: 'normal'>, True)
    """

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
    UNREACHABLE = "unreachable"
    """Of an actor of another process: the link to it is down, and it may live on over there. Erlang's `noconnection`."""


class ExitReason(NamedTuple):
    """Why a life ended: the kind of the end and, as text, what else is known about it.

    It holds text only, never the exception, so it can be kept for ever.

    >>> async with Supervisor("app", child(list, restart="temporary")) as app:
    ...     names = app.find("list")
    ...     await names.send(list.pop)
    ...     reason = (await names.watch()).reason
    ...     print(reason)
    ...     reason.kind, reason.abnormal
    crashed (IndexError: pop from empty list)
    (<ExitKind.CRASHED: 'crashed'>, True)
    """

    kind: ExitKind
    detail: str = ""

    @property
    def abnormal(self) -> bool:
        """Whether a transient child is restarted after it.

        As in OTP that is anything but normal, shutdown and `{shutdown, _}`.
        """
        return self.kind not in _ORDERLY

    def __str__(self) -> str:
        return f"{self.kind.value} ({printable(self.detail)})" if self.detail else self.kind.value


_ORDERLY: Final = frozenset({ExitKind.NORMAL, ExitKind.SHUTDOWN})

NORMAL: Final = ExitReason(ExitKind.NORMAL)
SHUTDOWN: Final = ExitReason(ExitKind.SHUTDOWN)
KILLED: Final = ExitReason(ExitKind.KILLED)


def crashed(error: BaseException) -> ExitReason:
    """The reason of a crash: the exception's type and its text, shortened, without the exception."""
    return ExitReason(ExitKind.CRASHED, describe(error))


def describe(error: BaseException, limit: int = LONG) -> str:
    """`Type: text` of an exception, on one line of at most `limit` characters; a `__str__` that raises is named, not raised.

    Of a group it is what is inside that tells: `ExceptionGroup(OSError: no route; KeyError: 'x')`.
    """
    kind = type(error)
    name = name_of_kind(kind)
    brief = plain_text(error, kind)
    if brief is not None and len(brief) + len(name) + 2 <= limit and brief.isprintable():  # what follows takes 1 us of 12
        return f"{name}: {brief}" if brief else name
    if issubclass(kind, BaseExceptionGroup):
        line, comma = f"{name}(", ""
        for leaf in leaves(error):
            line += comma + describe(leaf, limit)
            comma = "; "
            if len(line) > limit:  # there may be a hundred thousand
                break
        else:
            line += ")"
    else:
        text = text_of(error, limit)
        line = f"{name}: {text}" if text else name
    return one_line(line, limit)
