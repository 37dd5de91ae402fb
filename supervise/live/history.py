"""What is known of the past without having watched: the facts that the tree's flight recorder keeps."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from supervise.frame import is_ours
from supervise.journal import facts as sorts
from supervise.tree.record import told

if TYPE_CHECKING:
    from supervise.journal.facts import Fact, Kept
    from supervise.tree.branch import BranchPlace

ENDS: Final = 20
"""Ends of one actor that are told, the last ones."""
FRAMES: Final = 10
"""Lines of the traceback of each, the innermost."""


class Past(NamedTuple):
    """All that was known at one instant."""

    kept: Kept
    when: float
    """That instant, in seconds since 1970."""


def past_of(branch: BranchPlace) -> Past:
    """All that is known now, in the tree's loop; a tree without a recorder knows nothing."""
    return Past(branch.tree.bus.facts.kept(), time.time())


def ends_of(past: Past, path: str) -> list[dict[str, Any]]:
    """How an actor's lives have ended, the last one first: `time`, `life`, `kind`, `detail`, `handler`, `where`, `frames`."""
    above, _, name = path.rpartition("/")
    facts = _last(past.kept, ENDS, lambda fact: fact[1] == sorts.ENDED and fact[3] == name and fact[2] == above)
    found: list[dict[str, Any]] = []
    for fact, line in zip(facts, told(*past, facts), strict=True):
        frames = [frame for frame in fact[-1] if not is_ours(frame.file)][-FRAMES:]
        found.append(
            {
                "time": line["at"],
                "life": line.get("incarnation", 0),
                "kind": line.get("kind", ""),
                "detail": line.get("detail", ""),
                "handler": line.get("handler", ""),
                "where": line.get("where", ""),
                "frames": [str(frame) for frame in frames],
            }
        )
    return found[::-1]


def facts_of(past: Past, under: str, last: int) -> list[dict[str, Any]]:
    """The last facts of what is below a path, and of itself, oldest first, as a flight record tells them."""
    below = f"{under}/"
    facts = _last(past.kept, last, lambda fact: not under or f"{fact[2]}/{fact[3]}/".lstrip("/").startswith(below))
    return told(*past, facts)


def _last(kept: Kept, number: int, wanted: Callable[[Fact], bool]) -> list[Fact]:
    found: list[Fact] = []
    for fact in reversed(kept.facts):
        if wanted(fact):
            found.append(fact)
            if len(found) == number:
                break
    return found[::-1]
