"""The log of the library itself: one logger, and one way to write to it, which never harms the writer.

Handlers and filters are the user's own, and `logging` lets through what they raise. Raised in the middle of an actor's end,
that would keep the end from its supervisor; so it goes to standard error instead, as what `logging` can't write does.
"""

from __future__ import annotations

import logging
import sys
from typing import Final

from supervise_strategies.exit_reason import leaves
from supervise_strategies.kind import is_of, name_of_kind

logger: Final = logging.getLogger("supervise")


def interrupts(error: BaseException) -> bool:
    """Whether it is a KeyboardInterrupt, or has one in it: that passes up from anywhere, whoever's code it struck in."""
    return not is_of(error, Exception) and any(is_of(leaf, KeyboardInterrupt) for leaf in leaves(error))


def say(level: int, text: str, *args: object, error: BaseException | None = None, to: logging.Logger = logger) -> None:
    """Write one record. What a handler or a filter raises is told on standard error; a KeyboardInterrupt is let through."""
    try:
        to.log(level, text, *args, exc_info=error, stacklevel=2)
    except BaseException as raised:
        if interrupts(raised):
            raise
        complain(raised)


def complain(error: BaseException) -> None:
    """The log itself can't be written: say so where `logging` would, in one line, if there is such a place."""
    if logging.raiseExceptions:  # `logging`'s own switch for this
        try:
            sys.stderr.write(f"supervise: a record is lost, as a handler of the log raised {name_of_kind(type(error))}\n")
        except BaseException as raised:  # standard error may be closed, or be the user's own, too
            if interrupts(raised):
                raise
