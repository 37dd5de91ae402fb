"""What the code of an actor can reach about itself: `current()`."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Hashable
from threading import get_ident
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, TypeVarTuple, cast, overload

from supervise._backends import NOWHERE
from supervise.actor.checkpoint import Checkpoint, hand_over, last_checkpoint
from supervise.actor.incarnation import Incarnation, NurseryTurn
from supervise.actor.reading import Reading
from supervise.actor.timers import Timer, Timers, check_period, check_wait
from supervise.address.address import Address, WeakAddress, weak_address_of
from supervise.address.origin import Origin
from supervise.errors import NoActor
from supervise.mailbox.affinity import OF_AN_ACTOR, check_thread
from supervise.mailbox.handler import check, class_of, resolve, table_for
from supervise.mailbox.observers import Monitored, monitor, publish
from supervise.mailbox.turn import Turn, current_turn
from supervise.message import name_of
from supervise_strategies.errors import InvalidSpec
from supervise_strategies.exit_reason import NORMAL, ExitKind, ExitReason
from supervise_strategies.text import said

if TYPE_CHECKING:
    import anyio

    from supervise.actor.nursery import Nursery
    from supervise.mailbox.observers import Down, Monitor

    from .child import Child
    from .description import Description
    from .pool import Pool
    from .running import RunningSupervisor

A = TypeVar("A")
T = TypeVar("T")
P = ParamSpec("P")
Ts = TypeVarTuple("Ts")


class Current:
    """The actor whose code runs, from within: what `current()` gives.

    It is for its handlers, hooks and factory, and for the tasks that they start. It is one
    incarnation's: when that has ended, what would begin something raises RuntimeError.

    In a thread of the actor's own (`own_thread`, a pykka actor), or of a handler's, it says who it
    is, and has `find`, `stop`, `stop_tree`, `checkpoint` and `publish`. All else raises `WrongThread`.

    >>> import anyio
    >>> class Shop:
    ...     def __init__(self):
    ...         current().every(1, Shop.count)
    ...     def count(self):
    ...         print(f"{current().path} #{current().incarnation} counts")
    >>> async with Supervisor("app", child(Shop)) as app:
    ...     await anyio.sleep(2.5)
    app/shop #1 counts
    app/shop #1 counts
    """

    __slots__ = ("_incarnation", "_turn")

    def __init__(self, turn: Turn, incarnation: Incarnation) -> None:
        self._turn = turn
        self._incarnation = incarnation

    @property
    def address(self) -> WeakAddress[Any]:
        """The actor's own address. It is weak: an actor doesn't keep itself alive."""
        return weak_address_of(self._incarnation.mailbox)

    @property
    def name(self) -> str:
        """The actor's name: the last part of its path."""
        return self._incarnation.mailbox.name

    @property
    def path(self) -> str:
        """The full path, from the root supervisor on."""
        return self._incarnation.mailbox.path

    @property
    def incarnation(self) -> int:
        """Which life this is, from 1."""
        return self._incarnation.number

    @property
    def nursery(self) -> Nursery:
        """A task group that lives as long as this incarnation.

        A task of it that raises crashes the actor. When the incarnation ends, for whatever reason,
        its tasks are cancelled and awaited before the exit hook runs.
        """
        self._check_thread()
        return self._incarnation.nursery()

    @property
    def stopping(self) -> bool:
        """Whether the actor was asked to end: a long handler that looks here can leave in time."""
        return self._incarnation.stopping

    @property
    def attempt(self) -> int:
        """Which try of the message in hand this is, from 1.

        More than 1 only with `redeliver=`. 0: no message is in hand.
        """
        envelope = self._turn.in_hand
        if envelope is None:
            return 0
        return 1 if envelope[5] is None else envelope[5].attempt

    @property
    def sender(self) -> WeakAddress[Any] | None:
        """The actor that sent the message in hand, or None.

        None: it came from outside of any actor, or no message is in hand.
        """
        envelope = self._turn.in_hand
        mailbox = None if envelope is None else envelope[4]
        return None if mailbox is None else weak_address_of(mailbox)

    @property
    def origin(self) -> Origin | None:
        """Who asks, if the message in hand came over a link; else None.

        `sender` is None then: an actor of another process has no address here.
        """
        envelope = self._turn.in_hand
        origin = None if envelope is None or envelope[5] is None else envelope[5].origin
        return origin if isinstance(origin, Origin) else None

    @property
    def remaining(self) -> float | None:
        """The seconds that are left of the timeout of the message in hand, to be passed on.

        None if it has none.
        """
        envelope = self._turn.in_hand
        options = None if envelope is None else envelope[5]
        if options is None or options.deadline is None:
            return None
        return max(0.0, options.deadline.at - self._incarnation.mailbox.backend.now())

    def stop(self, *, shutdown: str | None = None) -> None:
        """End after the message in hand; it returns at once.

        It is a normal end; with `shutdown="why"` an orderly one for a reason (OTP's `{shutdown,
        Reason}`). After both a transient child stays stopped, and a permanent one is restarted. If
        it stays stopped, what waits becomes dead letters, also with `drain=True`: that is for a
        stop that comes from outside.
        """
        reason = NORMAL if shutdown is None else ExitReason(ExitKind.SHUTDOWN, said(shutdown))
        self._in_the_loop(lambda: self._incarnation.stop(reason))

    def stop_tree(self, why: str = "") -> None:
        """Stop the whole tree, in order. It returns at once; `app.ended` says who asked."""
        self._in_the_loop(lambda: self._incarnation.owner.stop_tree(why))

    def pipe_to(
        self,
        handler: Callable[[Any, T], Any],
        awaitable: Awaitable[T],
        /,
        *,
        failed: Callable[[Any, Exception], Any] | None = None,
    ) -> None:
        """Bring a result back as a message to oneself, when the awaitable is done.

        The message is `handler(self, result)`. It returns at once: the awaitable is awaited in the
        nursery, so it goes on while other messages are handled, and is cancelled with the
        incarnation. What it raises crashes the actor, unless `failed` is a handler for it.

        The result always arrives, above the capacity if need be. An end that lets what waits be
        handled (`stop(grace=…)`, `drain=True`, the last address is gone) waits for it, within its
        time.
        """
        check(handler)
        if failed is not None:
            check(failed)
        life = self._alive()
        mailbox = life.mailbox

        async def wait() -> None:
            try:
                try:
                    result = await awaitable
                except Exception as error:
                    if failed is None:
                        raise
                    mailbox.put_own(failed, (error,))
                else:
                    mailbox.put_own(handler, (result,))
            finally:
                life.own_extras().pipes -= 1

        life.nursery().start_soon(wait, name=f"pipe to {name_of(handler)}")
        life.own_extras().pipes += 1

    def checkpoint(self, value: object) -> None:
        """Keep a value for the next life, whose factory finds it as `last_checkpoint`.

        In a handler it counts when the handler has returned, and not if it raises; elsewhere at
        once. The last one that counts is kept, over crashes and restarts by whomever, until the
        child is forgotten.

        It is the value itself, never a copy: what the actor goes on changing belongs into a copy.
        An instance that is crashing hands over nothing. One that has ended is refused with
        RuntimeError: a `Current` that was kept would overwrite what the next life has handed over.
        """
        life, turn = self._incarnation, self._turn
        if life.is_over:
            raise self._has_ended()
        envelope, exclusive = turn.in_hand, turn.exclusive

        def keep() -> None:
            if envelope is None or life.holds(envelope):  # else a thread has outlived the handler that began it
                hand_over(life, envelope, value, exclusive=exclusive)

        self._in_the_loop(keep)

    @property
    def last_checkpoint(self) -> Checkpoint | None:
        """What an earlier life, or this one, has kept last; None if nothing.

        It is the value, which life kept it, and its age in seconds.
        """
        return last_checkpoint(self._incarnation.mailbox)

    def publish(self, event: object) -> None:
        """Hand an event to all that subscribed to it (`Address.subscribe`).

        It returns at once, and nobody keeps it waiting. All get the same object, so let it be
        immutable. Without subscribers it costs a look-up, and the event is gone.
        """
        mailbox = self._incarnation.mailbox

        def tell() -> None:
            publish(mailbox, event)
            if mailbox.shared is not None:
                publish(mailbox.shared, event)

        self._in_the_loop(tell)

    def watch(self, address: Address[Any] | WeakAddress[Any] | Monitored, handler: Callable[[Any, Down], object], /) -> Monitor:
        """Have `handler(down)` sent to this actor when an incarnation of another one ends.

        It is Erlang's monitor, but for one thing. The address stays valid, so the monitor does too,
        and tells of each end, crashes with a restart included, until the actor is gone for good.
        One that has ended before, and doesn't run now, is told of at once. A full mailbox doesn't
        keep it out.

        The monitor is this incarnation's: it goes with it, and the next one isn't told of what it
        never asked for. `close()` ends it sooner. It doesn't keep the other actor alive.

        An actor of another process can be watched, too, by its remote address. A link that is down
        tells of it as `unreachable`, though it may live on; the monitor goes on with the next
        connection.
        """
        incarnation = self._alive()
        check(handler)
        if incarnation.instance is not None:
            kind = class_of(incarnation.instance)
            resolve(kind, table_for(kind), handler)  # UnknownHandler now, rather than a crash then
        if isinstance(address, Monitored):
            return address.monitored(incarnation, handler)
        if not isinstance(address, Address | WeakAddress):
            cure = "the address of an actor; of what is below a supervisor, events() tells"
            raise InvalidSpec(f"watch by {self.path!r}", "address", address, cure)
        if address._mailbox.mailbox is incarnation.mailbox:
            cure = "another actor's: a monitor goes with the incarnation that has it, and so would never tell"
            raise InvalidSpec(f"watch by {self.path!r}", "address", address, cure)
        return monitor(incarnation, address._mailbox.mailbox, handler)

    @overload
    def find(self, key: Child[A] | Pool[A], /) -> Address[A]: ...
    @overload
    def find(self, key: str, /) -> Address[Any]: ...
    def find(self, key: Any, /) -> Any:
        """The address of a sibling, or of what is below one.

        `key` is its `Child`, which is typed, or a path from the supervisor. A key finds anywhere in
        the tree, the nearest first: a sibling, else what is below the own supervisor, else below
        the one above it, and so on.

        So in a description that was started several times, `child(lambda:
        Cache(current().find(db)))` finds the `db` of its own instance, and never another
        instance's. Raises `ChildNotFound`, and `ChildAmbiguous` if several are as near.
        """
        return self._incarnation.owner.find(key)

    def supervisor(self, key: str | Description | None = None, /) -> RunningSupervisor:
        """The handle of the own supervisor: to start siblings, or to look.

        Or that of another one, under a relative path or its description. Waiting in a factory or an
        enter hook for the own supervisor raises `WouldDeadlock`: it serves nothing meanwhile.
        """
        return cast("RunningSupervisor", self._incarnation.owner.supervisor(key))

    @overload
    def after(
        self, seconds: float, handler: Callable[Concatenate[Any, P], Any], /, *args: P.args, **kwargs: P.kwargs
    ) -> Timer: ...
    @overload
    def after(self, seconds: float, handler: Callable[[Any, *Ts], Any], /, *args: *Ts, id: Hashable) -> Timer: ...
    def after(  # type: ignore[misc]  # mypy doesn't see that a ParamSpec's and an unpacked tuple's arguments both fit
        self, seconds: float, handler: Callable[..., Any], /, *args: Any, id: Hashable = None, **kwargs: Any
    ) -> Timer:
        """Send a message to oneself in so many seconds; it returns at once.

        It comes as any other, in its turn. It doesn't wait for room in a full mailbox, and doesn't
        keep alive an actor that nobody has an address of.

        A timer that is started under an `id` in use takes the other's place, whose message won't
        come. `id` is the timer's; a handler's own argument of that name is given by position. A
        timer is gone with its incarnation, and so is what it has sent and nobody has begun. So
        start the timers of an actor in its `__init__`.
        """
        check_wait(self._incarnation.mailbox, seconds)
        return self._timers()._start(seconds, False, handler, args, kwargs, id)

    @overload
    def every(
        self, seconds: float, handler: Callable[Concatenate[Any, P], Any], /, *args: P.args, **kwargs: P.kwargs
    ) -> Timer: ...
    @overload
    def every(self, seconds: float, handler: Callable[[Any, *Ts], Any], /, *args: *Ts, id: Hashable) -> Timer: ...
    def every(  # type: ignore[misc]  # mypy doesn't see that a ParamSpec's and an unpacked tuple's arguments both fit
        self, seconds: float, handler: Callable[..., Any], /, *args: Any, id: Hashable = None, **kwargs: Any
    ) -> Timer:
        """Send a message to oneself every so many seconds; see `after`.

        The first one comes after the first of these periods. It doesn't drift: the n-th is due n
        periods from now, however late the others were. One that is due while the one before it
        waits in the mailbox is skipped, and counted (`Timer.skipped`). So are those that are missed
        while the event loop is blocked.
        """
        check_period(self._incarnation.mailbox, seconds)
        return self._timers()._start(seconds, True, handler, args, kwargs, id)

    @property
    def timers(self) -> Timers:
        """The timers that are active, by id."""
        return self._timers()

    def read(self, stream: AsyncIterable[T], handler: Callable[[Any, T], Any], /) -> anyio.CancelScope:
        """Make a message for this handler of each item of a stream; it returns at once.

        A nursery task reads. Several streams take fair turns: the next item is taken when the actor
        has begun with the last one. So one item of each waits in the mailbox, and the rest in the
        stream. They don't wait for room in a full mailbox.

        It ends with the stream (nobody is told), when the actor is asked to end, or when the scope
        that it returns is cancelled. What the stream raises is a crash of the actor. The stream
        isn't closed, so that the next incarnation can go on with it; what was taken from it waits
        in the mailbox by then. Only an async generator is closed: no other task could.
        """
        incarnation = self._alive()
        reading = Reading(incarnation, stream, handler)
        incarnation.nursery().start_soon(reading.run, name=f"read for {name_of(handler)}")
        return reading.scope

    def _timers(self) -> Timers:
        incarnation = self._alive()
        extras = incarnation.own_extras()
        if extras.timers is None:
            extras.timers = Timers(incarnation)
        return extras.timers

    def _alive(self) -> Incarnation:
        self._check_thread()
        incarnation = self._incarnation
        if incarnation.is_over:
            raise self._has_ended()
        return incarnation

    def _has_ended(self) -> RuntimeError:
        return RuntimeError(f"{self!r} has ended, and begins nothing any more; ask current() in the next one")

    def _check_thread(self) -> None:
        check_thread(self.path, self._incarnation.mailbox.backend, OF_AN_ACTOR)

    def _in_the_loop(self, act: Callable[[], None]) -> None:
        """Now; from another thread soon, before what it hands to the loop next, such as its handler's answer."""
        life = self._incarnation
        backend = life.mailbox.backend
        if get_ident() == backend.thread:
            act()
        elif backend.thread == NOWHERE:
            self._check_thread()
        else:
            backend.from_anywhere()(lambda: None if life.is_over else act())

    def __repr__(self) -> str:
        return f"<Current {self.path} #{self.incarnation}>"


def current() -> Current:
    """The actor whose code runs now, from within.

    It works in handlers, hooks, the factory, and the tasks that they start. Elsewhere it raises
    `NoActor`.

    >>> async with Supervisor("app") as app:
    ...     names = await app.start(list)
    ...     await names.call(lambda names: current())
    <Current app/list #1>
    """
    turn = current_turn(None)
    if isinstance(turn, Incarnation):
        return Current(turn, turn)
    if isinstance(turn, NurseryTurn):
        return Current(turn, turn.incarnation)
    raise NoActor("current() only works in an actor: in its factory, hooks, handlers and the tasks that they start")
