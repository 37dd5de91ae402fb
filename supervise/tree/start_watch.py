"""A start that waits for something: who takes long is said to, and who takes too long is cancelled."""

from __future__ import annotations

import inspect
import math
from typing import TYPE_CHECKING, Final

from supervise import events
from supervise.actor.stack import await_stack, coroutine_of
from supervise.errors import StartLate
from supervise.message import name_of

if TYPE_CHECKING:
    from supervise.actor.incarnation import Incarnation

    from .place import ActorPlace

FIRST: Final = 5.0
"""Seconds after which a start is said to take long; then at each doubling."""


class StartWatch:
    """Over one start, from when it first waits until the life is ready, or over. Its timer is the life's."""

    __slots__ = ("_begun", "_life", "_next", "_place", "_within")

    def __init__(self, place: ActorPlace, life: Incarnation) -> None:
        self._place = place
        self._life = life
        self._begun = life.mailbox.backend.now()
        self._next = FIRST
        within = place.child.start_within
        self._within = math.inf if within is None else within
        self._wait()

    def _wait(self) -> None:
        at = self._begun + min(self._next, self._within)
        self._life.timer = self._life.mailbox.backend.call_at(at, self._look)

    def _look(self) -> None:
        life, place = self._life, self._place
        life.timer = None
        if life.running or life.killed or life.over:
            return
        stack = await_stack(coroutine_of(life.task))[1:]  # without the actor's own loop
        if self._next < self._within:
            place.publish(events.Starting(place.path, life.number, self._next, stack, _cure(place)))
            self._next *= 2
            self._wait()
            return
        where = next((frame for frame in reversed(stack) if not events.is_ours(frame.file)), None)
        at = "" if where is None else f": it waits in {where.function} ({where.file}:{where.line})"
        place.start_overran(StartLate(f"{place.path} wasn't ready within start_within={self._within:g} s{at}"))


def _cure(place: ActorPlace) -> str:
    """What a function that works rather than builds has to become."""
    factory = place.child.factory
    if not inspect.iscoroutinefunction(factory):
        return ""
    name = name_of(factory)
    return f"if {name} is to go on working, and never returns an actor: child(task({name}))"
