"""What of the actors at the other side is looked at from here: monitors, those who await an end, and subscriptions.

All of it outlives the connection: it is asked for again on the next one. Whoever watches is told at once that the link is down,
and a subscription counts that it may have missed something.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from supervise._backends import give
from supervise.errors import NotServed, ProtocolError
from supervise.mailbox.observers import Down, Monitor, Observers, OnDown, monitor_on
from supervise.mailbox.subscription import Subscription, WhenFull
from supervise.wire.bodies import DownBody, EndedBody, MissedBody, SubscribeBody, decode_body, encode_body
from supervise.wire.frames import Frame
from supervise.wire.kinds import Kind
from supervise.wire.remote_address import RemoteSubscription
from supervise_strategies.child_spec import is_count
from supervise_strategies.errors import InvalidSpec
from supervise_strategies.exit_reason import ExitKind, ExitReason
from supervise_strategies.text import LONG, one_line

if TYPE_CHECKING:
    from supervise._backends import Backend
    from supervise.mailbox.mailbox import Mailbox
    from supervise.mailbox.turn import Turn
    from supervise.wire.codec import Event
    from supervise.wire.interface import Interface

    from .connection import Connection
    from .route import Routes

T = TypeVar("T")
AHEAD: Final = 16
"""Events that may be under way for one subscriber: those above wait at the publisher."""

MOST: Final = 1000
"""Watches of one link, and as many subscriptions."""
_SWEEP: Final = 64


class _Watch(NamedTuple):
    """Somebody wants to know of the ends of an actor."""

    interface: str
    path: str
    told: Callable[[Down, bool], object]
    wanted: Callable[[], bool]


class _Subscription(RemoteSubscription[T]):
    """It asks for more as it is read."""

    def __init__(self, watching: Watching, path: str, event: Event, capacity: float, overflow: WhenFull) -> None:
        super().__init__(path, watching.backend, self._begin, AHEAD, "drop_oldest")
        self._watching = watching
        self.event: Event = event
        self.capacity: int = int(capacity)
        self.overflow: WhenFull = overflow
        self.number: int = 0
        """Its id on this connection; 0: it has none."""
        self._read = 0
        self._missed = MissedBody()  # by what was told on this connection
        self._dropped_there = 0
        self.gaps: int = 0

    @property
    def dropped(self) -> int:
        """How many events the publisher has dropped for it, as far as was told."""
        return super().dropped + self._dropped_there

    async def receive(self) -> T:
        """See `Subscription.receive`."""
        value = await super().receive()
        self._read += 1
        if self._read >= AHEAD // 2:
            self._watching.more(self, self._read)
            self._read = 0
        return value

    def _begin(self, _: Subscription[Any]) -> Callable[[], object]:
        self._watching.begin(self)
        return lambda: self._watching.leave(self)

    def renewed(self, number: int) -> None:
        """It was asked for on a connection."""
        self.number, self._read, self._missed = number, 0, MissedBody()

    def missed(self, told: MissedBody) -> None:
        """So much was missed on this connection, in all."""
        self._dropped_there += max(0, told.dropped - self._missed.dropped)
        self.gaps += max(0, told.gaps - self._missed.gaps)
        self._missed = told


class Watching:
    """Of one link."""

    def __init__(self, mailbox: Mailbox) -> None:
        self.backend: Backend = mailbox.backend
        self._mailbox = mailbox
        self._numbers = count(1)
        self._watches: dict[int, _Watch] = {}
        self._sweep = _SWEEP
        self._subscriptions: list[_Subscription[Any]] = []
        self._connection: Connection | None = None
        self._routes: Routes | None = None
        self._why = "it isn't connected"

    # -- ends ----------------------------------------------------------------------------------------------------------

    async def watch(self, interface: Interface[Any]) -> Down:
        """See `RemoteAddress.watch`."""
        path = f"{self._mailbox.path}:{interface.name}"
        await self.backend.checkpoint()
        over = self.backend.future()

        def told(down: Down, final: bool) -> None:
            if final:
                give(over, down)

        number = self._watch(_Watch(interface.name, path, told, lambda: not over.done()))
        try:
            down: Down = await over
        finally:
            self._forget(number)
        return down

    def monitored(self, interface: Interface[Any], watcher: Turn, handler: OnDown) -> Monitor:
        """See `Current.watch`."""
        path, observers = f"{self._mailbox.path}:{interface.name}", Observers(0)
        monitor = monitor_on(observers, path, watcher, handler)

        def told(down: Down, final: bool) -> None:
            if not final or down.reason.kind is ExitKind.UNREACHABLE:
                monitor.tell(down)

        self._watch(_Watch(interface.name, path, told, lambda: bool(observers.monitors)))
        return monitor

    def look_out(self, interface: Interface[Any], told: Callable[[Down, bool], object]) -> Callable[[], object]:
        """As `look_out` of an actor that is here; call what is returned when nobody wants to know any more."""
        wanted = True

        def leave() -> None:
            nonlocal wanted
            wanted = False
            self._forget(number)

        path = f"{self._mailbox.path}:{interface.name}"
        number = self._watch(_Watch(interface.name, path, told, lambda: wanted))
        return leave

    def _watch(self, watch: _Watch) -> int:
        number = next(self._numbers)
        if len(self._watches) >= min(self._sweep, MOST):
            self._forget_unwanted()
        if len(self._watches) >= MOST:
            self._unreachable(watch, f"{MOST} others are watched over this link, which is the most")
            return number
        self._watches[number] = watch
        self._ask(number, watch)
        return number

    def _forget_unwanted(self) -> None:
        """Those of monitors whose watchers are gone. Nobody says so, and it is seen when they are told, or here."""
        for number, watch in [*self._watches.items()]:
            if not watch.wanted():
                self._forget(number)
        self._sweep = max(_SWEEP, 2 * len(self._watches))

    def _ask(self, number: int, watch: _Watch) -> None:
        """Have the other side tell; what can't be asked is unreachable."""
        to = None if self._routes is None else self._routes.number_of(watch.interface)
        if self._connection is None:
            self._unreachable(watch, self._why)
        elif to is None:
            self._unreachable(watch, "the other side doesn't serve it")
        else:
            self._connection.put(Frame(Kind.WATCH, number, to), urgent=True)

    def _unreachable(self, watch: _Watch, why: str) -> None:
        watch.told(Down(watch.path, 0, ExitReason(ExitKind.UNREACHABLE, why)), True)

    def _forget(self, number: int) -> None:
        if self._watches.pop(number, None) is not None and self._connection is not None:
            self._connection.put(Frame(Kind.UNWATCH, number), urgent=True)

    def take_down(self, frame: Frame) -> None:
        """DOWN: an actor has ended."""
        body = decode_body(DownBody, frame.body)
        watch = self._watches.get(frame.id)
        if watch is None:
            return  # it was on its way when it wasn't wanted any more
        if not watch.wanted():
            self._forget(frame.id)
            return
        reason = ExitReason(ExitKind(body.kind), one_line(body.text, LONG))
        watch.told(Down(watch.path, body.incarnation, reason), body.final)

    # -- events --------------------------------------------------------------------------------------------------------

    def subscribe(self, interface: Interface[Any], kind: type[T], capacity: float, overflow: WhenFull) -> RemoteSubscription[T]:
        """See `RemoteAddress.subscribe`."""
        path, event = f"{self._mailbox.path}:{interface.name}", interface.event(kind)
        if not is_count(capacity, 1) or capacity > 65535:
            cure = "how many events may wait at the publisher: a whole number from 1 to 65535"
            raise InvalidSpec(f"subscription to {path!r}", "capacity", capacity, cure)
        if overflow not in ("drop_oldest", "close"):
            cure, among = "'drop_oldest' or 'close'", ("drop_oldest", "close")
            raise InvalidSpec(f"subscription to {path!r}", "overflow", overflow, cure, among=among)
        return _Subscription(self, path, event, capacity, overflow)

    def begin(self, subscription: _Subscription[Any]) -> None:
        """Somebody reads it from now on. NotServed if the other side has no such events."""
        if self._routes is not None:
            to = self._routes.event_number(subscription.event)
            if isinstance(to, str):
                raise NotServed(f"{self._mailbox.path}: {to}")
        if self._mailbox.refusal == "closed":
            subscription.end()
            return
        if len(self._subscriptions) >= MOST:
            raise NotServed(f"{self._mailbox.path}: {MOST} others subscribe over this link, which is the most")
        self._subscriptions.append(subscription)
        self._renew(subscription)

    def _renew(self, subscription: _Subscription[Any]) -> None:
        if self._connection is None or self._routes is None:
            return
        to = self._routes.event_number(subscription.event)
        if isinstance(to, str):
            subscription.end()
            return
        number = next(self._numbers)
        subscription.renewed(number)
        body = SubscribeBody(capacity=subscription.capacity, overflow=subscription.overflow)
        self._connection.put(Frame(Kind.SUBSCRIBE, number, to, encode_body(body)), urgent=True)
        self._more(number, AHEAD - len(subscription))  # what came by the last connection may wait to be read still

    def more(self, subscription: _Subscription[Any], events: int) -> None:
        """So many were read."""
        if subscription.number:
            self._more(subscription.number, events)

    def _more(self, number: int, events: int) -> None:
        if self._connection is not None and events:
            self._connection.put(Frame(Kind.MORE, number, events), urgent=True)

    def leave(self, subscription: _Subscription[Any]) -> None:
        """Nobody reads it any more."""
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)
            if self._connection is not None and subscription.number:
                self._connection.put(Frame(Kind.UNSUBSCRIBE, subscription.number), urgent=True)

    def take_event(self, frame: Frame) -> None:
        """EVENT."""
        subscription = self._subscription(frame.id)
        if subscription is not None:
            if len(subscription) >= AHEAD:
                raise ProtocolError("credit", "more events than were asked for")
            subscription.put(subscription.event.decode(frame.body))

    def take_ended(self, frame: Frame) -> None:
        """ENDED: there will be no more."""
        body, subscription = decode_body(EndedBody, frame.body), self._subscription(frame.id)
        if subscription is not None:
            subscription.number = 0
            subscription.end(too_slow=body.slow or None)

    def take_missed(self, frame: Frame) -> None:
        """MISSED: what it hasn't got."""
        body, subscription = decode_body(MissedBody, frame.body), self._subscription(frame.id)
        if subscription is not None:
            subscription.missed(body)

    def _subscription(self, number: int) -> _Subscription[Any] | None:
        return next((each for each in self._subscriptions if each.number == number), None)

    # -- connections ---------------------------------------------------------------------------------------------------

    def up(self, connection: Connection, routes: Routes) -> None:
        """A connection is there: all is asked for again."""
        self._connection, self._routes = connection, routes
        for number, watch in [*self._watches.items()]:
            if watch.wanted():
                self._ask(number, watch)
            else:
                del self._watches[number]
        for subscription in [*self._subscriptions]:
            self._renew(subscription)

    def down(self, why: str) -> None:
        """It is over."""
        self._connection, self._why = None, why
        for watch in [*self._watches.values()]:
            if watch.wanted():
                self._unreachable(watch, why)
        for subscription in self._subscriptions:
            subscription.gaps += subscription.number > 0
            subscription.number = 0

    def end(self) -> None:
        """The link is stopped."""
        for subscription in [*self._subscriptions]:
            subscription.end()
