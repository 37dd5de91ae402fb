"""`supervise run` is told to stop while many clients talk to it, in real processes, on the real clock.

Tested, with the chat server on both backends and with the FastAPI example: each request is answered whole, in order, or
refused; /ready is red as soon as one is refused; every accepted message has an end; status 0, within the budget.
"""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Callable

import anyio
import pytest

from supervise import Account
from tests.adapters.http import get
from tests.cli.test_run import on_both, running

BUDGET = 20.0  # seconds; it takes less than one
CLIENTS = 8
WINDOW = 5  # lines of one client under way: all of them fit into every outbox


def number_after(process: subprocess.Popen[str], pattern: str, stream: str) -> int:
    for line in getattr(process, stream):
        found = re.search(pattern, line)
        if found is not None:
            return int(found[1])
    raise AssertionError(f"it ended without saying {pattern!r}")


def account(out: str) -> Account:
    found = re.search(r"^account (.*)$", out, re.MULTILINE)
    assert found is not None, out
    return Account(*map(int, found[1].split()))


class Traffic:
    """What the clients saw."""

    def __init__(self, enough: int, stop: Callable[[], object]) -> None:
        self._enough = enough
        self._stop = stop
        self.answered = 0
        self.refused = 0
        self.wrong: list[str] = []

    def one_more(self) -> None:
        self.answered += 1
        if self.answered == self._enough:
            self._stop()


async def chatter(traffic: Traffic, port: int, nick: str) -> None:
    """Speak until the connection is closed; each own line comes back once, in order, until none does any more."""
    async with await anyio.connect_tcp("127.0.0.1", port) as stream, anyio.create_task_group() as group:
        room = anyio.Semaphore(WINDOW)

        async def speak() -> None:
            try:
                await stream.send(f"NICK {nick}\nJOIN lobby\n".encode())
                n = 0
                while True:
                    await room.acquire()
                    await stream.send(f"SAY {n}\n".encode())
                    n += 1
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                traffic.refused += 1

        group.start_soon(speak)
        expected, rest = 0, b""
        try:
            async for piece in stream:
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    if not line.startswith(f"({nick}) ".encode()):
                        continue
                    if line != f"({nick}) {expected}".encode():
                        traffic.wrong.append(f"{nick} heard {line!r}, and not {expected}")
                    expected += 1
                    room.release()
                    traffic.one_more()
        except anyio.BrokenResourceError:
            pass
        group.cancel_scope.cancel()


async def browser(traffic: Traffic, port: int, probes: int) -> None:
    """Ask for the price again and again; from the first refusal on the tree isn't ready."""
    while True:
        try:
            status, price = await get(port, "/price")
        except (OSError, anyio.BrokenResourceError, anyio.EndOfStream, IndexError):  # IndexError: closed without a byte
            traffic.refused += 1
            try:
                ready, _ = await get(probes, "/ready")
            except (OSError, anyio.BrokenResourceError, anyio.EndOfStream, IndexError):
                return  # gone already
            if ready != 503:
                traffic.wrong.append(f"a request was refused while /ready said {ready}")
            return
        if status != 200 or not isinstance(price, str) or not price.isdecimal():
            traffic.wrong.append(f"{status} {price!r}")
        traffic.one_more()


@on_both
def test_chat_is_stopped_in_the_middle_of_its_clients_talk(backend: str) -> None:
    with running("tests.cli.served:CHAT", "--backend", backend, "--shutdown-budget", str(BUDGET)) as process:
        assert process.stdout is not None
        port = number_after(process, r"^port (\d+)$", "stdout")
        traffic = Traffic(400, lambda: process.send_signal(signal.SIGTERM))

        async def all_talk() -> None:
            async with anyio.create_task_group() as group:
                for n in range(CLIENTS):
                    group.start_soon(chatter, traffic, port, f"client{n}")

        anyio.run(all_talk)  # it ends when every connection is closed
        out, err = process.communicate(timeout=BUDGET)
    assert process.returncode == 0, err
    assert traffic.wrong == []
    assert traffic.answered >= 400
    found = account(out)
    assert found.accepted == found.handled + found.failed + found.dead_lettered + found.abandoned
    assert (found.queued, found.in_hand, found.failed) == (0, 0, 0)
    assert found.handled >= 400


def test_fastapi_is_stopped_in_the_middle_of_its_requests() -> None:
    pytest.importorskip("uvicorn")
    pytest.importorskip("fastapi")
    arguments = ["--health", "127.0.0.1:0", "--shutdown-budget", str(BUDGET)]
    with running("tests.cli.served:PRICES", *arguments) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        probes = number_after(process, r"health at http://127.0.0.1:(\d+)/", "stderr")
        port = number_after(process, r"^port (\d+)$", "stdout")
        traffic = Traffic(200, lambda: process.send_signal(signal.SIGTERM))

        async def all_ask() -> None:
            assert (await get(probes, "/ready"))[0] == 200
            async with anyio.create_task_group() as group:
                for _ in range(CLIENTS):
                    group.start_soon(browser, traffic, port, probes)

        anyio.run(all_ask)
        out, err = process.communicate(timeout=BUDGET)
    assert process.returncode == 0, err
    assert traffic.wrong == []
    assert traffic.answered >= 200
    assert traffic.refused == CLIENTS
    found = account(out)
    assert (found.queued, found.in_hand, found.failed) == (0, 0, 0)
