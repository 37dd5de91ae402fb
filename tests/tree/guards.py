"""What is heard while a hostile play runs, beside the play: logs, warnings, what can't be raised, and that no time passes."""

from __future__ import annotations

import logging
import signal
import sys
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from .fiends import Records
from .malice import shown
from .stacks import where

if TYPE_CHECKING:
    from .hostile_play import HostilePlay

REAL_SECONDS: Final = 10.0
"""After which a play that goes on without time passing is torn down."""


class Hung(BaseException):
    """Torn down: it came to no end."""


@contextmanager
def guards(play: HostilePlay) -> Generator[None]:
    """Hear everything, and let trio, which runs in a random order what can run, follow the seed."""
    with _unraisable(play), _logs(play), _order(play.backend, play.seed):
        yield


@contextmanager
def torn_down_if_no_time_passes(play: HostilePlay) -> Generator[None]:
    """In real time: where the loop never rests, or a tree goes on for ever under a shield."""

    def tear_down(*_: object) -> None:
        play.malice.awake = False
        frame = sys._getframe(1)
        play.hangs("no time passes", f"in {frame.f_code.co_filename}:{frame.f_code.co_name}")
        raise Hung

    before = signal.signal(signal.SIGALRM, tear_down)
    tear_down_in(REAL_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def tear_down_in(seconds: float) -> None:
    """And again and again, as it may be caught."""
    signal.setitimer(signal.ITIMER_REAL, seconds, 0.1)


@contextmanager
def _unraisable(play: HostilePlay) -> Generator[None]:
    def hear(found: Any) -> None:
        error = found.exc_value
        if isinstance(error, KeyError) and error.args == ("__import__",):
            return  # "never awaited" can't be said where a named tuple is being made: that code has no builtins
        if not play.failures:
            play.fail(f"unraisable {type(error).__name__} at {where(error)}", f"{found.err_msg} {found.object!r}")

    before, sys.unraisablehook = sys.unraisablehook, hear
    try:
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            yield
    finally:
        sys.unraisablehook = before
    for warning in heard:
        play.malice.note("warning", str(warning.message))


@contextmanager
def _logs(play: HostilePlay) -> Generator[None]:
    hostile = "log" in play.malice.kinds
    logger = logging.getLogger("supervise")
    before = logger.level, logger.propagate, logging.raiseExceptions
    records, bugs, complaints = Records(play.malice), _Bugs(play), _Complaints(play)
    others = [logging.getLogger("asyncio"), logging.getLogger("opentelemetry")]
    logger.addHandler(bugs)
    if hostile:
        logger.addHandler(records)
        logger.addFilter(records.filter)
    logger.setLevel(logging.DEBUG if hostile else logging.CRITICAL)
    logger.propagate = logging.raiseExceptions = False
    for other in others:
        other.addHandler(complaints)
        other.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(bugs)
        logger.removeHandler(records)
        logger.removeFilter(records.filter)
        logger.setLevel(before[0])
        logger.propagate, logging.raiseExceptions = before[1:]
        for other in others:
            other.removeHandler(complaints)
            other.propagate = True


class _Complaints(logging.Handler):
    """Hears what asyncio complains of."""

    def __init__(self, play: HostilePlay) -> None:
        super().__init__(logging.ERROR)
        self._play = play

    def emit(self, record: logging.LogRecord) -> None:
        text = str(record.msg)
        if not self._play.failures and record.name == "asyncio":
            error = record.exc_info[1] if record.exc_info else None
            self._play.fail(f"asyncio complains: {text.partition(chr(10))[0]}, at {where(error)}", text)
        else:
            self._play.malice.note(record.name, text[:200])


class _Bugs(logging.Handler):
    """Hears what only a bug of the library's own can have brought about."""

    def __init__(self, play: HostilePlay) -> None:
        super().__init__(logging.CRITICAL)
        self._play = play

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if type(error) is KeyboardInterrupt:  # nobody's bug, wherever it strikes
            return
        with self._play.malice.asleep():
            self._play.fail(f"a bug in supervise at {where(error)}", record.msg if error is None else shown(error))


@contextmanager
def _order(backend: str, seed: int) -> Generator[None]:
    if backend != "trio":
        yield
        return
    import trio._core._run

    run: Any = trio._core._run
    before, run._ALLOW_DETERMINISTIC_SCHEDULING = run._ALLOW_DETERMINISTIC_SCHEDULING, True
    run._r.seed(seed)
    try:
        yield
    finally:
        run._ALLOW_DETERMINISTIC_SCHEDULING = before
