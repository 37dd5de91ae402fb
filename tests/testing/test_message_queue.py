"""The promises of a queue: three kinds of queues keep them, and each way to break one is found out.

Tested: the exported `QueueContract`, on a deque, on one that gives the newest first, and on one by priority; that it warns of
nothing.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator
from typing import Any

import pytest

from supervise import MessageQueue
from supervise.testing.contract import QueueContract
from tests.doubles import ByNumber


class NewestFirst:
    """A stack: what is put back, and what is new, is given first."""

    def __init__(self) -> None:
        self._stack: list[Any] = []

    def append(self, envelope: Any, /) -> None:
        self._stack.append(envelope)

    appendleft = append

    def popleft(self) -> Any:
        return self._stack.pop()

    def __len__(self) -> int:
        return len(self._stack)

    def __iter__(self) -> Iterator[Any]:
        yield from reversed(self._stack)


@pytest.mark.filterwarnings("error")  # as in a suite of a user's own, which this one's settings don't reach
class TestDeque(QueueContract):
    def queue(self) -> MessageQueue:
        return deque[Any]()


class TestByNumber(QueueContract):
    def queue(self) -> MessageQueue:
        return ByNumber()


class BackBeforeNew(NewestFirst):
    """A stack, above which is what was put back."""

    def __init__(self) -> None:
        super().__init__()
        self._back: list[Any] = []

    def appendleft(self, envelope: Any, /) -> None:
        self._back.append(envelope)

    def popleft(self) -> Any:
        return (self._back or self._stack).pop()

    def __len__(self) -> int:
        return len(self._stack) + len(self._back)

    def __iter__(self) -> Iterator[Any]:
        yield from reversed(self._back)
        yield from reversed(self._stack)


class TestStack(QueueContract):
    def queue(self) -> MessageQueue:
        return BackBeforeNew()


class Comparing(ByNumber):
    """Compares the envelopes themselves."""

    def append(self, envelope: Any, /) -> None:
        heapq.heappush(self._heap, (envelope[1], 0, envelope))


class PutsBackBehind(deque[Any]):
    def appendleft(self, envelope: Any, /) -> None:
        self.append(envelope)


class LosesEqualOnes(deque[Any]):
    def append(self, envelope: Any, /) -> None:
        if envelope not in self:
            super().append(envelope)


class ShowsItBackwards(deque[Any]):
    def __iter__(self) -> Iterator[Any]:
        yield from reversed(self)


class KeepsAll(deque[Any]):
    def __init__(self) -> None:
        super().__init__()
        self._given: list[Any] = []

    def popleft(self) -> Any:
        self._given.append(super().popleft())
        return self._given[-1]


class NeverEmpty(deque[Any]):
    def __bool__(self) -> bool:
        return True


class Miscounts(deque[Any]):
    def __len__(self) -> int:
        return min(super().__len__(), 9)


_shared: deque[Any] = deque()


@pytest.mark.parametrize(
    ("make", "test"),
    [
        (NeverEmpty, "test_a_new_one_is_empty_and_shares_nothing_with_another"),
        (lambda: _shared, "test_a_new_one_is_empty_and_shares_nothing_with_another"),
        (Comparing, "test_it_gives_each_envelope_once_also_equal_ones_and_what_cannot_be_compared_or_hashed"),
        (LosesEqualOnes, "test_it_gives_each_envelope_once_also_equal_ones_and_what_cannot_be_compared_or_hashed"),
        (Miscounts, "test_it_gives_each_envelope_once_also_equal_ones_and_what_cannot_be_compared_or_hashed"),
        (ShowsItBackwards, "test_looking_at_it_shows_the_order_in_which_it_gives_and_takes_nothing_out"),
        (PutsBackBehind, "test_what_is_put_back_is_given_before_all_others_the_last_one_first"),
        (NewestFirst, "test_what_is_put_back_is_given_before_all_others_the_last_one_first"),
        (Miscounts, "test_its_length_is_right_after_any_sequence_of_operations"),
        (KeepsAll, "test_it_keeps_nothing_that_it_has_given"),
    ],
)
def test_a_queue_that_breaks_a_promise_is_found_out(make: Any, test: str) -> None:
    class Broken(QueueContract):
        def queue(self) -> MessageQueue:
            return make()  # type: ignore[no-any-return]

    with pytest.raises((AssertionError, TypeError)):
        getattr(Broken(), test)()


def test_a_contract_that_doesnt_say_how_a_queue_is_made_says_so() -> None:
    with pytest.raises(NotImplementedError, match=r"queue\(\)"):
        QueueContract().queue()
