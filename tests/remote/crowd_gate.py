"""A gate in a process of its own that says which limit each connection came to, for `crowds.py`.

    python -m tests.remote.crowd_gate BACKEND LIMITS [FOLDER]

It prints the port that it listens on, and serves until its stdin ends. Then it stops in order, and prints one line of JSON:
what became of each connection, by its address, and what is left. With FOLDER it speaks TLS, with the certificate that is there.
"""

from __future__ import annotations

import json
import ssl
import sys
import time
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import anyio
import anyio.to_thread
from anyio.abc import ByteStream

from supervise import Address, Supervisor, child, current
from supervise.errors import ProtocolError
from supervise.remote.caller import address_of, host_of
from supervise.remote.gate import Acceptor, gate
from supervise.remote.limits import Limits
from supervise.remote.peer import Peer
from supervise.testing import left_over
from supervise.wire.interface import Interface

from .fault_shop import certified, files

SAID = {"a frame took": "whole_frame", "hasn't read": "write", "is silent": "idle, pong", "closed the connection": "it left"}
"""What a lost connection says, and which limit that is."""


@dataclass
class State:
    """How the gate is, asked by the honest caller when the crowd is gone."""

    balanced: bool
    links: int
    places: int
    """Connections that it counts."""
    handshakes: int
    files: int


class DoorApi(Protocol):
    """What can be asked behind it."""

    def count(self) -> int: ...
    async def blob(self, size: int) -> bytes: ...
    async def state(self) -> State: ...


DOOR: Interface[DoorApi] = Interface("door", DoorApi)


class Door:
    """Stands behind it."""

    def __init__(self) -> None:
        self._counted = 0

    def count(self) -> int:
        self._counted += 1
        return self._counted

    async def blob(self, size: int) -> bytes:
        return bytes(size)

    async def state(self) -> State:
        app = current().supervisor()
        life = app.find("gate/acceptor")._mailbox.mailbox.turn
        acceptor: Any = None if life is None else life.instance
        account, links = app.account(), app.supervisor("gate/links").which_children()
        balanced = account.balanced and not account.queued
        return State(balanced, len(links), acceptor._from.total(), acceptor._handshakes, files())


@dataclass
class Report:
    """What is known when it has stopped."""

    ends: dict[str, tuple[str, float]] = field(default_factory=dict[str, tuple[str, float]])
    """By the other side's address: which limit ended it, or refused it, and the instant at which it did."""
    balanced: bool = False
    undone: int = 0
    left: list[str] = field(default_factory=list[str])

    def ended(self, address: str, limit: str) -> None:
        """The first cause is kept."""
        self.ends.setdefault(address, (limit, time.monotonic()))  # one clock for all processes, on Linux


def hook(report: Report) -> None:
    """See which limit ends what: nobody but the gate knows."""
    gates: Any = Acceptor
    peers: Any = Peer
    arrives, greet, fail = gates._arrives, gates._greet, peers._fail

    async def hooked_arrives(self: Any, stream: ByteStream) -> None:
        limits, address = self._gate.limits, address_of(stream)
        if self._from.total() >= limits.connections:
            report.ended(address, "connections")
        elif self._from[host_of(stream)] >= limits.per_address:
            report.ended(address, "per_address")
        elif self._handshakes >= limits.handshakes:
            report.ended(address, "handshakes")
        await arrives(self, stream)

    async def hooked_greet(self: Any, visitor: Any) -> Any:
        address = visitor.address
        try:
            return await greet(self, visitor)
        except BaseException as error:
            cancelled = isinstance(error, anyio.get_cancelled_exc_class())
            rule = error.rule if isinstance(error, ProtocolError) else "tls" if isinstance(error, ssl.SSLError) else "it left"
            report.ended(address, "greeting" if cancelled else rule)
            raise

    def hooked_fail(self: Any, error: Exception) -> None:
        limit = error.rule if isinstance(error, ProtocolError) else str(error)
        report.ended(self._origin.address, next((limit for said, limit in SAID.items() if said in str(error)), limit))
        fail(self, error)

    gates._arrives, gates._greet, peers._fail = hooked_arrives, hooked_greet, hooked_fail


async def main(limits: Limits, folder: Path | None) -> None:
    """Serve until stdin ends."""
    report, watch, before = Report(), left_over.watch(), files()
    hook(report)
    door = child(Door, name="door")
    front = gate("tcp://127.0.0.1:0", serves=[DOOR.by(door)], limits=limits, tls=None if folder is None else certified(folder))
    async with Supervisor("shop", door, front) as app:
        acceptor: Address[Acceptor] = app.find("gate/acceptor")
        (found,) = await acceptor.call(Acceptor.addresses)
        print(found.rpartition(":")[2], flush=True)
        await anyio.to_thread.run_sync(sys.stdin.buffer.read, abandon_on_cancel=True)
    account = app.account()
    report.balanced, report.undone = account.balanced, account.queued + account.in_hand
    report.left = watch.left()
    if files() > before + 3:  # what the loop, and its thread, need for themselves
        report.left.append(f"{files() - before} files")
    print(json.dumps(asdict(report)), flush=True)


if __name__ == "__main__":
    backend, words, *folders = sys.argv[1:]
    anyio.run(partial(main, Limits(**json.loads(words)), Path(folders[0]) if folders else None), backend=backend)
