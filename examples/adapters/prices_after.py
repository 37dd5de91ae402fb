"""A FastAPI application with a poller in the background: `GET /price` tells the last price that it saw. Before and after.

Look for: the third tick can't be parsed. Before, that ends the poller, nobody hears of it, and the application serves the
second price for ever. After, it is a crash that is logged; the poller is started again, and the price moves on.
"""

import asyncio
import itertools
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI

from supervise import Supervisor, child, task
from supervise.adapters.starlette import lifespan

TICKS = itertools.chain(["100", "101", "1o2"], (str(price) for price in range(103, 1000)))  # stands for an exchange
latest = 0


@asynccontextmanager
async def subscription() -> AsyncGenerator[AsyncGenerator[str, None]]:
    async def ticks() -> AsyncGenerator[str, None]:
        for tick in TICKS:
            await asyncio.sleep(0.01)
            yield tick

    stream = ticks()
    try:
        yield stream
    finally:
        await stream.aclose()


async def poll() -> None:
    global latest
    async with subscription() as ticks:
        async for tick in ticks:
            latest = int(tick)


app = FastAPI(lifespan=lifespan(Supervisor("app", child(task(poll)))))


@app.get("/price")
async def price() -> int:
    return latest


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]) if len(sys.argv) > 1 else 8000)
