"""A FastAPI service whose handlers call an actor. A bad request is an answer; a lost connection is a crash.

Look for: `expects=` says that nothing but a lost connection is a crash. So whatever else the actor raises, `KeyError` for an
item that there is none of, `ValueError` for an amount that makes no sense, goes to the caller as it is, and FastAPI makes a 404
or a 422 of it. Ten thousand bad requests cost not one restart. When the connection is lost, the next life has a fresh one, and
`redeliver=1` has it try again the request that was in hand.
"""

import sys

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from tenacity import retry_if_not_exception_type, wait_exponential

from supervise import Restart, Supervisor, child
from supervise.adapters.starlette import lifespan


class Database:
    """Stands for a database: its connections can be lost."""

    def __init__(self) -> None:
        self.rows = {"apple": 1_000_000, "pear": 3}
        self.connections = 0
        self.lost = False

    def connect(self) -> "Database":
        self.connections += 1
        self.lost = False
        return self

    def read(self, item: str) -> int:
        if self.lost:
            raise ConnectionError("the connection is lost")
        return self.rows[item]


DATABASE = Database()


class Stock:
    def __init__(self) -> None:
        self.connection = DATABASE.connect()  # in each life a fresh one

    async def take(self, item: str, amount: int) -> int:
        left = self.connection.read(item) - amount
        if amount < 1 or left < 0:
            raise ValueError(f"{amount} of {item} can't be taken")
        self.connection.rows[item] = left
        return left


tree = Supervisor(
    "shop",
    child(
        Stock,
        name="stock",
        expects=retry_if_not_exception_type(ConnectionError),
        redeliver=1,
        restart=Restart.permanent(wait=wait_exponential(multiplier=0.1, max=30)),
    ),
)
app = FastAPI(lifespan=lifespan(tree, stock="stock"))


@app.post("/items/{item}/take")
async def take(item: str, amount: int, request: Request) -> int:
    left: int = await request.state.stock.call(Stock.take, item, amount)
    return left


@app.exception_handler(KeyError)
async def not_found(_: Request, error: KeyError) -> JSONResponse:
    return JSONResponse({"error": f"there is no {error}"}, status_code=404)


@app.exception_handler(ValueError)
async def unprocessable(_: Request, error: ValueError) -> JSONResponse:
    return JSONResponse({"error": str(error)}, status_code=422)


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]) if len(sys.argv) > 1 else 8000)
