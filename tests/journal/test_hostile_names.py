"""The log, whatever stands in names, tracebacks and file names; and how many records those get that nobody counted on.

Tested (TRACING 4.8): a record is one line though a name isn't; no record is lost in a file of UTF-8, though a name or a
traceback has half a character; what is told of a handler that was too late, or of an error that nobody gets, names the user's
line; no class of events that can come in a flood comes in one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import anyio
import pytest

from supervise import ActorCrashed, Supervisor, child
from supervise.events import (
    AddressDropped,
    Admitted,
    Asked,
    Decided,
    Event,
    Frame,
    Late,
    LinkDown,
    LinkUp,
    Lost,
    Overran,
    Raised,
    Refused,
    Starting,
    Stopped,
)
from supervise.journal.budget import RECORDS
from supervise.journal.event_log import EventLog
from supervise.log import say
from supervise.testing.virtual_time import at_rest
from supervise_strategies.directives import Action, Decision
from supervise_strategies.exit_reason import ExitKind, ExitReason
from tests.doubles import Scribe, raised_in

FORGED: Final = "ada\nERROR supervise: all is on fire \x1b[2J\udcff"
"""As somebody may call a room, or a session, who wants to be read."""
AS_WRITTEN: Final = r"ada\nERROR supervise: all is on fire \x1b[2J\udcff"


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Callable[[], str]]:
    """What is in a file in UTF-8 that all records go to, as `logging` has it by default: what can't be encoded is lost."""
    file, logger = tmp_path / "app.log", logging.getLogger("supervise")
    handler = logging.FileHandler(file, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(levelname)s supervise: %(message)s"))
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield lambda: file.read_text(encoding="utf-8")
    logger.removeHandler(handler)
    logger.setLevel(before)
    handler.close()


class Fragile:
    async def crash(self, text: str) -> None:
        raise ValueError(text)


@pytest.mark.anyio
async def test_a_name_can_forge_no_record_and_loses_none(written: Callable[[], str], capfd: pytest.CaptureFixture[str]) -> None:
    async with Supervisor("app", child(Fragile, name=FORGED), child(Scribe, name="other\n"), strategy="one_for_all") as app:
        await app.find(FORGED).send(Fragile.crash, "no")
        await at_rest()
    lines = written().splitlines()
    about = [line for line in lines if AS_WRITTEN in line]
    assert not [line for line in lines if line.startswith("ERROR supervise: all is on fire")]
    assert any(line.startswith(f"ERROR supervise: app/{AS_WRITTEN} #1 ended: crashed (ValueError: no) in") for line in about)
    assert any(
        f"app: {AS_WRITTEN} #1 ended: crashed" in line and r"restart 1 of 3 within 5 s with other\n" in line for line in about
    )
    assert any(line.endswith(f"app/{AS_WRITTEN} #2 ended: shutdown") for line in about)
    assert "Logging error" not in capfd.readouterr().err


@pytest.mark.anyio
async def test_a_traceback_with_half_a_character_is_written(
    written: Callable[[], str], capfd: pytest.CaptureFixture[str]
) -> None:
    """A file's name that isn't UTF-8 has some."""
    async with Supervisor("app") as app:
        fragile = await app.start(Fragile)
        with pytest.raises(ActorCrashed):
            await fragile.call(Fragile.crash, "no file m\udce4rz.csv")
    text = written()
    assert "Traceback (most recent call last):" in text
    assert "\nValueError: no file m\\udce4rz.csv\n" in text
    assert "Logging error" not in capfd.readouterr().err


FILE: Final = Frame("/home/j\udcf6rg/\nERROR.py", 3, "go")
CRASH: Final = ExitReason(ExitKind.CRASHED, "ValueError: no")
DECISION: Final = Decision(Action.RESTART, FORGED, 1, CRASH, "permanent", 1, 3, 5.0, 0.0, (FORGED, "b\n"), 0.0)


HOSTILE: Final[list[Event]] = [
    Starting(FORGED, 1, 5, (FILE,)),
    Stopped(FORGED, 1, ExitReason(ExitKind.SHUTDOWN, FORGED), frames=(FILE,)),
    Decided(FORGED, FORGED, DECISION),
    Overran(FORGED, 1),
    Lost(FORGED, 1, "", "3 waiting messages dropped at the stop", "drain=True handles them"),
    AddressDropped(FORGED),
    Late(FORGED, 1, "A.go()", 3, (FILE,)),
    Asked(FORGED, FORGED, "stop it"),
    LinkUp(FORGED, 1, FORGED, FORGED, FORGED),
    LinkDown(FORGED, 1, FORGED, 1, 1),
    Admitted(FORGED, FORGED, FORGED, FORGED),
    Refused(FORGED, FORGED, FORGED, FORGED),
]


@pytest.mark.parametrize("event", HOSTILE, ids=lambda event: type(event).__name__)
def test_an_event_is_one_line_that_can_be_encoded(event: Event) -> None:
    assert str(event).isprintable()


def test_a_text_among_others_is_one_line_and_a_text_alone_keeps_its_lines(caplog: pytest.LogCaptureFixture) -> None:
    say(logging.ERROR, "%s: its policy raised %s", f"app/{FORGED}", "no\n")
    say(logging.ERROR, "%s", "what a child process has printed:\n  two lines")
    told, printed = (record.getMessage() for record in caplog.records)
    assert told == rf"app/{AS_WRITTEN}: its policy raised no\n"
    assert printed == "what a child process has printed:\n  two lines"


class Sleeper:
    async def sleep(self) -> None:
        await anyio.sleep_forever()


@pytest.mark.anyio
async def test_a_handler_that_was_too_late_is_told_with_the_users_line(caplog: pytest.LogCaptureFixture) -> None:
    async with Supervisor("app") as app:
        sleeper = await app.start(Sleeper, handler_deadline=3)
        with pytest.raises(ActorCrashed):
            await sleeper.call(Sleeper.sleep)
    late, crash = (record for record in caplog.records if record.msg in (Late.template, Stopped.template))
    line = Sleeper.sleep.__code__.co_firstlineno + 1
    for record in late, crash:
        assert (record.pathname, record.lineno, record.funcName) == (__file__, line, "Sleeper.sleep")
        assert f" in Sleeper.sleep ({__file__}:{line})" in record.getMessage()


@pytest.mark.parametrize(
    ("event", "called"),
    [
        (AddressDropped("app/a"), "dropped addresses"),
        (Starting("app/a", 1, 5), "slow starts"),
        (Overran("app/a", 1), "actors that are unstoppable"),
        (Late("app/a", 1, "A.go()", 3), "late handlers"),
        (LinkDown("app/a", 1, "no", 1, 0), "ends of connections"),
        (Refused("app/a", "10.0.0.7:4711", "", "no"), "refusals"),
    ],
)
def test_a_flood_of_any_class_is_ten_records_and_a_number(event: Any, called: str, caplog: pytest.LogCaptureFixture) -> None:
    log = EventLog(lambda: 0.0)
    for _ in range(RECORDS + 490):
        log.tell(event, None)
    log.end()
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(told) == RECORDS + 1
    assert told[-1] == f"app: and 490 more in 0 s: 490 {called}"


class Replying:
    async def look_up(self, name: str) -> int:
        return {"ada": 1}[name]


@pytest.mark.anyio
async def test_an_error_that_nobody_gets_is_told_with_the_users_line(caplog: pytest.LogCaptureFixture) -> None:
    """It has no traceback: the text is all there is."""
    async with Supervisor("app") as app:
        replying = await app.start(Replying, expects=(KeyError,))
        await replying.send(Replying.look_up, "nobody")
        await replying.ping()
        await at_rest()
    [record] = [record for record in caplog.records if record.msg == Raised.template]
    line = Replying.look_up.__code__.co_firstlineno + 1
    assert (record.pathname, record.lineno, record.funcName) == (__file__, line, "Replying.look_up")
    assert f"KeyError: 'nobody' in {raised_in(Replying.look_up, 1)}" in record.getMessage()
