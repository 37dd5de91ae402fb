"""The work under way: children are stopped, then started, one at a time, until it is done or overtaken by a shutdown.

A start or a stop that was asked for comes back as a fact; then it goes on here (`advance`). What a supervisor does at its own
end is work like any other, and the last.
"""

from __future__ import annotations

import heapq
from typing import Final

from . import directives as do
from .child_state import RESTARTING, RUNNING, STARTING, STOPPED, STOPPING, UNSTOPPABLE, Afterwards, Slot
from .directives import Cause, StopMode
from .errors import ChildStartFailed, ChildUnstoppable, SupervisorNotRunning
from .exit_reason import SHUTDOWN, ExitReason
from .strategy import Strategy
from .supervisor_state import Call, Phase, SupervisorState, pending
from .work import Purpose, Work

NOBODY_WAITS: Final = "nobody waits for it any more"


def advance(state: SupervisorState, now: float) -> None:
    """Do what can be done now of the work under way."""
    work = state.work
    if work is None:
        return
    at_once = (state.spec.dynamic or state.spec.ends_with_last) and work.purpose is Purpose.SHUTDOWN
    while work.stops:
        if work.pending and not at_once:
            return
        slot = work.stops.pop()
        if slot.state is STARTING:  # and no work waits for it
            slot.state = STOPPING
            work.pending += 1
            _cancel_start(state, work, slot)
        elif slot.state is RUNNING and not slot.dead:
            slot.state = STOPPING
            work.pending += 1
            state.out.append(do.Stop(slot.id, _mode(state, work, slot), slot.spec.seconds, slot.spec.brutal))
        elif slot.state is not UNSTOPPABLE and slot.state is not STOPPING:
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
        if state.phase is Phase.STOPPING:  # nobody was left of those that were to be started
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
            end_for_good(state, slot, False if work.purpose is Purpose.RESTART_CHILD else None)
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


def starting(state: SupervisorState, before: str | None, *, ending: bool = False) -> list[Slot]:
    """Those whose start the supervisor waits for: of the work under way, and of its own start.

    `before`: only those that have to be up before the start of that child, which isn't up, can begin. `ending`: that one is
    about to end, though its end isn't known here yet.
    """
    work, slot = state.work, None
    if before is not None:
        slot = state.slots.get(before)
        if slot is None or slot.state is STARTING or (slot.state is RUNNING and not slot.dead and not ending):
            return []
    first = [slot for slot in ([] if work is None else [*work.starts][:1]) if slot.state is STARTING]
    booting = [slot for slot in [*state.boot][:1] if slot.state is STARTING]
    return first + (booting if slot is None or slot in state.boot else [])


def restart_group(state: SupervisorState, slot: Slot, group: list[Slot], delay: float, now: float) -> None:
    """Stop the others of the group, and start all of it again; after a delay, if there is one."""
    state.work = work = Work(Purpose.RESTART, subject=slot, delay=delay)
    work.starts.extend(group)
    work.stops = [member for member in group if member is not slot]
    if state.boot and state.covers(slot, state.boot[0]):  # whose wait is over: it comes after the group
        work.stops.append(state.boot[0])
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
        if _is_left_by_all(state):  # they ignored their starts, so that of the pool is ignored
            shut_down(state, mode=StopMode.RESTART, reason=SHUTDOWN, cause=Cause.IGNORED)
            return
        state.phase = Phase.RUNNING
        state.out.append(do.Ready())
        return
    if work.purpose is Purpose.RELOAD:
        work.answer(state, True)
    if work.purpose is Purpose.RESTART_CHILD and work.subject is not None and work.subject.state is UNSTOPPABLE:
        answer(state, work.subject, ChildUnstoppable(work.subject.id))  # it was to be stopped first


def go_on_with_boot(state: SupervisorState) -> bool:
    """Nothing is under way: start those that the supervisor's own start hasn't come to, if the first of them is up, or down.

    It is down if its group has ended; then it comes after the restart of its group.
    """
    boot = state.boot
    while len(boot) > 1 and state.slots.get(boot[0].id) is not boot[0]:  # temporary, and it has gone with its group
        boot.popleft()
    first = boot[0]
    if first.state is not RUNNING and (first.state is not STOPPED or state.is_held_up(first)):
        return False
    state.work = work = Work(Purpose.BOOT)
    work.starts, state.boot = state.boot, work.starts
    if first.finished:
        work.starts.popleft()
    return True


