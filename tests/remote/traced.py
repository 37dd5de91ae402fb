"""Web asks orders, and orders asks stock: what tests of traces over links play with. As three processes, too:

    python -m tests.remote.traced stock|orders|web ENDPOINT FOLDER BACKEND

Sockets are in FOLDER, and spans go to ENDPOINT. Stock and orders say that they are up, and serve until their stdin ends; web
asks once, prints the answer, and ends.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Protocol

import anyio
import anyio.to_thread

from supervise import Supervisor, child, current
from supervise.remote.dial import dial
from supervise.remote.gate import gate
from supervise.telemetry import Spans, tracing
from supervise.wire.interface import Interface


class ShopApi(Protocol):
    """What can be asked of a shop."""

    async def place(self, item: str) -> int: ...
    async def note(self, item: str) -> None: ...
    async def fail(self, item: str) -> int: ...


class StockApi(Protocol):
    """What can be asked of its stock."""

    async def take(self, item: str) -> int: ...


SHOP: Interface[ShopApi] = Interface("shop", ShopApi)
STOCK: Interface[StockApi] = Interface("stock", StockApi)


class Stock:
    """Runs in the third process."""

    async def take(self, item: str) -> int:
        if item == "nothing":
            raise KeyError(item)
        return 7


class Orders:
    """Runs in the second, and asks the third."""

    async def place(self, item: str) -> int:
        return await STOCK.over(current().find("link")).call(StockApi.take, item)

    async def note(self, item: str) -> None:
        await self.place(item)

    async def fail(self, item: str) -> int:
        return await self.place("nothing")


class Web:
    """Runs in the first, and asks the second."""

    async def serve(self, handler: Any) -> Any:
        return await SHOP.over(current().find("link")).call(handler, "tea")

    async def tell(self) -> None:
        await SHOP.over(current().find("link")).send(ShopApi.note, "tea")


def process(role: str, folder: Path, spans: Any) -> Supervisor:
    """The tree of one of the three."""
    to_stock, to_orders = f"unix://{folder / 'stock.sock'}", f"unix://{folder / 'orders.sock'}"
    if role == "stock":
        stock = child(Stock, name="stock")
        return Supervisor("stock", stock, gate(to_stock, serves=[STOCK.by(stock)]), tracing=spans)
    if role == "orders":
        orders = child(Orders, name="orders")
        link = dial(to_stock, uses=[STOCK])
        return Supervisor("shop", link, orders, gate(to_orders, serves=[SHOP.by(orders)]), tracing=spans)
    return Supervisor("web", child(Web, name="web"), dial(to_orders, uses=[SHOP]), tracing=spans)


async def main(role: str, folder: Path, spans: Any) -> None:
    async with process(role, folder, spans) as app:
        if role == "web":
            print(await app.find("web").call(Web.serve, ShopApi.place), flush=True)
            return
        print("up", flush=True)
        await anyio.to_thread.run_sync(sys.stdin.buffer.read, abandon_on_cancel=True)


if __name__ == "__main__":
    role, endpoint, folder, backend = sys.argv[1:]
    told = tracing.configure(role, endpoint=endpoint, as_global=False)
    anyio.run(main, role, Path(folder), Spans(told.provider), backend=backend)
    assert told.close()
