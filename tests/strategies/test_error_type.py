"""`error.type`: one word for what failed."""

from __future__ import annotations

import asyncio

import pytest

from supervise.errors import HandlerLate
from supervise_strategies.error_type import error_type_of, error_type_of_end
from supervise_strategies.exit_reason import KILLED, NORMAL, SHUTDOWN, ExitKind, ExitReason, crashed


class Boom(Exception):
    pass


HERE = __name__


def caused() -> BaseException:
    try:
        raise Boom from KeyError("a")
    except Boom as error:
        return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ValueError("a: b"), "ValueError"),
        (Boom("a"), f"{HERE}.Boom"),
        (ExceptionGroup("one", [Boom()]), f"{HERE}.Boom"),
        (BaseExceptionGroup("one", [ExceptionGroup("one", [KeyError()])]), "KeyError"),
        (ExceptionGroup("two", [Boom(), KeyError()]), "ExceptionGroup"),
        (caused(), f"{HERE}.Boom"),
        (TimeoutError(), "timeout"),
        (HandlerLate(), "timeout"),
        (ExceptionGroup("one", [TimeoutError()]), "timeout"),
        (asyncio.CancelledError(), "asyncio.exceptions.CancelledError"),
    ],
    ids=str,
)
def test_it_is_the_class_of_what_was_raised(error: BaseException, kind: str) -> None:
    assert error_type_of(error) == kind


@pytest.mark.parametrize("module", ["", 3, "a" * 1000])
def test_a_module_of_any_kind_harms_nobody(module: object) -> None:
    odd = type("Odd", (Exception,), {"__module__": module})
    assert error_type_of(odd()) == ("Odd" if module == 3 else f"{str(module)[:200]}.Odd")


def test_a_metaclass_isnt_asked() -> None:
    class Meta(type):
        def __getattribute__(cls, name: str) -> object:
            raise AssertionError(name)

    class Odd(Exception, metaclass=Meta):
        pass

    assert error_type_of(Odd()).endswith("Odd")


def test_of_an_end_it_is_what_ended_it() -> None:
    error = Boom()
    assert error_type_of_end(crashed(error), error) == f"{HERE}.Boom"
    assert error_type_of_end(KILLED, None) == "killed"
    assert error_type_of_end(KILLED, None, ordered=True) == "timeout"
    assert error_type_of_end(ExitReason(ExitKind.GAVE_UP), error) == "gave_up"
    assert error_type_of_end(NORMAL, None) == error_type_of_end(SHUTDOWN, None) == ""
