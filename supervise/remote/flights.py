"""What was written to one connection, and isn't over: calls that have no answer, and sends that nobody has confirmed."""

from __future__ import annotations

import math
from itertools import count
from typing import TYPE_CHECKING

from supervise.errors import ProtocolError

from .flight import Flight

if TYPE_CHECKING:
    from .limits import Limits
    from .outgoing import Outgoing


class Flights:
    """Of one connection: an end of it is the end of all of them."""

    __slots__ = ("_agreed", "_calls", "_numbers", "_open", "_sends")

    def __init__(self, agreed: Limits) -> None:
        self._agreed = agreed
        # Each is made with its first message: an idle link has none, and one takes 900 bytes.
        self._calls: dict[int, Flight] = {}
        self._sends: dict[str, Flight] = {}
        self._open: dict[int, Outgoing] = {}
        self._numbers = count(1)

    def fits(self, outgoing: Outgoing) -> bool:
        """Whether it may be written now."""
        return self._of(outgoing).fits(outgoing.size)

    def add(self, outgoing: Outgoing) -> int:
        """It is written. The number of a call; 0 for a send."""
        self._of(outgoing).add(outgoing.size)
        if not outgoing.is_call:
            return 0
        number = next(self._numbers)
        self._open[number] = outgoing
        return number

    def _of(self, outgoing: Outgoing) -> Flight:
        agreed = self._agreed
        if not outgoing.is_call:
            name = outgoing.interface.name
            sends = self._sends.get(name)
            if sends is None:
                sends = self._sends[name] = Flight(math.inf, agreed.send_bytes)
            return sends
        calls = self._calls.get(outgoing.level)
        if calls is None:
            calls = self._calls[outgoing.level] = Flight(agreed.calls, agreed.call_bytes)
        return calls

    def call(self, number: int) -> Outgoing:
        """The open call of this number. ProtocolError if there is none."""
        outgoing = self._open.get(number)
        if outgoing is None:
            raise ProtocolError("id", f"an answer to call {number}, which isn't open")
        return outgoing

    def answered(self, number: int) -> Outgoing:
        """The call that an answer is of; it isn't open any more. ProtocolError if there is none."""
        outgoing = self.call(number)
        del self._open[number]
        self._of(outgoing).answered(outgoing.size)
        return outgoing

    def accepted(self, interface: str, size: int) -> list[int]:
        """The sizes of the sends that the other side has accepted. ProtocolError if there weren't as many bytes."""
        flight = self._sends.get(interface)
        sizes = None if flight is None else flight.accepted(size)
        if sizes is None:
            raise ProtocolError("credit", f"for {size} bytes of sends to {interface}, which weren't sent")
        return sizes

    @property
    def calls(self) -> list[Outgoing]:
        """Those that have no answer yet."""
        return [*self._open.values()]

    @property
    def open_calls(self) -> int:
        """How many these are."""
        return len(self._open)

    @property
    def sends(self) -> dict[str, list[int]]:
        """The sizes of those that nobody has confirmed, by interface."""
        return {name: [*flight.sizes] for name, flight in self._sends.items() if flight.sizes}

    @property
    def unconfirmed(self) -> int:
        """How many these are."""
        return sum(len(flight.sizes) for flight in [*self._sends.values()])
