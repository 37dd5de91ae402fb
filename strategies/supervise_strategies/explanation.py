"""What a child's end would cause now: the fact is told to a copy of the machine, and what it says is written down.

So the answer can't differ from what happens: the same rules give it. What it can't know is what comes in between, and the
next draw of a wait that leaves something to chance.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from . import directives as do
from .child_state import RUNNING, STOPPED, UNSTOPPABLE, ChildState
from .directives import Action, Decision, Directive
from .errors import ChildNotFound
from .exception import leaves
from .exit_reason import SHUTDOWN, ExitKind, ExitReason
from .kind import is_of
from .supervisor_state import Phase

if TYPE_CHECKING:
    from .supervision import Supervision


@dataclass(frozen=True, slots=True)
class Explanation:
    """What an end of one child would cause now.

    Nothing of it was done; `str()` says it in words. `stops` and `starts` are siblings and the
    child itself, by name and in order. A supervisor among them stands for all below it. With a
    `delay`, in seconds, the starts come after it.

    >>> tree = Supervisor("app", child(list), child(dict), strategy="rest_for_one")
    >>> async with tree as app:
    ...     explanation = app.explain("list")
    ...     explanation.starts
    ...     print(explanation)
    ('list', 'dict')
    app: list #1 ended: crashed; permanent -> restart 1 of 3 within 5 s with dict
      stops, in this order: dict
      starts, in this order: list, dict
      restarts left: 3 before, 2 after
    """

    path: str
    """Of the child."""
    supervisor: str
    """The path of its supervisor."""
    state: ChildState
    decisions: tuple[Decision, ...]
    """As they would be reported; none if the child isn't there to end, see `note`."""
    stops: tuple[str, ...]
    starts: tuple[str, ...]
    left: int
    """Restarts that the limit which applies allows now, before this one."""
    left_after: int
    """Those that it would allow afterwards."""
    ends: ExitReason | None
    """The reason with which the supervisor itself would end, if it would."""
    note: str = ""
    """What else to know: that the child isn't running, or that something is under way and comes first."""
    spent: bool = False
    """Whether the supervisor ends as a pool whose last worker has left, so that no restart follows."""
    above: Explanation | None = field(default=None, repr=False)
    """What that end of the supervisor would cause in turn; None at the root, where it is the end of the tree."""

    @property
    def decision(self) -> Decision | None:
        """The last of the decisions, which is what it comes to."""
        return self.decisions[-1] if self.decisions else None

    @property
    def delay(self) -> float:
        """Seconds before the starts."""
        return self.decisions[0].delay if self.decisions else 0.0

    @property
    def chain(self) -> tuple[Explanation, ...]:
        """This one, and those of the supervisors that would end because of it, upwards."""
        return tuple(self._upwards())

    def _upwards(self) -> Iterator[Explanation]:
        at: Explanation | None = self
        while at is not None:
            yield at
            at = at.above

    def __str__(self) -> str:
        return "\n".join(line for each in self._upwards() for line in each._lines())

    def _lines(self) -> Iterator[str]:
        if self.note:
            yield f"{self.path}: {self.note}"
        for decision in self.decisions:
            yield f"{self.supervisor}: {decision}"
        if self.stops:
            yield f"  stops, in this order: {', '.join(self.stops)}"
        if self.starts:
            after = f", after {self.delay:g} s" if self.delay else ""
            yield f"  starts, in this order{after}: {', '.join(self.starts)}"
        if self.decisions and self.ends is None:
            yield f"  restarts left: {self.left} before, {self.left_after} after"
        if self.above is None and self.ends is not None:
            gave_up = self.decision is not None and self.decision.action is Action.GIVE_UP
            yield f"  the tree ends{', and GaveUp is raised' if gave_up else ''}: {self.ends}"


