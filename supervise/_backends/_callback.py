"""How the loop calls back: what a callback raises is said, and reaches neither the loop nor its other callbacks."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from supervise.log import say
from supervise_strategies.exception import interrupts

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
        say(logging.ERROR, "a callback of the event loop raised %s", error, error=error, pass_up=backend.pass_up)
