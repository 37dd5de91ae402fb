"""Paths and keys to addresses. A path is relative to the supervisor that is asked; an address knows its full one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from supervise.address.address import address_of
from supervise_strategies.errors import ChildNotFound, InvalidSpec

from .branch import BranchPlace, Place
from .child import Child
from .place import ActorPlace

if TYPE_CHECKING:
    from .description import Description


class Registry:
    """Looks things up in one tree. Nothing is stored but where each typed key stands, which never changes."""

    __slots__ = ("_keys", "_root")

    def __init__(self, root: BranchPlace) -> None:
        self._root = root
        self._keys: dict[int, tuple[str, ...]] = {}
        self._index(root.description, ())

    def _index(self, description: Description, path: tuple[str, ...]) -> None:
        for name, below in description.named():
            self._keys[id(below)] = here = (*path, name)
            if not isinstance(below, Child):
                self._index(below, here)

    def place(self, at: BranchPlace, key: Any) -> Place:
        """The place under a path relative to `at`, or under a typed key from anywhere in the tree."""
        if isinstance(key, str):
            return self._walk(at, key.split("/"), key)
        known = self._keys.get(id(key))
        if known is None:
            cure = "give a path, or the object that child() or Supervisor() returned and that this tree was built with"
            raise InvalidSpec("find", "key", key, cure)
        return self._walk(self._root, list(known), "/".join(known))

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
                raise ChildNotFound(path, f"; {place.name!r} has no {part!r}")
            place = below
        return place

    def find(self, at: BranchPlace, key: Any) -> Any:
        """The address of the actor under a path or a key."""
        place = self.place(at, key)
        if isinstance(place, ActorPlace):
            return address_of(place.mailbox)
        raise InvalidSpec("find", "key", key, "that is a supervisor, and has no mailbox: use supervisor(…)")
