"""Where a child stands: what its supervisor shows of it, and what it keeps of it."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

from .child_spec import ChildSpec
from .restart import RestartType

if TYPE_CHECKING:
    from .backoff import Backoff
    from .crash_row import CrashRow
    from .exit_reason import ExitReason
    from .intensity import RestartWindow


class ChildState(Enum):
    """Where a child stands, as its supervisor sees it."""

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


class ChildInfo(NamedTuple):
    """One line of `which_children`."""

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


class ChildCount(NamedTuple):
    """`count_children`: children listed, those alive now, and the listed ones by type."""

    specs: int
    active: int
    supervisors: int
    workers: int


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
    """One child, as long as it is listed."""

    __slots__ = (
        "added",
        "afterwards",
        "asked",
        "backoff",
        "dead",
        "detached",
        "due",
        "finished",
        "first",
        "held",
        "id",
        "last",
        "new",
        "number",
        "over",
        "restarts",
        "row",
        "spec",
        "spent",
        "state",
        "token",
        "up_since",
        "window",
        "withdrawn",
    )

    def __init__(self, id: str, spec: ChildSpec, added: bool) -> None:
        self.id: str = id
        self.spec: ChildSpec = spec
        self.added: bool = added
        self.state: ChildState = STOPPED
        self.number: int = 0
        self.up_since: float | None = None
        self.token: int = 0  # one more whenever a pending restart is overtaken by something else
        self.due: float | None = None
        self.dead: bool = False  # its end is queued and not served yet
        self.held: bool = False  # down with its group, whose restart is pending
        self.afterwards: Afterwards = Afterwards.CLOSE  # of one that is unstoppable
        self.first: bool = spec.retry_start  # its first start is tried again, until it was up once
        self.new: bool = added  # nothing is kept of it if it doesn't start
        self.asked: tuple[object, ...] = ()  # the tickets of those who wait for its start
        self.withdrawn: bool = False  # whoever asked was cancelled: no further try
        self.detached: bool = False  # its start is under way, and no work waits for it
        self.row: CrashRow | None = None  # of crashes of one fingerprint
        self.spent: bool = False  # it is down by its own limit, or in quarantine: no group brings it back
        self.over: bool = False  # nobody can reach it any more, so it is never started again
        self.backoff: Backoff | None = None
        self.window: RestartWindow | None = None
        self.restarts: int = 0
        self.last: ExitReason | None = None
        self.finished: bool = False

    def copy(self) -> Slot:
        """Another one that says the same, to try something on; its counts are its own."""
        other = Slot(self.id, self.spec, self.added)
        for field in Slot.__slots__:
            setattr(other, field, getattr(self, field))
        other.backoff = None if self.backoff is None else self.backoff.copy()
        other.window = None if self.window is None else self.window.copy()
        other.row = None if self.row is None else self.row.copy()
        return other

    def ended(self, now: float) -> None:
        """Its life is over. A healthy one ends each row of failures, whatever ended it: a crash, a stop, or its group."""
        if self.up_since is not None and now - self.up_since >= self.spec.restart.healthy_after:
            if self.backoff is not None:
                self.backoff.begin_anew()
            if self.row is not None:
                self.row.begin_anew()
        self.up_since = None

    @property
    def temporary(self) -> bool:
        return self.spec.restart.type is RestartType.TEMPORARY

    def info(self) -> ChildInfo:
        """What its supervisor shows of it."""
        spec = self.spec if self.spec.id == self.id else replace(self.spec, id=self.id)  # a spec may be shared
        finished = self.finished and self.state is STOPPED
        row = ("", 0) if self.row is None else (self.row.fingerprint, self.row.number)
        return ChildInfo(self.id, self.state, self.number, spec, self.due, self.restarts, self.last, finished, *row)
