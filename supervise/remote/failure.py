"""Why a call has no result, as it crosses: an error as a body, and the error that the caller gets of it.

An error crosses as itself if its interface says so (`raises`), and as what the library's own means where it is one of ours. All
else crosses as its type and its text. No traceback does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from supervise.errors import (
    ActorCrashed,
    ActorRestarting,
    ActorStopped,
    BadCall,
    BadMessage,
    BadReply,
    CallCycle,
    CallError,
    CallTimeout,
    CallTooDeep,
    MailboxClosed,
    MailboxFull,
    MessageDropped,
    NotAHandler,
    NotServed,
    OutcomeUnknown,
    ProtocolError,
    RemoteError,
    SuperviseError,
    TooLarge,
    UnknownHandler,
)
from supervise.message import Message, name_of
from supervise.wire.bodies import ErrorBody, ErrorKind, decode_body, encode_body, packed, plain
from supervise_strategies.exception import cause_of
from supervise_strategies.exit_reason import describe
from supervise_strategies.kind import is_of, name_of_kind
from supervise_strategies.text import LONG, one_line, text_of

if TYPE_CHECKING:
    from supervise.wire.interface import Interface

_TEXT: Final = 2000
"""Characters of a text that crosses."""
_SHOWN: Final = 500
"""Of one that has come."""
CANCELLED: Final = encode_body(ErrorBody(kind="cancelled"))
"""The answer to a call whose caller is gone: nobody reads it, and it gives back the credit."""
_ROOM: Final = 16384
"""Bytes of the arguments of an exception that crosses as itself."""

# The first that fits: a class stands before its bases.
_KINDS: Final[tuple[tuple[type[BaseException], ErrorKind], ...]] = (
    (ActorCrashed, "crashed"),
    (ActorStopped, "stopped"),
    (MailboxClosed, "closed"),
    (MailboxFull, "full"),
    (MessageDropped, "dropped"),
    (ActorRestarting, "restarting"),
    (CallTimeout, "timeout"),
    (CallCycle, "cycle"),
    (CallTooDeep, "too_deep"),
    (BadMessage, "bad_message"),
    (BadCall, "bad_message"),
    (BadReply, "bad_reply"),
    (NotAHandler, "bad_reply"),
    (TooLarge, "too_large"),
    (NotServed, "not_served"),
    (UnknownHandler, "unknown"),
    (OutcomeUnknown, "outcome_unknown"),
)


def error_body(error: BaseException, interface: Interface[Any]) -> bytes:
    """The body of an ERROR; raises nothing, whatever the error's own methods do."""
    raised = interface.encode_raised(error)
    if raised is not None:
        index, args = raised
        body = encode_body(
            ErrorBody(kind="raised", raises=index, args=packed(args), type=name_of_kind(type(error)), begun=True)
        )
        if len(body) <= _ROOM:
            return body
    return encode_body(_body(error))


def _body(error: BaseException) -> ErrorBody:
    kind = _kind_of(error)
    if isinstance(error, ActorCrashed):
        cause = cause_of(error)
        path, incarnation = error.path, error.incarnation
        if cause is None:
            return ErrorBody(kind=kind, text=text_of(error, _TEXT), path=path, incarnation=incarnation, begun=True)
        type, text = name_of_kind(cause.__class__), text_of(cause, _TEXT)
        return ErrorBody(kind=kind, type=type, text=text, path=path, incarnation=incarnation, begun=True)
    if isinstance(error, CallCycle):
        return ErrorBody(kind=kind, text=text_of(error, _TEXT), args=packed(error.cycle[:16]))
    begun = isinstance(error, CallError) and error.begun
    return ErrorBody(kind=kind, type=name_of_kind(error.__class__), text=text_of(error, _TEXT), begun=begun or kind == "remote")


def _kind_of(error: BaseException) -> ErrorKind:
    for of, kind in _KINDS:
        if is_of(error, of):
            return kind
    return "remote"


def error_of(data: bytes, interface: Interface[Any], message: Message, path: str) -> Exception:
    """What the caller gets. `path`: of the address that it has called. Raises ProtocolError for what is no such body."""
    body = decode_body(ErrorBody, data)
    if body.kind == "raised":
        rebuilt = interface.rebuild(body.raises, plain(body))
        if rebuilt is not None:
            return rebuilt
        return RemoteError(one_line(body.type, LONG), "it can't be made anew here of what came of it")
    text, type = one_line(body.text, _SHOWN), one_line(body.type, LONG)
    if body.kind == "remote":
        return RemoteError(type, text)
    if body.kind == "crashed":
        cause = RemoteError(type, text)
        crashed = ActorCrashed(one_line(body.path, LONG) or path, body.incarnation, describe(cause) if type else text, message)
        crashed.__cause__ = cause
        return crashed
    if body.kind == "cycle":
        cycle = CallCycle([one_line(str(each), LONG) for each in plain(body)], message)
        cycle.args = (f"{path}: {text}",)
        return cycle
    make = _MADE.get(body.kind)
    if make is None:
        raise ProtocolError("map", f"an ERROR of kind {body.kind!r} is none that anybody waits for")
    error = make(f"{path}: {text or name_of(message.handler)}", message)
    if isinstance(error, CallError):
        error.begun = body.begun
    return error


_MADE: Final[dict[str, Callable[[str, Message], SuperviseError]]] = {
    "stopped": ActorStopped,
    "closed": MailboxClosed,
    "full": MailboxFull,
    "dropped": MessageDropped,
    "unknown": UnknownHandler,
    "restarting": ActorRestarting,
    "timeout": CallTimeout,
    "too_deep": CallTooDeep,
    "bad_message": BadMessage,
    "bad_reply": BadReply,
    "too_large": TooLarge,
    "not_served": NotServed,
    "outcome_unknown": OutcomeUnknown,
    "cancelled": CallTimeout,
}
