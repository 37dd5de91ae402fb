"""A chat server whose rooms and connections may crash.

What to look for: the tree at the end of `supervise/cli/chat.py`, which this runs. Nobody in there handles a crash; membership
lives in the registry, so a fresh room knows its members, and the lines that waited in its mailbox are broadcast late, not lost.

    python examples/chat.py 7777            then, elsewhere: nc 127.0.0.1 7777, and NICK ann, JOIN lobby, SAY hello
    supervise run examples.chat:TREE        the same, until SIGTERM
"""

from __future__ import annotations

import sys

import anyio

from supervise.cli.chat import TREE, Listener, tree

__all__ = ("TREE", "main")


async def main(port: int) -> None:
    """Serve until it is interrupted."""
    async with tree(port) as app:
        print("listening on port", await app.find("listener").call(Listener.port), flush=True)
        await app.wait()


if __name__ == "__main__":
    anyio.run(main, int(sys.argv[1]) if len(sys.argv) > 1 else 0, backend=sys.argv[2] if len(sys.argv) > 2 else "asyncio")
