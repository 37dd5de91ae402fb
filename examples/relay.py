"""A gateway that passes messages on to one of two backends, chosen for each message, without reading them.

Look for: who calls knows one address, and no backend. The backend knows who asks, by the gateway's word. When one of them is
gone, a call that doesn't wait is refused at once, and certainly wasn't delivered: so it can be made again, and finds the other.

The four trees stand for four processes. Their links are unix sockets, as they would be between processes.
"""

import sys
from itertools import cycle
from tempfile import TemporaryDirectory
from typing import Protocol

import anyio

from supervise import ActorRestarting, Child, Supervisor, child, current
from supervise.remote import Admission, Passing, Peer, dial, gate, relay
from supervise.wire import Interface, RemoteAddress


class OrdersApi(Protocol):
    async def place(self, item: str) -> str: ...


ORDERS = Interface("shop", OrdersApi)


class Orders:
    def __init__(self, where: str) -> None:
        self.where = where

    async def place(self, item: str) -> str:
        origin = current().origin
        return f"{item} from the {self.where} shop, for {origin.relayed[0] if origin else 'somebody here'}"


def backend(where: str, folder: str) -> Supervisor:
    orders = child(Orders, where, name="orders")
    return Supervisor(where, orders, gate(f"unix://{folder}/{where}.sock", serves=[ORDERS.by(orders)]))


def gateway(folder: str) -> Supervisor:
    links = [dial(f"unix://{folder}/{where}.sock", uses=[ORDERS], name=where) for where in ("east", "west")]
    in_turn = cycle(links)

    def choose(message: Passing) -> Child[Peer]:
        return next(in_turn)  # or by message.handler, message.size, or message.origin: who asks

    front = gate(f"unix://{folder}/front.sock", serves=[relay(choose, ORDERS)], admit=lambda caller: Admission("the web"))
    return Supervisor("gateway", *links, front)


async def place(shop: RemoteAddress[OrdersApi], item: str) -> str:
    """As often as it certainly wasn't delivered."""
    while True:
        try:
            return await shop.options(on_restart="fail", timeout=5).call(OrdersApi.place, item)
        except ActorRestarting as error:
            print(f"once more: {error}")


async def main() -> None:
    with TemporaryDirectory() as folder:
        link = dial(f"unix://{folder}/front.sock", uses=[ORDERS], eager=True)
        async with backend("east", folder), gateway(folder) as between, Supervisor("web", link) as web:
            shop = ORDERS.over(web.find(link))
            async with backend("west", folder):
                said = [await shop.call(OrdersApi.place, item) for item in ("tea", "milk", "honey", "bread")]
                print(*said, sep="\n")
                assert sum("west" in answer for answer in said) == 2
            print(await ORDERS.over(between.find("west")).watch())  # the gateway hears that it is gone
            late = [await place(shop, item) for item in ("salt", "rice")]
            print(*late, sep="\n")
            assert all(answer.endswith("from the east shop, for the web") for answer in late)


if __name__ == "__main__":
    anyio.run(main, backend=sys.argv[1] if len(sys.argv) > 1 else "asyncio")
