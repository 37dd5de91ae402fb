"""Log records that say whose they are: which actor, which incarnation, which trace.

The runtime logs through the standard `logging`, and adds nothing to a record by itself.
`ActorFilter` does, for every record that is made inside an actor: in its factory, hooks,
handlers and nursery tasks. The tasks and worker threads that these start inherit it. The
records of life-cycle events (logger `supervise`) name the actor that the event is about.
They are written whether or not a trace is sampled. For loggers that aren't `logging`'s,
structlog for one, there is `context`:

    >>> def whose(cart):
    ...     return logs.context()["actor"]
    >>> async with Supervisor("app") as app:
    ...     cart = await app.start(list, name="cart")
    ...     await cart.call(whose)
    'app/cart'
"""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import IO, Any, Final, TypeAlias, TypeVar, cast, get_args

from opentelemetry import trace

from supervise import events
from supervise.actor.incarnation import Incarnation, NurseryTurn
from supervise.journal.event_log import Parts
from supervise.log import half_formatted
from supervise.mailbox.turn import current_turn
from supervise_strategies.exception import interrupts
from supervise_strategies.exit_reason import describe
from supervise_strategies.kind import is_of, kind_of, name_of_kind
from supervise_strategies.text import cut, said, shown, text_of

T = TypeVar("T")

Redact: TypeAlias = Callable[[str], str]

LONGEST: Final = 4000
"""Characters of one text in a JSON record; what is longer is cut, and ends in `…`."""
LONGEST_RECORD: Final = 16 * LONGEST
"""Characters of all the values of one record, about; what comes after them is `…`."""
_EVENTS: Final[tuple[type[object], ...]] = get_args(events.Event)
_ADDED: Final[dict[str, str | int]] = {"actor": "", "actor_id": 0, "incarnation": 0, "trace_id": "", "span_id": ""}
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", *_ADDED}


class ActorFilter(logging.Filter):
    """Adds to each log record whose it is: `actor` (its path), `actor_id`, `incarnation`.

    `trace_id` and `span_id` come, too. It drops no record. Add it to a *handler*: the filters
    of a logger don't see the records of the loggers below it.

    Outside of an actor, or of a span, the fields are there and empty (`""`; 0 for `actor_id`
    and `incarnation`). So a format string can name them. `actor_id` tells namesakes apart: it
    is an address's `id`. Fields that a record has already are kept.

        >>> import io, logging
        >>> log, handler = logging.Logger("shop"), logging.StreamHandler(io.StringIO())
        >>> handler.addFilter(ActorFilter())
        >>> handler.setFormatter(logging.Formatter("%(actor)s #%(incarnation)d: %(message)s"))
        >>> log.addHandler(handler)
        >>> async with Supervisor("app") as app:
        ...     cart = await app.start(list, name="cart")
        ...     await cart.call(lambda cart: log.info("it is empty"))
        >>> print(handler.stream.getvalue())
        app/cart #1: it is empty
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the fields to a record; always True."""
        annotate(record)
        return True


def annotate(record: logging.LogRecord) -> None:
    """Do to one record what `ActorFilter` does.

    Call it where the record is made: elsewhere, the context is another one. It never raises:
    what can't be told is empty.
    """
    fields = vars(record)
    if "actor" not in fields:
        path, id, number = _or(lambda: _whose(record), ("", 0, 0))
        fields |= {"actor": path, "actor_id": id, "incarnation": number}
    if "trace_id" not in fields:
        trace_id, span_id = _or(_span, ("", ""))
        fields["trace_id"] = trace_id
        fields.setdefault("span_id", span_id)


def context(record: logging.LogRecord | None = None) -> dict[str, Any]:
    """What `ActorFilter` adds to a record, as a dict, for loggers that aren't `logging`'s.

    Always all five: `actor`, `actor_id`, `incarnation`, `trace_id`, `span_id`, empty (`""` or
    0) outside of an actor or a span. Of a record of `logging`, if one is given, it says whose
    that is. The library's own may be about another actor than the one in whose task they are
    written. Call it where a record is made. It never raises.
    """
    if record is None:
        record = logging.makeLogRecord({})
    annotate(record)
    fields = vars(record)
    return {name: fields.get(name, empty) for name, empty in _ADDED.items()}


def _or(ask: Callable[[], T], otherwise: T) -> T:
    """What is said, unless it raises."""
    try:
        return ask()
    except BaseException as error:
        if interrupts(error):
            raise
        return otherwise


