"""The listener: a thread that follows a tree's stream, and begins again when that breaks off."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

from supervise.live.client import LiveError

FIRST: Final = 0.5
"""Seconds until it is tried again for the first time;"""
LONGEST: Final = 10.0
"""each pause is twice as long as the one before, up to this."""


class Source(Protocol):
    """What is needed of a `Client`."""

    where: str

    def stream(self, *, under: str = "", every: float = 1.0) -> Iterator[tuple[str, dict[str, Any]]]: ...
    def snapshot(self, *, under: str = "", top: int | None = None, sort: str = "", by: str = "") -> dict[str, Any]: ...
    def actor(self, path: str) -> dict[str, Any]: ...
    def act(self, action: str, path: str, *, who: str = "", **change: str) -> str: ...
    def hang_up(self) -> None: ...


class Listener:
    """`heard` is told each part of the stream, `lost` why there is none and when it is tried again; both in its thread."""

    def __init__(
        self,
        connect: Callable[[], Source],
        every: float,
        heard: Callable[[str, dict[str, Any]], object],
        lost: Callable[[str, float], object],
    ) -> None:
        self._connect = connect
        self._every = every
        self._heard = heard
        self._lost = lost
        self._over = threading.Event()
        self._source: Source | None = None
        self._thread = threading.Thread(target=self._run, name="supervise top", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """No more. It doesn't wait: a tree that says nothing may keep its thread for some seconds."""
        self._over.set()
        source = self._source
        if source is not None:
            source.hang_up()

    def wait(self, seconds: float) -> bool:
        """The pause before it is tried again. True: it is over."""
        return self._over.wait(seconds)

    def _run(self) -> None:
        pause = FIRST
        while not self._over.is_set():
            try:
                self._source = self._connect()
                why = f"{self._source.where} is served no more"
                for kind, data in self._source.stream(every=self._every):
                    if self._over.is_set():
                        return
                    pause = FIRST
                    self._heard(kind, data)
            except LiveError as error:
                why = str(error)
            if self._over.is_set():
                return
            self._lost(why, pause)
            if self.wait(pause):
                return
            pause = min(LONGEST, 2 * pause)
