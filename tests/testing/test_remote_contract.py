"""What an address of another process promises, as tests: a fake keeps it, and each way to break it is found by its test.

Tested: the contract on a fake, whose arguments cross as JSON; that each of its tests refuses an address which breaks what it is
about, in each of the ways to do so. Links keep it, too: `tests/remote/test_contract.py`.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, ClassVar

import pytest

from supervise import ActorCrashed, AddressLike, Intensity, NotAHandler, Supervisor
from supervise.errors import BadMessage, NotServed, RemoteError
from supervise.testing import FakeAddress
from supervise.testing.contract import AddressContract, LocalAddressContract, RemoteAddressContract, Specimen, SpecimenApi

DECLARED = (SpecimenApi.note, SpecimenApi.read, SpecimenApi.crash)
WAYS = ("call", "send", "try_send")


# -- a fake, which keeps it ------------------------------------------------------------------------------------------------


class Far:
    """An address of an actor over there, as far as JSON can do that."""

    def __init__(self, factory: Callable[[], Any]) -> None:
        self._actor: FakeAddress[Any] = FakeAddress(factory, name="specimen")

    @property
    def name(self) -> str:
        return self._actor.name

    @property
    def path(self) -> str:
        return f"app/link:{self.name}"

    async def call(self, handler: Any, /, *args: Any, **kwargs: Any) -> Any:
        self.check("call", handler)
        args, kwargs = self.crossed("call", args, kwargs)
        try:
            return copied(await self._actor.call(handler, *args, **kwargs))
        except ActorCrashed as crash:
            raise self.told(crash) from self.cause(crash)

    async def send(self, handler: Any, /, *args: Any, **kwargs: Any) -> None:
        self.check("send", handler)
        args, kwargs = self.crossed("send", args, kwargs)
        await self._actor.send(handler, *args, **kwargs)

    def try_send(self, handler: Any, /, *args: Any, **kwargs: Any) -> None:
        self.check("try_send", handler)
        args, kwargs = self.crossed("try_send", args, kwargs)
        self._actor.try_send(handler, *args, **kwargs)

    # -- what broken ones do otherwise

    def check(self, way: str, handler: Any) -> None:
        if not any(handler is declared for declared in DECLARED):
            raise NotServed(f"{self.name} has no {handler}")

    def crossed(self, way: str, args: Any, kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        args, kwargs = copied([args, kwargs])
        return tuple(args), kwargs

    def told(self, crash: ActorCrashed) -> ActorCrashed:
        return ActorCrashed(self.path, 1, str(self.cause(crash)))

    def cause(self, crash: ActorCrashed) -> BaseException:
        return RemoteError(type(crash.__cause__).__name__, str(crash.__cause__))


def copied(value: Any) -> Any:
    try:
        return json.loads(json.dumps(value))
    except TypeError as error:
        raise BadMessage(str(error)) from error


@asynccontextmanager
async def far(kind: type[Far], factory: type[Specimen]) -> AsyncGenerator[AddressLike[Any]]:
    yield kind(factory)


class TestFake(RemoteAddressContract):
    def address(self, factory: type[Specimen]) -> AbstractAsyncContextManager[AddressLike[Any]]:
        return far(Far, factory)


# -- broken ones, which are found out --------------------------------------------------------------------------------------


class Stubborn(Far):
    """Keeps no promise at all."""

    @property
    def path(self) -> str:
        return ""

    async def call(self, handler: Any, /, *args: Any, **kwargs: Any) -> Any:
        return None

    async def send(self, handler: Any, /, *args: Any, **kwargs: Any) -> Any:
        return handler

    def try_send(self, handler: Any, /, *args: Any, **kwargs: Any) -> Any:
        return handler


class Near(Far):
    """Gives the very objects to the actor; only the answers cross."""

    def crossed(self, way: str, args: Any, kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        copied([args, kwargs])
        return args, kwargs


class Lossy(Far):
    """An argument arrives as something else."""

    def crossed(self, way: str, args: Any, kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        args, kwargs = super().crossed(way, args, kwargs)
        return tuple(arg.upper() for arg in args), kwargs


class Stringent(Far):
    """What can't cross goes as a text, by one of the three ways, or by all."""

    ways: ClassVar[tuple[str, ...]] = WAYS

    def crossed(self, way: str, args: Any, kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        try:
            return super().crossed(way, args, kwargs)
        except BadMessage:
            if way not in self.ways:
                raise
            return (str(args),), {}


class Open(Far):
    """Runs whatever callable it is given, by one of the three ways, or by all."""

    ways: ClassVar[tuple[str, ...]] = WAYS

    def check(self, way: str, handler: Any) -> None:
        if way not in self.ways:
            super().check(way, handler)


class ByName(Far):
    """Finds handlers by their names: a subclass's own ones, too."""

    def check(self, way: str, handler: Any) -> None:
        if not getattr(handler, "__qualname__", "").startswith("Extended."):
            super().check(way, handler)


class Late(Far):
    """Refuses after it has sent something."""

    def check(self, way: str, handler: Any) -> None:
        try:
            super().check(way, handler)
        except NotServed:
            self._actor.try_send(SpecimenApi.note, "sent")
            raise


class LateValues(Far):
    """Refuses a value after it has sent something."""

    def crossed(self, way: str, args: Any, kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        try:
            return super().crossed(way, args, kwargs)
        except BadMessage:
            self._actor.try_send(SpecimenApi.note, "sent")
            raise


class Local(Far):
    """Says of what is no handler what a local one does."""

    def check(self, way: str, handler: Any) -> None:
        if handler is None:
            raise NotAHandler("None")
        super().check(way, handler)


class Telling(Far):
    """Has the handler's own exception cross."""

    def cause(self, crash: ActorCrashed) -> BaseException:
        assert crash.__cause__ is not None
        return crash.__cause__

    def told(self, crash: ActorCrashed) -> ActorCrashed:
        return crash


class Untyped(Far):
    """Has the cause cross as a text alone."""

    def cause(self, crash: ActorCrashed) -> BaseException:
        return RemoteError("Exception", f"ValueError: {crash.__cause__}")


class OtherText(Far):
    """Has another text cross than that of the exception."""

    def cause(self, crash: ActorCrashed) -> BaseException:
        return RemoteError("ValueError", "boom, boom")


CONTRACT = [name for name, _ in inspect.getmembers(RemoteAddressContract, inspect.isfunction) if name.startswith("test_")]
OWN = {name for name in CONTRACT if not hasattr(AddressContract, name)}
EQUAL = "test_arguments_arrive_equal_and_are_other_objects"
VALUE = "test_a_value_that_cant_cross_is_the_callers_error_and_never_sent"
DECLARES = "test_a_callable_that_isnt_declared_is_refused_by_all_three_and_never_sent"
SUBCLASS = "test_a_subclasss_own_handler_isnt_declared_either"
CAUSE = "test_the_cause_of_a_crash_is_told_by_its_type_and_its_text"
NO_HANDLER = "test_what_can_be_no_handler_is_refused_by_all_three_and_never_sent"


def only(kind: type[Any], way: str) -> type[Far]:
    made: Any = type(f"{kind.__name__}_{way}", (kind,), {"ways": (way,)})
    return made  # type: ignore[no-any-return]


BREACHES: list[tuple[str, type[Far]]] = [
    (EQUAL, Near),
    (EQUAL, Lossy),
    *((VALUE, only(Stringent, way)) for way in WAYS),
    (VALUE, LateValues),
    *((DECLARES, only(Open, way)) for way in WAYS),
    (DECLARES, Late),
    *((SUBCLASS, only(Open, way)) for way in WAYS),
    (SUBCLASS, ByName),
    (SUBCLASS, Late),
    (NO_HANDLER, Local),
    (NO_HANDLER, Late),
    (CAUSE, Telling),
    (CAUSE, Untyped),
    (CAUSE, OtherText),
]


def broken(kind: type[Far]) -> RemoteAddressContract:
    class Broken(RemoteAddressContract):
        def address(self, factory: type[Specimen]) -> AbstractAsyncContextManager[AddressLike[Any]]:
            return far(kind, factory)

    return Broken()


@pytest.mark.anyio
@pytest.mark.parametrize("name", CONTRACT)
async def test_the_contract_refuses_an_address_that_breaks_it(name: str) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        await getattr(broken(Stubborn), name)()


@pytest.mark.anyio
@pytest.mark.parametrize(("name", "kind"), BREACHES, ids=[f"{kind.__name__}-{name[:30]}" for name, kind in BREACHES])
async def test_each_way_to_break_it_is_found(name: str, kind: type[Far]) -> None:
    with pytest.raises((AssertionError, NotAHandler, pytest.fail.Exception)):
        await getattr(broken(kind), name)()


def test_each_test_of_its_own_has_a_breach_that_it_finds() -> None:
    assert {name for name, _ in BREACHES} - {NO_HANDLER} == OWN
    local = {name for name in dir(LocalAddressContract) if name.startswith("test_")}
    assert not OWN & local


@pytest.mark.anyio
async def test_a_local_address_keeps_none_of_what_is_a_remote_ones_own() -> None:
    class Mistaken(RemoteAddressContract):
        @asynccontextmanager
        async def address(self, factory: type[Specimen]) -> AsyncGenerator[AddressLike[Any]]:
            async with Supervisor("app", intensity=Intensity(100, per=1)) as app:
                yield await app.start(factory)

    for name in sorted(OWN):
        with pytest.raises((AssertionError, NotAHandler, pytest.fail.Exception)):
            await getattr(Mistaken(), name)()
