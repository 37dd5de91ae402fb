"""The interface of an address, apart from the implementation: three of them keep one contract; a broken one is found out.

Tested: the contract of local ones, on a supervised actor's address, a weak one and a fake one, and that it refuses an address
that breaks it (`test_remote_contract.py` has that of remote ones);
what is the fake's own: what it records, its answers, its refusals, who handles what, and when.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import pytest

from supervise import (
    ActorCrashed,
    ActorStopped,
    AddressLike,
    CallCycle,
    Intensity,
    InvalidSpec,
    MailboxClosed,
    MailboxFull,
    Supervisor,
    UnknownHandler,
)
from supervise.testing import FakeAddress, at_rest
from supervise.testing.contract import AddressContract, LocalAddressContract, Specimen
from tests.doubles import Gate, Scribe


@asynccontextmanager
async def supervised(factory: type[Specimen], weak: bool) -> AsyncGenerator[AddressLike[Specimen]]:
    async with Supervisor("app", intensity=Intensity(100, per=1)) as app:
        address = await app.start(factory)
        yield address.weak if weak else address


@asynccontextmanager
async def faked(factory: type[Specimen]) -> AsyncGenerator[AddressLike[Specimen]]:
    yield FakeAddress(factory)


class TestAddress(LocalAddressContract):
    def address(self, factory: type[Specimen]) -> AbstractAsyncContextManager[AddressLike[Specimen]]:
        return supervised(factory, weak=False)


class TestWeakAddress(LocalAddressContract):
    def address(self, factory: type[Specimen]) -> AbstractAsyncContextManager[AddressLike[Specimen]]:
        return supervised(factory, weak=True)


class TestFakeAddress(LocalAddressContract):
    def address(self, factory: type[Specimen]) -> AbstractAsyncContextManager[AddressLike[Specimen]]:
        return faked(factory)


class Stubborn(FakeAddress[Any]):
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


class Broken(LocalAddressContract):
    def address(self, factory: type[Specimen]) -> AbstractAsyncContextManager[AddressLike[Specimen]]:
        return self.stubborn()

    @asynccontextmanager
    async def stubborn(self) -> AsyncGenerator[AddressLike[Specimen]]:
        yield Stubborn(Specimen)


CONTRACT = [name for name, _ in inspect.getmembers(LocalAddressContract, inspect.isfunction) if name.startswith("test_")]


@pytest.mark.anyio
@pytest.mark.parametrize("name", CONTRACT)
async def test_the_contract_refuses_an_address_that_breaks_it(name: str) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        await getattr(Broken(), name)()


@pytest.mark.anyio
async def test_whoever_derives_has_to_say_how_an_address_comes_about() -> None:
    with pytest.raises(NotImplementedError, match="AddressContract has to say"):
        await AddressContract().test_a_call_answers_what_the_handler_returns()


@pytest.mark.anyio
async def test_a_fake_records_what_it_is_sent() -> None:
    fake = FakeAddress(Scribe, name="scribe")
    await fake.call(Scribe.note, "a")
    await fake.send(Scribe.note, entry="b")
    fake.try_send(Scribe.note_at_once, "c")
    assert [*map(str, fake.sent)] == [
        "call Scribe.note('a')",
        "send Scribe.note(entry='b')",
        "try_send Scribe.note_at_once('c')",
    ]
    assert [sent.args for sent in fake.of(Scribe.note)] == [("a",), ()]
    assert (fake.name, fake.path, repr(fake)) == ("scribe", "scribe", "<FakeAddress scribe>")


@pytest.mark.anyio
async def test_a_fake_has_handled_what_was_sent_when_send_returns_and_try_sends_later() -> None:
    log: list[Any] = []
    fake = FakeAddress(Scribe, log)
    await fake.send(Scribe.note, "a")
    assert log == ["a"]
    fake.try_send(Scribe.note, "b")
    assert log == ["a"]
    await fake.settle()
    assert log == ["a", "b"]


@pytest.mark.anyio
async def test_answers_come_instead_of_the_handler_and_of_an_actor() -> None:
    log: list[Any] = []
    fake: FakeAddress[Scribe]
    for fake in (FakeAddress(Scribe, log), FakeAddress[Scribe]()):
        fake.answer(Scribe.note, 7)
        fake.fail(Scribe.hold, TimeoutError("late"))
        assert await fake.call(Scribe.note, "a") == 7
        with pytest.raises(TimeoutError, match="late"):
            await fake.call(Scribe.hold, Gate())
        await fake.send(Scribe.hold, Gate())
        assert len(fake.dead_letters) == 1
    assert log == []


@pytest.mark.anyio
async def test_a_fake_without_an_actor_wants_an_answer_for_each_call_and_for_no_send() -> None:
    fake = FakeAddress[Scribe]()
    fake.answer(Scribe.note_at_once, 1)
    await fake.send(Scribe.note, "a")
    with pytest.raises(AssertionError, match=r"no answer to call Scribe.note\('a'\).*answers: Scribe.note_at_once"):
        await fake.call(Scribe.note, "a")
    assert fake.dead_letters == []


@pytest.mark.anyio
async def test_a_crash_in_a_send_is_a_dead_letter_and_the_next_message_meets_a_fresh_actor() -> None:
    made: list[Scribe] = []

    def make() -> Scribe:
        made.append(Scribe())
        return made[-1]

    fake = FakeAddress(make)
    await fake.send(Scribe.crash, "x")
    assert fake.dead_letters == ["Scribe.crash('x')"]
    assert await fake.call(Scribe.note, "a") == 1
    with pytest.raises(ActorCrashed, match="fake #2 crashed: Boom: y"):
        await fake.call(Scribe.crash, "y")
    assert len(made) == 2


@pytest.mark.anyio
async def test_an_unknown_handler_that_a_handler_met_is_a_crash() -> None:
    fake, other = FakeAddress(Scribe), FakeAddress[Any](Specimen)

    async def asks(_: Scribe) -> None:
        await other.call(Scribe.hold, Gate())

    with pytest.raises(ActorCrashed) as raised:
        await fake.call(asks)
    assert isinstance(raised.value.__cause__, UnknownHandler)


@pytest.mark.anyio
async def test_a_fake_that_is_closed_or_full_refuses_with_the_message_attached() -> None:
    fake = FakeAddress(Scribe)

    async def refused(kind: type[MailboxClosed] | type[MailboxFull]) -> None:
        ways: list[Callable[[], Any]] = [
            lambda: fake.call(Scribe.note, "a"),
            lambda: fake.send(Scribe.note, "a"),
            lambda: fake.try_send(Scribe.note, "a"),
        ]
        for way in ways:
            with pytest.raises(kind) as raised:
                awaited = way()
                await awaited
            assert str(raised.value.message) == "Scribe.note('a')"

    fake.full = True
    await refused(MailboxFull)
    fake.full = False
    await fake.send(Scribe.note, "a")
    fake.close()
    await refused(MailboxClosed)
    assert len(fake.sent) == 1


@pytest.mark.anyio
async def test_handlers_of_a_fake_never_overlap() -> None:
    log: list[Any] = []
    fake = FakeAddress(Scribe, log)
    gate = Gate()
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: fake.call(Scribe.hold, gate))
        await gate.reached.wait()
        group.start_soon(lambda: fake.call(Scribe.note, "a"))
        await at_rest()
        assert log == []
        gate.open()
    assert log == ["a"]


@pytest.mark.anyio
async def test_a_handler_that_writes_to_its_own_fake() -> None:
    log: list[Any] = []
    fake = FakeAddress(Scribe, log)

    async def sends(scribe: Scribe) -> None:
        await fake.send(Scribe.note, "later")
        log.append("now")

    async def calls(scribe: Scribe) -> int:
        return await fake.call(Scribe.note, "never")

    await fake.call(sends)
    await fake.settle()
    assert log == ["now", "later"]
    with pytest.raises(ActorCrashed) as raised:
        await fake.call(calls)
    assert isinstance(raised.value.__cause__, CallCycle)


@pytest.mark.anyio
async def test_whose_message_was_handled_in_a_task_that_is_cancelled_is_told() -> None:
    fake = FakeAddress(Scribe)
    gate, never = Gate(), Gate()
    outcome: list[Any] = []

    async def calls() -> None:
        try:
            await fake.call(Scribe.hold, never)
        except ActorStopped as error:
            outcome.append(error)

    async with anyio.create_task_group() as group:
        scope = anyio.CancelScope()

        async def sends() -> None:
            with scope:
                await fake.send(Scribe.hold, gate)

        group.start_soon(sends)
        await gate.reached.wait()
        group.start_soon(calls)
        await at_rest()
        gate.open()
        await never.reached.wait()
        scope.cancel()
        await at_rest()
        assert len(outcome) == 1
    assert await fake.call(Scribe.note, "a") == 1


@pytest.mark.anyio
async def test_what_cant_be_meant_is_refused() -> None:
    bad: Any = Scribe()
    with pytest.raises(InvalidSpec, match="factory="):
        FakeAddress(bad)
    with pytest.raises(InvalidSpec, match="a/b"):
        FakeAddress(Scribe, name="a/b")
