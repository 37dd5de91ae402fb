"""Starts that wait for something: who takes long is said to, and who takes too long is cancelled.

One alarm for all starts of a tree, set for the first that is due. A start that is over leaves it alone, and it rings for
nothing, once: so a start that is quick, as nearly all are, costs the event loop nothing.
"""

from __future__ import annotations

import inspect
import math
from typing import TYPE_CHECKING, Final

from supervise import events
from supervise.actor.factory import as_task, coroutine_function_of
from supervise.actor.stack import handler_stack
from supervise.errors import StartLate
from supervise.frame import Frame, place_of
from supervise.message import name_of

if TYPE_CHECKING:
    from supervise._backends import Backend, Handle
    from supervise.actor.incarnation import Incarnation

    from .place import ActorPlace

FIRST: Final = 5.0
"""Seconds after which a start is said to take long; then at each doubling."""


class _Start:
    """One that is under way."""

    __slots__ = ("begun", "place", "said", "within")

    def __init__(self, place: ActorPlace, begun: float) -> None:
        self.place = place
        self.begun = begun
        self.said = FIRST  # the seconds that are said next
        self.within = math.inf if place.child.start_within is None else place.child.start_within

    @property
    def due(self) -> float:
        return self.begun + min(self.said, self.within)


class Starts:
    """Those of one tree."""

    __slots__ = ("_alarm", "_alarm_at", "_backend", "under_way")

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.under_way: dict[Incarnation, _Start] = {}
        """Nearly always none: whoever is ready, or over, looks before it leaves."""
        self._alarm: Handle | None = None
        self._alarm_at = math.inf

    def enter(self, place: ActorPlace, life: Incarnation) -> None:
        """A factory, or an enter hook, is going to wait for something."""
        start = self.under_way[life] = _Start(place, self._backend.now())
        self._set_alarm(start.due)

    def leave(self, life: Incarnation) -> None:
        """It is ready, or over."""
        self.under_way.pop(life, None)

    def end(self) -> None:
        """The tree is over."""
        self.under_way.clear()
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _set_alarm(self, due: float) -> None:
        if self._alarm is not None:
            if self._alarm_at <= due:
                return
            self._alarm.cancel()
        self._alarm_at = due
        self._alarm = self._backend.call_at(due, self._look)

    def _look(self) -> None:
        self._alarm = None
        now = self._backend.now()
        for life, start in [*self.under_way.items()]:
            if start.due <= now:
                stack = handler_stack(life)
                if start.said < start.within:
                    self._say(life, start, stack)
                else:
                    del self.under_way[life]
                    self._cancel(start, stack)
        if self.under_way:
            self._set_alarm(min(start.due for start in self.under_way.values()))

    def _say(self, life: Incarnation, start: _Start, stack: tuple[Frame, ...]) -> None:
        place, seconds = start.place, start.said
        start.said *= 2
        place.publish(events.Starting(place.path, life.number, seconds, stack, _cure(place)))

    def _cancel(self, start: _Start, stack: tuple[Frame, ...]) -> None:
        place, where = start.place, place_of(stack)
        at = "" if where is None else f": it waits in {where}"
        place.start_overran(StartLate(f"{place.path} wasn't ready within start_within={start.within:g} s{at}"))


def _cure(place: ActorPlace) -> str:
    """What a function that works rather than builds has to become."""
    factory = place.child.factory
    function = coroutine_function_of(factory)
    if function is None and not inspect.iscoroutinefunction(factory):  # which can be said of a plain function, too
        return ""
    return f"if {name_of(function or factory)} is to go on working, and never returns an actor: {as_task(factory)}"
