"""`/live` and `/ready` as an ASGI application, without a framework."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple

from supervise.log import say
from supervise.tree.snapshot import Source, is_live, readiness
from supervise_strategies.exception import interrupts

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Answer(NamedTuple):
    """A whole HTTP response."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...]


class Endpoint:
    r"""An ASGI application that answers probes of one tree: `/live` and `/ready`.

    It is mounted in an application of yours: `api.mount("/health", Endpoint(TREE))`.

    | path | status | body, as JSON |
    |---|---|---|
    | `/live` | 200 while the tree runs, else 503 | `live`, `ready`, `degraded`, `why` |
    | `/ready` | 200 while it is ready, degraded or not, else 503 | the same |

    It has to run in the tree's own event loop, where nothing changes while it looks. The tree
    is a running one, or its description, which needn't run yet. It is for GET and HEAD: another
    method gets 405, another path 404. Where something that it asks raises, a queue of your own
    for one, the answer is 500 and the log says why. Raises `InvalidSpec` at once for what is no
    tree.

        >>> app = Supervisor("app", child(list, name="cart"))
        >>> Endpoint(app).answer("GET", "/ready").status
        503
        >>> async with app:
        ...     Endpoint(app).answer("GET", "/ready").body
        b'{"live": true, "ready": true, "degraded": false, "why": []}\n'
    """

    def __init__(self, tree: Source, /) -> None:
        is_live(tree)  # refuses what isn't a tree here and not at the first request
        self._tree = tree

    def answer(self, method: str, path: str) -> Answer:
        """What is answered to a request, without ASGI; raises nothing but KeyboardInterrupt."""
        try:
            return self._answer(method, path)
        except BaseException as error:  # a probe must not end what it looks at
            if interrupts(error):
                raise
            say(logging.ERROR, "%s: the health of the tree couldn't be told", path, error=error)
            return _json(500, {"error": f"the health of the tree couldn't be told: {type(error).__name__}"})

    def _answer(self, method: str, path: str) -> Answer:
        if method not in ("GET", "HEAD"):
            return _json(405, {"error": f"{method} isn't for this: use GET"}, (b"allow", b"GET, HEAD"))
        if path not in ("/live", "/ready"):
            return _json(404, {"error": "there are /live and /ready; the whole tree is told by supervise.live"})
        found = readiness(self._tree)
        good = found.live if path == "/live" else found.ready
        told = {"live": found.live, "ready": found.ready, "degraded": found.degraded, "why": found.why}
        return _json(200 if good else 503, told)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        if scope["type"] != "http":
            raise RuntimeError(f"{type(self).__name__} speaks HTTP alone, not {scope['type']}")
        root = scope.get("root_path", "")
        path: str = scope["path"]
        if root and path.startswith(f"{root}/"):  # mounted: whether the path has its root in it differs between frameworks
            path = path[len(root) :]
        answer = self.answer(scope["method"], path)
        await send({"type": "http.response.start", "status": answer.status, "headers": [*answer.headers]})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else answer.body})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        asked = (await receive())["type"]
        await send({"type": f"{asked}.complete"})
        if asked == "lifespan.shutdown":
            return


def _json(status: int, value: Any, *more: tuple[bytes, bytes]) -> Answer:
    body = json.dumps(value, allow_nan=False).encode() + b"\n"
    headers = (
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        *more,
    )
    return Answer(status, body, headers)
