"""Which crash it was: one text for all that come of the same lines, so that the same one is known again."""

from __future__ import annotations

from typing import Final

from supervise_strategies.exception import leaves
from supervise_strategies.kind import name_of_kind

from .frame import frames_of, own_of

DEPTH: Final = 3
"""How many of the innermost lines make it."""


def fingerprint_of(error: BaseException, where: str = "") -> str:
    """The exception's type, and the three innermost lines of the user's own code, innermost first.

    Without any line of theirs it is the type and `where`, the handler. Of a group, it is that of the first exception inside.
    """
    name = name_of_kind(type(next(leaves(error))))
    innermost = [str(frame) for frame in reversed(own_of(frames_of(error))[-DEPTH:])]
    if innermost:
        return f"{name} at {' < '.join(innermost)}"
    return f"{name} in {where}" if where else name
