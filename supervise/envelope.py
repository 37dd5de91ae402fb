"""A message on its way: what is to be run, with what, and who waits for the reply."""

from __future__ import annotations

import reprlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from .handler import AnyHandler, name_of

if TYPE_CHECKING:
    from ._backends import Future
    from .instrument import Passage
    from .mailbox import Mailbox
    from .source import Source

OnRestart: TypeAlias = Literal["wait", "fail"]


class Options(NamedTuple):
    """What isn't an argument of the handler and still travels with one message."""

    deadline: float | None = None
    """An instant of the loop's clock; an envelope whose deadline has passed is skipped."""
    on_restart: OnRestart = "wait"
    failures: int = 0
    """How often its handler raised, where the child asks for redelivery."""
    passage: Passage | None = None
    """What an instrument notes of it."""
    source: Source | None = None
    """Of an actor's own message: the timer, or the stream."""
    beginning: bool = False
    """Whether it is what an incarnation begins with, also when it is redelivered: there is one at most."""

    def begins(self, now: Callable[[], float]) -> bool:
        """Asked when the message is taken out, or dropped: whether it still is to be handled. If not, it is abandoned."""
        if self.source is not None:
            return self.source._begins(self)
        return self.deadline is None or self.deadline > now()


def looked_at(options: Options | None, passage: Passage) -> Options:
    """The same options, with what an instrument notes."""
    if options is None:
        return Options(passage=passage)
    return options._replace(passage=passage)


# A plain tuple: a class with six fields costs 4 times as much to make, once for every message.
# (handler, args, kwargs, reply or None for a send, the sending actor's mailbox or None, options or None)
Envelope: TypeAlias = tuple[AnyHandler, tuple[Any, ...], dict[str, Any], "Future | None", "Mailbox | None", Options | None]


class Message(NamedTuple):
    """A message as its sender gave it: attached to the error when it wasn't accepted, and shown when it is looked at."""

    handler: AnyHandler
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def __str__(self) -> str:
        return describe(self.handler, self.args, self.kwargs)


_short = reprlib.Repr()
_short.maxstring = _short.maxother = 60
_short.maxlevel = 3


def describe(handler: AnyHandler, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """A message for people, shortened: `Counter.add(1, by='x')`. An argument whose repr raises is named by its type."""
    shown = [_repr(a) for a in args[:5]] + [f"{k}={_repr(v)}" for k, v in list(kwargs.items())[:5]]
    if len(args) > 5 or len(kwargs) > 5:
        shown.append("…")
    return f"{name_of(handler)}({', '.join(shown)})"


def _repr(value: object) -> str:
    try:
        return _short.repr(value)
    except Exception:
        return f"<{type(value).__name__}>"
