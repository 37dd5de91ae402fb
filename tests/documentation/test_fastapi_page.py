"""What the page on FastAPI says about serving, with its own files, in real servers.

Tested: `uvicorn shop:api` serves, and a SIGTERM stops the tree; a tree that gives up under uvicorn, with `on_end` and without;
`supervise run` of the tree that has the server as a child.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from .page import GUIDE, Page
from .programs import ENVIRONMENT, HANG_GUARD, files_before, until, write

pytest.importorskip("uvicorn", reason="it serves the page's application")
pytest.importorskip("fastapi", reason="it is the page's application")

DOOMED = """
import signal
from fastapi import FastAPI, Request
from supervise import Intensity, Supervisor, child
from supervise.adapters.starlette import lifespan

class Doomed:
    async def crash(self): raise OSError("gone")
    async def ask(self): return "fine"

def end(_): signal.raise_signal(signal.SIGTERM)

tree = Supervisor("doomed", child(Doomed, name="it"), intensity=Intensity(0), recorder=False)
without = FastAPI(lifespan=lifespan(tree, it="it"))
with_end = FastAPI(lifespan=lifespan(tree, it="it", on_end=end))

for api in (without, with_end):
    @api.get("/{what}")
    async def _(what: str, request: Request) -> str:
        if what == "ask":
            return await request.state.it.call(Doomed.ask)
        await request.state.it.send(Doomed.crash)
        return "sent"
"""


@contextmanager
def started(folder: Path, *command: str) -> Generator[subprocess.Popen[str]]:
    """A command that runs where the page's files are; what it says, on both streams, is read from `stdout`."""
    page = Page(GUIDE / "fastapi.md")
    write(folder, files_before(page, len(page.blocks)) | {"doomed.py": DOOMED})
    with subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=folder,
        env=ENVIRONMENT | {"PORT": "0", "PYTHONPATH": f"{ENVIRONMENT['PYTHONPATH']}{os.pathsep}{folder}"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def port_of(process: subprocess.Popen[str]) -> int:
    return int(until(process, r"Uvicorn running on http://127.0.0.1:(\d+)")[1])


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=HANG_GUARD) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, ""


def test_uvicorn_serves_the_application_and_stops_its_tree(tmp_path: Path) -> None:
    (tmp_path / "told.py").write_text(
        "from supervise.events import Stopped\nfrom supervise import Supervisor\nimport shop\n"
        "def tell(event):\n    if isinstance(event, Stopped): print(event.path, event.reason.kind.value, flush=True)\n"
        "shop.api.router.lifespan_context = shop.lifespan(\n"
        "    Supervisor('shop', shop.db, shop.poller, listener=tell), db=shop.db)\napi = shop.api\n"
    )
    with started(tmp_path, "uvicorn", "told:api", "--port", "0") as process:
        port = port_of(process)
        assert get(port, "/price/tea") == (200, "4.0")
        assert get(port, "/price/gin")[0] == 404
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=HANG_GUARD)
        assert re.findall(r"^shop.*", out, re.MULTILINE) == ["shop/poller shutdown", "shop/db shutdown", "shop shutdown"]
        assert "Application shutdown complete" in out


def test_without_on_end_a_server_outlives_the_give_up_of_its_tree(tmp_path: Path) -> None:
    with started(tmp_path, "uvicorn", "doomed:without", "--port", "0") as process:
        port = port_of(process)
        assert get(port, "/ask") == (200, '"fine"')
        assert get(port, "/crash") == (200, '"sent"')
        until(process, "gave_up")
        assert get(port, "/ask")[0] == 500
        until(process, "MailboxClosed")
        assert process.poll() is None


def test_with_on_end_it_ends_by_sigterm(tmp_path: Path) -> None:
    with started(tmp_path, "uvicorn", "doomed:with_end", "--port", "0") as process:
        assert get(port_of(process), "/crash") == (200, '"sent"')
        process.communicate(timeout=HANG_GUARD)
        assert process.returncode == -signal.SIGTERM


def test_supervise_run_serves_the_tree_that_has_the_server(tmp_path: Path) -> None:
    with started(tmp_path, "supervise", "run", "verbose:TREE", "--health", "127.0.0.1:0") as process:
        probes = int(until(process, r"health at http://127.0.0.1:(\d+)")[1])
        port = port_of(process)
        assert get(port, "/price/rum") == (200, "9")
        while get(probes, "/ready")[0] != 200:
            pass  # it says where it listens a moment before the tree is up
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=HANG_GUARD)
        assert process.returncode == 0


@pytest.fixture(autouse=True)
def verbose(tmp_path: Path) -> None:
    """The same tree, whose server says on which port it listens."""
    (tmp_path / "verbose.py").write_text(
        "import logging\nfrom served import TREE, http\n"
        "logging.getLogger('uvicorn.error').setLevel(logging.INFO)\n"
        "logging.getLogger('uvicorn.error').addHandler(logging.StreamHandler())\n"
    )
