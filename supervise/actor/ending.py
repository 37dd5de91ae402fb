"""How a life ends: its nursery and its exit hook, one reason for it, and what becomes of the messages that were in hand.

Then its owner is asked what follows. Nothing of the old life is left by then, but the task, which the next one may go on in.
"""

from __future__ import annotations

import logging
from contextvars import copy_context
from typing import TYPE_CHECKING, Final, TypeVar

from supervise._backends import give, is_cancellation
from supervise.errors import HandlerLate, IgnoreStart
from supervise.log import say
from supervise.mailbox.dead_letters import InHand
from supervise.mailbox.envelope import Envelope, MessageOptions, cancels_with_caller, stream_of
from supervise.mailbox.handler import class_of
from supervise.mailbox.losses import Loss
from supervise.mailbox.refusal import cut_off
from supervise_strategies.exception import exc_info_of, interrupts
from supervise_strategies.exit_reason import KILLED, NORMAL, ExitKind, ExitReason, crashed, describe
from supervise_strategies.kind import is_of, name_of_kind
from supervise_strategies.redeliver import NEVER

from .cancellation import is_being_closed, leave_kill_scope, leave_life_scope, masked
from .checkpoint import refuse_checkpoints
from .life_extras import NO_EXTRAS
from .redelivered import policy_of

if TYPE_CHECKING:
    from supervise.mailbox.lane import Lane

    from .carrier import Carrier
    from .incarnation import Incarnation

T = TypeVar("T")
_CRASHED: Final = ExitKind.CRASHED  # CPython 3.11 takes 70 ns to look up a member of an enum
_IN_HAND: Final = Loss.IN_HAND


def go_out_of_service(life: Incarnation, error: BaseException | None) -> None:
    """No message is begun any more: calls that don't wait for the next life fail now, before nursery and exit hook end."""
    mailbox = life.mailbox
    mailbox.restarting = True
    if error is not None:
        if life.extras is not NO_EXTRAS:
            refuse_checkpoints(life)
        if not issubclass(type(error), Exception):
            life.pass_up(error)  # what ends its nursery and its hook may take its place
    if mailbox.refusal is not None:
        mailbox.shut()  # what has come for itself so far is all
    if error is not None or life.failure is not None or life.killed:
        mailbox.crashed()


async def leave(life: Incarnation, error: BaseException | None) -> BaseException | None:
    """End what the incarnation has besides itself: nursery, exit hook, life scope. The answer is what it ends with."""
    raised: BaseException | None = None
    try:
        if life.extras.life_scope is not None:
            leave_kill_scope(life, None)  # it was entered inside of the life scope
            if life.extras.manager is None:
                error = leave_life_scope(life, error, error)
        bad = error is not None or life.failure is not None or life.killed
        if life.extras.concurrent is not None:
            life.arm_end_timer()
            await life.extras.concurrent.end(cancel=bad)
        await _end_nursery(life, cancel=bad or not life.extras.patient)
        life.own_extras().leaving = True  # what its exit hook begins isn't cancelled
        if life.extras.manager is not None:
            try:
                error = await _exit(life, error)
            finally:
                await _end_nursery(life, cancel=life.killed)  # what the hook has begun ends before the next life begins
    except BaseException as again:
        if is_of(again, GeneratorExit) and is_being_closed(life):
            raise
        raised = again
    return leave_life_scope(life, error, raised)


async def _end_nursery(life: Incarnation, *, cancel: bool) -> None:
    tasks = life.extras.tasks
    if tasks is not None:
        life.arm_end_timer()
        await tasks.end(cancel=cancel)
        life.extras.tasks = None


async def _exit(life: Incarnation, error: BaseException | None) -> BaseException | None:
    """Run the exit hook. A cancellation that is ours leaves it as an exception, for the life scope that it belongs to."""
    made, life.extras.manager = life.extras.manager, None
    cause = life.failure if error is None else error
    life.arm_end_timer()
    try:
        await class_of(made).__aexit__(made, *exc_info_of(cause))
    except BaseException as raised:
        life.pass_up(raised)
        cancelled = life.mailbox.backend.cancelled
        if is_cancellation(raised, cancelled):
            if life.killed:
                raise
            return raised if error is None else error
        if cause is None or is_cancellation(cause, cancelled):
            return raised
        if raised is not cause:
            text = "%s #%d: its exit hook raised %s"
            say(logging.ERROR, text, life.mailbox.path, life.number, raised, pass_up=life.pass_up)
    return error


