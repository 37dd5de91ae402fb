"""Where the messages of one interface go that came in: to an actor of this process, or on to another one."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from supervise.errors import ActorStopped
from supervise.log import say
from supervise.mailbox.envelope import Deadline, MessageOptions, OnCancel
from supervise.mailbox.hops import Hops
from supervise.mailbox.losses import Loss
from supervise.mailbox.observers import Down, look_out, subscribe
from supervise.wire.frames import CANCEL, FINISH, NOW
from supervise_strategies.errors import StrategyError
from supervise_strategies.exit_reason import ExitKind, ExitReason

from .limits import DEEPEST

if TYPE_CHECKING:
    from collections.abc import Callable

    from supervise.address.address import Address, WeakAddress
    from supervise.address.origin import Origin
    from supervise.mailbox.lane import Lane
    from supervise.mailbox.mailbox import Mailbox
    from supervise.mailbox.subscription import Subscription, WhenFull
    from supervise.wire.codec import Event, Method
    from supervise.wire.frames import Frame
    from supervise.wire.interface import Interface

    from .arrival import Arrival


class Incoming(NamedTuple):
    """One message that came in over a link."""

    frame: Frame
    interface: Interface[Any]
    method: Method
    arrival: Arrival | None
    """The reply slot of a call; None of a send."""
    size: int
    since: float
    """The instant at which it came."""
    origin: Origin

    @property
    def level(self) -> int:
        """How deep its sender stands: messages of one level, to one interface, keep their order."""
        depth = self.frame.depth if self.arrival is None else self.frame.depth - 1
        return min(depth, DEEPEST)

    @property
    def deadline(self) -> Deadline | None:
        """By this side's clock: the way isn't counted."""
        return Deadline(self.since, self.frame.ms / 1000) if self.frame.ms else None


class Target(Protocol):
    """Takes messages that came in, one after the other."""

    @property
    def mailbox(self) -> Mailbox:
        """Of the actor that is next on its way."""
        ...

    def look_out(self, told: Callable[[Down, bool], object]) -> Callable[[], object]:
        """Have it called as `look_out` of observers says; and call what is returned to have it called no more."""
        ...

    def subscribe(self, event: Event, capacity: int, overflow: WhenFull) -> Subscription[Any]:
        """What one subscriber gets of these events. Raises SuperviseError; so may its beginning."""
        ...

    @property
    def is_open(self) -> bool:
        """Whether it takes the next one without waiting."""
        ...

    @property
    def by_level(self) -> bool:
        """Whether messages wait for something that only deeper ones can bring about: then these don't wait behind them."""
        ...

    async def take(self, incoming: Incoming) -> None:
        """Return when it is accepted, or was refused, which its caller is told then. Of a send that is a dead letter."""
        ...


class ActorTarget:
    """An actor of this process."""

    def __init__(self, find: Callable[[], Address[Any] | WeakAddress[Any]], here: Mailbox) -> None:
        self._find = find
        self._here = here
        self._address: Address[Any] | WeakAddress[Any] | None = None
        try:
            self._address = find()
        except StrategyError as error:  # it may come; until then it is as one that is stopped
            say(logging.ERROR, "%s: what it serves isn't there: %s", here.path, error)

    @property
    def address(self) -> Address[Any] | WeakAddress[Any]:
        """Of the actor that is there now: another one, if it was deleted and started anew. Raises ActorStopped."""
        address = self._address
        if address is None or address._mailbox.mailbox.refusal == "closed":
            try:
                address = self._address = self._find()
            except StrategyError as error:
                if address is None:
                    raise ActorStopped(f"{self._here.path}: what it serves isn't there: {error}") from error
        return address  # which may be of one that is gone, and says so

    @property
    def mailbox(self) -> Mailbox:
        """That of the link, as long as there is no actor."""
        try:
            return self.address._mailbox.mailbox
        except ActorStopped:
            return self._here

    @property
    def is_open(self) -> bool:
        return self.mailbox.is_open

    @property
    def by_level(self) -> bool:
        return False

    def look_out(self, told: Callable[[Down, bool], object]) -> Callable[[], object]:
        try:
            return look_out(self.address._mailbox.mailbox, told).leave
        except ActorStopped as error:
            told(Down(self._here.path, 0, ExitReason(ExitKind.UNREACHABLE, str(error))), True)
            return lambda: None

    def subscribe(self, event: Event, capacity: int, overflow: WhenFull) -> Subscription[Any]:
        kind: type[Any] = event.kind
        return subscribe(self.address._mailbox.mailbox, kind, capacity, overflow)

    async def take(self, incoming: Incoming) -> None:
        method, arrival = incoming.method, incoming.arrival
        args: tuple[Any, ...] = ()
        kwargs: dict[str, Any] = {}
        try:
            args, kwargs = method.decode(incoming.frame.body)
            if arrival is not None and arrival.done():
                return
            lane = self.address._lane_for(method.function, args, kwargs)
            await lane.post(method.function, args, kwargs, arrival, _options(incoming, lane))
        except Exception as error:  # a `key=` or a `queue=` of the actor's owner may raise anything: it is this message's alone
            refuse(self.mailbox, incoming, args, kwargs, error)


def _options(incoming: Incoming, lane: Lane) -> MessageOptions:
    frame, arrival = incoming.frame, incoming.arrival
    instrument = lane.mailbox.instrument
    on_cancel: OnCancel | None = "cancel" if frame.flags & CANCEL else "finish" if frame.flags & FINISH else None
    return MessageOptions(
        incoming.deadline,
        "fail" if frame.flags & NOW else "wait",
        on_cancel,
        span=None if instrument is None else instrument.arrives(frame.trace, call=arrival is not None),
        hops=None if arrival is None else Hops(frame.depth, frame.above, arrival),
        origin=incoming.origin,
    )


def refuse(mailbox: Mailbox, incoming: Incoming, args: tuple[Any, ...], kwargs: dict[str, Any], error: Exception) -> None:
    """It doesn't get in. Its caller is told; of a send, whose sender has gone on, it is a dead letter."""
    if incoming.arrival is not None:
        incoming.arrival.refuse(error)
        return
    mailbox.count_accepted()
    mailbox.dead_letter((incoming.method.function, args, kwargs, None, None, None), str(error), Loss.REFUSED, error)
