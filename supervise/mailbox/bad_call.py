"""A call whose arguments don't fit the handler: told from a TypeError that the handler itself raised."""

from __future__ import annotations

import functools
import inspect
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final

from supervise.errors import BadCall
from supervise.message import outline
from supervise_strategies.exception import interrupts, traceback_of
from supervise_strategies.exit_reason import describe as describe_error
from supervise_strategies.kind import attribute_of_kind, is_of, kind_of
from supervise_strategies.text import said

from .handler import find, peeled

if TYPE_CHECKING:
    from types import TracebackType

    from .envelope import Envelope


def bad_call(actor: type, envelope: Envelope, error: TypeError) -> BadCall | None:
    """What its caller gets; None if the error is the handler's. Asked only after a TypeError: a message pays nothing for it.

    The arguments don't fit the signature, and the function itself was never entered: it has no frame in the traceback. If a
    decorator was, the error has to name the function, or else it is a bug of the decorator's. What has no signature, as many a
    C function, can't be judged, and so its error is an ordinary one.
    """
    handler, args, kwargs = envelope[:3]
    try:
        _, to_run, name, _ = find(actor, handler)
        function: Any = to_run
        found: Any = attribute_of_kind(actor, name)
        if issubclass(type(found), functools.singledispatchmethod) and args:
            function = found.dispatcher.dispatch(kind_of(args[0]))
        elif is_of(found, functools.partialmethod, functools.singledispatchmethod):
            function = getattr(actor, name)  # what they make for the class says what they take
        outer = function
        function, signature = _declared(function)
        if _was_entered(peeled(function), traceback_of(error)):
            return None
        if type(function) is FunctionType and _was_entered(outer, traceback_of(error)) and not _names(error, function):
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
    misfit = BadCall(f"{outline(handler, args, kwargs)} doesn't fit: it takes {said(signature)}; {describe_error(error)}")
    misfit.__cause__ = error
    return misfit


def _declared(function: Any) -> tuple[Any, inspect.Signature]:
    """Who says what it takes. A decorator's `*args, **kwargs` says nothing, and so what it wraps is asked."""
    while True:
        wrapped = getattr(function, "__wrapped__", None)
        try:
            signature = inspect.signature(function, follow_wrapped=False)
        except ValueError:  # of a cache, which is written in C
            if wrapped is None:
                raise
        else:
            if wrapped is None or not any(each.kind in _ANY for each in signature.parameters.values()):
                return function, signature
        function = wrapped


def _names(error: TypeError, function: FunctionType) -> bool:
    """Whether it is Python's own, of a call of this function."""
    text: Any = error.args[0] if error.args else None
    return type(text) is str and text.startswith(f"{function.__qualname__}() ")


_ANY: Final = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _was_entered(function: object, traceback: TracebackType | None) -> bool:
    code = getattr(function, "__code__", None)
    while traceback is not None:
        if traceback.tb_frame.f_code is code:
            return True
        traceback = traceback.tb_next
    return False
