"""`supervise run --health` and under a service manager, in real processes.

Tested: the probes from the start to the end; what systemd is told, over a real socket, the watchdog included; a port that is
taken and addresses that aren't any, each one line with the cure, status 2.
"""

from __future__ import annotations

import signal
import socket
from functools import partial
from pathlib import Path

import anyio
import pytest

from tests.adapters.http import get
from tests.cli.test_run import GUARD, on_both, running, until
from tests.cli.test_stop_in_traffic import number_after
from tests.side_by_side import begun, side_by_side

__all__ = ("begun",)


@on_both
def test_probes_are_answered_while_the_tree_runs_and_while_it_stops(backend: str) -> None:
    arguments = ["--backend", backend, "--health", "127.0.0.1:0", "--shutdown-budget", "20"]
    with running("tests.cli.trees:SLOW", *arguments) as process:
        port = number_after(process, r"health at http://127.0.0.1:(\d+)/live", "stderr")
        until(process, "start a")
        while (ready := anyio.run(get, port, "/ready"))[0] != 200:
            assert ready[1]["why"][0] == "app is starting"  # it says so a moment before it is ready
        process.send_signal(signal.SIGTERM)
        until(process, "stopping a")
        assert anyio.run(get, port, "/live")[0] == 200
        assert anyio.run(get, port, "/ready")[0] == 503
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=GUARD)
        assert process.returncode == 128 + signal.SIGTERM


@on_both
def test_a_service_manager_is_told(backend: str, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(GUARD)
        manager.bind(str(tmp_path / "notify"))
        hear = partial(manager.recv, 4096)
        variables = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "20000"}
        with running("tests.cli.trees:SLOW", "--backend", backend, "--shutdown-budget", "0.1", **variables) as process:
            assert hear() == b"READY=1\nSTATUS=app has started"
            assert [hear() for _ in range(5)] == [b"WATCHDOG=1"] * 5
            process.send_signal(signal.SIGTERM)
            while (heard := hear()) == b"WATCHDOG=1":
                pass
            assert heard == b"STOPPING=1\nSTATUS=app is stopping"
            process.communicate(timeout=GUARD)
            assert process.returncode == 0


@on_both
def test_a_give_up_is_the_beginning_of_the_end(backend: str, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(GUARD)
        manager.bind(str(tmp_path / "notify"))
        with running("tests.cli.trees:DOOMED", "--backend", backend, NOTIFY_SOCKET=str(tmp_path / "notify")) as process:
            process.communicate(timeout=GUARD)
            assert process.returncode == 1
        manager.setblocking(False)
        heard = [manager.recv(4096).split(b"\n")[0]]
        if heard == [b"READY=1"]:  # unless it gave up before that could be said
            heard.append(manager.recv(4096).split(b"\n")[0])
        assert heard[-1] == b"STOPPING=1"


@on_both
@side_by_side
def test_a_port_that_is_taken_is_one_line_with_the_cure_and_status_2(backend: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        with running("tests.cli.trees:ORDERLY", "--backend", backend, "--health", where) as process:
            out, err = process.communicate(timeout=GUARD)
    assert (process.returncode, out) == (2, "")
    assert len(err.strip().split("\n")) == 1, err
    assert f"--health {where}: can't listen there" in err
    assert "in use" in err
    assert "choose another port" in err


@pytest.mark.parametrize("where", ["8080", "localhost", ":8080", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:70000"])
@side_by_side
def test_what_is_no_address_is_one_line_with_the_cure_and_status_2(where: str) -> None:
    with running("tests.cli.trees:ORDERLY", "--health", where) as process:
        out, err = process.communicate(timeout=GUARD)
    assert (process.returncode, out) == (2, "")
    assert err == f"supervise: --health {where!r} isn't HOST:PORT: give both, e.g. --health 127.0.0.1:8080, or [::1]:8080\n"
