"""How the loop calls back: what a callback raises is said, and reaches neither the loop nor its other callbacks."""

from __future__ import annotations

import logging
from collections.abc import Callable

from supervise.log import interrupts, say
from supervise_strategies.exit_reason import describe


def call_back(callback: Callable[[], object]) -> None:
    """Run it. A KeyboardInterrupt, which struck in it by chance, is let through: it ends the loop."""
    try:
        callback()
    except BaseException as error:
        if interrupts(error):
            raise
        say(logging.ERROR, "a callback of the event loop raised %s", describe(error), error=error)
