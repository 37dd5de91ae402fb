"""A shop in a process of its own, that listens on a unix socket: `python -m tests.remote.server PATH [BACKEND]`."""

from __future__ import annotations

import sys

import anyio

from supervise import Supervisor, child
from supervise.remote.gate import gate

from .world import ORDERS, Orders


async def main(path: str) -> None:
    """Serve until the process is killed."""
    orders = child(Orders, name="orders", expects=(ValueError,))
    async with Supervisor("shop", orders, gate(f"unix://{path}", serves=[ORDERS.by(orders)])) as app:
        print("up", flush=True)
        await app.wait()


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], backend=sys.argv[2] if len(sys.argv) > 2 else "asyncio")
