"""The lines of a file that is followed by its name, as `tail -F` does: over rotation, and from the beginning after a cut."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import IO, Final, Self

POLL: Final = 0.1  # seconds between two looks


class Growing:
    """A file that grows, until the block ends. One that was cut, and is as long again by the next look, can't be told from it.

    `anew` is called before the first line of a file that was cut or has taken the place of the one before, with whether that
    one's last line was cut off.
    """

    def __init__(self, path: str, stream: IO[bytes], anew: Callable[[bool], object]) -> None:
        self._path = path
        self._stream = stream
        self._anew = anew
        self._part = b""
        self._refused: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def there(self) -> Iterator[str]:
        """The lines that are there and whole."""
        while line := self._stream.readline():
            self._part += line
            if self._part.endswith(b"\n"):
                whole, self._part = self._part, b""
                yield whole.decode()

    def coming(self) -> Iterator[str]:
        """Those that will be, for ever."""
        while True:
            following = self._following()
            yield from self.there()  # after that look: what was written before the new file came is there now
            if following is not None:
                self._stream.close()
                self._stream = following
                self._begin()
            elif os.fstat(self._stream.fileno()).st_size < self._stream.tell():
                self._stream.seek(0)
                self._begin()
            else:
                time.sleep(POLL)

    def _begin(self) -> None:
        cut_off, self._part, self._refused = bool(self._part), b"", None
        self._anew(cut_off)

    def _following(self) -> IO[bytes] | None:
        """Another file that has the name now. There may be none for a while, or one that can't be read: that is said once."""
        try:
            if os.path.samestat(os.stat(self._path), os.fstat(self._stream.fileno())):
                return None
            return open(self._path, "rb")
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.strerror != self._refused:
                self._refused = error.strerror
                print(f"supervise: {self._path}: {error.strerror}: it is followed when it can be read", file=sys.stderr)
            return None
