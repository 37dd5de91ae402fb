"""Where the messages of one interface go that came in: to an actor of this process, or on to another one."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from supervise.mailbox.envelope import Deadline, MessageOptions, OnCancel
from supervise.mailbox.hops import Hops
from supervise.mailbox.losses import Loss
from supervise.mailbox.observers import look_out, subscribe
from supervise.wire.frames import CANCEL, FINISH, NOW
from supervise_strategies.errors import StrategyError

from .limits import DEEPEST

if TYPE_CHECKING:
    from collections.abc import Callable

    from supervise.address.address import Address, WeakAddress
    from supervise.address.origin import Origin
    from supervise.mailbox.lane import Lane
    from supervise.mailbox.mailbox import Mailbox
    from supervise.mailbox.observers import Down
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

    def __init__(self, find: Callable[[], Address[Any] | WeakAddress[Any]]) -> None:
        self._find = find
        self._address = find()

    @property
    def address(self) -> Address[Any] | WeakAddress[Any]:
        """Of the actor that is there now: another one, if it was deleted and started anew."""
        if self._address._mailbox.mailbox.refusal == "closed":
            with suppress(StrategyError):  # nobody has its place, and the address says so
                self._address = self._find()
        return self._address

    @property
    def mailbox(self) -> Mailbox:
        return self.address._mailbox.mailbox

    @property
    def is_open(self) -> bool:
        return self.address._mailbox.mailbox.is_open

    @property
    def by_level(self) -> bool:
        return False

    def look_out(self, told: Callable[[Down, bool], object]) -> Callable[[], object]:
        return look_out(self.mailbox, told).leave

    def subscribe(self, event: Event, capacity: int, overflow: WhenFull) -> Subscription[Any]:
        kind: type[Any] = event.kind
        return subscribe(self.mailbox, kind, capacity, overflow)

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
