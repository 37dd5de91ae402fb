"""Who listens on a TCP port, from /proc. It reads a lot of files: never in an event loop."""

from __future__ import annotations

import contextlib
import os
import sys
from enum import Enum
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, TypeAlias

from .members import running

Address: TypeAlias = IPv4Address | IPv6Address
_TABLES: Final = ("/proc/self/net/tcp", "/proc/self/net/tcp6")
_LISTENS: Final = "0A"


class Owner(Enum):
    """Whose a listening socket is, as seen by a process group."""

    OURS = "ours"
    FOREIGN = "foreign"
    UNKNOWN = "unknown"
    """Somewhere else, or it can't be looked at."""


def owner(host: str, port: int, group: int) -> Owner:
    """Whether it is a process of this group that takes the connections to that address.

    All processes of the group have to be readable before anybody is said to be foreign. One who is forked meanwhile may
    have been overlooked: who asks believes it the second time.
    """
    wanted = listening(ip_address(host.partition("%")[0]), port)
    members = running(group)
    if not wanted or not members:
        return Owner.UNKNOWN
    found = Owner.FOREIGN
    for pid in members:
        try:
            if wanted & _sockets(pid):
                return Owner.OURS
        except OSError:  # it has ended, or is another user's by now
            found = Owner.UNKNOWN
    return found if running(group) == members else Owner.UNKNOWN


def listening(address: Address, port: int) -> set[int]:
    """The inodes of the sockets, one or several, that take the connections to an address; none: nobody here does."""
    exact: set[int] = set()
    wild: set[int] = set()
    for table in _TABLES:
        with contextlib.suppress(OSError), open(table) as lines:
            for line in lines:
                local, _, state, *_, inode = line.split()[1:10]
                where, _, its_port = local.partition(":")
                if state != _LISTENS or int(its_port, 16) != port:
                    continue
                listener = _plain(_address(where))
                if listener == _plain(address):
                    exact.add(int(inode))
                elif listener.is_unspecified and (listener.version == 6 or address.version == 4):
                    wild.add(int(inode))
    return exact or wild


def _address(text: str) -> Address:
    """The kernel prints words of four bytes in the machine's own order."""
    raw = bytes.fromhex(text)
    if sys.byteorder == "little":
        raw = b"".join(raw[at : at + 4][::-1] for at in range(0, len(raw), 4))
    return ip_address(raw)


def _plain(address: Address) -> Address:
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _sockets(pid: int) -> set[int]:
    found: set[int] = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            kind, _, inode = os.readlink(f"/proc/{pid}/fd/{name}").partition(":[")
            if kind == "socket":
                found.add(int(inode[:-1]))
    return found
