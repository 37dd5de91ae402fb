"""How child processes end when the world around them does, on the real clock: SEMANTICS 64, 65, 69, 78.

Tested: Ctrl-C, twice; native cancellation; a loop that is closed; the interpreter's end; SIGKILL for the parent; a fork.
Status 0 whoever holds the pipes; a member that leaves the group; a status that somebody else collects; escape sequences; a log
handler that raises.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import signal
import sys
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from supervise import ExitKind
from supervise.adapters.process import Process, process
from supervise.adapters.processes import group as group_module
from supervise.adapters.processes.launch import Program
from supervise.events import Overran
from tests.real_clock import BACKENDS

from . import programs
from .programs import python
from .promises import alive, present, processes, tree, witnessed
from .whole_programs import ended, handle_of, line_of, program

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")]

DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('both', flush=True); signal.pause()"
STUBBORN = f"""
import signal, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {DEAF!r}])
signal.signal(signal.SIGTERM, lambda *_: print("asked", flush=True))
print("pids", child.pid, flush=True)
while True:
    signal.pause()
"""
LEAVER = """
import os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGUSR1, lambda *_: os.setsid())
print("up", flush=True)
while True:
    signal.pause()
"""
HEADER = """
import logging, os, sys, threading
import anyio
from supervise import Supervisor
from supervise.adapters.process import Process, process

class Say(logging.Handler):
    def emit(self, record):
        if record.name == "supervise.app.it":
            print(record.getMessage(), flush=True)

logging.getLogger("supervise.app.it").addHandler(Say())
logging.getLogger("supervise.app.it").setLevel(logging.INFO)
"""
SERVES = f"""{HEADER}
STUBBORN = {STUBBORN!r}
async def main():
    async with Supervisor("app") as app:
        made = process([sys.executable, "-c", STUBBORN], ready="both")
        it = await app.start(made, name="it", stop_within=float("inf"))
        print("leader", await it.call(Process.pid), flush=True)
        await anyio.sleep_forever()
"""


@pytest.fixture(params=BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    before = present()
    yield
    assert present() == before


@asynccontextmanager
async def heard() -> AsyncGenerator[Callable[[str], Awaitable[None]]]:
    """Waits for a line that the child says."""
    lines: list[str] = []
    more = [anyio.Event()]

    class Hears(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())
            more[0].set()

    async def hears(line: str) -> None:
        while line not in lines:
            more[0] = anyio.Event()
            await more[0].wait()

    handler, logger = Hears(), logging.getLogger("supervise.app.it")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield hears
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)


def pids_said_by(running: Any) -> tuple[int, int]:
    """Of the leader, and of what it started, which are there by then."""
    said = [line_of(running) for _ in range(3)]
    [leader] = [int(line.split()[1]) for line in said if line.startswith("leader")]
    [member] = [int(line.split()[1]) for line in said if line.startswith("pids")]
    return leader, member


# -- the program ends -------------------------------------------------------------------------------------------------

plain = pytest.mark.parametrize("backend", ["asyncio", "trio"])


@plain
def test_ctrl_c_during_an_ordered_stop_ends_the_program_and_all_of_the_group(backend: str) -> None:
    with program(f"{SERVES}\nanyio.run(main, backend={backend!r})") as running:
        handles = [handle_of(pid) for pid in pids_said_by(running)]
        running.send_signal(signal.SIGINT)
        assert line_of(running) == "asked"  # the stop has begun, and would take for ever
        running.send_signal(signal.SIGINT)
        running.wait(30)
        assert [ended(handle) for handle in handles] == [True, True]


@plain
@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])  # which nobody handles in this program
def test_it_dies_with_its_parent_though_not_what_it_had_started(backend: str, signum: signal.Signals) -> None:
    with program(f"{SERVES}\nanyio.run(main, backend={backend!r})") as running:
        leader, member = pids_said_by(running)
        handles = [handle_of(leader), handle_of(member)]
        running.send_signal(signum)
        assert ended(handles[0])
        os.kill(member, signal.SIGKILL)
        assert ended(handles[1])


@plain
def test_a_group_that_lives_when_the_interpreter_ends_is_killed(backend: str) -> None:
    """The loop runs in a daemon thread, as in a web framework, and nobody stops it."""
    code = f"""{SERVES}
