"""What a flight recorder knows: the last facts of a tree, kept as cheaply as can be, and read only when something went wrong.

Theory of operation
-------------------
- A fact is one plain tuple of what was at hand: when, what, whose, and more texts and numbers. No text is made for it, and no
  object of the user's is kept: neither an actor, nor a message, nor an exception.
- A message is never written down when all goes well: that would cost more than handling it.
- What comes in floods is one fact a second, with a number: losses, refusals and failed calls for each actor, handler and
  cause; for each supervisor starts and orderly ends, and apart from them other ends with what was decided of them, from the
  hundredth in a second on. So neither a crash loop, nor children that come and go, push out what else happened, make each
  restart a tenth slower, or hide a crash among a thousand starts.
- No fact says what a message held. A crash's text may (`KeyError: 'alice'`): what is in it of the arguments of the message that
  crashed is replaced by its type, there and, when a record is made, in texts that are made of it: of what was decided, of a
  give-up, of the crash of who had called.
- Of a crash that no message is known to have caused (a start, an exit hook, a task of the nursery) the text stays as it is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from supervise.errors import SuperviseError
from supervise.events import Blocked, DeadLetter, Decided, Late, Lost, Raised, Started, StartFailed, Stopped, Stuck
from supervise.frame import Frame, frames_of
from supervise.message import name_of
from supervise_strategies.exit_reason import ExitKind, ExitReason
from supervise_strategies.kind import name_of_kind

from .redaction import redacted

if TYPE_CHECKING:
    from supervise.events import Event
    from supervise.message import AnyHandler
    from supervise_strategies.directives import Decision

Fact: TypeAlias = "Sequence[Any]"
"""When, what it is, the path above and the name of whom it is of; then what `FIELDS` says."""

STARTED: Final = "started"
ENDED: Final = "ended"
DECIDED: Final = "decided"
FAILED: Final = "failed"
LOST: Final = "lost"
REFUSED: Final = "refused"
WAITED: Final = "waited"
MORE: Final = "more"
TOLD: Final = "told"

FIELDS: Final[dict[str, tuple[str, ...]]] = {
    STARTED: ("incarnation", "waiting"),
    ENDED: ("incarnation", "was_ready", "reason", "detail", "handler", "called", "waiting", "frames"),
    DECIDED: ("decision",),
    FAILED: ("handler", "why", "until", "number"),
    LOST: ("handler", "why", "until", "number"),
    REFUSED: ("handler", "why", "until", "number"),
    WAITED: ("handler", "why", "seconds"),
    TOLD: ("event",),
    MORE: ("until", "starts", "ends", "crashes"),
}

TOGETHER: Final = 1.0
"""Seconds within which losses that are alike are one fact."""
LIVES: Final = 100
"""Starts and ends of one supervisor's children that are told one by one in that time."""
LONG: Final = 1.0
"""Seconds from which on a wait is a fact."""
KINDS: Final = 1000
"""Sorts of losses that are told apart at a time."""


class Kept(NamedTuple):
    """Facts as they were at one instant."""

    facts: list[Fact]
    """Oldest first."""
    full: bool
    """Older ones may have been forgotten."""
    now: float


