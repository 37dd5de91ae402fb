"""Who may ask for what: the socket's folder keeps others out, and over HTTP it is a token; actions need `--operate`, too.

| what comes | what it gets |
|---|---|
| a peer on the unix socket that is another user, and not root | 403 |
| a `Host` that isn't one of ours, as after DNS rebinding | 403 |
| an `Origin` that isn't this server itself, as from another page | 403 |
| HTTP without the token, or with a wrong one; but the page itself, which holds no data, needs none | 401 |
| an action where nobody may act, or one that isn't JSON, which a form of another page can't send | 403, 415 |
"""

from __future__ import annotations

import hmac
import ipaddress
import os
import socket
import struct
import sys
from typing import Any, Final, NamedTuple

from supervise_strategies.text import one_line

from .request import Refused, Request

ROOT: Final = 0
LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
LONGEST_NAME: Final = 60
"""Characters of the name that somebody gives."""


class Peer(NamedTuple):
    """Who is at the other end."""

    uid: int | None = None
    """Of its process, on a unix socket, where the system tells; None over HTTP."""
    is_local: bool = False
    """Whether it came by the unix socket."""

    def who(self, name: str) -> str:
        """As events say it; `name`: the one that was given, if one was."""
        name = one_line(name.strip(), LONGEST_NAME)
        if not self.is_local:
            return f"{name or 'somebody'} over HTTP"
        if self.uid is None:
            return f"{name or 'somebody'} on this machine"
        return f"{name or _user(self.uid)} (uid {self.uid})"


class Gate(NamedTuple):
    """What is let through."""

    token: str
    hosts: tuple[str, ...] = LOOPBACK
    by_number: bool = False
    """Whether any address in numbers is one of ours, too: it is served beyond this machine. No name is rebound to that."""
    operate: bool = False

    def check(self, request: Request, peer: Peer) -> None:
        """Raise `Refused` for what isn't let through."""
        if peer.is_local:
            if peer.uid is not None and peer.uid not in (ROOT, os.getuid()):
                raise Refused(403, f"the socket is that of uid {os.getuid()}, and you are uid {peer.uid}")
        else:
            self._check_http(request)
        if request.method == "POST":
            if not self.operate:
                raise Refused(403, "nobody may act here: the tree is served without --operate")
            if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
                raise Refused(415, "an action is JSON: content-type: application/json")

    def _check_http(self, request: Request) -> None:
        host = request.headers.get("host", "")
        name = name_in(host)
        if name not in self.hosts and not (self.by_number and is_number(name)):
            raise Refused(403, "this host isn't served here: use the address that was printed")
        origin = request.headers.get("origin")
        if origin is not None and origin.lower() != f"http://{host.lower()}":
            raise Refused(403, "another page may not ask")
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            raise Refused(403, "another page may not ask")
        if request.path == "/" and request.method in ("GET", "HEAD"):
            return
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), self.token.encode()):
            raise Refused(
                401, "the token is missing or wrong: use the whole address that was printed", ("www-authenticate", "Bearer")
            )


def name_in(host: str) -> str:
    """The name in a Host header, without its port: that is another one behind a port forward."""
    if host.startswith("["):
        name, _, port = host[1:].partition("]")
        return name.lower() if not port or port.startswith(":") else host.lower()
    return host.rpartition(":")[0].lower() if host.count(":") == 1 else host.lower()


def is_number(name: str) -> bool:
    """Whether it is an IP address, and no name."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens there."""
    return host == "localhost" or (is_number(host) and ipaddress.ip_address(host).is_loopback)


def peer_of(connection: Any) -> Peer:
    """Who is at the other end of a unix socket."""
    if sys.platform == "linux":
        try:
            told = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        except OSError:
            return Peer(None, True)
        return Peer(struct.unpack("3i", told)[1], True)
    return Peer(None, True)


def _user(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return "somebody"
