"""Who waits for whom: each that waits does so for one other, so what they form are trees, and cycles that trees hang on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from .entry import Entry
    from .table import Table


class Waiter(NamedTuple):
    """One line of the forest."""

    path: str
    level: int
    """0: it waits for nobody, or is the first of a cycle. Else it waits for the last one before it of the level above."""
    in_cycle: bool = False
    """It waits for somebody who waits for it, by however many others."""
    again: bool = False
    """It closes the cycle: it is the one that the tree began with."""


class Chain(NamedTuple):
    """Some that wait, each for the next one. The last one waits for nobody."""

    paths: tuple[str, ...]
    seconds: float
    """How long the last message in hand that is known of has been there at least."""
    handler: str


def cycles(table: Table) -> list[tuple[str, ...]]:
    """Those who wait for each other: each for the next one, the last one for the first."""
    edges = _edges(table)
    done: set[str] = set()
    found: list[tuple[str, ...]] = []
    for start in edges:
        trail: dict[str, None] = {}
        path = start
        while path in edges and path not in done and path not in trail:
            trail[path] = None
            path = edges[path]
        if path in trail:
            members = [*trail]
            found.append(tuple(members[members.index(path) :]))
        done |= trail.keys()
    return found


def forest(table: Table) -> list[Waiter]:
    """Cycles first, then those for whom most wait; below each who waits for it."""
    edges = _edges(table)
    waiters: dict[str, list[str]] = {}
    for path, awaited in edges.items():
        waiters.setdefault(awaited, []).append(path)
    found: list[Waiter] = []
    knots = cycles(table)
    knotted = {path for knot in knots for path in knot}
    for knot in knots:
        found += _below(knot[0], waiters, knotted)
    trees = [[*_below(path, waiters, knotted)] for path in waiters if path not in edges]
    trees.sort(key=len, reverse=True)
    return found + [waiter for tree in trees for waiter in tree]


def longest_chain(table: Table, now: float) -> Chain | None:
    """The one with most links, of these the one that has lasted longest. None: nobody waits, but in a cycle."""
    lines = [*_trees_without_cycle(forest(table))]
    longest = max((waiter.level for waiter in lines), default=0)
    best: Chain | None = None
    trail: list[str] = []
    for waiter in lines if longest else ():
        del trail[waiter.level :]
        trail.append(waiter.path)
        if waiter.level == longest:
            chain = _chain(table.entries, tuple(trail[::-1]), now)
            if best is None or chain.seconds > best.seconds:
                best = chain
    return best


def _trees_without_cycle(waiters: list[Waiter]) -> Iterator[Waiter]:
    knotted = False
    for waiter in waiters:
        if waiter.level == 0:
            knotted = waiter.in_cycle
        if not knotted:
            yield waiter


def _chain(entries: Mapping[str, Entry], paths: tuple[str, ...], now: float) -> Chain:
    for path in reversed(paths):
        entry = entries.get(path)
        if entry is not None and entry.row.hand and entry.row.hand_since is not None:
            return Chain(paths, max(0.0, now - entry.row.hand_since), entry.row.hand[0])
    return Chain(paths, 0.0, "")


def _edges(table: Table) -> dict[str, str]:
    return {path: entry.row.waits_for for path, entry in table.entries.items() if entry.row.waits_for}


def _below(root: str, waiters: Mapping[str, list[str]], knotted: set[str]) -> Iterator[Waiter]:
    """One tree. Of a cycle it is the way once around, and who hangs on it."""
    todo = [Waiter(root, 0, root in knotted)]
    while todo:
        waiter = todo.pop()
        yield waiter
        if waiter.again:
            continue
        for path in reversed(waiters.get(waiter.path, [])):
            again = path == root
            todo.append(Waiter(path, waiter.level + 1, path in knotted, again))
