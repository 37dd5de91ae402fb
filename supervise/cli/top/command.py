"""What `supervise top` does, and what it says where it can't."""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING, Final

from supervise.live.client import Client, LiveError, NoTree
from supervise_strategies.exception import interrupts

from .once import show

if TYPE_CHECKING:
    from supervise.live.folder import Found

FASTEST: Final = 0.25
SLOWEST: Final = 3600.0


def main(where: str | None, *, once: bool, every: float, who: str) -> int:
    """Show the tree until the user leaves: 0. The status is 2 if it can't be shown like this, 3 if no tree answers; then
    stderr says why, and what to do.
    """
    if not FASTEST <= every <= SLOWEST:
        return _failed(f"--every {every:g}: say seconds, from {FASTEST:g} to {SLOWEST:g}", 2)
    if not once and importlib.util.find_spec("textual") is None:
        return _failed("top needs Textual: pip install textual; or take supervise top --once", 2)
    if not once and not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):  # Textual draws on stderr
        return _failed("top draws in a terminal, and here is none: take supervise top --once", 2)
    try:
        client = Client(where)
        if once:
            return show(client, every)
        client.snapshot(top=1)
    except NoTree as error:
        if not error.among:
            return _failed(str(error), 3)
        if once or where:
            return _failed("\n".join([str(error), *[_in_line(found) for found in error.among]]), 2)
        return _run(None, error.among, every, who)
    except LiveError as error:
        return _failed(str(error), 3)
    except BaseException as error:
        if not interrupts(error):
            raise
        return 130
    return _run(where, (), every, who)


def _run(where: str | None, among: tuple[Found, ...], every: float, who: str) -> int:
    from .app import Top

    def connect(where: str | None) -> Client:
        return Client(where)  # anew each time: a tree that is back may have another socket

    app = Top(connect, where, among, every=every, who=who)
    app.run()
    return app.return_code or 0


def _in_line(found: Found) -> str:
    return f"  supervise top {found.socket}  ({found.name}, process {found.pid})"


def _failed(text: str, status: int) -> int:
    print(f"supervise: {text}", file=sys.stderr)
    return status
