"""Where a tree is served: a unix socket for its user alone, and a port; and the file with the address and its token."""

from __future__ import annotations

import contextlib
import os
import re
import socket
from collections.abc import Generator
from pathlib import Path
from typing import Final

from .folder import folder_of_user, made, socket_for

BACKLOG: Final = 1024
"""That the system keeps until they are taken. With 100, one in 200 of a flood waited a second for its next try (tried)."""


class CantServe(Exception):
    """A tree can't be served there; the text says where, why, and what to do.

    Raised by `serve` before its block begins. The tree isn't touched.

        >>> async with Supervisor("app") as app, serve(app, "/no/such/folder/app.sock"):
        ...     pass
        Traceback (most recent call last):
        CantServe: /no/such/folder/app.sock: a socket can't be made there (No such file or directory): ...
    """


def host_and_port(where: str) -> tuple[str, int] | None:
    """`HOST:PORT`; None: it is a path."""
    match = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^/\\:\s]+):(\d{1,5})", where)
    if match is None or int(match[2]) > 65535:
        return None
    return match[1].removeprefix("[").removesuffix("]"), int(match[2])


def usual_place(name: str) -> Path:
    """Where the socket of a tree of that name lies, if nobody says where. Raises `CantServe`, `WrongFolder`."""
    folder = folder_of_user()
    try:
        return socket_for(made(folder), name)
    except OSError as error:
        why = error.strerror or str(error)
        raise CantServe(f"{folder}: the folder of sockets can't be had ({why}): say another place") from error


@contextlib.contextmanager
def unix_socket(path: Path) -> Generator[socket.socket]:
    """A socket there, which is gone after the block. Raises `CantServe`."""
    if not hasattr(socket, "AF_UNIX"):
        raise CantServe("this system has no unix sockets, by which a tree is served")
    listening, process = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM), os.getpid()
    try:
        if _is_stale(path):
            path.unlink()
        before = os.umask(0o177)  # from its first moment on it is for its user alone
        try:
            listening.bind(str(path))
        finally:
            os.umask(before)
        listening.listen(BACKLOG)
        listening.setblocking(False)
    except OSError as error:
        listening.close()
        why = error.strerror or str(error)
        raise CantServe(
            f"{path}: a socket can't be made there ({why}): say another place, with a path of at most 100 characters"
        ) from error
    inode = path.stat().st_ino
    try:
        yield listening
    finally:
        listening.close()
        with contextlib.suppress(OSError):
            if os.getpid() == process and path.stat().st_ino == inode:  # else a fork leaves, or it is somebody else's
                path.unlink()


def _is_stale(path: Path) -> bool:
    """Whether a socket is there to which nobody listens."""
    if not path.is_socket():
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trying:
        trying.settimeout(1.0)
        try:
            trying.connect(str(path))
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return False


@contextlib.contextmanager
def tcp_socket(host: str, port: int) -> Generator[socket.socket]:
    """One that listens on a port. Raises `CantServe`."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except OSError as error:
        why = error.strerror or str(error)
        raise CantServe(
            f"{host}:{port}: can't listen there ({why}): choose another port, or end what listens on this one"
        ) from error
    listening.setblocking(False)
    with listening:
        yield listening


def write(file: Path, text: str) -> None:
    """For its user alone, also if it was there. Raises `CantServe`."""
    try:
        with contextlib.suppress(FileNotFoundError):
            file.unlink()
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise CantServe(f"{file}: can't be written ({error.strerror or error}): it holds the address and its token") from error


def remove(file: Path, process: int) -> None:
    """Remove it, if it is still there. `process`: whose it is; one that was forked off leaves it."""
    if os.getpid() == process:
        with contextlib.suppress(OSError):
            file.unlink()
