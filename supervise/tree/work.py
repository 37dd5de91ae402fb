"""What an incarnation does beside its messages, where the end of that work is the end of the incarnation.

A coroutine that runs, a process, a thread, a server: they all end by themselves, and their actor ends with them, for the
reason that they had. What goes on here on behalf of all of them is little, but must be the same for all.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, TypeVarTuple, Unpack

from supervise.actor.incarnation import NurseryTurn
from supervise.actor.nursery import Nursery
from supervise.mailbox.turn import set_turn
from supervise_strategies.exit_reason import NORMAL, ExitKind, ExitReason

from .current import current

if TYPE_CHECKING:
    from supervise.actor.incarnation import Incarnation

Ts = TypeVarTuple("Ts")


class Work:
    """Made in the enter hook of an actor, by its own code. All but `soon` belongs to the loop's thread."""

    __slots__ = ("_context", "_incarnation", "_outlasting", "soon")

    def __init__(self) -> None:
        incarnation: Incarnation = current()._incarnation
        self._incarnation = incarnation
        incarnation.own_extras().works = True
        self._outlasting: Nursery | None = None
        self._context: Context = copy_context()
        self._context.run(set_turn, NurseryTurn(incarnation))
        self.soon: Callable[[Callable[[], object]], object] = incarnation.mailbox.backend.from_anywhere()
        """Runs a function in the loop, soon and in order, from any thread; does nothing once the loop is closed."""

    @property
    def path(self) -> str:
        """The actor's full path."""
        return self._incarnation.mailbox.path

    @property
    def number(self) -> int:
        """Which life this is."""
        return self._incarnation.number

    @property
    def ready(self) -> bool:
        """Whether the start has succeeded."""
        return self._incarnation.running

    def start(self, function: Callable[[Unpack[Ts]], Coroutine[Any, Any, object]], /, *args: *Ts) -> None:
        """Run it in a task of the nursery: cancelled, and awaited, as soon as the actor ends, before the exit hook."""
        self._incarnation.nursery().start_soon(self._run, function, args, name=f"{self.path} work")

    def start_outlasting(self, function: Callable[[Unpack[Ts]], Coroutine[Any, Any, object]], /, *args: *Ts) -> None:
        """The same, in a task that goes on until the exit hook awaits `end`, which it must."""
        if self._outlasting is None:
            incarnation = self._incarnation
            self._outlasting = Nursery(incarnation.mailbox, NurseryTurn(incarnation), incarnation.fail)
        self._outlasting.start_soon(self._run, function, args, name=f"{self.path} work")

    def run(self, function: Callable[[Unpack[Ts]], object], /, *args: *Ts) -> None:
        """Run a plain function here and now, as the actor's own code beside its messages. What it raises is its crash.

        For what is called by the loop itself, through `soon`, where nobody else would take it.
        """
        try:
            self._context.run(function, *args)
        except BaseException as error:
            self.failed(error)

    def context(self) -> Context:
        """A context for a thread of the actor's: what is logged, traced and asked of `current()` there is the actor's."""
        return self._context.copy()

    async def end(self) -> None:
        """Cancel what was started as outlasting, and wait until it has ended, whatever happens to the waiter."""
        if self._outlasting is not None:
            await self._outlasting.end()

    def failed(self, error: BaseException) -> None:
        """The actor crashes with this error, itself and not in a group; before it is ready, its start fails with it."""
        self._incarnation.fail(error)

    def over(self, reason: ExitReason = NORMAL) -> None:
        """The actor ends for this reason, unless it is ending already."""
        if not self._incarnation.stopping:
            self._incarnation.stop(reason)

    def killed(self, how: str) -> None:
        """The actor ends as killed: somebody else ended its work. A handler in hand is cancelled, and `how` is lost then."""
        if self._incarnation.in_hand is None:
            self.over(ExitReason(ExitKind.KILLED, how))
        else:
            self._incarnation.kill()

    async def _run(self, function: Callable[..., Coroutine[Any, Any, object]], args: tuple[Any, ...]) -> None:
        try:
            await function(*args)
        except Exception as error:
            self.failed(error)
        else:
            self.over()