def detach(state: SupervisorState, slot: Slot) -> None:
    """A start under way waits, maybe for long: only those wait for it that the supervisor's own start has still to come to.

    The others of its group go on without it, as without one that can't be cancelled; whoever asked for it is answered later.
    """
    work = state.work
    if work is None or not work.starts or work.starts[0] is not slot:
        return  # it has been told already, or its end has begun
    slot.detached = True
    if work.purpose is Purpose.BOOT:
        put_boot_off(state, work)
    elif work.purpose is Purpose.RESTART or work.purpose is Purpose.RELOAD:
        work.starts.popleft()
    else:
        state.work = None
    if slot.withdrawn:
        cancel_detached(state, slot)


def put_boot_off(state: SupervisorState, work: Work) -> None:
    """The first of those that are still to be started waits, and with it the supervisor's own start."""
    state.boot, state.work = work.starts, None
    if not state.told_waits:
        state.told_waits = True
        state.out.append(do.Waits())


def cancel_detached(state: SupervisorState, slot: Slot) -> None:
    """Nobody waits any more for a start that waits."""
    state.queue.append((_cancel, slot, slot.number))


def _cancel(state: SupervisorState, slot: Slot, number: int, now: float) -> None:
    if slot.detached and slot.number == number:
        slot.afterwards = Afterwards.FORGET
        state.work = work = Work(Purpose.TERMINATE_CHILD, subject=slot)
        work.mode = StopMode.FINAL
        work.stops.append(slot)
        advance(state, now)


def answer(state: SupervisorState, slot: Slot, result: bool | Exception | None) -> None:
    """Whoever asked for a start has the answer, once. Whatever it is, the next start isn't its first one."""
    start, slot.next_start = slot.next_start, None
    if start is None:
        return
    if result is None:
        result = ChildStartFailed(slot.id, "it was stopped meanwhile")
    for ticket in start.tickets:
        state.out.append(do.Reply(ticket, result))


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
        if slot.withdrawn:
            forget(state, slot, ChildStartFailed(slot.id, NOBODY_WAITS))
        else:
            close(state, slot, ChildStartFailed(slot.id, "it was terminated meanwhile"))
        release_held(state)


def _mode(state: SupervisorState, work: Work, slot: Slot) -> StopMode:
    """What a stop, or the end of a start, means for the mailboxes."""
    return StopMode.FINAL if _gone_when_stopped(state, slot) else work.mode


def _cancel_start(state: SupervisorState, work: Work, slot: Slot) -> None:
    slot.detached = False
    state.out.append(do.CancelStart(slot.id, _mode(state, work, slot)))


def cancel_start_for_reload(state: SupervisorState, work: Work, slot: Slot) -> None:
    """The start that is under way: the work goes on with another one when this has ended."""
    work.pending += 1
    _cancel_start(state, work, slot)


def _gone_when_stopped(state: SupervisorState, slot: Slot) -> bool:
    """Temporary and dynamic children are forgotten when they are stopped, added ones when their supervisor ends."""
    work = state.work
    if work is not None and work.reloaded is slot:
        return False
    ending = work is not None and work.purpose is Purpose.SHUTDOWN
    return slot.temporary or state.spec.dynamic or (ending and slot.added)


def leave(state: SupervisorState, slot: Slot, result: bool | Exception | None = None) -> None:
    """It ended and isn't restarted."""
    if slot.temporary or state.spec.dynamic:
        forget(state, slot, result)
    else:
        close(state, slot, result)


def end_for_good(state: SupervisorState, slot: Slot, result: bool | None = None) -> None:
    """It is down, nobody can reach it, and no restart that is due brings it back."""
    slot.state = STOPPED
    slot.due = None
    slot.held = False
    slot.finished = True
    if slot.new:
        forget(state, slot, ChildStartFailed(slot.id, "nobody can reach it any more"))
    else:
        leave(state, slot, result)


def close(state: SupervisorState, slot: Slot, result: bool | Exception | None = None) -> None:
    """It stays listed, stopped. This and `forget` are the only ways to say so: whoever asked for its start has an answer."""
    state.out.append(do.Close(slot.id))
    answer(state, slot, result)


