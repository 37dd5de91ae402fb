"""What a service manager is told, by systemd's protocol: READY, WATCHDOG, STOPPING as datagrams to $NOTIFY_SOCKET.

    [Service]
    Type=notify
    WatchdogSec=10
    ExecStart=/srv/shop/.venv/bin/supervise run shop:TREE

The watchdog is fed from the tree's own event loop, so a handler that blocks the thread starves it.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping
from typing import Final

import anyio

from .snapshot import Source, readiness

logger: Final = logging.getLogger("supervise")


class ServiceManager:
    """Whoever listens on the socket. Nothing here raises, and nothing waits: an unheard message costs one warning."""

    def __init__(self, address: str | None, watchdog: float | None = None) -> None:
        self.watchdog: float | None = watchdog
        """Seconds without a message after which the process is taken for dead; None: nobody looks."""
        self._address = address
        self._warned = False
        self._stopping = False

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None, pid: int | None = None) -> ServiceManager:
        """As NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID say; without them all of it does nothing.

        A value that can't be is a warning, and is left out of account.
        """
        found = os.environ if environment is None else environment
        address = found.get("NOTIFY_SOCKET") or None
        if address is not None and address[0] not in "/@":
            logger.warning("NOTIFY_SOCKET=%r isn't a path, nor @ and a name: nobody is notified", address)
            address = None
        watchdog: float | None = None
        every = found.get("WATCHDOG_USEC")
        if every and found.get("WATCHDOG_PID", str(os.getpid() if pid is None else pid)) == str(pid or os.getpid()):
            if every.isdecimal() and int(every) > 0:
                watchdog = int(every) / 1e6
            else:
                logger.warning("WATCHDOG_USEC=%r isn't a number of microseconds above 0: the watchdog isn't fed", every)
        return cls(address, watchdog)

    def ready(self, status: str = "") -> None:
        """All has started."""
        self._tell("READY=1", status)

    def stopping(self, status: str = "") -> None:
        """The end has begun. Said once."""
        if self._stopping:
            return
        self._stopping = True
        self._tell("STOPPING=1", status)

    def alive(self) -> None:
        """The watchdog's food."""
        self._tell("WATCHDOG=1")

    async def feed(self, tree: Source) -> None:
        """Feed the watchdog, twice in its time, as long as the tree is live; for ever if nobody looks."""
        if self._address is None or self.watchdog is None:
            return
        while readiness(tree).live:
            self.alive()
            await anyio.sleep(self.watchdog / 2)

    def _tell(self, what: str, status: str = "") -> None:
        if self._address is None:
            return
        message = f"{what}\nSTATUS={status}" if status else what
        address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sending:
                sending.setblocking(False)
                sending.sendto(message.encode(), address)
        except (OSError, AttributeError) as error:  # AttributeError: a platform without such sockets
            if not self._warned:
                self._warned = True
                logger.warning("NOTIFY_SOCKET=%s can't be told %r: %s", self._address, what, error)
