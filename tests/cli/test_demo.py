"""`supervise demo`: the story ends with an account that balances, and says so by its exit status."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from supervise import Account
from supervise.cli import demo
from supervise.live import Client

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


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_demo_with_the_page_goes_on_until_ctrl_c(backend: str) -> None:
    with TemporaryDirectory(prefix="live-") as folder:
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'strategies'}", "XDG_RUNTIME_DIR": folder}
        command = [sys.executable, "-m", "supervise.cli.main", "demo", "--live", "--backend", backend]
        with subprocess.Popen(
            command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            said = [process.stdout.readline() for _ in range(3)]
            assert said[1:] == ["in another terminal: supervise top\n", "Ctrl-C ends it\n"]
            client = Client(said[0].removeprefix("the page: ").strip())
            while (found := client.snapshot())["totals"]["handled"] < 50:
                pass
            assert found["operate"]
            assert {"chat/rooms/lobby", "chat/connections/connection"} <= {row["path"] for row in found["rows"]}
            process.send_signal(signal.SIGINT)
            rest, complaints = process.communicate(timeout=60)
            assert (process.returncode, rest, complaints) == (0, "\nit was stopped in order\n", "")


def test_an_account_that_does_not_balance_is_said_and_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.report(demo.Story(), [], 0, Account(accepted=2, handled=1)) == 1
    assert "DOES NOT BALANCE" in capsys.readouterr().out


def test_a_line_that_a_member_missed_is_said_and_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    ann = demo.Client("ann")
    ann.times_connected, ann.said, ann.heard = 1, ["(ann) a", "(ann) b"], ["(ann) b"]
    assert demo.report(demo.Story(), [ann], 0, Account()) == 1
    assert "NOT what was said" in capsys.readouterr().out
