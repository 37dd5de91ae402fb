"""What a tree does, in numbers, for OpenTelemetry.

    async with Supervisor("app", …, metrics=Metrics()) as app: ...

| instrument | kind, unit | attributes |
|---|---|---|
| `supervise.actor.count` | up-down counter, `{actor}` | type, state: starting, running, restarting, stopping |
| `supervise.actor.restarts` | counter, `{restart}` | type, strategy |
| `supervise.actor.failures` | counter, `{failure}` | type, `error.type` |
| `supervise.supervisor.escalations` | counter, `{escalation}` | strategy |
| `supervise.supervisor.restart.utilization` | gauge, `1` | – |
| `supervise.mailbox.message.count` | up-down counter, `{message}` | type |
| `supervise.mailbox.messages` | counter, `{message}` | outcome: handled, failed, dead_lettered, abandoned |
| `supervise.dead_letters` | counter, `{message}` | reason: in_hand, stopped, gone, overflow, unknown_handler, other |

All are observable: nothing is recorded when a message is handled (that would take 6 µs); plain counters that exist anyway are
read whenever a reader collects. No attribute holds a path or an id, so there are as many series as there are types of actors.
"""

from __future__ import annotations

import functools
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation

from supervise.events import DeadLetter, Decided, Event, Started, StartFailed, Stopped
from supervise.mailbox.account import Account
from supervise.message import short_name_of
from supervise.spans.attributes import ACTOR_STATE, ACTOR_TYPE, ERROR_TYPE, MESSAGE_OUTCOME, REASON, RESTART_STRATEGY, scope
from supervise.tree.branch import BranchPlace, Place
from supervise.tree.place import ActorPlace
from supervise.tree.pool_place import PoolPlace
from supervise_strategies.child_state import ChildState
from supervise_strategies.directives import Action
from supervise_strategies.kind import kind_of, name_of_kind

if TYPE_CHECKING:
    from supervise.tree.running import RunningSupervisor
    from supervise.tree.tree import Tree

_STATES: Final = {
    ChildState.STARTING: "starting",
    ChildState.RUNNING: "running",
    ChildState.RESTARTING: "restarting",
    ChildState.STOPPING: "stopping",
    ChildState.UNSTOPPABLE: "stopping",
}
_OUTCOMES: Final = ("handled", "failed", "dead_lettered", "abandoned")
_WHY: Final = (
    ("in hand when ", "in_hand"),
    ("its actor is stopped", "stopped"),
    ("its actor is gone", "gone"),
    ("its mailbox was closed", "gone"),
    ("the mailbox was full", "overflow"),
    ("a newer one took its place", "overflow"),
)


