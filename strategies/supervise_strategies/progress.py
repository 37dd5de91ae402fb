"""The work under way: children are stopped, then started, one at a time, until it is done or overtaken by a shutdown.

A start or a stop that was asked for comes back as a fact; then it goes on here (`advance`). What a supervisor does at its own
end is work like any other, and the last.
"""

from __future__ import annotations

import heapq

from . import directives as do
from .child_state import RESTARTING, RUNNING, STARTING, STOPPED, STOPPING, UNSTOPPABLE, Afterwards, Slot
from .directives import Cause, StopMode
from .errors import ChildStartFailed, ChildUnstoppable, SupervisorNotRunning
from .exit_reason import ExitReason
from .strategy import Strategy
from .supervisor_state import Call, Phase, SupervisorState, pending
from .work import Purpose, Work


def advance(state: SupervisorState, now: float) -> None:
    """Do what can be done now of the work under way."""
    work = state.work
    if work is None:
        return
    at_once = state.spec.dynamic and work.purpose is Purpose.SHUTDOWN
    while work.stops:
        if work.pending and not at_once:
            return
        slot = work.stops.pop()
        if slot.state in (STARTING, STOPPING):  # was under way already when the shutdown began
            work.pending += 1
        elif slot.state is RUNNING and not slot.dead:
            slot.state = STOPPING
            work.pending += 1
            mode = StopMode.FINAL if _gone_when_stopped(state, slot) else work.mode
            state.out.append(do.Stop(slot.id, mode, slot.spec.seconds, slot.spec.brutal))
        elif slot.state is not UNSTOPPABLE:
            slot.state = STOPPED
            slot.dead = False
            slot.token += 1
            slot.due = None
            after_stop(state, slot)
    if work.pending:
        return
    if work.purpose is Purpose.SHUTDOWN:
        _finish_shutdown(state, work)
    elif work.purpose is Purpose.TERMINATE_CHILD:
        finish_call(state, None)
    elif work.delay and work.subject is not None:
        _put_off(state, work, work.subject, now)
    else:
        _start_next(state, work)
        if state.work is not work:  # the start of those that it held up
            advance(state, now)


def _start_next(state: SupervisorState, work: Work) -> None:
    """All stops of the work are done."""
    while work.starts:
        slot = work.starts[0]
        if slot.state is STARTING:
            return
        if slot.state is UNSTOPPABLE:
            if slot.afterwards is not Afterwards.JUDGE and slot.afterwards is not Afterwards.FORGET:
                slot.afterwards = Afterwards.CLOSE if slot.temporary else Afterwards.START
        elif slot.over and slot.state is not RUNNING:
            end_for_good(state, slot)
        elif slot.state is not RUNNING and state.slots.get(slot.id) is slot:
            slot.state = STARTING
            slot.number += 1
            slot.token += 1
            slot.due = None
            slot.held = False
            slot.finished = slot.spent = False
            state.out.append(do.Start(slot.id, slot.number))
            return
        work.starts.popleft()
    _finish(state, work)


def restart_group(state: SupervisorState, slot: Slot, group: list[Slot], delay: float, now: float) -> None:
    """Stop the others of the group, and start all of it again; after a delay, if there is one."""
    state.work = work = Work(Purpose.RESTART, subject=slot, delay=delay)
    work.starts.extend(group)
    work.stops = [member for member in group if member is not slot]
    # The wait of a first start is over: it comes after the group.
    if state.boot and state.boot[0].state is RESTARTING and state.takes_boot_along(slot):
        state.boot[0].token += 1
        state.boot[0].due = None
        state.boot[0].held = True
    advance(state, now)


def resume_later(state: SupervisorState, slot: Slot) -> None:
    """It is to be started, alone, when what waits already has been served."""
    slot.state = RESTARTING
    slot.token += 1
    state.queue.append((resume, slot, slot.token))


def resume(state: SupervisorState, slot: Slot, token: int, now: float) -> None:
    """The turn of a restart that waited for nothing but an end, or for a group that doesn't come."""
    if pending(slot, token):
        restart_group(state, slot, [slot], 0.0, now)


def stop_ended(state: SupervisorState) -> None:
    """A child that was asked to stop has ended, or never will."""
    if state.work is not None:
        state.work.pending -= 1


def _finish(state: SupervisorState, work: Work) -> None:
    """All starts of the work are done."""
    state.work = None
    if work.purpose is Purpose.BOOT:
        state.phase = Phase.RUNNING
        state.out.append(do.Ready())
        return
    if work.ticket is not None:
        subject = work.subject
        stuck = subject is not None and subject.state is UNSTOPPABLE  # it was to be stopped first
        up = subject is not None and subject.state is RUNNING
        state.out.append(do.Reply(work.ticket, ChildUnstoppable(subject.id) if stuck and subject is not None else up))
    go_on_with_boot(state, work.subject)


def go_on_with_boot(state: SupervisorState, subject: Slot | None) -> None:
    """Start those that the supervisor's own start hasn't come to, once the one that held it up has its next try, or is up."""
    if not state.boot or state.work is not None or state.phase is not Phase.STARTING:
        return
    first = state.boot[0]
    if first.state is UNSTOPPABLE:  # it is judged when it has ended, and tried again or not
        return
    if first.state in (STOPPED, RUNNING) or first.held or (subject is not None and state.takes_boot_along(subject)):
        first.held = False
        state.work = work = Work(Purpose.BOOT)
        work.starts, state.boot = state.boot, work.starts
        if first.finished or first.spent or first.state is RUNNING:
            work.starts.popleft()


def answer_start(state: SupervisorState, slot: Slot, result: bool | Exception) -> None:
    """Whoever asked for a start that is tried again has the answer, once."""
    first, slot.first = slot.first, None
    if first is not None and first.ticket is not None:
        state.out.append(do.Reply(first.ticket, result))


