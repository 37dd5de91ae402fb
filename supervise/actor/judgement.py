"""What becomes of a message whose handler has returned, or raised: an answer, a refusal, or the crash of its actor."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from supervise._backends import give, is_cancellation
from supervise.errors import NotAHandler, SuperviseError, UnknownHandler
from supervise.events import Raised
from supervise.frame import frames_of
from supervise.mailbox.bad_call import bad_call
from supervise.mailbox.envelope import is_beginning, message_of
from supervise.mailbox.handler import class_of, unfinished, unfinished_result
from supervise.mailbox.lane import LOW
from supervise.mailbox.losses import Loss
from supervise.mailbox.refusal import deliverable
from supervise.mailbox.stream_run import StreamStopped
from supervise_strategies.answers import CRASHES
from supervise_strategies.exit_reason import NORMAL, describe
from supervise_strategies.kind import is_of

from .cancellation import enter_kill_scope, is_being_closed, is_withdrawn, leave_cancelled_scope, leave_kill_scope
from .ending import cut, redelivers

if TYPE_CHECKING:
    from supervise.mailbox.envelope import Envelope
    from supervise.mailbox.lane import Lane
    from supervise.mailbox.mailbox import Mailbox
    from supervise_strategies.answers import Why

    from .first_step import FirstStep
    from .incarnation import Incarnation


def settle(
    life: Incarnation,
    lane: Lane,
    envelope: Envelope,
    result: Any,
    error: BaseException | None,
    isolated: bool,
    withdrawn: bool = False,
) -> bool:
    """A concurrent handler has ended; False: its message is settled with the incarnation, as it crashes or is killed.

    `withdrawn`: its caller, who is gone, has cancelled it.
    """
    mailbox, reply = life.mailbox, envelope[3]
    if withdrawn:
        _withdraw(life, lane, envelope)
        return True
    if error is None:
        if reply is not None and not reply.done() and unfinished(result):
            if life.extras.checkpoints is not None:
                life.extras.checkpoints.raised(envelope)
            refuse(mailbox, lane, envelope, unfinished_result(envelope[0], result))
            return True
        mailbox.handled += 1
        if life.extras.checkpoints is not None:
            life.extras.checkpoints.returned(envelope)
        if reply is not None:
            lane.given_up -= not give(reply, result)
        return True
    if is_of(error, StreamStopped):
        _stop_stream(life, lane, envelope)
        return True
    why = _answers(life, error, call=reply is not None)
    if why is None and isolated and is_of(error, Exception):
        why = "isolated"
    if why is not None:
        _tell(life, lane, envelope, error, why)
        return True
    if life.crashed_on is None and not is_cancellation(error, mailbox.backend.cancelled):
        life.crashed_on = envelope
    return False


async def go_on(life: Incarnation, begun: FirstStep) -> BaseException | None:
    """Go on with the message in hand; the answer is what ends the life, if that does."""
    envelope, reply = begun.envelope, begun.envelope[3]
    try:
        if begun.error is not None:
            raise begun.error
        if life.kill_scope is None:  # a plain function has returned what is to be awaited
            enter_kill_scope(life)
        elif life.killed or life.failure is not None:  # since it has made its first step
            life.kill_scope.cancel()
        result = await begun
    except BaseException as raised:
        if is_of(raised, GeneratorExit) and is_being_closed(life):
            raise
        error = left_of(life, envelope, raised, found=True)
        if error is not None and is_cancellation(error, life.mailbox.backend.cancelled):
            error = leave_kill_scope(life, error)
        return error
    finally:
        begun.error = None
    if reply is not None and reply.done():
        life.mailbox.handled += 1
        life.mailbox.given_up -= 1
        leave_cancelled_scope(life)
    else:
        settle(life, life.mailbox, envelope, result, None, isolated=False)
    life.in_hand = None
    if life.mailbox.credits < LOW:
        life.mailbox.replenish()
    return None


def left_of(life: Incarnation, envelope: Envelope, error: BaseException, *, found: bool) -> BaseException | None:
    """What its handler raised ends the actor, or else, None, the caller is told, or it is said and counted."""
    kind = type(error)
    if (
        found
        and life.owner.answers is CRASHES
        and issubclass(kind, Exception)
        and kind is not TypeError
        and kind is not StreamStopped  # so it says nothing of its message but that the handler has raised
        and ((reply := envelope[3]) is None or not reply.done() or not is_withdrawn(life))
    ):
        life.crashed_on = envelope
        return error
    if is_withdrawn(life):
        left = leave_cancelled_scope(life, error)
        if left is None:
            life.in_hand = None
            _withdraw(life, life.extras.lane or life.mailbox, envelope)
            return None
        error = left
    if is_of(error, StreamStopped):
        life.in_hand = None
        _stop_stream(life, life.extras.lane or life.mailbox, envelope)
        return None
    if not found and is_of(error, UnknownHandler, NotAHandler):  # one that the handler itself met is a crash
        life.in_hand = None  # before anybody is told, who may look at the account
        refuse(life.mailbox, life.extras.lane or life.mailbox, envelope, error)
        return None
    if type(error) is TypeError and not is_beginning(envelope):
        misfit = bad_call(class_of(life.instance), envelope, error)
        if misfit is not None:
            life.in_hand = None
            life.forget_judged()
            refuse(life.mailbox, life.extras.lane or life.mailbox, envelope, misfit)
            return None
    why = _answers(life, error, call=envelope[3] is not None)
    if why is None:
        if not is_cancellation(error, life.mailbox.backend.cancelled):
            life.crashed_on = envelope
        return error
    life.in_hand = None
    _tell(life, life.extras.lane or life.mailbox, envelope, error, why)
    return None


def _withdraw(life: Incarnation, lane: Lane, envelope: Envelope) -> None:
    """A handler was cancelled by its caller, who is gone."""
    if life.extras.checkpoints is not None:
        life.extras.checkpoints.raised(envelope)
    life.mailbox.abandon(lane, envelope)


def _stop_stream(life: Incarnation, lane: Lane, envelope: Envelope) -> None:
    """A stream was closed where it waited for its reader, as the life is to end. One that follows may begin it afresh."""
    if life.extras.checkpoints is not None:
        life.extras.checkpoints.raised(envelope)
    reason = life.extras.stop_reason or NORMAL
    restarts = life.extras.ordered and lane.mailbox.refusal is None and not life.extras.draining
    if not (restarts and redelivers(life, lane, envelope, False, reason, None)):
        cut(life, lane, envelope, reason, None)


def refuse(mailbox: Mailbox, lane: Lane, envelope: Envelope, error: SuperviseError) -> None:
    """A message that the actor can't be asked for is its sender's fault."""
    why = str(error)
    error.args = (f"{mailbox.path}: {why}",)
    error.message = message_of(envelope)
    mailbox.cut(lane, envelope, error, why, cause=error, loss=Loss.REFUSED, begun=False)


def _say(life: Incarnation, envelope: Envelope, error: BaseException, why: Why) -> None:
    """Nobody gets it, so its lines are told, that it can be found."""
    bus = life.owner.bus
    shown, raised = bus.message_text(envelope), bus.text(describe, error)
    bus.publish(Raised(life.mailbox.path, life.number, shown, raised, why, envelope[3] is not None, frames_of(error)))


def _answers(life: Incarnation, error: BaseException, *, call: bool) -> Why | None:
    why = life.judge(error, call=call)
    life.forget_judged()
    return why


def _tell(life: Incarnation, lane: Lane, envelope: Envelope, error: BaseException, why: Why) -> None:
    """A handler raised, and the actor lives on: its caller gets the exception; if there is none, it is said and counted."""
    mailbox, reply = life.mailbox, envelope[3]
    mailbox.failed += 1
    if life.extras.checkpoints is not None:
        life.extras.checkpoints.raised(envelope)
    if reply is None or reply.done():
        bus = life.owner.bus
        bus.facts.raised(mailbox.parent, mailbox.name, envelope[0], error)
        if bus.hears(Raised.level):
            with nullcontext() if mailbox.instrument is None else mailbox.instrument.told(bus, envelope):
                _say(life, envelope, error, why)
    if reply is not None:
        lane.fail(reply, deliverable(error))
