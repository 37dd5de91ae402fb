"""All that is told of one actor, pool or supervisor. It is looked at in the tree's loop, at once."""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from supervise.actor.stack import handler_stack
from supervise.message import name_of
from supervise.tree.branch import BranchPlace
from supervise.tree.place import ActorPlace
from supervise.tree.traffic import traffic_of
from supervise_strategies.errors import StrategyError
from supervise_strategies.text import one_line, text_of

from .row import LONGEST, row_of, supervisor_row

if TYPE_CHECKING:
    from supervise.mailbox.lane import Lane
    from supervise.tree.running import RunningSupervisor

    from .tally import Tallies

LOOKED_AT: Final = 1000
"""Messages that wait in one lane and whose handlers are counted."""
NAMES: Final = 20
"""Handlers that are named."""
EXPLAINED: Final = 4000
"""Characters of what a crash would cause."""
SELDOM: Final = 100
"""The same is explained again after so many times what it took: that grows with the siblings, and is done at a stretch."""


class Explanations:
    """What a crash would cause, in words; the last one is told again to who goes on looking at the same actor."""

    def __init__(self) -> None:
        self._path = self._text = ""
        self._due = 0.0

    def of(self, app: RunningSupervisor, path: str) -> str:
        """A line for each supervisor that would have to do with it."""
        begun = time.perf_counter()
        if path != self._path or begun >= self._due:
            self._text = _explained(app, path)
            self._path, now = path, time.perf_counter()
            self._due = now + SELDOM * (now - begun)
        return self._text


def detail(app: RunningSupervisor, path: str, tallies: Tallies, explanations: Explanations) -> dict[str, Any]:
    """Of what stands there, relative to the root; an empty path is the root. Raises `ChildNotFound`."""
    root = app._branch
    if not path:
        return {"row": supervisor_row(root, "running", True, root.number).as_dict(), **_about_supervisor(root)}
    place = root.tree.registry.place(root, path)
    above = place.above or root
    row = row_of(place, above, True, root.tree.backend.now())
    found: dict[str, Any] = {"row": row.as_dict(), "explain": explanations.of(app, path)}
    if isinstance(place, BranchPlace):
        return found | _about_supervisor(place)
    return found | _about_actor(place) | {"handlers": tallies.of(place.mailbox)}


def _explained(app: RunningSupervisor, path: str) -> str:
    try:
        return text_of(app.explain(path), EXPLAINED)
    except StrategyError as error:
        return one_line(str(error), LONGEST)


def _about_supervisor(place: BranchPlace) -> dict[str, Any]:
    spec = place.description.spec if place.node is None else place.node.machine.spec
    return {"policy": one_line(f"{spec.strategy.value}, {spec.intensity}", LONGEST), "children": len(place.places)}


def _about_actor(place: ActorPlace) -> dict[str, Any]:
    account, child = place.account(), place.child
    info = None if place.above.node is None else place.above.node.machine.child(place.name)
    spec = child.spec if info is None else info.spec
    limit = "" if spec.limit is None else f", {spec.limit}"
    waiting = Counter(name_of(envelope[0]) for lane in place.mailbox.lanes for envelope in islice(_own(lane), LOOKED_AT))
    return {
        "policy": one_line(f"{spec.restart}{limit}", LONGEST),
        "account": account._asdict(),
        "waiting": dict(waiting.most_common(NAMES)),
        "stack": [str(frame) for frame in _stack(place)],
    } | _about_link(place)


def _about_link(place: ActorPlace) -> dict[str, Any]:
    """What of its credit is used. Who isn't bounded by a number of messages is by bytes: the number is null then."""
    traffic = traffic_of(place.mailbox)
    if traffic is None:
        return {}
    credit = [
        {
            "of": one_line(each.of, LONGEST),
            "out": each.out,
            "most": None if math.isinf(each.most) else each.most,
            "out_bytes": each.out_bytes,
            "most_bytes": each.most_bytes,
            "waiting": each.waiting,
        }
        for each in traffic.credit
        if each.out or each.waiting
    ]
    return {"held_back": traffic.held_back, "credit": credit}


def _stack(place: ActorPlace) -> Iterator[object]:
    """Where the message in hand stands; the outermost line first."""
    incarnation = place.incarnation
    if incarnation is not None and incarnation.in_hand is not None:
        yield from handler_stack(incarnation)


def _own(lane: Lane) -> Iterator[Any]:
    """What waits there, if no code of the user's is in between."""
    return iter(lane.queue) if type(lane.queue) is deque else iter(())
