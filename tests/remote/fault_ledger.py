"""What was sent over a link, on which of its connections, what became of it, and what the other side noted: and whether all of
that goes together. `faults.py` fills it, and reads the notes from a file.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

from supervise.remote.link import Lost

Key: TypeAlias = tuple[int, int]
"""A sender, and its number of a message. A sender counts its sends and calls alike."""


class End(Enum):
    """What a sender knows of a message."""

    SENT = "sent"
    REFUSED = "send refused"  # cancelled, or no room: it wasn't accepted
    ANSWERED = "answered"
    UNKNOWN = "unknown"
    TIMED_OUT = "timed out"
    CANCELLED = "cancelled"
    NOT_CONNECTED = "not connected"  # the call didn't want to wait


@dataclass
class Asked:
    """One message, from its beginning to its end."""

    key: Key
    began: float
    call: bool
    seconds: float | None = None
    """It had a deadline."""
    ended: float | None = None
    end: End | None = None
    certain: bool = False
    """That it wasn't delivered."""


@dataclass
class Life:
    """One connection."""

    number: int
    written: list[Key] = field(default_factory=list[Key])
    """Its sends, in the order in which they went out."""
    lost: Lost | None = None
    """What was said of it at its end; None: it is up."""
    why: str = ""


class Ledger:
    """It is judged whenever all is quiet; what was before is forgotten then, but for the sums."""

    def __init__(self) -> None:
        self.asked: dict[Key, Asked] = {}
        self.lives: list[Life] = []
        self.made = 0
        self.sums: Counter[str] = Counter()
        self._last: Counter[int] = Counter()
        """Of each sender: the last number that was noted."""

    # -- what is told of the link --------------------------------------------------------------------------------------

    def up(self) -> None:
        self.made += 1
        self.lives.append(Life(self.made))

    def written(self, key: Key) -> None:
        self.lives[-1].written.append(key)

    def down(self, why: str, lost: Lost) -> None:
        self.lives[-1].lost, self.lives[-1].why = lost, why
        self.sums["unconfirmed"] += lost.unconfirmed

    # -- the verdict ---------------------------------------------------------------------------------------------------

    def judge(self, notes: list[Key], waited_there: int = 0) -> list[str]:
        """What is wrong. `waited_there`: so many that were accepted may have died with the process over there."""
        noted = {*notes}
        wrong = [*self._order(notes), *self._ends(noted), *self._losses(noted, waited_there)]
        self.lives = [life for life in self.lives if life.lost is None]
        for life in self.lives:
            life.written.clear()
        self.asked.clear()
        return wrong

    def _order(self, notes: list[Key]) -> list[str]:
        wrong: list[str] = []
        for key in notes:
            sender, number = key
            if number <= self._last[sender]:
                wrong.append(f"sender {sender}: {number} was noted after {self._last[sender]}")
            self._last[sender] = max(number, self._last[sender])
            if key not in self.asked:
                wrong.append(f"sender {sender}: {number} was noted when all was said to be over")
        return wrong

    def _ends(self, noted: set[Key]) -> list[str]:
        wrong: list[str] = []
        for key, asked in self.asked.items():
            if asked.end is None:
                wrong.append(f"{key} hasn't ended")
                continue
            self.sums[asked.end.value] += 1
            if asked.end is End.ANSWERED and key not in noted:
                wrong.append(f"call {key} was answered and isn't noted")
            never = asked.end in (End.REFUSED, End.NOT_CONNECTED) or asked.certain
            if never and key in noted:
                wrong.append(f"{key} is noted, and certainly wasn't delivered: {asked.end.value}")
        return wrong

    def _losses(self, noted: set[Key], waited_there: int) -> list[str]:
        wrong: list[str] = []
        sent = {key for key, asked in self.asked.items() if asked.end is End.SENT}
        went_out: set[Key] = set()
        beyond = 0
        for life in self.lives:
            went_out.update(life.written)
            missing = [key for key in life.written if key not in noted]
            self.sums["lost"] += len(missing)
            if not missing:
                continue
            if life.lost is None:
                wrong.append(f"connection {life.number} is up, and {missing[:5]} are missing")
                continue
            beyond += max(0, len(missing) - life.lost.unconfirmed)
            if life.written[-len(missing) :] != missing:
                wrong.append(f"connection {life.number}: what is missing wasn't sent last: {missing[:5]}")
        self.sums["noted"] += len(sent & noted)
        self.sums["confirmed, and died over there"] += beyond
        if beyond > waited_there:
            wrong.append(f"{beyond} more are missing than were unconfirmed, and {waited_there} may be")
        if kept := sent - went_out:
            wrong.append(f"{len(kept)} never went out, as {min(kept)}")
        if strange := went_out - sent:
            wrong.append(f"{len(strange)} went out that nobody has sent, as {min(strange)}")
        return wrong
