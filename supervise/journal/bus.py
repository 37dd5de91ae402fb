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
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from supervise.log import complain, say, would_write
from supervise.message import describe, name_of, outline
from supervise_strategies.exception import interrupts

from .event_log import EventLog
from .facts import NO_FACTS, Facts

if TYPE_CHECKING:
    from supervise.events import Event, Listener

OnCrash: TypeAlias = "Callable[[BaseException, Event], object]"

T = TypeVar("T")


class Bus:
    """Events of one tree, or of one open mailbox, and who hears them. Each is also a record of the logger `supervise`."""

    __slots__ = (
        "_causes",
        "_describe",
        "_fatal",
        "_holds",
        "_listeners",
        "_log",
        "_on_crash",
        "_telling",
        "_waiting",
        "facts",
        "hears",
    )

    def __init__(
        self,
        fatal: Callable[[BaseException], object],
        log: EventLog | None = None,
        on_crash: OnCrash | None = None,
        *,
        log_arguments: bool = False,
    ) -> None:
        self._fatal = fatal  # hears of KeyboardInterrupt
        self._describe = describe if log_arguments else outline
        self._log = log or EventLog()
        self._on_crash = on_crash
        self.facts: Facts = NO_FACTS
        """What the tree's flight recorder keeps, whoever hears of it."""
        self._listeners: tuple[Listener, ...] = ()
        self.hears: Callable[[int], bool] = would_write if on_crash is None else _every
        """Whether anybody would see an event of this level; if not, it needn't be made. Asked several times in each restart."""
        self._holds = 0
        self._telling = False
        self._causes: tuple[object, ...] = ()  # who is being told something now, and whose doing that was in turn
        self._waiting: deque[_Waiting] = deque()

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Add a listener; the result takes it away again."""
        self._set_listeners((*self._listeners, listener))

        def unsubscribe() -> None:
            self._set_listeners(tuple(other for other in self._listeners if other is not listener))

        return unsubscribe

    def _set_listeners(self, listeners: tuple[Listener, ...]) -> None:
        self._listeners = listeners
        self.hears = _every if listeners or self._on_crash is not None else would_write

    def publish(self, event: Event, error: BaseException | None = None) -> None:
        """Tell everybody: now, or when the state is whole. Of a crash, the log and `on_crash=` are given the exception, too."""
        self.facts.told(event)
        if self.hears(event.level):
            self._put(event, self._causes, error)

    def tell(self, event: Event) -> None:
        """Tell the listeners of what is logged already."""
        self.facts.told(event)
        self._put(event, (*self._causes, _THE_LOG))

    def end(self) -> None:
        """Nothing happens any more: say what hasn't been said."""
        self._log.end()

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

    def message_text(self, envelope: Sequence[Any]) -> str:
        """A message for people, with its arguments if they may be logged."""
        handler, args, kwargs = envelope[:3]
        return self.text(self._describe, handler, args, kwargs)

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

    def _put(self, event: Event | Callable[[], object], causes: tuple[object, ...], error: BaseException | None = None) -> None:
        self._waiting.append((event, causes, error))
        if not self._holds and not self._telling:
            self._tell_all()

    def _tell_all(self) -> None:
        self._telling = True
        try:
            while self._waiting:
                event, causes, error = self._waiting.popleft()
                if callable(event):
                    self._causes = causes
                    event()
                    continue
                if not _among(_THE_LOG, causes):
                    self._causes = (*causes, _THE_LOG)
                    self._tell(self._log.tell, event, error)
                for listener in self._listeners:
                    if not _among(listener, causes):
                        self._causes = (*causes, listener)
                        self._tell(listener, event)
                if error is not None and self._on_crash is not None and not _among(_ON_CRASH, causes):
                    self._causes = (*causes, _ON_CRASH)
                    self._tell(self._on_crash, error, event)
                error = None
        finally:
            self._telling = False
            self._causes = ()

    def _tell(self, listener: Callable[..., object], *told: object) -> None:
        try:
            try:
                listener(*told)
            except BaseException as raised:
                if interrupts(raised):
                    raise
                who = self._causes[-1]
                if who is _THE_LOG:
                    complain(raised)
                elif who is _ON_CRASH:
                    say(logging.ERROR, "on_crash=%s raised at event %s", name_of(listener), told[1], error=raised)
                else:
                    say(logging.ERROR, "the listener %s raised at event %s", name_of(listener), told[0], error=raised)
        except BaseException as struck:  # a KeyboardInterrupt, in the listener, or as that was told
            self._fatal(struck)


def _among(one: object, causes: tuple[object, ...]) -> bool:
    """Whether it is one of them; `in` would ask a listener whether it is equal."""
    return any(one is cause for cause in causes)


def _every(level: int) -> bool:
    """A listener hears events of all levels."""
    return True


_Waiting: TypeAlias = "tuple[Event | Callable[[], object], tuple[object, ...], BaseException | None]"
_THE_LOG: Final = "the log"
_ON_CRASH: Final = "on_crash="
