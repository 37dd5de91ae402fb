"""The files of flight records: written aside and renamed, for their owner alone, and only the last ones stay."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

MOST_BYTES: Final = 120
"""Of the tree's name in that of a file, which may have 255."""
ABANDONED: Final = 3600.0
"""Seconds after which a file that is only half written has no writer any more."""


def default_folder() -> Path:
    """What SUPERVISE_RECORDS says, else `supervise` in the user's folder for state. RuntimeError if the user has none."""
    said = os.environ.get("SUPERVISE_RECORDS")
    if said:
        return Path(said)
    if sys.platform == "win32":
        state = os.environ.get("LOCALAPPDATA")
        return Path(state or Path.home() / "AppData" / "Local") / "supervise"
    state = os.environ.get("XDG_STATE_HOME", "")
    return (Path(state) if os.path.isabs(state) else Path.home() / ".local" / "state") / "supervise"


def write(folder: Path, name: str, when: float, data: bytes, keep: int) -> Path:
    """Write a record of the tree `name`, taken at that instant; the answer is its file. Older ones than the last `keep` go.

    Nobody sees half of it, and nothing is left of it where it fails: OSError.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    plain = re.sub(r"[^\w.-]", "_", name).lstrip(".")
    stem = plain.encode()[:MOST_BYTES].decode(errors="ignore") or "tree"
    file = folder / f"{stem}-{datetime.fromtimestamp(when, UTC):%Y%m%dT%H%M%S.%fZ}-{os.getpid()}.json"
    aside = folder / f".{file.name}.part"
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    try:
        with open(descriptor, "wb") as stream:
            stream.write(data)
        os.replace(aside, file)
    except BaseException:
        with contextlib.suppress(OSError):
            aside.unlink()
        raise
    _remove_old(folder, stem, keep, file.name)
    return file


def _remove_old(folder: Path, stem: str, keep: int, newest: str) -> None:
    """Best effort: another process may do the same, or own them."""
    written = re.compile(rf"{re.escape(stem)}-\d{{8}}T\d{{6}}\.\d{{6}}Z-\d+\.json")
    with contextlib.suppress(OSError):
        names = sorted(name for name in os.listdir(folder) if written.fullmatch(name.removeprefix(".").removesuffix(".part")))
        # The one that was just written is none of the older ones, whatever the clock says.
        whole = [*(name for name in names if written.fullmatch(name) and name != newest), newest]
        for name in whole[:-keep]:
            with contextlib.suppress(OSError):
                (folder / name).unlink()
        for name in set(names) - set(whole):
            with contextlib.suppress(OSError):
                if (folder / name).stat().st_mtime < time.time() - ABANDONED:
                    (folder / name).unlink()
