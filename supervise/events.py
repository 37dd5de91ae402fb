"""What happened in a tree: life-cycle facts as frozen values. `bus.py` hands them out.

An event never holds an actor, an exception or a message: it can be kept for ever, and pins nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any, ClassVar, TypeAlias, cast

from supervise_strategies.answers import Why
from supervise_strategies.directives import Action, Cause, Decision
from supervise_strategies.exit_reason import ExitReason

from .frame import Frame as Frame
from .frame import place_of


@dataclass(frozen=True, slots=True)
class Started:
    """An incarnation, or a supervisor with all its children, is ready."""

    path: str
    incarnation: int
    level: ClassVar[int] = logging.DEBUG

    def __str__(self) -> str:
        return f"{self.path} #{self.incarnation} started"


@dataclass(frozen=True, slots=True)
class StartFailed:
    """A factory or an enter hook raised; `ignored`: it said that it isn't wanted now."""

    path: str
    incarnation: int
    reason: ExitReason
    ignored: bool
    error_type: str = ""
    """What it was in one word, as `error.type` of spans and metrics has it."""
    level: ClassVar[int] = logging.WARNING

    def __str__(self) -> str:
        return f"{self.path} #{self.incarnation} {'ignored its start' if self.ignored else 'failed to start'}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Stopped:
    """An incarnation, or a supervisor, is over: nothing of it runs any more.

    `waiting` is how many messages its mailbox held then; `cause` says for a supervisor what made it end. For a crash, `frames`
    are the lines of the traceback, `fingerprint` is equal for all crashes of the same type from the same lines, and `alike` how
    often that came within 60 s, this time included: the same one again has no `frames`.
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

    @property
    def level(self) -> int:
        return self.level_of(self.reason)

    @staticmethod
    def level_of(reason: ExitReason) -> int:
        """The level that an end for this reason has."""
        return logging.WARNING if reason.abnormal else logging.DEBUG

    def __str__(self) -> str:
        waiting = f"; {self.waiting} {'messages wait' if self.waiting > 1 else 'message waits'}" if self.waiting else ""
        frame = place_of(self.frames)
        where = f" in {frame}" if frame is not None else ""
        again = f"; the same crash as before, {self.alike} times within 60 s" if self.alike > 1 else ""
        return f"{self.path} #{self.incarnation} ended: {self.reason}{where}{again}{waiting}"


@dataclass(frozen=True, slots=True)
class Starting:
    """A start takes long: it is told at 5 s, and each time that it has doubled."""

    path: str
    incarnation: int
    seconds: float
    stack: tuple[Frame, ...] = ()
    """What it waits in, outermost line first, as far as it can be seen."""
    cure: str = ""
    level: ClassVar[int] = logging.WARNING

    def __str__(self) -> str:
        where = place_of(self.stack)
        at = f", and waits in {where}" if where is not None else ""
        cure = f"; {self.cure}" if self.cure else ""
        return f"{self.path} #{self.incarnation} has been starting for {self.seconds:g} s{at}{cure}"


@dataclass(frozen=True, slots=True)
class Decided:
    """A supervisor decided what follows from a child's end."""

    path: str
    """Of the child."""
    supervisor: str
    decision: Decision

    @property
    def incarnation(self) -> int:
        """Of the child: the one that ended."""
        return self.decision.incarnation

    @property
    def level(self) -> int:
        return self.level_of(self.decision)

    @staticmethod
    def level_of(decision: Decision) -> int:
        """The level that this decision has."""
        if decision.action is Action.GIVE_UP:
            return logging.ERROR
        return logging.WARNING if decision.reason.abnormal else logging.DEBUG

    def __str__(self) -> str:
        return f"{self.supervisor}: {self.decision}"


