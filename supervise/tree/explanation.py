"""What an end of a child would cause, along the chain of its supervisors: of a tree that runs, or of one as it is written."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from supervise.journal.fingerprint import fingerprint_of
from supervise_strategies.child_state import ChildState
from supervise_strategies.errors import ChildNotFound, SupervisorNotRunning
from supervise_strategies.exception import leaves, traceback_of
from supervise_strategies.exit_reason import ExitKind, ExitReason, crashed
from supervise_strategies.explanation import Explanation, explain
from supervise_strategies.kind import name_of_kind
from supervise_strategies.suggestion import did_you_mean
from supervise_strategies.supervision import Supervision

from .branch import Place
from .description import Description
from .place import ActorPlace

if TYPE_CHECKING:
    from .node import Node

_CRASH = ExitReason(ExitKind.CRASHED)
_GIVE_UP = ExitReason(ExitKind.GAVE_UP)
_Levels = list[tuple[Supervision, str, str]]  # of the child and of each supervisor above: who decides, on whom, its path


def explain_place(place: Place, error: BaseException | None) -> Explanation:
    """Of a child in a running tree. Raises `SupervisorNotRunning`."""
    node: Node | None = place.node if isinstance(place, ActorPlace) else place.parent
    if node is None:
        raise ChildNotFound(place.name, "; it is the root, whose end is the end of the tree")
    name, now = place.name, node.tree.backend.now()
    levels: _Levels = []
    while node is not None:
        if node.branch.node is not node:
            raise SupervisorNotRunning(node.path, ", so nobody would decide")
        levels.append((node.machine, name, node.path))
        name, node = node.branch.name, node.branch.parent
    return _upwards(levels, now, _first(isinstance(place, ActorPlace), error), error)


def explain_description(tree: Description, path: str, error: BaseException | None = None) -> Explanation:
    """Of a static child in a tree that doesn't run, as if all of it had just started. Raises `ChildNotFound`."""
    parts = path.split("/")
    levels: _Levels = []
    at: object = tree
    full = tree.name
    for part in parts:
        below = dict(at.named()).get(part) if isinstance(at, Description) else None
        if not isinstance(at, Description) or below is None:
            why = ""
            if isinstance(at, Description) and at.spec.dynamic:
                why = f"; {full!r} is dynamic, so its children come when it runs: app.explain(…) tells of them then"
            elif isinstance(at, Description):
                names = [name for name, _ in at.named()]
                why = f"; {did_you_mean(part, names)}{full!r} has {', '.join(map(repr, names)) or 'no children'}"
            else:
                why = f"; {full!r} is an actor, and has no children"
            raise ChildNotFound(path, why)
        levels.append((_started(at), part, full))
        at, full = below, f"{full}/{part}"
    levels.reverse()
    return _upwards(levels, 0.0, _first(not isinstance(at, Description), error), error)


def _started(description: Description) -> Supervision:
    machine = Supervision(description.spec)
    machine.begin(0.0)
    while starting := [child for child in machine.children() if child.state is ChildState.STARTING]:
        machine.child_started(starting[0].id, starting[0].incarnation, 0.0)
    return machine


def _first(actor: bool, error: BaseException | None) -> ExitReason:
    if not actor:
        return _GIVE_UP
    return _CRASH if error is None else crashed(error)


def _known(error: BaseException, last: str) -> str:
    """Which crash it is, as far as the exception tells; empty if it is taken for one like the last.

    Without a line of the user's own it would depend on the handler, too, which only the last crash knows.
    """
    if traceback_of(error) is None:
        name = name_of_kind(type(next(leaves(error))))
        return "" if last == name or last.startswith(f"{name} ") else name
    known = fingerprint_of(error)
    return "" if last.startswith(f"{known} in ") else known


def _upwards(levels: _Levels, now: float, reason: ExitReason, error: BaseException | None) -> Explanation:
    chain: list[Explanation] = []
    spent = False
    for machine, id, path in levels:
        last = machine.child(id)
        known = "" if error is None or last is None else _known(error, last.fingerprint)
        found = explain(machine, id, now, reason, error=error, path=path, fingerprint=known, spent=spent)
        chain.append(found)
        if found.ends is None:
            break
        reason, error, spent = found.ends, None, found.spent
    whole = chain.pop()
    while chain:
        whole = replace(chain.pop(), above=whole)
    return whole
