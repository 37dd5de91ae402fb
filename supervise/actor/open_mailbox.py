"""Supervision by hand: a mailbox that exists before any actor, and runs one incarnation at a time."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, NoReturn, TypeAlias, TypeVar, TypeVarTuple, Unpack, cast, overload
from weakref import WeakMethod

import anyio

from supervise import events
from supervise._backends import current_backend
from supervise.address.address import Address, address_of
from supervise.errors import MailboxClosed, Unsupervised
from supervise.journal.bus import Bus
from supervise.journal.crash_log import NO_CRASH, CrashLog
from supervise.journal.event_log import EventLog
from supervise.journal.listening import check_listener
from supervise.mailbox import observers
from supervise.mailbox.account import Account
from supervise.mailbox.choice import Choice
from supervise.mailbox.dead_letters import DeadLetters, OnDeadLetter
from supervise.mailbox.lifetime import Lifetime
from supervise.mailbox.mailbox import Mailbox
from supervise.mailbox.mailbox_options import MailboxOptions, Overflow
from supervise.mailbox.message_queue import MessageQueue
from supervise.mailbox.throttle import Throttle, as_throttle
from supervise_strategies.answers import CRASHES
from supervise_strategies.child_spec import check_name
from supervise_strategies.error_type import error_type_of_end
from supervise_strategies.errors import InvalidSpec
from supervise_strategies.exit_reason import NORMAL, ExitKind, ExitReason, crashed
from supervise_strategies.redeliver import NEVER
from supervise_strategies.text import shown

from .checkpoint import forget_checkpoint
from .ending import bury
from .factory import default_name
from .incarnation import Incarnation
from .loop import spawn

if TYPE_CHECKING:
    from supervise.events import Listener
    from supervise.mailbox.envelope import Envelope
    from supervise.mailbox.turn import Turn

A = TypeVar("A")
Ts = TypeVarTuple("Ts")


class Crashed(NamedTuple):
    """How `OpenMailbox.run` ended: the actor crashed, or was cancelled.

    The mailbox keeps what waits, and can run another one. A crash is returned, never raised.

    >>> mailbox, names = open_mailbox(list)
    >>> await names.send(list.pop)
    >>> crashed = await mailbox.run(list)
    >>> print(crashed.reason)
    crashed (IndexError: pop from empty list)
    >>> crashed.error
    IndexError('pop from empty list')
    """

    reason: ExitReason
    error: BaseException | None


class Ended(NamedTuple):
    """How `OpenMailbox.run` ended: in an orderly way.

    That is: the actor stopped itself, ignored its start, or nobody had an address any more.

    >>> mailbox, names = open_mailbox(list)
    >>> await names.send(list.append, "ada")
    >>> names.close()
    >>> await mailbox.run(list)
    Ended(reason=ExitReason(kind=<ExitKind.NORMAL: 'normal'>, detail=''), actor=['ada'])
    """

    reason: ExitReason
    actor: Any = None
    """The object that lived it, with its last state; None if it never was ready."""


Outcome: TypeAlias = Ended | Crashed


class OpenMailbox(Generic[A]):
    """A mailbox without a supervisor, made by `open_mailbox`: whoever holds it runs its actor.

    One incarnation at a time runs on it. What waits is kept from one to the next. Without
    anybody who holds it, it is closed.

    >>> mailbox, names = open_mailbox(list)
    >>> await names.send(list.append, "ada")
    >>> len(mailbox), mailbox.account().accepted
    (1, 1)
    >>> mailbox.close()
    >>> await names.send(list.append, "bob")
    Traceback (most recent call last):
    MailboxClosed: list is gone for good, and doesn't get list.append: find or start its
        successor, and use that address
    """

    def __init__(self, name: str, options: MailboxOptions, listener: Listener | None) -> None:
        check_name("mailbox", name)
        options = options.checked(f"mailbox {name!r}")
        check_listener(f"mailbox {name!r}", "listener", listener)
        self._backend = current_backend()
        # Its addresses don't keep alive what nobody else has, and so nobody can run: what they lead to knows it weakly.
        self._bus = Bus(partial(_interrupt, WeakMethod(self._interrupted)), EventLog(self._backend.now))
        if listener is not None:
            self._bus.subscribe(listener)
        self.dead_letters: DeadLetters = DeadLetters(self._bus)
        self._mailbox = Mailbox(self._backend, "", name, options, self.dead_letters)
        lost = WeakMethod(self._lost)
        self._lifetime = self._mailbox.lifetime = Lifetime(self._backend.from_anywhere(), lambda: _call(lost))
        self._crash_log = CrashLog()
        self._runner: _Runner | None = None
        self._incarnation: Incarnation | None = None
        self._number = 0

    def _lost(self) -> None:
        mailbox = self._mailbox
        if self._is_closed:
            return
        if self._runner is not None:
            mailbox.wake()
            return
        if self._number == 0 and not mailbox.accepted:  # who has sent something had it, and a run will handle that
            self._bus.publish(events.AddressDropped(mailbox.path))
        if not mailbox.waiting:
            self._end()

    def _end(self) -> None:
        """Nothing comes in any more, and nothing is left to be handled."""
        self._mailbox.refuse("closed")
        forget_checkpoint(self._mailbox)
        self._mailbox.discard("its mailbox was closed")
        observers.actor_ended(self._mailbox)
        self.dead_letters.end()
        self._bus.end()
        self._backend.errands.close()

    def __del__(self) -> None:
        # Nobody can run it any more, so whoever waits for that is told. It may be collected in any thread.
        mailbox: Mailbox | None = getattr(self, "_mailbox", None)
        if mailbox is not None and mailbox.refusal != "closed":
            self._backend.from_anywhere()(partial(_orphaned, mailbox))

    def _interrupted(self, error: BaseException) -> None:
        """Ctrl-C struck in a listener, or in the log."""
        if self._runner is None or self._incarnation is None:
            raise error
        self._runner.fatal(error)
        self._incarnation.stop(NORMAL)

    @property
    def _is_closed(self) -> bool:
        return self._mailbox.refusal == "closed"

    def __repr__(self) -> str:
        return f"<open mailbox {self._mailbox.path!r}>"

    def __copy__(self) -> NoReturn:
        raise TypeError(f"{self!r} can't be copied: who holds it decides about its end, so there is one; copy its address")

    def __deepcopy__(self, memo: dict[int, Any]) -> NoReturn:
        self.__copy__()

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{self!r} can't be pickled: its queue and its event loop are in this process")

    def __len__(self) -> int:
        """How many messages wait."""
        return self._mailbox.waiting

    def account(self) -> Account:
        """What became of all messages so far."""
        return self._mailbox.account()

    @overload
    async def run(self, factory: Callable[[Unpack[Ts]], AbstractAsyncContextManager[A]], /, *args: *Ts) -> Outcome: ...
    @overload
    async def run(self, factory: Callable[[Unpack[Ts]], Awaitable[A]], /, *args: *Ts) -> Outcome: ...
    @overload
    async def run(self, factory: Callable[[Unpack[Ts]], A], /, *args: *Ts) -> Outcome: ...
    async def run(self, factory: Callable[[Unpack[Ts]], Any], /, *args: *Ts) -> Outcome:
        """Run one incarnation until it ends, in a task of its own, and return how it ended.

        A crash is returned (`Crashed`), never raised, and loses nothing that waits. Cancelling
        `run` cancels the incarnation, waits for it, and keeps what waits, too.

        It ends in an orderly way (`Ended`) when it stops itself, or ignores its start. What waits
        then becomes dead letters, and the mailbox refuses (`ActorStopped`) until it is run again.
        It ends so, too, when the last strong address is gone and the queue is handled. Then the
        mailbox is closed for good. If the last one had gone before, and nothing waits, that is so
        at once, and the factory isn't called.

        Raises RuntimeError if an incarnation runs already; `MailboxClosed` if the mailbox was
        closed by `close()`.
        """
        if self._runner is not None:
            raise RuntimeError(f"mailbox {self._mailbox.path!r} runs an actor already: one incarnation at a time")
        if self._is_closed and self._lifetime.open:
            raise MailboxClosed(f"mailbox {self._mailbox.path!r} is closed, nothing can come in: open another one")
        if not callable(factory):
            cure = "a class, or a function that returns the actor; its arguments follow: run(Counter, 10)"
            raise InvalidSpec(f"mailbox {self._mailbox.path!r}", "factory", factory, cure)
        if not self._lifetime.open and not self._mailbox.waiting:
            self._lost()  # who tells of it comes a moment later, through the loop
            await self._backend.checkpoint()
            return Ended(NORMAL)
        self._number += 1
        self._runner = runner = _Runner(self._mailbox, self._bus, self._crash_log, factory, args)
        self._incarnation = incarnation = Incarnation(runner, self._number)
        await self._backend.open()  # it lets others run, and they mustn't begin a second incarnation
        self._mailbox.accept_again()
        self._mailbox.last_end = None
        try:
            spawn(incarnation, partial(_bury, incarnation))
            await runner.over.wait()
        except BaseException:
            incarnation.cancel()
            with anyio.CancelScope(shield=True):
                while not runner.over.is_set():
                    try:
                        await runner.over.wait()
                    except self._backend.cancelled:  # a native cancel() pierces the shield
                        continue
            raise
        finally:
            self._runner = self._incarnation = None
            await self._backend.close()
            if self._is_closed or not (self._lifetime.open or self._mailbox.waiting):
                self._end()
        runner.raise_fatal()
        reason = runner.reason
        if self._mailbox.refusal == "leaving":
            self._mailbox.accept_again()
        if reason.abnormal:
            return Crashed(reason, runner.error)
        if self._mailbox.refusal is None:
            self._mailbox.refuse("stopped")
            self._mailbox.discard("its actor is stopped")
            observers.actor_ended(self._mailbox)
        return Ended(reason, runner.actor)

    def close(self) -> None:
        """Accept nothing any more; what waits becomes dead letters.

        An actor that runs ends after the message in hand.
        """
        if self._incarnation is None:
            self._end()
            return
        self._mailbox.refuse("closed")
        self._mailbox.discard("its mailbox was closed")
        self._incarnation.stop(NORMAL)


class _Runner:
    """The owner of an incarnation that nobody supervises."""

    def __init__(
        self, mailbox: Mailbox, bus: Bus, crash_log: CrashLog, factory: Callable[..., Any], args: tuple[Any, ...]
    ) -> None:
        self.mailbox = mailbox
        self._crash_log = crash_log
        self._factory = factory
        self._args = args
        self.answers = CRASHES
        self.end_within = math.inf
        self.redeliver = NEVER
        self.over = anyio.Event()
        self.host = mailbox.backend.current_task()
        self.bus = bus
        self.reason = ExitReason(ExitKind.NORMAL)
        self.error: BaseException | None = None
        self.actor: Any = None
        self._fatal: BaseException | None = None

    def make(self) -> Any:
        return self._factory(*self._args)

    def entering(self, incarnation: Incarnation) -> None:
        pass  # whoever runs it may bound it

    def started(self, incarnation: Incarnation) -> None:
        self.actor = incarnation.instance
        self.bus.publish(events.Started(self.mailbox.path, incarnation.number))

    def connected(self, incarnation: Incarnation) -> None:
        pass

    def ended(
        self,
        incarnation: Incarnation,
        reason: ExitReason,
        error: BaseException | None,
        *,
        ignored: bool,
        again: bool = False,
        culprit: Envelope | None = None,
    ) -> None:
        kind = error_type_of_end(reason, error)
        now = self.mailbox.backend.now()
        handler = None if culprit is None else culprit[0]
        crash = NO_CRASH if ignored else self._crash_log.look_at(self.mailbox.path, reason, error, handler, self.bus, now)
        if incarnation.running:
            path, waiting = self.mailbox.path, self.mailbox.waiting
            stopped = events.Stopped(path, incarnation.number, reason, waiting, None, *crash, kind)
            self.bus.publish(stopped, error)
        else:
            failed = events.StartFailed(self.mailbox.path, incarnation.number, reason, ignored, kind, *crash)
            self.bus.publish(failed, None if ignored else error)
        observers.incarnation_ended(self.mailbox, incarnation.number, reason)
        self.reason, self.error = ExitReason(ExitKind.NORMAL, reason.detail) if ignored else reason, error
        self.over.set()

    def raise_fatal(self) -> None:
        """KeyboardInterrupt and SystemExit pass up, wherever they struck."""
        fatal, self._fatal = self._fatal, None
        if fatal is not None:
            raise fatal

    def kill(self) -> None:
        if self.mailbox.turn is not None:
            cast(Incarnation, self.mailbox.turn).cancel()

    def fatal(self, error: BaseException) -> None:
        self._fatal = error

    def broken(self, error: BaseException) -> None:
        self.reason, self.error = crashed(error), error
        self.over.set()

    def abandoned(self) -> None:
        pass  # whoever runs it is cancelled, too

    def starting_before(self, mailbox: Mailbox) -> Sequence[Turn]:
        return ()  # whoever runs another one decides about its start

    def find(self, key: Any, *, lent: bool = False) -> Any:
        raise Unsupervised(f"{self.mailbox.path} runs on its mailbox alone: there is no tree to find {shown(key)} in")

    def supervisor(self, key: Any) -> object:
        raise Unsupervised(f"{self.mailbox.path} runs on its mailbox alone: it has no supervisor")

    def stop_tree(self, why: str) -> None:
        raise Unsupervised(f"{self.mailbox.path} runs on its mailbox alone: there is no tree to stop; use current().stop()")


def open_mailbox(
    kind: type[A] | Callable[..., A],
    *,
    name: str | None = None,
    capacity: float = 1000,
    overflow: Overflow = "wait",
    lanes: tuple[str, ...] = (),
    choice: Choice = "strict",
    throttle: float | Throttle | None = None,
    queue: Callable[[], MessageQueue] = deque,
    concurrency: float | None = None,
    on_dead_letter: OnDeadLetter | None = None,
    listener: Listener | None = None,
) -> tuple[OpenMailbox[A], Address[A]]:
    """A mailbox for actors of this kind, and its first address, before there is any actor.

    It is supervision by hand: `while isinstance(await mailbox.run(Counter, 10), Crashed):
    pass`. `kind` only types the address, and names it, unless `name` does. Call it where the
    event loop runs.

    Nobody but its addresses keeps the actor alive: when the last strong one is gone, and
    nothing waits, it ends.

    name: Of the actor, in logs and errors. Default: that of `kind`, in lower case.
    capacity: How many messages it holds: default 1000; `math.inf` for no bound.
    overflow: What a full mailbox does: `"wait"` (default), `"reject"`, `"drop_oldest"`, or
        `"drop_newest"`.
    lanes: Names of two or more lanes, most urgent first, each with the capacity. Default:
        one.
    choice: Which lane is next: `"strict"` (default), `"fair"`, weights, or a function; see
        `child`.
    throttle: How many messages a second are begun at most, or a `Throttle`. Default: no
        bound.
    queue: What makes a lane's queue, a `MessageQueue`. Default: `collections.deque`.
    concurrency: How many handlers run beside each other. Default: None, one after the
        other.
    on_dead_letter: A function of one `Undelivered`; what it raises is logged. Default:
        None.
    listener: A function that hears every event; what it raises is logged. Default: None.

    Raises `InvalidSpec`.

    >>> mailbox, names = open_mailbox(list)
    >>> await names.send(list.pop)
    >>> await names.send(list.append, "ada")
    >>> print((await mailbox.run(list)).reason)
    crashed (IndexError: pop from empty list)
    >>> names.close()
    >>> (await mailbox.run(list)).actor
    ['ada']
    """
    name = name if name is not None else default_name(kind)
    slowed = as_throttle(f"mailbox {name!r}", throttle)
    options = MailboxOptions(
        capacity, overflow, queue, lanes, choice, slowed, on_dead_letter=on_dead_letter, concurrency=concurrency
    )
    mailbox: OpenMailbox[A] = OpenMailbox(name, options, listener)
    return mailbox, address_of(mailbox._mailbox)


def _call(weak: WeakMethod[Callable[[], None]]) -> None:
    method = weak()
    if method is not None:
        method()


def _interrupt(weak: WeakMethod[Callable[[BaseException], None]], error: BaseException) -> None:
    method = weak()
    if method is None:
        raise error
    method(error)


def _bury(incarnation: Incarnation) -> None:
    """Its task has ended, however; the runner is told, if it wasn't by the incarnation itself."""
    if not incarnation.told:
        bury(incarnation)


def _orphaned(mailbox: Mailbox) -> None:
    mailbox.refuse("closed")
    forget_checkpoint(mailbox)
    mailbox.discard("nobody can run its mailbox any more")
    observers.actor_ended(mailbox)
    mailbox.backend.errands.close()
