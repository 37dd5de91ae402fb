"""What a running tree tells: spans, metrics, log records, and who blocks the event loop.

Begin with the one that you miss. `configure` delivers traces to a collector. `Metrics`
counts, `Spans` says which spans there are; both are given to a root supervisor.
`json_handler` writes log records that name their actor; `ActorFilter` and `JsonFormatter`
are its parts, and `logs` has them for other loggers. `Watchdog` finds who blocks the event
loop.

    async with Supervisor("app", …, metrics=Metrics(), tracing=True) as app, Watchdog(app): ...

None of it delays or crashes an actor, and nothing of OpenTelemetry's SDK is loaded before
`configure` has something to deliver. Everything here reads events and statistics, or is
called by the hooks of an instrument: nothing below this room knows it. It may import every
room from `tree/` down, and no leaf beside it. Start reading with `logs.py`.
"""

from supervise.spans.spans import Spans

from . import logs
from .logs import ActorFilter, JsonFormatter, json_handler
from .metrics import Metrics
from .tracing import Tracing, configure
from .watchdog import Watchdog

__all__ = ("ActorFilter", "JsonFormatter", "Metrics", "Spans", "Tracing", "Watchdog", "configure", "json_handler", "logs")
