"""One line of the log, whatever handlers, filters, texts and standard error do.

Tested (SEMANTICS 65): what they raise is told where `logging` would tell it; a KeyboardInterrupt, alone or in a group, goes to
whoever is in the middle of a change, or is let through.
"""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest

from supervise.log import say
from tests.hostile import rude


@contextmanager
def raising(error: BaseException, where: str) -> Generator[list[str]]:
    """In a handler, a filter, or as an argument is formatted; and what was written."""
    written: list[str] = []

    def strike(record: logging.LogRecord) -> bool:
        if where != "text":
            raise error
        written.append(record.getMessage())
        return True

    handler, logger = logging.Handler(), logging.getLogger("supervise")
    handler.emit = strike if where != "filter" else lambda _: None  # type: ignore[method-assign, assignment]
    logger.addHandler(handler)
    if where == "filter":
        logger.addFilter(strike)
    try:
        yield written
    finally:
        logger.removeHandler(handler)
        logger.removeFilter(strike)


class Striking(Exception):
    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self._error = error

    def __str__(self) -> str:
        raise self._error


@pytest.mark.parametrize("where", ["handler", "filter", "text"])
@pytest.mark.parametrize("group", [False, True])
def test_a_keyboard_interrupt_goes_to_who_asked_for_it_or_is_let_through(where: str, group: bool) -> None:
    error = BaseExceptionGroup("g", [ValueError(), KeyboardInterrupt()]) if group else KeyboardInterrupt()
    passed: list[BaseException] = []
    argument: object = Striking(error) if where == "text" else "fine"
    with raising(error, where):
        say(logging.ERROR, "it raised %s", argument, pass_up=passed.append)
        assert passed == [error]
        with pytest.raises((KeyboardInterrupt, BaseExceptionGroup)):
            say(logging.ERROR, "it raised %s", argument)


@pytest.mark.parametrize("where", ["handler", "filter"])
@pytest.mark.parametrize("error", [ValueError("full"), SystemExit(3), GeneratorExit()])
def test_whatever_else_a_handler_raises_is_told_on_standard_error(
    where: str, error: BaseException, capsys: pytest.CaptureFixture[str]
) -> None:
    passed: list[BaseException] = []
    with raising(error, where):
        say(logging.ERROR, "lost", pass_up=passed.append)
    assert passed == []
    assert f"as a handler of the log raised {type(error).__name__}" in capsys.readouterr().err


@pytest.mark.parametrize("error", [ValueError("closed"), SystemExit(3), GeneratorExit()])
def test_a_standard_error_of_the_users_own_ends_nobody(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    class Raises(io.StringIO):
        def write(self, _: str, /) -> int:
            raise error

    monkeypatch.setattr(sys, "stderr", Raises())
    with raising(OSError("full"), "handler"):
        say(logging.ERROR, "lost")


def test_an_exception_among_the_arguments_is_described() -> None:
    odd: Any = rude(Exception, on="__str__ __repr__")()
    with raising(OSError(), "text") as written:
        say(logging.ERROR, "it raised %s, then %s", ValueError("a\nb"), odd)
    assert written == [r"it raised ValueError: a\nb, then Rude: <its str() raised SystemExit>"]
