"""What waits in one lane of a pool, and which of it a worker may take now.

Theory of operation
-------------------
- A message is bound to a worker when that takes it, so one that is busy, or waits for its restart, holds no other message up.
- With `key=`, messages of one key are handled one after the other, in their order. A key is bound from the moment at which a
  worker takes a message of it until that is over. Messages of a bound key that come first are put aside, and come back, first
  of all, when it is free.
- What was in hand as a worker's life ended, and is to be tried again, comes first again. Until then its key is bound to it. A
  wait before the next try holds up that message and its key, and nothing else.
- Whatever is put aside may be put back among the others at any time, in the order of acceptance: who looks puts it aside again.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from functools import partial
from operator import itemgetter
from typing import Final, NamedTuple, cast
from weakref import ref

from .envelope import Envelope, is_held_back

_NUMBER: Final = itemgetter(0)


class Waiting(NamedTuple):
    """A message that waits."""

    number: int
    """In the order of acceptance; what is tried again comes before all others."""
    key: Hashable
    envelope: Envelope


class Key:
    """Stands for a key of the user's own kind. What it equals is asked once, as a message comes in."""

    __slots__ = ("__weakref__", "of")

    def __init__(self, of: Hashable) -> None:
        self.of: Hashable = of


class KnownKeys:
    """Those of the user's own kind, as long as a message has them. An equality that raises means different."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[int, list[ref[Key]]] = {}  # by their hash

    def get(self, of: Hashable) -> Hashable:
        """What stands for it: the same for those that are equal. What its hash raises is raised."""
        number = hash(of)
        if issubclass(type(of), str) and type(of).__eq__ is str.__eq__:  # a member of a StrEnum is its value
            return str.__str__(cast("str", of))
        if _equal(of, number):  # as True is 1, and a member of an IntEnum its value
            return number
        alike: list[ref[Key]] = self._known.get(number, [])
        for each in [*alike]:
            known = each()
            if known is not None and _equal(known.of, of):
                return known
        key = Key(of)
        self._known.setdefault(number, []).append(ref(key, partial(self._forget, number)))
        return key

    def _forget(self, number: int, gone: ref[Key]) -> None:
        known = self._known[number]
        known[:] = [each for each in known if each is not gone]
        if not known:
            del self._known[number]


def _equal(one: Hashable, other: Hashable) -> bool:
    try:
        return bool(one == other)
    except Exception:
        return False


class Keys:
    """Which keys are bound, in all lanes of one pool: to a worker, or to a message that is to be tried again."""

    __slots__ = ("_bound", "_of", "_queues", "_returned")

    def __init__(self, of: Callable[[Envelope], Hashable] | None, returned: Callable[[Envelope], Hashable]) -> None:
        self._of = of
        self._returned = returned
        self._bound: dict[Hashable, object] = {}
        self._queues: list[PoolQueue] = []

    def add(self, queue: PoolQueue) -> None:
        """One more lane."""
        self._queues.append(queue)

    def of(self, envelope: Envelope) -> Hashable:
        """The key of a message, as the user's function has it; None: it has none."""
        return None if self._of is None else self._of(envelope)

    def returned(self, envelope: Envelope) -> Hashable:
        """The key of a message that a worker gives back; from now on it is bound to the message."""
        key = self._returned(envelope)
        self.bind(key, envelope)
        return key

    def allow(self, waiting: Waiting) -> bool:
        """Whether a worker may take it."""
        return waiting.key is None or self._bound.get(waiting.key, waiting.envelope) is waiting.envelope

    def bind(self, key: Hashable, to: object) -> None:
        """To the worker that takes it, or to the message that comes first."""
        if key is not None:
            self._bound[key] = to

    def free(self, key: Hashable, of: object) -> None:
        """It isn't bound to this any more, if it was."""
        if key is not None and self._bound.get(key) is of:
            del self._bound[key]
            for queue in self._queues:
                queue.let_in(key)


