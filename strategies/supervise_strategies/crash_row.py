"""Crashes in a row that look alike: how a fault that no restart mends is told from one that is passing."""

from __future__ import annotations


class CrashRow:
    """How many crashes of one fingerprint came one after the other. Another one, or a healthy life, begins a new row."""

    __slots__ = ("fingerprint", "number")

    def __init__(self) -> None:
        self.fingerprint: str = ""
        self.number: int = 0

    def copy(self) -> CrashRow:
        """Another one that has come as far."""
        other = CrashRow()
        other.fingerprint, other.number = self.fingerprint, self.number
        return other

    def crashed(self, fingerprint: str, *, healthy: bool) -> int:
        """One more; the answer is how many there are in the row now. An end without a fingerprint is no crash."""
        if not fingerprint or healthy or fingerprint != self.fingerprint:
            self.number = 0
        self.fingerprint = fingerprint
        self.number += bool(fingerprint)
        return self.number
