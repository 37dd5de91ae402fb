"""The hand in the tree's loop that does what operators ask for: a task for each action, none of which outlives the server."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import anyio

from supervise.errors import SuperviseError
from supervise_strategies.errors import StrategyError
from supervise_strategies.exception import interrupts

from .request import Refused

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

AT_ONCE: Final = 16
"""Actions that may be under way."""


class Doing:
    """One action. It is made in the server's loop's name, and waited for there."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._done: asyncio.Future[tuple[str, BaseException | None]] = loop.create_future()

    def settle(self, text: str, error: BaseException | None) -> None:
        """It is over, in the tree's loop."""
        with contextlib.suppress(RuntimeError):  # the server has ended
            self._loop.call_soon_threadsafe(self._settle, text, error)

    def _settle(self, text: str, error: BaseException | None) -> None:
        if not self._done.done():
            self._done.set_result((text, error))

    async def wait(self) -> str:
        """What was done, in words; or raise why it wasn't."""
        text, error = await asyncio.shield(self._done)
        if error is not None:
            raise error
        return text


class Hand:
    """Of one server. Its task group is in the tree's loop."""

    def __init__(self, group: TaskGroup) -> None:
        self._group = group
        self._under_way = 0
        self._wanted: deque[tuple[Callable[[], Awaitable[str]], Doing]] = deque()
        self._bell = anyio.Event()
        self.loop: asyncio.AbstractEventLoop | None = None
        """That of the server."""

    def begin(self, work: Callable[[], Awaitable[str]]) -> Doing:
        """Do it soon, in a task of its own. This is called by the loop, in no task."""
        if self._under_way >= AT_ONCE:
            raise Refused(429, f"{AT_ONCE} actions are under way: wait for one of them")
        assert self.loop is not None
        doing = Doing(self.loop)
        self._under_way += 1
        self._wanted.append((work, doing))
        self._bell.set()
        return doing

    async def run(self) -> None:
        """Do what is wanted, until it is cancelled."""
        while True:
            while self._wanted:
                self._group.start_soon(self._do, *self._wanted.popleft())
            self._bell = anyio.Event()
            await self._bell.wait()

    async def _do(self, work: Callable[[], Awaitable[str]], doing: Doing) -> None:
        text, error = "", None
        try:
            text = await work()
        except (StrategyError, SuperviseError, Refused) as refused:
            error = refused
        except BaseException as raised:
            if interrupts(raised) or not isinstance(raised, Exception):  # it is cancelled: the server ends
                doing.settle("", Refused(503, "the tree ends"))
                raise
            error = Refused(500, f"it failed: {type(raised).__name__}")
        finally:
            self._under_way -= 1
        doing.settle(text, error)
