"""Surveys for all that watch the same part of a tree: none while nobody looks, and never more than cost little.

A survey is begun again after 100 times what it took of the tree's thread, and 60 times what it and its rows took in all, times
the parts that are looked at. So all that look, together, take some 2 % of a core.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Final

from supervise.log import say
from supervise_strategies.errors import StrategyError

from .board import Board
from .event_feed import EventFeed
from .lookout import LoopBlocked, LoopGone
from .sampler import Sampler
from .survey import SLICE, Survey

if TYPE_CHECKING:
    from supervise.tree.branch import BranchPlace

    from .board import Seen
    from .lookout import Lookout

WATCHERS: Final = 8
"""That one server has at most."""
OF_LOOP: Final = 100
"""A survey is begun again after so many times what it took of the tree's thread,"""
OF_ALL: Final = 60
"""and so many times what it, and what was told of it, took of both threads."""
LISTENS: Final = 0.25
"""Seconds between two looks at what happened, and at whether the loop is blocked."""
IDLE: Final = 16
"""Parts that are remembered though nobody watches them; who asks for more has to wait."""
FORGOTTEN: Final = 60.0
"""Seconds after which what nobody looks at any more is forgotten."""


class TooManyWatchers(Exception):
    """There are as many as there can be."""


class NotRunning(Exception):
    """The tree doesn't run (yet, or any more)."""


class Feed:
    """Of what is below one supervisor; `under` is its path relative to the root, empty for all."""

    def __init__(self, feeds: Feeds, under: str) -> None:
        self._feeds = feeds
        self.under: str = under
        self.board: Board = Board()
        self._cost = 0.0  # seconds to wait for what the last survey took, if nothing else is looked at
        self.every: list[float] = []
        """What those who watch have asked for."""
        self._lock = asyncio.Lock()
        self._told = 0.0  # seconds of the server's thread
        self.used: float = time.monotonic()
        self.lost: str = ""
        """Why what is watched can't be seen now."""

    @property
    def lookout(self) -> Lookout:
        return self._feeds.lookout

    @property
    def interval(self) -> float:
        """Seconds that have to pass between two surveys."""
        return self._cost * max(1, self._feeds.number)

    @property
    def due(self) -> float:
        """Seconds until the next survey may begin."""
        return 0.0 if self.board.survey is None else max(0.0, self.board.taken + self.interval - time.monotonic())

    async def renew(self) -> None:
        """Take a survey if it is time for one. Raises `NotRunning`, `LoopBlocked`, `LoopGone`, `ChildNotFound`."""
        self.used = time.monotonic()
        async with self._lock:
            if self.due > 0:
                return
            lookout = self.lookout
            survey = await lookout.ask(self._begin)
            done = await lookout.ask(survey.go_on)
            while not done:
                await asyncio.sleep(SLICE)  # it is the others' turn for as long
                done = await lookout.ask(survey.go_on)
            with self.telling():
                await self.board.take(survey, self._feeds.sampler.shares())
            self.lost = ""
            self._feeds.sampler.look_at(self.board)
            told, self._told = self._told, 0.0
            self._cost = max(OF_LOOP * survey.cost, OF_ALL * (survey.cost + told))

    @contextmanager
    def telling(self) -> Generator[None]:
        """What is done in the block is a part of what a survey costs: it is told to who watches."""
        begun = time.thread_time()
        try:
            yield
        finally:
            self._told += time.thread_time() - begun

    def _begin(self) -> Survey:
        return Survey(self._feeds.branch(self.under))


