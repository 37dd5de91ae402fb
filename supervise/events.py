"""What happened in a tree: life-cycle facts as frozen values, and where they are heard.

An event never holds an actor, an exception or a message: it can be kept for ever, and pins
nothing. Each has a `path`, a `level` of `logging`, and a text, which is also its record in
the logger `supervise`. Begin with `Started`, `Stopped` and `Decided`; `as_dict` makes JSON
of any. They are heard by `Supervisor(listener=…)`, `app.subscribe` and `app.events()`.
`journal/bus.py` hands them out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any, ClassVar, Final, TypeAlias, cast

from supervise_strategies.answers import Why
from supervise_strategies.directives import Action, Cause, Decision
from supervise_strategies.exit_reason import ExitKind, ExitReason
from supervise_strategies.text import printable, shown

from .frame import Frame as Frame
from .frame import in_place, listed, place_of


class _Told:
    """An event as text: `str(event)`.

    The template is the same for all events of a class, so that tools can group records by it;
    `parts` is what stands in it.
    """

    __slots__ = ()
    template: ClassVar[str] = ""

    def parts(self) -> tuple[object, ...]:
        """What stands in its template, in order."""
        return ()

    def __str__(self) -> str:
        return self.template % self.parts()


_LEVELS: Final = {
    ExitKind.NORMAL: logging.DEBUG,
    ExitKind.SHUTDOWN: logging.DEBUG,
    ExitKind.CRASHED: logging.ERROR,
    ExitKind.KILLED: logging.WARNING,
    ExitKind.GAVE_UP: logging.WARNING,
    ExitKind.UNREACHABLE: logging.WARNING,
}


@dataclass(frozen=True, slots=True)
class Started(_Told):
    """An incarnation is ready, or a supervisor with all its children.

    The factory and the enter hook have returned. `incarnation` counts lives from 1, so `#2` is
    the first restart. Level DEBUG.

        >>> async with Supervisor("app", child(list, name="cart"), listener=print):
        ...     pass
        app/cart #1 started
        app #1 started
        app/cart #1 ended: shutdown
        app #1 ended: shutdown
    """

    path: str
    incarnation: int
    level: ClassVar[int] = logging.DEBUG
    template = "%s #%d started"

    def parts(self) -> tuple[object, ...]:
        return printable(self.path), self.incarnation


@dataclass(frozen=True, slots=True)
class StartFailed(_Told):
    """A factory or an enter hook raised, or said that it isn't wanted now.

    `ignored`: it raised `IgnoreStart`, which is no fault. `frames`, `fingerprint` and `alike`
    are those of `Stopped`. Level WARNING; ERROR for a crash that is told with its traceback. No
    `Stopped` follows.

        >>> def connect():
        ...     raise OSError("no route")
        >>> async with Supervisor("app", listener=print) as app:
        ...     await app.start(connect)
        Traceback (most recent call last):
        ChildStartFailed: ...
        >>> print(StartFailed("app/db", 1, ExitReason(ExitKind.CRASHED, "OSError: no route"), ignored=False))
        app/db #1 failed to start: crashed (OSError: no route)
    """

    path: str
    incarnation: int
    reason: ExitReason
    ignored: bool
    error_type: str = ""
    """What it was in one word, as `error.type` of spans and metrics has it."""
    frames: tuple[Frame, ...] = ()
    fingerprint: str = ""
    alike: int = 0
    template = "%s #%d %s: %s%s"

    @property
    def level(self) -> int:
        """ERROR for a crash that is told with its traceback, else WARNING."""
        return logging.ERROR if self.fingerprint and self.alike < 2 else logging.WARNING

    def parts(self) -> tuple[object, ...]:
        what = "ignored its start" if self.ignored else "failed to start"
        return printable(self.path), self.incarnation, what, self.reason, _place(self)


@dataclass(frozen=True, slots=True)
class Stopped(_Told):
    """An incarnation, or a supervisor, is over: nothing of it runs any more.

    `waiting` is how many messages its mailbox held then: a restart finds them. `cause` says
    what made a supervisor end.

    For a crash, `frames` are the lines of its traceback, 20 at most; of a `HandlerLate` those
    that it waited in. `fingerprint` is equal for all crashes of one type from the same lines.
    `alike` counts these in the whole tree, this one included, since their traceback was logged,
    at most 10 minutes ago. Level DEBUG for an orderly end, WARNING for an abnormal one. It is
    ERROR for a crash that is told with its traceback.

        >>> heard = []
        >>> async with Supervisor("app", listener=heard.append) as app:
        ...     cart = await app.start(list, name="cart")
        ...     await cart.send(list.pop)
        ...     await cart.call(list.copy)
        []
        >>> print(next(event for event in heard if isinstance(event, Stopped)))
        app/cart #1 ended: crashed (IndexError: pop from empty list)...
    """

    path: str
    incarnation: int
    reason: ExitReason
    waiting: int = 0
    cause: Cause | None = None
    frames: tuple[Frame, ...] = ()
    fingerprint: str = ""
    alike: int = 0
    error_type: str = ""
    """Of an abnormal end: what it was in one word, as `error.type` of spans and metrics has it."""
    template = "%s #%d ended: %s%s%s"

    @property
    def level(self) -> int:
        """ERROR for a crash that is told with its traceback; WARNING for another abnormal end."""
        return min(self.level_of(self.reason), logging.ERROR if self.fingerprint and self.alike < 2 else logging.WARNING)

    @staticmethod
    def level_of(reason: ExitReason) -> int:
        """The level that an actor's end for this reason has, at most."""
        return _LEVELS[reason.kind]

    def parts(self) -> tuple[object, ...]:
        waiting = f"; {self.waiting} {'messages wait' if self.waiting > 1 else 'message waits'}" if self.waiting else ""
        return printable(self.path), self.incarnation, self.reason, _place(self), waiting


