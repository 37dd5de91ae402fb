"""Who belongs to a process group, from /proc. It reads a file for each process of the system: never in an event loop."""

from __future__ import annotations

import contextlib
import os


def running(group: int) -> list[int] | None:
    """The processes of a group that run; None where the system has no such list, as macOS.

    Zombies don't: a container's init may never collect them.
    """
    try:
        names = os.listdir("/proc")
    except OSError:
        return None
    found: list[int] = []
    seen = False
    for name in names:
        if not name.isdigit():
            continue
        with contextlib.suppress(OSError):  # gone meanwhile
            state, its_group = _state_and_group(name)
            seen = True
            if its_group == group and state not in "ZX":
                found.append(int(name))
    return found if seen else None


def _state_and_group(pid: str) -> tuple[str, int]:
    with open(f"/proc/{pid}/stat", "rb") as stat:
        # its name, in parentheses, may have anything in it
        state, _, group = stat.read().rpartition(b")")[2].split()[:3]
    return state.decode(), int(group)
