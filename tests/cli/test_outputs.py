"""stdout and stderr of `supervise run` that were closed, or whose reader went away, change nothing.

Tested: each way to have none, with trees that print and one that gives up: the same status, no traceback, no hang; what a
program opens is never where others print; a stream that isn't the interpreter's own stays as it is; what a disk says is heard.
"""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from supervise.cli import outputs
from tests.house import ROOT
from tests.side_by_side import begun, side_by_side

from .command import AS_MODULE, GUARD

__all__ = ("begun",)

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "strategies")])}
STATUS = {"ORDERLY": 0, "GIVES_UP": 1, "OPENS": 0}


def command(target: str) -> list[str]:
    return [sys.executable, *AS_MODULE, "run", f"tests.cli.talkative:{target}"]


@pytest.mark.parametrize("target", STATUS)
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
@side_by_side
def test_79_what_was_closed_changes_nothing(target: str, closed: str) -> None:
    line = ["sh", "-c", f'exec "$@" {closed}', "sh", *command(target)]
    done = subprocess.run(line, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=GUARD, check=False)
    assert done.returncode == STATUS[target], done.stderr
    assert not python_complained(done.stderr)


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("target", ["ORDERLY", "GIVES_UP"])
@pytest.mark.parametrize("gone", [("stdout",), ("stderr",), ("stdout", "stderr")], ids="-".join)
@side_by_side
def test_79_a_reader_that_went_away_changes_nothing(target: str, gone: tuple[str, ...], unbuffered: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            command(target),
            cwd=ROOT,
            env={**ENVIRONMENT, "PYTHONUNBUFFERED": unbuffered},
            stdout=writing if "stdout" in gone else subprocess.PIPE,
            stderr=writing if "stderr" in gone else subprocess.PIPE,
            text=True,
            timeout=GUARD,
            check=False,
        )
    finally:
        os.close(writing)
    assert done.returncode == STATUS[target], done.stderr
    assert not python_complained(done.stderr or "")
    if "stdout" not in gone and target == "ORDERLY":
        assert done.stdout.count("more\n") == 2000
        assert done.stdout.endswith("from a child\n")


def python_complained(said: str) -> bool:
    """Of anything but the crash on purpose, which the log shows."""
    return "Exception ignored" in said or "Error: [Errno" in said or "Logging error" in said


def test_a_stream_of_somebody_else_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    mine, other = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", mine)
    monkeypatch.setattr(sys, "stderr", other)
    outputs.unbreak()
    assert sys.stdout is mine
    assert sys.stderr is other


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a disk that is full is to be had on Linux alone")
def test_a_full_disk_is_still_an_error() -> None:
    with open("/dev/full", "wb", buffering=0) as full:
        raw = outputs._Unbroken(full.fileno(), "w", closefd=False)
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            raw.write(b"x")


def test_it_is_the_same_stream_but_for_that(tmp_path: Path) -> None:
    with open(tmp_path / "out", "w", encoding="latin-1", errors="replace", buffering=1) as file:
        stream = outputs._unbroken(file, file.fileno())
        assert (stream.encoding, stream.errors, stream.fileno()) == ("latin-1", "replace", file.fileno())
        print("über €", file=stream)  # and no flush: it is buffered by line
    assert (tmp_path / "out").read_bytes() == "über ?\n".encode("latin-1")
