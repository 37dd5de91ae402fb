"""The description of a supervisor, and `async with`: what runs it.

A description is immutable, can be printed and nested, and can be run again; what runs is kept elsewhere.
"""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

from supervise_strategies.child_spec import ChildSpec, StopWithin, SupervisorSpec, check_unique
from supervise_strategies.errors import InvalidSpec
from supervise_strategies.intensity import Intensity
from supervise_strategies.restart import Restart, RestartName, as_restart
from supervise_strategies.strategy import AutoShutdown, Strategy

from ._backends import current_backend
from .child import Child
from .running import RunningSupervisor
from .tree import Tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from .events import Listener

StrategyName: TypeAlias = Literal["one_for_one", "one_for_all", "rest_for_one"]
AutoShutdownName: TypeAlias = Literal["never", "any_significant", "all_significant"]
GiveUpAs: TypeAlias = Literal["gave_up", "shutdown"]


class Description:
    """What static and dynamic supervisors share."""

    __slots__ = ("_children", "_tree", "listener", "name", "shutdown_budget", "spec", "spec_below")

    def __init__(
        self,
        name: str,
        children: tuple[Child[Any] | Description, ...],
        *,
        strategy: Strategy | StrategyName,
        intensity: Intensity,
        auto_shutdown: AutoShutdown | AutoShutdownName,
        dynamic: bool,
        max_children: float,
        restart: Restart | RestartName,
        significant: bool,
        stop_within: StopWithin | None,
        shutdown_budget: float | None,
        give_up_as: GiveUpAs,
        listener: Listener | None,
    ) -> None:
        who = f"supervisor {name!r}"
        named: dict[str, Child[Any] | Description] = {}
        taken = {c.name for c in children if isinstance(c, Child | Description) and c.name is not None}
        for child in children:
            if not isinstance(child, Child | Description):
                raise InvalidSpec(
                    who, "children", child, "describe it with child(factory, …), Supervisor(…) or DynamicSupervisor(…)"
                )
        self._check_used_once(who, children)
        check_unique(who, (c.name for c in children if c.name is not None))
        for child in children:
            base = child.name if isinstance(child, Description) else child.spec.id
            chosen, n = base, 2
            while child.name is None and (chosen in taken or chosen in named):
                chosen, n = f"{base}-{n}", n + 1
            named[chosen] = child
        self.name: str = name
        self._children: dict[str, Child[Any] | Description] = named
        self.spec: SupervisorSpec = SupervisorSpec(
            id=name,
            children=tuple(c.spec_as_child(n) for n, c in named.items()),
            strategy=strategy,  # type: ignore[arg-type]  # SupervisorSpec takes the names too, and says which there are
            intensity=intensity,
            auto_shutdown=auto_shutdown,  # type: ignore[arg-type]
            dynamic=dynamic,
            max_children=max_children,
            give_up_as=give_up_as,  # type: ignore[arg-type]
        )
        self.spec_below: ChildSpec = ChildSpec(
            id=name,
            restart=as_restart(restart),
            significant=significant,
            stop_within=stop_within,
            type="supervisor",
        )
        if shutdown_budget is not None and (
            isinstance(shutdown_budget, bool) or not isinstance(shutdown_budget, int | float) or not shutdown_budget >= 0
        ):
            raise InvalidSpec(who, "shutdown_budget", shutdown_budget, "seconds, 0 or more, or None for no budget")
        if listener is not None and not callable(listener):
            raise InvalidSpec(who, "listener", listener, "a function of one event, or None")
        self.shutdown_budget: float | None = shutdown_budget
        self.listener: Listener | None = listener
        self._tree: Tree | None = None

    @staticmethod
    def _check_used_once(who: str, children: tuple[Child[Any] | Description, ...]) -> None:
        seen: set[int] = set()
        todo = list(children)
        while todo:
            child = todo.pop()
            if id(child) in seen:
                cure = "one Child object stands once in a tree, since it is the key to find the child: describe another"
                raise InvalidSpec(who, "children", child, cure)
            seen.add(id(child))
            if isinstance(child, Description):
                todo.extend(child._children.values())

    def named(self) -> Iterator[tuple[str, Child[Any] | Description]]:
        """The static children with the names that they have here."""
        return iter(self._children.items())

    def spec_as_child(self, name: str) -> ChildSpec:
        """What a parent supervisor knows of it."""
        return replace(self.spec_below, id=name)

    def with_budget(self, seconds: float) -> Self:
        """The same description with another `shutdown_budget`: what an operator says, rather than whoever wrote the tree."""
        other = copy.copy(self)
        other.shutdown_budget, other._tree = seconds, None
        return other

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} {self.spec.strategy.value}, {len(self._children)} children>"

    def __str__(self) -> str:
        """The tree with its policies, a line each."""
        return "\n".join(self._lines(""))

    def _lines(self, indent: str) -> Iterator[str]:
        spec = self.spec
        kind = "dynamic" if spec.dynamic else spec.strategy.value
        more = "" if math.isinf(spec.max_children) else f", at most {spec.max_children:g} children"
        auto = "" if spec.auto_shutdown is AutoShutdown.NEVER else f", auto_shutdown {spec.auto_shutdown.value}"
        yield f"{indent}{self.name}  [{kind}, {spec.intensity}{auto}{more}]"
        for name, child in self._children.items():
            if isinstance(child, Description):
                yield from child._lines(indent + "  ")
            else:
                significant = ", significant" if child.spec.significant else ""
                yield f"{indent}  {name}  {child.spec.restart}{significant}"

    async def __aenter__(self) -> RunningSupervisor:
        if self._tree is not None:
            raise RuntimeError(f"supervisor {self.name!r} runs already: leave its `async with` first, or describe another")
        self._tree = tree = Tree(current_backend(), self, self.listener, RunningSupervisor)
        try:
            await tree.open()
        except BaseException:
            self._tree = None
            raise
        return RunningSupervisor(tree.root)

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        tree, self._tree = self._tree, None
        return tree is not None and await tree.close(exc)


