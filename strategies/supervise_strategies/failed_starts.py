"""What follows when a start has failed, or a coroutine that nothing could end has ended after all.

A start that failed in a restart, or is to be tried again, is judged in its turn, behind what waits already (`retry`).
"""

from __future__ import annotations

from . import directives as do
from .admin import start_child, start_child_for_nobody
from .child_state import RESTARTING, STARTING, STOPPED, STOPPING, UNSTOPPABLE, Afterwards, Slot
from .errors import ChildStartFailed, ChildUnstoppable
from .exit_reason import ExitKind, ExitReason
from .progress import (
    NOBODY_WAITS,
    after_stop,
    answer,
    cancel_detached,
    close,
    finish_call,
    forget,
    leave,
    put_boot_off,
    resume_later,
    stop_ended,
)
from .restarting import End, boot_failed, patience_spent, retry
from .supervisor_state import Call, Phase, SupervisorState
from .work import Purpose


def start_failed(state: SupervisorState, slot: Slot, reason: ExitReason, error: BaseException | None, ignored: bool) -> None:
    """What that means depends on what it was started for. A start that can't be cancelled has failed, too, and goes on."""
    work = state.work
    detached, slot.detached = slot.detached, False
    if work is not None and work.purpose is Purpose.SHUTDOWN:
        work.pending -= not detached  # else its turn to be cancelled hasn't come
        after_stop(state, slot)
        return
    if detached:
        _detached_failed(state, slot, reason, error)
        return
    if work is None:
        return
    if work.purpose is Purpose.RELOAD:
        work.answer(state, False)
    work.starts.popleft()
    if ignored:
        slot.held = False
        slot.finished = True
        leave(state, slot, False)
    elif slot.first and work.purpose is not Purpose.RESTART_CHILD:
        if work.purpose is Purpose.BOOT:
            work.starts.appendleft(slot)
            put_boot_off(state, work)
        elif work.purpose is Purpose.START_CHILD:
            state.work = None
        _judge_later(state, slot, reason, error)
    elif work.purpose is Purpose.BOOT:
        boot_failed(state, slot, reason, error)
    elif work.purpose in (Purpose.RESTART, Purpose.RELOAD) and not slot.new:
        if slot.state is not UNSTOPPABLE:
            state.work = None
            for member in work.starts:
                member.held = True
        _judge_later(state, slot, reason, error)
    else:
        if work.purpose is not Purpose.RESTART:
            state.work = None
        _asked_for_failed(state, slot, reason, error)


def _detached_failed(state: SupervisorState, slot: Slot, reason: ExitReason, error: BaseException | None) -> None:
    """Nothing waited for it but those whose turn it was before."""
    if state.boot and state.boot[0] is slot:
        boot_failed(state, slot, reason, error)
    elif slot.asked:
        _asked_for_failed(state, slot, reason, error)
    else:
        _judge_later(state, slot, reason, error)


def _asked_for_failed(state: SupervisorState, slot: Slot, reason: ExitReason, error: BaseException | None) -> None:
    """Whoever asked for the start is told; nothing is kept of a new child."""
    failure = ChildStartFailed(slot.id, reason.detail or str(reason))
    failure.__cause__ = error
    slot.remembered().last = reason
    if slot.state is UNSTOPPABLE:
        slot.afterwards = Afterwards.FORGET if slot.new else Afterwards.CLOSE
        answer(state, slot, failure)
    elif slot.new:
        forget(state, slot, failure)
    else:
        close(state, slot, failure)


def _judge_later(state: SupervisorState, slot: Slot, reason: ExitReason, error: BaseException | None) -> None:
    """A start has failed: its turn comes behind what waits already, or when its coroutine has ended after all."""
    if slot.state is UNSTOPPABLE:
        slot.afterwards = Afterwards.JUDGE
        return
    slot.state = RESTARTING
    slot.token += 1
    state.queue.append((retry, slot, slot.token, reason, error))


def overran(state: SupervisorState, id: str, number: int, reason: ExitReason, error: BaseException | None) -> bool:
    """A child that was stopped, or whose start was cancelled, still runs; False: that is known, or doesn't matter."""
    slot = state.slots.get(id)
    if slot is None or slot.number != number:
        return False
    if slot.state is STARTING and state.phase is not Phase.STOPPING:
        slot.state = UNSTOPPABLE
        start_failed(state, slot, reason, error, ignored=False)
        return True
    if slot.state is not STOPPING and slot.state is not STARTING:
        return False
    slot.state = UNSTOPPABLE
    if slot.detached:  # its turn to be cancelled hasn't come: it ends by itself
        slot.detached = False
        return True
    stop_ended(state)
    work = state.work
    if work is not None and work.purpose is Purpose.TERMINATE_CHILD:
        finish_call(state, ChildUnstoppable(slot.id))
    return True


def unstoppable_ended(state: SupervisorState, slot: Slot, reason: ExitReason, error: BaseException | None) -> None:
    """The coroutine that nothing could end has ended after all."""
    afterwards, slot.afterwards = slot.afterwards, Afterwards.CLOSE
    if state.phase is Phase.STOPPING:
        after_stop(state, slot)
    elif state.boot and state.boot[0] is slot and slot.held:
        return  # its group has been stopped meanwhile: it comes after the restart of that, and its last try isn't judged
    elif afterwards is Afterwards.JUDGE:
        _judge_later(state, slot, reason, error)
    elif afterwards is Afterwards.START:
        resume_later(state, slot)
    elif afterwards is Afterwards.FORGET or slot.temporary or state.spec.dynamic:
        forget(state, slot)
    elif not slot.held and (state.work is None or slot not in state.work.starts):  # else it comes back with its group
        close(state, slot)


def withdrawn(state: SupervisorState, ticket: object, now: float) -> None:
    """Whoever asked for a new child, whose start is tried again, was cancelled."""
    for index, entry in enumerate(state.queue):
        if type(entry) is Call and entry.ticket is ticket and entry.serve is start_child:
            id, spec = entry.subject
            if spec.retry_start:  # its turn hasn't come, so there is no try to go on
                del state.queue[index]
                state.out.append(do.Reply(ticket, ChildStartFailed(id, NOBODY_WAITS)))
            else:
                state.queue[index] = entry._replace(serve=start_child_for_nobody)
            return
    for slot in [*state.slots.values()]:
        start = slot.next_start
        if start is not None and start.new and start.tickets == (ticket,):
            start.withdrawn = True
            if slot.detached:
                cancel_detached(state, slot)
            elif slot.state is RESTARTING and slot.first:
                end = End((slot.history and slot.history.last) or ExitReason(ExitKind.CRASHED))
                patience_spent(state, slot, end, NOBODY_WAITS, now)
            elif slot.state is STOPPED and slot.held:  # it waits with its group
                forget(state, slot, ChildStartFailed(slot.id, NOBODY_WAITS))
            return
