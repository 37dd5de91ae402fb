"""What follows when a child has ended by itself, or didn't start: a restart, now or later; nothing; or a give-up.

What re-implementations of Erlang/OTP's supervisor usually get wrong here:

- A failed restart costs budget again at each try; one_for_all tries the whole group again, rest_for_one from the child that
  failed (`retry`). `terminate_child` of that child cancels the retry, and the rest stay as they are (`release_held`).
- A group restart also brings back members that were stopped by hand, had ended or were ignored; temporary ones go for good.
- Only a child's own end that isn't followed by a restart can trigger auto-shutdown.
"""

from __future__ import annotations

from . import directives as do
from .backoff import Backoff
from .child_state import RESTARTING, RUNNING, STOPPED, UNSTOPPABLE, Slot
from .directives import Action, Cause, Decision, StopMode
from .errors import ChildStartFailed
from .exit_reason import SHUTDOWN, ExitKind, ExitReason, describe
from .intensity import RestartWindow
from .kind import is_of
from .progress import abandon_calls, advance, after_stop, finish_call, forget, leave, release_held, shut_down
from .strategy import AutoShutdown
from .supervisor_state import Phase, SupervisorState, pending
from .work import Purpose, Work


def exited(
    state: SupervisorState,
    slot: Slot,
    number: int,
    reason: ExitReason,
    error: BaseException | None,
    again: bool,
    now: float,
) -> None:
    """The turn of an end: it is a restart, or not. `again`: by a message that ended a life before, which costs no limit."""
    if not slot.dead or slot.number != number:
        return  # swallowed: its group was stopped, or it was terminated, in the meantime (rule 31)
    slot.dead = False
    slot.state = STOPPED
    restart, rule = _rule(state, slot, reason, error)
    up_since, slot.up_since = slot.up_since, None
    if restart:
        _restart(state, slot, reason, error, rule, up_since, now, again)
    else:
        slot.finished = not reason.abnormal
        _decide(state, Action.LEAVE, slot, reason, rule, now)
        leave(state, slot)
        _consider_shutdown(state, slot, reason, now)


def _rule(state: SupervisorState, slot: Slot, reason: ExitReason, error: BaseException | None) -> tuple[bool, str]:
    restart, rule, raised = slot.spec.restart.rule(reason, error)
    _pass_up(state, raised)
    return (False, "nobody can reach it any more") if restart and slot.over else (restart, rule)


def _restart(
    state: SupervisorState,
    slot: Slot,
    reason: ExitReason,
    error: BaseException | None,
    rule: str,
    up_since: float | None,
    now: float,
    again: bool = False,
) -> None:
    """A restart is due: count it against the limit that applies, then do it, put it off, or give up."""
    policy, limit = slot.spec.restart, slot.spec.limit
    delay, enough = 0.0, False
    if again:
        rule = f"{rule}; by a message that was tried again, so it isn't counted"
    elif policy.wait is not None or policy.stop is not None:
        if slot.backoff is None:
            slot.backoff = Backoff()
        try:
            delay, enough = slot.backoff.failed(policy, now, up_since, error, state.draw)
        except BaseException as failure:  # a user's policy; the restart must not depend on it
            _pass_up(state, failure)
            rule = f"{rule}; its wait= or stop= raised {describe(failure)}, so it comes back at once"
    window = state.window
    if limit is not None:
        if slot.window is None:
            slot.window = RestartWindow(limit)
        window = slot.window
    if again:
        pass
    elif limit is not None or policy.stop is not None:
        if enough or (limit is not None and not window.add(now)):
            _own_limit(state, slot, reason, "stop= says enough" if enough else f"its own limit of {limit} is spent", now)
            return
    elif not window.add(now):
        _give_up(state, slot, reason, rule, now)
        return
    group = state.affected_by(slot)
    affected = tuple(s.id for s in group if not s.temporary)
    _decide(state, Action.RESTART, slot, reason, rule, now, window=window, delay=delay, affected=affected)
    restart_group(state, slot, group, delay, now)


def _pass_up(state: SupervisorState, raised: BaseException | None) -> None:
    """A policy raised: the machine goes on without it, and whoever runs it is told of what means more than that."""
    if raised is not None and not is_of(raised, Exception):
        state.out.append(do.PassUp(raised))


def restart_group(state: SupervisorState, slot: Slot, group: list[Slot], delay: float, now: float) -> None:
    """Stop the others of the group, and start all of it again; after a delay, if there is one."""
    state.work = work = Work(Purpose.RESTART, subject=slot, delay=delay)
    work.starts.extend(group)
    work.stops = [member for member in group if member is not slot]
    advance(state, now)


def retry(state: SupervisorState, slot: Slot, token: int, reason: ExitReason, error: BaseException | None, now: float) -> None:
    """The turn of a restart whose start failed: it counts as one more (rule 14), unless `when=` ends the child."""
    if not pending(slot, token):
        return
    restart, rule = _rule(state, slot, reason, error)
    rule = f"its restart failed to start; {rule}"
    if restart:
        _restart(state, slot, reason, error, rule, None, now)
    else:
        _stay_down(state, slot, reason, reason, rule, now)


