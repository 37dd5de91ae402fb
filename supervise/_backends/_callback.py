"""How the loop calls back: what a callback raises is said, and reaches neither the loop nor its other callbacks."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from supervise.log import interrupts, say
from supervise_strategies.exit_reason import describe

if TYPE_CHECKING:
    from ._base import Backend


def call_back(backend: Backend, callback: Callable[[], object]) -> None:
    """Run it. A KeyboardInterrupt, which struck in it by chance, goes to whoever has the backend; else it ends the loop."""
    try:
        callback()
    except BaseException as error:
        if interrupts(error):
            if backend.pass_up is None:
                raise
            backend.pass_up(error)
            return
        say(logging.ERROR, "a callback of the event loop raised %s", describe(error), error=error)
