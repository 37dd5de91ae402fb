"""How events become records of the logger `supervise`: constant templates, the user's own lines, and no flood.

- A crash is an ERROR with its traceback, once for each fingerprint in 10 minutes: from the user's first line on, with its
  causes. The same one again is a line with a count.
- A record's location is the user's innermost line, where it is about one.
- A supervisor, with the children that are its own, has at most 10 records within a second, of WARNING and above. What is
  beyond that is a DEBUG record, and a number in a WARNING ten seconds later. First tracebacks, and decisions to give up, aren't
  counted against that.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from supervise.events import (
    AddressDropped,
    Blocked,
    Decided,
    Late,
    LinkDown,
    Lost,
    Overran,
    Raised,
    Refused,
    StartFailed,
    Starting,
    Stopped,
    Stuck,
)
from supervise.frame import Frame, from_users, place_of
from supervise.log import complain, logger, would_write, write
from supervise_strategies.exception import interrupts, traceback_of, unwrapped
from supervise_strategies.kind import full_name_of_kind
from supervise_strategies.text import printable

from .budget import RECORDS, SUMMARY, TRACEBACKS, Budget

if TYPE_CHECKING:
    from supervise._backends import Handle
    from supervise.events import Event

MOST: Final = 1000
"""Supervisors whose budgets are remembered."""


class Parts(tuple[object, ...]):
    """The arguments of the record of an event; a formatter finds the event in them (`event_of` of `supervise.telemetry.logs`).

    As a field of the record it would be copied to collectors, which take texts and numbers.
    """

    event: Event


class EventLog:
    """That of one tree, or of one open mailbox. Without an alarm, a later record tells how many weren't written before it."""

    __slots__ = ("_alarm", "_budgets", "_now", "_timer", "_tracebacks")

    def __init__(
        self,
        now: Callable[[], float] = time.monotonic,
        alarm: Callable[[float, Callable[[], object]], Handle] | None = None,
    ) -> None:
        self._now = now
        self._alarm = alarm
        self._budgets: dict[str, Budget] = {}
        self._tracebacks: Budget | None = None
        self._timer: Handle | None = None

    def tell(self, event: Event, error: BaseException | None) -> None:
        """Write it, if anybody would see it; `error` is what it crashed with."""
        level = event.level
        if not would_write(level):
            return
        full = error is not None and isinstance(event, Stopped | StartFailed) and event.alike < 2
        if level >= logging.WARNING and not self._affords(event, full):
            level = logging.DEBUG
            if not would_write(level):
                return
        write_event(event, level, error if full else None)

    def end(self) -> None:
        """Tell what hasn't been told."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._alarm = None
        self._tell_numbers(self._now())

    def _affords(self, event: Event, full: bool) -> bool:
        now = self._now()
        if full:
            self._tracebacks = self._tracebacks or Budget(TRACEBACKS)
            if self._tracebacks.spend(now):
                return True
        what = _WHAT.get(type(event))
        if what is None or (type(event) is Decided and event.level >= logging.ERROR):
            return True  # there are few of them
        path = event.supervisor if type(event) is Decided else event.path.rpartition("/")[0] or event.path
        budget = self._budgets.get(path)
        if budget is None:
            self._make_room(now)
            budget = self._budgets[path] = Budget(RECORDS)
        if budget.unsaid and self._timer is None and now >= budget.since + SUMMARY:  # there is no alarm
            self._tell_number(path, budget, now)
        if budget.spend(now):
            return True
        if budget.count(what, now) and self._timer is None and self._alarm is not None:
            self._timer = self._alarm(now + SUMMARY, self._due)
        return False

    def _make_room(self, now: float) -> None:
        if len(self._budgets) < MOST:
            return
        for path in [path for path, budget in self._budgets.items() if budget.idle(now)]:
            del self._budgets[path]
        if len(self._budgets) >= MOST:
            path = next(iter(self._budgets))
            self._tell_number(path, self._budgets.pop(path), now)

    def _due(self) -> None:
        self._timer = None
        now = self._now()
        waiting = [(path, budget) for path, budget in self._budgets.items() if budget.unsaid]
        for path, budget in waiting:
            if now >= budget.since + SUMMARY:
                self._tell_number(path, budget, now)
        if self._alarm is not None and any(budget.unsaid for _, budget in waiting):
            self._timer = self._alarm(min(budget.since for _, budget in waiting if budget.unsaid) + SUMMARY, self._due)

    def _tell_numbers(self, now: float) -> None:
        for path, budget in [*self._budgets.items()]:  # a handler may cause more
            self._tell_number(path, budget, now)

    def _tell_number(self, path: str, budget: Budget, now: float) -> None:
        number, seconds = budget.unsaid.total(), now - budget.since
        if not number:
            return
        text = "%s: and %s more in %.3g s: %s"
        details = printable(path), f"{number:,}", seconds, budget.summary()
        extra: dict[str, Any] = {"actor": path, "actor_id": 0, "incarnation": 0}
        _safely(_write, logging.WARNING, _HERE, text, details, None, extra)


_WHAT: Final[dict[type, str]] = {
    Stopped: "ends",
    StartFailed: "failed starts",
    Decided: "decisions",
    Lost: "losses",
    Raised: "errors that nobody got",
    Late: "late handlers",
    Starting: "slow starts",
    AddressDropped: "dropped addresses",
    Overran: "actors that are unstoppable",
    LinkDown: "ends of connections",
    Refused: "refusals",
}
"""Events that can come in floods, and what a number of them is called."""


def tell(event: Event) -> None:
    """One record of an event of no tree's log, from any thread."""
    _safely(_tell, event)


def _tell(event: Event) -> None:
    if would_write(event.level):
        write_event(event, event.level)


def _safely(function: Callable[..., object], *args: object) -> None:
    try:
        function(*args)
    except BaseException as raised:  # in a handler, or a filter, of the user's own
        if interrupts(raised):
            raise
        complain(raised)


def write_event(event: Event, level: int, error: BaseException | None = None) -> None:
    """One record of it, with the traceback of what it crashed with, if that is given. What a handler raises is raised."""
    frames: tuple[Frame, ...] = ()
    if isinstance(event, Stopped | StartFailed | Raised):
        frames = event.frames
    elif isinstance(event, Starting | Late | Blocked | Stuck):
        frames = event.stack
    parts = Parts(event.parts())
    parts.event = event
    _write(level, place_of(frames) or _HERE, event.template, parts, error)


def _write(
    level: int,
    place: Frame,
    template: str,
    parts: tuple[object, ...],
    error: BaseException | None,
    extra: dict[str, Any] | None = None,
) -> None:
    exc_info = None if error is None else _exc_info(unwrapped(error, raised=True))
    record = logger.makeRecord(logger.name, level, place.file, place.line, template, parts, exc_info, place.function, extra)
    write(record)


def _exc_info(error: BaseException) -> tuple[type[BaseException], BaseException, TracebackType | None]:
    """From the user's first line on. Where all lines are ours all are shown, but not of our own errors, whose text says all."""
    lines = from_users(traceback_of(error))
    if lines is None and not full_name_of_kind(type(error)).startswith(("supervise.", "supervise_strategies.")):
        lines = traceback_of(error)
    return type(error), error, lines


_HERE: Final = Frame(__file__, _write.__code__.co_firstlineno, _write.__name__)
