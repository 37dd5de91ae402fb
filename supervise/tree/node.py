"""One life of a supervisor: it feeds facts to the machine and obeys the directives that come back.

There is no supervisor task. A fact is stepped through the machine in the task in which it happened, so a restart costs no
hop; a fact that arrives while directives are being obeyed waits in the inbox until they all are. What it causes elsewhere in
the tree is done in between, by the tree's agenda.
"""

from __future__ import annotations

import itertools
import logging
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from supervise import events
from supervise._backends import fail, give
from supervise.mailbox.instrument import tell_start
from supervise_strategies import directives as do
from supervise_strategies.directives import Action, Decision, Directive
from supervise_strategies.exception import leaves
from supervise_strategies.kind import is_of
from supervise_strategies.supervision import Supervision
from supervise_strategies.supervisor_state import ENDING

from .agenda import Job
from .branch import BranchPlace, Place
from .child import Child
from .place import ActorPlace
from .pool_place import PoolPlace

if TYPE_CHECKING:
    from supervise._backends import Future, Handle
    from supervise.actor.incarnation import Incarnation
    from supervise.mailbox.instrument import Instrument
    from supervise_strategies.child_spec import ChildSpec

    from .description import Description
    from .pool import Pool
    from .tree import Tree


class Offer:
    """A child that was asked for, from the call until its answer. It gets its place when its turn comes, not before.

    Meanwhile one of the same name may end or be deleted, and the caller may be cancelled, which leaves the call to be served.
    """

    __slots__ = ("answer", "came_from", "description", "keyed", "name", "place")

    def __init__(self, name: str, description: Child[Any] | Description, answer: Future, keyed: bool) -> None:
        self.name: str = name
        self.description: Child[Any] | Description = description
        self.keyed: bool = keyed  # whether anybody has the description, to find it by
        self.answer: Future = answer
        self.place: Place | None = None
        self.came_from: object = None


