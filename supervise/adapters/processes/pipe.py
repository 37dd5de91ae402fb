"""What a process writes, as it comes through one pipe; read no faster than somebody takes it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from typing import Final

from .keeper import Keeper, Kept

PIECE: Final = 65536  # bytes, which is what a pipe holds
LINES: Final = 200  # that are told at once: 65,536 empty ones held up the event loop for a second


class Pipe:
    """Lives in the keeper's thread. `said` gets each piece, and answers whether `go_on` will be called for it."""

    __slots__ = ("_closed", "_keeper", "_kept", "_late", "_rest", "_said", "_taken", "descriptor")

    def __init__(
        self, descriptor: int, kept: Kept, keeper: Keeper, said: Callable[[bytes], bool], closed: Callable[[], object]
    ) -> None:
        self.descriptor: int | None = descriptor
        """None: it is closed, since nobody can write to it any more, or since it was too late."""
        self._kept = kept
        self._keeper = keeper
        self._said = said
        self._closed = closed
        self._rest = b""  # of what was read, and is still to be told
        self._taken = True
        self._late = False
        keeper.watch(descriptor, kept, self._hear)

    def go_on(self) -> None:
        """What was said is taken."""
        if self.descriptor is None or self._taken:
            return
        self._taken = True
        if self._late:
            self._tell()
            os.set_blocking(self.descriptor, False)
            with contextlib.suppress(BlockingIOError):
                self._hear()
            self.close()
        elif self._rest:
            self._taken = not self._tell()
        else:
            self._keeper.watch(self.descriptor, self._kept, self._hear)

    def be_late(self) -> None:
        """Wait for nothing more. What is in it already is still read, once the reader has taken what it has."""
        self._late = True
        if self._taken:
            self.close()

    def close(self) -> None:
        """Idempotent."""
        if self.descriptor is not None:
            self._keeper.unwatch(self.descriptor)
            os.close(self.descriptor)
            self.descriptor = None
            self._closed()

    def _hear(self) -> None:
        assert self.descriptor is not None
        piece = os.read(self.descriptor, PIECE)
        if not piece:
            self.close()
            return
        self._rest = piece
        if self._tell():
            self._taken = False
            self._keeper.unwatch(self.descriptor)

    def _tell(self) -> bool:
        """Tell the next lines; all of them, if it is late. The answer is that of `said`."""
        piece = self._rest
        self._rest = b"" if self._late else b"".join(piece.split(b"\n", LINES)[LINES:])
        return bool(piece) and self._said(piece[: len(piece) - len(self._rest)])
