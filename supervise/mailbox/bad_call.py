"""A call whose arguments don't fit the handler: told from a TypeError that the handler itself raised."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from supervise.errors import BadCall
from supervise.log import interrupts
from supervise.message import describe
from supervise_strategies.exit_reason import describe as describe_error
from supervise_strategies.text import said

from .handler import resolve

if TYPE_CHECKING:
    from types import TracebackType

    from .envelope import Envelope


def bad_call(actor: type, envelope: Envelope, error: TypeError) -> BadCall | None:
    """What its caller gets; None if the error is the handler's. Asked only after a TypeError: a message pays nothing for it.

    The arguments don't fit the signature, and the function itself was never entered: it has no frame in the traceback. What
    has no signature, as many a C function, can't be judged, and so its error is an ordinary one.
    """
    handler, args, kwargs = envelope[:3]
    try:
        function = resolve(actor, {}, handler)[0]
        signature = inspect.signature(function)
        if _was_entered(inspect.unwrap(function), error.__traceback__):
            return None
    except BaseException as raised:  # a callable of the user's own may say anything of itself
        if interrupts(raised):
            raise
        return None
    try:
        signature.bind(None, *args, **kwargs)
    except TypeError:
        pass
    else:
        return None
    misfit = BadCall(f"{describe(handler, args, kwargs)} doesn't fit: it takes {said(signature)}; {describe_error(error)}")
    misfit.__cause__ = error
    return misfit


def _was_entered(function: object, traceback: TracebackType | None) -> bool:
    code = getattr(function, "__code__", None)
    while traceback is not None:
        if traceback.tb_frame.f_code is code:
            return True
        traceback = traceback.tb_next
    return False