def _place(event: StartFailed | Stopped) -> str:
    """Where a crash was, for a user, and whether it is told with its traceback elsewhere."""
    where = in_place(event.frames)
    return f"{where}; the same crash as before, {event.alike} times within 10 minutes" if event.alike > 1 else where


@dataclass(frozen=True, slots=True)
class Starting(_Told):
    """A start takes long: told after 5 s, and each time that it has doubled.

    Nothing is ended for it. `stack` is what it waits in, outermost line first, as far as it can
    be seen; `cure` is what to do. Level WARNING.

        >>> import anyio
        >>> async def slow():
        ...     await anyio.sleep(12)
        ...     return []
        >>> async with Supervisor("app", child(slow, name="db"), listener=print):
        ...     pass
        app/db #1 has been starting for 5 s, and waits in slow (...)...
        app/db #1 has been starting for 10 s, and waits in slow (...)...
        app/db #1 started
        ...
    """

    path: str
    incarnation: int
    seconds: float
    stack: tuple[Frame, ...] = ()
    """What it waits in, outermost line first, as far as it can be seen."""
    cure: str = ""
    level: ClassVar[int] = logging.WARNING
    template = "%s #%d has been starting for %g s%s%s"

    def parts(self) -> tuple[object, ...]:
        where = place_of(self.stack)
        at = f", and waits in {where}" if where is not None else ""
        return printable(self.path), self.incarnation, self.seconds, at, f"; {self.cure}" if self.cure else ""


@dataclass(frozen=True, slots=True)
class Decided(_Told):
    """A supervisor decided what follows from a child's end.

    It is told before it is done. `decision` has all of it as values; its text says by which
    rule. Level DEBUG after an orderly end, WARNING after an abnormal one, ERROR where the
    supervisor gives up.

        >>> def told(event):
        ...     if isinstance(event, Decided):
        ...         print(event)
        >>> async with Supervisor("app", listener=told) as app:
        ...     cart = await app.start(list, name="cart")
        ...     await cart.send(list.pop)
        ...     await cart.call(list.copy)
        app: cart #1 ended: crashed (IndexError: pop from empty list); permanent -> restart 1 of 3 within 5 s
        []
    """

    path: str
    """Of the child."""
    supervisor: str
    decision: Decision
    template = "%s: %s"

    @property
    def incarnation(self) -> int:
        """The incarnation of the child that ended."""
        return self.decision.incarnation

    @property
    def level(self) -> int:
        """The level of its decision, see `level_of`."""
        return self.level_of(self.decision)

    @staticmethod
    def level_of(decision: Decision) -> int:
        """The level that this decision has."""
        if decision.action is Action.GIVE_UP:
            return logging.ERROR
        return logging.WARNING if decision.reason.abnormal else logging.DEBUG

    def parts(self) -> tuple[object, ...]:
        return printable(self.supervisor), self.decision


