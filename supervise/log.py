"""The log of the library itself: one logger, and one way to write to it, which never harms the writer.

Handlers and filters are the user's own, and `logging` lets through what they raise. Raised in the middle of an actor's end,
that would keep the end from its supervisor; so it goes to standard error instead, as what `logging` can't write does.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Callable
from typing import Any, Final

from supervise_strategies.exception import ExcInfo, exc_info_of, interrupts
from supervise_strategies.exit_reason import describe
from supervise_strategies.kind import is_of, name_of_kind
from supervise_strategies.text import printable, shown

logger: Final = logging.getLogger("supervise")

MOST_LINES: Final = 1000
"""Lines of a traceback that are written; of more, those at both ends."""
LONGEST_LINE: Final = 1000
"""Characters of each of them."""


def say(
    level: int,
    text: str,
    *args: object,
    error: BaseException | None = None,
    to: logging.Logger = logger,
    pass_up: Callable[[BaseException], object] | None = None,
) -> None:
    """Write one record; of an argument that is an exception, what `describe` says of it. A text among others is one line.

    What a handler or a filter raises is told on standard error. A KeyboardInterrupt goes to `pass_up`, which whoever is in the
    middle of a change has to give; else it is let through.
    """
    try:
        try:
            if would_write(level, to):
                here = sys._getframe(1)
                code = here.f_code
                told = tuple(_described(arg, alone=text == "%s") for arg in args)
                exc_info = None if error is None else exc_info_of(error)
                write(to.makeRecord(to.name, level, code.co_filename, here.f_lineno, text, told, exc_info, code.co_name), to)
        except BaseException as raised:
            if interrupts(raised):
                raise
            complain(raised)
    except BaseException as struck:
        if pass_up is None:
            raise
        pass_up(struck)


def _described(value: object, *, alone: bool) -> object:
    if is_of(value, BaseException):
        return describe(value)
    return printable(value) if is_of(value, str) and not alone else value  # a name in a path may hold anything


def would_write(level: int, to: logging.Logger = logger) -> bool:
    """Whether a record of this level is written.

    `logging.config` disables the loggers that there are already, unless it is told not to: an error is written all the same.
    """
    if to.isEnabledFor(level):
        return True
    return to.disabled and level >= logging.ERROR and to.manager.disable < level and level >= to.getEffectiveLevel()


def write(record: logging.LogRecord, to: logging.Logger = logger) -> None:
    """Hand a record to the handlers. What is raised in them is raised. The record keeps no exception, whoever keeps the record.

    An exception keeps its frames, and frames keep all that was in them.
    """
    exc_info, text = record.exc_info, None
    if exc_info:
        text, differs, harms = traceback_text(exc_info)
        if differs:
            record.exc_text = text  # a formatter of `logging` takes that, whoever wants the exception that
        if harms:
            record.exc_info = None
    try:
        if not to.disabled:
            to.handle(record)
            return
        passed: object = to.filter(record)  # since Python 3.12 a filter may give another record
        if passed:
            to.callHandlers(passed if is_of(passed, logging.LogRecord) else record)
    finally:
        if exc_info:
            record.exc_info, record.exc_text = None, record.exc_text or text  # for a handler that formats it later


def traceback_text(exc_info: ExcInfo) -> tuple[str, bool, bool]:
    """The traceback as text, bounded; whether `logging` itself would write another one, too long, or with half a character; and
    whether a handler that did so would lose the record, or fill the disk.

    If it can't be formatted at all, the text says what can be said.
    """
    try:
        text = _FORMATTER.formatException(exc_info)
    except BaseException as raised:
        if interrupts(raised):
            raise
        return _encodable(half_formatted(exc_info, raised)), True, True
    if len(text) > LONGEST_LINE:
        lines = text.split("\n")
        if len(lines) > MOST_LINES:  # the last ones say what was raised
            lines = [*lines[: MOST_LINES // 4], "  …", *lines[-3 * MOST_LINES // 4 :]]
        bounded = "\n".join(line if len(line) <= LONGEST_LINE else f"{line[: LONGEST_LINE - 1]}…" for line in lines)
    else:
        bounded = text
    bounded = _encodable(bounded)
    return bounded, bounded != text, len(text) > MOST_LINES * LONGEST_LINE


def _encodable(text: str) -> str:
    """With half a character, a lone surrogate, spelled out: a file in UTF-8 would lose the record, a collector the text."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def half_formatted(exc_info: Any, raised: BaseException) -> str:
    """What can be said of an exception whose traceback can't be formatted, since that raised: its class is somebody's own.

    So may the record be whose `exc_info` it is.
    """
    try:
        lines = "".join(traceback.format_tb(exc_info[2]))
    except BaseException as error:
        if interrupts(error):
            raise
        lines = ""
    text = next((describe(part) for part in exc_info if is_of(part, BaseException)), shown(exc_info))
    return f"{lines}{text} <its traceback can't be formatted: {name_of_kind(type(raised))}>"


def complain(error: BaseException) -> None:
    """The log itself can't be written: say so where `logging` would, in one line, if there is such a place."""
    if logging.raiseExceptions:  # `logging`'s own switch for this
        try:
            sys.stderr.write(f"supervise: a record is lost, as a handler of the log raised {name_of_kind(type(error))}\n")
        except BaseException as raised:  # standard error may be closed, or be the user's own, too
            if interrupts(raised):
                raise


_FORMATTER: Final = logging.Formatter()
