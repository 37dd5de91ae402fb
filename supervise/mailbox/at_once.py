"""A call to an actor that sleeps: it may be handled in the caller's own step. How is told in `actor/inline_call.py`."""

from __future__ import annotations

from inspect import CO_COROUTINE
from types import FunctionType
from typing import TYPE_CHECKING, Any

from .turn import BEGINNING, NOT_NOW

if TYPE_CHECKING:
    from supervise.message import AnyHandler

    from .envelope import MessageOptions
    from .lane import Lane
    from .mailbox import Mailbox
    from .turn import Turn


def answered_at_once(
    lane: Lane,
    own: Turn | None,
    handler: AnyHandler,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    sender: Mailbox | None,
    options: MessageOptions | None,
) -> Any:
    """What `IncarnationTurn.answer` says; `own`: the turn whose task would wait, and does so while the first step runs."""
    mailbox = lane.mailbox
    life = mailbox.turn
    if life is None or mailbox.waker is not life or mailbox is not lane or not lane.credits:
        return NOT_NOW
    if not mailbox.backend.is_running():  # another event loop is, in this thread
        return NOT_NOW
    if mailbox.backend.enter is None and type(handler) is FunctionType and handler.__code__.co_flags & CO_COROUTINE:
        return NOT_NOW  # which it would find out 0.3 us later
    if own is None:
        return life.answer(handler, args, kwargs, sender, options)
    own.awaits, own.pending = lane, BEGINNING
    try:
        return life.answer(handler, args, kwargs, sender, options)
    finally:
        own.awaits = own.pending = None
