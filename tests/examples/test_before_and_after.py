"""Programs that exist, before and after they are put into a tree: what changes in them is small, and so is what they lose.

Tested: the size of each difference, blank lines left out; that both programs run, in processes of their own,
and that the one after the change survives what ends the one before it.
"""

from __future__ import annotations

import difflib
import logging
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from supervise.adapters.process import Process, process
from tests.adapters.http import get
from tests.adapters.promises import tree

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "adapters"
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "strategies")])}
HANG_GUARD = 60
LIMIT = 10


@pytest.fixture(params=["asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param, {}


def code(name: str) -> list[str]:
    """The lines that count."""
    return [line for line in (FOLDER / name).read_text(encoding="utf-8").splitlines() if line.strip()]


def changed(before: str, after: str) -> list[str]:
    lines = [*difflib.unified_diff(code(before), code(after), n=0, lineterm="")][2:]
    return [line for line in lines if line.startswith(("+", "-"))]


@pytest.mark.parametrize("name", ["ledger", "prices"])
def test_the_difference_is_under_ten_lines(name: str) -> None:
    difference = changed(f"{name}_before.py", f"{name}_after.py")
    assert 0 < len(difference) < LIMIT, "\n".join(difference)


def test_all_of_them_come_in_pairs() -> None:
    names = {path.stem for path in FOLDER.glob("*.py")}
    assert names == {"ledger_before", "ledger_after", "prices_before", "prices_after"}


def run(name: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-X", "dev", "-W", "error", str(FOLDER / name)]
    return subprocess.run(command, env=ENVIRONMENT, text=True, capture_output=True, timeout=HANG_GUARD, check=False)


def test_the_ledger_before_is_dead_after_the_bad_line() -> None:
    done = run("ledger_before.py")
    assert done.returncode == 1
    assert "the ledger is dead; 2 lines are booked" in done.stdout


def test_the_ledger_after_books_all_other_lines() -> None:
    done = run("ledger_after.py")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "5 lines read\nthe total is 1500\n"
    assert "app/ledger #1 ended: crashed (ValueError: invalid literal for int() with base 10: 'two')" in done.stderr
    assert "restart 1 of 3" in done.stderr


def serving(name: str) -> tuple[Any, int]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return process([sys.executable, str(FOLDER / name), str(port)], ready=port, env=ENVIRONMENT), port


@pytest.mark.anyio
async def test_the_price_before_stays_as_it_was_at_the_bad_tick() -> None:
    program, port = serving("prices_before.py")
    async with tree(program):
        while (await get(port, "/price"))[1] != "101":
            await anyio.lowlevel.checkpoint()
        prices = {(await get(port, "/price"))[1] for _ in range(100)}
        assert prices == {"101"}


@pytest.mark.anyio
async def test_the_price_after_moves_on_and_the_program_ends_in_order(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "supervise.app.it")
    program, port = serving("prices_after.py")
    async with tree(program, restart="temporary") as (_, address, witness):
        while int((await get(port, "/price"))[1]) < 110:
            await anyio.lowlevel.checkpoint()
        await address.send(Process.send_signal, signal.SIGTERM)
        await witness.ended()
    said = [record.getMessage() for record in caplog.records if record.name == "supervise.app.it"]
    assert any("app/poll #1 ended: crashed (ValueError: invalid literal" in line for line in said)
    assert any("Application shutdown complete" in line for line in said)
