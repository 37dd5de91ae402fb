"""One event of a tree, as a client keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from .told import number_in, text_in


class Happening(NamedTuple):
    """What happened: when (UTC, ISO 8601), to whom, in words."""

    time: str
    level: str
    path: str
    text: str
    event: str = ""
    life: int = 0
    trace: str = ""

    @property
    def clock(self) -> str:
        """Its hour, minute and second."""
        return self.time.partition("T")[2].partition(".")[0].removesuffix("Z")

    @property
    def is_bad(self) -> bool:
        return self.level in ("WARNING", "ERROR", "CRITICAL")


def happening_of(data: Mapping[str, Any]) -> Happening:
    """It as the protocol tells it."""
    return Happening(
        text_in(data, "time"),
        text_in(data, "level"),
        text_in(data, "path"),
        text_in(data, "text"),
        text_in(data, "event"),
        int(number_in(data, "life")),
        text_in(data, "trace"),
    )