import signal
leave = threading.Event()
signal.signal(signal.SIGUSR1, lambda *_: leave.set())
threading.Thread(target=anyio.run, args=(main,), kwargs=dict(backend={backend!r}), daemon=True).start()
leave.wait()
"""
    with program(code) as running:
        handles = [handle_of(pid) for pid in pids_said_by(running)]
        running.send_signal(signal.SIGUSR1)
        assert [ended(handle) for handle in handles] == [True, True]
        assert running.wait(30) == 0


def test_a_loop_that_is_closed_in_the_middle_of_everything_leaves_none() -> None:
    code = f"""{SERVES}
import asyncio, gc, select
loop = asyncio.new_event_loop()
task = loop.create_task(main())
def emit(self, record, emit=Say.emit):
    emit(self, record)
    if record.getMessage() == "both":
        loop.call_later(0.1, loop.stop)
Say.emit = emit
loop.run_forever()
loop.close()
del task, loop, emit, Say.emit
gc.collect()
print("closed", flush=True)
select.select([], [], [])
"""
    with program(code) as running:
        handles = [handle_of(pid) for pid in pids_said_by(running)]
        assert line_of(running) == "closed"
        assert [ended(handle) for handle in handles] == [True, True]
        assert running.poll() is None


@plain
def test_a_forked_process_leaves_them_alone_and_can_have_its_own(backend: str) -> None:
    code = f"""{HEADER}
import atexit
async def lives(then):
    async with Supervisor("app") as app:
        it = await app.start(process(["sh", "-c", "echo up; exec sleep 60"], ready="up"), name="it")
        await then(it)

async def in_the_fork(it):
    print("fork", await it.call(Process.pid) > 0, flush=True)

def run_in_the_fork():
    anyio.run(lives, in_the_fork, backend={backend!r})

async def forks(it):
    before = await it.call(Process.pid)
    fork = os.fork()
    if not fork:
        thread = threading.Thread(target=run_in_the_fork)
        thread.start()
        thread.join()
        atexit._run_exitfuncs()
        os._exit(0)
    print("status", os.waitpid(fork, 0)[1], flush=True)
    os.kill(before, 0)
    print("same", await it.call(Process.pid) == before, flush=True)

anyio.run(lives, forks, backend={backend!r})
print("stopped", flush=True)
"""
    with program(code) as running:
        assert [line_of(running) for _ in range(6)] == ["up", "up", "fork True", "status 0", "same True", "stopped"]


async def test_native_cancellation_as_at_the_end_of_asyncio_run_kills_and_is_not_lost(anyio_backend: Any) -> None:
    if anyio_backend[0] != "asyncio":
        pytest.skip("asyncio's")
    told = tree(process(python(STUBBORN), ready="both"), stop_within=math.inf)
    async with heard() as hears, told as (app, _, witness):
        both = processes()
        async with anyio.create_task_group() as group:
            group.start_soon(app.terminate_child, "it")
            await hears("asked")
            for _ in range(3):
                for task in asyncio.all_tasks():
                    if task.get_name() == "it":
                        task.cancel()
                await anyio.lowlevel.checkpoint()
            await witness.ended()
        assert not [pid for pid in both if alive(pid)]
        assert not witness.of(Overran)


# -- it ends by itself ------------------------------------------------------------------------------------------------


async def test_status_0_is_a_normal_end_whoever_holds_the_pipes(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(group_module, "LAST_WORDS", 0.05)
    program = """
