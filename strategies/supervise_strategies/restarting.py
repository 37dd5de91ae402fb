"""What follows when a child has ended by itself, or is to be tried again: a restart, now or later; nothing; or a give-up.

What re-implementations of Erlang/OTP's supervisor usually get wrong here:

- A failed restart costs budget again at each try; one_for_all tries the whole group again, rest_for_one from the child that
  failed (`retry`). `terminate_child` of that child cancels the retry, and the rest stay as they are (`release_held`).
- A group restart also brings back members that were stopped by hand, had ended or were ignored; temporary ones go for good.
- A first start that is tried again holds up nobody but the younger ones in its supervisor's own start (`SupervisorState.boot`),
  and so does a supervisor whose own start it is (`progress.detach`).
- Only a child's own end that isn't followed by a restart can trigger auto-shutdown.
"""

from __future__ import annotations

from typing import NamedTuple

from . import directives as do
from .backoff import Backoff
from .child_state import STOPPED, Slot
from .crash_row import CrashRow
from .directives import Action, Cause, Decision, StopMode
from .errors import ChildStartFailed, InvalidSpec
from .exit_reason import SHUTDOWN, ExitKind, ExitReason, describe
from .intensity import RestartWindow
from .kind import is_of
from .progress import (
    NOBODY_WAITS,
    begin_shutdown,
    close,
    forget,
    leave,
    release_held,
    restart_group,
    shut_down,
)
from .restart import PACED
from .strategy import AutoShutdown
from .supervisor_state import Phase, SupervisorState, pending
from .work import Purpose, Work


class End(NamedTuple):
    """An end, or a start that failed, as it is judged."""

    reason: ExitReason
    error: BaseException | None = None
    again: bool = False
    """It was by a message that had ended a life before, and was tried again."""
    fingerprint: str = ""


def exited(
    state: SupervisorState,
    slot: Slot,
    number: int,
    reason: ExitReason,
    error: BaseException | None,
    again: bool,
    fingerprint: str,
    spent: bool,
    now: float,
) -> None:
    """The turn of an end: it is a restart, or not. `again`: by a message that ended a life before, which costs no limit.

    `spent`: what bounds its restarts is spent below it.
    """
    if not slot.dead or slot.number != number:
        return  # swallowed: its group was stopped, or it was terminated, in the meantime (rule 31)
    slot.dead = False
    slot.state = STOPPED
    end = End(reason, error, again, fingerprint if reason.kind is ExitKind.CRASHED else "")
    restart, rule = _rule(state, slot, reason, error)
    in_a_row = _count_alike(slot, end)
    if spent:
        _own_limit(state, slot, end, "the last of its workers is restarted no more", now)
    elif not restart:
        slot.finished = not reason.abnormal
        _decide(state, Action.LEAVE, slot, end, rule, now)
        leave(state, slot)
        _consider_shutdown(state, slot, end, now)
    elif slot.spec.quarantine is not None and in_a_row >= slot.spec.quarantine:
        _quarantine(state, slot, end, in_a_row, now)
    else:
        _restart(state, slot, end, rule, in_a_row, now)


def _count_alike(slot: Slot, end: End) -> int:
    """How many crashes of this kind came in a row; 0 where nobody counts them, or for one that costs nothing."""
    if slot.spec.quarantine is None or end.again:
        return 0
    history = slot.remembered()
    if history.row is None:
        history.row = CrashRow()
    if end.reason.kind is not ExitKind.CRASHED:
        history.row.begin_anew()
        return 0
    return history.row.crashed(end.fingerprint)


def _rule(state: SupervisorState, slot: Slot, reason: ExitReason, error: BaseException | None) -> tuple[bool, str]:
    restart, rule, raised = slot.spec.restart.rule(reason, error)
    _pass_up(state, raised)
    return (False, "nobody can reach it any more") if restart and slot.over else (restart, rule)