class Supervisor(Description):
    """A supervisor with the children it begins with, in start order; `async with` runs it, and yields a `RunningSupervisor`.

    | it ends when | the body | what leaves `async with` |
    |---|---|---|
    | the body ends | – | nothing; the tree was stopped in order |
    | the body raises | – | that exception, unchanged |
    | restarts exceed `intensity` | is cancelled | `GaveUp` |
    | auto-shutdown; or an actor calls `stop_tree()` | is cancelled | nothing; `ended` says why |
    | it is cancelled from outside | is cancelled | the cancellation, after a stop of at most 5 s |

    `intensity` is how many restarts within how many seconds are tolerated (default 3 in 5 s). `shutdown_budget` is one
    deadline, in seconds, over the ordered stop of the whole tree: each child gets the smaller of its own time and what is
    left. `restart`, `significant` and `stop_within` say how a parent treats it. `give_up_as="shutdown"` is OTP's own reason
    after which a transient supervisor that gave up isn't restarted. `listener` hears every event of a root's tree, from the
    first start on.
    """

    __slots__ = ()

    def __init__(
        self,
        name: str,
        *children: Child[Any] | Description,
        strategy: Strategy | StrategyName = "one_for_one",
        intensity: Intensity = Intensity(),  # noqa: B008 - a frozen value
        auto_shutdown: AutoShutdown | AutoShutdownName = "never",
        restart: Restart | RestartName = "permanent",
        significant: bool = False,
        stop_within: StopWithin | None = None,
        shutdown_budget: float | None = None,
        give_up_as: GiveUpAs = "gave_up",
        listener: Listener | None = None,
    ) -> None:
        super().__init__(
            name,
            children,
            strategy=strategy,
            intensity=intensity,
            auto_shutdown=auto_shutdown,
            dynamic=False,
            max_children=math.inf,
            restart=restart,
            significant=significant,
            stop_within=stop_within,
            shutdown_budget=shutdown_budget,
            give_up_as=give_up_as,
            listener=listener,
        )
