"""The log of the library itself: one logger, and one way to write to it, which never harms the writer.

Handlers and filters are the user's own, and `logging` lets through what they raise. Raised in the middle of an actor's end,
that would keep the end from its supervisor; so it goes to standard error instead, as what `logging` can't write does.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Final

from supervise_strategies.exception import interrupts
from supervise_strategies.exit_reason import describe
from supervise_strategies.kind import is_of, name_of_kind

logger: Final = logging.getLogger("supervise")


def say(
    level: int,
    text: str,
    *args: object,
    error: BaseException | None = None,
    to: logging.Logger = logger,
    pass_up: Callable[[BaseException], object] | None = None,
) -> None:
    """Write one record; of an argument that is an exception, what `describe` says of it.

    What a handler or a filter raises is told on standard error. A KeyboardInterrupt goes to `pass_up`, which whoever is in the
    middle of a change has to give; else it is let through.
    """
    try:
        try:
            to.log(level, text, *map(_described, args), exc_info=error, stacklevel=2)
        except BaseException as raised:
            if interrupts(raised):
                raise
            complain(raised)
    except BaseException as struck:
        if pass_up is None:
            raise
        pass_up(struck)


def _described(value: object) -> object:
    return describe(value) if is_of(value, BaseException) else value


def complain(error: BaseException) -> None:
    """The log itself can't be written: say so where `logging` would, in one line, if there is such a place."""
    if logging.raiseExceptions:  # `logging`'s own switch for this
        try:
            sys.stderr.write(f"supervise: a record is lost, as a handler of the log raised {name_of_kind(type(error))}\n")
        except BaseException as raised:  # standard error may be closed, or be the user's own, too
            if interrupts(raised):
                raise
