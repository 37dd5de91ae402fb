"""What a link costs, beside the bare socket that it goes over: `python -m tests.remote.benchmarks [--wire unix|tcp|tls]`.

Each round measures all of these, one after the other, in the same process and the same minute; a row is the median of the
rounds, with the interval in which the true one lies in 95 of 100 runs. No figure is compared with one of another run.

- bare round trip: anyio alone. As many bytes as a call has go over a socket of the same kind, to a task that answers with as
  many as a reply has. The median of one after the other.
- call: `address.call` over a link, to a handler that adds a number. The median of one after the other.
- call : bare: how many bare round trips a call costs. At most 5.
- a send: `address.send` of the same to the same handler, many one after the other, until all are handled; the time of each.
- call : send: how many sends go through in the time of one call. At least 8.
- calls/s, 50 at once: 50 tasks that call, each one after the other.
- sends/s: of one sender, from the time of each.

Both sides are in one process, so that a call is all the work of both. What is done many times at once is then timed by the time
of its processor: that of others, who share the machine, isn't counted in a median of single calls, either. `--apart` puts the
other side into a process of its own; there the clock on the wall counts, and the machine should have nothing else to do.
It exits with 1 if a row misses its limit on unix, with its whole interval: what TCP and TLS cost is the kernel's and OpenSSL's.
"""

from __future__ import annotations

import argparse
import ssl
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeAlias

import anyio
import anyio.to_thread
from anyio.abc import ByteStream

from supervise import Address, Supervisor, child
from supervise.remote.dial import dial
from supervise.remote.endpoint import Endpoint, secured, undelayed
from supervise.remote.gate import Acceptor, gate
from supervise.wire.frames import Frame, encode
from supervise.wire.interface import Interface
from supervise.wire.kinds import Kind
from supervise.wire.remote_address import RemoteAddress
from tests.benchmarks.interval import interval
from tests.benchmarks.table import machine

from .crowds import line_of, no_log, process
from .fault_shop import certified, certify, trusts

Wire: TypeAlias = Literal["unix", "tcp", "tls"]
WIRES: Final[tuple[Wire, ...]] = ("unix", "tcp", "tls")
AT_ONCE: Final = 50


class CounterApi(Protocol):
    """What is asked of the other side."""

    async def add(self, amount: int) -> int: ...


COUNTER: Interface[CounterApi] = Interface("counter", CounterApi)


class Counter:
    """Adds. What it has added shows that nothing was skipped."""

    def __init__(self) -> None:
        self.total = 0

    async def add(self, amount: int) -> int:
        self.total += amount
        return self.total


def _bytes() -> tuple[bytes, bytes]:
    """What a call is on the wire, and its answer."""
    (method,) = COUNTER.methods
    call = Frame(Kind.CALL, 1000, 0, method.encode((1,), {}), 0, 1, above=(bytes(8),))
    return encode(call), encode(Frame(Kind.REPLY, 1000, body=method.encode_result(1000, 1000)))


THERE, BACK = _bytes()


class Row(NamedTuple):
    """A figure of each round, and what it has to be."""

    what: str
    unit: str
    least: float = 0.0
    most: float = float("inf")


ROWS: Final = (
    Row("bare round trip", "µs"),
    Row("call", "µs"),
    Row("call : bare", "x", most=5),
    Row("a send", "µs"),
    Row("call : send", "x", least=8),
    Row(f"calls/s, {AT_ONCE} at once", "k"),
    Row("sends/s", "k"),
)


@dataclass
class Table:
    """What the rounds came to, row by row."""

    rounds: list[list[float]] = field(default_factory=list[list[float]])

    def values(self, row: int) -> list[float]:
        return [each[row] for each in self.rounds]

    def misses(self) -> list[str]:
        """The rows whose whole interval is beyond a limit."""
        found: list[str] = []
        for number, row in enumerate(ROWS):
            low, high = interval(self.values(number))
            if low > row.most:
                found.append(f"{row.what} is {low:.2f} {row.unit} or more, and {row.most:g} at most may be")
            if high < row.least:
                found.append(f"{row.what} is {high:.2f} {row.unit} or less, and has to be {row.least:g} at least")
        return found

    def lines(self) -> list[str]:
        found = [f"  {'what':<24}{'median':>12}  {'(interval)':<18}{'limit':>8}"]
        for number, row in enumerate(ROWS):
            values = self.values(number)
            low, high = interval(values)
            limit = f"<= {row.most:g}" if row.most < float("inf") else f">= {row.least:g}" if row.least else ""
            middle, around = f"{statistics.median(values):.2f} {row.unit}", f"({low:.2f} - {high:.2f})"
            found.append(f"  {row.what:<24}{middle:>12}  {around:<18}{limit:>8}")
        return found


# -- the other side ------------------------------------------------------------------------------------------------------------


def _where(wire: Wire, folder: Path, name: str) -> str:
    return f"unix://{folder / name}.sock" if wire == "unix" else "tcp://127.0.0.1:0"


@asynccontextmanager
async def served(wire: Wire, folder: Path) -> AsyncGenerator[tuple[str, str]]:
    """A bare listener and a gate, in this process; where both are."""
    server = certified(folder) if wire == "tls" else None
    counter = child(Counter, name="counter")
    door = gate(_where(wire, folder, "gate"), serves=[COUNTER.by(counter)], tls=server)
    (bare, *_) = await Endpoint.parse("bare", "where", _where(wire, folder, "bare")).listen()
    async with bare, Supervisor("shop", counter, door) as app, anyio.create_task_group() as group:
        group.start_soon(bare.serve, partial(_answers, wire, server))
        acceptor: Address[Acceptor] = app.find("gate/acceptor")
        (found,) = await acceptor.call(Acceptor.addresses)
        address: Any = bare.extra(anyio.abc.SocketAttribute.local_address)
        yield (
            f"tcp://localhost:{address[1]}" if wire != "unix" else f"unix://{address}",
            found.replace("127.0.0.1", "localhost"),
        )
        group.cancel_scope.cancel()