@dataclass(frozen=True, slots=True)
class Overran:
    """It was cancelled, and still runs: it shields or swallows cancellation. Its mailbox refuses until it has ended."""

    path: str
    incarnation: int
    level: ClassVar[int] = logging.ERROR

    def __str__(self) -> str:
        return f"{self.path} #{self.incarnation} is unstoppable: it was cancelled and still runs"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An accepted message that no handler will finish. The message is there as text only."""

    path: str
    message: str
    why: str
    level: ClassVar[int] = logging.DEBUG

    def __str__(self) -> str:
        return f"{self.path}: dead letter {self.message}: {self.why}"


@dataclass(frozen=True, slots=True)
class Lost:
    """An actor has lost messages: at its stop all that waited, in service those of a minute, after the first."""

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

    def __str__(self) -> str:
        if not self.first:
            return f"{self.path}: {self.why}; {self.cure}"
        if not self.more:
            return f"{self.path}: {self.first} is lost: {self.why}; {self.cure}"
        return f"{self.path}: {self.count} more lost, {'first ' if self.count > 1 else ''}{self.first}: {self.why}; {self.cure}"


@dataclass(frozen=True, slots=True)
class Raised:
    """A handler raised, its actor lives on, and nobody gets the error: it was a send, or the caller has gone."""

    path: str
    incarnation: int
    message: str
    error: str
    why: Why
    """Why the actor lives on: it is one of the child's `expects=`, the child has `on_error="reply"`, or the handler is marked
    `isolate=True`."""
    called: bool = False
    """It was a call, whose caller has gone."""
    level: ClassVar[int] = logging.WARNING

    def __str__(self) -> str:
        what = {
            "expected": f"the expected {self.error}",
            "reply": f"{self.error}; on_error='reply', so the actor lives on",
            "isolated": f"{self.error}; it is isolated, so the actor lives on",
        }[self.why]
        gone = "; its caller has gone" if self.called else ""
        return f"{self.path} #{self.incarnation}: {self.message} raised {what}{gone}"


@dataclass(frozen=True, slots=True)
class AddressDropped:
    """The last strong address is gone before the actor got a message: most likely nobody kept the result."""

    path: str
    level: ClassVar[int] = logging.WARNING

    def __str__(self) -> str:
        return f"{self.path}: its last strong address is gone before any message came; keep the address"


@dataclass(frozen=True, slots=True)
class Late:
    """A handler overran the child's `handler_deadline` (`seconds`); it is cancelled, and the actor crashes (`HandlerLate`).

    `stack` is what the handler was waiting in, outermost line first, as far as it can be seen.
    """

    path: str
    incarnation: int
    message: str
    seconds: float
    stack: tuple[Frame, ...] = ()
    level: ClassVar[int] = logging.WARNING

    def __str__(self) -> str:
        where = f" ({self.stack[-1].file}:{self.stack[-1].line})" if self.stack else ""
        return f"{self.path} #{self.incarnation}: {self.message} took longer than {self.seconds:g} s{where}; it is crashed"


@dataclass(frozen=True, slots=True)
class Blocked:
    """The event loop's thread runs something that doesn't let go of it, and so stops everything (`supervise.telemetry`).

    `path` is the actor whose code it is, in life `incarnation`, with `message` in hand (None: in its factory or a hook). If
    it isn't an actor's own task, `incarnation` is 0, and `path` the supervisor that was asked to watch.
    """

    path: str
    incarnation: int
    message: str | None
    seconds: float
    """At least so long, when it was seen."""
    stack: tuple[Frame, ...] = ()
    """Where the thread is: the actor's own lines, or all of them if it is none; outermost first, at most the last 50."""
    level: ClassVar[int] = logging.ERROR

    def __str__(self) -> str:
        if self.incarnation:
            who = f"{self.path} #{self.incarnation}: {self.message or 'its factory or a hook'}"
        else:
            who = f"{self.path}: something that isn't the task of an actor of it"
        return f"{who} blocks the event loop for {self.seconds:g} s and more{_shown(self.stack)}"


@dataclass(frozen=True, slots=True)
class Stuck:
    """The event loop is well, but an actor has had the same message in hand for long (`supervise.telemetry`)."""

    path: str
    incarnation: int
    message: str
    seconds: float
    """At least so long, when it was seen."""
    stack: tuple[Frame, ...] = ()
    """What the handler waits in, outermost line first, as far as it can be seen."""
    level: ClassVar[int] = logging.WARNING

    def __str__(self) -> str:
        return f"{self.path} #{self.incarnation}: {self.message} is in hand for {self.seconds:g} s and more{_shown(self.stack)}"


def _shown(stack: tuple[Frame, ...]) -> str:
    lines = [f'\n  File "{frame.file}", line {frame.line}, in {frame.function}' for frame in stack]
    return f", at{''.join(lines)}" if lines else ""


@dataclass(frozen=True, slots=True)
class Asked:
    """A person asked for something, through `RunningSupervisor.operator`; said before it is done. No crash, and not counted.

    `path` is of the child, or of the supervisor whose intensity is changed.
    """

    path: str
    who: str
    what: str
    level: ClassVar[int] = logging.INFO

    def __str__(self) -> str:
        return f"{self.path}: {self.who} asks to {self.what}"


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
)
Listener: TypeAlias = Callable[[Event], object]


def as_dict(event: Event) -> dict[str, Any]:
    """An event as plain values, for JSON: `event` is the name of its class, a decision's fields stand beside `path`."""
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
