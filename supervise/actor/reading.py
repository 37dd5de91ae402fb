"""A stream that an actor reads: each item becomes a message in its mailbox.

By fair turns: the next item is taken from the stream when the actor has begun to handle the last one. So however fast a
source is, another one's item waits behind at most one item of each; and what isn't taken waits in the stream, whose sender
feels the back-pressure.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable
from typing import TYPE_CHECKING, Any, cast

import anyio

from supervise._backends import give
from supervise.mailbox.source import Source
from supervise.mailbox.subscription import Subscription
from supervise.message import AnyHandler
from supervise_strategies.errors import InvalidSpec

if TYPE_CHECKING:
    from supervise._backends import Future
    from supervise.mailbox.envelope import MessageOptions

    from .incarnation import Incarnation


class Reading(Source):
    """One stream, one handler, and the nursery task that reads."""

    __slots__ = ("_begun", "_incarnation", "_stream", "scope")

    def __init__(self, incarnation: Incarnation, stream: AsyncIterable[Any], handler: AnyHandler) -> None:
        mailbox = incarnation.mailbox
        if not hasattr(type(stream), "__aiter__"):
            cure = "an anyio receive stream, or another asynchronous iterable"
            raise InvalidSpec(f"read() of {mailbox.path!r}", "stream", stream, cure)
        super().__init__(mailbox, handler)
        self.scope: anyio.CancelScope = anyio.CancelScope()
        self._incarnation = incarnation
        self._stream = stream
        self._begun: Future | None = None
        extras = incarnation.own_extras()
        if extras.readers is None:
            extras.readers = set()
        extras.readers.add(self)
        if incarnation.stopping:
            self.scope.cancel()

    async def run(self) -> None:
        """Read until the stream ends, the incarnation is asked to end, or the scope is cancelled."""
        items: Any = aiter(self._stream)
        subscription = cast("Subscription[Any]", items) if issubclass(type(items), Subscription) else None
        try:
            with self.scope:
                async for item in items:
                    if subscription is not None:
                        self._noted = subscription._noted
                    # Nothing is awaited between the stream and the mailbox: a cancellation there would lose the item.
                    self._put((item,), {})
                    del item  # the mailbox has it; a reader that waits mustn't pin it
                    if self._mailbox.refusal == "closed":
                        self._mailbox.discard("its mailbox was closed")
                    while self._queued is not None:  # what finds no place for it yet is put back, and waits on
                        self._begun = self._mailbox.backend.future()
                        await self._begun
        finally:
            if self._incarnation.extras.readers is not None:
                self._incarnation.extras.readers.discard(self)
            if isinstance(items, AsyncGenerator):  # nobody else can close it
                await items.aclose()

    def _taken_out(self, options: MessageOptions) -> bool:
        if self._queued is options:
            self._queued = None
            if self._begun is not None:
                give(self._begun, None)
        return True
