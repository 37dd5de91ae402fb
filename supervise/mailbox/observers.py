"""Who looks at an actor from outside of it: subscriptions to what it publishes, monitors, and those that await its end.

Theory of operation
-------------------
All of it belongs to the logical actor, so it outlives every restart; a mailbox of which nobody wants to know has no observers,
and `publish` is then one look-up in a dictionary that is empty as a rule. They are kept by the mailbox's number rather than
at the mailbox: 8 bytes for each idle actor, and here nothing refers to an address or to the observed mailbox, so watching
keeps nothing alive.

Two kinds of ends are told apart:

- the end of an incarnation, which is what Erlang's `DOWN` tells: a monitor hears of each one, also when a restart follows;
- the end of the logical actor: it is stopped and listed, or gone for good. That is what `Address.watch` waits for, and a
  restart isn't one.

Where it differs from Erlang's monitor. A process ends once, so its monitor is used up by the one message; an actor's address
stays, and so does the monitor, until the watching incarnation ends or `Monitor.close()`. Who monitors what is dead gets
`noproc` there, and the real reason here. `demonitor` may leave a `DOWN` behind, unless it is flushed; `close` always flushes.
And the watcher's mailbox outlives it, unlike Erlang's: so a `Down` that was queued for a watcher that crashed isn't handled
by the next one, which knows nothing of that monitor. A full mailbox doesn't keep a `Down` out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeAlias, TypeVar, cast, runtime_checkable

from supervise._backends import give
from supervise.errors import WouldDeadlock
from supervise.log import say
from supervise.message import name_of
from supervise_strategies.errors import InvalidSpec
from supervise_strategies.exception import interrupts
from supervise_strategies.exit_reason import ExitKind, ExitReason

from .handler import class_of, resolve, table_for
from .subscription import Subscription, WhenFull
from .turn import Turn, current_turn

if TYPE_CHECKING:
    from supervise._backends import Future

    from .mailbox import Mailbox

T = TypeVar("T")


class Down(NamedTuple):
    """An actor ended, and why: what a monitor is told, and `Address.watch` returns.

    It holds text only, so it pins nothing, however long it is kept.

    >>> async with Supervisor("app") as app:
    ...     names = await app.start(list)
    ...     await app.terminate_child(names)
    ...     print(await names.watch())
    app/list #1 ended: shutdown
    """

    path: str
    incarnation: int
    """Which life it was; 0: it never had one."""
    reason: ExitReason
    """Why it ended. Of an actor that isn't started again it is why its last life ended."""

    def __str__(self) -> str:
        life = f" #{self.incarnation}" if self.incarnation else ""  # of a link that is down nobody knows which life it is
        return f"{self.path}{life} ended: {self.reason}"


OnDown: TypeAlias = Callable[[Any, Down], object]


class Monitor:
    """A wish to be told of another actor's ends, made by `current().watch()`.

    It is one incarnation's, and goes with it: the next one isn't told of what it never asked
    for. Unlike Erlang's it isn't used up by the first end.

    >>> class Nurse(list):
    ...     def look_after(self, other):
    ...         return current().watch(other, Nurse.down)
    ...     def down(self, down):
    ...         self.append(str(down))
    >>> async with Supervisor("app") as app:
    ...     nurse, names = await app.start(Nurse), await app.start(list)
    ...     await nurse.call(Nurse.look_after, names)
    ...     await app.terminate_child(names)
    ...     await nurse.call(list.copy)
    <Monitor of app/list by app/nurse>
    ['app/list #1 ended: shutdown']
    """

    __slots__ = ("_closed", "_handler", "_on", "_own", "_watcher", "path")

    def __init__(self, on: Observers, own: Observers, watcher: Turn, handler: OnDown, path: str) -> None:
        self._on = on
        self._own = own
        self._watcher = watcher
        self._handler = handler
        self._closed = False
        self.path: str = path
        """Of the actor that is watched."""

    def close(self) -> None:
        """Be told no more, not even what is queued already.

        It is Erlang's demonitor with flush. Idempotent.
        """
        self._watcher.mailbox.check_thread()
        self._closed = True
        self.leave()

    def leave(self) -> None:
        """There is nothing more to be told; what is queued still is. Idempotent."""
        _drop(self._on, self._on.monitors, self)
        _drop(self._own, self._own.watching, self)

    def wanted(self) -> bool:
        """Whether the incarnation that asked has its turn, and hasn't changed its mind."""
        return not self._closed and self._watcher.mailbox.turn is self._watcher

    def tell(self, down: Down) -> None:
        """Put the message into the watcher's mailbox, above its capacity if need be.

        It is told once.
        """
        mailbox, turn = self._watcher.mailbox, current_turn(None)
        if mailbox.refusal is not None:  # it is being stopped, and its monitors go with it
            return
        notice = _Notice(self, self._handler)
        try:
            if not mailbox.credits:
                mailbox.grant(1)
            mailbox.accept((notice, (down,), {}, None, None if turn is None else turn.mailbox, None))
        except BaseException as error:  # the watcher's own queue; the end goes on, and the others are told
            pass_up = mailbox.dead_letters.bus.pass_up
            if interrupts(error):
                pass_up(error)
            else:
                text = "%s wasn't told that %s, as its queue raised %s"
                say(logging.ERROR, text, mailbox.path, down, error, pass_up=pass_up)

    def __repr__(self) -> str:
        return f"<Monitor of {self.path} by {self._watcher.mailbox.path}{' (closed)' if self._closed else ''}>"