@dataclass(frozen=True, slots=True)
class Overran(_Told):
    """It was cancelled, and still runs: it shields or swallows cancellation.

    Told a second after the cancellation. Its mailbox refuses, and it isn't restarted, until it
    has ended; the tree's end waits for it. Level ERROR.

        >>> print(Overran("app/db", 3))
        app/db #3 is unstoppable: it was cancelled and still runs
    """

    path: str
    incarnation: int
    level: ClassVar[int] = logging.ERROR
    template = "%s #%d is unstoppable: it was cancelled and still runs"

    def parts(self) -> tuple[object, ...]:
        return printable(self.path), self.incarnation


@dataclass(frozen=True, slots=True)
class DeadLetter(_Told):
    """An accepted message that no handler will finish.

    The message is there as text only: its types, or what was sent, too, with
    `log_arguments=True`. `on_dead_letter=` gets the message itself. A message that was refused
    is none: its sender got an error. `reason` is why in one word, `why` in more. Level DEBUG,
    since `Lost` tells of many at once.

        >>> def told(event):
        ...     if isinstance(event, DeadLetter):
        ...         print(event, f"[{event.reason}]")
        >>> async with Supervisor("app", listener=told) as app:
        ...     cart = await app.start(list, name="cart")
        ...     cart.pause()
        ...     await cart.send(list.append, "tea")
        app/cart: dead letter list.append(str): its actor is gone for good [stopped]
    """

    path: str
    message: str
    why: str
    reason: str = ""
    """Why, in one word, for who counts: in_hand, stopped, overran, spent, full, refused, late or by_hand."""
    level: ClassVar[int] = logging.DEBUG
    template = "%s: dead letter %s: %s"

    def parts(self) -> tuple[object, ...]:
        return printable(self.path), self.message, self.why


@dataclass(frozen=True, slots=True)
class Lost(_Told):
    """An actor has lost messages: the sum of its dead letters, said once.

    At its stop it counts all that waited. In service the first is told at once, and then those
    of a minute. `cure` is how not to lose them. Level WARNING.

        >>> def told(event):
        ...     if isinstance(event, Lost):
        ...         print(event)
        >>> async with Supervisor("app", listener=told) as app:
        ...     cart = await app.start(list, name="cart")
        ...     cart.pause()
        ...     await cart.send(list.append, "tea")
        app/cart: 1 waiting message dropped at the stop; drain=True handles what waits at a stop
    """

    path: str
    count: int
    first: str
    """The first of them, as text; empty at a stop."""
    why: str
    """Why the first was lost."""
    cure: str
    more: bool = False
    """Whether others were said before."""
    level: ClassVar[int] = logging.WARNING
    template = "%s: %s%s; %s"

    def parts(self) -> tuple[object, ...]:
        what = f"{self.first} is lost: " if self.first else ""
        if self.first and self.more:
            what = f"{self.count} more lost, {'first ' if self.count > 1 else ''}{self.first}: "
        return printable(self.path), what, self.why, self.cure


