"""Log records that say whose they are: which actor, which incarnation, which trace.

The runtime logs through the standard `logging` and adds nothing to a record by itself. `ActorFilter` does, for every record
that is made inside an actor: in its factory, hooks, handlers, nursery tasks, and in the tasks and worker threads that these
start, since all of them inherit the context. The records of life-cycle events (logger `supervise`) name the actor that the
event is about. They are written whether or not a trace is sampled.
"""

from __future__ import annotations

import json
import logging
import math
import os
import reprlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import IO, Any, Final, TypeAlias, cast

from opentelemetry import trace

from supervise import events
from supervise.actor.incarnation import Incarnation, NurseryTurn
from supervise.mailbox.turn import CURRENT

Redact: TypeAlias = Callable[[str], str]

LONGEST: Final = 4000
"""Characters of one text in a JSON record; what is longer is cut, and ends in `…`."""
_EVENTS: Final = (
    events.Started,
    events.StartFailed,
    events.Stopped,
    events.Decided,
    events.Overran,
    events.Late,
    events.Blocked,
    events.Stuck,
    events.DeadLetter,
    events.Expected,
    events.AddressDropped,
    events.Asked,
)
_ADDED: Final = ("actor", "actor_id", "incarnation", "trace_id", "span_id")
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", *_ADDED}


class ActorFilter(logging.Filter):
    """Adds to each record: `actor` (its path), `actor_id`, `incarnation`, `trace_id`, `span_id`; it drops none.

    Add it to a *handler*: the filters of a logger don't see the records of the loggers below it. Outside of an actor, or of a
    span, the fields are there and empty (`""`, and 0 for `actor_id` and `incarnation`), so a format string can name them:
    `"%(levelname)s %(actor)s #%(incarnation)d %(message)s"`. `actor_id` tells namesakes apart; it is an address's `id`.
    Fields that a record has already are kept.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the fields; always True."""
        annotate(record)
        return True


def annotate(record: logging.LogRecord) -> None:
    """Do to one record what `ActorFilter` does. Call it where the record is made: elsewhere, the context is another one."""
    fields = vars(record)
    if "actor" not in fields:
        path, id, number = _whose(record)
        fields |= {"actor": path, "actor_id": id, "incarnation": number}
    if "trace_id" not in fields:
        span = trace.get_current_span().get_span_context()
        fields["trace_id"] = trace.format_trace_id(span.trace_id) if span.is_valid else ""
        fields.setdefault("span_id", trace.format_span_id(span.span_id) if span.is_valid else "")


def _whose(record: logging.LogRecord) -> tuple[str, int, int]:
    turn = CURRENT.get(None)
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
    """The life-cycle event that a record is about, as a value."""
    args = record.args
    if isinstance(args, tuple) and len(args) == 1 and isinstance(args[0], _EVENTS):
        return args[0]
    return None


class JsonFormatter(logging.Formatter):
    """One JSON object a line: `time` (ISO 8601, UTC), `level`, `logger`, `message`, and what `ActorFilter` adds, if not empty.

    A life-cycle event is there as values, too: `event`. `exception` and `stack` are texts; `extra` holds what the record was
    given beside. It is what `supervise columns` reads.

    `redact` is applied to every text that can hold what users sent: message, exception, stack, and the texts in `event` and
    `extra`. (Messages of actors are in there as shortened reprs.) If it raises, the text is left out altogether.
    """

    def __init__(self, *, redact: Redact | None = None) -> None:
        super().__init__()
        if redact is not None and not callable(redact):
            raise TypeError(f"redact={redact!r}: give a function of a text that returns a text, or None")
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line; it never raises."""
        annotate(record)
        fields = vars(record)
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": self._text(_message_of(record)),
        }
        line |= {name: fields[name] for name in _ADDED if fields.get(name)}
        event = event_of(record)
        if event is not None:
            line["event"] = self._plain({k: v for k, v in events.as_dict(event).items() if k not in ("path", "incarnation")})
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = self._text(self.formatException(record.exc_info))
        if record.stack_info:
            line["stack"] = self._text(record.stack_info)
        extra = {name: value for name, value in fields.items() if name not in _STANDARD}
        if extra:
            line["extra"] = self._plain(extra)
        return json.dumps(line)

    def _text(self, text: str) -> str:
        if self._redact is not None:
            try:
                redacted: object = self._redact(text)
            except Exception as error:
                return f"<left out: redact raised {type(error).__name__}>"
            if not isinstance(redacted, str):
                return f"<left out: redact returned {type(redacted).__name__}>"
            text = redacted
        return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"

    def _plain(self, value: object, depth: int = 0) -> Any:
        if value is None or isinstance(value, bool | int):
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else str(value)
        if isinstance(value, str):
            return self._text(value)
        if depth < 4 and isinstance(value, Mapping):
            pairs = cast("Mapping[object, object]", value).items()
            return {self._text(str(name)): self._plain(part, depth + 1) for name, part in [*pairs][:100]}
        if depth < 4 and isinstance(value, list | tuple):
            return [self._plain(part, depth + 1) for part in [*cast("list[object]", value)][:100]]
        try:
            return self._text(reprlib.repr(value))
        except Exception:
            return f"<{type(value).__name__}>"


def _message_of(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as error:  # a wrong number of arguments; a `__str__` that raises
        return f"{record.msg!s} <its arguments don't fit: {type(error).__name__}>"


def json_handler(file: str | os.PathLike[str] | IO[str], *, redact: Redact | None = None) -> logging.Handler:
    """A handler that appends JSON records to a file, by its path, or writes them to an open text stream.

    Add it where the records are to be heard: `logging.getLogger().addHandler(json_handler("app.jsonl"))`. Starts and orderly
    ends are DEBUG records of the logger `supervise`. OSError if the file can't be opened.
    """
    handler: logging.Handler
    if isinstance(file, str | os.PathLike):
        handler = logging.FileHandler(file, encoding="utf-8")
    else:
        handler = logging.StreamHandler(file)
    handler.addFilter(ActorFilter())
    handler.setFormatter(JsonFormatter(redact=redact))
    return handler
