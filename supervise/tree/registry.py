"""Paths and keys to addresses. A path is relative to the supervisor that is asked; an address knows its full one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard
from weakref import WeakKeyDictionary, WeakSet

from supervise.address.address import address_of, lent_address_of
from supervise.mailbox.call_cycle import break_ring, end_wait_for
from supervise.mailbox.pool_mailbox import WorkerMailbox
from supervise_strategies.child_state import ChildState
from supervise_strategies.errors import ChildAmbiguous, ChildNotFound, InvalidSpec, there_are

from .branch import BranchPlace, Place
from .child import Child
from .description import Description
from .place import ActorPlace
from .pool_place import PoolPlace

if TYPE_CHECKING:
    from collections.abc import Iterable

    from supervise.address.address import Address, WeakAddress
    from supervise.mailbox.mailbox import Mailbox
    from supervise.mailbox.turn import Turn

    from .node import Node

Key: TypeAlias = Child[Any] | Description


class Registry:
    """Where the typed keys of one tree stand now: none, one or many places each, as subtrees come and go.

    One key stands in many places when a description is started several times: each of these instances has its own. So of
    those places the ones count that are nearest to who asks: below its own supervisor, else below the one above that, and
    so on. Whoever asks within an instance for a part of it that is gone isn't given that of another instance.
    """

    __slots__ = ("_gone", "_later", "_places")

    def __init__(self) -> None:
        self._places: dict[Key, dict[Place, None]] = {}
        self._later: WeakKeyDictionary[Key, Key] = WeakKeyDictionary()  # by an older key, the one that finds the same now
        self._gone: WeakSet[Key] = WeakSet()  # keys that stood somewhere, and don't now

    def enter(self, place: Place) -> None:
        """It stands in the tree, and somebody may have its key."""
        self._places.setdefault(self._now(place.key), {})[place] = None

    def renew(self, old: Key, new: Key) -> None:
        """What one key has found is found by another from now on, and by the old one still, whoever has that."""
        if old is new or self._later.get(old) is new:
            return
        old = self._now(old)
        for key, now in [*self._later.items()]:
            if now is old:
                self._later[key] = new
        self._later[old] = new
        standing = self._places.pop(old, None)
        if standing:
            self._places.setdefault(new, {}).update(standing)

    def _now(self, key: Key) -> Key:
        return self._later.get(key, key) if self._later else key

    def leave(self, places: Iterable[Place]) -> None:
        """They don't stand in the tree any more, if they ever were entered."""
        for place in places:
            key = self._now(place.key)
            standing = self._places.get(key, {})
            if place in standing:
                del standing[place]
                if not standing:
                    del self._places[key]
                    self._gone.add(key)

    def has_key(self, key: Key) -> bool:
        """Whether something stands in the tree that this finds."""
        return self._now(key) in self._places

    def place(self, at: BranchPlace, key: Any) -> Place:
        """The place under a path relative to `at`, or under a typed key, the one that is nearest to `at`."""
        if isinstance(key, str):
            return self._walk(at, key.split("/"), key)
        if _is_key(key):
            return self._nearest(at, self._now(key))
        raise self._foreign(key)

    def beside(self, at: BranchPlace, key: Any) -> Place:
        """The same for a child of `at`: what was described beside it comes before all others."""
        if _is_key(key):
            key = self._now(key)
            place = at.places.get(at.description.name_of(key) or "")
            if place is not None and self._now(place.key) is key:
                return place
        return self.place(at, key)

    def branch(self, at: BranchPlace, key: Any) -> BranchPlace:
        """The place of the supervisor under a path or its description; None: `at` itself."""
        place = at if key is None else self.place(at, key)
        if isinstance(place, BranchPlace):
            return place
        raise InvalidSpec("supervisor", "key", key, "that is an actor: use find(…)")

    def _walk(self, at: BranchPlace, parts: list[str], path: str) -> Place:
        place: Place = at
        for part in parts:
            below = place.places.get(part) if isinstance(place, BranchPlace) else None
            if below is None:
                among = place.places if isinstance(place, BranchPlace) else ()
                raise ChildNotFound(path, f"; {place.name!r} has no {part!r}", among=among, missing=part)
            place = below
        return place

    def _nearest(self, at: BranchPlace, key: Key) -> Place:
        upwards = [at, *_above(at)]
        steps = {branch: n for n, branch in enumerate(upwards)}
        near: list[Place] = []
        least = len(upwards)
        for place in self._places.get(key, ()):
            shared = next(steps[branch] for branch in _upwards(place) if branch in steps)
            if shared < least:
                near, least = [], shared
            if shared == least:
                near.append(place)
        before: BranchPlace | None = None
        for branch in upwards[:least]:
            parts = branch.description.where(key, but=None if before is None else before.description)
            if parts is not None:
                raise ChildNotFound("/".join(parts), f"; {branch.path!r} has it not yet, or no more")
            before = branch
        if len(near) == 1:
            return near[0]
        if near:
            raise ChildAmbiguous(_name(key), [place.path for place in near])
        if key in self._gone:
            raise ChildNotFound(_name(key), " any more under this key")
        raise self._foreign(key)

    @staticmethod
    def _foreign(key: object) -> InvalidSpec:
        cure = "give a path, or the object that child() or Supervisor() returned and that this tree was built with"
        return InvalidSpec("find", "key", key, cure)

    def starting_before(self, root: BranchPlace, mailbox: Mailbox) -> list[Turn]:
        """Those that are starting now, and have to be ready before the actor of that mailbox, which isn't up, can start."""
        try:
            place = self._walk(root, mailbox.path.split("/")[1:], mailbox.path)
        except ChildNotFound:
            return []
        if not isinstance(place, ActorPlace | PoolPlace) or place.mailbox is not mailbox:
            return []
        if isinstance(place, PoolPlace) and place.node is not None:
            return _before_all(place, place.node)
        found: list[Turn] = []
        above: BranchPlace | None = place.above
        ending = True  # it isn't up, whatever its supervisor knows of that
        while above is not None and not found:  # the first supervisor that has still to come to it
            if above.node is not None:
                for id in above.node.machine.starting(before=place.name, ending=ending):
                    found += _starting(above.places.get(id))
            place, ending = above, above.node is None
            above = above.above
        return found

    @staticmethod
    def went_down(node: Node, name: str) -> None:
        """A child has ended, or takes nothing any more: who waits for it in a start that it comes after is told that."""
        for id in node.machine.starting(before=name, ending=True):
            for turn in _starting(node.places.get(id)):
                break_ring(turn)

    @staticmethod
    def stops_with_group(node: Node, turn: Turn) -> None:
        """It is stopped for a restart of its group: those that are down come back when it has ended, and not before."""
        if turn.awaits is None:  # as most of them: else a large group would be looked through once for each of its members
            return
        members = [node.places.get(id) for id in node.machine.starting_again()]
        down = [place.mailbox for place in members if isinstance(place, ActorPlace | PoolPlace) and place.mailbox.turn is None]
        if down:
            end_wait_for(turn, down)

    def lists(self, at: BranchPlace, child: Address[Any] | WeakAddress[Any] | BranchPlace) -> bool:
        """Whether it is a child of `at` now; False: it was one, and is gone. Raises `ChildNotFound` for what never was."""
        places = at.running_node().places
        place = places.get(child.name)
        if isinstance(child, BranchPlace):
            listed, gone = place is child, child.node is None and child.path == f"{at.path}/{child.name}"
        else:
            mailbox = child._mailbox
            listed = isinstance(place, ActorPlace | PoolPlace) and place.mailbox is mailbox
            gone = mailbox.parent == at.path and mailbox.refusal == "closed"
        if not listed and not gone:
            raise ChildNotFound(child.path, f"; {there_are(places)}")
        return listed

    def find(self, at: BranchPlace, key: Any) -> Any:
        """The address of the actor under a path or a key."""
        return self._address(self.place(at, key), key)

    def find_beside(self, at: BranchPlace, key: Any, *, lent: bool = False) -> Any:
        """The same for a child of `at`. `lent`: the address keeps nothing alive, and nothing ends with it."""
        return self._address(self.beside(at, key), key, lent=lent)

    @staticmethod
    def _address(place: Place, key: object, *, lent: bool = False) -> Any:
        if isinstance(place, ActorPlace | PoolPlace):
            return lent_address_of(place.mailbox) if lent else address_of(place.mailbox)
        raise InvalidSpec("find", "key", key, "that is a supervisor, and has no mailbox: use supervisor(…)")


