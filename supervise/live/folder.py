"""The folder of live trees: where their sockets and tokens lie, for their user alone.

It is `supervise` in the user's run-time folder (`XDG_RUNTIME_DIR`), else `supervise-UID` where temporary files are. Whoever
could put another folder, or a link, in its place could pass for a tree, so it is looked at each time: it must be a folder and
no link, of this user, and closed to all others.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

LONGEST: Final = 40
"""Characters of a tree's name in that of its socket."""
ROOM: Final = 100
"""Bytes of its whole path: systems take some 104."""


class WrongFolder(Exception):
    """The folder of sockets isn't to be trusted; the text says why, and what to do.

    It is `supervise` in the user's run-time folder (XDG_RUNTIME_DIR), else `supervise-UID`
    where temporary files are. It has to be a folder and no link, of this user, and closed to
    all others: who could put another one there could pass for a tree.

        >>> import os, tempfile
        >>> from unittest import mock
        >>> with tempfile.TemporaryDirectory() as there, mock.patch.dict("os.environ", XDG_RUNTIME_DIR=there):
        ...     os.mkdir(f"{there}/supervise", mode=0o755)
        ...     async with Supervisor("app") as app, serve(app):
        ...         pass
        Traceback (most recent call last):
        WrongFolder: .../supervise is open to others (mode 755): chmod 700 .../supervise
    """


class Found(NamedTuple):
    """A tree that is served on this machine, or was; `trees` lists them.

    `name` is the tree's, `pid` its process, `socket` where it answers.

        >>> from pathlib import Path
        >>> Found("shop", 4711, Path("/run/user/1000/supervise/shop-4711.sock")).url.name
        'shop-4711.url'
    """

    name: str
    pid: int
    socket: Path

    @property
    def url(self) -> Path:
        """The file with the address over HTTP, token and all, if there is one."""
        return self.socket.with_suffix(".url")


def folder_of_user() -> Path:
    """Where it is, whether it is there or not."""
    said = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(said) and os.path.isdir(said):
        return Path(said) / "supervise"
    return Path(tempfile.gettempdir()) / f"supervise-{os.getuid()}"


def made(folder: Path) -> Path:
    """Make it, if it isn't there. Raises `WrongFolder`, `OSError`."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    check(folder)
    return folder


def check(folder: Path) -> None:
    """Raise `WrongFolder` if others can, or could, do something there."""
    found = os.lstat(folder)
    if stat.S_ISLNK(found.st_mode):
        raise WrongFolder(f"{folder} is a link, which others may have put there: remove it")
    if not stat.S_ISDIR(found.st_mode):
        raise WrongFolder(f"{folder} is no folder: remove it")
    if found.st_uid != os.getuid():
        raise WrongFolder(
            f"{folder} belongs to uid {found.st_uid}, and you are uid {os.getuid()}: remove it, or say another place"
        )
    if found.st_mode & 0o077:
        raise WrongFolder(f"{folder} is open to others (mode {stat.S_IMODE(found.st_mode):o}): chmod 700 {folder}")


def socket_for(folder: Path, name: str) -> Path:
    """A path in it that is free, for a tree of this name in this process. What dead processes have left is removed."""
    remove_stale(folder)
    stem = re.sub(r"[^\w.-]", "_", name).lstrip(".")[:LONGEST] or "tree"
    room = ROOM - len(os.fsencode(folder / f"-{os.getpid()}.99.sock"))
    stem = os.fsencode(stem)[: max(room, 8)].decode(errors="ignore")
    number = 1
    while True:
        more = f".{number}" if number > 1 else ""
        path = folder / f"{stem}-{os.getpid()}{more}.sock"
        if not path.exists():
            return path
        number += 1


def found_in(folder: Path) -> list[Found]:
    """The trees of living processes, by name. Raises `WrongFolder`; a folder that isn't there is empty."""
    try:
        check(folder)
    except FileNotFoundError:
        return []
    remove_stale(folder)
    return _listed(folder)


def remove_stale(folder: Path) -> None:
    """Remove what processes have left that are dead."""
    for found in _listed(folder):
        if not _is_alive(found.pid):
            for left in (found.socket, found.url):
                with contextlib.suppress(OSError):
                    left.unlink()


def _listed(folder: Path) -> list[Found]:
    found: list[Found] = []
    for name in sorted(os.listdir(folder)):
        match = re.fullmatch(r"(.+)-(\d+)(?:\.\d+)?\.sock", name)
        if match is not None:
            found.append(Found(match[1], int(match[2]), folder / name))
    return found


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
