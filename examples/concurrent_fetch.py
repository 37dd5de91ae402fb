"""Many downloads at once in one actor, which handles one message at a time all the same.

Look for: the handler `fetch` only starts a task of the nursery and returns, so the next message is handled while the download
runs. The task sends its result back to its own actor: `fetched` is a message like any other, and only handlers touch the
actor's state. The server here answers when all requests have arrived, so they must be in flight together.
"""

import sys

import anyio
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

from supervise import Supervisor, current

DOWNLOADS = 20


class Server:
    """Speaks as much HTTP as is needed."""

    def __init__(self) -> None:
        self.requests = 0
        self.all_are_here = anyio.Event()

    async def serve(self, client: SocketStream) -> None:
        async with client:
            request = await BufferedByteReceiveStream(client).receive_until(b"\r\n\r\n", 4096)
            path = request.split()[1].decode()
            self.requests += 1
            if self.requests == DOWNLOADS:
                self.all_are_here.set()
            await self.all_are_here.wait()
            body = f"this is {path}".encode() if path != "/missing" else b""
            status = "200 OK" if body else "404 Not Found"
            head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            await client.send(head.encode() + body)


class Fetcher:
    def __init__(self, port: int) -> None:
        self.port = port
        self.pages: dict[str, str] = {}
        self.failed: dict[str, str] = {}
        self.complete = anyio.Event()

    async def fetch(self, path: str) -> None:
        current().nursery.start_soon(self._download, path)

    async def _download(self, path: str) -> None:
        """A task: what it finds out, it tells the actor."""
        me = current().address
        async with await anyio.connect_tcp("127.0.0.1", self.port) as server:
            await server.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            reader = BufferedByteReceiveStream(server)
            status, *lines = (await reader.receive_until(b"\r\n\r\n", 4096)).decode().split("\r\n")
            length = next(int(line.split(":")[1]) for line in lines if line.startswith("Content-Length:"))
            body = (await reader.receive_exactly(length)).decode()
        if " 200 " in status:
            await me.send(Fetcher.fetched, path, body)
        else:
            await me.send(Fetcher.not_fetched, path, status)

    async def fetched(self, path: str, body: str) -> None:
        self.pages[path] = body
        self._look()

    async def not_fetched(self, path: str, why: str) -> None:
        self.failed[path] = why
        self._look()

    def _look(self) -> None:
        if len(self.pages) + len(self.failed) == DOWNLOADS:
            self.complete.set()


async def main() -> None:
    server = Server()
    async with (
        Supervisor("app") as app,
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(listener.serve, server.serve)
        fetcher = await app.start(Fetcher, listener.extra(SocketAttribute.local_port))
        for number in range(DOWNLOADS - 1):
            await fetcher.send(Fetcher.fetch, f"/page/{number}")
        await fetcher.send(Fetcher.fetch, "/missing")
        complete = await fetcher.call(lambda actor: actor.complete)  # answered while all downloads run
        await complete.wait()
        pages, failed = await fetcher.call(lambda actor: (actor.pages, actor.failed))
        tasks.cancel_scope.cancel()
        print(f"{len(pages)} pages, the last one says: {pages[f'/page/{DOWNLOADS - 2}']!r}; failed: {failed}")
        assert (len(pages), list(failed)) == (DOWNLOADS - 1, ["/missing"])


if __name__ == "__main__":
    anyio.run(main, backend=sys.argv[1] if len(sys.argv) > 1 else "asyncio")
