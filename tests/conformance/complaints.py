"""What the runtime, or asyncio, logs when something went wrong that nobody was told otherwise."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Generator
from contextlib import contextmanager

from supervise.log import logger
from supervise.telemetry.logs import event_of
from supervise_strategies import ImmortalLoopWarning


class _Ears(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if event_of(record) is None:
            self.heard.append(self.format(record))


@contextmanager
def complaints() -> Generator[list[str], None, None]:
    """Hear errors, and nothing less; many specs are odd on purpose.

    A crash, a failed start and a give-up are errors, too, but events: the script wants them.
    """
    ears = _Ears()
    loggers = {each: each.level for each in (logger, logging.getLogger("asyncio"))}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImmortalLoopWarning)
        for each in loggers:
            each.setLevel(logging.ERROR)
            each.addHandler(ears)
        try:
            yield ears.heard
        finally:
            for each, level in loggers.items():
                each.setLevel(level)
                each.removeHandler(ears)
