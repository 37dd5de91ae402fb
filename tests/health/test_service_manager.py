"""systemd's protocol over a real datagram socket.

Tested: READY, STOPPING and WATCHDOG arrive, on a path and on an abstract name; how often the watchdog is fed, in virtual time,
and that it starves with the tree; the environment's variables, with values that can't be; nobody there to listen; a status of
several lines, of half characters, and of any length.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Generator
from pathlib import Path

import anyio
import pytest

from supervise import Supervisor, child
from supervise.health import ServiceManager
from supervise.health.service_manager import LONGEST_STATUS
from tests.doubles import Scribe


class Manager:
    """Listens, as systemd does."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)

    def heard(self) -> list[str]:
        found: list[str] = []
        while True:
            try:
                found.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return found

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Manager]:
    found = Manager(str(tmp_path / "notify") if request.param == "path" else f"@supervise-test-{os.getpid()}")
    yield found
    found.close()


def test_ready_and_stopping_arrive_the_latter_once(manager: Manager) -> None:
    service = ServiceManager.from_environment({"NOTIFY_SOCKET": manager.address})
    service.ready("app has started")
    service.stopping()
    service.stopping("again")
    assert manager.heard() == ["READY=1\nSTATUS=app has started", "STOPPING=1"]
    assert service.watchdog is None


@pytest.mark.anyio
async def test_the_watchdog_is_fed_twice_in_its_time_for_as_long_as_the_tree_lives(manager: Manager) -> None:
    environment = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "10000000", "WATCHDOG_PID": "7"}
    service = ServiceManager.from_environment(environment, pid=7)
    assert service.watchdog == 10.0
    async with anyio.create_task_group() as group:
        async with Supervisor("app", child(Scribe)) as app:
            group.start_soon(service.feed, app)
            await anyio.sleep(12)
            assert manager.heard() == ["WATCHDOG=1"] * 3  # at 0, 5 and 10 s
    assert manager.heard() == []  # the group ended by itself: nobody is fed any more


@pytest.mark.anyio
async def test_nobody_looks_and_nothing_is_said(manager: Manager) -> None:
    async with Supervisor("app") as app:
        await ServiceManager(None, 1.0).feed(app)
        await ServiceManager(manager.address, None).feed(app)
    ServiceManager.from_environment({}).ready()
    ServiceManager.from_environment({"WATCHDOG_USEC": "1000"}).alive()
    assert manager.heard() == []


def test_a_watchdog_for_another_process_is_not_fed() -> None:
    assert ServiceManager.from_environment({"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "8"}, pid=7).watchdog is None
    assert ServiceManager.from_environment({"WATCHDOG_USEC": "1000"}, pid=7).watchdog == 0.001


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NOTIFY_SOCKET", "vsock:2:1"),
        ("WATCHDOG_USEC", "soon"),
        ("WATCHDOG_USEC", "0"),
        ("WATCHDOG_USEC", "-1"),
        ("WATCHDOG_USEC", "9" * 400),
        ("WATCHDOG_USEC", "9" * 5000),
    ],
)
def test_a_value_that_can_not_be_is_a_warning(name: str, value: str, caplog: pytest.LogCaptureFixture) -> None:
    service = ServiceManager.from_environment({name: value})
    assert f"{name}='{value}'" in caplog.text
    service.ready()
    assert service.watchdog is None


def test_a_manager_that_is_gone_costs_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    service = ServiceManager(str(tmp_path / "nobody"))
    for _ in range(3):
        service.alive()
    assert caplog.text.count("can't be told") == 1


def test_a_status_is_one_line_and_sets_no_other_field(manager: Manager) -> None:
    service = ServiceManager(manager.address)
    service.ready("crashed\nMAINPID=1\r\nFDSTORE=1\x1b[2J\x85end")
    assert manager.heard() == ["READY=1\nSTATUS=crashed MAINPID=1 FDSTORE=1 [2J end"]


def test_a_status_may_hold_half_a_character(manager: Manager) -> None:
    ServiceManager(manager.address).ready("name \udcff, pair \ud83d")
    assert manager.heard() == [r"READY=1" + "\n" + r"STATUS=name \udcff, pair \ud83d"]


@pytest.mark.parametrize("status", ["x" * 100_000, "ä" * 600, "\udcff" * 1000, "a" + "\N{ROCKET}" * 300, "x" * 1001])
def test_a_long_status_is_cut_and_arrives(manager: Manager, status: str) -> None:
    ServiceManager(manager.address).ready(status)
    [said] = manager.heard()
    assert said.endswith("…")
    assert len(said.encode()) <= LONGEST_STATUS + len("READY=1\nSTATUS=")
    assert len(said.encode()) > LONGEST_STATUS - 10


def test_a_status_that_just_fits_is_not_cut(manager: Manager) -> None:
    ServiceManager(manager.address).ready("x" * LONGEST_STATUS)
    assert manager.heard() == ["READY=1\nSTATUS=" + "x" * LONGEST_STATUS]


@pytest.mark.parametrize("address", ["/no\0where", "@" + "x" * 200, "/" + "x" * 200, "@\udcff\ud83d"])
def test_an_address_that_can_not_be_costs_one_warning(address: str, caplog: pytest.LogCaptureFixture) -> None:
    service = ServiceManager(address)
    for _ in range(3):
        service.alive()
    assert caplog.text.count("can't be told") == 1


def test_an_abstract_name_may_be_any_bytes() -> None:
    name = f"@supervise-test-{os.getpid()}-\udcff"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.setblocking(False)
        manager.bind(b"\0" + os.fsencode(name[1:]))
        ServiceManager.from_environment({"NOTIFY_SOCKET": name}).alive()
        assert manager.recv(100) == b"WATCHDOG=1"


@pytest.mark.anyio
async def test_the_watchdog_is_fed_whatever_a_child_of_the_tree_raises(
    manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: object) -> int:
        raise ValueError("a bug")

    service = ServiceManager(manager.address, 10.0)
    async with anyio.create_task_group() as group:
        async with Supervisor("app", child(Scribe)) as app:
            with monkeypatch.context() as patch:
                patch.setattr("supervise.tree.snapshot._child", breaks)
                group.start_soon(service.feed, app)
                await anyio.sleep(12)
    assert manager.heard() == ["WATCHDOG=1"] * 3
