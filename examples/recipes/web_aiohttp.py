"""An aiohttp application whose handlers call an actor; asyncio. It needs aiohttp: `pip install aiohttp`.

Look for: a bad request is answered, and nobody crashes; while the stock is restarting a request is told so at once, with a 503,
rather than kept waiting; the requests after the restart are answered. A stop lets the requests in hand finish.
"""

import asyncio
from collections import Counter

from aiohttp import ClientSession, web
from tenacity import wait_exponential, wait_random

from supervise import Address, CallError, Restart, SendError, Supervisor, child, ref
from supervise.adapters.service import service

PATIENT = Restart.permanent(wait=wait_exponential(multiplier=0.05, max=30) + wait_random(0, 0.05))


class Stock:
    def __init__(self, shelf: dict[str, int]) -> None:  # which stands for a database
        self.shelf = shelf

    async def take(self, item: str) -> int:
        if item == "connection":
            raise ConnectionResetError("the database went away")
        self.shelf[item] -= 1  # KeyError: there is no such item
        return self.shelf[item]


class Web:
    def __init__(self, stock: Address[Stock], port: int) -> None:
        self.stock = stock.options(timeout=5, on_restart="fail")
        self.port = port
        application = web.Application()
        application.add_routes([web.post("/items/{item}/take", self.take)])
        self.runner = web.AppRunner(application, handle_signals=False, shutdown_timeout=4)

    async def start(self) -> None:
        await self.runner.setup()
        try:
            await web.TCPSite(self.runner, "127.0.0.1", self.port).start()
        except BaseException:
            await self.runner.cleanup()  # the port is taken: this start has failed, and leaves nothing
            raise
        self.port = self.runner.addresses[0][1]

    async def stop(self) -> None:
        await self.runner.cleanup()

    async def take(self, request: web.Request) -> web.Response:
        item = request.match_info["item"]
        try:
            return web.json_response(await self.stock.call(Stock.take, item))
        except KeyError:
            return web.json_response({"error": f"no {item}"}, status=404)
        except (CallError, SendError) as error:  # it crashed, is restarting, too busy, or stopped
            return web.json_response({"error": str(error)}, status=503, headers={"Retry-After": "1"})


async def main() -> None:
    stock = child(Stock, {"tea": 100}, expects=(KeyError,), restart=PATIENT)
    http = child(service(Web, ref(stock), 0, start=Web.start, stop=Web.stop), restart=PATIENT)
    async with Supervisor("app", stock, http) as app, ClientSession() as client:
        port = (await app.find(http).instance()).port

        async def take(item: str) -> int:
            async with client.post(f"http://127.0.0.1:{port}/items/{item}/take") as answer:
                return int(answer.status)

        print("tea:", await take("tea"), " plum:", await take("plum"))
        statuses = Counter(await asyncio.gather(take("connection"), *(take("tea") for _ in range(9))))
        await app.find(stock).call(lambda _: None)  # waits for the next life
        print("as the database goes away:", dict(statuses), " then:", after := await take("tea"))
        assert (after, statuses[503] > 0, app.get_childspec("stock").restarts) == (200, True, 1)


if __name__ == "__main__":
    asyncio.run(main())
