"""State that outlives a crash: the last good value that an actor has handed over, for its next life to start from.

Theory of operation
-------------------
- The value is the actor's: it is kept with the mailbox over all restarts, whoever does them, and is lost only with the child
  itself; so a loop that ends first, without a word, leaves nothing either. It is the value itself, never a copy, so it should
  be one that nobody changes.
- What a handler hands over counts when the handler has returned, and not if it raises: until then its state may be half of the
  next. Elsewhere (factory, hooks, nursery tasks) it counts at once.
- A snapshot is taken between two messages, by a timer, and only if anything was handled since the last one.
- An instance that is crashing hands over nothing: whatever made it crash may be in its state.
"""

from __future__ import annotations

import functools
import inspect
import logging
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from supervise.log import say
from supervise.mailbox.handler import awaitable, class_of
from supervise_strategies.errors import InvalidSpec
from supervise_strategies.exception import interrupts
from supervise_strategies.kind import attribute_of_kind
from supervise_strategies.text import shown

from .life_extras import NO_EXTRAS

if TYPE_CHECKING:
    from supervise._backends import Handle
    from supervise.mailbox.envelope import Envelope
    from supervise.mailbox.mailbox import Mailbox

    from .incarnation import Incarnation

F = TypeVar("F", bound=Callable[..., Any])
SNAPSHOT: Final = "snapshot"
_MARK: Final = "__supervise_checkpointed__"


class Checkpoint(NamedTuple):
    """What an earlier life of an actor handed over, found as `current().last_checkpoint`.

    Whether it can be trusted is the factory's to decide. `value` is the very object, not a
    copy.

    >>> async with Supervisor("app") as app:
    ...     names = await app.start(list)
    ...     await names.call(lambda names: current().checkpoint(["ada"]))
    ...     await names.send(list.remove, "bob")
    ...     await names.call(lambda names: current().last_checkpoint)
    Checkpoint(value=['ada'], incarnation=1, age=...)
    """

    value: Any
    """The very object, not a copy."""
    incarnation: int
    """Which life handed it over."""
    age: float
    """Seconds since then."""


def last_checkpoint(mailbox: Mailbox) -> Checkpoint | None:
    """The last one of this actor; None if there is none."""
    kept: tuple[Any, int, float] | None = mailbox.extras.kept
    return None if kept is None else Checkpoint(kept[0], kept[1], mailbox.backend.now() - kept[2])


def forget_checkpoint(mailbox: Mailbox) -> None:
    """The actor is gone for good."""
    if mailbox.extras.kept is not None:
        mailbox.extras.kept = None


def checkpointed(*, every: float) -> Callable[[F], F]:
    """Mark the method `snapshot(self)` of an actor: what it returns is kept for the next life.

    It is called every so many seconds, between two messages, if anything was handled since. It
    is never called after a crash has begun. It is a plain function, and must not block.

    The next factory finds the value as `current().last_checkpoint`: nothing is restored by
    itself. What `snapshot` raises is logged, and the last value stays. Return a copy: the value
    isn't copied.

    Raises `InvalidSpec` for another name, for a coroutine function, and for seconds that aren't
    above 0.

    >>> import anyio
    >>> class Names(list):
    ...     def __init__(self):
    ...         last = current().last_checkpoint
    ...         super().__init__(last.value if last else [])
    ...     @checkpointed(every=1)
    ...     def snapshot(self):
    ...         return list(self)
    >>> async with Supervisor("app") as app:
    ...     names = await app.start(Names)
    ...     await names.send(list.append, "ada")
    ...     await anyio.sleep(1.5)
    ...     await names.send(list.remove, "bob")
    ...     await names.call(list.copy)
    ['ada']
    """
    if isinstance(every, bool) or not isinstance(every, int | float) or not 0 < every < math.inf:
        raise InvalidSpec("@checkpointed", "every", every, "seconds, more than 0")
    return functools.partial(_mark, every)


def _mark(every: float, function: F) -> F:
    name = getattr(function, "__name__", "")
    if name != SNAPSHOT:
        raise InvalidSpec(f"@checkpointed on {name or shown(function)}", "name", name, f"the method is called {SNAPSHOT}(self)")
    if inspect.iscoroutinefunction(function):
        cure = "a plain function, as it is called between two messages; what has to be awaited: current().checkpoint(value)"
        raise InvalidSpec(f"@checkpointed on {name}", "function", function, cure)
    setattr(function, _MARK, every)
    return function


def begin_checkpoints(life: Incarnation) -> None:
    """The life is ready, and its class has a `snapshot`: if that is marked, it is called from now on."""
    every = _period(class_of(life.instance))
    if every is not None:
        life.own_extras().checkpoints = Checkpoints(life, every)


def is_checkpointed(kind: type) -> bool:
    """Whether its `snapshot` is marked."""
    return _period(kind) is not None


