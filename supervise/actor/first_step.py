"""The first step of a handler, made by hand: one that doesn't wait is done with it, and needs no more of a loop.

Of what waits for something, or raises, the rest is done by the loop of its actor (`loop.py`), in a task that can wait.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from supervise.mailbox.envelope import Envelope


class FirstStep:
    """What a handler has come to: it waits, has raised, or has returned what is to be awaited. It is awaited, once."""

    __slots__ = ("_begun", "_error", "_rest", "_struck", "_waits_for", "envelope")

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
        self._rest = rest
        self._waits_for = waits_for
        self._begun = begun  # `rest` has made its first step
        self._error = error
        self._struck: BaseException | None = None  # before anybody could go on with it

    def strike(self, error: BaseException) -> None:
        """It is to be thrown into the handler, where that waits. Whatever it waits for is cancelled, as a task would."""
        cancel = getattr(self._waits_for, "cancel", None)
        if self._error is None and not (cancel is not None and cancel()):
            self._struck = error

    def __await__(self) -> Generator[Any, Any, Any]:
        error, self._error = self._error, None
        if error is not None:
            try:
                raise error
            finally:
                del error  # a frame that holds the exception that holds the frame is only freed by the collector
        rest: Any = self._rest
        self._rest = None
        waits_for, self._waits_for = self._waits_for, None
        if not self._begun:
            awaited: Generator[Any, Any, Any] = rest.__await__()
            return (yield from awaited)
        try:
            thrown, self._struck = self._struck, None
            if thrown is not None:
                waits_for = rest.throw(thrown)
            del thrown
            while True:
                sent: Any = None
                try:
                    sent = yield waits_for
                except BaseException as raised:
                    error = raised  # thrown outside of here, or the handler would see it as the one that is being handled
                if error is None:
                    waits_for = rest.send(sent)
                else:
                    thrown, error = error, None
                    waits_for = rest.throw(thrown)
                    del thrown
        except StopIteration as end:
            return end.value
