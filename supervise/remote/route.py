"""Where the messages of each interface go on one connection: the numbers of its handlers in the other side's table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from supervise.wire.match import compare

if TYPE_CHECKING:
    from supervise.wire.codec import Event, Method
    from supervise.wire.interface import Interface
    from supervise.wire.table import Table


class Routes:
    """Made once for a connection, of what is used here and what is served there."""

    def __init__(self, uses: Sequence[Interface[Any]], theirs: Table) -> None:
        self.interfaces: tuple[str, ...] = tuple(served.interface for served in theirs.interfaces)
        self._to: dict[tuple[str, str], int | str] = {}
        for interface in uses:
            entries = [method.entry for method in interface.methods]
            for entry, match in zip(entries, compare(entries, theirs.handlers), strict=True):
                to: int | str = match.why if match.at is None else match.at
                if match.at is not None:
                    there = theirs.interfaces[theirs.handlers.interface_of(match.at)].format
                    if there != interface.format.name:
                        to = f"{entry.key} is served as {there} there, and asked for as {interface.format.name} here"
                self._to[interface.name, entry.key] = to

        self._events: dict[str, int | str] = {}
        for interface in uses:
            entries = [event.entry for event in interface.kinds]
            for entry, match in zip(entries, compare(entries, theirs.events), strict=True):
                self._events[entry.key] = match.why if match.at is None else match.at

    def number_of(self, interface: str) -> int | None:
        """The number of an interface over there; None: it isn't served."""
        return self.interfaces.index(interface) if interface in self.interfaces else None

    def event_number(self, event: Event) -> int | str:
        """The number of an event over there; or why it has none."""
        return self._events[event.entry.key]

    def index_of(self, interface: str, method: Method) -> int | str:
        """The number of a handler over there; or why it has none."""
        return self._to[interface, method.entry.key]