def _starting(place: Place | None) -> Iterator[Turn]:
    """Those that are at work in the start of a child; of a supervisor it is that of what it is starting itself."""
    todo = [place]
    while todo:
        at = todo.pop()
        if isinstance(at, ActorPlace):
            if at.incarnation is not None:
                yield at.incarnation
        elif at is not None and at.node is not None:
            todo += [at.places.get(id) for id in at.node.machine.starting()]


def _before_all(pool: PoolPlace, node: Node) -> list[Turn]:
    """Those that have to be ready before any worker of a pool, of which none is up, can be: it needs one, whichever that is."""
    found: list[Turn] | None = None
    for name, place in pool.places.items():
        mailbox = place.mailbox if isinstance(place, ActorPlace) else None
        if isinstance(mailbox, WorkerMailbox) and mailbox.retires:
            continue
        info = node.machine.child(name)
        if info is not None and info.state is ChildState.STARTING:
            starts = [*_starting(place)]
        else:
            starts = [turn for id in node.machine.starting(before=name, ending=True) for turn in _starting(pool.places.get(id))]
        found = starts if found is None else [turn for turn in found if turn in starts]
    return found or []


def _upwards(place: Place) -> Iterator[BranchPlace]:
    """A supervisor's own place, then those of all supervisors above, up to the root."""
    if isinstance(place, BranchPlace):
        yield place
    yield from _above(place)


def _above(place: Place) -> Iterator[BranchPlace]:
    above = place.above
    while above is not None:
        yield above
        above = above.above


def _is_key(key: object) -> TypeGuard[Key]:
    return isinstance(key, Child | Description)


def _name(key: Key) -> str:
    return key.spec.id if isinstance(key, Child) else key.name
