"""`ready=PORT` means that this process, or one of its group, listens there, on the real clock: SEMANTICS 78.

Tested: a stranger before the start, and one who takes the port during it; one of the group; IPv6; another user's process; a
port that nobody here listens on; the tables of the kernel, as text.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import anyio
import pytest

from supervise import StartFailed
from supervise.adapters.process import PortTaken, process
from supervise.adapters.processes import members, port_owner
from supervise.adapters.processes.port_owner import Owner, listening, owner
from tests.real_clock import BACKENDS

from . import programs
from .programs import python
from .promises import present, tree

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")]

PARENT_OF_A_LISTENER = f"""
import signal, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {programs.LISTEN!r}, sys.argv[1]])
signal.pause()
"""


@pytest.fixture(params=BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    before = present()
    yield
    assert present() == before


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def cause_of(failed: StartFailed) -> BaseException:
    cause: BaseException = failed
    while cause.__cause__ is not None:
        cause = cause.__cause__
    return cause


async def test_it_fails_at_once_if_somebody_listened_before_the_start_and_names_port_and_cure(tmp_path: Path) -> None:
    started = tmp_path / "started"
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port: int = stranger.getsockname()[1]
        for ready in (port, ("127.0.0.1", port), ("localhost", port)):
            with pytest.raises(StartFailed) as failed:
                async with tree(process(["touch", str(started)], ready=ready, ready_within=1000)):
                    raise AssertionError("it runs")
            cause = cause_of(failed.value)
            assert isinstance(cause, PortTaken)
            for word in (f"port {port}", "already", "docker run -p", 'ready="text"', "pattern"):
                assert word in str(cause)
    assert not started.exists()


async def test_it_fails_if_a_stranger_takes_the_port_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    stranger: list[socket.socket] = []
    real = anyio.connect_tcp

    async def connect(*args: Any, **kwargs: Any) -> Any:
        try:
            return await real(*args, **kwargs)
        finally:
            if not stranger:  # after the first look, before the start
                stranger.append(socket.create_server(("127.0.0.1", port)))

    monkeypatch.setattr(anyio, "connect_tcp", connect)
    try:
        with pytest.raises(StartFailed) as failed:
            async with tree(process(python(programs.SERVE), ready=port, ready_within=1000)):
                raise AssertionError("it runs")
    finally:
        stranger[0].close()
    cause = cause_of(failed.value)
    assert isinstance(cause, PortTaken)
    for word in (f"port {port}", "somebody else", "docker run -p", 'ready="text"'):
        assert word in str(cause)


async def test_one_of_its_group_may_listen_for_it() -> None:
    port = free_port()
    async with tree(process(python(PARENT_OF_A_LISTENER, str(port)), ready=port), stop_within=20):
        await (await anyio.connect_tcp("127.0.0.1", port)).aclose()


async def test_it_may_listen_on_all_addresses_or_on_ipv6() -> None:
    listen = "import socket, signal, sys; s = socket.create_server((sys.argv[1], int(sys.argv[2]))); signal.pause()"
    port = free_port()
    async with tree(process(python(listen, "", str(port)), ready=port)):
        pass
    if not socket.has_ipv6:
        return
    both = """
import socket, signal, sys
s = socket.create_server(("::", int(sys.argv[1])), family=socket.AF_INET6, dualstack_ipv6=True)
signal.pause()
"""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:  # switched off here
        return
    for ready in (port, ("::1", port)):
        async with tree(process(python(both, str(port)), ready=ready)):
            pass


async def test_an_unknown_owner_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that has become another user, or listens in another network namespace."""

    def unreadable(_: int) -> set[int]:
        raise PermissionError

    def nowhere(*_: object) -> set[int]:
        return set()

    port = free_port()
    for attribute, replacement in (("_sockets", unreadable), ("listening", nowhere)):
        with monkeypatch.context() as patch:
            patch.setattr(port_owner, attribute, replacement)
            async with tree(process(python(programs.LISTEN, str(port)), ready=port)):
                pass


async def test_tables_that_are_none_pass_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_: object) -> Owner:
        raise ValueError("not what it was")

    monkeypatch.setattr("supervise.adapters.process.owner", breaks)
    port = free_port()
    async with tree(process(python(programs.LISTEN, str(port)), ready=port)):
        pass


def test_whose_a_listening_socket_is() -> None:
    here = os.getpgid(0)
    with socket.create_server(("127.0.0.1", 0)) as mine:
        port: int = mine.getsockname()[1]
        assert owner("127.0.0.1", port, here) is Owner.OURS
        assert owner("127.0.0.1", port, os.getpgid(1)) in (Owner.FOREIGN, Owner.UNKNOWN)
    assert owner("127.0.0.1", port, here) is Owner.UNKNOWN
    assert owner("192.0.2.1", port, here) is Owner.UNKNOWN


def test_an_exact_address_takes_what_a_wild_one_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    rest = "00000000:00000000 00:00000000 00000000     0        0"
    tcp = (
        f"   0: 00000000:1F90 00000000:0000 0A {rest} 11 1 0 100\n"
        f"   1: 0100007F:1F90 00000000:0000 0A {rest} 12 1 0 100\n"
        f"   2: 0100007F:1F90 0100007F:A000 01 {rest} 13 1 0 100\n"  # a connection
        f"   3: 0100007F:1F91 00000000:0000 0A {rest} 14 1 0 100\n"
    )
    nobody = "0" * 32
    tcp6 = (
        f"   0: {nobody}:1F90 {nobody}:0000 0A {rest} 21 1 0 100\n"
        f"   1: {'0' * 24}01000000:1F90 {nobody}:0000 0A {rest} 22 1 0 100\n"
        f"   2: 0000000000000000FFFF00000200007F:1F90 {nobody}:0000 0A {rest} 23 1 0 100\n"  # 127.0.0.2, written as IPv6
    )
    for name, lines in (("tcp", tcp), ("tcp6", tcp6)):
        text = head + lines
        if sys.byteorder == "big":
            pytest.skip("the tables are written as a little-endian machine does")
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(port_owner, "_TABLES", (str(tmp_path / "tcp"), str(tmp_path / "tcp6"), str(tmp_path / "none")))
    assert listening(ip_address("127.0.0.1"), 8080) == {12}
    assert listening(ip_address("::ffff:127.0.0.1"), 8080) == {12}
    assert listening(ip_address("127.0.0.2"), 8080) == {23}
    assert listening(ip_address("10.0.0.1"), 8080) == {11, 21}
    assert listening(ip_address("::1"), 8080) == {22}
    assert listening(ip_address("2001:db8::1"), 8080) == {21}
    assert listening(ip_address("127.0.0.1"), 8081) == {14}
    assert listening(ip_address("127.0.0.1"), 8082) == set()


def test_who_of_a_group_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    found = members.running(os.getpgid(0))
    assert found is not None
    assert os.getpid() in found

    def no_list(_: str) -> list[str]:
        return ["self", "net"]

    monkeypatch.setattr(os, "listdir", no_list)
    assert members.running(os.getpgid(0)) is None
