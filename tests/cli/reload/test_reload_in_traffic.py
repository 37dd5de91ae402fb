"""A shop that serves clients over TCP, while the file of its handlers is changed 20 times, twice to something broken.

Tested, on real sockets and the real clock: each line is answered once, in order, by the old code or by the new; no connection
is dropped but those of actors that were restarted; nothing that was sent is lost or done twice; the account balances.
"""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream

from tests.real_clock import on_the_real_clock

from .files import Files
from .stage import Stage, running

pytestmark = [pytest.mark.anyio, on_the_real_clock]

CLIENTS = 8
WINDOW = 5  # lines of one client under way
GUARD = 120.0  # seconds after which what hangs is given up; it takes a few
LINES = 200  # that are answered between two changes
CHANGES = 20
BROKEN = {7: "    1 / 0\n", 14: "    def f(:\n"}

SHOP = """
    from supervise import DynamicSupervisor, Supervisor, child, ref, task
    from .ledger import Ledger
    from .listener import listen
    from .orders import Orders
    LEDGER = child(Ledger, name="ledger")
    ORDERS = child(Orders, ref(LEDGER), name="orders", capacity=20)
    CONNECTIONS = DynamicSupervisor("connections")
    TREE = Supervisor("shop", LEDGER, ORDERS, CONNECTIONS, child(task(listen, ref(ORDERS)), name="listener"))
"""
LEDGER = """
    from collections import Counter
    class Ledger:
        def __init__(self):
            self.placed, self.noted = Counter(), Counter()
        def note(self, what, line):
            (self.placed if what == "placed" else self.noted)[line] += 1
"""
ORDERS = """
    import anyio.lowlevel
    from .ledger import Ledger
    VERSION = 0
    class Orders:
        def __init__(self, ledger):
            self.ledger = ledger
        async def place(self, line):
            await anyio.lowlevel.checkpoint()
            await self.ledger.call(Ledger.note, "placed", line)
            return f"{line} {VERSION}"
        async def note(self, line):
            await self.ledger.send(Ledger.note, "noted", line)
"""
TAKES = """
    from typing import Protocol
    class Takes(Protocol):
        async def place(self, line): ...
        async def note(self, line): ...
"""
CONNECTION = """
    from contextlib import suppress
    import anyio
    from .takes import Takes
    async def talk(stream, orders):
        rest = b""
        with suppress(anyio.ClosedResourceError):  # by its last life
          async with stream:
            async for piece in stream:
                *lines, rest = (rest + piece).split(b"\\n")
                for line in lines:
                    await orders.send(Takes.note, line.decode())
                    answer = await orders.call(Takes.place, line.decode())
                    await stream.send(answer.encode() + b"\\n")
"""
LISTENER = """
    import anyio
    from supervise import current
    PORTS = []
    async def listen(orders):
        from .connection import talk  # at each connection anew, so that this isn't restarted with that
        supervisor = current().supervisor("connections")
        listeners = await anyio.create_tcp_listener(local_host="127.0.0.1")
        PORTS.append(listeners.extra(anyio.abc.SocketAttribute.local_port))
        async def accept(stream):
            from .connection import talk
            await supervisor.start_task(talk, stream, orders)
        async with listeners:
            await listeners.serve(accept)
"""


class Clients:
    """What they saw, and sent."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.answered = 0
        self.versions: set[int] = set()
        self.wrong: list[str] = []
        self.lines: set[str] = set()
        self.dropped = 0
        self.without_answer: set[str] = set()  # as their connection was dropped: they were sent once more
        self.stopping = False
        self._more = anyio.Event()

    async def until_answered(self, more: int) -> None:
        wanted = self.answered + more
        while self.answered < wanted:
            self._more = anyio.Event()
            await self._more.wait()

    async def talk(self, name: str) -> None:
        """Until all say enough; who is dropped comes back."""
        waiting: list[str] = []
        n = 0
        while not self.stopping:
            async with await anyio.connect_tcp("127.0.0.1", self._port) as stream:
                answers = BufferedByteReceiveStream(stream)
                try:
                    while not self.stopping or waiting:
                        if not waiting:
                            waiting = [f"{name}-{number}" for number in range(n, n + WINDOW)]
                            n += WINDOW
                            self.lines.update(waiting)
                        await stream.send("".join(f"{line}\n" for line in waiting).encode())
                        while waiting:
                            self._hear((await answers.receive_until(b"\n", 100)).decode(), waiting.pop(0))
                except (anyio.BrokenResourceError, anyio.EndOfStream, anyio.IncompleteRead):
                    self.dropped += 1
                    self.without_answer.update(waiting)

    def _hear(self, answer: str, line: str) -> None:
        said, _, version = answer.rpartition(" ")
        if said != line:
            self.wrong.append(f"{answer!r} is no answer to {line!r}")
        self.answered += 1
        self.versions.add(int(version))
        self._more.set()


async def test_no_message_is_lost_and_no_connection_dropped_while_the_code_changes(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = {"ledger": LEDGER, "orders": ORDERS, "takes": TAKES, "connection": CONNECTION, "listener": LISTENER, "app": SHOP}
    files.write(__init__="", **texts)
    with anyio.fail_after(GUARD):
        async with running(files, capsys) as stage:
            while not files.there("listener").PORTS:
                await anyio.lowlevel.checkpoint()
            clients = Clients(files.there("listener").PORTS[0])
            async with anyio.create_task_group() as group:
                for number in range(CLIENTS):
                    group.start_soon(clients.talk, f"c{number}")
                await _change_orders(stage, clients)
                await _change_connections(stage, clients)
                clients.stopping = True
            await _check(stage, clients)


async def _change_orders(stage: Stage, clients: Clients) -> None:
    for number in range(1, CHANGES + 1):
        await clients.until_answered(LINES)
        said = await stage.save(orders=ORDERS.replace("VERSION = 0", f"VERSION = {number}") + BROKEN.get(number, ""))
        if number in BROKEN:
            assert said[-1].startswith("orders.py can't be imported (")
        else:
            assert said == [f"orders.py: restarted shop/orders; {2 + CLIENTS} actors of unchanged code run on"]
    await clients.until_answered(LINES)
    account = stage.app.account()
    assert (account.failed, account.dead_lettered, account.abandoned) == (0, 0, 0)
    assert clients.dropped == 0
    assert clients.versions == {n for n in range(CHANGES + 1) if n not in BROKEN}


async def _change_connections(stage: Stage, clients: Clients) -> None:
    """Theirs alone are dropped, and the listener, which didn't even notice, takes the new ones."""
    (said,) = await stage.save(connection=CONNECTION + "    # new\n")
    assert said.count("connections/") == CLIENTS
    await clients.until_answered(LINES)
    assert clients.dropped == CLIENTS


async def _check(stage: Stage, clients: Clients) -> None:
    while stage.app.supervisor("connections").children() or stage.app.account().queued:
        await anyio.lowlevel.checkpoint()
    counts = await stage.app.find("ledger").call(lambda ledger: (ledger.placed, ledger.noted))
    account = stage.app.account()
    assert clients.wrong == []
    for times in counts:
        assert clients.lines == {*times}
        assert {line for line in times if times[line] > 1} <= clients.without_answer
    assert account.accepted == account.handled + account.abandoned
    assert account.abandoned <= CLIENTS  # by connections that were cancelled as they waited for the answer
    assert (account.failed, account.dead_lettered, account.queued, account.in_hand) == (0, 0, 0, 0)