class Feeds:
    """All of one server, and what they share."""

    def __init__(self, lookout: Lookout) -> None:
        self.lookout: Lookout = lookout
        self.events: EventFeed = EventFeed()
        self.sampler: Sampler = Sampler(lookout)
        self._by_path: dict[str, Feed] = {}
        self._watchers = 0
        self._bell = asyncio.Event()
        self._pump: asyncio.Task[None] | None = None
        self._ended = False

    @property
    def number(self) -> int:
        """Of the parts that are looked at, by who watches or by who has just asked."""
        since = time.monotonic() - FORGOTTEN
        return sum(bool(feed.every) or (feed.board.survey is not None and feed.used > since) for feed in self._by_path.values())

    def branch(self, under: str) -> BranchPlace:
        """The supervisor there, in the tree's loop. Raises `NotRunning`, `ChildNotFound`, `InvalidSpec`."""
        app = self.lookout.app
        if app is None:
            raise NotRunning(self.lookout.name)
        return app._branch.tree.registry.branch(app._branch, under or None)

    def of(self, under: str) -> Feed:
        """The one of that part. Raises `TooManyWatchers`."""
        now = time.monotonic()
        for path, old in [*self._by_path.items()]:
            if not old.every and now - old.used > max(FORGOTTEN, old.interval):
                del self._by_path[path]
        feed = self._by_path.get(under)
        if feed is None:
            idle = [path for path, old in self._by_path.items() if not old.every]
            if len(idle) >= IDLE:  # one that may be looked at again anyway makes room: nobody gets a survey by asking in turn
                free = next((path for path in idle if self._by_path[path].due == 0), None)
                if free is None:
                    raise TooManyWatchers
                del self._by_path[free]
            feed = self._by_path[under] = Feed(self, under)
        feed.used = now
        return feed

    def seen(self, path: str) -> Seen | None:
        """How an actor was last seen, by who looks at the whole tree."""
        feed = self._by_path.get("")
        return None if feed is None else feed.board.rows.get(path)

    @asynccontextmanager
    async def watching(self, under: str, every: float) -> AsyncGenerator[Feed]:
        """Somebody watches it in the block. Raises `TooManyWatchers`, and what `renew` does."""
        if self._watchers >= WATCHERS:
            raise TooManyWatchers
        feed = self.of(under)
        self._watchers += 1
        feed.every.append(every)
        try:
            if self._pump is None:
                self._pump = asyncio.create_task(self._run())
            yield feed
        finally:
            feed.every.remove(every)
            self._watchers -= 1
            if not self._watchers and self._pump is not None:
                pump, self._pump = self._pump, None
                pump.cancel()
                self.sampler.stop()
                self.lookout.soon(self.events.stop)

    async def rung(self, seconds: float) -> bool:
        """Wait until something may have changed, or so long. False: the server ends."""
        bell = self._bell
        try:
            async with asyncio.timeout(seconds):
                await bell.wait()
        except TimeoutError:
            pass
        return not self._ended

    def ring(self) -> None:
        """Something has changed."""
        self._bell.set()
        self._bell = asyncio.Event()

    def end(self) -> None:
        """The server ends: so do those who watch."""
        self._ended = True
        self.ring()

    async def listen(self) -> None:
        """Hear what happens in the tree that runs now. Raises `NotRunning`, `LoopBlocked`, `LoopGone`."""
        await self.lookout.ask(self._listen)

    async def _run(self) -> None:
        """As long as anybody watches."""
        self.sampler.start()
        before: tuple[object, ...] = ()
        known: type[Exception] | None = None
        while True:
            state = "running"
            try:
                await self.listen()  # it tells, too, whether the loop is blocked
                for feed in [*self._by_path.values()]:
                    if feed.every and not feed.due and time.monotonic() - feed.board.taken >= min(feed.every):
                        await self._renew(feed)
            except LoopBlocked:
                state = f"blocked for {self.lookout.blocked_for:.0f} s"
            except LoopGone:
                state = "gone"
            except NotRunning:
                state = "not running"
            except Exception as error:  # a fault of ours: who watches is told the rest, and it is said once
                if known is not type(error):
                    known = type(error)
                    say(logging.ERROR, "the live view of %s can't look", self.lookout.name, error=error)
                state = f"can't look: {type(error).__name__}"
            now = (state, self.events.last, *((feed.board.seq, feed.lost) for feed in self._by_path.values()))
            if now != before:
                before = now
                self.ring()
            await asyncio.sleep(LISTENS)

    async def _renew(self, feed: Feed) -> None:
        try:
            await feed.renew()
        except StrategyError as error:  # what is watched isn't there now
            feed.lost = str(error)

    def _listen(self) -> None:
        self.events.listen(self.branch(""))
