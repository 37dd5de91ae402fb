"""A client that hangs up reads no further, whatever thread reads."""

from __future__ import annotations

import threading
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from anyio.from_thread import start_blocking_portal

from supervise import Supervisor, child
from supervise.live import Client, NoTree, serve
from tests.doubles import Scribe

GUARD = 60.0
"""Seconds after which what hangs is given up."""


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_stream_that_is_hung_up_ends_at_once(backend: str) -> None:
    """Without that it would go on for as long as the tree does."""
    begun, ended = threading.Event(), threading.Event()

    def follow() -> None:
        try:
            for _ in client.stream(every=3600.0):
                begun.set()
        except NoTree:
            pass
        ended.set()

    tree = Supervisor("app", child(Scribe, name="scribe"))
    with TemporaryDirectory(prefix="hang-up-") as folder, start_blocking_portal(backend) as portal:
        with portal.wrap_async_context_manager(tree) as app:
            with portal.wrap_async_context_manager(serve(app, Path(folder) / "s")) as served:
                client = Client(served.socket)
                client.hang_up()  # nothing is followed
                thread = threading.Thread(target=follow)
                thread.start()
                assert begun.wait(GUARD)
                client.hang_up()
                assert ended.wait(GUARD)
                thread.join()
