"""Where a child stands: what its supervisor shows of it, and what it keeps of it."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

from .child_spec import ChildSpec
from .history import History
from .next_start import NextStart
from .restart import RestartType
from .text import printable

if TYPE_CHECKING:
    from .exit_reason import ExitReason
    from .intensity import Intensity


class ChildState(Enum):
    """Where a child stands, as its supervisor sees it.

    A child that waits for its backoff is RESTARTING; one that ended and stays down is STOPPED.

    >>> async with Supervisor("app", child(list)) as app:
    ...     await app.terminate_child("list")
    ...     app.get_childspec("list").state
    <ChildState.STOPPED: 'stopped'>
    """

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    RESTARTING = "restarting"
    """Down, with a restart pending: it waits for its backoff, or for the retry of a start that failed."""
    UNSTOPPABLE = "unstoppable"
    """Asked to stop, cancelled, and still alive."""


STARTING: Final = ChildState.STARTING
RUNNING: Final = ChildState.RUNNING
STOPPING: Final = ChildState.STOPPING
STOPPED: Final = ChildState.STOPPED
RESTARTING: Final = ChildState.RESTARTING
UNSTOPPABLE: Final = ChildState.UNSTOPPABLE


def _many(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


class ChildInfo(NamedTuple):
    """How a child is doing: one line of `which_children`.

    It is a value, taken at one moment; ask again for a later one.

    state: Where it stands, a `ChildState`. `alive`: whether an incarnation of it exists
        now.
    incarnation: Which life it is, or was last, from 1.
    due: When a pending restart is due, in seconds of the loop's clock, if it waits for a
        backoff.
    restarts: How many restarts its own ends have caused since its supervisor started.
    last: Why it last ended abnormally, or failed to start, since then; None if it didn't.
    finished: Whether it is stopped, and that is in order: it ended normally, or ignored its
        start.
    alike: How many crashes of one kind came in a row, of a child with `quarantine=`.

    >>> async with Supervisor("app") as app:
    ...     names = await app.start(list)
    ...     await names.send(list.pop)
    ...     await names.call(list.copy)
    ...     info, = app.which_children()
    ...     print(info.id, info.state.value, info.incarnation, info.last)
    ...     print(info)
    []
    list running 2 crashed (IndexError: pop from empty list)
    list #2 is running; 1 restart, last crashed (IndexError: pop from empty list)
    """

    id: str
    state: ChildState
    incarnation: int
    spec: ChildSpec
    due: float | None
    """When a pending restart is due (the loop's clock), if it waits for a backoff."""
    restarts: int = 0
    """Restarts that were decided because of its own ends, since its supervisor started."""
    last: ExitReason | None = None
    """Why it last ended abnormally, or failed to start, since its supervisor started."""
    finished: bool = False
    """Stopped, and that is in order: it ended normally and isn't restarted, or ignored its start."""
    fingerprint: str = ""
    """Which crash the last one was, of a child with `quarantine=`."""
    alike: int = 0
    """How many crashes of that kind came in a row."""

    @property
    def alive(self) -> bool:
        """Whether an incarnation of it exists now."""
        return self.state in (RUNNING, STOPPING, UNSTOPPABLE)

    def __str__(self) -> str:
        number = f" #{self.incarnation}" if self.incarnation else ""
        found = [_many(self.restarts, "restart")] if self.restarts else []
        if self.last is not None:
            found.append(f"last {self.last}")
        in_order = ", in order" if self.finished else ""
        return f"{printable(self.id)}{number} is {self.state.value}{in_order}" + ("; " + ", ".join(found) if found else "")


class ChildCount(NamedTuple):
    """How many children a supervisor has: what `count_children` gives, as in OTP.

    `specs`: those that are listed. `active`: those alive now. `supervisors` and `workers`: the
    listed ones by type.

    >>> async with Supervisor("app", child(list), Supervisor("shards")) as app:
    ...     app.count_children()
    ...     print(app.count_children())
    ChildCount(specs=2, active=2, supervisors=1, workers=1)
    2 listed, 2 active; 1 supervisor, 1 worker
    """

    specs: int
    active: int
    supervisors: int
    workers: int

    def __str__(self) -> str:
        kinds = _many(self.supervisors, "supervisor"), _many(self.workers, "worker")
        return f"{self.specs} listed, {self.active} active; {', '.join(kinds)}"


class Afterwards(Enum):
    """What follows when a coroutine that outlived its cancellation has ended after all."""

    CLOSE = "close"
    """It stays down, listed."""
    START = "start"
    """A restart that waited for nothing else."""
    JUDGE = "judge"
    """Its start overran, and that was a failed one: whether it is tried again is decided then."""
    FORGET = "forget"
    """It was never up, and nobody wants it any more."""


class Slot:
    """One child, as long as it is listed. What most haven't, or have only for a while, stands in two records beside it."""

    __slots__ = (
        "added",
        "afterwards",
        "dead",
        "detached",
        "due",
        "finished",
        "held",
        "history",
        "id",
        "next_start",
        "number",
        "over",
        "spec",
        "spent",
        "state",
        "token",
    )

    def __init__(self, id: str, spec: ChildSpec, added: bool) -> None:
        self.id: str = id
        self.spec: ChildSpec = spec
        self.added: bool = added
        self.state: ChildState = STOPPED
        self.number: int = 0
        self.token: int = 0  # one more whenever a pending restart is overtaken by something else
        self.due: float | None = None
        self.dead: bool = False  # its end is queued and not served yet
        self.held: bool = False  # down with its group, whose restart is pending
        self.afterwards: Afterwards = Afterwards.CLOSE  # of one that is unstoppable
        self.detached: bool = False  # its start is under way, and no work waits for it
        self.spent: bool = False  # it is down by its own limit, or in quarantine: no group brings it back
        self.over: bool = False  # nobody can reach it any more, so it is never started again
        self.finished: bool = False
        self.history: History | None = None
        self.next_start: NextStart | None = NextStart(spec.retry_start, new=added) if added or spec.retry_start else None

    def copy(self) -> Slot:
        """Another one that says the same, to try something on; its counts are its own.

        Field by field, and by no loop over their names: each explanation of a crash copies all children of a supervisor.
        """
        other: Slot = Slot.__new__(Slot)
        other.id = self.id
        other.spec = self.spec
        other.added = self.added
        other.state = self.state
        other.number = self.number
        other.token = self.token
        other.due = self.due
        other.dead = self.dead
        other.held = self.held
        other.afterwards = self.afterwards
        other.detached = self.detached
        other.spent = self.spent
        other.over = self.over
        other.finished = self.finished
        other.history = None if self.history is None else self.history.copy()
        other.next_start = None if self.next_start is None else self.next_start.copy()
        return other

    def remembered(self) -> History:
        """Its history, made on first use."""
        if self.history is None:
            self.history = History()
        return self.history

    def asked_by(self, ticket: object) -> None:
        """Somebody waits for its next start."""
        if self.next_start is None:
            self.next_start = NextStart(first=False, new=False)
        self.next_start.tickets += (ticket,)

    @property
    def first(self) -> bool:
        """Whether its first start is tried again, and it was never up."""
        return self.next_start is not None and self.next_start.first

    @property
    def new(self) -> bool:
        """Whether nothing is kept of it if it doesn't start."""
        return self.next_start is not None and self.next_start.new

    @property
    def asked(self) -> tuple[object, ...]:
        """The tickets of those who wait for its start."""
        return () if self.next_start is None else self.next_start.tickets

    @property
    def withdrawn(self) -> bool:
        """Whether whoever asked for its start was cancelled: no further try is made for it."""
        return self.next_start is not None and self.next_start.withdrawn

    def begun(self, now: float) -> None:
        """It is up. Since when is only asked where a row of failures may end with that, and costs each 32 bytes."""
        history = self.history
        if history is not None and (history.backoff is not None or history.row is not None):
            history.up_since = now

    def ended(self, now: float) -> None:
        """Its life is over."""
        if self.history is not None and self.history.up_since is not None:
            self.history.ended(now, self.spec.restart.healthy_after)

    def left(self, limit: Intensity, now: float) -> int:
        """Restarts that a limit of its own still allows at `now`."""
        window = None if self.history is None else self.history.window
        return limit.restarts if window is None else window.left(now)

    @property
    def temporary(self) -> bool:
        return self.spec.restart.type is RestartType.TEMPORARY

    def info(self) -> ChildInfo:
        """What its supervisor shows of it."""
        spec = self.spec if self.spec.id == self.id else replace(self.spec, id=self.id)  # a spec may be shared
        history = self.history or _NO_HISTORY
        row = ("", 0) if history.row is None else (history.row.fingerprint, history.row.number)
        return ChildInfo(
            self.id, self.state, self.number, spec, self.due, history.restarts, history.last, self.is_finished, *row
        )

    @property
    def is_finished(self) -> bool:
        """Stopped, and that is in order: see `ChildInfo.finished`."""
        return self.finished and self.state is STOPPED

    @property
    def past(self) -> History:
        """What was decided of it, empty if nothing was."""
        return self.history or _NO_HISTORY


_NO_HISTORY: Final = History()
