"""Spans that are lost: what a tracer provider, or a processor of it, raises is said now and then, and harms nobody."""

from __future__ import annotations

import functools
import logging
import math
import time
from collections.abc import Callable
from typing import Final, ParamSpec, TypeAlias

from supervise.log import say
from supervise_strategies.exception import interrupts

P = ParamSpec("P")
logger: Final = logging.getLogger("supervise.tracing")

_said_at: float = -math.inf


PassUp: TypeAlias = Callable[[BaseException], object]


def lost(error: BaseException, pass_up: PassUp | None = None) -> None:
    """Something that isn't ours raised: a KeyboardInterrupt is passed up, all else said once a minute."""
    global _said_at
    if interrupts(error):
        if pass_up is None:
            raise error
        pass_up(error)  # what the span is of goes on: it isn't what was struck
        return
    if time.monotonic() - _said_at > 60:
        _said_at = time.monotonic()
        text = "spans are lost: the tracer provider, or one of its processors, raised"
        say(logging.ERROR, text, error=error, to=logger, pass_up=pass_up)


def harmless(function: Callable[P, None]) -> Callable[P, None]:
    """A hook that says what was raised in it, and goes on."""

    @functools.wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            function(*args, **kwargs)
        except BaseException as error:
            lost(error, getattr(args[0], "pass_up", None) if args else None)

    return guarded
