"""stdout and stderr of a command that may outlive their readers: `supervise run app:TREE | head -1`, or `>&-`.

What nobody can read is left out. It crashes no actor that prints, and changes no exit status.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from typing import TYPE_CHECKING, Any, Final, TextIO, cast

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

GONE: Final = frozenset({errno.EPIPE, errno.EBADF, errno.EIO, errno.ENXIO})
"""Of a pipe, of what was closed, of a terminal that hung up."""


class _Unbroken(io.FileIO):
    """A file to which writing always succeeds once its reader is gone."""

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno not in GONE:
                raise
            return memoryview(data).nbytes


def unbreak() -> None:
    """Have `print`, logging and child processes go on, whatever becomes of the readers. Streams of somebody else stay."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:  # or the next file that is opened would get this number, and what is printed
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    if sys.stdout is sys.__stdout__:
        sys.stdout = _unbroken(sys.stdout, 1)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _unbroken(sys.stderr, 2)


def _unbroken(stream: TextIO | None, descriptor: int) -> TextIO:
    if stream is None:  # closed when the interpreter started
        return open(os.devnull, "w", encoding="utf-8")
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    with contextlib.suppress(OSError):
        stream.flush()
    raw = _Unbroken(descriptor, "w", closefd=False)
    unbuffered = isinstance(cast("Any", stream).buffer, io.RawIOBase)  # PYTHONUNBUFFERED
    return io.TextIOWrapper(
        raw if unbuffered else io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