class Facts:
    """Those of one tree. All of it is for the tree's thread; `kept` is for a signal's handler in that thread, too."""

    __slots__ = ("_alike", "_facts", "_now", "_text", "add")

    def __init__(self, now: Callable[[], float], most: int, text: Callable[..., str]) -> None:
        self._now = now
        self._text = text  # as `Bus.text`: it asks for texts of the user's in the middle of a change
        self._facts: deque[Fact] = deque(maxlen=most)
        self.add: Callable[[Fact], object] = self._facts.append
        self._alike: dict[tuple[str, ...], list[Any]] = {}

    def kept(self) -> Kept:
        """All that is known now. It is copied at once, whatever this thread was doing."""
        facts = [*self._facts]
        return Kept(facts, len(facts) == self._facts.maxlen, self._now())

    def redact(self, detail: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
        """The text of a crash, `Type: text`, without what the message held."""
        head, _, tail = detail.partition(": ")  # the first is the name of a class
        return f"{head}: {self._text(redacted, tail, args, kwargs)}" if tail else detail

    def lives(self, path: str) -> Lives:
        """For the supervisor of that path."""
        return Lives(self, path)

    # -- messages --------------------------------------------------------------------------------------------------------

    def lost(self, parent: str, name: str, handler: AnyHandler, why: str) -> None:
        """An accepted message is a dead letter; `why` is one word, as a `Loss` is called."""
        self._count((LOST, parent, name, _name(handler), why))

    def failed(self, parent: str, name: str, handler: AnyHandler, error: SuperviseError) -> None:
        """An accepted call was answered by an error of ours."""
        self._count((FAILED, parent, name, _name(handler), type(error).__name__))

    def raised(self, parent: str, name: str, handler: AnyHandler, error: BaseException) -> None:
        """A handler raised what was an answer, and nobody got it."""
        self._count((FAILED, parent, name, _name(handler), name_of_kind(type(error))))

    def refused(self, parent: str, name: str, handler: AnyHandler, error: SuperviseError) -> None:
        """A message wasn't accepted, and its sender was told."""
        self._count((REFUSED, parent, name, _name(handler), type(error).__name__))

    def waited(self, parent: str, name: str, handler: AnyHandler, why: str, seconds: float) -> None:
        """For something that was over by now; it isn't kept if it was short."""
        if seconds >= LONG:
            self.add((self._now(), WAITED, parent, name, _name(handler), why, seconds))

    def timed_out(self, parent: str, name: str, handler: AnyHandler, seconds: float) -> None:
        """A call that had no answer in time."""
        self.waited(parent, name, handler, "an answer", seconds)
        self._count((FAILED, parent, name, _name(handler), "CallTimeout"))

    def _count(self, alike: tuple[str, ...]) -> None:
        now, fact = self._now(), self._alike.get(alike)
        if fact is not None and now - fact[0] < TOGETHER:
            fact[-2] = now
            fact[-1] += 1
            return
        if len(self._alike) >= KINDS:
            self._alike.clear()
        self._alike[alike] = fact = [now, *alike, now, 1]
        self.add(fact)

    # -- what else is told -----------------------------------------------------------------------------------------------

    def told(self, event: Event) -> None:
        """An event; those that are facts of their own are passed over."""
        if type(event) in _OTHERWISE:
            return
        if isinstance(event, Late | Blocked | Stuck) and event.message is not None:
            event = replace(event, message=event.message.partition("(")[0])  # with `log_arguments=True` it has them
        self.add((self._now(), TOLD, "", event.path, event))


class Lives:
    """The starts and ends of one supervisor's children, and what was decided of them.

    Each is a fact: a second up to 100 starts and orderly ends, and, apart from these, up to 100 other ends. So a crash is told
    where many children start or stop. Beyond that they are counted, and what was decided of a counted end isn't told; but for
    the first crash of a child meanwhile, and a give-up, which is told with its end.
    """

    __slots__ = ("_crashes", "_facts", "_more", "_number", "_path", "_seen", "_since", "last", "muted")

    def __init__(self, facts: Facts, path: str) -> None:
        self._facts = facts
        self._path = path
        self._since = 0.0
        self._number = 0  # since then, of starts and orderly ends
        self._crashes = 0  # and of other ends
        self._more: list[Any] = []  # the fact that counts
        self._seen: set[str] = set()  # whose crashes were told meanwhile
        self.muted: str | None = None
        """The child whose end was the last, if that was only counted. Its next start isn't told, nor what is decided of it
        unless that is a give-up: who knows of them looks here first. In a crash loop a call is a hundredth of a restart."""
        self.last: tuple[Any, ...] = ()
        """That end, until it is decided what follows."""

    def started(self, now: float, name: str, number: int, waiting: int = 0) -> None:
        """A child is ready."""
        self._number += 1
        if self._number > LIVES and self._counts(now):
            self._more[5] += 1
        else:
            self._facts.add((now, STARTED, self._path, name, number, waiting))

    def ended(
        self,
        now: float,
        name: str,
        number: int,
        reason: ExitReason,
        ready: bool,
        waiting: int = 0,
        error: BaseException | None = None,
        culprit: Sequence[Any] | None = None,
        frames: tuple[Frame, ...] = (),
    ) -> None:
        """A life is over, or a start has failed: not `ready`. `culprit` is the message that ended it; `frames`: if known."""
        kind = reason.kind
        orderly = kind is _NORMAL or kind is _SHUTDOWN
        if orderly:
            self._number = number_of_them = self._number + 1
        else:
            self._crashes = number_of_them = self._crashes + 1
        if number_of_them > LIVES and self._counts(now) and (orderly or name in self._seen or not self._is_first(name)):
            self.muted, self.last = name, (now, name, number, reason, ready, waiting, error, culprit, frames)
            self._more[6] += 1
            self._more[7] += kind is _CRASHED
            return
        self.muted, self.last = None, ()
        self._tell(now, name, number, reason, ready, waiting, error, culprit, frames)

    def _tell(
        self,
        now: float,
        name: str,
        number: int,
        reason: ExitReason,
        ready: bool,
        waiting: int,
        error: BaseException | None,
        culprit: Sequence[Any] | None,
        frames: tuple[Frame, ...],
    ) -> None:
        detail, handler, called = reason.detail, "", False
        if error is not None and reason.kind is _CRASHED:
            if culprit is not None:
                reply, handler = culprit[3], _name(culprit[0])
                called = reply is not None and _failed(reply)
                if culprit[1] or culprit[2]:
                    detail = self._facts.redact(detail, culprit[1], culprit[2])
            frames = frames or frames_of(error)
        self._facts.add((now, ENDED, self._path, name, number, ready, reason, detail, handler, called, waiting, frames))

    def decided(self, decision: Decision) -> None:
        """What follows from an end: from one that was told, or a give-up, with which its end is told after all."""
        last, self.last = self.last, ()
        if last and self.muted == decision.child:
            self._more[6] -= 1
            self._more[7] -= last[3].kind is _CRASHED
            self._tell(*last)
        self._facts.add((decision.at, DECIDED, self._path, decision.child, decision))

    def rest(self) -> None:
        """The supervisor has ended."""
        self.muted, self.last = None, ()

    def _is_first(self, name: str) -> bool:
        """Whether a crash is told that is the first of its child since they are counted: another's loop doesn't hide it."""
        if len(self._seen) >= LIVES:
            return False
        self._seen.add(name)
        return True

    def _counts(self, now: float) -> bool:
        """Whether one more is only counted, as there were so many within a second."""
        if now - self._since >= TOGETHER:
            self._since, self._number, self._crashes, self._more = now, 1, 1, []
            return False
        if not self._more:
            self._seen = set()
            self._more = [now, MORE, "", self._path, now, 0, 0, 0]
            self._facts.add(self._more)
        self._more[4] = now
        return True


class _NoFacts(Facts):
    """Nothing is kept."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(_never, 0, str)

    def lives(self, path: str) -> Lives:
        return NO_LIVES

    def waited(self, parent: str, name: str, handler: AnyHandler, why: str, seconds: float) -> None:
        pass

    def _count(self, alike: tuple[str, ...]) -> None:
        pass

    def told(self, event: Event) -> None:
        pass


class _NoLives(Lives):
    """None of them is told."""

    __slots__ = ()

    def started(self, *_: Any, **__: Any) -> None:
        pass

    def ended(self, *_: Any, **__: Any) -> None:
        pass

    def decided(self, decision: Decision) -> None:
        pass


def _never() -> float:
    return 0.0


def _failed(reply: Any) -> bool:
    """Whether a call has ended by our error. Else it is tried again, or its caller had gone."""
    return reply.done() and not reply.cancelled() and issubclass(type(reply.exception()), SuperviseError)


def _name(handler: AnyHandler) -> str:
    """A handler as `label_of` reads it. Where it is a plain function no text is made: 0.3 us in each crash."""
    if type(handler) is FunctionType and type(handler.__qualname__) is str:
        return handler.__qualname__
    return name_of(handler)


_NORMAL: Final = ExitKind.NORMAL
_SHUTDOWN: Final = ExitKind.SHUTDOWN
_CRASHED: Final = ExitKind.CRASHED
NO_FACTS: Final[Facts] = _NoFacts()
NO_LIVES: Final[Lives] = _NoLives(NO_FACTS, "")
_OTHERWISE: Final = frozenset({Started, StartFailed, Stopped, Decided, DeadLetter, Lost, Raised})
