"""What a lane keeps its messages in: a deque, or a class of the user's own."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

from supervise.log import say
from supervise.message import name_of
from supervise_strategies.exception import interrupts
from supervise_strategies.exit_reason import describe
from supervise_strategies.kind import attribute_of_kind, is_of, kind_of
from supervise_strategies.text import shown


class MessageQueue(Protocol):
    """What holds the messages that wait in a lane: a `deque`, or a class of your own.

    It holds envelopes, which are tuples: the first three items are the handler, its positional
    and its keyword arguments. The rest is nobody's business. Whatever order it gives them in,
    it gives each of them once. `QueueContract` in `supervise.testing.contract` has the tests
    that an own class must pass.

    With `overflow="drop_oldest"` it is the one that `popleft` gives which is dropped. What
    `append` raises is raised by `send` or `call`, and nothing was accepted. What `popleft`
    raises crashes the actor. What is neither an `Exception` nor a KeyboardInterrupt is raised
    as a RuntimeError. Which messages wait is known without it, so one that fails loses none of
    them.

    >>> from collections import deque
    >>> class NewestFirst(deque):
    ...     def append(self, envelope):
    ...         super().appendleft(envelope)
    >>> async with Supervisor("app", child(list, queue=NewestFirst)) as app:
    ...     names = app.find("list")
    ...     for name in ("ada", "bob"):
    ...         await names.send(list.append, name)
    ...     names.peek()
    [<Message list.append('bob')>, <Message list.append('ada')>]
    """

    def append(self, envelope: Any, /) -> None:
        """Put one in, as the newest."""
        ...

    def appendleft(self, envelope: Any, /) -> None:
        """Put one back, to be given before all others: it was in hand at a crash."""
        ...

    def popleft(self) -> Any:
        """Take the next one out; never asked of an empty queue."""
        ...

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Any]: ...


NEEDED: Final = ("append", "appendleft", "popleft", "__len__", "__iter__")


def lacking(kind: type) -> list[str]:
    """What a class doesn't have of what a queue needs; nothing is said of one that finds its attributes by itself."""
    if attribute_of_kind(kind, "__getattr__") is not None:
        return []
    return [name for name in NEEDED if attribute_of_kind(kind, name) is None]


NO_QUEUE: Final[MessageQueue] = deque[Any]()  # of all that never had a message: one of their own costs 760 B each


def new_queue(make: Callable[[], MessageQueue], pass_up: Callable[[BaseException], object]) -> MessageQueue:
    """A lane's queue. One of the user's own is kept a list of, so that nothing hangs on what it does."""
    if make is deque:
        return deque[Any]()
    return KeptQueue(make, pass_up)


class KeptQueue:
    """A queue of the user's own, and the envelopes that it was given and hasn't given back.

    What it raises is raised where somebody can answer for it: at who appends, and at the actor that takes the next one. A
    KeyboardInterrupt that strikes elsewhere is passed up, and the change under way goes on without the queue.
    """

    __slots__ = ("_given", "_pass_up", "_queue")

    def __init__(self, make: Callable[[], MessageQueue], pass_up: Callable[[BaseException], object]) -> None:
        self._queue: MessageQueue = _ask("queue=", make)
        missing = [name for name in lacking(kind_of(self._queue)) if not hasattr(self._queue, name)]
        if missing:
            raise TypeError(f"queue={name_of(make)} made {shown(self._queue)}, which has no {', '.join(missing)}")
        self._pass_up = pass_up
        self._given: dict[int, Any] = {}

    def append(self, envelope: Any, /) -> None:
        _ask("append", self._queue.append, envelope)
        self._given[id(envelope)] = envelope

    def appendleft(self, envelope: Any, /) -> None:
        self._ask_inside("appendleft", self._queue.appendleft, envelope)
        self._given[id(envelope)] = envelope

    def popleft(self) -> Any:
        envelope = _ask("popleft", self._queue.popleft)
        if self._given.pop(id(envelope), None) is None:
            raise LookupError(f"{name_of(type(self._queue))}.popleft gave what it doesn't have: each envelope is given once")
        return envelope

    def pull(self) -> Any:
        """Take one out, whatever the queue does; the next one if it says so. None if it has let others take all out."""
        try:
            return self._ask_inside("popleft", self.popleft)
        except Exception:
            oldest = next(iter(self._given), None)
            return None if oldest is None else self._given.pop(oldest)

    def take_out(self, gone: set[int]) -> list[Any]:
        """Take some out, by their identity; the others keep their order. If the queue fails, a deque takes its place.

        They are gone before the queue is asked for anything: its code may take others out, and send, in the middle of it.
        """
        order = [*self]
        taken = [envelope for envelope in order if id(envelope) in gone and self._given.pop(id(envelope), None) is not None]
        kept = [envelope for envelope in order if id(envelope) in self._given]
        queue, ask = self._queue, self._ask_inside
        try:
            for _ in order:
                ask("popleft", queue.popleft)
            for envelope in kept:
                ask("append", queue.append, envelope)
            there: list[Any] = ask("iter", list, queue)
            if any(one is not other for one, other in zip(there, kept, strict=True)):
                for _ in kept:  # the newest isn't its last
                    ask("popleft", queue.popleft)
                for envelope in reversed(kept):
                    ask("appendleft", queue.appendleft, envelope)
        except Exception as error:
            self._queue = deque(kept)
            text = "a queue= failed, and a deque takes its place; nothing is lost: %s"
            say(logging.ERROR, text, error, pass_up=self._pass_up)
        known = {id(envelope) for envelope in kept}
        if known != self._given.keys():
            late = [envelope for number, envelope in self._given.items() if number not in known]
            self._queue = deque([envelope for envelope in kept if id(envelope) in self._given] + late)
        return taken

    def __len__(self) -> int:
        return len(self._given)

    def __iter__(self) -> Iterator[Any]:
        try:
            found = [envelope for envelope in self._ask_inside("iter", list, self._queue) if id(envelope) in self._given]
        except Exception:
            found = []
        whole = len(found) == len(self._given) == len({id(envelope) for envelope in found})
        return iter(found if whole else [*self._given.values()])

    def _ask_inside(self, what: str, function: Callable[..., Any], *args: Any) -> Any:
        """Call the user's code where only an `Exception` can be answered for."""
        try:
            return _ask(what, function, *args)
        except Exception:
            raise
        except BaseException as error:
            self._queue = deque(self._given.values())  # whoever goes on with it isn't struck again for each message
            self._pass_up(error)
            raise RuntimeError(f"{what} of a mailbox's queue was interrupted") from None


def _ask(what: str, function: Callable[..., Any], *args: Any) -> Any:
    """Call the user's code. What is no `Exception` would mean something else to whoever is above: an end, a cancellation."""
    try:
        return function(*args)
    except BaseException as error:
        if is_of(error, Exception) or interrupts(error):
            raise
        raise RuntimeError(f"{what} of a mailbox's queue raised {describe(error)}") from error
