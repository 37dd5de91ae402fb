"""A shop in a process of its own that writes down what it handles, for `faults.py`: it is killed, stopped and cut off.

    python -m tests.remote.fault_shop NOTES BACKEND LIMITS WIRE FOLDER

It listens on a TCP port that is free, or on `shop.sock` in FOLDER, prints the port, and serves until it is killed. TLS has its
certificate there. What it notes is appended to a file, one line a
note, at the beginning of the handler: so it survives a SIGKILL, and nothing is judged by anybody's memory.
"""

from __future__ import annotations

import json
import os
import ssl
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import anyio

from supervise import Address, Supervisor, child, current
from supervise.remote.gate import Acceptor, gate
from supervise.remote.limits import Limits
from supervise.wire.interface import Interface

CAPACITY: Final = 4
"""Of the shop's mailbox: small, so that what comes in also waits in front of it."""
FILES: Final = Path("/proc/self/fd")
"""Of this process, where the kernel shows them."""


@dataclass
class Report:
    """How the shop is, asked by the one who does the faults."""

    balanced: bool
    links: int
    files: int


class NotesApi(Protocol):
    """What can be asked of it."""

    async def note(self, sender: int, number: int, data: bytes) -> int: ...
    async def note_slowly(self, sender: int, number: int, seconds: float) -> int: ...
    async def report(self) -> Report: ...


NOTES: Interface[NotesApi] = Interface("notes", NotesApi)


class Notes:
    """It notes each message as `sender number`."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    async def note(self, sender: int, number: int, data: bytes) -> int:
        os.write(self._file, f"{sender} {number}\n".encode())
        return number

    async def note_slowly(self, sender: int, number: int, seconds: float) -> int:
        os.write(self._file, f"{sender} {number}\n".encode())
        await anyio.sleep(seconds)
        return number

    async def report(self) -> Report:
        app = current().supervisor()
        account = app.account()
        return Report(account.balanced and not account.queued, len(app.supervisor("gate/links").which_children()), files())


def files() -> int:
    """How many this process has open, sockets among them; 0 where nobody says so."""
    return len([*FILES.iterdir()]) if FILES.exists() else 0


def certified(folder: Path) -> ssl.SSLContext:
    """A server's context, with the certificate that `certify` has put there."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "server.pem")
    return context


def certify(folder: Path) -> None:
    """A certificate for localhost, and who vouches for it."""
    import trustme  # which the shop itself doesn't need

    authority: Any = trustme.CA()
    authority.cert_pem.write_to_path(folder / "authority.pem")
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")


def trusts(folder: Path) -> ssl.SSLContext:
    """A client's context."""
    return ssl.create_default_context(cafile=folder / "authority.pem")


def _ends_with_stdin() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


async def main(path: str, limits: Limits, wire: str, folder: Path) -> None:
    """Serve until the process is killed, or who has made it is gone."""
    threading.Thread(target=_ends_with_stdin, daemon=True).start()
    notes = child(Notes, path, name="notes", capacity=CAPACITY)
    where = f"unix://{folder / 'shop.sock'}" if wire == "unix" else "tcp://127.0.0.1:0"
    door = gate(where, serves=[NOTES.by(notes)], limits=limits, tls=certified(folder) if wire == "tls" else None)
    async with Supervisor("shop", notes, door) as app:
        acceptor: Address[Acceptor] = app.find("gate/acceptor")
        (found,) = await acceptor.call(Acceptor.addresses)
        print(0 if wire == "unix" else found.rpartition(":")[2], flush=True)
        await app.wait()


if __name__ == "__main__":
    notes, backend, words, wire, folder = sys.argv[1:]
    anyio.run(main, notes, Limits(**json.loads(words)), wire, Path(folder), backend=backend)
