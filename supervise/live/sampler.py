"""Who takes the processor: told by looking 50 times a second at whose code the tree's loop is in, while somebody watches.

What is told is an approximation: the loop's thread has used so much, and of the looks at which a handler ran so many were at
that actor. Code that keeps the interpreter's lock isn't seen at work.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Final

from supervise.actor.stack import runs_now
from supervise.tree.place import ActorPlace
from supervise_strategies.errors import ChildNotFound

if TYPE_CHECKING:
    from .board import Board
    from .lookout import Lookout

PERIOD: Final = 0.02
"""Seconds between two looks."""
LOOKED_AT: Final = 100
"""Actors that are looked at, those that have done something since the last survey."""
FEW: Final = 5
"""Looks that found somebody, with which shares are told,"""
LONGEST: Final = 10.0
"""and seconds after which they are told of nobody, if there weren't so many."""


class Sampler:
    """Of one tree. Its thread lives from `start` to `stop`."""

    def __init__(self, lookout: Lookout) -> None:
        self._lookout = lookout
        self._places: list[ActorPlace] = []
        self._done: dict[str, int] = {}
        self._found: Counter[str] = Counter()
        self._since: tuple[float, float] | None = None
        self._told: dict[str, float] = {}
        self._over = threading.Event()

    def start(self) -> None:
        """Begin to look."""
        self._over = over = threading.Event()
        self._found.clear()
        self._since, self._told = None, {}
        threading.Thread(target=self._run, args=(over,), name=f"sampler of {self._lookout.name}", daemon=True).start()

    def stop(self) -> None:
        """No more. Nothing of the tree is held from then on."""
        self._over.set()
        self._places, self._done = [], {}

    def look_at(self, board: Board) -> None:
        """Those that have work, as the last survey found. In the server's thread."""
        if self._over.is_set():
            return
        app = self._lookout.app
        done = {path: seen.row.handled + seen.row.failed for path, seen in board.rows.items() if seen.row.kind == "actor"}
        grown = {path: count - self._done.get(path, count) for path, count in done.items()}
        busy = [path for path, more in grown.items() if more or board.rows[path].row.hand]
        busy.sort(key=lambda path: grown[path], reverse=True)
        self._done = done
        self._places = [] if app is None else [*self._resolved(busy[:LOOKED_AT])]

    def _resolved(self, paths: list[str]) -> list[ActorPlace]:
        app = self._lookout.app
        found: list[ActorPlace] = []
        for path in paths if app is not None else ():
            assert app is not None
            try:
                place = app._branch.tree.registry.place(app._branch, path.removeprefix(f"{app.path}/"))
            except ChildNotFound:
                continue
            if isinstance(place, ActorPlace):
                found.append(place)
        return found

    def shares(self) -> dict[str, float]:
        """The share of a core of each, as of the last time that enough was seen."""
        now = (time.monotonic(), self._lookout.loop_time())
        if self._since is None:
            self._since = now
            return {}
        passed, total = now[0] - self._since[0], sum(self._found.values())
        if total < FEW and passed < LONGEST:
            return self._told
        share = max(0.0, now[1] - self._since[1]) / passed
        found, self._found, self._since = self._found, Counter(), now
        self._told = {path: round(share * count / total, 3) for path, count in found.items()} if total >= FEW else {}
        return self._told

    def _run(self, over: threading.Event) -> None:
        while not over.wait(PERIOD):
            self._look()

    def _look(self) -> None:
        for place in self._places:
            try:
                incarnation = place.incarnation
                if incarnation is not None and runs_now(incarnation):
                    self._found[place.path] += 1
                    return
            except Exception:  # it is just changing
                continue
