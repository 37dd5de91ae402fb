"""What a running tree tells the outside: spans to a collector, metrics, log records, and a watchdog of the event loop.

Everything here reads events and statistics, or is called by the hooks of an instrument: nothing below this room knows it, and
none of it delays or crashes an actor. It may import every room from `tree/` down, and no leaf beside it. Start reading with
`logs.py`. The names here are the public ones. Nothing of OpenTelemetry's SDK is loaded before `configure` has something to
deliver.
"""

from supervise.spans.spans import Spans

from . import logs
from .logs import ActorFilter, JsonFormatter, json_handler
from .metrics import Metrics
from .tracing import Tracing, configure
from .watchdog import Watchdog

__all__ = ("ActorFilter", "JsonFormatter", "Metrics", "Spans", "Tracing", "Watchdog", "configure", "json_handler", "logs")
