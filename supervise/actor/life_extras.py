"""What few lives have: one record beside the incarnation, made when the first of it is set. It is 150 bytes less for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from supervise.mailbox.extras import Extras, shared

if TYPE_CHECKING:
    from supervise._backends import Future, Handle, Scope
    from supervise.mailbox.lane import Lane
    from supervise_strategies.answers import Why
    from supervise_strategies.exit_reason import ExitReason

    from .checkpoint import Checkpoints
    from .concurrent_handlers import ConcurrentHandlers
    from .nursery import Nursery
    from .reading import Reading
    from .timers import Timers


class LifeExtras(Extras):
    """What a life has besides its messages, and what is known of its end before it has come."""

    __slots__ = (
        "checkpoints",
        "concurrent",
        "connecting",
        "draining",
        "end_timer",
        "ended_waiters",
        "judged",
        "lane",
        "leaving",
        "life_scope",
        "made",
        "manager",
        "ordered",
        "patient",
        "pipes",
        "readers",
        "stop_reason",
        "tasks",
        "throttle_timer",
        "timers",
        "works",
    )

    def __init__(self) -> None:
        self.made: Any = None  # by the factory, and not an actor yet
        self.manager: Any = None  # the async context manager that was entered
        self.life_scope: Scope | None = None
        self.timers: Timers | None = None
        self.readers: set[Reading] | None = None
        self.tasks: Nursery | None = None
        self.concurrent: ConcurrentHandlers | None = None
        self.connecting: bool = False  # it is up, and not well yet: what it speaks for hasn't answered
        self.checkpoints: Checkpoints | None = None
        self.pipes: int = 0  # results that it waits for, to be brought to itself
        self.lane: Lane | None = None  # that the message in hand came from, if there are several
        self.throttle_timer: Handle | None = None
        self.judged: tuple[BaseException, bool, Why | None] | None = None  # what an instrument was told of an error
        self.stop_reason: ExitReason | None = None
        self.draining: bool = False
        self.ordered: bool = False  # its supervisor asked for the end, and keeps the time
        self.leaving: bool = False  # its loop is over, and its first nursery
        self.patient: bool = False  # its nursery may finish
        self.works: bool = False  # it is there for a task of its nursery, which goes on until it is stopped
        self.end_timer: Handle | None = None
        self.ended_waiters: list[Future] | None = None


NO_EXTRAS: Final = shared(LifeExtras())