class PoolQueue:
    """A lane's queue. It is what the lane takes for one, and knows, besides, what may be taken now."""

    __slots__ = ("_aside", "_back", "_delayed", "_first", "_given_up", "_keys", "_last", "_length", "_now", "_ready")

    def __init__(self, keys: Keys, now: Callable[[], float]) -> None:
        self._keys = keys
        self._now = now
        self._first = 0
        self._last = 0
        self._ready: deque[Waiting] = deque()
        self._aside: dict[Hashable, deque[Waiting]] = {}  # of keys that are bound
        self._back: dict[Hashable, Waiting] = {}  # that were let in again, the first of their key here
        self._delayed: list[tuple[float, Waiting]] = []  # to be tried again, but not yet
        self._given_up = False  # somebody has gone who may have waited for one that is to be tried again later
        self._length = 0  # counted, since other threads ask for it, too
        keys.add(self)

    # -- what a lane asks --------------------------------------------------------------------------------------------

    def append(self, envelope: Envelope, /) -> None:
        key = self._keys.of(envelope)
        self._last += 1
        self._ready.append(Waiting(self._last, key, envelope))
        self._length += 1

    def appendleft(self, envelope: Envelope, /) -> None:
        """A worker gives it back: it comes first again."""
        self._first -= 1
        self._ready.appendleft(Waiting(self._first, self._keys.returned(envelope), envelope))
        self._length += 1

    def popleft(self) -> Envelope:
        """The next one that may be taken: `has_ready` has said that there is one."""
        waiting = self._ready.popleft()
        self._length -= 1
        if waiting.key is not None and self._back.get(waiting.key) is waiting:
            del self._back[waiting.key]
        return waiting.envelope

    def pull(self) -> Envelope | None:
        """The oldest one, whether it may be taken or not."""
        self._gather()
        if not self._ready:
            return None
        oldest = self._ready.popleft()
        self._length -= 1
        self._keys.free(oldest.key, oldest.envelope)
        return oldest.envelope

    def take_out(self, gone: set[int]) -> list[Envelope]:
        """Take some out, by their identity; the others keep their order."""
        self._gather()
        taken = [waiting for waiting in self._ready if id(waiting.envelope) in gone]
        self._ready = deque(waiting for waiting in self._ready if id(waiting.envelope) not in gone)
        self._length -= len(taken)
        for waiting in taken:
            self._keys.free(waiting.key, waiting.envelope)
        return [waiting.envelope for waiting in taken]

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Envelope]:
        return (waiting.envelope for waiting in self._all())

    # -- what a worker asks ------------------------------------------------------------------------------------------

    def has_ready(self, *, at_once: bool) -> bool:
        """Whether there is one that a worker may take. `at_once`: what is to be tried again doesn't wait for its time."""
        ready, now = self._ready, 0.0
        if self._delayed and (at_once or self._given_up or self._delayed[0][0] <= self._now()):
            self._gather()
            ready = self._ready
        self._given_up = False
        while ready:
            waiting = ready[0]
            if not self._keys.allow(waiting):
                self._put_aside(ready.popleft())
                continue
            options = waiting.envelope[5]
            if options is None or options.not_before is None or at_once:
                return True
            now = now or self._now()
            if not is_held_back(waiting.envelope, now):
                return True
            heapq.heappush(self._delayed, (options.not_before, ready.popleft()))
        return False

    @property
    def next(self) -> Waiting:
        """The one that `popleft` gives next: `has_ready` has said that there is one."""
        return self._ready[0]

    @property
    def next_due(self) -> float | None:
        """When the first one of those that may not be tried again yet may be."""
        return self._delayed[0][0] if self._delayed else None

    def look_again(self) -> None:
        """A caller has gone: what was to be tried again for him holds its key no longer."""
        self._given_up = True

    def let_in(self, key: Hashable) -> None:
        """The key is free: the first of those that were put aside comes first; it binds the key again when it is taken."""
        aside = self._aside.get(key)
        if aside and key not in self._back:
            self._back[key] = waiting = aside.popleft()
            self._ready.appendleft(waiting)
            if not aside:
                del self._aside[key]

    def _put_aside(self, waiting: Waiting) -> None:
        """One whose key is bound. It was let in already, maybe, and another lane had one that was quicker: then it is first."""
        aside = self._aside.setdefault(waiting.key, deque())
        if self._back.get(waiting.key) is waiting:
            del self._back[waiting.key]
            aside.appendleft(waiting)
        else:
            aside.append(waiting)

    def _all(self) -> list[Waiting]:
        aside = (waiting for aside in self._aside.values() for waiting in aside)
        return sorted((*self._ready, *aside, *(waiting for _, waiting in self._delayed)), key=_NUMBER)

    def _gather(self) -> None:
        if self._aside or self._delayed or self._back:
            self._ready = deque(self._all())
            self._aside.clear()
            self._back.clear()
            self._delayed.clear()
