"""How a child process begins, on the real clock: SEMANTICS 78.

Tested: default signals, an empty mask, a session of its own, unbuffered; its environment, however large; each error that keeps
a program from running, as itself; the one thread, which ends with the last process; without a shim, and without pidfds.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import marshal
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from supervise import Address, StartFailed
from supervise.adapters.process import Process, process
from supervise.adapters.processes import keeper, launch, shim
from tests.real_clock import BACKENDS

from . import programs
from .programs import python
from .promises import alive, present, processes, tree, witnessed

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")]
THREAD = "supervise child processes"


@pytest.fixture(params=BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    before = present()
    yield
    assert present() == before


async def said_by(arguments: list[str], caplog: pytest.LogCaptureFixture, **options: Any) -> list[str]:
    """What a program says until it ends by itself."""
    caplog.set_level(logging.INFO, "supervise.app.it")
    async with witnessed(process(arguments, **options)) as (_, witness):
        await witness.ended()
    return [record.getMessage() for record in caplog.records if record.name == "supervise.app.it"]


@contextlib.contextmanager
def odd_signals() -> Generator[None]:
    """As a program has them that takes SIGTERM by sigwait, and runs in the background of a shell."""
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR1})
    ignored = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGUSR2)}
    try:
        yield
    finally:
        for number, handler in ignored.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


async def test_it_begins_with_default_signals_and_an_empty_mask(caplog: pytest.LogCaptureFixture) -> None:
    with odd_signals():
        said = await said_by(["cat", "/proc/self/status"], caplog)
    told = dict(line.split(":\t", 1) for line in said if ":\t" in line)
    assert {name: int(told[name], 16) for name in ("SigBlk", "SigIgn", "SigCgt")} == {"SigBlk": 0, "SigIgn": 0, "SigCgt": 0}


async def test_a_stop_reaches_it_though_this_program_blocks_the_signal() -> None:
    with odd_signals():
        async with tree(process(python(programs.SERVE), ready="ready to serve"), stop_within=20) as (app, _, witness):
            await app.terminate_child("it")
            assert str((await witness.ended()).reason) == "shutdown"


async def test_it_leads_a_session_and_a_group_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    [stat] = await said_by(["cat", "/proc/self/stat"], caplog)
    pid, (_, _, group, session) = stat.split()[0], stat.rpartition(")")[2].split()[:4]
    assert pid == group == session


async def test_python_is_unbuffered_unless_env_says_otherwise(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    program = "import sys; print(sys.stdout.write_through)"
    assert await said_by(python(program), caplog) == ["True"]
    caplog.clear()
    assert await said_by(python(program), caplog, env={"A": "1"}) == ["True"]
    caplog.clear()
    assert await said_by(python(program), caplog, env={"PYTHONUNBUFFERED": ""}) == ["False"]
    caplog.clear()
    monkeypatch.setenv("PYTHONUNBUFFERED", "")
    assert await said_by(python(program), caplog) == ["False"]


async def test_its_environment_may_be_larger_than_a_pipe_holds(caplog: pytest.LogCaptureFixture) -> None:
    large = {f"NUMBER_{n}": "ä" * 30_000 for n in range(10)}
    program = "import os; print(sum(len(os.environ[f'NUMBER_{n}']) for n in range(10)))"
    assert await said_by(python(program), caplog, env=large | {"PYTHONUTF8": "1"}) == ["300000"]


def refused_by_subprocess(arguments: list[str], options: dict[str, Any]) -> None:
    subprocess.run(arguments, **options, check=True)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "named"),
    [
        (["/no/such/program"], {}, FileNotFoundError, "/no/such/program"),
        (["no-such-program"], {}, FileNotFoundError, "no-such-program"),
        (["/etc/passwd"], {}, PermissionError, "/etc/passwd"),
        (["/etc/passwd/program"], {}, NotADirectoryError, "/etc/passwd/program"),
        (["true"], {"cwd": "/no/such/folder"}, FileNotFoundError, "/no/such/folder"),
        (["true"], {"env": {"PATH": "/nowhere:/etc"}}, FileNotFoundError, "true"),
        (["true", "a\0b"], {}, ValueError, None),
        (["true"], {"env": {"A=B": "1"}}, ValueError, None),
    ],
)
async def test_what_keeps_a_program_from_running_fails_the_start_as_itself(
    arguments: list[str], options: dict[str, Any], error: type[Exception], named: str | None
) -> None:
    with pytest.raises(error) as expected:
        refused_by_subprocess(arguments, options)
    with pytest.raises(StartFailed) as failed:
        async with witnessed(process(arguments, **options)):
            raise AssertionError("it runs")
    cause = failed.value.__cause__
    while cause is not None and not isinstance(cause, error):
        cause = cause.__cause__
    assert type(cause) is type(expected.value)
    assert str(cause) == str(expected.value)
    if isinstance(cause, OSError):
        assert cause.filename == named


async def test_a_program_is_found_along_the_path_that_it_gets(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "greet").mkdir()  # a folder of that name is passed over
    (tmp_path / "bin").mkdir()
    greet = tmp_path / "bin" / "greet"
    greet.write_text("#!/bin/sh\necho hello\n")
    greet.chmod(0o755)
    assert await said_by(["greet"], caplog, env={"PATH": f"{tmp_path}:{tmp_path}/bin"}) == ["hello"]


async def test_one_thread_keeps_all_processes_and_ends_with_the_last() -> None:
    def threads() -> int:
        return [thread.name for thread in threading.enumerate()].count(THREAD)

    serving = process(python(programs.SERVE), ready="ready to serve")
    async with tree(serving) as (app, _, _w):
        await app.start(serving, name="second")
        assert threads() == 1
        assert all(thread.daemon for thread in threading.enumerate() if thread.name == THREAD)
        await app.terminate_child("it")
        assert threads() == 1
        assert len(processes()) == 1
        await app.terminate_child("second")
        assert threads() == 0


async def test_without_a_shim_it_runs_all_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As in a frozen program, whose `sys.executable` is no interpreter."""
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert launch.interpreter() is None
    program = "import os; print(os.getcwd(), os.environ['WHO'], flush=True); import signal; signal.pause()"
    made = process(python(program), ready=f"{tmp_path} me", cwd=tmp_path, env={"WHO": "me"})
    async with tree(made, stop_within=20) as (app, _, witness):
        await app.terminate_child("it")
        assert str((await witness.ended()).reason) == "shutdown"
    with pytest.raises(StartFailed, match="No such file"):
        async with tree(process(["/no/such/program"])):
            raise AssertionError("it runs")


