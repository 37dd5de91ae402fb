"""The description of a supervisor: immutable, printable, nestable, validated when built. It knows nothing of what runs it."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

from supervise_strategies.child_spec import ChildSpec, StopWithin, SupervisorSpec, check_unique, warn_of_immortal_loop
from supervise_strategies.errors import InvalidSpec
from supervise_strategies.intensity import Intensity
from supervise_strategies.restart import Restart, RestartName, as_restart
from supervise_strategies.strategy import AutoShutdown, Strategy

from .child import Child

if TYPE_CHECKING:
    from collections.abc import Iterator


StrategyName: TypeAlias = Literal["one_for_one", "one_for_all", "rest_for_one"]
AutoShutdownName: TypeAlias = Literal["never", "any_significant", "all_significant"]
GiveUpAs: TypeAlias = Literal["gave_up", "shutdown"]


class Description:
    """A supervisor as it is written down: its children by name, in start order, and how their ends are answered."""

    __slots__ = ("_children", "name", "required", "shutdown_budget", "spec", "spec_below")

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
        required: bool,
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
        for spec in self.spec.children:
            warn_of_immortal_loop(self.spec, spec)
        self.spec_below: ChildSpec = ChildSpec(
            id=name,
            restart=as_restart(restart),
            significant=significant,
            stop_within=stop_within,
            type="supervisor",
        )
        _check_budget(who, shutdown_budget)
        if required not in (True, False):
            raise InvalidSpec(who, "required", required, "True, or False for a supervisor whose loss only degrades the tree")
        self.required: bool = required
        self.shutdown_budget: float | None = shutdown_budget

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
        _check_budget(f"supervisor {self.name!r}", seconds)
        other = copy.copy(self)
        other.shutdown_budget = seconds
        return other

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Itself: it is immutable, and the children of a copy would be found by none of its keys."""
        return self

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} {self.spec.strategy.value}, {len(self._children)} children>"

    def __str__(self) -> str:
        """The tree with its policies, a line each."""
        return "\n".join(self._lines(""))

    def _lines(self, indent: str) -> Iterator[str]:
        spec, below = self.spec, self.spec_below
        kind = "dynamic" if spec.dynamic else spec.strategy.value
        more = "" if math.isinf(spec.max_children) else f", at most {spec.max_children:g} children"
        auto = "" if spec.auto_shutdown is AutoShutdown.NEVER else f", auto_shutdown {spec.auto_shutdown.value}"
        yield f"{indent}{self.name}  [{kind}, {spec.intensity}{auto}{more}]{_more(below, self.required, below.restart)}"
        for name, child in self._children.items():
            if isinstance(child, Description):
                yield from child._lines(indent + "  ")
            else:
                yield f"{indent}  {name}  {child.spec.restart}{_more(child.spec, child.required is not False)}"


def _more(spec: ChildSpec, required: bool, restart: Restart | None = None) -> str:
    """What is said of a child that isn't the default."""
    said: list[str] = []
    if restart is not None and restart != Restart():
        said.append(f"  {restart}")
    if spec.significant:
        said.append(", significant")
    if spec.stop_within is not None:
        within = spec.stop_within
        said.append(f", stop within {within:g} s" if isinstance(within, int | float) else f", stop {within}")
    if spec.limit is not None:
        said.append(f", limit {spec.limit}{', then escalate' if spec.on_limit == 'escalate' else ''}")
    if not required:
        said.append(", optional")
    return "".join(said)


def _check_budget(who: str, shutdown_budget: object) -> None:
    if shutdown_budget is not None and (
        isinstance(shutdown_budget, bool) or not isinstance(shutdown_budget, int | float) or not shutdown_budget >= 0
    ):
        raise InvalidSpec(who, "shutdown_budget", shutdown_budget, "seconds, 0 or more, or None for no budget")
