"""Prices for whoever wants to know: one process publishes them, and others subscribe, over links.

Look for: the publisher waits for nobody. Who reads slowly misses the oldest, knows how many, and harms nobody else. Others may
publish, too, since the interface says so; and nobody can call a topic.

The trees stand for processes. Their links are unix sockets, as they would be between processes.
"""

import sys
from tempfile import TemporaryDirectory
from typing import NamedTuple, Protocol

import anyio

from supervise import NotServed, Supervisor
from supervise.remote import Topic, dial, gate, topic
from supervise.wire import Interface, RemoteSubscription


class PriceChanged(NamedTuple):
    item: str
    cents: int


class PricesApi(Protocol):
    def publish(self, event: PriceChanged) -> None: ...  # without this one others could only listen


PRICES = Interface("prices", PricesApi, events=(PriceChanged,))


async def heard_until(prices: RemoteSubscription[PriceChanged], item: str, cents: int = 0) -> list[PriceChanged]:
    """All that is heard up to that one."""
    heard = [await prices.receive()]
    while heard[-1] != PriceChanged(item, cents):
        heard.append(await prices.receive())
    return heard


async def main() -> None:
    with TemporaryDirectory() as folder:
        where, prices = f"unix://{folder}/prices.sock", topic(PRICES)
        market = Supervisor("market", prices, gate(where, serves=[PRICES.by(prices)]))
        to_office, to_shop = (dial(where, uses=[PRICES], name=name, eager=True) for name in ("office", "shop"))
        async with market as here, Supervisor("office", to_office) as office, Supervisor("shop", to_shop) as shop:
            at_market, at_office = here.find(prices), PRICES.over(office.find(to_office))
            at_shop = PRICES.over(shop.find(to_shop))
            async with at_office.subscribe(PriceChanged, capacity=10) as slow, at_shop.subscribe(PriceChanged) as quick:
                await at_office.send(PricesApi.publish, PriceChanged("honey", 0))
                await at_shop.send(PricesApi.publish, PriceChanged("milk", 0))
                print(*await heard_until(slow, "honey"), *await heard_until(quick, "milk"))  # both are listening now
                for cents in range(1, 201):
                    await at_market.send(Topic.publish, PriceChanged("tea", cents))
                    await heard_until(quick, "tea", cents)
                try:
                    await at_office.call(PricesApi.publish, PriceChanged("tea", 201))
                except NotServed as error:
                    print(error)
                heard = await heard_until(slow, "tea", 200)
                print(f"who was slow has heard {len(heard)} prices, the last ten among them, and missed {slow.dropped}")
                assert [price.cents for price in heard[-10:]] == [*range(191, 201)]
                assert slow.dropped > 100
                assert quick.dropped == slow.gaps == 0


if __name__ == "__main__":
    anyio.run(main, backend=sys.argv[1] if len(sys.argv) > 1 else "asyncio")
