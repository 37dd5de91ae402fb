"""The fast path of the commonest facts: a child is started, or crashes and comes back, while nothing else is under way.

It says what the usual way would, of which it is a shortcut: `restarting.py` decides the same in a dozen functions more. Where
anything is so that another answer might follow, it declines, and has changed nothing. A property holds both equal, and so do
the scenarios recorded from OTP. It saves a third of what the machine costs a restart.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

from . import directives as do
from .child_spec import ChildSpec
from .child_state import STARTING, Slot
from .directives import Action, Decision
from .exit_reason import ExitKind, ExitReason
from .restart import RestartType
from .strategy import Strategy
from .supervisor_state import SERVING, SupervisorState
from .work import Purpose, Work

# Looked up once: see `supervisor_state.py`.
_ONE_FOR_ONE: Final = Strategy.ONE_FOR_ONE
_TEMPORARY: Final = RestartType.TEMPORARY
_TRANSIENT: Final = RestartType.TRANSIENT
_CRASHED: Final = ExitKind.CRASHED
_RESTARTED: Final = Action.RESTART
_RESTART: Final = Purpose.RESTART
_START_CHILD: Final = Purpose.START_CHILD
# A named tuple without the function that makes it, which takes as long again: 0.1 us.
_new: Final = cast("Callable[..., Any]", tuple.__new__)  # pyright: ignore[reportUnknownMemberType]


def restarts_at_once(state: SupervisorState, slot: Slot, reason: ExitReason, fingerprint: str, now: float) -> bool:
    """The child, which ran, has ended; whether its restart was begun, as `exited` would have begun it."""
    if state.work is not None or state.queue or state.holds or state.phase is not SERVING:
        return False
    spec, state_spec = slot.spec, state.spec
    policy = spec.restart
    if (
        state_spec.strategy is not _ONE_FOR_ONE
        or slot.over
        or spec.limit is not None
        or spec.quarantine is not None
        or policy.wait is not None
        or policy.stop is not None
        or policy.when is not None
        or policy.type is _TEMPORARY
        or (policy.type is _TRANSIENT and not reason.abnormal)
        or not (used := state.window.add(now))
    ):
        return False
    history = slot.history
    if history is None:
        history = slot.remembered()
    history.restarts += 1
    if reason.abnormal:
        history.last = reason
    intensity = state.window.intensity
    shown = fingerprint if reason.kind is _CRASHED else ""
    id, allowed, per = slot.id, intensity.restarts, intensity.per
    rule = policy.type._value_  # what `value` is, without the two frames of that property
    fields = (_RESTARTED, id, slot.number, reason, rule, used, allowed, per, 0.0, (id,), now, "", used, shown)
    decision = _new(Decision, fields)
    state.work = work = Work(_RESTART, subject=slot)
    work.starts.append(slot)
    slot.state = STARTING
    slot.number += 1
    slot.token += 1
    slot.due = None
    slot.finished = slot.spent = False
    state.out += (_new(do.Report, (decision,)), _new(do.Start, (id, slot.number)))
    return True


def starts_at_once(state: SupervisorState, id: str, spec: ChildSpec, ticket: object) -> bool:
    """A child was asked for; whether its start was begun, as `start_child` in `admin.py` would have begun it."""
    if (
        state.work is not None
        or state.queue
        or state.holds
        or state.phase is not SERVING
        or id in state.slots
        or len(state.slots) >= state.spec.max_children
    ):
        return False
    state.slots[id] = slot = Slot(id, spec, added=True)
    slot.asked_by(ticket)
    slot.state = STARTING
    slot.number = 1
    state.work = work = Work(_START_CHILD, subject=slot)
    work.starts.append(slot)
    state.out.append(do.Start(id, 1))
    return True


def is_all(state: SupervisorState, slot: Slot) -> bool:
    """The child is up; whether that was all that was under way, and nothing waits. Then nothing is any more."""
    work = state.work
    if (
        work is None
        or state.queue
        or state.phase is not SERVING
        or (work.purpose is not _RESTART and work.purpose is not _START_CHILD)
        or len(work.starts) != 1
        or work.starts[0] is not slot
    ):
        return False
    state.work = None
    return True