def explain(
    machine: Supervision,
    id: str,
    now: float,
    reason: ExitReason = ExitReason(ExitKind.CRASHED),  # noqa: B008 - a frozen value
    *,
    error: BaseException | None = None,
    path: str | None = None,
    fingerprint: str = "",
    spent: bool = False,
) -> Explanation:
    """What a child's end at `now` would cause; the machine is left as it is.

    Its policies are asked, as they would be. What it can't know is what comes in between, and
    the next draw of a wait that leaves something to chance.

        reason: Of the end (default: a crash).
        error: For policies that look at it (`when=`, and waits that depend on it).
        path: Of the supervisor (default: its name).
        fingerprint: Names the crash; without it the crash is taken for one like the last.
        spent: Whether it is a pool whose workers have all left.

    Raises `ChildNotFound`, and a KeyboardInterrupt that strikes in a policy.

        >>> spec = SupervisorSpec("app", (ChildSpec("db"), ChildSpec("web")), strategy="one_for_all")
        >>> machine = Supervision(spec)
        >>> _ = machine.begin(now=0), machine.child_started("db", 1, now=0), machine.child_started("web", 1, now=0)
        >>> print(explain(machine, "db", now=1))
        app: db #1 ended: crashed; permanent -> restart 1 of 3 within 5 s with web
          stops, in this order: web
          starts, in this order: db, web
          restarts left: 3 before, 2 after
    """
    info = machine.child(id)
    if info is None:
        raise ChildNotFound(id, among=(child.id for child in machine.children()))
    above = machine.spec.id if path is None else path
    left = machine.left(id, now)
    note = ""
    if machine.phase in (Phase.STOPPING, Phase.DONE):
        note = "its supervisor is stopping, and restarts nothing"
    elif machine.waits(id):
        note = "its start waits, and fails with it"
    elif info.state is not RUNNING:
        why = f"; {info.last}" if info.last is not None and info.last.kind is ExitKind.GAVE_UP and info.state is STOPPED else ""
        note = f"it can't crash now: it is {info.state.value}{why}"
    if note and not machine.waits(id):
        return Explanation(f"{above}/{id}", above, info.state, (), (), (), left, left, None, note)
    if machine.busy and not note:
        note = "a start or a stop is under way, and comes first"
    trial = machine.trial()
    decisions: list[Decision] = []
    stops: list[str] = []
    starts: list[str] = []
    ends: ExitReason | None = None
    left_by_all = False
    known = fingerprint or info.fingerprint
    told = trial.start_failed if machine.waits(id) else functools.partial(trial.child_exited, fingerprint=known, spent=spent)
    out: deque[Directive] = deque(told(id, info.incarnation, reason, now, error=error))
    while out:
        directive = out.popleft()
        if isinstance(directive, do.PassUp):
            for leaf in leaves(directive.error):
                if is_of(leaf, KeyboardInterrupt):
                    raise leaf
        elif isinstance(directive, do.Report):
            decisions.append(directive.decision)
        elif isinstance(directive, do.Stop):
            stops.append(directive.id)
            stopped = trial.child(directive.id)
            if stopped is not None:
                out.extend(trial.child_exited(directive.id, stopped.incarnation, SHUTDOWN, now))
        elif isinstance(directive, do.CancelStart):
            stops.append(directive.id)
            waited = trial.child(directive.id)
            if waited is not None:
                out.extend(trial.start_failed(directive.id, waited.incarnation, SHUTDOWN, now))
        elif isinstance(directive, do.Start):
            starts.append(directive.id)
            out.extend(trial.child_started(directive.id, directive.number, now))
        elif isinstance(directive, do.Done):
            ends = directive.reason
            left_by_all = directive.cause is do.Cause.LAST_LEFT and ends.kind is ExitKind.GAVE_UP
    if decisions and decisions[0].delay:
        down = {child.id for child in trial.children() if child.state not in (RUNNING, UNSTOPPABLE)}
        starts = [name for name in decisions[0].affected if name in down]
    if ends is None and trial.phase is Phase.STOPPING:  # something unstoppable holds it up
        ends = trial.ends_with
    return Explanation(
        f"{above}/{id}",
        above,
        info.state,
        tuple(decisions),
        tuple(stops),
        tuple(starts),
        left,
        trial.left(id, now),
        ends,
        note,
        left_by_all,
    )
