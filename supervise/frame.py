"""Lines of code, as they stand in a traceback or where something waits; and which of them are the user's own."""

from __future__ import annotations

import os.path
import sysconfig
from collections.abc import Iterable, Sequence
from enum import Enum
from functools import lru_cache
from itertools import islice
from types import TracebackType
from typing import Final, NamedTuple

from supervise_strategies import kind
from supervise_strategies.exception import raised_inside, traceback_of
from supervise_strategies.text import printable

MOST: Final = 20
"""Lines of one traceback that are kept."""
OWN: Final = 3
"""How many of the user's own are among them, however deep a library goes below them."""


class Frame(NamedTuple):
    """One line of a traceback, or of what something waits in, as text and numbers.

    It holds no frame, so it can be kept.

        >>> print(Frame("shop.py", 7, "Cart.total"))
        Cart.total (shop.py:7)
    """

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return printable(f"{self.function} ({self.file}:{self.line})")


def frames_of(error: BaseException | None) -> tuple[Frame, ...]:
    """The lines of its traceback, outermost first, at most 20 of them; of a group, those of the first one inside.

    Of more it is the last ones, and in any case the user's own three innermost. What is inside may have been put there by hand,
    and never raised: then they are those of the group.
    """
    if error is None:
        return ()
    lines: list[TracebackType] = []
    traceback: TracebackType | None = traceback_of(raised_inside(error))
    while traceback is not None:
        lines.append(traceback)
        traceback = traceback.tb_next
    return tuple(map(_frame, lines if len(lines) <= MOST else _innermost(lines)))


def _frame(line: TracebackType) -> Frame:
    code = line.tb_frame.f_code
    return Frame(code.co_filename, line.tb_lineno, code.co_qualname)


def _innermost(lines: list[TracebackType]) -> list[TracebackType]:
    """So many of them that are kept, in order."""
    found: dict[_Whose, list[int]] = {whose: [] for whose in _Whose}
    for index in reversed(range(len(lines))):
        of_one = found[_whose(lines[index].tb_frame.f_code.co_filename)]
        if len(of_one) < OWN:
            of_one.append(index)
        if len(found[_Whose.USER]) == OWN:
            break
    kept = {*(found[_Whose.USER] or found[_Whose.INSTALLED])}
    last = (index for index in reversed(range(len(lines))) if index not in kept)
    return [lines[index] for index in sorted(kept.union(islice(last, MOST - len(kept))))]


def own_of(frames: Iterable[Frame]) -> Sequence[Frame]:
    """Those in the user's own code: neither in this package, nor in the standard library, nor in what is installed.

    Where there is none, as in a program that is itself installed, those in what is installed.
    """
    others = [
        frame for frame in frames if _whose(frame.file) is not _Whose.NOBODY and not frame.function.startswith(_GENERATED)
    ]
    return [frame for frame in others if _whose(frame.file) is _Whose.USER] or others


def place_of(frames: Sequence[Frame]) -> Frame | None:
    """Where it is, for a user: the innermost of their own lines, or else the innermost that isn't ours."""
    own = own_of(frames)
    if own:
        return own[-1]
    return next((frame for frame in reversed(frames) if not is_ours(frame.file)), None)


def in_place(frames: Sequence[Frame]) -> str:
    """That, for a text which says what was raised; empty if there is none."""
    place = place_of(frames)
    return f" in {place}" if place is not None else ""


def listed(stack: Sequence[Frame]) -> str:
    """All of them, for the end of a text; empty if there is none."""
    lines = [f'\n  File "{printable(frame.file)}", line {frame.line}, in {frame.function}' for frame in stack]
    return f", at{''.join(lines)}" if lines else ""


def from_users(traceback: TracebackType | None) -> TracebackType | None:
    """The traceback without its outermost lines that are ours; None if all are.

    Those of an adapter go, too, if they only call what is the user's, or installed.
    """
    line = traceback
    while line is not None and is_ours(line.tb_frame.f_code.co_filename):
        line = line.tb_next
    below = line
    while below is not None and below.tb_frame.f_code.co_filename.startswith(_OURS):
        below = below.tb_next
    if below is not None and _whose(below.tb_frame.f_code.co_filename) is not _Whose.NOBODY:
        return below
    return line


def is_ours(file: str) -> bool:
    """Whether a line of this file tells a user nothing; one of an adapter, or of a command, may."""
    return file.startswith((*_OURS, "<frozen ")) and not file.startswith(_ADAPTED)


class _Whose(Enum):
    USER = "the user"
    INSTALLED = "who wrote what is installed"
    NOBODY = "us, or the standard library"


@lru_cache(maxsize=1024)
def _whose(file: str) -> _Whose:
    """Whose code a file is, as far as its place tells."""
    if is_ours(file):
        return _Whose.NOBODY
    if file.startswith(_INSTALLED):
        return _Whose.INSTALLED
    return _Whose.NOBODY if file.startswith(_STDLIB) else _Whose.USER


_HERE: Final = os.path.dirname(__file__)
_OURS: Final = (os.path.join(_HERE, ""), os.path.join(os.path.dirname(kind.__file__), ""))
_ADAPTED: Final = tuple(os.path.join(_HERE, room, "") for room in ("adapters", "health", "cli"))
_GENERATED: Final = "__create_fn__.<locals>."  # methods that dataclasses makes, in a file called <string>
_STDLIB: Final = tuple(os.path.join(sysconfig.get_path(name), "") for name in ("stdlib", "platstdlib"))
_INSTALLED: Final = tuple(os.path.join(sysconfig.get_path(name), "") for name in ("purelib", "platlib"))
