"""Real processes as children, on the real clock: killed by SIGKILL, by a segmentation fault, by themselves.

Tested: the list of promises; each way to end with its exit reason; SIGTERM, then SIGKILL after `stop_within`, to the whole
group; its output in the log; the three kinds of readiness; starts that fail, and leave nothing; bad input.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from supervise import Address, ExitKind, InvalidSpec, StartFailed
from supervise.adapters.process import Process, process
from supervise.adapters.processes.lines import Lines
from supervise.adapters.processes.status import describe_status
from supervise.events import Overran, Started, Stopped
from tests.real_clock import BACKENDS

from . import programs
from .programs import python
from .promises import alive, check, check_normal_end, check_policy, present, processes, tree, witnessed


@pytest.fixture(params=BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    before = present()
    yield
    assert present() == before


def by_signal(signum: signal.Signals) -> Any:
    """Crash it as the kernel, or an operator, would: from outside of the tree."""

    async def crash(*_: object) -> None:
        [pid] = processes()
        os.kill(pid, signum)

    return crash


serving = process(python(programs.SERVE), ready="ready to serve")


@pytest.mark.parametrize(
    ("signum", "kind", "detail"),
    [
        (signal.SIGKILL, ExitKind.KILLED, "ended by SIGKILL"),
        (signal.SIGTERM, ExitKind.KILLED, "ended by SIGTERM"),
        (signal.SIGSEGV, ExitKind.CRASHED, "ProcessFailed: ended by SIGSEGV"),
        (signal.SIGABRT, ExitKind.CRASHED, "ProcessFailed: ended by SIGABRT"),
    ],
)
async def test_a_signal_restarts_it_and_nothing_that_waits_is_lost(signum: signal.Signals, kind: ExitKind, detail: str) -> None:
    await check(serving, by_signal(signum), kind, detail=detail)


async def test_a_real_segmentation_fault_is_a_crash() -> None:
    async with witnessed(process(python(programs.SEGFAULT))) as (_, witness):
        end = await witness.ended()
        assert str(end.reason) == "crashed (ProcessFailed: ended by SIGSEGV)"


async def test_it_is_restarted_by_its_policy() -> None:
    await check_policy(serving, by_signal(signal.SIGKILL))


async def test_status_0_is_a_normal_end_and_another_one_a_crash_with_its_last_words() -> None:
    async def nothing(*_: object) -> None: ...

    await check_normal_end(process(python(programs.TALK, "0")), nothing)
    async with witnessed(process(python(programs.TALK, "3"))) as (_, witness):
        end = await witness.ended()
        assert str(end.reason) == 'crashed (ProcessFailed: exit status 3; it last said "bad ÿ thing")'


def test_a_status_says_what_it_stands_for() -> None:
    assert describe_status(1) == "exit status 1"
    assert describe_status(-signal.SIGKILL) == "ended by SIGKILL"
    assert describe_status(139) == "exit status 139 (128 + SIGSEGV)"
    assert describe_status(255) == "exit status 255"


async def test_an_actor_that_is_killed_kills_its_process() -> None:
    async with tree(serving) as (app, _, witness):
        [pid] = processes()
        app.kill("it")
        assert (await witness.ended()).reason.kind is ExitKind.KILLED
        assert pid not in processes()
        await witness.started(2)


async def test_its_actor_takes_messages() -> None:
    async with tree(serving) as (_, address, witness):
        server: Address[Process] = address
        assert [await server.call(Process.pid)] == processes()
        await server.call(Process.send_signal, signal.SIGKILL)
        assert (await witness.ended()).reason.detail == "ended by SIGKILL"
        await witness.started(2)


def test_its_actor_has_no_methods_but_those_for_messages() -> None:
    assert {name for name in dir(Process) if not name.startswith("_")} == {"pid", "send_signal"}


async def test_a_stop_is_a_sigterm_and_its_status_then_does_not_matter(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "supervise.app.it")
    async with tree(process(python(programs.POLITE), ready="ready")) as (app, _, witness):
        await app.terminate_child("it")
        end = await witness.ended()
        assert end.reason.kind is ExitKind.SHUTDOWN
    assert said(caplog) == [("INFO", "ready"), ("INFO", "leaving politely")]


def said(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(r.levelname, r.getMessage()) for r in caplog.records if r.name == "supervise.app.it"]


def told_of_sigkill(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(r.levelname, r.getMessage()) for r in caplog.records if r.name == "supervise" and "SIGKILL" in r.getMessage()]


async def test_sigkill_follows_for_the_whole_group(caplog: pytest.LogCaptureFixture) -> None:
    async with tree(process(python(programs.DEAF), ready="deaf"), stop_within=0.05) as (app, address, witness):
        pid = await address.call(Process.pid)
        both = processes()
        assert len(both) == 2
        await app.terminate_child("it")
        assert not [pid for pid in both if alive(pid)]
        assert (await witness.ended()).reason.kind is ExitKind.KILLED
        assert not witness.of(Overran)
    [(level, text)] = told_of_sigkill(caplog)
    assert level == "WARNING"
    assert re.fullmatch(rf"app/it: process group {pid} still runs \d+\.\d s after SIGTERM, and gets SIGKILL", text)


async def test_a_brutal_kill_does_not_ask(caplog: pytest.LogCaptureFixture) -> None:
    async with tree(process(python(programs.DEAF), ready="deaf"), stop_within="brutal_kill") as (app, _, _w):
        both = processes()
        await app.terminate_child("it")
        assert not [pid for pid in both if alive(pid)]
    assert not told_of_sigkill(caplog)


async def test_what_a_shell_had_started_has_the_time_to_leave_that_the_shell_does_not_need(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "supervise.app.it")
    async with tree(process(["sh", "-c", f'"{sys.executable}" -c "$0" & wait', programs.POLITE], ready="ready")) as (app, *_):
        both = processes()
        assert len(both) == 2
        await app.terminate_child("it")
        assert not [pid for pid in both if alive(pid)]
    assert said(caplog)[-1] == ("INFO", "leaving politely")


async def test_when_it_crashes_what_it_had_started_goes_with_it() -> None:
    async with tree(process(python(programs.PARENT), ready="two run")) as (_, address, witness):
        first = processes()
        assert len(first) == 2
        await address.send(Process.send_signal, signal.SIGSEGV)
        await witness.started(2)
        assert len(processes()) == 2
        assert not [pid for pid in first if alive(pid)]


async def test_what_it_writes_is_logged_line_by_line_under_its_path(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "supervise.app.it")
    async with witnessed(process(python(programs.TALK, "0"))) as (_, witness):
        await witness.ended()
    out = [text for level, text in said(caplog) if level == "INFO"]
    err = [text for level, text in said(caplog) if level == "WARNING"]
    assert out[:2] == ["one", "two"]
    assert "".join(out[2:-1]) == "x" * 20000
    assert out[-1] == "no newline"
    assert err == ["bad ÿ thing", ""]


async def test_many_lines_at_once_dont_hold_up_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []
    feed = Lines.feed

    def count(self: Lines, piece: bytes) -> list[str]:
        lines = feed(self, piece)
        told.append(len(lines))
        return lines

    monkeypatch.setattr(Lines, "feed", count)
    program = "import sys; sys.stdout.write('\\n' * 5000 + 'a\\n' * 5000 + 'end')"
    async with witnessed(process(python(program))) as (_, witness):
        await witness.ended()
    assert sum(told) == 10_000
    assert max(told) <= 200


async def test_ready_is_when_a_line_matches() -> None:
    async with tree(process(python(programs.SERVE), ready=re.compile(r"^ready to \w+$"))) as (_, _, witness):
        assert witness.of(Started)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


async def test_ready_is_when_its_port_is_open_and_it_is_closed_afterwards() -> None:
    port = free_port()
    for ready in (port, ("127.0.0.1", port)):
        async with tree(process(python(programs.LISTEN, str(port)), ready=ready)):
            await (await anyio.connect_tcp("127.0.0.1", port)).aclose()
        with pytest.raises(OSError):  # noqa: PT011  # whatever it says on this system
            await anyio.connect_tcp("127.0.0.1", port)


async def test_ready_is_when_a_function_says_so() -> None:
    answers: list[object] = [False, ConnectionRefusedError(), True]

    def ready() -> object:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def ready_later() -> bool:
        return True

    async with tree(process(python(programs.SERVE), ready=ready)):
        assert answers == []
    async with tree(process(python(programs.SERVE), ready=ready_later)):
        assert len(processes()) == 1


async def test_one_that_is_never_ready_fails_its_start_and_is_gone() -> None:
    with pytest.raises(StartFailed, match=r"wasn't ready within 0\.1 s: no line of its output had 'never'"):
        async with tree(process(python(programs.DEAF), ready="never", ready_within=0.1)):
            raise AssertionError("it runs")
    assert processes() == []


async def test_one_that_ends_before_it_is_ready_fails_its_start() -> None:
    with pytest.raises(StartFailed, match=r"exit status 0; it last said .*, before it was ready"):
        async with tree(process(python(programs.TALK, "0"), ready="never")):
            raise AssertionError("it runs")


async def test_a_ready_function_that_raises_fails_the_start() -> None:
    def ready() -> None:
        raise KeyError("wrong")

    with pytest.raises(StartFailed, match="KeyError: 'wrong'"):
        async with tree(process(python(programs.SERVE), ready=ready)):
            raise AssertionError("it runs")


async def test_a_start_that_is_given_up_leaves_nothing() -> None:
    with anyio.move_on_after(0.2):
        async with tree(process(python(programs.SERVE), ready="never")):
            raise AssertionError("it runs")
    assert processes() == []


def _nothing(_: object) -> None:
    """It is heard of later."""


@pytest.mark.parametrize("ended_first", [True, False])
@pytest.mark.parametrize(("program", "reason"), [("true", "normal"), ("false", "crashed (ProcessFailed: exit status 1)")])
async def test_one_that_ends_at_once_has_been_started(
    program: str, reason: str, ended_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without `ready=`, whichever is heard first: that it runs, or that it has ended."""
    if ended_first:
        monkeypatch.setattr("supervise.adapters.process._Ears.begun", _nothing)
    async with witnessed(process([program])) as (_, witness):
        await witness.ended()
        assert len(witness.of(Started)) == 2, "it, and the tree"
        assert [str(event.reason) for event in witness.of(Stopped)] == [reason]


