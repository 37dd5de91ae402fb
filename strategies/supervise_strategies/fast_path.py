"""The fast path of the commonest facts: a child crashes and comes back, alone, while nothing else is under way.

It says what the usual way would, of which it is a shortcut: `restarting.py` decides the same in a dozen functions more. Where
anything is so that another answer might follow, it declines, and has changed nothing. A property holds both equal, and so do
the scenarios recorded from OTP. It saves a third of what the machine costs a restart.
"""

from __future__ import annotations

from . import directives as do
from .child_state import STARTING, Slot
from .directives import Action, Decision
from .exit_reason import ExitKind, ExitReason
from .restart import RestartType
from .strategy import Strategy
from .supervisor_state import Phase, SupervisorState
from .work import Purpose, Work


def restarts_at_once(state: SupervisorState, slot: Slot, reason: ExitReason, fingerprint: str, now: float) -> bool:
    """The child, which ran, has ended; whether its restart was begun, as `exited` would have begun it."""
    if state.work is not None or state.queue or state.holds or state.phase is not Phase.RUNNING:
        return False
    spec, state_spec = slot.spec, state.spec
    policy = spec.restart
    if (
        state_spec.strategy is not Strategy.ONE_FOR_ONE
        or slot.over
        or spec.limit is not None
        or spec.quarantine is not None
        or policy.wait is not None
        or policy.stop is not None
        or policy.when is not None
        or policy.type is RestartType.TEMPORARY
        or (policy.type is RestartType.TRANSIENT and not reason.abnormal)
        or not state.window.add(now)
    ):
        return False
    history = slot.remembered()
    history.restarts += 1
    if reason.abnormal:
        history.last = reason
    intensity = state.window.intensity
    used = len(state.window)
    shown = fingerprint if reason.kind is ExitKind.CRASHED else ""
    decision = Decision(
        Action.RESTART,
        slot.id,
        slot.number,
        reason,
        policy.type._value_,  # what `value` is, without the two frames of that property
        used,
        intensity.restarts,
        intensity.per,
        0.0,
        (slot.id,),
        now,
        "",
        used,
        shown,
    )
    state.work = work = Work(Purpose.RESTART, subject=slot)
    work.starts.append(slot)
    slot.state = STARTING
    slot.number += 1
    slot.token += 1
    slot.due = None
    slot.finished = slot.spent = False
    state.out += (do.Report(decision), do.Start(slot.id, slot.number))
    return True


def is_all(state: SupervisorState, slot: Slot) -> bool:
    """The child is up; whether that was all that was under way, and nothing waits. Then nothing is any more."""
    work = state.work
    if (
        work is None
        or state.queue
        or state.phase is not Phase.RUNNING
        or (work.purpose is not Purpose.RESTART and work.purpose is not Purpose.START_CHILD)
        or len(work.starts) != 1
        or work.starts[0] is not slot
    ):
        return False
    state.work = None
    return True
