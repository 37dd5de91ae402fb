"""A turn: who runs now, on which mailbox, and which call it waits for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from supervise._backends import Future
    from supervise.message import AnyHandler

    from .envelope import Envelope, MessageOptions
    from .hops import Hops
    from .lane import Lane
    from .mailbox import Mailbox


class Unanswered:
    """A call whose handler has begun, and hasn't answered."""

    __slots__ = ("reply",)

    def __init__(self, reply: Future) -> None:
        self.reply: Future = reply


class _Beginning:
    """What a call that is being handled in the caller's own step waits for: it isn't done."""

    def done(self) -> bool:
        return False


BEGINNING: Final = cast("Future", _Beginning())
NOT_NOW: Final = object()
"""A call can't be handled at once."""


class Turn:
    """What the code of an actor runs in. Set once per incarnation, as the value of one context variable.

    `exclusive` is the sequential turn itself: one message at a time, on the actor's own task. Tasks of the nursery have a
    turn of their own, which isn't exclusive and has no message in hand. Child tasks that a handler starts inherit the
    exclusive turn by their context, so whether a caller really *is* the turn is only known by comparing tasks.
    """

    __slots__ = ("awaits", "in_hand", "mailbox", "pending", "task")
    exclusive: bool = True
    hops: Hops | None = None
    """Of a task that has no message in hand: those of the message whose handler has started it."""

    def __init__(self, mailbox: Mailbox) -> None:
        self.mailbox: Mailbox = mailbox
        self.task: object = None
        self.in_hand: Envelope | None = None
        self.awaits: Lane | None = None
        self.pending: Future | None = None  # what it waits for there: the reply, or room for the call

    @property
    def life(self) -> Turn:
        """That of the incarnation that it belongs to."""
        return self

    def below(self, hops: Hops) -> Turn:
        """That of a task which is begun for a message with these hops; only tasks of a nursery have one of their own."""
        return self

    def handling(self, reply: Future) -> Turn | None:
        """The turn that handles a call that was sent to this one's mailbox, or will."""
        return self


class IncarnationTurn(Turn, ABC):
    """What a mailbox and an instrument know of an incarnation: its turn, and how to end it."""

    __slots__ = ()
    instance: Any
    """The actor; None before it is ready, and after its end."""
    number: int
    """Which life it is, from 1."""
    running: bool
    """Whether its start has succeeded."""
    stopping: bool
    """Whether it was asked to end, or has crashed."""
    ordered: bool
    """Whether its supervisor asked for the end, and keeps the time."""

    @property
    def late(self) -> BaseException | None:
        """What ends it, if that is that its message in hand takes too long."""
        return None

    def answers_with(self, error: BaseException, *, call: bool) -> bool:
        """Whether what a handler raised is an answer, and not a crash; `call`: somebody waits for one, or did."""
        return False

    @abstractmethod
    def held(self) -> list[tuple[Lane, Envelope]]:
        """All that is in hand, in the order of hand-over, each with the lane that it came from."""

    def answer(
        self,
        handler: AnyHandler,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        sender: Mailbox | None,
        options: MessageOptions | None,
        /,
    ) -> Any:
        """Of one that sleeps: handle a call here and now, in the caller's own step. What the handler has returned.

        `NOT_NOW`: it can't be, and nothing has happened. An `Unanswered`: the handler has begun, and waits for something, or
        has raised; its reply is to be awaited.
        """
        return NOT_NOW

    def done(self) -> bool:
        """As of a future that it would wait for: whether it was woken already. One that sleeps is what wakes itself."""
        return True

    def set_result(self, result: None, /) -> None:
        """Of one that sleeps: there is something to do."""

    def takers(self) -> Iterable[Turn | None]:
        """Of a pool: those that may take what waits there; None stands for one that isn't up, but may be soon."""
        return ()

    @abstractmethod
    def look_again(self) -> None:
        """A message that waits for a place of its own, and holds up its lane, may be gone."""

    def holds(self, envelope: Envelope) -> bool:
        """Whether it has this one in hand."""
        return any(held is envelope for _, held in self.held())

    @abstractmethod
    def starting_before(self, mailbox: Mailbox) -> Sequence[Turn]:
        """Those that are starting now, and have to be ready before the actor of that mailbox, which isn't up, can start."""

    @abstractmethod
    def withdraw(self, reply: Future) -> None:
        """The caller of this call is gone, and takes along the handler that is at work for it, if there is one."""

    @abstractmethod
    def leave(self, grace: float | None) -> Future:
        """End normally once all that waits is handled, within so many seconds; done when it has ended."""

    @abstractmethod
    def ending(self) -> Future:
        """Done when it has ended, and what follows is known; nothing is asked of it."""

    @abstractmethod
    def kill(self) -> None:
        """End now."""


CURRENT: Final[ContextVar[Turn]] = ContextVar("supervise_turn")

# CPython makes a bound method for each call of one by an imported name: 35 of a send's 700 ns on 3.11, 50 on 3.13.
current_turn: Final = CURRENT.get
set_turn: Final = CURRENT.set
