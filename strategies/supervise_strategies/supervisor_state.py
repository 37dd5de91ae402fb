"""What one supervisor knows: its children, what is under way, what waits for its turn, and what it has to say.

It is shared by the files that decide: `supervision.py` (facts come in), `admin.py` (calls are served), `restarting.py` (a child
ended: what follows), `failed_starts.py` (it didn't start) and `progress.py` (what is under way goes on). None of them keeps
anything of its own.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Collection, Mapping
from enum import Enum, auto
from typing import Any, Final, NamedTuple

from . import directives as do
from .child_spec import SupervisorSpec
from .child_state import RESTARTING, RUNNING, STARTING, STOPPED, STOPPING, UNSTOPPABLE, Afterwards, ChildCount, Slot
from .directives import Directive
from .intensity import RestartWindow
from .restart import Draw
from .strategy import Strategy
from .work import Work


class Phase(Enum):
    """Where a supervisor itself stands: NEW, STARTING, RUNNING, STOPPING or DONE.

    From STOPPING on it restarts nothing, and refuses calls (`SupervisorNotRunning`).

        >>> machine = Supervision(SupervisorSpec("app", (ChildSpec("db"),)))
        >>> _ = machine.begin(now=0)
        >>> machine.phase is Phase.STARTING
        True
    """

    NEW = auto()
    STARTING = auto()
    RUNNING = auto()
    STOPPING = auto()
    DONE = auto()


# By names of their own, as the states of a child: CPython 3.11 takes 70 ns to look up a member of an enum, ten times a global.
SERVING: Final = Phase.RUNNING
ENDING: Final = Phase.STOPPING


class Call(NamedTuple):
    """An admin call that waits for its turn."""

    serve: Callable[[SupervisorState, Any, object, float], None]
    subject: Any
    ticket: object
    in_a_start: bool = False
    """Whether it is served while the supervisor's own start waits, too."""


