"""What the machine tells its runtime to do, as values. The runtime obeys in order and reports back what came of it."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple, TypeAlias

from .exit_reason import ExitReason
from .text import printable


class StopMode(Enum):
    """What an ordered stop means for the mailbox: whether a life may follow.

    `RESTART`: it stays open and keeps what waits. `FINAL`: it refuses, and what is left becomes
    dead letters when the child has ended (or is drained on request).

        >>> machine = Supervision(SupervisorSpec("app", (ChildSpec("db"),)))
        >>> _ = machine.begin(now=0), machine.child_started("db", 1, now=0)
        >>> [stop.mode for stop in machine.stop(now=1)]
        [<StopMode.FINAL: 'final'>]
    """

    RESTART = "restart"
    """The mailbox stays open and keeps what waits: a restart follows, or a parent still has to decide about one."""
    FINAL = "final"
    """The intake is refused; what is left becomes dead letters when the child has ended (or is drained on request)."""


class Start(NamedTuple):
    """Build incarnation `number` of a child.

    What comes of it is reported: `child_started` or `start_failed`. The next start is told
    after that.

        >>> machine = Supervision(SupervisorSpec("app", (ChildSpec("db"), ChildSpec("web"))))
        >>> machine.begin(now=0)
        [Start(id='db', number=1)]
        >>> machine.child_started("db", 1, now=0)
        [Start(id='web', number=1)]
    """

    id: str
    number: int


class Stop(NamedTuple):
    """Stop a child within `within` seconds, then cancel it; at once if `brutal`.

    What comes of it is reported: `child_exited`, or `stop_overran`.

        >>> machine = Supervision(SupervisorSpec("app", (ChildSpec("db"),)))
        >>> _ = machine.begin(now=0), machine.child_started("db", 1, now=0)
        >>> machine.stop(now=1)
        [Stop(id='db', mode=<StopMode.FINAL: 'final'>, within=5.0, brutal=False)]
    """

    id: str
    mode: StopMode
    within: float
    brutal: bool


class CancelStart(NamedTuple):
    """A start under way isn't wanted any more: cancel it.

    When it has ended, `start_failed` is reported. `mode`: what that means for whatever runs
    below it already. OTP would wait for the start.

        >>> machine = Supervision(SupervisorSpec("app", (ChildSpec("db"),)))
        >>> _ = machine.begin(now=0)
        >>> machine.stop(now=1)
        [CancelStart(id='db', mode=<StopMode.FINAL: 'final'>)]
    """

    id: str
    mode: StopMode = StopMode.RESTART


class Close(NamedTuple):
    """The child stays listed, but stopped.

    Its intake refuses, and what waited becomes dead letters.

        >>> machine = Supervision(SupervisorSpec("app", (ChildSpec("db", Restart.transient()),)))
        >>> _ = machine.begin(now=0), machine.child_started("db", 1, now=0)
        >>> machine.child_exited("db", 1, ExitReason(ExitKind.NORMAL), now=9)[-1]
        Close(id='db')
    """

    id: str


class Forget(NamedTuple):
    """The child isn't listed any more; its address never works again.

    So it is with a temporary child that has ended, and with one that was deleted.

        >>> machine = Supervision(SupervisorSpec("app", (ChildSpec("db", Restart.temporary()),)))
        >>> _ = machine.begin(now=0), machine.child_started("db", 1, now=0)
        >>> machine.child_exited("db", 1, ExitReason(ExitKind.NORMAL), now=9)[-1]
        Forget(id='db')
    """

    id: str


class WakeAt(NamedTuple):
    """Report `timer` at that instant; None: there is nothing to wait for.

    There is one such instant for a machine: a later directive replaces it.

        >>> from tenacity import wait_fixed
        >>> machine = Supervision(SupervisorSpec("app", (ChildSpec("db", Restart.permanent(wait=wait_fixed(2))),)))
        >>> _ = machine.begin(now=0), machine.child_started("db", 1, now=0)
        >>> machine.child_exited("db", 1, ExitReason(ExitKind.CRASHED), now=9)[-1]
        WakeAt(at=11.0)
        >>> machine.timer(now=11)
        [Start(id='db', number=2)]
    """

    at: float | None


class Reply(NamedTuple):
    """The answer to an admin call, for whoever gave that `ticket`.

    `result` is None (done), True (started), False (ignored), or the refusal to raise.

        >>> machine = Supervision(SupervisorSpec("app"))
        >>> _ = machine.begin(now=0)
        >>> machine.restart_child("db", "my ticket", now=1)
        [Reply(ticket='my ticket', result=ChildNotFound("there is no child 'db' here..."))]
    """

    ticket: object
    result: bool | Exception | None


class PassUp(NamedTuple):
    """A policy raised what is no `Exception`, which ends more than a child.

    A KeyboardInterrupt or SystemExit is raised on; the machine has gone on without that
    policy's answer.

        >>> def impatient(state):
        ...     raise KeyboardInterrupt
        >>> machine = Supervision(SupervisorSpec("app", (ChildSpec("db", Restart.permanent(wait=impatient)),)))
        >>> _ = machine.begin(now=0), machine.child_started("db", 1, now=0)
        >>> machine.child_exited("db", 1, ExitReason(ExitKind.CRASHED), now=9)[0]
        PassUp(error=KeyboardInterrupt())
    """

    error: BaseException


class Report(NamedTuple):
    """A decision was made; it is told before it is carried out.

    Its text says by which rule.

        >>> machine = Supervision(SupervisorSpec("app", (ChildSpec("db"),)))
        >>> _ = machine.begin(now=0), machine.child_started("db", 1, now=0)
        >>> for directive in machine.child_exited("db", 1, ExitReason(ExitKind.CRASHED), now=9):
        ...     print(directive.decision if isinstance(directive, Report) else directive)
        db #1 ended: crashed; permanent -> restart 1 of 3 within 5 s
        Start(id='db', number=2)
    """

    decision: Decision


class Overran(NamedTuple):
    """All have stopped but those that outlive their cancellation.

    The supervisor's own stop waits for them. `reason` and `error` are those that `Done` will
    have. (The event of this name is another class: `supervise.events.Overran`.)

        >>> machine = Supervision(SupervisorSpec("app", (ChildSpec("db"),)))
        >>> _ = machine.begin(now=0), machine.child_started("db", 1, now=0), machine.stop(now=1)
        >>> machine.stop_overran("db", 1, now=7)[0].ids
        ('db',)
    """

    ids: tuple[str, ...]
    reason: ExitReason
    """With which it will have ended."""
    error: BaseException | None = None
    """As `Done` will have it."""


class Ready(NamedTuple):
    """The supervisor's own start is done: all children have started.

    It is told once. Report `child_started` of it to the machine above.

        >>> machine = Supervision(SupervisorSpec("app", (ChildSpec("db"),)))
        >>> _ = machine.begin(now=0)
        >>> machine.child_started("db", 1, now=0)
        [Ready()]
    """


class Waits(NamedTuple):
    """The supervisor's own start waits, maybe for long, for a first start that is tried again.

    Report `start_waits` to the machine above: it serves deaths, calls and stops meanwhile.

        >>> machine = Supervision(SupervisorSpec("app", (ChildSpec("shop", type="supervisor"),)))
        >>> _ = machine.begin(now=0)
        >>> machine.start_waits("shop", 1, now=1)
        [Waits()]
    """


class Cause(Enum):
    """What made a supervisor end; `Done` and the event `Stopped` have it.

    `LAST_LEFT`: the last worker of a pool is restarted no more. `IGNORED`: all workers of a
    pool have ignored their start, so its own start is ignored.

        >>> machine = Supervision(SupervisorSpec("app", (ChildSpec("db"),), intensity=Intensity(0)))
        >>> _ = machine.begin(now=0), machine.child_started("db", 1, now=0)
        >>> machine.child_exited("db", 1, ExitReason(ExitKind.CRASHED), now=9)[-1].cause
        <Cause.GAVE_UP: 'max_intensity'>
    """

    ASKED = "asked"
    SELF = "self"
    GAVE_UP = "max_intensity"
    AUTO_SHUTDOWN = "auto_shutdown"
    LAST_LEFT = "last_left"
    """The last worker of a pool is restarted no more."""
    START_FAILED = "start_failed"
    IGNORED = "ignored"
    """All workers of a pool have ignored their start, so its own start is ignored."""


class Done(NamedTuple):
    """The supervisor has ended: no child is left.

    `failed` names the child that made its own start fail; `error` is what that child raised, or
    one that made it give up.

        >>> machine = Supervision(SupervisorSpec("app"))
        >>> _ = machine.begin(now=0)
        >>> machine.stop(now=1)
        [Done(reason=ExitReason(kind=<ExitKind.SHUTDOWN: 'shutdown'>, detail=''), cause=<Cause.ASKED: ...)]
    """

    reason: ExitReason
    cause: Cause
    failed: str | None
    error: BaseException | None = None
    """What the child raised that made it fail, or give up."""


class Action(Enum):
    """What was decided about a child that ended; a `Decision` has it.

    `LEAVE`: it is left stopped (and listed), or forgotten. `GIVE_UP` and `SHUT_DOWN` end its
    supervisor.

        >>> machine = Supervision(SupervisorSpec("app", (ChildSpec("db"),)))
        >>> _ = machine.begin(now=0), machine.child_started("db", 1, now=0)
        >>> machine.child_exited("db", 1, ExitReason(ExitKind.CRASHED), now=9)[0].decision.action
        <Action.RESTART: 'restart'>
    """

    RESTART = "restart"
    LEAVE = "leave"
    """Left stopped (and listed), or forgotten."""
    GIVE_UP = "give_up"
    SHUT_DOWN = "shut_down"


class Decision(NamedTuple):
    """What a supervisor decided about one child that ended, and why.

    `str()` says it in words. A tree tells of each in an event `Decided`, which has it as
    `.decision`; `app.explain()` says what would be decided now.

    used: Restarts in the window, this one included.
    allowed: How many restarts the limit allows, the child's own or its supervisor's.
    per: Seconds of that window.
    delay: Seconds before the restart.
    affected: The names of all that are restarted with it, itself included.

    >>> async with Supervisor("app", child(list)) as app:
    ...     decision = app.explain("list").decision
    ...     decision.action, decision.used, decision.allowed
    ...     print(decision)
    (<Action.RESTART: 'restart'>, 1, 3)
    list #1 ended: crashed; permanent -> restart 1 of 3 within 5 s
    """

    action: Action
    child: str
    incarnation: int
    reason: ExitReason
    rule: str
    used: int
    """Restarts in the window, this one included (the child's own window if it has a limit of its own)."""
    allowed: int
    per: float
    delay: float
    affected: tuple[str, ...]
    at: float
    apart: str = ""
    """Which restart it is, in words, where no intensity counts it: `restart 3 of 30`, `restart 7, paced`."""
    number: int = 0
    """Which restart it is, by what `ordinal` says."""
    fingerprint: str = ""
    """Which crash it was: equal for the same exception type from the same lines. Empty for another end."""

    @property
    def ordinal(self) -> str:
        """Which restart it is, in words: `restart 2 of 3 within 5 s`.

        Or what stands in `apart`; empty if it is none.
        """
        if self.action is not Action.RESTART:
            return ""
        return self.apart or f"restart {self.used} of {self.allowed} within {self.per:g} s"

    def __str__(self) -> str:
        what = f"{printable(self.child)} #{self.incarnation} ended: {self.reason}; {self.rule}"
        if self.action is Action.RESTART:
            others = (
                f" with {', '.join(printable(i) for i in self.affected if i != self.child)}" if len(self.affected) > 1 else ""
            )
            after = f" after {self.delay:g} s" if self.delay else ""
            return f"{what} -> {self.ordinal}{others}{after}"
        if self.action is Action.GIVE_UP:
            return f"{what} -> gives up: more than {self.allowed} restarts within {self.per:g} s"
        return f"{what} -> {'shuts down' if self.action is Action.SHUT_DOWN else 'not restarted'}"


Directive: TypeAlias = (
    Start | Stop | CancelStart | Close | Forget | WakeAt | Reply | PassUp | Report | Overran | Ready | Waits | Done
)
