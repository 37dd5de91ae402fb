"""What is remembered of a child's ends: how often it came back, why it last ended abnormally, and its failures in a row."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .backoff import Backoff
    from .crash_row import CrashRow
    from .exit_reason import ExitReason
    from .intensity import RestartWindow


class History:
    """Of one child. Most have none: it is made at the first end that is remembered. The counts are the child's own."""

    __slots__ = ("backoff", "last", "restarts", "row", "up_since", "window")

    def __init__(self) -> None:
        self.restarts: int = 0
        self.last: ExitReason | None = None
        self.backoff: Backoff | None = None
        self.row: CrashRow | None = None  # of crashes of one fingerprint
        self.window: RestartWindow | None = None
        self.up_since: float | None = None

    def copy(self) -> History:
        """Another one that says the same."""
        other = History()
        other.restarts, other.last, other.up_since = self.restarts, self.last, self.up_since
        other.backoff = None if self.backoff is None else self.backoff.copy()
        other.row = None if self.row is None else self.row.copy()
        other.window = None if self.window is None else self.window.copy()
        return other

    def ended(self, now: float, healthy_after: float) -> None:
        """A life is over. A healthy one ends each row of failures, whatever ended it: a crash, a stop, or its group."""
        if self.up_since is not None and now - self.up_since >= healthy_after:
            if self.backoff is not None:
                self.backoff.begin_anew()
            if self.row is not None:
                self.row.begin_anew()
        self.up_since = None
