"""One record of a log, as far as it is shown. What is in a log was written by others: nothing of it reaches a terminal that
the terminal would obey.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

OUTSIDE: Final = "-"  # the column of what no actor said
CLOCK: Final = 12  # characters of HH:MM:SS.mmm
_UNKNOWN: Final = "?"
_HEX: Final = frozenset("0123456789abcdef")


class Entry(NamedTuple):
    """One record."""

    time: datetime
    dated: bool
    """Whether it said its time; if not, `time` is that of the record before it."""
    actor: str
    incarnation: int
    level: str
    message: str
    trace_id: str
    traceback: str
    is_start: bool
    """It says that an actor has started. Those are most lines of a busy log."""

    @property
    def clock(self) -> str:
        return f"{self.time:%H:%M:%S}.{self.time.microsecond // 1000:03d}" if self.dated else _UNKNOWN

    @property
    def text(self) -> str:
        """What stands in the column: the path is its heading already."""
        message = self.message
        for shown in (f"{self.actor} #{self.incarnation} ", f"{self.actor}: ", f"{self.actor} "):
            if self.actor != OUTSIDE and message.startswith(shown):
                message = message[len(shown) :]
                break
        life = f"#{self.incarnation} " if self.incarnation else ""
        mark = "" if self.level in ("DEBUG", "INFO") else f"{self.level}: "
        return f"{life}{mark}{message}"


def entry_of(record: Mapping[str, Any], before: datetime) -> Entry:
    """A record as an entry, whatever its fields are; one that doesn't say its time gets that of the one before."""
    time = _time_of(record.get("time"))
    incarnation = record.get("incarnation")
    trace_id = _text(record, "trace_id")
    event: object = record.get("event")
    return Entry(
        before if time is None else time,
        time is not None,
        printable(_text(record, "actor")) or OUTSIDE,
        incarnation if type(incarnation) is int else 0,
        printable(_text(record, "level")),
        printable(_text(record, "message")),
        trace_id if len(trace_id) == 32 and _HEX.issuperset(trace_id) else "",
        "\n".join(map(printable, _text(record, "exception").split("\n"))),
        type(event) is dict and event.get("event") == "Started",
    )


def _text(record: Mapping[str, Any], field: str) -> str:
    value = record.get(field)
    return "" if value is None else str(value)


def _time_of(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        time = datetime.fromisoformat(value)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):  # the latter: the first hours of year 1, in a zone east of Greenwich
        return None


def printable(text: str) -> str:
    """Without anything that a terminal would obey, or that can't be encoded."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else " " if c.isspace() else "\N{REPLACEMENT CHARACTER}" for c in text)
