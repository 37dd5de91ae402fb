"""A token and a number that are made when somebody asks for them: anywhere, without a lock.

Tested: a finalizer that closes an address in the middle of another one's; the child of a fork in the middle of one in another
thread; many threads that ask for the same one get the same.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest

from supervise import Address, Supervisor
from supervise.mailbox import lifetime, mailbox
from tests.doubles import Scribe

pytestmark = pytest.mark.anyio


async def test_a_finalizer_that_closes_an_address_while_another_one_shares_its_token(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Supervisor("app") as app:
        await app.start(Scribe, name="scribe")
        other: Address[Scribe] = app.find("scribe")
        made = lifetime.Token.__init__

        def struck(self: lifetime.Token, of: lifetime.Lifetime | None) -> None:  # as where the collector runs
            monkeypatch.setattr(lifetime.Token, "__init__", made)
            made(self, of)
            other.close()

        monkeypatch.setattr(lifetime.Token, "__init__", struck)
        view = app.find("scribe").options(timeout=1)
        assert await view.call(Scribe.note, 1) == 1
        assert not other._token.open


async def test_a_finalizer_that_hashes_an_address_while_its_number_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Supervisor("app") as app:
        scribe = await app.start(Scribe)
        numbers = iter(range(10**6, 10**7))

        class Struck:
            def __next__(self) -> int:
                monkeypatch.setattr(mailbox, "_ids", numbers)
                hash(scribe)
                return next(numbers)

        monkeypatch.setattr(mailbox, "_ids", Struck())
        assert scribe.id == scribe.id
        assert hash(scribe) == hash(scribe.clone())


def number(address: Address[Any]) -> object:
    return address.id


def token(address: Address[Any]) -> object:
    return address._own_token()


@pytest.mark.parametrize("ask", [number, token])
async def test_all_threads_get_the_same_one(ask: Callable[[Address[Any]], object]) -> None:
    def look(address: Address[Any], seen: list[object], together: threading.Barrier) -> None:
        together.wait()
        seen.append(ask(address))

    async with Supervisor("app") as app:
        for _ in range(50):
            address = await app.start(Scribe)
            seen: list[object] = []
            together = threading.Barrier(4)
            threads = [threading.Thread(target=look, args=(address, seen, together)) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert len({id(each) if isinstance(each, lifetime.Token) else each for each in seen}) == 1


def _closes_and_hashes_in_a_child(address: Address[Any]) -> int:
    """What its process ends with; one that hangs is ended by its alarm."""
    child = os.fork()
    if not child:
        signal.alarm(20)
        address.close()
        hash(address)
        os._exit(0)
    return os.waitpid(child, 0)[1]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this platform")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
async def test_a_fork_in_the_middle_of_it_leaves_nothing_locked(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Supervisor("app") as app:
        address, other = await app.start(Scribe), await app.start(Scribe)
        asked, forked = threading.Event(), threading.Event()
        plain = lifetime.Token.__init__

        def held(self: lifetime.Token, of: lifetime.Lifetime | None) -> None:
            if threading.current_thread() is thread:
                asked.set()
                forked.wait()
            plain(self, of)

        thread = threading.Thread(target=lambda: other.options(timeout=1))
        monkeypatch.setattr(lifetime.Token, "__init__", held)
        thread.start()
        asked.wait()
        try:
            assert _closes_and_hashes_in_a_child(address) == 0
        finally:
            forked.set()
            thread.join()
