"""`supervise demo`: the story ends with an account that balances, and says so by its exit status."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from supervise import Account
from supervise.cli import demo

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_demo_crashes_rooms_and_connections_and_accounts_for_every_message(backend: str) -> None:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'strategies'}"}
    command = [sys.executable, "-m", "supervise.cli.main", "demo", "--backend", backend]
    done = subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True, timeout=90, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    out = done.stdout
    assert re.search(r"chat/rooms/lobby #1 crashed: RuntimeError: sabotage; [1-9]\d* messages wait", out)
    assert "chat/rooms/lobby #2 took over, on the same address" in out
    assert "chat/connections/connection-2 #1 crashed" in out
    assert re.search(r"ann heard \d+: each once, in order", out)
    count = {name: int(number) for name, number in re.findall(r"^  ([a-z ]+?) +(\d+)$", out, re.MULTILINE)}
    assert count["accepted"] == sum(count.values()) - count["accepted"] > 0
    assert count["dead lettered"] == 6
    assert "it balances" in out


def test_an_account_that_does_not_balance_is_said_and_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.report(demo.Story(), [], 0, Account(accepted=2, handled=1)) == 1
    assert "DOES NOT BALANCE" in capsys.readouterr().out


def test_a_line_that_a_member_missed_is_said_and_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    ann = demo.Client("ann")
    ann.times_connected, ann.said, ann.heard = 1, ["(ann) a", "(ann) b"], ["(ann) b"]
    assert demo.report(demo.Story(), [ann], 0, Account()) == 1
    assert "NOT what was said" in capsys.readouterr().out
