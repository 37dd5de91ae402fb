"""Crashes that were told lately: the same one again is told in one line with a count, not once more in full."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NamedTuple

from supervise.errors import HandlerLate
from supervise.frame import Frame, frames_of, own_of
from supervise_strategies.exit_reason import ExitKind
from supervise_strategies.kind import is_of

from .fingerprint import fingerprint_of

if TYPE_CHECKING:
    from supervise.message import AnyHandler
    from supervise_strategies.exit_reason import ExitReason

    from .bus import Bus

WINDOW: Final = 600.0
"""Seconds in which the same crash is told in full once, whichever actor of the tree has it."""
MOST: Final = 1000
"""Crashes that are remembered; beyond that the oldest are told in full again."""


class Crash(NamedTuple):
    """What events say of one: see `Stopped`."""

    frames: tuple[Frame, ...] = ()
    fingerprint: str = ""
    alike: int = 0


NO_CRASH: Final = Crash()


class CrashLog:
    """Those of one tree, or of one open mailbox. It keeps texts; what is older than its window is forgotten when the next is
    told in full.
    """

    __slots__ = ("_told",)

    def __init__(self) -> None:
        # By fingerprint: when it was told, and how often it came. Those that were told first stand first.
        self._told: dict[str, tuple[float, int]] = {}

    def look_at(
        self, path: str, reason: ExitReason, error: BaseException | None, handler: AnyHandler | None, bus: Bus, now: float
    ) -> Crash:
        """An end; `handler` is that of the message that ended the life. It counts if it is a crash, and anybody hears of it.

        Where no line is the user's own, as of a program that ends, only crashes of one actor are taken for the same.
        """
        if error is None or reason.kind is not ExitKind.CRASHED:
            return NO_CRASH
        frames = frames_of(error)
        fingerprint = bus.text(fingerprint_of, error, handler, frames)
        if is_of(error, HandlerLate):  # it was raised nowhere, but there is a line that it is about
            frames = frames or error.stack
        same = fingerprint if own_of(frames) else f"{path}: {fingerprint}"
        return Crash(frames, fingerprint, self.note(same, now) if bus.hears(logging.ERROR) else 0)

    def note(self, fingerprint: str, now: float) -> int:
        """One more; the answer is how often it came since it was told in full, this time included."""
        told, number = self._told.get(fingerprint, (now, 0))
        if now - told >= WINDOW:
            told, number = now, 0
        if not number:
            self._told.pop(fingerprint, None)  # the newest stands last
            self._forget(now)
        self._told[fingerprint] = told, number + 1
        return number + 1

    def _forget(self, now: float) -> None:
        """Those that would be told in full again anyhow, and the oldest, so that there is room for one more."""
        while self._told:
            oldest = next(iter(self._told))
            if len(self._told) < MOST and now - self._told[oldest][0] < WINDOW:
                return
            del self._told[oldest]
