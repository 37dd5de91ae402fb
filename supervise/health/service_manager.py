"""What a service manager is told, by systemd's protocol: READY, WATCHDOG, STOPPING as datagrams to $NOTIFY_SOCKET.

    [Service]
    Type=notify
    WatchdogSec=10
    ExecStart=/srv/shop/.venv/bin/supervise run shop:TREE

The watchdog is fed from the tree's own event loop, so a handler that blocks the thread starves it.
"""

from __future__ import annotations

import logging
import math
import os
import re
import socket
from collections.abc import Mapping
from typing import Final

import anyio

from supervise.log import say
from supervise.tree.snapshot import Source, is_live

LONGEST_STATUS: Final = 1000  # bytes; systemd throws away messages of more than 4096
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")  # a newline would begin another field


class ServiceManager:
    r"""Tells systemd how the process is: READY, WATCHDOG, STOPPING.

    `supervise run` has one already. Nothing here raises, and nothing waits: an unheard message
    costs one warning. Without a socket all of it does nothing. `feed` runs in the tree's own
    event loop, so a handler that blocks the thread starves the watchdog.

        >>> import socket, tempfile
        >>> with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        ...     systemd.bind(f"{folder}/notify")
        ...     ServiceManager.from_environment({"NOTIFY_SOCKET": f"{folder}/notify"}).ready("3 carts")
        ...     systemd.recv(100)
        b'READY=1\nSTATUS=3 carts'
    """

    def __init__(self, address: str | None, watchdog: float | None = None) -> None:
        self.watchdog: float | None = watchdog
        """Seconds without a message after which the process is taken for dead; None: nobody looks."""
        self._address = address
        self._warned = False
        self._stopping = False

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None, pid: int | None = None) -> ServiceManager:
        """Made as NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID say; without them it does nothing.

        `environment` and `pid` are for tests (default: those of this process). A value that can't
        be is a warning, and is left out of account.
        """
        found = os.environ if environment is None else environment
        address = found.get("NOTIFY_SOCKET") or None
        if address is not None and address[0] not in "/@":
            say(logging.WARNING, "NOTIFY_SOCKET=%r isn't a path, nor @ and a name: nobody is notified", address)
            address = None
        watchdog: float | None = None
        every = found.get("WATCHDOG_USEC")
        if every and found.get("WATCHDOG_PID", str(os.getpid() if pid is None else pid)) == str(pid or os.getpid()):
            watchdog = _seconds(every)
            if watchdog is None:
                say(logging.WARNING, "WATCHDOG_USEC=%r isn't a number of microseconds above 0: the watchdog isn't fed", every)
        return cls(address, watchdog)

    def ready(self, status: str = "") -> None:
        """Say that all has started; the text is shown on one line, and cut if it is long."""
        self._tell("READY=1", status)

    def stopping(self, status: str = "") -> None:
        """Say, once, that the end has begun."""
        if self._stopping:
            return
        self._stopping = True
        self._tell("STOPPING=1", status)

    def alive(self) -> None:
        """Feed the watchdog once."""
        self._tell("WATCHDOG=1")

    async def feed(self, tree: Source) -> None:
        """Feed the watchdog, twice in its time, as long as the tree is live.

        It returns at once if nobody looks, and raises nothing.
        """
        if self._address is None or self.watchdog is None:
            return
        while is_live(tree):
            self.alive()
            await anyio.sleep(self.watchdog / 2)

    def _tell(self, what: str, status: str = "") -> None:
        if self._address is None:
            return
        try:
            message = what.encode() + (b"\nSTATUS=" + _one_line(status) if status else b"")
            address = os.fsencode(self._address)
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sending:
                sending.setblocking(False)
                sending.sendto(message, b"\0" + address[1:] if address.startswith(b"@") else address)
        except Exception as error:  # AttributeError: a platform without such sockets; ValueError: a name that can't be
            if not self._warned:
                self._warned = True
                say(logging.WARNING, "NOTIFY_SOCKET=%s can't be told %r: %s", self._address, what, error)


def _seconds(microseconds: str) -> float | None:
    try:
        seconds = int(microseconds) / 1e6
    except (ValueError, OverflowError):
        return None
    return seconds if 0 < seconds < math.inf else None


def _one_line(status: str) -> bytes:
    """As UTF-8, whatever is in it: half a character of a surrogate pair is spelled out."""
    text = _CONTROL.sub(" ", status[:LONGEST_STATUS]).encode(errors="backslashreplace")
    if len(text) <= LONGEST_STATUS and len(status) <= LONGEST_STATUS:
        return text
    return text[: LONGEST_STATUS - 3].decode(errors="ignore").encode() + "…".encode()