def _span() -> tuple[str, str]:
    span = trace.get_current_span().get_span_context()  # of anybody's own class
    return (trace.format_trace_id(span.trace_id), trace.format_span_id(span.span_id)) if span.is_valid else ("", "")


def _whose(record: logging.LogRecord) -> tuple[str, int, int]:
    turn = current_turn(None)
    mailbox = None if turn is None else turn.mailbox
    event = event_of(record)
    if event is not None:  # it may be about another actor than the one in whose task it happened
        path: str = event.path
        return path, 0 if mailbox is None or mailbox.path != path else mailbox.id, getattr(event, "incarnation", 0)
    if mailbox is None:
        return "", 0, 0
    incarnation = turn.incarnation if isinstance(turn, NurseryTurn) else turn
    return mailbox.path, mailbox.id, incarnation.number if isinstance(incarnation, Incarnation) else 0


def event_of(record: logging.LogRecord) -> events.Event | None:
    """The life-cycle event that a record is about, as a value; None if it is about none."""
    args: object = vars(record).get("args")
    if type(args) is Parts:
        return args.event
    if type(args) is tuple:  # a listener of the user's own may log it: log.info("%s", event)
        given = cast("tuple[object, ...]", args)
        if len(given) == 1 and is_of(given[0], *_EVENTS):
            event: Any = given[0]
            return cast("events.Event", event)
    return None


class JsonFormatter(logging.Formatter):
    """Makes one JSON object, on one line, of a log record.

    It has `time` (ISO 8601, UTC), `level`, `logger`, `message`, and what `ActorFilter` adds, if
    that isn't empty. A life-cycle event is there as values, too: `event`. `exception` and
    `stack` are texts; `extra` holds what the record was given beside. Messages of actors are in
    there as shortened texts. It is what `supervise columns` reads. A text of more than 4,000
    characters is cut, and ends in `…`.

        redact: A function of a text that returns a text (default: none). It is applied to every
            text that can hold what users sent: message, exception, stack, and the texts in
            `event` and `extra`. If it raises, the text is left out.

    Raises TypeError for a `redact` that can't be called. `format` itself never raises.

        >>> import logging
        >>> record = logging.LogRecord("shop", logging.INFO, "shop.py", 7, "paid %d", (9,), None)
        >>> print(JsonFormatter().format(record))
        {"time": "...", "level": "INFO", "logger": "shop", "message": "paid 9"}
    """

    def __init__(self, *, redact: Redact | None = None) -> None:
        super().__init__()
        if redact is not None and not callable(redact):
            raise TypeError(f"redact={shown(redact)}: give a function of a text that returns a text, or None")
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line; never raises, but for KeyboardInterrupt."""
        values = _Values(self._redact)
        try:
            return json.dumps(self._line(record, values))
        except BaseException as error:  # its class, or its fields, are somebody's own
            if interrupts(error):
                raise
            return json.dumps({"message": values.text(f"<a record that can't be told: {describe(error)}>")})

    def _line(self, record: logging.LogRecord, values: _Values) -> dict[str, Any]:
        annotate(record)
        fields = vars(record)
        line: dict[str, Any] = {
            "time": _time_of(fields.get("created")),
            "level": said(fields.get("levelname")),
            "logger": said(fields.get("name")),
            "message": values.text(_message_of(record)),
        }
        line |= {name: value for name in _ADDED if (value := values.given(fields.get(name)))}
        event = event_of(record)
        if event is not None:
            told = _or(lambda: events.as_dict(event), dict[str, Any]())
            line["event"] = values.plain({k: v for k, v in told.items() if k not in ("path", "incarnation")})
        exception: Any = fields.get("exc_info")
        if is_of(exception, BaseException):
            exception = type(exception), exception, None
        if type(exception) is tuple and exception and exception[0] is not None:
            line["exception"] = values.text(self._traceback(exception), ends=True)
        elif fields.get("exc_text"):  # a record of ours that is formatted late
            line["exception"] = values.text(text_of(fields["exc_text"], LONGEST_RECORD), ends=True)
        if fields.get("stack_info") is not None:
            line["stack"] = values.said(fields["stack_info"])
        extra = {name: value for name, value in fields.items() if name not in _STANDARD}
        if extra:
            line["extra"] = values.plain(extra)
        return line

    def _traceback(self, exception: Any) -> str:
        try:
            return self.formatException(exception)
        except BaseException as error:
            if interrupts(error):
                raise
            return half_formatted(exception, error)


class _Values:
    """The values of one record, as JSON can hold them. What there is no more room for is `…`."""

    def __init__(self, redact: Redact | None) -> None:
        self._redact = redact
        self._room = LONGEST_RECORD

    def text(self, text: str, *, ends: bool = False) -> str:
        """A text, redacted whole, then cut: a cut one could show the half of what is to be hidden.

        `ends`: both ends are kept, as those of a traceback, whose last line says what was raised.
        """
        if self._redact is not None:
            try:
                redacted: Any = self._redact(text)
            except BaseException as error:
                if interrupts(error):
                    raise
                return f"<left out: redact raised {name_of_kind(type(error))}>"
            if not is_of(redacted, str):
                return f"<left out: redact returned {name_of_kind(kind_of(redacted))}>"
            text = redacted
        if ends and len(text) > LONGEST:
            text = f"{text[: LONGEST // 4]}…{text[1 - 3 * LONGEST // 4 :]}"
        text = cut(text, LONGEST)
        self._room -= len(text)
        return text

    def said(self, value: object) -> str:
        """What `str` says of it."""
        return self.text(value if is_of(value, str) else text_of(value, LONGEST))

    def given(self, value: object) -> Any:
        """One of the fields that `annotate` adds, which a record may also have from elsewhere. A text isn't redacted."""
        if type(value) is str:
            return cut(value, LONGEST)
        return self.plain(value) if value is not None else ""

    def plain(self, value: object, depth: int = 0) -> Any:
        """Any value."""
        if self._room <= 0:
            return "…"
        self._room -= 4
        try:
            return self._plain(value, depth)
        except BaseException as error:
            if interrupts(error):
                raise
            return self.text(shown(value, LONGEST))

    def _plain(self, value: Any, depth: int) -> Any:
        kind: type = kind_of(value)
        if value is None or kind is bool:
            return value
        if issubclass(kind, int) and int.bit_length(value) <= 1024:
            return int.__add__(value, 0)
        if issubclass(kind, float):
            return float.__add__(value, 0.0) if math.isfinite(value) else float.__repr__(value)
        if issubclass(kind, str):
            return self.text(value)
        if depth < 4 and isinstance(value, Mapping):
            pairs = islice(cast("Mapping[object, object]", value).items(), 100)
            return {self.said(name): self.plain(part, depth + 1) for name, part in pairs}
        if depth < 4 and issubclass(kind, list | tuple):
            return [self.plain(part, depth + 1) for part in islice(cast("list[object]", value), 100)]
        return self.text(shown(value, LONGEST))