def finish(life: Incarnation, error: BaseException | None, carrier: Carrier | None) -> Incarnation | None:
    """All of it has ended: settle what was in hand, and ask what follows.

    Its owner is told, whatever the user's code does in here: the texts of exceptions and arguments, queues, instruments.
    """
    _end_timers(life)
    mailbox, instrument, crashed_on = life.mailbox, life.mailbox.instrument, life.crashed_on
    with mailbox.dead_letters.bus:  # nobody hears of anything before all of it is settled
        reason, error = _judge(life, error)
        culprit = crashed_on
        if culprit is None and reason.kind is _CRASHED:
            culprit = _overrun(life, error)
        mailbox.turn = None
        mailbox.restarting = True
        redelivered = _settle(life, reason, error)
        mailbox.let_go()
        life.instance = life.table = None  # which hold its class
        if error is not None and not issubclass(type(error), Exception):
            life.pass_up(error)
        # The context then holds one variable, the turn; another one was set by a handler, and mustn't leak. 31 ns.
        life.shareable = life.shareable and len(copy_context()) == 1
        if instrument is not None:
            span = None if culprit is None or culprit[5] is None else culprit[5].span
            instrument.ends(life, span, reason, error)
    ignored = not life.running and is_of(error, IgnoreStart)
    life.told = True
    successor = life.owner.ended(life, reason, error, ignored=ignored, again=redelivered, culprit=culprit)
    if mailbox.causes is not None:
        mailbox.causes = None
    if instrument is not None:
        instrument.ended()
    life.failure = error = None
    if life.extras is not NO_EXTRAS:
        _tell_waiters(life, reason)
    if successor is None:
        if carrier is not None:
            carrier.keep_scope_of(life)
        leave_kill_scope(life, None)
    elif carrier is not None:
        carrier.waited = True  # it has work, as a rule: another wake-up would cost a tenth of this restart
    life.task = None
    return successor


def _end_timers(life: Incarnation) -> None:
    life.over = True  # whoever of its code is still asked something can't begin anything any more
    extras = life.extras
    if extras is NO_EXTRAS:
        return
    for timer in (extras.end_timer, extras.throttle_timer):
        if timer is not None:
            timer.cancel()
    if extras.timers is not None:
        extras.timers._end()
    if extras.checkpoints is not None:
        extras.checkpoints.end()


def bury(life: Incarnation) -> None:
    """Its task has ended without a word: it was cancelled before it began, or Ctrl-C struck in it. Its owner is told."""
    if life.told:
        life.owner.broken(RuntimeError(f"the task of {life.mailbox.path} #{life.number} has ended, and its end wasn't decided"))
        return
    _tell_owner(life, KILLED, None)


async def rescue(life: Incarnation, error: BaseException) -> Incarnation | None:
    """What is never raised, as far as we know, was raised in the actor's task itself. Its owner is told of the end even so."""
    mailbox, owner = life.mailbox, life.owner
    if not interrupts(error):  # which may strike anywhere, on asyncio, and is nobody's bug
        text = "%s #%d: its own task raised %s"
        say(logging.CRITICAL, text, mailbox.path, life.number, error, error=error, pass_up=life.pass_up)
    life.pass_up(error)
    if life.told:
        owner.broken(error)
        return None
    if life.failure is None:
        life.failure = error
    await leave(life, error)
    return _tell_owner(life, crashed(error), error)


def _tell_owner(life: Incarnation, reason: ExitReason, error: BaseException | None) -> Incarnation | None:
    mailbox, owner = life.mailbox, life.owner
    _end_timers(life)
    life.told = True
    held = life.held()
    life.in_hand = life.crashed_on = None
    if life.extras.concurrent is not None:
        life.extras.concurrent = None
    mailbox.turn, mailbox.restarting, mailbox.causes = None, True, None
    try:
        with owner.bus:
            for lane, envelope in held:
                cut(life, lane, envelope, reason, error)
            mailbox.let_go()
            return owner.ended(life, reason, error, ignored=False, again=False)
    except BaseException as again:
        owner.broken(again)
        return None
    finally:
        _tell_waiters(life, reason)


def _tell_waiters(life: Incarnation, reason: ExitReason) -> None:
    for ended in life.extras.ended_waiters or ():
        give(ended, reason)


def _judge(life: Incarnation, error: BaseException | None) -> tuple[ExitReason, BaseException | None]:
    """One reason for the end, and the exception that stands behind it.

    What a cancellation has as its context is no cause: an exception that was handled leaves the same trace (tried).
    """
    if life.failure is not None:
        error = life.failure
    cancelled = life.mailbox.backend.cancelled
    if error is not None and (issubclass(type(error), Exception) or not is_cancellation(error, cancelled)):
        return ExitReason(_CRASHED, life.mailbox.dead_letters.bus.text(describe, error)), error
    if life.killed:
        return KILLED, None
    if error is not None:
        life.shareable = False  # asyncio counts a native cancel(), and the count stays with the task
        if life.mailbox.backend.cancels_all(life.task, life.owner.host):
            life.owner.abandoned()
            return KILLED, None
        hidden = masked(error, cancelled)
        while_ = "" if hidden is None else f", while handling {life.owner.bus.text(describe, hidden)}"
        text = f"{name_of_kind(type(error))}: cancelled, and nobody of the tree asked for it{while_}"
        return ExitReason(_CRASHED, text), error
    return life.extras.stop_reason or NORMAL, None


