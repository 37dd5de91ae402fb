"""One result that another thread hands to the loop."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final
from weakref import WeakSet

import anyio

from supervise.errors import WrongProcess
from supervise_strategies.answers import stand_in
from supervise_strategies.kind import is_of


class Handoff:
    """Made in the loop; settled once, from any thread; awaited in the loop.

    It is settled through the loop and not by a task, so nothing that cancels tasks can keep it from those who wait. In a
    process that is forked off there is no such thread, so nothing will come: there it is settled with `WrongProcess`.
    """

    __slots__ = ("__weakref__", "_error", "_result", "_settled", "_soon")

    def __init__(self, soon: Callable[[Callable[[], object]], object]) -> None:
        self._soon = soon
        self._settled = anyio.Event()
        self._result: Any = None
        self._error: BaseException | None = None
        _all.add(self)

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

    async def wait(self) -> None:
        """Wait, whatever it is that comes."""
        await self._settled.wait()

    async def result(self) -> Any:
        """Wait for it; raises what the other thread raised.

        What means something else in a coroutine than it did there, such as StopIteration, is the cause of a RuntimeError.
        """
        await self._settled.wait()
        return self._outcome()

    async def outlasted(self) -> Any:
        """The same, but a cancellation arrives late: a thread can't be cancelled, only outlived. What it raised comes first."""
        try:
            await self.until_settled()
        except BaseException:
            if self._error is None:
                raise
        return self._outcome()

    def _outcome(self) -> Any:
        error, self._error = self._error, None
        if error is not None:
            try:
                if _means_the_same(error):
                    raise error
                raise stand_in(error) from error
            finally:
                del error  # a frame that holds the exception that holds the frame
        return self._result

    async def until_settled(self) -> None:
        """Wait, whatever it is that comes. A cancellation arrives late.

        The end of `asyncio.run` cancels through a shield, and may do it again, so each time the wait goes on.
        """
        late: BaseException | None = None
        while not self.settled:
            try:
                with anyio.CancelScope(shield=late is not None):
                    await self._settled.wait()
            except BaseException as error:
                if is_of(error, GeneratorExit, Exception):  # the loop is gone, and nobody can wait
                    raise
                late = error if late is None else late
        if late is not None:
            try:
                raise late
            finally:
                del late


def _means_the_same(error: BaseException) -> bool:
    """A coroutine can't raise StopIteration; GeneratorExit and a foreign cancellation would be taken for what they are here."""
    if isinstance(error, Exception):
        return not isinstance(error, StopIteration)
    return isinstance(error, KeyboardInterrupt | SystemExit | BaseExceptionGroup)


_all: Final[WeakSet[Handoff]] = WeakSet()


def _forked() -> None:
    for handoff in [*_all]:
        with suppress(Exception):  # another thread than the loop's has forked: nobody will ever go on there
            handoff.settle(None, WrongProcess("this belongs to a thread of the process that this one was forked from"))


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_forked)
