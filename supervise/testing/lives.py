"""Who lives in a tree now."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from supervise.tree.place import ActorPlace

if TYPE_CHECKING:
    from supervise.tree.branch import BranchPlace


def actors(branch: BranchPlace) -> Iterator[ActorPlace]:
    """The actors below a supervisor that run, in start order."""
    return (place for place in branch.actors() if place.incarnation is not None and place.incarnation.running)


def lives(branch: BranchPlace) -> Iterator[tuple[str, int]]:
    """Path and incarnation of all that runs: the supervisor, and what is below it."""
    for place in (branch, *branch.walk()):
        if isinstance(place, ActorPlace):
            if place.incarnation is not None and place.incarnation.running:
                yield place.mailbox.path, place.number
        elif place.node is not None and place.node.ready:
            yield place.path, place.number