def _settle(life: Incarnation, reason: ExitReason, error: BaseException | None) -> bool:
    """What was in hand has ended with the incarnation, or goes back; queued calls that don't wait for the next one fail.

    True: the message that made it crash was tried again already.
    """
    in_hand, culprit = life.in_hand, life.crashed_on
    if in_hand is not None and in_hand is culprit and life.extras.concurrent is None and policy_of(life, in_hand[0]) is NEVER:
        life.in_hand = life.crashed_on = None  # as nearly all do: there is one message, and it isn't tried again
        mailbox = life.mailbox
        if in_hand[3] is None and reason.kind is _CRASHED:  # as `cut` would
            mailbox.dead_letter(in_hand, InHand(life.number, reason), _IN_HAND, error, begun=True)
        else:
            cut(life, life.extras.lane or mailbox, in_hand, reason, error, culprit=True)
        if life.extras is not NO_EXTRAS:  # else nobody came since it went out of service
            mailbox.crashed()
        return False
    held = life.held()
    if culprit is None and reason.kind is _CRASHED:
        culprit = _overrun(life, error)
    life.in_hand = life.crashed_on = None
    if life.extras.concurrent is not None:
        life.extras.concurrent = None
    # Back to the front in the order in which they were handed over, so the last one first.
    for lane, envelope in reversed(held):
        if not (reason.abnormal and redelivers(life, lane, envelope, envelope is culprit, reason, error)):
            cut(life, lane, envelope, reason, error, culprit=envelope is culprit)
    if reason.abnormal:
        life.mailbox.crashed()
    return culprit is not None and culprit[5] is not None and culprit[5].crashes > 0


def _overrun(life: Incarnation, error: BaseException | None) -> Envelope | None:
    """The message in hand, if it took too long, or its handler was cancelled by somebody else: that ended the life, too."""
    if is_of(error, HandlerLate) or (error is not None and is_cancellation(error, life.mailbox.backend.cancelled)):
        return life.in_hand
    return None


def redelivers(
    life: Incarnation, lane: Lane, envelope: Envelope, culprit: bool, reason: ExitReason, error: BaseException | None
) -> bool:
    """Put it back, if it may be tried again. To be in hand when another one ended the life is free once, and counts then."""
    handler, args, kwargs, reply, sender, options = envelope
    if (reply is not None and reply.done()) or (options is not None and options.on_restart == "fail"):
        return False
    stream = stream_of(envelope)
    if stream is not None and not stream.may_begin_again:
        return False
    mailbox = life.mailbox
    if lane.mailbox.refusal in ("stopped", "closed"):  # it was stopped for good
        return False
    policy = policy_of(life, handler)
    if not policy.times:
        return False
    options = options or MessageOptions()
    wait = 0.0
    if culprit or options.spared:
        options = options._replace(failures=options.failures + 1, crashes=options.crashes + culprit)
        if options.failures > policy.times or (culprit and not _asked(life, "when", policy.wants(error))):
            return False
        wait = _asked(life, "wait", policy.delay(options.failures, error)) if culprit else 0.0
    else:
        options = options._replace(spared=True)
    now, ended = mailbox.backend.now(), (life.number, reason)
    if options.deadline is not None:
        options.deadline.cut_off(now, ended)
    # It isn't its timer's any more, which is over: that takes along what waits, not what was in hand.
    options = options._replace(
        attempt=options.attempt + 1,
        source=None,
        not_before=now + wait if wait > 0 else None,
        ended=ended,
    )
    again = (handler, args, kwargs, reply, sender, options)
    try:
        lane.put_back(again)
    except Exception as raised:  # of a queue of the user's own
        text = "%s: a message can't be tried again, as its queue raised %s"
        say(logging.ERROR, text, mailbox.path, raised, pass_up=life.pass_up)
        return False
    if options.not_before is not None:
        lane.mailbox.hold_until(options.not_before)
    if stream is not None:
        stream.begin_again()
    if error is not None:
        mailbox.causes = mailbox.causes or {}
        mailbox.causes[id(options)] = error
    return True


def _asked(life: Incarnation, policy: str, answer: tuple[T, BaseException | None]) -> T:
    """What a policy says; what it raises is logged, and KeyboardInterrupt and SystemExit pass up."""
    says, raised = answer
    if raised is not None:
        text = "%s #%d: the %s= of its redeliver= raised %s"
        say(logging.ERROR, text, life.mailbox.path, life.number, policy, raised, pass_up=life.pass_up)
    life.pass_up(raised)
    return says


def cut(
    life: Incarnation,
    lane: Lane,
    envelope: Envelope,
    reason: ExitReason,
    error: BaseException | None,
    *,
    culprit: bool = False,
) -> None:
    mailbox, reply = life.mailbox, envelope[3]
    if reply is None:
        loss = Loss.IN_HAND
        if reason.kind is ExitKind.KILLED and mailbox.refusal == "stopped":
            loss = Loss.OVERRAN
        elif policy_of(life, envelope[0]).times:
            loss = Loss.SPENT
        mailbox.dead_letter(envelope, InHand(life.number, reason), loss, error, begun=True)
    elif reply.done() and not culprit and cancels_with_caller(mailbox, envelope):
        mailbox.abandon(lane, envelope)
    else:
        mailbox.cut(lane, envelope, cut_off(mailbox, envelope, life.number, reason, error), "", told=not culprit)
