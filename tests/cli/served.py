"""What real clients talk to while it is told to stop: two examples, each saying its port and, at the end, its account."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from supervise import RunningSupervisor, Supervisor, child, current
from supervise.cli import chat


class Announcer:
    """Says on which port its elder listens."""

    def __init__(self, path: str, port: Any) -> None:
        self._path = path
        self._port = port

    async def __aenter__(self) -> Announcer:
        print("port", await current().find(self._path).call(self._port), flush=True)
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


class AtTheEnd:
    """Watches a tree, as metrics do, and says what became of its messages when nothing of it runs any more."""

    def watch(self, app: RunningSupervisor) -> Callable[[], object]:
        def say() -> None:
            print("account", *app.account(), flush=True)

        return say


CHAT = Supervisor(
    "app", chat.tree(0), child(Announcer, "chat/listener", chat.Listener.port, name="announcer"), metrics=AtTheEnd()
)


def prices() -> Supervisor:
    """Needs uvicorn and FastAPI, so it isn't made before it is asked for."""
    import uvicorn

    from examples.adapters.prices_after import app as api
    from supervise.adapters.uvicorn import Server, server

    http = child(server(uvicorn.Config(api, port=0, log_config=None)), name="http")
    return Supervisor("web", http, child(Announcer, "http", Server.port, name="announcer"), metrics=AtTheEnd())


def __getattr__(name: str) -> Supervisor:
    if name == "PRICES":
        return prices()
    raise AttributeError(name)
