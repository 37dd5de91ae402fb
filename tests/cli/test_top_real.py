"""`supervise top`, by a pilot, and a real tree on each backend, which runs in a thread of its own and is served on a socket."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from supervise import DynamicSupervisor, Intensity, Supervisor, child
from supervise.cli.top.app import Top
from supervise.cli.top.listener import Listener
from supervise.events import Asked
from supervise.live import Client, serve
from supervise.tree.running import RunningSupervisor
from tests.doubles import Scribe

from .fake_source import on_asyncio, page_of, seen, until, until_seen, until_unseen

pytestmark = [
    pytest.mark.anyio,
    on_asyncio,
    pytest.mark.parametrize("of_tree", ["asyncio", "trio"]),
]

SIZE = (140, 30)


class Deaf:
    """Blocks its loop until it is let go."""

    def __init__(self, go: threading.Event) -> None:
        self.go = go

    async def block(self) -> None:
        self.go.wait(60.0)


class Real(NamedTuple):
    app: RunningSupervisor
    portal: BlockingPortal
    asked: list[Asked]
    go: threading.Event

    def call(self, name: str, handler: Any, *arguments: Any) -> None:
        async def send() -> None:
            await self.app.find(name).send(handler, *arguments)

        self.portal.call(send)


@contextlib.contextmanager
def served(backend: str, path: Path, *, operate: bool = True) -> Generator[Real]:
    go = threading.Event()
    asked: list[Asked] = []
    tree = Supervisor(
        "shop",
        child(Scribe, name="scribe"),
        child(Deaf, go, name="deaf"),
        DynamicSupervisor("rooms"),
        intensity=Intensity(1000, per=5.0),
        listener=lambda event: asked.append(event) if isinstance(event, Asked) else None,
    )
    with start_blocking_portal(backend) as portal, portal.wrap_async_context_manager(tree) as app:
        with portal.wrap_async_context_manager(serve(app, path, operate=operate)):
            try:
                yield Real(app, portal, asked, go)
            finally:
                go.set()


@pytest.fixture
def path() -> Iterator[Path]:
    with TemporaryDirectory(prefix="top-") as folder:
        yield Path(folder) / "s.sock"


def top_at(path: Path, **options: Any) -> Top:
    return Top(lambda where: Client(where), str(path), every=0.25, **options)


async def test_rows_rates_and_a_crash(of_tree: str, path: Path) -> None:
    with served(of_tree, path) as real:
        async with top_at(path).run_test(size=SIZE) as pilot:
            await until_seen(pilot, "scribe", "READY")
            scribe = page_of(pilot).top.table.entries["shop/scribe"]

            def is_seen_at_work() -> bool:
                real.call("scribe", Scribe.note, 1)
                return scribe.rate > 0

            await until(pilot, is_seen_at_work)
            real.call("scribe", Scribe.crash, "a secret")
            await until_seen(pilot, "crashed (Boom: a secret)", "#2 started")
            assert scribe.row.life == 2
            await pilot.press("down", "enter")
            await until_seen(pilot, "its ends", "#1 crashed", "in Scribe.crash", "policy", "a crash   shop: scribe #2 ended")


async def test_each_operators_key(of_tree: str, path: Path) -> None:
    with served(of_tree, path) as real:
        async with top_at(path, who="ada").run_test(size=SIZE) as pilot:
            await until_seen(pilot, "scribe")
            await pilot.press("down", "r", "y")
            await until_seen(pilot, "scribe is restarted")
            await pilot.press("p")
            await until_seen(pilot, "accepts messages, and begins none", "! paused: scribe")
            await pilot.press("p")
            await until_seen(pilot, "scribe goes on")
            await until_unseen(pilot, "! paused")
            await pilot.press("x", "y")
            await until_seen(pilot, "scribe is stopped", "NOT READY")
            await pilot.press("a")
            await until_seen(pilot, "scribe is started")
            await until_unseen(pilot, "NOT READY")
            await pilot.press("c", *"restart=transient", "enter")
            await until_seen(pilot, "scribe has restart=transient now")
            await pilot.press("c", *"restart=sometimes", "enter")
            await until_seen(pilot, "change scribe:")
            assert "is restart=sometimes now" not in seen(pilot)
            assert [event.who.endswith("(as ada)") or "ada" in event.who for event in real.asked] == [True] * 6
            await pilot.press("e")
            await until_seen(pilot, "ada")


async def test_to_be_looked_at_alone(of_tree: str, path: Path) -> None:
    with served(of_tree, path, operate=False) as real:
        async with top_at(path).run_test(size=SIZE) as pilot:
            await until_seen(pilot, "scribe")
            await pilot.press("down", "a")
            assert "served without --operate" in seen(pilot)
            assert real.asked == []


async def test_a_blocked_loop_is_told_of_while_it_lasts(of_tree: str, path: Path) -> None:
    with served(of_tree, path) as real:
        async with top_at(path).run_test(size=SIZE) as pilot:
            await until_seen(pilot, "deaf")
            real.call("deaf", Deaf.block)
            await until_seen(pilot, "! blocked for ", "by shop/deaf (Deaf.block) at ", "BLOCKED")
            await pilot.press("down", "down", "enter")
            real.go.set()
            await until_unseen(pilot, "blocked")


async def test_a_tree_that_goes_and_comes_back(of_tree: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:

    def wait(listener: Listener, seconds: float) -> bool:
        return listener._over.wait(0.05)

    monkeypatch.setattr(Listener, "wait", wait)
    async with top_at(path).run_test(size=SIZE) as pilot:
        await until_seen(pilot, "there is no socket")
        with served(of_tree, path):
            await until_seen(pilot, "scribe", "READY")
            await until_unseen(pilot, "there is no socket")
        await until_seen(pilot, "there is no socket")
        with served(of_tree, path) as real:
            await until_unseen(pilot, "there is no socket")

            async def start() -> None:
                await real.app.supervisor("rooms").start(Scribe, name="late")

            real.portal.call(start)
            await until_seen(pilot, "late")
            await pilot.press("y")
            await until_seen(pilot, "Scribe")
