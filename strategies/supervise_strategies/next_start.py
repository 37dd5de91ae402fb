"""What is special about a child's next start: that it is its first, and who waits for it."""

from __future__ import annotations


class NextStart:
    """It is over when whoever waits has an answer, whatever that is."""

    __slots__ = ("first", "new", "tickets", "withdrawn")

    def __init__(self, first: bool, new: bool) -> None:
        self.first: bool = first  # it is tried again, until the child was up once
        self.new: bool = new  # nothing is kept of the child if it doesn't start
        self.tickets: tuple[object, ...] = ()  # of those who wait for it
        self.withdrawn: bool = False  # whoever asked was cancelled: no further try

    def copy(self) -> NextStart:
        """Another one that says the same."""
        other = NextStart(self.first, self.new)
        other.tickets, other.withdrawn = self.tickets, self.withdrawn
        return other
