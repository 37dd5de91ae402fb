"""Runs the programs of a page, each in a process that is forked off, so that anyio and the library are imported once.

As a script, `python -W error -m tests.documentation.programs`: reads a job from each line of stdin, as JSON, runs it, and
answers with its exit status. What a program prints on stdout and stderr is in one file, in the order in which it was printed.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import re
import runpy
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple, TypedDict, cast

import anyio
import trio
from opentelemetry.sdk import trace

from supervise import events, telemetry, testing
from tests.house import ROOT

from .page import Block, Page

HANG_GUARD: Final = 60  # seconds
ENVIRONMENT: Final = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "strategies")])}
PROGRAM: Final = "app.py"  # where a block names no file
END: Final = "-- end of a block --"
BACKENDS: Final = ("asyncio", "trio")
LOADED: Final = (trio, trace, events, telemetry, testing)
"""What programs needn't import by themselves."""


class Job(TypedDict):
    folder: str
    file: str
    backend: str
    virtual: bool


class Done(NamedTuple):
    status: int
    output: str


def backends(block: Block) -> tuple[str, ...]:
    """Where a program runs: on both, unless a remark says why not."""
    return tuple(backend for backend in BACKENDS if backend in block.remarks) or BACKENDS


def files_before(page: Page, number: int) -> dict[str, str]:
    """What the page has written by then."""
    return {block.file: block.text for block in page.blocks[:number] if block.file}


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


class Runner:
    """The process that has imported everything; it ends with this one."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "tests.documentation.programs"],
            cwd=ROOT,
            env=ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        atexit.register(self._end)

    def run(self, job: Job) -> int:
        """Its exit status, below 0 if a signal ended it."""
        into, out = self._process.stdin, self._process.stdout
        assert into
        assert out
        print(json.dumps(job), file=into, flush=True)
        return int(out.readline())

    def _end(self) -> None:
        self._process.communicate()


_runner: Final = functools.cache(Runner)


@functools.cache
def outcomes(page: Page) -> dict[tuple[int, str], Done]:
    """What each program of the page does, by the number of its block and the backend."""
    with TemporaryDirectory(prefix="page-") as place:
        jobs: dict[tuple[int, str], Job] = {}
        for number, block in enumerate(page.blocks):
            if block.language != "python":
                continue
            for backend in backends(block):
                folder = Path(place) / f"{number}-{backend}"
                file = block.file or PROGRAM
                write(folder, files_before(page, number) | {file: block.text})
                jobs[number, backend] = Job(
                    folder=str(folder), file=file, backend=backend, virtual="real clock" not in block.remarks
                )
        found: dict[tuple[int, str], Done] = {}
        for key, job in jobs.items():
            status = _runner().run(job)
            said = (Path(job["folder"]) / "said").read_text(encoding="utf-8")
            found[key] = Done(status, said.replace(job["folder"], "/home/you"))
        return found


@functools.cache
def commands(page: Page) -> dict[int, Done]:
    """What the commands of the page print, by the number of their block. Those that share a shell end with the last of them."""
    found: dict[int, Done] = {}
    shells: list[list[int]] = []
    for number, (block, after) in enumerate(pairwise(page.blocks)):
        if block.language == "sh" and after.language == "text":
            if "same shell" in block.remarks:
                shells[-1].append(number)
            else:
                shells.append([number])
    for numbers in shells:
        script = "".join(f"{page.blocks[number].text}echo '{END}'\n" for number in numbers)
        with TemporaryDirectory(prefix="page-") as folder:
            write(Path(folder), files_before(page, numbers[-1]))
            status, said = _shell(script, folder)
        said = said.replace(folder, "/home/you")
        parts = said.removesuffix(f"{END}\n").split(f"{END}\n") if status == 0 else [said] * len(numbers)
        found |= {number: Done(status, part) for number, part in zip(numbers, parts, strict=True)}
    return found


def _shell(script: str, folder: str) -> tuple[int, str]:
    """All that is printed, and the status. Nothing that it has begun is left."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with subprocess.Popen(
        ["bash", "-eu", "-c", script],
        cwd=folder,
        env=ENVIRONMENT | {"PATH": path, "COLUMNS": "120"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        start_new_session=True,
        preexec_fn=lambda: signal.alarm(HANG_GUARD),  # `until …; do :; done` goes on for ever where nobody is left to end it
    ) as shell:
        try:
            said, _ = shell.communicate(timeout=HANG_GUARD)
        finally:
            with contextlib.suppress(ProcessLookupError):  # usually nobody is left
                os.killpg(shell.pid, signal.SIGKILL)
    return shell.returncode, said


def until(process: subprocess.Popen[str], pattern: str) -> re.Match[str]:
    """What it says of this form, as soon as it does."""
    assert process.stdout is not None
    said: list[str] = []
    for line in process.stdout:
        said.append(line)
        if found := re.search(pattern, line):
            return found
    raise AssertionError(f"it ended without saying {pattern}: {''.join(said)}")


def _become(job: Job) -> None:
    """Be the program, in a child: until its end, as Python would."""
    os.chdir(job["folder"])
    said = os.open("said", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(said, stream)
    os.close(said)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.argv = [job["file"]]
    sys.path.insert(0, job["folder"])
    signal.alarm(HANG_GUARD)
    given = anyio.run

    def run(function: Callable[..., Any], *args: Any, **chosen: Any) -> Any:
        if chosen:
            return given(function, *args, **chosen)
        if job["virtual"]:
            return testing.virtual_time.run(job["backend"], function, *args)
        return given(function, *args, backend=job["backend"])

    cast("Any", anyio).run = run
    runpy.run_path(str(Path(job["folder"]) / job["file"]), run_name="__main__")


def _serve() -> None:
    for line in iter(sys.stdin.readline, ""):
        child = os.fork()
        if not child:
            _become(json.loads(line))
            return
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    _serve()
