"""Calls that change which children there are: served one at a time and in order, each answered by a `Reply` to its ticket.

What each does is told where it is asked for, in `supervision.py`.
"""

from __future__ import annotations

from dataclasses import replace

from . import directives as do
from .child_spec import ChildSpec
from .child_state import RESTARTING, RUNNING, STARTING, STOPPED, UNSTOPPABLE, Afterwards, Slot
from .directives import StopMode
from .errors import (
    AdminError,
    ChildAlreadyPresent,
    ChildAlreadyStarted,
    ChildNotFound,
    ChildRestarting,
    ChildRunning,
    ChildStartFailed,
    ChildTemporary,
    ChildUnstoppable,
    InvalidSpec,
    TooManyChildren,
)
from .intensity import Intensity
from .progress import advance, answer, forget, restart_group
from .restart import Restart
from .supervisor_state import SupervisorState
from .work import Purpose, Work


def start_child(state: SupervisorState, child: tuple[str, ChildSpec], ticket: object, now: float) -> None:
    id, spec = child
    known = state.slots.get(id)
    if known is not None:
        state.out.append(do.Reply(ticket, _listed(known)))
    elif len(state.slots) >= state.spec.max_children:
        state.out.append(do.Reply(ticket, TooManyChildren(id, f"{state.spec.max_children:g}")))
    else:
        state.slots[id] = slot = Slot(id, spec, added=True)
        _begin(state, Work(Purpose.START_CHILD, subject=slot), slot, ticket, now)


def start_child_for_nobody(state: SupervisorState, child: tuple[str, ChildSpec], ticket: object, now: float) -> None:
    """Whoever asked was cancelled before its turn came: one try is made all the same, unless that waits for long."""
    start_child(state, child, ticket, now)
    slot = state.slots.get(child[0])
    if slot is not None and slot.next_start is not None and ticket in slot.next_start.tickets:
        slot.next_start.withdrawn = True


def terminate_child(state: SupervisorState, id: str, ticket: object, now: float) -> None:
    slot = state.slots.get(id)
    if slot is None:
        state.out.append(do.Reply(ticket, ChildNotFound(id, among=state.slots)))
    elif slot.state is UNSTOPPABLE:
        slot.afterwards, slot.held = Afterwards.CLOSE, False
        answer(state, slot, ChildStartFailed(id, "it was terminated meanwhile"))
        state.out.append(do.Reply(ticket, ChildUnstoppable(id)))
    else:
        state.work = work = Work(Purpose.TERMINATE_CHILD, subject=slot, ticket=ticket)
        work.mode = StopMode.FINAL
        work.stops.append(slot)
        advance(state, now)


def restart_child(state: SupervisorState, id: str, ticket: object, now: float) -> None:
    slot = state.slots.get(id)
    if slot is None:
        state.out.append(do.Reply(ticket, ChildNotFound(id, among=state.slots)))
    elif slot.state is not STOPPED:
        state.out.append(do.Reply(ticket, _not_stopped(slot)))
    else:
        _begin(state, Work(Purpose.RESTART_CHILD, subject=slot), slot, ticket, now)


def renew_child(state: SupervisorState, id: str, ticket: object, now: float) -> None:
    slot = state.slots.get(id)
    if slot is None:
        state.out.append(do.Reply(ticket, ChildNotFound(id, among=state.slots)))
    elif slot.temporary:
        state.out.append(do.Reply(ticket, ChildTemporary(id, "stop it, and start a new one")))
    elif slot.state is UNSTOPPABLE:
        state.out.append(do.Reply(ticket, ChildUnstoppable(id)))
    elif slot.state is RESTARTING:
        state.out.append(do.Reply(ticket, True))
        slot.due = None
        restart_group(state, slot, state.affected_by(slot), 0.0, now)
    else:
        work = Work(Purpose.RESTART_CHILD, subject=slot)
        if slot.state is not STOPPED:  # else a dynamic supervisor would forget it
            work.stops.append(slot)
        _begin(state, work, slot, ticket, now)


def change_child(
    state: SupervisorState, change: tuple[str, Restart | None, Intensity | None], ticket: object, now: float
) -> None:
    id, restart, limit = change
    slot = state.slots.get(id)
    if slot is None:
        state.out.append(do.Reply(ticket, ChildNotFound(id, among=state.slots)))
        return
    try:
        spec = replace(slot.spec, restart=restart or slot.spec.restart, limit=limit or slot.spec.limit)
        state.spec.check_child(spec)
    except InvalidSpec as refusal:
        state.out.append(do.Reply(ticket, refusal))
        return
    slot.spec = spec
    history = slot.history
    if history is not None and restart is not None:
        history.backoff = None
    if history is not None and limit is not None and history.window is not None:
        history.window = history.window.copy(limit)
    state.out.append(do.Reply(ticket, None))


def change_intensity(state: SupervisorState, intensity: Intensity, ticket: object, now: float) -> None:
    state.spec = replace(state.spec, intensity=intensity)
    state.window = state.window.copy(intensity)
    state.out.append(do.Reply(ticket, None))


def delete_child(state: SupervisorState, id: str, ticket: object, now: float) -> None:
    slot = state.slots.get(id)
    if slot is None:
        state.out.append(do.Reply(ticket, ChildNotFound(id, among=state.slots)))
    elif slot.state is not STOPPED:
        state.out.append(do.Reply(ticket, _not_stopped(slot)))
    else:
        forget(state, slot)
        state.out.append(do.Reply(ticket, None))


def _listed(slot: Slot) -> AdminError:
    """Why no other child can have this name."""
    if slot.state in (STARTING, RUNNING, UNSTOPPABLE):
        return ChildAlreadyStarted(slot.id)
    if slot.state is RESTARTING:
        return ChildAlreadyPresent(slot.id, f"waits for {_awaited(slot)}: wait until it is up, or terminate_child() it")
    return ChildAlreadyPresent(slot.id)


def _not_stopped(slot: Slot) -> AdminError:
    """Why it can be neither started nor forgotten."""
    return ChildRestarting(slot.id, _awaited(slot)) if slot.state is RESTARTING else ChildRunning(slot.id)


def _awaited(slot: Slot) -> str:
    return "the next try of its first start" if slot.first else "its restart"


def _begin(state: SupervisorState, work: Work, slot: Slot, ticket: object, now: float) -> None:
    if slot.history is not None:
        slot.history.row = None  # somebody wants it all the same; a limit of its own has counted what it has counted
    slot.asked_by(ticket)
    state.work = work
    work.starts.append(slot)
    advance(state, now)
