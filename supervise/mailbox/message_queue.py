"""What a lane keeps its messages in: a deque, or a class of the user's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol


class MessageQueue(Protocol):
    """What holds the messages that wait in a lane: a `deque`, or a class of the user's own.

    It holds envelopes, which are tuples: the first three items are the handler, its positional and its keyword arguments,
    the rest is nobody's business. Whatever order it gives them in, it gives each of them once. `QueueContract` in
    `supervise.testing.contract` has the tests that an own class must pass. With `overflow="drop_oldest"` it is the one that
    `popleft` gives which is dropped. What `append` raises is raised by `send` or `call`, and nothing was accepted; what
    `popleft` raises crashes the actor.
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