@pytest.mark.parametrize("executable", ["", "/usr/sbin/uwsgi"])
def test_an_interpreter_is_only_what_is_called_one(executable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert launch.interpreter() is not None
    monkeypatch.setattr(sys, "executable", executable)
    assert launch.interpreter() is None


async def test_without_pidfds_its_end_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS, or with too many open files."""

    def none_left(_: int) -> int:
        raise OSError(errno.EMFILE, "too many")

    monkeypatch.setattr(os, "pidfd_open", none_left)
    async with tree(process(python(programs.PARENT), ready="two run"), stop_within=20) as (app, address, witness):
        both = processes()
        await address.send(Process.send_signal, signal.SIGKILL)
        assert (await witness.ended()).reason.detail == "ended by SIGKILL"
        assert not [pid for pid in both if alive(pid)]
        await witness.started(2)
        await app.terminate_child("it")
        assert str((await witness.ended(2)).reason) == "shutdown"


async def test_out_of_file_descriptors_the_start_fails_and_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    real, left = os.pipe, [1]  # the thread's own, and then no more

    def pipe() -> tuple[int, int]:
        if not left:
            raise OSError(errno.EMFILE, "Too many open files")
        left.pop()
        return real()

    before = os.listdir("/proc/self/fd")
    for enough in (0, 1, 2, 3):
        left[:] = [1] * enough
        with monkeypatch.context() as patch:
            patch.setattr(os, "pipe", pipe)
            with pytest.raises(StartFailed, match="Too many open files"):
                async with tree(process(["true"])):
                    raise AssertionError("it runs")
    assert len(os.listdir("/proc/self/fd")) <= len(before) + 1


async def test_a_thread_that_can_not_be_made_fails_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        with pytest.raises(StartFailed, match="can't start new thread"):
            async with tree(process(["true"])):
                raise AssertionError("it runs")
    async with tree(process(python(programs.SERVE), ready="ready to serve")) as (_, address, _w):
        server: Address[Process] = address
        assert [await server.call(Process.pid)] == processes()


async def test_kill_all_is_for_those_who_can_not_wait() -> None:
    async with tree(process(python(programs.DEAF), ready="deaf")) as (_, _, witness):
        both = processes()
        keeper.kill_all()
        assert (await witness.ended()).reason.detail == "ended by SIGKILL"
        assert not [pid for pid in both if alive(pid)]


def test_a_shim_whose_parent_has_ended_meanwhile_runs_nothing(tmp_path: Path) -> None:
    with open(tmp_path / "order", "w+b") as order, open(tmp_path / "report", "w+b") as report:
        touched = tmp_path / "touched"
        paths, arguments, environment = [b"/bin/touch"], [b"touch", os.fsencode(touched)], dict[bytes, bytes]()
        for parent, status in ((1, shim.FAILED), (os.getpid(), 0)):
            order.seek(0)
            order.write(marshal.dumps((None, paths, arguments, environment)))
            order.seek(0)
            descriptors = (order.fileno(), report.fileno())
            command = [*(launch.interpreter() or ()), *map(str, descriptors), str(parent)]
            assert subprocess.run(command, pass_fds=descriptors, timeout=30, check=False).returncode == status
            assert touched.exists() == (status == 0)


async def test_starts_in_two_loops_share_the_thread() -> None:
    serving = process(python(programs.SERVE), ready="ready to serve")
    seen: list[int] = []

    async def other() -> None:
        async with tree(serving):
            seen.append(sum(thread.name == THREAD for thread in threading.enumerate()))

    async with tree(serving):
        await anyio.to_thread.run_sync(anyio.run, other)
        assert len(processes()) == 1
    assert seen == [1]
