"""What `supervise run` and `supervise demo` do with --log-level, --log, --otlp and the OTEL_* variables."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from supervise.log import would_write
from supervise.spans.chosen import chosen
from supervise_strategies.errors import InvalidSpec

from .listening import host_and_port, shown, taken

if TYPE_CHECKING:
    from supervise.telemetry.prometheus import Prometheus
    from supervise.telemetry.tracing import Tracing
    from supervise.tree.supervisor import Runnable

R = TypeVar("R", bound="Runnable")
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_TRACES_EXPORTER")


class WrongTelemetry(Exception):
    """It can't be done; the text is the one line to print."""


def show_records(level: int | None) -> None:
    """Log records on stderr, from this level on; None: from INFO on, and more of a logger that has a level of its own."""
    root = logging.getLogger()
    before = [*root.handlers]
    least = logging.INFO if level is None else min(level, logging.INFO)  # a file of --log still gets INFO
    logging.basicConfig(level=least, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for handler in root.handlers:
        if level is not None and handler not in before:
            handler.setLevel(level)


def shows(level: int) -> bool:
    """Whether records of the library that are of this level are on stderr."""
    to_stderr: type = logging.StreamHandler  # and not one of a file, which is of a class below that
    return would_write(level) and any(
        type(handler) is to_stderr and handler.level <= level for handler in logging.getLogger().handlers
    )


def _made_anyway(record: logging.LogRecord) -> bool:
    """Whether there would be this record if --log-level were at its default, for what --log writes doesn't depend on that."""
    logger = logging.getLogger(record.name)
    while logger.level == logging.NOTSET and logger.parent is not None:
        logger = logger.parent
    return record.levelno >= (logging.INFO if logger.parent is None else logger.level)


class Telemetry:
    """Logs, spans and metrics of one command, from before its tree until after it, whatever the collector does within 2 s."""

    def __init__(
        self,
        log: str | None,
        otlp: str | None,
        actor_services: bool,
        level: int | None = None,
        *,
        log_arguments: bool = False,
        exclude: Sequence[str] = (),
        metrics: str | None = None,
        durations: bool = False,
    ) -> None:
        """WrongAddress if `metrics` isn't HOST:PORT."""
        self._log_arguments = log_arguments
        self._listen = None if metrics is None else host_and_port("--metrics", metrics, 9464)
        self._durations = durations
        self._prometheus: Prometheus | None = None
        self._log = log
        self._level = level
        self._otlp = otlp
        self._actor_services = actor_services
        self._exclude = exclude
        self._handler: logging.Handler | None = None
        self._tracing: Tracing | None = None

    def open(self, service_name: str) -> None:
        """Begin. WrongTelemetry if what was asked for can't be done."""
        if self._log is not None:
            from supervise.telemetry.logs import json_handler  # only those who ask for it wait for OpenTelemetry

            try:
                self._handler = json_handler(self._log)
            except OSError as error:
                raise WrongTelemetry(f"--log {self._log}: {error.strerror}: name a file that can be written") from error
            if self._level is not None:
                self._handler.addFilter(_made_anyway)
            logging.getLogger().addHandler(self._handler)
            for other in logging.getLogger().handlers:
                if other is not self._handler and other.level == logging.NOTSET:
                    other.setLevel(logging.INFO)  # what isn't asked for isn't shown beside it
            logging.getLogger("supervise").setLevel(logging.DEBUG)
        if self._listen is not None:
            self._serve_metrics(service_name, *self._listen)
        if self._otlp is None and not any(map(os.environ.get, _ENDPOINTS)):
            return
        from supervise.telemetry.tracing import configure

        try:
            self._tracing = configure(service_name, endpoint=self._otlp, actor_services=self._actor_services)
        except (ValueError, ImportError) as error:
            raise WrongTelemetry(f"--otlp: {error}") from error

    def applied(self, tree: R) -> R:
        """The tree as the command line wants it. WrongTelemetry if it can't be."""
        if self._log_arguments:
            tree = tree.with_arguments_in_logs()
        return self._measured(self._filtered(tree))

    def _filtered(self, tree: R) -> R:
        """Without the spans that aren't wanted."""
        if not self._exclude:
            return tree
        from supervise.spans.filters import Excluded
        from supervise.spans.spans import Spans

        try:
            Excluded(self._exclude)
        except InvalidSpec as error:
            raise WrongTelemetry(f"--trace-exclude: {error}") from error
        spans = chosen(tree.tracing)
        return tree.with_tracing(spans.excluding(self._exclude)) if isinstance(spans, Spans) else tree

    def _serve_metrics(self, service_name: str, host: str, port: int) -> None:
        from supervise.telemetry.prometheus import Prometheus

        try:
            self._prometheus = Prometheus(service_name, host, port)
        except OSError as error:
            raise taken("--metrics", host, port, error) from error
        except ImportError as error:
            raise WrongTelemetry(f"--metrics: {error}") from error
        print(f"supervise: metrics at http://{shown(host, self._prometheus.port)}/metrics", file=sys.stderr, flush=True)

    def _measured(self, tree: R) -> R:
        """Counted for what serves metrics, if that was asked for."""
        if self._prometheus is None:
            return tree
        from supervise.telemetry.metrics import Metrics

        own = tree.metrics
        if own is None:
            return tree.with_metrics(Metrics(self._prometheus.provider, durations=self._durations))
        if not isinstance(own, Metrics) or not own.is_global or not self._prometheus.is_global:
            why = f"{tree.name} has metrics= of its own, for a provider that isn't served here"
            raise WrongTelemetry(f"--metrics: {why}: give it Metrics() without a provider, or leave out --metrics")
        if self._durations and not own.with_durations:
            cure = "write Metrics(durations=True) there"
            raise WrongTelemetry(f"--metrics-durations: {tree.name} has metrics= of its own: {cure}")
        return tree

    def close(self) -> None:
        """Deliver what has ended, for 2 s at most. Idempotent."""
        if self._prometheus is not None:
            self._prometheus.close()
            self._prometheus = None
        if self._tracing is not None:
            self._tracing.close()
        if self._handler is not None:
            logging.getLogger().removeHandler(self._handler)
            self._handler.close()
            self._handler = None
