"""What every `AddressLike` and `MessageQueue` promises, as tests for one of your own.

Begin with `AddressContract` for an address, `QueueContract` for a queue: derive a test
class, and pytest finds the tests in it. `Specimen` is the actor of these tests. It needs
pytest and anyio's pytest plugin, so `supervise.testing` itself doesn't import it.
"""

from __future__ import annotations

import gc
import random
import weakref
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, ClassVar

import anyio
import pytest

from supervise.address.address import Address
from supervise.address.address_like import AddressLike
from supervise.errors import ActorCrashed, NotAHandler, UnknownHandler
from supervise.mailbox.message_queue import MessageQueue
from supervise.tree.child import child
from supervise.tree.supervisor import Supervisor
from supervise_strategies.exception import cause_of
from supervise_strategies.intensity import Intensity


class Specimen:
    """The actor of these tests: a list of notes.

    An implementation has to make one for each test, and a fresh one after a crash.

        >>> async with Supervisor("app") as app:
        ...     specimen = await app.start(Specimen)
        ...     await specimen.call(Specimen.note, "a", times=2)
        ...     await specimen.call(Specimen.read)
        2
        ['a', 'a']
    """

    def __init__(self) -> None:
        self.notes: list[Any] = []

    async def note(self, entry: Any, *, times: int = 1) -> int:
        """Add an entry; the answer is how many there are."""
        self.notes += [entry] * times
        return len(self.notes)

    def read(self) -> list[Any]:
        """All entries, by a plain function."""
        return [*self.notes]

    async def crash(self, text: str) -> None:
        """Raise ValueError."""
        raise ValueError(text)


class Variety(Specimen):
    """A subclass that overrides a handler."""

    def read(self) -> list[Any]:
        """All entries, backwards."""
        return self.notes[::-1]


class Stranger:
    """Another class, with a handler that the specimen hasn't."""

    async def greet(self) -> None:
        """Never run."""


async def _count(specimen: Specimen, more: int = 0) -> int:
    return len(specimen.notes) + more


class AddressContract:
    """Tests of one implementation of `AddressLike`: derive, and say how an address is made.

    `address(factory)` is an async context manager that gives the address of a new actor.
    `factory` makes it, a `Specimen` or a subclass; after a crash there has to be a fresh one.
    The tests run on the backends of the fixture `anyio_backend`.

        >>> from contextlib import asynccontextmanager
        >>> class TestOfATree(AddressContract):
        ...     @asynccontextmanager
        ...     async def address(self, factory):
        ...         async with Supervisor("app") as app:
        ...             yield await app.start(factory)
        >>> await TestOfATree().test_a_call_answers_what_the_handler_returns()  # pytest runs all of them
        >>> sum(name.startswith("test_") for name in dir(TestOfATree)) > 9
        True
    """

    pytestmark: ClassVar[pytest.MarkDecorator] = pytest.mark.anyio

    def address(self, factory: type[Specimen]) -> AbstractAsyncContextManager[AddressLike[Specimen]]:
        """An address of a new actor; to be overridden."""
        raise NotImplementedError(f"{type(self).__name__} has to say in address() how an address comes about")

    async def test_a_call_answers_what_the_handler_returns(self) -> None:
        async with self.address(Specimen) as address:
            assert await address.call(Specimen.note, "a") == 1
            assert await address.call(Specimen.read) == ["a"]

    async def test_arguments_arrive_as_they_were_given(self) -> None:
        async with self.address(Specimen) as address:
            entry = object()
            assert await address.call(Specimen.note, entry, times=2) == 2
            assert await address.call(Specimen.read) == [entry, entry]

    async def test_a_handler_is_found_by_its_name_so_that_subclasses_override_it(self) -> None:
        async with self.address(Variety) as address:
            await address.call(Specimen.note, "a")
            await address.call(Specimen.note, "b")
            assert await address.call(Specimen.read) == ["b", "a"]

    async def test_any_other_callable_is_run_with_the_actor_as_its_first_argument(self) -> None:
        async with self.address(Specimen) as address:
            await address.call(Specimen.note, "a")
            assert await address.call(_count, 10) == 11
            assert await address.call(lambda specimen: type(specimen)) is Specimen

    async def test_one_senders_messages_are_handled_in_the_order_in_which_they_were_sent(self) -> None:
        async with self.address(Specimen) as address:
            for number in range(0, 30, 3):
                await address.send(Specimen.note, number)
                address.try_send(Specimen.note, number + 1)
                await address.call(Specimen.note, number + 2)
            assert await address.call(Specimen.read) == [*range(30)]

    async def test_send_and_try_send_answer_nothing(self) -> None:
        async with self.address(Specimen) as address:
            assert await _answer(address.send(Specimen.note, "a")) is None
            assert _value(address.try_send(Specimen.note, "b")) is None  # type: ignore[func-returns-value]

    async def test_a_crash_is_told_to_the_caller_with_its_cause_and_the_address_stays_valid(self) -> None:
        async with self.address(Specimen) as address:
            await address.send(Specimen.note, "lost with its instance")
            with pytest.raises(ActorCrashed, match="ValueError: boom") as raised:
                await address.call(Specimen.crash, "boom")
            assert isinstance(cause_of(raised.value), ValueError)
            assert await address.call(Specimen.note, "a") == 1

    async def test_a_crash_in_a_send_is_nobodys_error_and_what_comes_after_it_is_handled(self) -> None:
        async with self.address(Specimen) as address:
            await address.send(Specimen.crash, "boom")
            await address.send(Specimen.note, "a")
            assert await address.call(Specimen.read) == ["a"]

    async def test_a_handler_that_the_actor_lacks_is_the_callers_error_and_the_actor_lives_on(self) -> None:
        async with self.address(Specimen) as address:
            await address.send(Specimen.note, "a")
            foreign: Any = Stranger.greet
            with pytest.raises(UnknownHandler, match="greet"):
                await address.call(foreign)
            await address.send(foreign)
            assert await address.call(Specimen.read) == ["a"]

    async def test_what_can_be_no_handler_is_refused_by_all_three_and_never_sent(self) -> None:
        async with self.address(Specimen) as address:
            bad: Any
            for bad in (Specimen().read, Specimen, "read", None):
                with pytest.raises(NotAHandler):
                    await address.call(bad)
                with pytest.raises(NotAHandler):
                    await address.send(bad)
                with pytest.raises(NotAHandler):
                    address.try_send(bad)
            assert await address.call(Specimen.read) == []

    async def test_it_has_a_path_whose_last_part_is_its_name(self) -> None:
        async with self.address(Specimen) as address:
            assert address.name
            assert address.path.rpartition("/")[2] == address.name


async def _answer(awaited: Any) -> Any:
    return await awaited


def _value(value: object) -> object:
    return value


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