def _restart(state: SupervisorState, slot: Slot, end: End, rule: str, in_a_row: int, now: float) -> None:
    """A restart is due: count it against what bounds it, then do it, put it off, or give up."""
    policy, limit, history = slot.spec.restart, slot.spec.limit, slot.remembered()
    delay, enough, number = 0.0, False, 0
    raised: BaseException | None = None
    if end.again:
        rule = f"{rule}; by a message that was tried again, so it isn't counted"
    if policy.wait is not None or policy.stop is not None:
        if history.backoff is None:
            history.backoff = Backoff()
        delay, enough, raised = history.backoff.failed(policy, now, end.error, state.draw, counted=not end.again)
        number = history.backoff.attempts
        if raised is not None:  # a policy that says nothing bounds nothing
            _pass_up(state, raised)
            rule = f"{rule}; its wait= or stop= raised {describe(raised)}, so the restart is counted"
    window = state.window
    if limit is not None:
        if history.window is None:
            history.window = RestartWindow(limit)
        window = history.window
    if end.again:
        apart = "restart"
    elif enough:
        _own_limit(state, slot, end, "stop= says enough", now)
        return
    elif limit is not None:
        if not window.add(now):
            _own_limit(state, slot, end, f"its own limit of {limit} is spent", now)
            return
        number, apart = len(window), ""
    elif raised is None and (policy.stop is not None or (delay >= PACED and not policy.counted)):
        apart = policy.ordinal(number)
    elif raised is None and in_a_row > 1 and slot.spec.quarantine is not None:
        number, most = in_a_row - 1, slot.spec.quarantine - 1
        apart = f"restart {number} of {most} after the same crash (quarantine={slot.spec.quarantine})"
    elif window.add(now):
        number, apart = len(window), ""
    else:
        _give_up(state, slot, end, rule, now)
        return
    group = state.affected_by(slot)
    affected = tuple(s.id for s in group if not s.temporary)
    said = (window, delay, affected, apart, number)
    _decide(state, Action.RESTART, slot, end, rule, now, *said)
    restart_group(state, slot, group, delay, now)


def _pass_up(state: SupervisorState, raised: BaseException | None) -> None:
    """A policy raised: the machine goes on without it, and whoever runs it is told of what means more than that."""
    if raised is not None and not is_of(raised, Exception):
        state.out.append(do.PassUp(raised))


def retry(state: SupervisorState, slot: Slot, token: int, reason: ExitReason, error: BaseException | None, now: float) -> None:
    """The turn of a start that failed: it counts as one more (rule 14), unless `when=` ends the child.

    A first start that can never work isn't tried again. Of a child that has worked `InvalidSpec` is a crash like any other.
    """
    if not pending(slot, token):
        return
    end = End(reason, error)
    restart, rule = _rule(state, slot, reason, error)
    rule = f"its {'first start failed' if slot.first else 'restart failed to start'}; {rule}"
    if slot.first and slot.withdrawn:
        patience_spent(state, slot, end, f"{rule}; {NOBODY_WAITS}", now)
    elif slot.first and is_of(error, InvalidSpec):
        patience_spent(state, slot, end, f"{rule}; what can never work isn't tried again", now)
    elif restart:
        _restart(state, slot, end, rule, 0, now)
    else:
        _stay_down(state, slot, end, reason, rule, now)


def due(state: SupervisorState, slot: Slot, token: int, now: float) -> None:
    """A backoff is over. It was counted when it was decided."""
    if pending(slot, token):
        slot.due = None
        restart_group(state, slot, state.affected_by(slot), 0.0, now)


def _own_limit(state: SupervisorState, slot: Slot, end: End, rule: str, now: float) -> None:
    if slot.spec.on_limit == "escalate" and not slot.first:
        _give_up(state, slot, end, rule, now)
        return
    slot.spent = True
    _stay_down(state, slot, end, ExitReason(ExitKind.GAVE_UP, end.reason.detail), rule, now)


def _quarantine(state: SupervisorState, slot: Slot, end: End, in_a_row: int, now: float) -> None:
    """It crashes always in the same way, and no restart mends that. It stays listed, whatever it is a child of."""
    times = f"{in_a_row} {'crashes' if in_a_row > 1 else 'crash'} in a row"
    each = f", each {end.fingerprint}" if end.fingerprint else ""
    last = f"; last: {end.reason.detail}" if end.reason.detail else ""
    told = ExitReason(ExitKind.GAVE_UP, f"systematic: {times}{each}{last}")
    slot.spent = True
    slot.state = STOPPED
    _decide(state, Action.LEAVE, slot, end, f"quarantine={slot.spec.quarantine}: {times} of one kind", now, told=told)
    close(state, slot)
    release_held(state)
    _consider_shutdown(state, slot, end, now)


