"""What every `AddressLike` and `MessageQueue` promises, as tests for one of your own.

Begin with `LocalAddressContract` for an address in the actor's own process,
`RemoteAddressContract` for one that leads to another, `QueueContract` for a queue: derive a
test class, and pytest finds the tests in it. `AddressContract` is what both kinds of addresses
promise. `Specimen` is the actor of these tests, `SpecimenApi` its declared interface. It needs
pytest and anyio's pytest plugin, so `supervise.testing` itself doesn't import it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, ClassVar

import pytest

from supervise.address.address_like import AddressLike
from supervise.errors import (
    ActorCrashed,
    BadMessage,
    NotAHandler,
    NotServed,
    RemoteError,
    SuperviseError,
    UnknownHandler,
)
from supervise_strategies.exception import cause_of

from .queue_contract import QueueContract
from .specimen import Extended, Kept, Specimen, SpecimenApi, Stranger, Variety, count

__all__ = (
    "AddressContract",
    "LocalAddressContract",
    "QueueContract",
    "RemoteAddressContract",
    "Specimen",
    "SpecimenApi",
)


class AddressContract:
    """What every implementation of `AddressLike` promises, local or remote.

    Derive from one of its two subclasses.
    `LocalAddressContract` adds what an address in the actor's own process promises,
    `RemoteAddressContract` what one does that leads to another process.

    `address(factory)` is an async context manager that gives the address of a new actor.
    `factory` makes it, a `Specimen` or a subclass; after a crash there has to be a fresh one.
    `api` is the class whose functions the tests call. The tests run on the backends of the
    fixture `anyio_backend`.

        >>> AddressContract.api is LocalAddressContract.api is Specimen
        True
        >>> RemoteAddressContract.api is SpecimenApi
        True
    """

    pytestmark: ClassVar[pytest.MarkDecorator] = pytest.mark.anyio
    api: ClassVar[Any] = Specimen
    """The class whose functions are called."""
    _no_handler: ClassVar[tuple[type[SuperviseError], ...]] = (NotAHandler, NotServed)

    def address(self, factory: type[Specimen]) -> AbstractAsyncContextManager[AddressLike[Any]]:
        """An address of a new actor; to be overridden."""
        raise NotImplementedError(f"{type(self).__name__} has to say in address() how an address comes about")

    async def test_a_call_answers_what_the_handler_returns(self) -> None:
        async with self.address(Specimen) as address:
            assert await address.call(self.api.note, "a") == 1
            assert await address.call(self.api.note, "b", times=2) == 3
            assert await address.call(self.api.read) == ["a", "b", "b"]

    async def test_a_handler_is_found_by_its_name_so_that_subclasses_override_it(self) -> None:
        async with self.address(Variety) as address:
            await address.call(self.api.note, "a")
            await address.call(self.api.note, "b")
            assert await address.call(self.api.read) == ["b", "a"]

    async def test_one_senders_messages_are_handled_in_the_order_in_which_they_were_sent(self) -> None:
        async with self.address(Specimen) as address:
            for number in range(0, 30, 3):
                await address.send(self.api.note, str(number))
                address.try_send(self.api.note, str(number + 1))
                await address.call(self.api.note, str(number + 2))
            assert await address.call(self.api.read) == [str(number) for number in range(30)]

    async def test_send_and_try_send_answer_nothing(self) -> None:
        async with self.address(Specimen) as address:
            assert await _answer(address.send(self.api.note, "a")) is None
            assert _value(address.try_send(self.api.note, "b")) is None  # type: ignore[func-returns-value]

    async def test_a_crash_is_told_to_the_caller_and_the_address_stays_valid(self) -> None:
        async with self.address(Specimen) as address:
            await address.send(self.api.note, "lost with its instance")
            with pytest.raises(ActorCrashed, match="ValueError: boom"):
                await address.call(self.api.crash, "boom")
            assert await address.call(self.api.note, "a") == 1

    async def test_a_crash_in_a_send_is_nobodys_error_and_what_comes_after_it_is_handled(self) -> None:
        async with self.address(Specimen) as address:
            await address.send(self.api.crash, "boom")
            await address.send(self.api.note, "a")
            assert await address.call(self.api.read) == ["a"]

    async def test_a_call_of_a_handler_that_the_actor_lacks_is_the_callers_error_and_the_actor_lives_on(self) -> None:
        async with self.address(Specimen) as address:
            await address.send(self.api.note, "a")
            foreign: Any = Stranger.greet
            with pytest.raises(UnknownHandler, match="greet"):
                await address.call(foreign)
            assert await address.call(self.api.read) == ["a"]

    async def test_what_can_be_no_handler_is_refused_by_all_three_and_never_sent(self) -> None:
        async with self.address(Specimen) as address:
            for bad in (Specimen().read, Specimen, "read", None):
                await _refuses(address, bad, self._no_handler)
            assert await address.call(self.api.read) == []

    async def test_it_has_a_path_whose_last_part_is_its_name(self) -> None:
        async with self.address(Specimen) as address:
            assert address.name
            assert re.split("[/:]", address.path)[-1] == address.name


class LocalAddressContract(AddressContract):
    """Tests of one implementation of `AddressLike` whose actor is in the same process.

    Beyond `AddressContract`: arguments arrive as the very objects, any callable is a handler, the
    cause of a crash is what the handler raised, and a send of a foreign handler is a dead letter.

        >>> from contextlib import asynccontextmanager
        >>> class TestOfATree(LocalAddressContract):
        ...     @asynccontextmanager
        ...     async def address(self, factory):
        ...         async with Supervisor("app") as app:
        ...             yield await app.start(factory)
        >>> await TestOfATree().test_a_call_answers_what_the_handler_returns()  # pytest runs all of them
        >>> sum(name.startswith("test_") for name in dir(TestOfATree)) > 9
        True
    """

    _no_handler: ClassVar[tuple[type[SuperviseError], ...]] = (NotAHandler,)

    async def test_arguments_arrive_as_they_were_given(self) -> None:
        async with self.address(Specimen) as address:
            entry = object()
            assert await address.call(self.api.note, entry, times=2) == 2
            assert await address.call(self.api.read) == [entry, entry]

    async def test_any_other_callable_is_run_with_the_actor_as_its_first_argument(self) -> None:
        async with self.address(Specimen) as address:
            await address.call(self.api.note, "a")
            assert await address.call(count, 10) == 11
            nameless: Callable[[Any], Any] = lambda specimen: specimen.__class__  # noqa: E731 - it is to have no name
            assert await address.call(nameless) is Specimen

    async def test_the_cause_of_a_crash_is_what_the_handler_raised(self) -> None:
        async with self.address(Specimen) as address:
            with pytest.raises(ActorCrashed) as raised:
                await address.call(self.api.crash, "boom")
            assert isinstance(cause_of(raised.value), ValueError)

    async def test_a_send_of_a_handler_that_the_actor_lacks_is_nobodys_error_and_the_actor_lives_on(self) -> None:
        async with self.address(Specimen) as address:
            await address.send(self.api.note, "a")
            foreign: Any = Stranger.greet
            await address.send(foreign)
            assert await address.call(self.api.read) == ["a"]


class RemoteAddressContract(AddressContract):
    """Tests of one implementation of `AddressLike` whose actor is in another process.

    Beyond `AddressContract`: arguments arrive equal, as other objects, and what can't cross is
    `BadMessage`. Only what `SpecimenApi` declares is a handler; all else is `NotServed`, by call,
    send and try_send alike. The cause of a crash is a `RemoteError`. What is refused is so at the
    caller, before anything is sent.

    `address(factory)` gives an address of `SpecimenApi`, which the actor of the factory serves.
    The class of the factory can be imported, so that the actor may be in a process of its own.

        >>> from contextlib import asynccontextmanager
        >>> from supervise.remote.dial import dial
        >>> from supervise.remote.gate import gate
        >>> from supervise.testing.fake_link import FakeNetwork
        >>> from supervise.wire.interface import Interface
        >>> API = Interface("specimen", SpecimenApi)
        >>> class TestOfALink(RemoteAddressContract):
        ...     @asynccontextmanager
        ...     async def address(self, factory):
        ...         network, specimen = FakeNetwork(), child(factory)
        ...         door = gate(network.listen, serves=[API.by(specimen)])
        ...         link = dial(network.connect, uses=[API])
        ...         async with Supervisor("there", specimen, door), Supervisor("here", link) as here:
        ...             yield API.over(here.find(link))
        >>> await TestOfALink().test_a_call_answers_what_the_handler_returns()  # pytest runs all of them
        >>> sum(name.startswith("test_") for name in dir(TestOfALink)) > 9
        True
    """

    api: ClassVar[Any] = SpecimenApi
    """The interface whose functions are called."""
    _no_handler: ClassVar[tuple[type[SuperviseError], ...]] = (NotServed,)

    async def test_arguments_arrive_equal_and_are_other_objects(self) -> None:
        Kept.arrived.clear()
        async with self.address(Kept) as address:
            entry = " ".join(["a text", "that is made", "only now"])
            assert await address.call(self.api.note, entry, times=2) == 2
            await address.send(self.api.note, entry=entry)
            answer = await address.call(self.api.read)
            assert answer == [entry] * 3
            # Where the actor is in this very process, it can be seen what it got.
            assert not any(other is entry for other in (*answer, *Kept.arrived))
        Kept.arrived.clear()

    async def test_a_value_that_cant_cross_is_the_callers_error_and_never_sent(self) -> None:
        async with self.address(Specimen) as address:
            await _refuses(address, self.api.note, (BadMessage,), object())
            assert await address.call(self.api.read) == []

    async def test_a_callable_that_isnt_declared_is_refused_by_all_three_and_never_sent(self) -> None:
        async with self.address(Specimen) as address:
            undeclared: Callable[..., Any]
            for undeclared in (count, lambda: None, Stranger.greet, Specimen.read, len):
                await _refuses(address, undeclared, (NotServed,))
            assert await address.call(self.api.read) == []

    async def test_a_subclasss_own_handler_isnt_declared_either(self) -> None:
        async with self.address(Extended) as address:
            await address.call(self.api.note, "a")
            await _refuses(address, Extended.forget, (NotServed,))
            assert await address.call(self.api.read) == ["a"]

    async def test_the_cause_of_a_crash_is_told_by_its_type_and_its_text(self) -> None:
        async with self.address(Specimen) as address:
            with pytest.raises(ActorCrashed) as raised:
                await address.call(self.api.crash, "boom")
            cause = cause_of(raised.value)
            assert isinstance(cause, RemoteError)
            assert (cause.type, str(cause)) == ("ValueError", "ValueError: boom")


async def _refuses(address: AddressLike[Any], handler: Any, kinds: tuple[type[SuperviseError], ...], *args: Any) -> None:
    """All three ways, each at the caller."""
    ways: list[Callable[..., Any]] = [address.call, address.send]
    for way in ways:
        with pytest.raises(kinds):
            await way(handler, *args)
    with pytest.raises(kinds):
        address.try_send(handler, *args)


async def _answer(awaited: Any) -> Any:
    return await awaited


def _value(value: object) -> object:
    return value