def _period(kind: type) -> float | None:
    every = getattr(attribute_of_kind(kind, SNAPSHOT), _MARK, None)
    return every if isinstance(every, int | float) else None


def hand_over(life: Incarnation, envelope: Envelope | None, value: object, *, exclusive: bool) -> None:
    """See `Current.checkpoint`. `envelope`: of the handler that says so, if it is one."""
    extras = life.own_extras()
    if extras.checkpoints is None:
        extras.checkpoints = Checkpoints(life, None)
    extras.checkpoints.note(envelope, value, exclusive=exclusive)


def refuse_checkpoints(life: Incarnation) -> None:
    """It is crashing, with or without a message in hand: what its hook and its nursery hand over from now on doesn't count."""
    extras = life.extras
    if extras is NO_EXTRAS:  # neither of them is there, and so nobody who could
        return
    if extras.checkpoints is not None:
        extras.checkpoints.end()
    extras.checkpoints = _REFUSED


class _Pending(NamedTuple):
    """What a handler has handed over that hasn't returned yet."""

    envelope: Envelope  # held, so that its identity isn't another one's meanwhile
    value: Any
    exclusive: bool


class Checkpoints:
    """What one life hands over."""

    __slots__ = ("_due", "_every", "_life", "_pending", "_seen", "_timer")

    def __init__(self, life: Incarnation, every: float | None) -> None:
        self._life = life
        self._every = every
        self._pending: dict[int, _Pending] = {}  # by the identity of the envelope
        self._due = False
        self._seen = self._handled
        self._timer: Handle | None = None
        self._wait()

    @property
    def _handled(self) -> int:
        mailbox = self._life.mailbox
        return mailbox.handled + mailbox.failed

    def note(self, envelope: Envelope | None, value: Any, *, exclusive: bool) -> None:
        if envelope is None:
            self._keep(value)
            return
        self._pending[id(envelope)] = _Pending(envelope, value, exclusive)
        if exclusive:
            self._life.mailbox.attention = True  # so that it is looked at as soon as the handler has returned

    def returned(self, envelope: Envelope) -> None:
        """A concurrent handler has returned."""
        pending = self._pending.pop(id(envelope), None)
        if pending is not None:
            self._keep(pending.value)

    def raised(self, envelope: Envelope) -> None:
        """A handler has raised, or was cancelled, and the actor lives on: what it has handed over doesn't count."""
        self._pending.pop(id(envelope), None)

    def look(self) -> None:
        """The actor looks around, between two messages: what was handled in turn has returned."""
        if self._pending:
            concurrent = self._life.extras.concurrent
            beside = () if concurrent is None else concurrent.in_hand
            for key, pending in [*self._pending.items()]:
                if key in beside:  # handed over by what makes the coroutine, which runs in turn, and goes on beside
                    self._pending[key] = pending._replace(exclusive=False)
                elif pending.exclusive:
                    self.returned(pending.envelope)
        if self._due and not self._crashing:
            self._due = False
            self._seen = self._handled
            self._take()
            self._wait()

    def end(self) -> None:
        """The life is over."""
        self._pending.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def _crashing(self) -> bool:
        """Whether it is to end at once, while the loop may not have seen that yet: a nursery task raised, or it is killed."""
        life = self._life
        return life.failure is not None or life.killed

    def _keep(self, value: Any) -> None:
        life = self._life
        if not self._crashing:
            mailbox = life.mailbox
            mailbox.own_extras().kept = (value, life.number, mailbox.backend.now())

    def _wait(self) -> None:
        if self._every is not None and not self._life.over:
            backend = self._life.mailbox.backend
            self._timer = backend.call_at(backend.now() + self._every, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._handled == self._seen:  # an idle actor isn't woken for it
            self._wait()
            return
        self._due = self._life.mailbox.attention = True
        self._life.mailbox.wake()

    def _take(self) -> None:
        life = self._life
        try:
            value: Any = getattr(life.instance, SNAPSHOT)()
            if awaitable(value):
                raise TypeError(f"{SNAPSHOT}() has to be a plain function")
        except BaseException as error:
            if interrupts(error):
                raise
            text = "%s #%d: its snapshot() raised %s; the last checkpoint stays"
            say(logging.ERROR, text, life.mailbox.path, life.number, error, error=error, pass_up=life.pass_up)
        else:
            self._keep(value)


class _Refused(Checkpoints):
    """Of a life that is crashing."""

    __slots__ = ()

    def __init__(self) -> None:
        pass

    def note(self, envelope: Envelope | None, value: Any, *, exclusive: bool) -> None: ...
    def returned(self, envelope: Envelope) -> None: ...
    def raised(self, envelope: Envelope) -> None: ...
    def look(self) -> None: ...
    def end(self) -> None: ...


_REFUSED: Final = _Refused()
