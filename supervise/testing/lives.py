"""Who lives in a tree now."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from supervise.tree.place import ActorPlace

if TYPE_CHECKING:
    from supervise.tree.branch import BranchPlace


def actors(branch: BranchPlace) -> Iterator[ActorPlace]:
    """The actors below a supervisor that run, in start order."""
    for place in [*branch.places.values()]:
        if not isinstance(place, ActorPlace):
            yield from actors(place)
        elif place.incarnation is not None and place.incarnation.running:
            yield place


def lives(branch: BranchPlace) -> Iterator[tuple[str, int]]:
    """Path and incarnation of all that runs: the supervisor, and what is below it."""
    if branch.node is not None and branch.node.ready:
        yield branch.path, branch.number
    for place in [*branch.places.values()]:
        if not isinstance(place, ActorPlace):
            yield from lives(place)
        elif place.incarnation is not None and place.incarnation.running:
            yield place.mailbox.path, place.number
