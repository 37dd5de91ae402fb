"""The bus: hands events to the log and to listeners, in order, at once, in the task in which they happened.

Theory of operation
-------------------
- Nobody is told of anything in the middle of a change. Whoever changes more than one thing holds the bus meanwhile
  (`with bus:`); what is published then waits until the last holder lets go. So a listener finds every state whole, and may
  call anything that is public.
- A listener that publishes, or causes what is published, doesn't get into its own way: that is told after the present event,
  when everybody has heard that.
- What a listener causes before it returns isn't told to it, nor is what comes of that; all others hear it. Else one that
  sends to a full mailbox, or logs to an actor, would go round for ever. The log is such a listener, too.
- What a listener raises is logged, and ends nothing; but a KeyboardInterrupt, which struck in it by chance, is passed up.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

from supervise_strategies.exception import interrupts

from .log import complain, logger, say
from .message import name_of

if TYPE_CHECKING:
    from .events import Event, Listener


T = TypeVar("T")


class Bus:
    """Events of one tree, or of one open mailbox, and who hears them. Each is also a record of the logger `supervise`."""

    __slots__ = ("_causes", "_fatal", "_holds", "_listeners", "_telling", "_waiting", "hears")

    def __init__(self, fatal: Callable[[BaseException], object]) -> None:
        self._fatal = fatal  # hears of KeyboardInterrupt
        self._listeners: tuple[Listener, ...] = ()
        self.hears: Callable[[int], bool] = logger.isEnabledFor
        """Whether anybody would see an event of this level; if not, it needn't be made. Asked four times in each restart."""
        self._holds = 0
        self._telling = False
        self._causes: tuple[Listener, ...] = ()  # who is being told something now, and whose doing that was in turn
        self._waiting: deque[tuple[Event | Callable[[], object], tuple[Listener, ...]]] = deque()

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Add a listener; the result takes it away again."""
        self._set_listeners((*self._listeners, listener))

        def unsubscribe() -> None:
            self._set_listeners(tuple(other for other in self._listeners if other is not listener))

        return unsubscribe

    def _set_listeners(self, listeners: tuple[Listener, ...]) -> None:
        self._listeners = listeners
        self.hears = _every if listeners else logger.isEnabledFor

    def publish(self, event: Event) -> None:
        """Tell everybody: now, or when the state is whole."""
        if self.hears(event.level):
            self._put(event, self._causes)

    def tell(self, event: Event) -> None:
        """Tell the listeners of what is logged already."""
        self._put(event, (*self._causes, _log))

    def pass_up(self, error: BaseException) -> None:
        """A KeyboardInterrupt struck in code of the user's that is asked in the middle of a change, which goes on."""
        self._fatal(error)

    def text(self, make: Callable[..., T], *args: Any) -> T | str:
        """A text of something of the user's, in the middle of a change: only a KeyboardInterrupt can leave such a text."""
        try:
            return make(*args)
        except BaseException as error:
            self._fatal(error)
            return "<its text was interrupted>"

    def then(self, function: Callable[[], object]) -> None:
        """Call it when all that was published so far has been told."""
        self._put(function, ())

    def __enter__(self) -> None:
        """Hold it: a state is being changed."""
        self._holds += 1

    def __exit__(self, *_: object) -> None:
        """Let go: the state is whole, as far as this change goes."""
        self._holds -= 1
        if self._waiting and not self._holds and not self._telling:
            self._tell_all()

    def _put(self, event: Event | Callable[[], object], causes: tuple[Listener, ...]) -> None:
        self._waiting.append((event, causes))
        if not self._holds and not self._telling:
            self._tell_all()

    def _tell_all(self) -> None:
        self._telling = True
        try:
            while self._waiting:
                event, causes = self._waiting.popleft()
                if callable(event):
                    self._causes = causes
                    event()
                    continue
                for listener in (_log, *self._listeners):
                    if not any(listener is cause for cause in causes):
                        self._causes = (*causes, listener)
                        self._tell(listener, event)
        finally:
            self._telling = False
            self._causes = ()

    def _tell(self, listener: Listener, event: Event) -> None:
        try:
            try:
                listener(event)
            except BaseException as error:
                if interrupts(error):
                    raise
                if listener is _log:
                    complain(error)
                else:
                    say(logging.ERROR, "the listener %s raised at event %s", name_of(listener), event, error=error)
        except BaseException as struck:  # a KeyboardInterrupt, in the listener, or as that was told
            self._fatal(struck)


def _every(level: int) -> bool:
    """A listener hears events of all levels."""
    return True


def _write(event: Event) -> None:
    level = event.level
    if logger.isEnabledFor(level):
        logger.log(level, "%s", event)


_log: Final[Listener] = _write
