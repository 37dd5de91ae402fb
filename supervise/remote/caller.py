"""Who wants to come in at a gate, and what the gate's owner says to that."""

from __future__ import annotations

import hmac
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSAttribute

from supervise_strategies.text import printable, shown

if TYPE_CHECKING:
    from supervise.wire.bodies import Hello
    from supervise.wire.interface import Served


class Credentials(NamedTuple):
    """The process at the other end of a unix socket, as the kernel says.

    >>> print(Credentials(pid=4711, uid=1000, gid=1000))
    Credentials(pid=4711, uid=1000, gid=1000)
    """

    pid: int
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Caller:
    """Who wants to come in: what a gate's `admit` is asked about.

    `certificate`, `credentials` and `address` come from the connection. `name` and `uses` are what
    the other side says, and nothing proves them. Nothing shows its token: ask `has_token`.

    >>> admit: Admit = lambda caller: caller.identity == "web.example" or caller.has_token("secret")
    >>> admit(Caller("10.0.0.1:4711", {"subject": ((("commonName", "web.example"),),)}))
    True
    >>> print(Caller("10.0.0.1:4711", name="web"))
    'web' at 10.0.0.1:4711
    """

    address: str
    """Where it connects from: `10.0.0.1:4711`, or `unix`."""
    certificate: Mapping[str, Any] | None = None
    """Its certificate, as `ssl.SSLSocket.getpeercert` gives it; None if it showed none, or that wasn't verified."""
    credentials: Credentials | None = None
    """Of a unix socket, on Linux."""
    name: str = ""
    uses: tuple[str, ...] = ()
    """The interfaces that it wants to call."""
    _token: str | None = field(default=None, repr=False)

    def has_token(self, expected: str) -> bool:
        """Whether it has given this token. It takes the same time whichever character is wrong."""
        return self._token is not None and hmac.compare_digest(self._token.encode(), expected.encode())

    @property
    def identity(self) -> str:
        """Who it has proved to be, as the connection says; empty: nobody.

        It is the name in its certificate, or the user of a unix socket: `uid 1000`.
        """
        if self.certificate is not None:
            return _name_in(self.certificate)
        return "" if self.credentials is None else f"uid {self.credentials.uid}"

    def __str__(self) -> str:
        return f"{shown(self.name)} at {self.address}" if self.name else self.address


@dataclass(frozen=True, slots=True)
class Admission:
    """What `admit` answers for whoever may come in.

    identity: Who it is, as `current().origin` tells it. Default: what the connection proves.
    serves: What it may use, of what the gate serves; other actors may serve it, too. Default: all.

    >>> from supervise.wire import Interface
    >>> class Shop:
    ...     async def sell(self, item: str) -> str: ...
    ...     async def close(self) -> None: ...
    >>> shop, ALL = child(Shop), Interface("shop", Shop)
    >>> GUESTS = Interface("shop", Shop, only=(Shop.sell,))
    >>> def admit(caller: Caller) -> Admission | None:
    ...     if caller.has_token("for guests"):
    ...         return Admission("guest", serves=[GUESTS.by(shop)])
    ...     return Admission(serves=[ALL.by(shop)]) if caller.identity == "boss.example" else None
    >>> print(admit(Caller("10.0.0.1:4711")))
    None
    """

    identity: str | None = None
    serves: Sequence[Served] | None = None


Admit: TypeAlias = Callable[[Caller], "Admission | bool | Awaitable[Admission | bool | None] | None"]


def caller_at(stream: ByteStream, hello: Hello) -> Caller:
    """Whoever is at the other end of this connection, and says this."""
    certificate = stream.extra(TLSAttribute.peer_certificate, None) or None
    raw: socket.socket | None = stream.extra(SocketAttribute.raw_socket, None)
    return Caller(address_of(stream), certificate, _credentials(raw), printable(hello.name), hello.uses, hello.token)


def address_of(stream: ByteStream) -> str:
    """Of its other end; `unix`, or `here` for what is no socket."""
    raw: socket.socket | None = stream.extra(SocketAttribute.raw_socket, None)
    if raw is None:
        return "here"
    if raw.family not in (socket.AF_INET, socket.AF_INET6):
        return "unix"
    found: Any = stream.extra(SocketAttribute.remote_address, None)
    return "gone" if found is None else host_and_port(found)


def host_and_port(address: Any) -> str:
    """As a socket has them."""
    host, port = str(address[0]), int(address[1])
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def host_of(stream: ByteStream) -> str:
    """The same without the port: what a limit for each address counts by. Of a unix socket that is a process."""
    address = address_of(stream)
    if address == "unix":
        credentials = _credentials(stream.extra(SocketAttribute.raw_socket, None))
        return address if credentials is None else f"pid {credentials.pid}"
    return address.rpartition(":")[0] or address


def _credentials(raw: socket.socket | None) -> Credentials | None:
    asks = getattr(socket, "SO_PEERCRED", None)
    if raw is None or asks is None or raw.family != socket.AF_UNIX:
        return None
    try:
        return Credentials(*struct.unpack("3i", raw.getsockopt(socket.SOL_SOCKET, asks, struct.calcsize("3i"))))
    except OSError:
        return None


def _name_in(certificate: Mapping[str, Any]) -> str:
    """The first DNS name or URI that it is for; else its subject's common name."""
    names: Any = certificate.get("subjectAltName", ())
    for kind, value in names:
        if kind in ("DNS", "URI"):
            return printable(str(value))
    subject: Any = certificate.get("subject", ())
    for part in subject:
        for key, value in part:
            if key == "commonName":
                return printable(str(value))
    return ""


def verifies(tls: ssl.SSLContext) -> bool:
    """Whether a context asks the other side for a certificate, and checks it."""
    return tls.verify_mode is ssl.CERT_REQUIRED
