"""Which crash it was: one text for all that come of the same lines, so that the same one is known again."""

from __future__ import annotations

from collections.abc import Iterable

from supervise.frame import OWN, Frame, frames_of, own_of
from supervise.message import AnyHandler, name_of
from supervise_strategies.exception import leaves
from supervise_strategies.kind import name_of_kind


def fingerprint_of(error: BaseException, handler: AnyHandler | None = None, frames: Iterable[Frame] | None = None) -> str:
    """The exception's type, and the three innermost lines of the user's own code, innermost first.

    Without any line of theirs it is the type and the handler, of the message that ended the life. Of a group, it is that of
    the first exception inside. `frames` are those of its traceback, where they are at hand.
    """
    name = name_of_kind(type(next(leaves(error))))
    return fingerprint(name, frames_of(error) if frames is None else frames, "" if handler is None else name_of(handler))


def fingerprint(name: str, frames: Iterable[Frame], handler: str) -> str:
    """The same, of what was kept of an exception."""
    innermost = [str(frame) for frame in reversed(own_of(frames)[-OWN:])]
    if innermost:
        return f"{name} at {' < '.join(innermost)}"
    return f"{name} in {handler}" if handler else name
