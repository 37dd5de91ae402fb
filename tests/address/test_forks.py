"""A process that is forked off has copies of addresses, whose actors nobody runs; they say so, and the parent isn't harmed.

Tested (SEMANTICS 62, 63): each operation in the child of a fork, `from_thread` there, reads and copies; the parent goes on.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import traceback
import warnings
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from supervise import Address, MailboxClosed, Supervisor, WrongProcess, child
from tests.doubles import Scribe
from tests.real_clock import on_the_real_clock

from .test_threads_and_loops import READS, USES, finish

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform doesn't fork"),
]

HUNG = 20  # seconds, after which the kernel ends the child


def in_child(ask: Callable[[], Any]) -> Any:
    """What it gives in a process that is forked off here, as JSON; the child does nothing else."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # there are threads, which is what is tested
        pid = os.fork()
    if not pid:
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(HUNG)
            os.close(reader)
            try:
                said = ask()
            except BaseException:
                said = traceback.format_exc()
            os.write(writer, json.dumps(said).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as answers:
        said = answers.read()
    _, status = os.waitpid(pid, 0)
    assert status == 0, f"the child ended with {status}; it said {said!r}"
    return json.loads(said)


def error_of(ask: Callable[[], Any]) -> str:
    """The name of what it raises."""
    try:
        finish(ask())
    except BaseException as error:
        return type(error).__name__
    return "nothing"


@on_the_real_clock
async def test_each_use_in_a_forked_child_is_refused_and_the_parent_is_unharmed(anyio_backend: Any) -> None:
    log: list[Any] = []
    with anyio.fail_after(60):
        async with Supervisor("app", child(Scribe, log)) as app:
            address: Address[Scribe] = app.find("scribe")
            await address.call(Scribe.note, 0)
            await anyio.lowlevel.checkpoint()  # so that it is parked
            said = in_child(lambda: {use: error_of(lambda use=use: USES[use](address)) for use in USES})  # type: ignore[misc]
            assert said == dict.fromkeys(USES, WrongProcess.__name__)
            assert await address.call(Scribe.note, 1) == 2
            await address.send(Scribe.note, 2)
            assert await address.call(Scribe.note, 3) == 4
            account = address.account()
            assert (account.accepted, account.handled) == (4, 4)
    assert log == [0, 1, 2, 3]


@on_the_real_clock
async def test_what_a_child_accepts_of_nothing_leaves_its_copy_as_it_was(anyio_backend: Any) -> None:
    async with Supervisor("app", child(Scribe)) as app:
        address: Address[Scribe] = app.find("scribe")
        await address.call(Scribe.note, 0)

        def look() -> list[Any]:
            for use in USES:
                error_of(lambda use=use: USES[use](address))  # type: ignore[misc]
            mailbox = address._mailbox
            return [*address.account(), len(address), mailbox.extras.paused, mailbox.refusal]

        before = [*address.account(), 0, False, None]
        assert in_child(look) == before


@on_the_real_clock
async def test_the_error_names_the_cure(anyio_backend: Any) -> None:
    async with Supervisor("app", child(Scribe)) as app:
        address: Address[Scribe] = app.find("scribe")

        def text() -> str:
            with pytest.raises(WrongProcess) as caught:
                address.try_send(Scribe.note, 1)
            return str(caught.value)

        assert "app/scribe" in in_child(text)
        assert "after the fork" in in_child(text)


@on_the_real_clock
async def test_from_thread_in_a_forked_child_is_closed_in_any_of_its_threads(anyio_backend: Any) -> None:
    with anyio.fail_after(60):
        async with Supervisor("app", child(Scribe)) as app:
            address: Address[Scribe] = app.find("scribe")

            def ask() -> list[str]:
                foreign = address.from_thread
                said: list[str] = []

                def use() -> None:
                    said.append(error_of(lambda: foreign.call(Scribe.note, 1)))
                    said.append(error_of(lambda: foreign.send(Scribe.note, 1)))

                use()  # where trio takes the copy of its loop for one that runs
                thread = threading.Thread(target=use, daemon=True)
                thread.start()
                thread.join(HUNG / 2)
                return said

            expected = [MailboxClosed.__name__] * 4
            assert in_child(ask) == expected
            assert await anyio.to_thread.run_sync(in_child, ask) == expected  # forked by a thread that isn't the loop's
            assert await address.call(Scribe.note, 1) == 1
            assert await anyio.to_thread.run_sync(lambda: address.from_thread.call(Scribe.note, 2)) == 2


@on_the_real_clock
async def test_reads_and_copies_work_in_a_forked_child(anyio_backend: Any) -> None:
    async with Supervisor("app", child(Scribe)) as app:
        address: Address[Scribe] = app.find("scribe")
        said = in_child(lambda: {read: error_of(lambda read=read: READS[read](address)) for read in READS})  # type: ignore[misc]
        assert said == dict.fromkeys(READS, "nothing")


def test_a_child_can_run_a_tree_of_its_own() -> None:
    def ask() -> list[int]:
        warnings.simplefilter("ignore")  # trio finds the parent's trio at the signals

        answers: list[int] = []

        async def main() -> None:
            async with Supervisor("app", child(Scribe)) as app:
                answers.append(await app.find("scribe").call(Scribe.note, 1))

        for backend in ("asyncio", "trio"):
            anyio.run(main, backend=backend)
        return answers

    async def fork() -> Any:
        async with Supervisor("app", child(Scribe)):
            return await anyio.to_thread.run_sync(in_child, ask)

    for backend in ("asyncio", "trio"):
        assert anyio.run(fork, backend=backend) == [1, 1]
