"""Where a link leads, or a gate listens: `tcp://host:port` or `unix:///path`."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

import anyio
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSStream

from supervise_strategies.errors import InvalidSpec

if TYPE_CHECKING:
    from anyio.abc import SocketListener

_CURE: Final = "'tcp://host:port', as in tcp://127.0.0.1:7000, or 'unix:///path/of/a.sock'"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A TCP port of a host, or a socket in the file system."""

    text: str
    host: str = ""
    port: int = 0
    path: str = ""

    @classmethod
    def parse(cls, who: str, field: str, text: object) -> Endpoint:
        """Raises InvalidSpec, which names the field, for what is neither."""
        if not isinstance(text, str):
            raise InvalidSpec(who, field, text, _CURE)
        try:
            parts = urlsplit(text)
            host, port = parts.hostname or "", parts.port
        except ValueError as error:
            raise InvalidSpec(who, field, text, f"{_CURE} ({error})") from None
        bare = not (parts.query or parts.fragment or parts.username)
        if bare and parts.scheme == "tcp" and host and port is not None and parts.path in ("", "/"):
            return cls(text, host, port)
        if (
            bare
            and parts.scheme == "unix"
            and not parts.netloc
            and parts.path not in ("", "/")
            and "\0" not in unquote(parts.path)
        ):
            return cls(text, path=unquote(parts.path))
        raise InvalidSpec(who, field, text, _CURE)

    @property
    def is_private(self) -> bool:
        """Whether nothing of it leaves this machine."""
        if self.path or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    async def connect(self, tls: ssl.SSLContext | None) -> ByteStream:
        """Connect to it. Raises OSError, and what TLS raises. How long that may take is up to the caller."""
        stream: ByteStream
        if self.path:
            stream = await anyio.connect_unix(self.path)
        else:
            tcp = await anyio.connect_tcp(self.host, self.port)
            undelayed(tcp.extra(SocketAttribute.raw_socket))
            stream = tcp
        if tls is None:
            return stream
        return await secured(stream, tls, hostname=self.host or None)

    async def listen(self) -> list[SocketListener]:
        """Listen there; port 0 is any that is free. Raises OSError."""
        if self.path:
            return [await anyio.create_unix_listener(self.path, mode=0o600)]
        made = await anyio.create_tcp_listener(local_host=self.host, local_port=self.port)
        return list(made.listeners)  # type: ignore[arg-type]  # of TCP they all are

    def __str__(self) -> str:
        return self.text


async def secured(stream: ByteStream, tls: ssl.SSLContext, *, hostname: str | None = None, server: bool = False) -> ByteStream:
    """The same stream within TLS. A connection that ends without a close notification is a lost one: GOODBYE says else."""
    try:
        return await TLSStream.wrap(stream, ssl_context=tls, hostname=hostname, server_side=server, standard_compatible=False)
    except BaseException:
        await anyio.aclose_forcefully(stream)
        raise


def undelayed(raw: socket.socket) -> None:
    """A frame isn't kept back to go with the next one."""
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