async def _answers(wire: Wire, server: ssl.SSLContext | None, stream: ByteStream) -> None:
    if wire != "unix":
        undelayed(stream.extra(anyio.abc.SocketAttribute.raw_socket))
    if server is not None:
        stream = await secured(stream, server, server=True)
    async with stream:
        try:
            while True:
                await _whole(stream, len(THERE))
                await stream.send(BACK)
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            pass


async def _whole(stream: ByteStream, size: int) -> None:
    while size:
        size -= len(await stream.receive(65536))


async def serve(wire: Wire, folder: Path) -> None:
    """In a process of its own, until stdin ends."""
    async with served(wire, folder) as (bare, door):
        print(bare, door, flush=True)
        await anyio.to_thread.run_sync(sys.stdin.buffer.read, abandon_on_cancel=True)


@asynccontextmanager
async def apart(wire: Wire, folder: Path, backend: str) -> AsyncGenerator[tuple[str, str]]:
    """The same in a process of its own."""
    words = ("--serve", folder, "--wire", wire, "--backend", backend)
    async with process("benchmarks", *words, stdin=subprocess.PIPE, stderr=None) as other:
        bare, door = (await line_of(other)).split()
        yield bare, door


# -- what is measured ----------------------------------------------------------------------------------------------------------


class Side:
    """This side: a bare connection, and a link."""

    def __init__(self, stream: ByteStream, far: RemoteAddress[CounterApi], clock: Callable[[], float]) -> None:
        self.clock = clock
        self.stream = stream
        self.far = far
        self.added = 0

    async def round(self, size: int) -> list[float]:
        """All figures, in the order of the rows."""
        bare = await self.median(self._bare, size)
        call = await self.median(self._call, size)
        send = await self.sends(size * 5)
        calls = await self.calls_at_once(size * 2)
        return [bare * 1e6, call * 1e6, call / bare, send * 1e6, call / send, calls / 1e3, 1e-3 / send]

    async def median(self, work: Callable[[], Any], size: int) -> float:
        """Seconds of one of them."""
        seen: list[float] = []
        for _ in range(size):
            began = time.perf_counter()
            await work()
            seen.append(time.perf_counter() - began)
        return statistics.median(seen)

    async def _bare(self) -> None:
        await self.stream.send(THERE)
        await _whole(self.stream, len(BACK))

    async def _call(self) -> None:
        self.added += 1
        await self.far.call(CounterApi.add, 1)

    async def sends(self, size: int) -> float:
        """Seconds of each, until all are handled."""
        began = self.clock()
        for _ in range(size):
            await self.far.send(CounterApi.add, 1)
        await self._added(size)
        return (self.clock() - began) / size

    async def calls_at_once(self, size: int) -> float:
        """How many in a second."""
        each = max(1, size // AT_ONCE)

        async def ask() -> None:
            for _ in range(each):
                await self.far.call(CounterApi.add, 1)

        began = self.clock()
        async with anyio.create_task_group() as group:
            for _ in range(AT_ONCE):
                group.start_soon(ask)
        rate = each * AT_ONCE / (self.clock() - began)
        await self._added(each * AT_ONCE)
        return rate

    async def _added(self, more: int) -> None:
        """A link that skips work would win."""
        self.added += more
        found = await self.far.call(CounterApi.add, 0)
        if found != self.added:
            raise AssertionError(f"{found} were added, and not {self.added}")


async def run(wire: Wire, backend: str, *, other: bool, rounds: int, size: int) -> Table:
    """So many rounds."""
    table = Table()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="link-")))
        near: ssl.SSLContext | None = None
        if wire == "tls":
            certify(folder)
            near = trusts(folder)
        there = apart(wire, folder, backend) if other else served(wire, folder)
        bare, door = await stack.enter_async_context(there)
        stream = await stack.enter_async_context(await Endpoint.parse("bare", "where", bare).connect(near))
        link = dial(door, uses=[COUNTER], tls=near)
        web = await stack.enter_async_context(Supervisor("web", link))
        side = Side(stream, COUNTER.over(web.find(link)), time.perf_counter if other else time.process_time)
        await side.round(max(size // 5, 10))  # it imports and specialises what there is
        for _ in range(rounds):
            table.rounds.append(await side.round(size))
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """1 if a limit is missed on unix, 0 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m tests.remote.benchmarks", description="What a link costs.")
    parser.add_argument("--wire", choices=WIRES, default="unix")
    parser.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio")
    parser.add_argument("--apart", action="store_true", help="the other side in a process of its own")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--size", type=int, default=2000, help="round trips of a round; it makes five times as many sends")
    parser.add_argument("--serve", type=Path, metavar="FOLDER", help=argparse.SUPPRESS)  # the other side
    given = parser.parse_args(arguments)
    if given.serve is not None:
        anyio.run(serve, given.wire, given.serve, backend=given.backend)
        return 0
    work = partial(run, given.wire, given.backend, other=given.apart, rounds=given.rounds, size=given.size)
    with no_log():
        table = anyio.run(work, backend=given.backend)
    print(f"{given.wire}, {given.backend}, {'two processes' if given.apart else 'one process'}; {machine()}")
    print(*table.lines(), sep="\n")
    misses = table.misses() if given.wire == "unix" else []
    print(*[f"MISSED: {line}" for line in misses], sep="\n", end="\n" if misses else "")
    return 1 if misses else 0


if __name__ == "__main__":
    sys.exit(main())
