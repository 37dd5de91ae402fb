"""How a life ends: its nursery and its exit hook, one reason for it, and what becomes of the messages that were in hand.

Then its owner is asked what follows. Nothing of the old life is left by then, but the task, which the next one may go on in.
"""

from __future__ import annotations

from contextvars import copy_context
from typing import TYPE_CHECKING

from supervise._backends import is_cancellation
from supervise.errors import ActorCrashed, ActorStopped, IgnoreStart
from supervise.events import logger
from supervise.mailbox.envelope import Envelope, MessageOptions
from supervise.mailbox.handler import class_of
from supervise_strategies.exit_reason import KILLED, NORMAL, ExitKind, ExitReason, crashed, describe
from supervise_strategies.kind import name_of_kind

from .cancellation import is_being_closed, leave_kill_scope, leave_life_scope, masked

if TYPE_CHECKING:
    from supervise.mailbox.lane import Lane

    from .incarnation import Incarnation


def go_out_of_service(life: Incarnation, error: BaseException | None) -> None:
    """No message is begun any more: calls that don't wait for the next life fail now, before nursery and exit hook end."""
    life.mailbox.restarting = True
    if error is not None or life.failure is not None or life.killed:
        life.mailbox.crashed()


async def leave(life: Incarnation, error: BaseException | None) -> BaseException | None:
    """End what the incarnation has besides itself: nursery, exit hook, life scope. The answer is what it ends with."""
    raised: BaseException | None = None
    try:
        if life.life_scope is not None:
            leave_kill_scope(life, None)  # it was entered inside of the life scope
            if life.manager is None:
                error = leave_life_scope(life, error, error)
        bad = error is not None or life.failure is not None or life.killed
        if life.concurrent is not None:
            life.arm_end_timer()
            await life.concurrent.end(cancel=bad)
        if life.tasks is not None:
            life.arm_end_timer()
            await life.tasks.end(cancel=bad or not life.patient)
        if life.manager is not None:
            error = await _exit(life, error)
    except BaseException as again:
        if isinstance(again, GeneratorExit) and is_being_closed(life):
            raise
        raised = again
    return leave_life_scope(life, error, raised)


async def _exit(life: Incarnation, error: BaseException | None) -> BaseException | None:
    """Run the exit hook. A cancellation that is ours leaves it as an exception, for the life scope that it belongs to."""
    made, life.manager = life.manager, None
    cause = error or life.failure
    life.arm_end_timer()
    try:
        await class_of(made).__aexit__(
            made, None if cause is None else type(cause), cause, None if cause is None else cause.__traceback__
        )
    except BaseException as raised:
        life.pass_up(raised)
        cancelled = life.mailbox.backend.cancelled
        if is_cancellation(raised, cancelled):
            if life.killed:
                raise
            return error or raised
        if cause is None or is_cancellation(cause, cancelled):
            return raised
        if raised is not cause:
            logger.error("%s #%d: its exit hook raised %s", life.mailbox.path, life.number, describe(raised))
    return error


def finish(life: Incarnation, error: BaseException | None) -> Incarnation | None:
    """All of it has ended: settle what was in hand, and ask what follows."""
    mailbox = life.mailbox
    if life.end_timer is not None:
        life.end_timer.cancel()
    if life.throttle_timer is not None:
        life.throttle_timer.cancel()
    if life.timers is not None:
        life.timers._end()
    reason, error = _judge(life, error)
    life.instance = None
    mailbox.turn = None
    mailbox.restarting = True
    instrument, crashed_on = mailbox.instrument, life.crashed_on
    _settle(life, reason, error)
    life.pass_up(error)
    # The context then holds one variable, the turn; another one was set by a handler, and mustn't leak. 31 ns.
    life.shareable = life.shareable and len(copy_context()) == 1
    if instrument is not None:
        span = None if crashed_on is None or crashed_on[5] is None else crashed_on[5].span
        instrument.ends(life, span, reason, error)
    ignored = not life.running and isinstance(error, IgnoreStart)
    successor = life.owner.ended(life, reason, error, ignored=ignored)
    if instrument is not None:
        instrument.ended()
    life.failure = error = None
    for ended in life.ended_waiters or ():
        if not ended.done():
            ended.set_result(reason)
    if successor is None:
        leave_kill_scope(life, None)
    life.task = None
    return successor


def _judge(life: Incarnation, error: BaseException | None) -> tuple[ExitReason, BaseException | None]:
    """One reason for the end, and the exception that stands behind it."""
    if life.failure is not None:
        error = life.failure
    cancelled = life.mailbox.backend.cancelled
    if error is not None and not is_cancellation(error, cancelled):
        return crashed(error), error
    hidden = masked(error, cancelled)
    if life.killed:
        return (KILLED if hidden is None else ExitReason(ExitKind.KILLED, describe(hidden))), None
    if error is not None:
        life.shareable = False  # asyncio counts a native cancel(), and the count stays with the task
        if hidden is not None:
            return crashed(hidden), hidden
        return ExitReason(
            ExitKind.CRASHED, f"{name_of_kind(type(error))}: cancelled, and nobody of the tree asked for it"
        ), error
    return life.stop_reason or NORMAL, None


def _settle(life: Incarnation, reason: ExitReason, error: BaseException | None) -> None:
    """What was in hand has ended with the incarnation, or goes back; queued calls that don't wait for the next one fail."""
    held = life.held()
    life.in_hand = life.concurrent = None
    crashed_on, life.crashed_on = life.crashed_on, None
    if held:
        # Back to the front in the order in which they were handed over, so the last one first.
        for lane, envelope in reversed(held):
            if not (reason.abnormal and _redelivers(life, lane, envelope, envelope is crashed_on)):
                _cut(life, envelope, reason, error)
    if reason.abnormal:
        life.mailbox.crashed()


def _redelivers(life: Incarnation, lane: Lane, envelope: Envelope, raised: bool) -> bool:
    """Put it back, if it may be tried again. Only the message whose handler raised has used up one of its tries."""
    allowed = life.owner.redeliver
    handler, args, kwargs, reply, sender, options = envelope
    if not allowed or (reply is not None and reply.done()) or (options is not None and options.on_restart == "fail"):
        return False
    if raised:
        options = (options or MessageOptions())._replace(failures=1 if options is None else options.failures + 1)
        if options.failures > allowed:
            return False
    lane.put_back((handler, args, kwargs, reply, sender, options))
    return True


def _cut(life: Incarnation, envelope: Envelope, reason: ExitReason, error: BaseException | None) -> None:
    mailbox = life.mailbox
    if envelope[3] is None:
        mailbox.dead_letter(envelope, f"in hand when #{life.number} ended: {reason}")
        return
    if reason.kind is ExitKind.CRASHED:
        failure: Exception = ActorCrashed(mailbox.path, life.number, reason.detail)
        failure.__cause__ = error
    else:
        failure = ActorStopped(f"{mailbox.path} #{life.number} was stopped ({reason}) while it handled this call")
    mailbox.cut(envelope, failure, "")