class SupervisorState:
    """What one supervisor knows, from its start to its end."""

    __slots__ = (
        "boot",
        "draw",
        "holds",
        "out",
        "phase",
        "queue",
        "sequence",
        "slots",
        "spec",
        "told_waits",
        "told_wake",
        "waiting",
        "window",
        "work",
    )

    def __init__(self, spec: SupervisorSpec, draw: Draw, lives: Mapping[str, int], over: Collection[str] = ()) -> None:
        self.spec: SupervisorSpec = spec
        self.phase: Phase = Phase.NEW
        self.draw: Draw = draw
        self.window: RestartWindow = RestartWindow(spec.intensity)
        self.slots: dict[str, Slot] = {}
        self.queue: deque[Any] = deque()  # calls, and ends as tuples: a function of this package, and what it is given
        self.work: Work | None = None
        self.boot: deque[Slot] = deque()  # while a first start is tried again: that one, then the younger ones
        self.out: list[Directive] = []
        self.holds: int = 0
        self.waiting: list[tuple[float, int, Slot, int]] = []  # a heap of pending backoffs: due, tie-break, slot, token
        self.told_waits: bool = False
        self.told_wake: float | None = None
        self.sequence: int = 0
        for child in spec.children:
            self.slots[child.id] = slot = Slot(child.id, child, added=False)
            slot.number = lives.get(child.id, 0)
            slot.over = child.id in over

    def affected_by(self, slot: Slot) -> list[Slot]:
        """Whom its restart takes along, itself included, in start order.

        One that was never up takes along nobody. None takes along those that are down by their own limit or in quarantine, or
        that a start of the supervisor, still under way, hasn't come to.
        """
        strategy = self.spec.strategy
        if strategy is Strategy.ONE_FOR_ONE or slot.first:
            return [slot]
        affected = strategy.affected([*self.slots.values()], slot)
        return [other for other in affected if other is slot or not (other.spent or other in self.boot)]

    def covers(self, slot: Slot, other: Slot) -> bool:
        """Whether the restart of one is that of another one's group, too."""
        strategy = self.spec.strategy
        if strategy is Strategy.ONE_FOR_ONE or slot.first or slot is other:
            return False
        return other in strategy.affected([*self.slots.values()], slot)

    def is_covered(self, slot: Slot) -> bool:
        """Whether a restart of its group is pending."""
        return any(other.state is RESTARTING and self.covers(other, slot) for other in self.slots.values())

    def is_held_up(self, slot: Slot) -> bool:
        """Whether one that the supervisor's own start comes to would be stopped again when one of its group has its restart.

        That one is pending, waits, or is for when what can't be cancelled has ended.
        """
        return any(_is_to_come(other) and self.covers(other, slot) for other in self.slots.values())

    def is_to_live(self, slot: Slot) -> bool:
        """Whether it lives, or will: in its own time, with its group, or when the supervisor's own start comes to it."""
        return slot.state is not STOPPED or slot.held or slot in self.boot

    def count(self) -> ChildCount:
        """OTP's `count_children`. A child whose end is known but not served yet isn't active."""
        slots = self.slots.values()
        supervisors = sum(s.spec.type == "supervisor" for s in slots)
        active = sum(s.state in (RUNNING, STOPPING, UNSTOPPABLE) and not s.dead for s in slots)
        return ChildCount(len(slots), active, supervisors, len(slots) - supervisors)

    def left(self, id: str | None, now: float) -> int:
        """Restarts that the limit still allows at `now`: the child's own if it has one, else the supervisor's."""
        slot = None if id is None else self.slots.get(id)
        if slot is None or slot.spec.limit is None:
            return self.window.left(now)
        return slot.left(slot.spec.limit, now)

    def next_entry(self) -> Any:
        """Take out what is served next; None if nothing can be. While its own start waits, most calls wait, too."""
        queue = self.queue
        if self.phase is Phase.RUNNING:
            return queue.popleft()
        if self.phase is Phase.STARTING and self.boot:
            for index, entry in enumerate(queue):
                if type(entry) is not Call or entry.in_a_start:
                    del queue[index]
                    return entry
        return None

    def trial(self) -> SupervisorState:
        """A copy to try one fact on: it runs, with the same children and counts, as if what is under way had been done.

        Calls and ends that wait in the queue aren't in it. Policies are shared: they are asked again, and keep no counts.
        """
        other = SupervisorState(self.spec, self.draw, {})
        other.window = self.window.copy()
        other.slots = {id: slot.copy() for id, slot in self.slots.items()}
        other.boot = deque(other.slots[slot.id] for slot in self.boot if slot.id in other.slots)
        other.phase = Phase.STARTING if other.boot else Phase.RUNNING
        for slot in other.slots.values():
            if slot.state is STARTING and not slot.detached:
                slot.state = RUNNING
            elif slot.state is STOPPING:
                slot.state = STOPPED
        return other

    def flush(self) -> list[Directive]:
        """All that there is to say since the last time."""
        if self.waiting or self.told_wake is not None:
            self._tell_wake()
        out, self.out = self.out, []
        return out

    def _tell_wake(self) -> None:
        waiting = self.waiting
        while waiting and not pending(waiting[0][2], waiting[0][3]):
            heapq.heappop(waiting)
        wake = waiting[0][0] if waiting and self.phase in (Phase.STARTING, Phase.RUNNING) else None
        if wake != self.told_wake:
            self.told_wake = wake
            self.out.append(do.WakeAt(wake))


def _is_to_come(slot: Slot) -> bool:
    late = slot.state is UNSTOPPABLE and slot.afterwards in (Afterwards.START, Afterwards.JUDGE)
    return slot.state is RESTARTING or slot.detached or late


def pending(slot: Slot, token: int) -> bool:
    """Whether a restart that was put off, or failed to start, is still to come."""
    return slot.state is RESTARTING and slot.token == token
