"""Links keep what an address of another process promises, whatever their bytes go over.

Tested: `RemoteAddressContract` over a network of this process in virtual time, and over TCP, TLS, a unix socket and socket
pairs.
"""

from __future__ import annotations

import math
import socket
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
from anyio.abc import ByteStream, UNIXSocketStream

from supervise import AddressLike, Intensity, Supervisor, child
from supervise.remote.dial import dial
from supervise.remote.gate import Acceptor, gate
from supervise.testing.contract import RemoteAddressContract, Specimen, SpecimenApi
from supervise.testing.fake_link import FakeNetwork
from supervise.wire.interface import Interface
from tests.real_clock import on_the_real_clock

from .test_gates import contexts

API: Interface[SpecimenApi] = Interface("specimen", SpecimenApi)


class Pairs:
    """Socket pairs, as a process talks over with one that it has made: each connection is a new one."""

    def __init__(self) -> None:
        self._hand_over, self._arrived = anyio.create_memory_object_stream[ByteStream](math.inf)

    async def connect(self) -> ByteStream:
        ends: list[ByteStream] = []
        with anyio.CancelScope(shield=True):  # else who is cancelled would leave one end open
            ends += [await UNIXSocketStream.from_socket(end) for end in socket.socketpair()]
        near, far = ends
        self._hand_over.send_nowait(far)
        return near

    async def listen(self) -> list[Any]:
        return [self]

    async def accept(self) -> ByteStream:
        return await self._arrived.receive()

    def extra(self, _: Any, default: Any) -> Any:
        return default

    async def aclose(self) -> None:
        with suppress(anyio.WouldBlock):
            while True:
                await self._arrived.receive_nowait().aclose()
        self._arrived.close()
        self._hand_over.close()


@asynccontextmanager
async def linked(factory: type[Specimen], where: str | FakeNetwork | Pairs, **tls: Any) -> AsyncGenerator[AddressLike[Any]]:
    """A link to a gate there."""
    specimen = child(factory)
    listens = where if isinstance(where, str) else where.listen
    door = gate(listens, serves=[API.by(specimen)], tls=tls.get("server"))
    async with Supervisor("there", specimen, door, intensity=Intensity(100, per=1)) as there:
        if isinstance(where, str):
            (found,) = await there.find("gate/acceptor").call(Acceptor.addresses)
            link = dial(found.replace("127.0.0.1", "localhost"), uses=[API], tls=tls.get("near"))
        else:
            link = dial(where.connect, uses=[API])
        async with Supervisor("here", link) as here:
            with anyio.fail_after(60):
                yield API.over(here.find(link))


class TestLink(RemoteAddressContract):
    def address(self, factory: type[Specimen]) -> AbstractAsyncContextManager[AddressLike[Any]]:
        return linked(factory, FakeNetwork(latency=0.1))


@on_the_real_clock
class TestTcp(RemoteAddressContract):
    def address(self, factory: type[Specimen]) -> AbstractAsyncContextManager[AddressLike[Any]]:
        return linked(factory, "tcp://127.0.0.1:0")


@on_the_real_clock
class TestTls(RemoteAddressContract):
    def address(self, factory: type[Specimen]) -> AbstractAsyncContextManager[AddressLike[Any]]:
        server, near = contexts()
        return linked(factory, "tcp://127.0.0.1:0", server=server, near=near)


@on_the_real_clock
class TestUnix(RemoteAddressContract):
    @asynccontextmanager
    async def address(self, factory: type[Specimen]) -> AsyncGenerator[AddressLike[Any]]:
        with TemporaryDirectory() as folder:
            async with linked(factory, f"unix://{Path(folder) / 'shop.sock'}") as address:
                yield address


@on_the_real_clock
class TestSocketPair(RemoteAddressContract):
    def address(self, factory: type[Specimen]) -> AbstractAsyncContextManager[AddressLike[Any]]:
        return linked(factory, Pairs())
