"""What an incarnation needs to know of its owner, the logical actor that it is a life of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from supervise.journal.bus import Bus
    from supervise.mailbox.envelope import Envelope
    from supervise.mailbox.mailbox import Mailbox
    from supervise.mailbox.turn import Turn
    from supervise_strategies.answers import Answers
    from supervise_strategies.exit_reason import ExitReason
    from supervise_strategies.redeliver import Redeliver

    from .incarnation import Incarnation


class Owner(Protocol):
    """What lasts from life to life. The place in a tree is one, and so is the runner of an open mailbox."""

    mailbox: Mailbox

    @property
    def bus(self) -> Bus: ...
    @property
    def host(self) -> object:
        """The task that everything hangs on."""
        ...

    def make(self) -> Any:
        """Call the factory; what it raises passes through."""
        ...

    @property
    def answers(self) -> Answers: ...
    @property
    def end_within(self) -> float: ...
    @property
    def redeliver(self) -> Redeliver: ...
    def entering(self, incarnation: Incarnation) -> None:
        """Its start has to wait for something."""
        ...

    def started(self, incarnation: Incarnation) -> None: ...
    def connected(self, incarnation: Incarnation) -> None:
        """It was connecting, and isn't any more."""
        ...

    def ended(
        self,
        incarnation: Incarnation,
        reason: ExitReason,
        error: BaseException | None,
        *,
        ignored: bool,
        again: bool = False,
        culprit: Envelope | None = None,
    ) -> Incarnation | None:
        """All is over; the answer is the next incarnation, if it is to run in the same task.

        `again`: it ended by a message that had ended a life before. `culprit`: the message that it ended by, if any.
        """
        ...

    def kill(self) -> None:
        """Its end takes too long: cancel it, and say so if it still runs then."""
        ...

    def fatal(self, error: BaseException) -> None: ...
    def abandoned(self) -> None:
        """The loop is ending, and has cancelled all its tasks: nothing is to be begun any more."""
        ...

    def broken(self, error: BaseException) -> None:
        """The library itself failed in the actor's task, and its owner may not know all of it."""
        ...

    def starting_before(self, mailbox: Mailbox) -> Sequence[Turn]:
        """Those that are starting now, and have to be ready before the actor of that mailbox, which isn't up, can start."""
        ...

    def find(self, key: Any, *, lent: bool = False) -> Any: ...
    def supervisor(self, key: Any) -> object: ...
    def stop_tree(self, why: str) -> None: ...
