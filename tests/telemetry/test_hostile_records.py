"""Records of hostile objects (SEMANTICS 65): the formatter makes a line of each, a bounded one, and the filter never raises."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext

from supervise.events import DeadLetter
from supervise.telemetry.logs import LONGEST, LONGEST_RECORD, ActorFilter, JsonFormatter, json_handler
from tests.hostile import rude

WHOLE = LONGEST_RECORD * 8  # of the line: one character may be written as six


def made(message: object = "hello", args: Any = (), **fields: Any) -> logging.LogRecord:
    record = logging.LogRecord("app", logging.INFO, "app.py", 1, message, (), None)
    vars(record).update({"args": args, **fields})  # given to a LogRecord, some of them raise there
    return record


def read(record: logging.LogRecord, formatter: JsonFormatter | None = None) -> dict[str, Any]:
    line = (formatter or JsonFormatter()).format(record)
    assert "\n" not in line
    assert line.isascii()
    assert len(line) < WHOLE

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    found: dict[str, Any] = json.loads(line, parse_constant=refuse)
    return found


ALL = "__repr__ __str__ __bool__ __len__ __iter__ __float__ __int__ __index__ __getitem__ __eq__"
Rude: Any = rude(on=f"{ALL} __hash__ __class__")
RudeKey: Any = rude(on=f"{ALL} __class__".replace("__eq__", ""))
RudeText: Any = rude(str, on=f"{ALL} __mod__ __format__ __hash__")
RudeNumber: Any = rude(int, on="__repr__ __str__ __int__ __index__ __abs__")
RudeMapping: Any = rude(Mapping, on=ALL)


def circle() -> dict[str, Any]:
    found: dict[str, Any] = {}
    found["itself"] = [found, {1: found}]
    return found


class User:
    pass


# Made when they are used: pytest looks at what it is given.
VALUES: dict[str, Callable[[], Any]] = {
    "an object": User,
    "rude": Rude,
    "cancelled": rude(raises=asyncio.CancelledError, on=ALL),
    "recursion": rude(raises=RecursionError, on=ALL),
    "rude text": lambda: RudeText("x"),
    "rude number": lambda: RudeNumber(1),
    "rude mapping": RudeMapping,
    "rude key": lambda: {RudeKey(): 1},
    "rude text inside": lambda: {1: RudeText("x")},
    "huge number": lambda: 10**5000,
    "huge key": lambda: {10**5000: 1},
    "nan": lambda: float("nan"),
    "infinite": lambda: -float("inf"),
    "surrogate": lambda: "\ud800",
    "circle": circle,
    "set": lambda: {1, 2},
    "bytes": lambda: b"x" * 10**6,
    "wide": lambda: list(range(10**6)),
    "long": lambda: "x" * 10**6,
    "table": lambda: [["x" * LONGEST] * 100] * 100,
    "many keys": lambda: dict.fromkeys(range(10**6)),
    "long keys": lambda: {"k" * 10**6: {"k" * 10**6: 1}},
    "exception": lambda: ValueError(b"x" * 10**6),
    "function": lambda: circle,
    "tuple": lambda: (Rude(),),
}


@pytest.mark.parametrize("what", VALUES)
@pytest.mark.parametrize("name", ["extra", "actor", "actor_id", "incarnation", "trace_id", "span_id"])
def test_whatever_a_field_holds_it_is_a_line(name: str, what: str) -> None:
    value = VALUES[what]()
    assert read(made(**{name: value}))["message"] == "hello"


@pytest.mark.parametrize("what", VALUES)
@pytest.mark.parametrize(
    "name", ["msg", "args", "created", "levelname", "name", "exc_info", "exc_text", "stack_info", "taskName", "levelno"]
)
def test_whatever_a_record_is_made_of_it_is_a_line(name: str, what: str) -> None:
    value = VALUES[what]()
    read(made(**{name: value}))
    read(made(**{name: (value,)}))


@pytest.mark.parametrize("what", VALUES)
def test_whatever_is_logged_it_is_a_line(what: str) -> None:
    value = VALUES[what]()
    read(made(value))
    read(made("%s", (value,)))
    read(made("%d %s", (value,)))
    read(made("%(a)s", ({"a": value},)))
    read(made("%s", (DeadLetter("app/a", value, value),)))
    read(made("%s", (DeadLetter(value, "a", "b"),)))


def test_what_a_message_raised_is_named() -> None:
    assert read(made("%s", (Rude(),)))["message"] == "%s <its arguments don't fit: SystemExit>"
    assert read(made(Rude()))["message"] == "<its str() raised SystemExit> <its arguments don't fit: SystemExit>"
    assert read(made(d={RudeKey(): 1}))["extra"] == {"d": {"<its str() raised SystemExit>": 1}}
    assert read(made(n=10**5000))["extra"] == {"n": "<int of 16610 bits>"}
    assert read(made(n=10**300))["extra"] == {"n": 10**300}


def test_a_time_that_is_none_is_told_as_it_is() -> None:
    for value in ("later", float("nan"), 1e300, None, Rude()):
        assert isinstance(read(made(created=value))["time"], str)


def raised(error: BaseException) -> Any:
    try:
        raise error
    except BaseException:
        return sys.exc_info()


class Unformatted(JsonFormatter):
    def formatException(self, ei: Any) -> str:
        raise RecursionError


def test_an_exception_whose_traceback_cant_be_formatted_is_told_with_its_lines() -> None:
    text = read(made(exc_info=raised(OSError("no route"))), Unformatted())["exception"]
    assert "in raised" in text
    assert text.endswith("OSError: no route <its traceback can't be formatted: RecursionError>")
    deep: Any = OSError("no route")
    for _ in range(2000):
        deep = ExceptionGroup("g", [deep])
    assert len(read(made(exc_info=raised(deep)))["exception"]) <= LONGEST


class Untold(Exception):
    def __str__(self) -> str:
        raise SystemExit


@pytest.mark.parametrize(
    "exception",
    [
        raised(Untold()),
        raised(ValueError(b"x" * 10**6)),
        ValueError("alone"),
        (ValueError, None, None),
        (1, 2, 3),
        (ValueError,),
    ],
    ids=["untold", "large", "alone", "only its class", "numbers", "short"],
)
def test_whatever_stands_where_an_exception_should_it_is_a_bounded_text(exception: Any) -> None:
    text = read(made(exc_info=exception))["exception"]
    assert isinstance(text, str)
    assert len(text) <= LONGEST


def test_a_record_of_somebodys_own_class_is_a_line() -> None:
    class Own(logging.LogRecord):
        def getMessage(self) -> str:
            raise SystemExit

    class Number(logging.LogRecord):
        def getMessage(self) -> Any:
            return 5

    assert "SystemExit" in read(Own("a", 20, "f", 1, "hello", (), None))["message"]
    assert read(Number("a", 20, "f", 1, "hello", (), None))["message"].startswith("hello <")
    bare = logging.makeLogRecord({})
    vars(bare).clear()
    assert read(bare)["level"] == "None"


@pytest.mark.parametrize("raises", [SystemExit, asyncio.CancelledError, RecursionError])
def test_a_redaction_may_raise_anything(raises: type[BaseException]) -> None:
    def redact(text: str) -> str:
        raise raises

    assert read(made("secret"), JsonFormatter(redact=redact))["message"] == f"<left out: redact raised {raises.__name__}>"


def test_what_a_redaction_returns_may_be_somebodys_own_text() -> None:
    assert read(made("secret"), JsonFormatter(redact=lambda _: RudeText("hidden")))["message"] == "hidden"


def test_a_text_is_redacted_whole_before_it_is_cut() -> None:
    text = "x" * (LONGEST - 5) + "4111 1111"
    found = read(made(text), JsonFormatter(redact=lambda text: text.replace("4111 1111", "****")))
    assert found["message"].endswith("****")


@pytest.mark.parametrize("name", ["msg", "args", "created", "extra", "actor", "levelname"])
def test_keyboard_interrupt_passes_up(name: str) -> None:
    culprit = rude(raises=KeyboardInterrupt, on=ALL)()
    record = made(**({"msg": "%s", "args": (culprit,)} if name == "args" else {name: culprit}))
    with pytest.raises(KeyboardInterrupt):
        JsonFormatter().format(record)


class RudeSpan(NonRecordingSpan):
    def get_span_context(self) -> SpanContext:
        raise SystemExit


def test_the_filter_never_raises() -> None:
    with trace.use_span(RudeSpan(trace.INVALID_SPAN_CONTEXT)):
        for record in (made(), made("%s", (Rude(),)), made("%s", Rude()), made(actor=Rude(), trace_id=Rude())):
            assert ActorFilter().filter(record)
            assert {"actor", "trace_id"} <= set(vars(record))
        record = made()
        ActorFilter().filter(record)
        assert (vars(record)["actor"], vars(record)["incarnation"], vars(record)["trace_id"]) == ("", 0, "")


def test_a_utf8_file_takes_every_line() -> None:
    written = io.BytesIO()
    handler = json_handler(io.TextIOWrapper(written, encoding="utf-8", write_through=True))
    for make in VALUES.values():
        handler.handle(made("%s", (make(),), extra=make()))
    assert len(written.getvalue().splitlines()) == len(VALUES)
