"""Following log records changes nothing of what the program itself writes, and counts what is missing."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager

import pytest

from supervise.live.log_feed import _Follower

LOGGER = logging.getLogger("tests.live.of_a_program")


class Hears(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


@contextmanager
def following(number: int, last: logging.Handler | None) -> Generator[list[_Follower]]:
    """So many, in a program that has set up nothing."""
    found = [_Follower("") for _ in range(number)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logging.root, "handlers", [*found])
        patch.setattr(logging, "lastResort", last)
        yield found


def test_what_python_writes_by_itself_where_no_handler_is_it_goes_on_writing() -> None:
    last, own = Hears(), Hears()
    with following(2, last) as followers:
        LOGGER.warning("one")
        LOGGER.info("too little for that")
        LOGGER.addHandler(own)
        LOGGER.warning("two")
        LOGGER.removeHandler(own)
        assert (last.texts, own.texts) == (["one"], ["two"])
        for follower in followers:
            assert [each["text"] for each in follower.told()] == ["one", "two"]
    with following(1, None) as followers:  # as a program does that wants silence
        LOGGER.warning("three")
        assert [each["text"] for each in followers[0].told()] == ["three"]


class Logs:
    """Its text is made by code that logs, too."""

    def __str__(self) -> str:
        LOGGER.warning("inner")
        return "outer"


class Raises:
    def __str__(self) -> str:
        raise ValueError


def test_a_record_whose_text_logs_is_told_and_one_whose_text_raises_is_missing() -> None:
    with following(1, None) as (follower,):
        LOGGER.warning("%s", Logs())
        assert [(each["text"], each.get("missed", 0)) for each in follower.told()] == [("inner", 0), ("outer", 0)]
        LOGGER.warning("%s", Raises())
        LOGGER.warning("last")
        assert [(each["text"], each.get("missed", 0)) for each in follower.told()] == [("last", 1)]