class _Notice:
    """The handler of one `Down`: the watcher's own, unless it doesn't want to know any more when its turn comes."""

    __slots__ = ("__name__", "_handler", "_monitor")

    def __init__(self, monitor: Monitor, handler: OnDown) -> None:
        self._monitor = monitor
        self._handler = handler
        self.__name__ = name_of(handler)

    def __call__(self, actor: object, down: Down) -> object:
        if not self._monitor.wanted():
            return None
        kind = class_of(actor)
        return resolve(kind, table_for(kind), self._handler)[0](actor, down)


class Observers:
    """All that is kept about one mailbox, as long as there is anything to be kept."""

    __slots__ = ("id", "monitors", "subscriptions", "waiting", "watching")

    def __init__(self, id: int) -> None:
        self.id: int = id
        self.subscriptions: list[tuple[type, Subscription[Any]]] = []
        self.monitors: list[Monitor | Lookout] = []  # of this actor, by others
        self.watching: list[Monitor] = []  # of others, by its present incarnation
        self.waiting: list[Future] = []  # for the end of the logical actor


_OBSERVED: Final[dict[int, Observers]] = {}
"""By the mailbox's number, which no other mailbox of this process ever has; only those of whom somebody wants to know."""


def _of(mailbox: Mailbox) -> Observers:
    found = _OBSERVED.get(mailbox.id)
    if found is None:
        found = _OBSERVED[mailbox.id] = Observers(mailbox.id)
    return found


def _drop(observers: Observers, among: list[T], one: T) -> None:
    with suppress(ValueError):
        among.remove(one)
    _tidy(observers)


def _tidy(observers: Observers) -> None:
    wanted = observers.subscriptions or observers.monitors or observers.watching or observers.waiting
    if not wanted and _OBSERVED.get(observers.id) is observers:
        del _OBSERVED[observers.id]


# -- what is asked for ---------------------------------------------------------------------------------------------------


def subscribe(mailbox: Mailbox, kind: type[T], capacity: float, overflow: WhenFull) -> Subscription[T]:
    """See `Address.subscribe`."""
    who = f"subscription to {mailbox.path!r}"
    if not isinstance(kind, type):
        raise InvalidSpec(who, "kind", kind, "the class of the events that are wanted; object for all of them")
    try:
        isinstance(None, kind)
    except TypeError as error:  # at the publisher it would be too late
        raise InvalidSpec(who, "kind", kind, f"a class that isinstance() can check against; {error}") from None

    def attach(subscription: Subscription[Any]) -> Callable[[], object]:
        if mailbox.refusal == "closed" and mailbox.turn is None:
            subscription.end()
            return lambda: None
        observers, entry = _of(mailbox), (kind, subscription)
        observers.subscriptions = [*observers.subscriptions, entry]

        def detach() -> None:
            observers.subscriptions = [other for other in observers.subscriptions if other is not entry]
            _tidy(observers)

        return detach

    return Subscription(mailbox.path, mailbox.backend, attach, capacity, overflow)


def publish(mailbox: Mailbox, event: object) -> None:
    """Hand an event to whoever subscribed to it; nobody waits."""
    observers = _OBSERVED.get(mailbox.id)
    if observers is not None:
        noted = None if mailbox.instrument is None else mailbox.instrument.noted()
        for kind, subscription in observers.subscriptions:
            try:
                wanted = isinstance(event, kind)
            except Exception as error:  # a class may have an `__instancecheck__` of its own
                say(logging.ERROR, "%s: a subscriber's kind raised %s, and misses an event", mailbox.path, error)
                continue
            if wanted:
                subscription.put(event, noted)


@runtime_checkable
class Monitored(Protocol):
    """What isn't an actor of this process, and can be watched as one."""

    def monitored(self, watcher: Turn, handler: OnDown, /) -> Monitor:
        """See `Current.watch`."""
        ...


