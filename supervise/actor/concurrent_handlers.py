"""The concurrent handlers of one incarnation: messages that are in hand beside the one that is handled in turn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from supervise.mailbox.handler import Concurrency
from supervise.mailbox.turn import CURRENT, Turn

from .nursery import Nursery

if TYPE_CHECKING:
    from supervise._backends import Future
    from supervise.mailbox.envelope import Envelope
    from supervise.mailbox.lane import Lane


class ConcurrentHandlers:
    """Made by the first of them. What is in hand here is settled with the incarnation, like all else that it had in hand."""

    __slots__ = ("_answer", "_cancelled", "_nursery", "_room", "_running", "_turn", "in_hand")

    def __init__(
        self,
        turn: Callable[[Envelope | None], Turn],
        answer: Callable[[Envelope, Any, BaseException | None, bool], bool],
        crashed: Callable[[BaseException], object],
    ) -> None:
        first = turn(None)
        self._turn = turn
        self._answer = answer
        self._nursery = Nursery(first.mailbox, first, crashed)
        self._running: Counter[str] = Counter()
        self._room: Future | None = None
        self._cancelled = False
        self.in_hand: dict[int, tuple[Lane, Envelope]] = {}  # by the identity of the envelope, in the order of hand-over

    async def take(self, concurrency: Concurrency, lane: Lane, envelope: Envelope, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Begin one more, once fewer run than its limit. If the end comes first it goes back: nobody has begun it."""
        begun = False
        try:
            while self._running[concurrency.key] >= concurrency.limit:
                self._room = lane.mailbox.backend.future()
                await self._room
            begun = not self._cancelled
        finally:
            if not begun:
                coroutine.close()
                lane.put_back(envelope)
        if not begun:
            return
        self._running[concurrency.key] += 1
        self.in_hand[id(envelope)] = (lane, envelope)
        self._nursery.start_soon(self._run, concurrency, envelope, coroutine, name=concurrency.key)

    async def _run(self, concurrency: Concurrency, envelope: Envelope, coroutine: Coroutine[Any, Any, Any]) -> None:
        CURRENT.set(self._turn(envelope))
        result: Any = None
        failure: BaseException | None = None
        try:
            result = await coroutine
        except BaseException as error:
            failure = error
        self._running[concurrency.key] -= 1
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)
        if isinstance(failure, GeneratorExit):  # the loop is gone
            raise failure
        if self._answer(envelope, result, failure, concurrency.isolate):
            del self.in_hand[id(envelope)]
        elif failure is not None:
            raise failure

    def cancel(self) -> None:
        """Cancel all that run, and begin none any more."""
        self._cancelled = True
        self._nursery.cancel()

    async def end(self, *, cancel: bool) -> None:
        """Wait for all that run, cancelled or not."""
        await self._nursery.end(cancel=cancel)