class Node:
    """A supervisor that runs."""

    __slots__ = (
        "_counters",
        "_crashes",
        "_inbox",
        "_killed",
        "_offers",
        "_stepping",
        "_wake",
        "asking",
        "branch",
        "in_place",
        "machine",
        "number",
        "on_done",
        "path",
        "places",
        "ready",
        "tree",
    )

    def __init__(self, tree: Tree, branch: BranchPlace, number: int) -> None:
        self.tree: Tree = tree
        self.branch: BranchPlace = branch
        self.number: int = number
        self.path: str = branch.path
        self.places: dict[str, Place] = branch.places
        lives = {name: place.number for name, place in self.places.items()}
        over = branch.over.union(n for n, place in self.places.items() if isinstance(place, ActorPlace) and place.over)
        self.machine: Supervision = Supervision(branch.description.spec, draw=tree.draw, lives=lives, over=over)
        self.ready: bool = False
        self._crashes: deque[tuple[str, Decision]] = deque(maxlen=50)  # with the path of the supervisor that decided
        self.on_done: list[Future] = []
        self.asking: Incarnation | None = None  # the incarnation in whose task the machine is being stepped
        self.in_place: Incarnation | None = None  # its successor, if that is to run in the same task
        self._killed = False
        self._stepping = False
        self._inbox: deque[tuple[Callable[..., list[Directive]], tuple[Any, ...], dict[str, Any]]] = deque()
        self._wake: Handle | None = None
        self._counters: dict[str, itertools.count[int]] = {}
        self._offers: dict[str, list[Offer]] = {}  # by name: calls that wait, in the order in which they are served
        for name, description in branch.description.named():
            if name not in self.places:  # a child that was deleted, or temporary, comes back with a new mailbox
                keyed = not isinstance(branch, PoolPlace)  # nobody has the key of a worker
                self.places[name] = self._new_place(name, description, keyed=keyed)

    def _new_place(self, name: str, description: Child[Any] | Description, *, keyed: bool) -> Place:
        place: Place
        if isinstance(description, Child):
            place = self.branch.new_actor(self, name, description)
        elif description.is_one_thing:
            place = PoolPlace(self.tree, self, name, cast("Pool[Any]", description))
        else:
            place = BranchPlace(self.tree, self, name, description)
        if keyed:
            self.tree.registry.enter(place)
        return place

    def begin(self) -> None:
        self.step(self.machine.begin, self.tree.backend.now())

    def step(self, fact: Callable[..., list[Directive]], *args: Any, **details: Any) -> None:
        """Tell the machine a fact, and obey what follows: now, or when what is under way has come so far."""
        self._inbox.append((fact, args, details))
        if not self._stepping:
            try:
                self._stepping = True
                self.tree.agenda.do(self._serve())
            except BaseException:  # Ctrl-C, on asyncio, struck before it had begun; the next step tells this fact, too
                self._stepping = False
                raise

    def _serve(self) -> Job:
        """Take one fact after the other."""
        inbox, caused = self._inbox, self.tree.agenda.caused
        try:
            while inbox:
                fact, args, details = inbox.popleft()
                directives = fact(*args, **details)
                if self.machine.phase is ENDING and self.branch.parent is None:
                    self.tree.begin_to_end()
                for directive in directives:
                    _OBEY[type(directive)](self, directive)
                    if caused:
                        yield
        finally:
            self._stepping = False

    @contextmanager
    def held(self) -> Generator[None, None, None]:
        """Look at nothing that happens meanwhile before all of it has happened. For tests: several ends at once."""
        self.machine.hold()
        try:
            yield
        finally:
            self.step(self.machine.release, self.tree.backend.now())

    def free_name(self, base: str) -> str:
        """`base`, then `base-2`, `base-3`, …: the first that no child has."""
        if base not in self.places and base not in self._offers:
            return base
        counter = self._counters.setdefault(base, itertools.count(2))
        while True:
            name = f"{base}-{next(counter)}"
            if name not in self.places and name not in self._offers:
                return name

    def offer(self, name: str, spec: ChildSpec, description: Child[Any] | Description, *, keyed: bool = False) -> Offer:
        """Ask the machine for a new child."""
        offer = Offer(name, description, self.tree.backend.future(), keyed)
        if self.tree.instruments is not None:
            offer.came_from = self.tree.instruments.here()
        self._offers.setdefault(name, []).append(offer)
        self.step(self.machine.start_child, spec, offer, self.tree.backend.now(), id=name)
        return offer

    def offered(self, name: str) -> Offer | None:
        """The first call for a child of this name whose turn hasn't come."""
        return next((offer for offer in self._offers.get(name, ()) if offer.place is None), None)

    def _withdraw(self, offer: Offer) -> None:
        waiting = self._offers[offer.name]
        waiting.remove(offer)
        if not waiting:
            del self._offers[offer.name]

    def kill_all(self) -> None:
        """Cancel all that lives below. Idempotent: it is being stopped, so nothing comes after that."""
        if not self._killed:
            self._killed = True
            self.tree.agenda.do(self._kill_each())

    def _kill_each(self) -> Job:
        for place in [*self.places.values()]:
            place.kill()
            yield

    def adopt_crashes(self, child: Node) -> None:
        """What led to a child supervisor's give-up is a part of what leads to one's own."""
        if child._crashes and child._crashes[-1][1].action is Action.GIVE_UP:
            self._crashes.extend(child._crashes)

    @property
    def crashes(self) -> list[events.Decided]:
        """The last decisions that count, oldest first."""
        return [events.Decided(f"{path}/{decision.child}", path, decision) for path, decision in self._crashes]

    # -- one method for each directive -------------------------------------------------------------------------------

    def _start(self, directive: do.Start) -> None:
        place = self.places.get(directive.id)
        if place is None:  # calls are served in order, so it is the first one that asked for this name
            offer = self._offers[directive.id][0]
            place = offer.place = self._new_place(offer.name, offer.description, keyed=offer.keyed)
            self.places[directive.id] = place
            instrument = None if self.tree.instruments is None else self._instrument_of(offer.name)
            if instrument is not None:
                instrument.asked_for(offer.came_from)
        place.start(self, directive.number)

    def _stop(self, directive: do.Stop) -> None:
        self.places[directive.id].stop(directive)

    def _cancel_start(self, directive: do.CancelStart) -> None:
        self.places[directive.id].cancel_start(directive.mode)

    def _close(self, directive: do.Close) -> None:
        self.places[directive.id].close()

    def _forget(self, directive: do.Forget) -> None:
        place = self.places.pop(directive.id)
        self.tree.registry.leave((place,) if isinstance(place, ActorPlace) else (place, *place.walk()))
        place.forget()
        if isinstance(place, ActorPlace) and place.over and self.branch.description.name_of(place.child) == place.name:
            self.branch.over.add(place.name)
        self.branch.gone = self.branch.gone.plus(place.account())
        for told in self.tree.on_forgotten:
            told(self.branch, place)

    def _wake_at(self, directive: do.WakeAt) -> None:
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None
        if directive.at is not None:
            self._wake = self.tree.backend.call_at(directive.at, self._timer)

    def _timer(self) -> None:
        self._wake = None
        self.step(self.machine.timer, self.tree.backend.now())

    def _reply(self, directive: do.Reply) -> None:
        ticket: Any = directive.ticket  # a future, or an offer: the machine only hands it back
        if isinstance(ticket, Offer):
            self._withdraw(ticket)
            ticket = ticket.answer
        if isinstance(directive.result, Exception):
            fail(ticket, directive.result)
        else:
            give(ticket, directive.result)

    def _pass_up(self, directive: do.PassUp) -> None:
        for leaf in leaves(directive.error):
            if is_of(leaf, KeyboardInterrupt, SystemExit):
                self.tree.fatal(leaf)
                return

    def _report(self, directive: do.Report) -> None:
        decision = directive.decision
        action = decision.action
        lives = self.branch.lives
        if lives.muted != decision.child or action is _GIVE_UP:
            lives.decided(decision)
        else:
            lives.last = ()
        if action is _RESTART or action is _GIVE_UP:  # a normal end counts as well, and what is left alone doesn't
            self._crashes.append((self.path, decision))
        if self.tree.instruments is None:
            bus = self.tree.bus
            if not bus.hears(logging.ERROR) or not bus.hears(events.Decided.level_of(decision)):
                return
        event = events.Decided(f"{self.path}/{decision.child}", self.path, decision)
        if self.tree.instruments is not None and self.branch.instrument is not None:
            child = self._instrument_of(decision.child)
            affected = [each for name in decision.affected if (each := self._instrument_of(name)) is not None]
            if child is not None:
                strategy = self.branch.description.spec.strategy.value
                self.tree.instruments.decided(event, strategy, child, affected, self.branch.instrument)
        self.tree.bus.publish(event)

    def _instrument_of(self, name: str) -> Instrument | None:
        place = self.places.get(name)
        return place.mailbox.instrument if isinstance(place, ActorPlace) else None if place is None else place.instrument

    def _overran(self, directive: do.Overran) -> None:
        parent = self.branch.parent
        if parent is not None:
            self.tree.bus.publish(events.Overran(self.path, self.number))
            now, how = self.tree.backend.now(), {"reason": directive.reason, "error": directive.error}
            parent.step(parent.machine.stop_overran, self.branch.name, self.number, now, **how)

    def _ready(self, directive: do.Ready) -> None:
        self.ready = True
        if self.branch.instrument is not None:
            self.branch.instrument.started(None)
        tell_start(self.tree.bus, self.branch.instrument, events.Started(self.path, self.number))
        parent = self.branch.parent
        now = self.tree.backend.now()
        lives = self.tree.lives if parent is None else parent.branch.lives
        lives.started(now, self.branch.name, self.number)
        if not self.branch.is_built:
            self.branch.built()
        if parent is None:
            self.tree.started()
        else:
            parent.step(parent.machine.child_started, self.branch.name, self.number, self.tree.backend.now())

    def _waits(self, directive: do.Waits) -> None:
        parent = self.branch.parent
        if parent is not None:
            parent.step(parent.machine.start_waits, self.branch.name, self.number, self.tree.backend.now())

    def _done(self, directive: do.Done) -> None:
        if self._wake is not None:
            self._wake.cancel()
        self.branch.ended(directive.reason, directive.cause, None if self.ready else directive.error)
        for waiter in self.on_done:
            give(waiter, None)


_RESTART, _GIVE_UP = Action.RESTART, Action.GIVE_UP  # CPython 3.11 takes 70 ns to look up a member of an enum
_OBEY: dict[type, Callable[[Node, Any], None]] = {
    do.Start: Node._start,
    do.Stop: Node._stop,
    do.CancelStart: Node._cancel_start,
    do.Close: Node._close,
    do.Forget: Node._forget,
    do.WakeAt: Node._wake_at,
    do.Reply: Node._reply,
    do.PassUp: Node._pass_up,
    do.Report: Node._report,
    do.Overran: Node._overran,
    do.Ready: Node._ready,
    do.Waits: Node._waits,
    do.Done: Node._done,
}
