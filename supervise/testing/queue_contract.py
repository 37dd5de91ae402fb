"""What every `MessageQueue` promises, as tests; a part of `contract.py`."""

from __future__ import annotations

import gc
import random
import weakref
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import anyio
import pytest

from supervise.address.address import Address
from supervise.mailbox.message_queue import MessageQueue
from supervise.tree.child import child
from supervise.tree.supervisor import Supervisor
from supervise_strategies.intensity import Intensity

from .specimen import Specimen


class QueueContract:
    """Tests of one queue for `child(…, queue=…)`: derive, and say how an empty one is made.

    In which order it gives what was put in with `append` is its own affair. All else is tested,
    by itself and in an actor. The tests run on the backends of the fixture `anyio_backend`.

        >>> from collections import deque
        >>> shared = deque()
        >>> class TestShared(QueueContract):
        ...     def queue(self):
        ...         return shared
        >>> TestShared().test_a_new_one_is_empty_and_shares_nothing_with_another()
        Traceback (most recent call last):
        AssertionError...
    """

    pytestmark: ClassVar[pytest.MarkDecorator] = pytest.mark.anyio

    def queue(self) -> MessageQueue:
        """A new, empty queue; to be overridden."""
        raise NotImplementedError(f"{type(self).__name__} has to say in queue() how a queue is made")

    def test_a_new_one_is_empty_and_shares_nothing_with_another(self) -> None:
        one, other = self.queue(), self.queue()
        one.append(_envelope(1))
        assert (len(one), bool(one), len(other), bool(other), [*other]) == (1, True, 0, False, [])

    def test_it_gives_each_envelope_once_also_equal_ones_and_what_cannot_be_compared_or_hashed(self) -> None:
        queue = self.queue()
        arguments: list[Any] = [1, 1, 1, "a", None, {}, {}, object(), [2], 1.5, -1]
        envelopes = [_envelope(argument) for argument in arguments]
        for envelope in envelopes:
            queue.append(envelope)
        assert len(queue) == len(envelopes)
        assert {id(envelope) for envelope in _emptied(queue)} == {id(envelope) for envelope in envelopes}
        assert len(queue) == 0

    def test_looking_at_it_shows_the_order_in_which_it_gives_and_takes_nothing_out(self) -> None:
        queue = self.queue()
        for number in (3, 1, 2, 5, 4):
            queue.append(_envelope(number))
        seen = [*queue]
        assert [id(envelope) for envelope in queue] == [id(envelope) for envelope in seen]
        assert [id(envelope) for envelope in _emptied(queue)] == [id(envelope) for envelope in seen]

    def test_what_is_put_back_is_given_before_all_others_the_last_one_first(self) -> None:
        queue = self.queue()
        queue.append(_envelope(-1))
        back = [_envelope(number) for number in (7, 8, 6)]
        for envelope in back:
            queue.appendleft(envelope)
        queue.append(_envelope(-2))
        assert [id(queue.popleft()) for _ in back] == [id(envelope) for envelope in reversed(back)]
        assert len(queue) == 2

    def test_its_length_is_right_after_any_sequence_of_operations(self) -> None:
        queue, chance = self.queue(), random.Random(1)
        inside: set[int] = set()
        kept: list[Any] = []  # so that no two have one identity
        for number in range(500):
            if inside and chance.random() < 0.45:
                inside.remove(id(queue.popleft()))
            else:
                kept.append(_envelope(chance.randrange(10)))
                inside.add(id(kept[-1]))
                (queue.append if number % 3 else queue.appendleft)(kept[-1])
            assert len(queue) == len(inside)
        assert {id(envelope) for envelope in queue} == inside

    def test_it_keeps_nothing_that_it_has_given(self) -> None:
        queue = self.queue()
        specimens = [Specimen() for _ in range(3)]
        refs = [weakref.ref(specimen) for specimen in specimens]
        while specimens:
            queue.append(_envelope(specimens.pop()))
        _emptied(queue)
        gc.collect()
        assert [ref() for ref in refs] == [None, None, None]
        assert len(queue) == 0

    async def test_in_an_actor_each_message_is_handled_once(self) -> None:
        async with self._actor() as address:
            for number in range(20):
                await address.send(Specimen.note, number)
            assert sorted(await self._read(address)) == [*range(20)]

    async def test_what_was_in_hand_at_a_crash_is_handled_again_before_all_others(self) -> None:
        async with self._actor(redeliver=1) as address:
            address.pause()
            for number in (2, 1, 3):
                await address.send(Specimen.note, number)
            waiting = [message.args[0] for message in address.peek()]
            failed: list[str] = []

            def fail_once(specimen: Specimen, _: int) -> None:
                if not failed:
                    failed.append("once")
                    raise ValueError("once")
                specimen.notes.append("again")

            while address.drop(lambda _: True):
                pass
            await address.send(fail_once, 0)
            address.resume()
            with anyio.fail_after(10):
                while not failed:  # noqa: ASYNC110 - nothing tells it without the queue that is tested
                    await anyio.sleep(0.001)
            for number in waiting:
                await address.send(Specimen.note, number)
            assert (await self._read(address))[0] == "again"

    async def test_messages_that_are_taken_out_are_gone_and_the_others_keep_their_order(self) -> None:
        async with self._actor() as address:
            address.pause()
            for number in (4, 1, 3, 2, 5, 4):
                await address.send(Specimen.note, number)
            before = [message.args[0] for message in address.peek()]
            assert address.drop(lambda message: message.args[0] in (1, 4)) == 3
            assert [message.args[0] for message in address.peek()] == [n for n in before if n not in (1, 4)]
            address.resume()
            assert sorted(await self._read(address)) == [2, 3, 5]

    async def test_a_full_mailbox_drops_one_for_one_that_comes(self) -> None:
        async with self._actor(capacity=2, overflow="drop_oldest") as address:
            address.pause()
            for number in range(5):
                await address.send(Specimen.note, number)
            assert len(address) == 2
            address.resume()
            assert len(await self._read(address)) == 2

    @asynccontextmanager
    async def _actor(self, **options: Any) -> AsyncGenerator[Address[Specimen]]:
        described = child(Specimen, queue=self.queue, **options)
        async with Supervisor("app", described, intensity=Intensity(100, per=1000)) as app:
            yield app.find(described)
            assert app.account().balanced

    async def _read(self, address: Address[Specimen]) -> list[Any]:
        with anyio.fail_after(10):
            while len(address) or address.account().in_hand:  # noqa: ASYNC110 - a call might overtake
                await anyio.sleep(0.001)
            return await address.call(Specimen.read)


def _envelope(argument: object) -> Any:
    """As a mailbox has them: a tuple of handler, arguments, keyword arguments, and more."""
    return (Specimen.note, (argument,), {}, None, None, None)


def _emptied(queue: MessageQueue) -> list[Any]:
    return [queue.popleft() for _ in range(len(queue))]
