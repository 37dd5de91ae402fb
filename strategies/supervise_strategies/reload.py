"""New code for a child, and another description of a supervisor, while it runs: what whoever develops a program asks for.

OTP has both, as a release's upgrade (`code_change`, `appup`); a supervisor there takes new specs without starting anything.
Nothing of it is a crash, nothing is counted, and no decision is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import directives as do
from .child_state import RESTARTING, STARTING, STOPPED, STOPPING, UNSTOPPABLE
from .errors import ChildNotFound
from .progress import advance, cancel_start_for_reload
from .work import Purpose, Work

if TYPE_CHECKING:
    from .child_spec import SupervisorSpec
    from .child_state import Slot
    from .supervisor_state import SupervisorState


def reload_child(state: SupervisorState, id: str, ticket: object, now: float) -> None:
    """The turn of the call: nothing is under way."""
    slot = state.slots.get(id)
    if slot is None:
        state.out.append(do.Reply(ticket, ChildNotFound(id, among=state.slots)))
        return
    _forget_failures(slot)
    if not reloads(slot):
        state.out.append(do.Reply(ticket, False))  # what follows is decided already, and has the new code
        return
    state.work = work = Work(Purpose.RELOAD, subject=slot, ticket=ticket)
    work.reloaded = slot
    if slot.state is RESTARTING:
        slot.due = None
        work.starts.extend(state.affected_by(slot))
        work.stops = [member for member in work.starts if member is not slot]
    else:
        work.starts.append(slot)
        work.stops.append(slot)
    advance(state, now)


def reloads(slot: Slot) -> bool:
    """Whether it is to be started with its new code: not if nobody wants it up, or its start is decided already."""
    return slot.state is not UNSTOPPABLE and not slot.held and (slot.state is not STOPPED or slot.spent)


def reloads_in_its_start(state: SupervisorState, id: str, ticket: object) -> bool:
    """Whether its start is what is under way: with the old code, so that is cancelled, and another one takes its place."""
    slot, work = state.slots.get(id), state.work
    if slot is None or work is None or slot.state is not STARTING or not work.starts or work.starts[0] is not slot:
        return False
    _forget_failures(slot)
    slot.state = STOPPING
    work.reloaded = slot
    cancel_start_for_reload(state, work, slot)
    state.out.append(do.Reply(ticket, True))
    return True


def describe(state: SupervisorState, spec: SupervisorSpec) -> None:
    """What an operator has changed since holds, where the description says of it what it said before."""
    before = {child.id: child for child in state.spec.children}
    if spec.intensity != state.spec.intensity:
        state.window = state.window.copy(spec.intensity)
    state.spec = spec
    order = {child.id: number for number, child in enumerate(spec.children)}
    for child in spec.children:
        slot = state.slots.get(child.id)
        if slot is None:
            continue
        slot.added = False
        was = before.get(child.id)
        if child == was:
            continue
        history = slot.history
        if history is not None and child.restart != slot.spec.restart:
            history.backoff = None
        if history is not None and history.window is not None and child.limit != slot.spec.limit:
            history.window = None if child.limit is None else history.window.copy(child.limit)
        slot.spec = child
    slots = sorted(state.slots.values(), key=lambda slot: order.get(slot.id, len(order)))  # others were added: they come last
    state.slots = {slot.id: slot for slot in slots}


def _forget_failures(slot: Slot) -> None:
    history = slot.history
    if history is not None:
        history.backoff = history.row = history.window = None
