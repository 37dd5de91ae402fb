"""A gRPC server whose methods call an actor; asyncio. It needs grpcio: `pip install grpcio`.

Look for: what isn't there is the caller's error, and nobody's crash; a database that is lost is UNAVAILABLE for the call that
met it, and one restart; a server that somebody has stopped listens again, on the same port; a stop lets calls in hand finish.
"""

import asyncio
import socket

import grpc
import grpc.aio
from tenacity import wait_exponential, wait_random

from supervise import Address, CallError, Restart, SendError, Supervisor, child, ref
from supervise.adapters.service import service

PATIENT = Restart.permanent(wait=wait_exponential(multiplier=0.05, max=30) + wait_random(0, 0.05))


class Stock:
    def __init__(self, shelf: dict[str, int]) -> None:  # which stands for a database
        self.shelf = shelf

    async def take(self, item: str) -> int:
        if item == "the connection":
            raise ConnectionResetError("the database went away")
        self.shelf[item] -= 1  # KeyError: there is no such item
        return self.shelf[item]


class Api:
    """The methods, as in a servicer that protoc has made, and the server. Here the messages are bytes."""

    def __init__(self, stock: Address[Stock], port: int) -> None:
        self.stock = stock.options(timeout=5, on_restart="fail")
        self.server = grpc.aio.server()
        methods = {"Take": grpc.unary_unary_rpc_method_handler(self.take)}
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("Stock", methods),))
        self.server.add_insecure_port(f"127.0.0.1:{port}")

    async def take(self, request: bytes, context: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
        try:
            return b"%d" % await self.stock.call(Stock.take, request.decode())
        except KeyError as error:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"there is no {error}")
        except (CallError, SendError) as error:  # it crashed, is restarting, too busy, or stopped
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        raise AssertionError("abort raises")

    async def start(self) -> None:
        await self.server.start()

    async def wait(self) -> None:
        await self.server.wait_for_termination()

    async def stop(self) -> None:
        await self.server.stop(grace=4)  # seconds, of the five that a stop may take


async def main() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    stock = child(Stock, {"tea": 3}, expects=(KeyError,), restart=PATIENT)
    api = child(service(Api, ref(stock), port, start=Api.start, stop=Api.stop, wait=Api.wait), restart=PATIENT)
    tree = Supervisor("app", stock, api)
    async with tree as app, grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        take = channel.unary_unary("/Stock/Take")
        for item in ("tea", "plum", "the connection", "tea"):
            try:
                print(f"{item}: {(await take(item.encode(), timeout=10)).decode()} are left")
            except grpc.aio.AioRpcError as error:
                print(f"{item}: {error.code().name}, {error.details()}")
            await app.find(stock).call(lambda _: None)  # so that the next one meets no restart
        await app.find(api).call(Api.stop)  # somebody stops the server itself
        print(f"tea: {(await take(b'tea', wait_for_ready=True, timeout=10)).decode()} are left")
        lives = {info.id: info.incarnation for info in app.children()}
        assert lives == {"stock": 2, "api": 2}


if __name__ == "__main__":
    asyncio.run(main())
