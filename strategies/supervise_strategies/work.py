"""A start or a stop under way: what a supervisor does now, while all else waits in its queue."""

from __future__ import annotations

from collections import deque
from enum import Enum, auto
from typing import TYPE_CHECKING

from . import directives as do
from .directives import Cause, StopMode
from .exit_reason import SHUTDOWN, ExitReason

if TYPE_CHECKING:
    from .child_state import Slot
    from .supervisor_state import SupervisorState


class Purpose(Enum):
    """What the work is for."""

    BOOT = auto()
    RESTART = auto()
    START_CHILD = auto()
    RESTART_CHILD = auto()
    RELOAD = auto()
    TERMINATE_CHILD = auto()
    SHUTDOWN = auto()


class Work:
    """What is under way: slots still to be stopped (taken from the end), then slots to be started (from the front)."""

    ticket: object = None
    delay: float = 0.0
    pending: int = 0
    """Stops that were asked for and haven't ended."""
    mode: StopMode = StopMode.RESTART
    reason: ExitReason = SHUTDOWN
    cause: Cause = Cause.ASKED
    error: BaseException | None = None
    failed: str | None = None
    told: bool = False
    reloaded: Slot | None = None
    """It is stopped, or its start is cancelled, only to be started again with new code, whatever its restart type."""
    late: list[Slot] | None = None
    """Those that outlive the end of their supervisor, as far as they were looked at."""

    # Without slots: what most works leave as it is costs them nothing, and there is one at a time.
    def __init__(self, purpose: Purpose, *, subject: Slot | None = None, ticket: object = None, delay: float = 0.0) -> None:
        self.purpose: Purpose = purpose
        self.subject: Slot | None = subject
        if ticket is not None:
            self.ticket = ticket
        if delay:
            self.delay = delay
        self.stops: list[Slot] = []
        self.starts: deque[Slot] = deque()

    def answer(self, state: SupervisorState, result: bool) -> None:
        """Whoever asked for it has the answer, once."""
        if self.ticket is not None:
            state.out.append(do.Reply(self.ticket, result))
            self.ticket = None
