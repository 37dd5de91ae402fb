"""What a tree does, in numbers, for OpenTelemetry.

    async with Supervisor("app", …, metrics=Metrics()) as app: ...

| instrument | kind, unit | attributes |
|---|---|---|
| `supervise.actor.status` | up-down counter, `{actor}` | type, state: starting, running, restarting, stopping, stopped |
| `supervise.actor.restarts` | counter, `{restart}` | type, strategy |
| `supervise.actor.failures` | counter, `{failure}` | type, `error.type` |
| `supervise.supervisor.escalations` | counter, `{escalation}` | strategy |
| `supervise.supervisor.restart.utilization` | gauge, `1` | – |
| `supervise.tree.ready`, `supervise.tree.degraded` | gauges, `1` | – (1: all trees that run are, or: one of them is) |
| `supervise.loop.lag` | gauge, `s` | – |
| `supervise.mailbox.size` | up-down counter, `{message}` | type |
| `supervise.mailbox.utilization` | gauge, `1` | type (of the mailbox that is nearest to being full) |
| `supervise.mailbox.waiting_senders` | up-down counter, `{sender}` | type |
| `supervise.mailbox.accepted` | counter, `{message}` | type |
| `supervise.mailbox.messages` | counter, `{message}` | type, outcome: handled, failed, dead_lettered, abandoned |
| `supervise.mailbox.rejections` | counter, `{message}` | reason: full, stopped, gone, restarting, timeout |
| `supervise.dead_letters` | counter, `{message}` | reason: in_hand, stopped, overran, spent, full, refused, late, by_hand |
| `supervise.link.status` | up-down counter, `{link}` | state: connected, connecting |
| `supervise.link.calls` | up-down counter, `{call}` | direction: out, in |
| `supervise.link.unconfirmed` | up-down counter, `{message}` | – |
| `supervise.link.waiting_senders` | up-down counter, `{sender}` | – |
| `supervise.link.credit.utilization` | gauge, `1` | – (of the kind of message that is nearest to having no credit left) |
| `supervise.link.connections` | counter, `{connection}` | – |
| `supervise.link.losses` | counter, `{message}` | message: call, send (their outcome is unknown) |
| `supervise.link.callers` | counter, `{caller}` | outcome: admitted, refused |
| `messaging.process.duration` | histogram, `s` | system, operation, destination template (the type), `error.type` |
| `supervise.mailbox.wait.duration` | histogram, `s` | type |

All but the histograms are observable: nothing is recorded when a message is handled; plain counters that exist anyway are read
whenever a reader collects. The two histograms are only there with `durations=True`: they take about 20 µs of each message.

Those of links are there once a tree has had one, or a gate was asked to let somebody in.

A counter is there, at 0, before its first event. (`failures` then has no `error.type` yet.) No attribute holds a path or an id,
so there are as many series as there are types of actors; a class that was made while the program runs takes its series along
when it is gone, but those of the histograms, which OpenTelemetry can't end: there, types beyond the first 200 are `_OTHER`.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation

from supervise.events import DeadLetter, Decided, Event, Started, StartFailed, Stopped
from supervise.mailbox.account import Account
from supervise.mailbox.losses import Loss
from supervise.mailbox.refusal import Rejection
from supervise.spans.attributes import ACTOR_STATE, ACTOR_TYPE, ERROR_TYPE, MESSAGE_OUTCOME, REASON, RESTART_STRATEGY, scope
from supervise.spans.spans import Spans
from supervise.tree.branch import BranchPlace, Place
from supervise.tree.place import ActorPlace
from supervise.tree.pool_place import PoolPlace
from supervise_strategies.directives import Action
from supervise_strategies.errors import InvalidSpec

from .census import NOTHING, STATES, Census, accounts_of
from .durations import MOST_ERRORS, OTHER, Durations, TimedActors
from .kinds import Kinds
from .links import Links
from .loop_lag import LoopLag
from .windows import Windows

if TYPE_CHECKING:
    from supervise.mailbox.instrument import Instruments
    from supervise.mailbox.mailbox import Mailbox
    from supervise.tree.running import RunningSupervisor
    from supervise.tree.tree import Tree

_OUTCOMES: Final = ("handled", "failed", "dead_lettered", "abandoned")


class Metrics:
    """Counts for the trees that it is given as `metrics=`, for OpenTelemetry.

    `help("supervise.telemetry.metrics")` lists its instruments. One `Metrics` serves any number
    of trees, and goes on counting when they end and come again. Make one for each provider:
    instruments of the same names would clash. It makes them with its first tree.

        provider: The meter provider (default: the global one, which may be set later).
        durations: Whether each message is measured, and not only counted (default False). Two
            histograms say how long it waited, and how long its handler took. They take about 20
            µs of each message.
        clock: For tests: a function that returns seconds (default `time.monotonic`).

    `supervise.supervisor.restart.utilization` is the early warning: restarts in the window over
    those allowed. It is of the supervisor, or of the child with a limit of its own, that is
    nearest to giving up. `supervise.loop.lag` is how long the event loop took to come to what
    it was asked at the collection before, or has taken so far.

    It reads from whatever thread a reader collects in, without stopping the tree: numbers of
    one collection may be an instant apart. Raises `InvalidSpec` for a `durations` that is no
    bool.

        >>> from opentelemetry.sdk.metrics import MeterProvider
        >>> from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        >>> reader = InMemoryMetricReader()
        >>> async with Supervisor("app", metrics=Metrics(MeterProvider([reader]))) as app:
        ...     cart = await app.start(list, name="cart")
        ...     await cart.send(list.append, "tea")
        ...     found = reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics
        >>> {metric.name: metric.data.data_points[0].value for metric in found}["supervise.mailbox.accepted"]
        1
    """

    def __init__(
        self,
        provider: metrics.MeterProvider | None = None,
        *,
        durations: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if durations not in (True, False):
            raise InvalidSpec("Metrics", "durations", durations, "True or False")
        self.is_global: bool = provider is None
        """Whether its provider is the global one."""
        self.with_durations: bool = bool(durations)
        self.durations: Durations | None = None  # from its first tree on
        self._provider = provider
        self._begun = False
        self._clock = clock
        self._lock = threading.Lock()  # over the trees: a reader must not see one that ends twice, or not at all
        self._trees: dict[Tree, LoopLag] = {}
        self._kinds = Kinds()
        self._windows = Windows(clock)
        self._census: Census | None = None
        self._asked: set[str] = set()  # by which instruments, of this census
        self._past: dict[str, Account] = {}  # of actors that are gone
        self._types: set[str] = set()  # that were ever there, and still are
        self._shown: dict[tuple[str, str], int] = {}
        self._restarts: Counter[tuple[str, str]] = Counter()
        self._failures: Counter[tuple[str, str]] = Counter()
        self._error_types: set[str] = set()
        self._escalations: Counter[str] = Counter()
        self._dead_letters: Counter[str] = Counter({loss.code: 0 for loss in Loss})
        self._rejections: Counter[str] = Counter({rejection.value: 0 for rejection in Rejection})
        self._links = Links(self._read)

    def _begin(self) -> None:
        """Make the instruments, with the first tree: one that serves none clashes with nobody."""
        if self._begun:
            return
        self._begun = True
        meter = (self._provider or metrics.get_meter_provider()).get_meter(*scope())
        self.durations = Durations(meter) if self.with_durations else None
        up_down, counter = meter.create_observable_up_down_counter, meter.create_observable_counter
        gauge = meter.create_observable_gauge
        up_down("supervise.actor.status", [self._actors], "{actor}", "Actors by where they stand.")
        counter("supervise.actor.restarts", [self._restarted], "{restart}", "Restarts that supervisors decided on.")
        counter("supervise.actor.failures", [self._failed], "{failure}", "Incarnations that ended abnormally or didn't start.")
        counter("supervise.supervisor.escalations", [self._escalated], "{escalation}", "Supervisors that gave up.")
        used = "Restarts in the window over those allowed, of the supervisor that is nearest to giving up."
        gauge("supervise.supervisor.restart.utilization", [self._utilization], "1", used)
        gauge("supervise.tree.ready", [self._ready], "1", "Whether all that is required is up.")
        gauge("supervise.tree.degraded", [self._degraded], "1", "Whether something is down that isn't required.")
        gauge("supervise.loop.lag", [self._lag], "s", "How long the event loop takes to come to what it is asked for.")
        up_down("supervise.mailbox.size", [self._waiting], "{message}", "Messages that wait in mailboxes.")
        gauge("supervise.mailbox.utilization", [self._fullness], "1", "Messages that wait over capacity, of the fullest.")
        up_down("supervise.mailbox.waiting_senders", [self._senders], "{sender}", "Senders that wait for room.")
        counter("supervise.mailbox.accepted", [self._accepted], "{message}", "Messages that came in.")
        counter("supervise.mailbox.messages", [self._messages], "{message}", "What became of accepted messages.")
        counter("supervise.mailbox.rejections", [self._rejected], "{message}", "Messages that mailboxes didn't accept.")
        counter("supervise.dead_letters", [self._lost], "{message}", "Accepted messages that no handler will finish.")
        self._links.begin(meter)

    def watch(self, app: RunningSupervisor, /) -> Callable[[], None]:
        """Count for a running tree; what it returns ends that.

        `Supervisor(metrics=…)` calls this by itself. Histograms are of trees alone that were given
        it as `metrics=`.
        """
        self._begin()
        tree = app._branch.tree
        lag = LoopLag(tree.backend, self._clock)
        with self._lock:
            self._trees[tree] = lag
        unsubscribe = tree.bus.subscribe(lambda event: self._hear(tree, event))
        tree.on_forgotten = (*tree.on_forgotten, self._forgotten)
        tree.dead_letters.on_rejection = (*tree.dead_letters.on_rejection, self._reject)

        def unwatch() -> None:
            unsubscribe()
            tree.on_forgotten = tuple(told for told in tree.on_forgotten if told != self._forgotten)
            rejection = tree.dead_letters.on_rejection
            tree.dead_letters.on_rejection = tuple(told for told in rejection if told != self._reject)
            with self._lock:
                if self._trees.pop(tree, None) is not None:
                    self._add_to_past(tree.root)
            self._windows.forget(id(tree))

        return unwatch

    def instruments(self, made: Instruments | None, /) -> Instruments | None:
        """For the library: what makes the spans of a tree, with what measures durations around it.

        Raises `InvalidSpec` where durations are to be measured, and `tracing=` is something else
        than `Spans`.
        """
        self._begin()
        if self.durations is None:
            return made
        if made is None:
            return TimedActors(self.durations)
        if isinstance(made, Spans):
            return made.with_handlers(self.durations.finder)
        raise InvalidSpec("Metrics", "durations", True, "False beside a tracing= that isn't Spans(…), a provider, or a bool")

    # -- what happens: in the tree's thread, at once -----------------------------------------------------------------

    def _hear(self, tree: Tree, event: Event) -> None:
        if isinstance(event, DeadLetter):
            self._dead_letters[event.reason] += 1
        elif isinstance(event, Started):
            place = _place(tree, event.path)
            if isinstance(place, ActorPlace):
                self._kinds.learn(place)
        elif isinstance(event, Stopped | StartFailed):
            failed = not event.ignored if isinstance(event, StartFailed) else event.reason.abnormal
            place = _place(tree, event.path) if failed else None
            if isinstance(place, ActorPlace):
                word = event.error_type
                if word not in self._error_types and len(self._error_types) >= MOST_ERRORS:
                    word = OTHER
                self._error_types.add(word)
                self._failures[self._kinds.of(place), word] += 1
        elif isinstance(event, Decided):
            self._decided(tree, event)
        else:
            self._links.hear(event)

    def _decided(self, tree: Tree, event: Decided) -> None:
        above, place = _place(tree, event.supervisor), _place(tree, event.path)
        decision = event.decision
        strategy = above.description.spec.strategy.value if isinstance(above, BranchPlace) else ""
        if decision.action is Action.GIVE_UP:
            self._escalations[strategy] += 1
        elif decision.action is Action.RESTART:
            self._restarts[self._kinds.of(place), strategy] += 1
            limited = isinstance(place, ActorPlace) and place.child.spec.limit is not None
            self._windows.add(id(tree), event.path if limited else event.supervisor, decision.allowed, decision.per)

    def _reject(self, mailbox: Mailbox, reason: Rejection) -> None:
        self._rejections[reason.value] += 1

    def _forgotten(self, branch: BranchPlace, place: Place) -> None:
        if not isinstance(branch, PoolPlace):  # it counts its workers as its own
            self._add_to_past(place)

    def _add_to_past(self, place: Place) -> None:
        for kind, account in accounts_of(place, self._kinds).items():
            self._past[kind] = self._past.get(kind, NOTHING).plus(account)

    # -- what is read: in the reader's thread ------------------------------------------------------------------------

    def _read(self, instrument: str) -> Census:
        """How things stand. One walk through the trees is for all instruments of a collection: until one asks again."""
        with self._lock:
            if self._census is None or instrument in self._asked:
                self._asked.clear()
                past = {**self._past}  # before the places: what is being forgotten is in neither, and a counter never falls
                self._census = Census([*self._trees], self._kinds)
                living = self._kinds.living()
                self._forget_all_but(living)
                self._sum_up({kind: account for kind, account in past.items() if kind in living}, self._census)
            self._asked.add(instrument)
            return self._census

    def _sum_up(self, past: dict[str, Account], census: Census) -> None:
        self._types |= {kind for kind, _ in census.actors} | census.accounts.keys() | past.keys()
        for kind in self._types:
            account = past.get(kind, NOTHING).plus(census.accounts.get(kind, NOTHING))
            for outcome in ("accepted", *_OUTCOMES):
                self._shown[kind, outcome] = max(self._shown.get((kind, outcome), 0), getattr(account, outcome))
        for key in census.restartable:
            self._restarts.setdefault(key, 0)
        for kind in self._types:
            self._failures.setdefault((kind, ""), 0)
        for strategy in census.strategies:
            self._escalations.setdefault(strategy, 0)

    def _forget_all_but(self, living: set[str]) -> None:
        self._types &= living
        for kind in [kind for kind in self._past if kind not in living]:
            del self._past[kind]
        for counted in (self._restarts, self._failures, self._shown):
            for key in [key for key in [*counted] if key[0] not in living]:
                del counted[key]

    def _actors(self, _: CallbackOptions) -> Iterable[Observation]:
        found = self._read("actors").actors
        types = sorted(self._types)
        return [Observation(found[t, s], {ACTOR_TYPE: t, ACTOR_STATE: s}) for t in types for s in STATES]

    def _by_type(self, found: dict[str, float] | Counter[str]) -> Iterable[Observation]:
        return [Observation(found.get(kind, 0), {ACTOR_TYPE: kind}) for kind in sorted(self._types)]

    def _waiting(self, _: CallbackOptions) -> Iterable[Observation]:
        return self._by_type(self._read("waiting").waiting)

    def _fullness(self, _: CallbackOptions) -> Iterable[Observation]:
        return self._by_type(self._read("fullness").fullness)

    def _senders(self, _: CallbackOptions) -> Iterable[Observation]:
        return self._by_type(self._read("senders").waiting_senders)

    def _accepted(self, _: CallbackOptions) -> Iterable[Observation]:
        self._read("accepted")
        return [Observation(self._shown[kind, "accepted"], {ACTOR_TYPE: kind}) for kind in sorted(self._types)]

    def _messages(self, _: CallbackOptions) -> Iterable[Observation]:
        self._read("messages")
        types = sorted(self._types)
        return [Observation(self._shown[t, o], {ACTOR_TYPE: t, MESSAGE_OUTCOME: o}) for t in types for o in _OUTCOMES]

    def _restarted(self, _: CallbackOptions) -> Iterable[Observation]:
        self._read("restarted")
        return [Observation(n, {ACTOR_TYPE: kind, RESTART_STRATEGY: how}) for (kind, how), n in [*self._restarts.items()]]

    def _failed(self, _: CallbackOptions) -> Iterable[Observation]:
        self._read("failed")
        return [
            Observation(n, {ACTOR_TYPE: kind, ERROR_TYPE: word} if word else {ACTOR_TYPE: kind})
            for (kind, word), n in [*self._failures.items()]
        ]

    def _escalated(self, _: CallbackOptions) -> Iterable[Observation]:
        self._read("escalated")
        return [Observation(n, {RESTART_STRATEGY: strategy}) for strategy, n in [*self._escalations.items()]]

    def _rejected(self, _: CallbackOptions) -> Iterable[Observation]:
        return [Observation(n, {REASON: reason}) for reason, n in [*self._rejections.items()]]

    def _lost(self, _: CallbackOptions) -> Iterable[Observation]:
        return [Observation(n, {REASON: reason}) for reason, n in [*self._dead_letters.items()]]

    def _utilization(self, _: CallbackOptions) -> Iterable[Observation]:
        return [Observation(self._windows.fullest())]

    def _ready(self, _: CallbackOptions) -> Iterable[Observation]:
        return [Observation(int(self._read("ready").ready))]

    def _degraded(self, _: CallbackOptions) -> Iterable[Observation]:
        return [Observation(int(self._read("degraded").degraded))]

    def _lag(self, _: CallbackOptions) -> Iterable[Observation]:
        with self._lock:
            lags = [*self._trees.values()]
        return [Observation(max((lag.read() for lag in lags), default=0.0))]


def _place(tree: Tree, path: str) -> Place | None:
    place: Place = tree.root
    for part in path.split("/")[1:]:
        below = place.places.get(part) if isinstance(place, BranchPlace) else None
        if below is None:
            return None
        place = below
    return place
