"""The events of a tree, recorded, to be looked at and waited for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar

import anyio

from supervise._backends import current_backend
from supervise.events import Event, Started, Stopped
from supervise_strategies.errors import InvalidSpec
from supervise_strategies.suggestion import did_you_mean

from .lives import lives

if TYPE_CHECKING:
    from supervise.tree.running import RunningSupervisor

E = TypeVar("E", bound=Event)


class Heard(NamedTuple):
    """An event, and when it was heard.

    `at` is seconds of the loop's clock.

        >>> from supervise.events import Started
        >>> print(Heard(1.5, Started("app/cart", 1)))
        1.5 s  app/cart #1 started
    """

    at: float
    event: Event

    def __str__(self) -> str:
        return f"{self.at:g} s  {self.event}"


class Recording:
    """Keeps the events that it hears, to be looked at and waited for.

    As `Supervisor("app", …, listener=recording)` it hears a tree from its first start; `record`
    makes one for a tree that runs. Iterating yields the events; printing shows a line for each,
    with the loop's time. It is true even when it is empty.

    `heard` is all of them, with their times. `before` has path and incarnation of what ran
    already when it began.

        >>> from supervise.events import Stopped
        >>> recording = Recording()
        >>> async with Supervisor("app", child(list, name="cart"), listener=recording) as app:
        ...     await app.operator("ada").restart("cart")
        True
        >>> [event.incarnation for event in recording.of(Stopped, path="app/cart")]
        [1, 2]
    """

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.before: frozenset[tuple[str, int]] = frozenset()
        """Path and incarnation of what ran already when the recording began."""
        self._news: anyio.Event | None = None
        self._unsubscribe: Callable[[], object] | None = None

    def __call__(self, event: Event) -> None:
        """Hear an event."""
        self.heard.append(Heard(current_backend().now(), event))
        if self._news is not None:
            news, self._news = self._news, None
            news.set()

    @property
    def events(self) -> list[Event]:
        """All events so far, in order."""
        return [heard.event for heard in self.heard]

    def __iter__(self) -> Iterator[Event]:
        return iter(self.events)

    def __len__(self) -> int:
        return len(self.heard)

    def __bool__(self) -> bool:
        return True  # one that heard nothing yet is a recording, too

    def __str__(self) -> str:
        return "\n".join(map(str, self.heard)) or "(nothing happened)"

    def of(self, kind: type[E], /, *, where: Callable[[E], bool] | None = None, **fields: Any) -> list[E]:
        """The events of one class, those with these values of their fields.

        For example `recording.of(Stopped, path="app/db")`. `where`: a function of an event that
        says whether it counts. Raises `InvalidSpec` for a field that the class hasn't.
        """
        unknown = set(fields) - {field.name for field in dataclasses.fields(kind)}
        if unknown:
            there = [field.name for field in dataclasses.fields(kind)]
            field = min(unknown)
            cure = f"{did_you_mean(field, there)}its fields are {', '.join(there)}"
            raise InvalidSpec(f"event {kind.__name__}", field, fields[field], cure)
        return [
            event
            for event in self.events
            if isinstance(event, kind)
            and all(getattr(event, name) == value for name, value in fields.items())
            and (where is None or where(event))
        ]

    async def wait_for(
        self,
        kind: type[E],
        /,
        *,
        times: int = 1,
        within: float = 60.0,
        where: Callable[[E], bool] | None = None,
        **fields: Any,
    ) -> E:
        """Wait for the event that is the n-th of its kind since the recording began.

        It may have happened already. The kind is said as for `of`.

            times: Which one (default 1, the first).
            within: Seconds of the loop's clock from now (default 60); then AssertionError, which
                shows what happened instead.
        """
        if not isinstance(times, int) or times < 1:
            raise InvalidSpec("wait_for", "times", times, "a whole number, 1 or more")
        found = self.of(kind, where=where, **fields)
        with anyio.move_on_after(within):
            while len(found) < times:
                if self._news is None:
                    self._news = anyio.Event()
                await self._news.wait()
                found = self.of(kind, where=where, **fields)
        if len(found) >= times:
            return found[times - 1]
        wanted = ", ".join([kind.__name__, *(f"{name}={value!r}" for name, value in fields.items())])
        count = f"{len(found)} of {times}" if times > 1 else "none"
        raise AssertionError(f"waited {within:g} s for {wanted}: {count} came\nwhat happened:\n{self}")

    def clear(self) -> None:
        """Forget what was heard so far; what runs now counts as what ran before."""
        self.before = self.running
        self.heard.clear()

    @property
    def running(self) -> frozenset[tuple[str, int]]:
        """Path and incarnation of all that has started and hasn't ended.

        As far as the recording goes: what ran before it counts, too.
        """
        return running_after(self.before, self.events)

    def close(self) -> None:
        """Hear nothing more of the tree that `record` was given; idempotent."""
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def record(app: RunningSupervisor) -> Recording:
    """Record the events of a running tree, the whole of it, from now on.

    What it missed is the tree's start: a `Recording` as `listener=` hears that, too.
    `with record(app) as recording:` ends it.

        >>> from supervise.events import Decided
        >>> async with Supervisor("app") as app:
        ...     cart = await app.start(list, name="cart")
        ...     with record(app) as recording:
        ...         await cart.send(list.pop)
        ...         decided = await recording.wait_for(Decided)
        >>> print(decided.decision.ordinal)
        restart 1 of 3 within 5 s
    """
    recording = Recording()
    recording.before = frozenset(lives(app._branch.tree.root))
    recording._unsubscribe = app.subscribe(recording)
    return recording


def running_after(before: Iterable[tuple[str, int]], events: Iterable[Event]) -> frozenset[tuple[str, int]]:
    """Path and incarnation of what runs after these events, if that ran before them."""
    running = {*before}
    for event in events:
        if isinstance(event, Started):
            running.add((event.path, event.incarnation))
        elif isinstance(event, Stopped):
            running.discard((event.path, event.incarnation))
    return frozenset(running)