def due(state: SupervisorState, slot: Slot, token: int, now: float) -> None:
    """A backoff is over. It was counted when it was decided."""
    if pending(slot, token):
        slot.due = None
        restart_group(state, slot, state.affected_by(slot), 0.0, now)


def _own_limit(state: SupervisorState, slot: Slot, reason: ExitReason, rule: str, now: float) -> None:
    if slot.spec.on_limit == "escalate":
        _give_up(state, slot, reason, rule, now)
        return
    _stay_down(state, slot, reason, ExitReason(ExitKind.GAVE_UP, reason.detail), rule, now)


def _stay_down(state: SupervisorState, slot: Slot, reason: ExitReason, told: ExitReason, rule: str, now: float) -> None:
    """A restart was due, or under way, and isn't to be: the child is left as it is, and so is its group."""
    slot.state = STOPPED
    _decide(state, Action.LEAVE, slot, told, rule, now)
    leave(state, slot)
    release_held(state)
    _consider_shutdown(state, slot, reason, now)


def _give_up(state: SupervisorState, slot: Slot, reason: ExitReason, rule: str, now: float) -> None:
    _decide(state, Action.GIVE_UP, slot, reason, rule, now)
    slot.state = STOPPED
    why = ExitReason(state.spec.give_up_as, f"child {slot.id!r} ended: {reason}")
    shut_down(state, mode=StopMode.RESTART, reason=why, cause=Cause.GAVE_UP)


def _consider_shutdown(state: SupervisorState, slot: Slot, reason: ExitReason, now: float) -> None:
    """A significant child ended by itself and isn't restarted (rules 37 and 38)."""
    mode = state.spec.auto_shutdown
    if not slot.spec.significant or mode is AutoShutdown.NEVER:
        return
    if mode is AutoShutdown.ALL_SIGNIFICANT and any(
        s.spec.significant and s is not slot and s.state in (RUNNING, RESTARTING, UNSTOPPABLE) for s in state.slots.values()
    ):
        return
    _decide(state, Action.SHUT_DOWN, slot, reason, f"auto_shutdown={mode.value!r}", now)
    shut_down(state, mode=StopMode.RESTART, reason=SHUTDOWN, cause=Cause.AUTO_SHUTDOWN)


def _decide(
    state: SupervisorState,
    action: Action,
    slot: Slot,
    reason: ExitReason,
    rule: str,
    now: float,
    *,
    window: RestartWindow | None = None,
    delay: float = 0.0,
    affected: tuple[str, ...] = (),
) -> None:
    slot.restarts += action is Action.RESTART
    if reason.abnormal:
        slot.last = reason
    used = state.window if window is None else window
    limit = used.intensity
    decision = Decision(action, slot.id, slot.number, reason, rule, len(used), limit.restarts, limit.per, delay, affected, now)
    state.out.append(do.Report(decision))


def start_failed(state: SupervisorState, slot: Slot, reason: ExitReason, error: BaseException | None, ignored: bool) -> None:
    """What that means depends on what it was started for."""
    work = state.work
    if work is None:
        return
    if work.purpose is Purpose.SHUTDOWN:
        work.pending -= 1
        after_stop(state, slot)
        return
    work.starts.popleft()
    if ignored:
        slot.held = False
        slot.finished = True
        leave(state, slot)
    elif work.purpose is Purpose.BOOT:
        why = ExitReason(ExitKind.CRASHED, f"child {slot.id!r} didn't start: {reason.detail or reason.kind.value}")
        state.work = stop = Work(Purpose.SHUTDOWN)
        stop.stops.extend(state.slots.values())
        stop.reason, stop.cause, stop.failed = why, Cause.START_FAILED, slot.id
        state.phase = Phase.STOPPING
        abandon_calls(state)
    elif work.purpose is Purpose.RESTART:
        state.work = None
        slot.state = RESTARTING
        slot.token += 1
        for member in work.starts:
            member.held = True
        state.queue.append((retry, slot, slot.token, reason, error))
    else:
        failure = ChildStartFailed(slot.id, reason.detail or str(reason))
        failure.__cause__ = error
        slot.last = reason
        if work.purpose is Purpose.START_CHILD:
            forget(state, slot)
        else:
            state.out.append(do.Close(slot.id))
        finish_call(state, failure)


def unstoppable_ended(state: SupervisorState, slot: Slot) -> None:
    """The coroutine that nothing could end has ended after all."""
    if state.phase is Phase.STOPPING:
        after_stop(state, slot)
    elif slot.resume:
        slot.resume = False
        slot.state = RESTARTING
        slot.token += 1
        state.queue.append((_resume, slot, slot.token))
    elif slot.temporary or state.spec.dynamic:
        forget(state, slot)
    elif not slot.held and (state.work is None or slot not in state.work.starts):  # else it comes back with its group
        state.out.append(do.Close(slot.id))


def _resume(state: SupervisorState, slot: Slot, token: int, now: float) -> None:
    if pending(slot, token):
        restart_group(state, slot, [slot], 0.0, now)