def forget(state: SupervisorState, slot: Slot, result: bool | Exception | None = None) -> None:
    """It isn't listed any more."""
    if state.slots.get(slot.id) is slot:
        del state.slots[slot.id]
        slot.token += 1
        state.out.append(do.Forget(slot.id))
        answer(state, slot, result)


def release_held(state: SupervisorState) -> None:
    """A pending group restart was cancelled: members that no other pending restart covers stay down (rule 18).

    One that was never up hasn't ended with its group: its first start is tried on.
    """
    if state.spec.strategy is Strategy.ONE_FOR_ONE:
        return
    for slot in [*state.slots.values()]:
        if slot.held and slot not in state.boot and not state.is_covered(slot):
            slot.held = False
            if slot.state is STOPPED and slot.new:
                resume_later(state, slot)
            elif slot.state is STOPPED:
                close(state, slot)


def shut_down(
    state: SupervisorState, *, mode: StopMode, reason: ExitReason, cause: Cause, error: BaseException | None = None
) -> None:
    """The supervisor's own end begins: it takes the place of whatever is under way. Idempotent."""
    if state.phase in (Phase.STOPPING, Phase.DONE):
        return
    work = Work(Purpose.SHUTDOWN)
    work.mode, work.reason, work.cause, work.error = mode, reason, cause, error
    begin_shutdown(state, work)


def end_without_children(state: SupervisorState) -> bool:
    """Whether a pool ends now, as nobody is left in it: the last one ignored its restart, or was stopped by somebody."""
    ends = state.phase is Phase.RUNNING and _is_left_by_all(state)
    if ends:
        shut_down(state, mode=StopMode.RESTART, reason=SHUTDOWN, cause=Cause.LAST_LEFT)
    return ends


def _is_left_by_all(state: SupervisorState) -> bool:
    """Whether it is a pool without a worker, and not only since somebody keeps them down."""
    if not state.spec.ends_with_last or any(state.is_to_live(slot) for slot in state.slots.values()):
        return False
    return not state.slots or any(slot.finished for slot in state.slots.values())


def begin_shutdown(state: SupervisorState, work: Work) -> None:
    """What is under way ends first, then the others in reverse order. No call is served any more."""
    slots = [*state.slots.values()]
    under_way: list[Slot] = []
    for slot in slots:
        ends = slot.state is STOPPING or (slot.state is STARTING and not slot.detached)
        (under_way if ends else work.stops).append(slot)
    work.pending = len(under_way)
    # At once: Ctrl-C that strikes before leaves all as it was.
    interrupted, state.work, state.phase = state.work, work, Phase.STOPPING
    state.boot.clear()
    if interrupted is not None and interrupted.ticket is not None:
        state.out.append(do.Reply(interrupted.ticket, _stopped_meanwhile(state)))
    for slot in slots:
        if slot.next_start is not None:
            answer(state, slot, _stopped_meanwhile(state))
    for entry in state.queue:  # queued ends are found at each child's own stop
        if type(entry) is Call:
            state.out.append(do.Reply(entry.ticket, _stopped_meanwhile(state)))
    state.queue.clear()
    for slot in under_way:
        if slot.state is STARTING:
            _cancel_start(state, work, slot)


def _stopped_meanwhile(state: SupervisorState) -> SupervisorNotRunning:
    return SupervisorNotRunning(state.spec.id, ": it was stopped meanwhile")


def _finish_shutdown(state: SupervisorState, work: Work) -> None:
    late = work.late
    while late and late[-1].state is not UNSTOPPABLE:  # a look at all of them, at the end of each, took minutes for 100,000
        late.pop()
    if not late:
        late = work.late = [slot for slot in state.slots.values() if slot.state is UNSTOPPABLE]
    if late:
        if not work.told:
            work.told = True
            state.out.append(do.Overran(tuple(slot.id for slot in late), work.reason, work.error))
        return
    for slot in [*state.slots.values()]:
        if slot.added or slot.temporary:
            forget(state, slot)
    state.work = None
    state.phase = Phase.DONE
    state.out.append(do.Done(work.reason, work.cause, work.failed, work.error))
