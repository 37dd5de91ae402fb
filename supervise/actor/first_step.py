"""The first step of a handler, made by hand: one that doesn't wait is done with it, and needs no more of a loop.

Of what waits for something, or raises, the rest is done by the loop of its actor (`loop.py`), in a task that can wait.
"""

from __future__ import annotations

from collections.abc import Generator
from contextvars import Context
from typing import TYPE_CHECKING, Any

from supervise._backends import Pause

if TYPE_CHECKING:
    from supervise.mailbox.envelope import Envelope


def begin(rest: Any) -> tuple[bool, Any]:
    """Make the first step; whether it was the last one, too, and what it has returned, or waits for.

    A function of its own, as CPython before 3.11.7 (Debian 12 has 3.11.2) and 3.12.0 look for the line of an exception from
    the beginning of the function on: 1.1 us of a call that takes 2.3, where StopIteration comes late in a long one.
    """
    try:
        return False, rest.send(None)
    except StopIteration as end:
        return True, end.value


def begin_within(context: Context, rest: Any) -> tuple[bool, Any]:
    """The same in a context."""
    try:
        return False, context.run(rest.send, None)
    except StopIteration as end:
        return True, end.value


class FirstStep:
    """What a handler has come to: it waits, has raised, or has returned what is to be awaited. It is awaited, once."""

    __slots__ = ("_begun", "_pause", "_rest", "_struck", "envelope", "error")

    def __init__(
        self,
        envelope: Envelope,
        rest: Any = None,
        waits_for: Any = None,
        *,
        begun: bool = False,
        error: BaseException | None = None,
    ) -> None:
        self.envelope: Envelope = envelope
        self.error: BaseException | None = error
        """What it has raised; then there is nothing to be awaited."""
        self._rest = rest
        self._pause: Pause | None = Pause(waits_for) if begun else None  # else `rest` hasn't made its first step
        self._struck: BaseException | None = None  # before anybody could go on with it

    def strike(self, error: BaseException) -> None:
        """It is to be thrown into the handler, where that waits. What it waits for is cancelled, as its task would do it."""
        if self._pause is not None and not self._pause.cancel(error):
            self._struck = error

    def __await__(self) -> Generator[Any, Any, Any]:
        rest: Any = self._rest
        self._rest = None
        pause, self._pause = self._pause, None
        if pause is None:
            awaited: Generator[Any, Any, Any] = rest.__await__()
            return (yield from awaited)
        try:
            thrown, self._struck = self._struck, None
            waits_for: Any = pause.end() if thrown is None else rest.throw(thrown)
            del pause, thrown
            while True:
                sent: Any = None
                error: BaseException | None = None
                try:
                    sent = yield waits_for
                except BaseException as raised:
                    error = raised  # thrown outside of here, or the handler would see it as the one that is being handled
                waits_for = rest.send(sent) if error is None else rest.throw(error)
                del error, sent
        except StopIteration as end:
            return end.value
