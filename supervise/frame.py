"""Lines of code, as they stand in a traceback or where something waits; and which of them are the user's own."""

from __future__ import annotations

import os.path
import sysconfig
from collections import deque
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Final, NamedTuple

from supervise_strategies import kind
from supervise_strategies.exception import leaves, traceback_of

MOST: Final = 20


class Frame(NamedTuple):
    """One line of a traceback, without the frame."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.function} ({self.file}:{self.line})"


def frames_of(error: BaseException | None) -> tuple[Frame, ...]:
    """The lines of its traceback, outermost first, at most the last 20 of them; of a group, those of the first one inside."""
    if error is None:
        return ()
    traceback: TracebackType | None = traceback_of(next(leaves(error)))
    frames: deque[Frame] = deque(maxlen=MOST)
    while traceback is not None:
        code = traceback.tb_frame.f_code
        frames.append(Frame(code.co_filename, traceback.tb_lineno, code.co_qualname))
        traceback = traceback.tb_next
    return tuple(frames)


def own_of(frames: Iterable[Frame]) -> Sequence[Frame]:
    """Those in the user's own code: neither in this package, nor in the standard library, nor in what is installed.

    Where there is none, as in a program that is itself installed, those in what is installed.
    """
    others = [frame for frame in frames if not is_ours(frame.file)]
    installed = [frame for frame in others if frame.file.startswith(_INSTALLED) or not frame.file.startswith(_STDLIB)]
    return [frame for frame in installed if not frame.file.startswith(_INSTALLED)] or installed


def place_of(frames: Sequence[Frame]) -> Frame | None:
    """Where it is, for a user: the innermost of their own lines, or else the innermost that isn't ours."""
    own = own_of(frames)
    if own:
        return own[-1]
    return next((frame for frame in reversed(frames) if not is_ours(frame.file)), None)


def is_ours(file: str) -> bool:
    """Whether a line of this file tells a user nothing; one of an adapter, or of a command, may."""
    return file.startswith((*_OURS, "<frozen ")) and not file.startswith(_ADAPTED)


_HERE: Final = os.path.dirname(__file__)
_OURS: Final = (os.path.join(_HERE, ""), os.path.join(os.path.dirname(kind.__file__), ""))
_ADAPTED: Final = tuple(os.path.join(_HERE, room, "") for room in ("adapters", "health", "cli"))
_STDLIB: Final = tuple(os.path.join(sysconfig.get_path(name), "") for name in ("stdlib", "platstdlib"))
_INSTALLED: Final = tuple(os.path.join(sysconfig.get_path(name), "") for name in ("purelib", "platlib"))
