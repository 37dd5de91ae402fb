"""Several gateways, and a service behind them that only takes so many requests at once.

Look for: each gateway has one request in flight, as an actor handles one message at a time; together they have as many as
there are gateways. One anyio `CapacityLimiter`, handed to all of them, bounds what they have in flight together. A handler that
crashes leaves its `async with`, so its place is free again. Its request is lost, and no other.
"""

import sys

import anyio

from supervise import Address, Supervisor

GATEWAYS = 6


class Service:
    """Not an actor: something far away, which says how busy it was."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.most = 0
        self.answered = 0
        self.done = anyio.Event()

    async def ask(self, question: str) -> None:
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        try:
            await anyio.sleep(0.01)
            if question == "?!":
                raise ConnectionError("the service hung up")
            self.answered += 1
            if self.answered == 3 * GATEWAYS - 1:
                self.done.set()
        finally:
            self.in_flight -= 1


class Gateway:
    def __init__(self, service: Service) -> None:
        self.service = service

    async def ask(self, question: str) -> None:
        await self.service.ask(question)


class PoliteGateway(Gateway):
    def __init__(self, service: Service, limiter: anyio.CapacityLimiter) -> None:
        super().__init__(service)
        self.limiter = limiter

    async def ask(self, question: str) -> None:
        async with self.limiter:
            await self.service.ask(question)


async def ask_all(gateways: list[Address[Gateway]], service: Service) -> None:
    for gateway in gateways:
        for question in ("?", "?!" if gateway is gateways[0] else "?", "?"):
            await gateway.send(Gateway.ask, question)
    await service.done.wait()


async def main() -> None:
    limiter = anyio.CapacityLimiter(2)
    service, limited = Service(), Service()
    async with Supervisor("app") as app:
        await ask_all([await app.start(Gateway, service) for _ in range(GATEWAYS)], service)
        print(f"{GATEWAYS} gateways: up to {service.most} requests at once")
        await ask_all([await app.start(PoliteGateway, limited, limiter) for _ in range(GATEWAYS)], limited)
        print(f"the same with a limiter of {limiter.total_tokens:g}: up to {limited.most}")
    assert (service.most, limited.most, limiter.borrowed_tokens) == (GATEWAYS, 2, 0)


if __name__ == "__main__":
    anyio.run(main, backend=sys.argv[1] if len(sys.argv) > 1 else "asyncio")