import subprocess, sys
daemon = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"], start_new_session=True)
print(daemon.pid, flush=True)
"""
    for stop_within in (5, "brutal_kill"):
        with caplog.at_level(logging.INFO, "supervise.app.it"):
            async with witnessed(process(python(program)), stop_within=stop_within) as (_, witness):
                end = await witness.ended()
        daemon = int(caplog.messages[0])
        caplog.clear()
        assert alive(daemon)
        handle = handle_of(daemon)
        os.kill(daemon, signal.SIGKILL)
        assert ended(handle)
        assert end.reason.kind is ExitKind.NORMAL


async def test_one_that_leaves_the_group_during_the_stop_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_module, "LOOK_WHO_LEFT", 0.01)
    monkeypatch.setattr(group_module, "LAST_WORDS", 0.05)
    program = f"import signal, subprocess, sys; subprocess.Popen([sys.executable, '-c', {LEAVER!r}]); signal.pause()"
    async with tree(process(python(program), ready="up"), stop_within=math.inf) as (app, address, witness):
        [_, leaver] = sorted(processes())
        handle = handle_of(leaver)
        actor: list[Process] = []
        await address.call(lambda self: actor.append(self))
        async with anyio.create_task_group() as group:
            group.start_soon(app.terminate_child, "it")
            while not actor[0]._its_group._members:
                await anyio.lowlevel.checkpoint()
            os.kill(leaver, signal.SIGUSR1)  # its leader has ended, and it is waited for
        assert alive(leaver)
        assert str((await witness.ended()).reason) == "shutdown"
    os.kill(leaver, signal.SIGKILL)
    assert ended(handle)


async def test_a_status_that_somebody_else_collects_is_an_abnormal_end() -> None:
    ignored = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        async with witnessed(process(["true"])) as (_, witness):
            assert "exit status 255" in str((await witness.ended()).reason)
    finally:
        signal.signal(signal.SIGCHLD, ignored)


async def test_escape_sequences_are_spelled_out_in_reasons_and_records(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "supervise.app.it")
    program = (
        r"import sys; print('\x1b[2Jout\x07\ttab'); print('\x1b]0;title\x07 \x9b31m\u202eevil', file=sys.stderr); sys.exit(3)"
    )
    async with witnessed(process(python(program), env={"PYTHONUTF8": "1"})) as (_, witness):
        end = await witness.ended()
    said = r"\x1b]0;title\x07 \x9b31m\u202eevil"
    assert str(end.reason) == f'crashed (ProcessFailed: exit status 3; it last said "{said}")'
    assert {r.getMessage() for r in caplog.records if r.name == "supervise.app.it"} == {r"\x1b[2Jout\x07" + "\ttab", said}


@pytest.mark.parametrize("error", [ValueError("full disk"), SystemExit(3), RecursionError(), GeneratorExit()])
async def test_a_log_handler_that_raises_keeps_nothing_from_the_child(
    error: BaseException, capsys: pytest.CaptureFixture[str]
) -> None:
    class Raises(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise error

    handler, logger = Raises(), logging.getLogger("supervise.app.it")
    logger.addHandler(handler)
    try:
        async with witnessed(process(python(programs.TALK, "3"))) as (_, witness):
            assert str((await witness.ended()).reason) == 'crashed (ProcessFailed: exit status 3; it last said "bad ÿ thing")'
    finally:
        logger.removeHandler(handler)
    assert type(error).__name__ in capsys.readouterr().err


async def test_a_keyboard_interrupt_in_a_log_handler_passes_up() -> None:
    class Raises(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise KeyboardInterrupt

    handler, logger = Raises(), logging.getLogger("supervise.app.it")
    logger.addHandler(handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            async with witnessed(process(python(programs.TALK, "3"))) as (app, _):
                await app.wait()
    finally:
        logger.removeHandler(handler)
    assert processes() == []


async def test_a_signal_to_one_that_has_ended_goes_to_nobody() -> None:
    async with tree(process(python(programs.SERVE), ready="ready"), restart="temporary") as (_, address, witness):
        instance: list[Process] = []
        await address.call(lambda self: instance.append(self))
        await address.call(Process.send_signal, signal.SIGKILL)
        await witness.ended()
        await instance[0].send_signal(signal.SIGKILL)


def test_what_is_collected_at_the_interpreters_end_waits_for_no_lock_that_a_stopped_thread_holds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By then all has been killed, and daemon threads have stopped wherever they were."""
    monkeypatch.setattr(sys, "is_finalizing", lambda: True)

    class Nobody:
        def begun(self) -> None: ...
        def said(self, pipe: int, piece: bytes) -> None: ...
        def over(self, status: int, error: BaseException | None) -> None: ...

    nobody = Nobody()
    group = group_module.Group(Program(("true",), None, None), lambda _: None, lambda: False, nobody)
    with group._lock:
        late = threading.Thread(target=group.kill, daemon=True)
        late.start()
        late.join(5)
        assert not late.is_alive()
