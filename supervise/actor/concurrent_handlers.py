"""The concurrent handlers of one incarnation: messages that are in hand beside the one that is handled in turn."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from supervise.mailbox.envelope import cancels_with_caller, is_given_up
from supervise.mailbox.handler import Concurrency
from supervise.mailbox.turn import Turn, set_turn
from supervise_strategies.kind import is_of

from .nursery import Nursery

if TYPE_CHECKING:
    from supervise._backends import Future, Scope
    from supervise.mailbox.envelope import Envelope
    from supervise.mailbox.lane import Lane


class ConcurrentHandlers:
    """Made by the first of them. What is in hand here is settled with the incarnation, like all else that it had in hand.

    A message that finds as many at work as its limit allows waits in its lane, first of all, and holds that lane up alone.
    """

    __slots__ = (
        "_all",
        "_answer",
        "_cancelled",
        "_limit",
        "_mailbox",
        "_nursery",
        "_running",
        "_scopes",
        "_turn",
        "held_up",
        "in_hand",
    )

    def __init__(
        self,
        turn: Callable[[Envelope | None], Turn],
        answer: Callable[[Lane, Envelope, Any, BaseException | None, bool, bool], bool],
        crashed: Callable[[BaseException], object],
        limit: float | None,
    ) -> None:
        first = turn(None)
        self._turn = turn
        self._mailbox = first.mailbox
        self._answer = answer
        self._nursery = Nursery(first.mailbox, first, crashed)
        self._limit = math.inf if limit is None else limit  # of all of them together
        self._all = 0  # that run
        self._running: Counter[str] = Counter()  # by handler
        self._cancelled = False
        self._scopes: dict[int, Scope] = {}  # by the identity of the reply: of calls whose callers take their handler along
        self.held_up: set[Lane] = set()  # lanes whose first message waits for a place
        self.in_hand: dict[int, tuple[Lane, Envelope]] = {}  # by the identity of the envelope, in the order of hand-over

    def has_place(self, concurrency: Concurrency, lane: Lane) -> bool:
        """Whether one more may begin. False: as many run as its limit allows, or the end has begun; its lane is held up."""
        if self._all >= self._limit or self._running[concurrency.key] >= concurrency.limit or self._cancelled:
            self.held_up.add(lane)
            return False
        return True

    def begin(self, concurrency: Concurrency, lane: Lane, envelope: Envelope, result: Awaitable[Any]) -> None:
        """Begin one more, for which there is a place."""
        self._running[concurrency.key] += 1
        self._all += 1
        self.in_hand[id(envelope)] = (lane, envelope)
        self._nursery.start_soon(self._run, concurrency, lane, envelope, result, name=concurrency.key)

    async def _run(self, concurrency: Concurrency, lane: Lane, envelope: Envelope, awaited: Awaitable[Any]) -> None:
        set_turn(self._turn(envelope))
        result: Any = None
        failure: BaseException | None = None
        withdrawn = False
        try:
            if cancels_with_caller(lane.mailbox, envelope):
                withdrawn, result = await self._withdrawable(envelope, awaited)
            else:
                result = await awaited
        except BaseException as error:
            failure = error
        self._running[concurrency.key] -= 1
        self._all -= 1
        if is_of(failure, GeneratorExit):  # the loop is gone
            raise failure
        with lane.mailbox.dead_letters.bus:  # who hears of it finds it out of hand
            answered = self._answer(lane, envelope, result, failure, concurrency.isolate, withdrawn)
            if answered:
                del self.in_hand[id(envelope)]
                self._mailbox.out_of_hand(envelope)
        if not answered and failure is not None:
            try:
                raise failure
            finally:
                del failure  # its traceback has this frame
        self.held_up.clear()
        if self._mailbox.attention:  # it waits for this place, or, being about to end, for those that run
            self._mailbox.wake()

    async def _withdrawable(self, envelope: Envelope, awaited: Awaitable[Any]) -> tuple[bool, Any]:
        """Await it in a scope of its own; whether its caller has cancelled that, and what it returned if not."""
        with self._turn(None).mailbox.backend.scope() as scope:
            self._scopes[id(envelope[3])] = scope
            if is_given_up(envelope):  # since it was handed over, and before this task has run
                scope.cancel()
            try:
                return False, await awaited
            finally:
                del self._scopes[id(envelope[3])]
        return True, None

    def withdraw(self, reply: Future) -> None:
        """The caller of this call is gone: its handler is cancelled, if it may be."""
        scope = self._scopes.get(id(reply))
        if scope is not None:
            scope.cancel()

    def cancel(self) -> None:
        """Cancel all that run, and begin none any more."""
        self._cancelled = True
        self._nursery.cancel()

    async def end(self, *, cancel: bool) -> None:
        """Wait for all that run, cancelled or not."""
        await self._nursery.end(cancel=cancel)
