"""A machine whose facts are told by hand, with its decisions kept apart from what it tells the runtime to do."""

from __future__ import annotations

from typing import Any

from supervise_strategies import (
    ChildInfo,
    ChildSpec,
    ChildState,
    Decision,
    Directive,
    ExitReason,
    Report,
    Restart,
    Stop,
    StopMode,
    Supervision,
    SupervisorSpec,
)
from supervise_strategies.exit_reason import SHUTDOWN, crashed

CRASH = crashed(ValueError("x"))


def spec(name: str, restart: Restart | None = None, **more: Any) -> ChildSpec:
    return ChildSpec(name, restart if restart is not None else Restart(), **more)


def final(name: str) -> Stop:
    return Stop(name, StopMode.FINAL, 5.0, False)


class Told(list[Any]):
    """Directives, which as tuples would be equal to those of another type: `Close("a")` and `Forget("a")`."""

    __hash__ = None

    def __eq__(self, other: object) -> bool:
        theirs: Any = other
        return super().__eq__(other) and [*map(type, self)] == [*map(type, theirs)]


class Rig:
    """Facts are about the incarnation that the machine knows, unless a number is given; they happen at `now`."""

    def __init__(self, *children: ChildSpec | str, **settings: Any) -> None:
        specs = tuple(spec(child) if isinstance(child, str) else child for child in children)
        self.machine = Supervision(SupervisorSpec("sup", specs, **settings))
        self.decisions: list[Decision] = []
        self.now = 0.0

    def at(self, now: float) -> Rig:
        self.now = now
        return self

    def up(self) -> Rig:
        """All children run."""
        self.begins()
        for child in self.machine.children():
            self.starts(child.id)
        return self

    def begins(self) -> Told:
        return self.took(self.machine.begin(self.now))

    def starts(self, name: str, number: int | None = None) -> Told:
        return self.took(self.machine.child_started(name, self._number(name, number), self.now))

    def fails(self, name: str, number: int | None = None, **how: Any) -> Told:
        return self.took(self.machine.start_failed(name, self._number(name, number), CRASH, self.now, **how))

    def ends(self, name: str, reason: ExitReason = CRASH, number: int | None = None, **how: Any) -> Told:
        return self.took(self.machine.child_exited(name, self._number(name, number), reason, self.now, **how))

    def stops(self, name: str) -> Told:
        """It ends because it was asked to."""
        return self.ends(name, SHUTDOWN)

    def overruns(self, name: str) -> Told:
        return self.took(self.machine.stop_overran(name, self._number(name, None), self.now))

    def timer(self) -> Told:
        return self.took(self.machine.timer(self.now))

    def took(self, directives: list[Directive]) -> Told:
        self.decisions += [directive.decision for directive in directives if isinstance(directive, Report)]
        return Told(directive for directive in directives if not isinstance(directive, Report))

    def info(self, name: str) -> ChildInfo:
        found = self.machine.child(name)
        assert found is not None
        return found

    def state(self, name: str) -> ChildState:
        return self.info(name).state

    def states(self) -> dict[str, str]:
        return {child.id: child.state.value for child in self.machine.children()}

    def _number(self, name: str, number: int | None) -> int:
        if number is not None:
            return number
        known = self.machine.child(name)
        return 1 if known is None else known.incarnation
