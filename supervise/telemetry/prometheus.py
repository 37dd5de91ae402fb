"""Metrics as Prometheus' text, over HTTP: through the exporter of OpenTelemetry's SDK, in threads that keep nothing alive.

The program may be blocked, and is read all the same: that is when one wants to know. Nothing of this is loaded before somebody
asks for it; the exporter is a package of its own.
"""

from __future__ import annotations

import importlib
import socket
import socketserver
import threading
from typing import TYPE_CHECKING, Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from opentelemetry import metrics

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider

EXPORTER: Final = "pip install opentelemetry-exporter-prometheus"
PATIENCE: Final = 10.0
"""Seconds that a client may take to say what it wants."""
LOOKS: Final = 0.1
"""Seconds after which the server sees at the latest that it is to end."""


class Prometheus:
    """A meter provider whose metrics are served from now on, until `close()` or the end of the process.

    It becomes the global provider if nobody has set one; `is_global` says whether it has. Raises ImportError, with the cure,
    where the exporter isn't installed, and OSError where it can't listen. Port 0 is any that is free.
    """

    def __init__(self, service_name: str, host: str, port: int) -> None:
        try:
            exporter: Any = importlib.import_module("opentelemetry.exporter.prometheus")
            client: Any = importlib.import_module("prometheus_client")
        except ImportError as error:
            raise ImportError(f"the exporter to Prometheus can't be imported ({error}): {EXPORTER}") from error
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource

        registry = client.CollectorRegistry()
        self._server = _Server(host, port)  # before anything is set: it may not be able to
        self._server.set_app(client.make_wsgi_app(registry))
        resource = Resource.create()
        if str(resource.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
            resource = resource.merge(Resource({SERVICE_NAME: service_name}))
        reader = exporter.PrometheusMetricReader(registry=registry)
        self.provider: MeterProvider = MeterProvider([reader], resource, shutdown_on_exit=False)
        self.is_global: bool = not isinstance(metrics.get_meter_provider(), MeterProvider | metrics.NoOpMeterProvider)
        if self.is_global:
            metrics.set_meter_provider(self.provider)
        self.port: int = self._server.server_port
        # A daemon, as are those of its connections: a scrape under way must not keep the process.
        self._thread = threading.Thread(target=self._server.serve_forever, args=(LOOKS,), name="metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Serve no more. What is global stays so, and counts on for nobody."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self.provider.shutdown()


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def __init__(self, host: str, port: int) -> None:
        self.address_family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        """As WSGIServer does, but without a look for the host's name, which may wait for a name server."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def handle_error(self, request: object, client_address: object) -> None:
        """The client is gone, or took too long."""


class _Handler(WSGIRequestHandler):
    timeout = PATIENCE

    def log_message(self, format: str, *args: object) -> None:
        """A scrape each few seconds is nothing to tell."""
