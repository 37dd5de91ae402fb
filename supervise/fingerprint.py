"""Which crash it was: one text for all that come of the same lines, so that the same one is known again."""

from __future__ import annotations

from supervise_strategies.exception import leaves
from supervise_strategies.kind import name_of_kind

from .frame import OWN, frames_of, own_of
from .message import AnyHandler, name_of


def fingerprint_of(error: BaseException, handler: AnyHandler | None = None) -> str:
    """The exception's type, and the three innermost lines of the user's own code, innermost first.

    Without any line of theirs it is the type and the handler, of the message that ended the life. Of a group, it is that of
    the first exception inside.
    """
    name = name_of_kind(type(next(leaves(error))))
    innermost = [str(frame) for frame in reversed(own_of(frames_of(error))[-OWN:])]
    if innermost:
        return f"{name} at {' < '.join(innermost)}"
    return name if handler is None else f"{name} in {name_of(handler)}"