async def test_a_program_that_is_not_there_fails_its_start() -> None:
    with pytest.raises(StartFailed, match="No such file"):
        async with tree(process(["/no/such/program"])):
            raise AssertionError("it runs")


async def test_where_and_with_what_it_runs(tmp_path: Path) -> None:
    program = "import os; print(os.getcwd(), os.environ['WHO'], flush=True); import signal; signal.pause()"
    made = process(python(program), ready=f"{tmp_path} me", cwd=tmp_path, env={"WHO": "me"})
    async with tree(made) as (_, _, witness):
        assert witness.of(Started)


any_process: Any = process


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: any_process("ls -l"), ["arguments='ls -l'", "['sh', '-c', 'exec …']"]),
        (lambda: any_process([]), ["arguments=[]", "program first"]),
        (lambda: any_process(["sleep", 1]), ["arguments=['sleep', 1]", "texts"]),
        (lambda: any_process(7), ["arguments=7"]),
        (lambda: any_process(["redis-server"], ready=""), ["process 'redis-server'", "ready=''", "TCP port"]),
        (lambda: any_process(["x"], ready=70000), ["ready=70000"]),
        (lambda: any_process(["x"], ready=True), ["ready=True"]),
        (lambda: any_process(["x"], ready=("127.0.0.1",)), ["(host, port)"]),
        (lambda: any_process(["x"], ready=b"x"), ["ready=b'x'"]),
        (lambda: any_process(["x"], ready_within=0), ["ready_within=0", "more than 0"]),
        (lambda: any_process(["x"], env=["A=1"]), ["env=", "as a mapping"]),
    ],
)
def test_the_wrong_kind_of_object_is_refused_with_the_cure(make: Any, words: list[str]) -> None:
    with pytest.raises(InvalidSpec) as refused:
        make()
    for word in words:
        assert word in str(refused.value)
