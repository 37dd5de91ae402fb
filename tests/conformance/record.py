"""What happened in a tree, in order, with the generation of each path."""

from __future__ import annotations

from collections import Counter

from supervise_strategies import Cause, ExitReason

from .reasons import reason_word
from .scenario import Json


class Record:
    """The events since the last look. Generations count over the whole scenario, whatever becomes of a supervisor."""

    def __init__(self) -> None:
        self._generations: Counter[str] = Counter()
        self._events: list[Json] = []

    def generation(self, path: str) -> int:
        """The successful starts of a path so far."""
        return self._generations[path]

    def started(self, path: str) -> None:
        self._generations[path] += 1
        self._events.append({"ev": "start", "child": path, "gen": self._generations[path]})

    def start_failed(self, path: str, *, ignored: bool = False) -> None:
        self._events.append({"ev": "start_failed", "child": path, "how": "ignore" if ignored else "error"})

    def blocked(self, path: str) -> None:
        self._events.append({"ev": "start_blocked", "child": path})

    def stopped(self, path: str, reason: ExitReason, cause: Cause = Cause.SELF) -> None:
        event = {"ev": "stop", "child": path, "gen": self._generations[path], "reason": reason_word(reason, cause)}
        if cause is Cause.GAVE_UP:
            event["cause"] = cause.value
        self._events.append(event)

    def take(self) -> list[Json]:
        """What happened since the last call."""
        events, self._events = self._events, []
        return events
