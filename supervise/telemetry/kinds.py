"""What the types of actors are called where things are counted, for as long as there is such a type."""

from __future__ import annotations

import functools
import threading
from typing import Any, Final
from weakref import ref

from supervise.message import short_name_of
from supervise.tree.branch import BranchPlace, Place
from supervise.tree.pool_place import PoolPlace
from supervise_strategies.kind import is_of, kind_of, name_of_kind
from supervise_strategies.text import printable

UNKNOWN: Final = "unknown"
"""The type of an actor that is gone already."""
FEW: Final = 256
"""Classes and factories that may be remembered before those that are gone are looked for, where nobody reads."""


class Kinds:
    """The name of a type is that of the class of the live instance; before there is one, of its factory.

    It remembers which classes and factories a name stands for, and keeps none of them alive. So a class that was made while
    the program runs is known to be gone, and what was counted for it can be forgotten. It is asked in any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._names: dict[int, tuple[Any, str]] = {}  # by id, since what is somebody's own may have no hash
        self._made: dict[int, tuple[Any, str]] = {}  # what a factory made last
        self._room = FEW  # for so many, before those that are gone are looked for

    def of(self, place: Place | None) -> str:
        """The type of the actor there; of a pool that of its workers, of a supervisor its class."""
        if place is None:
            return UNKNOWN
        if isinstance(place, PoolPlace):
            worker = next(iter([*place.places.values()]), None)
            return self._factory_name(place.pool.worker.factory) if worker is None else self.of(worker)
        if isinstance(place, BranchPlace):
            return self._name(type(place.description), name_of_kind(type(place.description)))
        incarnation = place.incarnation
        instance = None if incarnation is None else incarnation.instance
        if instance is None:
            return self._factory_name(place.child.factory)
        return self._name(kind_of(instance), name_of_kind(kind_of(instance)))

    def learn(self, place: Place) -> None:
        """An actor's type is known while it lives; keep it, by what made it, for when it has crashed."""
        if isinstance(place, BranchPlace):
            return
        factory, incarnation = place.child.factory, place.incarnation
        if incarnation is None or incarnation.instance is None:
            return
        name = self.of(place)
        if name != self._factory_name(factory) or not self._is_known(factory):
            with self._lock:
                self._made[id(factory)] = (_weak(factory), name)
                self._make_room()

    def is_known(self, place: Place) -> bool:
        """Whether `of` won't call it otherwise when it is ready."""
        if isinstance(place, PoolPlace):
            return any(self.is_known(worker) for worker in [*place.places.values()])
        if isinstance(place, BranchPlace):
            return True
        incarnation = place.incarnation
        return (incarnation is not None and incarnation.instance is not None) or self._is_known(place.child.factory)

    def _is_known(self, factory: Any) -> bool:
        made = self._made.get(id(factory))
        return is_of(factory, type) or (made is not None and made[0]() is factory)

    def living(self) -> set[str]:
        """The names of all types that there are now. What is gone is forgotten."""
        with self._lock:
            self._forget()
            return {name for _, name in self._names.values()} | {UNKNOWN}

    def _make_room(self) -> None:
        if len(self._names) + len(self._made) > self._room:
            self._forget()
            self._room = max(FEW, 2 * (len(self._names) + len(self._made)))

    def _forget(self) -> None:
        for known in (self._names, self._made):
            for key in [key for key, (alive, _) in known.items() if alive() is None]:
                del known[key]

    def _factory_name(self, factory: Any) -> str:
        made = self._made.get(id(factory))
        if made is not None and made[0]() is factory:
            return self._name(factory, made[1])
        made_by = factory
        while is_of(made_by, functools.partial):
            made_by = made_by.func
        return self._name(made_by, printable(short_name_of(made_by)))

    def _name(self, source: Any, name: str) -> str:
        known = self._names.get(id(source))
        if known is None or known[0]() is not source or known[1] != name:
            with self._lock:
                self._names[id(source)] = (_weak(source), name)
                self._make_room()
        return name


def _weak(source: Any) -> Any:
    """What answers it, as long as it lives; what can't be referred to so, its class stands for."""
    try:
        return ref(source)
    except TypeError:
        return ref(kind_of(source))
