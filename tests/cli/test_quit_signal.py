"""SIGQUIT to `supervise run`: the flight record is written, and the program goes on; but only where nobody else has the signal.

Tested in real processes, on both backends: once and again; each meaning that somebody else has given to it; a start that hangs;
a tree without a recorder; and what of a give-up is said on stderr.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from supervise.cli.quit_signal import has_default
from tests.side_by_side import begun, side_by_side

from .command import Command

__all__ = ("begun",)

QUIT, TERM = signal.SIGQUIT, signal.SIGTERM
on_both = pytest.mark.parametrize("backend", ["asyncio", "trio"])


@contextmanager
def folder() -> Generator[Path]:
    with TemporaryDirectory() as name:
        yield Path(name)


def records(folder: Path) -> list[Path]:
    return sorted(folder.glob("shop-*.json"))


@on_both
@side_by_side
def test_a_record_is_written_and_the_program_goes_on(backend: str) -> None:
    with folder() as there:
        with Command("tests.cli.doomed:SERVES", "--backend", backend, SUPERVISE_RECORDS=str(there)) as command:
            command.until_said("there")
            for number in (1, 2):
                command.send(QUIT)
                command.until_said_times("supervise: SIGQUIT: supervise postmortem", number)
            command.send(TERM)
            assert command.status() == 0, command.said
        first, second = records(there)
        assert f"supervise postmortem {first}\n" in command.said
        assert f"supervise postmortem {second}\n" in command.said
        assert json.loads(second.read_text())["why"] == "asked for by SIGQUIT"


@side_by_side
def test_a_start_that_hangs_is_recorded() -> None:
    with folder() as there:
        with Command("tests.cli.deaf:starting.coroutine", SUPERVISE_RECORDS=str(there)) as command:
            command.until_said("there")
            command.send(QUIT)
            command.until_said_times("supervise: SIGQUIT: supervise postmortem", 1)
        [record] = there.glob("app-*.json")
        assert [row["state"] for row in json.loads(record.read_text())["actors_told"]] == ["starting"]


@pytest.mark.parametrize(
    ("module", "said"), [("with_a_handler", "my own"), ("with_faulthandler", "most recent call first"), ("with_nothing", "")]
)
@side_by_side
def test_a_program_that_has_it_keeps_it(module: str, said: str) -> None:
    with folder() as there:
        with Command(f"tests.cli.doomed:{module}", "--factory", SUPERVISE_RECORDS=str(there)) as command:
            command.until_said("there")
            command.send(QUIT)
            if said:
                command.until_said_times(said, 1)
            command.send(TERM)
            assert command.status() == 0, command.said
        assert records(there) == []
        assert "postmortem" not in command.said


@side_by_side
def test_a_fork_ends_by_it_as_it_would_without_us() -> None:
    with folder() as there:
        with Command("tests.cli.doomed:FORKS", SUPERVISE_RECORDS=str(there)) as command:
            command.until_said(f"the copy ended with {QUIT.value}")
            command.send(TERM)
            assert command.status() == 0, command.said
        assert records(there) == []


@side_by_side
def test_without_a_recorder_it_keeps_its_meaning() -> None:
    with folder() as there:
        with Command("tests.cli.doomed:OFF", SUPERVISE_RECORDS=str(there)) as command:
            command.until_said("there")
            command.send(QUIT)
            assert command.status() == -QUIT, command.said
        assert records(there) == []


@side_by_side
def test_what_cant_be_written_ends_nothing() -> None:
    with folder() as there:
        blocked = there / "file"
        blocked.write_text("")
        with Command("tests.cli.doomed:SERVES", SUPERVISE_RECORDS=str(blocked)) as command:
            command.until_said("there")
            command.send(QUIT)
            command.until_said_times("its flight record can't be written", 1)
            command.send(TERM)
            assert command.status() == 0, command.said


@on_both
@side_by_side
def test_a_give_up_says_where_its_record_is(backend: str) -> None:
    with folder() as there:
        with Command("tests.cli.doomed:DOOMED", "--backend", backend, SUPERVISE_RECORDS=str(there)) as command:
            assert command.status() == 1, command.said
        [record] = records(there)
        assert f"  what led to it: supervise postmortem {record}\n" in command.said


def nothing(*_: object) -> None: ...


def test_its_default_meaning_is_known_again() -> None:
    before = signal.getsignal(QUIT)
    try:
        signal.signal(QUIT, signal.SIG_DFL)
        assert has_default()
        signal.signal(QUIT, nothing)
        assert not has_default()
        signal.signal(QUIT, signal.SIG_IGN)
        assert not has_default()
    finally:
        signal.signal(QUIT, before or signal.SIG_DFL)