@dataclass(frozen=True, slots=True)
class Raised(_Told):
    """A handler raised, its actor lives on, and nobody gets the error.

    It was a send, or a call whose caller has gone: an error that a caller gets is no event.
    `why` says why the actor lives on: `expects=`, `on_error="reply"` or `isolate=True`. Level
    WARNING.

        >>> def told(event):
        ...     if isinstance(event, Raised):
        ...         print(event)
        >>> async with Supervisor("app", listener=told) as app:
        ...     cart = await app.start(list, name="cart", expects=(IndexError,))
        ...     await cart.send(list.pop)
        ...     await cart.call(list.copy)
        app/cart #1: list.pop() raised the expected IndexError: pop from empty list...
        []
    """

    path: str
    incarnation: int
    message: str
    error: str
    why: Why
    """Why the actor lives on: it is one of the child's `expects=`, the child has `on_error="reply"`, or the handler is marked
    `isolate=True`."""
    called: bool = False
    """It was a call, whose caller has gone."""
    frames: tuple[Frame, ...] = ()
    """The lines of its traceback, as in `Stopped`."""
    level: ClassVar[int] = logging.WARNING
    template = "%s #%d: %s raised %s%s"

    def parts(self) -> tuple[object, ...]:
        raised = f"{self.error}{in_place(self.frames)}"
        what = {
            "expected": f"the expected {raised}",
            "reply": f"{raised}; on_error='reply', so the actor lives on",
            "isolated": f"{raised}; it is isolated, so the actor lives on",
        }[self.why]
        return printable(self.path), self.incarnation, self.message, what, "; its caller has gone" if self.called else ""


@dataclass(frozen=True, slots=True)
class AddressDropped(_Told):
    """The last strong address is gone before the actor got a message.

    Most likely nobody kept the result of `start`. It ends the actor, since its `lifetime` is
    "addresses". Level WARNING.

        >>> print(AddressDropped("app/cart"))
        app/cart: its last strong address is gone before any message came; keep the address
    """

    path: str
    level: ClassVar[int] = logging.WARNING
    template = "%s: its last strong address is gone before any message came; keep the address"

    def parts(self) -> tuple[object, ...]:
        return (printable(self.path),)


@dataclass(frozen=True, slots=True)
class Late(_Told):
    """A handler overran the child's `handler_deadline`, and is cancelled.

    The actor crashes, with `HandlerLate`. `seconds` is the deadline. `stack` is what the
    handler was waiting in, outermost line first, as far as it can be seen. Level WARNING.

        >>> import anyio
        >>> async def dawdle(cart):
        ...     await anyio.sleep(60)
        >>> def told(event):
        ...     if isinstance(event, Late):
        ...         print(event)
        >>> async with Supervisor("app", listener=told) as app:
        ...     cart = await app.start(list, name="cart", handler_deadline=2)
        ...     await cart.send(dawdle)
        ...     await cart.call(list.copy)
        app/cart #1: dawdle() took longer than 2 s in dawdle (...); it is crashed
        []
    """

    path: str
    incarnation: int
    message: str
    seconds: float
    stack: tuple[Frame, ...] = ()
    level: ClassVar[int] = logging.WARNING
    template = "%s #%d: %s took longer than %g s%s; it is crashed"

    def parts(self) -> tuple[object, ...]:
        where = place_of(self.stack)
        return printable(self.path), self.incarnation, self.message, self.seconds, "" if where is None else f" in {where}"


@dataclass(frozen=True, slots=True)
class Blocked(_Told):
    """The event loop's thread runs something that doesn't let go of it: all else stands still.

    It comes from `supervise.telemetry.Watchdog` alone. `path` is the actor whose code it is, in
    life `incarnation`, with `message` in hand; None stands for its factory or a hook. If it
    isn't an actor's own task, `incarnation` is 0, and `path` the supervisor that was asked to
    watch. Nobody is crashed for it. Level ERROR.

        >>> print(Blocked("app/cart", 1, "Cart.total", 1.0, (Frame("shop.py", 7, "Cart.total"),)))
        app/cart #1: Cart.total blocks the event loop for 1 s and more, at
          File "shop.py", line 7, in Cart.total
    """

    path: str
    incarnation: int
    message: str | None
    seconds: float
    """At least so long, when it was seen."""
    stack: tuple[Frame, ...] = ()
    """Where the thread is: the actor's own lines, or all of them if it is none; outermost first, at most the last 50."""
    level: ClassVar[int] = logging.ERROR
    template = "%s%s blocks the event loop for %g s and more%s"

    def parts(self) -> tuple[object, ...]:
        if self.incarnation:
            who = f" #{self.incarnation}: {self.message or 'its factory or a hook'}"
        else:
            who = ": something that isn't the task of an actor of it"
        return printable(self.path), who, self.seconds, listed(self.stack)


