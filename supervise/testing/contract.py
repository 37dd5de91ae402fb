"""What every `AddressLike` promises, as tests: run your own implementation against them.

It needs pytest and anyio's pytest plugin, so `supervise.testing` itself doesn't import it.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from supervise.address_like import AddressLike
from supervise.errors import ActorCrashed, NotAHandler, UnknownHandler


class Specimen:
    """The actor of these tests."""

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
    """Tests of one implementation of `AddressLike`: derive, and say how an address comes about:

        class TestMyAddress(AddressContract):
            def address(self, factory):
                return my_address_of(factory)  # an async context manager that gives the address

    `factory` makes the actor, a `Specimen` or a subclass of it; after a crash there has to be a fresh one. The tests run on
    the backends of the fixture `anyio_backend`.
    """

    pytestmark = pytest.mark.anyio

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
            assert isinstance(raised.value.__cause__, ValueError)
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
