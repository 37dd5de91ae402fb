"""What links to other processes do, in numbers: the part of `Metrics` that is there once a tree has had a link."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from supervise.events import Admitted, Event, LinkDown, LinkUp, Refused
from supervise.spans.attributes import LINK_DIRECTION, LINK_MESSAGE, LINK_STATE, OUTCOME

if TYPE_CHECKING:
    from .census import Census

_DIRECTIONS: Final = {"out": "open_calls", "in": "taken_calls"}


class Links:
    """Of all trees together. No attribute says which link it is: there are as many as neighbours."""

    def __init__(self, read: Callable[[str], Census]) -> None:
        self._read = read
        self._known = False  # whether there ever was one
        self._connections = 0
        self._lost: Counter[str] = Counter({"call": 0, "send": 0})
        self._callers: Counter[str] = Counter({"admitted": 0, "refused": 0})

    def begin(self, meter: Meter) -> None:
        """Make the instruments."""
        up_down, counter = meter.create_observable_up_down_counter, meter.create_observable_counter
        up_down("supervise.link.status", [self._status], "{link}", "Links by whether they are connected.")
        up_down(
            "supervise.link.calls", [self._calls], "{call}", "Calls that were written to a connection, and aren't answered."
        )
        up_down("supervise.link.unconfirmed", [self._unconfirmed], "{message}", "Sends that may not be in a mailbox yet.")
        up_down("supervise.link.waiting_senders", [self._waiting], "{sender}", "Senders that wait for credit.")
        used = "Credit that is used over what was agreed, of the kind of message that is nearest to having none left."
        meter.create_observable_gauge("supervise.link.credit.utilization", [self._credit], "1", used)
        counter("supervise.link.connections", [self._made], "{connection}", "Connections that both sides have agreed on.")
        counter("supervise.link.losses", [self._losses], "{message}", "Messages of which nobody knows what became of them.")
        counter("supervise.link.callers", [self._called], "{caller}", "Who wanted to come in at gates.")

    def hear(self, event: Event) -> None:
        """In the tree's thread, at once."""
        if isinstance(event, LinkUp):
            self._known = True
            self._connections += 1
        elif isinstance(event, LinkDown):
            self._lost["call"] += event.open_calls
            self._lost["send"] += event.unconfirmed
        elif isinstance(event, Admitted | Refused):
            self._known = True
            self._callers["admitted" if isinstance(event, Admitted) else "refused"] += 1

    # -- what is read: in the reader's thread ------------------------------------------------------------------------

    def _now(self, instrument: str) -> Census | None:
        """How things stand; None: there never was a link."""
        census = self._read(instrument)
        self._known = self._known or bool(census.links)
        return census if self._known else None

    def _status(self, _: CallbackOptions) -> Iterable[Observation]:
        census = self._now("link.status")
        if census is None:
            return []
        return [Observation(census.links[state], {LINK_STATE: state}) for state in ("connected", "connecting")]

    def _calls(self, _: CallbackOptions) -> Iterable[Observation]:
        census = self._now("link.calls")
        if census is None:
            return []
        return [Observation(census.links[key], {LINK_DIRECTION: direction}) for direction, key in _DIRECTIONS.items()]

    def _unconfirmed(self, _: CallbackOptions) -> Iterable[Observation]:
        census = self._now("link.unconfirmed")
        return [] if census is None else [Observation(census.links["unconfirmed"])]

    def _waiting(self, _: CallbackOptions) -> Iterable[Observation]:
        census = self._now("link.waiting")
        return [] if census is None else [Observation(census.links["waiting"])]

    def _credit(self, _: CallbackOptions) -> Iterable[Observation]:
        census = self._now("link.credit")
        return [] if census is None else [Observation(census.link_credit)]

    def _made(self, _: CallbackOptions) -> Iterable[Observation]:
        return [] if self._now("link.connections") is None else [Observation(self._connections)]

    def _losses(self, _: CallbackOptions) -> Iterable[Observation]:
        known = self._now("link.losses") is not None
        return [Observation(number, {LINK_MESSAGE: kind}) for kind, number in self._lost.items() if known]

    def _called(self, _: CallbackOptions) -> Iterable[Observation]:
        known = self._now("link.callers") is not None
        return [Observation(number, {OUTCOME: outcome}) for outcome, number in self._callers.items() if known]
