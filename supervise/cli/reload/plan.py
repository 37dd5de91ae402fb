"""What a reload does to a running tree: decided from what stands there, the new description, and the modules that are new.

Theory of operation
-------------------
Children are matched by path.

- A child that is made, or was built, of old code, or whose arguments have changed, is restarted on its own mailbox. If only its
  policy has changed, it is described anew, and runs on.
- One that another factory makes now, or for another kind of mailbox, or that was an actor and is a supervisor, is replaced: the
  old one is stopped and deleted, and what waited for it is lost.
- A supervisor is never restarted for that: its children are, one by one. One of another kind, a dynamic one say, replaces it.
- Who isn't described any more is removed, youngest first; who is new in the description is added. Both take part in its order.
- A child that was started at run time is described by nobody: it is made of what its factory is called now.
- One that was described before, and isn't there, has ended for good, or somebody has deleted it. It stays away.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

from supervise.tree.child import Child
from supervise.tree.description import Description
from supervise.tree.pool import Pool

from .finding import NotFound
from .likeness import Likeness
from .parts import as_pool

if TYPE_CHECKING:
    from .finding import NewCode

Path = tuple[str, ...]


class Standing(NamedTuple):
    """What stands in a running tree, and all that is below it."""

    description: Child[Any] | Description
    lives: tuple[object, ...] = ()
    """The instances that live now: one of an actor, one for each worker of a pool."""
    below: Mapping[str, Standing] = {}


class Action(Enum):
    """What is done to a child."""

    KEEP = "runs on"
    CHANGE = "changed"
    RESTART = "restarted"
    REPLACE = "replaced"
    ADD = "added"
    REMOVE = "removed"


class Step(NamedTuple):
    """One child, and what is done to it. `description`: what it is described as from now on; None if it is removed."""

    action: Action
    path: Path
    description: Child[Any] | Description | None


class Plan(NamedTuple):
    """In the order in which it is done: first who is removed, the youngest first; then all others, elders first."""

    steps: tuple[Step, ...]
    lost: tuple[Path, ...] = ()
    """Those whose code is old, and whose factory can't be found again."""
    anew: bool = False
    """The root itself is another one: all of the tree has to be started anew."""

    def of(self, action: Action) -> list[Path]:
        """Those to whom this is done."""
        return [step.path for step in self.steps if step.action is action]

    def concerns(self, path: Path) -> bool:
        """Whether anything is done to what is below it."""
        below = len(path)
        return any(step.action is not Action.KEEP and step.path[:below] == path for step in self.steps)


def planned(standing: Standing, new: Description, code: NewCode, owed: Collection[Path] = ()) -> Plan:
    """Compare. `owed`: those that are described and not there because their start has failed: they are tried again."""
    old = standing.description
    if not isinstance(old, Description) or _kind(old) != _kind(new) or old.name != new.name:
        return Plan((), anew=True)
    planner = _Planner(code, frozenset(owed))
    return planner.plan(standing, old, new)


class _Planner:
    def __init__(self, code: NewCode, owed: frozenset[Path]) -> None:
        self._code = code
        self._owed = owed
        self._like = Likeness()
        self._removed: list[Step] = []
        self._steps: list[Step] = []
        self._lost: list[Path] = []

    def plan(self, standing: Standing, old: Description, new: Description) -> Plan:
        self._supervisor((), standing, old, new, template=True)
        return Plan((*reversed(self._removed), *self._steps), tuple(self._lost))

    def _supervisor(
        self, path: Path, standing: Standing, old: Description, new: Description, *, template: bool = False
    ) -> None:
        """One that stands, and is described by `new` from now on. `template`: nothing above it describes it."""
        if template:
            self._like.know(path, old, new)
        self._add(Action.KEEP if self._like.same_supervisor(old, new) else Action.CHANGE, path, new)
        before, after = dict(old.named()), dict(new.named())
        self._removed += (
            Step(Action.REMOVE, (*path, name), None) for name in standing.below if name in before and name not in after
        )
        for name, described in after.items():
            there = standing.below.get(name)
            if there is not None:
                self._described((*path, name), there, described)
            elif name not in before or (*path, name) in self._owed:
                self._add(Action.ADD, (*path, name), described)
        for name, there in standing.below.items():
            if name not in before and name not in after:
                self._started_at_run_time((*path, name), there)

    def _described(self, path: Path, there: Standing, new: Child[Any] | Description) -> None:
        old = there.description
        if _kind(old) != _kind(new):
            self._add(Action.REPLACE, path, new)
        elif (before := as_pool(old)) is not None and (after := as_pool(new)) is not None:
            self._pool(path, there, before, after)
        elif isinstance(old, Child) and isinstance(new, Child):
            self._actor(self._action(there, old, new), path, new)
        elif isinstance(old, Description) and isinstance(new, Description):
            self._supervisor(path, there, old, new)

    def _action(self, there: Standing, old: Child[Any], new: Child[Any]) -> Action:
        if not self._like.same_thing(old, new):
            return Action.REPLACE
        if self._code.holds_old(old, *there.lives) or not self._like.same_life(old, new):
            return Action.RESTART
        return Action.KEEP if self._like.same_policy(old, new) else Action.CHANGE

    def _actor(self, action: Action, path: Path, new: Child[Any]) -> None:
        """The description itself may be old: that of a module which nobody knew to have to do with the one that is new."""
        if action is not Action.KEEP and self._code.holds_old(new):
            try:
                new = self._code.again(new)
            except NotFound:
                self._lost.append(path)
                return
        self._add(action, path, new)

    def _pool(self, path: Path, there: Standing, old: Pool[Any], new: Pool[Any]) -> None:
        action, like = self._action(there, old.worker, new.worker), self._like
        if (old.key_of is None) != (new.key_of is None):
            action = Action.REPLACE
        same = old.size == new.size and like.same_supervisor(old, new) and like.alike(old.key_of, new.key_of)
        self._add(Action.CHANGE if action is Action.KEEP and not same else action, path, new)

    def _started_at_run_time(self, path: Path, there: Standing) -> None:
        old = there.description
        if not _holds_old(self._code, there):
            return
        try:
            new = self._code.again(old)
        except NotFound:
            self._lost.append(path)
            return
        if isinstance(old, Description) and not isinstance(old, Pool):
            self._supervisor(path, there, old, new, template=True)
        else:
            self._add(Action.RESTART, path, new)

    def _add(self, action: Action, path: Path, new: Child[Any] | Description) -> None:
        self._steps.append(Step(action, path, new))


def _holds_old(code: NewCode, there: Standing) -> bool:
    return any(code.holds_old(each.description, *each.lives) for each in _all_of(there))


def _all_of(there: Standing) -> Iterator[Standing]:
    todo = [there]
    while todo:
        each = todo.pop()
        yield each
        todo.extend(each.below.values())


def _kind(described: Child[Any] | Description) -> tuple[str, bool]:
    """What it is, as far as one can't become the other while it runs."""
    if isinstance(described, Child):
        return "actor", False
    return "pool" if isinstance(described, Pool) else "supervisor", described.spec.dynamic
