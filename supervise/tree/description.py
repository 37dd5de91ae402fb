"""The description of a supervisor: immutable, printable, nestable, validated when built. It knows nothing of what runs it."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeAlias

from supervise_strategies.child_spec import ChildSpec, StopWithin, SupervisorSpec, check_unique, warn_of_immortal_loop
from supervise_strategies.errors import InvalidSpec
from supervise_strategies.intensity import Intensity
from supervise_strategies.restart import Restart, RestartName, as_restart
from supervise_strategies.strategy import AutoShutdown, Strategy

from .child import Child
from .child_options import unless_said

if TYPE_CHECKING:
    from collections.abc import Iterator


StrategyName: TypeAlias = Literal["one_for_one", "one_for_all", "rest_for_one"]
AutoShutdownName: TypeAlias = Literal["never", "any_significant", "all_significant"]
GiveUpAs: TypeAlias = Literal["gave_up", "shutdown"]


class Description:
    """A supervisor as it is written down: its children by name, in start order, and how their ends are answered."""

    __slots__ = (
        "__weakref__",
        "_children",
        "_names",
        "name",
        "required",
        "says_restart",
        "shutdown_budget",
        "spec",
        "spec_below",
    )

    is_one_thing: ClassVar[bool] = False
    """Whether what is below it is shown with it, and not by itself: a pool's workers."""

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
        restart: Restart | RestartName | None,
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
            if isinstance(child, Description):
                child.check_below()
        self._check_used_once(who, children)
        check_unique(who, (c.name for c in children if c.name is not None))
        following: dict[str, int] = {}  # by name: the number at which the search for a free one goes on
        for child in children:
            base = child.name if isinstance(child, Description) else child.spec.id
            chosen = base
            while child.name is None and (chosen in taken or chosen in named):
                following[base] = n = following.get(base, 1) + 1
                chosen = f"{base}-{n}"
            named[chosen] = child
        self.name: str = name
        self._children: dict[str, Child[Any] | Description] = named
        self._names: dict[Child[Any] | Description, str] = {child: chosen for chosen, child in named.items()}
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
            restart=as_restart("permanent" if restart is None else restart),
            significant=significant,
            stop_within=stop_within,
            type="supervisor",
        )
        self.says_restart: bool = restart is not None
        _check_budget(who, shutdown_budget)
        if required not in (True, False):
            raise InvalidSpec(who, "required", required, "True, or False for a supervisor whose loss only degrades the tree")
        self.required: bool = required
        self.shutdown_budget: float | None = shutdown_budget

    @staticmethod
    def _check_used_once(who: str, children: tuple[Child[Any] | Description, ...]) -> None:
        if len(children) == 1:  # what is below it was looked at when it was described
            return
        seen: set[int] = set()
        for child in children:
            below = child.walk(shown=True) if isinstance(child, Description) and not child.is_one_thing else ()
            for each in (child, *(each for _, each in below)):
                if id(each) in seen:
                    cure = "it stands once in a description, since it is the key to find the child: describe another"
                    raise InvalidSpec(who, "children", each, cure)
                seen.add(id(each))

    def walk(self, *, shown: bool = False) -> Iterator[tuple[tuple[str, ...], Child[Any] | Description]]:
        """All that is described below it, from the top down in start order.

        Each comes with its path from here.
        """
        todo = [iter(self._children.items())]
        path: list[str] = []
        while todo:
            for name, child in todo[-1]:
                yield (*path, name), child
                if isinstance(child, Description) and not (shown and child.is_one_thing):
                    todo.append(iter(child._children.items()))
                    path.append(name)
                    break
            else:
                todo.pop()
                if path:
                    path.pop()

    def named(self) -> Iterator[tuple[str, Child[Any] | Description]]:
        """The static children with the names that they have here."""
        return iter(self._children.items())

    def name_of(self, key: Child[Any] | Description) -> str | None:
        """The name that a child has here, if it is described here."""
        return self._names.get(key)

    def where(self, key: Child[Any] | Description, *, but: object = None) -> tuple[str, ...] | None:
        """The path of a child that is described here or further below, or None.

        What is below `but` is left out.
        """
        todo: list[tuple[Description, tuple[str, ...]]] = [(self, ())]
        while todo:
            at, path = todo.pop()
            name = at._names.get(key)
            if name is not None:
                return (*path, name)
            todo.extend((below, (*path, n)) for n, below in at._nested() if below is not but)
        return None

    def _nested(self) -> Iterator[tuple[str, Description]]:
        return ((name, child) for name, child in self._children.items() if isinstance(child, Description))

    def spec_as_child(self, name: str) -> ChildSpec:
        """What a parent supervisor knows of it."""
        return replace(self.spec_below, id=name)

    def spec_under(self, supervisor: Description) -> ChildSpec:
        """What that supervisor is told of it at run time.

        It is temporary under a dynamic one, if nothing else was said.
        """
        return unless_said(self.spec_below, self.says_restart) if supervisor.spec.dynamic else self.spec_below

    def for_roots_only(self) -> Iterator[tuple[str, object, str]]:
        """What was said that only the root of a tree can do.

        It is the option, its value, and the cure below a root.
        """
        if self.shutdown_budget is not None:
            yield "shutdown_budget", self.shutdown_budget, "say it at the root; stop_within= bounds the stop of a nested one"

    def check_below(self) -> None:
        """Refuse to stand below another supervisor, where some options would do nothing."""
        for option, value, cure in self.for_roots_only():
            who = f"supervisor {self.name!r}"
            raise InvalidSpec(who, option, value, f"it is for the root of a tree, and this one is below another: {cure}")

    def with_budget(self, seconds: float) -> Self:
        """The same description with another `shutdown_budget`, in seconds.

        It is what an operator says, rather than whoever wrote the tree.
        """
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
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield self._line()
        for path, child in self.walk(shown=True):
            indent = "  " * len(path)
            if isinstance(child, Description):
                yield f"{indent}{child._line()}"
            else:
                yield f"{indent}{path[-1]}  {child.spec.restart}{policies(child.spec, child.required is not False)}"

    def _kind(self) -> str:
        return "dynamic" if self.spec.dynamic else self.spec.strategy.value

    def _line(self) -> str:
        spec, below, kind = self.spec, self.spec_below, self._kind()
        more = "" if math.isinf(spec.max_children) else f", at most {spec.max_children:g} children"
        auto = "" if spec.auto_shutdown is AutoShutdown.NEVER else f", auto_shutdown {spec.auto_shutdown.value}"
        return f"{self.name}  [{kind}, {spec.intensity}{auto}{more}]{policies(below, self.required, below.restart)}"


def policies(spec: ChildSpec, required: bool, restart: Restart | None = None) -> str:
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
    if spec.limit is None and not spec.restart.intensity_counts:
        said.append(", paced: not counted" if spec.restart.stop is None else ", bounded by stop=: not counted")
    if spec.retry_start:
        said.append(", its first start is tried again")
    if spec.quarantine is not None:
        said.append(f", quarantine after {spec.quarantine} crashes alike")
    if not required:
        said.append(", optional")
    return "".join(said)


def _check_budget(who: str, shutdown_budget: object) -> None:
    if shutdown_budget is not None and (
        isinstance(shutdown_budget, bool) or not isinstance(shutdown_budget, int | float) or not shutdown_budget >= 0
    ):
        raise InvalidSpec(who, "shutdown_budget", shutdown_budget, "seconds, 0 or more, or None for no budget")
