"""References to children, used as pykka's own in other threads, on the real clock.

Tested: where one is made doesn't matter; what can't be asked of a native actor is the asker's error, and no crash; what a proxy
hasn't, with its cure.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import anyio
import anyio.to_thread
import pytest

pytest.importorskip("pykka", reason="it isn't installed: extra [pykka]")

import pykka
from anyio.from_thread import start_blocking_portal

from supervise import (
    ActorCrashed,
    ActorStopped,
    BadCall,
    GaveUp,
    Intensity,
    StartFailed,
    Supervisor,
    UnknownHandler,
    child,
    current,
    ref,
)
from supervise.adapters.own_thread import own_thread
from supervise.adapters.pykka import Reference, actor, reference
from supervise.events import Event, Overran
from supervise.tree import place
from tests.doubles import Boom
from tests.real_clock import BACKENDS


@pytest.fixture(params=BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def quiet() -> None:
    logging.getLogger("pykka").setLevel(logging.CRITICAL)


class Account:
    """A native actor."""

    def __init__(self) -> None:
        self.balance = 100
        self.lines: list[str] = []

    async def move(self, amount: int) -> int:
        if not amount:
            raise ValueError("of nothing")
        self.balance += amount
        return self.balance

    def on_receive(self, message: str) -> list[str]:
        self.lines.append(message)
        return self.lines


async def elsewhere(function: Callable[[], Any]) -> Any:
    return await anyio.to_thread.run_sync(function)


async def test_one_may_be_made_in_any_thread() -> None:
    async with Supervisor("app") as app:
        account = await app.start(Account)
        assert await elsewhere(lambda: reference(account).ask("tea")) == ["tea"]
        made: list[Reference] = []
        maker = threading.Thread(target=lambda: made.append(reference(account)))
        maker.start()
        maker.join()
        assert await elsewhere(lambda: made[0].proxy().move(1).get()) == 101
        with pytest.raises(RuntimeError, match="for other threads"):
            made[0].ask("tea")


async def test_a_pykka_actor_may_make_one_in_its_own_thread() -> None:
    class Clerk(pykka.ThreadingActor):
        def __init__(self, address: Any) -> None:
            super().__init__()
            self.address = address

        def on_start(self) -> None:
            self.account = reference(self.address)

        def move(self) -> Any:
            return self.account.proxy().move(1).get()

    async with Supervisor("app") as app:
        clerk = await app.start(actor(Clerk, await app.start(Account)))
        assert await clerk.call(Clerk.move) == 101


WRONG: dict[str, tuple[Callable[[Any], Any], type[Exception], str]] = {
    "misspelt": (lambda it: it.proxy().mvoe(1).get(), UnknownHandler, "Account has no handler 'mvoe'"),
    "too many": (lambda it: it.proxy().move(1, 2).get(), BadCall, r"reference\.move\(int, int\) doesn't fit"),
    "no method": (lambda it: it.proxy().balance().get(), UnknownHandler, "no handler 'balance'"),
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_what_a_native_actor_can_not_be_asked_for_is_the_askers_error_and_it_lives_on(wrong: str) -> None:
    use, kind, text = WRONG[wrong]
    async with Supervisor("app") as app:
        account = await app.start(Account)
        held = reference(account)
        with pytest.raises(kind, match=text):
            await elsewhere(lambda: use(held))
        assert await elsewhere(lambda: held.proxy().move(1).get()) == 101
        assert await account.call(lambda _: current().incarnation) == 1


async def test_what_a_native_actor_raises_is_raised_at_the_asker_and_is_its_crash() -> None:
    async with Supervisor("app") as app:
        account = await app.start(Account)
        held = reference(account)
        with pytest.raises(ValueError, match="of nothing"):
            await elsewhere(lambda: held.proxy().move(0).get())
        with pytest.raises(ActorCrashed):
            await elsewhere(lambda: account.from_thread.call(Account.move, 0))


async def test_a_deferred_call_is_a_send() -> None:
    async with Supervisor("app") as app:
        held = reference(await app.start(Account))
        assert await elsewhere(lambda: held.proxy().move.defer(1)) is None
        assert await elsewhere(lambda: held.proxy().move(1).get()) == 102


NOT_THERE: dict[str, tuple[Callable[[Any], Any], str]] = {
    "an attribute": (lambda it: it.proxy().balance.get(), "call a method that returns it"),
    "no brackets": (lambda it: it.proxy().move.get(), r"call it first, proxy\(\)\.move\(…\)\.get\(\)"),
    "set": (lambda it: setattr(it.proxy(), "balance", 1), "call a method that does"),
    "private": (lambda it: it.proxy()._move, "private"),
    "stop": (lambda it: it.stop(), r"address\.stop\(\)"),
    "urn": (lambda it: it.actor_urn, "no 'actor_urn': all else has the address"),
}


@pytest.mark.parametrize("use", NOT_THERE)
async def test_what_a_proxy_has_not_is_told_with_its_cure(use: str) -> None:
    ask, text = NOT_THERE[use]
    async with Supervisor("app") as app:
        held = reference(await app.start(Account))
        with pytest.raises(AttributeError, match=text):
            await elsewhere(lambda: ask(held))


async def test_two_to_one_child_are_equal_and_say_whether_it_takes_messages() -> None:
    async with Supervisor("app") as app:
        account, other = await app.start(Account), await app.start(Account, name="other")
        held = reference(account)
        assert {held, reference(account)} == {held} != {reference(other)}
        assert (repr(held), held.is_alive()) == ("<Reference app/account>", True)
        await app.terminate_child("account")
        assert not held.is_alive()


async def test_in_a_description_it_is_made_of_a_ref_and_looked_up_at_each_start() -> None:
    class Clerk(pykka.ThreadingActor):
        def __init__(self, accounts: Any, *, audit: Any) -> None:
            super().__init__()
            self.accounts = accounts
            self.audit = audit

        def move(self, amount: int) -> tuple[int, list[str]]:
            return self.accounts.proxy().move(amount).get(), self.audit.ask("moved")

    account, audit = child(Account, name="account"), child(Account, name="audit")
    clerk = child(actor(Clerk, reference(ref(account)), audit=reference(ref("audit"))), name="clerk")
    assert repr(reference(ref(account))) == "reference(ref(account))"
    async with Supervisor("app", account, audit, clerk, strategy="rest_for_one") as app:
        address = app.find(clerk)
        assert await address.call(Clerk.move, 1) == (101, ["moved"])
        await app.operator("ada").restart("audit")  # and the clerk, which comes after it
        assert await address.call(Clerk.move, 1) == (102, ["moved"])


async def test_a_factory_that_only_describes_an_actor_is_told_so() -> None:
    describes: Any = lambda: actor(pykka.ThreadingActor)  # noqa: E731 - a factory without a name of its own
    with pytest.raises(StartFailed, match=r"that describes a child, and makes none: give it to child\(\) itself"):
        async with Supervisor("app", child(describes, name="clerk")):
            raise AssertionError("it runs")


async def test_an_address_is_no_reference() -> None:
    async with Supervisor("app") as app:
        account: Any = await app.start(Account)
        with pytest.raises(AttributeError, match="'Address' object has no attribute 'proxy'"):
            account.proxy()


async def test_a_tell_to_a_class_without_on_receive_is_a_dead_letter(caplog: pytest.LogCaptureFixture) -> None:
    async with Supervisor("app") as app:
        held = reference(await app.start(list[str]))
        await elsewhere(lambda: held.tell("tea"))
        with pytest.raises(UnknownHandler, match="no handler 'on_receive'"):
            await elsewhere(lambda: held.ask("tea"))
    assert "reference.on_receive(str)" in caplog.text


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_main_thread_learns_of_a_give_up_when_it_asks_or_leaves(backend: str) -> None:
    went_on = False
    with pytest.raises(GaveUp), start_blocking_portal(backend) as portal:
        tree = Supervisor("app", intensity=Intensity(0, 5), recorder=False)
        with portal.wrap_async_context_manager(tree) as app:
            held = portal.call(reference, portal.call(app.start, Account))
            with pytest.raises(ValueError, match="of nothing"):
                held.proxy().move(0).get()
            with pytest.raises(pykka.ActorDeadError):
                while True:
                    held.ask("tea")
            went_on = True
    assert went_on


async def test_a_thread_that_waits_for_an_older_sibling_holds_up_their_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "UNSTOPPABLE_AFTER", 0.01)
    begun, release = threading.Event(), threading.Event()

    class Vault:
        def on_receive(self, message: str) -> str:
            if message == "crash":
                release.wait(20)
                raise Boom
            return message

    class Clerk(pykka.ThreadingActor):
        def __init__(self, vault: Any) -> None:
            super().__init__()
            self.vault = vault

        def on_receive(self, message: str) -> Any:
            begun.set()
            return self.vault.ask(message)

    vault = child(own_thread(Vault), name="vault")
    clerk = child(actor(Clerk, reference(ref(vault))), name="clerk", stop_within=0.01)
    heard: list[Event] = []
    async with Supervisor("app", vault, clerk, strategy="rest_for_one", listener=heard.append) as app:
        await app.find(vault).send(Vault.on_receive, "crash")
        async with anyio.create_task_group() as group:
            group.start_soon(_stopped, app.find(clerk).call(Clerk.on_receive, "tea"))
            await anyio.to_thread.run_sync(begun.wait, 20)
            release.set()
        assert await app.find(clerk).call(Clerk.on_receive, "tea") == "tea"
    assert [event.path for event in heard if isinstance(event, Overran)] == ["app/clerk"]


async def _stopped(call: Any) -> None:
    with pytest.raises(ActorStopped, match="killed"):
        await call