@dataclass(frozen=True, slots=True)
class Stuck(_Told):
    """The event loop is well, but an actor has had one message in hand for long.

    It comes from `supervise.telemetry.Watchdog` alone, once a message. `stack` is what the
    handler waits in, outermost line first, as far as it can be seen. Nobody is crashed for it:
    that is what `handler_deadline` does. Level WARNING.

        >>> print(Stuck("app/cart", 1, "Cart.pay(9)", 60.0, (Frame("shop.py", 7, "Cart.pay"),)))
        app/cart #1: Cart.pay(9) is in hand for 60 s and more, at
          File "shop.py", line 7, in Cart.pay
    """

    path: str
    incarnation: int
    message: str
    seconds: float
    """At least so long, when it was seen."""
    stack: tuple[Frame, ...] = ()
    """What the handler waits in, outermost line first, as far as it can be seen."""
    level: ClassVar[int] = logging.WARNING
    template = "%s #%d: %s is in hand for %g s and more%s"

    def parts(self) -> tuple[object, ...]:
        return printable(self.path), self.incarnation, self.message, self.seconds, listed(self.stack)


@dataclass(frozen=True, slots=True)
class Asked(_Told):
    """A person asked for something, through `RunningSupervisor.operator`.

    It is said before it is done, with who asked. What follows is no crash, and isn't counted.
    `path` is of the child, or of the supervisor whose intensity is changed. Level INFO.

        >>> def told(event):
        ...     if isinstance(event, Asked):
        ...         print(event)
        >>> async with Supervisor("app", listener=told) as app:
        ...     cart = await app.start(list, name="cart")
        ...     await app.operator("ada").restart("cart")
        app/cart: ada asks to restart it
        True
    """

    path: str
    who: str
    what: str
    level: ClassVar[int] = logging.INFO
    template = "%s: %s asks to %s"

    def parts(self) -> tuple[object, ...]:
        return printable(self.path), printable(self.who), self.what


@dataclass(frozen=True, slots=True)
class LinkUp(_Told):
    """A link to another process is there: both sides have greeted each other.

    `path` and `incarnation` are of the link's actor: each connection is a life of it. `address` is
    where the other side is, and `identity` who it has proved to be, by a certificate or as the
    user of a unix socket; empty: nobody. `name` is what it calls itself. Level INFO.

        >>> print(LinkUp("web/shop", 3, "tcp://shop:7000", "shop.example", "gate"))
        web/shop #3 is connected to 'gate' at tcp://shop:7000 (shop.example)
    """

    path: str
    incarnation: int
    address: str
    identity: str
    name: str
    level: ClassVar[int] = logging.INFO
    template = "%s #%d is connected to %s"

    @property
    def far(self) -> str:
        """Who is at the other end, in words: `'gate' at tcp://shop:7000 (shop.example)`."""
        return _who(self.name, self.address, self.identity)

    def parts(self) -> tuple[object, ...]:
        return printable(self.path), self.incarnation, self.far


@dataclass(frozen=True, slots=True)
class LinkDown(_Told):
    """A connection has ended, and what was handed to it is settled.

    Each of the `open_calls` is `OutcomeUnknown` for its caller. `unconfirmed` counts sends of which
    the other side never said that they are in a mailbox: an upper bound of what was lost on the
    way. What waits for a connection isn't among them. Level WARNING, or INFO if both are 0: then
    nothing is lost.

        >>> print(LinkDown("web/shop", 3, "ConnectionLost: closed by the other side", unconfirmed=4, open_calls=1))
        web/shop #3: the connection has ended (ConnectionLost: closed by the other side); 4 sends unconfirmed, 1 call open
    """

    path: str
    incarnation: int
    why: str
    unconfirmed: int
    open_calls: int
    template = "%s #%d: the connection has ended (%s)%s"

    @property
    def level(self) -> int:
        """WARNING if something may be lost, else INFO."""
        return logging.WARNING if self.unconfirmed or self.open_calls else logging.INFO

    def parts(self) -> tuple[object, ...]:
        told = [
            f"{number} {one if number == 1 else many}"
            for number, one, many in (
                (self.unconfirmed, "send unconfirmed", "sends unconfirmed"),
                (self.open_calls, "call open", "calls open"),
            )
            if number
        ]
        return printable(self.path), self.incarnation, printable(self.why), f"; {', '.join(told)}" if told else ""


