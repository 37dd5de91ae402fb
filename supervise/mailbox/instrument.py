"""What watches messages and lives from within: the hooks of the hot path, or None, which costs one `is None` at most.

Theory of operation
-------------------
- A tree has its instruments from its start on, or none for ever (`spans/chosen.py` decides). Each mailbox has one of its own,
  or None.
- A mailbox with an instrument grants no credits ahead (see `lane.py`), so every message takes the slow way in, where it is
  asked for a message span. That travels in the envelope's options. A mailbox without one does nothing for all this.
- An incarnation finds its handlers through the instrument, which puts its own function around each of them. So the loop that
  runs the handlers is the same, watched or not.
- Hooks never raise, and never wait.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, TypeAlias

from supervise.message import AnyHandler

from .handler import Resolved, Table

if TYPE_CHECKING:
    from supervise.events import Decided, Started
    from supervise.journal.bus import Bus
    from supervise_strategies.exit_reason import ExitReason

    from .envelope import Envelope
    from .losses import Loss
    from .mailbox import Mailbox
    from .turn import IncarnationTurn, Turn

Find: TypeAlias = Callable[[type, Table, AnyHandler], Resolved]


class AnyMessageSpan(Protocol):
    """One message on its way. Its `with` lasts as long as its sender waits: for room, or for the reply."""

    @property
    def traceparent(self) -> str:
        """What an instrument of another process is told of it, as W3C's Trace Context writes it; empty: nothing."""
        ...

    def __enter__(self) -> Self: ...
    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None, /) -> None: ...


class Instrument(Protocol):
    """Watches one actor, over all its lives; or one supervisor."""

    def sends(self, handler: AnyHandler, turn: Turn | None, /) -> AnyMessageSpan: ...
    def calls(self, handler: AnyHandler, turn: Turn | None, /) -> AnyMessageSpan: ...
    def departs(self, handler: AnyHandler, turn: Turn | None, /, *, call: bool) -> AnyMessageSpan:
        """A message for an actor of another process goes out through this one, which carries it, and is never told of."""
        ...

    def passes(self) -> AnyMessageSpan:
        """A message of somebody else goes through this one, from one process to another, and is never told of."""
        ...

    def arrives(self, traceparent: str, /, *, call: bool) -> AnyMessageSpan:
        """A message comes from another process, whose instrument says so much of it."""
        ...

    def wakes(self, trigger: str, noted: object = None, /) -> AnyMessageSpan:
        """A message that nobody sent, or whoever was `noted` once."""
        ...

    def noted(self) -> object:
        """What is done now, for a message that comes of it later."""
        ...

    def asked_for(self, here: object, /) -> None:
        """Somebody asked for it to exist; `here` is what `Instruments.here` said there."""
        ...

    def asked_by(self, who: str, what: str, in_words: str, /) -> AbstractContextManager[object]:
        """A person asks for something to be done to it, which is done in the block."""
        ...

    def starts(self, number: int, /) -> None:
        """A life is asked for."""
        ...

    def started(self, instance: object, /) -> None:
        """It is ready."""
        ...

    def connects(self) -> None:
        """It, or what is being made of it, begins to connect to another process."""
        ...

    def connected(self, far: str, /) -> None:
        """It has done so; `far`: who is at the other end, in words."""
        ...

    def tells(self, bus: Bus, event: Started, /) -> None:
        """That; somebody would hear of it."""
        ...

    def loses(
        self, bus: Bus, envelope: Envelope, loss: Loss, why: object, error: BaseException | None, /
    ) -> AbstractContextManager[object]:
        """A message is lost. What is said of it is published in the block."""
        ...

    def told(self, bus: Bus, envelope: Envelope, /) -> AbstractContextManager[object]:
        """Its handler has raised, and the actor lives on. What is said of it is published in the block."""
        ...

    def lost(self, loss: Loss, /) -> None:
        """No more are lost for now; what wasn't said one by one may be summed up."""
        ...

    def finder(self, life: IncarnationTurn, find: Find, known: Table | None, /) -> tuple[Table, Find]:
        """Where a life finds its handlers, that would use `find` for it if nobody watched; `known`: those that it has found."""
        ...

    def asked_to_stop(self) -> None: ...
    def asked_to_end(self) -> None:
        """It asks for its own end, or somebody else does; its supervisor has told `asked_to_stop` before."""
        ...

    def killed(self) -> None: ...
    def failed(self) -> None:
        """A task of the nursery raised; in that task."""
        ...

    def branch(self) -> None:
        """Something begins a task of the nursery; called in the context that the task will have."""
        ...

    def ends(
        self, life: IncarnationTurn, span: AnyMessageSpan | None, reason: ExitReason, error: BaseException | None, /
    ) -> None:
        """All of a life is over but what is said of it; `span` is that of the message that it ended by."""
        ...

    def ended(self) -> None:
        """It was said, in the task of `ends`."""
        ...

    def gone(self, reason: ExitReason, error: BaseException | None, /) -> None:
        """The end of a supervisor."""
        ...


class Instruments(Protocol):
    """Watches a tree."""

    def for_actor(self, mailbox: Mailbox, supervisor: Instrument | None, kind: str, /) -> Instrument: ...
    def for_supervisor(
        self,
        path: str,
        parent: Instrument | None,
        kind: str,
        now: Callable[[], float],
        pass_up: Callable[[BaseException], object],
        /,
    ) -> Instrument:
        """`pass_up` takes a KeyboardInterrupt that strikes in the middle of a change."""
        ...

    def here(self) -> object:
        """Where something is asked for."""
        ...

    def decided(
        self, event: Decided, strategy: str, child: Instrument, affected: Sequence[Instrument], supervisor: Instrument, /
    ) -> None: ...


def tell_start(bus: Bus, instrument: Instrument | None, event: Started) -> None:
    """Publish that an actor, or a supervisor, has started."""
    if instrument is None:
        bus.publish(event)
    else:
        instrument.tells(bus, event)
