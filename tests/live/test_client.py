"""What a client makes of addresses and paths: whose token goes where, and whom a path means."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervise import Supervisor, child
from supervise.live import Client, LiveError, NoTree, serve
from tests.real_clock import on_the_real_clock

from .asked import ask

pytestmark = [pytest.mark.anyio, on_the_real_clock]


class Idle:
    """It has nothing to do."""


async def test_the_token_of_a_tree_here_is_told_to_no_other_machine_that_uses_the_same_port() -> None:
    async with Supervisor("app", child(Idle, name="idle")) as app, serve(app, "127.0.0.1:0") as served:
        assert served.url is not None
        port = served.url.partition("#")[0].rstrip("/").rpartition(":")[2]
        with pytest.raises(NoTree, match="token is missing"):
            Client(f"http://other.example:{port}")
        assert (await ask(Client(f"http://localhost:{port}").snapshot))["tree"]["name"] == "app"  # it is for this one


@pytest.mark.parametrize(
    "url", ["http://[::1", "http://localhost:99999999#token=x", "http://localhost:x#token=x", "http://:80"]
)
async def test_what_is_no_address_is_said_to_be_none(url: str) -> None:
    with pytest.raises(NoTree, match="isn't the address of a tree"):
        Client(url)


async def test_a_child_may_have_the_name_of_its_tree(runtime: Path) -> None:
    tree = Supervisor("shop", Supervisor("shop", child(Idle, name="deep")), child(Idle, name="db"))
    async with tree as app, serve(app, runtime / "app.sock"):
        client = Client(runtime / "app.sock")
        for row in (await ask(client.snapshot))["rows"][1:]:  # what rows say is what is found
            assert (await ask(client.actor, row["path"]))["row"]["path"] == row["path"]
        assert (await ask(client.actor, "db"))["row"]["path"] == "shop/db"
        assert (await ask(client.actor, "shop/deep"))["row"]["path"] == "shop/shop/deep"  # nothing else is called so
        assert (await ask(client.snapshot, under="shop/shop"))["rows"][0]["path"] == "shop/shop"
        with pytest.raises(LiveError, match="no child"):
            await ask(client.actor, "shop/nobody")