@dataclass(frozen=True, slots=True)
class Admitted(_Told):
    """A gate lets another process in; `LinkUp`, of the link that it becomes, follows.

    Or it goes away before that, or the greeting fails after all, and it is `Refused`.

    `path` is of the gate's acceptor. The rest is as in `LinkUp`; `identity` is what `admit` has
    said, if it has said one. Level INFO.

        >>> print(Admitted("shop/gate/acceptor", "10.0.0.7:4711", "web.example", "web"))
        shop/gate/acceptor admits 'web' at 10.0.0.7:4711 (web.example)
    """

    path: str
    address: str
    identity: str
    name: str
    level: ClassVar[int] = logging.INFO
    template = "%s admits %s"

    def parts(self) -> tuple[object, ...]:
        return printable(self.path), _who(self.name, self.address, self.identity)


@dataclass(frozen=True, slots=True)
class Refused(_Told):
    """A gate doesn't let somebody in, who has connected to it.

    `path` is of the gate's acceptor. `why`: `admit` has refused, TLS failed, a limit was reached, or a rule of the greeting was
    broken. Somebody who goes away by himself before that isn't told of. `name` is empty where
    nothing was heard yet. Level WARNING.

        >>> print(Refused("shop/gate/acceptor", "10.0.0.7:4711", "", "no certificate"))
        shop/gate/acceptor refuses 10.0.0.7:4711: no certificate
    """

    path: str
    address: str
    name: str
    why: str
    level: ClassVar[int] = logging.WARNING
    template = "%s refuses %s: %s"

    def parts(self) -> tuple[object, ...]:
        return printable(self.path), _who(self.name, self.address), printable(self.why)


def _who(name: str, address: str, identity: str = "") -> str:
    at = printable(address)
    found = f"{shown(name)} at {at}" if name else at
    return f"{found} ({printable(identity)})" if identity else found


Event: TypeAlias = (
    Starting
    | Started
    | StartFailed
    | Stopped
    | Decided
    | Overran
    | DeadLetter
    | Lost
    | Raised
    | AddressDropped
    | Asked
    | Late
    | Blocked
    | Stuck
    | LinkUp
    | LinkDown
    | Admitted
    | Refused
)
Listener: TypeAlias = Callable[[Event], object]


def as_dict(event: Event) -> dict[str, Any]:
    """An event as plain values, for JSON.

    `event` is the name of its class. A decision's fields stand beside `path`; an `ExitReason`
    is its kind and its detail, a `Frame` a line of text. An instant of the loop's clock
    (`Decision.at`) is left out. Raises TypeError for what is no event.

        >>> as_dict(Stopped("app/cart", 2, ExitReason(ExitKind.KILLED), waiting=7))["reason"]
        {'kind': 'killed', 'detail': ''}
        >>> as_dict(Asked("app/cart", "ada", "pause it"))
        {'event': 'Asked', 'path': 'app/cart', 'who': 'ada', 'what': 'pause it'}
    """
    found: dict[str, Any] = {"event": type(event).__name__}
    for field in fields(event):
        value = getattr(event, field.name)
        if isinstance(value, Decision):
            found |= {name: _plain(part) for name, part in value._asdict().items() if name != "at"}
        else:
            found[field.name] = _plain(value)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, ExitReason):
        return {"kind": value.kind.value, "detail": value.detail}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Frame):
        return f"{value.file}:{value.line} in {value.function}"
    if isinstance(value, tuple):
        return [_plain(part) for part in cast("tuple[object, ...]", value)]
    return value