class Metrics:
    """Counts for the trees that it is given as `metrics=`; the instruments are those of one meter provider.

    Without a provider it is the global one, which may be set later. One `Metrics` serves any number of trees, and goes on
    counting when they end and come again; make one for a provider, since instruments of the same names would clash.

    `supervise.supervisor.restart.utilization` is the early warning: of the supervisor (or the child with a limit of its own)
    that is nearest to giving up, restarts in the window over those allowed.

    It reads from whatever thread a reader collects in, without stopping the tree: numbers of one collection may be an instant
    apart. `clock` is in seconds, for tests.
    """

    def __init__(self, provider: metrics.MeterProvider | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()  # over the list of trees: a reader must not see one that ends twice, or not at all
        self._trees: list[Tree] = []
        self._past: Account = Account()  # of the trees that have ended
        self._shown: dict[str, int] = {}
        self._types: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
        self._restarts: Counter[tuple[str, str]] = Counter()
        self._failures: Counter[tuple[str, str]] = Counter()
        self._escalations: Counter[str] = Counter()
        self._dead_letters: Counter[str] = Counter()
        self._windows: dict[tuple[int, str], _Window] = {}
        self._counted: set[tuple[str, str]] = set()
        self._queued: set[str] = set()
        meter = (provider or metrics.get_meter_provider()).get_meter(*scope())
        up_down, counter = meter.create_observable_up_down_counter, meter.create_observable_counter
        up_down("supervise.actor.count", [self._actors], "{actor}", "Actors by where they stand.")
        counter("supervise.actor.restarts", [self._restarted], "{restart}", "Restarts that supervisors decided on.")
        counter("supervise.actor.failures", [self._failed], "{failure}", "Incarnations that ended abnormally or didn't start.")
        counter("supervise.supervisor.escalations", [self._escalated], "{escalation}", "Supervisors that gave up.")
        meter.create_observable_gauge(
            "supervise.supervisor.restart.utilization",
            [self._utilization],
            "1",
            "Restarts in the window over those allowed, of the supervisor that is nearest to giving up.",
        )
        up_down("supervise.mailbox.message.count", [self._waiting], "{message}", "Messages that wait in mailboxes.")
        counter("supervise.mailbox.messages", [self._messages], "{message}", "What became of accepted messages.")
        counter("supervise.dead_letters", [self._lost], "{message}", "Accepted messages that no handler will finish.")

    def watch(self, app: RunningSupervisor, /) -> Callable[[], None]:
        """Count for a running tree; the result ends it. `Supervisor(metrics=…)` calls this by itself."""
        tree = app._branch.tree
        with self._lock:
            self._trees.append(tree)
        unsubscribe = tree.bus.subscribe(lambda event: self._hear(tree, event))

        def unwatch() -> None:
            unsubscribe()
            with self._lock:
                if tree in self._trees:
                    self._trees.remove(tree)
                    self._past = self._past.plus(tree.root.account())
            for key in [key for key in self._windows if key[0] == id(tree)]:
                del self._windows[key]

        return unwatch

    # -- what happens: in the tree's thread, at once -----------------------------------------------------------------

    def _hear(self, tree: Tree, event: Event) -> None:
        if isinstance(event, DeadLetter):
            self._dead_letters[_reason(event.why)] += 1
        elif isinstance(event, Started):
            place = _place(tree, event.path)
            if isinstance(place, ActorPlace):
                self._learn(place)
        elif isinstance(event, Stopped | StartFailed):
            failed = not event.ignored if isinstance(event, StartFailed) else event.reason.abnormal
            place = _place(tree, event.path) if failed else None
            if isinstance(place, ActorPlace):
                self._failures[self._type(place), event.error_type] += 1
        elif isinstance(event, Decided):
            self._decided(tree, event)

    def _decided(self, tree: Tree, event: Decided) -> None:
        above, place = _place(tree, event.supervisor), _place(tree, event.path)
        strategy = above.description.spec.strategy.value if isinstance(above, BranchPlace) else ""
        if event.decision.action is Action.GIVE_UP:
            self._escalations[strategy] += 1
        elif event.decision.action is Action.RESTART:
            self._restarts[self._type(place), strategy] += 1
            limited = isinstance(place, ActorPlace) and place.child.spec.limit is not None
            key = id(tree), event.path if limited else event.supervisor
            now = self._clock()
            window = self._windows.get(key)
            if window is None:
                if len(self._windows) % 256 == 255:
                    for old in [k for k, w in self._windows.items() if not w.used(now)]:
                        del self._windows[old]
                self._windows[key] = window = _Window(event.decision.allowed, event.decision.per)
            window.times.append(now)

    # -- types of actors ---------------------------------------------------------------------------------------------

    def _learn(self, place: ActorPlace) -> None:
        """An actor's type is known while it lives; keep it, by what made it, for when it has crashed."""
        factory, incarnation = place.child.factory, place.incarnation
        if isinstance(factory, type) or incarnation is None or incarnation.instance is None:
            return
        try:
            self._types[factory] = name_of_kind(kind_of(incarnation.instance))
        except TypeError:  # it has no hash, or no weak references
            return

    def _type(self, place: Place | None) -> str:
        if place is None:
            return "unknown"
        if isinstance(place, PoolPlace):
            return self._type(next((below for below in [*place.places.values()]), None))
        if isinstance(place, BranchPlace):
            return type(place.description).__name__
        incarnation = place.incarnation
        instance = None if incarnation is None else incarnation.instance
        if instance is not None:
            return name_of_kind(kind_of(instance))
        factory: Any = place.child.factory
        try:
            known = self._types.get(factory)
        except TypeError:
            known = None
        while isinstance(factory, functools.partial):
            factory = factory.func
        return known or short_name_of(factory)

    # -- what is read: in the reader's thread ------------------------------------------------------------------------

    def _live(self) -> list[Tree]:
        with self._lock:
            return [*self._trees]

    def _actors(self, _: CallbackOptions) -> Iterable[Observation]:
        found: Counter[tuple[str, str]] = Counter()
        for tree in self._live():
            for place in tree.root.actors():
                state = _state(place)
                if state is not None:
                    found[self._type(place), state] += 1
        self._counted |= found.keys()  # a series that was there is 0, not absent
        return [Observation(found[key], {ACTOR_TYPE: key[0], ACTOR_STATE: key[1]}) for key in sorted(self._counted)]

    def _waiting(self, _: CallbackOptions) -> Iterable[Observation]:
        found: Counter[str] = Counter()
        for tree in self._live():
            for place in tree.root.walk():
                if isinstance(place, ActorPlace | PoolPlace):
                    found[self._type(place)] += place.mailbox.waiting
        self._queued |= found.keys()
        return [Observation(found[kind], {ACTOR_TYPE: kind}) for kind in sorted(self._queued)]

    def _messages(self, _: CallbackOptions) -> Iterable[Observation]:
        with self._lock:
            total = self._past
            for tree in self._trees:
                total = total.plus(tree.root.account())
        for outcome in _OUTCOMES:  # a child that is just being forgotten is in neither sum, and a counter never falls
            self._shown[outcome] = max(self._shown.get(outcome, 0), getattr(total, outcome))
        return [Observation(count, {MESSAGE_OUTCOME: outcome}) for outcome, count in self._shown.items()]

    def _restarted(self, _: CallbackOptions) -> Iterable[Observation]:
        return [Observation(n, {ACTOR_TYPE: kind, RESTART_STRATEGY: how}) for (kind, how), n in [*self._restarts.items()]]

    def _failed(self, _: CallbackOptions) -> Iterable[Observation]:
        return [Observation(n, {ACTOR_TYPE: kind, ERROR_TYPE: error}) for (kind, error), n in [*self._failures.items()]]

    def _escalated(self, _: CallbackOptions) -> Iterable[Observation]:
        return [Observation(n, {RESTART_STRATEGY: strategy}) for strategy, n in [*self._escalations.items()]]

    def _lost(self, _: CallbackOptions) -> Iterable[Observation]:
        return [Observation(n, {REASON: reason}) for reason, n in [*self._dead_letters.items()]]

    def _utilization(self, _: CallbackOptions) -> Iterable[Observation]:
        now = self._clock()
        return [Observation(max((w.used(now) / w.allowed for w in [*self._windows.values()]), default=0.0))]


class _Window:
    """The restarts that count against one limit."""

    __slots__ = ("allowed", "per", "times")

    def __init__(self, allowed: int, per: float) -> None:
        self.allowed = allowed
        self.per = per
        self.times: deque[float] = deque(maxlen=allowed)

    def used(self, now: float) -> int:
        return sum(at >= now - self.per for at in [*self.times])


def _state(place: ActorPlace) -> str | None:
    node = place.node
    if node.branch.node is not node:  # its supervisor is down, and comes back
        return "restarting"
    info = node.machine.child(place.name)
    return None if info is None else _STATES.get(info.state)


def _place(tree: Tree, path: str) -> Place | None:
    place: Place = tree.root
    for part in path.split("/")[1:]:
        below = place.places.get(part) if isinstance(place, BranchPlace) else None
        if below is None:
            return None
        place = below
    return place


def _reason(why: str) -> str:
    for beginning, code in _WHY:
        if why.startswith(beginning):
            return code
    return "unknown_handler" if " has no handler " in why else "other"