def monitor_on(on: Observers, path: str, watcher: Turn, handler: OnDown) -> Monitor:
    """A monitor of whatever has these observers."""
    own = _of(watcher.mailbox)
    monitor = Monitor(on, own, watcher, handler, path)
    own.watching.append(monitor)
    on.monitors.append(monitor)
    return monitor


def monitor(watcher: Turn, mailbox: Mailbox, handler: OnDown) -> Monitor:
    """See `Current.watch`."""
    monitor = monitor_on(_of(mailbox), mailbox.path, watcher, handler)
    down = _last(mailbox)
    if down is not None:
        monitor.tell(down)
        if mailbox.refusal == "closed":
            monitor.leave()
    return monitor


async def watch(mailbox: Mailbox) -> Down:
    """See `Address.watch`."""
    turn = current_turn(None)
    if turn is not None and turn.mailbox is mailbox and turn.task is mailbox.backend.current_task():
        raise WouldDeadlock(f"{mailbox.path} can't wait for its own end: its exit hook sees it")
    await mailbox.backend.checkpoint()
    down = _last(mailbox)
    if down is not None and mailbox.refusal in ("stopped", "closed"):
        return down
    observers, over = _of(mailbox), mailbox.backend.future()
    observers.waiting.append(over)
    try:
        told: Down = await over
    finally:
        _drop(observers, observers.waiting, over)
    return told


class Lookout:
    """Is told of all ends of an actor, life by life, for somebody who is no actor here; made by `look_out`."""

    __slots__ = ("_observers", "_told")

    def __init__(self, observers: Observers, told: Callable[[Down, bool], object]) -> None:
        self._observers = observers
        self._told = told

    def tell(self, down: Down) -> None:
        """A life has ended."""
        self._told(down, False)

    def done(self) -> bool:
        """As of a future: nobody has told it yet."""
        return False

    def set_result(self, down: Down, /) -> None:
        """The actor isn't started again by itself. It may be by somebody, and end again."""
        self._observers.waiting.append(cast("Future", self))
        self._told(down, True)

    def leave(self) -> None:
        """There is nothing more to be told, or nobody wants to know. Idempotent."""
        observers = self._observers
        observers.waiting = [waiter for waiter in observers.waiting if cast("object", waiter) is not self]
        _drop(observers, observers.monitors, self)


def look_out(mailbox: Mailbox, told: Callable[[Down, bool], object]) -> Lookout:
    """Have it called at the end of each life, with False; and with True when the actor isn't started again by itself.

    Of one that has ended before, and doesn't run now, it is told at once. It must raise nothing, and is called in the middle of
    a change.
    """
    observers = _of(mailbox)
    lookout = Lookout(observers, told)
    observers.monitors.append(lookout)
    observers.waiting.append(cast("Future", lookout))
    down = _last(mailbox)
    if down is not None:
        told(down, False)
        if mailbox.refusal in ("stopped", "closed"):
            told(down, True)
        if mailbox.refusal == "closed":
            lookout.leave()
    return lookout


def _last(mailbox: Mailbox) -> Down | None:
    """How the actor ended, if nothing of it runs now: it is stopped, gone, or between two lives."""
    if mailbox.last_end is not None:
        return Down(mailbox.path, *mailbox.last_end)
    if mailbox.refusal == "closed" and mailbox.turn is None:
        return Down(mailbox.path, 0, _NEVER)
    return None


_NEVER: Final = ExitReason(ExitKind.SHUTDOWN, "it was never started")


# -- what happens to it, told by its owner -------------------------------------------------------------------------------


def incarnation_ended(mailbox: Mailbox, number: int, reason: ExitReason) -> None:
    """A life is over: its monitors are told, and those that it had are gone with it."""
    mailbox.last_end = (number, reason)
    observers = _OBSERVED.get(mailbox.id) if _OBSERVED else None
    if observers is None:
        return
    for monitor in [*observers.watching]:
        monitor.leave()
    if observers.monitors:
        down = Down(mailbox.path, number, reason)
        for each in [*observers.monitors]:
            each.tell(down)


def actor_ended(mailbox: Mailbox) -> None:
    """It isn't started again by itself: it is stopped and listed or, if the mailbox is closed, gone for good."""
    observers = _OBSERVED.get(mailbox.id)
    if observers is None:
        return
    number, reason = mailbox.last_end or (0, _NEVER)
    waiting, observers.waiting = observers.waiting, []
    for waiter in waiting:
        give(waiter, Down(mailbox.path, number, reason))
    _tidy(observers)
    if mailbox.refusal == "closed":
        for _, subscription in observers.subscriptions:
            subscription.end()
        for each in [*observers.monitors]:
            each.leave()


def actor_ended_if_closed(mailbox: Mailbox) -> None:
    """A life is over, and whether the actor is depends on what became of its mailbox meanwhile."""
    if mailbox.refusal == "closed":
        actor_ended(mailbox)