def finish_call(state: SupervisorState, result: Exception | None) -> None:
    """The call that is under way is done."""
    work, state.work = state.work, None
    if work is not None and work.ticket is not None:
        state.out.append(do.Reply(work.ticket, result))


def _put_off(state: SupervisorState, work: Work, slot: Slot, now: float) -> None:
    """The group is down; it comes back when the backoff is over. Meanwhile the supervisor is free."""
    state.work = None
    slot.state = RESTARTING
    slot.token += 1
    slot.due = now + work.delay
    state.sequence += 1
    heapq.heappush(state.waiting, (slot.due, state.sequence, slot, slot.token))
    for member in work.starts:
        member.held = member is not slot


def after_stop(state: SupervisorState, slot: Slot) -> None:
    """A child that was to stop is down; what that means depends on why."""
    work = state.work
    if _gone_when_stopped(state, slot):
        forget(state, slot)
    elif work is not None and work.purpose is Purpose.TERMINATE_CHILD:
        slot.held = False
        close(state, slot, "it was terminated meanwhile")
        release_held(state)


def _gone_when_stopped(state: SupervisorState, slot: Slot) -> bool:
    """Temporary and dynamic children are forgotten when they are stopped, added ones when their supervisor ends."""
    ending = state.work is not None and state.work.purpose is Purpose.SHUTDOWN
    return slot.temporary or state.spec.dynamic or (ending and slot.added)


def leave(state: SupervisorState, slot: Slot) -> None:
    """It ended and isn't restarted."""
    if slot.temporary or state.spec.dynamic:
        forget(state, slot)
    else:
        close(state, slot)


def end_for_good(state: SupervisorState, slot: Slot) -> None:
    """It is down, nobody can reach it, and no restart that is due brings it back."""
    slot.state = STOPPED
    slot.due = None
    slot.held = False
    slot.finished = True
    if slot.added and slot.first is not None:  # of a new child that was never up nothing is kept
        forget(state, slot, "nobody can reach it any more")
    else:
        leave(state, slot)


def close(state: SupervisorState, slot: Slot, why: str = "it was stopped meanwhile") -> None:
    """It stays listed, stopped. Like `forget`, the only way to say so: whoever waits for its first start has an answer."""
    answer_start(state, slot, ChildStartFailed(slot.id, why))
    state.out.append(do.Close(slot.id))


def forget(state: SupervisorState, slot: Slot, why: str = "it was stopped meanwhile") -> None:
    """It isn't listed any more."""
    if state.slots.get(slot.id) is slot:
        del state.slots[slot.id]
        slot.token += 1
        answer_start(state, slot, ChildStartFailed(slot.id, why))
        state.out.append(do.Forget(slot.id))


def release_held(state: SupervisorState) -> None:
    """A pending group restart was cancelled: members that no other pending restart covers stay down (rule 18).

    One that was never up hasn't ended with its group: its first start is tried on.
    """
    if state.spec.strategy is Strategy.ONE_FOR_ONE:
        return
    slots = [*state.slots.values()]
    covered: set[str] = set()
    for slot in slots:
        if slot.state is RESTARTING and slot.first is None:
            covered.update(s.id for s in state.spec.strategy.affected(slots, slot))
    for slot in slots:
        if slot.held and slot.id not in covered and slot not in state.boot:
            slot.held = False
            if slot.state is STOPPED and slot.first is not None:
                resume_later(state, slot)
            elif slot.state is STOPPED:
                close(state, slot)
    if state.boot and state.boot[0].id not in covered:
        go_on_with_boot(state, None)


def shut_down(state: SupervisorState, *, mode: StopMode, reason: ExitReason, cause: Cause) -> None:
    """The supervisor's own end begins: it takes the place of whatever is under way. Idempotent."""
    if state.phase in (Phase.STOPPING, Phase.DONE):
        return
    slots = [*state.slots.values()]
    work = Work(Purpose.SHUTDOWN)
    work.mode, work.reason, work.cause = mode, reason, cause
    work.stops = [s for s in slots if s.state is not STARTING and s.state is not STOPPING]
    # At once: Ctrl-C that strikes before leaves all as it was.
    interrupted, state.work, state.phase = state.work, work, Phase.STOPPING
    state.boot.clear()
    if interrupted is not None and interrupted.ticket is not None:
        state.out.append(do.Reply(interrupted.ticket, SupervisorNotRunning(state.spec.id, ": it was stopped meanwhile")))
    abandon_calls(state)
    for slot in slots:
        answer_start(state, slot, SupervisorNotRunning(state.spec.id, ": it was stopped meanwhile"))
    for slot in slots:  # what is under way ends first, then the others in reverse order
        if slot.state is STARTING:
            state.out.append(do.CancelStart(slot.id))
            work.stops.append(slot)
        elif slot.state is STOPPING:
            work.stops.append(slot)


def abandon_calls(state: SupervisorState) -> None:
    """Nobody will serve them any more. Queued ends are found at each child's own stop."""
    for entry in state.queue:
        if type(entry) is Call:
            state.out.append(do.Reply(entry.ticket, SupervisorNotRunning(state.spec.id, ": it was stopped meanwhile")))
    state.queue.clear()


def _finish_shutdown(state: SupervisorState, work: Work) -> None:
    unstoppable = tuple(s.id for s in state.slots.values() if s.state is UNSTOPPABLE)
    if unstoppable:
        if not work.told:
            work.told = True
            state.out.append(do.Overran(unstoppable))
        return
    for slot in [*state.slots.values()]:
        if slot.added or slot.temporary:
            forget(state, slot)
    state.work = None
    state.phase = Phase.DONE
    state.out.append(do.Done(work.reason, work.cause, work.failed))
