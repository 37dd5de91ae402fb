"""One result that another thread hands to the loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio


class Handoff:
    """Made in the loop; settled once, from any thread; awaited in the loop."""

    __slots__ = ("_error", "_result", "_settled", "_soon")

    def __init__(self, soon: Callable[[Callable[[], object]], object]) -> None:
        self._soon = soon
        self._settled = anyio.Event()
        self._result: Any = None
        self._error: BaseException | None = None

    def give(self, result: Any) -> None:
        """From any thread: the result. What is settled already stays as it is."""
        self._soon(lambda: self.settle(result, None))

    def fail(self, error: BaseException) -> None:
        """From any thread: what was raised instead."""
        self._soon(lambda: self.settle(None, error))

    def settle(self, result: Any, error: BaseException | None) -> None:
        """The same, in the loop's own thread, at once."""
        if not self._settled.is_set():
            self._result, self._error = result, error
            self._settled.set()

    @property
    def settled(self) -> bool:
        return self._settled.is_set()

    async def result(self) -> Any:
        """Wait for it; raises what the other thread raised."""
        await self._settled.wait()
        error, self._error = self._error, None
        if error is not None:
            try:
                raise error
            finally:
                del error  # a frame that holds the exception that holds the frame
        return self._result

    async def until_settled(self) -> None:
        """Wait, whatever it is that comes. A cancellation arrives late: a thread can't be cancelled, only outlived."""
        try:
            await self._settled.wait()
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._settled.wait()
            raise