def _stay_down(state: SupervisorState, slot: Slot, end: End, told: ExitReason, rule: str, now: float) -> None:
    """A restart was due, or under way, and isn't to be: the child is left as it is, and so is its group."""
    if slot.first:
        patience_spent(state, slot, end, rule, now)
        return
    slot.state = STOPPED
    _decide(state, Action.LEAVE, slot, end, rule, now, told=told)
    leave(state, slot)
    release_held(state)
    _consider_shutdown(state, slot, end, now)


def _give_up(state: SupervisorState, slot: Slot, end: End, rule: str, now: float) -> None:
    if slot.first:
        patience_spent(state, slot, end, f"{rule}; {state.window.intensity} restarts are spent", now)
        return
    _decide(state, Action.GIVE_UP, slot, end, rule, now)
    slot.state = STOPPED
    why = ExitReason(state.spec.give_up_as, f"child {slot.id!r} ended: {end.reason}")
    shut_down(state, mode=StopMode.RESTART, reason=why, cause=Cause.GAVE_UP, error=end.error)


def patience_spent(state: SupervisorState, slot: Slot, end: End, rule: str, now: float) -> None:
    """A first start was tried again, and isn't any more: the supervisor's own start fails with it, or the call that asked."""
    slot.state = STOPPED
    _decide(state, Action.LEAVE, slot, end, rule, now)
    if state.phase is Phase.STARTING:
        boot_failed(state, slot, end.reason, end.error)
        return
    failure = ChildStartFailed(slot.id, end.reason.detail or str(end.reason))
    failure.__cause__ = end.error
    forget(state, slot, failure)


def boot_failed(state: SupervisorState, slot: Slot, reason: ExitReason, error: BaseException | None) -> None:
    """The supervisor's own start has failed: those that run stop in reverse order."""
    why = ExitReason(ExitKind.CRASHED, f"child {slot.id!r} didn't start: {reason.detail or reason.kind.value}")
    work = Work(Purpose.SHUTDOWN)
    work.reason, work.cause, work.failed, work.error = why, Cause.START_FAILED, slot.id, error
    begin_shutdown(state, work)


def _consider_shutdown(state: SupervisorState, slot: Slot, end: End, now: float) -> None:
    """A significant child ended by itself and isn't restarted (rules 37 and 38); or it was a pool's last worker."""
    if state.spec.ends_with_last:
        if not any(state.is_to_live(other) for other in state.slots.values() if other is not slot):
            why = ExitReason(ExitKind.GAVE_UP, f"its last worker left: {end.reason}") if slot.spent else end.reason
            _decide(state, Action.SHUT_DOWN, slot, end, "it was the last of its pool", now)
            shut_down(state, mode=StopMode.RESTART, reason=why, cause=Cause.LAST_LEFT, error=end.error)
        return
    mode = state.spec.auto_shutdown
    if not slot.spec.significant or mode is AutoShutdown.NEVER:
        return
    others = (other for other in state.slots.values() if other.spec.significant and other is not slot)
    if mode is AutoShutdown.ALL_SIGNIFICANT and any(state.is_to_live(other) for other in others):
        return
    _decide(state, Action.SHUT_DOWN, slot, end, f"auto_shutdown={mode.value!r}", now)
    shut_down(state, mode=StopMode.RESTART, reason=SHUTDOWN, cause=Cause.AUTO_SHUTDOWN)


def _decide(
    state: SupervisorState,
    action: Action,
    slot: Slot,
    end: End,
    rule: str,
    now: float,
    window: RestartWindow | None = None,
    delay: float = 0.0,
    affected: tuple[str, ...] = (),
    apart: str = "",
    number: int = 0,
    *,
    told: ExitReason | None = None,
) -> None:
    """Report it. `told`: the reason that is shown, where that isn't the end's own."""
    reason = end.reason if told is None else told
    history = slot.remembered()
    history.restarts += action is Action.RESTART
    if reason.abnormal:
        history.last = reason
    counted = state.window if window is None else window
    used, most, per = len(counted), counted.intensity.restarts, counted.intensity.per
    decision = Decision(
        action, slot.id, slot.number, reason, rule, used, most, per, delay, affected, now, apart, number, end.fingerprint
    )
    state.out.append(do.Report(decision))
