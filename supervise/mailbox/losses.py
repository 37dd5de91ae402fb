"""Losses are said: at a stop once for each actor, and in service once a minute, with what would have kept the messages."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final, TypeAlias

from supervise.events import Lost
from supervise_strategies.exit_reason import ExitKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from supervise._backends import Handle
    from supervise.journal.bus import Bus

    from .instrument import Instrument
    from .mailbox import Mailbox

CallAt: TypeAlias = "Callable[[float, Callable[[], object]], Handle]"
WINDOW: Final = 60.0
"""Seconds in which the losses of one actor for one reason are said once, after the first."""
MOST: Final = 1000
"""Actors, and reasons, that are remembered; beyond that the oldest are said at once, and so is each loss of theirs anew."""


class Loss(Enum):
    """Why a message is lost, with the cure."""

    STOPPED = "drain=True handles what waits at a stop"
    """It waited when its actor was stopped. Said by the stop itself."""
    IN_HAND = "redeliver= tries again what was in hand, if a life follows"
    OVERRAN = "a longer stop_within lets it finish"
    SPENT = "on_dead_letter= is handed what redeliver= tries no more"
    FULL = "a larger capacity=, or overflow='wait', keeps them"
    REFUSED = "its sender has to name a handler of the actor, with arguments that fit"
    LATE = "address.watch() tells when an actor ends"
    BY_HAND = ""
    """Somebody took it out; that isn't said."""

    @property
    def code(self) -> str:
        """What it is called where things are counted: a word that stays when texts change."""
        return self.name.lower()


class _Row:
    """The losses of one actor for one reason since the last word about them."""

    __slots__ = ("first", "instrument", "number", "path", "until", "why")

    def __init__(self, path: str, until: float, instrument: Instrument | None) -> None:
        self.path = path
        self.instrument = instrument
        self.until = until
        self.number = 0
        self.first = self.why = ""


class Losses:
    """What of one tree is to be said, and was said lately. Without an alarm the next loss says what came before."""

    __slots__ = ("_alarm", "_bus", "_over", "_rows", "_timer")

    def __init__(self, bus: Bus, alarm: CallAt | None) -> None:
        self._bus = bus
        self._alarm = alarm
        self._over = False
        self._rows: dict[tuple[int, Loss], _Row] = {}
        self._timer: Handle | None = None

    def note(self, mailbox: Mailbox, loss: Loss, text: str, why: object) -> None:
        """One is lost, and somebody would hear of it. The first is said at once; those of the next minute when that is over."""
        if loss is Loss.STOPPED or loss is Loss.BY_HAND:
            return
        key, now = (mailbox.id, loss), mailbox.backend.now()
        if self._over:
            self._bus.publish(Lost(mailbox.path, 1, text, str(why), loss.value))
            return
        row = self._rows.get(key)
        if row is not None and row.until <= now:
            self._say(row, loss)
            row = None
        if row is None:
            self._rows.pop(key, None)  # the newest stands last
            if len(self._rows) >= MOST:
                (_, other), oldest = next(iter(self._rows.items()))
                self._say(oldest, other)
                del self._rows[next(iter(self._rows))]
            self._rows[key] = _Row(mailbox.path, now + WINDOW, mailbox.instrument)
            self._bus.publish(Lost(mailbox.path, 1, text, str(why), loss.value))
        else:
            row.number += 1
            if row.number == 1:
                row.first, row.why = text, str(why)
        if self._timer is None and self._alarm is not None:
            self._timer = self._alarm(now + WINDOW, lambda: self._look(mailbox.backend.now()))

    def say_stopped(self, mailbox: Mailbox, lost: int) -> None:
        """So many waiting messages were lost at a stop."""
        if not lost:
            return
        waited = f"{lost} waiting {'messages' if lost > 1 else 'message'} dropped"
        end = mailbox.last_end
        if end is not None and end[1].kind in (ExitKind.CRASHED, ExitKind.GAVE_UP):
            why, cure = f"{waited}, as no life follows the crash", "they are kept where restart= brings it back"
        elif mailbox.options.drains:
            why, cure = f"{waited} at the stop", "a longer stop_within handles more of them"
        else:
            why, cure = f"{waited} at the stop", Loss.STOPPED.value
        self._bus.publish(Lost(mailbox.path, lost, "", why, cure))

    def end(self) -> None:
        """Say what hasn't been said. What is lost from now on is said at once."""
        self._alarm, self._over = None, True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        rows, self._rows = self._rows, {}
        for (_, loss), row in rows.items():
            self._say(row, loss)

    def _look(self, now: float) -> None:
        self._timer = None
        for key, row in [*self._rows.items()]:
            if row.until > now:
                continue
            self._say(row, key[1])
            if row.number:
                row.number, row.until = 0, now + WINDOW
            else:
                del self._rows[key]
        if self._rows and self._alarm is not None:
            due = min(row.until for row in self._rows.values())
            self._timer = self._alarm(due, lambda: self._look(due))

    def _say(self, row: _Row, loss: Loss) -> None:
        if row.number:
            self._bus.publish(Lost(row.path, row.number, row.first, row.why, loss.value, more=True))
            if row.instrument is not None:
                row.instrument.lost(loss)
