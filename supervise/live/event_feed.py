"""What happens in a tree, for all that watch: heard in the tree's loop as values, and told in the server's thread."""

from __future__ import annotations

import logging
import time
from collections import deque
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace

from supervise.events import Blocked, DeadLetter, Late, Lost, Raised, Stuck
from supervise_strategies.exception import interrupts
from supervise_strategies.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from supervise.events import Event
    from supervise.journal.bus import Bus
    from supervise.tree.branch import BranchPlace

KEPT: Final = 1000
"""Events that wait for the slowest client; it is told how many it has missed."""
LONGEST: Final = 500
"""Characters of the text of one."""


class EventFeed:
    """Of one tree, while somebody watches."""

    def __init__(self) -> None:
        self._heard: deque[tuple[int, float, Event, str]] = deque(maxlen=KEPT)
        self._told: deque[tuple[int, dict[str, Any]]] = deque(maxlen=KEPT)
        self._number = 0
        self._bus: Bus | None = None
        self._off: Callable[[], object] | None = None

    # -- in the tree's loop ------------------------------------------------------------------------------------------

    def listen(self, branch: BranchPlace) -> None:
        """Hear what happens from now on."""
        bus = branch.tree.bus
        if self._bus is not bus:  # the first, or that of the tree's next run
            self.stop()
            self._bus, self._off = bus, bus.subscribe(self._hear)

    def stop(self) -> None:
        """Hear no more."""
        off, self._off, self._bus = self._off, None, None
        if off is not None:
            off()

    def _hear(self, event: Event) -> None:
        self._number += 1
        self._heard.append((self._number, time.time(), event, _trace_id()))

    # -- in the server's thread --------------------------------------------------------------------------------------

    @property
    def last(self) -> int:
        """The number of the last event, from 1."""
        return self._number

    def since(self, number: int, under: str) -> tuple[list[dict[str, Any]], int, int]:
        """What happened below a path after that event: the events, how many are missing, and the number of the last one."""
        while self._heard:
            numbered, when, event, trace_id = self._heard.popleft()
            self._told.append((numbered, told(event, when, trace_id)))
        newer = [(numbered, event) for numbered, event in self._told if numbered > number]
        last = newer[-1][0] if newer else number
        missed = max(0, newer[0][0] - number - 1) if newer else 0
        below = f"{under}/"
        return [event for _, event in newer if not under or f"{event['path']}/".startswith(below)], missed, last


def told(event: Event, when: float, trace_id: str) -> dict[str, Any]:
    """One event, without what messages hold."""
    event = without_arguments(event)
    found: dict[str, Any] = {
        "event": type(event).__name__,
        "path": event.path,
        "time": datetime.fromtimestamp(when, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": logging.getLevelName(event.level),
        "text": one_line(str(event), LONGEST),
    }
    number = getattr(event, "incarnation", 0)
    if number:
        found["life"] = number
    if trace_id:
        found["trace"] = trace_id
    return found


def without_arguments(event: Event) -> Event:
    """With handlers' names in place of messages, which hold arguments where `log_arguments=True` lets them."""
    if isinstance(event, Late | Stuck | Raised | DeadLetter | Blocked):
        return event if event.message is None else replace(event, message=event.message.partition("(")[0])
    if isinstance(event, Lost):
        return replace(event, first=event.first.partition("(")[0])
    return event


def _trace_id() -> str:
    try:
        span = trace.get_current_span().get_span_context()  # of anybody's own class
        return trace.format_trace_id(span.trace_id) if span.is_valid else ""
    except BaseException as error:
        if interrupts(error):
            raise
        return ""
