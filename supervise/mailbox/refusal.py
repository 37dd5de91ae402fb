"""What the sender of a message is told that a mailbox refuses, or that came to nothing: the errors, and their cures."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, TypeVar

from supervise.errors import (
    ActorCrashed,
    ActorRestarting,
    ActorStopped,
    CallTimeout,
    MailboxClosed,
    MailboxFull,
    NotAHandler,
    SendError,
    SendTimeout,
    SuperviseError,
)
from supervise.message import Message, name_of
from supervise_strategies.exit_reason import ExitKind, ExitReason, describe
from supervise_strategies.kind import is_of

from .envelope import message_of
from .handler import check

if TYPE_CHECKING:
    from .envelope import Envelope
    from .lane import Lane
    from .mailbox import Mailbox

E = TypeVar("E", bound=BaseException)
Refusal: TypeAlias = Literal["leaving", "stopped", "closed", "unstoppable"]
"""`leaving`: it ends by itself, and its owner has still to decide whether another life follows."""


class Rejection(Enum):
    """Why a mailbox didn't accept a message, in one word. Its sender was told; it is no dead letter."""

    FULL = "full"
    STOPPED = "stopped"
    GONE = "gone"
    RESTARTING = "restarting"
    """A call with `on_restart="fail"`."""
    TIMEOUT = "timeout"
    """There was no room within the time that its sender gave it."""


_REJECTIONS: Final[dict[type, Rejection]] = {
    MailboxFull: Rejection.FULL,
    ActorStopped: Rejection.STOPPED,
    MailboxClosed: Rejection.GONE,
    ActorRestarting: Rejection.RESTARTING,
    SendTimeout: Rejection.TIMEOUT,
}


def rejected(mailbox: Mailbox, error: E) -> E:
    """The error of a message that isn't accepted, for its sender; and whoever counts such messages is told."""
    if is_of(error, SuperviseError) and error.message is not None:
        mailbox.dead_letters.bus.facts.refused(mailbox.parent, mailbox.name, error.message.handler, error)
    if mailbox.dead_letters.on_rejection and (reason := _REJECTIONS.get(type(error))) is not None:
        for told in mailbox.dead_letters.on_rejection:
            told(mailbox, reason)
    return error


def check_message(mailbox: Mailbox, message: Message) -> None:
    """Refuse what no actor can run, before anything is sent."""
    try:
        check(message.handler)
    except NotAHandler as refusal:
        refusal.args = (f"{mailbox.path}: {refusal}",)
        refusal.message = message
        raise


def refused(mailbox: Mailbox, message: Message) -> SendError:
    """The error of a message that the mailbox refuses now, for whatever reason."""
    who, name = mailbox.path, name_of(message.handler)
    match mailbox.refusal:
        case "closed":
            text = f"{who} is gone for good, and doesn't get {name}: find or start its successor, and use that address"
            return MailboxClosed(text, message)
        case "unstoppable":
            text = f"{who} was cancelled and still runs: it gets neither {name} nor another message until it has ended"
        case "leaving":
            text = f"{who} is ending, as it was asked to, and doesn't get {name}: watch() tells whether it comes back"
        case _:
            cure = "restart_child(), or operator(…).restart()," if mailbox.parent else "run()"
            text = f"{who} is stopped, and doesn't get {name}: {cure} starts it again on this mailbox"
    return ActorStopped(text, message)


def full(lane: Lane, envelope: Envelope, why: str) -> MailboxFull:
    """The error of a message that finds no room."""
    capacity = lane.mailbox.options.capacity
    waiting = f"{capacity:g} {'messages wait' if capacity > 1 else 'message waits'}"
    text = f"the mailbox of {lane.mailbox.path} is full ({waiting}), and doesn't take {name_of(envelope[0])}: {why}"
    return MailboxFull(text, message_of(envelope))


def restarting(mailbox: Mailbox, envelope: Envelope, what: str = "is restarting") -> ActorRestarting:
    """The error of a call that doesn't wait for a restart."""
    cure = "on_restart='wait' lets it wait for the next life"
    text = f"{mailbox.path} {what}, and the call {mailbox.text(envelope)} doesn't wait: {cure}"
    return ActorRestarting(text, message_of(envelope))


def too_late(mailbox: Mailbox, envelope: Envelope) -> SendTimeout | CallTimeout:
    """The error of a message whose deadline has passed."""
    deadline = envelope[5] and envelope[5].deadline
    assert deadline is not None
    shown, message = mailbox.text(envelope), message_of(envelope)
    within = f"within {deadline.seconds:g} s: {deadline.spent(mailbox.backend.now())}"
    state = " (it is paused)" if mailbox.extras.paused else " (it is restarting)" if mailbox.restarting else ""
    if deadline.accepted is None:
        return SendTimeout(f"{mailbox.path}: {shown} found no room {within}{state}", message)
    late = CallTimeout(f"{mailbox.path}: {shown} had no answer {within}{state}", message)
    late.begun = deadline.was_begun
    if deadline.ended is not None:
        late.__cause__ = cut_off(mailbox, envelope, *deadline.ended, None)
    return late


def cut_off(
    mailbox: Mailbox, envelope: Envelope, number: int, reason: ExitReason, error: BaseException | None
) -> ActorCrashed | ActorStopped:
    """The error of a message that was in hand when a life ended: of that number, for this reason, by this exception."""
    message = message_of(envelope)
    if reason.kind is ExitKind.CRASHED:
        failure: ActorCrashed | ActorStopped = ActorCrashed(mailbox.path, number, reason.detail, message)
    else:
        cure = "a longer stop_within lets it finish" if reason.kind is ExitKind.KILLED else "call again once it is back"
        held = f"{mailbox.path} #{number} was stopped ({reason}) with {name_of(message.handler)} in hand"
        failure = ActorStopped(f"{held}: {cure}", message)
        failure.begun = True
    failure.__cause__ = error
    return failure


def cut_off_before(mailbox: Mailbox, envelope: Envelope) -> ActorCrashed | ActorStopped | None:
    """The same of one that waits to be tried again; None of one that was never begun.

    Its cause is the real exception until it is decided whether another life follows, and then only told in the text: an
    exception keeps alive what it has met.
    """
    options = envelope[5]
    if options is None or options.ended is None:
        return None
    error = None if mailbox.causes is None else mailbox.causes.get(id(options))
    return cut_off(mailbox, envelope, *options.ended, error)


def deliverable(error: BaseException) -> BaseException:
    """A future can't carry StopIteration: it would end the coroutine that awaits it."""
    if is_of(error, StopIteration):
        wrapped = RuntimeError(f"the handler raised {describe(error)}")
        wrapped.__cause__ = error
        return wrapped
    return error
