"""What was raised in the user's own code, as the user wants to see it: with the line that raised it, and without ours."""

from __future__ import annotations

import contextlib
import importlib
import os.path
import traceback
from types import TracebackType
from typing import Final

from supervise_strategies import kind
from supervise_strategies.exception import cause_of, interrupts, leaves, traceback_of
from supervise_strategies.exit_reason import describe
from supervise_strategies.kind import is_of

_OURS: Final = tuple(
    os.path.join(os.path.dirname(os.path.abspath(file)), "") for file in (os.path.dirname(__file__), kind.__file__)
)
_CALLERS: Final = frozenset({importlib.__file__, contextlib.__file__})


def traceback_text(error: BaseException) -> str:
    """Its traceback, from the first line on that isn't one of this library, or of the import; empty if there is none.

    What can't be formatted is told as far as it can be.
    """
    begin, cause = _begin(error), cause_of(error)
    if not (reached(error) or (cause is not None and reached(cause))):
        return ""
    try:
        return "".join(traceback.format_exception(type(error), error, begin))
    except BaseException as failed:  # its class, or that of its cause, is somebody's own
        if interrupts(failed):
            raise
        return "".join([*traceback.format_tb(begin), describe(error), "\n"])


def reached(error: BaseException) -> bool:
    """Whether it has to do with a line of the user's own."""
    return _begin(error) is not None or is_of(error, SyntaxError)


def _begin(error: BaseException) -> TracebackType | None:
    line = traceback_of(error)
    while line is not None and _only_calls(line.tb_frame.f_code.co_filename):
        line = line.tb_next
    return line


def _only_calls(file: str) -> bool:
    return file.startswith((*_OURS, "<frozen importlib")) or file in _CALLERS


def ends_the_program(error: BaseException) -> bool:
    """Whether it passes up, wherever it was raised: a KeyboardInterrupt or SystemExit, by itself or in a group."""
    return not is_of(error, Exception) and any(is_of(leaf, KeyboardInterrupt, SystemExit) for leaf in leaves(error))
