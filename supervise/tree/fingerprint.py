"""Which crash it was: one text for all that come of the same lines, so that the same one is known again."""

from __future__ import annotations

import os.path
import sysconfig
from types import TracebackType
from typing import Final

from supervise import events
from supervise_strategies import kind
from supervise_strategies.exception import leaves, traceback_of
from supervise_strategies.kind import name_of_kind

DEPTH: Final = 3
"""How many of the innermost lines make it."""

_OURS: Final = tuple(os.path.join(os.path.dirname(file), "") for file in (events.__file__, kind.__file__))
_STDLIB: Final = tuple(os.path.join(sysconfig.get_path(name), "") for name in ("stdlib", "platstdlib"))
_INSTALLED: Final = tuple(os.path.join(sysconfig.get_path(name), "") for name in ("purelib", "platlib"))


def fingerprint_of(error: BaseException, where: str = "") -> str:
    """The exception's type, and the three innermost lines of the user's code, innermost first.

    A line is the user's if it lies neither in this package nor in the standard library nor among what is installed; where there
    is none, as in a program that is itself installed, one of what is installed counts, too. Without any line it is the type
    and `where`, the handler. Of a group, it is that of the first exception inside.
    """
    leaf = next(leaves(error))
    lines: list[tuple[str, int, str]] = []
    traceback: TracebackType | None = traceback_of(leaf)
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if not code.co_filename.startswith((*_OURS, "<frozen")):
            lines.append((code.co_filename, traceback.tb_lineno, code.co_qualname))
        traceback = traceback.tb_next
    installed = [line for line in lines if line[0].startswith(_INSTALLED) or not line[0].startswith(_STDLIB)]
    own = [line for line in installed if not line[0].startswith(_INSTALLED)]
    innermost = [f"{function} ({file}:{number})" for file, number, function in reversed((own or installed)[-DEPTH:])]
    name = name_of_kind(type(leaf))
    if innermost:
        return f"{name} at {' < '.join(innermost)}"
    return f"{name} in {where}" if where else name
