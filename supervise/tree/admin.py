"""Calls that change what a running supervisor has below it: handed to its machine, and waited for.

They are served one at a time and in order, as in OTP: while a start or a stop is under way they wait. A caller that is
cancelled while it waits leaves the change to go on. An actor's own task can't wait for what waits for that task, so such a
call raises `WouldDeadlock` at once. All raise `SupervisorNotRunning` while the supervisor is down.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from supervise._backends import answered, give, note
from supervise.actor.incarnation import Incarnation
from supervise.errors import WouldDeadlock
from supervise.mailbox.turn import current_turn
from supervise_strategies.child_spec import warn_of_immortal_loop
from supervise_strategies.child_state import ChildState
from supervise_strategies.directives import Cause, Directive, StopMode
from supervise_strategies.errors import ChildNotFound, InvalidSpec
from supervise_strategies.supervisor_state import Phase

if TYPE_CHECKING:
    from supervise_strategies.exit_reason import ExitReason

    from .branch import BranchPlace, Place
    from .child import Child
    from .description import Description
    from .node import Node


async def ask(branch: BranchPlace, call: Callable[[Node, object, float], list[Directive]]) -> Any:
    """Step the machine with a call, its ticket and the time, and wait for its answer."""
    node = branch.running_node()
    ticket = node.tree.backend.future()
    node.step(call, node, ticket, node.tree.backend.now())
    return await answered(ticket)


async def add(
    branch: BranchPlace, name: str | None, description: Child[Any] | Description, *, keyed: bool = True, worker: bool = False
) -> Place:
    """Start a child at the end of the others; its place, when it is ready. Raises what `RunningSupervisor.start` does.

    Without a name it gets one that is free, after its own.

    A caller that is cancelled leaves a start under way to go on, but no other try is made, where `retry_start=` asks for one.

    `keyed`: somebody has the description, and may look the child up by it. `worker`: it is one more worker of a pool.
    """
    node = branch.running_node()
    if branch.description.is_one_thing and not worker:
        cure = "a pool has workers of one kind: resize() says how many; other children go beside it"
        raise InvalidSpec(f"pool {branch.path!r}", "child", description.spec.id if name is None else name, cure)
    spec = description.spec_under(branch.description)
    if name is None:
        name = node.free_name(spec.id)
    if spec is not branch.checked:
        branch.description.spec.check_child(spec)
        if not worker:  # of whom it was said where the pool was described
            warn_of_immortal_loop(branch.description.spec, spec)
        branch.checked = spec
    check_deadlock(branch, None)
    offer = node.offer(name, spec, description, keyed=keyed)
    try:
        await answered(offer.answer)
    except node.tree.backend.cancelled:
        node.step(node.machine.start_withdrawn, offer, node.tree.backend.now())
        raise
    place: Any = offer.place
    return place  # type: ignore[no-any-return]  # it has one by now, and `cast` would be a call


async def terminate(branch: BranchPlace, name: str, *, by_name: bool) -> None:
    """Stop a child and leave it listed. `by_name`: it was named, rather than its address given, which OTP tells apart."""
    check_deadlock(branch, name)
    await ask(branch, lambda node, ticket, now: node.machine.terminate_child(name, ticket, now, by_name=by_name))


async def restart(branch: BranchPlace, name: str) -> bool:
    """Start a child that is listed but stopped. False: its factory ignored the start."""
    check_deadlock(branch, None)
    return bool(await ask(branch, lambda node, ticket, now: node.machine.restart_child(name, ticket, now)))


async def delete(branch: BranchPlace, name: str) -> None:
    """Forget a child that is listed but stopped."""
    check_deadlock(branch, None)
    await ask(branch, lambda node, ticket, now: node.machine.delete_child(name, ticket, now))


async def remove(branch: BranchPlace, name: str) -> None:
    """Stop a child, and forget it; a caller that is cancelled leaves both to go on. A temporary one is forgotten by its end."""
    check_deadlock(branch, name)
    node = branch.running_node()
    stopped, forgotten = node.tree.backend.future(), node.tree.backend.future()
    node.step(node.machine.terminate_child, name, stopped, node.tree.backend.now(), by_name=True)
    node.step(node.machine.delete_child, name, forgotten, node.tree.backend.now())
    try:
        await answered(stopped)
        with suppress(ChildNotFound):
            await answered(forgotten)
    finally:
        give(forgotten, None)  # nobody waits for it any more
        note(forgotten)


async def stop(branch: BranchPlace, reason: ExitReason) -> None:
    """Stop the supervisor itself, with all below it. Idempotent."""
    node = branch.node
    if node is None:
        return
    branch.check_here()
    check_deadlock(branch, None, stopping=True)
    tree = branch.tree
    if branch.parent is None:
        tree.stop(reason)
        await tree.over.wait()
        return
    ended = tree.backend.future()
    node.on_done.append(ended)
    node.step(node.machine.stop, tree.backend.now(), mode=StopMode.RESTART, reason=reason, cause=Cause.SELF)
    await answered(ended)


def check_deadlock(branch: BranchPlace, name: str | None, *, stopping: bool = False) -> None:
    """WouldDeadlock, where the caller's own task is what would be waited for. `name`: of the child that is to be stopped."""
    turn = current_turn(None)
    if turn is None or not isinstance(turn, Incarnation) or turn.task is not branch.tree.backend.current_task():
        return
    path = turn.mailbox.path
    if not path.startswith(f"{branch.path}/"):
        return
    if stopping or (name is not None and f"{path}/".startswith(f"{branch.path}/{name}/")):
        raise WouldDeadlock(
            f"{path} can't wait for its own end: use current().stop() or current().stop_tree(), which don't wait"
        )
    node = branch.running_node()
    below = node.machine.child(path.removeprefix(f"{branch.path}/").partition("/")[0])
    if below is None or node.machine.phase is Phase.STOPPING:  # it answers at once
        return
    # A supervisor waits for the start or the stop under way, and for nothing else; so from further up it may be used.
    starting = below.state is ChildState.STARTING and not turn.running
    if starting or below.state is ChildState.STOPPING:
        raise WouldDeadlock(
            f"{path} can't wait for supervisor {branch.path!r} while it is being {'started' if starting else 'stopped'}: "
            "nothing else is served meanwhile; do it in a handler before, or in a task of current().nursery"
        )