def _time_of(created: Any) -> str:
    try:
        return datetime.fromtimestamp(created, UTC).isoformat(timespec="microseconds")
    except BaseException as error:
        if interrupts(error):
            raise
        return shown(created)


def _message_of(record: logging.LogRecord) -> str:
    try:
        message: Any = record.getMessage()
        if is_of(message, str):
            return str.__str__(message)
        why = f"TypeError: getMessage() returned {name_of_kind(kind_of(message))}"
    except BaseException as error:  # a wrong number of arguments; a `__str__` that raises
        if interrupts(error):
            raise
        why = name_of_kind(type(error))
    return f"{text_of(vars(record).get('msg'), LONGEST)} <its arguments don't fit: {why}>"


def json_handler(file: str | os.PathLike[str] | IO[str], *, redact: Redact | None = None) -> logging.Handler:
    """A log handler that writes JSON records, each with the actor whose it is.

    `file` is a path, to which it appends, or an open text stream. `redact` is that of
    `JsonFormatter`. Add it where the records are to be heard:
    `logging.getLogger().addHandler(json_handler("app.jsonl"))`. Starts and orderly ends are
    DEBUG records of the logger `supervise`, so they are only there if that level is on. Raises
    OSError if the file can't be opened.

        >>> import io, json, logging
        >>> log, lines = logging.Logger("shop"), io.StringIO()
        >>> log.addHandler(json_handler(lines))
        >>> async with Supervisor("app") as app:
        ...     cart = await app.start(list, name="cart")
        ...     await cart.call(lambda cart: log.warning("it is empty"))
        >>> json.loads(lines.getvalue())["actor"]
        'app/cart'
    """
    handler: logging.Handler
    if isinstance(file, str | os.PathLike):
        handler = logging.FileHandler(file, encoding="utf-8")
    else:
        handler = logging.StreamHandler(file)
    handler.addFilter(ActorFilter())
    handler.setFormatter(JsonFormatter(redact=redact))
    return handler
