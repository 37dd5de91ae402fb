"""A survey: one walk over a tree in its own thread, in slices that are short enough for nobody to feel them.

Of a tree with many actors not all rows are kept, but sums by type, and the rows that are worst off.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from supervise.tree.branch import BranchPlace
from supervise.tree.pool_place import PoolPlace
from supervise.tree.snapshot import is_required, what_is_amiss

from .row import Row, row_of, supervisor_row

SLICE: Final = 0.001
"""Seconds that the tree's loop is held up at most at a time; and one row more, which takes some 10 µs."""
MOST_ROWS: Final = 5000
"""Actors of which each has a row; of more there are sums by type, and the worst."""
WORST: Final = 300
"""Rows of these."""
EVERY: Final = 8
"""Rows between two looks at the clock, which takes a hundredth of one."""


@dataclass(slots=True)
class Sums:
    """What all actors of one type have together."""

    type: str
    actors: int = 0
    down: int = 0
    """That aren't as they should be."""
    restarts: int = 0
    queued: int = 0
    busy: int = 0
    """With a message in hand."""
    senders: int = 0
    accepted: int = 0
    handled: int = 0
    failed: int = 0
    dead_lettered: int = 0

    def add(self, row: Row, in_pool: bool) -> None:
        """A pool is no actor itself, and its workers' messages are in its own account."""
        if row.kind != "pool":
            self.actors += 1
            self.down += not row.well
            self.busy += bool(row.hand)
        self.restarts += row.restarts
        self.queued += row.queued
        self.senders += row.senders
        if not in_pool:
            self.accepted += row.accepted
            self.handled += row.handled
            self.failed += row.failed
            self.dead_lettered += row.dead_lettered

    def as_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


class Survey:
    """One of what is below a supervisor. `go_on` is called in the tree's thread until it is done; then it is read anywhere."""

    def __init__(self, branch: BranchPlace, *, most: int = MOST_ROWS, worst: int = WORST) -> None:
        self._branch: BranchPlace | None = branch  # until it is done: what was seen doesn't hold the tree
        self._most = most
        self._worst = worst
        self._candidates: list[tuple[tuple[int, float, int, int], int, Row]] = []
        self._counted = 0
        self._walk = self._rows(branch)
        self.rows: list[Row] = []
        """All, from the top down in start order; or of many the supervisor itself and the worst, worst first."""
        self.sums: dict[str, Sums] = {}
        self.is_cut: bool = False
        """Whether there are too many for all of them to have a row."""
        self.began: float = branch.tree.began
        """When the tree began, by its clock."""
        self.at: float = 0.0
        """When it was done, by the same."""
        self.cost: float = 0.0
        """Seconds that it has taken of the tree's thread."""
        self.amiss: str = ""
        """What keeps the supervisor itself from being ready."""
        self.down: list[str] = []
        """What of it that is required is down, in words; the first ones."""
        self.degraded: bool = False

    def go_on(self, seconds: float = SLICE) -> bool:
        """One slice. True: it is done."""
        begun = time.perf_counter()
        done = False
        for number, _ in enumerate(self._walk, 1):
            if number % EVERY == 0 and time.perf_counter() - begun >= seconds:
                break
        else:
            done = True
            branch, self._branch = self._branch, None
            assert branch is not None
            self.at = branch.tree.backend.now()
            self.amiss = what_is_amiss(branch)
        self.cost += time.perf_counter() - begun
        return done

    def _rows(self, root: BranchPlace) -> Iterator[None]:
        now = root.tree.backend.now
        needed = {root: True}
        self._keep(_of_itself(root), in_pool=False)
        for place in root.walk():
            above = place.above or root
            if above not in needed:  # it was added, and its supervisor forgotten, since the walk began
                continue
            required = needed[above] and is_required(place, above)
            if isinstance(place, BranchPlace):
                needed[place] = required
            row = row_of(place, above, required, now())
            in_pool = isinstance(above, PoolPlace)
            self._judge(row, in_pool)
            self._keep(row, in_pool)
            yield
        if self.is_cut:
            self.rows += [row for *_, row in heapq.nlargest(self._worst, self._candidates)]
        self._candidates = []

    def _judge(self, row: Row, in_pool: bool) -> None:
        if in_pool:  # a pool is one thing: its workers aren't judged by themselves
            return
        if not row.well and row.required and len(self.down) < 10:
            self.down.append(f"{row.path} is {row.state}{f': {row.error}' if row.error != '' else ''}")
        elif not row.well or (row.kind == "pool" and row.workers_up < row.workers):
            self.degraded = True

    def _keep(self, row: Row, in_pool: bool) -> None:
        if row.kind != "supervisor":
            sums = self.sums.get(row.type)
            if sums is None:
                sums = self.sums[row.type] = Sums(row.type)
            sums.add(row, in_pool)
        self._counted += 1
        if not self.is_cut:
            self.rows.append(row)
            if len(self.rows) > self._most + 1:
                self.is_cut = True
                self.rows = self.rows[:1]
        if not row.idle:
            self._candidates.append((row.badness(), -self._counted, row))
            if len(self._candidates) >= 4 * self._worst:
                self._candidates = heapq.nlargest(self._worst, self._candidates)


def _of_itself(branch: BranchPlace) -> Row:
    """The row of the supervisor that is asked."""
    above = branch.above
    if above is not None:
        return row_of(branch, above, True, branch.tree.backend.now())
    state = what_is_amiss(branch)
    return supervisor_row(branch, {"": "running", "over": "stopped", "down": "stopped"}.get(state, state), True, branch.number)
