"""Crashes in a row that look alike: how a fault that no restart mends is told from one that is passing."""

from __future__ import annotations


class CrashRow:
    """How many crashes of one fingerprint came one after the other.

    A crash of another one begins a new row, as does an end that is no crash, and a healthy life, whatever ended it.
    """

    __slots__ = ("fingerprint", "number")

    def __init__(self) -> None:
        self.fingerprint: str = ""
        self.number: int = 0

    def copy(self) -> CrashRow:
        """Another one that has come as far."""
        other = CrashRow()
        other.fingerprint, other.number = self.fingerprint, self.number
        return other

    def begin_anew(self) -> None:
        """The row is over; the next crash is the first of another one."""
        self.number = 0

    def crashed(self, fingerprint: str) -> int:
        """One more; the answer is how many there are in the row now."""
        if fingerprint != self.fingerprint:
            self.number = 0
        self.fingerprint = fingerprint
        self.number += 1
        return self.number
