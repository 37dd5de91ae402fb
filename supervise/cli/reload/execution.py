"""A plan is done: all is described anew at once, then each child is seen to, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from supervise._backends import give
from supervise.tree.branch import BranchPlace, Place
from supervise.tree.place import ActorPlace
from supervise.tree.pool_place import PoolPlace
from supervise.tree.renewal import Renewal, failure, is_up
from supervise_strategies.errors import AdminError

from .plan import Action, Path, Plan, Standing, Step

if TYPE_CHECKING:
    from supervise._backends import Future
    from supervise.tree.running import RunningSupervisor

WHO = "reload"


def standing_of(place: Place) -> Standing:
    """What stands in a running tree now."""
    if isinstance(place, ActorPlace):
        return Standing(place.child, _lives((place,)))
    if isinstance(place, PoolPlace):
        return Standing(place.pool, _lives(place.places.values()))
    return Standing(place.description, (), {name: standing_of(below) for name, below in place.places.items()})


def _lives(places: Any) -> tuple[object, ...]:
    lives = (place.incarnation for place in places)
    return tuple(life.instance for life in lives if life is not None and life.running)


class Done:
    """What has come of a plan."""

    def __init__(self) -> None:
        self.paths: dict[Action, list[Path]] = {action: [] for action in Action}
        self.failed: dict[Path, AdminError | None] = {}
        """Those that didn't start, or didn't stop. Of one that has its restart policy to go on with nothing more is known."""


class Execution:
    """The plans of one running tree, one after the other. `owed`: who is described, and couldn't be started."""

    def __init__(self, app: RunningSupervisor) -> None:
        self._root = app._branch
        self._renewal = Renewal(app._branch, WHO)
        self.owed: set[Path] = set()
        self._under_way: tuple[Plan, list[Step]] | None = None

    def is_of(self, app: RunningSupervisor) -> bool:
        """Whether that is the tree."""
        return app._branch is self._root

    def describe(self, plan: Plan) -> None:
        """From now on whatever is started, by a crash for one, is started with its new code."""
        for step in plan.steps:
            place = self._renewal.place(step.path)
            if place is not None and step.description is not None and step.action not in (Action.ADD, Action.REPLACE):
                self._renewal.describe(place, step.description)

    async def carry_out(self, plan: Plan) -> Done:
        """Do all that is to be done, elders first. Whoever is cancelled meanwhile leaves all the rest asked for."""
        self.hurry()
        done, rest = Done(), [*plan.steps]
        self._under_way = plan, rest
        try:
            while rest:
                step = rest.pop(0)
                await self._do(step, done)
                self._revive(step, plan)
        finally:
            self._ask_all(plan, rest)
            for step in plan.steps:
                place = self._renewal.place(step.path)
                if isinstance(place, BranchPlace) and step.action in (Action.KEEP, Action.CHANGE):
                    self._renewal.arrange(place)  # with those that were added
        return done

    def hurry(self) -> None:
        """Ask at once for all that is left of the plan that is being carried out: another one is to be made."""
        if self._under_way is not None:
            self._ask_all(*self._under_way)

    def _ask_all(self, plan: Plan, rest: list[Step]) -> None:
        while rest:
            step = rest.pop(0)
            for ticket in self._ask(step):
                give(ticket, None)  # nobody waits for it
            self._revive(step, plan)

    def _revive(self, step: Step, plan: Plan) -> None:
        """A supervisor that waits for its restart, or was given up on, is started, if something below it is new."""
        place = self._renewal.place(step.path)
        if isinstance(place, BranchPlace) and place.node is None and place.parent is not None and plan.concerns(step.path):
            ticket = self._renewal.ask(place)
            if ticket is not None:
                give(ticket, None)  # nobody waits

    async def _do(self, step: Step, done: Done) -> None:
        place = self._renewal.place(step.path)
        if isinstance(place, PoolPlace) and step.action in (Action.KEEP, Action.CHANGE, Action.RESTART):
            await self._do_pool(place, step, done)
            return
        if step.action in (Action.KEEP, Action.CHANGE):
            done.paths[step.action].append(step.path)
            return
        tickets = self._ask(step)
        if step.action is Action.RESTART:
            if tickets:
                done.paths[step.action].append(step.path)
                if not await is_up(tickets[0]):
                    done.failed[step.path] = None
            return
        why = await failure(*tickets)
        if why is None:
            self.owed.discard(step.path)
            done.paths[step.action].append(step.path)
        else:
            done.failed[step.path] = why

    async def _do_pool(self, pool: PoolPlace, step: Step, done: Done) -> None:
        asked = False
        if step.action is Action.RESTART:
            for worker in [*pool.places.values()]:
                ticket = self._renewal.ask(worker)
                asked = asked or ticket is not None
                if ticket is not None and not await is_up(ticket):
                    done.failed[*step.path, worker.name] = None
            if pool.node is None:  # its last worker had left
                ticket = self._renewal.ask(pool)
                asked = ticket is not None and await is_up(ticket)
        if pool.node is not None and len(pool.places) != pool.pool.size:
            try:
                await pool.resize(pool.pool.size)
            except AdminError as error:
                done.failed[step.path] = error
        if asked or step.action is not Action.RESTART:
            done.paths[step.action].append(step.path)

    def _ask(self, step: Step) -> list[Future]:
        """At once; who waits for the answers is another matter."""
        renewal, action = self._renewal, step.action
        place, branch = renewal.place(step.path), renewal.place(step.path[:-1])
        tickets: list[Future | None] = []
        if action is Action.RESTART and place is not None:
            places = [*place.places.values()] if isinstance(place, PoolPlace) else [place]
            tickets += map(renewal.ask, places)
        if action in (Action.REMOVE, Action.REPLACE) and isinstance(branch, BranchPlace):
            tickets += renewal.remove(branch, step.path[-1])
        if action in (Action.ADD, Action.REPLACE) and isinstance(branch, BranchPlace) and step.description is not None:
            self.owed.add(step.path)
            tickets.append(renewal.add(branch, step.path[-1], step.description))
        return [ticket for ticket in tickets if ticket is not None]
